"""The console on the admin port: HTTP in, HTTP out.  Knows headers, cookies and bodies; not what a page says.

Every answer, a refusal too, carries the same headers: nothing of it runs, frames, or loads from elsewhere.
"""

import re
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import attrs
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from hub.console import asked as given
from hub.console.asked import BEGINNING, LANGUAGE, SESSION, ConsoleRequest, ConsoleResponse, RequestRefused
from hub.console.pages import ConsolePages
from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import mime
from hub.formats.spool import Octets
from hub.journal import blobs
from hub.store.group_commit import Journal

log = structlog.get_logger()

#: On each answer.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all a browser would not say whence a form comes
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: Octets of a body, and of one with a file, which only who is signed in may send.
LIMIT, LARGEST = 64 * 1024, (8 << 20) + 64 * 1024
#: So many requests are answered at a time: an answer that keeps its caller waiting keeps a file open, and SOAP needs some too.
ANSWERING = 150
#: A form of the console has at most so many fields, and so many octets.
_FIELDS, _FORM = 20, 16 * 1024
_SAFE = re.compile(r"[^A-Za-z0-9._-]")


class Console(Resource):
    """Every page of the admin port but those that are for everybody."""

    isLeaf = True

    def __init__(self, pages: ConsolePages, journal: Journal) -> None:
        super().__init__()
        self._pages = pages
        self._journal = journal

    def limit(self, request: Any) -> int:
        """Return how many octets the body of *request* may have: a file comes only in a session that this node knows."""
        word = (request.getCookie(SESSION.encode()) or b"").decode("latin-1")
        return LARGEST if self._pages.knows(word) else LIMIT

    def render(self, request: Request) -> int:
        """Answer, whatever the method."""
        tap = _Tap()
        _ = request.notifyFinish().addErrback(tap.close)
        _ = Deferred.fromCoroutine(self._answer(request, tap)).addErrback(_broke, request, tap)
        return NOT_DONE_YET

    async def _answer(self, request: Any, tap: "_Tap") -> None:
        asked, drawer = ConsoleRequest(), None
        try:
            asked = attrs.evolve(_read(request), wanted=lambda: not tap.closed)
            if request.method == b"POST":
                octets, drawer = request.take_body()
                asked = attrs.evolve(asked, **_form(request.getHeader("content-type") or "", octets))
            answer = await self._pages.answer(asked)
        except RequestRefused as refused:
            answer = self._pages.refusal(asked, refused)
        except CancelledError:
            return  # nobody waits for it any more
        except Exception:
            log.exception("console-failed")
            answer = self._pages.refusal(asked, given.refuse_as_failed())
        finally:
            if drawer is not None:
                drawer.close()
        if tap.closed:
            return
        _write_head(request, answer)
        if answer.stored is None:
            request.write(answer.content)
        elif request.method != b"HEAD":
            await self._pour(request, answer.stored, tap)
        if not tap.closed:
            request.finish()

    async def _pour(self, request: Any, sha256: str, tap: "_Tap") -> None:
        """Send what the journal holds, a part at a time, as fast as it is read on the other side."""
        request.channel.must_be_read()
        request.registerProducer(tap, True)
        number = 0
        while not tap.closed:
            part = await self._journal.read(blobs.read_blob_part, sha256, number)
            if not part or tap.closed:
                break
            request.write(part)
            number += 1
            await tap.flows()
        if not tap.closed:
            request.unregisterProducer()


@implementer(IPushProducer)
class _Tap:
    """Whether there is room on the connection, and whether there is a connection."""

    def __init__(self) -> None:
        self.closed = False
        self._shut: Deferred[None] | None = None

    def flows(self) -> Deferred[None]:
        """Fire when there is room, or nobody reads any more."""
        waiting: Deferred[None] = Deferred()
        if self._shut is None:
            waiting.callback(None)
        else:
            _ = self._shut.addCallback(waiting.callback)
        return waiting

    def pauseProducing(self) -> None:
        if self._shut is None and not self.closed:
            self._shut = Deferred()

    def resumeProducing(self) -> None:
        shut, self._shut = self._shut, None
        if shut is not None:
            shut.callback(None)

    def stopProducing(self) -> None:
        self.close(None)

    def close(self, _: object) -> None:
        """Nobody reads any more."""
        self.closed = True
        self.resumeProducing()


