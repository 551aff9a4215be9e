"""Counts every cell of every form from what was told.  Knows the columns one by one, as docs/reference/reports.md lists them."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeVar

import attrs

from tests.recount import derived, exported, gatherings, items, numbers, onestop, papers, places, results
from tests.recount.documents import Message
from tests.recount.exported import Closed, Journal
from tests.recount.places import HANOI
from tests.recount.results import Result
from tests.recount.told import Told, latest_due, once

GRAVE = ("emergency", "alert", "critical")


@attrs.frozen
class Behind:
    """What one result adds to a cell."""

    unit: str
    what: str
    message: str
    amount: int
    at: datetime


@attrs.frozen
class View:
    """What was told of one unit in one service and counts before the end of a period, as one who asks at *now* sees it."""

    told: list[Told]
    start: datetime
    end: datetime
    now: datetime
    known: list[Told]  #: what was known when the numbers were made, whenever it counts

    @property
    def first(self) -> date:
        return places.day(self.start)

    @property
    def last(self) -> date:
        return places.day(self.end) - timedelta(days=1)

    @property
    def today(self) -> date:
        return places.day(self.now)

    def inside(self, *whats: str, **said: str) -> list[Told]:
        """Return what of this name counts in the period."""
        return [
            one
            for one in self.told
            if one.what in whats
            and self.start <= one.when < self.end
            and all(one.said.get(name) == text for name, text in said.items())
        ]

    def latest(self) -> list[Told]:
        return newest([one for one in self.told if self.start <= one.when < self.end])

    # --- incidents and meetings

    def open(self) -> list[Told]:
        closed = {one.key for one in self.told if one.what == "closed"}
        return [one for one in self.told if one.what == "opened" and one.key not in closed]

    def over(self, what: str) -> list[Told]:
        """Return what happened on a day of the period that is over, whenever the hub heard of it before the period's end."""
        over = min(self.today, self.last + timedelta(days=1))
        found = [one for one in self.told if one.what == what and self.first <= one.on < over]
        return [one for one in found if gatherings.held(self.told, one)] if what == "scheduled" else found

    # --- mail

    def most(self, what: str) -> list[Told]:
        """Return what was told of the day, or of the days in one report, of which the most was told; nothing of a unit that
        has handed over its accounts.
        """
        if self.gone():
            return []
        told = self.inside(what)  # of one day, or of all days between two; a correction has the same two
        days = [[one for one in told if one.key[:2] == span] for span in {one.key[:2] for one in told}]
        most = max(days, key=amount, default=[])
        return most if amount(most) >= 0 else []

    def gone(self) -> bool:
        """Tell whether a unit has handed over its accounts by the end of the period."""
        return amount(one for one in self.told if one.what == "handed-over") > 0

    # --- dossiers

    @cached_property
    def of_key(self) -> dict[tuple[str, ...], list[Told]]:
        """What was told of each business key, in its order."""
        found: dict[tuple[str, ...], list[Told]] = {}
        for one in self.told:
            found.setdefault(one.key, []).append(one)
        return found

    def finished(self, how: str) -> list[Told]:
        return [one for one in self.inside("finished", outcome="done") if self._timing(one) == how]

    def having(self, counted: list[Told], *whats: str) -> list[Told]:
        """Return those of *counted* of whose dossier all of this was known too when the numbers were made."""
        known = {(one.key, one.what) for one in self.known}
        return [one for one in counted if all((one.key, what) in known for what in whats)]

    def lacking(self, counted: list[Told], what: str) -> list[Told]:
        """Return those of *counted* of whose dossier this was not known when the numbers were made."""
        known = {one.key for one in self.known if one.what == what}
        return [one for one in counted if one.key not in known]

    def never_begun(self, counted: list[Told]) -> list[Told]:
        """Return those of *counted* whose dossier nobody had taken on before the end of the period."""
        begun = {one.key for one in self.told if one.what in BEGUN}
        return [one for one in counted if one.key not in begun]

    def apologised(self, one: Told) -> bool:
        """Tell whether a letter of apology for a dossier was sent by the moment at which it is looked at."""
        return any(each.what == "apologised" and each.when <= self.now for each in self.of_key[one.key])

    def awaiting(self, *, overdue: bool) -> list[Told]:
        """Return what was handed in and neither taken on nor refused; overdue: it should have been by then."""
        before = [one for one in self.told if one.when <= self.now]
        over = {one.key for one in before if one.what in (*BEGUN, "finished", "refused", "passed-on")}
        day = min(self.last, self.today)
        waiting = [one for one in before if one.what == "registered" and one.key not in over]
        return [one for one in waiting if overdue is (one.due is not None and one.due < day)]

    def _timing(self, finished: Told, less: int = 0) -> str:
        told = [one for one in self.of_key[finished.key] if one.on <= finished.on]
        due = finished.due or latest_due(told)
        day = finished.on - timedelta(days=less)
        if due is None or due == day:
            return "on time"
        return "early" if day < due else "late"

    def first_ends(self) -> list[Told]:
        """Return the first ends of dossiers that have begun too, the later of end and first beginning in the period."""
        found = []
        for told in self.of_key.values():
            ends = [one for one in told if one.what in ("finished", "refused")]
            first = min(ends, key=lambda one: (one.when, one.at, one.message, one.what), default=None)
            begun = min((one.when for one in told if one.what in BEGUN), default=None)
            if first is not None and begun is not None and max(first.when, begun) >= self.start:
                found.append(first)
        return found

    def ended(self, how: str) -> list[Told]:
        return [end for end in self.first_ends() if self._settled(end) == how]

    def ended_by_clock(self, *, late: bool) -> list[Told]:
        """Return the first ends that came late, or did not, where the time of supplements does not count (indicator 2.1)."""
        return [end for end in self.first_ends() if (self._timing(end, self._supplements(end)) == "late") is late]

    def _supplements(self, end: Told) -> int:
        """Return the days on which papers were asked for and brought, until the end."""
        on = {one.what: one.on for one in self.told if one.key == end.key}
        days = 0
        for again in ("", "-again"):
            asked, brought = on.get(f"supplement-requested{again}"), on.get(f"supplemented{again}")
            if asked and brought and asked <= brought <= end.on:
                days += (brought - asked).days
        return days

    def pending_by_clock(self, *, late: bool) -> list[Told]:
        """Return what is in hand late, or not: papers asked for, or a stop, are its end; asked for twice it is late."""
        before = [one for one in self.told if one.when <= self.now]
        found = []
        for one in in_hand(before):
            mine = [each for each in before if each.key == one.key]
            due, day = latest_due(mine), min(self.last, self.today)
            begun = sorted((each for each in mine if each.what.startswith("waiting-")), key=lambda each: each.what)
            reason = begun[-1].said["reason"] if begun and waits(mine) else ""
            if reason in ("papers", "paused"):
                day = min(day, begun[-1].on)
            again = reason == "papers" and any(each.what == "supplement-requested-again" for each in mine)
            if late is (again or (due is not None and due < day)):
                found.append(one)
        return found

    def _settled(self, end: Told) -> str:
        given_up = end.what == "refused" or end.said["outcome"] == "withdrawn"
        return "on time" if given_up else self._timing(end)

    def carried_over(self) -> list[Told]:
        return in_hand([one for one in self.told if one.when < self.start])

    def pending(self, *, overdue: bool) -> list[Told]:
        day = min(self.last, self.today)
        found = []
        for one in in_hand([one for one in self.told if one.when <= self.now]):
            before = [each for each in self.of_key[one.key] if each.when <= self.now]
            due = latest_due(before)
            if overdue is (due is not None and due < day and not waits(before)):
                found.append(one)
        return found


