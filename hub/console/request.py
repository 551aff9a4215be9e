"""Values that pass between HTTP and the pages, and the checks against forged forms.

Contains no Twisted and no journal.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import attrs
from cryptography import x509

from hub.formats.spool import Octets
from hub.language.languages import Language, choose_language
from hub.language.phrases import phrase
from hub.operations.accounts import sessions
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import RequestRefused

#: Cookie names. With the prefix `__Host-` a browser accepts the cookie only over TLS, for this host and for every path,
#: and no other host can set it.
SESSION = "__Host-lienthong"
BEGINNING = "__Host-lienthong-begin"  #: before anybody is signed in
LANGUAGE = "__Host-lienthong-lang"


@attrs.frozen(kw_only=True)
class ConsoleRequest:
    """One request of a browser."""

    method: str = "GET"
    path: tuple[str, ...] = ()  #: decoded piece by piece; empty for `/`
    query: Mapping[str, str] = attrs.field(factory=dict)
    form: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    #: the uploaded file; it can be read until the answer is ready
    file: Octets | None = attrs.field(default=None, repr=False)
    #: the text area of a packet, which may be longer than all other fields
    packet: Octets | None = attrs.field(default=None, repr=False)
    cookies: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    host: str = ""
    origin: str = ""
    site: str = ""  #: Sec-Fetch-Site
    languages: str = ""
    address: str = ""
    #: returns the certificate that the browser showed, and what it sent above it; empty without one
    shown: Callable[[], Sequence[x509.Certificate]] = attrs.field(default=tuple, eq=False, repr=False)
    #: tells whether the browser still waits for the answer
    wanted: Callable[[], bool] = attrs.field(default=lambda: True, eq=False, repr=False)

    @property
    def language(self) -> Language:
        """Return the language of the answer, `vi` or `en`."""
        return choose_language(self.query.get("lang"), self.cookies.get(LANGUAGE), self.languages)

    def read_file(self) -> bytes:
        """Return the uploaded file; empty without one."""
        return self.file.read() if self.file else b""

    def here(self, language: Language) -> str:
        """Return the address of the same page in *language*."""
        query = {name: value for name, value in self.query.items() if name != "lang"}
        return build_page_path(*(self.path if self.method == "GET" else ()), **query, lang=language)


def refuse_unproven_form() -> RequestRefused:
    """Return the refusal of a form that was not sent from a page of this session."""
    return RequestRefused(
        403,
        phrase("The form has expired, or was sent from another site"),
        phrase("Nothing was changed. Open the page again, sign in if asked, and send the form again."),
    )


def refuse_method() -> RequestRefused:
    """Return the refusal of a method other than GET, HEAD and POST."""
    return RequestRefused(
        405,
        phrase("This page does not accept that method"),
        phrase("Open it in a browser."),
    )


def require_form_proof(asked: ConsoleRequest, word: str | None) -> None:
    """Check that a form was sent from a page of this session. Raises `RequestRefused`.

    *word* is the secret word of the session. The browser names the origin of a form (Origin, RFC 6454; Sec-Fetch-Site).
    It must be this host over TLS.
    """
    ours = bool(asked.host) and asked.origin.lower() == f"https://{asked.host.lower()}"
    if word is None or not ours or asked.site not in {"", "same-origin"}:
        raise refuse_unproven_form()
    given = asked.form.get("proof", "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), sessions.make_form_proof(word).encode()):
        raise refuse_unproven_form()


def write_set_cookie(name: str, value: str, seconds: int | None = None, *, site: str = "Strict") -> str:
    """Return a Set-Cookie value. Without *seconds* the cookie lasts until the browser ends; 0 deletes it.

    With *site* `Lax` it also comes when another site leads the browser here.
    """
    ends = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; Path=/; Secure; HttpOnly; SameSite={site}{ends}"


def sanitize_redirect(text: str) -> str:
    """Return *text* if it is an address on this host, else `/`. So nobody is redirected elsewhere after signing in."""
    try:
        parts = urlsplit(text) if text.isprintable() and not text.startswith(("//", "/\\")) else None
    except ValueError:  # brackets without a valid address
        parts = None
    if parts is None or parts.scheme or parts.netloc or not parts.path.startswith("/") or "\\" in text:
        return "/"
    return text
