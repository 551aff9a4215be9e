"""Opens the journal for one command, and tells the operator why it cannot be opened. Contains no SQL."""

import re
import signal
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from time import monotonic, sleep

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from hub.cli.screen import CONFIGURATION, NOT_FOUND, UNAVAILABLE, CommandStop, Screen, make_file_stop, t
from hub.config import Config, Partner, read_config
from hub.config.database import find_sqlite_file
from hub.domain.errors import SENTENCES, ConfigurationFault, Mistake
from hub.journal import duties
from hub.keeping import integrity
from hub.language.phrases import verbatim
from hub.node.consistency import find_version_mistake
from hub.runtime import pidfile
from hub.store import database_errors, move_marks, schema_version, transactions

#: Seconds that a command which counts waits for outstanding facts; seconds between two checks.
PATIENCE, _AGAIN = 5.0, 0.1


def read_journal_config(screen: Screen) -> Config:
    """Return the configuration, for a command that needs the journal but no partner.

    A mistake in a partner's file is reported on standard error, and the configuration is returned without that partner.
    A command that routes messages must not use this function, because it would choose other routes.
    """
    return _read_without(screen, None)


def read_view_config(screen: Screen, *needs: str) -> Config:
    """Return the configuration, for a command that only shows what the journal has: it works whatever else is wrong.

    It needs the database, and the tables of hub.toml and the folders beside it that *needs* names. Every other mistake is
    reported on standard error; defaults stand in its place.
    """
    return _read_without(screen, needs)


def require_partner(config: Config, code: str) -> Partner:
    """Return the partner *code*. Raises `CommandStop` 4 if there is none, 78 if its file has mistakes, which were reported."""
    if code in config.partners:
        return config.partners[code]
    if (config.path.parent / "partners" / f"{code}.toml").is_file():
        raise CommandStop(t("the file of the partner {code} has mistakes", code=code), CONFIGURATION)
    raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)


def _read_without(screen: Screen, needs: Collection[str] | None) -> Config:
    def tell(mistakes: Sequence[Mistake]) -> None:
        for mistake in mistakes:
            told = "at line" in str(mistake.wrong)  # of a file that is not TOML
            place = (
                mistake.path
                if told
                else f"{mistake.path}{_find_line_number(screen.config.absolute().parent, mistake.path)}"
            )
            said = (
                t(
                    "Warning: {place}: {wrong} ({expected}); continuing without this partner",
                    **_describe_mistake(mistake, place),
                )
                if mistake.path.startswith("partners/")
                else t(
                    "Warning: {place}: {wrong} ({expected}); continuing without it", **_describe_mistake(mistake, place)
                )
            )
            screen.note(said)

    return read_config(screen.config, set_aside=tell, needs=needs)


def _describe_mistake(mistake: Mistake, place: str) -> dict[str, object]:
    return {"place": place, "wrong": mistake.wrong, "expected": mistake.expected}


def _find_line_number(home: Path, place: str) -> str:
    """Return the line number of the key at *place* (`partners/CODE.toml: KEY`) as text.

    The text is empty if the key is not found or the mistake names the line itself.
    """
    file, _, keys = place.partition(": ")
    table, _, name = keys.rpartition(".")
    key = re.escape(name)
    try:
        lines = (home / file).read_text("utf-8").splitlines() if key else []
    except (OSError, ValueError):
        return ""
    start = lines.index(f"[{table}]") if f"[{table}]" in lines else 0
    found = (number for number, line in enumerate(lines[start:], start + 1) if re.match(rf'\s*"?{key}"?\s*=', line))
    return next((f" (line {number})" for number in found), "")


@lru_cache(maxsize=4)
def _open_short_engine(url: str, password_file: Path | None) -> sa.Engine:
    """Return the engine of a journal, which holds no connection: what it compiled serves the next command of this process."""
    return transactions.open_journal(url, password_file=password_file, pooled=False)


@contextmanager
def open_journal(
    config: Config, *, any_version: bool = False, counts: Collection[str] | None = ()
) -> Generator[sa.Engine]:
    """Open the journal for the one or two transactions of a command, and yield its engine.

    *counts* names the services whose facts the command counts (None: all). The journal is then opened only when all
    facts received so far are written.

    Raises `ConfigurationFault` if the journal was moved away or is damaged, and, unless *any_version*, if this program
    cannot use the schema's version. Raises `CommandStop` 69 if the database does not answer, or if facts are still
    outstanding after `PATIENCE` seconds.
    """
    engine = _open_short_engine(config.database_url, config.password_file)
    try:
        with transactions.read_transaction(engine) as tx:
            marked = move_marks.find_move_mark(tx)
            fits = any_version or marked is not None or schema_version.is_schema_supported(tx)
            found = None if fits else transactions.select_schema_version(tx)
        if marked:
            raise ConfigurationFault([marked])
        if not fits:
            raise ConfigurationFault([find_version_mistake(found, schema_version.list_migration_steps())])
        if counts is None or counts:
            wait_for_facts(engine, counts)
        yield engine
    except transactions.Unconfirmed as error:
        raise CommandStop(t("it is done, but the standby may not have it: {said}", said=error), UNAVAILABLE) from error
    except DBAPIError as error:
        if database_errors.is_damage_error(error):
            raise ConfigurationFault([integrity.describe_damage(verbatim(error.orig))]) from error
        if not isinstance(error, OperationalError):
            raise
        raise CommandStop(
            t("the database {database_url}: {orig}", database_url=config.database_url, orig=error.orig),
            UNAVAILABLE,
        ) from error
    finally:
        engine.dispose()


@contextmanager
def hold_data_folder(config: Config) -> Generator[None]:
    """Hold the locks of the data directory and of SQLite's journal, so that no hub starts on them.

    Raises `CommandStop` if one runs.
    """
    # `lienthong reload` would signal this process, which holds the pid file
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        locks = pidfile.lock_hub(config.data, find_sqlite_file(config.database_url))
    except pidfile.Held as held:
        raise CommandStop(t("the hub is running (pid {held}); stop it first", held=held)) from None
    except OSError as error:
        raise make_file_stop(config.data, error) from error
    with locks:
        yield


def wait_for_facts(engine: sa.Engine, services: Collection[str] | None) -> None:
    """Wait until the hub has written all facts of *services* (None: all services) that receipts have promised so far.

    Raises `CommandStop` 69 after `PATIENCE` seconds.
    """
    with transactions.read_transaction(engine) as tx:
        upto = duties.read_newest_duty(tx)
    until = monotonic() + PATIENCE
    while upto is not None:
        with transactions.read_transaction(engine) as tx:
            left = duties.read_outstanding_duties(tx, upto=upto, services=services)
        if not left:
            return
        if monotonic() >= until:
            raise make_outstanding_error(left)
        sleep(_AGAIN)


def make_outstanding_error(left: duties.OutstandingWork) -> CommandStop:
    """Return the error for a count that was requested while facts were outstanding."""
    numbers = f"{left.messages} / {left.facts}"
    return CommandStop(
        t(
            "facts-outstanding: {sentence} (messages / facts: {numbers}; the hub must be running)",
            sentence=SENTENCES["facts-outstanding"],
            numbers=numbers,
        ),
        UNAVAILABLE,
    )
