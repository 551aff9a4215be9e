"""`lienthong db move`: moves a journal from SQLite to PostgreSQL.

Prints the plan first; an interrupted move can be resumed.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import DBAPIError

from hub.cli.journal import hold_data_folder, read_journal_config
from hub.cli.screen import CONFIGURATION, UNAVAILABLE, CommandStop, Screen, say, say_count, t
from hub.config import Config, database
from hub.config.writing import quote_toml
from hub.domain.errors import ConfigurationFault, Mistake
from hub.keeping.move import JournalMove, Tell, Unmovable
from hub.language.phrases import phrase
from hub.store import move_marks, transactions

#: reason for which a move is refused -> what is wrong
WHY = {
    "chain-broken": phrase("the hash chain of the journal is broken at event"),
    "differs": phrase("the two databases differ; the source is unchanged"),
    "not-taken": phrase("PostgreSQL does not accept a value"),
    "other-source": phrase("the target contains part of another journal"),
    "source-moved": phrase("the source has moved already and is now at"),
    "source-version": phrase("the source has another version; run `lienthong db upgrade`"),
    "target-not-empty": phrase("the target has rows in the table"),
    "target-version": phrase("the target has another version; make an empty database"),
}
_REFUSED = {"other-source", "source-moved", "source-version", "target-not-empty", "target-version"}


def move_journal(screen: Screen, to: str, password_file: Path | None, yes: bool) -> None:
    try:
        target = database.parse_database_url(to, Path())
    except database.DatabaseUrlUnfit as unfit:
        wrong, expected = unfit.args
        raise click.UsageError(f"--to: {say(wrong)} ({say(expected)})") from unfit
    config = read_journal_config(screen)
    if target.startswith("sqlite") or not config.database_url.startswith("sqlite"):
        raise click.UsageError(t("a journal moves from SQLite to PostgreSQL only"))
    lines = ["[database]", f"url = {quote_toml(to)}"]
    if password_file is not None:
        lines.append(f"password-file = {quote_toml(str(password_file.absolute()))}")
    with _open_journal_move(config, target, to, password_file) as between, hold_data_folder(config):
        if not yes:
            _print_move_plan(screen, between.count_rows())
            return
        with _show_table_progress() as tell:
            moved = attrs.evolve(between, tell=tell).run(datetime.now(UTC))
    for each in moved:
        fields = {
            "table": each.table,
            "rows": each.sum.rows,
            "before": each.before,
            "digest": f"{each.sum.digest:064x}",
            "action": "verified",
        }
        screen.row(fields, f"{each.table:16} {say_count(each.sum.rows):>12}  {t('verified')}")
    rows = sum(each.sum.rows for each in moved)
    told = t(
        "{rows} rows moved; the two databases are equal. Write into hub.toml, then run `check` and start the hub:",
        rows=say_count(rows),
    )
    screen.row(
        {"action": "moved", "rows": rows, "to": to, "hub_toml": "\n".join(lines)},
        "\n".join([told, "", *(f"    {line}" for line in lines)]),
    )


def _print_move_plan(screen: Screen, found: dict[str, tuple[int, int]]) -> None:
    columns = {"table": t("table"), "rows": t("rows"), "before": t("already moved")}
    screen.table(
        columns,
        (
            {"table": name, "rows": rows, "before": before, "action": "planned"}
            for name, (rows, before) in found.items()
        ),
    )
    rows = sum(rows for rows, _ in found.values())
    screen.note(
        t(
            "Plan: move {rows} rows. Make a backup first (`lienthong db backup FILE`). Add --yes to run it.",
            rows=say_count(rows),
        ),
    )


@contextmanager
def _open_journal_move(config: Config, target: str, to: str, password_file: Path | None) -> Generator[JournalMove]:
    """Open both databases and yield the move between them.

    Raises `CommandStop` or `ConfigurationFault` if one is unfit.
    """
    there = transactions.open_journal(config.database_url, pooled=False)
    here = transactions.open_journal(target, password_file=password_file)
    try:
        with transactions.read_transaction(here) as tx:
            problems = [Mistake("--to", *problem) for problem in transactions.find_unsafe_settings(tx)]
            unfinished = transactions.select_schema_version(tx) == move_marks.MoveMark.MOVING
        with transactions.read_transaction(there) as tx:
            marked = None if unfinished else move_marks.find_move_mark(tx)
        if problems or marked:
            raise ConfigurationFault([*problems, *([marked] if marked else [])])
        yield JournalMove(source=there, target=here, origin=config.database_url, destination=to)
    except Unmovable as error:
        code = CONFIGURATION if error.why in _REFUSED else 1
        raise CommandStop(f"{say(WHY[error.why])}: {error.detail}", code) from error
    except (DBAPIError, psycopg.Error) as error:
        said = str(getattr(error, "orig", None) or error).strip()
        raise CommandStop(t("{said}. Run it again to continue.", said=said), UNAVAILABLE) from error
    finally:
        there.dispose()
        here.dispose()


@contextmanager
def _show_table_progress() -> Generator[Tell]:
    """Show the progress of each table on a terminal."""
    with Progress(
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table, total=total)
            progress.update(tasks[table], completed=done)

        yield tell
