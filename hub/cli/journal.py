"""Opens the journal for one command.  Knows what an operator must be told when it does not open; no table."""

from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic, sleep

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from hub import damage, duties, marks, store, upgrades
from hub.agreement import version_mistake
from hub.cli.screen import UNAVAILABLE, Stop
from hub.config import Config
from hub.errors import SENTENCES, ConfigurationFault

#: Who asks for a count waits so long for what was received before, in seconds, and looks so often.
PATIENCE, _AGAIN = 5.0, 0.1


@contextmanager
def opened(config: Config, *, any_version: bool = False, counts: bool = False) -> Generator[sa.Engine]:
    """Give the engine of the journal, for a command's one transaction or two; for one that *counts* facts, when all are written.

    Raises `ConfigurationFault` when the journal has moved or is damaged, and when this program does not run on the schema's version,
    unless *any_version*; `Stop` 69 when the database does not answer, or facts are still outstanding after `PATIENCE`.
    """
    engine = store.open_journal(config.database_url, password_file=config.password_file, pooled=False)
    try:
        with store.reading(engine) as tx:
            marked, found = marks.found(tx), store.version_in(tx)
            fits = any_version or marked is not None or upgrades.fits(tx)
        if marked:
            raise ConfigurationFault([marked])
        if not fits:
            raise ConfigurationFault([version_mistake(found, store.latest_version())])
        if counts:
            wait_for_facts(engine)
        yield engine
    except DBAPIError as error:
        if store.is_damage(error):
            raise ConfigurationFault([damage.mistake(str(error.orig))]) from error
        if not isinstance(error, OperationalError):
            raise
        raise Stop(
            f"cơ sở dữ liệu {config.database_url}: {error.orig}",
            f"the database {config.database_url}: {error.orig}",
            UNAVAILABLE,
        ) from error
    finally:
        engine.dispose()


def wait_for_facts(engine: sa.Engine) -> None:
    """Wait until all that receipts have promised until now is done by the hub.  Raises `Stop` 69 after `PATIENCE`."""
    with store.reading(engine) as tx:
        upto = duties.newest(tx)
    until = monotonic() + PATIENCE
    while upto is not None:
        with store.reading(engine) as tx:
            left = duties.outstanding(tx, upto=upto)
        if not left:
            return
        if monotonic() >= until:
            raise say_outstanding(left)
        sleep(_AGAIN)


def say_outstanding(left: duties.Outstanding) -> Stop:
    """Return what to tell a person who asked too early."""
    vi, en = SENTENCES["facts-outstanding"]
    numbers = f"{left.messages} / {left.facts}"
    return Stop(
        f"facts-outstanding: {vi} (thông điệp / kết quả: {numbers}; trục phải đang chạy)",
        f"facts-outstanding: {en} (messages / facts: {numbers}; the hub must be running)",
        UNAVAILABLE,
    )
