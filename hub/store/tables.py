"""The tables of the journal, the same for SQLite and PostgreSQL. Contains columns, keys and indexes, and no query.

A new journal is made from these tables; the migrations (hub/store/migrations) bring an earlier one to them, and a test keeps
the two equal. A time is stored as UTC text of
fixed width, which sorts in time order and can be read in any SQL shell.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from hub.domain.model import DeliveryState, MessageState, UnitMark


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as `2026-11-24T08:00:00.000000Z`."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the stored text of *value*, which must be aware."""
        del dialect
        return None if value is None else write_instant(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Return the datetime of a stored text."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


class DayType(TypeDecorator[date]):
    """A calendar day, stored as `2026-11-24`."""

    impl = sa.String(10)
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> str | None:
        """Return the stored text of *value*."""
        del dialect
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> date | None:
        """Return the day of a stored text."""
        del dialect
        return None if value is None else date.fromisoformat(value)


class Pairs(TypeDecorator[tuple[tuple[str, str], ...]]):
    """Pairs of name and text, stored as a JSON object such as `{"channel":"2"}` with sorted names."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: tuple[tuple[str, str], ...] | None, dialect: Dialect) -> str | None:
        """Return the stored text of *value*."""
        del dialect
        return None if value is None else write_pairs(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[tuple[str, str], ...] | None:
        """Return the pairs of a stored text."""
        del dialect
        return None if value is None else tuple(json.loads(value).items())


def write_pairs(value: Iterable[tuple[str, str]]) -> str:
    """Return the canonical JSON text of pairs of name and text."""
    return json.dumps(dict(sorted(value)), ensure_ascii=False, separators=(",", ":"))


@lru_cache(256)  # the rows of one message have the same time in many columns
def write_instant(value: datetime) -> str:
    """Return the canonical text of an instant. Raises ValueError for a naive datetime."""
    if value.tzinfo is None:
        raise ValueError("the journal stores no naive datetime")
    # not strftime: it writes the year 1, in which an unknown partner's certificate may end, as one digit
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

#: Octets of messages, stored once under their SHA-256, in parts (hub/journal/blobs.py).
content = sa.Table(
    "content",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("octets", sa.LargeBinary, nullable=False),
)

message = sa.Table(
    "message",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("refusal", sa.Text),
    sa.Column("sender", sa.Text),  # the From unit, aliases resolved
    # the From unit is outside the province
    sa.Column("outside", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("document_id", sa.Text),  # of the document; for a status, of the document it answers
    sa.Column("code", sa.Text),
    sa.Column("promulgation_date", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("due", DayType),
    sa.Column("document_type", sa.Text, nullable=False, server_default=""),
    sa.Column("paper", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("status", sa.String(3)),  # status packets: the code
    sa.Column("answers_unit", sa.Text),  # status packets: ResponseFor/OrganId, aliases resolved
    sa.Column("answers", sa.String(36)),  # status packets: the answered message, if known
    sa.Column("lane", sa.Text),  # of its deliveries; later messages about the same document take it over
    sa.Column("receipt", sa.LargeBinary),
    sa.Column("signature", sa.Text),  # result of checking the packet's own signature; null where no packet was read
    sa.Column("keys", sa.Text),  # JSON list of the business keys of the message; null for packets
    sa.Column("cause", sa.String(16)),  # digest of the cause of a refusal (hub/domain/failure_causes.py)
    # the signed parts of the call that brought it (hub/security/kept_envelopes.py); null: it had no signature
    sa.Column("envelope", sa.LargeBinary),
    # number of the part that has gone into an archive with its bytes, events and attempts (`retention_part`); null: they
    # are here
    sa.Column("archive", sa.Integer),
    # the header `traceparent` of the call that brought it, valid (hub/domain/trace_context.py); null: there was none
    sa.Column("trace", sa.String(55)),
)
#: Certificates that signed calls, each once for all its messages (hub/journal/blobs.py).
signer = sa.Table(
    "signer",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("der", sa.LargeBinary, nullable=False),
)
#: What all calls of one form have in common, as `message.envelope` names it (hub/security/kept_envelopes.py).
envelope_form = sa.Table(
    "envelope_form",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("packed", sa.LargeBinary, nullable=False),
)
#: What receipts of one kind have in common, each once (hub/journal/packed_receipts.py).
receipt_form = sa.Table(
    "receipt_form",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("octets", sa.LargeBinary, nullable=False),
)
#: The receipts of messages whose bytes have gone into an archive, packed. A repetition gets the same octets.
kept_receipt = sa.Table(
    "kept_receipt",
    metadata,
    sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), primary_key=True),
    sa.Column("form", sa.String(64), sa.ForeignKey("receipt_form.sha256"), nullable=False),
    sa.Column("packed", sa.LargeBinary, nullable=False),
)
#: Parts of months that are announced to go into an archive, are going or have gone (hub/keeping/retention/parts.py).
retention_part = sa.Table(
    "retention_part",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("month", sa.String(7), nullable=False),  # of the receipt of its messages, in Hà Nội
    sa.Column("state", sa.Text, nullable=False),  # announced · archived · gone
    sa.Column("archive", sa.String(36)),  # id of the archive file (hub/keeping/archive)
    sa.Column("announced_at", Instant, nullable=False),
    sa.Column("due_at", Instant, nullable=False),  # not before then
    sa.Column("changed_at", Instant, nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.Column("octets", sa.BigInteger, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),  # why it did not go on; empty: it does
)
#: The size of the database at the last measurement of each day (hub/keeping/retention/disk_budget.py).
journal_size = sa.Table(
    "journal_size",
    metadata,
    sa.Column("day", DayType, primary_key=True),  # in Hà Nội
    sa.Column("octets", sa.BigInteger, nullable=False),  # of its files
    sa.Column("free", sa.BigInteger, nullable=False),  # of these, those that new rows can use; 0 where it is not known
    sa.Column("measured_at", Instant, nullable=False),
)
delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("status", sa.String(3)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", Instant, nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("holder", sa.Text),  # the node that is sending it
    sa.Column("lease_until", Instant),
    sa.Column("urgency", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("lane", sa.Text, nullable=False, server_default=""),
    sa.Column("stopped", sa.Text),  # why it must not be sent any more, in whatever state it is
    sa.Column("answer", sa.String(2)),  # of a change: the recipient's first answer, 15 or 16
    sa.Column("alarmed_at", Instant),  # time of the alarm that the recipient does not fetch it
    # it is the head of its lane (hub/journal/queue/lanes.py)
    sa.Column("free", sa.Boolean, nullable=False, server_default=sa.false()),
    # consecutive attempts that a crash of the hub interrupted
    sa.Column("crashes", sa.SmallInteger, nullable=False, server_default="0"),
    # a person sent it again after it had been delivered
    sa.Column("again", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("cause", sa.String(16)),  # digest of the cause why it is dead; null: stopped, or not dead
    sa.Column("named", sa.Text),  # the recipient's code as the packet writes it; null: as in `recipient`
    # deliveries of a message that are sent together; null: with all others that have none
    sa.Column("part", sa.Text),
    # start of the latest attempt that ended without an answer; null: none, or it is known since that there was one
    sa.Column("unsure", Instant),
    # it was sent again after such an attempt to a partner that cannot tell the two apart
    sa.Column("twice", sa.Boolean, nullable=False, server_default=sa.false()),
    # it was dead, and counted as failed, and has not been delivered since
    sa.Column("failed", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("their_id", sa.Text),  # the id of a partner that can be asked later what became of it
    # a person gave it up, so it is handled although it is dead
    sa.Column("given_up", sa.Boolean, nullable=False, server_default=sa.false()),
    # the number in the key under which a unit has the document again that it had handed over; null: none has
    sa.Column("returns", sa.SmallInteger),
    sa.UniqueConstraint("message", "recipient"),
)


#: Conditions of partial indexes. A query that repeats a condition literally uses the index, whatever its parameters.
FREE: sa.ColumnElement[bool] = delivery.c.free
SENDING = delivery.c.state == sa.literal(DeliveryState.SENDING, sa.Text, literal_execute=True)
FETCHABLE = delivery.c.state.in_(
    [sa.literal(state, sa.Text, literal_execute=True) for state in (DeliveryState.HELD, DeliveryState.FETCHED)]
)
#: Not delivered yet, so still open for some operator or partner.
UNDELIVERED = delivery.c.state != sa.literal(DeliveryState.DELIVERED, sa.Text, literal_execute=True)
LISTED = sa.and_(
    message.c.service == sa.literal("categories", sa.Text, literal_execute=True),
    message.c.state == sa.literal(MessageState.ACCEPTED, sa.Text, literal_execute=True),
)
#: As a constant of the statement, not a parameter: else SQLite prepares the statement anew each time it runs, to see
#: whether a partial index fits the value.
ACCEPTED = message.c.state == sa.literal_column(f"'{MessageState.ACCEPTED}'", sa.Text)
REFUSED = message.c.state == sa.literal_column(f"'{MessageState.REFUSED}'", sa.Text)
UNALARMED = sa.and_(FETCHABLE, delivery.c.alarmed_at.is_(None))
#: Conditions of the indexes that exist for searches only. They hold for every row, and only a search repeats them
#: (hub/journal/searching/search.py). Without statistics SQLite would use such an index in a statement that has a better one: all
#: messages of a unit in the order of their ids, instead of those of one document.
SEARCHED = message.c.state > sa.literal_column("''", sa.Text)
TO_UNIT = delivery.c.recipient > sa.literal_column("''", sa.Text)
TO_PARTNER = delivery.c.partner > sa.literal_column("''", sa.Text)


#: The number and notation of a document without “/” and spaces: the index finds a document by it, however a sender
#: writes them. `write_plain_number` is the same in Python. The texts are constants of the statement, else no index fits it.
plain_number: sa.ColumnElement[str] = sa.func.replace(
    sa.func.replace(message.c.code, sa.literal_column("'/'"), sa.literal_column("''")),
    sa.literal_column("' '"),
    sa.literal_column("''"),
    type_=sa.Text,
)


def write_plain_number(code: str) -> str:
    """Return a document's number and notation without “/” and spaces, as `plain_number` does."""
    return code.replace("/", "").replace(" ", "")


def _make_partial_index(
    name: str, *columns: sa.ColumnElement[Any], where: sa.ColumnElement[bool], unique: bool = False
) -> None:
    """Create a partial index of the rows that match *where*, so that a query touches, and a writer adds, only these."""
    # SQLite uses the index only if the query has the same text
    spelled = sa.text("free = 1") if where is FREE else where
    sa.Index(name, *columns, unique=unique, sqlite_where=spelled, postgresql_where=where)


#: Only an accepted message occupies its message id. A search by message id knows no partner.
_make_partial_index("uq_message_accepted_id", message.c.message_id, message.c.partner, where=ACCEPTED, unique=True)
_make_partial_index("ix_message_refused_id", message.c.message_id, where=REFUSED)
#: A change or a status may name an unknown document, or give only its number. That lookup must cost no more than any
#: other. The unit comes second, so that no statement reads all messages of a unit.
sa.Index("ix_message_about", message.c.document_id, message.c.sender)
_make_partial_index("ix_message_numbered", plain_number, message.c.sender, where=message.c.code.is_not(None))
_make_partial_index(
    "ix_message_answers", message.c.answers_unit, message.c.id, where=message.c.answers_unit.is_not(None)
)
#: Searches, in the order of receipt: the id contains the time.
_make_partial_index("ix_message_sender", message.c.sender, message.c.state, message.c.id, where=SEARCHED)
_make_partial_index("ix_message_partner", message.c.partner, message.c.state, message.c.id, where=SEARCHED)
_make_partial_index(
    "ix_message_kind",
    *(message.c.service, message.c.kind, message.c.state, message.c.id),
    where=SEARCHED,
)
_make_partial_index("ix_message_list", message.c.kind, message.c.id, where=LISTED)
_make_partial_index(
    "ix_delivery_queue", delivery.c.partner, delivery.c.urgency, delivery.c.due, delivery.c.message, where=FREE
)
_make_partial_index("uq_delivery_head", delivery.c.lane, delivery.c.recipient, where=FREE, unique=True)
_make_partial_index("ix_delivery_sending", delivery.c.partner, delivery.c.lease_until, where=SENDING)
_make_partial_index("ix_delivery_fetchable", delivery.c.partner, delivery.c.message, where=FETCHABLE)
_make_partial_index("ix_delivery_alarm", delivery.c.since, where=UNALARMED)
_make_partial_index(
    "ix_delivery_undelivered",
    *(delivery.c.state, delivery.c.partner, delivery.c.message, delivery.c.since),
    where=UNDELIVERED,
)
#: Failures by cause (hub/monitoring/failures.py), by time of the failure and by message.
_make_partial_index(
    "ix_delivery_cause",
    *(delivery.c.state, delivery.c.partner, delivery.c.cause, delivery.c.changed_at),
    where=delivery.c.cause.is_not(None),
)
_make_partial_index(
    "ix_delivery_cause_message",
    *(delivery.c.partner, delivery.c.cause, delivery.c.message),
    where=delivery.c.cause.is_not(None),
)
_make_partial_index(
    "ix_message_cause", message.c.partner, message.c.cause, message.c.id, where=message.c.cause.is_not(None)
)
sa.Index("ix_delivery_lane", delivery.c.lane, delivery.c.recipient, delivery.c.state, delivery.c.id)
sa.Index("ix_delivery_last", delivery.c.lane, delivery.c.id)
_make_partial_index(
    "ix_delivery_their_id", delivery.c.partner, delivery.c.their_id, where=delivery.c.their_id.is_not(None)
)
_make_partial_index("ix_delivery_to_unit", delivery.c.recipient, delivery.c.message, where=TO_UNIT)
_make_partial_index("ix_delivery_to_partner", delivery.c.partner, delivery.c.message, where=TO_PARTNER)

#: How many deliveries did not arrive, kept by triggers of the database (hub/store/waiting_triggers.py).
#: The count of a partner and state is the sum of its rows: one on SQLite, one for each statement on PostgreSQL.
waiting_count = sa.Table(
    "waiting_count",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("serial", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)

#: State of each partner that the hub pushes to (hub/journal/queue/partner_state.py). No row means that nothing has
#: happened yet.
partner_state = sa.Table(
    "partner_state",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("breaker", sa.Text, nullable=False, server_default="closed"),  # closed · open · half-open
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # consecutive, while the breaker is closed
    sa.Column("opened", sa.Integer, nullable=False, server_default="0"),  # consecutive openings without a success
    sa.Column("until", Instant),  # time of the next probe of an open breaker
    sa.Column("pace", sa.Integer),  # maximum messages at a time during recovery; null: the limit of the policy
    sa.Column("reason", sa.Text),  # of the latest failure
    sa.Column("next_at", Instant),  # time at which the rate limit allows the next message
    sa.Column("paused_at", Instant),
    sa.Column("paused_by", sa.Text),
    sa.Column("paused_reason", sa.Text),
)

#: Effects of recalls, updates and replacements: on which document of their From unit, at which unit (empty: all units).
change = sa.Table(
    "change",
    metadata,
    sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), primary_key=True),
    sa.Column("document_id", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("sender", sa.Text, nullable=False),
    sa.Column("effect", sa.Text, nullable=False),  # recalled · removed · replaced · updated
)
sa.Index("ix_change_document", change.c.sender, change.c.document_id)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), nullable=False),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("recipients", sa.Text, nullable=False),  # JSON list
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("outcome", sa.Text),  # accepted · refused · unavailable · postponed · interrupted
    sa.Column("detail", sa.Text),
    sa.Column("request_sha256", sa.String(64)),  # of the last request's body
    sa.Column("reply_sha256", sa.String(64)),
    sa.Column("reply_status", sa.Integer),
    # what is kept of the last request and reply (hub/journal/queue/exchanges.py); null: nothing, or no longer
    sa.Column("exchange", sa.String(64)),
    sa.Column("exchange_octets", sa.Integer),  # kept for this attempt; of an exchange that was kept before: no body
    sa.Column("varying", sa.Text),  # JSON object of the headers that differ in every reply
    sa.Column("call_ms", sa.Integer),  # from the last request to its reply, in milliseconds
    sa.Column("progress", sa.Text),  # what of a long message was through: the adapter's words; null: it said nothing
)
sa.Index("ix_attempt_message", attempt.c.message, attempt.c.partner)

