"""The code lists of dossiers, read from `codes.toml`. Does not know how the codes are used."""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path

import attrs


@attrs.frozen
class DossierStatus:
    """One status of a dossier."""

    vi: str
    en: str
    milestones: frozenset[str]  #: the milestones that a dossier with this status has reached
    outcome: str = ""  #: how the work ended; empty while it goes on
    waits: str = ""  #: what the work waits for: `papers`, `payment` or `paused`; empty: nothing

    @property
    def works(self) -> bool:
        """Whether the dossier was received and its work goes on."""
        return "received" in self.milestones and not self.outcome and not self.waits


@attrs.frozen
class DossierCodes:
    """All code lists."""

    statuses: Mapping[str, DossierStatus]
    channels: Mapping[str, str]
    applicants: Mapping[str, str]
    procedure: re.Pattern[str]
    dossier: re.Pattern[str]  #: of the national form; its group `agency` is the code of the agency that received it
    payments: Mapping[str, str]
    paid: frozenset[str]  #: the payment states of a dossier that is paid
    levels: Mapping[str, str]
    population_databases: frozenset[str]
    first_day: date  #: the first day that a message may state
    years_ahead: int  #: a message may state days of so many years after its own

    def find_last_day(self, today: date) -> date:
        """Return the last day that a message of *today* may state."""
        return date(today.year + self.years_ahead, 12, 31)


@cache
def load_dossier_codes() -> DossierCodes:
    """Return the code lists that are installed with the hub."""
    return read_dossier_codes(Path(__file__).with_name("codes.toml").read_text("utf-8"))


def read_dossier_codes(content: str) -> DossierCodes:
    """Parse the TOML *content* into code lists. Raises KeyError, TypeError or ValueError if it does not hold them."""
    said = tomllib.loads(content)
    return DossierCodes(
        statuses={
            code: DossierStatus(
                each["vi"], each["en"], frozenset(each["milestones"]), each.get("outcome", ""), each.get("waits", "")
            )
            for code, each in said["status"].items()
        },
        channels=said["channel"],
        applicants=said["applicant"],
        procedure=re.compile(said["procedure"]["pattern"], re.ASCII),
        dossier=re.compile(said["dossier"]["pattern"], re.ASCII),
        payments=said["payment"],
        paid=frozenset(said["paid"]["values"]),
        levels=said["level"],
        population_databases=frozenset(said["database"]["population"]),
        first_day=said["days"]["first"],
        years_ahead=said["days"]["years_ahead"],
    )
