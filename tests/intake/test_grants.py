"""What a partner may call: every operation of every contract by a partner of every kind, signed, through the intake to the journal.

What is not granted is refused by its code and told by one event; beside that nothing is done, told or counted.
"""

import json
from datetime import date, timedelta
from itertools import count
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub import config
from hub.domain.conversations import Answer, Reply, Request
from hub.domain.model import Receive, Unit
from hub.formats.spool import Drawer, Octets
from hub.intake import grants
from hub.intake.endpoint import JournalAccess
from hub.intake.intake import Intake
from hub.journal import messages as journal_messages
from hub.partner.policy import Policy
from hub.partner.throttle import Throttle
from hub.report.counting.declaring import build_declaration_element as declared
from hub.runtime.thread_pool import run_at_once
from hub.security.anchors import Anchors
from hub.services.lookups.operations import OPERATIONS
from hub.soap import documents_requests as calls
from hub.soap import wsdl
from hub.soap.attachments import Manner
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import delivery, event, fact, message
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.web.endpoints import list_endpoints
from hub.web.lookups.endpoint import LookupsEndpoint
from hub.web.lookups.partner_query import PartnerQueryRunner
from lienthong_demo.plan.packets import Answered, write_status_packet
from tests import databases, declaring, dossiers, homes, packets, pki, remote
from tests.pki import NOW
from tests.province import GRANTING, document, entry
from tests.services.test_lookups import element as looked_up
from tests.services.test_mail_usage import USAGE
from tests.services.test_mail_usage import content as mailed
from tests.signatures import Layout, stamp

UNIT, DOSSIER = "H55.13", "H55.13-261120-0001"
#: Every operation that a partner with a unit may call without a word in its file.
OWN = {
    "documents": {
        "SendDocument",
        "UpdateTraces",
        "GetPendingDocumentIds",
        "GetDocument",
        "ConfirmReceived",
        "GetTraces",
        "GetOrganizations",
        "CheckPermission",
    },
    "dossiers": {"SyncDossiers", "UpdateDossierProgress", "SubmitStatistic", "GetDossier"},
    "mail": {"SubmitMailUsage"},
    "reports": {"SubmitWorkloadReport", "GetWorkloadReport", "GetReconciliation", "ListPeriods"},
}
EVERY = {f"{service}.{name}" for service, names in OWN.items() for name in names}
DOCUMENTS = {f"documents.{name}" for name in OWN["documents"]}
CHECK = {"documents.CheckPermission"}
#: kind -> what its file says, what it may call, whose results count once it has called everything.
KINDS: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "a unit's system": ({"units": (UNIT,)}, EVERY, {"documents", "dossiers", "mail"}),
    "may send for any unit": ({"units": ("*",)}, EVERY, {"documents", "dossiers", "mail"}),
    "may tell of any unit": ({"tells": True}, CHECK | {"mail.SubmitMailUsage"}, {"mail"}),
    "the upstream partner": ({}, DOCUMENTS, {"documents"}),  # it confirms what waits for it
    "no unit": ({}, CHECK, set()),
    "named calls": (
        {"units": (UNIT,), "calls": ("mail", "lookups.VerifyCitizen", "documents.GetOrganizations")},
        CHECK | {"mail.SubmitMailUsage", "lookups.VerifyCitizen", "documents.GetOrganizations"},
        {"mail", "lookups"},
    ),
    "every call named": (
        {"units": (UNIT,), "calls": ("documents", "dossiers", "lookups", "mail", "reports")},
        EVERY | {f"lookups.{name}" for name in OPERATIONS},
        {"documents", "dossiers", "mail", "lookups"},
    ),
    "no call": ({"units": (UNIT,), "calls": ()}, CHECK, set()),
}


def examples(held: str) -> dict[str, etree._Element]:
    """Return one call of each operation, in an order in which each has its effect; *held* is a message that waits for the unit."""
    period = {"OrganId": UNIT, "Form": "edoc", "Period": "2026-11"}
    said = declared(declaring.declaration({(UNIT, "sent"): 1}))
    read = [
        calls.SendDocument(packets.document(to="H55.1")),
        calls.UpdateTraces(
            write_status_packet(UNIT, "06", Answered("H55.1", "7/VB", date(2026, 11, 20), "D1"), at=NOW)
        ),
        calls.GetPendingDocumentIds(UNIT),
        calls.GetDocument(held),
        calls.ConfirmReceived(held),
        calls.GetTraces(UNIT),
        calls.GetOrganizations(),
        calls.CheckPermission(UNIT),
    ]
    found = {f"documents.{type(call).__name__}": calls.build_call_element(cast("Any", call)) for call in read}
    for octets in (dossiers.sync(dossiers.hoso()), dossiers.progress(dossiers.tiendo()), dossiers.statistic()):
        call = etree.fromstring(octets)
        found[f"dossiers.{etree.QName(call).localname}"] = call
    found["dossiers.GetDossier"] = _call("dossiers", "GetDossier", MaHoSo=DOSSIER, OrganId=UNIT)
    found["mail.SubmitMailUsage"] = etree.fromstring(mailed(USAGE.replace("H55.14", UNIT), organ=UNIT))
    found["reports.SubmitWorkloadReport"] = said
    for name in ("GetWorkloadReport", "GetReconciliation"):
        found[f"reports.{name}"] = _call("reports", name, **period)
    found["reports.ListPeriods"] = _call("reports", "ListPeriods")
    return found | {f"lookups.{name}": looked_up(name) for name in OPERATIONS}