#: Requests and replies without secrets, each kept once (hub/journal/queue/exchanges.py).
exchange = sa.Table(
    "exchange",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("head", sa.Text, nullable=False),  # JSON object (hub/partner/kept_exchange.py)
    sa.Column("body", sa.LargeBinary, nullable=False),  # the beginning of the reply's body
)

#: Orders of people to replay many deliveries (hub/journal/replays/replay_plans.py).
replay_plan = sa.Table(
    "replay_plan",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # the same key is the same order, however often it is given
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("chooses", sa.Text, nullable=False),  # JSON: which deliveries
    sa.Column("goes", sa.Boolean, nullable=False),  # it runs as soon as its deliveries are chosen
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("approved_at", Instant),
    sa.Column("approved_by", sa.Text),
    sa.Column("rate", sa.Text),  # such as 600/m; null: as fast as the hub can
    sa.Column("stop_after", sa.Integer),  # deliveries that may die again; null: any number
    sa.Column("next_at", Instant),  # when the rate allows the next delivery
    sa.Column("cursor", sa.String(36)),  # the last message whose deliveries were considered
    sa.Column("items", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("chosen", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("delivered", sa.BigInteger, nullable=False, server_default="0"),  # of these, delivered before
    sa.Column("closed", sa.BigInteger, nullable=False, server_default="0"),  # of these, of a closed month
    sa.Column("octets", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("partners", sa.Text, nullable=False, server_default="{}"),  # JSON object: partner → chosen deliveries
    sa.Column("left_out", sa.Text, nullable=False, server_default="{}"),  # JSON object: reason → deliveries
    sa.Column("reached", sa.BigInteger, nullable=False, server_default="0"),  # items up to here are queued or left
    sa.Column("queued", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("skipped", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("settled", sa.BigInteger, nullable=False, server_default="0"),  # with stop_after: results seen up to here
    sa.Column("errors", sa.BigInteger, nullable=False, server_default="0"),  # of these, the deliveries that died again
    # of a correction (hub/journal/replays/corrections.py)
    sa.Column("corrects", sa.String(36)),  # hub id of the original
    sa.Column("given", sa.String(64)),  # SHA-256 of the octets that the person gave
    sa.Column("packet", sa.String(64)),  # SHA-256 of the octets that are sent, signed by the hub
    sa.Column("corrected", sa.String(36)),  # hub id of the corrected message, once it is recorded
)
sa.Index("ix_replay_plan_state", replay_plan.c.state)
#: A message is corrected once; and whose correction a message is.
_CORRECTED = replay_plan.c.corrected.is_not(None)
_make_partial_index("uq_replay_plan_corrects", replay_plan.c.corrects, where=_CORRECTED, unique=True)
_make_partial_index("ix_replay_plan_corrected", replay_plan.c.corrected, where=_CORRECTED)

#: The deliveries of a plan, in the order of receipt of their messages.
replay_item = sa.Table(
    "replay_item",
    metadata,
    sa.Column("plan", sa.String(36), sa.ForeignKey("replay_plan.id"), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),  # from 1
    sa.Column("delivery", sa.String(36), nullable=False),
    sa.Column("message", sa.String(36), nullable=False),
    sa.Column("was", sa.Text, nullable=False),  # state of the delivery when it was chosen
    sa.Column("reason", sa.Text),  # its reason then
    sa.Column("since", Instant, nullable=False),  # its `since` then: a later one is that of another replay
    sa.Column("state", sa.Text, nullable=False),  # planned · queued · left · excluded
    sa.Column("why", sa.Text),  # why it was left or excluded
    sa.Column("queued_at", Instant),
)

#: Recently accepted signed calls (hub/journal/replay_guard.py).
signed_call = sa.Table(
    "signed_call",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("until", Instant, nullable=False),
)
sa.Index("ix_signed_call_until", signed_call.c.until)

#: `text` is exactly the text that is hashed. The chainer sets `number` and `hash`.
event = sa.Table(
    "event",
    metadata,
    sa.Column("serial", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("message", sa.String(36)),
    sa.Column("delivery", sa.String(36)),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, unique=True),
    sa.Column("hash", sa.String(64)),
)
sa.Index("ix_event_message", event.c.message)
sa.Index(
    "ix_event_unchained",
    event.c.serial,
    sqlite_where=event.c.number.is_(None),
    postgresql_where=event.c.number.is_(None),
)

#: Ranges of events that have gone into archives, each with the hash of its last event, so that the hash of the next one
#: can be computed (hub/journal/events.py). Two ranges never touch.
chain_gap = sa.Table(
    "chain_gap",
    metadata,
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),  # number of its first event
    sa.Column("last", sa.BigInteger, nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False),
)

#: The events that no message leads to, and the messages whose content a person looked at (hub/journal/event_index.py).
event_index = sa.Table(
    "event_index",
    metadata,
    sa.Column(
        "serial",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.ForeignKey("event.serial"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("at", Instant, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("partner", sa.Text),  # or the name of the link
    sa.Column("account", sa.Text),  # of the console: the one that the event is about
    sa.Column("actor", sa.Text),  # who did it
    sa.Column("tracking", sa.String(36)),  # of a refused call
    sa.Column("message", sa.String(36)),
    sa.Column("cause", sa.String(16)),  # of a refused call: digest of the cause
)
sa.Index("ix_event_index_at", event_index.c.at, event_index.c.serial)
sa.Index("ix_event_index_name", event_index.c.name, event_index.c.at, event_index.c.serial)
for _column in (event_index.c.partner, event_index.c.account, event_index.c.actor):
    _make_partial_index(
        f"ix_event_index_{_column.name}",
        *(_column, event_index.c.at, event_index.c.serial),
        where=_column.is_not(None),
    )
_make_partial_index(
    "ix_event_index_cause",
    *(event_index.c.partner, event_index.c.cause, event_index.c.at, event_index.c.serial),
    where=event_index.c.cause.is_not(None),
)
_make_partial_index("ix_event_index_tracking", event_index.c.tracking, where=event_index.c.tracking.is_not(None))

#: Last event published for each subscription (hub/journal/feed_cursor.py).
subscription = sa.Table(
    "subscription",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),  # of the last event that was published and confirmed
)

fact = sa.Table(
    "fact",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("milestone", sa.Text, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), nullable=False),
    sa.Column("counterpart", sa.Text, nullable=False),
    sa.Column("outside", sa.Boolean, nullable=False),
    sa.Column("document_type", sa.Text, nullable=False),
    sa.Column("paper", sa.Boolean, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("due", DayType),
    sa.Column("day", DayType),  # day of the result, as declared by the unit
    sa.Column("amount", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("attributes", Pairs, nullable=False, server_default="{}"),
)
sa.Index("ix_fact_at", fact.c.at)
#: Facts of one unit in a period: by the time of recording, and by their own day.
sa.Index("ix_fact_recorded", fact.c.service, fact.c.unit, fact.c.at)
_make_partial_index("ix_fact_day", fact.c.service, fact.c.unit, fact.c.day, fact.c.at, where=fact.c.day.is_not(None))

#: The unit in whose reports a dossier counts (hub/journal/sequels/dossier_owners.py). A dossier whose code is not of the national form
#: has a row only if it was taken over from another unit.
dossier = sa.Table(
    "dossier",
    metadata,
    sa.Column("dossier", sa.Text, primary_key=True),  # its code; of another form: unit and code
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),  # the unit for which it was first recorded
    sa.Column("competent", sa.Text, nullable=False, server_default=""),  # the unit that DonViXuLy names, as last told
    sa.Column("key", sa.Text, nullable=False, server_default=""),  # of its facts in the unit, where it is not its code
)

#: Work that a receipt promised and that is still to be done, in this order (hub/journal/duties.py).
duty = sa.Table(
    "duty",
    metadata,
    sa.Column("serial", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), nullable=False),
    sa.Column("at", Instant, nullable=False),  # `at` of its facts
    sa.Column("services", sa.Text, nullable=False),  # names of the services whose facts it may bring
    sa.Column("kind", sa.Text, nullable=False),  # facts · attachments
    sqlite_autoincrement=True,  # a serial is never reused, not even when the table is empty
)

#: Parts of a duty. The transaction that does a part also deletes it.
duty_slice = sa.Table(
    "duty_slice",
    metadata,
    sa.Column("duty", sa.BigInteger, sa.ForeignKey("duty.serial"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("facts", sa.Integer, nullable=False),  # number of facts
    sa.Column("octets", sa.LargeBinary, nullable=False),
)

#: The closed months of each form (hub/workload/closing.py).
closing = sa.Table(
    "closing",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("period", sa.String(7), primary_key=True),  # 2026-12: sorts in time order
    # days of the period in Hà Nội, independent of later changes of the cut-off
    sa.Column("first_day", DayType, nullable=False),
    sa.Column("last_day", DayType, nullable=False),
    sa.Column("closed_at", Instant, nullable=False),  # facts recorded from this time on are late
    sa.Column("closed_by", sa.Text, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),  # the text of the form in force
    sa.Column("sha256", sa.String(64), nullable=False),  # of the snapshot: the rows of revision 1
)

#: What the reports of a closed month say beside the counts: the units as they were, the forms that take from others, the days
#: on which the reports are due. One row a month for all forms, written with the first closing and never changed.
closed_month = sa.Table(
    "closed_month",
    metadata,
    sa.Column("period", sa.String(7), primary_key=True),  # 2026-12
    sa.Column("last_day", DayType, nullable=False, unique=True),
    sa.Column("closed_at", Instant, nullable=False),  # of the first form; the others are closed as of the same time
    sa.Column("sha256", sa.String(64), nullable=False),  # of the world
    sa.Column("world", sa.Text, nullable=False),  # JSON (hub/workload/month_world.py)
)

#: Archive files that were written and read back (hub/keeping/archive/catalogue.py). A row stays when its file is moved away.
archive = sa.Table(
    "archive",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("period", sa.String(7), nullable=False),  # the month of receipt of its messages, such as 2026-08
    sa.Column("path", sa.Text, nullable=False),  # where it was written
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the whole file
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("octets", sa.BigInteger, nullable=False),  # contents with octets of messages
    # the first and the last hub id; null: there is no message
    sa.Column("first_message", sa.String(36)),
    sa.Column("last_message", sa.String(36)),
    # the lowest and the highest number of an event; null: there is none
    sa.Column("first_number", sa.BigInteger),
    sa.Column("last_number", sa.BigInteger),
)
sa.Index("ix_archive_period", archive.c.period, archive.c.id)
_make_partial_index(
    "ix_archive_messages",
    *(archive.c.first_message, archive.c.last_message),
    where=archive.c.first_message.is_not(None),
)

#: The numbers of every unit, each with all units below it, for a form and a period (hub/workload/glance_rows.py). What
#: pages about the whole province read; made again from closed rows and facts at any time.
glance_sheet = sa.Table(
    "glance_sheet",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("period", sa.String(7), primary_key=True),
    sa.Column("first_day", DayType, nullable=False),
    sa.Column("last_day", DayType, nullable=False),
    sa.Column("made_at", Instant, nullable=False),  # of the newest closed row, or of the count
    sa.Column("kept_at", Instant, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),  # all of the period is closed
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),  # the text of the form
    sa.Column("columns", sa.Text, nullable=False),  # JSON list of keys
    sa.Column("figures", sa.Text, nullable=False),  # JSON object: unit → list of numbers (hub/report/glance/sheet.py)
    # the hub's signature over the rest, and its certificate, base64; "": it was kept by an earlier version
    sa.Column("seal", sa.Text, nullable=False, server_default=""),
)

#: Counts of one unit in a closed month: its own cells, without formulas. A row never changes; other numbers become
#: another revision.
closed_row = sa.Table(
    "closed_row",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("period", sa.String(7), primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("numbers", sa.Text, nullable=False),  # JSON object by column
    sa.Column("times", sa.Text, nullable=False),  # JSON object by column
    sa.Column("facts", sa.BigInteger, nullable=False),  # number of facts behind the row
    sa.Column("evidence", sa.String(64), nullable=False),  # SHA-256 over the facts (hub/report/counting/evidence.py)
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("diff", sa.Text, nullable=False, server_default="{}"),  # JSON object: column → [before, after]
    # JSON: the numbers divided by attributes of facts (hub/report/counting/division.py); NULL: they are not divided
    sa.Column("division", sa.Text),
    sa.Column("made_by", sa.Text, nullable=False, server_default=""),  # of a revision: a person, or hub
    # JSON: the messages that came late: [[hub id, partner, time of receipt, facts], ...], then how many more
    sa.Column("late", sa.Text, nullable=False, server_default="[[], 0]"),
)

#: What the hub's own key attests of closed months (hub/workload/attestations.py). A row is never changed, and the numbers have
#: no gap.
attestation = sa.Table(
    "attestation",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),  # from 1
    sa.Column("form", sa.Text, nullable=False),  # "": of no month
    sa.Column("period", sa.String(7), nullable=False),
    sa.Column("statement", sa.Text, nullable=False),  # JSON
    sa.Column("signature", sa.Text, nullable=False),  # base64, over the statement
    sa.Column("certificate", sa.Text, nullable=False),  # base64 of the DER of the signer's
    sa.Column("copy", sa.LargeBinary, nullable=False),  # the rows as they were written, compressed
)
sa.Index("ix_attestation_month", attestation.c.form, attestation.c.period, attestation.c.number)

#: What was found to be edited in the database behind the hub's back (hub/keeping/tamper_findings.py).
tampering = sa.Table(
    "tampering",
    metadata,
    sa.Column("place", sa.Text, primary_key=True),
    sa.Column("part", sa.Text, nullable=False),
    # of a closed month, and of a fact; "": not of such
    *(sa.Column(name, sa.Text, nullable=False) for name in ("form", "period", "unit", "service", "key", "milestone")),
    sa.Column("found_at", Instant, nullable=False),
)
sa.Index("ix_tampering_service", tampering.c.service, tampering.c.part)

#: Business keys that stay in the stock of later months without a new fact, from the end of one closed month to the end
#: of another.
carried = sa.Table(
    "carried",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("since", sa.String(7), primary_key=True),  # first closed month at whose end the key was in stock
    sa.Column("until", sa.String(7)),  # first closed month at whose end it no longer was
)

#: The closing of a month that is being counted, at most one of each form. Its steps write only while `token` is theirs.
closing_draft = sa.Table(
    "closing_draft",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("token", sa.String(36), nullable=False),
    sa.Column("until", Instant, nullable=False),  # after this time the automatic closing of another node may begin
)

#: Progress of the collection from each partner, and the node that collects (hub/journal/queue/collection_rounds.py).
collection = sa.Table(
    "collection",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("cursor", sa.Text, nullable=False, server_default=""),
    sa.Column("holder", sa.Text),  # the node that is collecting
    sa.Column("lease_until", Instant),
    sa.Column("due", Instant, nullable=False),  # time of the next collection
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # consecutive failures
    sa.Column("reason", sa.Text),  # of the latest failure; null after an answer
    sa.Column("ended_at", Instant),  # time of the latest answer or failure
)

#: Number of lookups of each kind by each unit on a day (hub/web/lookups/cache.py), so that a quota holds across nodes.
lookup_count = sa.Table(
    "lookup_count",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("day", DayType, primary_key=True),  # in Hà Nội
    sa.Column("used", sa.Integer, nullable=False),
)

#: Answers of lookups that may be cached, encrypted with a key that is not in the database.
lookup_answer = sa.Table(
    "lookup_answer",
    metadata,
    sa.Column("question", sa.String(64), primary_key=True),  # its keyed hash
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("heard_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),
)
sa.Index("ix_lookup_answer_until", lookup_answer.c.until)

unit = sa.Table(
    "unit",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("parent", sa.Text),
    sa.Column("since", DayType),
    sa.Column("until", DayType),
    sa.Column("mark", sa.Text, nullable=False, server_default=""),
    sa.Column("level", sa.Text, nullable=False, server_default=""),
    sa.Column("kind", sa.Text, nullable=False, server_default=""),
    # when name, parent, level and kind were written as they are; unknown: before they had a history
    sa.Column("recorded_at", Instant),
)
#: A unit of the province. A hundred times as many agencies of the national list stand beside them.
OWN = unit.c.mark != sa.literal(UnitMark.NATIONAL, sa.Text, literal_execute=True)
_make_partial_index("ix_unit_own", unit.c.code, where=OWN)

#: What a unit is from a day on, as known from a time on. Rows are only added: of those with the same unit and day the one
#: with the highest serial counts, and withdraws the version if it has no name. The first version of a unit is in its own
#: row; what was written there before a correction is here, under the day 0001-01-01.
unit_version = sa.Table(
    "unit_version",
    metadata,
    sa.Column("serial", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), nullable=False),
    sa.Column("since", DayType, nullable=False),  # in force from this day on
    sa.Column("recorded_at", Instant),  # known from this time on
    sa.Column("name", sa.Text),
    sa.Column("parent", sa.Text),
    sa.Column("level", sa.Text, nullable=False, server_default=""),
    sa.Column("kind", sa.Text, nullable=False, server_default=""),
)
sa.Index("ix_unit_version_unit", unit_version.c.unit)

unit_alias = sa.Table(
    "unit_alias",
    metadata,
    sa.Column("alias", sa.Text, primary_key=True),
    # several units, one after another in time; the key is named as PostgreSQL named it when the table was made anew
    sa.Column("unit", sa.Text, sa.ForeignKey("unit.code", name="unit_alias_unit_fkey1"), primary_key=True),
)
sa.Index("ix_unit_alias_unit", unit_alias.c.unit)

#: Units that continue the work of a unit that has ended.
unit_successor = sa.Table(
    "unit_successor",
    metadata,
    sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
    sa.Column("successor", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
)
#: Deeds of succession: what of a unit's work a successor continues. A successor without one continues all its work, but no
#: right of a system or a person (hub/units/deeds.py).
succession = sa.Table(
    "succession",
    metadata,
    sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
    sa.Column("successor", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
    sa.Column("deed", sa.Text, nullable=False),  # the id that the rows of one decision share
    sa.Column("estates", sa.Text, nullable=False),  # `Estate` words between spaces
    sa.Column("main", sa.Boolean, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),  # the number of the decision
    sa.Column("recorded_by", sa.Text, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
sa.Index("ix_succession_deed", succession.c.deed)

#: Deeds for a part of a unit that goes on: from a day on, others continue those of its dossiers that the rules name.
succession_part = sa.Table(
    "succession_part",
    metadata,
    sa.Column("deed", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
    sa.Column("since", DayType, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),  # the number of the decision
    sa.Column("recorded_by", sa.Text, nullable=False),
    sa.Column("recorded_at", Instant, nullable=False),
)
sa.Index("ix_succession_part_unit", succession_part.c.unit)

#: The rules of deeds of succession, a row for each value (hub/units/deeds.py, `Share`).
succession_share = sa.Table(
    "succession_share",
    metadata,
    sa.Column("deed", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),  # of the rule: the first one that fits decides
    sa.Column("successor", sa.Text, sa.ForeignKey("unit.code"), nullable=False),
)

#: The processes that share the journal. Times are the database's, where it has a clock (hub/journal/nodes.py).
node = sa.Table(
    "node",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),  # of the program
    sa.Column("schema", sa.String(32), nullable=False),  # schema version that the program is written for
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),  # end of its lease; after that its claims are released
    sa.Column("stopped_at", Instant),
    # settings that take effect only when the node is restarted, separated by spaces, and since when
    sa.Column("restart_settings", sa.Text, nullable=False, server_default=""),
    sa.Column("restart_since", Instant),
    sa.Column("last_commit", sa.String(24)),  # mark of its last commit (hub/store/commit_marks.py); only on PostgreSQL
)

#: What was seen of the handshakes and signatures of partners (hub/monitoring/keys/sighting_rows.py).
sighting = sa.Table(
    "sighting",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("first_at", Instant, nullable=False),
    sa.Column("last_at", Instant, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
)

#: State of each link as each node sees it (hub/monitoring/link_rows.py).
link = sa.Table(
    "link",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),  # host:port
    sa.Column("state", sa.Text, nullable=False),  # up · down
    sa.Column("since", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),  # of the latest probe
    sa.Column("silent_at", Instant, nullable=False),  # the row is outdated after this time unless a newer probe comes
    sa.Column("p50", sa.Float),  # latencies, in seconds
    sa.Column("p95", sa.Float),
    sa.Column("ends", Instant),  # of the certificate that the server showed
    sa.Column("reason", sa.Text, nullable=False),  # why the latest probe failed
)

#: Probes of each link by each node on a day that is not yet written into a message.
link_day = sa.Table(
    "link_day",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("day", DayType, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("units", sa.Text, nullable=False),  # JSON list
    sa.Column("probed", sa.Text, nullable=False),  # minutes of the day, one bit each, hexadecimal
    sa.Column("up", sa.Text, nullable=False),
)

#: People who may sign in at the console (hub/operations/accounts/users.py).
console_user = sa.Table(
    "console_user",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("role", sa.Text, nullable=False),  # a word of Role (hub/operations/accounts/permissions.py)
    sa.Column("units", sa.Text, nullable=False),  # JSON list of unit codes, each with the units below it, or "*"
    sa.Column("partners", sa.Text, nullable=False, server_default='["*"]'),  # JSON list of partner codes, or "*"
    # hash of the password with its parameters (hub/operations/accounts/passwords.py)
    sa.Column("password", sa.Text, nullable=False),
    sa.Column("added_at", Instant, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),  # of the password
    # somebody else has set the password: the user must change it before anything else
    sa.Column("must_change", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("locked_at", Instant),  # since when the user may not sign in
    sa.Column("signed_in_at", Instant),  # the last sign-in
)

#: Open sessions (hub/operations/accounts/sessions.py). Of the browser's token only the SHA-256 is stored.
console_session = sa.Table(
    "console_session",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
    sa.Column("address", sa.Text, nullable=False),  # of the client that signed in
    sa.Column("begun_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),  # to the minute
    sa.Column("until", Instant, nullable=False),  # absolute end of the session
    # it began with a password that somebody else has set: it must be changed before anything else
    sa.Column("must_change", sa.Boolean, nullable=False, server_default=sa.false()),
)
sa.Index("ix_console_session_name", console_session.c.name)

#: Users who need a one-time code to sign in (hub/operations/accounts/second_factor.py).
console_totp = sa.Table(
    "console_totp",
    metadata,
    sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), primary_key=True),
    sa.Column("secret", sa.Text, nullable=False),  # encrypted; of an earlier program in base32
    sa.Column("used", sa.BigInteger, nullable=False),  # the last time step whose code was accepted
    sa.Column("added_at", Instant, nullable=False),
)
#: Sign-ins whose password was right and that wait for a code. Of the browser's token only the SHA-256 is stored.
console_code_wait = sa.Table(
    "console_code_wait",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
    sa.Column("wrong", sa.Integer, nullable=False),  # wrong codes so far
    sa.Column("until", Instant, nullable=False),
    sa.Column("must_change", sa.Boolean, nullable=False, server_default=sa.false()),  # of the session that follows
)

#: Client certificates that sign in users (hub/operations/accounts/client_certificates.py).
console_certificate = sa.Table(
    "console_certificate",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),  # of its DER
    sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
    sa.Column("added_at", Instant, nullable=False),
)

#: Persons at OpenID providers who sign in as users (hub/operations/accounts/provider_accounts.py).
console_identity = sa.Table(
    "console_identity",
    metadata,
    sa.Column("issuer", sa.String(500), primary_key=True),
    sa.Column("claim", sa.String(100), primary_key=True),  # the claim of the ID token that has the subject
    sa.Column("subject", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
    sa.Column("added_at", Instant, nullable=False),
)

#: Recent failed sign-ins by name and address (a hash): consecutive failures, and the earliest time of the next attempt.
console_failure = sa.Table(
    "console_failure",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("next_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),  # then the row is deleted
)
sa.Index("ix_console_failure_until", console_failure.c.until)

#: Tokens of programs that use the API (hub/operations/accounts/tokens.py). Of a token only the SHA-256 and the first letters are stored.
api_token = sa.Table(
    "api_token",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("prefix", sa.String(16), nullable=False, unique=True),  # its first letters
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("owner", sa.Text, nullable=False),  # the person who answers for it
    sa.Column("scopes", sa.Text, nullable=False),  # JSON list of permissions (hub/operations/accounts/permissions.py)
    sa.Column("units", sa.Text, nullable=False),  # JSON list of unit codes, each with the units below it, or "*"
    sa.Column("partners", sa.Text, nullable=False),  # JSON list of partner codes, or "*"
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("until", Instant, nullable=False),
    sa.Column("used_at", Instant),  # to the minute
)

#: The answers of the API to orders, by the idempotency key of the caller (hub/api/idempotency.py).
api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("token", sa.String(16), primary_key=True),  # the prefix of the token
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("request", sa.String(64), nullable=False),  # SHA-256 of method, path and body
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("location", sa.Text),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("until", Instant, nullable=False),  # then the row is deleted
)

#: Where each term of a search stands (hub/journal/searching/search_index.py): the times of the messages that have it.
search_posting = sa.Table(
    "search_posting",
    metadata,
    sa.Column("term", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),  # the time of the messages, in units of 2^32 µs since 1970
    sa.Column("batch", sa.BigInteger, primary_key=True),  # number of the last event that was read with them
    sa.Column("moments", sa.LargeBinary, nullable=False),  # the rest of each time, 4 octets, little-endian, sorted
)
#: The number of the last event that is in `search_posting`, and of the last one whose facts are in `open_work`. No row:
#: none.
search_progress = sa.Table(
    "search_progress",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

#: What units still have to do, by due day: of the facts only what is open, so that what is late today is found without
#: what has ended (hub/journal/sequels/open_work).
open_work = sa.Table(
    "open_work",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("due", DayType, nullable=False),
    sa.Column("since", DayType, nullable=False),
    sa.Column("waiting", sa.Boolean, nullable=False),  # for somebody else, or excused: it is not late
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("field_name", sa.Text, nullable=False),
    sa.Column("officer", sa.Text, nullable=False),
    sa.Column("counterpart", sa.Text, nullable=False),
    sa.Column("message", sa.String(36), nullable=False),  # by which it began
    sa.Column("told", sa.String(36), nullable=False),  # the newest one behind its state
    sa.Column("due_told_at", Instant, nullable=False),
)
sa.Index("ix_open_work_officer", open_work.c.officer, open_work.c.due)
sa.Index("ix_open_work_due", open_work.c.due, open_work.c.unit, open_work.c.service, open_work.c.key)
sa.Index(
    "ix_open_work_unit",
    *(open_work.c.unit, open_work.c.service, open_work.c.waiting, open_work.c.due, open_work.c.field),
)

#: The alerts by mail to units about what is due soon or late (hub/journal/sequels/open_work/alerts.py).
alert = sa.Table(
    "alert",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),  # due · overdue
    sa.Column("day", DayType, primary_key=True),  # of a weekly one the Monday of its week
    sa.Column("state", sa.Text, nullable=False),  # sending · sent · failed · unsure
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("node", sa.Text, nullable=False),  # that sends it
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("items", sa.Integer, nullable=False),  # things that it lists or counts
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("upto", Instant),  # what the hub learned until then was considered
    sa.Column("next_at", Instant),  # when a failed one is tried again
    sa.Column("changed_at", Instant, nullable=False),
)
sa.Index("ix_alert_day", alert.c.day)
_make_partial_index(
    "ix_alert_sending", alert.c.node, where=alert.c.state == sa.literal("sending", sa.Text, literal_execute=True)
)

#: The alerts to operators: one row for each condition and what it is about (hub/keeping/hub_alerts.py).
hub_alert = sa.Table(
    "hub_alert",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("about", sa.Text, primary_key=True),  # a partner, a certificate, a form …; empty: the hub
    sa.Column("node", sa.Text, primary_key=True),  # that has the condition; empty: all
    sa.Column("severity", sa.Text, nullable=False),  # warning · error · critical
    sa.Column("values", sa.Text, nullable=False),  # JSON object: what its sentence says
    sa.Column("mark", sa.Text, nullable=False),  # grows when something of the same kind is added
    sa.Column("since", Instant, nullable=False),
    sa.Column("absent_since", Instant),  # since when the condition has not been met
    sa.Column("ended_at", Instant),  # null: it is raised
    sa.Column("reminded_at", Instant),
    sa.Column("acknowledged_at", Instant),
    sa.Column("acknowledged_by", sa.Text, nullable=False),
    sa.Column("acknowledged_note", sa.Text, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
)

#: What is to be told of them through each channel (hub/keeping/alert_notices.py).
hub_alert_notice = sa.Table(
    "hub_alert_notice",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("channel", sa.Text, nullable=False),  # mail · webhook · syslog
    sa.Column("transition", sa.Text, nullable=False),  # raised · worse · more · ended · reminder · test
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("alert_node", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("values", sa.Text, nullable=False),
    sa.Column("since", Instant, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("due", Instant, nullable=False),  # not sent before, as in quiet hours
    sa.Column("state", sa.Text, nullable=False),  # waiting · sending · sent · failed
    sa.Column("batch", sa.String(36)),  # notices that are sent together: the same at each try
    sa.Column("node", sa.Text, nullable=False),  # that sends it
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),  # why the last attempt failed
    sa.Column("changed_at", Instant, nullable=False),
)
_make_partial_index(
    "ix_hub_alert_notice_unsent",
    hub_alert_notice.c.due,
    where=hub_alert_notice.c.state.in_(
        [sa.literal(state, sa.Text, literal_execute=True) for state in ("waiting", "sending")]
    ),
)

#: Backups that were made or failed (hub/keeping/backup_runs.py). The files themselves are in a folder.
backup_run = sa.Table(
    "backup_run",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("due", Instant),  # the time of the schedule that it was made for; null: a person made it
    sa.Column("attempt", sa.SmallInteger, nullable=False),  # of those for one time, from 1
    sa.Column("node", sa.Text, nullable=False),  # that makes it
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("outcome", sa.Text, nullable=False),  # running · good · failed
    sa.Column("made_at", Instant),  # the moment of its journal
    sa.Column("file", sa.Text),
    sa.Column("octets", sa.BigInteger),
    sa.Column("number", sa.BigInteger),  # of the last numbered event in it
    sa.Column("restored", sa.Boolean),  # on trial; false: only read
    sa.Column("reason", sa.Text),  # why it failed
    sa.UniqueConstraint("due", "attempt", name="uq_backup_run_due"),
)

#: The eras of this journal: a new one begins when it was put back to an earlier moment (hub/keeping/eras.py).
era = sa.Table(
    "era",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(36), nullable=False),  # random: no two restored journals have the same
    sa.Column("began_at", Instant, nullable=False),
    sa.Column("because", sa.Text, nullable=False),  # made · restored · adopted
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("backup", sa.Text, nullable=False),  # the file that was restored
    sa.Column("event", sa.BigInteger, nullable=False),  # number and hash of the last numbered event then
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("since", Instant),  # the time of the last event then; null: there was none
    sa.Column("complete", sa.Boolean, nullable=False),  # whether a node's witness told all receipts that it lacks
    sa.Column("complete_from", Instant),  # from when to when a witness had seen every receipt; null: none had
    sa.Column("complete_until", Instant),
)

#: Receipts that the hub gave in an earlier era and that the journal lacks since (hub/keeping/eras.py).
lost_receipt = sa.Table(
    "lost_receipt",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),  # the hub's id of the message
    sa.Column("era", sa.Integer, nullable=False),  # that began without it
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("received_at", Instant, nullable=False),
)
sa.Index("ix_lost_receipt_partner", lost_receipt.c.partner, lost_receipt.c.id)

#: Searches that users of the console saved (hub/operations/accounts/saved_searches.py).
saved_search = sa.Table(
    "saved_search",
    metadata,
    sa.Column("user", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("query", sa.Text, nullable=False),  # of the address of the list
    sa.Column("saved_at", Instant, nullable=False),
)

#: The migrations that were applied, and their parts (hub/store/schema_version.py).
upgrade = sa.Table(
    "upgrade",
    metadata,
    sa.Column("version", sa.String(32), primary_key=True),
    sa.Column("part", sa.String(8), nullable=False),  # before · after
)
