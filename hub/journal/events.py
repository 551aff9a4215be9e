"""Events: appended with the change they record, numbered and hash-chained afterwards. Does not know what causes them.

No writer waits for another's place in the chain. `append_events` leaves events without a number. `chain_events`, which
runs once at a time, numbers the committed events and hashes each text with its predecessor's hash.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice

import attrs
import sqlalchemy as sa

from hub.domain.errors import read_problem_json
from hub.domain.model import Event, Problem
from hub.journal import event_index
from hub.store.hot_statements import HotStatement, SetInsert, SetQuery
from hub.store.tables import chain_gap, write_instant
from hub.store.tables import event as table
from hub.store.transactions import Transaction

#: The hash before the first event.
ORIGIN = "0" * 64
#: Events without a number that are counted. Usually there are some hundreds; more only while nobody chains.
MOST_COUNTED = 100_000
#: PostgreSQL: advisory lock of the chainer ("chain" in ASCII).
_CHAINER_LOCK = 0x636861696E
_TRACKING = "tracking"
_INSERT = SetInsert(table)
_INSERT_ONE = sa.insert(table).returning(table.c.serial)
_UNCHAINED = HotStatement(
    sa.select(table.c.serial, table.c.text)
    .where(table.c.number.is_(None))
    .order_by(table.c.serial)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_CHAIN = SetQuery(
    """
