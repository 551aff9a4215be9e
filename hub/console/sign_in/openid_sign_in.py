"""Signs users in at OpenID providers: sends the browser there, and judges what it comes back with. Makes no pages.

OpenID Connect Core 1.0, section 3.1 (the authorization code flow), with PKCE. A provider says who somebody is; which
account that is, and whether there is one, only the journal says.
"""

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import attrs
import structlog

from hub.config.openid import OpenIdProvider
from hub.console import request as given
from hub.console.request import ConsoleRequest
from hub.console.sign_in import openid_flow
from hub.console.sign_in.openid_client import CodeRefused, OpenIdClients
from hub.console.sign_in.openid_flow import OpenIdFlow
from hub.domain.errors import Unready
from hub.domain.fair_queue import CONSOLE
from hub.language.phrases import Phrase, phrase
from hub.operations import refusals
from hub.operations.accounts import sessions
from hub.operations.accounts.openid_metadata import ProviderDown
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.provider_accounts import ProviderPerson
from hub.operations.accounts.refusals import SignInRefusal
from hub.operations.accounts.sessions import Entered
from hub.operations.refusals import RequestRefused
from hub.security.id_token import TokenRefused
from hub.store.batch_commit import Journal
from hub.units.live import Live

log = structlog.get_logger()

T = TypeVar("T")

#: The cookie of a sign-in on its way. It must come with the provider's answer, which is a navigation from another site,
#: so it is `SameSite=Lax`; the cookies of sessions are `Strict`.
FLOW = "__Host-lienthong-openid"
#: The cookie that names the provider of the last sign-in, for signing out there too. Nothing else depends on it.
PROVIDER = "__Host-lienthong-provider"


class ProviderSignInRefused(Exception):
    """The sign-in is refused. The page shows the *code* and what it *said*; *following* is where the user wanted to go."""

    def __init__(self, code: SignInRefusal, said: Phrase, status: int = 401, following: str = "/") -> None:
        super().__init__(str(code))
        self.code, self.said, self.status, self.following = code, said, status, following


class TriedTooOften(Exception):
    """No sign-in is attempted from this address before *again*."""

    def __init__(self, again: datetime, following: str) -> None:
        super().__init__(str(again))
        self.again, self.following = again, following


@attrs.frozen
class ProviderEntry:
    """What a sign-in at a provider came to, for `SignInPages`."""

    word: str = attrs.field(repr=False)  #: the secret word of the session, or of the wait for a code
    found: Entered
    following: str  #: the page that the user wanted


