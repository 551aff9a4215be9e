"""What the hub's key attests of a closed month, and what an edit of the database behind the hub's back does to it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from hub.domain.errors import Rejected
from hub.domain.model import Fact
from hub.journal import events, facts
from hub.report.counting.marks import TamperedPart, require_untampered
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.security.attesting import AttestationTrust, remember_certificate
from hub.store import transactions
from hub.store.tables import attestation, closed_month, closed_row
from hub.store.tables import closing as closing_table
from hub.store.tables import fact as fact_table
from hub.workload import attestations, closing, row_revisions, unit_report
from tests import pki
from tests.journal.test_closing import dossier, put, told, turned

NOVEMBER, DECEMBER = parse_period("2026-11"), parse_period("2026-12")
AFTER = datetime(2027, 6, 1, tzinfo=UTC)
HUB = pki.authority().issue("hub")
STRANGER = pki.authority("Other CA").issue("hub")


def der(identity: Any) -> bytes:
    octets: bytes = identity.certificate.public_bytes(Encoding.DER)
    return octets


@pytest.fixture
def trust(tmp_path):
    return AttestationTrust(der(HUB), (), tmp_path / "attested.json")


@pytest.fixture
def book(trust):
    return attrs.evolve(read_shipped_book(), trust=trust)


def recorded(tx: transactions.Transaction, *made: Fact) -> None:
    """Record *made* as the hub does, with a message, its receipt and their events."""
    put(tx, *made)
    for each in made:
        tx.execute(sa.delete(fact_table).where(fact_table.c.message == each.message))
    facts.record_facts(tx, made)


def closed(tx: transactions.Transaction, book: Any, name: str = "dossiers") -> None:
    """Close November with two dossiers of A, of which one is late, and one of B."""
    recorded(
        tx,
        dossier("1", "received", "2026-11-02", "2026-11-02"),
        dossier("2", "received", "2026-11-03", "2026-11-03", due=date(2026, 11, 5)),
        dossier("2", "finished", "2026-11-20", "2026-11-20"),
        dossier("3", "received", "2026-11-04", "2026-11-04", unit="B"),
    )
    attestations.begin_attestations(tx, HUB, NOVEMBER.start)
    closing.close_month(tx, book, name, NOVEMBER, AFTER, "an", HUB)


def tampering(tx: transactions.Transaction, book: Any, unit: str = "A", period: str = "2026-11") -> Any:
    return unit_report.resolve_report_sources(tx, unit, period, "dossiers", book).marks.tampered


def edit(tx: transactions.Transaction, unit: str, was: str, now: str) -> None:
    place = sa.and_(closed_row.c.unit == unit, closed_row.c.revision == 1)
    numbers = tx.scalar(sa.select(closed_row.c.numbers).where(place))
    assert numbers is not None
    assert was in numbers
    tx.execute(sa.update(closed_row).where(place).values(numbers=numbers.replace(was, now)))


def test_what_was_closed_and_not_touched_has_no_finding(tx, book):
    closed(tx, book)
    assert tampering(tx, book) == ()
    assert tampering(tx, book, period="2026") == ()
    assert list(attestations.find_broken_attestations(tx, book.trust)) == []
    assert list(attestations.find_changed_links(tx)) == []


def test_the_event_of_the_closing_names_what_attests_it(tx, book):
    closed(tx, book)
    (said,) = told(tx, "period-closed")
    (_, number, text) = tx.execute(
        sa.select(attestation.c.form, attestation.c.number, attestation.c.statement).where(
            attestation.c.form == "dossiers"
        )
    ).one()
    assert said["attestation"] == [number, attestations._hash_text(text)]


def test_an_edited_figure_is_named_and_the_report_is_not_given_out(tx, book):
    closed(tx, book)
    edit(tx, "A", ":1", ":0")
    (found,) = tampering(tx, book)
    assert (found.part, found.unit, found.period) == (TamperedPart.ROW, "A", "2026-11")
    assert found.cells
    assert {cell.now for cell in found.cells} == {0}
    sources = unit_report.resolve_report_sources(tx, "A", "2026-11", "dossiers", book)
    with pytest.raises(Rejected) as refused:
        require_untampered(sources.count(AFTER).marks)
    assert refused.value.problems[0].code == "closing-tampered"
    assert tampering(tx, book, "B") == (), "the row of another unit is whole"


EDITS = {
    "facts": lambda tx: tx.execute(sa.update(closed_row).where(closed_row.c.unit == "A").values(facts=7)),
    "evidence": lambda tx: tx.execute(sa.update(closed_row).where(closed_row.c.unit == "A").values(evidence="0" * 64)),
    "reason": lambda tx: tx.execute(sa.update(closed_row).where(closed_row.c.unit == "A").values(reason="x")),
    "removed row": lambda tx: tx.execute(sa.delete(closed_row).where(closed_row.c.unit == "A")),
    "planted revision": lambda tx: tx.execute(
        sa.insert(closed_row).from_select(
            [column.name for column in closed_row.c],
            sa.select(*(sa.literal(2).label("revision") if c.name == "revision" else c for c in closed_row.c)).where(
                closed_row.c.unit == "A"
            ),
        )
    ),
    "planted unit": lambda tx: (
        tx.execute(
            sa.insert(closed_row).from_select(
                [column.name for column in closed_row.c],
                sa.select(*(sa.literal("A").label("unit") if c.name == "unit" else c for c in closed_row.c)).where(
                    closed_row.c.unit == "B"
                ),
            )
        )
        if tx.execute(sa.delete(closed_row).where(closed_row.c.unit == "A"))
        else None
    ),
    "closed by": lambda tx: tx.execute(sa.update(closing_table).values(closed_by="nobody")),
    "form": lambda tx: tx.execute(sa.update(closing_table).values(definition=closing_table.c.definition + "\n")),
    "removed closing": lambda tx: tx.execute(sa.delete(closing_table)),
    "world": lambda tx: tx.execute(sa.update(closed_month).values(world=closed_month.c.world + " ")),
    "statement": lambda tx: tx.execute(
        sa.update(attestation).where(attestation.c.form != "").values(statement=attestation.c.statement + " ")
    ),
    "signature": lambda tx: tx.execute(sa.update(attestation).where(attestation.c.form != "").values(signature="AAAA")),
    "removed attestation": lambda tx: tx.execute(sa.delete(attestation).where(attestation.c.form != "")),
    "all attestations": lambda tx: tx.execute(sa.delete(attestation)),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_of_what_was_closed_is_a_finding_of_its_report(tx, book, name):
    closed(tx, book)
    attestations.keep_head(book.trust.head, attestations.read_head(tx))
    EDITS[name](tx)
    assert tampering(tx, book)


def test_rows_attested_by_another_key_are_a_finding(tx, book):
    closed(tx, book)
    edit(tx, "A", ":1", ":5")
    tx.execute(sa.delete(attestation).where(attestation.c.form != ""))
    attestations.attest_closing(tx, STRANGER, "dossiers", "2026-11", AFTER)
    parts = {each.part for each in tampering(tx, book)}
    assert TamperedPart.ATTESTATION in parts
    assert list(attestations.find_broken_attestations(tx, book.trust)) == [2]


def test_a_former_certificate_of_the_hub_is_believed_and_one_of_another_owner_is_not(tx, book):
    ca = pki.authority()
    former, present, other = ca.issue("hub"), ca.issue("hub"), ca.issue("somebody")
    trust = AttestationTrust(der(present), (ca.certificate.public_bytes(Encoding.DER),))
    for signer, good in ((former, True), (present, True), (other, False)):
        tx.execute(sa.delete(attestation))
        attestations.begin_attestations(tx, signer, pki.NOW)
        assert (list(attestations.find_broken_attestations(tx, trust)) == []) is good


def test_a_former_certificate_of_another_name_is_believed_if_the_hub_is_known_to_have_had_it(tx, book, tmp_path):
    ca = pki.authority()
    former, present = ca.issue("hub of the old province"), ca.issue("hub of the new province")
    own = tmp_path / "own-certificates.txt"
    trust = AttestationTrust(der(present), (ca.certificate.public_bytes(Encoding.DER),), own=own)
    attestations.begin_attestations(tx, former, pki.NOW)
    assert list(attestations.find_broken_attestations(tx, trust)) == [1]
    for each in (former, former, present):
        remember_certificate(own, der(each))
    assert [line.split(" ", 1)[1] for line in own.read_text().split("\n") if line] == [
        each.certificate.subject.rfc4514_string() for each in (former, present)
    ]
    assert list(attestations.find_broken_attestations(tx, trust)) == []


def test_closing_again_restores_what_was_edited_and_makes_no_revision(tx, book):
    closed(tx, book)
    before = tx.execute(sa.select(closed_row).order_by(closed_row.c.unit)).all()
    edit(tx, "A", ":1", ":0")
    assert (
        row_revisions.revise_unit(
            tx, "dossiers", "2026-11", "A", reason="", by="an", now=AFTER, signer=HUB, trust=book.trust
        )
        == []
    )
    assert tx.execute(sa.select(closed_row).order_by(closed_row.c.unit)).all() == before
    (said,) = told(tx, "closing-restored")
    assert (said["units"], said["parts"]) == (["A"], ["row"])
    assert tampering(tx, book) == ()


def test_the_whole_month_is_restored_closing_world_and_removed_rows(tx, book):
    closed(tx, book)
    every = [tx.execute(sa.select(each)).all() for each in (closed_row, closing_table, closed_month)]
    for name in ("removed row", "removed closing", "world"):
        EDITS[name](tx)
    found = attestations.restore_attested(tx, book.trust, "dossiers", "2026-11", "an", AFTER)
    assert {each.part for each in found} == {TamperedPart.ROW, TamperedPart.CLOSING, TamperedPart.WORLD}
    assert [sorted(tx.execute(sa.select(each)).all()) for each in (closed_row, closing_table, closed_month)] == list(
        map(sorted, every)
    )


def test_a_late_fact_makes_a_revision_that_is_attested(tx, book):
    book = attrs.evolve(book, forms=(turned("dossiers"),))
    closed(tx, book)
    recorded(tx, dossier("9", "received", "2026-11-10", "2027-06-02"))
    now = AFTER + timedelta(days=2)
    ((_, row),) = row_revisions.revise_unit(
        tx, "dossiers", "2026-11", "A", reason="", by="an", now=now, signer=HUB, trust=book.trust
    )
    assert row.revision == 2
    (said,) = told(tx, "report-row-revised")
    assert said["attestation"] == [3, attestations.read_head(tx).sha256]
    assert tampering(tx, book) == ()
    tx.execute(sa.delete(closed_row).where(closed_row.c.revision == 2))
    (found,) = tampering(tx, book)
    assert (found.part, found.revision) == (TamperedPart.ROW, 2)


def test_a_fact_that_no_event_made_is_no_reason_for_a_revision(tx, book):
    closed(tx, book)
    put(tx, dossier("9", "received", "2026-11-10", "2026-11-10"))
    assert list(row_revisions.find_differing_units(tx, "dossiers", "2026-11")) == ["A"]
    with pytest.raises(row_revisions.FactsForged) as forged:
        row_revisions.revise_unit(
            tx, "dossiers", "2026-11", "A", reason="x", by="an", now=AFTER, signer=HUB, trust=book.trust
        )
    assert [(each.key, each.fault) for each in forged.value.args[3]] == [("9", "planted")]


def test_a_removed_and_an_edited_fact_are_no_reason_for_a_revision(tx, book):
    closed(tx, book)
    tx.execute(sa.delete(fact_table).where(fact_table.c.key == "1"))
    tx.execute(sa.update(fact_table).where(fact_table.c.milestone == "finished").values(day=NOVEMBER.first))
    with pytest.raises(row_revisions.FactsForged) as forged:
        row_revisions.revise_unit(
            tx, "dossiers", "2026-11", "A", reason="x", by="an", now=AFTER, signer=HUB, trust=book.trust
        )
    assert {(each.key, each.fault, each.fields) for each in forged.value.args[3]} == {
        ("1", "removed", ()),
        ("2", "edited", ("day",)),
    }


def test_an_older_state_of_the_attestations_is_found_by_what_is_kept_outside(tx, book):
    closed(tx, book)
    attestations.keep_head(book.trust.head, attestations.read_head(tx))
    tx.execute(sa.delete(attestation).where(attestation.c.form != ""))
    for of in (closed_row, closing_table):
        tx.execute(sa.delete(of))
    assert [each.part for each in tampering(tx, book)] == [TamperedPart.ATTESTATION]


def test_months_of_an_earlier_version_are_attested_once(tx, book):
    recorded(tx, dossier("1", "received", "2026-11-02", "2026-11-02"))
    closing.close_month(tx, book, "dossiers", NOVEMBER, AFTER, "an")
    assert tampering(tx, book) == ()
    assert attestations.list_unattested_months(tx) == [("dossiers", "2026-11")]
    attestations.adopt_month(tx, HUB, "dossiers", "2026-11", AFTER)
    assert attestations.begin_attestations(tx, HUB, AFTER)
    assert not attestations.begin_attestations(tx, HUB, AFTER)
    assert tampering(tx, book) == ()
    edit(tx, "A", ":1", ":2")
    assert tampering(tx, book)
    closing.close_month(tx, book, "dossiers", DECEMBER, AFTER + timedelta(days=1), "an")
    (found,) = tampering(tx, book, period="2026-12")
    assert found.part is TamperedPart.CLOSING, "nothing is closed without an attestation any more"


def test_a_rewritten_chain_is_not_that_of_the_attestations(tx, book):
    closed(tx, book)
    events.chain_events(tx)
    attestations.attest_closing(tx, HUB, "dossiers", "2026-11", AFTER)
    tx.execute(sa.text("UPDATE event SET hash = :x WHERE number = (SELECT max(number) FROM event)"), {"x": "f" * 64})
    assert list(attestations.find_changed_links(tx)) != []
