"""The pages of the tokens of programs: the list, a new one, its removal. No HTTP, no SQL.

/tokens          the tokens, and the form of a new one; by POST makes it and shows it once
/tokens/NAME     by POST: removes it
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import attrs

from hub.console.people.account_pages import LONGEST, PeoplePage, show_once, status_of
from hub.console.request import ConsoleRequest
from hub.domain.fair_queue import CONSOLE
from hub.language.phrases import phrase
from hub.operations.accounts import desk, tokens
from hub.operations.accounts.accounts import AccountRefused
from hub.operations.accounts.permissions import PERMISSIONS, Permission, Role
from hub.operations.accounts.token_operations import DAYS, NewToken
from hub.operations.accounts.token_steps import make_token, remove_token
from hub.operations.accounts.users import User
from hub.operations.operation import OperationCall
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.store.group_commit import Journal
from hub.units.live import Live

#: A token that ends within this time is marked.
_SOON = timedelta(days=14)
#: What a field for a scope is called, before the scope.
_SCOPE = "scope."


@attrs.frozen
class TokenPages:
    """Makes the pages of tokens."""

    _journal: Journal  #: the journal to read and write
    _turns: ReadingTurns  #: limits what is read
    _live: Live  #: the configuration in force

    async def show(self, asked: ConsoleRequest, user: User, now: datetime) -> PeoplePage:
        """Return the page for a GET request."""
        if asked.path[1:]:
            raise refuse_as_absent()
        return await self._list(user, now, {}, done=asked.query.get("removed", "")[:64])

    async def act(self, asked: ConsoleRequest, user: User, now: datetime) -> PeoplePage | str:
        """Do what a form asks. Return the address of the next page, or the page that says what was done or why not."""
        match asked.path[1:]:
            case ():
                return await self._make(asked.form, user, now)
            case (name,):
                try:
                    await self._journal.admit(CONSOLE, remove_token(self._call(user, now, subject=name)))
                except AccountRefused:
                    raise refuse_as_absent() from None
                return build_page_path("tokens", removed=name)
        raise refuse_as_absent()

    def _call(self, user: User, now: datetime, *, subject: str = "", asked: NewToken | None = None) -> OperationCall:
        return OperationCall(subject=subject, asked=asked, by=user.name, maker=user, now=now, config=self._live.config)

    async def _list(
        self,
        user: User,
        now: datetime,
        form: Mapping[str, str],
        *,
        done: str = "",
        wrong: AccountRefused | None = None,
    ) -> PeoplePage:
        names = ("name", "role", "units", "partners", "days", "owner")
        said = {
            "tokens": await self._turns.look(tokens.list_tokens),
            "now": now,
            "soon": now + _SOON,
            "scopes": list(Permission),
            "ticked": _read_scopes(form),
            "roles": list(Role),
            "typed": dict.fromkeys(names, "")
            | {"days": str(DAYS), "owner": user.name}
            | {name: form[name][:LONGEST] for name in names if name in form},
            "longest": tokens.LONGEST,
            "done": done,
            "wrong": wrong,
        }
        return PeoplePage("tokens", said, status_of(wrong))

    async def _make(self, form: Mapping[str, str], user: User, now: datetime) -> PeoplePage:
        role = form.get("role", "")
        scopes = {*_read_scopes(form), *(PERMISSIONS[Role(role)] if role in {*Role} else ())}
        days = form.get("days", "").strip()
        asked = NewToken(
            name=form.get("name", ""),
            scopes=sorted(scopes),
            units=desk.split_codes(form.get("units", "")[:LONGEST]),
            partners=desk.split_codes(form.get("partners", "")[:LONGEST]),
            days=int(days) if days.isascii() and days.isdecimal() and len(days) < 5 else 0,
            owner=form.get("owner", ""),
        )
        try:
            made = await self._journal.admit(CONSOLE, make_token(self._call(user, now, asked=asked)))
        except AccountRefused as refused:
            return await self._list(user, now, form, wrong=refused)
        return show_once(
            made.token.name,
            made.secret or "",
            title=phrase("The token is made"),
            secret_of=phrase("Token"),
            note=phrase(
                "It is not shown again: the hub keeps only its SHA-256. The program sends it in the header "
                "Authorization: Bearer."
            ),
            back=build_page_path("tokens"),
            back_of=phrase("Tokens of programs"),
        )


def _read_scopes(form: Mapping[str, str]) -> list[Permission]:
    return [each for each in Permission if form.get(f"{_SCOPE}{each}") == "1"]
