"""Orders on accounts: who may be given what, and what nobody may do to the own or to the last administrator's account.

Each function is one step of a transaction. The pages and the API carry out the same orders; the changes themselves, and
their events, are those of `hub.operations.accounts.users`, `sessions` and `sign_in`, which the commands use too. Contains no page.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import attrs
import sqlalchemy as sa

from hub.config import ANY, Config
from hub.language.phrases import phrase
from hub.operations.accounts import client_certificates, second_factor, sessions, tokens, users
from hub.operations.accounts.account_operations import AccountState
from hub.operations.accounts.permissions import PERMISSIONS, Permission, Role
from hub.operations.accounts.sessions import ConsoleSession
from hub.operations.accounts.users import User
from hub.operations.operation import OperationRefused
from hub.store import transactions
from hub.store.tables import console_certificate, console_totp, console_user
from hub.store.transactions import Transaction

#: Accounts on a page.
PAGE = 100
#: Units, and partners, to which an account or a token may be limited.
MOST = 200
_LOCK = "console-accounts"


class AccountRefused(OperationRefused):
    """The order on an account or a token is refused."""


class AccountAct(StrEnum):
    """What may be done to an account."""

    CHANGE = "change"  #: another role, other units or partners
    LOCK = "lock"
    UNLOCK = "unlock"
    END_SESSIONS = "end-sessions"
    SET_PASSWORD = "set-password"  # noqa: S105 - a new one, which its user must change
    SET_CODES = "set-codes"  #: one-time codes of a new secret
    REMOVE_CODES = "remove-codes"
    ADD_CERTIFICATE = "add-certificate"
    REMOVE_CERTIFICATE = "remove-certificate"
    REMOVE = "remove"


@attrs.frozen(kw_only=True)
class AccountOrder:
    """One order on one account."""

    act: AccountAct
    name: str
    role: Role | None = None  #: of a change; None: as it is
    units: tuple[str, ...] = ()  #: of a change; none: as they are
    partners: tuple[str, ...] = ()
    password: str = attrs.field(default="", repr=False)  #: the hash of a new one
    secret: str = attrs.field(default="", repr=False)  #: of one-time codes, encrypted
    certificate: str = ""  #: its SHA-256


@attrs.frozen(kw_only=True)
class AccountView:
    """An account, with what signs it in."""

    user: User
    coded: bool  #: whether it needs one-time codes
    certificates: tuple[str, ...]  #: SHA-256 of each that signs it in


@attrs.frozen(kw_only=True)
class FoundAccounts:
    """A page of accounts, by name."""

    found: Sequence[AccountView]
    more: str | None  #: the name behind which the next page begins


#: What nobody does to the own account: it could not be taken back, or there is a page of one's own for it.
_NEVER_OWN = frozenset({AccountAct.CHANGE, AccountAct.LOCK, AccountAct.REMOVE, AccountAct.SET_PASSWORD})


def name_person(by: str) -> str:
    """Return the account of who acts. A token acts for its owner (`OWNER/TOKEN`)."""
    return by.partition("/")[0]


def list_code_roles(config: Config) -> frozenset[Role]:
    """Return the roles whose users need one-time codes."""
    return frozenset({Role.ADMINISTRATOR} if config.console.administrators_need_codes else ())


def require_known_limits(
    tx: Transaction, units: Iterable[str], partners: Iterable[str], configured: Collection[str]
) -> None:
    """Check that these units and partners exist, and are at most `MOST`. Raises `AccountRefused`."""
    units, partners = list(units), list(partners)
    if len(units) > MOST or len(partners) > MOST:
        raise AccountRefused("limits-many", phrase("at most {count} units and {count} partners", count=MOST))
    if unknown := users.find_unknown_units(tx, units):
        raise AccountRefused("unit-unknown", phrase("there is no unit {codes}", codes=" ".join(unknown)))
    if unknown := [code for code in partners if code != ANY and code not in configured]:
        raise AccountRefused("partner-unknown", phrase("there is no partner {code}", code=" ".join(unknown)))


def find_accounts(
    tx: Transaction,
    text: str = "",
    role: Role | None = None,
    state: AccountState | None = None,
    after: str = "",
    most: int = PAGE,
) -> FoundAccounts:
    """Return the accounts whose name contains *text*, behind the name *after*, at most *most*."""
    table = console_user.c
    query = sa.select(table.name).where(table.name > after)
    if text:
        query = query.where(table.name.contains(text.lower(), autoescape=True))
    if role is not None:
        query = query.where(table.role == str(role))
    if state is not None:
        query = query.where(table.locked_at.is_not(None) if state is AccountState.LOCKED else table.locked_at.is_(None))
    names = list(tx.scalars(query.order_by(table.name).limit(most + 1)))
    shown = names[:most]
    return FoundAccounts(found=_view_accounts(tx, shown), more=shown[-1] if len(names) > most else None)


def view_account(tx: Transaction, name: str) -> AccountView:
    """Return the account *name*. Raises `AccountRefused`."""
    found = _view_accounts(tx, [name])
    if not found:
        raise _refuse_absent(name)
    return found[0]


def read_account(tx: Transaction, name: str, now: datetime) -> tuple[AccountView, Sequence[ConsoleSession]]:
    """Return the account *name* and its open sessions. Raises `AccountRefused`."""
    return view_account(tx, name), sessions.list_sessions(tx, now, name)


def _view_accounts(tx: Transaction, names: Sequence[str]) -> list[AccountView]:
    coded = set(tx.scalars(sa.select(console_totp.c.name).where(console_totp.c.name.in_(names))))
    certified: dict[str, list[str]] = {}
    held = sa.select(console_certificate).where(console_certificate.c.name.in_(names))
    for row in tx.execute(held.order_by(console_certificate.c.sha256)):
        certified.setdefault(row.name, []).append(row.sha256)
    return [
        AccountView(user=each, coded=each.name in coded, certificates=tuple(certified.get(each.name, ())))
        for each in users.find_users(tx, names)
    ]


def make_account(
    tx: Transaction, user: User, password: str, *, configured: Collection[str], by: str, now: datetime
) -> None:
    """Add *user* with the hash of a *password*. Raises `AccountRefused`."""
    require_known_limits(tx, user.units, user.partners, configured)
    if not users.add_user(tx, user, password, by=by, now=now):
        raise AccountRefused("name-taken", phrase("the user {name} exists already", name=user.name))


def carry_out(
    tx: Transaction,
    order: AccountOrder,
    *,
    configured: Collection[str],
    code_roles: Collection[Role] = (),
    by: str,
    now: datetime,
    signed_in: bool = True,
) -> AccountView:
    """Carry out an order; return the account as it is then, or as it was if it is removed. Raises `AccountRefused`.

    *configured*: the codes of the partners. *code_roles*: the roles whose users need one-time codes. Who is not
    *signed_in*, but has a shell, can make an administrator at any time: the own and the last account are not protected.
    """
    transactions.lock_names(tx, {_LOCK})  # of two administrators, both do not remove the other
    before = view_account(tx, order.name)
    if signed_in and order.act in _NEVER_OWN and order.name == name_person(by):
        own = phrase("This is your own account. Another administrator must do that.")
        raise AccountRefused("own-account", own)
    had = signed_in and _has_administrator(tx, code_roles)
    _do_account_order(tx, order, before.user, configured, by, now)
    if had and not _has_administrator(tx, code_roles):
        last = phrase("{name} is the last administrator who can sign in. Make another one first.", name=order.name)
        raise AccountRefused("last-administrator", last)
    return before if order.act is AccountAct.REMOVE else view_account(tx, order.name)


def _do_account_order(
    tx: Transaction, order: AccountOrder, user: User, configured: Collection[str], by: str, now: datetime
) -> None:
    name = order.name
    match order.act:
        case AccountAct.CHANGE:
            _change_account(tx, order, user, configured, by, now)
        case AccountAct.LOCK:
            users.lock_user(tx, name, by=by, now=now)
        case AccountAct.UNLOCK:
            users.unlock_user(tx, name, by=by, now=now)
        case AccountAct.END_SESSIONS:
            sessions.end_user_sessions(tx, name, by=by, now=now)
        case AccountAct.SET_PASSWORD:
            users.change_password(tx, name, order.password, by=by, now=now, must_change=True)
        case AccountAct.SET_CODES:
            second_factor.enrol_user(tx, name, order.secret, by=by, now=now)
        case AccountAct.REMOVE_CODES:
            second_factor.remove_codes(tx, name, by=by, now=now)
        case AccountAct.ADD_CERTIFICATE:
            if not client_certificates.add_certificate(tx, name, order.certificate, by=by, now=now):
                taken = phrase("the certificate {sha256} signs in another account", sha256=order.certificate)
                raise AccountRefused("certificate-taken", taken)
        case AccountAct.REMOVE_CERTIFICATE:
            client_certificates.remove_certificate(tx, name, order.certificate, by=by, now=now)
        case AccountAct.REMOVE:
            tokens.remove_made_tokens(tx, name, by=by, now=now)
            users.remove_user(tx, name, by=by, now=now)


def _change_account(
    tx: Transaction, order: AccountOrder, user: User, configured: Collection[str], by: str, now: datetime
) -> None:
    changed = attrs.evolve(
        user,
        role=order.role or user.role,
        units=order.units or user.units,
        partners=order.partners or user.partners,
    )
    if changed != user:
        require_known_limits(tx, changed.units, changed.partners, configured)
        users.change_user(tx, changed, by=by, now=now)


def _has_administrator(tx: Transaction, code_roles: Collection[Role]) -> bool:
    """Tell whether somebody can sign in who may change every account."""
    roles = [role for role, permissions in PERMISSIONS.items() if Permission.MANAGE_USERS in permissions]
    wanted = console_user.c.role.in_([str(role) for role in roles]), console_user.c.locked_at.is_(None)
    found = _view_accounts(tx, list(tx.scalars(sa.select(console_user.c.name).where(*wanted))))
    return any(each.user.is_unlimited and (each.coded or each.user.role not in code_roles) for each in found)


def _refuse_absent(name: str) -> AccountRefused:
    return AccountRefused("account-unknown", phrase("there is no user {name}", name=name))
