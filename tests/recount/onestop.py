"""What calls about dossiers tell (docs/reference/dossiers.md), read out of their bytes; and which dossiers reached the portal."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from unicodedata import normalize
from xml.etree import ElementTree as ET

import attrs

from tests.recount import places
from tests.recount.exported import Event, Journal, Message
from tests.recount.places import canonical, may_send
from tests.recount.told import STATING, Told, latest_due

#: The code of a dossier that begins with that of its agency (docs/reference/dossiers.md, “One dossier, once”).
NATIONAL = re.compile(r"([A-Z][0-9]{2}(?:\.[A-Z0-9]{1,3})*)-(?:[0-9]{6}|[0-9]{8})-[0-9]{1,12}")
_CALL = "{urn:lienthong:dossiers:1}"

#: What a dossier that stands so has reached.
REACHED: dict[str, tuple[str, ...]] = {
    "1": ("registered",),
    "2": ("received",),
    "3": ("refused",),
    "4": ("received",),
    "5": ("received", "supplement-requested"),
    "6": ("received", "payment-requested"),
    "7": ("received", "finished", "withdrawn"),
    "8": ("received", "paused"),
    "9": ("received", "finished"),
    "10": ("received", "finished", "returned"),
}
#: What a dossier that stands so waits for; 2 and 4: its work goes on.
WAITS = {"5": "papers", "6": "payment", "8": "paused"}
WORKS = ("2", "4")
BEGUN = ("taken-over", "received")
GIVEN = {"handed-over", "passed-on"}  #: to another unit
CORRECTED = (*STATING, "finished")  #: what has days that its unit corrects
CORRECTIONS = 99  #: a day is corrected no more often
AGAIN = "told-again"  #: a receipt that the unit tells which has taken the dossier over
ROUNDS = 3  #: waits of a dossier beyond these are not seen
LEVELS = {"4": "full", "3": "partial", "2": "other", "1": "other"}
CHANNELS = {"1": "direct", "2": "online", "3": "post"}
DECLARED = {
    "NewReception": "declared-received",
    "PreExtisting": "declared-carried-over",
    "SolvedInTime": "declared-in-time",
    "SolvedLate": "declared-late",
    "Pending": "declared-pending",
    "PendingLate": "declared-pending-late",
}


@attrs.define
class Days:
    """The first telling of each result, with what its unit told later of its days, as it is heard.

    Only what tells the whole dossier corrects, at most `CORRECTIONS` times.
    """

    first: dict[tuple[str, tuple[str, ...], str], Told] = attrs.field(factory=dict)
    receipts: dict[tuple[str, ...], date | None] = attrs.field(
        factory=dict
    )  #: dossier -> the due day told last with a receipt

    def hear(self, one: Told) -> None:
        again = one.what == AGAIN
        name = (one.unit, one.key, "taken-over" if again else one.what)
        held = self.first.get(name)
        if held is None:
            if not again:
                self.first[name] = one
            if one.what == "received":
                self.receipts[one.key[:1]] = one.due
            return
        last = (held, *held.corrections)[-1]
        if again:
            before = last.due if held.corrections else self.receipts.get(one.key[:1], held.due)
            one = attrs.evolve(one, what="taken-over", day=held.day)
            is_other = one.due is not None and one.due != before
        else:
            is_other = one.what in CORRECTED and _other_days(one, last)
        if is_other and "field" in one.said and not one.by and len(held.corrections) < CORRECTIONS:
            changed = attrs.evolve(one, due=one.due or last.due)
            self.first[name] = attrs.evolve(held, corrections=(*held.corrections, changed))
            if one.what in BEGUN:
                self.receipts[one.key[:1]] = changed.due

    def due(self, unit: str, key: tuple[str, ...]) -> date | None:
        """Return the due day of a dossier as it is known now."""
        found = []
        for what in STATING:
            if counts := self.first.get((unit, key, what)):
                for other in counts.corrections:
                    stated = other.at if other.due != counts.due else counts.stated
                    counts = attrs.evolve(counts, day=other.day, due=other.due, at=other.at, stated=stated)
                found.append(counts)
        return latest_due(found)


def read(journal: Journal) -> list[Told]:
    """Return what was told of dossiers, in the order in which it was told; the first of each holds."""
    told = [(message.partner, one) for message in journal.of("dossiers") for one in _told(message)]
    for message, at in journal.delivered("dossiers"):
        call = ET.fromstring(message.octets)
        synced = [_one(message, call, dossier, "synced", at=at) for dossier in dict.fromkeys(_dossiers(call))]
        organ, on = _text(call, "OrganId"), places.day(message.at)
        of = (
            places.canonical(organ) if places.sharing(organ, on) else places.actor(organ, on)
        )  # as it stood when it told
        told += [(message.partner, attrs.evolve(one, unit=of)) for one in synced]
    heard = Days()
    return days(waits(corrected(owned(sorted(told, key=lambda each: each[1].at), journal.events, heard))), heard)


def owned(told: list[tuple[str, Told]], events: Sequence[Event], heard: Days) -> list[Told]:
    """Return what partners told for the units that have the dossiers, with what passes to the successors of units that end.

    A code of the national form names one dossier, of the unit that it names: who may tell for that unit adds to it, what
    others tell does not count, and what the portal took counts if it was of that unit or one that has added to it.  An open dossier
    passes on the day of the end.  Here every such code names a unit of the province, and nobody below it tells of it.
    """
    moves, books = places.passings(), _Books(heard)
    for partner, one in told:
        while moves and moves[0].at <= one.at:
            books.pass_on(moves.pop(0))
        books.take(partner, one)
    for passing in moves:
        if events and passing.at <= events[-1].at:
            books.pass_on(passing)
    return books.found


Key = tuple[str, ...]


@attrs.define
class _Books:
    """What counts so far, and which unit has each dossier."""

    heard: Days
    found: list[Told] = attrs.field(factory=list)
    of_key: dict[Key, list[Told]] = attrs.field(factory=dict)  #: unit and key -> what counts of it
    owner: dict[Key, str] = attrs.field(factory=dict)
    origin: dict[Key, str] = attrs.field(factory=dict)
    again: dict[Key, Key] = attrs.field(factory=dict)  #: a dossier -> its key, if it came back to a unit that had it
    claims: dict[Key, list[Told]] = attrs.field(
        factory=dict
    )  #: unit and key -> what it told of a dossier that was not its own

    def take(self, partner: str, one: Told) -> None:
        """Take in what a partner told."""
        on, code = places.day(one.at), NATIONAL.fullmatch(one.key[0])
        teller = one.unit if one.what == "synced" else places.actor(one.unit, on)
        heirs = places.heirs(code[1], on) if code else [teller]
        unit, key = teller if teller in heirs else heirs[0], self.again.get(one.key, one.key)
        own = canonical(one.unit)
        named = own if own in heirs else canonical(code[1] if code else one.unit)
        shares = places.part(own, on) if own in heirs else places.sharing(named, on)
        if shares and one.what != "synced":
            unit = self.share(shares, named, one, key)
            teller = unit if own in shares.old else teller
        if code and one.what != "synced" and self.owner.get(one.key) == teller:
            unit = teller  # it has what another unit's code names, by a part
        if one.what == "synced" and code:
            unit = self.owner.get(one.key, teller)
            tellers = {each.by for each in self.of_key.get((unit, *key), [])}
            told = {each.message for each in self.of_key.get((unit, *key), [])}
            if teller not in {unit, self.origin.get(one.key, unit), *tellers} and one.message not in told:
                return
        elif unit != teller and not may_send(partner, unit):
            self.claims.setdefault((teller, *key), []).append(one)
            return
        elif code:
            had = self.owner.get(one.key, unit)
            if had != unit and not self.names(unit, key) & GIVEN and self.is_open(had, key):
                self.move(one.at, had, unit, key)
            is_new_owner = one.key not in self.owner
            unit = self.owner.setdefault(one.key, unit)
            self.origin.setdefault(one.key, unit)
            if is_new_owner:
                self.take_up(one.at, unit, key, self.claims.pop((unit, *key), ()))
        mine = attrs.evolve(one, unit=unit, key=key, by="" if teller == unit else teller)
        held = self.of_key.setdefault((unit, *key), [])
        if one.what == "received" and any(each.what == "taken-over" for each in held):
            self.heard.hear(attrs.evolve(mine, what=AGAIN))
            return
        self.heard.hear(mine)
        self.found.append(mine)
        changes = [each for each in held if each.what in ("waiting", "resumed")]
        if one.what in ("waiting", "resumed"):
            is_new = len(waits([*changes, mine])) > len(changes)
        else:
            is_new = all(each.what != one.what for each in held)
        if is_new:
            held.append(mine)

    def take_up(self, at: datetime, unit: str, key: Key, claims: Sequence[Told]) -> None:
        """Let what a unit told of a dossier before it had it count from now on."""
        for one in claims:
            held = self.of_key.setdefault((unit, *key), [])
            if all(each.what != one.what for each in held):
                held.append(attrs.evolve(one, unit=unit, key=key, at=at, by=""))
                self.heard.hear(held[-1])
                self.found.append(held[-1])

    def share(self, deed: places.Succession, unit: str, one: Told, key: Key) -> str:
        """Return the successor that has a dossier of *unit*, or gets it by the rules of its deed.

        What has a code within a unit that goes on stays there until the hub looks.
        """
        on, has = places.day(one.at), self.owner.get(one.key)
        having = [unit, *deed.new] if deed.part else places.heirs(unit, on)
        if has is not None and (has in having or self.origin.get(one.key) == unit != has):
            return has
        if deed.part and not NATIONAL.fullmatch(one.key[0]):
            return unit
        return self.chosen(deed, unit, on, [*self.of_key.get((unit, *key), []), one])

    def chosen(self, deed: places.Succession, unit: str, on: date, told: Sequence[Told]) -> str:
        """Return the unit that the rules of a deed say for a dossier of *unit* of which this is told, oldest first."""
        begun = sorted(told, key=lambda each: each.what not in BEGUN)
        field = next((each.said["field"] for each in begun if "field" in each.said), "")
        return places.actor(deed.fields.get(field, unit if deed.part else deed.new[0]), on)

    def names(self, unit: str, key: Key) -> set[str]:
        return {one.what for one in self.of_key.get((unit, *key), [])}

    def is_open(self, unit: str, key: Key) -> bool:
        """Tell whether a unit has a dossier in hand, or has one that nobody has taken on yet."""
        names = self.names(unit, key)
        return bool(names & {"registered", *BEGUN}) and not names & {"finished", "refused", "handed-over", "passed-on"}

    def pass_on(self, of: places.Passing) -> None:
        """Let the open dossiers of a unit pass to its successor; or come back to the units that go on, if there is none."""
        for unit in of.units:
            self.pass_from(unit, of)

    def pass_from(self, unit: str, of: places.Passing) -> None:
        """Let those of one unit pass, or come back."""
        on = places.day(of.at)
        deed = places.sharing(unit, on) if of.heir else of.deed
        for key in [name[1:] for name in self.of_key if name[0] == unit]:
            told = self.of_key[unit, *key]
            if of.heir:
                to = self.chosen(deed, unit, on, told) if deed else of.heir
                if to != unit and self.is_open(unit, key):
                    self.move(of.at, unit, to, key, since=deed.day if deed and deed.part else None)
            elif self.names(unit, key) & GIVEN and (
                deed is None or not deed.part or self.chosen(deed, unit, on, told) != unit
            ):
                holder = self.owner[key[:1]]
                if holder != unit and self.again.get(key[:1], key[:1]) == key and self.is_open(holder, key):
                    self.move(of.at, holder, unit, key)

    def move(self, at: datetime, unit: str, heir: str, key: Key, since: date | None = None) -> None:
        """Let an open dossier pass to another unit; also one that nobody has taken on yet.  *since*: the day on which it does,
        if it began before it.
        """
        told, new, dossier = self.of_key[unit, *key], key, key[:1]
        if self.names(heir, key) & GIVEN:
            new = (*dossier, f"@{int(key[1][1:]) + 1 if key[1:] else 2}")
            self.again[dossier] = new
            self.origin[dossier] = unit
        elif self.origin.get(dossier) == heir:
            self.origin[dossier] = unit
        begun = next((one for one in told if one.what in BEGUN), None)
        on = places.day(at)
        self.owner[dossier] = heir
        if begun is None:
            waiting = next(one for one in told if one.what == "registered")
            on = on if since is None else max(since, waiting.day or since)
            passed = attrs.evolve(waiting, at=at, day=on, what="passed-on")
            told.append(passed)
            self.found.append(passed)
            self.origin[dossier] = heir
            there = self.of_key.setdefault((heir, *new), [])
            if not {one.what for one in there} & {"registered", *BEGUN}:
                there.append(attrs.evolve(waiting, unit=heir, key=new, at=at, by=unit))
                self.found.append(there[-1])
            self.take_up(at, heir, new, self.unreceived(heir, key))
            return
        on = on if since is None else max(since, begun.day or since)
        due = self.heard.due(unit, key)
        taken = attrs.evolve(begun, at=at, day=on, due=due, what="taken-over", unit=heir, key=new, by=unit)
        changes = waits([one for one in told if one.what in ("waiting", "resumed")])
        going_on = [attrs.evolve(changes[-1], what="waiting", unit=heir, key=new, at=at)] if len(changes) % 2 else []
        handed = attrs.evolve(taken, what="handed-over", unit=unit, key=key, by=heir, amount=-1)
        told.append(handed)
        self.of_key[heir, *new] = [taken, *going_on]
        self.heard.hear(taken)
        self.found += [handed, taken, *going_on]
        self.take_up(at, heir, new, self.unreceived(heir, key))

    def unreceived(self, unit: str, key: Key) -> list[Told]:
        """Return what a unit told of a dossier that was not its own, but that it received it."""
        return [one for one in self.claims.pop((unit, *key), []) if one.what != "received"]


def corrected(told: list[Told]) -> list[Told]:
    """Return what was told, where a month is declared again with the difference to what was said of it before."""
    found, said = [], dict[tuple[str, tuple[str, ...], str], int]()
    for one in told:
        name = (one.unit, one.key, one.what)
        if one.what in DECLARED.values() and name in said:
            change, said[name] = one.amount - said[name], one.amount
            found += [attrs.evolve(one, key=(*one.key, one.message), amount=change)] if change else []
            continue
        said.setdefault(name, one.amount)
        found.append(one)
    return found


def waits(told: list[Told]) -> list[Told]:
    """Return what was told, with the waits of each dossier numbered; what changes nothing of them is left out.

    What is told of an earlier day than the last change changes nothing.
    """
    found, changes = [], dict[tuple[str, tuple[str, ...]], list[Told]]()
    for one in told:
        if one.what not in ("waiting", "resumed"):
            found.append(one)
            continue
        before = changes.setdefault((one.unit, one.key), [])
        begins, number = len(before) % 2 == 0, len(before) // 2 + 1  # they take turns
        if (one.what == "waiting") is begins and number <= ROUNDS and all(one.on >= each.on for each in before):
            before.append(attrs.evolve(one, what=f"{one.what}-{number}"))
            found.append(before[-1])
    return found


def days(told: list[Told], heard: Days) -> list[Told]:
    """Return what was told, each result once, with the corrections of its days."""
    done, found = set[tuple[str, tuple[str, ...], str]](), []
    for one in told:
        name = (one.unit, one.key, one.what)
        if name not in done:
            done.add(name)
            found.append(heard.first.get(name, one) if one.what in CORRECTED else one)
    return found


def _other_days(one: Told, before: Told) -> bool:
    """Tell whether *one* says other days; the end of a step has no due day from which another could differ."""
    told_due = one.due is not None and one.due != before.due
    return one.day != before.day or (told_due and (before.due is not None or one.what == "received"))


def _told(message: Message) -> Iterator[Told]:
    call = ET.fromstring(message.octets)
    if call.tag == f"{_CALL}SyncDossiers":
        for state in call.findall(f"{_CALL}HoSo"):
            yield from _state(message, call, state)
    elif call.tag == f"{_CALL}UpdateDossierProgress":
        yield from _steps(message, call)
    else:
        assert call.tag == f"{_CALL}SubmitStatistic"
        for declared in call.findall(f"{_CALL}MStatistic"):
            if _text(declared, "IsMonthStatistic") in ("true", "1"):
                month = date(int(_text(declared, "Year")), int(_text(declared, "Month")), 1)
                for name, what in DECLARED.items():
                    amount = int(_text(declared, name))
                    yield _one(message, call, f"{month:%Y-%m}", what, day=month, amount=amount)


def _state(message: Message, call: ET.Element, state: ET.Element) -> Iterator[Told]:
    dossier, code = _text(state, "MaHoSo"), _text(state, "TrangThaiHoSo")
    received, due = _day(state, "NgayTiepNhan"), _day(state, "NgayHenTra")
    ended, returned = _day(state, "NgayKetThucXuLy"), _day(state, "NgayTra")
    days = {
        "received": received,
        "refused": ended or returned or received,
        "finished": ended or returned,
        "withdrawn": ended or returned,
        "returned": returned or ended,
    }
    said = {
        "channel": CHANNELS.get(_text(state, "KenhThucHien"), ""),
        "field": field(_text(state, "MaLinhVuc")),
        "procedure": field(_text(state, "MaTTHC")),
        "level": LEVELS.get(_text(state, "MucDoTrucTuyen"), ""),
        "place": "elsewhere" if _text(state, "PhiDiaGioi") == "1" else "",
    }
    handed_in = _day(state, "NgayNop")
    if code == "1" or handed_in:
        until = _day(state, "HanTiepNhan")
        yield _one(message, call, dossier, "registered", day=handed_in or received, due=until, said=said)
    if code == "1":
        return
    if sorry := _day(state, "NgayThuXinLoi"):
        yield _one(message, call, dossier, "apologised", day=sorry)
    for what in REACHED[code]:
        if what == "supplement-requested":
            continue
        ending = {"outcome": "withdrawn" if code == "7" else "done"} if what == "finished" else {}
        yield _one(message, call, dossier, what, day=days.get(what), due=due, said=said | ending)
    requests = state.findall(f"{_CALL}DanhSachHoSoBoSung")
    if "supplement-requested" in REACHED[code] and not requests:
        yield _one(message, call, dossier, "supplement-requested", due=due, said=said)
    for request, again in zip(requests, ("", "-again"), strict=False):
        later = _day(request, "NgayHenTraMoi") or due
        asked, answered = _day(request, "NgayBoSung"), _day(request, "NgayTiepNhanBoSung")
        yield _one(message, call, dossier, f"supplement-requested{again}", day=asked, due=later, said=said)
        if answered:
            yield _one(message, call, dossier, f"supplemented{again}", day=answered, due=later, said=said)
    if "received" in REACHED[code]:
        done = (ended or returned) if code in ("9", "10") else None
        yield from _online(message, call, state, dossier, received, done)
    if code in WAITS:
        every = state.findall(f"{_CALL}DanhSachHoSoBoSung") if code == "5" else []
        begun = _day(every[-1], "NgayBoSung") if every and not _day(every[-1], "NgayTiepNhanBoSung") else None
        yield _one(message, call, dossier, "waiting", day=begun, said={"reason": WAITS[code]})
    elif code in WORKS:
        yield _one(message, call, dossier, "resumed")


def _online(
    message: Message, call: ET.Element, state: ET.Element, dossier: str, received: date | None, done: date | None
) -> Iterator[Told]:
    """Yield what the other fields prove: payment, digitised papers, data used again, the result, the days of work."""
    papers = [each for each in state.findall(f"{_CALL}TaiLieuNop") if _text(each, "IsDeleted") != "1"]
    store = any(_text(each, "DuocLayTuKhoDMQG") == "1" for each in papers)
    online = _text(state, "DuocThanhToanTrucTuyen") in ("1", "2")
    proved = {
        "fee-charged": any(float(_text(each, "Gia") or "0") > 0 for each in state.findall(f"{_CALL}DanhSachLePhi")),
        "paid-online": online,
        "paid-direct": not online and _text(state, "TrangThaiThanhToan") == "1",
        "papers-digitised": any(_text(each, "DuongDanTaiTepTin") or _text(each, "TepDinhKemId") for each in papers),
        "data-reused": _text(state, "HoSoCoThanhPhanSoHoa") == "1"
        or any(_text(each, "DuocSoHoa") == "1" for each in papers),
        "store-used": store,
        "population-data-used": store
        or _text(state, "TaiKhoanDuocXacThucVoiVNeID") == "1"
        or _text(state, "MaCSDL") == "1",
        "result-file": any(_text(e, "DuongDanTepTinKetQua") for e in state.findall(f"{_CALL}DanhSachGiayToKetQua")),
    }
    for what, is_so in proved.items():
        if is_so:
            paid = _day(state, "NgayThanhToan") if what.startswith("paid-") else None
            yield _one(message, call, dossier, what, day=paid)
    if received and done:
        days = (done - received).days
        for request in state.findall(f"{_CALL}DanhSachHoSoBoSung"):
            asked, brought = _day(request, "NgayBoSung"), _day(request, "NgayTiepNhanBoSung")
            if asked and brought and asked <= brought <= done:
                days -= (brought - asked).days
        yield _one(message, call, dossier, "days-taken", day=done, amount=max(days, 0))


def field(code: str) -> str:
    """Return how the row of a field is called: letters in capitals, so that two ways to write a code are one row."""
    return normalize("NFC", code).upper().replace("|", "/")[:100].strip() or "unstated"


def _steps(message: Message, call: ET.Element) -> Iterator[Told]:
    """Yield what steps led to: of one dossier's steps to the same, in one call, the earliest day holds."""
    steps = [
        (_text(step, "MaHoSo"), _day(step, "ThoiDiemXuLy"), _text(step, "TrangThai"))
        for step in call.findall(f"{_CALL}TienDo")
    ]
    steps.sort(key=lambda step: step[1] or date.max)
    for dossier, day, code in steps:
        for what in REACHED[code]:
            ending = {"outcome": "withdrawn" if code == "7" else "done"} if what == "finished" else {}
            if what != "received":
                yield _one(message, call, dossier, what, day=day, said=ending)
        if code in WAITS:
            yield _one(message, call, dossier, "waiting", day=day, said={"reason": WAITS[code]})
        elif code in WORKS:
            yield _one(message, call, dossier, "resumed", day=day)


def _one(
    message: Message,
    call: ET.Element,
    key: str,
    what: str,
    *,
    at: datetime | None = None,
    day: date | None = None,
    due: date | None = None,
    amount: int = 1,
    said: dict[str, str] | None = None,
) -> Told:
    return Told(
        service="dossiers",
        unit=canonical(_text(call, "OrganId")),
        key=(key,),
        what=what,
        at=at or message.at,
        message=message.id,
        day=day,
        due=due,
        amount=amount,
        said=said or {},
    )


def _dossiers(call: ET.Element) -> list[str]:
    return [_text(each, "MaHoSo") for name in ("HoSo", "TienDo") for each in call.findall(f"{_CALL}{name}")]


def _text(element: ET.Element, name: str) -> str:
    return " ".join((element.findtext(f"{_CALL}{name}") or "").split())


def _day(element: ET.Element, name: str) -> date | None:
    text = _text(element, name)
    return datetime.strptime(text, "%Y%m%d%H%M%S").date() if text else None  # noqa: DTZ007 - Hà Nội's, and only its day counts
