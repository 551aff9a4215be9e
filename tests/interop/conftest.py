"""One hub a file of tests, and toolkits that are built once.  Knows where each toolkit's parts come from."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.conftest import cannot_be_had
from tests.interop.toolkits import HERE, Caller
from tests.running import RunningHub

BUILD_TIME = 300  #: seconds


@attrs.frozen
class Toolkit:
    """How to start what was built."""

    name: str
    caller: tuple[object, ...]
    letterbox: tuple[object, ...] | None = None
    verifies: bool = True  #: whether it verifies the hub's signature of an answer
    signs: bool = True  #: whether it signs envelopes
    versions: tuple[str, ...] = ("11", "12")


def need(*programs: str, package: str) -> None:
    """Skip unless every program is there."""
    for program in programs:
        if shutil.which(program) is None:
            cannot_be_had(package, f"{program} is not installed; Debian: apt-get install {package}")


def run(*command: object, where: Path) -> None:
    """Run a step of a build."""
    ran = subprocess.run(
        [str(word) for word in command], cwd=where, capture_output=True, text=True, check=False, timeout=BUILD_TIME
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


def node(_scratch: Path) -> Toolkit:
    """`npm ci` fills node_modules from the lock, once for each lock."""
    need("node", "npm", package="nodejs npm")
    place = HERE / "node"
    lock, done = place / "package-lock.json", place / "node_modules/.package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", where=place)
        done.touch()
    return Toolkit("node", ("node", place / "caller.mjs"), ("node", place / "letterbox.mjs"), verifies=False)


JARS = ("wss4j", "xmlsec", "commons-logging", "slf4j-api", "slf4j-nop")


def wss4j(scratch: Path) -> Toolkit:
    """Debian's jars, and the JDK for the rest."""
    need("java", "javac", package="default-jdk-headless")
    jars = [Path(f"/usr/share/java/{name}.jar") for name in JARS]
    if not all(jar.exists() for jar in jars):
        cannot_be_had("WSS4J", "Debian: apt-get install libwss4j-java")
    path = ":".join(map(str, [*jars, scratch]))
    run("javac", "-encoding", "UTF-8", "-cp", path, "-d", scratch, *(HERE / "wss4j").glob("*.java"), where=scratch)
    java = ("java", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", path)
    return Toolkit("wss4j", (*java, "Caller"), (*java, "Letterbox"))


TOOLKITS = {"node": node, "wss4j": wss4j}


@pytest.fixture(scope="session", params=TOOLKITS)
def toolkit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Toolkit:
    """Each toolkit, ready to start."""
    name: str = request.param
    return TOOLKITS[name](tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub that runs."""
    made = RunningHub(tmp_path_factory.mktemp("interop") / "hub")
    made.start()
    yield made
    made.close()


@pytest.fixture
def caller(hub: RunningHub, toolkit: Toolkit, tmp_path: Path) -> Iterator[Callable[..., Caller]]:
    """Return a way to start the toolkit's client as a partner."""
    with contextlib.ExitStack() as stack:

        def start(partner: str, version: str, believed: Path | None = None) -> Caller:
            files = hub.files(partner)
            certificate = believed or hub.home / "pki/hub.crt"
            words = (hub.soap, files["key"], files["certificate"], files["ca"], certificate, version)
            return stack.enter_context(Caller((*toolkit.caller, *words), tmp_path / f"{partner}.log"))

        yield start
