"""What every test may rely on.  Knows when a skip is honest; not what is tested."""

import gc
import os
import re
from collections.abc import Generator, Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
import sqlalchemy as sa
import structlog
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import HealthCheck, settings
from sqlalchemy.util import LRUCache

from hub.delivery.push_service import DRAIN
from hub.domain.errors import Unready
from hub.edxml import strict_rules
from hub.formats import xsd_mistakes
from hub.journal.queue.waiting_counts import find_wrong_counts
from hub.operations.accounts import passwords
from hub.operations.reports import reading
from hub.store import transactions
from lienthong_demo.run.postgres import Absent
from tests import databases, pki, warm
from tests.console_town import NOBODY, Town
from tests.databases import Postgresql
from tests.examples import at_most
from tests.outgoing import Desk
from tests.waiting import PATIENCE

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

if os.environ.get("CI") != "true":  # there hypothesis brings its own: the same cases each time, and no deadline either
    settings.register_profile(
        "unhurried",
        deadline=None,  # a busy machine fails no test
        suppress_health_check=[HealthCheck.too_slow],
        max_examples=at_most(100),
    )
    settings.load_profile("unhurried")

# As structlog does of itself, but that no traceback is drawn with the values of all variables: that takes half a second each.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# A key's numbers are proved, which takes thirty milliseconds, once however many tests read its file.
_LOADED = cache(load_pem_private_key)
for _reader in warm.READERS:
    pytest.MonkeyPatch().setattr(f"{_reader}.load_pem_private_key", _LOADED)

# A sample key takes a tenth of a second, and `init` makes five: in this process they are those of tests/pki.py, one after another.
_SAMPLES = cycle(f"sample {number}" for number in range(40))
pytest.MonkeyPatch().setattr("hub.security.sample_pki.make_rsa_key", lambda: pki.key(next(_SAMPLES)))


class _Compiled(LRUCache[Any, Any]):
    """Statements as compiled for one kind of database: the dialect, first in each key, is another object in each engine."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


# A statement takes about a millisecond to compile, and each test has an engine of its own: in this process, as in a hub's, they are
# compiled once.
_COMPILED = {name: _Compiled(3000) for name in DATABASES}


@sa.event.listens_for(sa.Engine, "engine_connect")
def _share_compiled(connection: sa.Connection) -> None:
    connection.engine._compiled_cache = _COMPILED[connection.dialect.name]


# A node gives a server of PostgreSQL two seconds to take a connection; a busy machine may need longer to begin a process for it.
# And ten to a transaction that waits or is idle: a test that has one open may wait as long for its turn with the processor.
pytest.MonkeyPatch().setitem(transactions._CONNECT, "connect_timeout", round(PATIENCE))
pytest.MonkeyPatch().setattr(transactions, "_WRITER", transactions._WRITER.replace("'10s'", f"'{PATIENCE:.0f}s'"))

# The same of a writer on SQLite.
pytest.MonkeyPatch().setattr(transactions, "_BUSY_MS", round(PATIENCE * 1000))

# After so many seconds the hub explains no further mistake and fills no page. A busy machine, or a search for rubbish among all that the
# tests hold, would come to these bounds in any test; those of the bounds themselves ask for `hurried`.
_BOUNDS = [(reading, "PATIENCE", PATIENCE), (xsd_mistakes, "SECONDS", 5.0), (strict_rules, "SECONDS", 5.0)]
_SHIPPED = [(module, name, getattr(module, name)) for module, name, _ in _BOUNDS]
for _bound in _BOUNDS:
    setattr(*_bound)

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
def postgresql() -> Iterator[Postgresql]:
    """The PostgreSQL server of this run."""
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
    if request.param == "sqlite":
        yield databases.sqlite(tmp_path / "hub.db")
        return
    server: Postgresql = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture
def engine(journal_url: str) -> Iterator[sa.Engine]:
    """An empty journal of the latest version, on each database."""
    made = transactions.open_journal(journal_url)
    yield made
    assert_counts_are_right(made)
    made.dispose()


def assert_counts_are_right(journal: sa.Engine) -> None:
    """Whatever a test did to a journal: what the triggers count is what there is, unless there is no journal any more."""
    try:
        with transactions.read_transaction(journal) as reading:
            wrong = find_wrong_counts(reading)
    except (Unready, sa.exc.DBAPIError):
        return
    assert wrong == {}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's bounds of time are those that it is shipped with."""
    for module, name, seconds in _SHIPPED:
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def tx(engine: sa.Engine) -> Iterator[transactions.Transaction]:
    """One transaction in it, committed at the end."""
    with transactions.write_transaction(engine) as transaction:
        yield transaction


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The outgoing desk of a hub with an empty journal, not started."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    made = Desk(engine)
    yield made
    if made.service is not None and made.service.running:
        made.service.stopService()
        made.clock.advance(DRAIN)
    assert_counts_are_right(engine)
    engine.dispose()


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """A journal with some units, and the console's pages over it; a name of nobody is soon compared."""
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
