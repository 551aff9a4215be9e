"""Sets up what the benchmark needs beside the hub: compiled programs and the peers' own packages. Measures nothing.

Optional parts come from the system's package manager or from a lock file. A part that is not here raises Missing, and its
rows say so.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lienthong_demo.run.postgres import Absent, find_postgres_programs
from tests.conftest import ROOT

HERE = Path(__file__).parent
#: Where Python peers and the Node peer have their packages.
PEERS, NODE = Path(sys.prefix) / "bench", Path(sys.prefix) / "bench-node"
LOCK = ROOT / "requirements-bench.lock"
FLAGS = ("-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra")


class Missing(Exception):
    """A part is not here; the text says which packages bring it."""


def need_programs(*programs: str, packages: str) -> None:
    """Raise Missing unless every one of *programs* is there."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        raise Missing(f"no {', '.join(absent)}: install {packages}")


def compile_program(name: str, place: Path, *libraries: str) -> Path:
    """Compile `NAME.c` of this folder into *place*, with the *libraries* that pkg-config knows. Raises Missing."""
    packages = "gcc pkg-config libssl-dev" + (" libxml2-dev" if "libxml-2.0" in libraries else "")
    need_programs("gcc", "pkg-config", packages=packages)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", *libraries], capture_output=True, text=True, check=False
    )
    if flags.returncode:
        raise Missing(f"no headers of {', '.join(libraries)}: install {packages}")
    made = place / name
    subprocess.run(["gcc", *FLAGS, "-o", made, HERE / f"{name}.c", *flags.stdout.split()], check=True)
    return made


def install_python_peers() -> Path:
    """Return the folder of programs of the Python peers, which are installed from their lock unless they are already."""
    stamp, wanted = PEERS / ".lock", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(PEERS, ignore_errors=True)
        uv = shutil.which("uv")
        try:
            _run(sys.executable, "-m", "venv", *(["--without-pip"] if uv else []), PEERS)
            python = PEERS / "bin/python"
            installer = (uv, "pip", "install", "--python", python) if uv else (python, "-m", "pip", "install")
            _run(*installer, "-q", "--require-hashes", "-r", LOCK)
        except subprocess.CalledProcessError as error:
            raise Missing(f"{LOCK.name} could not be installed: {error.stderr[-300:]}") from error
        stamp.write_text(wanted)
    return PEERS / "bin"


JARS = Path("/usr/share/java")
#: What each engine of the Java peer needs beside the JDK.
ENGINES = {
    "Dsig": ("sqlite-jdbc", "slf4j-api", "slf4j-nop"),
    "Wss4j": ("sqlite-jdbc", "slf4j-api", "slf4j-nop", "wss4j", "xmlsec", "commons-logging"),
}
JAVA_PACKAGES = {
    "Dsig": "default-jdk-headless libxerial-sqlite-jdbc-java",
    "Wss4j": "default-jdk-headless libxerial-sqlite-jdbc-java libwss4j-java",
}


def compile_java_peer(engine: str, place: Path) -> str:
    """Compile the Java peer with *engine* into *place*, and return its class path. Raises Missing."""
    need_programs("java", "javac", packages=JAVA_PACKAGES[engine])
    jars = [JARS / f"{name}.jar" for name in ENGINES[engine]]
    if absent := [jar.name for jar in jars if not jar.exists()]:
        raise Missing(f"no {', '.join(absent)}: install {JAVA_PACKAGES[engine]}")
    place.mkdir(exist_ok=True)
    path = ":".join(map(str, [*jars, place]))
    sources = [HERE / f"peers/java/{name}.java" for name in ("Peer", "Tls", engine)]
    _run("javac", "-encoding", "UTF-8", "-cp", path, "-d", place, *sources)
    return path


def find_node_peer(*, install: bool = False) -> Path:
    """Return the program of the Node peer, beside its packages. *install* takes minutes: two of them are compiled. Raises Missing."""
    need_programs("node", "npm", packages="nodejs npm")
    home = HERE / "peers/node"
    stamp, wanted = NODE / ".lock", hashlib.sha256((home / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        if not install:
            raise Missing("no packages of it: ./dev bench --setup installs them")
        NODE.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(home / name, NODE)
        try:
            _run("npm", "ci", "--no-audit", "--no-fund", where=NODE)
        except subprocess.CalledProcessError as error:
            raise Missing(f"npm ci: {error.stderr[-300:]}") from error
        stamp.write_text(wanted)
    shutil.copy(home / "server.mjs", NODE)
    return NODE / "server.mjs"


def _has_postgresql() -> bool:
    try:
        find_postgres_programs()
    except Absent:
        return False
    return True


#: Debian's packages, and how to see that one is here; the last three compile packages of the Node peer.
SYSTEM: dict[str, Callable[[], bool]] = {
    "gcc": lambda: shutil.which("gcc") is not None,
    "pkg-config": lambda: shutil.which("pkg-config") is not None,
    "libc6-dev": Path("/usr/include/stdio.h").exists,
    "libssl-dev": Path("/usr/include/openssl/ssl.h").exists,
    "libxml2-dev": Path("/usr/include/libxml2/libxml/c14n.h").exists,
    "postgresql": _has_postgresql,
    "default-jdk-headless": lambda: shutil.which("javac") is not None,
    "libwss4j-java": (JARS / "wss4j.jar").exists,
    "libxerial-sqlite-jdbc-java": (JARS / "sqlite-jdbc.jar").exists,
    "nodejs": lambda: shutil.which("node") is not None,
    "npm": lambda: shutil.which("npm") is not None,
    "g++": lambda: shutil.which("g++") is not None,
    "make": lambda: shutil.which("make") is not None,
    "python3": lambda: shutil.which("python3") is not None,
}


def set_up(say: Callable[[str], None]) -> None:
    """Install every optional part that is not here and that this user may install, and name the others."""
    missing = [name for name, is_here in SYSTEM.items() if not is_here()]
    say(f"packages of the system that are not here: {' '.join(missing) or 'none'}")
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        _run("apt-get", "-q", "update")
        _run("apt-get", "-qy", "install", "--no-install-recommends", *missing)
    elif missing:
        say(f"not installed by this user; type:  sudo apt-get install {' '.join(missing)}")
    for name, install in (("Python peers", install_python_peers), ("Node peer", lambda: find_node_peer(install=True))):
        try:
            install()
        except Missing as missing:
            say(f"{name}: {missing}")
        else:
            say(f"{name}: here")


def _run(*words: object, where: Path | None = None) -> None:
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, cwd=where, env=env)
