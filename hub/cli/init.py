"""`lienthong init`: creates a directory with a sample province that runs as it is."""

from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

import click

from hub.cli.screen import UNAVAILABLE, CommandStop, Screen, command, pass_screen, t

_PORT = click.IntRange(0, 65535)


@command(
    "init",
    "Ghi vào DIR mọi thứ để chạy ngay: hub.toml, PKI mẫu, ba hệ thống đối tác mẫu, đơn vị mẫu, cơ sở dữ liệu.\n\n"
    "DIR phải trống hoặc chưa có. Mọi thứ chỉ dùng trên máy này (127.0.0.1).",
    "Write into DIR everything that a hub needs: hub.toml, a sample PKI, three sample partners, sample units, "
    "the database.\n\n"
    "DIR must be empty or absent. The hub listens on this machine only (127.0.0.1).",
    "lienthong init tinh",
    "lienthong init tinh --soap-port 0 --admin-port 0",
    "lienthong init tinh --database postgresql://lienthong@/lienthong",
    "twistd -n lienthong -c tinh/hub.toml",
)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--soap-port",
    type=_PORT,
    default=8443,
    show_default=True,
    help=t("Cổng SOAP; 0: tự chọn cổng trống.", "The SOAP port; 0 picks a free one."),
)
@click.option(
    "--admin-port",
    type=_PORT,
    default=8444,
    show_default=True,
    help=t("Cổng quản trị; 0: tự chọn cổng trống.", "The admin port; 0 picks a free one."),
)
@click.option(
    "--database",
    metavar="URL",
    default="sqlite:///data/hub.db",
    show_default=True,
    help=t(
        "Cơ sở dữ liệu trống của nhật ký; PostgreSQL: postgresql://NGƯỜI-DÙNG@MÁY/TÊN.",
        "An empty database for the journal; PostgreSQL: postgresql://USER@HOST/DATABASE.",
    ),
)
@pass_screen
def init(screen: Screen, directory: Path, soap_port: int, admin_port: int, database: str) -> None:
    from sqlalchemy.exc import OperationalError

    from hub.config.database import DatabaseUrlUnfit
    from hub.node import init_province

    if soap_port and soap_port == admin_port:
        raise click.UsageError(t("hai cổng phải khác nhau", "the two ports must differ"))
    ports = init_province.choose_ports(soap_port, admin_port)
    try:
        init_province.write_province(directory, ports, datetime.now(UTC), database)
    except FileExistsError:
        raise CommandStop(f"{directory} không trống", f"{directory} is not empty") from None
    except DatabaseUrlUnfit as unfit:
        wrong, expected = unfit.args
        raise click.UsageError(f"--database: {wrong} ({expected})") from unfit
    except init_province.DatabaseTaken:
        raise CommandStop(f"cơ sở dữ liệu {database} không trống", f"the database {database} is not empty") from None
    except OperationalError as error:
        raise CommandStop(f"{database}: {error.orig}", f"{database}: {error.orig}", UNAVAILABLE) from error
    except OSError as error:
        raise CommandStop(f"{error.filename}: {error.strerror}", f"{error.filename}: {error.strerror}") from error
    config = directory / "hub.toml"
    written = {
        "config": str(config),
        "soap_port": ports.soap,
        "admin_port": ports.admin,
        "partners": init_province.PARTNERS,
    }
    screen.row(written, t(f"Đã ghi {config}. Bước tiếp theo:", f"Wrote {config}. Next:"))
    if not screen.json:
        typed = quote(str(config))
        click.echo(f"  lienthong -c {typed} check\n  twistd -n lienthong -c {typed}")
