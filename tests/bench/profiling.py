"""Prints where the CPU of one message goes, by package: `./dev bench --profile [--at COMMIT]`. Judges nothing.

py-spy, one of the peers' packages, looks into a complete hub that takes 4 KB packets over 64 kept connections, without stopping at Python's
own safe points.  A sample belongs to the library or package of its innermost frame that is not the C library's; time in the kernel belongs to
who called it; a thread that waits is not counted.  Microseconds are a package's share of the CPU by /proc.
"""

import re
import subprocess
from collections import Counter

from tests.bench import intake, parts, rounds
from tests.bench.against import export_commit
from tests.bench.run import Run
from tests.bench.servers import HubServer

RATE = 400  #: samples a second
_FILE = re.compile(r"\(([^()]*)\)$")
#: Libraries by the beginning of their file's name.
_LIBRARIES = {
    "etree": "lxml",
    "_elementpath": "lxml",
    "libxml2": "lxml",
    "_rust": "cryptography",
    "libcrypto": "cryptography",
    "libssl": "cryptography",
    "_cffi": "cryptography",
    "_hashlib": "cryptography",
    "libsqlite3": "sqlite3",
    "_sqlite3": "sqlite3",
}
#: Where a thread waits: for the interpreter's lock, for work, for the disk; and clock_gettime, where py-spy finds threads that wait to run.
_WAITS = re.compile(
    r"^(pthread_cond_(timed)?wait|sem_\w*wait|epoll_wait|fdatasync|fsync|clock_gettime|poll|select) \(libc"
)


def find_package(frame: str) -> str | None:
    """Return what a frame of py-spy belongs to; None if it says nothing: the C library, or Python itself."""
    found = _FILE.search(frame)
    where = found[1] if found else frame.rpartition("<")[2]
    if made := re.search(r"generated methods ([\w.]+)>", frame):
        return ".".join(made[1].split(".")[:2])
    name = where.rpartition("/")[2]
    for beginning, library in _LIBRARIES.items():
        if name.startswith(beginning) and ".so" in name:
            return library
    if ".py" not in where:
        return None
    words = where.split(":")[0].split("/")
    if words[0] in {"hub", "adapters"}:
        return ".".join(words[:2]).removesuffix(".py")
    package = words[0].removesuffix(".py")
    return (
        package
        if package in {"twisted", "sqlalchemy", "structlog", "attr", "cryptography", "OpenSSL", "zope"}
        else f"Python's {package}"
    )


def read_samples(text: str) -> dict[str, float]:
    """Return the share of each package in collapsed stacks of py-spy, the greatest first."""
    found: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        natives = [frame for frame in frames[-5:] if "libc.so" in frame]
        if any(_WAITS.match(frame) for frame in natives):
            continue
        if natives and not any(find_package(frame) for frame in frames[-4:]):  # deep in a lock of the C library
            continue
        found[next((owner for frame in reversed(frames) if (owner := find_package(frame))), "other")] += int(count)
    whole = found.total()
    return {name: count / whole for name, count in found.most_common()}


def measure_packages(run: Run, busy: float, commit: str | None = None) -> tuple[float, dict[str, float]]:
    """Return the CPU microseconds of a message, and the share of each package, of this tree or of *commit*. Raises Missing."""
    program, raw = parts.install_python_peers() / "py-spy", run.place / "samples"
    hub = HubServer("hub, sampled", run.place / "hub-sampled")
    if commit is not None:
        hub.tree = export_commit(commit, run.place)
    hub.start()
    try:
        rate = intake.warm_up(run, hub, [hub.sender], 4096, 64, run.plan.warm)
        count = rounds.choose_count(rate, run.plan.most, busy, 64)
        file = run.write_calls(count + 64, 4096, [hub.sender])
        cpu = rounds.measure_round(run.load, hub, file, count, 64).cpu
        file = run.write_calls(count * 2 + 64, 4096, [hub.sender])  # sampling costs time
        spies: list[subprocess.Popen[str]] = []

        def begin() -> None:
            words = ["record", "--pid", hub.roots[0], "--native", "--rate", RATE, "--duration", int(busy)]
            command = [str(program), *map(str, words), "--format", "raw", "--output", str(raw)]
            spies.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

        rounds.send(run.load, hub, file, count=count * 2, connections=64, opening=begin)
        said = spies[0].communicate()[1]
    finally:
        hub.stop()
    if not raw.exists():
        raise parts.Missing(f"py-spy could not look into the hub, which root may: {said[-300:]}")
    return cpu, read_samples(raw.read_text())


def show(run: Run, busy: float, commit: str | None = None) -> None:
    """Measure and print."""
    try:
        cpu, shares = measure_packages(run, busy, commit)
    except parts.Missing as missing:
        run.say(f"not here: {missing}")
        return
    run.say(f"CPU of a 4 KB message, 64 connections, ECDSA: {cpu:.0f} us")
    for name, share in shares.items():
        if share >= 0.004:
            run.say(f"  {name:24} {share:6.1%} {share * cpu:7.0f} us")
