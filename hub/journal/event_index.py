"""The events that no message leads to: sign-ins, refused calls, pauses, breakers, links. Records and lists them.

An event without a message is found by no message's timeline, so a row of this index says what it is about. The row is
written in the transaction of its event (`hub.journal.events`). What is shown is the event's own text; the index only
finds it. Does not know what causes an event, and is no part of the hash chain.

A list is read from one index in the order of time, newest first. Of several conditions one chooses the index, and the
others are tested on each row, so a page reads at most `MOST_READ` rows in a journal of any size.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.failure_causes import find_cause, read_cause_name
from hub.domain.model import Event
from hub.language.sorting import fold_text
from hub.store.tables import event, write_instant
from hub.store.tables import event_index as table
from hub.store.transactions import Transaction

#: Maximum rows that are read for one page. A page that ends there says how far it came, and can be continued.
MOST_READ = 5_000
#: Rows read with the first statement, and with a later one at most.
_BLOCK, _LARGE_BLOCK = 250, 2_000
_order = attrgetter("moment", "serial")
#: The event of a call that the hub refused.
REFUSED_CALL = "call-refused"
#: Events that are listed although they are about a message: a person looked at its content, or what it says of a dossier
#: contradicts what was reported before.
LISTED = frozenset({"content-opened", "dossier-claimed", "dossier-disputed", "dossier-corrected", "dossier-differs"})
#: Instead of a partner: events that are about none, such as calls of strangers. No partner has this code.
NOBODY = "-"
#: Fields whose value is the partner that an event is about, in this order. A link has the name of its partner.
_PARTNER = ("partner", "link")

Condition = sa.ColumnElement[bool]


@attrs.frozen(kw_only=True)
class EventFilter:
    """Conditions for events. All given conditions must hold. *since* is inclusive, *until* is exclusive."""

    name: str | None = None  #: the event's name, such as `user-signed-in`
    partner: str | None = None  #: code of the partner, or name of the link, that it is about; or `NOBODY`
    partners: tuple[str, ...] | None = None  #: only events about one of these partners or links
    user: str | None = None  #: the account that it is about, or the person who did it
    tracking: str | None = None  #: Tracking of a refused call
    cause: str | None = None  #: name of the cause of a refused call (`hub.domain.failure_causes`)
    text: str = ""  #: words that stand in the event, in any letter case, with diacritics or without
    since: datetime | None = None
    until: datetime | None = None


@attrs.frozen(order=True)
class EventCursor:
    """The place of an event in the list."""

    at: str  #: the event's time, as stored
    serial: int

    def text(self) -> str:
        """Return the cursor as a part of an address."""
        return f"{self.at}_{self.serial}"

    @classmethod
    def parse(cls, text: str) -> "EventCursor":
        """Parse the result of `text`. Raises ValueError if it is not one."""
        at, _, serial = text.partition("_")
        if not (serial.isascii() and serial.isdigit() and len(serial) <= 18):
            raise ValueError(text)
        return cls(write_instant(datetime.fromisoformat(at)), int(serial))


@attrs.frozen(kw_only=True)
class ListedEvent:
    """One event of the list."""

    cursor: EventCursor
    number: int | None  #: its place in the hash chain; None for about a second after it was written
    text: str  #: the hashed text

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """The decoded object of the text, with `at` and `event`."""
        decoded: dict[str, Any] = json.loads(self.text)
        return decoded

    @property
    def name(self) -> str:
        """The event's name."""
        return str(self.fields.get("event", ""))


@attrs.frozen(kw_only=True)
class EventsPage:
    """One page of the list, newest first."""

    found: Sequence[ListedEvent]
    more: EventCursor | None = None  #: where the next page begins; None: the list ends here
    #: the time down to which the page looked, if it is not full because it has read `MOST_READ` rows
    reached: datetime | None = None


def is_listed(said: Event) -> bool:
    """Tell whether the event belongs to this list."""
    return said.message is None or said.name in LISTED


def make_index_row(serial: int, message: str | None, fields: Mapping[str, Any]) -> dict[str, object]:
    """Return the row of an event with these *fields*. *message*: the hub's id of the message it is about."""
    tracking, partner = fields.get("tracking"), _find_partner(fields)
    refused = fields.get("event") == REFUSED_CALL
    return {
        "serial": serial,
        "at": fields["at"],
        "name": fields.get("event", ""),
        "partner": partner,
        "account": _read_text(fields, "user"),
        "actor": _read_text(fields, "by"),
        "tracking": tracking if isinstance(tracking, str) and len(tracking) <= 36 else None,
        "message": message,
        "cause": find_cause(partner, write_call_reason(fields)).digest if refused else None,
    }


