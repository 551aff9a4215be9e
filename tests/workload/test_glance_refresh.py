"""The hub keeps the numbers of all units up to date by itself: after a closing, after a revision, and each night."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from twisted.internet.defer import fail
from twisted.internet.task import Clock

from hub.domain.errors import Unready
from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.report.form.book import Book, read_shipped_book
from hub.report.form.period import parse_period
from hub.security.attesting import AttestationTrust
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.workload import glance_rows, row_revisions
from hub.workload.glance.glance_refresh import GlanceRefresh
from tests import databases, glance_town
from tests.journal.test_attestations import HUB, der

SHIPPED = read_shipped_book()
BOOK = attrs.evolve(SHIPPED, forms=tuple(form for form in SHIPPED.forms if form.id == "mail"))
OCTOBER, NOVEMBER = parse_period("2026-10"), parse_period("2026-11")
TOLD = Fact(
    unit="H55.1",
    service="mail",
    key="x",
    milestone="sent-internal",
    at=OCTOBER.start,
    message="late",
    day=OCTOBER.first,
    amount=100,
)


@attrs.define(eq=False)
class Nights:
    """The refreshing of a hub, on a clock that the test moves."""

    engine: sa.Engine
    clock: Clock = attrs.field(factory=Clock)
    start: datetime = NOVEMBER.start + timedelta(days=9, hours=10)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.clock.seconds())

    def begin(self, book: Book = BOOK) -> GlanceRefresh:
        made = GlanceRefresh(InlineDatabase(self.engine), self.clock, self.now, lambda: HUB, lambda: book)
        made.startService()
        return made

    def sent(self, period: str) -> Any:
        """Return the kept number of mails that unit H55.1 sent in *period*; None: it is not kept."""
        with transactions.read_transaction(self.engine) as tx:
            sheet = glance_rows.read_sheets(tx, "mail", [period], BOOK.trust).get(period)
        if sheet is None:
            return None
        numbers = sheet.read_numbers(("sent",))
        return numbers.get("H55.1", numbers[""])[0]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("nights") / "hub.db"
    engine = transactions.open_journal(databases.sqlite(path))
    with transactions.write_transaction(engine) as tx:
        glance_town.live_months(tx, BOOK, 3, [OCTOBER, NOVEMBER], 1, 12)
    engine.dispose()
    return path.read_bytes()


@pytest.fixture
def nights(filled: bytes, tmp_path: Path) -> Iterator[Nights]:
    (tmp_path / "hub.db").write_bytes(filled)
    engine = transactions.open_journal(f"sqlite:///{tmp_path / 'hub.db'}")
    yield Nights(engine)
    engine.dispose()


def test_a_minute_after_its_start_closed_and_running_periods_are_kept(nights):
    service = nights.begin()
    assert nights.sent("2026-10") is None
    nights.clock.advance(60)
    assert nights.sent("2026-10") is not None
    assert nights.sent("2026-11") is not None
    assert nights.sent("2026-Q4") == nights.sent("2026-10") + nights.sent("2026-11")
    service.stopService()


def test_a_revision_is_seen_after_a_minute_and_its_old_number_never_again(nights):
    service = nights.begin()
    nights.clock.advance(60)
    before, running = nights.sent("2026-10"), nights.sent("2026-11")
    with transactions.write_transaction(nights.engine) as tx:
        glance_town.put_facts(tx, [TOLD])
        row_revisions.revise_unit(tx, "mail", "2026-10", "H55.1", reason="found", by="an", now=nights.now())
    assert nights.sent("2026-10") is None
    assert nights.sent("2026-Q4") is None
    nights.clock.advance(60)
    assert nights.sent("2026-10") == before + 100
    assert nights.sent("2026-Q4") == before + 100 + running
    service.stopService()


def test_a_figure_that_somebody_edited_is_gone_and_counted_again_after_a_minute(nights):
    service = nights.begin(attrs.evolve(BOOK, trust=AttestationTrust(der(HUB))))
    nights.clock.advance(60)
    before = nights.sent("2026-10")
    with transactions.write_transaction(nights.engine) as tx:
        tx.exec_driver_sql("UPDATE glance_sheet SET figures = replace(figures, '0', '7') WHERE period = '2026-10'")
    assert nights.sent("2026-10") != before
    nights.clock.advance(60)
    assert nights.sent("2026-10") == before
    service.stopService()


def test_a_running_month_is_counted_once_a_night(nights):
    service = nights.begin()
    nights.clock.advance(60)
    running = nights.sent("2026-11")
    with transactions.write_transaction(nights.engine) as tx:
        glance_town.put_facts(tx, [attrs.evolve(TOLD, message="new", at=nights.now(), day=NOVEMBER.first)])
    nights.clock.pump([60.0] * 10)
    assert nights.sent("2026-11") == running
    nights.clock.advance(16 * 3600)  # two hours after midnight in Hà Nội
    assert nights.sent("2026-11") == running + 100
    service.stopService()


def test_where_the_journal_does_not_answer_it_is_said_and_tried_again(nights, monkeypatch):
    service = nights.begin()
    with monkeypatch.context() as patch, capture_logs() as told:
        patch.setattr(InlineDatabase, "read_report", lambda *_: fail(Unready("journal-unavailable", phrase("away"))))
        nights.clock.advance(60)
    assert [each["event"] for each in told] == ["sheets-not-counted"]
    nights.clock.advance(60)
    assert nights.sent("2026-10") is not None
    service.stopService()


def test_a_period_on_which_the_hub_fails_does_not_keep_the_others_waiting(nights, monkeypatch):
    read = glance_rows.read_stamp

    def fails(tx: Any, forms: Any, period: Any) -> str:
        if period.text == "2026-11":
            raise ValueError("broken")
        return read(tx, forms, period)

    monkeypatch.setattr(glance_rows, "read_stamp", fails)
    service = nights.begin()
    with capture_logs() as told:
        nights.clock.advance(60)
    assert [(each["event"], each["period"]) for each in told] == [("sheets-not-counted", "2026-11")]
    assert nights.sent("2026-10") is not None
    assert nights.sent("2026-Q4") is not None
    assert nights.sent("2026-11") is None
    service.stopService()
