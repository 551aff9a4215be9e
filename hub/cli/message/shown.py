"""`lienthong show` and `trace`: all that is known of one message, in the journal or in an archive file. Contains no SQL."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import attrs

from hub.cli.audit.archive import open_kept_rows, stop_without_archive
from hub.cli.journal import open_journal, read_view_config
from hub.cli.message import life
from hub.cli.message.messages import find_refused_call, say_kind
from hub.cli.message.named_message import find_one_message
from hub.cli.message.signatures import list_kept_signatures
from hub.cli.opened_content import record_openings
from hub.cli.screen import CommandStop, Screen, read_language, say, t
from hub.cli.words import say_field, say_fields, say_filter_word, say_refusal, say_value, say_word
from hub.config import Config
from hub.domain.errors import find_error_sentence
from hub.domain.local_time import localise_instant, write_local_time
from hub.domain.model import Delivery, Message, Problem
from hub.domain.sanitize import replace_controls
from hub.journal import blobs, events
from hub.journal.queue import deliveries, exchanges
from hub.journal.searching import message_reading, search
from hub.keeping.archive import opening
from hub.language.fields import choose_detail
from hub.operations.messages.visible_messages import OpenedContent
from hub.store import transactions
from hub.store.transactions import Transaction


def _only_call(tx: Transaction, name: str) -> dict[str, Any] | None:
    """Return the refused call with the tracking id *name*, or None if *name* is the name of a message."""
    return None if search.find_messages_by_name(tx, name) else find_refused_call(tx, name)


def show_message(screen: Screen, name: str, raw: bool, signature: bool, attempts: bool) -> None:
    config = read_view_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            if not raw and not signature and not attempts and (call := _only_call(tx, name)) is not None:
                screen.row(call, _list_shown_lines(call, ()))
                return
            message = find_one_message(tx, name, config)
            archives = [each.name for each in opening.find_archives_of(tx, message.id, config.archive)]
            with open_kept_rows(tx, message, config) as kept:
                shows_replies = attempts or (screen.json and not signature)
                opened = _find_opened(kept, message, raw=raw, attempts=shows_replies, archived=bool(archives))
        if opened is not None:
            record_openings(engine, [(message.id, opened, "")])
        with transactions.read_transaction(engine) as tx:
            if raw:
                for octets in _read_content_pieces(tx, message, config):
                    sys.stdout.buffer.write(octets)
                sys.stdout.buffer.flush()
                return
            with open_kept_rows(tx, message, config, octets=signature) as kept:
                if signature:
                    for fields, text in list_kept_signatures(kept, message, config):
                        screen.row(fields, text)
                    return
                if attempts:
                    for fields, text in life.list_attempts(kept, message):
                        screen.row(fields, text)
                    return
                made = deliveries.read_message_deliveries(kept, message.id)
                receipt = message_reading.read_stored_receipt(kept, message.id)
                lived = life.read_message_life(tx, message, made, kept)
                message = message_reading.read_message(kept, message.id)
    fields = attrs.asdict(message) | {"archives": archives}
    shown = [_describe_delivery(delivery) for delivery in made]
    text = (
        "" if screen.json else "\n".join(filter(None, (_list_shown_lines(fields, shown, lived.problems), lived.text())))
    )
    said = {"deliveries": shown, "receipt": receipt.decode() if receipt else None, **lived.fields()}
    screen.row(fields | said, text)


def _find_opened(
    tx: Transaction, message: Message, *, raw: bool, attempts: bool, archived: bool
) -> OpenedContent | None:
    """Return what of *message* the command is going to show: its bytes, or the exchanges of its attempts, or nothing.

    *tx* is where its rows are read. *archived*: some of them are in an archive file.
    """
    if raw:
        return OpenedContent.BYTES if archived or blobs.read_blob_size(tx, message.sha256) is not None else None
    kept = attempts and any(each.head is not None for each in exchanges.read_attempts(tx, message.id))
    return OpenedContent.REPLY if kept else None


def _list_shown_lines(
    fields: Mapping[str, Any], deliveries: Sequence[Mapping[str, object]], problems: Sequence[Problem] = ()
) -> str:
    """Return the lines that show a message, or a call that brought none, with its deliveries and *problems*."""
    said = {
        "kind": say_kind(fields),
        "state": say_filter_word("message", fields["state"]),
        "subject": fields["subject"],
        "refusal": "" if problems else say_refusal(fields["refusal"] or ""),
    }
    # of an event they are the subject of a certificate and the code of a problem
    own = {"subject": t("subject of the document"), "code": t("number and notation")}
    lines = [
        (own.get(key) or say_field(key), said[key] if key in said else say_value(key, fields[key])) for key in fields
    ]
    lines += [("" if place else say_field("refusal"), each) for place, each in enumerate(_say_problems(problems))]
    lines += [(t("delivery"), say_fields(each)) for each in deliveries]
    width = max(len(name) for name, value in lines if value)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in lines if value)


def _say_problems(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield the reasons of a refusal: what a code means once for all that follow one another and have it."""
    for code, reasons in groupby(problems, lambda each: each.code):
        some = list(reasons)
        name = f"{code} ({len(some)})" if len(some) > 1 else code
        try:
            yield f"{name}: {say(find_error_sentence(code))}"
        except KeyError:
            yield name
        for each in some:
            if each.detail:
                yield f"  {replace_controls(say(each.detail))}"


