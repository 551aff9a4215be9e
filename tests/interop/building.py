"""Sets up each toolkit: what it needs of the machine, how its programs are built and started.  Knows no test.

Packages come from Debian (`parts` in `dev` installs them), and of Node from the lock in its folder.
"""

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from tests.conftest import ROOT, cannot_be_had
from tests.interop.toolkits import HERE
from tests.waiting import PROGRAM


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
        [str(word) for word in command], cwd=where, capture_output=True, text=True, check=False, timeout=PROGRAM
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


NODE_MODULES = HERE / "node/node_modules"
NODE_DONE = NODE_MODULES / ".package-lock.json"


def install_node_packages() -> Path:
    """Fill node_modules from the lock by `npm ci`, once for each lock. Return the folder beside it.

    One process does it while the others wait: npm takes away what is there, under whoever has begun to use it.
    """
    need("node", "npm", package="nodejs npm")
    place = HERE / "node"
    with (place / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not NODE_DONE.exists() or NODE_DONE.stat().st_mtime < (place / "package-lock.json").stat().st_mtime:
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", where=place)
            NODE_DONE.touch()
    return place


def node(_scratch: Path) -> Toolkit:
    """The package `soap`."""
    place = install_node_packages()
    return Toolkit("node", ("node", place / "caller.mjs"), ("node", place / "letterbox.mjs"), verifies=False)


WSS4J = ("wss4j", "xmlsec", "commons-logging", "slf4j-api", "slf4j-nop")
JAXWS = ("jws-api", "jaxws-rt", "jaxws-api", "jaxb-api", "jaxb-core", "jaxb-impl")


def wss4j(scratch: Path) -> Toolkit:
    """Debian's jars, and the JDK for the rest."""
    java = build_java(scratch, WSS4J, (HERE / "wss4j").glob("*.java"), package="libwss4j-java")
    return Toolkit("wss4j", (*java, "Caller"), (*java, "Letterbox"))


def jaxws_server(scratch: Path) -> tuple[object, ...]:
    """Return how to start jaxws/Server.java: its classes under JAX-WS, behind WSS4J. wsgen writes their WSDL into *scratch*."""
    need("wsgen", package="jaxws")
    place = HERE / "jaxws"
    sources = (HERE / "wss4j/Envelopes.java", place / "Server.java", *place.glob("vn/**/*.java"))
    java = build_java(scratch, (*WSS4J, *JAXWS), sources, package="libwss4j-java jaxws")
    wsgen(scratch, "VanBanDenService")
    return (*java, "Server")


def wsgen(classes: Path, service: str, *more: str) -> None:
    """Have JAX-WS's wsgen write the WSDL of a service, and the classes that JAX-WS needs for it, into *classes*."""
    path = f"{classes}:/usr/share/java/jws-api.jar"
    words = ("-cp", path, "-d", classes, "-s", classes, *(more or ("-wsdl",)), "-r", classes)
    run("wsgen", *words, f"vn.tinh.vanban.{service}", where=classes)


def build_java(scratch: Path, names: Iterable[str], sources: Iterable[Path], package: str) -> tuple[object, ...]:
    """Compile Java with Debian's jars of these names. Return the words that start a class of it."""
    need("java", "javac", package="default-jdk-headless")
    jars = [Path(f"/usr/share/java/{name}.jar") for name in names]
    if not all(jar.exists() for jar in jars):
        cannot_be_had("a Java toolkit", f"Debian: apt-get install {package}")
    path = ":".join(map(str, [*jars, scratch]))
    run("javac", "-encoding", "UTF-8", "-cp", path, "-d", scratch, *sources, where=scratch)
    return ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8", "-cp", path)


GSOAP = Path("/usr/share/gsoap")
#: gSOAP knows one Text of a fault's Reason. A second one that it skips would break the signature it verifies.
REASON = "\nstruct SOAP_ENV__Reason { char *SOAP_ENV__Text; char *SOAP_ENV__Text_; };\n"
PLUGINS = ("plugin/wsseapi.c", "plugin/smdevp.c", "plugin/mecevp.c", "plugin/threads.c", "custom/struct_timeval.c")


def gsoap(scratch: Path) -> Toolkit:
    """What wsdl2h and soapcpp2 make of the contract, with the plug-in wsse, compiled."""
    package = "gsoap libgsoap-dev libssl-dev gcc pkg-config"
    need("wsdl2h", "soapcpp2", "gcc", "pkg-config", package=package)
    if not (GSOAP / "plugin/wsseapi.c").exists() or not Path("/usr/include/stdsoap2.h").exists():
        cannot_be_had("gSOAP's wsse", f"Debian: apt-get install {package}")
    described = (ROOT / "wsdl/lienthong/1/documents.wsdl").read_text("utf-8")
    (scratch / "documents.wsdl").write_text(described.replace("../../../xsd/lienthong/1/", ""), "utf-8")
    shutil.copy(ROOT / "xsd/lienthong/1/documents.xsd", scratch)
    run("wsdl2h", "-c", "-t", GSOAP / "WS/typemap.dat", "-o", "described.h", "documents.wsdl", where=scratch)
    bound = (scratch / "described.h").read_text("utf-8", "replace")
    (scratch / "documents.h").write_text(
        bound.replace('#import "soap12.h"', '#import "soap12.h"\n#import "wsse.h"') + REASON, "utf-8"
    )
    run("soapcpp2", "-c", "-L", "-x", f"-I{GSOAP}/import:{GSOAP}", "documents.h", where=scratch)
    flags = subprocess.run(["pkg-config", "--cflags", "gsoapssl"], capture_output=True, text=True, check=True).stdout
    compiler = ("gcc", "-w", "-D_GNU_SOURCE", *flags.split(), f"-I{scratch}", f"-I{GSOAP}", f"-I{GSOAP}/plugin")
    run(*compiler, "-c", "soapC.c", "soapClient.c", "soapServer.c", *(GSOAP / name for name in PLUGINS), where=scratch)
    rest = [scratch / f"{Path(name).stem}.o" for name in PLUGINS]
    for program, half in (("caller", "soapClient.o"), ("letterbox", "soapServer.o")):
        parts = (HERE / f"gsoap/{program}.c", "soapC.o", half, *rest)
        run(*compiler, "-o", program, *parts, "-lgsoapssl", "-lssl", "-lcrypto", "-lz", "-lpthread", where=scratch)
    return Toolkit("gsoap", (scratch / "caller",), (scratch / "letterbox",))


def php(_scratch: Path) -> Toolkit:
    """Debian's PHP with three extensions."""
    words, place = find_php(), HERE / "php"
    return Toolkit(
        "php", (*words, place / "caller.php"), (*words, place / "letterbox.php"), verifies=False, signs=False
    )


def php_server() -> tuple[object, ...]:
    """Return how to start php/server.php."""
    return (*find_php(), HERE / "php/server.php")


def find_php() -> tuple[object, ...]:
    """Return the words that start a program in PHP."""
    need("php", package="php-cli php-soap php-xml")
    for extension in ("soap", "dom", "openssl"):
        if subprocess.run(["php", "-r", f"exit((int) !extension_loaded('{extension}'));"], check=False).returncode:
            cannot_be_had(f"PHP's {extension}", "Debian: apt-get install php-cli php-soap php-xml")
    return ("php", "-d", "display_errors=stderr", "-d", "html_errors=0")


def perl(_scratch: Path) -> Toolkit:
    """Debian's SOAP::Lite; it has no server over TLS of its own."""
    need("perl", package="perl libsoap-lite-perl")
    if subprocess.run(["perl", "-MSOAP::Lite", "-e", "1"], capture_output=True, check=False).returncode:
        cannot_be_had("SOAP::Lite", "Debian: apt-get install libsoap-lite-perl")
    return Toolkit("perl", ("perl", HERE / "perl/caller.pl"), verifies=False, signs=False)


TOOLKITS: dict[str, Callable[[Path], Toolkit]] = {
    "node": node,
    "wss4j": wss4j,
    "gsoap": gsoap,
    "php": php,
    "perl": perl,
}
