"""The operations on accounts: list, read, make, change, lock, give what signs in, remove. A secret stands in the answer once.

Contains no page, no address and no command: those are made of the values below. What an operation does is in
`hub.operations.accounts.account_steps`, so that the help of a command loads nothing of it.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import attrs

from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.operation import (
    CURSOR,
    LONG,
    ONCE,
    CommandWords,
    Cursor,
    HubOperation,
    RefusalKind,
    RefusalMeaning,
    Subject,
    Topic,
)

if TYPE_CHECKING:
    from hub.operations.accounts.accounts import AccountView
    from hub.operations.accounts.sessions import ConsoleSession

_ONCE = phrase("shown in this answer only; null where the same Idempotency-Key was sent before")
_UNITS = phrase("unit codes, each with the units below it, or *")


# --- what is asked ----------------------------------------------------------------------------------------------------


class AccountState(StrEnum):
    """What a list of accounts may be narrowed to."""

    OPEN = "open"  #: may sign in
    LOCKED = "locked"


@attrs.frozen(kw_only=True)
class AccountSearch:
    """Which accounts are listed."""

    q: Annotated[str, phrase("part of the name")] = ""
    role: Annotated[Role | None, phrase("their role")] = None
    state: Annotated[AccountState | None, phrase("whether they may sign in")] = None
    cursor: Annotated[str, CURSOR] = ""


@attrs.frozen(kw_only=True)
class NewAccount:
    """An account to make."""

    asked = True
    name: str
    role: Role
    units: Annotated[Sequence[str], _UNITS] = ()
    partners: Annotated[Sequence[str], phrase("partner codes; none: every partner")] = ()


@attrs.frozen(kw_only=True)
class AccountChange:
    """What an account gets; what is not given stays."""

    asked = True
    role: Role | None = None
    units: Annotated[Sequence[str], _UNITS] = ()
    partners: Annotated[Sequence[str], phrase("partner codes, or *")] = ()


@attrs.frozen(kw_only=True)
class CertificateGiven:
    """A client certificate. What is no text, DER, stands here as Latin-1 reads its octets."""

    asked = True
    pem: Annotated[str, phrase("the certificate in PEM"), LONG]


@attrs.frozen(kw_only=True)
class CertificateNamed:
    """A client certificate by its fingerprint."""

    asked = True
    sha256: str


# --- what is answered -------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Account:
    """An account."""

    name: str
    role: Role
    units: Sequence[str]
    partners: Sequence[str]
    added_at: datetime
    changed_at: Annotated[datetime, phrase("when the password was set last")]
    must_change: Annotated[bool, phrase("whether somebody else has set the password, so that it must be changed")]
    locked_at: Annotated[datetime | None, phrase("since when it may not sign in; null: it may")]
    signed_in_at: Annotated[datetime | None, phrase("the last sign-in")]
    codes: Annotated[bool, phrase("whether it needs one-time codes to sign in")]
    certificates: Annotated[Sequence[str], phrase("SHA-256 of each client certificate that signs it in")]

    @classmethod
    def of(cls, view: "AccountView") -> "Account":
        """Return the account as its page shows it."""
        names = {each.name for each in attrs.fields(cls)} - {"codes", "certificates"}
        said = {name: getattr(view.user, name) for name in names}
        return cls(**said, codes=view.coded, certificates=view.certificates)


@attrs.frozen(kw_only=True)
class AccountList:
    """A page of accounts, by name."""

    items: Sequence[Account]
    next: Cursor


@attrs.frozen(kw_only=True)
class AccountSession:
    """An open session."""

    address: str
    begun_at: datetime
    seen_at: Annotated[datetime, phrase("when it was used last, to the minute")]
    until: Annotated[datetime, phrase("when it ends at the latest")]

    @classmethod
    def of(cls, session: "ConsoleSession") -> "AccountSession":
        """Return the session without its secret."""
        return cls(**{each.name: getattr(session, each.name) for each in attrs.fields(cls)})


@attrs.frozen(kw_only=True)
class AccountDetails:
    """An account and its open sessions."""

    account: Account
    sessions: Sequence[AccountSession]


@attrs.frozen(kw_only=True)
class AccountPassword:
    """An account with a new one-time password."""

    account: Account
    password: Annotated[str | None, _ONCE, ONCE] = None


@attrs.frozen(kw_only=True)
class AccountCodes:
    """An account with a new secret of one-time codes."""

    account: Account
    secret: Annotated[str | None, _ONCE, ONCE] = None
    uri: Annotated[str | None, phrase("the otpauth: address from which an app reads the secret"), ONCE] = None


@attrs.frozen(kw_only=True)
class CertificateBound:
    """An account with a client certificate more."""

    account: Account
    sha256: str
    warnings: Annotated[Sequence[Phrase], phrase("why the hub would not accept the certificate now")]


# --- the operations ---------------------------------------------------------------------------------------------------


def _write_name(account: Account) -> dict[str, object]:
    return {"name": account.name}


_managing = partial(HubOperation, rights=(Permission.MANAGE_USERS,), whole=True, unlimited=True)
_on_one = partial(_managing, subject=Subject("user", phrase("name of the account"), typed="name"), answers=Account)


LIST = _managing(
    name="listAccounts",
    about=phrase("List the accounts, by name, 100 on a page."),
    takes=AccountSearch,
    answers=AccountList,
    does="hub.operations.accounts.account_steps:list_accounts",
    address="/users",
)
MAKE = _managing(
    name="makeAccount",
    about=phrase("Make an account. The answer has a one-time password, which its user must change."),
    takes=NewAccount,
    answers=AccountPassword,
    does="hub.operations.accounts.account_steps:make_account",
    heavy=True,
    event="user-added",
    makes=True,
    address="/users",
)
READ = _on_one(
    name="getAccount",
    about=phrase("Read one account, and where it is signed in."),
    answers=AccountDetails,
    does="hub.operations.accounts.account_steps:read_account",
    address="/users/{user}",
)
CHANGE = _on_one(
    name="changeAccount",
    about=phrase("Give an account another role, other units or partners, also in its open sessions."),
    takes=AccountChange,
    does="hub.operations.accounts.account_steps:change_account",
    event="user-changed",
    address="/users/{user}",
)
LOCK = _on_one(
    name="lockAccount",
    about=phrase("Lock an account: its sessions end, and it may not sign in."),
    does="hub.operations.accounts.account_steps:lock_account",
    event="user-locked",
    address="/users/{user}/lock",
    command=CommandWords(
        name="lock",
        about=phrase("Lock a user: this ends all sessions of the user, who may not sign in until `users unlock`."),
        examples=("lienthong users lock nguyenvana",),
        write_row=_write_name,
        said=phrase("Locked {name}."),
    ),
)
UNLOCK = _on_one(
    name="unlockAccount",
    about=phrase("Unlock an account."),
    does="hub.operations.accounts.account_steps:unlock_account",
    event="user-unlocked",
    address="/users/{user}/unlock",
    command=CommandWords(
        name="unlock",
        about=phrase("Unlock a user, who may sign in again."),
        examples=("lienthong users unlock nguyenvana",),
        write_row=_write_name,
        said=phrase("Unlocked {name}."),
    ),
)
END_SESSIONS = _on_one(
    name="endAccountSessions",
    about=phrase("End all sessions of an account."),
    does="hub.operations.accounts.account_steps:end_sessions",
    event="user-signed-out",
    address="/users/{user}/end-sessions",
)
SET_PASSWORD = _on_one(
    name="setAccountPassword",
    about=phrase("Give an account a one-time password, which its user must change. Its sessions end."),
    answers=AccountPassword,
    does="hub.operations.accounts.account_steps:set_password",
    heavy=True,
    event="user-password-changed",
    address="/users/{user}/set-password",
)
SET_CODES = _on_one(
    name="setAccountCodes",
    about=phrase("Give an account a new secret of one-time codes. Its sessions end."),
    answers=AccountCodes,
    does="hub.operations.accounts.account_steps:set_codes",
    event="user-codes-set",
    address="/users/{user}/set-codes",
)
REMOVE_CODES = _on_one(
    name="removeAccountCodes",
    about=phrase("Let an account sign in without one-time codes. Its sessions end."),
    does="hub.operations.accounts.account_steps:remove_codes",
    event="user-codes-removed",
    address="/users/{user}/remove-codes",
)
ADD_CERTIFICATE = _on_one(
    name="addAccountCertificate",
    about=phrase("Let a client certificate sign in an account."),
    takes=CertificateGiven,
    answers=CertificateBound,
    does="hub.operations.accounts.account_steps:add_certificate",
    heavy=True,
    event="user-certificate-added",
    address="/users/{user}/add-certificate",
)
REMOVE_CERTIFICATE = _on_one(
    name="removeAccountCertificate",
    about=phrase("Let a client certificate sign in an account no longer. Its sessions end."),
    takes=CertificateNamed,
    does="hub.operations.accounts.account_steps:remove_certificate",
    event="user-certificate-removed",
    address="/users/{user}/remove-certificate",
)
REMOVE = _on_one(
    name="removeAccount",
    about=phrase("Remove an account with its sessions, codes, certificates and saved searches."),
    does="hub.operations.accounts.account_steps:remove_account",
    event="user-removed",
    address="/users/{user}/remove",
    command=CommandWords(
        name="remove",
        about=phrase("Remove a user; this ends all sessions of the user."),
        examples=("lienthong users remove nguyenvana",),
        write_row=_write_name,
        said=phrase("Removed {name}."),
    ),
)
TOPIC = Topic(
    name="users",
    about=phrase("The users of the console: add, set, change password, remove, sessions."),
    operations=(
        LIST,
        MAKE,
        READ,
        CHANGE,
        LOCK,
        UNLOCK,
        END_SESSIONS,
        SET_PASSWORD,
        SET_CODES,
        REMOVE_CODES,
        ADD_CERTIFICATE,
        REMOVE_CERTIFICATE,
        REMOVE,
    ),
    refusals={
        "account-unknown": RefusalMeaning(RefusalKind.ABSENT, "user"),
        "user-unfit": RefusalMeaning(RefusalKind.UNFIT, "user"),
        "name-unfit": RefusalMeaning(RefusalKind.UNFIT, "name"),
        "name-taken": RefusalMeaning(RefusalKind.CONFLICT, "name"),
        "own-account": RefusalMeaning(RefusalKind.CONFLICT),
        "last-administrator": RefusalMeaning(RefusalKind.CONFLICT),
        "units-missing": RefusalMeaning(RefusalKind.UNFIT, "units"),
        "unit-unknown": RefusalMeaning(RefusalKind.UNKNOWN, "units"),
        "limits-many": RefusalMeaning(RefusalKind.UNFIT, "units"),
        "partner-unknown": RefusalMeaning(RefusalKind.UNKNOWN, "partners"),
        "certificate-unfit": RefusalMeaning(RefusalKind.UNFIT, "pem"),
        "certificate-taken": RefusalMeaning(RefusalKind.CONFLICT, "pem"),
        "codes-keyless": RefusalMeaning(RefusalKind.CONFLICT, "console.key-file"),
    },
)
