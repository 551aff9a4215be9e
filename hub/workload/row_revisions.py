"""The rows of closed months and their revisions: the newest, what late facts change, how one is counted again."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, Fact
from hub.journal import code_lists, events
from hub.journal.fact_reading import fact_rows, fact_search
from hub.journal.searching import message_reading
from hub.keeping import fact_audit
from hub.report.counting import closed, posting
from hub.report.counting.closed import ClosedRow
from hub.report.counting.marks import (
    LATE,
    RECOUNTED,
    LateMessage,
    LateMessages,
    name_late_messages,
    refuse_unreadable,
    write_own_reason,
)
from hub.report.form.form import Form, LatePolicy
from hub.security.attesting import AttestationTrust
from hub.security.certificates import Signer
from hub.store import transactions
from hub.store.tables import closed_row, fact
from hub.store.transactions import Transaction
from hub.workload import attestations
from hub.workload.attestations import Raw, StoredRows
from hub.workload.closing import CarriedKeys, MonthFactReader, store_carried_keys, store_closed_rows, write_closing_json
from hub.workload.closing_plan import Closing, list_closed_months, read_closings

#: Rows are read in their newest revision.
NEWEST: Mapping[tuple[str, str, str], int] = MappingProxyType({})


class FactsForged(Exception):
    """Facts of a unit are not those that their events recorded: somebody edited the database. The arguments are form,
    month, unit and the findings (`fact_audit.FactFinding`).
    """


def read_newest_rows(
    tx: Transaction,
    form: Form,
    periods: Collection[str],
    units: Collection[str] | None = None,
    limits: Mapping[tuple[str, str, str], int] = NEWEST,
) -> dict[str, dict[str, ClosedRow]]:
    """Return the rows of closed months in their newest revision, by period and unit; only those of *units* (None:
    all). *limits*: by form, month and unit, the newest revision of a row that is read. Raises Rejected with
    `closing-tampered` if one is unreadable.
    """
    return choose_newest_rows(form, attestations.read_stored_rows(tx, form.id, periods, units), limits)


def choose_newest_rows(
    form: Form, stored: StoredRows, limits: Mapping[tuple[str, str, str], int] = NEWEST
) -> dict[str, dict[str, ClosedRow]]:
    """Return the newest revision, within *limits*, of each of the *stored* rows, by period and unit. Raises Rejected with
    `closing-tampered` if one is unreadable.
    """
    found = dict[str, dict[str, ClosedRow]]()
    with refuse_unreadable(f"{form.id} {' '.join(stored)} row"):
        for period, rows in stored.items():
            newest = dict[str, int]()
            for unit, revision in rows:
                if newest.get(unit, 0) < revision <= limits.get((form.id, period, unit), revision):
                    newest[unit] = revision
            found[period] = {name[0]: _read_row(form, name, rows[name]) for name in newest.items()}
    return found


def count_revised_rows(tx: Transaction, form: str) -> dict[str, int]:
    """Return how many units' rows were revised in each closed month of *form*. Months without revisions are absent."""
    units = sa.func.count(closed_row.c.unit.distinct())
    revised = sa.and_(closed_row.c.form == form, closed_row.c.revision > 1)
    rows = tx.execute(sa.select(closed_row.c.period, units).where(revised).group_by(closed_row.c.period))
    return {row[0]: row[1] for row in rows}


def read_row_revisions(
    tx: Transaction, form: Form, asked: Collection[tuple[str, str, int]]
) -> dict[tuple[str, str, int], ClosedRow]:
    """Return the rows of closed months that *asked* names by month, unit and revision. Rows that do not exist are left
    out. *asked*: some hundred at most.
    """
    periods, units = {period for period, _, _ in asked}, {unit for _, unit, _ in asked}
    stored = attestations.read_stored_rows(tx, form.id, periods, units)
    with refuse_unreadable(f"{form.id} row"):
        return {
            (period, *name): _read_row(form, name, raw)
            for period, rows in stored.items()
            for name, raw in rows.items()
            if (period, *name) in asked
        }


def _read_row(form: Form, name: tuple[str, int], raw: Raw) -> ClosedRow:
    """Return the row that stands as *raw* in the database, in the order of `attestations.ROW_COLUMNS`."""
    numbers, times, facts, evidence, made_at, reason, diff, division, by, late = raw
    unit, revision = name
    return ClosedRow(
        unit=unit,
        cells=closed.read_cells(
            form, json.loads(numbers), json.loads(times), json.loads(division) if division else None
        ),
        facts=facts,
        evidence=evidence,
        revision=revision,
        made_at=datetime.fromisoformat(made_at),
        reason=reason,
        diff=json.loads(diff),
        by=by,
        late=_read_late(late),
    )


