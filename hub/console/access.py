"""Which permission each address of the console needs. Pure: knows no requests and no journal.

The first piece of an address decides. What a page then shows is limited to the units and partners of the account by
the functions that read it.
"""

from collections.abc import Mapping

from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User

#: The name of the first page of those who follow the exchange. It has the address `/`.
OVERVIEW = "overview"
#: The permission that an address needs, by its first piece. Every signed-in user may open the others: `/`, the account.
NEEDED: Mapping[str, Permission] = {
    OVERVIEW: Permission.SEE_OVERVIEW,
    "units": Permission.SEE_REPORTS,
    "reports": Permission.SEE_REPORTS,
    "late": Permission.SEE_REPORTS,
    "item": Permission.SEE_REPORTS,
    "late.csv": Permission.SEE_REPORTS,
    "late.xlsx": Permission.SEE_REPORTS,
    "glance": Permission.SEE_REPORTS,
    "declarations": Permission.SEE_REPORTS,
    "signing": Permission.SEE_REPORTS,
    "validate": Permission.SEE_REPORTS,
    "month": Permission.SEE_REPORTS,
    "messages": Permission.FIND_MESSAGES,
    "messages.csv": Permission.FIND_MESSAGES,
    "messages.jsonl": Permission.FIND_MESSAGES,
    "events": Permission.SEE_EVENTS,
    "failures": Permission.SEE_REFUSED,
    "readiness": Permission.SEE_READINESS,
    "alerts": Permission.SEE_READINESS,
    "backups": Permission.SEE_READINESS,
    "retention": Permission.SEE_READINESS,
    "upgrades": Permission.SEE_READINESS,
    "replays": Permission.SEE_REPLAYS,
    "what-if": Permission.REPLAY,
    "integration": Permission.SEE_PARTNERS,
    "partners": Permission.SEE_PARTNERS,
    "users": Permission.MANAGE_USERS,
    "tokens": Permission.MANAGE_USERS,
    "trust": Permission.MANAGE_PARTNERS,
}
#: Pages about what belongs to no unit. A user who is limited to some units may not open them.
OF_NO_UNIT = frozenset(
    {OVERVIEW, "alerts", "backups", "events", "failures", "integration", "partners", "retention", "upgrades"}
)
#: Pages by which rights are given, or what every partner needs is changed. A user who is limited to some units or
#: partners may not open them, because else the limits could be cast off.
OF_ALL = frozenset({"users", "tokens", "trust"})


def may_open(user: User, name: str) -> bool:
    """Tell whether *user* may open the addresses that begin with *name*."""
    if name in OF_NO_UNIT and not user.sees_all:
        return False
    if name in OF_ALL and not user.is_unlimited:
        return False
    return name not in NEEDED or user.may(NEEDED[name])