def amount(told: Iterable[Told]) -> int:
    return sum(one.amount for one in told)


def in_hand(told: list[Told]) -> list[Told]:
    """Return the dossiers that were received or taken over, and neither finished, refused nor handed over."""
    ended = {one.key for one in told if one.what in ("finished", "refused", "handed-over")}
    return [one for one in told if one.what in BEGUN and one.key not in ended]


def waits(told: list[Told]) -> bool:
    """Tell whether a dossier waits for its applicant, or is paused: it began to more often than it went on."""
    return sum(one.what.startswith("waiting-") - one.what.startswith("resumed-") for one in told) > 0


def newest(told: list[Told]) -> list[Told]:
    latest = max((one.at for one in told), default=None)
    return [one for one in told if one.at == latest]


# --- forms --------------------------------------------------------------------------------------------------------------

T = TypeVar("T")
BEGUN = ("received", "taken-over")  #: with what the work on a dossier begins in a unit
Rule = Callable[[View], list[Told]]

DOSSIERS: dict[str, Rule] = {
    "received_online": lambda view: view.inside("received", channel="online"),
    "received_direct": lambda view: view.inside("received", channel="direct"),
    "received_post": lambda view: view.inside("received", channel="post"),
    "received_unstated": lambda view: view.inside("received", channel=""),
    "received": lambda view: view.inside("received"),
    "carried_over": lambda view: view.carried_over(),
    "taken_over": lambda view: view.inside("taken-over", "handed-over"),
    "finished_early": lambda view: view.finished("early"),
    "finished_on_time": lambda view: view.finished("on time"),
    "finished_late": lambda view: view.finished("late"),
    "withdrawn": lambda view: view.inside("finished", outcome="withdrawn"),
    "finished": lambda view: view.inside("finished"),
    "pending_in_time": lambda view: view.pending(overdue=False),
    "pending_overdue": lambda view: view.pending(overdue=True),
    "refused": lambda view: view.inside("refused"),
    "supplement_requested": lambda view: view.inside("supplement-requested"),
    "supplemented": lambda view: view.inside("supplemented"),
    "paused": lambda view: view.inside("paused"),
    "returned": lambda view: view.inside("returned"),
    "synced": lambda view: view.inside("synced"),
    "received_synced": lambda view: view.having(view.inside("received"), "synced"),
    "received_charged": lambda view: view.having(view.inside("received"), "fee-charged"),
    "received_paid_online": lambda view: view.having(view.inside("received"), "fee-charged", "paid-online"),
    "received_reused": lambda view: view.having(view.inside("received"), "data-reused"),
    "received_from_store": lambda view: view.having(view.inside("received"), "store-used"),
    "received_identified": lambda view: view.having(view.inside("received"), "population-data-used"),
    "finished_done": lambda view: view.inside("finished", outcome="done"),
    "finished_with_result": lambda view: view.having(view.inside("finished", outcome="done"), "result-file"),
    "finished_digitised": lambda view: view.having(
        view.inside("finished", outcome="done"), "result-file", "papers-digitised"
    ),
    "finished_timed": lambda view: view.having(view.inside("finished", outcome="done"), "days-taken"),
    "days_taken": lambda view: view.inside("days-taken"),
    "ended_in_time": lambda view: view.ended_by_clock(late=False),
    "ended_late": lambda view: view.ended_by_clock(late=True),
    "open_in_time": lambda view: view.pending_by_clock(late=False),
    "open_late": lambda view: view.pending_by_clock(late=True),
    "declared_received": lambda view: view.inside("declared-received"),
    "declared_finished": lambda view: view.inside("declared-in-time", "declared-late"),
}
II06A: dict[str, Rule] = {
    "received_online": lambda view: view.inside("received", channel="online"),
    "received_direct": lambda view: [one for one in view.inside("received") if one.said["channel"] != "online"],
    "carried_over": lambda view: view.carried_over(),
    "settled_early": lambda view: view.ended("early"),
    "settled_on_time": lambda view: view.ended("on time"),
    "settled_late": lambda view: view.ended("late"),
    "pending_in_time": lambda view: view.pending(overdue=False),
    "pending_overdue": lambda view: view.pending(overdue=True),
    "taken_over": lambda view: view.inside("taken-over", "handed-over"),
}
THUTUC: dict[str, Rule] = {name: II06A[name] for name in ("received_online", "received_direct")}
BTP07A: dict[str, Rule] = {
    "received_direct": lambda view: [one for one in view.inside("received") if one.said["channel"] in ("direct", "")],
    "received_online_full": lambda view: view.inside("received", channel="online", level="full"),
    "received_online_partial": lambda view: view.inside("received", channel="online", level="partial"),
    "received_online_other": lambda view: [
        one for one in view.inside("received", channel="online") if one.said["level"] not in ("full", "partial")
    ],
    "received_post": lambda view: view.inside("received", channel="post"),
    "carried_over": lambda view: view.carried_over(),
    "received_elsewhere": lambda view: view.inside("received", place="elsewhere"),
    "settled_in_time": lambda view: [*view.ended("early"), *view.ended("on time")],
    "settled_late_apologised": lambda view: view.having(view.ended("late"), "apologised"),
    "settled_late_unapologised": lambda view: view.lacking(view.ended("late"), "apologised"),
    "pending_in_time": lambda view: view.pending(overdue=False),
    "pending_overdue_apologised": lambda view: [one for one in view.pending(overdue=True) if view.apologised(one)],
    "pending_overdue_unapologised": lambda view: [
        one for one in view.pending(overdue=True) if not view.apologised(one)
    ],
    "paid_online": lambda view: view.inside("paid-online"),
    "paid_direct": lambda view: view.inside("paid-direct"),
    "stopped": lambda view: view.inside("paused"),
    "awaiting_in_time": lambda view: view.awaiting(overdue=False),
    "awaiting_overdue": lambda view: view.awaiting(overdue=True),
    "refused": lambda view: view.never_begun(view.inside("refused")),
    "withdrawn": lambda view: [end for end in view.first_ends() if end.said.get("outcome") == "withdrawn"],
    "taken_over": lambda view: view.inside("taken-over", "handed-over"),
}
MAIL: dict[str, Rule] = {
    "accounts": lambda view: view.most("accounts-issued"),
    "active": lambda view: view.most("accounts-active"),
    "over_quota": lambda view: view.most("over-quota"),
    "handed_over": lambda view: view.inside("handed-over"),
    "sent_internal": lambda view: view.inside("sent-internal"),
    "sent_external": lambda view: view.inside("sent-external"),
    "sent": lambda view: view.inside("sent-internal", "sent-external"),
    "received_internal": lambda view: view.inside("received-internal"),
    "received_external": lambda view: view.inside("received-external"),
    "received": lambda view: view.inside("received-internal", "received-external"),
    "refused_size": lambda view: view.inside("refused-size"),
    "official_documents": lambda view: view.inside("official-documents"),
    "last_update": lambda view: newest(view.inside(*numbers.FIGURES.values())),
}
MEETINGS: dict[str, Rule] = {
    "called": lambda view: view.inside("called"),
    "cancelled": lambda view: view.inside("cancelled"),
    "held": lambda view: view.over("scheduled"),
    "accepted": lambda view: view.inside("accepted"),
    "declined": lambda view: view.inside("declined"),
    "attended": lambda view: view.over("attended"),
    "last_update": lambda view: view.latest(),
}
INCIDENTS: dict[str, Rule] = {
    "opened_grave": lambda view: [one for one in view.inside("opened") if one.said["severity"] in GRAVE],
    "opened_other": lambda view: [one for one in view.inside("opened") if one.said["severity"] not in GRAVE],
    "opened": lambda view: view.inside("opened"),
    "closed": lambda view: view.inside("closed"),
    "closing_seconds": lambda view: view.inside("closing-seconds"),
    "open": lambda view: view.open(),
    "last_update": lambda view: view.latest(),
}
LOOKUPS: dict[str, Rule] = {
    "enterprise": lambda view: view.inside("lookup-enterprise"),
    "category": lambda view: view.inside("lookup-category"),
    "citizen": lambda view: view.inside("verify-citizen"),
    "asked": lambda view: view.inside("lookup-enterprise", "lookup-category", "verify-citizen"),
    "postal": lambda view: view.inside("postal-ordered"),
    "civil_status": lambda view: view.inside("civil-status-sent"),
    "judicial_record": lambda view: view.inside("judicial-record-requested"),
    "last_update": lambda view: view.latest(),
}
LINKS: dict[str, Rule] = {
    "probed": lambda view: view.inside("link-probed"),
    "up": lambda view: view.inside("link-up"),
    "last_update": lambda view: view.latest(),
}
REPORTING: dict[str, Rule] = {
    "submitted": lambda view: view.inside("submitted"),
    "accepted": lambda view: view.inside("accepted"),
    "returned": lambda view: view.inside("returned"),
    "last_update": lambda view: view.latest(),
}
#: In items, with the suffix "", and converted.
_ITEMS: dict[str, Callable[[View, str], list[Told]]] = {
    "carried_over": items.carried,
    "assigned": lambda view, suffix: view.inside(f"assigned{suffix}"),
    "done": lambda view, suffix: items.ended(view, "done", suffix),
    "late": items.late,
    "withdrawn": lambda view, suffix: items.ended(view, "withdrawn", suffix),
    "open": items.left,
    "overdue": items.overdue,
    "returned": lambda view, suffix: view.inside(
        *(f"returned{number}{suffix}" for number in ("", "-2", "-3", "-4")), *([] if suffix else ["returned-more"])
    ),
}