def _read_late(text: str) -> LateMessages:
    named, more = json.loads(text)
    found = (
        LateMessage(id=id_, partner=partner, at=datetime.fromisoformat(at), facts=facts)
        for id_, partner, at, facts in named
    )
    return LateMessages(named=tuple(found), more=more)


def find_differing_units(
    tx: Transaction,
    form: str,
    period: str,
    units: Iterable[str] | None = None,
) -> Iterator[str]:
    """Count the closed month *period* again and yield each unit whose row or carried keys differ from the stored ones.

    *units*: the units to count; None: all. Raises KeyError when the month is not closed.
    """
    made = read_closings(tx, form)
    fact_search.use_indexes(tx)
    number = _find_number(made, period)
    reader, at = _reread_closing(tx, made, number), made[number].closed_at
    kept = read_newest_rows(tx, reader.form, [period])[period]
    for unit in list_units_to_recount(tx, form, period) if units is None else units:
        row, keys = reader.count_row(unit, at)
        held = kept.get(unit) or closed.make_empty_row(reader.form, unit)
        if not held.says(row or closed.make_empty_row(reader.form, unit)) or keys != reader.carried(unit, period):
            yield unit


def list_units_to_recount(tx: Transaction, form: str, period: str) -> list[str]:
    """Return the units that may have a row in the closed month *period*, by code. Raises KeyError when it is not
    closed.
    """
    made = read_closings(tx, form)
    reader = _reread_closing(tx, made, _find_number(made, period))
    kept = read_newest_rows(tx, reader.form, [period])[period]
    return sorted({*fact_rows.list_fact_units(tx, reader.form.service), *reader.carrying(), *kept})


def _find_number(made: Sequence[Closing], period: str) -> int:
    for number, each in enumerate(made):
        if each.period.text == period:
            return number
    raise KeyError(period)


def _reread_closing(tx: Transaction, made: Sequence[Closing], number: int) -> MonthFactReader:
    this = made[number]
    return MonthFactReader.of(tx, this.form, this.period, made[:number], list_closed_months(made[: number + 1]))


def _count_again(
    tx: Transaction, reader: MonthFactReader, this: Closing, unit: str, tell: Callable[[Fact], None]
) -> ClosedRow:
    """Return the row of *unit* as it is counted now, and write the keys that the month carries over."""
    found, keys = reader.count_row(unit, this.closed_at, tell)
    held = reader.carried(unit, this.period.text)
    new, old = ([(unit, key) for key in sorted(some)] for some in (keys - held, held - keys))
    store_carried_keys(
        tx, this.form.id, this.period.text, CarriedKeys(begun=write_closing_json(new), ended=write_closing_json(old))
    )
    after = found or closed.make_empty_row(this.form, unit)
    if after.cells.division is not None:
        after.cells.division.name_values(code_lists.read_value_names(tx, this.form.divides_by))
    return after


def _make_revision(was: ClosedRow, after: ClosedRow) -> ClosedRow:
    """Return *after* as the revision that follows *was*."""
    return attrs.evolve(after, revision=was.revision + 1, diff=closed.find_changed_cells(was, after))


def _write_revision(
    tx: Transaction, this: Closing, unit: str, row: ClosedRow, signer: Signer | None, now: datetime
) -> None:
    store_closed_rows(tx, this.form, this.period, [row])
    body = {"form": this.form.id, "period": this.period.text, "unit": unit, "revision": row.revision, "by": row.by}
    if signer is not None:
        name = (unit, row.revision)
        body["attestation"] = attestations.attest_rows(tx, signer, this.form.id, this.period.text, [name], now)
    body |= {"reason": row.reason, "diff": dict(row.diff), "late": [each.id for each in row.late.named]}
    events.append_events(tx, Event("report-row-revised", now, body=body))


