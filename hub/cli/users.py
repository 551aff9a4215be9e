"""`lienthong users`: manages the users of the console, the units that they see, and their sessions."""

import getpass
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.screen import NOT_FOUND, CommandStop, Screen, command, command_group, pass_screen, say, say_count, t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ROLES = ("reader", "clerk", "operator")

_password_file = click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=t("A file that contains the password; without it the command asks."),
)
_name = click.argument("name")


@command_group(
    "users",
    t("The users of the console: add, change password, remove, sessions."),
)
def users() -> None:
    pass


@command(
    "add",
    t("Add a user. The password is asked for, or read from a file; it is never an argument."),
    "lienthong users add nguyenvana --role clerk --unit H55.13",
    "lienthong users add vanphong --role reader --unit '*'",
)
@_name
@click.option(
    "--role",
    type=click.Choice(_ROLES),
    required=True,
    help=t(
        "reader: reads; clerk: also declares figures; operator: all units, and refused messages.",
    ),
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="CODE|'*'",
    help=t("A visible unit, including the units below it; repeatable."),
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
        raise click.UsageError(t("--unit is needed"))
    with open_journal(read_journal_config(screen)) as engine:
        with transactions.read_transaction(engine) as tx:
            unknown, taken = people.find_unknown_units(tx, user.units), people.find_user(tx, user.name) is not None
        if unknown:
            codes = " ".join(unknown)
            raise CommandStop(t("there is no unit {codes}", codes=codes), NOT_FOUND)
        hashed = "" if taken else _hashed(user.name, password_file)
        with transactions.write_transaction(engine) as tx:
            if taken or not people.add_user(tx, user, hashed, by=getpass.getuser(), now=now):
                raise CommandStop(t("the user {name} exists already", name=user.name))
    screen.row(_row(user), t("Added {name}.", name=user.name))


@command(
    "list",
    t("List the users, their roles and the units they see."),
    "lienthong users list --json",
)
@pass_screen
def list_users(screen: Screen) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.cli.words import say_filter_word
    from hub.console import users as people
    from hub.store import transactions

    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = people.list_users(tx)
    titles = {
        "name": t("name"),
        "role": t("role"),
        "units": t("units"),
        "changed_at": t("password set"),
    }
    rows: Iterable[Mapping[str, object]] = map(_row, found)
    if not screen.json:
        rows = ({**row, "role": say_filter_word("role", row["role"])} for row in rows)
    if not screen.table(titles, rows) and not screen.json:
        screen.note(t("There is no user yet: lienthong users add"))


@command(
    "password",
    t("Set a new password; this ends all sessions of the user."),
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
    screen.row({"name": name}, t("Changed the password of {name}.", name=name))


@command(
    "remove",
    t("Remove a user; this ends all sessions of the user."),
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
    screen.row({"name": name}, t("Removed {name}.", name=name))


@command(
    "sessions",
    t("List who is signed in and from where; --end ends all sessions of a user."),
    "lienthong users sessions",
    "lienthong users sessions nguyenvana --end",
)
@click.argument("name", required=False)
@click.option("--end", is_flag=True, help=t("End all sessions of NAME."))
@pass_screen
def list_sessions(screen: Screen, name: str | None, end: bool) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.console import sessions
    from hub.console import users as people
    from hub.store import transactions

    if end and name is None:
        raise click.UsageError(t("--end needs NAME"))
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
            screen.row(said, t("Ended {ended} sessions of {name}.", ended=say_count(ended), name=name))
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
        "name": t("name"),
        "address": t("address"),
        "begun_at": t("signed in"),
        "seen_at": t("last used"),
    }
    if not screen.table(titles, rows) and not screen.json:
        screen.note(t("Nobody is signed in."))


def _named(text: str) -> str:
    from hub.console.users import NameUnfit, normalise_user_name

    try:
        return normalise_user_name(text)
    except NameUnfit:
        said = t("{name} is not a valid name: letters a to z, digits, . _ @ -", name=repr(text))
        raise click.UsageError(said) from None


def _must_be(there: bool, name: str) -> None:
    if not there:
        raise CommandStop(t("there is no user {name}", name=name), NOT_FOUND)


def _hashed(name: str, file: Path | None) -> str:
    """Return the hash of the password in *file*, or of the password typed twice."""
    from hub.console import passwords

    if file is not None:
        given = file.read_text("utf-8").rstrip("\r\n")
    elif sys.stdin.isatty():
        given = getpass.getpass(t("Password: "))
        if given != getpass.getpass(t("Again: ")):
            raise CommandStop(t("the two passwords differ"))
    else:
        raise click.UsageError(t("--password-file is needed"))
    try:
        passwords.check_password(given, name)
    except passwords.PasswordUnfit as unfit:
        raise CommandStop(say(unfit.reason)) from None
    return passwords.hash_password(given, secrets.token_bytes(16))


def _row(user: object) -> "Mapping[str, object]":
    return {key: getattr(user, key) for key in ("name", "role", "units", "added_at", "changed_at")}


for each in (list_users, add_console_user, set_user_password, remove_console_user, list_sessions):
    users.add_command(each)
