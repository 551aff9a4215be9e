"""What the operations on accounts do: each function returns a step of a transaction.

A new secret and its hash are made before the transaction begins.
"""

from collections.abc import Callable, Mapping
from functools import partial

import attrs

from hub.operations.accounts import account_operations, accounts, desk, passwords
from hub.operations.accounts.account_operations import (
    Account,
    AccountChange,
    AccountCodes,
    AccountDetails,
    AccountList,
    AccountPassword,
    AccountSearch,
    AccountSession,
    CertificateBound,
    NewAccount,
)
from hub.operations.accounts.accounts import AccountAct, AccountOrder
from hub.operations.accounts.users import NameUnfit, normalise_user_name
from hub.operations.operation import HubOperation, OperationCall, Step
from hub.store.transactions import Transaction


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


lock_account = partial(_carry_out, act=AccountAct.LOCK)
unlock_account = partial(_carry_out, act=AccountAct.UNLOCK)
end_sessions = partial(_carry_out, act=AccountAct.END_SESSIONS)
remove_codes = partial(_carry_out, act=AccountAct.REMOVE_CODES)
remove_account = partial(_carry_out, act=AccountAct.REMOVE)

#: The operation of each act, as the form of a page names it.
BY_ACT: Mapping[AccountAct, HubOperation] = {
    AccountAct.CHANGE: account_operations.CHANGE,
    AccountAct.LOCK: account_operations.LOCK,
    AccountAct.UNLOCK: account_operations.UNLOCK,
    AccountAct.END_SESSIONS: account_operations.END_SESSIONS,
    AccountAct.SET_PASSWORD: account_operations.SET_PASSWORD,
    AccountAct.SET_CODES: account_operations.SET_CODES,
    AccountAct.REMOVE_CODES: account_operations.REMOVE_CODES,
    AccountAct.ADD_CERTIFICATE: account_operations.ADD_CERTIFICATE,
    AccountAct.REMOVE_CERTIFICATE: account_operations.REMOVE_CERTIFICATE,
    AccountAct.REMOVE: account_operations.REMOVE,
}
