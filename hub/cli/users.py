"""`lienthong users`: manages the users of the console, the units that they see, and their sessions."""

import getpass
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.screen import NOT_FOUND, CommandStop, Screen, command, command_group, pass_screen, t

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROLES = ("reader", "clerk", "operator")

_password_file = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=t(
        "Tệp chứa mật khẩu; không có thì lệnh hỏi.", "A file that contains the password; without it the command asks."
    ),
)
_name = click.argument("name")


@command_group(
    "users",
    "Người dùng của bảng điều khiển (console): thêm, đổi mật khẩu, xóa, các phiên đăng nhập.",
    "The users of the console: add, change password, remove, sessions.",
)
def users() -> None:
    pass


@command(
    "add",
    "Thêm một người dùng. Mật khẩu được hỏi, hoặc đọc từ tệp; không bao giờ là đối số.",
    "Add a user. The password is asked for, or read from a file; it is never an argument.",
    "lienthong users add nguyenvana --role clerk --unit H55.13",
    "lienthong users add vanphong --role reader --unit '*'",
)
@_name
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    required=True,
    help=t(
        "reader: xem; clerk: xem và nộp số liệu; operator: mọi đơn vị, cả thông điệp bị từ chối.",
        "reader: reads; clerk: also declares figures; operator: all units, and refused messages.",
    ),
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="CODE|'*'",
    help=t(
        "Đơn vị được xem, kể cả trực thuộc; lặp lại được.", "A visible unit, including the units below it; repeatable."
    ),
)
@_password_file
@pass_screen
def add_console_user(screen: Screen, name: str, role: str, units: tuple[str, ...], password_file: Path | None) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.console import users as people
    from hub.store import transactions

    user = people.User(
        name=_named(name),
        role=people.Role(role),
        units=tuple(dict.fromkeys(units)),
        added_at=(now := datetime.now(UTC)),
        changed_at=now,
    )
    if not user.units and user.role is not people.Role.OPERATOR:
        raise click.UsageError(t("cần --unit", "--unit is needed"))
    with open_journal(read_journal_config(screen)) as engine:
        with transactions.read_transaction(engine) as tx:
            unknown, taken = people.find_unknown_units(tx, user.units), people.find_user(tx, user.name) is not None
        if unknown:
            codes = " ".join(unknown)
            raise CommandStop(f"không có đơn vị {codes}", f"there is no unit {codes}", NOT_FOUND)
        hashed = "" if taken else _hashed(user.name, password_file)
        with transactions.write_transaction(engine) as tx:
            if taken or not people.add_user(tx, user, hashed, by=getpass.getuser(), now=now):
                raise CommandStop(f"đã có người dùng {user.name}", f"the user {user.name} exists already")
    screen.row(_row(user), t(f"Đã thêm {user.name}.", f"Added {user.name}."))


@command(
    "list",
    "Liệt kê người dùng, vai trò và đơn vị được xem.",
    "List the users, their roles and the units they see.",
    "lienthong users list --json",
)
@pass_screen
def list_users(screen: Screen) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.console import users as people
    from hub.store import transactions

    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = people.list_users(tx)
    titles = {
        "name": t("tên", "name"),
        "role": t("vai trò", "role"),
        "units": t("đơn vị", "units"),
        "changed_at": t("đổi mật khẩu lúc", "password set"),
    }
    if not screen.table(titles, map(_row, found)) and not screen.json:
        screen.note("Chưa có người dùng nào: lienthong users add", "There is no user yet: lienthong users add")


@command(
    "password",
    "Đặt mật khẩu mới cho một người dùng; mọi phiên của người đó kết thúc.",
    "Set a new password; this ends all sessions of the user.",
    "lienthong users password nguyenvana",
)
@_name
@_password_file
@pass_screen
def set_user_password(screen: Screen, name: str, password_file: Path | None) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.console import users as people
    from hub.store import transactions

    name = _named(name)
    with open_journal(read_journal_config(screen)) as engine:
        with transactions.read_transaction(engine) as tx:
            _must_be(people.find_user(tx, name) is not None, name)
        hashed = _hashed(name, password_file)
        with transactions.write_transaction(engine) as tx:
            by, now = getpass.getuser(), datetime.now(UTC)
            _must_be(people.change_password(tx, name, hashed, by=by, now=now), name)
    screen.row({"name": name}, t(f"Đã đổi mật khẩu của {name}.", f"Changed the password of {name}."))


