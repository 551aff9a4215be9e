"""Closes the months of a form in order, and makes revisions of closed rows.

Knows which months are closed, and what a closing reads and writes. Does not know how facts are assigned to columns and
months (`hub.report`).

Reading and writing are separate, and both are done in short steps (`close_in_steps`). Counting is slow: each reading
step counts some units and ends after a bounded time, so that no snapshot of the database stays open for minutes. Each
writing step stores a bounded number of carried keys. What it stores means nothing until the last step, `settle_closing`,
writes the closing itself. A closing that is abandoned halfway therefore changes no number, and the next attempt corrects
the keys that it left.

At most one closing of a form writes: `begin_closing` stores a token, and each later step checks it. An attempt that was
superseded, or whose month was closed meanwhile, fails at its next step.
"""

import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, Fact
from hub.journal import code_lists, duties, events
from hub.journal.fact_reading import fact_rows, fact_search
from hub.report.counting import closed, posting
from hub.report.counting.closed import ClosedRow, have_same_rules
from hub.report.counting.division import write_division
from hub.report.counting.marks import LateMessages
from hub.report.counting.posting import ClosedMonths
from hub.report.form.book import Book
from hub.report.form.form import Form
from hub.report.form.period import Cuts, Period, find_following_month, parse_period
from hub.security.certificates import Signer
from hub.store import transactions
from hub.store.tables import carried, closed_row, closing_draft
from hub.store.tables import closing as table
from hub.store.transactions import Transaction
from hub.workload import attestations, glance_rows, month_world, spikes
from hub.workload.closing_plan import (
    Closing,
    ClosingPlan,
    FactsOutstanding,
    OutOfTurn,
    find_automatic_closing_time,
    find_next_month_to_close,
    list_closed_months,
    plan_closing,
    read_closings,
    read_kept_workdays,
)
from hub.workload.spikes import NO_SPIKES, FoundSpikes

T = TypeVar("T")
#: A reading step begins no further unit after this time, in seconds.
BUDGET = 1.0
#: The maximum number of carried keys that one writing step stores: a few milliseconds of the only writer.
KEYS = 1_000
#: A closing that has written nothing for this long may be taken over by the automatic closing of another node.
LEASE = timedelta(minutes=10)


class ClosingElsewhere(Exception):
    """Another process is closing a month of the form. The argument is the time until which it may be silent."""


@attrs.frozen(kw_only=True)
class CarriedKeys:
    """Changes to the keys that are carried, at most `KEYS`. Each list is a JSON array of [unit, key]."""

    begun: str = "[]"  #: the keys that are carried from the month on
    ended: str = "[]"  #: the keys that are carried no longer


@attrs.frozen(kw_only=True)
class CountedUnits:
    """Some units of a month that is being closed, as counted."""

    rows: tuple[ClosedRow, ...]
    keys: tuple[CarriedKeys, ...]
    left: tuple[str, ...]  #: the units that are not counted yet


@attrs.frozen(kw_only=True)
class MonthDraft:
    """The result of counting a month to be closed, not written yet."""

    plan: ClosingPlan
    rows: tuple[ClosedRow, ...]
    keys: tuple[CarriedKeys, ...] = ()  #: the changes that are not stored yet
    spikes: FoundSpikes = NO_SPIKES  #: the figures that are far from those of the months before


@attrs.frozen
class ClosingStep:
    """One step of a closing: a transaction that reads or writes."""

    writes: bool
    run: Callable[..., Any]  #: a function of a module, called with the transaction and the arguments
    arguments: tuple[Any, ...]


@attrs.frozen
class MonthClosed:
    """A month that `close_in_steps` has closed."""

    closing: Closing
    units: int  #: the number of its rows
    spikes: FoundSpikes  #: the figures that are far from those of the months before


