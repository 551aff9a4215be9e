"""The operations on accounts: list, read, make, change, remove.

A secret is not kept with the answer to an order: an order repeated with its key gets null in its place.
"""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import TypeVar

import attrs

from hub.api.account_values import (
    ApiAccount,
    ApiAccountChange,
    ApiAccountCodes,
    ApiAccountDetails,
    ApiAccountList,
    ApiAccountPassword,
    ApiAccountSession,
    ApiCertificateBound,
    ApiCertificateGiven,
    ApiCertificateNamed,
    ApiNewAccount,
)
from hub.api.idempotency import OrderedAnswer, run_once
from hub.api.messages import CURSOR
from hub.api.operation import (
    ApiCall,
    ApiOperation,
    ApiParameter,
    ApiParts,
    Deed,
    answer_order,
    answer_value,
    in_path,
)
from hub.api.problems import PROBLEMS, ApiProblem, NamedFlaw
from hub.api.schemas import write_json
from hub.domain.fair_queue import CONSOLE
from hub.language.catalogues import translate
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts import accounts, desk
from hub.operations.accounts.accounts import AccountAct, AccountOrder, AccountRefused, AccountState, AccountView
from hub.operations.accounts.permissions import Permission, Role
from hub.store.transactions import Transaction
from hub.web.answers import ConsoleResponse

T = TypeVar("T")

_USER = in_path("user", phrase("name of the account"))
_MANAGING = (Permission.MANAGE_USERS,)
_ABSENT = frozenset({"account-unknown"})
#: The field that a refusal is about, by its code.
_FIELDS: Mapping[str, str] = {
    "name-unfit": "name",
    "units-missing": "units",
    "unit-unknown": "units",
    "limits-many": "units",
    "partner-unknown": "partners",
    "certificate-unfit": "pem",
    "codes-keyless": "console.key-file",
}


def make_problem(refused: AccountRefused) -> ApiProblem:
    """Return the problem that a refused order is."""
    if refused.code in _ABSENT:
        return ApiProblem("not-found")
    if refused.code in PROBLEMS:
        return ApiProblem(refused.code, refused.why)
    return ApiProblem("order-unfit", flaws=[NamedFlaw(_FIELDS[refused.code], refused.why)])


async def _order(
    parts: ApiParts,
    call: ApiCall,
    deed: Callable[[Transaction], T],
    write: Callable[[T], object],
    *,
    status: int = 200,
    shown: Mapping[str, str] | None = None,
) -> ConsoleResponse:
    """Do *deed* once under its key; answer with what *write* makes of its result, and *shown* the first time."""

    def step(tx: Transaction) -> OrderedAnswer:
        return OrderedAnswer(status=status, content=write_json(write(deed(tx)), call.language))

    keyed = (call.token.prefix, call.key, call.request, call.now)
    try:
        made = await parts.journal.admit(CONSOLE, run_once, *keyed, step)
    except AccountRefused as refused:
        raise make_problem(refused) from None
    if shown and not made.again:
        content = json.dumps(json.loads(made.content) | dict(shown), ensure_ascii=False) + "\n"
        made = attrs.evolve(made, content=content.encode())
    return answer_order(made)


# --- accounts ---------------------------------------------------------------------------------------------------------


