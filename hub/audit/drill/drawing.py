"""Draws the plan of a drill from a seed: every trap at least once, the rest at random.

The same arguments give the same plan. Knows what may happen to documents, dossiers and mail; counts nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import attrs

from hub.audit.drill import writing
from hub.audit.drill.plan import Does, DrillPlan, DrillStep, DrillUnit, Life, Trap

#: Documents, and likewise dossiers, that are drawn beside the traps.
USUAL = 6
SERVICES = ("documents", "meetings", "incidents", "dossiers", "mail", "work")
_FIGURES = ("AccountsIssued", "AccountsActive", "SentInternal", "SentExternal", "ReceivedInternal", "ReceivedExternal")
_MORE_FIGURES = ("RefusedSize", "OverQuota", "OfficialDocuments")
_CHANNELS = {"direct": "1", "online": "2", "post": "3"}
_LEVELS = {"full": "4", "partial": "3", "other": "2"}
_FIELDS = (("DT1", "Lĩnh vực thử một"), ("DT2", "Lĩnh vực thử hai"))
#: Working days in which a report is due, by its form (Circular 01/2020/TT-VPCP for II.06a).
DUE_DAYS = {"ii06a": 2}

Sign = Callable[[bytes], bytes]


def name_drill(seed: int) -> str:
    """Return the part of the codes of the units of the drill *seed*: K and two characters."""
    signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return f"K{signs[seed // 36 % 36]}{signs[seed % 36]}"


def make_units(name: str, province: str) -> tuple[DrillUnit, ...]:
    """Return the test units of the drill *name*: a root, two below it, and one below the first of these."""
    root = f"{province}.{name}"
    return (
        DrillUnit(root, f"Diễn tập {name}"),
        DrillUnit(f"{root}.1", f"Đơn vị thử {name}.1", root, f"{root}.A1"),
        DrillUnit(f"{root}.1.1", f"Đơn vị thử {name}.1.1", f"{root}.1"),
        DrillUnit(f"{root}.2", f"Đơn vị thử {name}.2", root, f"{root}.A2"),
    )


def find_period(today: date, cut_off: int = 15) -> tuple[str, date, date]:
    """Return the name, the first and the last day of the month of reports with *today*, which ends before day *cut_off*.

    *cut_off* 1: the calendar month.
    """
    last = (today.replace(day=1) if cut_off == 1 else today) + timedelta(days=0)
    if cut_off == 1 or today.day >= cut_off:
        last = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    last = last.replace(day=cut_off) - timedelta(days=1)
    before = (last + timedelta(days=1)).replace(day=1) - timedelta(days=1)
    return f"{last:%Y-%m}", before.replace(day=cut_off), last


def draw_plan(
    seed: int,
    *,
    province: str,
    today: date,
    sign: Sign,
    cut_off: int = 15,
    days_off: Iterable[date] = (),
    days_on: Iterable[date] = (),
    services: Collection[str] = SERVICES,
    usual: int = USUAL,
) -> DrillPlan:
    """Draw the plan of the drill *seed* for *today*, in the month of reports that contains it.

    *sign*: returns a packet with the inspector's own signature. *days_off*: holidays behind the period, *days_on*: days of
    weekends that are worked. *usual*: see
    `USUAL`.
    """
    name = name_drill(seed)
    period, first, last = find_period(today, cut_off)
    units = make_units(name, province)
    draw = _Drawing(Random(seed), name, units, first, today, sign, usual)  # noqa: S311 - to be repeated, not secret
    deeds = (draw.documents, draw.meetings, draw.incidents, draw.dossiers, draw.mail, draw.work)
    for service, deed in zip(SERVICES, deeds, strict=True):
        if service in services:
            deed()
            if service in ("meetings", "incidents"):
                draw.fetch_for(units[0])  # to whom they were sent
    return DrillPlan(
        name=name,
        seed=seed,
        province=province,
        period=period,
        first=first,
        last=last,
        today=today,
        units=units,
        steps=tuple(draw.steps),
        lives=tuple(draw.lives),
        days_off=tuple(sorted(days_off)),
        days_on=tuple(sorted(days_on)),
        due_days=DUE_DAYS,
    )


@attrs.define
class _Drawing:
    random: Random
    name: str
    units: Sequence[DrillUnit]
    first: date
    today: date
    sign: Sign
    usual: int
    steps: list[DrillStep] = attrs.field(factory=list)
    lives: list[Life] = attrs.field(factory=list)
    papers: int = 0

    # --- steps

    def add(self, **said: Any) -> DrillStep:
        step = DrillStep(number=len(self.steps) + 1, **{"does": Does.SEND, **said})
        if not step.message_id and step.does is Does.SEND:
            step = attrs.evolve(step, message_id=f"{self.name}-{step.number:04}")
        if step.service != "documents" and step.trap is not Trap.REPEAT:
            step = attrs.evolve(step, octets=writing.add_message_id(step.octets, step.message_id))
        self.steps.append(step)
        return step

    def repeat(self, step: DrillStep) -> None:
        """Send the same message again, under its id."""
        self.steps.append(attrs.evolve(step, number=len(self.steps) + 1, trap=Trap.REPEAT))

    def ago(self, days: int) -> date:
        return self.today - timedelta(days=days)

    def written(self, unit: DrillUnit) -> tuple[str, Trap]:
        """Return a code of *unit*: its own, or sometimes its alias."""
        if unit.alias and self.random.random() < 0.3:
            return unit.alias, Trap.ALIAS
        return unit.code, Trap.NONE

    # --- documents

    def document(self, sender: str, to: Sequence[str], **said: Any) -> DrillStep:
        """Send a document, a recall, an update or a replacement."""
        self.papers += 1
        kind, signed = said.pop("kind", writing.NEW), said.pop("signed", bool(self.papers % 2))
        rules = {name: said.pop(name) for name in ("trap", "refusal", "message_id") if name in said}
        fields: dict[str, Any] = {"document_id": f"{self.name}.D{self.papers}", "number": str(self.papers)}
        fields |= {"promulgated": self.today, "subject": f"Diễn tập {self.name}: văn bản {self.papers}"} | said
        octets = writing.write_document(sender, to, kind=kind, **fields)
        said.pop("attachments", None)
        told = {"kind": kind, "to": [*to], "document": fields["document_id"], "number": fields["number"]}
        told |= {"promulgated": fields["promulgated"].isoformat(), "paper": said.get("paper", False), "signed": signed}
        told |= {"due": said["due"].isoformat() if said.get("due") else "", "about": said.get("about", "")}
        told |= {"replaced": [*said.get("replaced", ())]}
        octets = self.sign(octets) if signed else octets
        return self.add(operation="SendDocument", unit=sender, octets=octets, said=told, **rules)

    def status(self, sender: str, code: str, of: DrillStep, trap: Trap = Trap.NONE, organ: str = "") -> DrillStep:
        """Tell what became of a document."""
        promulgated = date.fromisoformat(of.said["promulgated"])
        written = organ or of.unit
        octets = writing.write_status(sender, code, written, of.said["document"], of.said["number"], promulgated)
        told = {"code": code, "organ": written, "document": of.said["document"]}
        return self.add(operation="UpdateTraces", unit=sender, octets=octets, said=told, trap=trap)

    def fetch(self) -> None:
        for unit in self.units:
            self.fetch_for(unit)

    def fetch_for(self, unit: DrillUnit) -> None:
        self.add(does=Does.FETCH, operation="ConfirmReceived", unit=unit.code)

    def documents(self) -> None:
        root, one, below, two = self.units
        yesterday, before = self.ago(1), self.first - timedelta(days=3)
        overdue = self.document(one.alias, [two.code], due=yesterday, trap=Trap.ALIAS)
        today = self.document(two.code, [one.alias], due=self.today, trap=Trap.ALIAS, paper=True)
        late = self.document(below.code, [two.code], due=yesterday, signed=True)
        on_time = self.document(two.code, [below.code, root.code], due=self.today, promulgated=before, trap=Trap.BEFORE)
        refused = self.document(one.code, [two.code], due=yesterday)
        ordered = self.document(root.code, [one.code, two.code])
        working = self.document(one.code, [below.code], due=self.ago(-5))
        self.repeat(overdue)
        same = {"document_id": late.said["document"], "number": late.said["number"], "subject": "Diễn tập: gửi lại"}
        self.document(below.code, [two.code], due=yesterday, signed=True, trap=Trap.AGAIN, **same)
        self.document(one.code, [two.code], message_id=today.message_id, refusal="id-reused", trap=Trap.REUSED)
        unknown = f"{root.code}.9"
        wrong = self.document(two.code, [unknown], refusal="drill-mixed", trap=Trap.REFUSED)
        self.document(two.code, [one.code], message_id=wrong.message_id, trap=Trap.CORRECTED)
        for _ in range(self.usual):
            self.usual_document()
        self.stopped_documents(one, two, below)
        self.fetch()
        held = self.document(two.code, [root.code], trap=Trap.NONE)
        self.fetch()
        self.document(two.code, [root.code], kind=writing.RECALL, about=held.said["document"])
        self.document(one.code, [below.code], kind=writing.UPDATE, about=working.said["document"], signed=False)
        self.status(two.code, "03", overdue)
        self.status(two.alias, "03", overdue, Trap.AGAIN)
        self.status(one.code, "03", today, organ=two.alias, trap=Trap.ALIAS)
        for code in ("03", "06"):
            self.status(two.code, code, late)
            self.status(below.code, code, on_time)
        self.status(two.code, "02", refused)
        for code in ("03", "06", "04"):
            self.status(one.code, code, ordered, Trap.ORDER)
        for code in ("05", "03"):
            self.status(two.code, code, ordered, Trap.ORDER)
        self.status(below.code, "04", working)
        self.status(below.code, "06", overdue, Trap.UNMATCHED)
        self.status(root.code, "03", working, Trap.UNMATCHED)
        self.fetch()

    def enclose(self, sender: str, to: str, name: str, content: bytes, **told: Any) -> DrillStep:
        """Send a document with an attachment that is counted, too. *told*: what the attachment says."""
        rules: dict[str, Any] = {"trap": told.pop("trap")} if "trap" in told else {}
        kind = "text/calendar" if name.endswith(".ics") else "text/xml"
        step = self.document(sender, [to], attachments=((name, kind, content),), **rules)
        self.steps[-1] = attrs.evolve(step, said={**step.said, **told})
        return self.steps[-1]

    def meetings(self) -> None:
        """Call meetings, move and cancel some, and answer."""
        _, one, below, two = self.units
        before = (self.today - self.first).days + 3  # three days before the period
        told = [  # meeting, method, revision, days ago, of whom, who answers, how
            ("M1", "REQUEST", 0, 2, one.code, "", ""),
            ("M1", "REQUEST", 0, 2, one.alias, "", ""),  # again, under another code
            ("M2", "REQUEST", 0, -3, below.code, "", ""),  # has not been
            ("M3", "REQUEST", 0, 3, two.code, "", ""),
            ("M3", "REQUEST", 1, -5, two.code, "", ""),  # moved
            ("M4", "REQUEST", 0, 1, two.code, "", ""),
            ("M4", "CANCEL", 1, 1, two.code, "", ""),
            ("M5", "REQUEST", 0, before, one.code, "", ""),
            ("M6", "CANCEL", 1, 4, below.code, "", ""),  # the newer first
            ("M6", "REQUEST", 0, 4, below.code, "", ""),
            ("M7", "REQUEST", 0, 0, two.code, "", ""),  # today: not over
            ("M1", "REPLY", 0, 2, one.code, two.code, "ACCEPTED"),
            ("M1", "REPLY", 0, 2, one.code, two.alias, "ACCEPTED"),
            ("M1", "REPLY", 0, 2, one.code, below.code, "DECLINED"),
            ("M1", "REPLY", 0, 2, one.code, two.code, "X-ATTENDED"),
            ("M2", "REPLY", 0, -3, below.code, one.code, "ACCEPTED"),
        ]
        for name, method, revision, age, unit, attendee, answer in told:
            uid, day = f"{self.name}-{name}", self.ago(age)
            content = writing.write_calendar(method, uid, revision, day, unit, attendee=attendee, answer=answer)
            teller, other = (attendee or unit), self.units[0].code
            meeting = {"method": method, "uid": uid, "revision": revision, "day": day.isoformat(), "unit": unit}
            meeting |= {"attendee": attendee, "answer": answer}
            alias = teller in (one.alias, two.alias)
            self.enclose(teller, other, "lich.ics", content, meeting=meeting, **({"trap": Trap.ALIAS} if alias else {}))

    def incidents(self) -> None:
        """Open incidents, and close some."""
        _, one, below, two = self.units
        begun = datetime(self.today.year, self.today.month, self.today.day, 1, tzinfo=UTC) - timedelta(days=1)
        hours = self.random.randint(1, 9)
        told = [  # incident, unit, severity, closed after so many hours; None: opened
            ("S1", one.code, "critical", None),
            ("S1", one.code, "critical", hours),
            ("S1", one.alias, "critical", None),  # again
            ("S2", below.code, "warning", None),
            ("S3", two.code, "alert", 2 * hours),  # closed before it was opened
            ("S3", two.code, "alert", None),
            ("S4", two.code, "error", None),
        ]
        for name, unit, severity, closed in told:
            at = begun if closed is None else begun + timedelta(hours=closed)
            said: dict[str, Any] = {"opened": at} if closed is None else {"closed": at}
            content = writing.write_incident(f"{self.name}-{name}", unit, severity, **said)
            incident = {"id": f"{self.name}-{name}", "unit": unit, "severity": severity, "state": next(iter(said))}
            incident |= {"at": at.isoformat()}
            alias = {"trap": Trap.ALIAS} if unit == one.alias else {}
            self.enclose(unit, self.units[0].code, "su-co.xml", content, incident=incident, **alias)

    def stopped_documents(self, one: DrillUnit, two: DrillUnit, below: DrillUnit) -> None:
        """Recall and replace documents that nobody has fetched yet."""
        recalled = self.document(one.code, [two.code], due=self.ago(1))
        self.document(one.code, [two.code], kind=writing.RECALL, about=recalled.said["document"], trap=Trap.RECALL)
        old = self.document(below.code, [one.code])
        self.document(
            below.code, [one.code], kind=writing.REPLACEMENT, replaced=[old.said["document"]], trap=Trap.RECALL
        )

    def usual_document(self) -> None:
        sender, *others = self.random.sample(self.units, 3)
        to = others[: self.random.randint(1, 2)]
        code, trap = self.written(sender)
        due = self.random.choice([None, self.ago(2), self.ago(1), self.today, self.ago(-1)])
        promulgated = self.ago(self.random.randint(0, 20))
        paper = self.random.random() < 0.3
        step = self.document(
            code,
            [self.written(each)[0] for each in to],
            due=due,
            paper=paper,
            promulgated=promulgated,
            signed=self.random.random() < 0.4,
            trap=trap,
        )
        if self.random.random() < 0.3:
            self.repeat(step)

    # --- dossiers

    def dossier(self, unit: str, age: int, due: int, **said: Any) -> Life:
        """Return a dossier received *age* days ago and due *due* days after that. Other days count from the receipt."""
        received = self.ago(age)
        days = {
            name: received + timedelta(days=said.pop(name))
            for name in ("ended", "asked", "answered", "since", "returned", "paid", "apologised")
            if name in said
        }
        number = len(self.lives) + 1
        channel = said.pop("channel", self.random.choice([*_CHANNELS]))
        level = self.random.choice([*_LEVELS]) if channel == "online" else ""
        elsewhere = self.random.random() < 0.2
        fields: dict[str, Any] = {"channel": channel, "level": level, "elsewhere": elsewhere} | days | said
        life = Life(
            code=f"{unit}-{received:%y%m%d}-{number:04}",
            unit=unit,
            received=received,
            due=received + timedelta(days=due),
            **fields,
        )
        self.lives.append(life)
        return life

    def tell(self, unit: str, *states: Mapping[str, object], told: Sequence[Life] = (), **rules: Any) -> DrillStep:
        """Send the states of dossiers, which are of the lives *told*."""
        octets = writing.write_dossier_states(unit, states)
        step = self.add(service="dossiers", operation="SyncDossiers", unit=unit, octets=octets, **rules)
        if not step.refusal:
            self.note(step, told)
        return step

    def progress(self, unit: str, life: Life, status: str, day: date, **rules: Any) -> DrillStep:
        """Send a step of work on a dossier."""
        fields = {
            "MaHoSo": life.code,
            "NguoiXuLy": "Diễn tập",
            "ThoiDiemXuLy": _write_day_start(day),
            "TrangThai": status,
        }
        octets = writing.write_call("dossiers", "UpdateDossierProgress", unit, [("TienDo", fields)])
        step = self.add(service="dossiers", operation="UpdateDossierProgress", unit=unit, octets=octets, **rules)
        self.note(step, [life])
        return step

    def note(self, step: DrillStep, told: Sequence[Life]) -> None:
        codes = {life.code for life in told}
        self.lives = [
            attrs.evolve(life, steps=(*life.steps, step.number)) if life.code in codes else life for life in self.lives
        ]

    def tell_dossiers(self, drawn: Sequence[tuple[str, Life, str]]) -> None:
        """Tell of each dossier, with its status and unit, as the system of its unit does."""
        for status, made, code in drawn:
            if made.end == "refused":
                self.tell(code, self.state(made, "2"), told=[made])
            if made.waits == "paused" or (made.ended and self.random.random() < 0.5 and made.end == "done"):
                self.tell(code, self.state(made, "2"), told=[made])
            if made.waits == "paused":
                assert made.since is not None
                self.progress(code, made, status, made.since)
                continue
            step = self.tell(code, self.state(made, status), told=[made])
            if self.random.random() < 0.2:
                self.repeat(step)

    def dossiers(self) -> None:
        _, one, below, two = self.units
        far = (self.today - self.first).days + 3  # three days before the period
        plain: list[tuple[str, Life, str]] = []

        def life(status: str, unit: DrillUnit, age: int, due: int, **said: Any) -> Life:
            made = self.dossier(unit.code, age, due, **said)
            plain.append((status, made, unit.code))
            return made

        life("9", below, 4, 4, ended=3, end="done")  # the day before it is due
        life("9", below, 4, 3, ended=3, end="done")  # on the day
        life("9", two, 4, 2, ended=3, end="done")  # the day after
        life("10", two, 5, 4, ended=2, end="done", returned=3, result=True, digitised=True)
        life("4", two, 3, 3)  # due today
        life("4", below, 3, 2)  # due yesterday
        life("2", one, 0, 5, charged=True, paid_online=True, paid=0, channel="online")
        life("2", two, 3, 5, charged=True, paid_directly=True, paid=1)
        life("9", two, 6, 3, ended=5, end="done", apologised=4)  # late, with a letter of apology
        life("4", one, 6, 3, apologised=4)  # overdue, with one
        life("2", one, 1, 9, charged=True)
        life("7", below, 4, 5, ended=2, end="withdrawn")
        life("3", two, 2, 3, ended=1, end="refused")
        life("8", two, 4, 2, waits="paused", since=1)
        life("5", below, 6, 4, waits="papers", since=1, asked=1)
        life("9", one, 7, 5, asked=1, answered=3, ended=5, end="done")
        life("4", one, 8, 6, asked=1, answered=4, reused=True)
        life("9", two, far, 1, ended=far - 1, end="done")
        life("4", below, far, far + 3)
        life("9", below, far, 2, ended=1, end="done")
        for _ in range(self.usual):
            unit = self.random.choice([one, below, two])
            age, due = self.random.randint(0, 9), self.random.randint(0, 6)
            if self.random.random() < 0.5:
                life("9", unit, age, due, ended=self.random.randint(0, age), end="done")
            else:
                life("4", unit, age, due, from_store=self.random.random() < 0.5, identified=self.random.random() < 0.5)
        self.random.shuffle(plain)
        self.tell_dossiers(plain)
        self.odd_dossiers(one, two, below)
        self.statistics()

    def odd_dossiers(self, one: DrillUnit, two: DrillUnit, below: DrillUnit) -> None:
        """Dossiers that are told in another order, twice, wrongly, or not at all."""
        done = self.dossier(two.code, 6, 5, ended=4, end="done", by_step=True)
        self.tell(two.code, self.state(done, "2"), told=[done])
        self.progress(two.code, done, "9", _assert_day(done.ended))
        first = self.dossier(below.code, 6, 5, ended=2, end="done", by_step=True)
        self.progress(below.code, first, "9", _assert_day(first.ended), trap=Trap.ORDER)
        self.tell(below.code, self.state(first, "2"), told=[first], trap=Trap.ORDER)
        again = self.dossier(two.code, 5, 5, ended=2, end="done")
        for status in ("2", "9", "9", "10"):
            self.tell(two.code, self.state(again, status), told=[again], trap=Trap.AGAIN)
        self.lives = [
            attrs.evolve(each, returned=each.ended) if each.code == again.code else each for each in self.lives
        ]
        alias = self.dossier(one.code, 3, 6)
        self.tell(one.alias, self.state(alias, "4"), told=[alias], trap=Trap.ALIAS)
        wrong = self.dossier(below.code, 7, 4, ended=6, end="done")
        self.tell(below.code, self.state(attrs.evolve(wrong, due=self.ago(-9)), "9"), told=[wrong])
        self.tell(below.code, self.state(wrong, "9"), told=[wrong], trap=Trap.CORRECTED)
        counter = attrs.evolve(self.dossier(two.code, 2, 3, end="refused"), received=None, ended=self.ago(2))
        self.lives[-1] = counter
        self.tell(two.code, self.state(attrs.evolve(counter, received=self.ago(2)), "3"), told=[counter])
        never = self.dossier(two.code, 4, 4)
        self.tell(two.code, self.state(never, "99"), refusal="R.HoSo", trap=Trap.REFUSED)
        self.lives = [each for each in self.lives if each.code != never.code]
        for days in (1, 3):  # handed in, and waiting to be taken on: overdue, and in time
            waiting = attrs.evolve(
                self.dossier(below.code, 3, 9),
                registered=self.ago(3),
                take_on=self.ago(3 - days),
                received=None,
                due=None,
            )
            self.lives[-1] = waiting
            shown = attrs.evolve(waiting, received=self.ago(3), due=self.ago(-6))
            self.tell(below.code, self.state(shown, "1"), told=[waiting])
        late = self.dossier(one.code, 5, 3)
        bad = self.tell(one.code, self.state(late, "99"), refusal="R.HoSo", trap=Trap.REFUSED)
        self.tell(one.code, self.state(late, "4"), told=[late], message_id=bad.message_id, trap=Trap.CORRECTED)

    def state(self, life: Life, status: str) -> Mapping[str, object]:
        """Return the HoSo of *life*, as far as a dossier of this *status* has come."""
        over = status in ("3", "7", "9", "10")
        field, name = _FIELDS[int(life.code[-1]) % 2]
        said: dict[str, object] = {
            "MaHoSo": life.code,
            "MaTTHC": "1.005129",
            "TenTTHC": "Thủ tục thử",
            "MaLinhVuc": field,
            "TenLinhVuc": name,
            "ChuHoSo": "Diễn tập",
            "LoaiDoiTuong": "1",
            "NgayTiepNhan": _write_day_start(_assert_day(life.received)),
            "NgayHenTra": _write_day_start(_assert_day(life.due)),
            "TrangThaiHoSo": status,
            "DonViXuLy": "Bộ phận thử",
            "NgayKetThucXuLy": _write_day_start(life.ended) if over and life.ended else None,
            "NgayTra": _write_day_start(life.returned) if status == "10" and life.returned else None,
            "KenhThucHien": _CHANNELS[life.channel],
            "DanhSachLePhi": {"Gia": "1000"} if life.charged else None,
            "DuocThanhToanTrucTuyen": "1" if life.paid_online else None,
            "HoSoCoThanhPhanSoHoa": "1" if life.reused else None,
            "TaiKhoanDuocXacThucVoiVNeID": "1" if life.identified else None,
            "TrangThaiThanhToan": "1" if life.paid_directly else None,
            "NgayThanhToan": _write_day_start(life.paid) if life.paid else None,
            "NgayNop": _write_day_start(life.registered) if life.registered else None,
            "HanTiepNhan": _write_day_start(life.take_on) if life.take_on else None,
            "MucDoTrucTuyen": _LEVELS.get(life.level),
            "PhiDiaGioi": "1" if life.elsewhere else None,
            "NgayThuXinLoi": _write_day_start(life.apologised) if life.apologised else None,
        }
        papers = {"DuocLayTuKhoDMQG": "1"} if life.from_store else {}
        if life.digitised:
            papers = {"DuongDanTaiTepTin": "https://dientap.example/giay-to", **papers}
        if papers:
            said["TaiLieuNop"] = papers
        if life.result and over:
            said["DanhSachGiayToKetQua"] = {"DuongDanTepTinKetQua": "https://dientap.example/ket-qua"}
        if life.asked:
            request = {"HoSoBoSungId": f"{life.code}-1", "NgayBoSung": _write_day_start(life.asked)}
            if life.answered:
                request |= {
                    "NgayTiepNhanBoSung": _write_day_start(life.answered),
                    "NgayHenTraMoi": _write_day_start(_assert_day(life.due)),
                }
            said["DanhSachHoSoBoSung"] = request
        return said

    def statistics(self) -> None:
        """Declare a calendar month that begins in the period, then declare it again with other numbers."""
        month = self.today.replace(day=1)
        if month < self.first:
            return
        _, one, _, two = self.units
        for unit, numbers in ((one, (40, 28, 2)), (two, (7, 5, 1)), (one, (43, 30, 3))):
            received, in_time, late = numbers
            said = {"received": received, "finished": in_time + late, "month": month.isoformat()}
            trap = Trap.CORRECTED if numbers == (43, 30, 3) else Trap.NONE
            fields = {**_STATISTIC, "Month": month.month, "Year": month.year, "NewReception": received}
            fields |= {"SolvedInTime": in_time, "SolvedLate": late, "OrganizationInchargeIdlevel1": unit.code}
            octets = writing.write_call("dossiers", "SubmitStatistic", unit.code, [("MStatistic", fields)])
            self.add(
                service="dossiers", operation="SubmitStatistic", unit=unit.code, octets=octets, said=said, trap=trap
            )

    # --- mail

    def mail(self) -> None:
        _, one, below, two = self.units
        days = [self.today, self.ago(1), self.ago(2)]
        for unit in (one, below, two):
            steps = [self.usage(unit.code, day, self.figures(0, 60)) for day in days]
            self.repeat(steps[-1])
        self.usage(two.code, days[0], self.figures(0, 60), trap=Trap.AGAIN)
        self.usage(one.alias, days[1], self.figures(-9, 9), correction=True, trap=Trap.CORRECTED)
        self.usage(two.code, self.first - timedelta(days=2), self.figures(1, 60), trap=Trap.BEFORE)
        self.usage(two.code, self.ago(-2), self.figures(0, 60), refusal="R.Day", trap=Trap.REFUSED)

    def figures(self, least: int, most: int) -> Mapping[str, int]:
        return {name: self.random.randint(least, most) for name in (*_FIGURES, *_MORE_FIGURES)}

    def usage(
        self, unit: str, day: date, figures: Mapping[str, int], *, correction: bool = False, **rules: Any
    ) -> DrillStep:
        parts: list[tuple[str, object]] = [("Day", day.isoformat())]
        if correction:
            parts.append(("Correction", "Diễn tập"))
        octets = writing.write_call("mail", "SubmitMailUsage", unit, [*parts, ("Usage", {"OrganId": unit, **figures})])
        said = {"day": day.isoformat(), "correction": correction, "figures": dict(figures)}
        return self.add(service="mail", operation="SubmitMailUsage", unit=unit, octets=octets, said=said, **rules)

    # --- work items

    def work(self) -> None:
        """Assign work items, do them, and judge them."""
        root, one, below, two = self.units
        far = (self.today - self.first).days + 4  # four days before the period
        wanted: list[tuple[DrillUnit, str, int, dict[str, int]]] = [
            (one, "1", 6, {"due": 5, "done": 5}),  # on the day
            (one, "1.5", 6, {"due": 3, "done": 4}),  # the day after
            (below, "2", 5, {"due": 4, "done": 3}),  # the day before
            (two, "0.75", 4, {"due": 4}),  # due today
            (two, "1", 4, {"due": 3}),  # due yesterday
            (below, "3", 6, {"due": 2, "done": 5}),  # late, and excused
            (below, "1", 6, {"due": 3}),  # overdue, and excused
            (one, "2.5", 5, {}),  # without a due day
            (two, "1.25", far, {"due": far, "done": far}),
            (two, "1", far, {"due": 2, "done": 2}),
            (one, "4", 6, {"due": 1, "done": 4}),  # late, but extended in time
        ]
        for _ in range(self.usual):
            age = self.random.randint(0, 9)
            days = {"due": self.random.randint(0, 9)}
            if self.random.random() < 0.5:
                days["done"] = self.random.randint(0, age)
            factor = self.random.choice(["0.5", "1", "1.75", "2"])
            wanted.append((self.random.choice([one, below, two]), factor, age, days))
        for number, (unit, factor, age, days) in enumerate(wanted, 1):
            assigned = self.ago(age)
            item: dict[str, Any] = {
                "Code": f"{self.name}.V{number}",
                "OrganId": unit.code,
                "Officer": f"CB-{number % 3}",
            }
            item |= {"Kind": "thu", "Factor": factor, "Assigned": assigned.isoformat()}
            item |= {name.capitalize(): (assigned + timedelta(days=days[name])).isoformat() for name in days}
            before = far in (age, age - 1)
            if "Done" in item and self.random.random() < 0.6:
                self.tell_work(root.code, {name: item[name] for name in item if name != "Done"})
            step = self.tell_work(root.code, item, trap=Trap.BEFORE if before else Trap.NONE)
            if self.random.random() < 0.2:
                self.repeat(step)
        self.judge_work(root, one, below, two)

    def judge_work(self, root: DrillUnit, one: DrillUnit, below: DrillUnit, two: DrillUnit) -> None:
        """Return items for quality, give more time, excuse, withdraw, and tell of others again, wrongly, or under another code."""
        name, day = self.name, self.ago(1).isoformat()
        returned = [{"number": number, "Day": day} for number in range(1, 6)]
        self.judge(root.code, {"Code": f"{name}.V1", "OrganId": one.code, "Factor": "1", "Returned": returned[:1]})
        self.judge(
            root.code,
            {"Code": f"{name}.V1", "OrganId": one.code, "Factor": "1", "Returned": returned[:1]},
            trap=Trap.AGAIN,
        )
        self.judge(root.code, {"Code": f"{name}.V2", "OrganId": one.code, "Factor": "1.5", "Returned": returned})
        later = [{"number": 1, "Day": self.ago(5).isoformat(), "Due": self.ago(2).isoformat()}]
        self.judge(root.code, {"Code": f"{name}.V11", "OrganId": one.code, "Factor": "4", "Extended": later})
        excused = {"Day": day, "ConfirmedBy": "CB-9"}
        for code, factor in (("V6", "3"), ("V7", "1")):
            self.judge(
                root.code, {"Code": f"{name}.{code}", "OrganId": below.code, "Factor": factor, "Excused": excused}
            )
        wrong = {"Code": f"{name}.W1", "OrganId": two.code, "Kind": "thu", "Factor": "9"}
        wrong |= {"Assigned": self.ago(3).isoformat(), "Due": self.ago(2).isoformat()}
        self.tell_work(root.code, wrong)
        withdrawn = {"Code": f"{name}.W1", "OrganId": two.code, "Factor": "9", "Withdrawn": {"Day": day}}
        self.judge(root.code, withdrawn, trap=Trap.CORRECTED)
        again = {**wrong, "Code": f"{name}.W2", "Factor": "1"}
        self.tell_work(one.alias, {**again, "OrganId": two.alias}, trap=Trap.ALIAS)
        self.tell_work(root.code, {**again, "Factor": "5", "Assigned": self.ago(9).isoformat()}, trap=Trap.AGAIN)
        bad = {**wrong, "Code": f"{name}.W3", "Factor": "0"}
        self.tell_work(root.code, bad, refusal="contract-broken", trap=Trap.REFUSED)

    def tell_work(self, teller: str, item: Mapping[str, Any], **rules: Any) -> DrillStep:
        order = ("Code", "OrganId", "Officer", "Kind", "Factor", "Assigned", "Due", "Done")
        return self.item("TellWork", teller, {name: item[name] for name in order if name in item}, **rules)

    def judge(self, teller: str, item: Mapping[str, Any], **rules: Any) -> DrillStep:
        return self.item("JudgeWork", teller, item, **rules)

    def item(self, operation: str, teller: str, item: Mapping[str, Any], **rules: Any) -> DrillStep:
        """Send one work item, or what is said of it."""
        parts = []
        for name, value in item.items():
            if isinstance(value, list):
                parts += [
                    (f'{name} number="{each["number"]}"', {key: each[key] for key in each if key != "number"})
                    for each in value
                ]
            else:
                parts.append((name, value))
        octets = writing.write_call("work", operation, teller, [("Item", dict(parts))])
        return self.add(service="work", operation=operation, unit=teller, octets=octets, said=dict(item), **rules)


#: The leaves of MStatistic in the order of the contract, with the values that no column counts.
_STATISTIC: Mapping[str, object] = {
    "Month": 1,
    "Year": 2000,
    "IsMonthStatistic": "true",
    "NewReception": 0,
    "PreExtisting": 0,
    "Total": 0,
    "TotalSolved": 0,
    "SolvedInTime": 0,
    "SolvedInTimePercent": 0,
    "SolvedLate": 0,
    "SolvedLatePercent": 0,
    "TotalPending": 0,
    "Pending": 0,
    "PendingPercent": 0,
    "PendingLate": 0,
    "PendingLatePercent": 0,
    "Note": "",
    "OrganizationInchargeIdlevel1": "",
    "OrganizationInchargeName": "Diễn tập",
}


def _write_day_start(day: date) -> str:
    return f"{day:%Y%m%d}080000"


def _assert_day(day: date | None) -> date:
    assert day is not None
    return day
