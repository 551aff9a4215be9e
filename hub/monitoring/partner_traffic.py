"""What the journal tells of the calls of one partner, and of what is kept for it. Reads only, each time a bounded number of rows.

A question (Get…, List…) that was answered leaves no trace in the journal, so the last call that is known is the last
one that brought a message or was refused.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.ids import make_first_id
from hub.domain.model import DeliveryState, MessageState
from hub.journal import event_index
from hub.journal.event_index import NOBODY, EventFilter, ListedEvent
from hub.store.tables import REFUSED, SEARCHED, UNDELIVERED, delivery, message
from hub.store.transactions import Transaction

#: Refusals of one day that are looked at, and undelivered deliveries that are counted.
MOST = 1_000


@attrs.frozen(kw_only=True)
class LastMessage:
    """The newest message that a partner sent."""

    id: str
    at: datetime
    state: MessageState
    service: str
    kind: str


@attrs.frozen(kw_only=True)
class RefusalCount:
    """The refusals of one day with one code."""

    code: str
    count: int
    last: datetime
    detail: str  #: of the last one


def read_last_message(tx: Transaction, partner: str) -> LastMessage | None:
    """Return the newest message of *partner*, accepted or refused; None if it has sent none."""
    found = []
    for state in MessageState:
        query = (
            sa.select(message.c.id, message.c.received_at, message.c.service, message.c.kind)
            .where(message.c.partner == partner, SEARCHED, message.c.state == state.value)
            .order_by(message.c.id.desc())
            .limit(1)
        )
        found += [
            LastMessage(id=row.id, at=row.received_at, state=state, service=row.service, kind=row.kind)
            for row in tx.execute(query)
        ]
    return max(found, key=lambda each: each.id, default=None)


def read_last_refused_call(tx: Transaction, partner: str) -> ListedEvent | None:
    """Return the newest call of *partner* that was refused and brought no message."""
    found = event_index.find_events(tx, EventFilter(name="call-refused", partner=partner), 1).found
    return found[0] if found else None


def count_refusals(tx: Transaction, partner: str, since: datetime) -> list[RefusalCount]:
    """Return what was refused to *partner* since *since*, calls and messages, by code; the most frequent first.

    Of more than `MOST` calls or messages the newest are counted. A message that was refused for several reasons counts
    for each code.
    """
    told = _read_refused_calls(tx, partner, since)
    query = (
        sa.select(message.c.received_at, message.c.refusal)
        .where(message.c.partner == partner, SEARCHED, REFUSED, message.c.id >= make_first_id(since))
        .order_by(message.c.id.desc())
        .limit(MOST)
    )
    for row in tx.execute(query):
        reasons = (each.partition(": ") for each in reversed((row.refusal or "").split("; ")))
        told += [(code, row.received_at, detail) for code, detail in {code: rest for code, _, rest in reasons}.items()]
    return _count_by_code(told)


def _read_refused_calls(tx: Transaction, partner: str, since: datetime) -> list[tuple[str, datetime, str]]:
    wanted = EventFilter(name="call-refused", partner=partner, since=since)
    return [
        (str(one.fields.get("code", "")), _read_time(one), str(one.fields.get("detail", "")))
        for one in event_index.find_events(tx, wanted, MOST).found
    ]


def _count_by_code(told: Sequence[tuple[str, datetime, str]]) -> list[RefusalCount]:
    counts: Counter[str] = Counter(code for code, _, _ in told if code)
    found = []
    for code, count in counts.most_common():
        _, last, detail = max((each for each in told if each[0] == code), key=lambda each: each[1])
        found.append(RefusalCount(code=code, count=count, last=last, detail=detail))
    return found


def count_unknown_certificates(tx: Transaction, since: datetime) -> Mapping[str, int]:
    """Return how many calls were refused since *since* because their certificate belongs to no partner, by its SHA-256.

    Only the newest `MOST` calls of strangers are counted.
    """
    wanted = EventFilter(name="call-refused", partner=NOBODY, since=since)
    found = event_index.find_events(tx, wanted, MOST).found
    shown = (str(one.fields["certificate"]) for one in found if one.fields.get("certificate"))
    return dict(Counter(shown).most_common())


def count_undelivered(tx: Transaction, partner: str) -> dict[DeliveryState, int]:
    """Return the deliveries to *partner* that are not delivered, by state, each up to `MOST` + 1; no state without any."""
    found = {}
    for state in DeliveryState:
        some = (
            sa.select(delivery.c.message)
            .where(UNDELIVERED, delivery.c.state == state.value, delivery.c.partner == partner)
            .limit(MOST + 1)
            .subquery()
        )
        number = tx.scalar(sa.select(sa.func.count()).select_from(some)) or 0
        if number:
            found[state] = number
    return found


def _read_time(one: ListedEvent) -> datetime:
    return datetime.fromisoformat(str(one.fields["at"]))
