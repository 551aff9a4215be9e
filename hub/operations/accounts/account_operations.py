"""The operations on accounts: list, read, make, change, lock, give what signs in, remove. A secret stands in the answer once.

A new secret and its hash are made before the transaction begins. Contains no page, no address and no command: those are
made of the values below.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

import attrs

from hub.language.phrases import Phrase, phrase
from hub.operations.accounts import accounts, desk, passwords
from hub.operations.accounts.accounts import AccountAct, AccountOrder, AccountState, AccountView
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.accounts.sessions import ConsoleSession
from hub.operations.accounts.users import NameUnfit, normalise_user_name
from hub.operations.operation import (
    CURSOR,
    LONG,
    ONCE,
    CommandWords,
    Cursor,
    HubOperation,
    OperationCall,
    RefusalKind,
    RefusalMeaning,
    Step,
    Subject,
    Topic,
)
from hub.store.transactions import Transaction

_ONCE = phrase("shown in this answer only; null where the same Idempotency-Key was sent before")
_UNITS = phrase("unit codes, each with the units below it, or *")


# --- what is asked ----------------------------------------------------------------------------------------------------


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
    def of(cls, view: AccountView) -> "Account":
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
    def of(cls, session: ConsoleSession) -> "AccountSession":
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


# --- what is done -----------------------------------------------------------------------------------------------------


def list_accounts(call: OperationCall) -> Callable[[Transaction], AccountList]:
    """Return the step that reads a page of the accounts that `AccountSearch` describes."""
    asked: AccountSearch = call.asked

    def step(tx: Transaction) -> AccountList:
        found = accounts.find_accounts(tx, asked.q, asked.role, asked.state, asked.cursor)
        return AccountList(items=list(map(Account.of, found.found)), next=found.more)

    return step


def read_account(call: OperationCall) -> Callable[[Transaction], AccountDetails]:
    """Return the step that reads an account and its open sessions. Raises `AccountRefused`, as the step does."""
    name = _normalise_name(call.subject)

    def step(tx: Transaction) -> AccountDetails:
        view, sessions = accounts.read_account(tx, name, call.now)
        return AccountDetails(account=Account.of(view), sessions=list(map(AccountSession.of, sessions)))

    return step


def make_account(call: OperationCall) -> Callable[[Transaction], AccountPassword]:
    """Return the step that makes an account (`NewAccount`). Raises `AccountRefused`, as the step does."""
    asked: NewAccount = call.asked
    user = desk.make_user(asked.name, asked.role, asked.units, asked.partners, call.now)
    password, hashed = _make_password(call)

    def step(tx: Transaction) -> AccountPassword:
        made = attrs.evolve(user, must_change=True)
        accounts.make_account(tx, made, hashed, configured=call.config.partners, by=call.by, now=call.now)
        return AccountPassword(account=Account.of(accounts.view_account(tx, user.name)), password=password)

    return step


def _make_password(call: OperationCall) -> tuple[str, str]:
    """Return a new one-time password and its hash."""
    password = passwords.write_one_time_password(call.random(16))
    return password, passwords.hash_password(password, call.random(16))


def change_account(call: OperationCall) -> Step:
    """Return the step that gives an account another role or other limits (`AccountChange`)."""
    asked: AccountChange = call.asked
    units, partners = tuple(dict.fromkeys(asked.units)), tuple(dict.fromkeys(asked.partners))
    return _carry_out(call, AccountAct.CHANGE, role=asked.role, units=units, partners=partners)


def set_password(call: OperationCall) -> Step:
    """Return the step that gives an account a one-time password."""
    password, hashed = _make_password(call)
    answer = partial(AccountPassword, password=password)
    return _carry_out(call, AccountAct.SET_PASSWORD, lambda account: answer(account=account), password=hashed)


def set_codes(call: OperationCall) -> Step:
    """Return the step that gives an account a new secret of one-time codes. Raises `AccountRefused`."""
    name = _normalise_name(call.subject)
    secret = desk.draw_up_secret(call.config, name, call.random(32), call.random(16))
    answer = partial(AccountCodes, secret=secret.text, uri=secret.address)
    return _carry_out(call, AccountAct.SET_CODES, lambda account: answer(account=account), secret=secret.sealed)


def add_certificate(call: OperationCall) -> Step:
    """Return the step that lets a certificate (`CertificateGiven`) sign in an account. Raises `AccountRefused`."""
    sha256, warnings = desk.read_certificate(call.config, call.asked.pem.encode("latin-1", "replace"), call.now)
    answer = partial(CertificateBound, sha256=sha256, warnings=warnings)
    return _carry_out(call, AccountAct.ADD_CERTIFICATE, lambda account: answer(account=account), certificate=sha256)


def remove_certificate(call: OperationCall) -> Step:
    """Return the step that lets a certificate (`CertificateNamed`) sign in an account no longer."""
    return _carry_out(call, AccountAct.REMOVE_CERTIFICATE, certificate=call.asked.sha256)


def _carry_out(
    call: OperationCall, act: AccountAct, write: Callable[[Account], object] = lambda account: account, **said: object
) -> Step:
    """Return the step that carries out an order on the account *subject*; it raises `AccountRefused`.

    *write* makes the answer of the account as it is then. Nobody with a shell can lock themselves out.
    """
    order = AccountOrder(act=act, name=_normalise_name(call.subject), **said)  # type: ignore[arg-type]

    def step(tx: Transaction) -> object:
        view = accounts.carry_out(
            tx,
            order,
            configured=call.config.partners,
            code_roles=accounts.list_code_roles(call.config),
            by=call.by,
            now=call.now,
            signed_in=call.maker is not None,
        )
        return write(Account.of(view))

    return step


def _normalise_name(text: str) -> str:
    try:
        return normalise_user_name(text)
    except NameUnfit:
        raise desk.refuse_name(text, "user-unfit") from None


def _write_name(account: Account) -> Mapping[str, object]:
    return {"name": account.name}


def _act(act: AccountAct) -> Callable[[OperationCall], Step]:
    return partial(_carry_out, act=act)


# --- the operations ---------------------------------------------------------------------------------------------------

_managing = partial(HubOperation, rights=(Permission.MANAGE_USERS,), whole=True, unlimited=True)
_on_one = partial(_managing, subject=Subject("user", phrase("name of the account"), typed="name"), answers=Account)


LIST = _managing(
    name="listAccounts",
    about=phrase("List the accounts, by name, 100 on a page."),
    takes=AccountSearch,
    answers=AccountList,
    prepare=list_accounts,
    address="/users",
)
MAKE = _managing(
    name="makeAccount",
    about=phrase("Make an account. The answer has a one-time password, which its user must change."),
    takes=NewAccount,
    answers=AccountPassword,
    prepare=make_account,
    heavy=True,
    event="user-added",
    makes=True,
    address="/users",
)
READ = _on_one(
    name="getAccount",
    about=phrase("Read one account, and where it is signed in."),
    answers=AccountDetails,
    prepare=read_account,
    address="/users/{user}",
)
CHANGE = _on_one(
    name="changeAccount",
    about=phrase("Give an account another role, other units or partners, also in its open sessions."),
    takes=AccountChange,
    prepare=change_account,
    event="user-changed",
    address="/users/{user}",
)
LOCK = _on_one(
    name="lockAccount",
    about=phrase("Lock an account: its sessions end, and it may not sign in."),
    prepare=_act(AccountAct.LOCK),
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
    prepare=_act(AccountAct.UNLOCK),
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
    prepare=_act(AccountAct.END_SESSIONS),
    event="user-signed-out",
    address="/users/{user}/end-sessions",
)
SET_PASSWORD = _on_one(
    name="setAccountPassword",
    about=phrase("Give an account a one-time password, which its user must change. Its sessions end."),
    answers=AccountPassword,
    prepare=set_password,
    heavy=True,
    event="user-password-changed",
    address="/users/{user}/set-password",
)
SET_CODES = _on_one(
    name="setAccountCodes",
    about=phrase("Give an account a new secret of one-time codes. Its sessions end."),
    answers=AccountCodes,
    prepare=set_codes,
    event="user-codes-set",
    address="/users/{user}/set-codes",
)
REMOVE_CODES = _on_one(
    name="removeAccountCodes",
    about=phrase("Let an account sign in without one-time codes. Its sessions end."),
    prepare=_act(AccountAct.REMOVE_CODES),
    event="user-codes-removed",
    address="/users/{user}/remove-codes",
)
ADD_CERTIFICATE = _on_one(
    name="addAccountCertificate",
    about=phrase("Let a client certificate sign in an account."),
    takes=CertificateGiven,
    answers=CertificateBound,
    prepare=add_certificate,
    heavy=True,
    event="user-certificate-added",
    address="/users/{user}/add-certificate",
)
REMOVE_CERTIFICATE = _on_one(
    name="removeAccountCertificate",
    about=phrase("Let a client certificate sign in an account no longer. Its sessions end."),
    takes=CertificateNamed,
    prepare=remove_certificate,
    event="user-certificate-removed",
    address="/users/{user}/remove-certificate",
)
REMOVE = _on_one(
    name="removeAccount",
    about=phrase("Remove an account with its sessions, codes, certificates and saved searches."),
    prepare=_act(AccountAct.REMOVE),
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
#: The operation of each act, as the form of a page names it.
BY_ACT: Mapping[AccountAct, HubOperation] = {
    AccountAct.CHANGE: CHANGE,
    AccountAct.LOCK: LOCK,
    AccountAct.UNLOCK: UNLOCK,
    AccountAct.END_SESSIONS: END_SESSIONS,
    AccountAct.SET_PASSWORD: SET_PASSWORD,
    AccountAct.SET_CODES: SET_CODES,
    AccountAct.REMOVE_CODES: REMOVE_CODES,
    AccountAct.ADD_CERTIFICATE: ADD_CERTIFICATE,
    AccountAct.REMOVE_CERTIFICATE: REMOVE_CERTIFICATE,
    AccountAct.REMOVE: REMOVE,
}

TOPIC = Topic(
    name="users",
    about=phrase("The users of the console: add, set, change password, remove, sessions."),
    operations=(LIST, MAKE, READ, *BY_ACT.values()),
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