def _with(suffix: str, rule: Callable[[View, str], list[Told]]) -> Rule:
    return lambda view: rule(view, suffix)


WORK: dict[str, Rule] = {
    **{name: _with("", rule) for name, rule in _ITEMS.items()},
    **{f"{name}_converted": _with("-converted", rule) for name, rule in _ITEMS.items()},
    "excused": lambda view: view.inside("excused"),
    "done_unmatched": items.unmatched,
}
WORK_DOSSIERS: dict[str, Rule] = {
    "carried_over": lambda view: view.carried_over(),
    "assigned": lambda view: view.inside("received"),
    "taken_over": lambda view: view.inside("taken-over", "handed-over"),
    "done": lambda view: view.ended("early") + view.ended("on time") + view.ended("late"),
    "late": lambda view: view.ended("late"),
    "open": lambda view: view.pending(overdue=False) + view.pending(overdue=True),
    "overdue": lambda view: view.pending(overdue=True),
}
#: form -> its service, its columns; the e-document form's are in tests/recount/results.py
FORMS: dict[str, tuple[str, dict[str, Rule]]] = {
    "dossiers": ("dossiers", DOSSIERS),
    "ii06a": ("dossiers", II06A),
    "thutuc": ("dossiers", THUTUC),
    "congviec": ("work", WORK),
    "congviec-hoso": ("dossiers", WORK_DOSSIERS),
    "mail": ("mail", MAIL),
    "meetings": ("meetings", MEETINGS),
    "incidents": ("incidents", INCIDENTS),
    "lookups": ("lookups", LOOKUPS),
    "links": ("links", LINKS),
    "reporting": ("reports", REPORTING),
    "btp07a": ("dossiers", BTP07A),
}
#: Sums of columns that are put together from months in different ways.
SUMS = {
    ("congviec-vanban", "total"): ("carried_over", "assigned", "taken_over"),
    ("congviec-hoso", "total"): ("carried_over", "assigned", "taken_over"),
    ("congviec", "total"): ("carried_over", "assigned"),
    ("congviec", "total_converted"): ("carried_over_converted", "assigned_converted"),
    ("dossiers", "total"): ("received", "carried_over", "taken_over"),
    ("dossiers", "pending"): ("pending_in_time", "pending_overdue"),
    ("thutuc", "received"): ("received_online", "received_direct"),
    ("ii06a", "received"): ("received_online", "received_direct", "carried_over", "taken_over"),
    ("ii06a", "settled"): ("settled_early", "settled_on_time", "settled_late"),
    ("ii06a", "pending"): ("pending_in_time", "pending_overdue"),
    ("btp07a", "received"): (
        "received_direct", "received_online_full", "received_online_partial", "received_online_other", "received_post",
        "carried_over", "taken_over",
    ),
    ("btp07a", "settled"): ("settled_in_time", "settled_late_apologised", "settled_late_unapologised"),
    ("btp07a", "settled_late"): ("settled_late_apologised", "settled_late_unapologised"),
    ("btp07a", "pending"): ("pending_in_time", "pending_overdue_apologised", "pending_overdue_unapologised"),
    ("btp07a", "pending_overdue"): ("pending_overdue_apologised", "pending_overdue_unapologised"),
    ("btp07a", "paid"): ("paid_online", "paid_direct"),
    ("btp07a", "awaiting"): ("awaiting_in_time", "awaiting_overdue"),
}  # fmt: skip
#: The forms whose row of a unit is divided: with what a thing begins, and what is told with it that divides the row.
DIVIDED = {"ii06a": (BEGUN, "field"), "thutuc": (BEGUN, "procedure"), "congviec": (("assigned",), "officer")}
BY_DAY = ("dossiers", "ii06a", "thutuc", "btp07a", "congviec", "congviec-hoso", "mail", "links")
SINGLE = (
    "dossiers",
    "ii06a",
    "thutuc",
    "btp07a",
    "congviec-hoso",
)  #: what a unit tells later of the days of one thing corrects them
REVISED = ("mail",)  #: what comes late stays in its month, whose row gets another revision
OPENING = ("carried_over", "carried_over_converted")
STOCKS = (
    "pending_in_time", "pending_overdue", "open_in_time", "open_late", "open", "processing", "overdue",
    "pending_overdue_apologised", "pending_overdue_unapologised", "awaiting_in_time", "awaiting_overdue",
    "open_converted", "overdue_converted",
)  # fmt: skip
PEAKS = ("accounts", "active", "over_quota")
TIMES = ("last_update",)


