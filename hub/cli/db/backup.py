"""`lienthong db backup`, `verify` and `recount`: copies the whole journal, checks it, and mends numbers that are wrong."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hub.cli.db.edits import compare_facts, find_edits, read_place
from hub.cli.journal import open_journal, read_journal_config, read_view_config
from hub.cli.screen import (
    FAILED,
    CommandStop,
    Screen,
    exit_command,
    make_file_stop,
    progress_bar,
    say,
    say_count,
    say_instant,
    t,
)
from hub.cli.words import say_word
from hub.config.database import find_sqlite_file
from hub.journal import duties, events
from hub.journal.queue import waiting_counts
from hub.keeping.backups.journal_copy import write_checked_copy
from hub.keeping.backups.package import BackupUnfit
from hub.keeping.integrity import find_journal_damage
from hub.language.phrases import Phrase
from hub.store import transactions
from hub.store.tables import message

#: By partner and state: how many deliveries are kept as waiting, and how many there are.
WrongCounts = dict[tuple[str, str], tuple[int, int]]


def backup(screen: Screen, file: Path) -> None:
    config = read_journal_config(screen)
    journal = find_sqlite_file(config.database_url)
    if journal is None:
        raise CommandStop(t("only SQLite; for PostgreSQL use pg_dump"))
    try:
        with progress_bar(t("Backup")) as tell:
            fields = write_checked_copy(journal, file, _describe_journal, tell)
    except BackupUnfit as unfit:
        raise CommandStop(t("the journal is damaged, no copy kept: {problems}", problems=unfit.why)) from unfit
    except FileExistsError:
        raise CommandStop(t("{file} already exists", file=file)) from None
    except OSError as error:
        raise make_file_stop(file, error) from error
    except (sqlite3.Error, sa.exc.DBAPIError) as error:
        raise CommandStop(t("{file}: {error}", file=file, error=error)) from error
    octets = file.stat().st_size
    screen.row(
        {"file": str(file), "octets": octets, **fields},
        t(
            "{file}: {octets} octets, {messages} messages, up to {last}; verified.",
            file=file,
            octets=say_count(octets),
            messages=say_count(fields["messages"]),
            last=say_instant(fields["last"]),
        ),
    )


def verify_journal(screen: Screen, after: str, *, whole: bool) -> None:
    fields: dict[str, Any] = {}
    count = 0
    wrong: WrongCounts = {}
    config, place = read_view_config(screen), read_place(after)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        for problem in _list_journal_damage(tx) if not after else ():
            count += 1
            screen.row({"kind": "damage", "problem": str(problem)}, say(problem))
        if not count:
            count += find_edits(screen, tx, config) if not after else 0
            count += compare_facts(screen, tx, place, whole=whole)
        if not count:
            fields, wrong = _describe_journal(tx), waiting_counts.find_wrong_counts(tx)
    _print_counts(screen, wrong)
    if wrong:
        screen.note(t("No message is damaged. `lienthong db recount` counts them anew."))
    if count or wrong:
        exit_command(FAILED)
    screen.row(
        {"kind": "ok", **fields},
        t(
            "Undamaged: {messages} messages, {number} events in the chain, up to {last}.",
            messages=say_count(fields["messages"]),
            number=say_count(fields["number"]),
            last=say_instant(fields["last"]),
        ),
    )
    if left := fields["facts_outstanding"]:
        screen.note(
            t(
                "{left} facts of accepted messages are not written yet. A running hub will write them.",
                left=say_count(left),
            ),
        )


def recount_waiting(screen: Screen) -> None:
    with open_journal(read_journal_config(screen)) as engine, transactions.write_transaction(engine) as tx:
        wrong = waiting_counts.mend_wrong_counts(tx)
    _print_counts(screen, wrong)
    screen.note(t("Counted anew.") if wrong else t("The numbers are right."))


def _print_counts(screen: Screen, wrong: WrongCounts) -> None:
    for (partner, state), (kept, there) in wrong.items():
        fields = {"kind": "count", "partner": partner, "state": state, "kept": kept, "there": there}
        text = t(
            "{partner}, {state}: {there} deliveries, counted as {kept}",
            partner=partner,
            state=say_word("delivery", state),
            there=say_count(there),
            kept=say_count(kept),
        )
        screen.row(fields, text)


def _list_journal_damage(tx: sa.Connection) -> Iterator[Phrase]:
    """Yield each damage of the journal. Show a progress bar over the octets of the messages."""
    with progress_bar(t("Verifying")) as tell:
        yield from find_journal_damage(tx, tell)


def _describe_journal(tx: sa.Connection) -> dict[str, Any]:
    """Return the number of messages, the chain's head, the time of the last event, and the number of facts left."""
    number, head = events.read_chain_head(tx)
    messages = tx.scalar(sa.select(sa.func.count()).select_from(message))
    outstanding = duties.read_outstanding_duties(tx).facts
    said = {"messages": messages, "number": number, "hash": head, "last": events.read_last_event_time(tx)}
    return {**said, "facts_outstanding": outstanding}
