"""The identity of a dossier in the province: what its code says, and the milestones of a change of its unit.

A code of the national form names one dossier, whoever reports it: `<agency code>-yyMMdd-nnnn`, such as
`H21.129-250812-0035` (Decree 61/2018, which Decree 118/2025 replaced: agency code, date, sequence; newer systems write the year
in four digits). It begins with the code of the agency that received the dossier. Any other code names a dossier within its unit only.

Knows neither units nor who may report. The form of codes is data (`codes.toml`).
"""

import re
from functools import lru_cache

from hub.services.dossiers.codes import load_dossier_codes

#: The service of facts that somebody reported of another unit's dossier without being entitled to. No form counts them.
CLAIMED = "dossiers-claimed"
#: The service, until they are recorded, of facts about dossiers that were told of a unit whose dossiers are shared out by
#: the rules of a deed. They are recorded for the successor that has the dossier, or that the rules say.
SHARED = "dossiers-shared"
#: The unit has taken an open dossier over from another unit, with its due day and attributes.
TAKEN_OVER = "taken-over"
#: The unit has handed an open dossier over to another unit. Its amount is -1, so both facts add up to 0.
HANDED_OVER = "handed-over"
#: The dossier was handed in, and waits to be taken on or refused until it is received.
REGISTERED = "registered"
#: The unit has passed a dossier that nobody has taken on yet to another unit.
PASSED_ON = "passed-on"
#: The milestones with which a dossier begins in a unit, and with which it ends there.
BEGINS, ENDS = frozenset({"received", TAKEN_OVER}), frozenset({"finished", "refused", HANDED_OVER})
#: The key of a dossier that a unit has again, with the number of times.
_NUMBERED = re.compile(r"(.+)@([2-9]|[1-9][0-9]+)", re.DOTALL)


@lru_cache(4096)
def read_agency(code: str) -> str | None:
    """Return the code of the agency that the dossier code *code* names; None if it is not of the national form."""
    found = load_dossier_codes().dossier.fullmatch(code)
    return None if found is None else found["agency"]


def split_key(key: str) -> tuple[str, int]:
    """Return the code of the dossier *key*, and how many times its unit has had it."""
    found = _NUMBERED.fullmatch(key)
    return (found[1], int(found[2])) if found else (key, 1)


def number_key(code: str, number: int) -> str:
    """Return the key of the dossier *code* in a unit that has it the time *number*, from 1."""
    return code if number == 1 else f"{code}@{number}"
