"""A hub in this process with an inspector's system and some real units, and the door by which a drill's calls come to it.

Each call is signed as the inspector signs it, and judged by the whole intake.  Knows no form and counts nothing.
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import product
from typing import Any, cast

import attrs
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred

from hub.audit.drill import drawing, sending, writing
from hub.audit.drill.comparing import Reconciled, reconcile_drill
from hub.audit.drill.desk import SentStep
from hub.audit.drill.plan import DrillPlan
from hub.audit.seals import AuditTrust
from hub.config import Partner
from hub.config.service_files import read_shipped_services
from hub.domain.model import Receive, Unit, UnitKind
from hub.formats.spool import Drawer, Octets
from hub.intake.endpoint import JournalAccess
from hub.intake.intake import Intake
from hub.intake.signed_response import SignedResponse
from hub.journal import unit_registry
from hub.partner.throttle import Throttle
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.report.signed.sealed import read_sealed_report
from hub.runtime.thread_pool import run_at_once
from hub.security import signing
from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from hub.soap import documents_requests
from hub.soap.attachments import Manner
from hub.soap.documents_requests import SendDocument
from hub.soap.envelope import build_element, wrap_in_envelope
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.web.endpoints import list_endpoints, make_defined_endpoint
from hub.workload import closing, closing_plan
from tests import dossiers, pki
from tests.packets import letter
from tests.promised import keep_promises
from tests.province import make_config

#: A day in a period behind which the Lunar New Year lies: 15/01 to 14/02/2026, with holidays from the 16th to the 20th.
TODAY = date(2026, 2, 10)
NOW = datetime(2026, 2, 10, 3, tzinfo=UTC)
HOLIDAYS = tuple(date(2026, 2, day) for day in range(14, 23))
REAL = (
    Unit("H55", "Tỉnh"),
    Unit("H55.13", "Sở TT&TT", "H55", aliases=("000.00.13.H55",)),
    Unit("H55.01", "Văn phòng", "H55"),
)
AUTHORITY = pki.authority("Drill CA", datetime(2025, 12, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))


_ISSUED: dict[str, Identity] = {}


def identity(name: str) -> Identity:
    """Return the certificate of a system, valid in 2026."""
    return _ISSUED.setdefault(
        name, AUTHORITY.issue(name, begins=NOW - timedelta(days=39), ends=NOW + timedelta(days=999))
    )


_USAGE = {"OrganId": "H55.13", "SentInternal": 3}
#: What whoever verifies a protocol trusts.
TRUST = AuditTrust(anchors=Anchors([AUTHORITY.certificate]), now=NOW, hub=(identity("hub").certificate,))


def draw(seed: int = 7, **said: Any) -> DrillPlan:
    """Draw a plan for TODAY."""
    fields: dict[str, Any] = {"province": "H55", "today": TODAY, "days_off": HOLIDAYS} | said
    return drawing.draw_plan(seed, sign=lambda packet: signing.sign_packet(packet, identity("kiemtra")), **fields)


def drill_units(plan: DrillPlan) -> list[Unit]:
    """Return the test units of *plan* as the registry has them."""
    return [
        Unit(
            each.code, each.name, each.parent or None, aliases=(each.alias,) if each.alias else (), kind=UnitKind.DRILL
        )
        for each in plan.units
    ]


@attrs.define(slots=False)
class DrillHub:
    """The hub, and the door to it for one system."""

    engine: sa.Engine
    plan: DrillPlan
    system: str = "kiemtra"
    now: datetime = NOW

    def __attrs_post_init__(self) -> None:
        with transactions.write_transaction(self.engine) as tx:
            if not unit_registry.list_unit_histories(tx):
                unit_registry.write_registry_units(tx, [*REAL, *drill_units(self.plan)])

    @cached_property
    def desks(self) -> dict[str, Intake]:
        with transactions.read_transaction(self.engine) as tx:
            known = unit_registry.read_unit_index(tx, TODAY)
        partners = [
            Partner(
                code="kiemtra",
                name="",
                certificates=(identity("kiemtra").certificate,),
                units=tuple(each.code for each in self.plan.units),
                receive=Receive.FETCH,
                calls=("documents", "dossiers", "mail", "reports", "work"),
            ),
            Partner(
                code="sotttt",
                name="",
                certificates=(identity("sotttt").certificate,),
                units=("H55", "H55.13", "H55.01"),
                receive=Receive.FETCH,
            ),
            Partner(
                code="vpcp",
                name="",
                certificates=(identity("vpcp").certificate,),
                receive=Receive.PUSH,
                url="https://x",
            ),
        ]
        defined = read_shipped_services()
        config = make_config("Diễn tập", identity("hub"), AUTHORITY.certificate, partners, services=defined)
        self.province = Province.of(config, known)
        access = JournalAccess(InlineDatabase(self.engine), run_at_once, _nothing, _nothing)
        live, endpoints = Live(Setup(self.province)), list_endpoints(access)
        endpoints |= {name: make_defined_endpoint(each, access) for name, each in defined.items()}
        return {
            name: Intake(live, endpoints[name], access, lambda: self.now, Throttle(lambda: 0.0)) for name in endpoints
        }

    def call(self, service: str, element: etree._Element) -> etree._Element:
        """Put a signed call to the hub.  See `hub.audit.drill.sending.Door`."""
        self.now += timedelta(seconds=1)
        who = identity(self.system)
        body = signing.sign_envelope(wrap_in_envelope(element), who, self.now)
        desk = self.desks[service]
        done: list[SignedResponse] = []
        failed: list[object] = []
        answered = Deferred.fromCoroutine(desk.answer(Octets.of(body), Manner(), who.certificate, Drawer()))
        _ = answered.addCallbacks(done.append, failed.append)
        assert not failed, failed
        keep_promises(self.engine, self.province.routes)
        root = etree.fromstring(done[0].body.read())
        if done[0].fault:
            raise sending.DrillRefused(*(each.text or "" for each in root.iter("{*}Code") if each.text))
        (child,) = cast("etree._Element", root.find("{*}Body"))
        return child

    def send(self, *numbers: int) -> list[SentStep]:
        """Send the steps of the plan, or some of them."""
        steps = [step for step in self.plan.steps if not numbers or step.number in numbers]
        return [sending.send_step(step, self, lambda: self.now) for step in steps]

    def octets(self, form: str = "") -> dict[tuple[str, str], bytes]:
        """Return the sealed reports that a drill compares, or those of one form."""
        asked = [each for each in sending.list_asked_reports(self.plan) if form in ("", each[0])]
        return {(form, unit): sending.fetch_report(self.plan, form, unit, self) for form, unit in asked}

    def reconcile(self, sent: list[SentStep], form: str = "") -> Reconciled:
        """Compare the hub's reports with the plan, or those of one form."""
        reports = {asked: read_sealed_report(content).report for asked, content in self.octets(form).items()}
        return reconcile_drill(self.plan, sent, reports, self.floors())

    def floors(self) -> Mapping[str, date]:
        """Return the first day after the closed months of each form."""
        return sending.find_floors(self)

    def close_month(self, text: str) -> None:
        """Close a month for every form that has counted anything, as the hub does."""
        book = read_shipped_book()
        with transactions.write_transaction(self.engine) as tx:
            for form in closing_plan.list_counting_forms(book.forms):
                with suppress(closing_plan.OutOfTurn):  # nothing is counted by it yet
                    closing.close_month(tx, book, form, parse_period(text), self.now, "an")

    def send_real_messages(self) -> None:
        """Let a real system send documents, dossiers and mail in the month that is over; close it; and again in the open one."""
        at = self.now
        for number, day in enumerate((date(2026, 1, 5), TODAY - timedelta(days=2)), 1):
            self.now = datetime(day.year, day.month, day.day, 3, tzinfo=UTC)
            days = {"NgayTiepNhan": f"{day:%Y%m%d}080000", "NgayHenTra": f"{day:%Y%m%d}170000"}
            code = f"H55.13-{day:%y%m%d}-000{number}"
            paper = letter("H55.13", ["H55.01"], document_id=f"R{number}", promulgated=day, due=day)
            usage = writing.write_call("mail", "SubmitMailUsage", "H55.13", [("Day", day), ("Usage", _USAGE)])
            with self.as_system("sotttt"):
                self.call("dossiers", etree.fromstring(dossiers.sync(dossiers.hoso(code, **days), organ="H55.13")))
                self.call("documents", documents_requests.build_call_element(SendDocument(paper, f"r{number}")))
                self.call("mail", etree.fromstring(usage))
                sending.fetch_waiting("H55.01", self)
            self.now = at
            if number == 1:
                self.close_month("2026-01")

    @contextmanager
    def as_system(self, name: str) -> Iterator[None]:
        """Let another system make the calls."""
        self.system, before = name, self.system
        yield
        self.system = before

    def real_reports(self, at: datetime) -> dict[tuple[str, str], bytes]:
        """Return the sealed reports of the province for all forms, as of *at*."""
        found = {}
        with self.as_system("sotttt"):
            for form, period in product(("edoc", "ii06a", "dossiers", "tonghop"), ("2026-01", "2026-02")):
                self.now = at
                asked = {"OrganId": "H55", "Form": form, "Period": period}
                answer = self.call("reports", build_element("urn:lienthong:reports:1", "GetWorkloadReport", asked))
                found[form, period] = b64decode(answer.findtext("{*}Content") or "")
        return found


def _nothing() -> None:
    """Find room, or write nothing down."""
