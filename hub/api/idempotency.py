"""Keeps the answers to orders under their idempotency keys: the same key and request get the same answer again.

The header is `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). The answer is written in the transaction of
what was ordered, so both are there or neither is, whenever a process is killed. A refused order leaves nothing, and may
be repeated with the same key. Knows one table; does not know what is ordered.
"""

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa

from hub.store import transactions
from hub.store.tables import api_key as table
from hub.store.transactions import Transaction

#: How long an answer is kept, and how many of one token.
KEPT, MOST = timedelta(days=1), 1000
#: Octets of an answer, at most. They are answers to orders, which are short.
_LARGEST = 64 * 1024


@attrs.frozen(kw_only=True)
class OrderedAnswer:
    """The answer to an order."""

    status: int
    content: bytes
    location: str | None = None
    again: bool = False  #: it was given before


class IdempotencyConflict(Exception):
    """The key was sent before with another request."""


class KeysExhausted(Exception):
    """The token has used `MOST` keys within `KEPT`. Raised with the seconds until one is forgotten."""


def hash_request(token: str, method: str, path: str, body: bytes) -> str:
    """Return what distinguishes one request from another under the same key.

    It is kept, and a body may hold a secret that can be guessed. So it is keyed with the *token*, which the journal does
    not have.
    """
    return hmac.digest(token.encode(), b"\n".join((method.encode(), path.encode(), body)), "sha256").hex()


def find_kept_answer(tx: Transaction, owner: str, key: str | None, request: str, now: datetime) -> OrderedAnswer | None:
    """Return the answer that *owner* was given under *key*; None if there is none.

    Raises `IdempotencyConflict` if it was the answer to another *request*.
    """
    ours = sa.select(table).where(table.c.token == owner, table.c.key == key, table.c.until > now)
    row = None if key is None else tx.execute(ours).mappings().first()
    if row is None:
        return None
    if row["request"] != request:
        raise IdempotencyConflict(key)
    return OrderedAnswer(status=row["status"], content=row["content"].encode(), location=row["location"], again=True)


def run_once(
    tx: Transaction,
    owner: str,
    key: str | None,
    request: str,
    now: datetime,
    step: Callable[[Transaction], OrderedAnswer],
) -> OrderedAnswer:
    """Run *step* unless *owner*, the prefix of a token, has sent *key* before; return its answer, now or then.

    *request*: `hash_request`. Raises `IdempotencyConflict` if it is not the one of that time, and `KeysExhausted`.
    """
    if key is None:
        return step(tx)
    transactions.lock_names(tx, {f"api-key {owner}"})
    tx.execute(sa.delete(table).where(table.c.token == owner, table.c.until <= now))
    kept = find_kept_answer(tx, owner, key, request, now)
    if kept is not None:
        return kept
    count, first = tx.execute(
        sa.select(sa.func.count(), sa.func.min(table.c.until)).where(table.c.token == owner)
    ).one()
    if count >= MOST:
        raise KeysExhausted(max(1, int((first - now).total_seconds()) + 1))
    answer = step(tx)
    assert len(answer.content) <= _LARGEST
    values = {"token": owner, "key": key, "request": request, "until": now + KEPT}
    said = {"status": answer.status, "location": answer.location, "content": answer.content.decode()}
    tx.execute(sa.insert(table).values(values | said))
    return answer
