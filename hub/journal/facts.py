"""Facts: each result is counted once for one unit. Makes facts of message rows and stores them.

Does not know the forms.

Rules: docs/reference/reports.md. The key of a fact is (unit, service, business key, milestone), and the first fact of a
key counts. Each fact is published by the event `fact-recorded` with all its fields, so a reader of the events alone can
count what the hub counts.
"""

import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from hub.domain.model import DOCUMENTS, Event, Fact, PacketKind, SignatureStanding
from hub.domain.time_window import TimeWindow
from hub.journal import events
from hub.journal.sequels import corrected_figures, dossier_days, dossier_owners, dossier_waits
from hub.journal.sequels.dossier_owners import KnownOwners
from hub.report.counting.lines import read_fact_members
from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import carried
from hub.store.tables import fact as table
from hub.store.transactions import Transaction

_SENT = {
    PacketKind.DOCUMENT: "sent",
    PacketKind.RECALL: "sent-recall",
    PacketKind.UPDATE: "sent-update",
    PacketKind.REPLACEMENT: "sent-replacement",
}

#: Stands in the key of a document before the number of a return.
_RETURNED = "returned "

Key = tuple[str, str, str, str]  #: unit, service, business key, milestone

_FIELDS = tuple(field.name for field in attrs.fields(Fact))
_ASKED = 200  #: keys per statement; SQLite allows about 8,000
#: Business keys whose facts are read at a time.
_KEYS = 500
#: The maximum number of rows that `FactSearch.list_rows` yields at a time.
_TOGETHER = 2_000

#: The milestones of the From unit's document: a delivery is dead, and none is any more.
FAILED, RECOVERED = "failed", "failed-over"

_TOLD = tuple(field.name for field in attrs.fields(Fact) if field.name not in {"at", "message"})
#: Values that an event leaves out: those of every document.
_PLAIN: Mapping[str, object] = {"day": None, "amount": 1, "attributes": {}}


def make_business_key(organ: str, document_id: str, *, packet: str | None = None, returns: int | None = None) -> str:
    """Return the key of a document: its From unit, edXML DocumentId and, for a change, the SHA-256 of its packet.

    *returns*: the number of the return, for what a unit has again after it had handed it over.
    """
    more = [*([packet] if packet else []), *([f"{_RETURNED}{returns}"] if returns else [])]
    return json.dumps([organ, document_id, *more], ensure_ascii=False, separators=(",", ":"))


def make_return_key(key: str) -> tuple[str, int]:
    """Return the key under which a unit has the document *key* again that it had handed over, and its number, from 2."""
    *names, last = json.loads(key)
    number = int(last.removeprefix(_RETURNED)) + 1 if names[1:] and last.startswith(_RETURNED) else 2
    names = names if number > 2 else [*names, last]
    return json.dumps([*names, f"{_RETURNED}{number}"], ensure_ascii=False, separators=(",", ":")), number


def make_sent_fact(row: Mapping[str, Any], recipients: Iterable[str], *, outside: bool) -> Fact:
    """Return the fact that the From unit sent the document *row*. *outside*: a recipient is outside the province."""
    return attrs.evolve(
        _of_document(row), milestone=_SENT[PacketKind(row["kind"])], counterpart=" ".join(recipients), outside=outside
    )


def make_received_fact(row: Mapping[Any, Any], unit: str, at: datetime) -> Fact:
    """Return the fact that *unit* received the document *row*."""
    return attrs.evolve(
        _of_document(row), unit=unit, milestone="received", at=at, counterpart=row["sender"], outside=row["outside"]
    )


def make_failure_fact(row: Mapping[str, Any], recipient: str, at: datetime, number: int = 1) -> Fact:
    """Return the fact that a delivery of the document *row* to *recipient* became dead.

    *number*: the failure's, from 1. A document fails again if all its deliveries had arrived since it failed before.
    """
    one = _of_document(row)
    key = one.key if number == 1 else json.dumps([*json.loads(one.key), f"failure {number}"], separators=(",", ":"))
    return attrs.evolve(one, milestone=FAILED, key=key, at=at, counterpart=recipient)


def make_recovery_fact(failure: Fact) -> Fact:
    """Return the fact that the *failure*, made for its end, is over: no delivery of the document is dead any more."""
    return attrs.evolve(failure, milestone=RECOVERED)


