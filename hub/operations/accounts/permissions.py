"""Which permissions each role of the console has. Pure: knows neither users nor pages.

A permission says what its holder may do. Which units and partners it may be done to is a matter of the account
(`hub.operations.accounts.users`). Whatever is not listed for a role is refused.
"""

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """One thing that an account may do."""

    SEE_REPORTS = "see-reports"  #: the reports of its units, and the facts behind their numbers
    DECLARE = "declare"  #: declare figures for its units
    SIGN = "sign"  #: get reports to sign, and hand in signed ones
    FIND_MESSAGES = "find-messages"  #: accepted messages of its units, without their content
    SEE_REFUSED = "see-refused"  #: refused messages and refused calls
    SEE_PRIVATE = "see-private"  #: who made a lookup, for what purpose and about what
    SEE_CONTENT = "see-content"  #: bytes, packets, attachments and kept exchanges; each opening is recorded
    SEE_OVERVIEW = "see-overview"  #: how the exchange with each partner stands
    SEE_EVENTS = "see-events"  #: the list of events, and who opened content
    SEE_READINESS = "see-readiness"  #: the checks of the hub, with their details
    ACKNOWLEDGE = "acknowledge"  #: acknowledge the alerts of the hub
    SEE_PARTNERS = "see-partners"  #: the partners and their certificates
    SEE_REPLAYS = "see-replays"  #: the plans to replay deliveries
    REPLAY = "replay"  #: make, start, pause, resume and cancel plans
    CORRECT = "correct"  #: send a corrected message, which the hub's key signs
    APPROVE = "approve"  #: approve what another person has planned
    MANAGE_PARTNERS = "manage-partners"  #: change partners and trusted certificates
    MANAGE_USERS = "manage-users"  #: change accounts and tokens


class Role(StrEnum):
    """What an account is for. Each role is a set of permissions."""

    VIEWER = "viewer"  #: reads the reports of its units, and finds the messages behind them
    READER = "reader"  #: also opens the content of these messages
    CLERK = "clerk"  #: also declares figures and hands in signed reports for its units
    ENGINEER = "engineer"  #: follows the exchange, opens content, replays
    APPROVER = "approver"  #: follows the exchange, opens content, approves the replays of others
    OPERATOR = "operator"  #: all but the accounts
    ADMINISTRATOR = "administrator"  #: everything, also the accounts

    def may(self, what: Permission) -> bool:
        """Tell whether the role has the permission *what*."""
        return what in PERMISSIONS[self]

    @property
    def is_official(self) -> bool:
        """Whether the role belongs to an official of a unit, not to a person who runs the exchange."""
        return not self.may(Permission.SEE_OVERVIEW)


_VIEWER = frozenset({Permission.SEE_REPORTS, Permission.FIND_MESSAGES})
_READER = _VIEWER | {Permission.SEE_CONTENT}
_CLERK = _READER | {Permission.DECLARE, Permission.SIGN}
_EXCHANGE = _READER | {
    Permission.SEE_REFUSED,
    Permission.SEE_OVERVIEW,
    Permission.SEE_EVENTS,
    Permission.SEE_READINESS,
    Permission.SEE_PARTNERS,
    Permission.SEE_REPLAYS,
}
_ENGINEER = _EXCHANGE | {Permission.REPLAY, Permission.CORRECT, Permission.ACKNOWLEDGE}
_ADMINISTRATOR = frozenset(Permission)

#: The permissions of each role.
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.READER: _READER,
    Role.CLERK: _CLERK,
    Role.ENGINEER: _ENGINEER,
    Role.APPROVER: _EXCHANGE | {Permission.APPROVE},
    Role.OPERATOR: _ADMINISTRATOR - {Permission.MANAGE_USERS},
    Role.ADMINISTRATOR: _ADMINISTRATOR,
}
