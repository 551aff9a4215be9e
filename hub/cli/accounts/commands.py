"""The commands of `hub/cli/accounts`: names, help and options. What runs stands in the module each names."""

from collections.abc import Callable
from typing import Any

import click

from hub.cli.projection import project_commands
from hub.cli.screen import EXISTING_FILE, command, command_group, say, t
from hub.operations.accounts.account_operations import TOPIC
from hub.operations.accounts.permissions import Role

_password_file = click.option(
    "--password-file",
    type=EXISTING_FILE,
    help=t("A file that contains the password; without it the command asks."),
)

_once = click.option(
    "--one-time",
    "once",
    is_flag=True,
    help=t("The hub makes a password and prints it once; the user must change it at the next sign-in."),
)

_name = click.argument("name")

_units = click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="CODE|'*'",
    help=t("A visible unit, including the units below it; repeatable. Roles of the exchange need none: every unit."),
)

_partners = click.option(
    "--partner",
    "partners",
    multiple=True,
    metavar="CODE|'*'",
    help=t("A partner whose messages and deliveries are visible; repeatable. Without it, all."),
)


def _choose_role(*, required: bool) -> "Callable[[Any], Any]":
    """Return the option `--role`."""
    return click.option(
        "--role",
        type=click.Choice([role.value for role in Role]),
        required=required,
        help=t(
            "viewer: reports, without content of messages; reader: also content; clerk: also declares and signs; "
            "engineer: the exchange and replays; approver: approves replays; operator: all this; "
            "administrator: also the users."
        ),
    )


add_console_user = command(
    "add",
    t("Add a user. The password is asked for, or read from a file; it is never an argument."),
    "lienthong users add nguyenvana --role clerk --unit H55.13",
    "lienthong users add vanphong --role reader --unit '*'",
    "lienthong users add kysu --role engineer --partner vpub --partner sotttt",
    "lienthong users add tranthib --role reader --unit H55.30 --one-time",
    runs="hub.cli.accounts.users:add_console_user",
    options=(_name, _choose_role(required=True), _units, _partners, _password_file, _once),
)

set_console_user = command(
    "set",
    t("Change what a user may do: the role, the units or the partners. What is not given stays; sessions go on."),
    "lienthong users set nguyenvana --role clerk",
    "lienthong users set kysu --unit H55.13 --partner '*'",
    runs="hub.cli.accounts.users:set_console_user",
    options=(_name, _choose_role(required=False), _units, _partners),
)

list_users = command(
    "list",
    t("List the users, their roles, the units and partners they see, and who is locked."),
    "lienthong users list --json",
    runs="hub.cli.accounts.users:list_users",
)

set_user_password = command(
    "password",
    t("Set a new password; this ends all sessions of the user."),
    "lienthong users password nguyenvana",
    "lienthong users password nguyenvana --one-time",
    runs="hub.cli.accounts.users:set_user_password",
    options=(_name, _password_file, _once),
)

set_one_time_codes = command(
    "totp",
    t(
        "Let a user sign in with one-time codes (TOTP): prints a new secret once, and its address for an app, and ends "
        "all sessions of the user; --remove: without codes again."
    ),
    "lienthong users totp nguyenvana",
    "lienthong users totp nguyenvana --remove",
    runs="hub.cli.accounts.users:set_one_time_codes",
    options=(_name, click.option("--remove", is_flag=True, help=t("Sign in without codes again."))),
)

set_client_certificate = command(
    "certificate",
    t(
        "Let a user sign in by a client certificate, which a browser shows; --remove: not any more, and end all "
        "sessions of the user."
    ),
    "lienthong users certificate nguyenvana nguyenvana.crt",
    "lienthong users certificate nguyenvana nguyenvana.crt --remove",
    runs="hub.cli.accounts.users:set_client_certificate",
    options=(
        _name,
        click.argument("file", type=EXISTING_FILE),
        click.option("--remove", is_flag=True, help=t("Sign in by this certificate no longer.")),
    ),
)

set_openid_person = command(
    "openid",
    t(
        "Let a user sign in at an OpenID provider: PROVIDER is its name in `[console.providers]`, SUBJECT the person "
        "there, as a refused sign-in names it; --remove: not any more, and end all sessions of the user."
    ),
    "lienthong users openid nguyenvana sso 9f1c2d7e-4a",
    "lienthong users openid nguyenvana sso 9f1c2d7e-4a --remove",
    runs="hub.cli.accounts.users:set_openid_person",
    options=(
        _name,
        click.argument("provider"),
        click.argument("subject"),
        click.option(
            "--remove", is_flag=True, help=t("Sign in as this person no longer. PROVIDER may be an issuer, too.")
        ),
    ),
)

list_sessions = command(
    "sessions",
    t("List who is signed in and from where; --end ends all sessions of a user."),
    "lienthong users sessions",
    "lienthong users sessions nguyenvana --end",
    runs="hub.cli.accounts.users:list_sessions",
    options=(
        click.argument("name", required=False),
        click.option("--end", is_flag=True, help=t("End all sessions of NAME.")),
    ),
)

users = command_group(
    "users",
    say(TOPIC.about),
    commands=(
        list_users,
        add_console_user,
        set_console_user,
        set_user_password,
        set_one_time_codes,
        set_client_certificate,
        set_openid_person,
        *project_commands(TOPIC),
        list_sessions,
    ),
)
