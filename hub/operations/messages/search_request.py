"""Turns what a person asks for into filters of messages: the text of the box, and conditions with names and codes.

The command line and the console share it. It reads the registry of units and looks whether a partner or unit is known.
It does not search.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum

import attrs
import sqlalchemy as sa

from hub.domain.failure_causes import read_cause_name
from hub.domain.model import HUB, Unit
from hub.domain.search_box import BoxLook, BoxReading, find_agencies, read_box
from hub.journal import unit_registry
from hub.journal.searching.message_filter import MessageFilter
from hub.store.tables import SEARCHED, TO_PARTNER, TO_UNIT, delivery, message
from hub.store.transactions import Transaction


class Direction(StrEnum):
    """Where a message goes, seen from the province. The upstream partner carries all that crosses its border."""

    IN = "in"  #: the upstream partner sent it
    OUT = "out"  #: it goes to the upstream partner
    WITHIN = "within"  #: neither


@attrs.frozen(kw_only=True)
class SearchRequest:
    """What a person asks for. All given conditions must hold."""

    text: str = ""  #: of the box
    direction: Direction | None = None
    since: datetime | None = None
    until: datetime | None = None
    state: str | None = None
    delivery_state: str | None = None
    service: str | None = None
    kind: str | None = None
    refusal: str | None = None
    answer: str | None = None
    cause: str | None = None  #: the name of the cause of a failure
    partner: str | None = None  #: the sender's, or that of a delivery
    sent_to: str | None = None  #: the partner of a delivery
    unit: str | None = None  #: the From unit or a recipient: a code, an alias, a name or its abbreviation
    recipient: str | None = None  #: likewise
    message_id: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked for, so that all messages are found."""
        return self == SearchRequest()


@attrs.frozen
class UnknownName:
    """A partner, a unit or a cause that nobody knows."""

    field: str  #: of the request
    value: str


@attrs.frozen
class SearchPlan:
    """The filters of a request: a message that one of them lets through is found."""

    filters: tuple[MessageFilter, ...]
    reading: BoxReading
    unknown: tuple[UnknownName, ...] = ()


def plan_search(
    tx: Transaction, asked: SearchRequest, partners: Mapping[str, str], upstream: str, on: date
) -> SearchPlan:
    """Return the filters of *asked*. *partners*: names by code; *upstream*: code of the upstream partner, or empty.

    The day *on* decides which unit an alias means.
    """
    needs_units = any((asked.text.strip(), asked.unit, asked.recipient))
    units = unit_registry.list_registry_units(tx, on) if needs_units else []
    unknown = []
    if asked.partner and not is_known_partner(tx, asked.partner, partners):
        unknown.append(UnknownName("partner", asked.partner))
    if asked.sent_to and not is_known_partner(tx, asked.sent_to, partners):
        unknown.append(UnknownName("partner", asked.sent_to))
    if asked.cause and not _is_known_cause(tx, asked.cause, partners):
        unknown.append(UnknownName("cause", asked.cause))
    codes: dict[str, str | None] = {}
    for field in ("unit", "recipient"):
        name = getattr(asked, field)
        codes[field] = name and resolve_unit_name(tx, name, units, on)
        if name and codes[field] is None:
            unknown.append(UnknownName(field, name))
    base = MessageFilter(
        since=asked.since,
        until=asked.until,
        state=asked.state,
        delivery_state=asked.delivery_state,
        service=asked.service,
        kind=asked.kind,
        refusal=asked.refusal,
        answer=asked.answer,
        cause=asked.cause,
        partner=asked.partner,
        message_id=asked.message_id,
        sent_by=(upstream or "-") if asked.direction is Direction.IN else None,
        sent_to=(upstream or "-") if asked.direction is Direction.OUT else asked.sent_to,
        beside=upstream if asked.direction is Direction.WITHIN and upstream else None,
        unit=codes["unit"],
        recipient=codes["recipient"],
    )
    if asked.sent_to not in (None, base.sent_to):  # out of the province, and to another partner
        base = attrs.evolve(base, ids=())
    reading = read_box(asked.text, units, partners)
    filters = tuple(narrow for each in reading.looks if (narrow := _narrow_filter(base, each)) is not None)
    return SearchPlan(filters if reading.looks else (base,), reading, tuple(unknown))


def _narrow_filter(base: MessageFilter, look: BoxLook) -> MessageFilter | None:
    """Return *base* with what *look* says, or None if the two exclude each other."""
    said = {name: value for name, value in attrs.asdict(look).items() if value}
    if "id" in said:
        said["ids"] = (said.pop("id"),)
    for name, value in said.items():
        if getattr(base, name) not in (None, (), value):
            if name not in {"unit", "partner"}:
                return None
            # a second condition of the same kind: the other end of the exchange
            other = {"unit": "recipient", "partner": "sent_to"}[name]
            return None if getattr(base, other) else attrs.evolve(base, **{other: value})
    return attrs.evolve(base, **said)


def is_known_partner(tx: Transaction, code: str, partners: Mapping[str, str]) -> bool:
    """Tell whether *code* is a partner of the configuration, or was one: a message in the journal has it."""
    if code == HUB or code in partners:
        return True
    sent = sa.select(message.c.id).where(message.c.partner == code, SEARCHED).limit(1)
    got = sa.select(delivery.c.id).where(delivery.c.partner == code, TO_PARTNER).limit(1)
    return any(tx.execute(query).first() for query in (sent, got))


def _is_known_cause(tx: Transaction, name: str, partners: Mapping[str, str]) -> bool:
    """Tell whether *name* may be the name of a cause. A cause that no failure has any more is one, too."""
    named = read_cause_name(name)
    return named is not None and is_known_partner(tx, named[0], partners)


def resolve_unit_name(tx: Transaction, name: str, units: Sequence[Unit], on: date) -> str | None:
    """Return the code of the unit *name*: a code, an alias, a name or its abbreviation.

    None: no unit and no message has it, or it is the name of several units.
    """
    code = unit_registry.resolve_unit_code(tx, name, on)
    if any(unit.code == code for unit in units):
        return code
    sent = sa.select(message.c.id).where(message.c.sender == code, SEARCHED).limit(1)
    got = sa.select(delivery.c.id).where(delivery.c.recipient == code, TO_UNIT).limit(1)
    if any(tx.execute(query).first() for query in (sent, got)):
        return code
    found = find_agencies(name, units)
    return found[0].code if len(found) == 1 else None
