"""`lienthong init`: creates the directory of a hub: a sample province that runs as it is, or a hub for production."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from hub.cli.screen import UNAVAILABLE, CommandStop, Screen, make_file_stop, say, t
from hub.cli.setup.production import init_production, refuse_production_options
from hub.config.database import DatabaseUrlUnfit
from hub.node import init_province
from hub.security.sample_pki import KeyType


def init(
    screen: Screen,
    /,
    directory: Path,
    soap_port: int,
    admin_port: int,
    database: str | None,
    key_type: str,
    production: bool,
    **answers: Any,
) -> None:
    if soap_port and soap_port == admin_port:
        raise click.UsageError(t("the two ports must differ"))
    if production:
        told = {"soap_port": soap_port, "admin_port": admin_port, "database": database, "key_type": key_type}
        with _guard_initial_files(database):
            init_production(screen, directory, answers | told)
        return
    refuse_production_options(answers)

    ports = init_province.choose_ports(soap_port, admin_port)
    database = database or init_province.SQLITE
    with _guard_initial_files(database):
        try:
            init_province.write_province(directory, ports, datetime.now(UTC), database, KeyType(key_type))
        except FileExistsError:
            raise CommandStop(t("{directory} is not empty", directory=directory)) from None
        except init_province.DatabaseTaken:
            raise CommandStop(t("the database {database} is not empty", database=database)) from None
    config = directory / "hub.toml"
    written = {
        "config": str(config),
        "soap_port": ports.soap,
        "admin_port": ports.admin,
        "partners": init_province.PARTNERS,
    }
    screen.row(written, t("Wrote {config}. Next:", config=config))
    if not screen.json:
        typed = quote(str(config))
        click.echo(f"  lienthong -c {typed} check\n  twistd -n lienthong -c {typed}")


@contextmanager
def _guard_initial_files(database: str | None) -> Generator[None]:
    """End the command with a sentence where the database or the disk is to blame."""
    try:
        yield
    except DatabaseUrlUnfit as unfit:
        wrong, expected = unfit.args
        raise click.UsageError(f"--database: {say(wrong)} ({say(expected)})") from unfit
    except OperationalError as error:
        raise CommandStop(t("{database}: {orig}", database=database, orig=error.orig), UNAVAILABLE) from error
    except FileExistsError:
        raise
    except OSError as error:
        raise make_file_stop(error.filename, error) from error
