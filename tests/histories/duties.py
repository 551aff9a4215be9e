"""What else may happen in the province of the histories: dossiers, mail, meetings, incidents, lookups, links, reports handed in.

Messages are written here as their partners write them and go through the hub's own judging into the journal.  What must come of them
is for tests/recount; how often each happens, for tests/histories/months.py.
"""

from datetime import UTC, datetime, time, timedelta
from functools import cache, partial
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from twisted.python.failure import Failure

from hub.config import Partner
from hub.config.service_files import read_shipped_services
from hub.domain import lifecycle
from hub.domain.conversations import Accepted, Unavailable
from hub.domain.ids import make_id
from hub.domain.lifecycle import name_outcome
from hub.domain.model import HUB, Problem, Receive
from hub.intake import admission
from hub.journal import messages
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.services import list_services
from hub.services.defined.reading import make_defined_service
from hub.store import transactions
from hub.store.batch_commit import commit_steps
from hub.units.province import Province
from hub.workload import closing, closing_plan
from hub.workload.month_end import MonthEnd
from tests import dossiers
from tests.histories import office
from tests.histories.cells import Cells, begun
from tests.histories.history import DELAY, LEASE
from tests.histories.steps import Steps
from tests.recount import places
from tests.recount.places import HANOI
from tests.recount.story import GIVE_UP

#: fields of dossiers, two of them the same; what is told of a dossier later may name another
FIELDS = ("CT", "ct", "HT-01")
SERVICES = {**list_services(), **{name: make_defined_service(each) for name, each in read_shipped_services().items()}}
PORTAL = "cong"  #: the partner that takes dossiers and reports


def dossier(number):
    """Return the code of a dossier: two within their unit, two that mean the same dossier whoever tells of them."""
    return f"S{number}" if number < 3 else f"{('H55.13', 'H55.30')[number - 3]}-261101-000{number}"


@cache
def province():
    """Return the province of the histories with a portal beside its partners."""
    config = office.province().config
    portal = Partner(
        code=PORTAL,
        name="Cổng",
        certificates=(office.identity(PORTAL).certificate,),
        receive=Receive.PUSH,
        services=("dossiers", "reports"),
    )
    return Province.of(attrs.evolve(config, partners={**config.partners, PORTAL: portal}), office.units())