def begin_closing(
    tx: Transaction,
    book: Book,
    form: str,
    period: Period | None,
    now: datetime,
    token: str,
    *,
    takes_over: bool = False,
) -> ClosingPlan | None:
    """Begin to close the month *period* of *form* under *token* (None: the next one, if the hub may close it by itself by
    now). Closings of *form* that were begun under another token can write nothing any more.

    Returns None if *period* is None and no month is to be closed yet. Raises TooEarly, OutOfTurn (also when the month is
    closed already), FactsOutstanding, LinkDaysOutstanding; ClosingElsewhere if another closing of the form is under way and, without
    *takes_over*, its lease has not ended.
    """
    transactions.lock_names(tx, [f"closing {form}"])
    if period is None:
        found = find_next_month_to_close(tx, book, form)
        if found is None or now < find_automatic_closing_time(book, found[1]):
            return None
        period = found[1]
    held = tx.execute(sa.select(closing_draft).where(closing_draft.c.form == form)).one_or_none()
    if held is not None and held.token != token and held.until > now and not takes_over:
        raise ClosingElsewhere(held.until)
    plan = attrs.evolve(plan_closing(tx, book, form, period, now), token=token)
    tx.execute(sa.delete(closing_draft).where(closing_draft.c.form == form))
    tx.execute(sa.insert(closing_draft), [{"form": form, "token": token, "until": now + LEASE}])
    return plan


def abandon_closing(tx: Transaction, plan: ClosingPlan) -> None:
    """Let others close the month of *plan* at once."""
    mine = sa.and_(closing_draft.c.form == plan.form.id, closing_draft.c.token == plan.token)
    tx.execute(sa.delete(closing_draft).where(mine))


def close_in_steps(
    plan: ClosingPlan, now: Callable[[], datetime], by: str, signer: Signer | None = None
) -> Generator[ClosingStep, Any, MonthClosed]:
    """Yield the steps that close the month of *plan*, and take the result of each. Returns what was closed. *signer*: as
    in `settle_closing`.

    The steps raise OutOfTurn when another closing was begun or written meanwhile, and FactsOutstanding as
    `settle_closing` does.
    """
    rows = list[ClosedRow]()
    left = yield ClosingStep(False, list_units_to_count, (plan,))
    while left:
        counted = yield ClosingStep(False, count_some_units, (plan, left))
        for keys in counted.keys:
            yield ClosingStep(True, carry_keys, (plan, keys, now()))
        rows += counted.rows
        left = counted.left
    found = yield ClosingStep(False, find_spikes, (plan, _list_figures(rows)))
    draft = MonthDraft(plan=plan, rows=tuple(rows), spikes=found)
    made = yield ClosingStep(True, settle_closing, (draft, by, signer))
    return MonthClosed(made, len(rows), found)


def count_month_draft(tx: Transaction, book: Book, form: str, period: Period, now: datetime) -> MonthDraft:
    """Count the month *period* of *form* at once and return the draft of its closing. Writes nothing.

    For small journals and tests. Raises TooEarly, OutOfTurn (also when the month is closed already), FactsOutstanding.
    """
    plan = plan_closing(tx, book, form, period, now)
    counted = count_some_units(tx, plan, list_units_to_count(tx, plan), float("inf"))
    found = find_spikes(tx, plan, _list_figures(counted.rows))
    return MonthDraft(plan=plan, rows=counted.rows, keys=counted.keys, spikes=found)


def _list_figures(rows: Iterable[ClosedRow]) -> dict[str, dict[str, int]]:
    return {row.unit: dict(row.cells.sums) for row in rows}


def find_spikes(tx: Transaction, plan: ClosingPlan, figures: Mapping[str, Mapping[str, int]]) -> FoundSpikes:
    """Return which of *figures*, by unit and column, are far from the mean of the closed months before that of *plan*.
    Only months that were closed by the same rules are compared. Writes nothing.
    """
    compared: list[str] = []
    for each in reversed(read_closings(tx, plan.form.id)):
        if len(compared) == plan.form.spikes.months or not have_same_rules(each.form, plan.form):
            break
        compared.insert(0, each.period.text)
    return spikes.compare_month(tx, plan.form, plan.period, figures, compared)


def list_units_to_count(tx: Transaction, plan: ClosingPlan) -> tuple[str, ...]:
    """Return the units that may have a row in the month of *plan*, by code."""
    reader = MonthFactReader.to_close(tx, plan)
    return tuple(sorted({*fact_rows.list_fact_units(tx, plan.form.service), *reader.carrying()}))


