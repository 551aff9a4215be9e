"""Draws a province and what its systems do through its months, in the order of time.  Knows how often each thing happens.

The same seed draws the same.  A deed is a step of `tests.histories.playing.Player` with its arguments.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from random import Random

import attrs

from tests.recount import places, results
from tests.recount.places import HANOI, Succession

PARTNERS: dict[str, tuple[tuple[str, ...], str]] = {"cong": ((), "none"), "vpcp": ((), "push"), "any": (("*",), "none")}
OUTSIDE = ("G22", "G01", "A12")
JOINED = ("H97.01", "H97.02", "H97.03")  #: units of the province that is merged into this one
FIGURES: tuple[str, ...] = ("AccountsIssued", "AccountsActive", "SentInternal", "SentExternal", "ReceivedInternal")
FIGURES += (
    "ReceivedExternal",
    "RefusedSize",
    "OverQuota",
    "OfficialDocuments",
)  #: of mail, in the order of the contract
HOUR = timedelta(hours=1)
FIRST = datetime(2026, 1, 15, 7, tzinfo=HANOI)  #: in the month 2026-02


@attrs.frozen(kw_only=True)
class Size:
    """How much is drawn: units, months, and how many of each a unit has in a month on average."""

    units: int = 150
    months: int = 14
    joins: bool = False  #: a province of three units is merged into this one
    mergers: int = 0  #: of two communes into a new one, each in the middle of a month
    deeds: int = 0  #: times that a commune is split by a deed, and that two are merged by one which is undone
    documents: float = 1.6
    dossiers: float = 2.5
    mail: float = 0.5
    meetings: float = 0.25
    incidents: float = 0.3
    work: float = 0.4
    lookups: float = 0.4
    links: float = 0.1
    reports: float = 0.1


@attrs.frozen
class Deed:
    """A step, and when it is done."""

    at: datetime
    does: str
    said: dict[str, object]


@attrs.define
class Drawing:
    """A province that is being drawn."""

    seed: int
    size: Size
    random: Random = attrs.field(init=False)
    units: dict[str, tuple[str | None, date | None, date | None]] = attrs.field(factory=dict)
    aliases: dict[str, str] = attrs.field(factory=dict)  #: other code -> the unit's own
    partners: dict[str, tuple[tuple[str, ...], str]] = attrs.field(factory=dict)
    mergers: list[Succession] = attrs.field(factory=list)  #: that the file of units says
    ordered: list[Succession] = attrs.field(factory=list)  #: that deeds say
    parts: list[Succession] = attrs.field(factory=list)  #: of units that go on
    joins: date | None = None  #: the first day of the merged province's units in this one
    deeds: list[Deed] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.random = Random(self.seed)
        self._draw_units()
        for number in range(self.size.months):
            self._draw_month(number)
        self._draw_mail_of_mergers()
        self._draw_meetings_of_mergers()
        self._draw_links_of_mergers()
        self._draw_days_of_grace()
        self.deeds = sorted((deed for deed in self.deeds if deed.at < self.end), key=lambda deed: deed.at)

    # --- the province -------------------------------------------------------------------------------------------------

    def _draw_units(self) -> None:
        """Draw a province of two levels: departments with centres below them, and communes with schools."""
        self.units["H55"] = (None, None, None)
        departments, communes = max(2, self.size.units // 8), max(2, self.size.units * 5 // 8)
        tops = [f"H55.{number:02d}" for number in range(1, departments + 1)]
        tops += [f"H55.{number}" for number in range(200, 200 + communes)]
        self.units |= dict.fromkeys(tops, ("H55", None, None))
        number = 0
        while len(self.units) < self.size.units:
            number += 1
            above = self.random.choice(tops)
            self.units[f"{above}.{number}"] = (above, None, None)
        for code in [each for each in self.units if each != "H55"][:: max(2, self.size.units // 20)]:
            alias = f"000.{len(self.aliases):02d}.{code.split('.')[1]}.H55"
            self.aliases[alias] = code
        self.partners = {
            **PARTNERS,
            "sotttt": (tuple(tops[0:departments:2]), "fetch"),
            "vpub": (("H55", *tops[1:departments:2]), "push"),
            "xa": (tuple(tops[departments:]), "push"),
        }
        if self.size.joins:
            self.joins = places.day(results.bounds(self.months[len(self.months) // 2])[0]) + timedelta(days=8)
            self.units["H97"] = ("H55", self.joins, None)
            self.units |= dict.fromkeys(JOINED, ("H97", self.joins, None))
            self.partners["h97"] = (JOINED, "push")
            self.deeds.append(Deed(self._noon(self.joins) - 12 * HOUR, "begin_day", {}))
        self._draw_mergers(tops[departments:])
        new = [each.new[0] for each in self.mergers]
        ordered = [code for number in range(self.size.deeds) for code in self._draw_deeds(number, tops[departments:])]
        if self.size.deeds:
            self._draw_parts(tops[:2], tops[-1])
        for partner, added in (("xa", new[:-1] + ordered[::2]), ("vpub", new[-1:] + ordered[1::2])):
            units, how = self.partners[partner]
            self.partners[partner] = (*units, *added), how

    def _draw_mergers(self, communes: list[str]) -> None:
        """Merge communes two by two, in months that are spread over all of them; the last new one has another system."""
        for number in range(self.size.mergers):
            month = self.months[max(1, (number + 1) * len(self.months) // (self.size.mergers + 1)) % len(self.months)]
            on = places.day(results.bounds(month)[0]) + timedelta(days=10 + number)  # a day on which no deed is undone
            new, old = f"H55.3{number:02d}", (communes[2 * number], communes[2 * number + 1])
            for code in old:
                self.units[code] = ("H55", None, on)
            self.units[new] = ("H55", on, None)
            self.mergers.append(Succession(old=old, new=(new,), day=on))
            self.deeds.append(Deed(self._noon(on) - 12 * HOUR, "begin_day", {}))

    def _draw_deeds(self, number: int, communes: list[str]) -> list[str]:
        """Split a commune by a deed between two new ones, of which one has the dossiers of a field and the main one gives way to a third; and merge two by a deed
        that is undone after some days, and again by the right one.  Return the new units.
        """
        first = communes[2 * self.size.mergers + 3 * number :]
        month = self.months[(number + 1) * len(self.months) // (self.size.deeds + 1)]
        on = places.day(results.bounds(month)[0]) + timedelta(days=4 + number)
        a, b, c, wrong, right = new = [f"H55.4{number}{letter}" for letter in "01234"]
        late, undone, again = (on + timedelta(days=days) for days in (13, 7, 12))
        for code, since in ((a, on), (b, on), (c, late), (wrong, on), (right, again)):
            self.units[code] = ("H55", since, None)
        some = [
            Succession(old=(first[0],), new=(a, b), day=on, fields={"CT": b}),
            Succession(old=(a,), new=(c,), day=late),
            Succession(old=(first[1], first[2]), new=(wrong,), day=on, undone=undone),
            Succession(old=(first[1], first[2]), new=(right, wrong)[: 1 + number % 2], day=again),
        ]
        for each in some:
            self._order(each)
        self.ordered += some
        return new

    def _draw_parts(self, departments: list[str], commune: str) -> None:
        """Hand a field of a department over to another, and one of a commune, which gets it back after some days."""
        on = places.day(results.bounds(self.months[len(self.months) // 2])[0]) + timedelta(days=3)
        first, second = departments
        self.parts = [
            Succession(old=(first,), new=(second,), day=on, fields={"CT": second}, part=True),
            Succession(
                old=(commune,), new=(first,), day=on, undone=on + timedelta(days=16), fields={"HT-01": first}, part=True
            ),
        ]
        for each in self.parts:
            self._order(each)

    def _order(self, each: Succession) -> None:
        """Let a deed be recorded some hours before its day, and undone."""
        begins, order = self._noon(each.day) - 12 * HOUR, {"old": each.old, "new": each.new, "on": each.day}
        order |= {"fields": dict(each.fields), "part": each.part}
        self.deeds.append(Deed(begins - 4 * HOUR, "order_deed", order))
        self.deeds.append(Deed(begins, "go_by_registry", {}))
        if each.undone:
            self.deeds.append(Deed(self._noon(each.undone) - 12 * HOUR, "undo_deed", {"old": each.old}))

    def merger_of(self, unit: str) -> Succession | None:
        """Return the last succession that a unit ends or begins with."""
        every = [each for each in (*self.mergers, *self.ordered) if unit in (*each.old, *each.new)]
        return every[-1] if every else None

    def _succession(self, unit: str, on: date) -> Succession | None:
        """Return that by which a unit is no more on a day."""
        in_force = (each for each in (*self.mergers, *self.ordered) if each.is_in_force(on))
        return next((each for each in in_force if unit in each.old), None)

    def is_outside(self, unit: str, at: datetime) -> bool:
        """Tell whether a unit is none of the province's then."""
        return unit in OUTSIDE or (unit in JOINED and self.joins is not None and places.day(at) < self.joins)

    def names(self) -> dict[str, str]:
        """Return the units' names, of every kind that a province has."""
        kinds = ("Sở", "UBND xã", "UBND phường", "Trung tâm", "Trường")
        return {code: f"{kinds[len(code) % len(kinds)]} {code}" for code in self.units}

    def listed(self, on: date | None = None) -> bytes:
        """Return the units as the file that `lienthong units import` takes; *on*: as it is imported on that day."""
        lines, names = ["code,name,parent,since,until,aliases,successors,mark"], self.names()
        heirs = {old: each.new[0] for each in self.mergers for old in each.old}
        for code, (parent, since, until) in self.units.items():
            if code.startswith("H97") and on is not None and self.joins is not None and on < self.joins:
                continue
            others = " ".join(alias for alias, own in self.aliases.items() if own == code)
            heir = heirs.get(code, "")
            lines.append(f"{code},{names[code]},{parent or ''},{since or ''},{until or ''},{others},{heir},")
        return "\n".join(lines).encode()

    def places(self) -> places.Places:
        """Return the province as the second count reads it out of that file, and the deeds."""
        joined = "H97" if self.joins else ""
        deeds = (*self.ordered, *self.parts)
        looks = tuple(map(places.day, self.noons))
        return places.read_units(self.listed(), self.partners, joined=joined, deeds=deeds, looks=looks)

    @property
    def noons(self) -> list[datetime]:
        """When the hub does its day's work."""
        days = [each.day for each in (*self.mergers, *self.ordered, *self.parts)]
        return list(noons(self.deeds[0].at, self.end, days))

    @property
    def months(self) -> list[str]:
        """The months that are drawn."""
        return [f"{2026 + number // 12}-{number % 12 + 1:02d}" for number in range(1, self.size.months + 1)]

    @property
    def end(self) -> datetime:
        """When everything has been done: some days after the last month, so that it is closed."""
        return results.bounds(self.months[-1])[1] + timedelta(days=8)

    # --- what happens -------------------------------------------------------------------------------------------------

    def _draw_month(self, number: int) -> None:
        start, end = results.bounds(self.months[number])
        start, size = max(start, FIRST), self.size
        for share, draw in (
            (size.documents, self._document),
            (size.dossiers, self._dossier),
            (size.mail, self._mail),
            (size.meetings, self._meeting),
            (size.incidents, self._incident),
            (size.lookups, self._lookup),
            (size.work, self._item),
            (size.links, self._links),
            (size.reports, self._report),
        ):
            for _ in range(max(1, round(share * size.units))):
                draw(start + self.random.random() * (end - start))

    def _does(self, at: datetime, does: str, **said: object) -> None:
        self.deeds.append(Deed(at, does, said))

    def _unit(self) -> str:
        """Return a unit that lasts."""
        return self.random.choice(self._lasting())

    def _lasting(self) -> list[str]:
        return [unit for unit in self.units if self.merger_of(unit) is None and not unit.startswith("H97")]

    def _code_at(self, unit: str, at: datetime) -> str:
        """Return under which code a unit acts: after its end its own for two months at times, else a successor's; before its
        beginning that of a unit whose work it will continue.  Nobody acts under the code of a unit whose deed will be undone.
        """
        on = places.day(at)
        begins = next((each for each in (*self.mergers, *self.ordered) if unit in each.new), None)
        if begins is not None and on < begins.day:
            return self._code_at(begins.old[0], at)
        ended = self._succession(unit, on)
        if ended is None:
            return unit
        if on < ended.day + timedelta(days=60) and not ended.undone and self._is(0.5):
            return unit
        return self._code_at(self.random.choice(ended.new), at)

    def _called(self, unit: str) -> str:
        """Return a code of a unit, at times another than its own."""
        others = [alias for alias, own in self.aliases.items() if own == unit]
        return self.random.choice(others) if others and self.random.random() < 0.5 else unit

    def _is(self, share: float) -> bool:
        return self.random.random() < share

    def _later(self, at: datetime, least: float, most: float) -> datetime:
        """Return a time so many hours later, in the steps of someone who is often near the least."""
        return at + HOUR * (least + (most - least) * self.random.random() ** 2)

    def _sender(self, unit: str, at: datetime) -> str:
        """Return the partner that sends for a unit."""
        if self.is_outside(unit, at):
            return "vpcp"
        own = [name for name, (units, _) in self.partners.items() if unit in units]
        return own[0] if own and not self._is(0.1) else "any"

    def _heir(self, unit: str, at: datetime) -> str:
        """Return the unit that has what was for a unit."""
        ended = self._succession(unit, places.day(at))
        return self._heir(ended.new[0], at) if ended else unit

    def _receiver(self, unit: str, at: datetime) -> str:
        """Return the partner that receives for a unit."""
        if self.is_outside(unit, at):
            return "vpcp"
        return next(name for name, (units, _) in self.partners.items() if unit in units)

    def _document(self, at: datetime) -> None:
        """A document, what its recipients do with it, and at times its repetition, its recall, its update."""
        random, name = self.random, f"D{len(self.deeds)}"
        served = [unit for unit in self.units if len(unit.split(".")) < 3 and unit != "H97"]
        sender = random.choice(OUTSIDE) if self._is(0.15) else self._code_at(random.choice(served), at)
        others = [unit for unit in (*served, *served, *OUTSIDE) if unit != sender]
        to = [
            unit
            for unit in dict.fromkeys(
                self._code_at(unit, at) for unit in random.sample(others, min(len(others), random.randint(1, 3)))
            )
            if unit != sender and not (self.is_outside(sender, at) and self.is_outside(unit, at))
        ] or [random.choice([unit for unit in self._lasting() if unit != sender and unit in served])]
        due = None if self._is(0.3) else places.day(at) + timedelta(days=random.randint(0, 12))
        said = {
            "name": name,
            "sender": self._called(sender),
            "partner": self._sender(sender, at),
            "to": [self._called(unit) for unit in to],
            "due": due,
            "paper": self._is(0.2),
            "sign": self._is(0.3) + self._is(0.1),
            "own_id": self._is(0.7),
        }
        if self._is(0.05):
            self._does(at, "send_document", **said | {"to": [*said["to"], "H55.999"], "refused": True})  # type: ignore[misc]
            at += HOUR / 3
        self._does(at, "send_document", **said)
        if self._is(0.1):
            self._does(self._later(at, 0.1, 900), "repeat_document", name=name)
        if self._is(0.05):
            self._does(self._later(at, 0.1, 100), "send_other_document", name=name)
        brought = self._later(at, 0.2, 4 if self._is(0.9) else 200)
        if self._is(0.08):
            when = at + HOUR / 30 if self._is(0.5) else self._later(brought, 1, 200)
            by = self._code_at(sender, when)
            changes = {"sender": by, "partner": self._sender(by, when)} if by != sender else {}
            self._does(when, "change_document", name=name, kind="recall", own=f"R{len(self.deeds)}", **changes)
            self._answer(when + HOUR, name, to, random.choice(["15", "16"]))
        elif self._is(0.06):
            kind = random.choice(["update", "replacement"])
            own, when = f"U{len(self.deeds)}", self._later(brought, 1, 200)
            ended = [self._succession(unit, places.day(when)) for unit in to]
            if any(each and each.undone for each in ended):
                kind = "update"  # a new document for a unit whose deed will be undone would keep that from being done
            self._does(when, "change_document", name=name, kind=kind, own=own)
        refusing = self._is(0.04)
        for partner in sorted({self._receiver(self._heir(unit, brought), at) for unit in to}):
            self._does(brought, "bring_to", partner=partner, refusing=[name] if refusing else [])
        for unit in to:
            if not self.is_outside(unit, at):
                self._work(brought, name, unit)

    def _work(self, at: datetime, name: str, unit: str) -> None:
        """A recipient tells what becomes of a document: in order or not, once or twice, or nothing."""
        codes = self.random.choice(["", "3", "34", "346", "36", "346", "2", "1346", "6", "43", "36", "346", "3456"])
        if len(self.deeds) % 8 == 3:
            codes = ("32", "342", "452", "12", "326")[
                len(self.deeds) % 5
            ]  # it is refused after it was received or in work
        if self._is(0.1):
            at -= HOUR * 5  # before the hub knows that it was received
        for code in codes:
            at = self._later(at, 0.3, 60 if code == "3" else 300)
            self._answer(at, name, [unit], f"0{code}")

    def _answer(self, at: datetime, name: str, units: list[str], code: str) -> None:
        for unit in units:
            if not self.is_outside(unit, at):
                how = self.random.choice(["id", "id", "id", "number", "unknown"] if code == "06" else ["id", "number"])
                teller = self._code_at(unit, at)
                # a partner that may speak under the old code alone answers nothing that its successor received (units.md)
                heir = self._heir(teller, at)
                teller = teller if self._receiver(teller, at) == self._receiver(heir, at) else heir
                how = "id" if self.merger_of(unit) and how == "number" else how
                said = {"name": name, "unit": self._called(teller), "code": code, "how": how, "serial": len(self.deeds)}
                self._does(at, "tell_status", **said)
                if self._is(0.07):
                    self._does(self._later(at, 0.1, 200), "tell_status", **said | {"serial": len(self.deeds)})

    def _dossier(self, at: datetime) -> None:
        """A dossier from its receipt to its end, told at once, late or out of order."""
        random, number, received = self.random, len(self.deeds), places.day(at)
        often = [unit for each in self.parts for unit in each.old] * 3  # of which a part passes
        unit = self._code_at(random.choice([*(unit for unit in self.units if unit != "H97"), *often]), at)
        if self.is_outside(unit, at):
            return
        national = unit != "H55" and (self.merger_of(unit) is not None or self._is(0.5))
        key = f"{unit}-{received:%y%m%d}-{number:04d}" if national else f"S-{number}"
        due = None if self._is(0.1) else received + timedelta(days=random.randint(2, 20))
        tell = partial(self._tell, unit=unit, key=key, number=number, received=received, channel=random.choice("12293"))
        told = self._later(at, 0, 10 if self._is(0.8) else 1200)
        self._hand_in(told, {"unit": unit, "key": key, "number": number, "received": received, "due": due})
        kind = random.choice(["open", *["done"] * 6, "withdrawn", "refused", "turned away", "step"])
        if kind == "turned away":
            tell(told, "3", due)
            return
        if not self._is(0.07):
            tell(told, random.choice("24"), due)
        if self._is(0.4):
            asked = received + timedelta(days=1)
            later = (due or received) + timedelta(days=random.randint(3, 9))
            tell(told + HOUR * 30, random.choice("4445"), due, requests=[(asked, asked + timedelta(days=1), later)])
        self._put_off(told, number, due, tell)
        if self._is(0.05):
            tell(told + HOUR * 31, random.choice("68"), due)
        ended = received + timedelta(days=random.randint(0, 25))
        when = max(self._noon(ended), told) + HOUR * random.choice([1, 3, 3, 3, 20, 200])
        if kind == "step":
            code, status = self._code_at(unit, when), random.choice(["9", "7"])
            self._does(when, "step_on", unit=code, key=key, number=number, status=status, day=ended)
        elif kind != "open":
            status = {"done": random.choice(["9", "10"]), "withdrawn": "7", "refused": "3"}[kind]
            tell(when, status, due, ended=ended)
            if self._is(0.1):
                tell(when + HOUR * 50, "10", due, ended=ended + timedelta(days=2))
        if self._is(0.2):
            self._does(self._later(when, 1, 100), "bring_to", partner="cong", refusing=[])
        if self._is(0.1):
            self._does(self._later(when, 1, 900), "bring_again", pick=random.randint(0, 9), changed=self._is(0.3))
        if self._is(0.02):
            said = {"month": -1, "new": random.randint(0, 9), "late": random.randint(0, 9)}
            self._does(when, "declare", unit=self._called(unit), monthly=self._is(0.8), own=self._is(0.5), **said)

    def _put_off(self, told: datetime, number: int, due: date | None, tell: Callable[..., None]) -> None:
        """Tell another due day of some dossiers, some days or weeks later, by then perhaps under a successor; of few often."""
        times = {0: 5, 1: 1, 2: 2}.get(number % 9, 0) if due else 0
        for each in range(times):
            tell(told + HOUR * (40 + each * (number % 200)), "4", due and due + timedelta(days=each * 3 - 2))

    def _hand_in(self, told: datetime, said: dict[str, object]) -> None:
        """Tell of some dossiers that they are handed in, some hours before more is told of them."""
        number = len(self.deeds)
        if number % 4 == 1:
            earlier = told - HOUR * (number % 90)
            self._does(earlier, "tell_dossier", status="1", channel="2", own=False, **said)

    @staticmethod
    def _noon(on: date) -> datetime:
        return datetime(on.year, on.month, on.day, 12, tzinfo=HANOI)

    def _tell(self, at: datetime, status: str, due: date | None, *, unit: str, key: str, **said: object) -> None:
        """Tell of a dossier: its unit does, or another that takes part in it, or to which a part of the unit has passed."""
        teller, on = self._code_at(unit, at), places.day(at)
        passed = [each.new[0] for each in self.parts if unit in each.old and each.day < on and each.is_in_force(on)]
        if not key.startswith("S-") and self._is(0.1):
            others = [each for each in self._lasting() if each.count(".") == 1 and each != unit]
            teller = self.random.choice([each for each in others if each not in passed] or others)
        elif not key.startswith("S-") and passed and "ended" in said and self._is(0.4):
            teller = passed[0]
        self._does(at, "tell_dossier", status=status, due=due, unit=teller, key=key, own=self._is(0.5), **said)

    def _mail(self, at: datetime) -> None:
        units = self.random.sample(self._lasting(), 4)
        usage = {
            self._called(unit): {name: self.random.randint(0, 40) for name in FIGURES if self._is(0.6)}
            for unit in units
        }
        days = self.random.choice([-1, -1, -1, -2, -20, -40])
        said = {"day": days, "since": None if self._is(0.8) else 3, "own": self._is(0.7), "fault": ""}
        self._does(at, "mail", corrects=False, usage=usage, **said)
        if self._is(0.4):
            less = {unit: {name: -(number // 3) for name, number in told.items()} for unit, told in usage.items()}
            later = self._later(at, 1, 700)
            said["day"] = days - (places.day(later) - places.day(at)).days
            self._does(later, "mail", corrects=True, usage=less, **said)
        if self._is(0.1):
            self._does(self._later(at, 1, 700), "bring_again", pick=0, changed=False)

    def _draw_mail_of_mergers(self) -> None:
        """Let the units that end and those that continue their work tell of their mail, the old ones also when they are no
        more: of days before, and of days when they were none.
        """
        for each in (*self.mergers, *self.ordered):
            for unit in each.old:
                for days in (-10, -3):
                    self._tell_mail(unit, each.day, days, -1)
                for days in (1, 8, 30, 60, 95):
                    if self._is(0.6):
                        self._tell_mail(unit, each.day, days, -self.random.choice([1, 1, days + 1, days + 2]))
            for unit in each.new:
                for days in (2, 9, 25, 60):
                    self._tell_mail(unit, each.day, days, -1)

    def _tell_mail(self, unit: str, day: date, after: int, of: int) -> None:
        """Let a unit tell some days after *day* how its mail was used on a day, and at times that it was less."""
        at = self._noon(day) + HOUR * (24 * after + self.random.random() * 11)
        told = {name: self.random.randint(1, 40) for name in FIGURES if name == "AccountsIssued" or self._is(0.6)}
        said = {"since": None if self._is(0.8) else 3, "own": self._is(0.7), "fault": ""}
        self._does(at, "mail", day=of, corrects=False, usage={unit: told}, **said)
        if self._is(0.3):
            less = {name: -(number // 3) for name, number in told.items()}
            self._does(at + 3 * 24 * HOUR, "mail", day=of - 3, corrects=True, usage={unit: less}, **said)

    def _draw_meetings_of_mergers(self) -> None:
        """Let units that end and those that continue their work call meetings, be called to them and answer, before and after:
        also what an old one has called for a day on which it is no more.
        """
        for each in (*self.mergers, *self.ordered):
            for days in (-6, -1, 3, 20):
                at = self._noon(each.day) + HOUR * (24 * days + self.random.random() * 11)
                unit = self.random.choice([*each.old, *(each.new if days > 0 else ())])
                self._meeting(at, unit, [self.random.choice(each.old), self.random.choice(each.new)])

    def _meeting(self, at: datetime, unit: str = "", others: Sequence[str] = ()) -> None:
        """A meeting of a unit and two others, which is at times moved or cancelled, and answered; "", (): of units that last."""
        random, uid, unit = self.random, f"h{len(self.deeds)}", unit or self._unit()
        people = [(self._called(other), "ACCEPTED") for other in others or random.sample(self._lasting(), 2)]
        said = {
            "uid": uid,
            "organizer": self._called(unit),
            "drops": self._is(0.3),
            "apart": self._is(0.3),
            "fault": "",
        }
        said |= {"rule": random.choice([(7, 1), (7, 1), (7, 3), (1, 2)]), "enclosed": False}
        begins = random.randint(1, 20)
        self._does(at, "meet", method="REQUEST", people=people, sequence=0, begins=begins, place=None, **said)
        later, place = self._later(at, 1, 300), random.choice([None, 0, 1])
        if self._is(0.45):
            changed = {"sequence": 1, "begins": begins + random.randint(-3, 20), "place": place, "people": people}
            self._does(later, "meet", method=random.choice(["REQUEST", "CANCEL"]), **changed, **said)
        for unit_, answer in ((people[0][0], "ACCEPTED"), (people[1][0], random.choice(["DECLINED", "X-ATTENDED"]))):
            answering = {"people": [(unit_, answer)], "sequence": 0, "begins": begins, "place": None}
            self._does(self._later(at, 1, 90), "meet", method="REPLY", **answering, **said)

    def _draw_days_of_grace(self) -> None:
        """Let the systems of units that are no more go on under the old codes: in the days of grace, and behind them."""
        for each in (*self.mergers, *self.ordered):
            for days in (2, 20, 50, 95):
                at = self._noon(each.day) + HOUR * (24 * days + self.random.random() * 11)
                for tell in (self._item, self._incident, self._lookup, self._report):
                    tell(at, self.random.choice(each.old))

    def _item(self, at: datetime, unit: str = "") -> None:
        """A work item: assigned, at times extended, returned, excused, and mostly done; a system tells all it knows each time."""
        random, number, unit = self.random, len(self.deeds), unit or self._unit()
        factor, due = random.choice(["1", "0.5", "2.25"]), random.choice([None, 3, 10, 20])
        assigned, officer = places.day(at) - timedelta(days=random.choice([0, 0, 1, 9])), random.choice(["", "CB-1"])

        def tell(when: datetime, done: int | None, extended: list[tuple[int, int]]) -> None:
            back = (places.day(when) - assigned).days
            told = (number, factor, -back, due, extended, done, officer)
            self._does(when, "tell_work", unit=self._called(unit), told=[told], own=self._is(0.5), fault="")

        tell(at, None, [])
        over = self._later(at, 20, 900)
        extended = [(0, random.randint(1, 30))] if self._is(0.3) else []
        if self._is(0.8):
            tell(over, -random.choice([0, 0, 1, 3]), extended)
        if self._is(0.4):
            returned = dict.fromkeys(random.sample(range(1, 7), random.randint(0, 3)), 0)
            judged = (number, factor, returned, 0 if self._is(0.5) else None, 0 if self._is(0.2) else None)
            said: dict[str, object] = {"unit": self._called(unit), "own": self._is(0.5), "fault": ""}
            self._does(self._later(over, -15, 400), "judge_work", told=[judged], **said)

    def _incident(self, at: datetime, unit: str = "") -> None:
        said = {
            "unit": self._called(unit or self._unit()),
            "number": len(self.deeds),
            "severity": self.random.randint(0, 4),
        }
        said |= {"stamped": self._is(0.7), "report": False, "fault": ""}
        opened = self.random.randint(0, 3000)
        self._does(at, "incident", closed=False, minutes=opened, **said)
        if self._is(0.7):
            later = self._later(at, 1, 900)
            self._does(later, "incident", closed=True, minutes=self.random.randint(0, 40), **said)
            if self._is(0.1):
                self._does(later + HOUR, "incident", closed=True, minutes=0, **said)

    def _lookup(self, at: datetime, unit: str = "") -> None:
        operations = ["LookupEnterprise", "LookupCategory", "VerifyCitizen", "OrderPostalReturn"]
        operations += ["RegisterCivilStatus", "RequestJudicialRecord"]
        said: dict[str, object] = {
            "unit": self._called(unit or self._unit()),
            "operation": self.random.choice(operations),
        }
        said |= {"key": f"K{self.random.randint(0, 5)}", "refused": self._is(0.2), "own": self._is(0.5)}
        self._does(at, "look_up", **said)
        if self._is(0.2):
            self._does(self._later(at, 0.1, 100), "look_up", **said)

    def _draw_links_of_mergers(self) -> None:
        """Let the hub tell how the systems of units that end were to be reached, and of those that continue their work: until
        the end, on the day itself, and while the old systems may still send.
        """
        for each in (*self.mergers, *self.ordered):
            for days in (-4, 0, 1, 2, 30):
                at = self._noon(each.day) + HOUR * (24 * days + self.random.random() * 11)
                self._links(at, [*each.old, *(each.new if days > 1 else ())])

    def _links(self, at: datetime, units: Sequence[str] = ()) -> None:
        """A day of two links, each of some of *units*; (): of units that last."""
        bits, units = self.random.getrandbits, units or self._lasting()
        links = {
            name: (
                self.random.sample(units, min(self.random.randint(0, 2), len(units))),
                [(bits(1440), bits(1440)) for _ in range(self.random.randint(1, 2))],
            )
            for name in ("a", "b")
        }
        self._does(at, "see_links", day=self.random.choice([-1, -1, -1, -9]), links=links)

    def _report(self, at: datetime, unit: str = "") -> None:
        said: dict[str, object] = {"form": self.random.choice(["edoc", "ii06a"]), "unit": unit or self._unit()}
        said |= {"period": self.random.choice(self.months), "revision": self.random.randint(1, 2)}
        self._does(at, "hand_in", **said)
        self._does(at + HOUR, "bring_to", partner="cong", refusing=[])
        result = self.random.choice(["accepted", "returned"])
        self._does(self._later(at, 2, 200), "hear_verdict", result=result, own=self._is(0.5), **said)


def noons(begin: datetime, end: datetime, days: Sequence[date] = ()) -> Iterator[datetime]:
    """Yield moments at which the hub does its day's work, after noon: of the ten days on which months may close, and *days*."""
    on = places.day(begin)
    while (noon := datetime(on.year, on.month, on.day, 12, 2, tzinfo=HANOI)) < end:
        if noon > begin and (15 <= on.day <= 24 or on in days):
            yield noon
        on += timedelta(days=1)