async def list_accounts(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Answer with a page of accounts."""
    role, state = call.text("role"), call.text("state")
    found = await parts.turns.look(
        accounts.find_accounts,
        call.text("q"),
        Role(role) if role else None,
        AccountState(state) if state else None,
        call.text("cursor"),
    )
    return answer_value(ApiAccountList(items=list(map(ApiAccount.of, found.found)), next=found.more), call)


async def read_account(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Answer with one account."""
    try:
        view, sessions = await parts.turns.look(accounts.read_account, call.text("user"), call.now)
    except AccountRefused as refused:
        raise make_problem(refused) from None
    said = ApiAccountDetails(account=ApiAccount.of(view), sessions=list(map(ApiAccountSession.of, sessions)))
    return answer_value(said, call)


async def make_account(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Make an account."""
    body: ApiNewAccount = call.body
    try:
        user = desk.make_user(body.name, body.role, body.units, body.partners, call.now)
    except AccountRefused as refused:
        raise make_problem(refused) from None
    password, hashed = await parts.desk.make_password()
    deed = parts.desk.make(user, hashed, call.token.by)
    return await _order(parts, call, deed, _with_password, status=201, shown={"password": password})


def _with_password(view: AccountView) -> ApiAccountPassword:
    return ApiAccountPassword(account=ApiAccount.of(view))


async def _act(parts: ApiParts, call: ApiCall, *, act: AccountAct) -> ConsoleResponse:
    """Do what needs no more than the name of the account."""
    order = AccountOrder(act=act, name=call.text("user"))
    return await _order(parts, call, parts.desk.carry_out(order, call.token.by, call.now), ApiAccount.of)


async def change_account(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Give an account another role or other limits."""
    body: ApiAccountChange = call.body
    order = AccountOrder(
        act=AccountAct.CHANGE,
        name=call.text("user"),
        role=body.role,
        units=tuple(dict.fromkeys(body.units)),
        partners=tuple(dict.fromkeys(body.partners)),
    )
    return await _order(parts, call, parts.desk.carry_out(order, call.token.by, call.now), ApiAccount.of)


async def set_password(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Give an account a one-time password."""
    password, hashed = await parts.desk.make_password()
    order = AccountOrder(act=AccountAct.SET_PASSWORD, name=call.text("user"), password=hashed)
    deed = parts.desk.carry_out(order, call.token.by, call.now)
    return await _order(parts, call, deed, _with_password, shown={"password": password})


async def set_codes(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Give an account one-time codes."""
    name = call.text("user")
    try:
        secret = parts.desk.make_secret(name)
    except AccountRefused as refused:
        raise make_problem(refused) from None
    order = AccountOrder(act=AccountAct.SET_CODES, name=name, secret=secret.sealed)
    deed = parts.desk.carry_out(order, call.token.by, call.now)

    def write(view: AccountView) -> ApiAccountCodes:
        return ApiAccountCodes(account=ApiAccount.of(view))

    return await _order(parts, call, deed, write, shown={"secret": secret.text, "uri": secret.address})


async def add_certificate(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Let a client certificate sign in an account."""
    try:
        sha256, warnings = await parts.desk.read_certificate(call.body.pem.encode(), call.now)
    except AccountRefused as refused:
        raise make_problem(refused) from None
    order = AccountOrder(act=AccountAct.ADD_CERTIFICATE, name=call.text("user"), certificate=sha256)
    said = [translate(each, call.language) for each in warnings]

    def write(view: AccountView) -> ApiCertificateBound:
        return ApiCertificateBound(account=ApiAccount.of(view), sha256=sha256, warnings=said)

    return await _order(parts, call, parts.desk.carry_out(order, call.token.by, call.now), write)


async def remove_certificate(parts: ApiParts, call: ApiCall) -> ConsoleResponse:
    """Let a client certificate not sign in an account any more."""
    order = AccountOrder(act=AccountAct.REMOVE_CERTIFICATE, name=call.text("user"), certificate=call.body.sha256)
    return await _order(parts, call, parts.desk.carry_out(order, call.token.by, call.now), ApiAccount.of)


def _managing(
    name: str,
    path: str,
    about: Phrase,
    run: Deed,
    *,
    method: str = "POST",
    takes: type | None = None,
    answers: type = ApiAccount,
    status: int = 200,
    more: tuple[ApiParameter, ...] = (),
) -> ApiOperation:
    """Return an operation on accounts: it gives rights, so a limited token may not."""
    return ApiOperation(
        name=name,
        method=method,
        path=path,
        tag=path.split("/")[1],
        about=about,
        scopes=_MANAGING,
        whole=True,
        unlimited=True,
        parameters=(*((_USER,) if "{user}" in path else ()), *more),
        takes=takes,
        answers=answers,
        status=status,
        run=run,
    )


def _acting(name: str, path: str, about: Phrase, act: AccountAct) -> ApiOperation:
    return _managing(name, path, about, partial(_act, act=act))


def _choice(name: str, about: Phrase, kind: type[StrEnum]) -> ApiParameter:
    return ApiParameter(name, about, kind=kind)


OPERATIONS = (
    _managing(
        "listAccounts",
        "/users",
        phrase("List the accounts, by name, 100 on a page."),
        list_accounts,
        method="GET",
        answers=ApiAccountList,
        more=(
            ApiParameter("q", phrase("part of the name")),
            _choice("role", phrase("their role"), Role),
            _choice("state", phrase("whether they may sign in"), AccountState),
            CURSOR,
        ),
    ),
    _managing(
        "makeAccount",
        "/users",
        phrase("Make an account. The answer has a one-time password, which its user must change."),
        make_account,
        takes=ApiNewAccount,
        answers=ApiAccountPassword,
        status=201,
    ),
    _managing(
        "getAccount",
        "/users/{user}",
        phrase("Read one account, and where it is signed in."),
        read_account,
        method="GET",
        answers=ApiAccountDetails,
    ),
    _managing(
        "changeAccount",
        "/users/{user}",
        phrase("Give an account another role, other units or partners, also in its open sessions."),
        change_account,
        takes=ApiAccountChange,
    ),
    _acting(
        "lockAccount",
        "/users/{user}/lock",
        phrase("Lock an account: its sessions end, and it may not sign in."),
        AccountAct.LOCK,
    ),
    _acting(
        "unlockAccount",
        "/users/{user}/unlock",
        phrase("Unlock an account."),
        AccountAct.UNLOCK,
    ),
    _acting(
        "endAccountSessions",
        "/users/{user}/end-sessions",
        phrase("End all sessions of an account."),
        AccountAct.END_SESSIONS,
    ),
    _managing(
        "setAccountPassword",
        "/users/{user}/set-password",
        phrase("Give an account a one-time password, which its user must change. Its sessions end."),
        set_password,
        answers=ApiAccountPassword,
    ),
    _managing(
        "setAccountCodes",
        "/users/{user}/set-codes",
        phrase("Give an account a new secret of one-time codes. Its sessions end."),
        set_codes,
        answers=ApiAccountCodes,
    ),
    _acting(
        "removeAccountCodes",
        "/users/{user}/remove-codes",
        phrase("Let an account sign in without one-time codes. Its sessions end."),
        AccountAct.REMOVE_CODES,
    ),
    _managing(
        "addAccountCertificate",
        "/users/{user}/add-certificate",
        phrase("Let a client certificate sign in an account."),
        add_certificate,
        takes=ApiCertificateGiven,
        answers=ApiCertificateBound,
    ),
    _managing(
        "removeAccountCertificate",
        "/users/{user}/remove-certificate",
        phrase("Let a client certificate sign in an account no longer. Its sessions end."),
        remove_certificate,
        takes=ApiCertificateNamed,
    ),
    _acting(
        "removeAccount",
        "/users/{user}/remove",
        phrase("Remove an account with its sessions, codes, certificates and saved searches."),
        AccountAct.REMOVE,
    ),
)