@attrs.frozen
class Piece:
    """A closed month of a longer period, or a part of it that is not closed."""

    start: datetime
    end: datetime
    closed: Closed | None = None


def pieces(period: str, closed: list[Closed]) -> list[Piece]:
    """Return what a period is put together from: its closed months, what lies before the first of them, what after the last."""
    start, end = results.bounds(period)
    months = [Piece(*results.bounds(each.period), each) for each in closed]
    months = [month for month in months if start <= month.start and month.end <= end]
    if not months:
        return [Piece(start, end)]
    found = [Piece(start, months[0].start), *months, Piece(months[-1].end, end)]
    return [piece for piece in found if piece.start < piece.end]


@attrs.frozen
class Recount:
    """All that a journal tells."""

    journal: Journal
    papers: list[Result]
    told: list[Told]
    taken_up: datetime | None = None  #: when the hub took up all that had come late
    _known: dict[object, Any] = attrs.field(factory=dict, init=False, eq=False, repr=False)  #: what was found before

    def _once(self, name: tuple[object, ...], find: Callable[[], T]) -> T:
        """Return what *find* finds, which is looked for once by this *name*."""
        if name not in self._known:
            self._known[name] = find()
        found: T = self._known[name]
        return found

    def _counted_again(self, form: str, period: str, unit: str) -> datetime | None:
        return self.taken_up or exported.revised(self.journal, form, period, unit)

    def _closings(self, form: str) -> list[Closed]:
        return self._once(("closings", form), lambda: exported.closings(self.journal, form))

    def columns(self, form: str) -> list[str]:
        """Return the columns of a form, in no order."""
        if form in derived.FORMS:
            return list(derived.FORMS[form])
        sums = [column for name, column in SUMS if name == form]
        return [*sums, *(results.FORMS[form] if form in results.FORMS else FORMS[form][1])]

    def behind(self, form: str, column: str, unit: str, period: str, now: datetime) -> list[Behind]:
        """Return what is behind one cell of one unit's row; its number is the sum of the amounts, a time that of the latest."""
        if form in derived.FORMS:
            taken = derived.FORMS[form][column]
            assert isinstance(taken, derived.Taken)
            return self.behind(taken.form, taken.column, unit, period, now)
        if (form, column) in SUMS:
            return [one for part in SUMS[form, column] for one in self.behind(form, part, unit, period, now)]
        closed = self._closings(form)
        found = [self._piece(form, column, unit, piece, closed, now) for piece in pieces(period, closed)]
        if column in OPENING:
            return found[0]
        if column in STOCKS:
            return found[-1]
        if column in PEAKS:
            view, _ = self._view(form, column, unit, pieces(period, closed)[-1], closed, now)
            return [] if view.gone() else max((each for each in found if each), key=_amount, default=[])
        every = [one for each in found for one in each]
        return [one for one in every if one.at == max(each.at for each in every)] if column in TIMES else every

    def by_row(self, form: str, column: str, unit: str, period: str, now: datetime) -> dict[str, int]:
        """Return the numbers of one cell of a unit's row by what `DIVIDED` says, without those that are 0.

        A thing stands in the row that was told with its beginning, whatever is told of it later.
        """
        begun, name = DIVIDED[form]
        closed = self._closings(form)
        every = pieces(period, closed)
        every = every[:1] if column in OPENING else every[-1:] if column in STOCKS else every
        found = Counter[str]()
        for piece in every:
            view, told = self._view(form, column, unit, piece, closed, now)
            rows = {one.key: one.said[name] for one in view.told if one.what in begun}
            for one in told:
                found[rows.get(one.key) or "unstated"] += one.amount
        return {row: number for row, number in found.items() if number}

    def value(
        self, form: str, column: str, units: list[str], period: str, now: datetime
    ) -> int | Decimal | datetime | None:
        """Return what a cell says: of one unit, or of *units* together."""
        if form in derived.FORMS:
            return derived.number(form, column, lambda other, name: self._sum(other, name, units, period, now))
        if column in TIMES:
            found = [one for unit in units for one in self.behind(form, column, unit, period, now)]
            return max((one.at for one in found), default=None)
        return self._sum(form, column, units, period, now)

    def _sum(self, form: str, column: str, units: list[str], period: str, now: datetime) -> int:
        return sum(_amount(self.behind(form, column, unit, period, now)) for unit in units)

    def due(self, form: str, period: str) -> set[str]:
        """Return the units that told of a closed month of *period* since its row was made: another revision is due the next night."""
        found = set()
        for base in (
            {each.form for each in derived.FORMS[form].values() if isinstance(each, derived.Taken)}
            if form in derived.FORMS
            else {form}
        ):
            for piece in pieces(period, self._closings(base)) if base in REVISED else ():
                for one in self.told:
                    if (
                        one.service != FORMS[base][0]
                        or piece.closed is None
                        or not piece.start <= _posted(one, []) < piece.end
                    ):
                        continue
                    again = self._counted_again(base, piece.closed.period, one.unit)
                    if one.at >= piece.closed.at and (again is None or one.at > again):
                        found.add(one.unit)
        return found

    def broken(self, units: list[str], period: str, now: datetime) -> list[tuple[str | None, bool, int, int]]:
        """Return which checks of II.06a do not hold in the rows of *units*; first those of the total (None)."""
        closed = [each.period for each in self._closings("ii06a")]
        start = results.bounds(period)[0]
        month = next((each for each in closed if results.bounds(each)[1] == start), None)
        places: list[tuple[str | None, list[str]]] = [(None, units), *((unit, [unit]) for unit in units)]
        found = []
        for place, members in places:
            names = ("received", "settled", "pending", "carried_over")
            numbers = {name: self._sum("ii06a", name, members, period, now) for name in names}
            before = None
            if month is not None and place is not None:
                before = {"pending": self._sum("ii06a", "pending", members, month, now)}
            found += [(place, *each) for each in derived.broken(numbers, before)]
        return found

    def _piece(
        self, form: str, column: str, unit: str, piece: Piece, closed: list[Closed], now: datetime
    ) -> list[Behind]:
        """Return what is behind a cell in one piece."""
        name = "piece", form, column, unit, piece, None if piece.closed else now
        return self._once(name, lambda: self._piece_anew(form, column, unit, piece, closed, now))

    def _piece_anew(
        self, form: str, column: str, unit: str, piece: Piece, closed: list[Closed], now: datetime
    ) -> list[Behind]:
        if form in results.FORMS:
            now = now if piece.closed is None else max(now, piece.end)
            found = results.between(self._papers(unit), column, unit, piece.start, piece.end, now, form)
            return [Behind(one.unit, one.what, one.message, 1, one.at) for one in found]
        _, told = self._view(form, column, unit, piece, closed, now)
        return [Behind(one.unit, one.known_as, one.message, one.amount, one.at) for one in told]

    def _papers(self, unit: str) -> list[Result]:
        def by_unit() -> dict[str, list[Result]]:
            found: dict[str, list[Result]] = {}
            for one in self.papers:
                found.setdefault(one.unit, []).append(one)
            return found

        return self._once(("papers",), by_unit).get(unit, [])

    def _told(self, service: str, unit: str) -> list[Told]:
        def by_unit() -> dict[tuple[str, str], list[Told]]:
            found: dict[tuple[str, str], list[Told]] = {}
            for one in self.told:
                found.setdefault((one.service, one.unit), []).append(one)
            return found

        return self._once(("told",), by_unit).get((service, unit), [])

    def _view(
        self, form: str, column: str, unit: str, piece: Piece, closed: list[Closed], now: datetime
    ) -> tuple[View, list[Told]]:
        """Return what was told of a unit before the end of a piece, and what of it a column counts; a closed month is as it
        was at its end.
        """
        now = now if piece.closed is None else max(now, piece.end)
        name = "view", form, unit, piece, now
        view = self._once(name, lambda: self._view_anew(form, unit, piece, closed, now))
        return view, FORMS[form][1][column](view)

    def _view_anew(self, form: str, unit: str, piece: Piece, closed: list[Closed], now: datetime) -> View:
        told = self._told(FORMS[form][0], unit)
        if form in BY_DAY:
            corrected = [_correct(one, piece, closed) for one in told] if form in SINGLE else told
            name = ("posted", form, unit, piece) if form in SINGLE else ("posted", form, unit)
            told = self._once(name, lambda: self._post(form, corrected, closed))
        if form in REVISED and piece.closed:
            again = self._counted_again(form, piece.closed.period, unit)
            told = [one for one in told if one.at < piece.closed.at or (again is not None and one.at <= again)]
        known = [one for one in told if (one.at < piece.closed.at if piece.closed else one.at <= now)]
        return View([one for one in told if one.when < piece.end], piece.start, piece.end, now, known)

    @staticmethod
    def _post(form: str, told: list[Told], closed: list[Closed]) -> list[Told]:
        return [attrs.evolve(one, counts=_posted(one, [] if form in REVISED else closed)) for one in told]