def _read_content_pieces(tx: Transaction, message: Message, config: Config) -> Iterator[bytes]:
    try:
        with stop_without_archive(config):
            yield from opening.read_kept_octets(tx, message.id, message.sha256, config.archive)
    except KeyError:
        raise CommandStop(
            t("the bytes of {id_} are not stored: {refusal}", id_=message.id, refusal=message.refusal),
        ) from None


def _describe_delivery(delivery: Delivery) -> dict[str, object]:
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
        "unsure",
        "twice",
    )
    return {key: getattr(delivery, key) for key in keys}


def trace(screen: Screen, name: str) -> None:
    config = read_view_config(screen)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        if _only_call(tx, name) is not None:
            message, happened, made = None, events.read_call_events(tx, name), []
        else:
            message = find_one_message(tx, name, config)
            with open_kept_rows(tx, message, config) as kept:
                happened, made = (
                    events.read_message_events(kept, message.id),
                    deliveries.read_message_deliveries(kept, message.id),
                )
    states = [(each.changed_at, _describe_delivery(each)) for each in made]
    if screen.json:
        for event in happened:
            screen.row(event, "")
        for at, fields in states:
            screen.row({"at": _write_instant(at), "event": "delivery", **fields}, "")
        return
    _print_trace(screen, happened, states, "" if message is None else message.service)


def _write_instant(value: datetime | None) -> str:
    return "" if value is None else value.isoformat().replace("+00:00", "Z")


def _print_trace(
    screen: Screen,
    happened: Sequence[Mapping[str, object]],
    states: Sequence[tuple[datetime | None, Mapping[str, object]]],
    service: str,
) -> None:
    """Print each event on a line, then the state of each delivery. *service* is that of their message."""
    apart = {"at", "event", "message", "delivery"}
    lines = [
        (
            localise_instant(str(event["at"])),
            say_word("event", event["event"]),
            say_fields({key: value for key, value in event.items() if key not in apart}, service),
        )
        for event in (choose_detail(each, read_language()) for each in happened)
    ]
    delivery = t("delivery")
    lines += [
        (
            "" if at is None else write_local_time(at),
            delivery,
            say_fields({key: value for key, value in fields.items() if key != "id"}),
        )
        for at, fields in states
    ]
    width = max((len(name) for _, name, _ in lines), default=0)
    for at, name, text in lines:
        screen.row({}, f"{at}  {name.ljust(width)}  {text}".rstrip())
