"""Connects the console to HTTP on the admin port: header fields, cookies, bodies. Does not make pages.

Every answer, including refusals, carries the same security header fields: it runs no script, cannot be framed and loads
nothing from elsewhere. Only the signing page and the page of a replay plan run a script, the hub's own.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import attrs
import structlog
from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from hub.console import request as given
from hub.console import signing_tool
from hub.console.pages import ConsolePages
from hub.console.request import BEGINNING, LANGUAGE, SESSION, ConsoleRequest, ConsoleResponse
from hub.console.sign_in.openid_sign_in import FLOW, PROVIDER
from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import mime
from hub.formats.spool import Octets
from hub.journal import blobs
from hub.language.catalogues import say_both
from hub.operations import refusals
from hub.operations.refusals import RequestRefused
from hub.runtime.descriptors import SHORTAGE
from hub.runtime.peer_check import read_peer_certificates
from hub.store.group_commit import Journal

log = structlog.get_logger()

_POLICY = "Content-Security-Policy"
#: Header fields of every answer.
HEADERS = {
    _POLICY: "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with `no-referrer` a browser would not send the origin of a form
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
#: The policy of the signing page: its script may connect to the hub, for the file to sign, and to the signing tool.
SIGNING_POLICY = f"{HEADERS[_POLICY]}; script-src 'self'; connect-src 'self' {signing_tool.ORIGIN}"
#: The policy of a page that loads itself again: its script may connect to the hub only.
LIVE_POLICY = f"{HEADERS[_POLICY]}; script-src 'self'; connect-src 'self'"
#: Maximum octets of a body; and of a body with a file, which only a signed-in user may send.
LIMIT, LARGEST = 64 * 1024, (8 << 20) + 64 * 1024
#: Requests answered at a time. A waiting request keeps a file descriptor open, and the SOAP port needs some too.
ANSWERING = 150
#: Maximum fields of a query, fields of a form, and octets of a form.
_FIELDS, _FORM_FIELDS, _FORM = 20, 80, 16 * 1024
#: Maximum octets of the text area of a packet (`editable.LARGEST_TEXT`, each letter in at most three, each line ending
#: in two).
_PACKET = 1 << 20
_SAFE = re.compile(r"[^A-Za-z0-9._-]")


class AnsweringResource(Resource):
    """Sends the answers that a part of the hub makes: pages, files, blobs of the journal, content in parts."""

    isLeaf = True

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    async def make_answer(self, request: Any, wanted: Callable[[], bool]) -> ConsoleResponse:
        """Return the answer to *request*. *wanted* tells whether the caller still waits for it."""
        raise NotImplementedError

    def render(self, request: Request) -> int:
        """Answer a request of any method."""
        tap = _Tap()
        _ = request.notifyFinish().addErrback(tap.close)
        _ = Deferred.fromCoroutine(self._answer(request, tap)).addErrback(_broke, request, tap)
        return NOT_DONE_YET

    async def _answer(self, request: Any, tap: "_Tap") -> None:
        try:
            answer = await self.make_answer(request, lambda: not tap.closed)
        except CancelledError:
            return  # the caller disconnected
        if tap.closed:
            return
        _write_head(request, answer)
        if answer.parts is not None:
            if request.method != b"HEAD":
                await _pour_parts(request, answer.parts, tap)
        elif answer.stored is None:
            request.write(answer.content)
        elif request.method != b"HEAD":
            await self._pour(request, answer.stored, tap)
        if not tap.closed:
            request.finish()

    async def _pour(self, request: Any, sha256: str, tap: "_Tap") -> None:
        """Send a blob of the journal part by part, as fast as the caller reads it."""
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


class Console(AnsweringResource):
    """All pages of the admin port that need a sign-in."""

    def __init__(self, pages: ConsolePages, journal: Journal) -> None:
        super().__init__(journal)
        self._pages = pages

    def limit(self, request: Any) -> int:
        """Return the maximum octets of the body of *request*. Only a session known to this node may send a file."""
        word = (request.getCookie(SESSION.encode()) or b"").decode("latin-1")
        return LARGEST if self._pages.knows(word) else LIMIT

    async def make_answer(self, request: Any, wanted: Callable[[], bool]) -> ConsoleResponse:
        """Return the page that *request* asks for, or the page of its refusal."""
        asked, drawer = ConsoleRequest(), None
        try:
            asked = attrs.evolve(_read(request), wanted=wanted)
            if request.method == b"POST":
                octets, drawer = request.take_body()
                asked = attrs.evolve(asked, **_form(request.getHeader("content-type") or "", octets))
            return await self._pages.answer(asked)
        except RequestRefused as refused:
            return self._pages.refusal(asked, refused)
        except CancelledError:
            raise
        except Exception:
            log.exception("console-failed")
            return self._pages.refusal(asked, refusals.refuse_as_failed())
        finally:
            if drawer is not None:
                drawer.close()


async def _pour_parts(request: Any, parts: AsyncIterator[bytes], tap: "_Tap") -> None:
    """Send *parts*, each made when the caller has read the one before."""
    request.channel.must_be_read()
    request.registerProducer(tap, True)
    async for part in parts:
        if tap.closed:
            return
        request.write(part)
        await tap.flows()
    if not tap.closed:
        request.unregisterProducer()


@implementer(IPushProducer)
class _Tap:
    """Flow control of one answer: whether the connection has room, and whether it is still open."""

    def __init__(self) -> None:
        self.closed = False
        self._shut: Deferred[None] | None = None

    def flows(self) -> Deferred[None]:
        """Wait until the connection has room or is closed."""
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
        """Note that the connection is closed."""
        self.closed = True
        self.resumeProducing()


def _read(request: Any) -> ConsoleRequest:
    """Return the request as a value. Raises `RequestRefused`."""
    head = {name: request.getHeader(name) or "" for name in ("host", "origin", "sec-fetch-site", "accept-language")}
    address = request.getClientAddress()
    method = request.method.decode("latin-1")
    path, _, query = request.uri.partition(b"?")
    cookies = {}
    for each in (SESSION, BEGINNING, LANGUAGE, FLOW, PROVIDER):
        value = request.getCookie(each.encode())
        if value is not None:
            cookies[each] = value.decode("latin-1")
    return ConsoleRequest(
        method="GET" if method == "HEAD" else method,
        path=read_path_pieces(path),
        query=_pairs(query),
        cookies=cookies,
        host=head["host"],
        origin=head["origin"],
        site=head["sec-fetch-site"],
        languages=head["accept-language"],
        address=str(getattr(address, "host", "")),
        shown=partial(_read_certificates, request),
    )


def _read_certificates(request: Any) -> Sequence[x509.Certificate]:
    """Return the certificate that the client showed in its handshake, and what it sent above it; none are checked."""
    return read_peer_certificates(request.channel.transport)


def read_path_pieces(path: bytes) -> tuple[str, ...]:
    """Return the pieces of a path, each decoded once. Raises `RequestRefused`.

    An empty piece, `.`, `..` or a piece that is not UTF-8 matches no page.
    """
    if not path.startswith(b"/") or len(path) > 4096:
        raise refusals.refuse_as_absent()
    if path == b"/":
        return ()
    try:
        pieces = tuple(unquote_to_bytes(piece).decode("utf-8") for piece in path[1:].split(b"/"))
    except UnicodeDecodeError:
        raise refusals.refuse_as_absent() from None
    if any(piece in {"", ".", ".."} or not piece.isprintable() for piece in pieces):
        raise refusals.refuse_as_absent()
    return pieces


def _pairs(text: bytes, most: int = _FIELDS) -> dict[str, str]:
    """Return names and values; for a repeated name, the first value. Raises `RequestRefused`."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=most, strict_parsing=False
        )
    except ValueError:
        raise refusals.refuse_as_absent() from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _form(header: str, body: Octets) -> dict[str, Any]:
    """Return the `form` and the `file` in *body*, as its Content-Type says. Raises `RequestRefused`."""
    kind = header.partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        if len(body) > _FORM:
            raise refusals.refuse_too_large()
        return {"form": _pairs(body.read(), _FORM_FIELDS) if kind == "application/x-www-form-urlencoded" else {}}
    try:
        fields = mime.read_form_data(body, header, most=_FORM_FIELDS)
    except CallRefused:
        raise given.refuse_unproven_form() from None
    file, packet = fields.pop("file", None), fields.pop("packet", None)
    if sum(map(len, fields.values())) > _FORM or (packet is not None and len(packet) > _PACKET):
        raise refusals.refuse_too_large()
    form = {name: octets.read().decode("utf-8", "replace") for name, octets in fields.items()}
    return {"form": form, "file": file, "packet": packet}