def _call(service: str, name: str, **fields: str) -> etree._Element:
    namespace = f"urn:lienthong:{service}:1"
    call = etree.Element(f"{{{namespace}}}{name}", nsmap=cast("Any", {None: namespace}))
    for field, text in fields.items():
        etree.SubElement(call, f"{{{namespace}}}{field}").text = text
    return call


class Knowing:
    """An adapter that answers every question."""

    def ask(self, query, now):
        reply = yield Request("https://partner/", b"")
        assert reply.status == 200
        return Answer((("Exists", "true"), ("Name", "CÔNG TY")))


@attrs.define
class Hub:
    """The intakes of a hub with one partner of a kind beside its others, and its journal."""

    engine: sa.Engine
    intakes: dict[str, Intake]
    who: Any
    calls: Any = attrs.field(factory=lambda: count(1))

    def ask(self, service: str, call: etree._Element) -> tuple[bool, str]:
        """Sign and put a call; return whether a fault came, and what was answered."""
        created = NOW - timedelta(seconds=next(self.calls))
        layout = Layout(
            content=etree.tostring(call).decode(),
            created=stamp(created),
            expires=stamp(created + timedelta(minutes=5)),
        )
        answered = Deferred.fromCoroutine(
            self.intakes[service].answer(Octets.of(layout.signed(self.who)), Manner(), self.who.certificate, Drawer())
        )
        done: list[Any] = []
        _ = answered.addCallback(done.append)
        return done[0].fault, done[0].body.read().decode()

    def rows(self) -> list[int]:
        """Return how many messages, deliveries, facts and events there are."""
        with transactions.read_transaction(self.engine) as tx:
            tables = (message, delivery, fact, event)
            return [tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables]

    def newest(self) -> dict[str, Any]:
        """Return the newest event."""
        with transactions.read_transaction(self.engine) as tx:
            text = str(tx.scalar(sa.select(event.c.text).order_by(event.c.serial.desc()).limit(1)))
        told: dict[str, Any] = json.loads(text)
        return told

    def counted(self) -> set[str]:
        """Return the services of which the unit has results."""
        with transactions.read_transaction(self.engine) as tx:
            return set(tx.scalars(sa.select(fact.c.service).where(fact.c.unit == UNIT).distinct()))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return config.read_config(homes.begin(tmp_path_factory.mktemp("made") / "tinh") / "hub.toml")


