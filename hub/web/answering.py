"""Sends the answers of the admin port: pages, files, blobs of the journal, content in parts; and the header fields of all."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from hub.journal import blobs
from hub.operations import refusals
from hub.runtime.descriptors import SHORTAGE
from hub.store.batch_commit import Journal
from hub.web import signing_tool
from hub.web.answers import ConsoleResponse

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
        _ = Deferred.fromCoroutine(self._answer(request, tap)).addErrback(_report_broken_answer, request, tap)
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


def _report_broken_answer(failure: Any, request: Request, tap: _Tap) -> None:
    """Close the connection of an answer that failed halfway, so that the caller notices."""
    SHORTAGE.note_error(failure.value)
    log.error("console-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not tap.closed:
        request.loseConnection()
