"""Counts every cell of the e-document report from a story.  Knows the columns one by one; a result counts once by its key."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import attrs

from tests.recount import places
from tests.recount.documents import Message
from tests.recount.letter import CHANGES
from tests.recount.places import HANOI, outside
from tests.recount.story import RANK

#: What happened to packets that counts: when, what, which message, at which recipient.
Log = Iterable[tuple[datetime, str, Message, str]]

DAY = timedelta(days=1)
BEGUN = ("received", "taken-over")
WORK = ("status-04", "status-05", "taken-over-in-work")
ENDED = ("status-02", "status-06", "handed-over")
#: How far each result brings a document: a document that was handed over is no longer in the unit.
STEPS = {f"status-{code}": rank for code, rank in RANK.items()} | {"taken-over-in-work": RANK["04"], "handed-over": 6}


@attrs.frozen(kw_only=True)
class Result:
    unit: str
    key: tuple[str, ...]
    what: str
    at: datetime
    message: str
    outside: bool
    paper: bool
    signed: bool
    due: date | None
    sooner: tuple[datetime, date] | None = None  #: since when it is due on an earlier day, by what its unit took over
    received_by: str = ""  #: the unit that had received the document, if its successor tells what became of it

    def seen(self, now: datetime) -> "Result":
        """Return it with the due day that was known at *now*."""
        return attrs.evolve(self, due=self.sooner[1]) if self.sooner and self.sooner[0] <= now else self

    @property
    def name(self) -> tuple[str, str, str]:
        """Which message it is of, and whose result."""
        return self.unit, self.what, self.message


def results(log: Log, signed: Callable[[Message], bool], until: datetime | None = None) -> list[Result]:
    """Return each result once, the first of its unit, key and name, with what units that end leave to their successors."""
    books = _Books()
    moves = places.endings()
    for at, noted, message, recipient in log:
        while moves and moves[0].at <= at:
            books.pass_on(moves.pop(0))
        what, _, number = noted.partition(" ")
        if what in ("received", "failed", "failed-over") and message.letter.kind == "status":
            continue
        on = places.day(at)
        unit = places.actor(recipient, on) if what == "received" else places.actor(message.sender, on)
        key = (*_key(message), number) if number else _key(message)
        made = _result(message, unit, key, what, at, signed)
        if message.letter.kind == "status":
            books.answer(message, made)
        else:
            if what == "received":
                books.sent_to.setdefault((unit, key), set()).add(recipient)
            books.found.setdefault((unit, key, what), made)
    for passing in moves:
        if until is not None and passing.at <= until:
            books.pass_on(passing)
    return list(books.found.values())


Key = tuple[str, ...]


@attrs.define
class _Books:
    """The results so far, and where each document has gone."""

    found: dict[tuple[str, Key, str], Result] = attrs.field(factory=dict)
    went: dict[tuple[str, Key], str] = attrs.field(factory=dict)  #: unit and key -> who got it
    sent_to: dict[tuple[str, Key], set[str]] = attrs.field(
        factory=dict
    )  #: to which units it was sent that one received
    again: dict[tuple[str, Key], Key] = attrs.field(factory=dict)  #: to whom it was sent, its key -> that of its return

    def has(self, unit: str, key: Key, *whats: str) -> bool:
        return any((unit, key, what) in self.found for what in whats)

    def is_open(self, unit: str, key: Key) -> bool:
        return self.has(unit, key, *BEGUN) and not self.has(unit, key, *ENDED)

    def begun(self, unit: str, key: Key) -> Result:
        """Return by what a unit has a document."""
        return self.found.get((unit, key, "taken-over")) or self.found[unit, key, "received"]

    def holder(self, unit: str, key: Key) -> str:
        """Return who has what a unit had."""
        seen: list[str] = []
        while unit not in seen and (unit, key) in self.went:
            seen.append(unit)
            unit = self.went[unit, key]
        return unit

    def answer(self, status: Message, made: Result) -> None:
        """Take in a status: it counts once among the units whose work goes on in one, and moves what is not finished."""
        on, unit, key = places.day(made.at), made.unit, made.key
        theirs = [unit, *places.forebears(unit, on)]
        speaks = places.speaks_for(status.letter.sender, on, status.partner)
        to = next((each for each in speaks if status.answered and status.answered.to(each)), unit)
        keys = [key]
        if (to, key) in self.again:
            key = self.again[to, key]
            keys += [(*made.key, f"returned {number}") for number in range(2, int(key[-1].split()[-1]) + 1)]
        first = ""
        if to != unit or key != made.key:
            first = next((each for each in (to, places.actor(to, on)) if self.has(each, key, *BEGUN)), "")
            holder = self.holder(first, key) if first else unit
            if self.is_open(holder, key) and holder != unit and not self.has(unit, key, "handed-over"):
                is_change = bool(status.answered and status.answered.letter.kind in CHANGES)
                if not is_change:
                    self.move(made.at, holder, unit, key)
            elif holder not in theirs:
                unit = holder
        if any(self.has(each, one, made.what) for each in (*speaks, unit) for one in keys):
            return
        by = "" if self.has(unit, key, "received") else first
        self.found[unit, key, made.what] = attrs.evolve(made, unit=unit, key=key, received_by=by)

    def pass_on(self, passing: places.Passing) -> None:
        """Let what a unit that ends has in work, or with a due day and not finished, pass to its successor."""
        at, heir = passing.at, passing.heir
        if not heir:
            self.give_back(at, passing.units)
            return
        (unit,) = passing.units
        for key in [key for one, key, what in self.found if one == unit and what in BEGUN]:
            if self.is_open(unit, key) and (self.begun(unit, key).seen(at).due or self.has(unit, key, *WORK)):
                self.move(at, unit, heir, key)

    def give_back(self, at: datetime, units: Sequence[str]) -> None:
        """Give back to units that go on what others have of them, and what was sent to them and came to a successor."""
        given, on = [], places.day(at)
        for unit in units:
            line = {unit, *places.forebears(unit, on)}
            theirs = [(one, key) for (one, key), to in self.sent_to.items() if line & to and one not in to | line]
            mine = [(one, key) for one, key in self.went if one == unit]
            for one, key in (*mine, *theirs):
                holder = self.holder(one, key)
                if holder != unit and self.is_open(holder, key):
                    keeps = (one, key) in mine and self.has(holder, key, "received")  # it was sent to both
                    given.append((unit, holder, key, keeps))
        for unit, holder, key, keeps in given:
            base = key[:-1] if key[-1].startswith("returned ") else key
            new = (*base, f"returned {int(key[-1].split()[-1]) + 1 if base != key else 2}")
            self.move(at, holder, unit, key, new, keeps=keeps)
            self.again |= {(each, base): new for each in (unit, *places.forebears(unit, on))}

    def move(self, at: datetime, unit: str, heir: str, key: Key, new: Key = (), *, keeps: bool = False) -> None:
        """Let a document pass from a unit to another; *keeps*: the unit has it, too."""
        in_work = self.has(unit, key, *WORK)
        moved = attrs.evolve(self.begun(unit, key).seen(at), at=at, what="handed-over", received_by="", sooner=None)
        if not keeps:
            self.found[unit, key, moved.what] = moved
            self.went[unit, key] = heir
        new = new or key
        taken = attrs.evolve(moved, unit=heir, key=new, what="taken-over", received_by=unit)
        if not self.has(heir, new, *BEGUN):
            for what in ("taken-over", *(["taken-over-in-work"] if in_work else [])):
                self.found[heir, new, what] = attrs.evolve(taken, what=what)
        elif taken.due and self.is_open(heir, new):
            there = self.begun(heir, new)
            due = there.seen(at).due
            if due is None and there.what == "received":
                self.found[heir, new, taken.what] = taken
            elif due is None or taken.due < due:
                self.found[heir, new, there.what] = attrs.evolve(there, sooner=(at, taken.due))


def _key(message: Message) -> tuple[str, ...]:
    letter = message.letter
    if letter.kind == "document":
        return message.sender, letter.document_id
    if letter.kind != "status":
        return message.sender, letter.document_id, message.sha256
    answer = letter.answers[0]
    document = message.answered.letter.document_id if message.answered else f"{answer.number},{answer.date}"
    change = (message.answered.sha256,) if message.answered and message.of_change else ()
    organ = message.answered.sender if message.answered else places.actor(answer.organ, places.day(message.at))
    return organ, answer.document_id or document, *change


def _result(
    message: Message, unit: str, key: tuple[str, ...], what: str, at: datetime, signed: Callable[[Message], bool]
) -> Result:
    letter = message.letter
    on = places.day(message.at)
    far = outside(message.sender, on)
    due = letter.due if letter.kind == "document" else None
    if what.startswith("sent"):
        far = any(outside(to, on) for to in letter.to)
    if letter.kind == "status":
        answered = message.answered
        due = answered.letter.due if answered else None
    return Result(
        unit=unit,
        key=key,
        what=what,
        at=at,
        message=message.id,
        outside=far,
        paper=letter.paper,
        signed=signed(message),
        due=due,
    )


# --- periods ------------------------------------------------------------------------------------------------------------


def bounds(period: str) -> tuple[datetime, datetime]:
    """Return the first instant of a period and the first after it: months end on the 14th, and days in Hà Nội."""
    year, part = int(period[:4]), period[5:]
    if not part:
        first, last = 1, 12
    elif part == "9M":
        first, last = 1, 9
    elif part[0] in "QH":
        length, number = {"Q": 3, "H": 6}[part[0]], int(part[1])
        first, last = length * (number - 1) + 1, length * number
    else:
        first = last = int(part)
    return (_fifteenth(year, first - 1) if first > 1 else _fifteenth(year - 1, 12)), _fifteenth(year, last)


def _fifteenth(year: int, month: int) -> datetime:
    return datetime(year, month, 15, tzinfo=HANOI).astimezone(UTC)


# --- columns ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class View:
    """The results of one unit before the end of a period, as one who asks at *now* sees them."""

    results: list[Result]
    start: datetime
    end: datetime
    now: datetime

    def flow(self, what: str, fits: Callable[[Result], bool] = lambda _: True) -> list[Result]:
        return [one for one in self.results if one.what == what and one.at >= self.start and fits(one)]

    @cached_property
    def _received(self) -> dict[tuple[str, ...], Result]:
        return {one.key: one for one in reversed(self.results) if one.what == "received"}

    def received(self, key: tuple[str, ...]) -> Result | None:
        return self._received.get(key)

    def soon(self, one: Result) -> bool:
        received = self.received(one.key)
        return received is not None and one.at <= received.at + DAY

    def matched(self, one: Result) -> bool:
        return self.received(one.key) is not None or bool(one.received_by)

    def unmatched(self, what: str) -> list[Result]:
        return self.flow(what, lambda one: not self.matched(one))

    def on_time(self, one: Result) -> bool:
        received = self.received(one.key)
        taken = next((each for each in self.results if each.key == one.key and each.what == "taken-over"), None)
        due = (received and received.due) or (taken and taken.due) or one.due
        return self.matched(one) and (due is None or places.day(one.at) <= due)

    def processing(self) -> list[Result]:
        found, of_key = [], dict[tuple[str, ...], list[Result]]()
        for one in sorted(self.results, key=lambda one: (one.at, one.message)):
            if one.what in STEPS and one.at <= self.now:
                of_key.setdefault(one.key, []).append(one)
        for told in of_key.values():
            furthest: Result | None = None
            for one in told:
                if one.what in ENDED:
                    furthest = None
                    break
                if furthest is None or STEPS[one.what] > STEPS[furthest.what]:
                    furthest = one
            seen = (received := self.received(told[0].key)) is not None and received.at <= self.now
            seen = seen or any(one.received_by for one in told)
            if seen and furthest and furthest.what in WORK:
                found.append(furthest)
        return found

    def overdue(self) -> list[Result]:
        seen = [one for one in self.results if one.at <= self.now]
        over = {one.key for one in seen if one.what in ENDED}
        today = places.day(min(self.end, self.now))
        return [one for one in seen if one.what in BEGUN and one.due and one.due < today and one.key not in over]

    def begun(self, key: tuple[str, ...]) -> Result | None:
        """Return with what the work on a document began in the unit."""
        return next((one for what in BEGUN for one in self.results if one.key == key and one.what == what), None)

    def dated(self, one: Result) -> bool:
        return one.due is not None

    def finished(self, what: str) -> list[Result]:
        """Return what was told of documents with a due day that the unit has, or had."""
        return self.flow(what, lambda one: self.due_of(one) is not None)

    def due_of(self, one: Result) -> date | None:
        """Return the due day of the document that something was told of; None if the unit never had it, or it has none."""
        begun = self.begun(one.key)
        return ((begun and begun.due) or one.due) if begun or one.received_by else None

    def in_time(self, one: Result) -> bool:
        due = self.due_of(one)
        return due is None or places.day(one.at) <= due

    def standing(self, seen: Callable[[Result], bool]) -> list[Result]:
        """Return what was received with a due day, and is neither finished nor refused in what is *seen*."""
        told = [one for one in self.results if seen(one)]
        over = {one.key for one in told if one.what in ENDED}
        return [one for one in told if one.what in BEGUN and one.due and one.key not in over]

    def failed(self) -> list[Result]:
        """Return the failures of the period that were not over at its end."""
        over = {one.key for one in self.results if one.what == "failed-over"}
        return [one for one in self.flow("failed") if one.key not in over]

    def last(self) -> list[Result]:
        latest = max((one.at for one in self.results), default=self.start)
        return [one for one in self.results if one.at == latest >= self.start]


COLUMNS: dict[str, Callable[[View], list[Result]]] = {
    "sent_inside": lambda view: view.flow("sent", lambda one: not one.outside),
    "sent_outside": lambda view: view.flow("sent", lambda one: one.outside),
    "sent": lambda view: view.flow("sent"),
    "received_inside": lambda view: view.flow("received", lambda one: not one.outside),
    "received_outside": lambda view: view.flow("received", lambda one: one.outside),
    "received": lambda view: view.flow("received"),
    "total": lambda view: view.flow("sent") + view.flow("received"),
    "recalls": lambda view: view.flow("sent-recall"),
    "updates": lambda view: view.flow("sent-update"),
    "replacements": lambda view: view.flow("sent-replacement"),
    "signed": lambda view: view.flow("sent", lambda one: one.signed),
    "not_signed": lambda view: view.flow("sent", lambda one: not one.signed),
    "on_paper": lambda view: view.flow("sent", lambda one: one.paper),
    "acknowledged": lambda view: view.flow("status-03", view.matched),
    "acknowledged_in_time": lambda view: view.flow("status-03", view.soon),
    "refused": lambda view: view.flow("status-02", view.matched),
    "completed": lambda view: view.flow("status-06", view.matched),
    "completed_on_time": lambda view: view.flow("status-06", view.on_time),
    "completed_unmatched": lambda view: view.unmatched("status-06"),
    "results_unmatched": lambda view: [
        one for code in ("02", "03", "04", "05") for one in view.unmatched(f"status-{code}")
    ],
    "processing": lambda view: view.processing(),
    "overdue": lambda view: view.overdue(),
    "failed": lambda view: view.failed(),
    "last_update": lambda view: view.last(),
}


#: Documents with a due day, as work of the units that received them.
DATED: dict[str, Callable[[View], list[Result]]] = {
    "carried_over": lambda view: view.standing(lambda one: one.at < view.start),
    "assigned": lambda view: view.flow("received", view.dated),
    "taken_over": lambda view: view.flow("taken-over", view.dated),
    "done": lambda view: view.finished("status-06"),
    "late": lambda view: [one for one in view.finished("status-06") if not view.in_time(one)],
    "refused": lambda view: view.finished("status-02"),
    "open": lambda view: view.standing(lambda one: one.at <= view.now),
    "overdue": lambda view: view.overdue(),
}
#: The columns of each form that counts documents.
FORMS = {"edoc": COLUMNS, "congviec-vanban": DATED}


def behind(found: Iterable[Result], column: str, unit: str, period: str, now: datetime) -> list[Result]:
    """Return the results behind one cell of one unit's row, where nothing is closed."""
    return between(found, column, unit, *bounds(period), now)


def between(
    found: Iterable[Result], column: str, unit: str, start: datetime, end: datetime, now: datetime, form: str = "edoc"
) -> list[Result]:
    """Return the results behind one cell of one unit's row from *start* until before *end*."""
    seen = min(now, end - timedelta(microseconds=1))
    own = [one.seen(seen) for one in found if one.unit == unit and one.at < end]
    return FORMS[form][column](View(own, start, end, now))
