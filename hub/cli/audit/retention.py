"""`lienthong retention`: what the hub would let go of, what is announced, and the order to do it. Contains the wording only."""

from collections.abc import Awaitable, Coroutine, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import sleep
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.person import name_person
from hub.cli.screen import (
    FAILED,
    NOT_FOUND,
    UNAVAILABLE,
    CommandStop,
    Screen,
    exit_command,
    say,
    say_count,
    say_instant,
    t,
)
from hub.config import Config
from hub.domain.errors import Unready
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.keeping.archive.retention import RetentionHeld, RetentionRun, hold_turn, make_setting
from hub.keeping.archive.writing import ArchiveBroken
from hub.keeping.retention import disk_budget, parts
from hub.keeping.retention.disk_budget import BudgetStanding
from hub.keeping.retention.parts import RetentionPart
from hub.language.phrases import Phrase, phrase
from hub.language.terms import find_term
from hub.report.form import book
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.workload.closing_plan import list_counting_forms

T = TypeVar("T")
#: Why a message stays, for the words of `KeptBecause`.
WHY: dict[str, Phrase] = {
    "for-good": phrase("messages of its service stay for good"),
    "undelivered": phrase("a delivery is not done"),
    "dead": phrase("dead letters: replay them or give them up"),
    "duty": phrase("facts or attachments are still to be read"),
    "open-work": phrase("a unit has not done yet what it began"),
    "replay": phrase("a replay or a correction that has not ended names it"),
    "behind": phrase("its events are not chained, indexed or published yet"),
    "open-period": phrase("a report that may count it is not closed"),
    "contestable": phrase("a report that may count it can still be contested"),
    "young": phrase("not old enough"),
}


def plan_retention(screen: Screen) -> None:
    with _run_retention(screen) as (run, config):
        plans = _await_at_once(run.plan())
        with transactions.read_transaction(run.journal.engine) as tx:  # type: ignore[attr-defined]
            standing = disk_budget.read_budget(tx, config.retention.budget, run.now())
    for each in plans:
        stays = {str(why): count for why, count in sorted(each.stays.items())}
        fields = {"month": each.month, "messages": each.messages, "octets": each.octets, "calls": each.calls}
        lines = [
            t(
                "{month}: {messages} messages ({octets} octets) and {calls} refused calls would go",
                month=each.month,
                messages=say_count(each.messages),
                octets=say_count(each.octets),
                calls=say_count(each.calls),
            ),
            *(f"  {say_count(count)}: {say(WHY[why])}" for why, count in stays.items()),
        ]
        screen.row({"kind": "month", **fields, "stays": stays}, "\n".join(lines))
    if not plans:
        screen.note(t("Nothing is old enough to go."))
    _show_budget(screen, standing)


def _show_budget(screen: Screen, standing: BudgetStanding) -> None:
    fields = {
        "kind": "size",
        "octets": standing.octets,
        "free": standing.free,
        "growth": None if standing.growth is None else round(standing.growth),
        "budget": standing.budget or None,
        "days": standing.days,
        "tight": standing.is_tight,
    }
    text = t(
        "The database has {octets} octets, {free} of them free.",
        octets=say_count(standing.octets),
        free=say_count(standing.free),
    )
    if standing.growth is not None:
        text += " " + t("It grows by {growth} octets a day.", growth=say_count(round(standing.growth)))
    if standing.budget:
        text += " " + t("The budget is {budget} octets.", budget=say_count(standing.budget))
    if standing.days is not None:
        text += " " + t("It lasts for {days} days.", days=say_count(standing.days))
    screen.row(fields, text)


def list_retention_parts(screen: Screen, limit: int) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = parts.list_parts(tx, limit=limit)
    rows = [_write_part(each) for each in found]
    if not screen.json:
        rows = [row | {"state": _say_state(str(row["state"]))} for row in rows]
    columns = {
        "part": t("part"),
        "month": t("month"),
        "state": t("state"),
        "messages": t("messages"),
        "events": t("events"),
        "due_at": t("not before"),
        "archive": t("archive"),
        "reason": t("why it waits"),
    }
    if not screen.table(columns, rows) and not screen.json:
        screen.note(t("Nothing was announced yet."))


