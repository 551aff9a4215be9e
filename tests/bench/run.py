"""One run of the benchmark: how long it is, where its files are, and what it has found so far. Measures nothing itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from tests.bench import calls, parts
from tests.bench.rounds import Series
from tests.bench.servers import HubServer, Server

#: The names of the servers, in tables and in keys.
HUB, WORKERS = "hub, one process", "hub, workers = 2"
FLASK, NODE = "Flask + gunicorn + signxml, 2 workers", "Node express + xml-crypto, 2 workers"
WSS4J, JDK = "Java WSS4J, every core", "JDK javax.xml.crypto.dsig, every core"
LIMIT = "the same checks in C, one core"


@attrs.frozen(kw_only=True)
class Plan:
    """How long a run is."""

    rounds: int = 5  #: of the main row; others have three fifths
    busy: float = 3.0  #: seconds a server is busy in a round
    most: int = 15_000  #: calls of a round
    warm: int = 400  #: calls before the first round
    warm_java: float = (
        10.0  #: seconds until a virtual machine has compiled what it needs; on a busy machine up to four times that
    )
    warm_calls: int = 4000  #: and calls
    short: bool = False  #: the hub, Flask and the limit alone
    growth: bool = False  #: with journals of 5 million messages

    @property
    def fewer(self) -> int:
        """Rounds of the rows beside the main one."""
        return max(1, self.rounds * 3 // 5)


@attrs.define
class Run:
    """What a run has, and what it has found so far."""

    place: Path
    plan: Plan
    load: Path  #: the compiled load.c
    say: Callable[[str], None]
    absent: dict[str, str] = attrs.field(factory=dict)  #: name -> why it is not here
    series: dict[str, dict[str, Series]] = attrs.field(factory=dict)  #: section -> server -> its rounds
    values: dict[str, float] = attrs.field(factory=dict)  #: key of a bar -> the measured value
    limit_costs: list[float] = attrs.field(factory=list)  #: microseconds of CPU of the C limit, of each round
    calibrated: str = ""  #: the machine's speed when the run began
    _files: int = 0

    def write_calls(self, count: int, size: int, senders: Sequence[calls.Files], to: str = calls.FETCHES) -> Path:
        """Sign *count* calls that nobody has seen, and return their file."""
        name = self.count_file()
        path = self.place / f"{name}.calls"
        calls.write_calls(path, calls.sign_calls(f"f{name}", count, size, senders, to))
        return path

    def count_file(self) -> int:
        """Return a number that no file of calls has yet."""
        self._files += 1
        return self._files

    def find_ratio(self, section: str, key: str, ours: str, theirs: str) -> float | None:
        """Return the ratio of two servers' medians; None where one of them was not measured."""
        series = self.series.get(section, {})
        if ours not in series or theirs not in series:
            return None
        below = series[theirs].median(key)
        return series[ours].median(key) / below if below else None

    def note(self, key: str, value: float | None) -> None:
        """Keep the measured value of a bar, if there is one."""
        if value is not None:
            self.values[key] = value


@contextmanager
def running(run: Run, makers: Sequence[tuple[str, Callable[[], Server]]]) -> Iterator[list[Server]]:
    """Start the servers that can be had; note why the others cannot."""
    with ExitStack() as around:
        found = []
        for name, make in makers:
            try:
                server = make()
            except parts.Missing as missing:
                run.absent[name] = str(missing)
                continue
            around.callback(server.stop)
            server.start()
            found.append(server)
        yield found


def pick(found: Sequence[Server], *names: str) -> list[Server]:
    """Return those of *found* that have one of *names*, in the order of the names."""
    known = {server.name: server for server in found}
    return [known[name] for name in names if name in known]


def is_hub(server: Server) -> bool:
    """Tell whether the server signs its answers as the hub does."""
    return isinstance(server, HubServer)
