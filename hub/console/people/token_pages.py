"""The pages of the tokens of programs: the list, a new one, its removal. No HTTP, no SQL.

/tokens          the tokens, and the form of a new one; by POST makes it and shows it once
/tokens/NAME     by POST: removes it
"""

from collections.abc import Mapping
from datetime import timedelta

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.people.account_pages import LONGEST, make_call, show_once, status_of
from hub.console.visit import Visit
from hub.domain.fair_queue import CONSOLE
from hub.language.phrases import phrase
from hub.operations.accounts import desk, token_steps, tokens
from hub.operations.accounts.accounts import AccountRefused
from hub.operations.accounts.permissions import PERMISSIONS, Permission, Role
from hub.operations.accounts.token_operations import ADD, DAYS, LIST, REMOVE, NewToken
from hub.operations.operation import list_fields
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.turns import ReadingTurns
from hub.store.batch_commit import Journal
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

    @console_page("GET", "/tokens", does=(LIST, ADD), template="tokens")
    async def list_tokens(self, visit: Visit) -> PageAnswer:
        """Show the tokens, and the form of a new one."""
        return await self._list(visit, {}, done=visit.asked.query.get("removed", "")[:64])

    @console_page("POST", "/tokens/{name}", does=(REMOVE,))
    async def remove_token(self, visit: Visit, name: str) -> PageAnswer:
        """Remove the token."""
        try:
            await self._journal.admit(CONSOLE, token_steps.remove_token(make_call(visit, self._live, subject=name)))
        except AccountRefused:
            raise refuse_as_absent() from None
        return build_page_path("tokens", removed=name)

    async def _list(
        self,
        visit: Visit,
        form: Mapping[str, str],
        *,
        done: str = "",
        wrong: AccountRefused | None = None,
    ) -> PageValues:
        names = {each.name for each in list_fields(NewToken)} - {"scopes"}
        said = {
            "tokens": await self._turns.look(tokens.list_tokens),
            "now": visit.now,
            "soon": visit.now + _SOON,
            "scopes": list(Permission),
            "ticked": _read_scopes(form),
            "roles": list(Role),
            "typed": dict.fromkeys(names, "")
            | {"days": str(DAYS), "owner": visit.user.name}
            | {name: form[name][:LONGEST] for name in names if name in form},
            "longest": tokens.LONGEST,
            "done": done,
            "wrong": wrong,
        }
        return PageValues(said, status_of(wrong))

    @console_page("POST", "/tokens", does=(ADD,), template="tokens")
    async def add_token(self, visit: Visit) -> PageAnswer:
        """Make a token, and show it once."""
        form = visit.asked.form
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
            made = await self._journal.admit(CONSOLE, token_steps.make_token(make_call(visit, self._live, asked=asked)))
        except AccountRefused as refused:
            return await self._list(visit, form, wrong=refused)
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
