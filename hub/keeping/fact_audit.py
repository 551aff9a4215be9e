"""Compares facts with the events that recorded them, and those with the receipts of the messages that made them.

A fact is written once, with an event that has all its fields (`hub.journal.facts`). So a fact without its event, with other
values than its event, or an event without its fact shows that somebody edited the database. The events are in the hash chain,
and the receipt among them has the hash of the message's octets (`lienthong db verify` checks both).

The comparison is made in steps that say where the next one begins. Facts of messages whose events have gone into archive files
are not compared. Does not know the forms.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.journal import facts
from hub.journal.fact_reading import fact_rows
from hub.journal.fact_reading.fact_rows import Key
from hub.store.tables import chain_gap, event, fact, message, write_instant
from hub.store.transactions import Transaction

#: Facts of one step, and events.
STEP = 2_000
#: Findings that a check of one unit names at most.
_MOST = 100
_MESSAGE = [column.name for column in fact.c].index("message")
_RECORDED, _ACCEPTED = "fact-recorded", "message-accepted"
#: How the text of an event of a fact begins, after its time.
_PATTERN = f'{{"at":"{"_" * 27}","event":"{_RECORDED}"%'


class FactFault(StrEnum):
    """What is wrong with a fact."""

    PLANTED = "planted"  #: no event recorded it
    EDITED = "edited"  #: its event has other values
    REMOVED = "removed"  #: only its event is there
    OCTETS = "octets"  #: its message is stored with other octets than its receipt says


@attrs.frozen(kw_only=True, order=True)
class FactFinding:
    """A fact that is not as its event recorded it."""

    unit: str
    service: str
    key: str
    milestone: str
    fault: FactFault
    message: str
    fields: tuple[str, ...] = ()  #: of an edited one: what differs


@attrs.frozen(kw_only=True)
class FactStep:
    """The result of a step."""

    findings: Sequence[FactFinding]
    compared: int  #: facts or events of facts
    gone: int = 0  #: facts of messages whose events are in archive files
    after: Any = None  #: where the next step begins; None: this was the last


def compare_facts(tx: Transaction, after: Key | None, most: int = STEP, unit: str | None = None) -> FactStep:
    """Compare up to *most* facts behind *after*, in the order of their keys, with their events. *unit*: only its facts."""
    query = fact_rows.RAW_FACT.order_by(*fact.primary_key).limit(most)
    if after is not None:
        query = query.where(sa.tuple_(*fact.primary_key) > sa.tuple_(*map(sa.literal, after)))
    if unit is not None:
        query = query.where(fact.c.unit == unit)
    rows = tx.execute(query).all()
    findings, gone = _compare_stored(tx, [_read_row(row) for row in rows])
    last = tuple(map(str, rows[-1][:4])) if len(rows) == most else None
    return FactStep(findings=findings, compared=len(rows), gone=gone, after=last)


def compare_given_facts(tx: Transaction, given: Sequence[Fact]) -> Sequence[FactFinding]:
    """Return the findings about the stored facts *given*."""
    return _compare_stored(tx, [_StoredFact(fact_rows.make_fact_key(each), each.message, each) for each in given])[0]


@attrs.frozen
class _StoredFact:
    """A fact as it is stored."""

    key: Key
    message: str
    fact: Fact | None  #: None: it cannot be read


def _read_row(row: sa.Row[Any]) -> _StoredFact:
    unit, service, key, milestone = map(str, row[:4])
    try:
        found = fact_rows.read_raw_fact(row)
    except (ValueError, TypeError, AttributeError):
        found = None
    return _StoredFact((unit, service, key, milestone), str(row[_MESSAGE]), found)


def _compare_stored(tx: Transaction, stored: Sequence[_StoredFact]) -> tuple[list[FactFinding], int]:
    """Return the findings about *stored*, and the number of those whose events are in archive files."""
    ids = {each.message for each in stored}
    told, kept = _read_events(tx, ids), _read_hashes(tx, ids)
    recorded = {
        name: {_key_of(each): each for each in some if each["event"] == _RECORDED} for name, some in told.items()
    }
    wrong = {name for name, some in told.items() if not _has_octets(some, kept.get(name))}
    gaps = tx.execute(sa.select(chain_gap.c.first).limit(1)).first() is not None
    found, gone = list[FactFinding](), 0
    for each in stored:
        said = recorded.get(each.message, {}).get(each.key)
        if each.message not in told and gaps:
            gone += 1
        elif said is None:
            found.append(_make_finding(each.key, FactFault.PLANTED, each.message))
        elif fields := _find_differences(each.fact, said):
            found.append(_make_finding(each.key, FactFault.EDITED, each.message, fields))
        elif each.message in wrong:
            found.append(_make_finding(each.key, FactFault.OCTETS, each.message))
    return found, gone


def _read_events(tx: Transaction, ids: Collection[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the events of each message that has any. What cannot be read is none."""
    named, found = sorted(ids), dict[str, list[Mapping[str, Any]]]()
    for start in range(0, len(named), 500):
        some = sa.select(event.c.message, event.c.text).where(event.c.message.in_(named[start : start + 500]))
        for row in tx.execute(some.order_by(event.c.serial)):
            found.setdefault(row.message, []).extend(_read_event(row.text))
    return found