def find_failure(tx: Transaction, row: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the number of the latest failure of the document *row*, 0 if it never failed, and whether it lasts."""
    for number in itertools.count(1):
        asked = make_failure_fact(row, "", row["received_at"], number)
        same = sa.and_(table.c.unit == asked.unit, table.c.service == asked.service, table.c.key == asked.key)
        found = set(tx.scalars(sa.select(table.c.milestone).where(same, table.c.milestone.in_([FAILED, RECOVERED]))))
        if FAILED not in found:
            return number - 1, False
        if RECOVERED not in found:
            return number, True
    raise AssertionError


def _of_document(row: Mapping[Any, Any]) -> Fact:
    # no status refers to the key of a change, so a change has no DueDate to miss
    changes = row["kind"] != PacketKind.DOCUMENT
    return Fact(
        unit=row["sender"],
        service=row["service"],
        key=make_business_key(row["sender"], row["document_id"], packet=row["sha256"] if changes else None),
        milestone="",
        at=row["received_at"],
        message=row["id"],
        document_type=row["document_type"],
        paper=row["paper"],
        signature=row["signature"]
        or SignatureStanding.UNSIGNED,  # a message stored before packet signatures were checked has none
        due=None if changes else row["due"],
    )


def make_synced_facts(row: sa.RowMapping, milestone: str, partner: str, at: datetime) -> list[Fact]:
    """Return one fact per business key of the message *row*: it was transferred to another system, *partner*."""
    one = Fact(
        unit=row["sender"],
        service=row["service"],
        key="",
        milestone=milestone,
        at=at,
        message=row["id"],
        counterpart=partner,
        outside=True,
    )
    return [attrs.evolve(one, key=key) for key in json.loads(row["keys"] or "[]")]


def record_facts(tx: Transaction, facts: Iterable[Fact]) -> int:
    """Write *facts*, each with its event. Return the number of new facts. See `insert_facts`."""
    recorded = list(facts)
    new, told = insert_facts(tx, recorded, dossier_owners.read_known_owners(tx, recorded))
    events.append_events(tx, *told)
    return new


def insert_facts(tx: Transaction, facts: Sequence[Fact], owners: KnownOwners | None) -> tuple[int, list[Event]]:
    """Write *facts* without their events. A fact whose key exists is not changed.

    *owners*: of the dossiers among them (`dossier_owners.read_known_owners`).

    Return the number of new facts and the events to append.

    Where a service other than documents reports another amount under an existing key, the event `fact-differs` records
    it, so that the sender of a correction without effect can find out. Figures that correct recorded ones are written as
    differences, of what is told of waits only the changes, and facts about dossiers for the unit that the dossier belongs
    to (`hub.journal.sequels`).
    """
    resolved, restated, findings = dossier_owners.resolve_owners(tx, facts, owners)
    new, told = insert_resolved_facts(tx, resolved, restated)
    return new, [*told, *findings]


def insert_resolved_facts(
    tx: Transaction, facts: Iterable[Fact], restated: Sequence[Fact] = ()
) -> tuple[int, list[Event]]:
    """Do the same with facts whose units are settled. *restated*: facts that may only correct recorded ones."""
    facts, corrected = corrected_figures.place_corrections(tx, list(facts))
    facts = dossier_waits.place_waits(tx, facts)
    first: dict[Key, Fact] = {}
    told = [(make_fact_key(fact), fact) for fact in facts]
    for key, fact in told:
        first.setdefault(key, fact)
    fresh = transactions.insert_new_rows(tx, table, [make_row(fact) for fact in first.values()])
    new = {key: fact for key, fact in first.items() if key in fresh}
    known = [(key, fact) for key, fact in told if new.get(key) is not fact]
    again = [(key, fact) for key, fact in known if fact.service != DOCUMENTS]
    correcting = [(key, fact) for key, fact in again if dossier_days.may_correct(fact)]
    correcting += [(make_fact_key(fact), fact) for fact in restated]
    held = {**read_facts_by_key(tx, [key for key, _ in (*again, *correcting) if key not in new]), **new}
    days, told_of = dossier_days.correct_days(tx, [(fact, held[key]) for key, fact in correcting if key in held])
    transactions.insert_missing_rows(tx, table, [make_row(fact) for fact in days])
    found = [*new.values(), *days]
    return len(found), [*map(make_fact_event, found), *corrected, *_differences(again, held), *told_of]


def make_fact_key(fact: Fact) -> Key:
    """Return the key of *fact*."""
    return fact.unit, fact.service, fact.key, fact.milestone


def make_row(fact: Fact) -> dict[str, object]:
    """Return the columns of *fact*."""
    return {name: getattr(fact, name) for name in _FIELDS}


def _differences(known: Sequence[tuple[Key, Fact]], held: Mapping[Key, Fact]) -> Iterator[Event]:
    """Yield an event for each of *known* with another amount than the recorded fact, which is one of *held*."""
    for key, fact in known:
        if held[key].amount != fact.amount:
            named = dict(zip(("unit", "service", "key", "milestone"), key, strict=True))
            said = {**named, "amount": fact.amount, "held": held[key].amount}
            yield Event("fact-differs", fact.at, fact.message, None, said)


def read_facts_by_key(tx: Transaction, keys: Sequence[Key]) -> dict[Key, Fact]:
    """Return the stored facts of *keys* by key. Keys without a fact are left out."""
    found: dict[Key, Fact] = {}
    for start in range(0, len(keys), _ASKED):
        these = sa.tuple_(*table.primary_key).in_(keys[start : start + _ASKED])
        for row in tx.execute(sa.select(table).where(these)).mappings():
            fact = Fact(**row)
            found[make_fact_key(fact)] = fact
    return found


def make_fact_event(fact: Fact) -> Event:
    """Return the event of *fact*, with the fact's `at` and `message`."""
    body = {name: getattr(fact, name) for name in _TOLD}
    body |= {"due": fact.due and fact.due.isoformat(), "day": fact.day and fact.day.isoformat()}
    body["attributes"] = dict(fact.attributes)
    told = {key: said for key, said in body.items() if key not in _PLAIN or said != _PLAIN[key]}
    return Event("fact-recorded", fact.at, fact.message, None, told)


def read_facts(
    tx: Transaction,
    *,
    units: Collection[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Fact]:
    """Yield facts ordered by time: of *units* (None: all), *since* inclusive, *until* exclusive."""
    query = sa.select(table).order_by(table.c.at, table.c.message, table.c.unit, table.c.milestone, table.c.key)
    if since is not None:
        query = query.where(table.c.at >= since)
    if until is not None:
        query = query.where(table.c.at < until)
    wanted = None if units is None else frozenset(units)
    with tx.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows.mappings():
            if wanted is None or row["unit"] in wanted:
                yield Fact(**row)


def list_fact_units(tx: Transaction, service: str | None) -> list[str]:
    """Return each unit that has facts of *service* (None: of any), by code. Takes one index step per unit."""
    ours = sa.true() if service is None else table.c.service == service
    first = sa.select(sa.func.min(table.c.unit).label("unit")).where(ours).cte("having", recursive=True)
    step = sa.select(sa.func.min(table.c.unit)).where(ours, table.c.unit > first.c.unit).scalar_subquery()
    having = first.union_all(sa.select(step).where(first.c.unit.is_not(None)))
    return list(tx.scalars(sa.select(having.c.unit).where(having.c.unit.is_not(None))))


def read_earliest_fact_time(tx: Transaction) -> datetime | None:
    """Return the time of the first recorded fact, or None."""
    found: datetime | None = tx.scalar(sa.select(sa.func.min(table.c.at)))
    return found


def use_indexes(tx: Transaction) -> None:
    """Make PostgreSQL find histories by key. If it expects many facts of a unit, it reads all of them each time.

    A plan that it keeps for any keys does so, too.
    """
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql(
            "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off;"
            " SET LOCAL plan_cache_mode = force_custom_plan"
        )


@attrs.frozen
class FactSearch:
    """Finds, unit by unit, the facts in the windows of a period and all other facts of the same business keys."""

    _keys: sa.Select[Any] | sa.CompoundSelect[Any]  #: query for the business keys of a unit
    _facts: sa.Select[Any]  #: query for the facts of some keys of a unit
    _rows: sa.Select[Any]  #: likewise for their rows without unit and service
    _all: HotStatement | None  #: query for the rows of all facts of a unit, if all of its past is searched

    @classmethod
    def for_period(
        cls, service: str, windows: Collection[TimeWindow], form: str = "", period: str | None = None
    ) -> "FactSearch":
        """Return the search for *windows*.

        With *period*, also for the keys that *form* carried at the end of that closed month.
        """
        unit = sa.bindparam("of", type_=sa.Text)
        mine = sa.and_(table.c.service == service, table.c.unit == unit)
        looked_for = [sa.select(table.c.key).where(mine, *_within(window)) for window in windows]
        if period is not None:
            keys = sa.select(carried.c.key).where(carried.c.form == form, carried.c.unit == unit)
            looked_for.append(keys.where(build_carried_condition(period)))
        keys_of = (sa.union(*looked_for) if len(looked_for) > 1 else looked_for[0].distinct()).subquery()
        some = sa.bindparam("keys", expanding=True, type_=sa.Text)
        facts, rows = (each.where(mine, table.c.key.in_(some)).order_by(table.c.key) for each in (RAW_FACT, _OWN))
        past = any(window == TimeWindow(until=window.until) for window in windows)
        every = HotStatement(_OWN.where(mine).order_by(table.c.key)) if past else None
        return cls(sa.select(keys_of.c.key).execution_options(yield_per=_KEYS), facts, rows, every)

    def histories(self, tx: Transaction, unit: str) -> Iterator[list[Fact]]:
        """Yield the facts of *unit*, grouped by business key. Holds the facts of `_KEYS` keys in memory."""
        with tx.execute(self._keys, {"of": unit}) as keys:
            for some in keys.partitions():
                rows = tx.execute(self._facts, {"of": unit, "keys": [key for (key,) in some]}).all()
                for _, history in groupby(rows, _key_of):
                    yield [read_raw_fact(row) for row in history]

    def list_rows(self, tx: Transaction, unit: str) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows of the facts that `histories` yields, in the order of their keys and at most `_TOGETHER` at a time.
        If all of the past is searched, also rows of later keys.

        A row has the members `ROW`, in stored form, as the driver gives it: SQLAlchemy takes half as long to make rows of
        its own as the database takes to find them. The last is a JSON array of the members `ALIKE`, which many facts
        have in common: one text is read in half the time of seven.
        """
        if self._all is not None:
            yield from self._all.stream(tx, {"of": unit}, _TOGETHER)
            return
        with tx.execute(self._keys, {"of": unit}) as keys:
            for some in keys.partitions():
                with tx.execute(self._rows, {"of": unit, "keys": [key for (key,) in some]}) as rows:
                    yield cast("Any", rows.cursor).fetchall()


def build_carried_condition(period: str) -> sa.ColumnElement[bool]:
    """Return the condition that a key was carried at the end of the closed month *period*."""
    return sa.and_(carried.c.since <= period, sa.or_(carried.c.until.is_(None), carried.c.until > period))


def _within(window: TimeWindow) -> Iterator[sa.ColumnElement[bool]]:
    if window.since is not None:
        yield table.c.at >= window.since
    if window.until is not None:
        yield table.c.at < window.until
    if window.dated is not None:
        yield table.c.day.is_not(None) if window.dated else table.c.day.is_(None)
    if window.first is not None:
        yield table.c.day >= window.first
    if window.last is not None:
        yield table.c.day <= window.last


#: Columns of a fact in stored form: converting each value by its type would take longer than the counting.
_STORED = [
    column if isinstance(column.type, sa.Boolean | sa.Integer) else sa.type_coerce(column, sa.String)
    for column in table.c
]
RAW_FACT = sa.select(*_STORED)
#: The members of a row of `FactSearch.list_rows`.
ROW = ("key", "at", "message", "due", "day", "amount")
ALIKE = ("milestone", "counterpart", "outside", "document_type", "paper", "signature", "attributes")


class _JsonArray(sa.sql.functions.FunctionElement[str]):
    """A JSON array as text."""

    type = sa.String()
    inherit_cache = True


@compiles(_JsonArray, "sqlite")
def _write_for_sqlite(element: _JsonArray, compiler: SQLCompiler, **how: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **how)})"


@compiles(_JsonArray, "postgresql")
def _write_for_postgresql(element: _JsonArray, compiler: SQLCompiler, **how: Any) -> str:
    return f"CAST(json_build_array({compiler.process(element.clauses, **how)}) AS TEXT)"


_BY_NAME = {column.name: stored for column, stored in zip(table.c, _STORED, strict=True)}
_OWN = sa.select(*(_BY_NAME[name] for name in ROW), _JsonArray(*(_BY_NAME[name] for name in ALIKE)))
_key_of = itemgetter(2)
_pairs = lru_cache(4096)(lambda text: tuple(json.loads(text).items()))


def read_raw_fact(row: Sequence[Any]) -> Fact:
    """Return the fact of a row of `RAW_FACT`."""
    pairs = row[-1]
    return read_fact_members(row, () if pairs == "{}" else _pairs(pairs))
