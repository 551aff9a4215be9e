"""`lienthong messages`, `show`, `trace`: finds and lists messages, shows one message, and lists its events."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import Any

import attrs
import click
from sqlalchemy import Engine

from hub.cli.audit.archive import open_kept_rows, stop_without_archive
from hub.cli.journal import open_journal, read_view_config
from hub.cli.message import life
from hub.cli.message.named_message import find_one_message, plan_message_search
from hub.cli.message.signatures import list_kept_signatures
from hub.cli.monitoring.repeating import repeat
from hub.cli.person import record_openings
from hub.cli.screen import CommandStop, Screen, read_language, say, t
from hub.cli.words import say_field, say_fields, say_filter_word, say_refusal, say_value, say_word
from hub.config import Config
from hub.domain.errors import find_error_sentence
from hub.domain.local_time import localise_instant, write_local_time
from hub.domain.model import Delivery, Message, Problem
from hub.domain.sanitize import replace_controls
from hub.journal import blobs, events, search, search_index
from hub.journal.queue import deliveries, exchanges
from hub.journal.search import MessageFilter, RefusedCall
from hub.keeping.archive import opening
from hub.language.fields import choose_detail
from hub.language.terms import describe_reason
from hub.operations.messages import search_export
from hub.operations.messages.search_request import Direction, SearchPlan, SearchRequest
from hub.operations.messages.visible_messages import OpenedContent
from hub.store import transactions
from hub.store.transactions import Transaction


def build_message_filter(
    tx: Transaction, options: Mapping[str, Any], config: Config, ids: tuple[str, ...] | None = None
) -> MessageFilter:
    """Return the filter that the options of `FILTER_OPTIONS` describe. A unit may be given by alias or name.

    Raises `CommandStop` 4 for an unknown partner or unit.
    """
    (wanted,) = plan_message_search(tx, SearchRequest(**options), config).filters
    return attrs.evolve(wanted, ids=ids)


#: Rows on a terminal without `-n`, and messages that `--follow` looks back, in seconds: a commit may be that late.
_SHOWN, _LATE = 20, 120
#: Seconds between two looks of `--follow`.
_AGAIN = 1.0


def list_messages(screen: Screen, /, text: tuple[str, ...], tracking: str | None, follow: bool, **options: Any) -> None:
    config = read_view_config(screen)
    own = ("newest", "limit", "after", "before", "only_count", "calls", "as_csv")
    form = _ListForm(**{name: options.pop(name) for name in own}).fit(screen, follow)
    direction = options.pop("direction")
    asked = SearchRequest(text=" ".join(text), direction=direction and Direction(direction), **options)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            plan = plan_message_search(tx, asked, config)
            _warn(tx, screen, plan)
            found = _list_found(tx, screen, plan, form, tracking)
        if not found and not screen.json and not follow:
            screen.note(t("No messages."))
        elif found == form.newest and not (follow or screen.json or form.as_csv):
            screen.note(t("There may be more: -n for more rows, --count for the number."))
        if follow:
            _follow(engine, screen, plan)


@attrs.frozen(kw_only=True)
class _ListForm:
    """Which of the found messages are printed, and how."""

    newest: int | None
    limit: int | None
    after: str | None
    before: str | None
    only_count: bool
    calls: bool
    as_csv: bool
    newest_first: bool = True
    turned: bool = False  #: what is found newest first is printed newest last

    def fit(self, screen: Screen, follow: bool) -> "_ListForm":
        """Return the form with what nobody asked for decided."""
        plain = not (screen.json or self.as_csv) and sys.stdout.isatty()
        form = self if self.newest or self.limit or not (follow or plain) else attrs.evolve(self, newest=_SHOWN)
        asked = bool(self.newest or self.before or follow or not screen.json)
        return attrs.evolve(form, newest_first=asked and not (self.limit or self.after), turned=follow)


def _warn(tx: Transaction, screen: Screen, plan: SearchPlan) -> None:
    """Say what the search leaves out."""
    if plan.reading.many:
        number = plan.reading.many
        screen.note(t("The text names {number} agencies; none of them is looked for. Write more.", number=number))
    if any(each.words for each in plan.filters) and search_index.is_behind(tx):
        screen.note(t("The running hub still indexes older messages: their words are found later."))


def _list_found(tx: Transaction, screen: Screen, plan: SearchPlan, form: _ListForm, tracking: str | None) -> int:
    """Print what is found, or the number. Return the number of rows."""
    wanted = [attrs.evolve(each, after=form.after, before=form.before) for each in plan.filters]
    if tracking is not None:
        wanted = [attrs.evolve(each, ids=(tracking,)) for each in wanted]
    name = tracking or next((look.id for look in plan.reading.looks if look.id), None)
    call = None if name is None or search.count_messages(tx, wanted, 1) else _refused_call(tx, name)
    if form.only_count:
        click.echo(search.count_messages(tx, wanted) if call is None else 1)
        return 1
    limit = form.newest or form.limit
    if form.as_csv:
        return _print_csv(tx, wanted, limit, newest_first=form.newest_first)
    rows: Iterator[dict[str, Any]]
    if form.calls:
        rows = map(_call_fields, search.find_refused_calls(tx, wanted[0], limit))
    elif call is not None:
        rows = iter([call])
    else:
        rows = map(attrs.asdict, search.find_messages(tx, wanted, limit, newest_first=form.newest_first))
    shown = reversed(list(rows)) if form.turned and form.newest_first else rows
    return screen.table(_columns(), _rows(tx, shown, screen))


def _follow(engine: Engine, screen: Screen, plan: SearchPlan) -> None:
    """Print the messages that come from now on, each once, until the user interrupts."""

    def look() -> list[Message]:
        since = datetime.now(UTC) - timedelta(seconds=_LATE)
        late = [attrs.evolve(each, since=max(since, each.since or since)) for each in plan.filters]
        with transactions.read_transaction(engine) as tx:
            return list(search.find_messages(tx, late))

    known: set[str] | None = None  # until the first look, which finds what was listed already

    def print_new() -> None:
        nonlocal known
        found = look()
        known = known if known is not None else {each.id for each in found}
        new = [each for each in found if each.id not in known]
        known = {each.id for each in found} | (known if len(known) < 100_000 else set())
        if new:
            with transactions.read_transaction(engine) as tx:
                screen.table(_columns() if not screen.json else {}, _rows(tx, map(attrs.asdict, new), screen))

    repeat(print_new, _AGAIN)


def _print_csv(tx: Transaction, wanted: Sequence[MessageFilter], limit: int | None, *, newest_first: bool) -> int:
    language, count = read_language(), 0
    found = search.find_messages(tx, wanted, limit, newest_first=newest_first)
    sys.stdout.buffer.write(search_export.write_csv_head(language))
    while some := list(islice(found, search.PAGE)):
        summaries = search.summarise_deliveries(tx, [each.id for each in some])
        sys.stdout.buffer.write(search_export.write_csv_rows(some, summaries, language))
        count += len(some)
    sys.stdout.buffer.flush()
    return max(count, 1)


def _columns() -> dict[str, str]:
    return {
        "received_at": t("received"),
        "code": t("number and notation"),
        "kind": t("kind"),
        "state": t("state"),
        "sender": t("from"),
        "partner": t("partner"),
        "subject": t("subject of the document"),
        "reason": t("reason"),
        "id": t("id"),
    }


def _rows(tx: Transaction, found: Iterable[dict[str, Any]], screen: Screen) -> Iterator[dict[str, Any]]:
    """Yield the fields of each row; for people with what they read in their place, and times in Hà Nội."""
    if screen.json:
        yield from found
        return

    rest = iter(found)
    while some := list(islice(rest, 500)):
        yield from _say_rows(tx, some)


def _say_rows(tx: Transaction, some: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    summaries = search.summarise_deliveries(tx, [fields["id"] for fields in some])
    for fields in some:
        made = summaries.get(fields["id"], [])
        reason = next((each.reason for each in made if each.reason), None)
        at = fields["received_at"]
        state = say_filter_word("message", fields["state"])
        if made:
            state = f"{state}: {search_export.say_deliveries(made, read_language())}"
        yield fields | {
            "received_at": write_local_time(datetime.fromisoformat(at) if isinstance(at, str) else at),
            "kind": _say_kind(fields),
            "state": state,
            "subject": (fields["subject"] or "")[:60],
            "reason": (fields["refusal"] or (say(describe_reason(reason)) if reason else ""))[:80],
        }


def _say_kind(fields: Mapping[str, Any]) -> str:
    """Return the name of the kind of a message, or of a call that brought none."""
    return t("call") if fields["service"] is None else say_word(fields["service"], fields["kind"])


def _refused_call(tx: Transaction, tracking: str) -> dict[str, Any] | None:
    """Return the refused call with the id *tracking* in the fields of a message; None if there is none."""
    call = search.read_refused_call(tx, tracking)
    return None if call is None else _call_fields(call)


def _call_fields(call: RefusedCall) -> dict[str, Any]:
    """Return a refused call in the fields of a message."""
    fields: dict[str, Any] = dict.fromkeys(field.name for field in attrs.fields(Message))
    refusal = ": ".join(each for each in (call.code, call.detail) if each)
    said = {"partner": call.partner, "operation": call.operation, "certificate": call.certificate}
    at = call.at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return (
        fields
        | {"id": call.tracking, "kind": "call", "state": "refused", "received_at": at, "refusal": refusal}
        | {key: value for key, value in said.items() if value is not None}
    )


def _only_call(tx: Transaction, name: str) -> dict[str, Any] | None:
    """Return the refused call with the tracking id *name*, or None if *name* is the name of a message."""
    return None if search.find_messages_by_name(tx, name) else _refused_call(tx, name)


def show_message(screen: Screen, name: str, raw: bool, signature: bool, attempts: bool) -> None:
    config = read_view_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            if not raw and not signature and not attempts and (call := _only_call(tx, name)) is not None:
                screen.row(call, _listed(call, ()))
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
                for octets in _pieces(tx, message, config):
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
                receipt = search.read_stored_receipt(kept, message.id)
                lived = life.read_message_life(tx, message, made, kept)
                message = search.read_message(kept, message.id)
    fields = attrs.asdict(message) | {"archives": archives}
    shown = [_delivery(delivery) for delivery in made]
    text = "" if screen.json else "\n".join(filter(None, (_listed(fields, shown, lived.problems), lived.text())))
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


def _listed(
    fields: Mapping[str, Any], deliveries: Sequence[Mapping[str, object]], problems: Sequence[Problem] = ()
) -> str:
    """Return the lines that show a message, or a call that brought none, with its deliveries and *problems*."""
    said = {
        "kind": _say_kind(fields),
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


def _pieces(tx: Transaction, message: Message, config: Config) -> Iterator[bytes]:
    try:
        with stop_without_archive(config):
            yield from opening.read_kept_octets(tx, message.id, message.sha256, config.archive)
    except KeyError:
        raise CommandStop(
            t("the bytes of {id_} are not stored: {refusal}", id_=message.id, refusal=message.refusal),
        ) from None


def _delivery(delivery: Delivery) -> dict[str, object]:
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
    states = [(each.changed_at, _delivery(each)) for each in made]
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
