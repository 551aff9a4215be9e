"""Checks the units and partners to which an account or a token is limited. Knows no accounts."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hub.cli.screen import NOT_FOUND, CommandStop, t

if TYPE_CHECKING:
    from hub.config import Config
    from hub.store.transactions import Transaction


def require_known_limits(tx: "Transaction", units: Iterable[str], partners: Iterable[str], config: "Config") -> None:
    """Check that these units and partners exist. Raises `CommandStop`."""
    from hub.config import ANY
    from hub.console.users import find_unknown_units

    if unknown := find_unknown_units(tx, units):
        raise CommandStop(t("there is no unit {codes}", codes=" ".join(unknown)), NOT_FOUND)
    if unknown := [code for code in partners if code != ANY and code not in config.partners]:
        raise CommandStop(t("there is no partner {code}", code=" ".join(unknown)), NOT_FOUND)