def write_call_reason(fields: Mapping[str, Any]) -> str:
    """Return why a call was refused, from the fields of its event, in the form in which a message's refusal is stored."""
    return ": ".join(str(fields[key]) for key in ("code", "detail") if fields.get(key))


def _find_partner(fields: Mapping[str, Any]) -> str | None:
    return next((str(fields[key]) for key in _PARTNER if fields.get(key)), None)


def _read_text(fields: Mapping[str, Any], key: str) -> str | None:
    value = fields.get(key)
    return value if isinstance(value, str) and value else None


def find_events(tx: Transaction, wanted: EventFilter, limit: int, before: EventCursor | None = None) -> EventsPage:
    """Return at most *limit* events that match *wanted*, newest first; only those behind the cursor *before*."""
    found: list[ListedEvent] = []
    read, last = 0, None
    for one in _walk_ranges(tx, wanted, before):
        if len(found) == limit:
            return EventsPage(found=found, more=found[-1].cursor)
        if read == MOST_READ:
            assert last is not None
            return EventsPage(found=found, more=last, reached=datetime.fromisoformat(last.at))
        read, last = read + 1, one.cursor
        if matches_event(one, wanted):
            found.append(one)
    return EventsPage(found=found)


def _walk_ranges(tx: Transaction, wanted: EventFilter, before: EventCursor | None) -> Iterator[ListedEvent]:
    """Yield the events of the ranges that *wanted* chooses, newest first, each once."""
    walks = [_walk_range(tx, range_, wanted, before) for range_ in _choose_ranges(wanted)]
    merged = merge(*walks, key=lambda one: one.cursor, reverse=True)
    yield from (next(same) for _, same in groupby(merged, key=lambda one: one.cursor))


def _choose_ranges(wanted: EventFilter) -> list[Condition]:
    """Return the ranges of the one condition by which the rows are read."""
    if wanted.tracking:
        return [table.c.tracking == wanted.tracking]
    if wanted.cause:
        return [_has_cause(*(read_cause_name(wanted.cause) or ("", "")))]
    if wanted.user:
        return [table.c.account == wanted.user, table.c.actor == wanted.user]
    if wanted.partner and wanted.partner != NOBODY:
        return [table.c.partner == wanted.partner]
    if wanted.partners is not None:
        return [table.c.partner == each for each in wanted.partners]
    return [table.c.name == wanted.name] if wanted.name else [sa.true()]


def _has_cause(partner: str, digest: str) -> Condition:
    about = table.c.partner.is_(None) if partner == NOBODY else table.c.partner == partner
    return sa.and_(about, table.c.cause.is_not(None), table.c.cause == digest)


def _walk_range(
    tx: Transaction, chosen: Condition, wanted: EventFilter, before: EventCursor | None
) -> Iterator[ListedEvent]:
    size = _BLOCK
    while True:
        rows = sorted(tx.execute(_select_block(chosen, wanted, before, size)), key=_order, reverse=True)
        for row in rows:
            cursor = EventCursor(row.moment, row.serial)
            yield ListedEvent(cursor=cursor, number=row.number, text=row.text)
        if len(rows) < size:
            return
        before, size = EventCursor(rows[-1].moment, rows[-1].serial), min(4 * size, _LARGE_BLOCK)


def _select_block(chosen: Condition, wanted: EventFilter, before: EventCursor | None, size: int) -> sa.Select[Any]:
    """Return the query of the next *size* rows of a range and of their events, in any order.

    The rows are chosen in a query of their own: PostgreSQL would else join all events before it takes the newest.
    """
    moment = sa.type_coerce(table.c.at, sa.String)
    query = sa.select(moment.label("moment"), table.c.serial).where(chosen)
    if wanted.since is not None:
        query = query.where(moment >= write_instant(wanted.since))
    until = None if wanted.until is None else write_instant(wanted.until)
    # of two bounds SQLite would use one, perhaps the wider
    if before is not None and (until is None or before.at < until):
        query = query.where(sa.tuple_(moment, table.c.serial) < sa.tuple_(before.at, before.serial))
    elif until is not None:
        query = query.where(moment < until)
    newest = query.order_by(table.c.at.desc(), table.c.serial.desc()).limit(size).subquery()
    columns = (newest.c.moment, newest.c.serial, event.c.number, event.c.text)
    return sa.select(*columns).join_from(newest, event, event.c.serial == newest.c.serial)


