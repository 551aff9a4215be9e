"""What the journal's tables say, read by plain SQL.  Knows docs/reference and the columns; imports nothing of the hub."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import attrs
import psycopg


@attrs.frozen(kw_only=True)
class Message:
    """An accepted or refused message, and the SHA-256 of the bytes that are kept of it."""

    id: str
    partner: str
    message_id: str | None
    kind: str
    state: str
    sha256: str
    kept: str | None
    receipt: bytes | None


@attrs.frozen(kw_only=True)
class Delivery:
    """The duty to bring one message to one recipient."""

    id: str
    message: str
    recipient: str
    partner: str
    state: str
    attempts: int
    reason: str | None = None
    holder: str | None = None


@attrs.frozen(kw_only=True)
class Attempt:
    """One try."""

    message: str
    partner: str
    ended: bool
    outcome: str | None


@attrs.frozen(kw_only=True)
class Event:
    """One link of the chain."""

    serial: int
    message: str | None
    delivery: str | None
    text: str
    number: int | None
    hash: str | None


@attrs.frozen(kw_only=True)
class Fact:
    """One result counted."""

    unit: str
    key: str
    milestone: str
    message: str


@attrs.frozen(kw_only=True)
class Journal:
    """All of it."""

    messages: tuple[Message, ...]
    deliveries: tuple[Delivery, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]
    facts: tuple[Fact, ...]


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """Yield a connection to `sqlite:///PATH` or `postgresql://…` that only reads.

    Whoever closed SQLite's journal last, after a hub was killed, would else take in its write-ahead log and remove it.
    """
    if url.startswith("sqlite"):
        place = f"file:{url.removeprefix('sqlite:///')}?mode=ro"
        with closing(sqlite3.connect(place, timeout=20, isolation_level=None, uri=True)) as connection:
            yield connection
    else:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            yield connection


def states(url: str) -> Counter[str]:
    """Return how many deliveries stand in each state."""
    with connected(url) as connection:
        return Counter(dict(connection.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall()))


def read(url: str) -> Journal:
    """Read everything.  Of the bytes, only their hash."""
    with connected(url) as connection:

        def rows(columns: str, table: str, order: str) -> list[tuple[Any, ...]]:
            found: list[tuple[Any, ...]] = connection.execute(
                f"SELECT {columns} FROM {table} ORDER BY {order}"
            ).fetchall()
            return found

        kept = _kept(connection)
        return Journal(
            messages=tuple(
                Message(
                    id=id_,
                    partner=partner,
                    message_id=message_id,
                    kind=kind,
                    state=state,
                    sha256=sha256,
                    kept=kept.get(sha256),
                    receipt=None if receipt is None else bytes(receipt),
                )
                for id_, partner, message_id, kind, state, sha256, receipt in rows(
                    "id, partner, message_id, kind, state, sha256, receipt", "message", "id"
                )
            ),
            deliveries=tuple(
                Delivery(
                    id=id_,
                    message=message,
                    recipient=recipient,
                    partner=partner,
                    state=state,
                    attempts=attempts,
                    reason=reason,
                    holder=holder,
                )
                for id_, message, recipient, partner, state, attempts, reason, holder in rows(
                    "id, message, recipient, partner, state, attempts, reason, holder", "delivery", "id"
                )
            ),
            attempts=tuple(
                Attempt(message=message, partner=partner, ended=ended is not None, outcome=outcome)
                for message, partner, ended, outcome in rows("message, partner, ended_at, outcome", "attempt", "id")
            ),
            events=tuple(
                Event(serial=serial, message=message, delivery=delivery, text=text, number=number, hash=hash_)
                for serial, message, delivery, text, number, hash_ in rows(
                    "serial, message, delivery, text, number, hash", "event", "serial"
                )
            ),
            facts=tuple(
                Fact(unit=unit, key=key, milestone=milestone, message=message)
                for unit, key, milestone, message in rows(
                    "unit, key, milestone, message", "fact", "unit, key, milestone"
                )
            ),
        )


def _kept(connection: Any) -> dict[str, str]:
    """Return the SHA-256 of the bytes under each name."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        if isinstance(connection, psycopg.Connection):  # the rows stay at the server, which needs a transaction
            stack.enter_context(connection.transaction())
            cursor = stack.enter_context(connection.cursor(name="content"))
        else:
            cursor = stack.enter_context(closing(connection.cursor()))
        cursor.execute("SELECT sha256, part, octets FROM content ORDER BY sha256, part")
        for sha256, _, octets in cursor:
            found.setdefault(sha256, hashlib.sha256()).update(bytes(octets))
    return {name: digest.hexdigest() for name, digest in found.items()}