def _say_state(state: str) -> str:
    term = find_term("retention", state)
    return say(term.name) if term else state


def _write_part(part: RetentionPart) -> dict[str, object]:
    return {
        "part": part.number,
        "month": part.month,
        "state": str(part.state),
        "archive": part.archive,
        "announced_at": part.announced_at,
        "due_at": part.due_at,
        "changed_at": part.changed_at,
        "messages": part.messages,
        "octets": part.octets,
        "events": part.events,
        "reason": part.reason,
    }


def announce_retention(screen: Screen) -> None:
    with _run_retention(screen) as (run, _config):
        made = _await_at_once(run.announce(name_person()))
    for part in made:
        text = t(
            "{month}: {messages} messages will go, not before {due}",
            month=part.month,
            messages=say_count(part.messages),
            due=say_instant(part.due_at),
        )
        screen.row(_write_part(part), text)
    if not made:
        screen.note(t("Nothing new is to be announced."))


def run_retention(screen: Screen, yes: bool) -> None:
    failed = False
    with _run_retention(screen) as (run, _config):
        with transactions.read_transaction(run.journal.engine) as tx:  # type: ignore[attr-defined]
            due = [each for each in parts.list_parts(tx, only_open=True) if each.due_at <= run.now()]
        if not due:
            screen.note(t("Nothing that is announced is due."))
        try:
            with hold_turn(run.folder):
                for each in due:
                    failed |= not _carry_out(screen, run, each, yes=yes)
        except RetentionHeld as held:
            raise CommandStop(say(held.why), UNAVAILABLE) from held
    if failed:
        exit_command(FAILED)


def withdraw_retention(screen: Screen, part: int, reason: str) -> None:
    said = {"by": name_person(), "reason": reason}
    try:
        with open_journal(read_journal_config(screen)) as engine, transactions.write_transaction(engine) as tx:
            done = parts.move_part(tx, part, parts.PartEvent.WITHDRAW, datetime.now(UTC), said=said)
    except KeyError:
        raise CommandStop(t("there is no part {part}", part=part), NOT_FOUND) from None
    except parts.PartMoved:
        raise CommandStop(t("the part {part} is not announced any more", part=part)) from None
    text = t("{month}: {messages} messages stay", month=done.month, messages=say_count(done.messages))
    screen.row(_write_part(done), text)


def _carry_out(screen: Screen, run: RetentionRun, part: RetentionPart, *, yes: bool) -> bool:
    try:
        done = _await_at_once(run.carry_out(part.number)) if yes else part
    except (RetentionHeld, ArchiveAbsent, ArchiveBroken, OSError, Unready) as error:
        why = say(error.why) if isinstance(error, RetentionHeld) else str(error)
        screen.note(t("{month}: nothing more goes: {error}", month=part.month, error=why))
        return False
    text = t(
        "{month}: {messages} messages, {events} events: {state}",
        month=done.month,
        messages=say_count(done.messages),
        events=say_count(done.events),
        state=_say_state(done.state),
    )
    screen.row(_write_part(done), text)
    return True


@contextmanager
def _run_retention(screen: Screen) -> Generator[tuple[RetentionRun, Config]]:
    """Yield the steps of retention on the journal of the command's hub."""
    config = read_journal_config(screen)
    forms = list_counting_forms(book.read_book(config.reports).forms)
    feed = config.feed.exchange if config.feed else None
    with open_journal(config) as engine:
        yield (
            RetentionRun(
                journal=InlineDatabase(engine),
                setting=make_setting(config.retention, forms, feed),
                settings=config.retention,
                folder=config.archive,
                identity=config.identity,
                now=lambda: datetime.now(UTC),
                pause=_pause_nothing,
            ),
            config,
        )


def _pause_nothing(seconds: float) -> Awaitable[None]:
    sleep(seconds)
    return succeed(None)


def _await_at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of *coroutine*, which waits for nothing: its journal has no threads."""
    found: list[T | Failure] = []
    _ = Deferred.fromCoroutine(coroutine).addBoth(found.append)
    (result,) = found
    if isinstance(result, Failure):
        result.raiseException()
    return result