def count_some_units(tx: Transaction, plan: ClosingPlan, units: Sequence[str], seconds: float = BUDGET) -> CountedUnits:
    """Count at least the first of *units* in the month of *plan*, and further ones for *seconds*. Writes nothing.

    Memory: the facts of some hundred keys, and the keys that are carried on. Raises OutOfTurn when a closing was
    written meanwhile.
    """
    fact_search.use_indexes(tx)
    reader = MonthFactReader.to_close(tx, plan)
    names = code_lists.read_value_names(tx, plan.form.divides_by)
    rows, begun, ended = list[ClosedRow](), list[tuple[str, str]](), list[tuple[str, str]]()
    reached, left = split_by_time(units, seconds)
    for unit in reached:
        row, keys = reader.count_row(unit, plan.closed_at)
        held = reader.carried(unit, plan.period.text)
        if row is not None:
            if row.cells.division is not None:
                row.cells.division.name_values(names)
            rows.append(row)
        begun += ((unit, key) for key in sorted(keys - held))
        ended += ((unit, key) for key in sorted(held - keys))
    changes = [CarriedKeys(ended=pairs) for pairs in _write_pairs(ended)]
    changes += [CarriedKeys(begun=pairs) for pairs in _write_pairs(begun)]
    return CountedUnits(rows=tuple(rows), keys=tuple(changes), left=tuple(left))


def split_by_time(every: Sequence[T], seconds: float) -> tuple[Iterator[T], list[T]]:
    """Return an iterator over the first of *every* and those that are reached within *seconds*, and a list that holds
    the others when the iterator has ended.
    """
    left: list[T] = []

    def reached() -> Iterator[T]:
        until = time.monotonic() + seconds
        for number, each in enumerate(every):
            if number and time.monotonic() >= until:
                left.extend(every[number:])
                return
            yield each

    return reached(), left


def _write_pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for first in range(0, len(pairs), KEYS):
        yield write_closing_json(pairs[first : first + KEYS])


@attrs.frozen
class MonthFactReader:
    """Reads the facts from which the row of a unit in one month is counted."""

    tx: Transaction
    form: Form
    period: Period
    before: str | None  #: the closed month before it
    books: ClosedMonths
    search: fact_search.FactSearch

    @classmethod
    def of(
        cls, tx: Transaction, form: Form, period: Period, made: Sequence[Closing], books: ClosedMonths
    ) -> "MonthFactReader":
        """Return the reader for *period*.

        *made*: the closings of the months before *period*. *books*: the closed months including *period*.
        """
        chained = bool(made) and have_same_rules(made[-1].form, form)
        # The carried keys of a form that counts differently cannot be used. Then all of the past is read, once.
        known = books if chained else ClosedMonths(books.months[-1:])
        found = posting.list_posting_windows(form, period, known)
        before = made[-1].period.text if made else None
        search = fact_search.FactSearch.for_period(form.service, found, form.id, before if chained else None)
        return cls(tx, form, period, before, books, search)

    @classmethod
    def to_close(cls, tx: Transaction, plan: ClosingPlan) -> "MonthFactReader":
        """Return the reader for the month of *plan*. Raises OutOfTurn when a closing was written meanwhile."""
        made = read_closings(tx, plan.form.id)
        _check_turn(made, plan, plan.cuts)
        books = list_closed_months(made).closed(plan.period, plan.closed_at)
        return cls.of(tx, plan.form, plan.period, made, books)

    def carrying(self) -> list[str]:
        """Return the units that carry a key into the month."""
        if self.before is None:
            return []
        mine = sa.and_(carried.c.form == self.form.id, fact_search.build_carried_condition(self.before))
        return list(self.tx.scalars(sa.select(carried.c.unit).where(mine).distinct()))

    def count_row(
        self,
        unit: str,
        now: datetime,
        tell: Callable[[Fact], None] = lambda _fact: None,
        until: datetime = datetime.max.replace(tzinfo=UTC),
    ) -> tuple[ClosedRow | None, set[str]]:
        """Return the row of *unit* (None: nothing counted), and the keys it carries on. *tell*: called with each fact
        that is read. *until*: only facts that were recorded before it are counted.
        """

        def heard() -> Iterator[list[Fact]]:
            for history in self.search.histories(self.tx, unit):
                known = [each for each in history if each.at < until]
                for each in known:
                    tell(each)
                yield known

        histories = heard()
        return closed.count_closed_row(self.form, histories, self.period, max(now, self.period.end), unit, self.books)

    def carried(self, unit: str, period: str) -> set[str]:
        """Return the keys that *unit* carries at the end of the month *period*, as stored. Of a month that is not closed
        yet, these are the keys carried into it, with the changes that an abandoned closing has stored.
        """
        return set(self.tx.scalars(_make_carried_query(self.form.id, period), {"of": unit}))


