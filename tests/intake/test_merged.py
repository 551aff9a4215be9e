"""A merger seen by the systems of its units: every call is signed, and goes through the intake to the journal."""

from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from lxml import etree

from hub import config
from hub.config.values import UnitSettings
from hub.domain.local_time import find_local_day
from hub.domain.model import Unit
from hub.intake.intake import Intake
from hub.journal import unit_registry
from hub.journal.fact_reading import fact_rows
from hub.keeping import successions
from hub.security.certificates import Identity
from hub.soap import documents_requests as calls
from hub.store import transactions
from hub.units.deeds import DeedOrder
from hub.units.live import Setup
from hub.units.province import Province
from lienthong_demo.plan import packets
from tests import frontdesk, homes, pki
from tests.packets import letter
from tests.pki import NOW

OFFICE, OLD, NEW = pki.partner("office"), pki.partner("old"), pki.partner("new")
TODAY = find_local_day(NOW)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> config.Config:
    return config.read_config(homes.begin(tmp_path_factory.mktemp("made") / "tinh") / "hub.toml")


class Exchange:
    """The systems of an office, of an old and of a new unit, and the hub between them."""

    def __init__(self, made: config.Config, engine: sa.Engine) -> None:
        self.engine, self.number = engine, 0
        codes = {"office": (OFFICE, "H55.13"), "old": (OLD, "H55.41"), "new": (NEW, "H55.43")}
        partners = [frontdesk.partner(name, who, unit) for name, (who, unit) in codes.items()]
        self.desk: Intake = frontdesk.intake(made, engine, *partners)
        with transactions.write_transaction(engine) as tx:
            units = [Unit(code, code) for code in ("H55", "H55.13", "H55.41", "H55.42", "H55.43")]
            unit_registry.write_registry_units(tx, units)
        self.reload()

    def reload(self) -> None:
        with transactions.read_transaction(self.engine) as tx:
            index = unit_registry.read_unit_index(tx, TODAY)
        self.desk.live.setup = Setup(Province.of(self.desk.live.config, index))

    def merge(self) -> None:
        order = DeedOrder(units=("H55.41", "H55.42"), successors=("H55.43",), on=TODAY)
        with transactions.write_transaction(self.engine) as tx:
            successions.record_deed(tx, order, by="test", now=NOW)
        self.reload()

    def ask(self, who: Identity, call: object) -> dict[str, list[str]]:
        """Return the texts of the answer by the names of their elements."""
        self.number += 1
        root = etree.fromstring(frontdesk.ask(self.desk, who, call, earlier=self.number).body.read())
        found: dict[str, list[str]] = {}
        for each in root.iter():
            found.setdefault(etree.QName(each).localname, []).append(each.text or "")
        return found

    def send(self, who: Identity, packet: bytes) -> dict[str, list[str]]:
        return self.ask(who, calls.SendDocument(packet, f"m{self.number}"))

    def pending(self, who: Identity, unit: str) -> list[str]:
        return self.ask(who, calls.GetPendingDocumentIds(unit, None)).get("DocumentId", [])

    def counted(self) -> list[tuple[str, str]]:
        with transactions.read_transaction(self.engine) as tx:
            return sorted((fact.unit, fact.milestone) for fact in fact_rows.read_facts(tx))


@pytest.fixture
def exchange(made: config.Config, journal_url: str) -> Exchange:
    return Exchange(made, transactions.open_journal(journal_url, pooled=False))


def status(sender: str, organ: str, code: str = "03") -> bytes:
    return packets.write_status_packet(sender, code, packets.Answered(organ, "7/VB", "2026/11/10", "D1"), at=NOW)


