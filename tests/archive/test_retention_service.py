"""When the hub lets go by itself: announced once a day, in its hours, by one node; and it warns before the disk is full."""

import shutil
from datetime import datetime, timedelta
from types import SimpleNamespace

import attrs
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from hub.keeping.archive.retention_service import RetentionService
from hub.keeping.retention import disk_budget, parts
from hub.keeping.retention.parts import PartState
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import closing_draft, content, journal_size
from tests.archive.test_retention_run import SETTINGS, THEN, prepared, whole
from tests.archiving import HUB

pytestmark = pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
#: At 21 o'clock in Hà Nội.
EVENING = datetime.fromisoformat("2028-06-01T14:00:00+00:00")


@attrs.define(eq=False)
class Night:
    """The service on a journal, and the time."""

    engine: sa.Engine
    folder: object
    settings: object = SETTINGS
    now: datetime = EVENING
    leads: bool = True
    service: RetentionService = attrs.field(init=False)
    clock: Clock = attrs.field(factory=Clock)

    def __attrs_post_init__(self):
        config = SimpleNamespace(retention=self.settings, feed=None, archive=self.folder, identity=HUB)
        live = SimpleNamespace(config=config)
        journal = InlineDatabase(self.engine)
        self.service = RetentionService(
            journal,
            live,  # type: ignore[arg-type]
            self.clock,
            lambda: self.now,
            lambda: ["f"],
            lambda: succeed(self.leads),
        )

    def run(self):
        done: list[object] = []
        _ = Deferred.fromCoroutine(self.service.run_once()).addBoth(done.append)
        for _ in range(200):
            self.clock.advance(1)
        assert done == [None]

    def parts(self):
        with transactions.read_transaction(self.engine) as tx:
            return parts.list_parts(tx)


@pytest.fixture
def night(engine, tmp_path):
    prepared(engine)
    return Night(engine, tmp_path / "archive")


def test_it_announces_and_after_the_days_lets_go(night):
    night.run()
    (part,) = night.parts()
    assert (part.state, part.due_at) == (PartState.ANNOUNCED, EVENING + timedelta(days=1))
    night.now += timedelta(days=1)
    night.run()
    (part,) = night.parts()
    assert (part.state, whole(night.engine)) == (PartState.GONE, set())


def test_not_in_the_hours_of_work(night):
    night.run()
    night.now += timedelta(hours=36)  # at 9 o'clock
    night.run()
    assert [each.state for each in night.parts()] == [PartState.ANNOUNCED]


@pytest.mark.parametrize("change", [{"leads": False}, {"settings": attrs.evolve(SETTINGS, enabled=False)}])
def test_not_on_another_node_nor_unless_it_is_enabled(engine, tmp_path, change):
    prepared(engine)
    night = Night(engine, tmp_path, **change)
    night.run()
    assert night.parts() == []


def test_why_it_does_not_go_on_is_kept_until_it_does(night):
    night.run()
    night.now += timedelta(days=1)
    with transactions.write_transaction(night.engine) as tx:
        tx.execute(sa.insert(closing_draft).values(form="f", token="t", until=THEN))
    night.run()
    assert night.parts()[0].reason == "a month is being closed"
    with transactions.write_transaction(night.engine) as tx:
        tx.execute(sa.delete(closing_draft))
    shutil.rmtree(night.folder)
    night.folder.write_text("a file in the place of the folder")
    night.run()
    assert "archive" in night.parts()[0].reason
    night.folder.unlink()
    night.run()
    assert (night.parts()[0].state, night.parts()[0].reason) == (PartState.GONE, "")


def test_it_warns_once_a_day_while_the_budget_is_tight(engine, tmp_path):
    night = Night(engine, tmp_path, attrs.evolve(SETTINGS, enabled=False, budget=1000))
    with capture_logs() as logged:
        night.run()
        night.run()
        night.now += timedelta(days=1)
        night.run()
    assert [each["event"] for each in logged] == ["disk-budget-tight"] * 2
    assert logged[0]["days"] == 0
    with transactions.read_transaction(engine) as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(journal_size)) == 2


def test_free_pages_are_given_back_but_for_some(engine):
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.insert(content), [{"sha256": f"{n}", "part": 0, "octets": b"x" * 40_000} for n in range(100)])
    with transactions.write_transaction(engine) as tx:
        before, _ = disk_budget.measure_database(tx)
        tx.execute(sa.delete(content))
        steps = 1
        while disk_budget.give_back_pages(tx, 100, 0.1):
            steps += 1
        after, free = disk_budget.measure_database(tx)
    assert steps > 5, "in short steps"
    assert before - after > 3_000_000
    assert 0 < free <= 0.5 * after, "new rows need no new pages"