def _make_carried_query(form: str, period: str) -> sa.Select[Any]:
    """Return the query for the keys that the unit `of` carries at the end of the closed month *period*."""
    mine = sa.and_(
        carried.c.form == form, carried.c.unit == sa.bindparam("of"), fact_search.build_carried_condition(period)
    )
    return sa.select(carried.c.key).where(mine)


def _check_turn(made: Sequence[Closing], plan: ClosingPlan, cuts: Cuts) -> None:
    """Raise OutOfTurn unless the month of *plan* follows the closings *made*."""
    if (made[-1].period.text if made else None) != plan.after:
        raise OutOfTurn(find_following_month(made[-1].period, cuts) if made else None)


def carry_keys(tx: Transaction, plan: ClosingPlan, keys: CarriedKeys, now: datetime) -> None:
    """Store which keys are carried from the month of *plan* on, and which no longer, before the month is closed.

    No report reads these changes until the month is closed. Idempotent. Raises OutOfTurn when another closing was begun
    or written.
    """
    transactions.lock_names(tx, [f"closing {plan.form.id}"])
    _check_turn(read_closings(tx, plan.form.id), plan, plan.cuts)
    mine = sa.and_(closing_draft.c.form == plan.form.id, closing_draft.c.token == plan.token)
    if tx.execute(sa.update(closing_draft).where(mine).values(until=now + LEASE)).rowcount != 1:
        raise OutOfTurn(plan.period)
    store_carried_keys(tx, plan.form.id, plan.period.text, keys)


def _require_current_plan(tx: Transaction, plan: ClosingPlan, made: Sequence[Closing]) -> None:
    """Raise FactsOutstanding, or OutOfTurn if other closings than those *made* when *plan* was made changed the turn."""
    form, period, at = plan.form, plan.period, plan.closed_at
    if left := duties.read_outstanding_duties(tx, services=[form.service], before=at):
        raise FactsOutstanding(left)
    cuts = read_kept_workdays(tx, plan.cuts)
    _check_turn(made, plan, cuts)
    if parse_period(period.text, cuts) != period:
        raise OutOfTurn(
            parse_period(period.text, cuts)
        )  # another form's month was closed meanwhile, with another cut-off
    if tx.scalar(sa.select(closing_draft.c.token).where(closing_draft.c.form == form.id)) != plan.token:
        raise OutOfTurn(period)
    if plan.world and month_world.find_first_closing(tx, period.text) is not None:
        # another form was closed meanwhile: begun again, this one is closed as of the same time
        raise OutOfTurn(period)


