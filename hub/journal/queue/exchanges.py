"""Keeps the last request and reply of each attempt, as long as the message, within bounds.

Equal exchanges are one row of the journal, whatever messages they belong to. Of the different ones about one message
with one partner at most 16 are kept, of at most 1 MiB together: the first 15, and the last one, whose place the next
one takes. That bound holds for each delivery of the message to the partner, too. The 15 are never removed, so a row
that many attempts refer to stays. The last one is a row of its own, of this message and partner.

Two attempts about one message with one partner, for different recipients, may end at the same moment on two nodes. Then
neither counts the other, and one more may be kept.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.partner.kept_exchange import LARGEST, ExchangeHead, KeptExchange, read_exchange_head, read_varying_headers
from hub.store.hot_statements import SetInsert, SetQuery
from hub.store.tables import attempt, exchange
from hub.store.transactions import Transaction

#: Different exchanges about one message with one partner that are kept, without the last one.
FIRST = 15
#: Octets that are kept about one message with one partner.
MOST = 1 << 20
#: Letters of a key that name what is kept, or whose last exchange it is.
_HALF = 32

_INSERT = SetInsert(exchange, skips=True)
#: What is kept already: each exchange with its octets.
_EARLIER = SetQuery(
    """
WITH asked (number, message, partner) AS (VALUES {rows})
SELECT asked.number, attempt.exchange, SUM(attempt.exchange_octets)
FROM asked JOIN attempt ON attempt.message = asked.message AND attempt.partner = asked.partner
WHERE attempt.exchange IS NOT NULL
GROUP BY asked.number, attempt.exchange
""".strip(),
    ("int", "text", "text"),
)

Earlier = Mapping[str, int]


@attrs.frozen(kw_only=True)
class Keeping:
    """What is kept of one exchange, and what it displaces."""

    key: str  #: of its row
    octets: int  #: that it adds
    varying: str | None
    row: KeptExchange | None = None  #: to be written under the key; None: it is there
    displaced: str | None = None  #: key of the last exchange until now, whose row is removed

    def columns(self) -> tuple[str, int, str | None]:
        """Return the values of `exchange`, `exchange_octets` and `varying`."""
        return self.key, self.octets, self.varying


def choose_keeping(kept: KeptExchange, earlier: Earlier, message: str, partner: str) -> Keeping:
    """Return how *kept* is kept beside the *earlier* exchanges (octets by key) about *message* with *partner*."""
    owner = hashlib.sha256(f"{message}\n{partner}".encode()).hexdigest()[:_HALF]
    last = next((key for key in earlier if key.endswith(owner)), None)
    own = kept.sha256[:_HALF] + owner
    used = sum(octets for key, octets in earlier.items() if key != last)
    room = MOST - LARGEST - used  # the place of the last one is always free
    varying = kept.varying or None
    if kept.sha256 in earlier:
        fits = len(kept.varying) <= room
        return Keeping(key=kept.sha256, octets=len(kept.varying) if fits else 0, varying=varying if fits else None)
    octets = kept.size + len(kept.varying)
    if own == last:
        fits = earlier[own] + len(kept.varying) <= LARGEST
        return Keeping(key=own, octets=len(kept.varying) if fits else 0, varying=varying if fits else None)
    if len(earlier.keys() - {last}) < FIRST and octets <= room:
        return Keeping(key=kept.sha256, octets=octets, varying=varying, row=kept)
    return Keeping(key=own, octets=octets, varying=varying, row=kept, displaced=last)


def read_earlier_exchanges(tx: Transaction, asked: Sequence[tuple[int, str, str]]) -> dict[int, dict[str, int]]:
    """Return what is kept of each of *asked*: a number, a message and a partner."""
    found: dict[int, dict[str, int]] = {number: {} for number, _, _ in asked}
    if asked:
        for number, key, octets in _EARLIER.read(tx, asked):
            found[number][key] = int(octets or 0)
    return found


def write_exchanges(tx: Transaction, keepings: Iterable[Keeping]) -> None:
    """Write the rows of *keepings* that are not there. All writers write them in the same order."""
    rows = {
        each.key: {"sha256": each.key, "head": each.row.head, "body": each.row.body}
        for each in keepings
        if each.row is not None
    }
    _ = _INSERT.run(tx, [rows[key] for key in sorted(rows)])


def keep_attempt_exchange(tx: Transaction, message: str, partner: str, kept: KeptExchange) -> Keeping:
    """Keep *kept*, and return what its attempt says of it. The last exchange until now may lose its place."""
    earlier = read_earlier_exchanges(tx, [(0, message, partner)])[0]
    keeping = choose_keeping(kept, earlier, message, partner)
    if keeping.displaced is not None:
        gone = {"exchange": None, "exchange_octets": None, "varying": None}
        theirs = sa.and_(
            attempt.c.message == message, attempt.c.partner == partner, attempt.c.exchange == keeping.displaced
        )
        tx.execute(sa.update(attempt).where(theirs).values(gone))
        tx.execute(sa.delete(exchange).where(exchange.c.sha256 == keeping.displaced))
    write_exchanges(tx, [keeping])
    return keeping


@attrs.frozen(kw_only=True)
class AttemptRecord:
    """One attempt to deliver a message to a partner, with the head of what was kept of it."""

    id: str
    message: str  #: hub id
    partner: str
    number: int  #: 1 for the first attempt
    recipients: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    detail: str | None
    request_sha256: str | None  #: of the last request's body
    reply_sha256: str | None  #: of the reply's body
    reply_status: int | None
    exchange: str | None  #: key of what is kept; None: nothing
    head: ExchangeHead | None
    varying: Mapping[str, str]
    call_ms: int | None  #: from the last request to its reply, in milliseconds

    @property
    def kept(self) -> bool:
        """Tell whether its request and reply are kept."""
        return self.head is not None

    @property
    def duration(self) -> timedelta | None:
        """Return the time from the claim to the result; None while it is under way."""
        return None if self.ended_at is None else self.ended_at - self.started_at

    def write_request_lines(self) -> list[str]:
        """Return the request as lines to compare: what is kept of its head, and the SHA-256 of its body."""
        head = [] if self.head is None else [f"{self.head.method} {self.head.url}", *_write_headers(self.head.sent)]
        return [*head, f"SHA-256 {self.request_sha256 or '-'}"]

    def write_reply_lines(self, body: bytes) -> list[str]:
        """Return the reply as lines to compare. An element begins a line, so that a reply of one line has several."""
        if self.head is None or self.head.status is None:
            return []
        text = body.decode("utf-8", "replace").replace("><", ">\n<")
        headers = (*self.head.heard, *self.varying.items())
        return [f"HTTP {self.head.status}", *_write_headers(headers), *text.splitlines()]


def _write_headers(headers: Iterable[tuple[str, str]]) -> list[str]:
    return sorted(f"{name.lower()}: {value}" for name, value in headers)


def read_attempts(tx: Transaction, message: str) -> list[AttemptRecord]:
    """Return the attempts to deliver *message*, in order."""
    query = sa.select(attempt).where(attempt.c.message == message).order_by(attempt.c.started_at, attempt.c.number)
    return _make_records(tx, query)


def find_attempt(tx: Transaction, name: str) -> AttemptRecord | None:
    """Return the attempt with the id *name*, or None."""
    return next(iter(_make_records(tx, sa.select(attempt).where(attempt.c.id == name))), None)


def _make_records(tx: Transaction, query: sa.Select[Any]) -> list[AttemptRecord]:
    rows = tx.execute(query).all()
    keys = sorted({row.exchange for row in rows if row.exchange})
    query_of_heads = sa.select(exchange.c.sha256, exchange.c.head).where(exchange.c.sha256.in_(keys))
    found = tx.execute(query_of_heads).all() if keys else []
    heads = {row.sha256: read_exchange_head(row.head) for row in found}
    return [
        AttemptRecord(
            id=row.id,
            message=row.message,
            partner=row.partner,
            number=row.number,
            recipients=tuple(json.loads(row.recipients)),
            started_at=row.started_at,
            ended_at=row.ended_at,
            outcome=row.outcome,
            detail=row.detail,
            request_sha256=row.request_sha256,
            reply_sha256=row.reply_sha256,
            reply_status=row.reply_status,
            exchange=row.exchange,
            head=heads.get(row.exchange or ""),
            varying=read_varying_headers(row.varying),
            call_ms=row.call_ms,
        )
        for row in rows
    ]


def read_reply_body(tx: Transaction, key: str) -> bytes | None:
    """Return the beginning of the reply's body that is kept under *key*; None if there is nothing."""
    found = tx.scalars(sa.select(exchange.c.body).where(exchange.c.sha256 == key)).first()
    return None if found is None else bytes(found)