@pytest.mark.parametrize("organ", ["H55.41", "H55.43"])
def test_a_recipient_answers_the_old_unit_and_the_new_one_reads_it(exchange: Exchange, organ: str) -> None:
    sent = exchange.send(OLD, letter("H55.41", ["H55.13"], document_id="D1"))["DocumentId"][0]
    exchange.merge()
    answer = exchange.send(OFFICE, status("H55.13", organ))
    assert answer["IsSuccess"] == ["true"]
    assert exchange.pending(NEW, "H55.43") == answer["DocumentId"][:1]
    assert exchange.ask(NEW, calls.GetTraces("H55.43", sent, None))["DocumentId"] == [sent]
    assert exchange.counted() == [("H55.13", "status-03"), ("H55.41", "sent")]


def test_a_carrier_of_all_units_that_is_configured_with_the_old_one_reads_nothing_of_the_new_one(
    exchange: Exchange,
) -> None:
    exchange.merge()
    exchange.send(NEW, letter("H55.43", ["H55.13"], document_id="D1"))
    exchange.send(OFFICE, status("H55.13", "H55.43"))
    made = exchange.desk.live.config
    carrier = attrs.evolve(made.partners["old"], units=("H55.41", "*"))
    settings = attrs.evolve(made, partners={**made.partners, "old": carrier})
    exchange.desk.live.setup = Setup(Province.of(settings, exchange.desk.live.province.routes.index))
    assert "Trace" not in exchange.ask(OLD, calls.GetTraces("H55.41", None, None))
    assert "Trace" in exchange.ask(NEW, calls.GetTraces("H55.43", None, None))


def test_the_new_unit_recalls_what_the_old_one_sent_and_no_other_unit_does(exchange: Exchange) -> None:
    sent = exchange.send(OLD, letter("H55.41", ["H55.13"], document_id="D1"))["DocumentId"][0]
    recall: dict[str, Any] = {"kind": 1, "document_id": "X", "about": "D1"}
    assert exchange.send(NEW, letter("H55.43", ["H55.13"], **recall))["Code"] == ["not-the-sender"]
    exchange.merge()
    assert exchange.send(NEW, letter("H55.43", ["H55.13"], **recall))["IsSuccess"] == ["true"]
    assert sent not in exchange.pending(OFFICE, "H55.13")


def test_what_is_for_the_old_unit_comes_to_the_new_one_and_is_answered_there(exchange: Exchange) -> None:
    exchange.merge()
    sent = exchange.send(OFFICE, letter("H55.13", ["H55.41", "H55.42"], document_id="D1"))["DocumentId"][0]
    assert exchange.pending(NEW, "H55.43") == [sent]
    assert exchange.ask(OLD, calls.GetPendingDocumentIds("H55.43", None))["Code"] == ["not-yours"], "nobody is let in"
    exchange.ask(NEW, calls.GetDocument(sent))
    assert exchange.ask(NEW, calls.ConfirmReceived(sent, "H55.41"))["IsSuccess"] == ["true"]
    assert exchange.send(NEW, status("H55.43", "H55.13", "06"))["IsSuccess"] == ["true"]
    assert exchange.counted() == [("H55.13", "sent"), ("H55.43", "received"), ("H55.43", "status-06")]


def test_the_old_unit_sends_for_the_new_one_until_its_days_of_grace_are_over(exchange: Exchange) -> None:
    exchange.merge()
    assert exchange.send(OLD, letter("H55.41", ["H55.13"], document_id="D1"))["IsSuccess"] == ["true"]
    assert exchange.counted() == [("H55.43", "sent")]
    settings = attrs.evolve(exchange.desk.live.config, units=UnitSettings(grace_days=0))
    exchange.desk.live.setup = Setup(Province.of(settings, exchange.desk.live.province.routes.index))
    refused = exchange.send(OLD, letter("H55.41", ["H55.13"], document_id="D2"))
    assert (refused["Code"], refused["Description"][0][-9:]) == (["unit-inactive"], "→ H55.43]")
    asked = exchange.ask(OLD, calls.CheckPermission("H55.41"))
    assert asked["Code"] == ["unit-inactive"]