def _write_head(request: Any, answer: ConsoleResponse) -> None:
    request.setResponseCode(answer.status)
    for name, value in HEADERS.items():
        request.setHeader(name, value)
    if answer.scripted:
        request.setHeader(_POLICY, SIGNING_POLICY)
    if answer.live:
        request.setHeader(_POLICY, LIVE_POLICY)
    request.setHeader("Content-Type", answer.content_type)
    request.setHeader("Cache-Control", "private, max-age=31536000, immutable" if answer.lasting else "no-store")
    size = answer.size if answer.stored is not None else len(answer.content)
    if answer.parts is None:
        request.setHeader("Content-Length", str(size))
    for name, value in answer.fields.items():
        request.setHeader(name, value)
    if answer.location is not None:
        request.setHeader("Location", answer.location)
    if answer.retry_after is not None:
        request.setHeader("Retry-After", str(answer.retry_after))
    if answer.filename is not None:
        # a browser that shows a file all the same lets it do nothing
        request.setHeader(_POLICY, HEADERS[_POLICY] + "; sandbox")
        request.setHeader("Content-Disposition", f'attachment; filename="{_SAFE.sub("_", answer.filename)}"')
    for each in answer.cookies:
        request.responseHeaders.addRawHeader("Set-Cookie", each)


def write_early_refusal(problem: Problem) -> tuple[dict[str, str], bytes]:
    """Return header fields and text of a refusal before the request is complete.

    It is sent if the body is too large or cannot be stored.
    """
    refused = refusals.refuse_too_large() if problem.code == "too-large" else refusals.refuse_as_busy()
    lines = zip(say_both(refused.wrong), say_both(refused.do), strict=True)
    text = "".join(f"{wrong}. {do}\n" for wrong, do in lines).encode()
    return {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}, text


def _broke(failure: Any, request: Request, tap: _Tap) -> None:
    """Close the connection of an answer that failed halfway, so that the caller notices."""
    SHORTAGE.note_error(failure.value)
    log.error("console-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not tap.closed:
        request.loseConnection()
