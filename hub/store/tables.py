"""The tables of the journal, for SQLite and PostgreSQL alike.  Knows columns and keys; no query.

Migrations (hub/store/migrations) make them; a test holds the two equal.  Times are fixed-width UTC text that sorts as time does and
can be read in any SQL shell.
"""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as `2026-11-24T08:00:00.000000Z`."""

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Write *value*, which must be aware."""
        del dialect
        return None if value is None else write_instant(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Read what was written."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


class DayType(TypeDecorator[date]):
    """A calendar day, kept as `2026-11-24`."""

    impl = sa.String(10)
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> str | None:
        """Write *value*."""
        del dialect
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> date | None:
        """Read what was written."""
        del dialect
        return None if value is None else date.fromisoformat(value)


class Pairs(TypeDecorator[tuple[tuple[str, str], ...]]):
    """Names and texts, kept as the JSON object `{"channel":"2"}`, the names in order."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: tuple[tuple[str, str], ...] | None, dialect: Dialect) -> str | None:
        """Write *value*."""
        del dialect
        return None if value is None else write_pairs(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[tuple[str, str], ...] | None:
        """Read what was written."""
        del dialect
        return None if value is None else tuple(json.loads(value).items())


def write_pairs(value: Iterable[tuple[str, str]]) -> str:
    """Return the one text form of names and texts."""
    return json.dumps(dict(sorted(value)), ensure_ascii=False, separators=(",", ":"))


def write_instant(value: datetime) -> str:
    """Return the one text form of an instant.  ValueError for a naive datetime."""
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no place in the journal")
    # not by strftime: it writes the year 1, which a stranger's certificate may end in, as one digit
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

#: Bytes, kept once, named by their SHA-256, in parts (hub/journal/blobs.py).
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
    sa.Column("sender", sa.Text),  # the From unit, after aliases
    sa.Column("outside", sa.Boolean, nullable=False, server_default=sa.false()),  # the From unit is not the province's
    sa.Column("document_id", sa.Text),  # of the document; for a status, of the one it answers
    sa.Column("code", sa.Text),
    sa.Column("promulgation_date", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("due", DayType),
    sa.Column("document_type", sa.Text, nullable=False, server_default=""),
    sa.Column("paper", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("status", sa.String(3)),  # status packets: the code
    sa.Column("answers_unit", sa.Text),  # status packets: ResponseFor/OrganId, after aliases
    sa.Column("answers", sa.String(36)),  # status packets: the message answered, when known
    sa.Column("lane", sa.Text),  # of its deliveries; what concerns the same document takes it over
    sa.Column("receipt", sa.LargeBinary),
    sa.Column("signature", sa.Text),  # what the packet's own signature is worth; null where no packet was read
    sa.Column("keys", sa.Text),  # JSON list of the business keys it is about; null for packets
)
#: Only an accepted message takes its id.
sa.Index(
    "uq_message_accepted",
    message.c.partner,
    message.c.message_id,
    unique=True,
    sqlite_where=message.c.state == "accepted",
    postgresql_where=message.c.state == "accepted",
)
sa.Index("ix_message_document", message.c.sender, message.c.document_id)
#: What changes or answers a document may name one that nobody sent, or say its number alone: that must cost no more than any other.
sa.Index("ix_message_named", message.c.document_id)
sa.Index("ix_message_code", message.c.sender, message.c.code)
sa.Index("ix_message_message_id", message.c.message_id)
sa.Index("ix_message_received_at", message.c.received_at)
sa.Index("ix_message_answers_unit", message.c.answers_unit, message.c.received_at)

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
    sa.Column("stopped", sa.Text),  # why it may not go any more, whatever becomes of it
    sa.Column("answer", sa.String(2)),  # of a change: 15 or 16, the recipient's first
    sa.Column("alarmed_at", Instant),  # when it was told that nobody fetches it
    sa.Column(
        "free", sa.Boolean, nullable=False, server_default=sa.false()
    ),  # it is the head of its lane (hub/journal/queue/lanes.py)
    sa.Column(
        "crashes", sa.SmallInteger, nullable=False, server_default="0"
    ),  # attempts in a row that broke with the hub
    sa.UniqueConstraint("message", "recipient"),
)


#: Conditions of partial indexes; a query that repeats one finds the index, whatever its other parameters.
FREE: sa.ColumnElement[bool] = delivery.c.free
SENDING = delivery.c.state == sa.literal("sending", sa.Text, literal_execute=True)
FETCHABLE = delivery.c.state.in_([sa.literal(state, sa.Text, literal_execute=True) for state in ("held", "fetched")])
#: Still someone's business: all that did not arrive.
UNDELIVERED = delivery.c.state != sa.literal("delivered", sa.Text, literal_execute=True)
LISTED = sa.and_(
    message.c.service == sa.literal("categories", sa.Text, literal_execute=True),
    message.c.state == sa.literal("accepted", sa.Text, literal_execute=True),
)
UNALARMED = sa.and_(FETCHABLE, delivery.c.alarmed_at.is_(None))


def _partial(name: str, *columns: sa.Column[Any], where: sa.ColumnElement[bool], unique: bool = False) -> None:
    """Index only the rows that *where* names: those which a look at the queue may touch, however many there are."""
    spelled = sa.text("free = 1") if where is FREE else where  # SQLite finds the index only by the words of the queries
    sa.Index(name, *columns, unique=unique, sqlite_where=spelled, postgresql_where=where)


_partial("ix_message_list", message.c.kind, message.c.id, where=LISTED)
_partial("ix_delivery_queue", delivery.c.partner, delivery.c.urgency, delivery.c.due, delivery.c.message, where=FREE)
_partial("uq_delivery_head", delivery.c.lane, delivery.c.recipient, where=FREE, unique=True)
_partial("ix_delivery_sending", delivery.c.partner, delivery.c.lease_until, where=SENDING)
_partial("ix_delivery_fetchable", delivery.c.partner, delivery.c.message, where=FETCHABLE)
_partial("ix_delivery_alarm", delivery.c.since, where=UNALARMED)
_partial("ix_delivery_open", delivery.c.state, delivery.c.partner, delivery.c.since, where=UNDELIVERED)
sa.Index("ix_delivery_lane", delivery.c.lane, delivery.c.recipient, delivery.c.state, delivery.c.id)
sa.Index("ix_delivery_last", delivery.c.lane, delivery.c.id)
sa.Index("ix_delivery_recipient", delivery.c.recipient, delivery.c.state)

#: How it goes with each partner that is pushed to (hub/journal/queue/partner_state.py); no row: nothing has happened to it yet.
partner_state = sa.Table(
    "partner_state",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("breaker", sa.Text, nullable=False, server_default="closed"),  # closed · open · half-open
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # in a row, while it is closed
    sa.Column("opened", sa.Integer, nullable=False, server_default="0"),  # times in a row, without a success
    sa.Column("until", Instant),  # when an open one lets its next probe go
    sa.Column("pace", sa.Integer),  # messages at a time while it recovers; null: as many as its policy says
    sa.Column("reason", sa.Text),  # of the latest failure
    sa.Column("next_at", Instant),  # when its rate lets the next message go
    sa.Column("paused_at", Instant),
    sa.Column("paused_by", sa.Text),
    sa.Column("paused_reason", sa.Text),
)

#: What recalls, updates and replacements mean: on which document of their From unit, at which unit (empty: all).
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
)
sa.Index("ix_attempt_message", attempt.c.message, attempt.c.partner)

#: Signed calls that were taken lately (hub/journal/replay_guard.py).
signed_call = sa.Table(
    "signed_call",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("until", Instant, nullable=False),
)
sa.Index("ix_signed_call_until", signed_call.c.until)

#: `text` is the very text that is hashed; `number` and `hash` come from the chainer.
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

#: How far each subscription was told of the events (hub/journal/feed_cursor.py).
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
    sa.Column("day", DayType),  # on which it happened, as the unit says
    sa.Column("amount", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("attributes", Pairs, nullable=False, server_default="{}"),
)
sa.Index("ix_fact_at", fact.c.at)
#: A period's facts of one unit: as the hub learned of them, and by their own day.
sa.Index("ix_fact_recorded", fact.c.service, fact.c.unit, fact.c.at)
_partial("ix_fact_day", fact.c.service, fact.c.unit, fact.c.day, fact.c.at, where=fact.c.day.is_not(None))

#: What a receipt promised and is still to be done, in this order (hub/journal/duties.py).
duty = sa.Table(
    "duty",
    metadata,
    sa.Column("serial", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("message", sa.String(36), sa.ForeignKey("message.id"), nullable=False),
    sa.Column("at", Instant, nullable=False),  # of its facts
    sa.Column("services", sa.Text, nullable=False),  # of which it may bring facts, by name
    sa.Column("kind", sa.Text, nullable=False),  # facts · attachments
    sqlite_autoincrement=True,  # a serial is never given again, not even when all is done
)

#: The parts of a duty: each is taken out in the transaction that does it.
duty_slice = sa.Table(
    "duty_slice",
    metadata,
    sa.Column("duty", sa.BigInteger, sa.ForeignKey("duty.serial"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("facts", sa.Integer, nullable=False),  # how many
    sa.Column("octets", sa.LargeBinary, nullable=False),
)

#: The closed months of each form (hub/workload/closing.py).
closing = sa.Table(
    "closing",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("period", sa.String(7), primary_key=True),  # 2026-12: sorts as time does
    sa.Column("first_day", DayType, nullable=False),  # its days in Hà Nội, whatever the cut-off is later
    sa.Column("last_day", DayType, nullable=False),
    sa.Column("closed_at", Instant, nullable=False),  # what is recorded from here on comes late
    sa.Column("closed_by", sa.Text, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),  # the form in force, letter by letter
    sa.Column("sha256", sa.String(64), nullable=False),  # of the snapshot: the rows in revision 1
)

#: What was counted of each unit in a closed month: its own cells, formulas aside.  Never changed; other numbers are another revision.
closed_row = sa.Table(
    "closed_row",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("period", sa.String(7), primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("numbers", sa.Text, nullable=False),  # JSON object by column
    sa.Column("times", sa.Text, nullable=False),  # the same
    sa.Column("facts", sa.BigInteger, nullable=False),  # behind it
    sa.Column("evidence", sa.String(64), nullable=False),  # SHA-256 over them (hub/report/counting/evidence.py)
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("diff", sa.Text, nullable=False, server_default="{}"),  # JSON object: column → [before, after]
)

#: Business keys that a stock of a later month may take without any new fact: from the end of one closed month to that of another.
carried = sa.Table(
    "carried",
    metadata,
    sa.Column("form", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("since", sa.String(7), primary_key=True),  # the first closed month at whose end it stood so
    sa.Column("until", sa.String(7)),  # the first one at whose end it no longer did
)

#: How far the collection from each partner has come, and which node is at it (hub/harvest.py).
collection = sa.Table(
    "collection",
    metadata,
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("cursor", sa.Text, nullable=False, server_default=""),
    sa.Column("holder", sa.Text),  # the node that is collecting
    sa.Column("lease_until", Instant),
    sa.Column("due", Instant, nullable=False),  # when it is asked next
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # in a row
    sa.Column("reason", sa.Text),  # of the latest one; null when the partner answered
    sa.Column("ended_at", Instant),  # when it last answered, or failed
)

#: How often each unit has asked each kind of question on a day (hub/lookup/cache.py): its quota holds across nodes.
lookup_count = sa.Table(
    "lookup_count",
    metadata,
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("day", DayType, primary_key=True),  # in Hà Nội
    sa.Column("used", sa.Integer, nullable=False),
)

#: The answers to lookups that may be kept for a while, sealed by a key that is not in the database.
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
)

unit_alias = sa.Table(
    "unit_alias",
    metadata,
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),  # several, one after another
)

#: Which units go on with the work of one that has ended.
unit_successor = sa.Table(
    "unit_successor",
    metadata,
    sa.Column("unit", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
    sa.Column("successor", sa.Text, sa.ForeignKey("unit.code"), primary_key=True),
)

#: The processes that share the journal.  Times are the database's where it has a clock (hub/journal/nodes.py).
node = sa.Table(
    "node",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),  # of the program
    sa.Column("schema", sa.String(32), nullable=False),  # that it was written for
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),  # believed alive; then what it holds is given back
    sa.Column("stopped_at", Instant),
)

#: How each node sees each link (hub/monitoring/link_rows.py).
link = sa.Table(
    "link",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),  # host:port
    sa.Column("state", sa.Text, nullable=False),  # up · down
    sa.Column("since", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),  # of the latest probe
    sa.Column("silent_at", Instant, nullable=False),  # without a newer probe the row says nothing any more
    sa.Column("p50", sa.Float),  # latencies, in seconds
    sa.Column("p95", sa.Float),
    sa.Column("ends", Instant),  # of the certificate that was shown
    sa.Column("reason", sa.Text, nullable=False),  # why the latest probe failed
)

#: What each node saw of each link on a day that has not been written into a message yet.
link_day = sa.Table(
    "link_day",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("day", DayType, primary_key=True),
    sa.Column("node", sa.Text, primary_key=True),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("units", sa.Text, nullable=False),  # JSON list
    sa.Column("probed", sa.Text, nullable=False),  # its minutes, a bit each, hexadecimal
    sa.Column("up", sa.Text, nullable=False),
)

#: The people who may sign in at the console (hub/console/users.py).
console_user = sa.Table(
    "console_user",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("role", sa.Text, nullable=False),  # reader · clerk · operator
    sa.Column("units", sa.Text, nullable=False),  # JSON list: codes, each with those below it, or "*"
    sa.Column("password", sa.Text, nullable=False),  # its hash, with the parameters (hub/console/passwords.py)
    sa.Column("added_at", Instant, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),  # the password
)

#: Who is signed in (hub/console/sessions.py): of what the browser holds, its SHA-256 alone.
console_session = sa.Table(
    "console_session",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), sa.ForeignKey("console_user.name"), nullable=False),
    sa.Column("address", sa.Text, nullable=False),  # from where it was begun
    sa.Column("begun_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),  # to the minute
    sa.Column("until", Instant, nullable=False),  # whatever happens
)
sa.Index("ix_console_session_name", console_session.c.name)

#: Signing in that failed lately, by whom and from where (a hash): how often in a row, and when it may be tried again.
console_failure = sa.Table(
    "console_failure",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("next_at", Instant, nullable=False),
    sa.Column("until", Instant, nullable=False),  # then it is forgotten
)
sa.Index("ix_console_failure_until", console_failure.c.until)

#: The migrations that were applied, and their parts (hub/store/schema_version.py).
upgrade = sa.Table(
    "upgrade",
    metadata,
    sa.Column("version", sa.String(32), primary_key=True),
    sa.Column("part", sa.String(8), nullable=False),  # before · after
)
