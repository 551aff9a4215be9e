"""Values that pass between HTTP and the pages, and the checks against forged forms.

Contains no Twisted and no journal.
"""

import hmac
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import attrs
from cryptography import x509

from hub.console import layout
from hub.domain.local_time import parse_local_time
from hub.formats.spool import Octets
from hub.language.languages import Language, choose_language
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts import sessions

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

    def here(self, language: Language) -> str:
        """Return the address of the same page in *language*."""
        query = {name: value for name, value in self.query.items() if name != "lang"}
        return layout.build_page_path(*(self.path if self.method == "GET" else ()), **query, lang=language)


@attrs.frozen(kw_only=True)
class ConsoleResponse:
    """One answer: a page, a redirect, a file, a blob of the journal, or content in parts."""

    status: int = 200
    content: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    cookies: tuple[str, ...] = ()  #: each as a Set-Cookie value
    location: str | None = None
    filename: str | None = None  #: if set, the browser saves the content as a file
    stored: str | None = None  #: SHA-256 of a blob in the journal that is sent instead of `content`
    size: int | None = None  #: octets of that blob
    #: the content in parts that are made while it is sent; its length is not known
    parts: AsyncIterator[bytes] | None = attrs.field(default=None, eq=False, repr=False)
    retry_after: int | None = None
    lasting: bool = False  #: whether the browser may cache it for a year
    #: whether the page runs the signing script, which connects to the signing tool of `signing_tool`
    scripted: bool = False
    live: bool = False  #: whether the page runs the script that loads it again
    fields: Mapping[str, str] = attrs.field(factory=dict)  #: further header fields


class RequestRefused(Exception):
    """The request is refused. The page says in both languages what is *wrong* and what to *do*."""

    def __init__(self, status: int, wrong: Phrase, do: Phrase, retry_after: int | None = None) -> None:
        super().__init__(f"{status} {wrong}")
        self.status, self.wrong, self.do, self.retry_after = status, wrong, do, retry_after


def read_time(text: str, wrong: list[Phrase]) -> datetime | None:
    """Return the time that a person typed; None if there is no text, or if it is no time, which *wrong* then says."""
    if not text:
        return None
    try:
        return parse_local_time(text)
    except ValueError:
        wrong.append(phrase("“{text}” is not a time; write 27/11/2026 or 27/11/2026 08:00", text=text))
        return None


def refuse_as_absent() -> RequestRefused:
    """Return the refusal for a page that does not exist or that this user may not see.

    Both cases give the same page.
    """
    return RequestRefused(
        404,
        phrase("There is no such page"),
        phrase("Check the address. The page may belong to a unit that this account may not see."),
    )


def refuse_unproven_form() -> RequestRefused:
    """Return the refusal of a form that was not sent from a page of this session."""
    return RequestRefused(
        403,
        phrase("The form has expired, or was sent from another site"),
        phrase("Nothing was changed. Open the page again, sign in if asked, and send the form again."),
    )


def refuse_declaration() -> RequestRefused:
    """Return the refusal of a declaration by a user whose role does not allow it."""
    return RequestRefused(
        403,
        phrase("The role of this account does not allow declaring figures"),
        phrase("Nothing was changed. Ask the unit's clerk, or ask the operator for the role."),
    )


def refuse_signing() -> RequestRefused:
    """Return the refusal of a signing step by a user whose role does not allow it."""
    return RequestRefused(
        403,
        phrase("The role of this account does not allow getting reports for signing or submitting signed ones"),
        phrase("Nothing was changed. Ask the unit's clerk, or ask the operator for the role."),
    )


def refuse_as_busy(retry_after: int = 5) -> RequestRefused:
    """Return the refusal of a request that cannot be answered now. *retry_after* is in seconds."""
    return RequestRefused(
        503,
        phrase("The hub is busy, or cannot read its journal now"),
        phrase("Load the page again in a moment."),
        retry_after,
    )


def refuse_outstanding_duties(left: str, retry_after: int) -> RequestRefused:
    """Return the refusal of a report whose facts are not all written yet. *left* says how many are missing."""
    return RequestRefused(
        503,
        phrase("Facts of accepted messages are still being written"),
        phrase("Load the page again in a moment ({left}).", left=left),
        retry_after,
    )


def refuse_too_large() -> RequestRefused:
    """Return the refusal of a body larger than any form of the console."""
    return RequestRefused(
        413,
        phrase("The form or file is too large"),
        phrase("Send a smaller file."),
    )


def refuse_method() -> RequestRefused:
    """Return the refusal of a method other than GET, HEAD and POST."""
    return RequestRefused(
        405,
        phrase("This page does not accept that method"),
        phrase("Open it in a browser."),
    )


def refuse_as_failed() -> RequestRefused:
    """Return the refusal after an internal error."""
    return RequestRefused(
        500,
        phrase("Internal error of the hub"),
        phrase("Load the page again. If the error stays, tell the operator the time of the error."),
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
