"""Which messages somebody asks for, as a value and as conditions of a query; runs no query."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain import search_terms
from hub.domain.failure_causes import read_cause_name
from hub.domain.ids import make_first_id, make_moment, read_moment
from hub.store.tables import ACCEPTED, attempt, delivery
from hub.store.tables import message as table


@attrs.frozen(kw_only=True)
class MessageFilter:
    """Conditions for messages. All given conditions must hold. *since* is inclusive, *until* is exclusive."""

    state: str | None = None  #: of the message
    delivery_state: str | None = None  #: of at least one delivery
    partner: str | None = None  #: the sender, or the partner of a delivery
    message_id: str | None = None  #: the sender's id
    unit: str | None = None  #: the From unit or a recipient
    service: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None  #: hub id: only messages behind it in the order of ids
    before: str | None = None  #: hub id: only messages ahead of it in the order of ids
    ids: tuple[str, ...] | None = None  #: hub ids or message ids
    document_id: str | None = None
    sha256: str | None = None  #: or its first digits, at least 12, in lower case
    words: tuple[str, ...] = ()  #: of number, notation and subject, folded (`hub.domain.search_terms`)
    refusal: str | None = None  #: a code of the hub's refusal
    answer: str | None = None  #: a code of a partner's answer to a delivery
    cause: str | None = None  #: name of the cause of its refusal, or of a dead delivery (`hub.domain.failure_causes`)
    recipient: str | None = None  #: the unit of a delivery
    sent_by: str | None = None  #: the sending partner
    #: the partner of a delivery; a delivery to it is in `delivery_state`, if that is given, too
    sent_to: str | None = None
    beside: str | None = None  #: a partner that neither sent it nor gets it
    #: only accepted messages that one of these units sent or gets, or whose document they answer
    visible: tuple[str, ...] | None = None
    #: only messages that one of these partners sent or gets. Conditions for deliveries look at deliveries to these only
    partners: tuple[str, ...] | None = None
    services_hidden: tuple[str, ...] = ()  #: services whose messages are left out


def find_moment_bounds(wanted: MessageFilter) -> tuple[int, int]:
    """Return the first moment of the period of *wanted*, and the moment behind the last one."""
    firsts = [
        *([make_moment(wanted.since)] if wanted.since else []),
        *([read_moment(wanted.after)] if wanted.after else []),
    ]
    ends = [
        *([make_moment(wanted.until)] if wanted.until else []),
        *([read_moment(wanted.before) + 1] if wanted.before else []),
    ]
    return max(firsts, default=0), min(ends, default=1 << 52)


Condition = sa.ColumnElement[bool]


def list_conditions(wanted: MessageFilter) -> list[Condition]:
    other = delivery.alias()  # an alias, because the outer query may use `delivery` too
    gets = sa.exists().where(other.c.message == table.c.id)
    made = gets.where(*is_any_partner(other.c.partner, wanted.partners))
    conditions = [
        wanted.state and table.c.state == wanted.state,
        wanted.delivery_state and not wanted.sent_to and made.where(other.c.state == wanted.delivery_state),
        wanted.partner and sa.or_(table.c.partner == wanted.partner, made.where(other.c.partner == wanted.partner)),
        wanted.message_id and table.c.message_id == wanted.message_id,
        wanted.unit and sa.or_(table.c.sender == wanted.unit, made.where(other.c.recipient == wanted.unit)),
        wanted.service and table.c.service == wanted.service,
        wanted.kind and table.c.kind == wanted.kind,
        wanted.ids is not None and sa.or_(table.c.id.in_(wanted.ids), table.c.message_id.in_(wanted.ids)),
        wanted.document_id and table.c.document_id == wanted.document_id,
        wanted.sha256 and table.c.sha256.startswith(wanted.sha256, autoescape=True),
        wanted.refusal and _has_code(table.c.refusal, wanted.refusal),
        wanted.answer and _has_answer(wanted.answer, wanted.partners),
        wanted.cause and _has_cause(wanted.cause, wanted.partners),
        wanted.recipient and made.where(other.c.recipient == wanted.recipient),
        wanted.sent_by and table.c.partner == wanted.sent_by,
        wanted.sent_to and made.where(*is_delivery_to(other, wanted.sent_to, wanted.delivery_state)),
        wanted.beside and sa.and_(table.c.partner != wanted.beside, ~gets.where(other.c.partner == wanted.beside)),
        wanted.visible is not None and _is_visible(wanted.visible),
        wanted.partners is not None and sa.or_(table.c.partner.in_(wanted.partners), made),
        wanted.services_hidden and table.c.service.not_in(wanted.services_hidden),
    ]
    return [
        *list_period_conditions(table.c.id, wanted),
        *(each for each in conditions if isinstance(each, sa.ColumnElement)),
    ]


def is_delivery_to(source: Any, partner: str, state: str | None) -> list[Condition]:
    """Return the conditions that a delivery is to *partner*, and in *state* (None: any)."""
    return [source.c.partner == partner, *([source.c.state == state] if state else [])]


def _has_code(column: sa.ColumnElement[Any], code: str) -> Condition:
    """Return the condition that the stored reason in *column* has *code*, as `list_codes` reads it."""
    pieces = sa.func.replace(sa.func.lower(column), ": ", "; ")
    return ("; " + pieces + "; ").contains(search_terms.write_code_pieces(code), autoescape=True)


def _has_answer(code: str, partners: Sequence[str] | None) -> Condition:
    about = sa.and_(attempt.c.message == table.c.id, _has_code(attempt.c.detail, code))
    return sa.exists().where(about, *is_any_partner(attempt.c.partner, partners))


def is_any_partner(column: sa.ColumnElement[str], partners: Sequence[str] | None) -> list[Condition]:
    """Return the condition that the partner in *column* is one of *partners* (None: any)."""
    return [] if partners is None else [column.in_(partners)]


def _has_cause(name: str, partners: Sequence[str] | None) -> Condition:
    other = delivery.alias()
    died = sa.exists().where(other.c.message == table.c.id, is_of_cause(other, name, partners))
    return sa.or_(is_of_cause(table, name, partners), died)


def is_of_cause(source: Any, name: str, partners: Sequence[str] | None) -> Condition:
    """Return the condition that a message or a delivery failed for the cause *name*, of one of *partners* (None: all)."""
    partner, digest = read_cause_name(name) or ("", "")
    if partners is not None and partner not in partners:
        return sa.false()
    return sa.and_(source.c.partner == partner, source.c.cause.is_not(None), source.c.cause == digest)


def _is_visible(units: Sequence[str]) -> Condition:
    other = delivery.alias()
    gets = sa.exists().where(other.c.message == table.c.id, other.c.recipient.in_(units))
    return sa.and_(ACCEPTED, sa.or_(table.c.sender.in_(units), table.c.answers_unit.in_(units), gets))


def list_period_conditions(column: sa.ColumnElement[str], wanted: MessageFilter) -> list[Condition]:
    """Return the conditions that the id in *column* is of the period of *wanted*: at most one of each direction.

    Of two SQLite would use one for its index, perhaps the wider one.
    """
    first = None if wanted.since is None else make_first_id(wanted.since)
    bounds: list[Condition] = []
    if wanted.after is not None and wanted.after >= (first or ""):
        bounds.append(column > wanted.after)
    elif first is not None:
        bounds.append(column >= first)
    ends = [*([make_first_id(wanted.until)] if wanted.until else []), *([wanted.before] if wanted.before else [])]
    if ends:
        bounds.append(column < min(ends))
    return bounds