def said_besides(says):
    """Return the fields of a dossier about payment, papers and its result; *says*: a bit for each."""
    paper = {"IsDeleted": "1"} if says & 1 and says & 2 else {}
    paper |= {"DuongDanTaiTepTin": "https://kho/1"} if says & 4 else {}
    paper |= {"DuocSoHoa": "1"} if says & 8 else {"DuocSoHoa": "0"} if says & 1 else {}
    paper |= {"DuocLayTuKhoDMQG": "1"} if says & 16 else {}
    fields = {
        "TaiLieuNop": [paper] if paper else None,
        "DanhSachLePhi": [{"Gia": "0"}, {"Gia": "25000"}][: 1 + (says >> 5) % 2] if says & 2 else None,
        "DanhSachGiayToKetQua": [{"DuongDanTepTinKetQua": "https://kho/kq"}] if says & 64 else None,
        "DuocThanhToanTrucTuyen": str(says % 3) if says & 128 else None,
        "HoSoCoThanhPhanSoHoa": "1" if says & 256 else None,
        "TaiKhoanDuocXacThucVoiVNeID": "1" if says & 512 else "0" if says & 1 else None,
        "MaCSDL": "1" if says & 1024 else None,
    }
    fields |= {
        "TrangThaiThanhToan": str(says % 2) if says & 2048 else None,
        "MucDoTrucTuyen": "4398"[says % 4] if says & 4096 else None,
        "PhiDiaGioi": str(says % 2) if says & 8192 else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


class Duties(Steps):
    """Steps of the other services, beside those with packets.  Days are told as differences to today in Hà Nội."""

    def __init__(self, engine, nodes):
        super().__init__(engine, nodes)
        self.meetings = {}  #: by UID: the times of its newest series or meeting
        self.brought = []  #: each message that was taken, as `bring` had it

    # --- how a message comes ------------------------------------------------------------------------------------------------

    def bring(self, service, content, partner="any", message_id=None, fault="", problems=()):
        """Bring a message; what becomes of it is in the journal alone."""
        done = self.history
        done.pass_time(timedelta(milliseconds=1))
        entry = admission.judge_record(
            SERVICES[service], content, message_id, partner, province(), done.now, make_id(done.now)
        )
        if problems and not entry.problems:
            entry = attrs.evolve(entry, problems=problems)

        def attempt(run):
            taken = run(messages.record_message, entry, province().routes)
            if not taken.problems:
                self.brought.append((service, content, partner, message_id))
            done.news()  # the story is one of packets

        done.do(fault, attempt)

    def commit(self, step):
        (result,) = commit_steps(self.history.engine, [step])
        if isinstance(result, Failure):
            result.raiseException()
        self.history.keep()
        return result

    def bring_again(self, pick, changed):
        """Bring a message again, with its id: the same octets, or others."""
        if self.brought:
            service, content, partner, message_id = self.brought[-1 - pick % len(self.brought)]
            if changed and message_id is not None:
                content = (
                    content.replace(b">1<", b">2<")
                    if service != "meetings"
                    else content.replace(b"SUMMARY:", b"SUMMARY:x")
                )
            self.bring(service, content, partner, message_id)

    def name(self, own):
        self.number += 1
        return f"m{self.number}" if own else None

    def day(self, difference):
        return places.day(self.history.now) + timedelta(days=difference)

    def replay(self, pick, unit, to, again, at_once, fault):
        """Replay packets alone: the story knows no others."""
        super().replay(len(self.history.story.messages) if pick is None else pick, unit, to, again, at_once, fault)

    def serve(self, hours, code, due):
        """A document comes, is fetched at once, and is answered so many hours later."""
        said = {} if due is None else {"due": self.day(due)}
        self.history.take(self.write(("H55.01", "vpub"), ["H55.13"], f"W{self.number}", **said))
        self.fetch("H55.13", 9, 0, "")
        self.work(0, hours, code, 0, "")

    # --- dossiers -----------------------------------------------------------------------------------------------------------

    def stamp(self, difference):
        return None if difference is None else f"{self.day(difference):%Y%m%d}091500"

    def sync(self, unit, told, own, fault):
        """Tell the state of dossiers."""
        states = {}
        for number, status, received, due, ended, returned, channel, requests, says, moments in told:
            handed_in, take_on, sorry, paid = moments
            listed = [
                {
                    name: text
                    for name, text in (
                        ("NgayBoSung", self.stamp(asked)),
                        ("NgayTiepNhanBoSung", self.stamp(answered)),
                        ("NgayHenTraMoi", self.stamp(later)),
                    )
                    if text
                }
                for asked, answered, later in requests
            ]
            states[number] = dossiers.hoso(
                dossier(number),
                MaLinhVuc=FIELDS[(2 * number + len(status) + (ended or 0)) % len(FIELDS)],
                TrangThaiHoSo=status,
                NgayTiepNhan=self.stamp(received),
                NgayHenTra=self.stamp(due),
                NgayKetThucXuLy=self.stamp(ended),
                NgayTra=self.stamp(returned),
                KenhThucHien=channel,
                DanhSachHoSoBoSung=listed or None,
                NgayNop=self.stamp(handed_in),
                HanTiepNhan=self.stamp(take_on),
                NgayThuXinLoi=self.stamp(sorry),
                NgayThanhToan=self.stamp(paid),
                **said_besides(says),
            )
        content = dossiers.sync(*states.values(), organ=unit, message_id=None)
        self.bring("dossiers", content, self.reporter(unit, told), self.name(own), fault)

    @staticmethod
    def reporter(unit, told):
        """Return the partner that tells: at times the one that may send for this unit alone."""
        alone = {"H55.13": "sotttt", "000.00.13.H55": "sotttt", "H55.01": "vpub"}
        return alone.get(unit, "any") if len(told) == 1 else "any"

    def progress(self, unit, told, own, fault):
        """Tell steps of dossiers."""
        steps = [dossiers.tiendo(dossier(number), status, self.stamp(day)) for number, status, day in told]
        self.bring("dossiers", dossiers.progress(*steps, organ=unit), self.reporter(unit, told), self.name(own), fault)

    def declare(self, unit, month, new, late, monthly, own):
        """Declare the numbers of a month."""
        year, number = divmod(self.day(0).year * 12 + self.day(0).month - 1 + month, 12)
        said = {"Month": str(number + 1), "Year": str(year), "IsMonthStatistic": "true" if monthly else "false"}
        said |= {"NewReception": str(new), "SolvedLate": str(late), "OrganizationInchargeIdlevel1": unit}
        self.bring("dossiers", dossiers.statistic(unit, **said), "any", self.name(own))

    def carry(self, hows):
        """Bring what waits for the portal there; *hows*: whether it answers."""
        done = self.history
        for answers in hows:
            done.pass_time(timedelta(seconds=1))
            claim_one = partial(
                claims.claim_deliveries, partner=PORTAL, now=done.now, limit=1, holder=self.nodes[0], lease=LEASE
            )
            for claim in self.commit(claim_one):
                done.pass_time(timedelta(seconds=1))
                outcome = Accepted() if answers else Unavailable("down")
                verdict = lifecycle.judge_outcome(
                    outcome, since=claim.since, now=done.now, delay=DELAY, give_up=GIVE_UP, crashes=claim.crashes
                )
                exchange = AttemptExchange(request_sha256="0" * 64, reply_status=200)
                self.commit(
                    partial(
                        claims.settle_claim,
                        ended=claims.EndedAttempt(
                            claim=claim, outcome=name_outcome(outcome), verdict=verdict, exchange=exchange, now=done.now
                        ),
                    )
                )
        done.news()

    # --- mail ---------------------------------------------------------------------------------------------------------------

    def mail(self, day, since, corrects, usage, own, fault):
        """Tell the figures of a day, or of all days since another; or how they were wrong."""
        figures = "".join(
            f"<Usage><OrganId>{unit}</OrganId>"
            + "".join(f"<{name}>{number}</{name}>" for name, number in told.items())
            + "</Usage>"
            for unit, told in usage.items()
        )
        head = f"<OrganId>{next(iter(usage))}</OrganId><Day>{self.day(day)}</Day>"
        head += f"<Since>{self.day(day - since)}</Since>" if since is not None else ""
        head += "<Correction>đếm sai</Correction>" if corrects else ""
        content = f'<SubmitMailUsage xmlns="urn:lienthong:mail:1">{head}{figures}</SubmitMailUsage>'
        self.bring("mail", content.encode(), "any", self.name(own), fault)

    # --- work items ---------------------------------------------------------------------------------------------------------

    def tell_work(self, unit, told, own, fault):
        """Tell of items that were assigned and done, and of those that got a later due day."""
        items = more_time = ""
        for number, factor, assigned, due, extended, done, officer in told:
            who = f"<Officer>{officer}</Officer>" if officer else ""
            until = f"<Due>{self.day(assigned + due)}</Due>" if due is not None else ""
            later = "".join(
                f'<Extended number="{which}"><Day>{self.day(day)}</Day><Due>{self.day(day + more)}</Due></Extended>'
                for which, (day, more) in enumerate(extended, 1)
            )
            over = f"<Done>{self.day(done)}</Done>" if done is not None else ""
            items += (
                f"<Item><Code>NV{number}</Code><OrganId>{unit}</OrganId>{who}<Kind>k</Kind><Factor>{factor}</Factor>"
                f"<Assigned>{self.day(assigned)}</Assigned>{until}{over}</Item>"
            )
            if later:
                head = f"<Code>NV{number}</Code><OrganId>{unit}</OrganId><Factor>{factor}</Factor>"
                more_time += f"<Item>{head}{later}</Item>"
        content = f'<TellWork xmlns="urn:lienthong:work:1"><OrganId>{unit}</OrganId>{items}</TellWork>'
        self.bring("work", content.encode(), "any", self.name(own), fault)
        if more_time:
            content = f'<JudgeWork xmlns="urn:lienthong:work:1"><OrganId>{unit}</OrganId>{more_time}</JudgeWork>'
            self.bring("work", content.encode(), "any", self.name(own), fault)

    def judge_work(self, unit, told, own, fault):
        """Tell of items that were returned for quality, excused, withdrawn."""
        items = ""
        for number, factor, returned, excused, withdrawn in told:
            back = "".join(
                f'<Returned number="{which}"><Day>{self.day(day)}</Day></Returned>' for which, day in returned.items()
            )
            reason = (
                f"<Excused><Day>{self.day(excused)}</Day><ConfirmedBy>CB-9</ConfirmedBy></Excused>"
                if excused is not None
                else ""
            )
            gone = f"<Withdrawn><Day>{self.day(withdrawn)}</Day></Withdrawn>" if withdrawn is not None else ""
            items += f"<Item><Code>NV{number}</Code><OrganId>{unit}</OrganId><Factor>{factor}</Factor>{back}{reason}{gone}</Item>"
        content = f'<JudgeWork xmlns="urn:lienthong:work:1"><OrganId>{unit}</OrganId>{items}</JudgeWork>'
        self.bring("work", content.encode(), "any", self.name(own), fault)

    # --- meetings -----------------------------------------------------------------------------------------------------------

    def meet(self, uid, method, organizer, people, sequence, begins, rule, drops, apart, place, enclosed, fault):
        """Call, move, cancel or answer a meeting or a series; *place*: one occurrence of what was called before."""
        now = self.history.now
        told = datetime.combine(self.day(begins), time(8, 30), HANOI)
        known = self.meetings.get(uid, [])
        which = known[place % len(known)] if place is not None and len(known) > 1 else None
        step, count = rule
        times = [told + timedelta(days=step * number) for number in range(count)]
        repeated = [f"RRULE:FREQ=DAILY;INTERVAL={step};COUNT={count}"] if count > 1 else []
        repeated += [f"EXDATE:{_utc(times[-1])}"] if count > 1 and drops else []
        alone = [f"RECURRENCE-ID:{_utc(which)}"] if which else repeated
        event = [
            f"UID:{uid}",
            f"SEQUENCE:{sequence}",
            f"DTSTAMP:{_utc(now)}",
            f"DTSTART;TZID=Asia/Ho_Chi_Minh:{told:%Y%m%dT%H%M%S}",
        ]
        people = [f"ATTENDEE;X-LIENTHONG-UNIT={unit};PARTSTAT={answer}:mailto:a@b" for unit, answer in people]
        by = [f"ORGANIZER;X-LIENTHONG-UNIT={organizer}:mailto:c@d" if organizer else "ORGANIZER:mailto:c@d"]
        events = [[*event, *alone, *by, *people, "SUMMARY:họp"]]
        if apart and count > 1 and which is None and method == "REQUEST":
            moved = [*event[:3], f"DTSTART:{_utc(times[0] + timedelta(days=1))}", f"RECURRENCE-ID:{_utc(times[0])}"]
            events.append([*moved, *by, *people, "SUMMARY:họp"])
        if method == "REQUEST" and which is None:
            self.meetings[uid] = times
        lines = [line for each in events for line in ("BEGIN:VEVENT", *each, "END:VEVENT")]
        content = "\r\n".join(["BEGIN:VCALENDAR", f"METHOD:{method}", *lines, "END:VCALENDAR", ""]).encode()
        if enclosed:
            self.enclose("hop.ics", content, "text/calendar", fault)
        else:
            self.bring("meetings", content, "any", self.name(True), fault)

    def enclose(self, name, content, kind, fault):
        """Bring something in a packet."""
        who = ("H55.13", "sotttt")
        made = self.write(who, ["H55.01"], f"E{self.number}", attachments=((name, content),), content_type=kind)
        self.history.take(made, fault=fault)

    # --- incidents ----------------------------------------------------------------------------------------------------------

    def incident(self, unit, number, severity, closed, minutes, stamped, report, fault):
        """Tell of an incident that opened or closed, by a monitoring system or in a packet."""
        when = self.history.now - timedelta(minutes=minutes)
        if report:
            state, at = ("closed", "ClosedAt") if closed else ("open", "OpenedAt")
            grave = ["emergency", "alert", "critical", "error", "warning"][severity]
            content = (
                f'<IncidentReport xmlns="urn:lienthong:incident:1"><Id>SC{number}</Id><State>{state}</State>'
                f"<Class>virus</Class><Severity>{grave}</Severity><Unit>{unit}</Unit>"
                f"<{at}>{when.astimezone(HANOI).isoformat()}</{at}></IncidentReport>"
            )
            self.enclose("su-co.xml", content.encode(), "application/xml", fault)
            return
        said = f'id="SC{number}" unit="{unit}"' + (' state="closed"' if closed else "")
        head = f"<{13 * 8 + severity}>1 {when.isoformat() if stamped else '-'} may edr - - "
        self.bring("incidents", f"{head}[incident@32473 {said}] mã độc".encode(), fault=fault)

    # --- lookups, links, reports --------------------------------------------------------------------------------------------

    def look_up(self, unit, operation, key, refused, own):
        """Ask, or order, something; what was refused or not answered is no result."""
        named = (
            f"<Key>{key}</Key>"
            if operation in ("OrderPostalReturn", "RegisterCivilStatus", "RequestJudicialRecord")
            else ""
        )
        content = (
            f'<Lookup xmlns="urn:lienthong:lookups:1"><Operation>{operation}</Operation><OrganId>{unit}</OrganId>'
            f"<Officer>an</Officer><Purpose>p</Purpose>{named}<Question>{self.number:064x}</Question></Lookup>"
        )
        self.bring("lookups", content.encode(), "any", self.name(own), problems=(Problem("lookup-refused"),) * refused)

    def see_links(self, day, links):
        """Write what nodes saw of a day's links."""
        said = "".join(
            f'<Link name="{name}" place="x:1">'
            + "".join(f"<Unit>{unit}</Unit>" for unit in units)
            + "".join(f'<Node name="n{i}" probed="{p | u:x}" up="{u:x}"></Node>' for i, (p, u) in enumerate(nodes))
            + "</Link>"
            for name, (units, nodes) in links.items()
        )
        on = self.day(day)
        content = f'<Links xmlns="urn:lienthong:links:1" day="{on}" province="H55">{said}</Links>'
        self.bring("links", content.encode(), HUB, f"links/{on}")

    def hand_in(self, form, unit, period, revision):
        """Hand in a report; what it says is not this test's."""
        content = (
            f'<Report xmlns="urn:lienthong:report:1" revision="{revision}"><Form id="{form}"></Form>'
            f'<Period text="{period}"></Period><Total unit="{unit}"></Total></Report>'
        )
        self.bring("reports", content.encode(), HUB, f"reports/{form}/{unit}/{period}/{revision}")

    def hear_verdict(self, form, unit, period, revision, result, own):
        """Say what became of a report."""
        content = (
            f'<Verdict xmlns="urn:lienthong:verdict:1" form="{form}" unit="{unit}" period="{period}" '
            f'revision="{revision}" result="{result}" by="{PORTAL}"></Verdict>'
        )
        self.bring("verdicts", content.encode(), "any", self.name(own))

    # --- months -------------------------------------------------------------------------------------------------------------

    def night(self):
        """Let the hub do what it does each night: take up what came late, and close the months that are over."""
        self.history.pass_time(timedelta(milliseconds=1))
        books, now = Books(self.history.engine), self.history.now
        end = MonthEnd(cast("Any", books), cast("Any", None), lambda: now, office.book)
        with pytest.raises(StopIteration):
            end.run_once().send(None)
        assert end._done is not None, "the night's work failed"
        self.history.news()

    def close(self, form):
        """A person closes the next month of a form, if it is over."""
        self.history.pass_time(timedelta(milliseconds=1))
        book = office.book()
        with transactions.read_transaction(self.history.engine) as tx:
            found = closing_plan.find_next_month_to_close(tx, book, form)
        if found and self.history.now >= closing_plan.find_earliest_closing_time(found[1]):
            self.commit(
                partial(closing.close_month, book=book, form=form, period=found[1], now=self.history.now, by="an")
            )
            self.history.news()

    def look(self, form, back):
        """Somebody looks at a report in between."""
        known = list(begun(self.history.now))
        Cells(self.history).check(form, known[-1 - back % len(known)])

    def rest(self):
        """Do nothing."""

    def wait_days(self, days):
        self.history.pass_time(timedelta(days=days))


@attrs.frozen
class Books:
    """A journal for what reads and writes it without a reactor."""

    engine: sa.Engine

    async def read(self, step, *args, **named):
        with transactions.read_transaction(self.engine) as tx:
            return step(tx, *args, **named)

    async def read_report(self, _reader, step, *args, **named):
        return await self.read(step, *args, **named)

    async def write(self, step, *args, **named):
        with transactions.write_transaction(self.engine) as tx:
            return step(tx, *args, **named)


def _utc(when):
    return f"{when.astimezone(UTC):%Y%m%dT%H%M%SZ}"