@command(
    "remove",
    "Xóa một người dùng; mọi phiên của người đó kết thúc.",
    "Remove a user; this ends all sessions of the user.",
    "lienthong users remove nguyenvana",
)
@_name
@pass_screen
def remove_console_user(screen: Screen, name: str) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.console import users as people
    from hub.store import transactions

    name = _named(name)
    with open_journal(read_journal_config(screen)) as engine, transactions.write_transaction(engine) as tx:
        _must_be(people.remove_user(tx, name, by=getpass.getuser(), now=datetime.now(UTC)), name)
    screen.row({"name": name}, t(f"Đã xóa {name}.", f"Removed {name}."))


@command(
    "sessions",
    "Ai đang đăng nhập, từ đâu; --end kết thúc mọi phiên của một người.",
    "List who is signed in and from where; --end ends all sessions of a user.",
    "lienthong users sessions",
    "lienthong users sessions nguyenvana --end",
)
@click.argument("name", required=False)
@click.option("--end", is_flag=True, help=t("Kết thúc mọi phiên của NAME.", "End all sessions of NAME."))
@pass_screen
def list_sessions(screen: Screen, name: str | None, end: bool) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.console import sessions
    from hub.console import users as people
    from hub.store import transactions

    if end and name is None:
        raise click.UsageError(t("--end cần NAME", "--end needs NAME"))
    name, now = None if name is None else _named(name), datetime.now(UTC)
    with open_journal(read_journal_config(screen)) as engine:
        with transactions.read_transaction(engine) as tx:
            if name is not None:
                _must_be(people.find_user(tx, name) is not None, name)
            found = sessions.list_sessions(tx, now, name)
        if end and name is not None:
            with transactions.write_transaction(engine) as tx:
                ended = sessions.end_user_sessions(tx, name, by=getpass.getuser(), now=now)
            said = {"name": name, "ended": ended}
            screen.row(said, t(f"Đã kết thúc {ended} phiên của {name}.", f"Ended {ended} sessions of {name}."))
            return
    rows = (
        {
            "name": each.user.name,
            "address": each.address,
            "begun_at": each.begun_at,
            "seen_at": each.seen_at,
            "until": each.until,
        }
        for each in found
    )
    titles = {
        "name": t("tên", "name"),
        "address": t("từ địa chỉ", "address"),
        "begun_at": t("đăng nhập lúc", "signed in"),
        "seen_at": t("dùng lần cuối", "last used"),
    }
    if not screen.table(titles, rows) and not screen.json:
        screen.note("Không ai đang đăng nhập.", "Nobody is signed in.")


def _named(text: str) -> str:
    from hub.console.users import NameUnfit, normalise_user_name

    try:
        return normalise_user_name(text)
    except NameUnfit:
        vi = f"{text!r} không dùng làm tên được: chữ cái không dấu, chữ số, . _ @ -"
        raise click.UsageError(t(vi, f"{text!r} is not a valid name: letters a to z, digits, . _ @ -")) from None


def _must_be(there: bool, name: str) -> None:
    if not there:
        raise CommandStop(f"không có người dùng {name}", f"there is no user {name}", NOT_FOUND)


def _hashed(name: str, file: Path | None) -> str:
    """Return the hash of the password in *file*, or of the password typed twice."""
    from hub.console import passwords

    if file is not None:
        given = file.read_text("utf-8").rstrip("\r\n")
    elif sys.stdin.isatty():
        given = getpass.getpass(t("Mật khẩu: ", "Password: "))
        if given != getpass.getpass(t("Gõ lại: ", "Again: ")):
            raise CommandStop("hai lần gõ không giống nhau", "the two passwords differ")
    else:
        raise click.UsageError(t("cần --password-file", "--password-file is needed"))
    try:
        passwords.check_password(given, name)
    except passwords.PasswordUnfit as unfit:
        raise CommandStop(unfit.vi, unfit.en) from None
    return passwords.hash_password(given, secrets.token_bytes(16))


def _row(user: object) -> "Mapping[str, object]":
    return {key: getattr(user, key) for key in ("name", "role", "units", "added_at", "changed_at")}


for each in (list_users, add_console_user, set_user_password, remove_console_user, list_sessions):
    users.add_command(each)
