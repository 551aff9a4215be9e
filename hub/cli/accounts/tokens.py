"""`lienthong tokens`: manages the tokens of programs that use the API."""

import getpass
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
import click

from hub.cli.accounts.limits import stop_refused
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, WholeNumber, command, command_group, pass_screen, t
from hub.operations.accounts.permissions import PERMISSIONS, Permission, Role

if TYPE_CHECKING:
    from hub.operations.accounts.tokens import ApiToken

_SCOPES = [each.value for each in Permission]


@command_group("tokens", t("The tokens of programs that use the API: add, list, remove."))
def tokens() -> None:
    pass


@command(
    "add",
    t(
        "Add a token. It is printed once, and cannot be shown again: only its SHA-256 is kept.\n\nEach scope is a "
        "permission of the console; --role gives all of a role. A program sends the token in the header "
        "Authorization: Bearer TOKEN."
    ),
    "lienthong tokens add kho-du-lieu --scope find-messages --scope see-reports",
    "lienthong tokens add giam-sat --scope see-overview --scope see-events --days 365",
    "lienthong tokens add gui-lai --role engineer --partner vpub --owner nguyenvana",
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    help=t("What it may do; repeatable."),
)
@click.option(
    "--role", type=click.Choice([each.value for each in Role]), help=t("All permissions of this role as scopes.")
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="CODE|'*'",
    help=t("A unit that it sees, including the units below it; repeatable. Without it, all."),
)
@click.option(
    "--partner",
    "partners",
    multiple=True,
    metavar="CODE|'*'",
    help=t("A partner whose messages and deliveries it sees; repeatable. Without it, all."),
)
@click.option("--days", type=WholeNumber(1), default=90, show_default=True, help=t("It expires after so many days."))
@click.option("--owner", help=t("The person who answers for it; without it, who runs the command."))
@pass_screen
def add_api_token(
    screen: Screen,
    name: str,
    scopes: tuple[str, ...],
    role: str | None,
    units: tuple[str, ...],
    partners: tuple[str, ...],
    days: int,
    owner: str | None,
) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.operations.accounts import desk
    from hub.operations.accounts.accounts import AccountRefused
    from hub.operations.accounts.tokens import write_token
    from hub.store import transactions

    if not scopes and not role:
        raise click.UsageError(t("--scope or --role is needed"))
    text = write_token(secrets.token_hex(4), secrets.token_urlsafe(32))
    config = read_journal_config(screen)
    try:
        token = desk.draw_up_token(
            text,
            name=name,
            scopes={*scopes, *(PERMISSIONS[Role(role)] if role else ())},
            units=units,
            partners=partners,
            days=days,
            owner=owner or "",
            by=getpass.getuser(),
            now=datetime.now(UTC),
        )
        with open_journal(config) as engine, transactions.write_transaction(engine) as tx:
            desk.keep_token(tx, token, text, config.partners)
    except AccountRefused as refused:
        stop_refused(refused)
    screen.row({**_row(token), "token": text}, text)
    screen.note(t("Added {name}. Keep the token now: it cannot be shown again.", name=token.name))


@command(
    "list",
    t("List the tokens: their scopes and limits, when they expire, and when each was used last."),
    "lienthong tokens list",
    "lienthong tokens list --json | jq 'select(.prefix == \"lt_1a2b3c4d\")'",
)
@pass_screen
def list_api_tokens(screen: Screen) -> None:
    from hub.cli.journal import open_journal, read_view_config
    from hub.operations.accounts.tokens import list_tokens
    from hub.store import transactions

    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = list_tokens(tx)
    titles = {
        "name": t("name"),
        "prefix": t("begins with"),
        "owner": t("owner"),
        "scopes": t("scopes"),
        "units": t("units"),
        "partners": t("partners"),
        "until": t("expires"),
        "used_at": t("last used"),
    }
    if not screen.table(titles, map(_row, found)) and not screen.json:
        screen.note(t("There is no token yet: lienthong tokens add"))


@command(
    "remove",
    t("Remove a token. From now on the API refuses it."),
    "lienthong tokens remove kho-du-lieu",
)
@click.argument("name")
@pass_screen
def remove_api_token(screen: Screen, name: str) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.operations.accounts.tokens import remove_token
    from hub.store import transactions

    name = _named(name)
    with open_journal(read_journal_config(screen)) as engine, transactions.write_transaction(engine) as tx:
        if remove_token(tx, name, by=getpass.getuser(), now=datetime.now(UTC)) is None:
            raise CommandStop(t("there is no token {name}", name=name), NOT_FOUND)
    screen.row({"name": name}, t("Removed {name}.", name=name))


def _named(text: str) -> str:
    from hub.operations.accounts.tokens import TokenUnfit, normalise_token_name

    try:
        return normalise_token_name(text)
    except TokenUnfit:
        said = t("{name} is not a valid name: letters a to z, digits, . _ -", name=repr(text))
        raise click.UsageError(said) from None


def _row(token: "ApiToken") -> Mapping[str, object]:
    return attrs.asdict(token)


for each in (add_api_token, list_api_tokens, remove_api_token):
    tokens.add_command(each)