@pytest.fixture(params=["one process", "workers"])
def hub(made, tmp_path, request):
    """Return a hub with a partner of a kind, whose unit it receives for if it has one."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))

    def of(code: str = "sotttt", **said: Any) -> Hub:
        who = pki.partner("me")
        own = config.Partner(code=code, name="", certificates=(who.certificate,), receive=Receive.FETCH, **said)
        bca = config.Partner(code="bca", name="", certificates=(), lookups=tuple(OPERATIONS), policy=Policy())
        others = {each.code: each for each in made.partners.values() if each.code != "sotttt"}
        changed = attrs.evolve(
            made, anchors=Anchors([pki.authority().certificate]), partners={**others, code: own, "bca": bca}
        )
        province = Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01", "H55.1")])
        books = JournalAccess(InlineDatabase(engine), run_at_once, lambda: None, lambda: None)

        async def send(request, partner):
            return Reply(200, b"")

        asker = PartnerQueryRunner(
            Live(Setup(province, {"bca": cast("Any", Knowing())})),
            books.journal,
            send,
            run_at_once,
            Clock(),
            lambda: NOW,
            lambda: 0.5,
        )
        questions: Any = asker
        if request.param == "workers":
            journal, questions = remote.connect(asker.live, books.journal, asker)
            books = attrs.evolve(books, journal=journal)
        every = list_endpoints(books, LookupsEndpoint(wsdl.load_contract("lookups"), questions, books))
        intakes = {
            name: Intake(asker.live, desk, books, lambda: NOW, Throttle(lambda: 0.0)) for name, desk in every.items()
        }
        return Hub(engine, intakes, who)

    yield of
    engine.dispose()


def upstream(intakes: dict[str, Intake], code: str) -> None:
    """Make *code* the upstream partner."""
    (live,) = {intake.live for intake in intakes.values()}
    province = live.province
    changed = attrs.evolve(province.config, upstream=code)
    live.setup = Setup(attrs.evolve(province, config=changed, routes=attrs.evolve(province.routes, upstream=code)))


def test_every_operation_has_an_example_and_every_kind_a_word_on_it():
    known = {
        f"{name}.{each}"
        for name, operations in grants.list_grantable_operations(GRANTING).items()
        for each in operations
    }
    assert set(examples("")) == known
    assert known - EVERY == {f"lookups.{name}" for name in OPERATIONS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_nothing_that_is_not_granted_is_done_told_or_counted(hub, kind):
    said, granted, counted = KINDS[kind]
    site = hub(**said)
    if kind == "the upstream partner":
        upstream(site.intakes, "sotttt")
    waiting = entry(document("H55.01", UNIT, document_id="D9"), partner="vpub")
    with transactions.write_transaction(site.engine) as tx:
        routes = site.intakes["documents"].live.province.routes
        _ = journal_messages.record_message(tx, waiting, routes)
    for name, call in examples(waiting.id).items():
        service, operation = name.split(".")
        were = site.rows()
        fault, answer = site.ask(service, call)
        if name in granted:
            asks = name in CHECK and "documents.SendDocument" not in granted  # whether it may send: it is told so
            assert ("call-not-granted" in answer) == asks, name
            assert not fault or kind not in {"a unit's system", "every call named"}, (name, answer)
            continue
        assert fault, name
        assert ">call-not-granted<" in answer, name
        assert f"[{name}]" in answer
        messages, deliveries, facts, events = were
        assert site.rows() == [messages, deliveries, facts, events + 1], name
        told = site.newest()
        assert (told["event"], told["partner"], told["operation"]) == ("call-refused", "sotttt", operation)
        assert (told["code"], told["detail"]) == ("call-not-granted", name)
    assert site.counted() == counted


def test_who_may_send_for_any_unit_reads_nothing_that_others_told(hub):
    own, carrier = hub(units=(UNIT,)), hub("thu", units=("*",))
    told = examples("")
    for name in ("dossiers.SyncDossiers", "reports.SubmitWorkloadReport"):
        assert own.ask(name.split(".")[0], told[name])[0] is False
    asked = {
        name: told[name] for name in ("dossiers.GetDossier", "reports.GetWorkloadReport", "reports.GetReconciliation")
    }
    for name, call in asked.items():
        assert own.ask(name.split(".")[0], call)[0] is False
    refused = {name: carrier.ask(name.split(".")[0], call)[1] for name, call in asked.items()}
    assert ">dossier-unknown<" in refused.pop("dossiers.GetDossier")
    assert all(">not-yours<" in answer for answer in refused.values())
    anywhere = _call("dossiers", "GetDossier", MaHoSo=DOSSIER)
    assert ">dossier-unknown<" in carrier.ask("dossiers", anywhere)[1]
    mine = etree.fromstring(dossiers.sync(dossiers.hoso(), organ="H55.01"))
    assert carrier.ask("dossiers", mine)[0] is False
    assert "<OrganId>H55.01</OrganId>" in carrier.ask("dossiers", anywhere)[1].replace("dossiers:", "")
    assert "<OrganId>H55.13</OrganId>" in own.ask("dossiers", anywhere)[1].replace("dossiers:", "")


def test_who_may_tell_of_any_unit_sends_for_none(hub):
    collector = hub("soc", tells=True)
    assert collector.ask("mail", examples("")["mail.SubmitMailUsage"])[0] is False
    routes = collector.intakes["mail"].live.province.routes
    assert routes.find_send_problems("soc", "H55.13", telling=True) == ()
    assert [each.code for each in routes.find_send_problems("soc", "H55.13")] == ["sender-not-allowed", "not-yours"]
    assert [each.code for each in routes.find_send_problems("soc", "H55.99", telling=True)] == ["unit-unknown"]


@pytest.mark.parametrize("collects", [timedelta(seconds=5), None])
def test_what_the_hub_asks_a_partner_for_is_granted_unless_its_file_says_otherwise(collects):
    asked = config.Partner(code="p", name="", certificates=(), policy=Policy(collect=collects))
    for service in ("documents", "categories", "verdicts"):
        assert grants.is_granted(asked, GRANTING, service, collected=True) is bool(collects)
        assert not grants.is_granted(asked, GRANTING, service)
        limited = attrs.evolve(asked, calls=("mail",))
        assert not grants.is_granted(limited, GRANTING, service, collected=True)
        assert grants.is_granted(attrs.evolve(asked, calls=(service,)), GRANTING, service, collected=True)
    assert not grants.is_granted(asked, GRANTING, "lookups", collected=True)
