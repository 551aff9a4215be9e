"""What every test may rely on.  Knows when a skip is honest; not what is tested.

It is read for each file of tests, also for one of three lines: what takes long to import is imported by the fixture that needs it.
"""

import gc
import os
import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

from tests import warm
from tests.examples import at_most
from tests.upon_import import change_upon_import
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hub.store.transactions import Transaction
    from tests.console_town import Town
    from tests.databases import Postgresql
    from tests.outgoing import Desk

ROOT = Path(__file__).resolve().parent.parent
_NOT_APPLICABLE = "not applicable: "

_ALL_SLOW = re.compile(rb"^pytestmark = pytest\.mark\.slow$|^pytestmark = \[.*\bpytest\.mark\.slow\b", re.MULTILINE)

_SLOW, _PROCESSES = b"pytest.mark.slow", b"pytest.mark.processes"

DATABASES = ("sqlite", "postgresql")

#: Where slow tests have real processes of their own.
_REAL = ("attacker", "faults", "interop", "patroni", "process")
#: The files of these tests that take longest, in this order: whoever began with one of them last would finish alone.
_LONGEST = (
    *("process/test_demo.py", "process/test_kill.py", "faults/test_matrix.py", "process/test_console_port.py"),
    *("faults/test_network.py", "process/test_pages.py", "faults/test_broker.py", "process/test_subscriber.py"),
    "process/test_hostile.py",
    *("process/test_move.py", "faults/test_random.py", "process/test_disk.py", "process/test_postgresql.py"),
    *("patroni/test_failover.py", "faults/test_postgresql.py", "process/test_declared.py", "process/test_nodes.py"),
    *("faults/test_crowd.py", "faults/test_failover.py", "attacker/test_attacker.py", "process/test_workers.py"),
    *("process/test_replayed.py", "process/test_outage.py", "interop/test_by_wsdl.py", "process/test_incident_book.py"),
)

# The machine's language is none of the tests': what they start in one is told so by LANG, which these would overrule.
for _name in ("LC_ALL", "LC_MESSAGES"):
    os.environ.pop(_name, None)
os.environ["LANG"] = "C.UTF-8"


def _allow_time(hypothesis: ModuleType) -> None:
    hypothesis.settings.register_profile(
        "unhurried",
        deadline=None,  # a busy machine fails no test
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
        max_examples=at_most(100),
    )
    hypothesis.settings.load_profile("unhurried")


if os.environ.get("CI") != "true":  # there hypothesis brings its own: the same cases each time, and no deadline either
    change_upon_import("hypothesis", _allow_time)


def _draw_no_values(structlog: ModuleType) -> None:
    """Do as structlog does of itself, but draw no traceback with the values of all variables: that takes half a second each."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])


change_upon_import("structlog", _draw_no_values)


@cache
def _make_loader() -> Callable[..., Any]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return cache(load_pem_private_key)


def _load_keys_once(reader: ModuleType) -> None:
    """Prove a key's numbers, which takes thirty milliseconds, once however many tests read its file."""
    vars(reader)["load_pem_private_key"] = _make_loader()


for _reader in warm.READERS:
    change_upon_import(_reader, _load_keys_once)

_made = count()


def _make_sample_key() -> object:
    """Return one of forty keys of tests/pki.py: a sample key takes a tenth of a second to make, and `init` makes five."""
    from tests import pki

    return pki.key(f"sample {next(_made) % 40}")


change_upon_import("hub.security.sample_pki", lambda sample_pki: setattr(sample_pki, "make_rsa_key", _make_sample_key))


def _share_compiled(sqlalchemy: ModuleType) -> None:
    """Compile each statement once in this process, as in a hub's: it takes about a millisecond, and each test has an engine of its
    own. The dialect, first in each key, is another object in each engine.
    """
    from sqlalchemy.util import LRUCache

    class Compiled(LRUCache[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            return super().get(key[1:], default)

        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key[1:], value)

    compiled = {name: Compiled(3000) for name in DATABASES}

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "engine_connect")
    def share(connection: "sa.Connection") -> None:
        connection.engine._compiled_cache = compiled[connection.dialect.name]


change_upon_import("sqlalchemy", _share_compiled)


def _wait_patiently(transactions: Any) -> None:
    """Wait as long for a database as a busy machine may need.

    A node gives a server of PostgreSQL two seconds to take a connection: a process has to begin for it. And ten to a transaction that
    waits or is idle: a test that has one open may wait as long for its turn with the processor. The same of a writer on SQLite.
    """
    transactions._CONNECT["connect_timeout"] = round(PATIENCE)
    transactions._WRITER = transactions._WRITER.replace("'10s'", f"'{PATIENCE:.0f}s'")
    transactions._BUSY_MS = round(PATIENCE * 1000)


change_upon_import("hub.store.transactions", _wait_patiently)

# After so many seconds the hub explains no further mistake and fills no page. A busy machine, or a search for rubbish among all that the
# tests hold, would come to these bounds in any test; those of the bounds themselves ask for `hurried`.
_BOUNDS = {
    "hub.operations.reports.reading": ("PATIENCE", PATIENCE),
    "hub.formats.xsd_mistakes": ("SECONDS", 5.0),
    "hub.edxml.strict_rules": ("SECONDS", 5.0),
}
_SHIPPED: list[tuple[ModuleType, str, float]] = []


def _widen(name: str, seconds: float, module: ModuleType) -> None:
    _SHIPPED.append((module, name, getattr(module, name)))
    setattr(module, name, seconds)


