"""The pages of accounts: the list, one account, a new one. Contains what each page reads and orders; no HTTP, no SQL.

    /users?q=TEXT&role=ROLE&state=STATE&after=NAME   the accounts
    /users/_new                                      the form of a new account; by POST makes it
    /users/NAME                                      one account; by POST does what `do` says (`AccountAct`)

A one-time password and the secret of one-time codes stand once, on the page that answers the form.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.request import ConsoleRequest
from hub.console.visit import Visit
from hub.domain.fair_queue import CONSOLE
from hub.language.phrases import Phrase, phrase, verbatim
from hub.operations.accounts import accounts, desk, tokens
from hub.operations.accounts.account_operations import (
    LIST,
    MAKE,
    READ,
    AccountChange,
    AccountCodes,
    AccountPassword,
    AccountState,
    CertificateBound,
    CertificateGiven,
    CertificateNamed,
    NewAccount,
)
from hub.operations.accounts.account_steps import BY_ACT
from hub.operations.accounts.accounts import AccountAct, AccountRefused, AccountView
from hub.operations.accounts.permissions import Role
from hub.operations.operation import HubOperation, OperationCall, list_fields
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

#: The piece of the address of the form for a new account. No account has this name.
NEW = "_new"
#: Characters read of a field.
LONGEST = 4000
#: Refusals because of what there is, and not of what was typed.
CONFLICTS = frozenset({"own-account", "last-administrator", "name-taken", "certificate-taken"})
_DONE: Mapping[AccountAct, Phrase] = {
    AccountAct.CHANGE: phrase("The account has these rights now, also in its open sessions."),
    AccountAct.LOCK: phrase("The account is locked; its sessions ended."),
    AccountAct.UNLOCK: phrase("The account may sign in again."),
    AccountAct.END_SESSIONS: phrase("All sessions of the account ended."),
    AccountAct.REMOVE_CODES: phrase("The account signs in without codes; its sessions ended."),
    AccountAct.ADD_CERTIFICATE: phrase("The certificate signs in this account."),
    AccountAct.REMOVE_CERTIFICATE: phrase("The certificate signs in nobody now; the sessions of the account ended."),
}


@attrs.frozen
class AccountPages:
    """Makes the pages of accounts."""

    _journal: Journal  #: the journal to read and write
    _turns: ReadingTurns  #: limits what is read
    _work: Work  #: runs heavy computations in worker threads
    _live: Live  #: the configuration in force

    @console_page("GET", "/users", does=(LIST,), template="users")
    async def list_accounts(self, visit: Visit) -> PageAnswer:
        """Show the accounts that are searched for."""
        asked = visit.asked
        text, after = (asked.query.get(name, "").strip()[:64] for name in ("q", "after"))
        role, state = asked.query.get("role", ""), asked.query.get("state", "")
        words = (
            text,
            Role(role) if role in {*Role} else None,
            AccountState(state) if state in {*AccountState} else None,
            after,
        )
        found = await self._turns.look(accounts.find_accounts, *words)
        given = {"q": text or None, "role": role or None, "state": state or None}
        return {
            "found": found.found,
            "given": {name: value or "" for name, value in given.items()},
            "roles": list(Role),
            "states": list(AccountState),
            "first": build_page_path("users", **given) if after else None,
            "more": None if found.more is None else build_page_path("users", **given, after=found.more),
        }

    @console_page("GET", f"/users/{NEW}", does=(MAKE,), template="user_new")
    def ask_account(self) -> PageAnswer:
        """Show the form of a new account."""
        return self._ask_new({})

    def _ask_new(self, form: Mapping[str, str], wrong: AccountRefused | None = None) -> PageValues:
        typed = {each.name: form.get(each.name, "")[:LONGEST] for each in list_fields(NewAccount)}
        said = {"typed": typed, "roles": list(Role), "wrong": wrong}
        return PageValues(said, status_of(wrong))

    @console_page("POST", f"/users/{NEW}", does=(MAKE,), template="user_new")
    async def add_account(self, visit: Visit) -> PageAnswer:
        """Make an account."""
        form = visit.asked.form
        try:
            units, partners = _read_limits(form)
            asked = NewAccount(name=form.get("name", ""), role=_read_role(form), units=units, partners=partners)
            made: AccountPassword = await self._order(MAKE, visit, asked=asked)
        except AccountRefused as refused:
            return self._ask_new(form, refused)
        return _show_password(made, phrase("The account is made"))

    async def _order(self, operation: HubOperation, visit: Visit, *, name: str = "", asked: object = None) -> Any:
        """Carry out *operation* for the user of *visit*; return its answer. Raises `AccountRefused`."""
        call = make_call(visit, self._live, subject=name, asked=asked)
        step = await self._work(CONSOLE, THRESHOLD, operation.prepare, call)
        return await self._journal.admit(CONSOLE, step)

    @console_page("GET", "/users/{name}", does=(READ,), template="user")
    async def show_account(self, visit: Visit, name: str) -> PageAnswer:
        """Show one account."""
        done = visit.asked.query.get("done", "")
        return await self._show(visit, name, done=_DONE.get(AccountAct(done)) if done in {*AccountAct} else None)

    async def _show(
        self,
        visit: Visit,
        name: str,
        *,
        done: Phrase | None = None,
        noted: Sequence[Phrase] = (),
        wrong: AccountRefused | None = None,
    ) -> PageValues:
        try:
            view, open_now, owned = await self._turns.look(_read_account, name, visit.now)
        except AccountRefused:
            raise refuse_as_absent() from None
        said = {
            "account": view.user,
            "view": view,
            "sessions": open_now,
            "tokens": owned,
            "own": name == visit.user.name,
            "roles": list(Role),
            "done": done,
            "noted": noted,
            "wrong": wrong,
        }
        return PageValues(said, status_of(wrong))

    @console_page("POST", "/users/{name}", does=tuple(BY_ACT.values()), template="user")
    async def change_account(self, visit: Visit, name: str) -> PageAnswer:
        """Do what `do` says to the account."""
        asked, form = visit.asked, visit.asked.form
        if form.get("do") not in {*AccountAct}:
            raise refuse_as_absent()
        act = AccountAct(form["do"])
        if act is AccountAct.REMOVE and form.get("sure") != "1":
            unsure = AccountRefused("not-sure", phrase("Tick that the account is to be removed."))
            return await self._show(visit, name, wrong=unsure)
        try:
            answer = await self._order(BY_ACT[act], visit, name=name, asked=_read_asked(act, asked))
        except AccountRefused as refused:
            return await self._show(visit, name, wrong=refused)
        match answer:
            case AccountPassword():
                return _show_password(answer, phrase("The account has a new password; its sessions ended"))
            case AccountCodes():
                return _show_codes(answer)
            case CertificateBound() if answer.warnings:
                return await self._show(visit, name, done=_DONE[act], noted=answer.warnings)
        return build_page_path("users") if act is AccountAct.REMOVE else build_page_path("users", name, done=str(act))


def make_call(visit: Visit, live: Live, *, subject: str = "", asked: object = None) -> OperationCall:
    """Return the call of an operation that the form of *visit* asks for."""
    user = visit.user
    return OperationCall(subject=subject, asked=asked, by=user.name, maker=user, now=visit.now, config=live.config)


def _read_asked(act: AccountAct, asked: ConsoleRequest) -> object:
    """Return what the form asks of the operation of *act*. Raises `AccountRefused`."""
    form = asked.form
    match act:
        case AccountAct.CHANGE:
            role = _read_role(form)
            units, partners = desk.complete_limits(role, *_read_limits(form))
            return AccountChange(role=role, units=units, partners=partners)
        case AccountAct.ADD_CERTIFICATE:
            return CertificateGiven(pem=asked.read_file().decode("latin-1") or form.get("pem", ""))
        case AccountAct.REMOVE_CERTIFICATE:
            return CertificateNamed(sha256=form.get("certificate", "")[:64])
    return None


def status_of(wrong: AccountRefused | None) -> int:
    """Return the status of a page that says what is *wrong*, or nothing."""
    return 200 if wrong is None else 409 if wrong.code in CONFLICTS else 422


def _show_password(made: AccountPassword, title: Phrase) -> PageValues:
    note = phrase(
        "It is not shown again. Give it to the person by a safe way; whoever signs in with it must choose another one "
        "first."
    )
    return show_once(
        made.account.name, made.password or "", title=title, secret_of=phrase("One-time password"), note=note
    )


def _show_codes(made: AccountCodes) -> PageValues:
    return show_once(
        made.account.name,
        made.secret or "",
        title=phrase("One-time codes"),
        secret_of=phrase("Secret, to be typed into the person's app"),
        note=phrase(
            "It is not shown again. From now on the account needs a code of the app at each sign-in; its sessions ended."
        ),
        address=made.uri or "",
    )


def show_once(
    name: str,
    secret: str,
    *,
    title: Phrase,
    secret_of: Phrase,
    note: Phrase,
    address: str = "",
    back: str = "",
    back_of: Phrase | None = None,
) -> PageValues:
    """Return the page that shows a secret once. *back*: the page that follows; the account *name* if there is none."""
    said = {
        "name": name,
        "secret": secret,
        "title_of": title,
        "secret_of": secret_of,
        "note": note,
        "address": address,
        "back": back or build_page_path("users", name),
        "back_of": back_of or verbatim(name),
    }
    return PageValues(said, template="shown_once")


def _read_account(
    tx: Transaction, name: str, now: datetime
) -> tuple[AccountView, Sequence[object], Sequence[tokens.ApiToken]]:
    """Return an account, its open sessions, and the tokens for which it answers."""
    view, open_now = accounts.read_account(tx, name, now)
    return view, open_now, [each for each in tokens.list_tokens(tx) if each.owner == name]


def _read_role(form: Mapping[str, str]) -> Role:
    role = form.get("role", "")
    if role not in {*Role}:
        raise AccountRefused("role-unknown", phrase("choose a role"))
    return Role(role)


def _read_limits(form: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the units and the partners that were typed."""
    units, partners = (desk.split_codes(form.get(name, "")[:LONGEST]) for name in ("units", "partners"))
    return units, partners