def revise_unit(
    tx: Transaction,
    form: str,
    period: str,
    unit: str,
    *,
    reason: str,
    by: str,
    now: datetime,
    signer: Signer | None = None,
    trust: AttestationTrust | None = None,
) -> list[tuple[str, ClosedRow]]:
    """Count *unit* again in the closed month *period* and in each closed month after it. Write a new revision of every
    row that differs. *reason*: what is recorded as the reason; if it is empty, in both languages that facts came late
    or, where none came, that it was counted again. The messages with the late facts are recorded with it.

    A row that somebody edited in the database is no reason for a revision: it is first restored as it is attested
    (`attestations.restore_attested`). *signer*: the hub's own key, which attests the new rows, as in `settle_closing`.
    *trust*: by which attestations are believed.

    Returns the new rows with their months. Appends an event for each. Idempotent: a second call finds no difference.
    Raises KeyError when the month is not closed; FactsForged if the facts of the unit are not those of their events.
    """
    transactions.lock_names(tx, [f"closing {form}"])
    made = read_closings(tx, form)
    fact_search.use_indexes(tx)
    written: list[tuple[str, ClosedRow]] = []
    for number in range(_find_number(made, period), len(made)):
        this = made[number]
        attestations.restore_attested(tx, trust, form, this.period.text, by, now, [unit])
        reader, late = _reread_closing(tx, made, number), list[Fact]()
        before = read_newest_rows(tx, this.form, [this.period.text], [unit])[this.period.text].get(unit)
        since = before.made_at if before is not None and before.made_at is not None else this.closed_at
        tell = _note_late_facts(reader, since, late)
        after = _count_again(tx, reader, this, unit, tell)
        was = before or closed.make_empty_row(this.form, unit)
        if was.says(after):
            continue
        if forged := _find_forged_facts(tx, reader, unit, this, was, since, late):
            raise FactsForged(form, this.period.text, unit, forged)
        came = _name_late_messages(tx, Counter(each.message for each in late))
        said = reason or write_own_reason(LATE if came.named else RECOUNTED)
        row = attrs.evolve(_make_revision(was, after), made_at=max(now, this.closed_at), reason=said, by=by, late=came)
        _write_revision(tx, this, unit, row, signer, now)
        written.append((this.period.text, row))
    return written


def _find_forged_facts(
    tx: Transaction,
    reader: MonthFactReader,
    unit: str,
    this: Closing,
    was: ClosedRow,
    since: datetime,
    late: Sequence[Fact],
) -> Sequence[fact_audit.FactFinding]:
    """Return what is forged among the facts because of which the row *was* of *unit* is to be revised.

    If the facts from before *since* still give that row, only the *late* ones can be forged; else all of the unit are
    compared with their events. In a journal whose attestations have not begun none is.
    """
    if not attestations.has_begun(tx):
        return ()
    before, _ = reader.count_row(unit, this.closed_at, until=since)
    if was.says(before or closed.make_empty_row(this.form, unit)):
        return fact_audit.compare_given_facts(tx, late)
    return fact_audit.find_forged_facts_of_unit(tx, unit)


def _note_late_facts(reader: MonthFactReader, since: datetime, late: list[Fact]) -> Callable[[Fact], None]:
    """Return a function that lists in *late* the facts that came from *since* on and belong in the month
    of *reader* or before it.
    """
    post, end = posting.make_poster(reader.form, reader.books), reader.period.end

    def tell(each: Fact) -> None:
        if each.at >= since and post(each) < end:
            late.append(each)

    return tell


def _name_late_messages(tx: Transaction, late: Mapping[str, int]) -> LateMessages:
    found = message_reading.read_message_origins(tx, late)
    return name_late_messages(
        LateMessage(id=each, partner=found[each][0], at=found[each][1], facts=count) for each, count in late.items()
    )


def find_late_units(tx: Transaction, form: str) -> dict[str, str]:
    """Return the units with recently recorded facts that lie in a closed month, each with the first such month.

    Only for a form whose late facts make revisions (`late = "revision"`). Recently: since the closing before the last
    one. `find_differing_units` tells whether these facts are counted already.
    """
    made = read_closings(tx, form)
    if not made or made[-1].form.late is not LatePolicy.REVISION:
        return {}
    since, last, service = made[-2:][0].closed_at, made[-1].period.last, made[-1].form.service
    found: dict[str, str] = {}
    for unit in fact_rows.list_fact_units(tx, service):
        mine = sa.and_(fact.c.service == service, fact.c.unit == unit, fact.c.at >= since, fact.c.day <= last)
        day = tx.scalar(sa.select(sa.func.min(fact.c.day)).where(mine))
        if day is not None:
            found[unit] = next(each.period.text for each in made if day <= each.period.last)
    return found