def _correct(one: Told, piece: Piece, closed: list[Closed]) -> Told:
    """Return a result with the days that its unit told last.

    A closed month takes no notice of what was told later. What counts in a month that was closed when its days were
    corrected stays there; then only its due day is the new one, for as long as the dossier is open.
    """
    counts = one
    for number, other in enumerate(one.corrections, 1):
        if piece.closed and other.at >= piece.closed.at:
            continue
        if other.due != counts.due:
            counts = attrs.evolve(counts, stated=other.at)
        when = _posted(counts, closed)
        if any(each.at <= other.at and when < results.bounds(each.period)[1] for each in closed):
            counts = attrs.evolve(counts, due=other.due)
        else:
            counts = attrs.evolve(
                counts, day=other.day, due=other.due, at=other.at, message=other.message, corrected=number
            )
    return counts


def _posted(told: Told, closed: list[Closed]) -> datetime:
    """Return when a result counts: on its day or, when that lay in a closed month as the hub heard of it, in the first open one."""
    when = datetime.combine(told.on, time(), HANOI).astimezone(UTC)
    for each in closed:
        end = results.bounds(each.period)[1]
        if each.at <= told.at and when < end:
            when = end
    return when


def _amount(found: list[Behind]) -> int:
    return sum(one.amount for one in found)


def recount(journal: Journal, signed: Callable[[Message], bool]) -> Recount:
    """Count *journal* again; *signed* tells whether a packet's own signature is good."""
    enclosed = papers.enclosed(journal)
    told: Iterable[Told] = [
        *onestop.read(journal),
        *numbers.read_mail(journal),
        *numbers.with_closings([one for one in enclosed if one.service == "incidents"]),
        *(one for one in enclosed if one.service == "meetings"),
        *numbers.read_lookups(journal),
        *items.read_work(journal),
        *numbers.read_links(journal),
        *numbers.read_reports(journal),
    ]
    until = journal.events[-1].at if journal.events else None
    return Recount(journal, results.results(papers.read(journal).log, signed, until), once(told))
