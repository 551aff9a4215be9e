"""`lienthong db backup` and `lienthong db verify`: copies the whole journal, and checks a journal for damage."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hub.cli.screen import (
    FAILED,
    CommandStop,
    Screen,
    command,
    exit_command,
    pass_screen,
    progress_bar,
    say,
    say_count,
    t,
)
from hub.language.phrases import Phrase, verbatim


@command(
    "backup",
    t(
        "Back up the SQLite journal to a new FILE while the hub runs, then verify the copy: the file's "
        "structure, the hash chain, the bytes of each message.\n\nFor PostgreSQL use pg_dump."
    ),
    "lienthong db backup /sao-luu/hub-2026-11-24.db",
)
@click.argument("file", metavar=t("FILE"), type=click.Path(dir_okay=False, path_type=Path))
@pass_screen
def backup(screen: Screen, file: Path) -> None:
    from hub.cli.journal import read_journal_config
    from hub.config.database import find_sqlite_file
    from hub.journal.upkeep.backups import sqlite_copy

    config = read_journal_config(screen)
    journal = find_sqlite_file(config.database_url)
    if journal is None:
        raise CommandStop(t("only SQLite; for PostgreSQL use pg_dump"))
    try:
        with progress_bar(t("Copying")) as tell:
            new = sqlite_copy.copy_journal(journal, file, tell)
        # the store's engine would switch the copy to WAL, which makes two files
        engine = sa.create_engine(f"sqlite:///{new}", poolclass=sa.NullPool)
        try:
            with engine.connect() as tx:
                problems = list(_problems(tx))
                fields = _state(tx)
        finally:
            engine.dispose()
        if problems:
            raise CommandStop(
                t(
                    "the journal is damaged, no copy kept: {problems}",
                    problems=problems[0],
                ),
            )
        sqlite_copy.name_backup(new, file)
    except FileExistsError:
        raise CommandStop(t("{file} already exists", file=file)) from None
    except OSError as error:
        raise CommandStop(t("{file}: {strerror}", file=file, strerror=error.strerror)) from error
    except (sqlite3.Error, sa.exc.DBAPIError) as error:
        raise CommandStop(t("{file}: {error}", file=file, error=error)) from error
    finally:
        for left in file.parent.glob(f".{file.name}.new*"):
            left.unlink()
    octets = file.stat().st_size
    screen.row(
        {"file": str(file), "octets": octets, **fields},
        t(
            "{file}: {octets} octets, {messages} messages, up to {last}; verified.",
            file=file,
            octets=say_count(octets),
            messages=say_count(fields["messages"]),
            last=_say_last(fields),
        ),
    )


@command(
    "verify",
    t(
        "Check the whole journal: the file's structure (SQLite), the hash chain, the bytes of each "
        "message. Exits 1 if anything is damaged. The command reads all data."
    ),
    "lienthong db verify",
)
@pass_screen
def verify_journal(screen: Screen) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.store import transactions

    fields: dict[str, Any] = {}
    count = 0
    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        for problem in _problems(tx):
            count += 1
            screen.row({"kind": "damage", "problem": str(problem)}, say(problem))
        if not count:
            fields = _state(tx)
    if count:
        exit_command(FAILED)
    screen.row(
        {"kind": "ok", **fields},
        t(
            "Undamaged: {messages} messages, {number} events in the chain, up to {last}.",
            messages=say_count(fields["messages"]),
            number=say_count(fields["number"]),
            last=_say_last(fields),
        ),
    )
    if left := fields["facts_outstanding"]:
        screen.note(
            t(
                "{left} facts of accepted messages are not written yet. A running hub will write them.",
                left=say_count(left),
            ),
        )


def _problems(tx: sa.Connection) -> Iterator[Phrase]:
    """Yield each kind of damage found. Show a progress bar over the octets of the messages."""
    from hub.journal.upkeep import integrity
    from hub.store import transactions
    from hub.store.tables import content

    found = integrity.find_file_damage(tx)
    yield from found
    if found:
        return  # the later checks would read damaged pages
    try:
        yield from integrity.find_chain_damage(tx)
        total = int(tx.scalar(sa.select(sa.func.sum(sa.func.length(content.c.octets)))) or 0)
        with progress_bar(t("Verifying")) as tell:
            yield from integrity.find_content_damage(tx, _of(tell, total))
    except sa.exc.DBAPIError as error:
        if not transactions.is_damage_error(error):
            raise
        yield verbatim(error.orig)


def _of(tell: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    return lambda done: tell(done, total)


def _say_last(fields: dict[str, Any]) -> object:
    return fields["last"] or t("nothing yet")


def _state(tx: sa.Connection) -> dict[str, Any]:
    """Return the number of messages, the chain's head, the time of the last event, and the number of facts left."""
    from hub.journal import duties, events
    from hub.store.tables import message

    number, head = events.read_chain_head(tx)
    messages = tx.scalar(sa.select(sa.func.count()).select_from(message))
    outstanding = duties.read_outstanding_duties(tx).facts
    said = {"messages": messages, "number": number, "hash": head, "last": events.read_last_event_time(tx)}
    return {**said, "facts_outstanding": outstanding}