WITH link (serial, number, hash) AS (VALUES {rows})
UPDATE event SET number = link.number, hash = link.hash FROM link WHERE event.serial = link.serial
""".strip(),
    ("bigint", "bigint", "text"),
)
_HEAD = HotStatement(
    sa.select(table.c.number, table.c.hash).where(table.c.number.is_not(None)).order_by(table.c.number.desc()).limit(1)
)
#: LIKE pattern for the text of an event of a fact, with any time.
_OF_FACTS = f'{{"at":"{"_" * 27}","event":"fact-%'
#: Where the name of an event begins in its text, and that of a fact.
_NAME, _FACT = len('{"at":"') + 27 + len('","event":"'), "fact-recorded"
#: Numbers in one statement.
_AT_ONCE = 500
#: The message and the delivery in the text of an event.
_PLACE = re.compile(r'\{"at":"[^"]*","event":"[^"]*"(?:,"message":"([^"]*)")?(?:,"delivery":"([^"]*)")?')
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def append_events(tx: Transaction, *events: Event) -> None:
    """Append *events* in this order, in the transaction of the change that they record.

    The event of a call without a message is stored under the tracking id that its caller received, where
    `read_message_events` finds it. An event that no message leads to is also written into `hub.journal.event_index`.
    """
    for listed, some in groupby(events, event_index.is_listed):
        if listed:
            for each in some:
                _append_listed(tx, each)
        else:
            _ = _INSERT.run(tx, [_make_event_row(each) for each in some])


def _append_listed(tx: Transaction, said: Event) -> None:
    row = _make_event_row(said)
    serial = tx.execute(_INSERT_ONE, row).scalar_one()
    event_index.write_index_rows(tx, [event_index.make_index_row(serial, said.message, json.loads(str(row["text"])))])


def _make_event_row(event: Event) -> dict[str, object]:
    return {
        "message": event.message or event.body.get(_TRACKING),
        "delivery": event.delivery,
        "text": _write_event_text(event),
    }


def _write_event_text(event: Event) -> str:
    place = {"message": event.message, "delivery": event.delivery}
    said = (
        {"at": write_instant(event.at), "event": event.name} | {k: v for k, v in place.items() if v} | dict(event.body)
    )
    return _encode(said)


def read_message_events(tx: Transaction, message: str) -> list[dict[str, object]]:
    """Return the events of *message* in the order of appending, as the decoded objects of the hashed texts."""
    rows = tx.execute(sa.select(table.c.text).where(table.c.message == message).order_by(table.c.serial))
    return [json.loads(row.text) for row in rows]


def read_events_of_messages(tx: Transaction, messages: Iterable[str]) -> dict[str, list[dict[str, object]]]:
    """Return the events of each of *messages* that has any, by message, as `read_message_events` does."""
    found: dict[str, list[dict[str, object]]] = {}
    rest = iter(messages)
    while some := list(islice(rest, 500)):
        which = table.c.message.in_(some)
        for row in tx.execute(sa.select(table.c.message, table.c.text).where(which).order_by(table.c.serial)):
            found.setdefault(row.message, []).append(json.loads(row.text))
    return found


def read_call_events(tx: Transaction, tracking: str) -> list[dict[str, object]]:
    """Return the events of the refused call with tracking id *tracking*, in the order of appending."""
    if found := read_message_events(tx, tracking):
        return found
    # Older versions stored such an event without an id. The index yields the events without a message.
    told = table.c.text.contains(f'"{_TRACKING}":{_encode(tracking)}', autoescape=True)
    query = sa.select(table.c.text).where(table.c.message.is_(None), told).order_by(table.c.serial)
    return [said for said in map(json.loads, tx.scalars(query)) if said.get(_TRACKING) == tracking]


def read_refusal(told: Iterable[Mapping[str, object]]) -> list[Problem]:
    """Return why a message was refused, which has the events *told*. Empty if it was accepted."""
    for said in told:
        if said["event"] == "message-refused" and isinstance(problems := said.get("problems"), list):
            return list(map(read_problem_json, problems))
    return []


@attrs.frozen
class Chained:
    """A chained event: its number, its hash and the hashed *text*."""

    number: int  #: its place, from 1
    hash: str  #: SHA-256 of the predecessor's hash and the text, hexadecimal
    text: str


def read_chained_events(tx: Transaction, number: int, limit: int) -> list[Chained]:
    """Return at most *limit* chained events after *number*, in order."""
    query = sa.select(table.c.number, table.c.hash, table.c.text).where(table.c.number > number)
    return [Chained(row.number, row.hash, row.text) for row in tx.execute(query.order_by(table.c.number).limit(limit))]


@attrs.frozen
class ChainedKinds:
    """What a batch of events that were numbered is about."""

    count: int = 0  #: number of the events
    names: Mapping[str, int] = attrs.field(factory=dict)  #: number by name
    facts: Mapping[tuple[str, str], int] = attrs.field(factory=dict)  #: of facts: by service and milestone


def chain_events(tx: Transaction, limit: int = 2000) -> int:
    """See `chain_and_count_events`. Return how many."""
    return chain_and_count_events(tx, limit).count


def chain_and_count_events(tx: Transaction, limit: int = 2000) -> ChainedKinds:
    """Number and hash up to *limit* committed events. Return what they are; call again while they are *limit*.

    Returns none while another node is chaining.
    """
    if tx.dialect.name == "postgresql" and not tx.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_CHAINER_LOCK))):
        return ChainedKinds()
    unchained = _UNCHAINED.read(tx, {"most": limit})
    if not unchained:
        return ChainedKinds()
    number, link = read_chain_head(tx)
    links = []
    for row in unchained:
        number, link = number + 1, _link_event(link, row.text)
        links.append((row.serial, number, link))
    _CHAIN.run(tx, links)
    names = [row.text[_NAME : _NAME + 64].partition('"')[0] for row in unchained]
    facts = Counter(_find_fact(row.text) for row, name in zip(unchained, names, strict=True) if name == _FACT)
    return ChainedKinds(len(links), Counter(names), facts)


def _find_fact(text: str) -> tuple[str, str]:
    """Return service and milestone of a `fact-recorded` event: no string of JSON contains a quote without a backslash."""
    service, milestone = (text.partition(f'"{name}":"')[2].partition('"')[0] for name in ("service", "milestone"))
    return service, milestone


def count_unchained_events(tx: Transaction) -> int:
    """Return the number of events without a number; at most `MOST_COUNTED`."""
    some = sa.select(table.c.serial).where(table.c.number.is_(None)).limit(MOST_COUNTED).subquery()
    return tx.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def find_broken_events(tx: Transaction) -> Iterator[int]:
    """Yield the number of each chained event whose hash does not match its text and its predecessor.

    Over a range of events that are in archives, the link that was left stands for the hash of the last of them
    (hub/keeping/retention/chain_gaps.py). An event that is missing outside of such a range makes the next one yielded.
    """
    link, expected = ORIGIN, 1
    gaps = {row.first: row for row in tx.execute(sa.select(chain_gap))}
    query = (
        sa.select(table.c.number, table.c.text, table.c.hash)
        .where(table.c.number.is_not(None))
        .order_by(table.c.number)
        .execution_options(yield_per=1000)
    )
    with tx.execute(query) as rows:
        for row in rows:
            if (gap := gaps.pop(expected, None)) is not None:
                link, expected = gap.hash, gap.last + 1
            if row.number != expected or row.hash != _link_event(link, row.text):
                yield row.number
            link, expected = row.hash, row.number + 1
    yield from sorted(gaps)  # links over events that are not missing, or behind the last one


def find_misplaced_events(tx: Transaction) -> Iterator[int]:
    """Yield the serial number of each event whose columns name another message or delivery than its text, which is hashed."""
    query = sa.select(table.c.serial, table.c.message, table.c.delivery, table.c.text).order_by(table.c.serial)
    with tx.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows:
            found = _PLACE.match(row.text) if isinstance(row.text, str) else None
            if found is None:
                continue  # its hash does not match
            message, delivery = found.groups()
            if message is None and row.message is not None and f'"{_TRACKING}":"{row.message}"' in row.text:
                message = row.message  # of a call without a message
            if (row.message, row.delivery) != (message, delivery):
                yield row.serial


def read_link_hashes(tx: Transaction, numbers: Iterable[int]) -> dict[int, str]:
    """Return the hashes of the chained events *numbers* that are here or are the last ones of a gap, by number."""
    wanted, found = sorted(set(numbers)), {0: ORIGIN}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        for query in (
            sa.select(table.c.number, table.c.hash).where(table.c.number.in_(some)),
            sa.select(chain_gap.c.last, chain_gap.c.hash).where(chain_gap.c.last.in_(some)),
        ):
            found |= {row[0]: row[1] for row in tx.execute(query)}
    return {number: found[number] for number in wanted if number in found}


def read_oldest_unchained(tx: Transaction) -> str | None:
    """Return the time of the oldest event without a number, as text, or None.

    Events of facts are left out: their time is that of the receipt, and they may be appended long after it
    (hub.journal.duties).
    """
    waits = sa.and_(table.c.number.is_(None), table.c.text.not_like(_OF_FACTS))
    row = tx.execute(sa.select(table.c.text).where(waits).order_by(table.c.serial).limit(1)).first()
    return None if row is None else str(json.loads(row.text)["at"])


def read_last_event_time(tx: Transaction) -> str | None:
    """Return the time of the last appended event, as text, or None."""
    row = tx.execute(sa.select(table.c.text).order_by(table.c.serial.desc()).limit(1)).first()
    return None if row is None else str(json.loads(row.text)["at"])


def read_chain_head(tx: Transaction) -> tuple[int, str]:
    """Return number and hash of the last chained event; 0 and `ORIGIN` before the first."""
    row = _HEAD.first(tx, {})
    return (row.number, row.hash) if row else (0, ORIGIN)


def _link_event(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
