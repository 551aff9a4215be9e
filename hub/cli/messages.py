"""`lienthong messages`, `show`, `trace`: lists messages of the journal, shows one message, and lists its events."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import click

from hub.cli.screen import NOT_FOUND, CommandStop, Screen, WholeNumber, command, pass_screen, say, t

if TYPE_CHECKING:
    from hub.domain.model import Delivery, Message
    from hub.journal.search import MessageFilter
    from hub.store.transactions import Transaction

_STATES = ("accepted", "refused")
_DELIVERY_STATES = ("waiting", "sending", "held", "fetched", "delivered", "dead")


class _Time(click.ParamType[datetime]):
    """A day or a time. Without an offset it is in Hà Nội."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse ISO 8601."""
        if isinstance(value, datetime):
            return value
        from zoneinfo import ZoneInfo

        try:
            read = datetime.fromisoformat(value)
        except ValueError:
            self.fail(t("{value} is not an ISO 8601 time", value=repr(value)), param, ctx)
        return (read if read.tzinfo else read.replace(tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))).astimezone(UTC)


def add_filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose messages. `messages`, `replay` and `give-up` share them."""
    options = (
        click.option("--state", type=click.Choice(_STATES), help=t("State of the message.")),
        click.option(
            "--delivery-state",
            type=click.Choice(_DELIVERY_STATES),
            help=t("Has a delivery in this state."),
        ),
        click.option("--partner", help=t("The sending or a receiving partner.")),
        click.option("--message-id", help=t("The id given by the sender.")),
        click.option("--unit", help=t("The sending or a receiving unit.")),
        click.option("--service", help=t("Service of the message.")),
        click.option("--kind", help=t("Kind of the message.")),
        click.option("--since", type=_Time(), help=t("From this time on.")),
        click.option("--until", type=_Time(), help=t("Before this time.")),
    )
    for option in reversed(options):
        function = option(function)
    return function


def build_message_filter(
    tx: "Transaction", options: Mapping[str, Any], ids: tuple[str, ...] | None = None
) -> "MessageFilter":
    """Return the filter that the options of `add_filter_options` describe. A unit may be given by an alias."""
    from hub.domain.local_time import find_local_day
    from hub.journal import unit_registry
    from hub.journal.search import MessageFilter

    unit = options["unit"]
    if unit is not None:
        unit = unit_registry.resolve_unit_code(tx, unit, find_local_day(datetime.now(UTC)))
    return MessageFilter(**{**options, "unit": unit, "ids": ids})


@command(
    "messages",
    t("List the messages of the journal, oldest first."),
    "lienthong messages --state refused",
    "lienthong messages --delivery-state dead --partner vpub --json",
    "lienthong messages --since 2026-11-01 --unit H55.01 --count",
    "lienthong messages --kind recall --limit 50 --after 0193…",
    "lienthong messages --tracking 0193…",
)
@add_filter_options
@click.option("--limit", type=WholeNumber(1), help=t("Maximum number; default all."))
@click.option("--after", metavar="ID", help=t("Continue behind the message with this id, the last one of a page."))
@click.option("--count", "only_count", is_flag=True, help=t("Print only the number."))
@click.option(
    "--tracking",
    metavar="ID",
    help=t(
        "The call with this tracking id, even if it produced no message.",
    ),
)
@pass_screen
def list_messages(screen: Screen, /, limit: int | None, only_count: bool, tracking: str | None, **options: Any) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.journal import search
    from hub.store import transactions

    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        wanted = build_message_filter(tx, options, None if tracking is None else (tracking,))
        call = None if tracking is None or search.count_messages(tx, wanted) else _refused_call(tx, tracking)
        if only_count:
            click.echo(search.count_messages(tx, wanted) if call is None else 1)
            return
        columns = {
            "id": t("id"),
            "received_at": t("received"),
            "partner": t("partner"),
            "kind": t("kind"),
            "state": t("state"),
            "sender": t("from"),
            "subject": t("subject / refusal"),
        }
        rows = map(attrs.asdict, search.find_messages(tx, wanted, limit)) if call is None else [call]
        found = screen.table(columns, _rows(rows, screen))
    if not found and not screen.json:
        screen.note(t("No messages."))


def _rows(found: Iterable[dict[str, Any]], screen: Screen) -> Iterator[dict[str, Any]]:
    from hub.cli.words import say_filter_word

    for fields in found:
        if not screen.json:
            fields["subject"] = (fields["refusal"] or fields["subject"] or "")[:80]
            fields["kind"] = _say_kind(fields)
            fields["state"] = say_filter_word("message", fields["state"])
        yield fields


def _say_kind(fields: Mapping[str, Any]) -> str:
    """Return the name of the kind of a message, or of a call that brought none."""
    from hub.cli.words import say_word

    return t("call") if fields["service"] is None else say_word(fields["service"], fields["kind"])


def _refused_call(tx: "Transaction", tracking: str) -> dict[str, Any] | None:
    """Return the refused call with the id *tracking* in the fields of a message; None if there is none."""
    from hub.domain.model import Message
    from hub.journal import events

    said = next((each for each in events.read_call_events(tx, tracking) if each["event"] == "call-refused"), None)
    if said is None:
        return None
    fields: dict[str, Any] = dict.fromkeys(field.name for field in attrs.fields(Message))
    refusal = ": ".join(str(said[key]) for key in ("code", "detail") if said.get(key))
    told = {key: said[key] for key in ("partner", "operation", "certificate") if key in said}
    return (
        fields
        | {"id": tracking, "kind": "call", "state": "refused", "received_at": said["at"], "refusal": refusal}
        | told
    )


def _only_call(tx: "Transaction", name: str) -> dict[str, Any] | None:
    """Return the refused call with the tracking id *name*, or None if *name* is the name of a message."""
    from hub.journal import search

    return None if search.find_messages_by_name(tx, name) else _refused_call(tx, name)


def find_one_message(tx: "Transaction", name: str) -> "Message":
    """Return the message with the hub id or message id *name*; of several the newest, accepted ones first.

    Raises `CommandStop` 4 if there is none.
    """
    from hub.domain.model import MessageState
    from hub.journal import search

    found = search.find_messages_by_name(tx, name)
    if not found:
        raise CommandStop(
            t("there is no message {name}; a call that got hub-error or HTTP 503 is only in the log", name=name),
            NOT_FOUND,
        )
    accepted = [message for message in found if message.state is MessageState.ACCEPTED]
    return (accepted or found)[-1]


@command(
    "show",
    t(
        "Show one message; --raw: its exact bytes on standard output; --signature: who signed, with "
        "which certificate, over what."
    ),
    "lienthong show 0193… --raw > packet.edxml",
    "lienthong show 0193… --signature",
)
@click.argument("name", metavar="ID|MESSAGE_ID|TRACKING")
@click.option("--raw", is_flag=True, help=t("Only the exact bytes."))
@click.option("--signature", is_flag=True, help=t("The stored signatures, verified again."))
@pass_screen
def show_message(screen: Screen, name: str, raw: bool, signature: bool) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.cli.signatures import list_kept_signatures
    from hub.journal import search
    from hub.journal.queue import deliveries
    from hub.store import transactions

    config = read_journal_config(screen)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        if not raw and not signature and (call := _only_call(tx, name)) is not None:
            screen.row(call, _listed(call, ()))
            return
        message = find_one_message(tx, name)
        if raw:
            for octets in _pieces(tx, message):
                sys.stdout.buffer.write(octets)
            sys.stdout.buffer.flush()
            return
        if signature:
            for fields, text in list_kept_signatures(tx, message, config):
                screen.row(fields, text)
            return
        made = deliveries.read_message_deliveries(tx, message.id)
        receipt = search.read_stored_receipt(tx, message.id)
    fields = attrs.asdict(message)
    shown = [_delivery(delivery) for delivery in made]
    text = "" if screen.json else _listed(fields, shown)
    screen.row(fields | {"deliveries": shown, "receipt": receipt.decode() if receipt else None}, text)


def _listed(fields: Mapping[str, Any], deliveries: Sequence[Mapping[str, object]]) -> str:
    """Return the lines that show a message, or a call that brought none, with its deliveries."""
    from hub.cli.words import say_field, say_fields, say_filter_word, say_value

    said = {
        "kind": _say_kind(fields),
        "state": say_filter_word("message", fields["state"]),
        "subject": fields["subject"],
        "refusal": _explain_refusal(fields["refusal"]),
    }
    own = {"subject": t("subject of the document")}  # of an event it is that of a certificate
    lines = [(own.get(key) or say_field(key), said.get(key) or say_value(key, fields[key])) for key in fields]
    lines += [(t("delivery"), say_fields(each)) for each in deliveries]
    width = max(len(name) for name, value in lines if value)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in lines if value)


def _explain_refusal(refusal: str | None) -> str:
    """Return the reasons of a refusal, and for each code what the reader is told of it."""
    from hub.domain.errors import explain_refusal

    found = explain_refusal(refusal or "")
    return "; ".join(each if sentence is None else f"{each} ({say(sentence)})" for each, sentence in found)


def _pieces(tx: "Transaction", message: "Message") -> Iterator[bytes]:
    from hub.journal import blobs

    try:
        yield from blobs.read_blob_pieces(tx, message.sha256)
    except KeyError:
        raise CommandStop(
            t("the bytes of {id_} are not stored: {refusal}", id_=message.id, refusal=message.refusal),
        ) from None


def _delivery(delivery: "Delivery") -> dict[str, object]:
    keys = (
        "recipient",
        "partner",
        "state",
        "attempts",
        "reason",
        "status",
        "answer",
        "urgency",
        "stopped",
        "id",
        "due",
    )
    return {key: getattr(delivery, key) for key in keys}


@command(
    "trace",
    t("List all events of a message in order, then the state of its deliveries."),
    "lienthong trace 0193… --json",
)
@click.argument("name", metavar="ID|MESSAGE_ID|TRACKING")
@pass_screen
def trace(screen: Screen, name: str) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.journal import events
    from hub.journal.queue import deliveries
    from hub.store import transactions

    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        if _only_call(tx, name) is not None:
            message, happened, made = None, events.read_call_events(tx, name), []
        else:
            message = find_one_message(tx, name)
            happened, made = (
                events.read_message_events(tx, message.id),
                deliveries.read_message_deliveries(tx, message.id),
            )
    states = [(_write_instant(each.changed_at), _delivery(each)) for each in made]
    if screen.json:
        for event in happened:
            screen.row(event, "")
        for at, fields in states:
            screen.row({"at": at, "event": "delivery", **fields}, "")
        return
    _print_trace(screen, happened, states, "" if message is None else message.service)


def _write_instant(value: datetime | None) -> str:
    return "" if value is None else value.isoformat().replace("+00:00", "Z")


def _print_trace(
    screen: Screen,
    happened: Sequence[Mapping[str, object]],
    states: Sequence[tuple[str, Mapping[str, object]]],
    service: str,
) -> None:
    """Print each event on a line, then the state of each delivery. *service* is that of their message."""
    from hub.cli.words import say_fields, say_word

    apart = {"at", "event", "message", "delivery"}
    lines = [
        (
            str(event["at"]),
            say_word("event", event["event"]),
            say_fields({key: value for key, value in event.items() if key not in apart}, service),
        )
        for event in happened
    ]
    delivery = t("delivery")
    lines += [
        (at, delivery, say_fields({key: value for key, value in fields.items() if key != "id"}))
        for at, fields in states
    ]
    width = max((len(name) for _, name, _ in lines), default=0)
    for at, name, text in lines:
        screen.row({}, f"{at}  {name.ljust(width)}  {text}".rstrip())