@attrs.define(eq=False)
class OpenIdSignIn:
    """Begins and ends the sign-ins of one node."""

    _journal: Journal
    _live: Live
    _word: Callable[[], str]  #: returns a new random word of 43 letters
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _clients: OpenIdClients

    def find_provider(self, name: str) -> OpenIdProvider:
        """Return the provider *name*. Raises `RequestRefused`, as for an address that does not exist."""
        found = self._live.config.console.providers.get(name)
        if found is None:
            raise refusals.refuse_as_absent()
        return found

    def list_buttons(self) -> list[tuple[str, str, bool]]:
        """Return name and title of each provider, and whether it did not answer just now."""
        providers = self._live.config.console.providers.values()
        return [(each.name, each.title, self._clients.find_client(each).is_down) for each in providers]

    async def begin(self, asked: ConsoleRequest, name: str) -> tuple[str, str]:
        """Return the address at the provider to which the browser goes, and the value of the cookie `FLOW`.

        Raises `ProviderSignInRefused`, and `RequestRefused` if the browser uses another address of the console.
        """
        provider, following = self.find_provider(name), given.sanitize_redirect(asked.form.get("next", ""))
        url = self._live.config.console.url
        if asked.host.lower() != urlsplit(url).netloc.removesuffix(":443"):
            raise _refuse_host(url)
        flow = openid_flow.begin_flow(self._word(), provider, following, self._now())
        try:
            metadata = await self._clients.find_client(provider).find_metadata()
        except ProviderDown:
            raise _make_down(provider, following) from None
        return flow.write_address(metadata.authorization, self._name_redirect(provider)), flow.cookie

    async def finish(self, asked: ConsoleRequest, name: str, code_roles: Collection[Role]) -> ProviderEntry:
        """Judge what the browser brings back from the provider *name*, and begin the session of the user.

        Raises `ProviderSignInRefused`, `TriedTooOften` and `RequestRefused`.
        """
        provider, now = self.find_provider(name), self._now()
        flow = openid_flow.find_flow(asked.cookies.get(FLOW, ""), provider, asked.query.get("state", ""), now)
        if flow is None:
            said = phrase("This browser did not begin the sign-in, or more than ten minutes ago. Begin again.")
            raise ProviderSignInRefused(SignInRefusal.FLOW_UNKNOWN, said)
        again = await self._journal.admit(CONSOLE, sessions.permit_place, asked.address, now)
        if again is not None:
            raise TriedTooOften(again, flow.following)
        return await self._uncounted_if_failed(asked.address, lambda: self._judge(asked, flow, code_roles))

    async def name_logout(self, name: str) -> str | None:
        """Return the address at the provider *name* that signs out there; None if it has none, or does not answer."""
        provider = self._live.config.console.providers.get(name)
        if provider is None:
            return None
        try:
            end = (await self._clients.find_client(provider).find_metadata()).end_session
        except (ProviderDown, RequestRefused):
            return None
        if end is None:
            return None
        back = f"{self._live.config.console.url}/sign-in"
        said = urlencode({"client_id": provider.client_id, "post_logout_redirect_uri": back})
        return f"{end}{'&' if '?' in end else '?'}{said}"

    async def _judge(self, asked: ConsoleRequest, flow: OpenIdFlow, code_roles: Collection[Role]) -> ProviderEntry:
        provider, following = flow.provider, flow.following
        client = self._clients.find_client(provider)
        try:
            metadata = await client.find_metadata()
            code, error = openid_flow.read_answer(asked.query, provider.issuer, names_issuer=metadata.names_issuer)
            if error:
                said = phrase("{title} did not sign you in: {error}", title=provider.title, error=error)
                raise await self._refuse(SignInRefusal.PROVIDER_REFUSED, said, asked, flow, error)
            subject = await client.redeem_code(code, flow, self._name_redirect(provider))
        except ProviderDown:
            raise _make_down(provider, following) from None
        except CodeRefused as refused:
            log.warning("openid-code-refused", provider=provider.name, reason=str(refused))
            said = phrase("{title} did not confirm the sign-in. Begin again.", title=provider.title)
            raise await self._refuse(SignInRefusal.PROVIDER_REFUSED, said, asked, flow, "code") from None
        except TokenRefused as refused:
            log.warning("openid-token-refused", provider=provider.name, reason=str(refused))
            said = phrase(
                "What {title} says about you is not accepted. Tell an operator the time: the log says why.",
                title=provider.title,
            )
            raise await self._refuse(SignInRefusal.TOKEN_REFUSED, said, asked, flow) from None
        person, word = ProviderPerson(provider.issuer, provider.claim, subject), self._word()
        found = await self._journal.write(
            sessions.begin_session_by_provider,
            person,
            sessions.hash_session_word(word),
            asked.address,
            self._now(),
            code_roles,
            codes=provider.codes,
        )
        if found is None:
            said = phrase(
                "No account here is bound to you at {title}. Tell an operator your subject there: {subject}",
                title=provider.title,
                subject=subject,
            )
            raise ProviderSignInRefused(SignInRefusal.NO_ACCOUNT, said, 403, following)
        return ProviderEntry(word, found, following)

    async def _refuse(
        self, code: SignInRefusal, said: Phrase, asked: ConsoleRequest, flow: OpenIdFlow, error: str = ""
    ) -> ProviderSignInRefused:
        """Write the event of a refusal, and return it."""
        body = {"issuer": flow.provider.issuer} | ({"error": error} if error else {})
        await self._journal.write(sessions.record_refused_provider, code, asked.address, self._now(), body)
        return ProviderSignInRefused(code, said, 401, flow.following)

    async def _uncounted_if_failed(self, address: str, step: Callable[[], Awaitable[T]]) -> T:
        """Call *step*; if it ends for a reason that is not the user's, do not count the attempt."""
        try:
            return await step()
        except ProviderSignInRefused as refused:
            if refused.code is SignInRefusal.PROVIDER_DOWN:
                await self._take_back(address)
            raise
        except Exception:
            await self._take_back(address)
            raise

    async def _take_back(self, address: str) -> None:
        try:
            await self._journal.write(sessions.undo_failed_place, address, self._now())
        except Unready as unready:  # the journal does not answer; a few failures have no effect
            log.warning("sign-in-still-counted", detail=str(unready.problem.detail))

    def _name_redirect(self, provider: OpenIdProvider) -> str:
        return name_redirect(self._live.config.console.url, provider.name)


def name_redirect(url: str, name: str) -> str:
    """Return the redirect URI of the provider *name*, at the console's *url*: it is registered with the provider."""
    return f"{url}/sign-in/openid/{name}"


def _make_down(provider: OpenIdProvider, following: str) -> ProviderSignInRefused:
    said = phrase(
        "{title} does not answer. Sign in by another way on this page, or try again in a moment.", title=provider.title
    )
    return ProviderSignInRefused(SignInRefusal.PROVIDER_DOWN, said, 503, following)


def _refuse_host(url: str) -> RequestRefused:
    return RequestRefused(
        421,
        phrase("Signing in at a provider needs the console's own address"),
        phrase("Open {url} and sign in there.", url=url),
    )
