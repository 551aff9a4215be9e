"""Chooses the deliveries that a person may replay or give up, says why others are left out, and moves them.

Knows which deliveries may be moved. Does not know who may order it, nor how a plan is kept (`replay_plans`).
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.failure_causes import write_cause_name
from hub.domain.model import DOCUMENTS, Delivery, DeliveryState, Event, Message, PacketKind
from hub.edxml import changes
from hub.edxml.changes import Effect
from hub.journal import documents, events
from hub.journal.queue import deliveries, delivery_ends
from hub.journal.replays.replay_rules import ENDED, Exclusion, judge_replay
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.store.tables import change, content
from hub.store.tables import message as table
from hub.store.transactions import Transaction
from hub.units.routing import Routes

#: Messages whose deliveries are considered in one step.
PAGE = 200
#: Deliveries moved in one transaction. A running hub waits for that transaction.
TOGETHER = 500


@attrs.frozen
class ExcludedDelivery:
    """A delivery that is not moved, and why."""

    delivery: Delivery
    why: str  #: the change that stopped it, a word of `Exclusion`, or its state
    message: Message


@attrs.frozen
class ChosenDeliveries:
    """The deliveries that would be moved, each with its message, and the excluded ones."""

    moves: tuple[tuple[Message, Delivery], ...]
    excluded: tuple[ExcludedDelivery, ...]
    last: str | None = None  #: hub id of the last message that was considered; None: there are no more

    @property
    def octets(self) -> int:
        """Return the total size of the messages in octets."""
        return sum({message.id: message.size for message, _ in self.moves}.values())


@attrs.frozen
class ReplayChoice:
    """Which deliveries a person wants replayed."""

    wanted: tuple[MessageFilter, ...]  #: messages that one of these lets through
    recipient: str | None = None  #: only deliveries to this unit
    partner: str | None = None  #: only deliveries to this partner
    again: bool = False  #: also those that were delivered
    cause: str | None = None  #: only deliveries that died for this cause

    @classmethod
    def of(
        cls,
        wanted: MessageFilter | Sequence[MessageFilter],
        recipient: str | None = None,
        partner: str | None = None,
        *,
        again: bool = False,
        made_at: datetime,
    ) -> "ReplayChoice":
        """Return the choice among the messages received before *made_at*, when the order was given.

        A search for deliveries to a unit, to a partner or of a cause also narrows the deliveries. Who sends again what was delivered
        means a partner that receives. So with *again* the partner of *wanted* narrows the deliveries, too; without
        this, the messages that it sent would go again to all their recipients.
        """
        filters = (wanted,) if isinstance(wanted, MessageFilter) else tuple(wanted)
        narrowed = partner or _find_common(filters, "sent_to") or (_find_common(filters, "partner") if again else None)
        dated = [attrs.evolve(each, until=min(each.until or made_at, made_at)) for each in filters]
        cause = _find_common(filters, "cause")
        return cls(tuple(dated), recipient or _find_common(filters, "recipient"), narrowed, again, cause)

    def is_within(self, units: Collection[str] | None, partners: Collection[str] | None) -> bool:
        """Tell whether every delivery that can be chosen is of these *units* and *partners* (None: all)."""
        return all(
            _is_subset(each.visible, units)
            and (_is_subset(each.partners, partners) or (self.partner is not None and self.partner in (partners or ())))
            for each in self.wanted
        )

    def build_filters(self, after: str | None) -> list[MessageFilter]:
        """Return the filters for the messages behind *after* that have such deliveries."""
        return [self._narrow(each, state, after) for each in self.wanted for state in self.list_states(each)]

    def list_states(self, one: MessageFilter) -> tuple[str | None, ...]:
        """Return the states of the deliveries that the filter *one* chooses (None: any)."""
        return (one.delivery_state,) if self.again or one.delivery_state in ENDED else ENDED

    def _narrow(self, one: MessageFilter, state: str | None, after: str | None) -> MessageFilter:
        partner = one.partner or self.partner  # the index of the partner holds what goes to it, too
        return attrs.evolve(one, delivery_state=state, partner=partner, after=after)

    def write(self) -> str:
        """Return the choice as JSON, with its times in ISO 8601 under a key of their own."""
        said = {"recipient": self.recipient, "partner": self.partner, "again": self.again, "cause": self.cause}
        return json.dumps(said | {"wanted": list(map(_write_filter, self.wanted))}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> "ReplayChoice":
        """Return the choice that `write` wrote."""
        said = json.loads(text)
        wanted = tuple(
            MessageFilter(**{name: _read_value(value) for name, value in each.items()}) for each in said["wanted"]
        )
        return cls(wanted, said["recipient"], said["partner"], said["again"], said.get("cause"))


def _is_subset(some: Collection[str] | None, most: Collection[str] | None) -> bool:
    """Tell whether *some* (None: all) are among *most* (None: all)."""
    return most is None or (some is not None and set(some) <= set(most))


def _find_common(filters: Sequence[MessageFilter], field: str) -> str | None:
    """Return the value of *field* in all *filters*, or None if they differ."""
    values = {getattr(each, field) for each in filters}
    return values.pop() if len(values) == 1 else None


def _write_filter(one: MessageFilter) -> dict[str, object]:
    """Return the conditions of a filter that are given."""
    fields = {field.name: (getattr(one, field.name), field.default) for field in attrs.fields(MessageFilter)}
    return {name: _write_value(value) for name, (value, default) in fields.items() if value != default}


def _write_value(value: object) -> object:
    return {"time": value.isoformat()} if isinstance(value, datetime) else value


def _read_value(value: Any) -> Any:
    match value:
        case {"time": text}:
            return datetime.fromisoformat(text)
        case list():
            return tuple(value)
    return value


def choose_deliveries(
    tx: Transaction, choice: ReplayChoice, routes: Routes, after: str | None = None, limit: int = PAGE
) -> ChosenDeliveries:
    """Return what *choice* selects of the next *limit* messages behind the message *after*. Changes nothing.

    Considers more than *limit* deliveries only where one message has so many. Without *again*, deliveries that are not
    dead are not mentioned at all.
    """
    found = list(search.find_messages(tx, choice.build_filters(after), limit))
    by_id = {message.id: message for message in found}
    made = deliveries.read_deliveries_of(tx, by_id) if found else ()
    made = [each for each in made if _is_meant(choice, by_id[each.message], each)]
    last = found[-1].id if len(found) == limit else None
    if len(made) > limit:
        last = made[limit - 1].message  # a message is considered whole
        made = [each for each in made if each.message <= last]
        last = None if last == found[-1].id and len(found) < limit else last
    pairs = [(by_id[each.message], each) for each in made]
    return judge_deliveries(tx, pairs, routes, again=choice.again, last=last, archives=True)


def _is_meant(choice: ReplayChoice, message: Message, delivery: Delivery) -> bool:
    return (
        (choice.again or any(delivery.state in choice.list_states(each) for each in choice.wanted))
        and choice.recipient in (None, delivery.recipient)
        and choice.partner in (None, delivery.partner)
        and choice.cause in (None, write_cause_name(delivery.partner, delivery.cause or ""))
        and any(_is_reached(each, message, delivery) for each in choice.wanted)
    )


def _is_reached(wanted: MessageFilter, message: Message, delivery: Delivery) -> bool:
    """Tell whether a person who is limited to what *wanted* shows may move the delivery.

    It must be to one of the partners, and from or to one of the units.
    """
    units, partners = wanted.visible, wanted.partners
    return (partners is None or delivery.partner in partners) and (
        units is None or message.sender in units or delivery.recipient in units
    )


def judge_deliveries(
    tx: Transaction,
    made: Sequence[tuple[Message, Delivery]],
    routes: Routes,
    *,
    again: bool,
    last: str | None = None,
    archives: bool = False,
) -> ChosenDeliveries:
    """Return which of the deliveries *made* may be replayed now.

    With *archives*, also those whose bytes are to be brought back from an archive file first.
    """
    kept = _list_kept(tx, {message.sha256 for message, _ in made})
    archived = list_archived_messages(tx, {message.id for message, _ in made})
    changed = _Changes(tx, routes)
    moves, excluded = [], []
    for message, delivery in made:
        why = judge_replay(
            delivery,
            again=again,
            missing=_find_missing(message, kept, archived, archives=archives),
            served=routes.delivers_to(delivery.partner),
            changed=changed.find(message, delivery),
        )
        if why is None:
            moves.append((message, delivery))
        else:
            excluded.append(ExcludedDelivery(delivery, str(why), message))
    return ChosenDeliveries(tuple(moves), tuple(excluded), last)


def _find_missing(
    message: Message, kept: Collection[str], archived: Collection[str], *, archives: bool
) -> Exclusion | None:
    """Return why there are no bytes to be sent, or None."""
    if message.id in archived:
        return None if archives else Exclusion.ARCHIVED
    return None if message.sha256 in kept else Exclusion.NOT_KEPT


def list_archived_messages(tx: Transaction, ids: Collection[str]) -> frozenset[str]:
    """Return those of the messages *ids* whose bytes and events are in an archive file."""
    found: set[str] = set()
    rest = iter(ids)
    while some := list(islice(rest, 500)):
        found.update(tx.scalars(sa.select(table.c.id).where(table.c.id.in_(some), table.c.archive.is_not(None))))
    return frozenset(found)


def _list_kept(tx: Transaction, hashes: Iterable[str]) -> frozenset[str]:
    query = sa.select(content.c.sha256).where(content.c.sha256.in_(list(hashes)), content.c.part == 0)
    return frozenset(tx.scalars(query))


class _Changes:
    """Finds the changes that came after a document was delivered.

    A change stops what is not delivered yet, and then the delivery says so. One that was delivered cannot be stopped,
    so nothing marks it: the recall would be undone if the document were sent again behind it.
    """

    def __init__(self, tx: Transaction, routes: Routes) -> None:
        self._tx, self._routes = tx, routes
        self._of: dict[str, Mapping[str, str]] = {}

    def find(self, message: Message, delivery: Delivery) -> str | None:
        """Return the reason of the first later change that takes the document from the recipient of *delivery*."""
        if delivery.state is not DeliveryState.DELIVERED or message.service != DOCUMENTS or message.sender is None:
            return None
        if message.id not in self._of:
            self._of[message.id] = self._read(message, message.sender)
        found = self._of[message.id]
        return found.get(delivery.recipient) or found.get(changes.EVERY)

    def _read(self, message: Message, sender: str) -> Mapping[str, str]:
        """Return the reasons by unit."""
        first: dict[str, str] = {}
        for document in self._list_carried(message):
            found = documents.read_early_changes(self._tx, sender, document, after=message.id)
            for each in sorted(found, key=lambda one: one.message):
                if each.partner == message.partner or self._routes.stands_for(each.partner, sender):
                    first.setdefault(each.unit, changes.write_stop_reason(each.effect, each.message))
        return first

    def _list_carried(self, message: Message) -> list[str]:
        """Return the documents that *message* carries to its recipients."""
        if message.kind in changes.DOCUMENTS:
            return [message.document_id] if message.document_id else []
        if message.kind != PacketKind.UPDATE:
            return []
        updated = sa.select(change.c.document_id).where(
            change.c.message == message.id, change.c.effect == Effect.UPDATED
        )
        return list(self._tx.scalars(updated.distinct()))


def replay_deliveries(
    tx: Transaction,
    ended: Iterable[Delivery],
    routes: Routes,
    *,
    reason: str,
    by: str,
    now: datetime,
    plan: str | None = None,
) -> Sequence[Delivery]:
    """Put ended deliveries back to `waiting`, or to `held` where the partner fetches. Return those that moved.

    A delivery that has changed since it was read (another person was faster) is left alone.
    """
    states = ((each, routes.find_first_state(each.partner)) for each in ended)
    moved = deliveries.revive_deliveries(tx, states, reason=reason, by=by, now=now, plan=plan)
    if moved:
        said = {"reason": reason, "by": by, "deliveries": len(moved)} | ({"plan": plan} if plan else {})
        events.append_events(tx, Event("replay", now, None, None, said))
    return moved


def plan_give_up(tx: Transaction, wanted: MessageFilter, recipient: str | None = None) -> ChosenDeliveries:
    """Return what would be given up of the deliveries that wait for their turn or for a person. Changes nothing.

    *wanted* selects their messages.

    A delivery that is being sent is excluded: it may still arrive.
    """
    states = [DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.SUSPENDED]
    found = search.find_deliveries_in_state(tx, states, wanted, recipient)
    waiting = tuple((message, delivery) for message, delivery in found if delivery.state is not DeliveryState.SENDING)
    sending = ((message, delivery) for message, delivery in found if delivery.state is DeliveryState.SENDING)
    return ChosenDeliveries(
        waiting, tuple(ExcludedDelivery(delivery, "sending", message) for message, delivery in sending)
    )


def give_up_deliveries(
    tx: Transaction, waiting: Iterable[Delivery], *, reason: str, by: str, now: datetime
) -> Sequence[Delivery]:
    """Make waiting deliveries dead letters on a person's order. A replay can revive them. Return those that moved.

    A delivery that no longer waits (it is being sent, or was sent) is left alone.
    """
    moved = [each for each in waiting if delivery_ends.give_up_delivery(tx, each, reason=reason, by=by, now=now)]
    if moved:
        events.append_events(
            tx, Event("give-up", now, None, None, {"reason": reason, "by": by, "deliveries": len(moved)})
        )
    return moved