def _read(request: Any) -> ConsoleRequest:
    """Return what the request asks.  Raises `RequestRefused`."""
    head = {name: request.getHeader(name) or "" for name in ("host", "origin", "sec-fetch-site", "accept-language")}
    address = request.getClientAddress()
    method = request.method.decode("latin-1")
    path, _, query = request.uri.partition(b"?")
    cookies = {}
    for each in (SESSION, BEGINNING, LANGUAGE):
        value = request.getCookie(each.encode())
        if value is not None:
            cookies[each] = value.decode("latin-1")
    return ConsoleRequest(
        method="GET" if method == "HEAD" else method,
        path=_pieces(path),
        query=_pairs(query),
        cookies=cookies,
        host=head["host"],
        origin=head["origin"],
        site=head["sec-fetch-site"],
        languages=head["accept-language"],
        address=str(getattr(address, "host", "")),
    )


def _pieces(path: bytes) -> tuple[str, ...]:
    """Return the pieces of a path, each decoded once.  One that is empty, `.` or `..`, or no UTF-8, names nothing here."""
    if not path.startswith(b"/") or len(path) > 4096:
        raise given.refuse_as_absent()
    if path == b"/":
        return ()
    try:
        pieces = tuple(unquote_to_bytes(piece).decode("utf-8") for piece in path[1:].split(b"/"))
    except UnicodeDecodeError:
        raise given.refuse_as_absent() from None
    if any(piece in {"", ".", ".."} or not piece.isprintable() for piece in pieces):
        raise given.refuse_as_absent()
    return pieces


def _pairs(text: bytes) -> dict[str, str]:
    """Return names and values; of a name that comes twice the first."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS, strict_parsing=False
        )
    except ValueError:
        raise given.refuse_as_absent() from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _form(header: str, body: Octets) -> dict[str, Any]:
    """Return the `form` and the `file` that *body* holds, by its Content-Type."""
    kind = header.partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        if len(body) > _FORM:
            raise given.too_large()
        return {"form": _pairs(body.read()) if kind == "application/x-www-form-urlencoded" else {}}
    try:
        fields = mime.form_data(body, header)
    except CallRefused:
        raise given.refuse_unproven_form() from None
    file = fields.pop("file", None)
    if sum(map(len, fields.values())) > _FORM:
        raise given.too_large()
    return {"form": {name: octets.read().decode("utf-8", "replace") for name, octets in fields.items()}, "file": file}


def _write_head(request: Any, answer: ConsoleResponse) -> None:
    request.setResponseCode(answer.status)
    for name, value in HEADERS.items():
        request.setHeader(name, value)
    request.setHeader("Content-Type", answer.content_type)
    request.setHeader("Cache-Control", "private, max-age=31536000, immutable" if answer.lasting else "no-store")
    size = answer.size if answer.stored is not None else len(answer.content)
    request.setHeader("Content-Length", str(size))
    if answer.location is not None:
        request.setHeader("Location", answer.location)
    if answer.retry_after is not None:
        request.setHeader("Retry-After", str(answer.retry_after))
    if answer.filename is not None:
        request.setHeader("Content-Disposition", f'attachment; filename="{_SAFE.sub("_", answer.filename)}"')
    for each in answer.cookies:
        request.responseHeaders.addRawHeader("Set-Cookie", each)


def write_early_refusal(problem: Problem) -> tuple[dict[str, str], bytes]:
    """Return the headers and the text of a refusal before there is a request to answer: the body is too large, or cannot be kept."""
    refused = given.too_large() if problem.code == "too-large" else given.refuse_as_busy()
    text = f"{refused.vi}. {refused.do_vi}\n{refused.en}. {refused.do_en}\n".encode()
    return {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, text


def _broke(failure: Any, request: Request, tap: _Tap) -> None:
    """An answer broke off on its way: who reads it shall see that."""
    log.error("console-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not tap.closed:
        request.loseConnection()
