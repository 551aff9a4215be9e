"""The pages of signing in and out, and of a user's own account. No HTTP, no SQL.

/sign-in                     by POST: signs in by name and password
/sign-in/certificate         by POST: signs in by the client certificate
/sign-in/code                the one-time code of a sign-in
/sign-in/openid/NAME         by POST: leads to an OpenID provider; GET: comes back from it
/sign-out                    by POST
/account                     the account; by POST a new password
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import attrs
import structlog

from hub.console import request as given
from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.request import BEGINNING, SESSION, ConsoleRequest, require_form_proof, write_set_cookie
from hub.console.sign_in import openid_flow
from hub.console.sign_in.openid_client import MakeFetch, OpenIdClients
from hub.console.sign_in.openid_sign_in import FLOW, PROVIDER, OpenIdSignIn, ProviderSignInRefused, TriedTooOften
from hub.console.sign_in.sign_in_queue import SignInQueue
from hub.console.visit import PageFrame, Visit
from hub.domain.errors import Rejected, Unready, describe_problem
from hub.domain.fair_queue import CONSOLE
from hub.language.catalogues import translate
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts import passwords, provider_accounts, second_factor, sessions, users
from hub.operations.accounts.accounts import list_code_roles
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.sessions import AccountLocked, CodeMissing, CodeWait, ConsoleSession, Entered
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate
from hub.store.batch_commit import Journal
from hub.units.live import Live
from hub.web.answers import ConsoleResponse

log = structlog.get_logger()

T = TypeVar("T")

_WORD = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@attrs.define(eq=False)
class SignInPages:
    """Makes the pages of signing in, and knows the sessions of this node."""

    _journal: Journal  #: the journal to read and write
    _work: Work  #: runs heavy computations in worker threads
    _live: Live  #: the configuration in force
    _frame: PageFrame
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _word: Callable[[], str]  #: returns a new random word of 43 letters
    _salt: Callable[[], bytes]  #: returns a new random salt of 16 octets
    _make_fetch: MakeFetch  #: calls OpenID providers
    #: secret words of sessions seen by this node, and when each session ends at the latest
    _known: dict[str, datetime] = attrs.field(factory=dict, init=False, repr=False)
    #: One password is compared at a time, because each takes 32 MiB. One attempt is committed at a time: two nodes that
    #: lock the same rows in different order would block each other's writers.
    _queue: SignInQueue = attrs.field(
        default=attrs.Factory(lambda self: SignInQueue(self._now), takes_self=True), init=False
    )
    _openid: OpenIdSignIn = attrs.field(
        default=attrs.Factory(
            lambda self: OpenIdSignIn(
                self._journal,
                self._live,
                self._word,
                self._now,
                OpenIdClients(self._make_fetch, self._work, self._now),
            ),
            takes_self=True,
        ),
        init=False,
    )

    def knows(self, word: str) -> bool:
        """Tell whether this node has shown a page to the session with *word*."""
        return word in self._known and self._known[word] > self._now()

    async def find_visit(self, asked: ConsoleRequest) -> Visit | None:
        """Return the request of the user whose session *asked* shows; None if there is no such session."""
        word = asked.cookies.get(SESSION, "")
        if not _WORD.fullmatch(word):
            return None
        now, name = self._now(), sessions.hash_session_word(word)
        session = await self._journal.read(sessions.find_session, name, now)
        if session is None or not await self._has_needed_codes(session.user):
            return None
        self._known = {each: until for each, until in self._known.items() if until > now} | {word: session.until}
        if sessions.is_stale(session, now):
            await self._journal.admit(CONSOLE, sessions.touch_session, name, now)
        return Visit(asked, session, word, now)

    def _code_roles(self) -> frozenset[Role]:
        """Return the roles whose users need one-time codes."""
        return list_code_roles(self._live.config)

    async def _has_needed_codes(self, user: User) -> bool:
        """Tell whether *user* has one-time codes, if the user's role needs them."""
        return user.role not in self._code_roles() or await self._journal.read(second_factor.has_codes, user.name)

    async def ask_to_sign_in(
        self, asked: ConsoleRequest, wrong: Phrase | None = None, status: int = 401, code: str = ""
    ) -> ConsoleResponse:
        """Return the page that asks for a sign-in."""
        nobody = not await self._journal.read(users.has_users)
        kept = asked.cookies.get(BEGINNING, "")
        word = kept if _WORD.fullmatch(kept) else self._word()
        here = build_page_path(*asked.path, **{k: v for k, v in asked.query.items() if k != "lang"})
        place = asked.form.get("next", "") if asked.method == "POST" else here
        said = {
            "wrong": _say_in_language(wrong, asked),
            "code": code,
            "nobody": nobody,
            "next": given.sanitize_redirect(place),
            "certificates": self._live.config.console.client_certificates,
            "providers": self._openid.list_buttons(),
        }
        content = self._frame.draw_public_page("signin", asked, said, word)
        if asked.path in {(), ("sign-in",)} and not wrong:
            status = 200  # nothing was withheld: this page was asked for
        return ConsoleResponse(status=status, content=content, cookies=(write_set_cookie(BEGINNING, word),))

    @console_page("GET", "/sign-in")
    def leave_sign_in(self) -> PageAnswer:
        """Lead on who is signed in already."""
        return "/"

    @console_page("POST", "/sign-in", template="signin", public=True)
    async def sign_in_by_password(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Sign in by name and password."""
        begun = asked.cookies.get(BEGINNING, "")
        require_form_proof(asked, begun if _WORD.fullmatch(begun) else None)
        try:
            name = users.normalise_user_name(asked.form.get("name", ""))
        except users.NameUnfit:
            name = ""
        password = asked.form.get("password", "")[: passwords.LONGEST + 1]
        word = self._word()

        async def enter(kept: str) -> Entered | None:
            named, roles = sessions.hash_session_word(word), self._code_roles()
            return await self._journal.write(
                sessions.begin_session, name, kept, named, asked.address, self._now(), roles
            )

        async def judge(stored: str | None) -> Entered | None:
            return await self._compare(password, enter, stored)

        tried: tuple[datetime | None, Entered | None]
        tried = await self._try(name, asked.address, judge)
        again, found = tried
        if again is not None:
            later, seconds = self._say_later(again)
            return attrs.evolve(await self.ask_to_sign_in(asked, later, 429), retry_after=seconds)
        if found is None:
            return await self.ask_to_sign_in(asked, phrase("The name or the password is wrong."))
        return await self._let_in(asked, word, found)

    async def _let_in(self, asked: ConsoleRequest, word: str, found: Entered, provider: str = "") -> ConsoleResponse:
        """Return the answer to a password, certificate or *provider* that was right.

        *word* is of the session, or of the wait for a code. The browser remembers by which provider it came in.
        """
        following = given.sanitize_redirect(asked.form.get("next", ""))
        if isinstance(found, CodeMissing):
            missing = phrase("This account needs one-time codes to sign in. Ask an operator to set them up.")
            return await self.ask_to_sign_in(asked, missing)
        if isinstance(found, AccountLocked):
            return await self.ask_to_sign_in(asked, phrase("This account is locked. Ask an administrator."))
        if isinstance(found, CodeWait):
            place = build_page_path("sign-in", "code", next=following)
            answer = ConsoleResponse(status=303, location=place, cookies=(write_set_cookie(BEGINNING, word),))
        else:
            answer = _answer_entered(word, following)
        if provider or PROVIDER in asked.cookies:
            way = write_set_cookie(PROVIDER, provider, None if provider else 0)
            answer = attrs.evolve(answer, cookies=(*answer.cookies, way))
        return answer

    @console_page("POST", "/sign-in/certificate", template="signin", public=True)
    async def sign_in_by_certificate(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Sign in the user whose certificate the browser showed when it opened the connection."""
        begun = asked.cookies.get(BEGINNING, "")
        require_form_proof(asked, begun if _WORD.fullmatch(begun) else None)
        if not self._live.config.console.client_certificates:
            raise refuse_as_absent()
        shown, now, word = asked.shown(), self._now(), self._word()
        if not shown:
            none = phrase("The browser showed no certificate. Close it, insert the token, and open this page again.")
            return await self.ask_to_sign_in(asked, none)
        try:
            check = partial(self._live.config.anchors.check, shown[0], now, shown[1:], purpose=Purpose.CLIENT)
            await self._work(CONSOLE, THRESHOLD, check)
        except Rejected as rejected:
            why = describe_problem(rejected.problems[0], asked.language)
            return await self.ask_to_sign_in(asked, phrase("The certificate is not accepted: {why}", why=why))
        certificate, named = hash_certificate(shown[0]), sessions.hash_session_word(word)
        found = await self._journal.write(
            sessions.begin_session_by_certificate, certificate, named, asked.address, now, self._code_roles()
        )
        if found is None:
            unknown = phrase(
                "No account has this certificate. Tell an operator its SHA-256: {sha256}", sha256=certificate
            )
            return await self.ask_to_sign_in(asked, unknown)
        return await self._let_in(asked, word, found)

    @console_page("GET", "/sign-in/openid/{name}", template="onward", public=True)
    @console_page("POST", "/sign-in/openid/{name}", template="onward", public=True)
    async def sign_in_by_provider(self, asked: ConsoleRequest, name: str) -> ConsoleResponse:
        """By POST lead the browser to an OpenID provider; by GET judge what it comes back with.

        A browser that another site leads here does not send the cookies of sessions, nor after a redirect. So both ways
        are a page that leads on.
        """
        if asked.method == "POST":
            begun = asked.cookies.get(BEGINNING, "")
            require_form_proof(asked, begun if _WORD.fullmatch(begun) else None)
        elif "state" not in asked.query:
            _ = self._openid.find_provider(name)
            return ConsoleResponse(status=303, location="/sign-in")
        over = write_set_cookie(FLOW, "", 0, site="Lax")
        try:
            if asked.method == "POST":
                address, flow = await self._openid.begin(asked, name)
                kept = write_set_cookie(FLOW, flow, int(openid_flow.LASTS.total_seconds()), site="Lax")
                return self._lead_on(asked, address, kept)
            entry = await self._openid.finish(asked, name, self._code_roles())
        except ProviderSignInRefused as refused:
            back = _back_at_sign_in(asked, refused.following)
            answer = await self.ask_to_sign_in(back, refused.said, refused.status, refused.code)
            return attrs.evolve(answer, cookies=(*answer.cookies, over))
        except TriedTooOften as often:
            later, seconds = self._say_later(often.again)
            answer = await self.ask_to_sign_in(_back_at_sign_in(asked, often.following), later, 429)
            return attrs.evolve(answer, cookies=(*answer.cookies, over), retry_after=seconds)
        found = await self._let_in(_back_at_sign_in(asked, entry.following), entry.word, entry.found, name)
        cookies = (*found.cookies, over)
        if found.location is None:
            return attrs.evolve(found, cookies=cookies)
        return self._lead_on(asked, found.location, *cookies)

    def _lead_on(self, asked: ConsoleRequest, address: str, *cookies: str) -> ConsoleResponse:
        """Return a page that leads to *address* at once, without script."""
        said = {"address": address, "host": urlsplit(address).netloc}
        content = self._frame.draw_public_page("onward", _back_at_sign_in(asked, "/"), said)
        return ConsoleResponse(content=content, cookies=cookies)

    @console_page("GET", "/sign-in/code", template="code", public=True)
    @console_page("POST", "/sign-in/code", template="code", public=True)
    async def sign_in_by_code(self, asked: ConsoleRequest) -> ConsoleResponse:
        """Ask for the one-time code of a sign-in whose password was right; by POST, judge it."""
        begun = asked.cookies.get(BEGINNING, "")
        if not _WORD.fullmatch(begun):
            return ConsoleResponse(status=303, location="/sign-in")
        named = sessions.hash_session_word(begun)
        if asked.method == "POST":
            require_form_proof(asked, begun)
        wait = await self._journal.read(sessions.find_code_wait, named, self._now())
        if wait is None:
            if asked.method == "POST":
                return await self.ask_to_sign_in(asked, phrase("The sign-in has ended. Type name and password again."))
            return ConsoleResponse(status=303, location="/sign-in")
        if asked.method == "GET":
            return self._ask_for_code(asked, begun)
        code, word = "".join(asked.form.get("code", "")[:20].split()), self._word()

        async def judge(_kept: str | None) -> ConsoleSession | None:
            new, keys = sessions.hash_session_word(word), self._live.config.console.keys
            return await self._journal.write(
                sessions.begin_session_by_code, wait, code, keys, new, asked.address, self._now()
            )

        again, session = await self._try(wait.name, asked.address, judge)
        if again is not None:
            later, seconds = self._say_later(again)
            return attrs.evolve(self._ask_for_code(asked, begun, later, 429), retry_after=seconds)
        if session is None:
            wrong = phrase("The code is wrong, or was used before. Wait for the next one.")
            return self._ask_for_code(asked, begun, wrong, 401)
        return _answer_entered(word, given.sanitize_redirect(asked.form.get("next", "")))

    def _ask_for_code(
        self, asked: ConsoleRequest, word: str, wrong: Phrase | None = None, status: int = 200
    ) -> ConsoleResponse:
        place = asked.form.get("next", "") if asked.method == "POST" else asked.query.get("next", "")
        said = {"wrong": _say_in_language(wrong, asked), "next": given.sanitize_redirect(place)}
        content = self._frame.draw_public_page("code", asked, said, word)
        return ConsoleResponse(status=status, content=content)

    def _say_later(self, again: datetime) -> tuple[Phrase, int]:
        """Return how the page says that attempts are permitted from *again* on, and the seconds until then."""
        seconds = max(0, int((again - self._now()).total_seconds())) + 1
        return phrase("Too many attempts. Try again in {seconds} s.", seconds=seconds), seconds

    @console_page("POST", "/sign-out")
    async def sign_out(self, visit: Visit) -> ConsoleResponse:
        """End the session, or all of the user."""
        everywhere = visit.asked.form.get("everywhere") == "1"
        await self._journal.write(sessions.end_own_session, visit.session, visit.now, everywhere=everywhere)
        over = (write_set_cookie(SESSION, "", 0), write_set_cookie(PROVIDER, "", 0))
        logout = await self._openid.name_logout(visit.asked.cookies.get(PROVIDER, ""))
        if logout is not None:
            return self._lead_on(visit.asked, logout, *over)
        return ConsoleResponse(status=303, location="/", cookies=over)

    @console_page("GET", "/account", template="account")
    async def show_account(self, visit: Visit) -> PageAnswer:
        """Show the user's own account."""
        return await self._describe_account(visit)

    async def _describe_account(self, visit: Visit, wrong: Phrase | None = None) -> PageValues:
        name = visit.user.name
        open_now = await self._journal.read(sessions.list_sessions, visit.now, name)
        coded = await self._journal.read(second_factor.has_codes, name)
        said = {
            "sessions": open_now,
            "own": visit.session.sha256,
            "coded": coded,
            "persons": await self._list_persons(name),
            "must_change": visit.session.must_change,
            "wrong": _say_in_language(wrong, visit.asked),
        }
        return PageValues(said, 400 if wrong else 200)

    async def _list_persons(self, name: str) -> list[tuple[str, str]]:
        """Return title and subject of the user *name* at each provider in force."""
        titles = {(each.issuer, each.claim): each.title for each in self._live.config.console.providers.values()}
        bound = (await self._journal.read(provider_accounts.list_persons, name)).get(name, [])
        return [
            (titles[each.issuer, each.claim], each.subject) for each in bound if (each.issuer, each.claim) in titles
        ]

    @console_page("POST", "/account", template="account")
    async def change_password(self, visit: Visit) -> PageAnswer:
        """Change the user's own password, which ends the sessions."""
        form, name = visit.asked.form, visit.user.name
        old, new = form.get("old", ""), form.get("new", "")
        try:
            passwords.check_password(new, name)
        except passwords.PasswordUnfit as unfit:
            return await self._describe_account(visit, unfit.reason)
        if new == old:
            return await self._describe_account(visit, phrase("The new password is the current one."))
        if new != form.get("again"):
            return await self._describe_account(visit, phrase("The two passwords differ."))

        async def change(kept: str) -> tuple[bool]:
            hashed = await self._work(CONSOLE, THRESHOLD, passwords.hash_password, new, self._salt())
            return (await self._journal.write(users.change_password, name, hashed, by=name, now=visit.now, was=kept),)

        given_old = old[: passwords.LONGEST + 1]
        again, changed = await self._try(name, visit.asked.address, partial(self._compare, given_old, change))
        if again is not None:
            return await self._describe_account(visit, phrase("Too many attempts; wait."))
        if changed is None:
            return await self._describe_account(visit, phrase("The current password is wrong."))
        if changed == (False,):
            raise given.refuse_unproven_form()
        return ConsoleResponse(status=303, location="/", cookies=(write_set_cookie(SESSION, "", 0),))

    async def _compare(self, password: str, then: Callable[[str], Awaitable[T | None]], stored: str | None) -> T | None:
        """Compare a password with the *stored* hash. If it is right, return the result of *then* with this hash."""
        kept = stored or passwords.NOBODY
        right = await self._work(CONSOLE, THRESHOLD, passwords.matches_hash, password, kept)
        return await then(kept) if right and stored is not None else None

    async def _try(
        self, name: str, address: str, judge: Callable[[str | None], Awaitable[T | None]]
    ) -> tuple[datetime | None, T | None]:
        """Judge a password or a code when its turn comes: call *judge* with the stored hash of the password, if any.

        Return the time of the next permitted attempt, or None; and the result of *judge*, which is None if it was
        wrong. An attempt that an internal error ended does not count.
        """
        place = sessions.find_address_network(address)

        async def attempt() -> tuple[datetime | None, T | None]:
            now = self._now()  # later than `now` of a caller that waited
            leave = await self._journal.admit(CONSOLE, sessions.permit_sign_in, name, address, now)
            if leave.again is not None:
                return leave.again, None
            try:
                done = await judge(leave.password)
                if done is None:
                    await self._journal.write(sessions.record_failed_sign_in, name, address, now)
            except Exception:
                await self._take_back(name, address, now)
                raise
            if done is None:
                self._queue.note_failure(place, name)
            return None, done

        known = await self._journal.read(sessions.is_known, name, address, self._now())
        return await self._queue.run_in_turn(place, name, known, attempt)

    async def _take_back(self, name: str, address: str, now: datetime) -> None:
        """Undo the count of an attempt that an internal error ended."""
        try:
            await self._journal.write(sessions.undo_failed_sign_in, name, address, now)
        except Unready as unready:  # the journal does not answer; a few failures have no effect
            log.warning("sign-in-still-counted", detail=str(unready.problem.detail))


def _answer_entered(word: str, following: str) -> ConsoleResponse:
    """Return the answer that begins the session with the secret *word*, and leads to the page *following*."""
    # the word is new, so nobody can have planted it before
    cookies = (write_set_cookie(SESSION, word), write_set_cookie(BEGINNING, "", 0))
    return ConsoleResponse(status=303, location=following, cookies=cookies)


def _back_at_sign_in(asked: ConsoleRequest, following: str) -> ConsoleRequest:
    """Return *asked* as if the user pressed a button of the sign-in page for the page *following*."""
    query = {name: value for name, value in asked.query.items() if name == "lang"}
    return attrs.evolve(asked, method="POST", path=("sign-in",), query=query, form={"next": following})


def _say_in_language(text: Phrase | None, asked: ConsoleRequest) -> str:
    return "" if text is None else translate(text, asked.language)
