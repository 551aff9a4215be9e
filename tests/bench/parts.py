"""Sets up what the benchmark needs beside the hub: compiled programs and the peers' own packages. Measures nothing.

Optional parts come from the system's package manager or from a lock file. A part that is not here raises Missing, and its
rows say so.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

HERE = Path(__file__).parent
#: Where Python peers have their packages.
PEERS = Path(sys.prefix) / "bench"
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


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
