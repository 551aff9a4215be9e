"""Plays a drawn province on a hub: each call comes as its partner sends it, signed, through the SOAP intake, or below it.

Keeps the partners' notebook beside it: what they sent and took, as they know it.  Knows neither forms nor counts.
"""

import hashlib
from collections import deque
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, cast

import attrs
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred

from hub.config import Partner
from hub.config.values import UnitSettings
from hub.delivery.hand_over import HandOver
from hub.domain import lifecycle
from hub.domain.conversations import Accepted, Refused
from hub.domain.ids import make_id
from hub.domain.lifecycle import name_outcome
from hub.domain.model import Receive
from hub.formats.spool import Drawer, Octets
from hub.intake import admission
from hub.intake.endpoint import JournalAccess
from hub.intake.intake import Intake
from hub.intake.signed_response import SignedResponse
from hub.journal import messages, unit_registry
from hub.journal.queue import claims, delivery_ends, pickup
from hub.journal.queue.claims import AttemptExchange, Claim
from hub.keeping import successions
from hub.partner.throttle import Throttle
from hub.report.form.book import Book
from hub.runtime.thread_pool import run_at_once
from hub.soap import documents_requests
from hub.soap.attachments import Manner
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units import units_csv
from hub.units.deeds import PART, WORK, DeedOrder, Share, ShareKind, find_order_mistakes
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.web.endpoints import list_endpoints
from hub.workload.month_end import MonthEnd
from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Answered
from tests import dossiers
from tests.histories import office
from tests.histories.duties import PORTAL, SERVICES, Books, Duties
from tests.histories.history import DELAY, LEASE
from tests.histories.office import Letter
from tests.histories.provinces import Deed, Drawing
from tests.packets import BARE, Seal, letter
from tests.promised import keep_promises
from tests.recount import places
from tests.recount.notebook import Notebook, Sending, Taking
from tests.recount.story import GIVE_UP
from tests.signatures import Layout, stamp

#: The services that have a contract; what comes to the others does not come from partners by SOAP.
#: procedures of dossiers, two of them the same; what is told of a dossier later may name another
PROCEDURES = (
    "1.000001", "2.000815.000.00.00.H55", "2.000815.000.00.00.h55", "1.000002", "1.000003", "1.000003.000.00.00.H55", "3.999999",
)  # fmt: skip
BY_SOAP = ("documents", "dossiers", "mail")


@attrs.define
class Hand:
    """The time, as the steps of other histories ask for it."""

    now: datetime

    def pass_time(self, much: timedelta) -> None:
        self.now += much


@attrs.frozen(kw_only=True)
class Paper:
    """A document that was sent, as the others name it."""

    partner: str
    message_id: str
    sender: str
    number: str
    octets: bytes
    to: list[str]


