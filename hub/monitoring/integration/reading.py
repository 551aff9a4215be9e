"""Reads from the journal what the integration page of a partner says: its first steps, and the names of its units."""

from collections.abc import Sequence
from datetime import date

from hub.config import Config, Partner
from hub.journal import unit_registry
from hub.monitoring.integration.first_messages import StepState, read_first_steps
from hub.store.transactions import Transaction


def read_integration(
    tx: Transaction, partner: Partner, config: Config, on: date
) -> tuple[Sequence[tuple[str, str]], Sequence[StepState]]:
    """Return code and name of the units of *partner*, and its first steps. *on*: the day of the names."""
    mine = set(partner.units)
    units = [(each.code, each.name) for each in unit_registry.list_registry_units(tx, on) if each.code in mine]
    return units, read_first_steps(tx, partner, config)
