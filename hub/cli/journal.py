"""Opens the journal for one command.  Knows what an operator must be told when it does not open; no table."""

import re
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from hub.cli.screen import UNAVAILABLE, CommandStop, Screen, english
from hub.config import Config
from hub.domain.errors import SENTENCES, ConfigurationFault, Mistake
from hub.journal import duties, integrity
from hub.node.consistency import version_mistake
from hub.store import move_marks, schema_version, transactions

#: Who asks for a count waits so long for what was received before, in seconds, and looks so often.
PATIENCE, _AGAIN = 5.0, 0.1


def read_journal_config(screen: Screen) -> Config:
    """Return the configuration, for a command that needs the journal and no partner.

    A mistake in a partner's file is told on standard error and hinders nothing: the configuration is without that partner.
    What gives messages a way must not use it, for it would give them another one.
    """
    from hub.config import read_config
    from hub.domain import translations

    def tell(mistakes: Sequence[Mistake]) -> None:
        for mistake in mistakes:
            said = mistake if english() else translations.translate_mistake(mistake)
            place = f"{mistake.path}{_line(screen.config.absolute().parent, mistake.path)}"
            screen.note(
                f"Cảnh báo: {place}: {said.wrong} ({said.expected}); bỏ qua hệ thống này",
                f"Warning: {place}: {said.wrong} ({said.expected}); going on without this partner",
            )

    return read_config(screen.config, set_aside=tell)


def _line(home: Path, place: str) -> str:
    """Return the line of the key at *place*, `partners/CODE.toml: KEY`; nothing where it is not there, or the mistake names the line."""
    file, _, keys = place.partition(": ")
    key = re.escape(keys.rpartition(".")[2])
    try:
        lines = (home / file).read_text("utf-8").splitlines() if key else []
    except (OSError, ValueError):
        return ""
    found = (number for number, line in enumerate(lines, 1) if re.match(rf'\s*"?{key}"?\s*=', line))
    return next((f" (line {number})" for number in found), "")


@contextmanager
def open_journal(
    config: Config, *, any_version: bool = False, counts: Collection[str] | None = ()
) -> Generator[sa.Engine]:
    """Give the engine of the journal, for a command's one transaction or two; for one that *counts* facts of some services (None: of all),
    when those that were received before are written.

    Raises `ConfigurationFault` when the journal has moved or is damaged, and when this program does not run on the schema's version,
    unless *any_version*; `CommandStop` 69 when the database does not answer, or facts are outstanding after `PATIENCE`.
    """
    engine = transactions.open_journal(config.database_url, password_file=config.password_file, pooled=False)
    try:
        with transactions.read_transaction(engine) as tx:
            marked, found = move_marks.find_move_mark(tx), transactions.version_in(tx)
            fits = any_version or marked is not None or schema_version.fits_schema(tx)
        if marked:
            raise ConfigurationFault([marked])
        if not fits:
            raise ConfigurationFault([version_mistake(found, transactions.latest_version())])
        if counts is None or counts:
            wait_for_facts(engine, counts)
        yield engine
    except DBAPIError as error:
        if transactions.is_damage(error):
            raise ConfigurationFault([integrity.describe_damage(str(error.orig))]) from error
        if not isinstance(error, OperationalError):
            raise
        raise CommandStop(
            f"cơ sở dữ liệu {config.database_url}: {error.orig}",
            f"the database {config.database_url}: {error.orig}",
            UNAVAILABLE,
        ) from error
    finally:
        engine.dispose()


def wait_for_facts(engine: sa.Engine, services: Collection[str] | None) -> None:
    """Wait until the hub has written all facts of *services* (None: of all) that receipts have promised until now.

    Raises `CommandStop` 69 after `PATIENCE`.
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
            raise say_outstanding(left)
        sleep(_AGAIN)


def say_outstanding(left: duties.Outstanding) -> CommandStop:
    """Return what to tell a person who asked too early."""
    vi, en = SENTENCES["facts-outstanding"]
    numbers = f"{left.messages} / {left.facts}"
    return CommandStop(
        f"facts-outstanding: {vi} (thông điệp / kết quả: {numbers}; trục phải đang chạy)",
        f"facts-outstanding: {en} (messages / facts: {numbers}; the hub must be running)",
        UNAVAILABLE,
    )
