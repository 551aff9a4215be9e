"""One sign-in at an OpenID provider on its way: what binds the provider's answer to this browser. Pure; keeps nothing.

The browser holds one random word in a cookie for ten minutes. State, nonce and the verifier of PKCE (RFC 7636) are made
from the word, so an answer with the right state comes from the browser that began. Nobody who reads one of them can
compute another, or the word. The hub stores no sign-in that is on its way, so there is no limit that strangers could
use up. One browser has one at a time: the next one replaces it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import attrs

from hub.config.openid import OpenIdProvider

#: How long the user has at the provider.
LASTS = timedelta(minutes=10)
#: Maximum characters of the address to which the user goes afterwards, and of a code.
LONGEST_FOLLOWING, LONGEST_CODE = 1000, 2048
_COOKIE = re.compile(r"([A-Za-z0-9_-]{43})\.([0-9]{1,10})\.([A-Za-z0-9_-]{0,4000})", re.ASCII)
_ERROR = re.compile(r"[a-z_]{1,40}", re.ASCII)


@attrs.frozen(kw_only=True)
class OpenIdFlow:
    """A sign-in that a browser began."""

    word: str = attrs.field(repr=False)  #: random, of 43 letters
    provider: OpenIdProvider
    begun: int  #: seconds since 1970
    following: str  #: the address of the page to show afterwards

    @property
    def state(self) -> str:
        """What the provider must give back. It is of this browser, provider, time and following page."""
        return self._make("state", self.provider.issuer, self.provider.client_id, str(self.begun), self.following)

    @property
    def nonce(self) -> str:
        """What the ID token must contain."""
        return self._make("nonce")

    @property
    def verifier(self) -> str:
        """The secret that goes with the code (RFC 7636)."""
        return self._make("verifier")

    @property
    def cookie(self) -> str:
        """The value of the browser's cookie."""
        following = base64.urlsafe_b64encode(self.following.encode()).decode().rstrip("=")
        return f"{self.word}.{self.begun}.{following}"

    def write_address(self, endpoint: str, redirect: str) -> str:
        """Return the address at the provider's authorization *endpoint* to which the browser goes."""
        challenge = _encode_octets(hashlib.sha256(self.verifier.encode()).digest())
        said = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(self.provider.scopes),
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if self.provider.max_age is not None:
            said["max_age"] = str(int(self.provider.max_age.total_seconds()))
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(said)}"

    def _make(self, *words: str) -> str:
        text = "\n".join(["lienthong openid", *words])
        return _encode_octets(
            hmac.new(self.word.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        )


def begin_flow(word: str, provider: OpenIdProvider, following: str, now: datetime) -> OpenIdFlow:
    """Return a new sign-in. *word* is new and random; *following* is an address on this host."""
    place = following if len(following) <= LONGEST_FOLLOWING and following.isprintable() else "/"
    return OpenIdFlow(word=word, provider=provider, begun=int(now.timestamp()), following=place)


def find_flow(cookie: str, provider: OpenIdProvider, state: str, now: datetime) -> OpenIdFlow | None:
    """Return the sign-in that the browser with this *cookie* began, if *state* is of it and it has not ended."""
    found = _COOKIE.fullmatch(cookie)
    if found is None:
        return None
    word, begun, coded = found.groups()
    try:
        following = base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    flow = OpenIdFlow(word=word, provider=provider, begun=int(begun), following=following)
    if not hmac.compare_digest(flow.state.encode(), state.encode("utf-8", "surrogatepass")):
        return None
    age = now - datetime.fromtimestamp(flow.begun, UTC)
    return flow if timedelta(seconds=-1) <= age <= LASTS else None


def read_answer(query: Mapping[str, str], issuer: str, *, names_issuer: bool) -> tuple[str, str]:
    """Return the code in the provider's answer and an empty text, or an empty code and the error.

    *names_issuer*: the provider says that each answer names it (RFC 9207). An answer that names another one is an error.
    """
    if query.get("iss", "" if names_issuer else issuer) != issuer:
        return "", "another_issuer"
    if "error" in query:
        return "", query["error"] if _ERROR.fullmatch(query["error"]) else "unknown_error"
    code = query.get("code", "")
    if not code or len(code) > LONGEST_CODE or not code.isprintable():
        return "", "no_code"
    return code, ""


def _encode_octets(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")