def matches_event(one: ListedEvent, wanted: EventFilter) -> bool:
    """Tell whether the event meets every condition of *wanted*, but for the period."""
    words = _split_words(wanted.text)
    if words and not _has_words(one.text, words):  # most events are not decoded for a search by words
        return False
    fields = one.fields
    return (
        wanted.name in (None, fields.get("event"))
        and _is_about(fields, wanted.partner)
        and (wanted.partners is None or any(_is_about(fields, each) for each in wanted.partners))
        and wanted.user in (None, fields.get("user"), fields.get("by"))
        and wanted.tracking in (None, fields.get("tracking"))
        and (wanted.cause is None or wanted.cause == _name_cause(fields))
        and (not words or _has_words(json.dumps(list(fields.values()), ensure_ascii=False), words))
    )


def _name_cause(fields: Mapping[str, Any]) -> str | None:
    if fields.get("event") != REFUSED_CALL:
        return None
    return find_cause(_find_partner(fields), write_call_reason(fields)).name


def _is_about(fields: Mapping[str, Any], partner: str | None) -> bool:
    about = [str(fields[key]) for key in _PARTNER if fields.get(key)]
    return partner is None or partner in about or (partner == NOBODY and not about)


def _has_words(text: str, words: Iterable[str]) -> bool:
    said = fold_text(text)
    return all(word in said for word in words)


@lru_cache(16)  # one search asks it of each event
def _split_words(text: str) -> tuple[str, ...]:
    return tuple(fold_text(text).split())


def find_new_events(tx: Transaction, wanted: EventFilter, after: int) -> list[ListedEvent]:
    """Return the events with a serial beyond *after* that match *wanted*, in the order of writing, at most `MOST_READ`."""
    columns = (sa.type_coerce(table.c.at, sa.String).label("moment"), table.c.serial, event.c.number, event.c.text)
    query = sa.select(*columns).join_from(table, event, event.c.serial == table.c.serial)
    rows = tx.execute(query.where(table.c.serial > after).order_by(table.c.serial).limit(MOST_READ))
    found = (ListedEvent(cursor=EventCursor(row.moment, row.serial), number=row.number, text=row.text) for row in rows)
    return [one for one in found if matches_event(one, wanted)]


def find_first_events(tx: Transaction, partner: str, limit: int) -> list[ListedEvent]:
    """Return the first *limit* events about the partner or link *partner*, oldest first."""
    moment = sa.type_coerce(table.c.at, sa.String).label("moment")
    first = sa.select(moment, table.c.serial).where(table.c.partner == partner)
    chosen = first.order_by(table.c.at, table.c.serial).limit(limit).subquery()
    columns = (chosen.c.moment, chosen.c.serial, event.c.number, event.c.text)
    rows = tx.execute(sa.select(*columns).join_from(chosen, event, event.c.serial == chosen.c.serial))
    return [
        ListedEvent(cursor=EventCursor(row.moment, row.serial), number=row.number, text=row.text)
        for row in sorted(rows, key=_order)
    ]


def read_last_serial(tx: Transaction) -> int:
    """Return the serial of the event that was written last; 0 without any."""
    return tx.scalar(sa.select(sa.func.max(event.c.serial))) or 0


def list_event_names(tx: Transaction) -> list[str]:
    """Return the names of the listed events that there are, sorted."""
    return list(_list_values(tx, table.c.name))


def list_event_partners(tx: Transaction) -> list[str]:
    """Return the partners and links that listed events are about, sorted."""
    return list(_list_values(tx, table.c.partner))


def has_event_user(tx: Transaction, user: str) -> bool:
    """Tell whether a listed event is about the account *user* or was done by that person."""
    found = (sa.exists().where(column == user) for column in (table.c.account, table.c.actor))
    return bool(tx.scalar(sa.select(sa.or_(*found))))


def _list_values(tx: Transaction, column: sa.Column[str]) -> Iterator[str]:
    """Yield the distinct values of *column*, each by one look-up in its index."""
    query, last = sa.select(sa.func.min(column)), ""
    while (value := tx.scalar(query.where(column > last))) is not None:
        yield value
        last = value


def count_refused_calls(tx: Transaction, since: datetime, most: int) -> dict[str | None, int]:
    """Return the number of calls refused since *since* by partner; None: of callers that are no partner.

    Only the newest *most* of them are counted.
    """
    refused = sa.select(table.c.partner).where(table.c.name == "call-refused", table.c.at >= since)
    newest = refused.order_by(table.c.at.desc()).limit(most).subquery()
    query = sa.select(newest.c.partner, sa.func.count()).group_by(newest.c.partner)
    return {row[0]: row[1] for row in tx.execute(query)}


def write_index_rows(tx: Transaction, rows: Iterable[Mapping[str, object]]) -> None:
    """Insert *rows* (`make_index_row`)."""
    if said := [dict(row) for row in rows]:
        tx.execute(_INSERT, said)


#: The times are those of the event's text, letter by letter.
_INSERT = sa.insert(sa.table(table.name, *(sa.column(each.name) for each in table.columns)))
