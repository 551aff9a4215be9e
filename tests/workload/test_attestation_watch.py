"""What the hub looks at while it runs: what was edited in its database is kept, told, and gone again once it is mended."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from hub.domain.errors import Rejected
from hub.domain.model import Unit
from hub.journal import nodes, unit_registry
from hub.keeping import tamper_findings
from hub.report.counting.marks import TamperedPart
from hub.report.form.book import read_shipped_book
from hub.security.attesting import AttestationTrust
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import attestation, closed_row, fact
from hub.store.tables import node as node_table
from hub.workload import attestations, closing, unit_report
from hub.workload.attestation_watch import AttestationWatch
from hub.workload.glance import glance_counting
from tests import databases
from tests.journal.test_attestations import AFTER, DECEMBER, HUB, NOVEMBER, der, edit, recorded
from tests.journal.test_closing import dossier, put, told


@attrs.define
class Watched:
    """A journal that a watch looks at, with a clock for it."""

    engine: sa.Engine
    trust: AttestationTrust
    clock: Clock = attrs.field(factory=Clock)
    start: datetime = AFTER

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.clock.seconds())

    def watch(self) -> AttestationWatch:
        book = attrs.evolve(read_shipped_book(), trust=self.trust)
        return AttestationWatch(InlineDatabase(self.engine), self.clock, self.now, lambda: HUB, lambda: book)

    def write(self, step: Any, *words: Any) -> Any:
        with transactions.write_transaction(self.engine) as tx:
            return step(tx, *words)

    def marks(self, unit: str, period: str) -> Any:
        book = attrs.evolve(read_shipped_book(), trust=self.trust)
        return self.write(lambda tx: unit_report.resolve_report_sources(tx, unit, period, "dossiers", book).marks)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield Watched(engine, AttestationTrust(der(HUB), (), tmp_path / "attested.json", tmp_path / "own-certificates.txt"))
    engine.dispose()


def close(tx: transactions.Transaction, signer: Any = None) -> None:
    recorded(tx, dossier("1", "received", "2026-11-02", "2026-11-02"))
    closing.close_month(tx, read_shipped_book(), "dossiers", NOVEMBER, AFTER, "an", signer)


def start(watched: Watched) -> AttestationWatch:
    made = watched.watch()
    made.startService()
    return made


def test_the_first_start_attests_what_an_earlier_version_has_closed_and_keeps_the_head_outside(watched: Watched):
    watched.write(close)
    watch = start(watched)
    (said,) = watched.write(told, "attestations-begun")
    assert said["months"] == 1
    assert watched.write(attestations.list_unattested_months) == []
    assert watched.trust.head is not None
    assert attestations.read_kept_head(watched.trust.head) == watched.write(attestations.read_head)
    assert watched.trust.own is not None
    assert sha256(der(HUB)).hexdigest() in watched.trust.own.read_text()
    assert watch.describe_findings() == ""
    start(watched)
    assert len(watched.write(told, "attestations-begun")) == 1, "once"


def test_an_edit_is_found_within_a_minute_told_once_and_no_longer_when_it_is_restored(watched: Watched):
    watched.write(close)
    watch = start(watched)
    watched.write(edit, "A", ":1", ":5")
    with capture_logs() as logs:
        watched.clock.pump([60.0] * 3)
    assert [each["event"] for each in logs if each["log_level"] == "critical"] == ["tampering-found"]
    assert str(watch.describe_findings()) == "1 place was edited in the database: lienthong db verify"
    assert len(watched.write(told, "tampering-found")) == 1
    watched.write(attestations.restore_attested, watched.trust, "dossiers", "2026-11", "an", AFTER)
    watched.clock.pump([60.0])
    assert watch.describe_findings() == ""
    assert watched.write(tamper_findings.count_findings) == 0


def test_attestations_that_were_cut_off_are_found_by_the_head_outside(watched: Watched):
    watched.write(close)
    watch = start(watched)
    watched.write(lambda tx: tx.execute(sa.delete(attestation)))
    watched.write(lambda tx: tx.execute(sa.delete(closed_row)))
    watched.clock.pump([60.0])
    assert watch.describe_findings()
    assert watched.trust.head is not None
    kept = attestations.read_kept_head(watched.trust.head)
    assert kept is not None
    assert kept.number == 2, "what was seen last stays"
    again = watched.watch()
    again.startService()
    assert watched.write(attestations.read_head).number == 0, "nothing is attested anew over what was cut off"


def test_each_night_drawn_facts_are_compared_and_an_open_figure_of_a_planted_one_is_marked(watched: Watched):
    watched.write(close)
    watched.start = datetime(2027, 1, 10, 3, tzinfo=UTC)
    watch = start(watched)
    watched.write(put, dossier("9", "received", "2027-01-03", "2027-01-03"))
    assert watched.marks("A", "2027-01").tampered == ()
    watched.clock.advance(24 * 3600)
    (found,) = watched.write(tamper_findings.list_fact_findings)
    assert (found.unit, found.key, found.part) == ("A", "9", "planted")
    (mark,) = watched.marks("A", "2027-01").tampered
    assert (mark.part, mark.key) == (TamperedPart.FACT, "9")
    assert watched.marks("A", "2026-11").tampered == (), "what is closed is as it was closed"
    watched.write(lambda tx: tx.execute(sa.delete(fact).where(fact.c.key == "9")))
    watched.clock.pump([60.0] * 2)
    assert watched.write(tamper_findings.list_fact_findings) == []
    assert watch.describe_findings() == ""


def test_a_month_that_is_closed_without_the_key_is_found(watched: Watched):
    watch = start(watched)
    watched.write(close)
    watched.write(lambda tx: closing.close_month(tx, read_shipped_book(), "dossiers", DECEMBER, AFTER, "an", HUB))
    watched.clock.pump([60.0])
    assert str(watch.describe_findings()).startswith("1 place")


def test_while_a_node_of_an_earlier_version_runs_nothing_is_attested_yet(watched: Watched):
    old = nodes.Node(name="n1", host="h", version="2026.11.0", schema="0062", started_at=watched.start)
    watched.write(nodes.record_heartbeat, old, watched.start)
    watched.write(close)
    watched.write(lambda tx: tx.execute(sa.update(node_table).values(until=watched.start + timedelta(minutes=1))))
    start(watched)
    assert watched.write(told, "attestations-begun") == []
    watched.clock.pump([60.0] * 3)
    (said,) = watched.write(told, "attestations-begun")
    assert said["months"] == 1


def test_the_page_at_a_glance_counts_nothing_from_an_edited_month(watched: Watched):
    start(watched)
    watched.write(unit_registry.write_registry_units, [Unit("A", "Sở A")])
    watched.write(close, HUB)
    book = attrs.evolve(read_shipped_book(), trust=watched.trust)
    assert watched.write(glance_counting.count_sheet, book, "dossiers", "2026-11", AFTER).complete
    watched.write(edit, "A", ":1", ":5")
    with pytest.raises(Rejected) as refused:
        watched.write(glance_counting.count_sheet, book, "dossiers", "2026-11", AFTER)
    assert refused.value.problems[0].code == "closing-tampered"
