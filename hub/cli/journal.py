"""Opens the journal for one command.  Knows what an operator must be told when it does not open; no table."""

from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from hub import store, upgrades
from hub.agreement import version_mistake
from hub.cli.screen import UNAVAILABLE, Stop
from hub.config import Config
from hub.errors import ConfigurationFault


@contextmanager
def opened(config: Config, *, any_version: bool = False) -> Generator[sa.Engine]:
    """Give the engine of the journal, for a command's one transaction or two.

    Raises `ConfigurationFault` when this program does not run on the schema's version, unless *any_version*; `Stop` 69 when the database does
    not answer.
    """
    engine = store.open_journal(config.database_url, password_file=config.password_file, pooled=False)
    try:
        if not any_version:
            with store.reading(engine) as tx:
                found, fits = store.version_in(tx), upgrades.fits(tx)
            if not fits:
                raise ConfigurationFault([version_mistake(found, store.latest_version())])
        yield engine
    except OperationalError as error:
        raise Stop(
            f"cơ sở dữ liệu {config.database_url}: {error.orig}",
            f"the database {config.database_url}: {error.orig}",
            UNAVAILABLE,
        ) from error
    finally:
        engine.dispose()
