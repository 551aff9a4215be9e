"""The code lists of dossiers.  Knows `codes.toml`; not what is made of a code."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import attrs


@attrs.frozen
class DossierStatus:
    """One status a dossier may have."""

    vi: str
    en: str
    milestones: frozenset[str]  #: what a dossier that stands so has reached
    outcome: str = ""  #: how the work ended, where it has


@attrs.frozen
class DossierCodes:
    """The lists."""

    statuses: Mapping[str, DossierStatus]
    channels: Mapping[str, str]
    applicants: Mapping[str, str]
    procedure: re.Pattern[str]


@cache
def load_dossier_codes() -> DossierCodes:
    """Return the lists that come with the hub."""
    return read_dossier_codes(Path(__file__).with_name("codes.toml").read_text("utf-8"))


def read_dossier_codes(content: str) -> DossierCodes:
    """Return the lists that the TOML *content* says.  KeyError, TypeError or ValueError where it is none."""
    said = tomllib.loads(content)
    return DossierCodes(
        statuses={
            code: DossierStatus(each["vi"], each["en"], frozenset(each["milestones"]), each.get("outcome", ""))
            for code, each in said["status"].items()
        },
        channels=said["channel"],
        applicants=said["applicant"],
        procedure=re.compile(said["procedure"]["pattern"], re.ASCII),
    )