def settle_closing(tx: Transaction, draft: MonthDraft, by: str, signer: Signer | None = None) -> Closing:
    """Write the closing of a month. It is final and written once: if the month was closed meanwhile, return that
    closing.

    *signer*: the hub's own key, which attests what was written; None: only in a journal whose attestations have not
    begun. Raises Unready if it cannot be used now; OutOfTurn when other closings were begun or written meanwhile, FactsOutstanding when facts received before
    `closed_at` are not written yet.
    """
    plan = draft.plan
    form, period, at = plan.form, plan.period, plan.closed_at
    # the lock "closing": a month has the same days in all forms
    transactions.lock_names(tx, ["closing", f"closing {form.id}"])
    made = read_closings(tx, form.id)
    for each in made:
        if each.period.text == period.text:
            return each
    _require_current_plan(tx, plan, made)
    tx.execute(sa.delete(closing_draft).where(closing_draft.c.form == form.id))
    sha256 = closed.hash_closing(form, period, draft.rows)
    world = month_world.keep_month_world(tx, period, at, plan.world)
    named = {"form": form.id, "period": period.text}
    days = {"first_day": period.first, "last_day": period.last}
    kept = {"closed_at": at, "closed_by": by, "definition": form.written, "sha256": sha256}
    tx.execute(sa.insert(table), [named | days | kept])
    store_closed_rows(tx, form, period, [attrs.evolve(row, made_at=at) for row in draft.rows])
    for keys in draft.keys:
        store_carried_keys(tx, form.id, period.text, keys)
    attested = (
        {} if signer is None else {"attestation": attestations.attest_closing(tx, signer, form.id, period.text, at)}
    )
    body = {
        **named,
        "by": by,
        "units": len(draft.rows),
        "facts": sum(row.facts for row in draft.rows),
        "sha256": sha256,
        "world": world,
        **attested,
    }
    if silent := month_world.read_month_silences(tx, [period.last]):
        body["silences"] = [f"{each.partner} {each.kind}" for each in silent]
    events.append_events(tx, Event("period-closed", at, body=body))
    if draft.spikes.count:
        events.append_events(tx, spikes.make_spikes_event(form.id, period.text, draft.spikes, at, by))
    return Closing(period=period, closed_at=at, by=by, definition=form.written, sha256=sha256)


def close_month(
    tx: Transaction, book: Book, form: str, period: Period, now: datetime, by: str, signer: Signer | None = None
) -> Closing:
    """Count and close a month in one transaction. For small journals and tests."""
    return settle_closing(tx, count_month_draft(tx, book, form, period, now), by, signer)


def store_closed_rows(tx: Transaction, form: Form, period: Period, rows: Iterable[ClosedRow]) -> None:
    kept = [
        {
            "form": form.id,
            "period": period.text,
            "unit": row.unit,
            "revision": row.revision,
            "numbers": write_closing_json(row.cells.sums),
            "times": write_closing_json(closed.write_times(row.cells)),
            "facts": row.facts,
            "evidence": row.evidence,
            "made_at": row.made_at,
            "reason": row.reason,
            "diff": write_closing_json(row.diff),
            "division": None if row.cells.division is None else write_closing_json(write_division(row.cells.division)),
            "made_by": row.by,
            "late": _write_late(row.late),
        }
        for row in rows
    ]
    if kept:
        tx.execute(sa.insert(closed_row), kept)
    glance_rows.remove_sheets(tx, period)


#: How each database reads a JSON array of [unit, key].
_PAIRS = {
    "sqlite": "SELECT json_extract(value, '$[0]') AS unit, json_extract(value, '$[1]') AS \"key\" FROM json_each(:pairs)",
    "postgresql": 'SELECT value ->> 0 AS unit, value ->> 1 AS "key" FROM json_array_elements(CAST(:pairs AS json))',
}
_THESE = 'form = :form AND (unit, "key") IN (SELECT unit, "key" FROM ({pairs}) AS pair)'
_UNCARRY = f"DELETE FROM carried WHERE since = :period AND {_THESE}"  # noqa: S608 - constants
_END = f"""UPDATE carried SET "until" = :period
    WHERE since < :period AND ("until" IS NULL OR "until" > :period) AND {_THESE}"""  # noqa: S608 - constants
_BEGIN = """INSERT INTO carried (form, unit, "key", since)
    SELECT :form, unit, "key", :period FROM ({pairs}) AS pair WHERE TRUE ON CONFLICT DO NOTHING"""


def store_carried_keys(tx: Transaction, form: str, period: str, keys: CarriedKeys) -> None:
    """Store which keys are carried from the end of *period* on, and which are carried no longer.

    The database reads the keys from their JSON text. Python handles none of them, so the only writer does not hold the
    interpreter's lock for them.
    """
    for statements, pairs in (((_UNCARRY, _END), keys.ended), ((_BEGIN,), keys.begun)):
        for statement in statements if pairs != "[]" else ():
            said = {"form": form, "period": period, "pairs": pairs}
            tx.execute(sa.text(statement.format(pairs=_PAIRS[tx.dialect.name])), said)


def write_closing_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _write_late(late: LateMessages) -> str:
    return write_closing_json(
        [[[each.id, each.partner, each.at.isoformat(), each.facts] for each in late.named], late.more]
    )
