"""Reads a message with its events, deliveries and facts, if the user may see it. Contains SQL, no pages.

An accepted message is visible to a user who sees one of its units: the From unit, a recipient, the unit whose document
it answers, or a unit with a fact from it. A refused message is visible to operators only, because its unit was never
established.

The official who made a lookup, its purpose and its dossier are visible to operators only. The answers of lookups are
not shown at all.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.console import users
from hub.console.users import Role, User
from hub.domain.model import Delivery, Message, MessageState
from hub.journal import blobs, events, search
from hub.journal.queue import deliveries
from hub.services.lookups import operations
from hub.store.tables import attempt
from hub.store.tables import message as table
from hub.store.transactions import Transaction

#: Maximum events, and maximum facts, shown of one message. The others are only counted.
MOST = 500
#: Event fields shown of a private message.
_BARE = ("at", "event")
#: Services whose messages reveal what an official asked about a person.
PRIVATE = frozenset({operations.NAME})


@attrs.frozen(kw_only=True)
class Attempt:
    """One attempt to deliver the message to a partner."""

    partner: str
    number: int  #: 1 for the first attempt
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    detail: str | None


@attrs.frozen(kw_only=True)
class ShownMessage:
    """A message as its page shows it."""

    message: Message
    private: bool  #: whether its bytes and event bodies are withheld
    kept: bool  #: whether its bytes are in the journal
    receipt: bool  #: whether the hub gave a signed receipt
    happened: Sequence[Mapping[str, object]]  #: events in order, without facts; the first `MOST`
    more: int  #: number of further events
    facts: Sequence[Mapping[str, object]]  #: facts counted from it, as their events state them; the first `MOST`
    more_facts: int  #: number of further facts
    deliveries: Sequence[Delivery]
    attempts: Sequence[Attempt]

    @property
    def signature(self) -> Mapping[str, object] | None:
        """The event about the packet's own signature; None without one."""
        return next((event for event in self.happened if event["event"] == "packet-signature"), None)


def find_visible_message(tx: Transaction, user: User, identity: str) -> ShownMessage | None:
    """Return the message with the hub's id *identity*; None if it does not exist or *user* may not see it."""
    try:
        found = search.read_message(tx, identity)
    except KeyError:
        return None
    made = deliveries.read_message_deliveries(tx, identity)
    told = events.read_message_events(tx, identity)
    if not _is_open(tx, user, found, made, told):
        return None
    private = found.service in PRIVATE and user.role is not Role.OPERATOR
    happened = [event for event in told if event["event"] != "fact-recorded"]
    facts = [event for event in told if event["event"] == "fact-recorded"]
    if private:
        happened = [{key: event[key] for key in _BARE} for event in happened]
        found = attrs.evolve(found, subject=None)
    return ShownMessage(
        message=found,
        private=private,
        kept=not private and blobs.read_blob_size(tx, found.sha256) is not None,
        receipt=not private and search.read_stored_receipt(tx, identity) is not None,
        happened=happened[:MOST],
        more=max(0, len(happened) - MOST),
        facts=facts[:MOST],
        more_facts=max(0, len(facts) - MOST),
        deliveries=made,
        attempts=_attempts(tx, identity),
    )


@attrs.frozen
class MessageName:
    """What distinguishes a message in a list."""

    message_id: str | None  #: the sender's id
    code: str | None  #: the document's code
    subject: str | None


def name_visible_messages(tx: Transaction, user: User, ids: Collection[str]) -> dict[str, MessageName]:
    """Return the names of the messages with these hub ids. *user* must be allowed to see a fact of each."""
    columns = (table.c.id, table.c.service, table.c.message_id, table.c.code, table.c.subject)
    found = {}
    for row in tx.execute(sa.select(*columns).where(table.c.id.in_(list(ids)))):
        private = row.service in PRIVATE and user.role is not Role.OPERATOR
        found[row.id] = MessageName(row.message_id, row.code, None if private else row.subject)
    return found


def _is_open(
    tx: Transaction,
    user: User,
    found: Message,
    made: Sequence[Delivery],
    told: Sequence[Mapping[str, object]],
) -> bool:
    if user.role is Role.OPERATOR:
        return True
    if found.state is not MessageState.ACCEPTED:
        return False
    seen = users.read_visible_units(tx, user)
    if seen is None:
        return True
    answered = tx.scalars(sa.select(table.c.answers_unit).where(table.c.id == found.id)).first()
    units = {found.sender, answered, *(each.recipient for each in made)}
    units |= {str(event["unit"]) for event in told if event["event"] == "fact-recorded"}
    return not seen.isdisjoint(units - {None})


def _attempts(tx: Transaction, identity: str) -> list[Attempt]:
    columns = [attempt.c[field.name] for field in attrs.fields(Attempt)]
    query = sa.select(*columns).where(attempt.c.message == identity).order_by(attempt.c.started_at, attempt.c.number)
    return [Attempt(**row) for row in tx.execute(query).mappings()]