for _module, (_name, _seconds) in _BOUNDS.items():
    change_upon_import(_module, partial(_widen, _name, _seconds))

# What is imported and collected stays until the end: after `pytest_collection` it is not searched for rubbish again and again.
gc.disable()

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a file unread, with what it imports, none of whose tests is wanted: every worker of a run reads all others."""
    wanted = config.getoption("markexpr", "")
    if " or " in wanted or not collection_path.match("test_*.py"):
        return None
    return _has_none(collection_path, wanted) or None


def _has_none(path: Path, wanted: str) -> bool:
    """Tell whether all tests of a file are slow or processes where only others are *wanted*, or none is where those are."""
    text = path.read_bytes()
    if wanted.startswith("processes"):
        return not (_is_real(path) and _SLOW in text) and _PROCESSES not in text
    if "not slow" in wanted or ("not processes" in wanted and _is_real(path)):
        return _ALL_SLOW.search(text) is not None
    return False


def _is_real(path: Path) -> bool:
    return path.relative_to(ROOT / "tests").parts[0] in _REAL


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of real processes; and as slow those that need a server of PostgreSQL: the fast part starts none.
    Begin with the files that take longest.
    """
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    for item in items:
        if _needs_postgresql(item) and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.slow)
            continue
        if item.get_closest_marker("slow") and _is_real(item.path):
            assert not _has_none(item.path, "processes"), (
                f"{item.path}: say pytest.mark.slow, or no part runs {item.name}"
            )
            item.add_marker(pytest.mark.processes)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search for rubbish again once all is collected, but only in what the tests make."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let hypothesis sum up nothing where no test has imported it, neither here nor in a worker: it would import itself for that."""
    if "hypothesis" not in sys.modules and not session.config.getoption("numprocesses", None):
        session.config.pluginmanager.unregister(name="hypothesispytest")


def _needs_postgresql(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    return "postgresql" in item.fixturenames or (
        hasattr(item, "callspec") and "postgresql" in item.callspec.params.values()
    )


def cannot_be_had(part: str, why: str) -> NoReturn:
    """Skip because this machine lacks a part.  With CI=true that is a failure: CI must have every part."""
    pytest.skip(f"{part} cannot be had here: {why}")


def not_applicable(why: str) -> NoReturn:
    """Skip because the question does not arise, on any machine of this kind."""
    pytest.skip(_NOT_APPLICABLE + why)


@pytest.fixture(scope="session")
def xmlsec1() -> None:
    """The program that verifies signatures outside the hub."""
    if not shutil.which("xmlsec1"):
        cannot_be_had("xmlsec1", "apt-get install xmlsec1")


@pytest.fixture(scope="session")
def postgresql() -> Iterator["Postgresql"]:
    """The PostgreSQL server of this run."""
    from lienthong_demo.run.postgres import Absent
    from tests.databases import Postgresql

    try:
        opened = Postgresql.open()
        server = opened.__enter__()
    except Absent as absent:
        cannot_be_had("PostgreSQL", str(absent))
    try:
        yield server
    finally:
        opened.__exit__(None, None, None)


@pytest.fixture(params=DATABASES)
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh journal on each database, with its tables."""
    from tests import databases

    if request.param == "sqlite":
        yield databases.sqlite(tmp_path / "hub.db")
        return
    server: Postgresql = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture
def engine(journal_url: str) -> "Iterator[sa.Engine]":
    """An empty journal of the latest version, on each database."""
    from hub.store import transactions

    made = transactions.open_journal(journal_url)
    yield made
    assert_counts_are_right(made)
    made.dispose()


def assert_counts_are_right(journal: "sa.Engine") -> None:
    """Whatever a test did to a journal: what the triggers count is what there is, unless there is no journal any more."""
    from sqlalchemy.exc import DBAPIError

    from hub.domain.errors import Unready
    from hub.journal.queue.waiting_counts import find_wrong_counts
    from hub.store import transactions

    try:
        with transactions.read_transaction(journal) as reading:
            wrong = find_wrong_counts(reading)
    except (Unready, DBAPIError):
        return
    assert wrong == {}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's bounds of time are those that it is shipped with."""
    for name in _BOUNDS:
        import_module(name)
    for module, name, seconds in _SHIPPED:
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def tx(engine: "sa.Engine") -> "Iterator[Transaction]":
    """One transaction in it, committed at the end."""
    from hub.store import transactions

    with transactions.write_transaction(engine) as transaction:
        yield transaction


@pytest.fixture
def desk(tmp_path: Path) -> "Iterator[Desk]":
    """The outgoing desk of a hub with an empty journal, not started."""
    from hub.delivery.push_service import DRAIN
    from hub.store import transactions
    from tests import databases
    from tests.outgoing import Desk

    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    made = Desk(engine)
    yield made
    if made.service is not None and made.service.running:
        made.service.stopService()
        made.clock.advance(DRAIN)
    assert_counts_are_right(engine)
    engine.dispose()


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Town]":
    """A journal with some units, and the console's pages over it; a name of nobody is soon compared."""
    from hub.operations.accounts import passwords
    from hub.store import transactions
    from tests import databases
    from tests.console_town import NOBODY, Town

    monkeypatch.setattr(passwords, "NOBODY", NOBODY)
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield Town(engine)
    engine.dispose()


def _complain_in_ci(report: Report) -> Report:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if _NOT_APPLICABLE not in reason:
        report.outcome = "failed"
        report.longrepr = f"With CI=true nothing may be missing. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _complain_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _complain_in_ci((yield))
