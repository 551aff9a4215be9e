"""Answers the requests of the console: who asks, whose page it is, and whether the user may open it.

Knows the declared pages (`registry`), and nothing of what they show. Contains no HTTP and no SQL.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import attrs
import structlog

from hub.console import help_pages, registry
from hub.console import request as given
from hub.console.page import PageDeclaration, PageValues
from hub.console.parts import ConsoleParts
from hub.console.request import LANGUAGE, ConsoleRequest, require_form_proof, write_set_cookie
from hub.console.sign_in.sign_in_pages import SignInPages
from hub.console.visit import Visit
from hub.domain.errors import Unready
from hub.language.catalogues import say_both
from hub.language.languages import Language
from hub.operations import refusals
from hub.operations.accounts.permissions import Permission
from hub.operations.refusals import RequestRefused, refuse_as_absent, refuse_declaration, refuse_signing
from hub.web.answers import ConsoleResponse

log = structlog.get_logger()

#: The help page of a refusal that has no code of its own: it lists the statuses.
_HELP_WITHOUT_CODE = "/help/reference/console"
_YEAR = 365 * 24 * 3600
#: How a form is refused to who sees its page, but may not send it. All others look absent.
_REFUSALS = {Permission.SIGN: refuse_signing, Permission.DECLARE: refuse_declaration}
#: Pages that a user may open who must choose another password first.
_FIRST = {("account",), ("sign-out",)}


@attrs.define(eq=False)
class ConsoleRouter:
    """Finds the page of each request, and makes its answer."""

    parts: ConsoleParts  #: what the pages work with
    _owners: dict[type, Any] = attrs.field(factory=dict, init=False, repr=False)  #: by the class of their pages

    @property
    def _sign_in(self) -> SignInPages:
        return self._find_owner(SignInPages)  # type: ignore[no-any-return]

    def knows(self, word: str) -> bool:
        """Tell whether this node has shown a page to the session with *word*."""
        return self._sign_in.knows(word)

    async def answer(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Return the answer to *asked*. A refusal is a page too."""
        try:
            answer = await self._answer(asked)
        except RequestRefused as refused:
            return self.refusal(asked, refused)
        except Unready as unready:
            log.warning("console-unready", problem=unready.problem.code, detail=str(unready.problem.detail))
            code, detail = unready.problem.code, str(unready.problem.detail)
            if code == "facts-outstanding":
                return self.refusal(asked, refusals.refuse_outstanding_duties(detail, unready.retry_after), code)
            return self.refusal(asked, refusals.refuse_as_busy(unready.retry_after), code)
        said = asked.query.get("lang")
        if said is not None and said in {*Language} and answer.content_type.startswith("text/html"):
            return attrs.evolve(answer, cookies=(*answer.cookies, write_set_cookie(LANGUAGE, said, _YEAR)))
        return answer

    def refusal(self, asked: ConsoleRequest, refused: RequestRefused, code: str = "") -> ConsoleResponse:
        """Return the page of a refusal. Its help is that of the error *code*, if there is one."""
        said = {
            "status": refused.status,
            "wrong": say_both(refused.wrong),
            "do": say_both(refused.do),
            "help": help_pages.name_error_help(code) if code else _HELP_WITHOUT_CODE,
        }
        content = self.parts.frame.draw_public_page("error", asked, said)
        return ConsoleResponse(status=refused.status, content=content, retry_after=refused.retry_after)

    async def _answer(self, asked: ConsoleRequest) -> ConsoleResponse:
        if asked.method not in {"GET", "POST"}:
            raise given.refuse_method()
        for page, pieces in registry.find_pages(asked.method, asked.path, public=True):
            answer: ConsoleResponse = await self._call(page, {**pieces, "asked": asked})
            return answer
        if asked.path and asked.path[0] in registry.PUBLIC:
            raise refuse_as_absent()
        visit = await self._sign_in.find_visit(asked)
        if visit is None:
            if asked.method == "POST":
                raise given.refuse_unproven_form()
            return await self._sign_in.ask_to_sign_in(asked)
        if asked.method == "POST":
            require_form_proof(asked, visit.word)
        if visit.session.must_change and asked.path not in _FIRST:
            return ConsoleResponse(status=303, location="/account")
        return await self._open(visit)

    async def _open(self, visit: Visit) -> ConsoleResponse:
        """Answer by the first page at the address that the user may open. Raises `RequestRefused` if there is none."""
        asked, refuse = visit.asked, refuse_as_absent
        for page, pieces in registry.find_pages(asked.method, asked.path):
            if page.is_open_to(visit.user):
                return self._frame(page, visit, await self._call(page, {**pieces, "visit": visit}))
            refuse = _REFUSALS.get(page.right, refuse_as_absent) if page.right else refuse_as_absent
        raise refuse()

    def _frame(self, page: PageDeclaration, visit: Visit, shown: Any) -> ConsoleResponse:
        """Return the answer that a page gave, in the frame of the console."""
        if isinstance(shown, ConsoleResponse):
            return shown
        if isinstance(shown, str):
            return ConsoleResponse(status=303, location=shown)
        values = shown if isinstance(shown, PageValues) else PageValues(shown)
        content = self.parts.frame.draw_page(values.template or page.template, visit, values.said)
        return ConsoleResponse(status=values.status, content=content, scripted=values.scripted, live=values.live)

    async def _call(self, page: PageDeclaration, said: Mapping[str, Any]) -> Any:
        """Call the function of *page* with what it names: of *said*, else of the parts."""
        named = {
            name: said[name] if name in said else getattr(self.parts, name) for name in page.takes if name != "self"
        }
        owner = () if page.owner is None else (self._find_owner(page.owner),)
        answer = page.answer(*owner, **named)
        return await answer if inspect.isawaitable(answer) else answer

    def _find_owner(self, kind: type) -> Any:
        if kind not in self._owners:
            self._owners[kind] = self.parts.make_owner(kind)
        return self._owners[kind]