def _read_event(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the event of *text*, if it is one."""
    try:
        said = json.loads(text)
    except (ValueError, TypeError):
        return
    if isinstance(said, dict) and isinstance(said.get("event"), str):
        yield said


def _read_hashes(tx: Transaction, ids: Collection[str]) -> dict[str, str]:
    named, found = sorted(ids), dict[str, str]()
    for start in range(0, len(named), 500):
        some = sa.select(message.c.id, message.c.sha256).where(message.c.id.in_(named[start : start + 500]))
        found |= {row.id: row.sha256 for row in tx.execute(some)}
    return found


def _has_octets(told: Sequence[Mapping[str, object]], sha256: str | None) -> bool:
    """Return whether the receipt among the events *told* of a message is of the octets with this hash."""
    said = [each["sha256"] for each in told if each["event"] == _ACCEPTED and "sha256" in each]
    return not said or sha256 in said


def _key_of(said: Mapping[str, Any]) -> Key:
    unit, service, key, milestone = (str(said.get(name)) for name in ("unit", "service", "key", "milestone"))
    return unit, service, key, milestone


def _find_differences(stored: Fact | None, said: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields in which a fact is not as its event *said*; "?": it cannot be read."""
    if stored is None:
        return ("?",)
    here: dict[str, Any] = {**facts.make_fact_event(stored).body, "at": write_instant(stored.at)}
    there = {name: value for name, value in said.items() if name not in {"event", "message", "delivery"}}
    return tuple(sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name)))


def _make_finding(key: Key, fault: FactFault, name: str, fields: tuple[str, ...] = ()) -> FactFinding:
    unit, service, business, milestone = key
    return FactFinding(
        unit=unit, service=service, key=business, milestone=milestone, fault=fault, message=name, fields=fields
    )


def compare_fact_events(tx: Transaction, after: int | None, most: int = STEP, unit: str | None = None) -> FactStep:
    """Compare up to *most* events of facts behind the serial number *after* with the facts. *unit*: only those of its facts."""
    recorded: sa.ColumnElement[bool] = event.c.text.like(_PATTERN)
    if unit is not None:
        recorded = sa.and_(
            recorded, event.c.text.contains(f'"unit":{json.dumps(unit, ensure_ascii=False)}', autoescape=True)
        )
    query = sa.select(event.c.serial, event.c.text).where(event.c.serial > (after or 0), recorded)
    rows = tx.execute(query.order_by(event.c.serial).limit(most)).all()
    told = [said for row in rows for said in _read_event(row.text)]
    said = [each for each in told if unit is None or each.get("unit") == unit]
    there = _read_keys(tx, [_key_of(each) for each in said])
    found = [
        _make_finding(key, FactFault.REMOVED, str(each.get("message")))
        for each in said
        if (key := _key_of(each)) not in there
    ]
    return FactStep(findings=found, compared=len(said), after=rows[-1].serial if len(rows) == most else None)


def _read_keys(tx: Transaction, keys: Sequence[Key]) -> set[Key]:
    found = set[Key]()
    for start in range(0, len(keys), 200):
        some = sa.tuple_(*fact.primary_key).in_(keys[start : start + 200])
        found |= {(row[0], row[1], row[2], row[3]) for row in tx.execute(sa.select(*fact.primary_key).where(some))}
    return found


def find_forged_facts_of_unit(tx: Transaction, unit: str) -> list[FactFinding]:
    """Return the findings about all facts of *unit*, at most `_MOST`. Reads all events of facts: some seconds a million."""
    found = list[FactFinding]()
    for step in _walk_steps(tx, unit):
        found += step.findings
        if len(found) >= _MOST:
            break
    return found[:_MOST]


def _walk_steps(tx: Transaction, unit: str) -> Iterator[FactStep]:
    place: Any = None
    while (step := compare_facts(tx, place, unit=unit)).after is not None:
        yield step
        place = step.after
    yield step
    place = None
    while (step := compare_fact_events(tx, place, unit=unit)).after is not None:
        yield step
        place = step.after
    yield step
