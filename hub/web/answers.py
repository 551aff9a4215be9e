"""What the pages and the API answer with. Contains no Twisted."""

from collections.abc import AsyncIterator, Mapping

import attrs


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
