"""`lienthong messages`: finds and lists messages, and writes them as CSV. Contains no SQL."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import attrs
import click
from sqlalchemy import Engine

from hub.cli.journal import open_journal, read_view_config
from hub.cli.monitoring.repeating import repeat
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, read_language, say, t
from hub.cli.words import say_filter_word, say_word
from hub.config import Config
from hub.domain.local_time import find_local_day, write_local_time
from hub.domain.model import Message
from hub.journal.searching import refused_calls, search, search_index
from hub.journal.searching.message_filter import MessageFilter
from hub.journal.searching.refused_calls import RefusedCall
from hub.language.terms import describe_reason
from hub.operations.messages import search_export
from hub.operations.messages.search_request import Direction, SearchPlan, SearchRequest, plan_search
from hub.store import transactions
from hub.store.transactions import Transaction


def plan_message_search(tx: Transaction, asked: SearchRequest, config: Config) -> SearchPlan:
    """Return the filters of *asked*. Raises `CommandStop` 4 for an unknown partner or unit."""
    names = {code: partner.name for code, partner in config.partners.items()}
    plan = plan_search(tx, asked, names, config.upstream, find_local_day(datetime.now(UTC)))
    for each in plan.unknown:
        if each.field == "partner":
            said = t("there is no partner {value}; `lienthong partners list` shows all", value=each.value)
        elif each.field == "cause":
            said = t("{value} is no cause; `lienthong failures` shows all", value=each.value)
        else:
            said = t(
                "there is no unit {value}, or there are several; `lienthong units list` shows all", value=each.value
            )
        raise CommandStop(said, NOT_FOUND)
    return plan


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
            _warn_of_left_out(tx, screen, plan)
            found = _list_found(tx, screen, plan, form, tracking)
        if not found and not screen.json and not follow:
            screen.note(t("No messages."))
        elif found == form.newest and not (follow or screen.json or form.as_csv):
            screen.note(t("There may be more: -n for more rows, --count for the number."))
        if follow:
            _follow_messages(engine, screen, plan)


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


def _warn_of_left_out(tx: Transaction, screen: Screen, plan: SearchPlan) -> None:
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
    call = None if name is None or search.count_messages(tx, wanted, 1) else find_refused_call(tx, name)
    if form.only_count:
        click.echo(search.count_messages(tx, wanted) if call is None else 1)
        return 1
    limit = form.newest or form.limit
    if form.as_csv:
        return _print_csv(tx, wanted, limit, newest_first=form.newest_first)
    rows: Iterator[dict[str, Any]]
    if form.calls:
        rows = map(_call_fields, refused_calls.find_refused_calls(tx, wanted[0], limit))
    elif call is not None:
        rows = iter([call])
    else:
        rows = map(attrs.asdict, search.find_messages(tx, wanted, limit, newest_first=form.newest_first))
    shown = reversed(list(rows)) if form.turned and form.newest_first else rows
    return screen.table(_title_message_columns(), _list_message_rows(tx, shown, screen))


def _follow_messages(engine: Engine, screen: Screen, plan: SearchPlan) -> None:
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
                screen.table(
                    _title_message_columns() if not screen.json else {},
                    _list_message_rows(tx, map(attrs.asdict, new), screen),
                )

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


def _title_message_columns() -> dict[str, str]:
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


def _list_message_rows(tx: Transaction, found: Iterable[dict[str, Any]], screen: Screen) -> Iterator[dict[str, Any]]:
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
            "kind": say_kind(fields),
            "state": state,
            "subject": (fields["subject"] or "")[:60],
            "reason": (fields["refusal"] or (say(describe_reason(reason)) if reason else ""))[:80],
        }


def say_kind(fields: Mapping[str, Any]) -> str:
    """Return the name of the kind of a message, or of a call that brought none."""
    return t("call") if fields["service"] is None else say_word(fields["service"], fields["kind"])


def find_refused_call(tx: Transaction, tracking: str) -> dict[str, Any] | None:
    """Return the refused call with the id *tracking* in the fields of a message; None if there is none."""
    call = refused_calls.read_refused_call(tx, tracking)
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
