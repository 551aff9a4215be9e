"""Says why an order on an account or a token is refused, with the exit code. Knows no accounts."""

from typing import TYPE_CHECKING, NoReturn

import click

from hub.cli.screen import NOT_FOUND, CommandStop, say

if TYPE_CHECKING:
    from hub.operations.accounts.accounts import AccountRefused

_ABSENT = frozenset({"unit-unknown", "partner-unknown", "account-unknown", "token-unknown"})


def stop_refused(refused: "AccountRefused") -> NoReturn:
    """End the command because its order is refused."""
    said = say(refused.why)
    if refused.code in _ABSENT:
        raise CommandStop(said, NOT_FOUND) from None
    if refused.code in {"name-taken", "codes-keyless"}:
        raise CommandStop(said) from None
    raise click.UsageError(said) from None