class Player(Duties):
    """One hub, and the partners' notebook.  Steps are those of `tests.histories.provinces`, and of the other histories."""

    def __init__(self, engine: sa.Engine, drawing: Drawing, *, by_soap: bool, book: Book | None = None) -> None:
        self.engine, self.drawing, self.by_soap = engine, drawing, by_soap
        self.history: Any = Hand(drawing.deeds[0].at.astimezone(UTC))
        self.nodes, self.number, self.meetings = ("node",), 0, dict[str, Any]()
        self.brought = list[Any]()
        self.notebook = Notebook()
        self.papers: dict[str, Paper] = {}
        self.senders: dict[str, tuple[str, str]] = {}  #: hub's id of a message -> its partner, and its id of it
        self.months = MonthEnd(
            cast("Any", Books(engine)), cast("Any", None), lambda: self.history.now, lambda: book or office.book()
        )
        every = [*((one.at, one) for one in drawing.deeds), *((at, None) for at in drawing.noons)]
        self.queue: deque[tuple[datetime, Deed | None]] = deque(sorted(every, key=lambda each: each[0]))
        self.list_units(drawing.listed(places.day(self.history.now)))

    # --- the hub ------------------------------------------------------------------------------------------------------

    def list_units(self, listed: bytes) -> None:
        """Import a file of units, and let the hub go by it."""
        today = places.day(self.history.now)
        with transactions.write_transaction(self.engine) as tx:
            held = unit_registry.list_unit_histories(tx, outside=True)
            units, mistakes = units_csv.read_units_csv(listed, "units.csv", held, today=today)
            assert mistakes == []
            left_out = {unit for each in self.drawing.ordered for unit in each.old} if held else set()
            written = [unit for unit in units if unit.code not in left_out]  # a deed says of them when they end
            unit_registry.write_registry_units(tx, written, at=self.history.now)
        self.reload()

    def reload(self) -> None:
        """Let the hub go by the registry."""
        today = places.day(self.history.now)
        with transactions.read_transaction(self.engine) as tx:
            known = unit_registry.read_unit_index(tx, today)
        has_joined = self.drawing.joins is not None and today >= self.drawing.joins
        receive = {"fetch": Receive.FETCH, "push": Receive.PUSH, "none": Receive.NONE}
        partners = {
            code: Partner(
                code=code,
                name=code,
                certificates=(office.identity(code).certificate,),
                units=units_,
                receive=Receive.PUSH if code == PORTAL else receive[how],
                services=("dossiers", "reports") if code == PORTAL else ("documents",),
            )
            for code, (units_, how) in self.drawing.partners.items()
            if code != "h97" or has_joined
        }
        merged = UnitSettings(merged_provinces=("H97",) if has_joined else ())
        config = attrs.evolve(office.province().config, partners=partners, units=merged)
        self.province = Province.of(config, known)
        self.access = JournalAccess(InlineDatabase(self.engine), run_at_once, _nothing, _nothing)
        self.live, endpoints = Live(Setup(self.province)), list_endpoints(self.access)
        self.desks = {
            name: Intake(self.live, endpoints[name], self.access, lambda: self.history.now, Throttle(lambda: 0.0))
            for name in BY_SOAP
        }

    def begin_day(self):
        """Let the hub go by the units of a new day, and hand over what is on its way to those that ended."""
        self.list_units(self.drawing.listed(places.day(self.history.now)))
        self.hand_over()

    def go_by_registry(self):
        """Let the hub go by the deeds that begin with a day, as `begin_day` does by the file of units."""
        self.reload()
        self.hand_over()

    def hand_over(self) -> None:
        """Let the hub hand over what is on its way to units that have ended."""
        service = HandOver(self.live, self.access.journal, cast("Any", None), lambda: self.history.now)
        _done(Deferred.fromCoroutine(service.run_once()))

    def order_deed(self, old, new, on, fields, part):
        """Record a deed of succession, with rules by fields of work."""
        shares = tuple(Share(unit, ShareKind.FIELD, frozenset({field})) for field, unit in fields.items())
        estates = PART if part else WORK
        order = DeedOrder(units=old, successors=new, on=on, estates=estates, shares=shares, part=part)
        with transactions.write_transaction(self.engine) as tx:
            units = {unit.code: unit for unit in unit_registry.list_registry_units(tx, on)}
            assert list(find_order_mistakes(order, units)) == []
            successions.record_deed(tx, order, by="an", now=self.history.now)

    def undo_deed(self, old):
        """Undo the deed about some units, and let the hub go by what is in force then."""
        with transactions.write_transaction(self.engine) as tx:
            (deed,) = [each for each in successions.list_recorded_deeds(tx) if set(each.order.units) == set(old)]
            successions.undo_deed(tx, deed.id, by="an", now=self.history.now)
        self.reload()
        routes, today = self.province.routes, places.day(self.history.now)
        self.commit(
            partial(
                delivery_ends.hand_over_deliveries, ways=routes.list_routes(old, today), late=(), now=self.history.now
            )
        )

    def play(self, until: datetime | None = None) -> None:
        """Do what was drawn until then, or all of it, in its order; and what the hub does each noon."""
        until = until or self.drawing.end
        while self.queue and self.queue[0][0] <= until:
            self.do(*self.queue.popleft())

    def do(self, at: datetime, deed: Deed | None) -> None:
        """Do one deed, or what the hub does at noon (None)."""
        if deed is None:
            self.history.now = max(self.history.now, at.astimezone(UTC))
            with_noon(self.months)
            return
        self.history.now = max(self.history.now + timedelta(seconds=2), at.astimezone(UTC))
        getattr(self, deed.does)(**deed.said)

    # --- how a message comes ------------------------------------------------------------------------------------------

    def bring(self, service, content, partner="any", message_id=None, fault="", problems=()):
        """Bring a message that is no packet."""
        if self.by_soap and service in BY_SOAP:
            if message_id:
                root, _, rest = content.decode().partition(">")
                content = f"{root}><MessageId>{message_id}</MessageId>{rest}".encode()
            refused, id_ = self._ask(service, partner, content.decode())
        else:
            now = self.history.now
            entry = admission.judge_record(
                SERVICES[service], content, message_id, partner, self.province, now, make_id(now)
            )
            if problems and not entry.problems:
                entry = attrs.evolve(entry, problems=problems)
            refused, id_ = self._record(entry)
        self._note(service, partner, message_id, content, refused, id_)
        if not refused:
            self.brought.append((service, content, partner, message_id))

    def bring_again(self, pick, changed):
        """Bring a message again, with its id: the same octets, or others."""
        if self.brought:
            service, content, partner, message_id = self.brought[-1 - pick % len(self.brought)]
            if message_id:
                content = content.replace(f"<MessageId>{message_id}</MessageId>".encode(), b"")
            if changed and message_id is not None and service == "dossiers":
                content = content.replace(b">Ch", b">CH")
            self.bring(service, content, partner, message_id)

    def send_packet(self, letter: Letter) -> None:
        """Send a packet."""
        if self.by_soap:
            call = documents_requests.SendDocument(letter.octets, letter.message_id)
            element = etree.tostring(documents_requests.build_call_element(call)).decode()
            refused, id_ = self._ask("documents", letter.partner, element)
        else:
            now, sender = self.history.now, self.province.config.partners[letter.partner]
            call = documents_requests.SendDocument(letter.octets, letter.message_id)
            entry = admission.judge_message(call, sender, self.province, "documents", now, make_id(now))
            refused, id_ = self._record(entry)
        self._note("documents", letter.partner, letter.message_id, letter.octets, refused, id_)

    def _record(self, entry: Any) -> tuple[bool, str]:
        taken: Any = self.commit(partial(messages.record_message, entry=entry, routes=self.province.routes))
        return bool(taken.problems), taken.id

    def commit(self, step):
        (result,) = [_done(InlineDatabase(self.engine).write(step))]
        keep_promises(self.engine, self.province.routes)
        return result

    def _ask(self, service: str, partner: str, element: str) -> tuple[bool, str]:
        """Put a signed call to the hub, and return whether it was refused, and the id in the receipt."""
        who, now = office.identity(partner), self.history.now
        layout = Layout(content=element, created=stamp(now), expires=stamp(now + timedelta(minutes=5)))
        body = layout.signed(who)
        answered = self.desks[service].answer(Octets.of(body), Manner(), who.certificate, Drawer())
        response: SignedResponse = _done(Deferred.fromCoroutine(answered))
        keep_promises(self.engine, self.province.routes)
        root = etree.fromstring(response.body.read())
        assert not response.fault, etree.tostring(root)
        ids = [each.text or "" for each in root.iter("{*}DocumentId")]
        return [each.text for each in root.iter("{*}IsSuccess")] == ["false"], ids[0] if ids else ""

    def _note(self, service, partner, message_id, octets, refused, id_) -> None:
        sha256 = hashlib.sha256(octets).hexdigest()
        name = message_id or sha256
        self.notebook.lines.append(
            Sending(
                at=self.history.now,
                partner=partner,
                service=service,
                message_id=name,
                sha256=sha256,
                octets=octets,
                refused=refused,
            )
        )
        if not refused:
            self.senders.setdefault(id_, (partner, name))

    # --- documents ----------------------------------------------------------------------------------------------------

    def send_document(self, name, sender, partner, to, due, paper, sign, own_id, refused=False):
        """Send a document: with a valid signature of its own, a broken one, or none."""
        said = {} if due is None else {"due": due}
        number = str(len(self.papers) % 97)
        made = letter(
            sender,
            to,
            document_id=name,
            number=number,
            paper=paper,
            subject=f"V/v {name} {refused}",
            promulgated=places.day(self.history.now),
            **said,
        )
        if sign:
            made = Seal().signed(office.identity(partner), made)
        if sign == 2:
            made = made.replace(b"V/v ", b"V/V ")
        message_id = f"m-{name}" if own_id else hashlib.sha256(made).hexdigest()
        if not refused:
            self.papers[name] = Paper(
                partner=partner, message_id=message_id, sender=sender, number=f"{number}/VB", octets=made, to=to
            )
        self.send_packet(Letter(partner=partner, octets=made, message_id=message_id if own_id else None))

    def repeat_document(self, name):
        """Send a document once more, octet by octet."""
        paper = self.papers[name]
        self.send_packet(Letter(partner=paper.partner, octets=paper.octets, message_id=paper.message_id))

    def send_other_document(self, name):
        """Send another document under the id of one that was sent."""
        paper = self.papers[name]
        octets = paper.octets.replace(b"Timestamp>", b"Timestamp >")
        self.send_packet(Letter(partner=paper.partner, octets=octets, message_id=paper.message_id))

    def change_document(self, name, kind, own, sender=None, partner=None):
        """Recall, update or replace a document, at all its recipients."""
        paper = self.papers[name]
        said: dict[str, Any] = {"kind": {"recall": 1, "update": 2, "replacement": 3}[kind], "number": paper.number[:-3]}
        said |= {"replaced": [(name, paper.to)]} if kind == "replacement" else {"about": name}
        paper = attrs.evolve(paper, sender=sender or paper.sender, partner=partner or paper.partner)
        octets = letter(paper.sender, paper.to, document_id=own, subject=f"V/v {own}", **said)
        self.papers[own] = attrs.evolve(paper, message_id=f"m-{own}", octets=octets)
        self.send_packet(Letter(partner=paper.partner, octets=octets, message_id=f"m-{own}"))

    def tell_status(self, name, unit, code, how, serial):
        """A recipient tells what became of a document, which it names by its id or its number, or of one that nobody knows."""
        paper = self.papers.get(name)
        if paper is None:
            return
        promulgated = paper.octets.split(b"PromulgationDate>")[1].split(b"<")[0].decode()
        number = paper.number if how == "number" else ""
        document = {"id": name, "number": "", "unknown": f"X{serial}"}[how]
        answered = Answered(paper.sender, number, promulgated if number else "", document)
        octets = packets.write_status_packet(
            unit, code, answered, at=self.history.now, description=f"{serial}", variation=BARE
        )
        own = [
            partner
            for partner, (units, _) in self.drawing.partners.items()
            if self.drawing.aliases.get(unit, unit) in units
        ]
        self.send_packet(Letter(partner=own[0] if own else "any", octets=octets, message_id=f"s{serial}"))

    def enclose(self, name, content, kind, fault):
        """Send something in a packet."""
        self.number += 1
        sender = next(iter(self.drawing.partners["vpub"][0]))
        octets = letter(
            sender, [sender], document_id=f"E{self.number}", attachments=((name, content),), content_type=kind
        )
        self.send_packet(Letter(partner="vpub", octets=octets, message_id=f"e{self.number}"))

    # --- what is brought to partners ------------------------------------------------------------------------------------

    def bring_to(self, partner, refusing):
        """Bring to a partner all that is due: it takes it, or refuses the documents that it is *refusing*."""
        if self.drawing.partners[partner][1] == "fetch":
            self._fetch(partner)
            return
        refused = {self.papers[name].message_id for name in refusing if name in self.papers}
        while True:
            self.history.pass_time(timedelta(milliseconds=5))
            claim_some = partial(
                claims.claim_deliveries, partner=partner, now=self.history.now, limit=20, holder="node", lease=LEASE
            )
            found = self.commit(claim_some)
            for claim in found:
                self._settle(claim, refuses=self.senders.get(claim.message, ("", ""))[1] in refused)
            if not found:
                return

    def _settle(self, claim: Claim, *, refuses: bool) -> None:
        self.history.pass_time(timedelta(milliseconds=5))
        now, outcome = self.history.now, Refused("không đúng nơi nhận") if refuses else Accepted()
        verdict = lifecycle.judge_outcome(
            outcome, since=claim.since, now=now, delay=DELAY, give_up=GIVE_UP, crashes=claim.crashes
        )
        exchange = AttemptExchange(request_sha256="0" * 64, reply_status=200)
        told = {"outcome": name_outcome(outcome), "verdict": verdict, "exchange": exchange, "now": now}
        assert self.commit(partial(claims.settle_claim, ended=claims.EndedAttempt(claim=claim, **told)))
        self._take(claim.partner, claim.message, refuses=refuses)

    def _fetch(self, partner: str) -> None:
        for unit in self.drawing.partners[partner][0]:
            with transactions.read_transaction(self.engine) as tx:
                found = pickup.list_pending_messages(tx, partner, unit, 1000, self.history.now)
            for message in found:
                self.history.pass_time(timedelta(milliseconds=5))
                said = {"partner": partner, "message_id": message, "now": self.history.now}
                self.commit(partial(pickup.fetch_message, **said))
                self.commit(partial(pickup.confirm_receipt, **said, unit=None))
                self._take(partner, message, refuses=False)

    def _take(self, partner: str, message: str, *, refuses: bool) -> None:
        if message in self.senders:
            sender, name = self.senders[message]
            line = Taking(at=self.history.now, partner=partner, sender=sender, message_id=name, refused=refuses)
            self.notebook.lines.append(line)

    # --- dossiers -------------------------------------------------------------------------------------------------------

    def tell_dossier(self, unit, key, number, received, channel, status, due, own, ended=None, requests=()):
        """Tell how a dossier stands.  By SOAP each has a due day, which the contract demands.

        What else is told of it follows from its number.
        """
        due = due or (received + timedelta(days=9) if self.by_soap else None)

        def day(on: date | None) -> str | None:
            return None if on is None else f"{on:%Y%m%d}091500"

        listed = [
            {"NgayBoSung": day(asked), "NgayTiepNhanBoSung": day(answered), "NgayHenTraMoi": day(later)}
            for asked, answered, later in requests
        ]
        state = dossiers.hoso(
            key,
            MaTTHC=PROCEDURES[(3 * number + len(status)) % len(PROCEDURES)],
            MaLinhVuc=("CT", "ct", "HT-01", "DD")[(number + len(status)) % 4],
            TrangThaiHoSo=status,
            NgayTiepNhan=day(received),
            NgayHenTra=day(due),
            NgayKetThucXuLy=day(ended),
            KenhThucHien=channel,
            DanhSachHoSoBoSung=listed or None,
            TrangThaiThanhToan="1" if number % 5 == 2 else None,
            DuocThanhToanTrucTuyen="2" if number % 7 == 3 else None,
            NgayThanhToan=day(received + timedelta(days=1)) if number % 2 else None,
            NgayNop=day(received - timedelta(days=number % 6)) if number % 3 == 1 else None,
            HanTiepNhan=day(received + timedelta(days=1)) if number % 8 else None,
            MucDoTrucTuyen=(None, "4", "3", "2")[number % 4],
            PhiDiaGioi="1" if number % 9 == 4 else None,
            NgayThuXinLoi=day(due + timedelta(days=1)) if due and number % 4 < 2 and ended and ended > due else None,
        )
        content = dossiers.sync(state, organ=self._code(unit, number), message_id=None)
        self.bring("dossiers", content, "any", self.name(own))

    def step_on(self, unit, key, number, status, day):
        """Tell a step of a dossier."""
        step = dossiers.tiendo(key, status, f"{day:%Y%m%d}091500")
        self.bring("dossiers", dossiers.progress(step, organ=self._code(unit, number)), "any", None)

    def _code(self, unit: str, number: int) -> str:
        """Return a unit's own code or its other one, by turns."""
        others = [alias for alias, own in self.drawing.aliases.items() if own == unit]
        return others[0] if others and number % 2 else unit


def with_noon(months: MonthEnd) -> None:
    """Let the hub do what it does at noon."""
    try:
        months.run_once().send(None)
    except StopIteration:
        assert months._done is not None, "the work of the day failed"
        return
    raise AssertionError("it waits for something")


def _done(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    _ = deferred.addBoth(found.append)
    (result,) = found
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def _nothing() -> None:
    """Find room, or tell nobody."""
