"""The SOAP port: HTTP in, HTTP out.  Knows methods, sizes, where a body lies and who is on the other end; not what a call means.

A large body goes to a file as it comes, and a large answer is written as fast as its caller reads: neither is in memory whole.
"""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any, AnyStr, cast

import attrs
import structlog
from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPullProducer
from twisted.web.http import combinedLogFormatter, datetimeToLogString
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from hub.domain.errors import CallRefused, Unready
from hub.domain.fair_queue import PortShare
from hub.domain.model import Problem
from hub.formats import spool
from hub.formats.spool import SMALL, Drawer, Octets
from hub.intake.intake import Intake
from hub.runtime.disk_space import BodyRoom, SpoolRoom
from hub.soap import attachments, envelope
from hub.soap.attachments import Manner
from hub.soap.wsdl import Contract
from hub.web.connection_limits import LINGER, BoundedChannel, Connections, count_allowed_connections

log = structlog.get_logger()

#: A connection that says nothing for so long is closed, in seconds.
IDLE = 60
#: Who brings more calls than it may is told so after a moment, in seconds: else it would be told as often as it can ask.
PAUSE = 1
#: What still comes of a refused body is read at most so fast, in octets a second: 40 MB within `LINGER`, and no more of the reactor's time.
DISCARDED = 8 << 20

_METHODS = {b"GET", b"HEAD", b"POST"}
_XML = envelope.CONTENT_TYPE.encode()


class BoundedRequest(Request):
    """A request whose body is refused as soon as it is known to be too large, before it is read or kept."""

    channel: Any  # an HTTPChannel that knows its site, which Twisted's types do not say
    content: IO[bytes] | None
    _refused = False
    _stranger: Problem | None = None
    _limit = 0
    _size = 0
    _lingering: IDelayedCall | None = None
    _pausing: IDelayedCall | None = None
    _drawer: Drawer | None = None
    _taken: BodyRoom | None = None  #: the room of a body that goes to a file

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """Return a header as its octets come, in ISO 8859-1 (RFC 9110, 5.5): Twisted's own reading takes only UTF-8."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        value = super().getHeader(key.encode("ascii"))
        return None if value is None else value.decode("latin-1")

    def gotLength(self, length: int | None) -> None:
        """Refuse by the declared length, or make room: a file in our own place for what is not small, and not a stranger's."""
        site: BoundedSite = self.channel.site
        self._limit = site.body_limit if site.limit is None else site.limit(self)
        if site.stranger is not None and (length is None or length > SMALL):
            self._stranger = site.stranger(read_client_certificate(self.channel))
            self._limit = self._limit if self._stranger is None else min(self._limit, SMALL)
        if length is not None and length > self._limit:
            self.content = BytesIO()
            self._refuse_size(length)
            return
        self._drawer, self.content = Drawer(self.channel.site.spool), BytesIO()
        if self._limit > SMALL if length is None else length > SMALL:
            try:
                site.room()
                self._take_room(length)
                self.content = self._drawer.file()
            except Unready as unready:
                self._refuse_unready(unready)

    def handleContentChunk(self, data: bytes) -> None:
        """Refuse by what has come, when no length was declared; or because it cannot be kept."""
        self._size += len(data)
        if not self._refused and self._size > self._limit:
            self._refuse_size(self._size)
        if self._refused:
            self._pause(len(data) / DISCARDED)
            return
        assert self.content is not None
        try:
            if not isinstance(self.content, BytesIO):
                if self._taken is not None:
                    self._taken.write(len(data))
                self.channel.site.room()  # there was some when it began, as there was for all that came beside it
            spool.write_spooled(self.content, data)
        except Unready as unready:
            self._refuse_unready(unready)

    def _take_room(self, length: int | None) -> None:
        """Take room for the body, as long as its drawer is open.  Raises Unready."""
        site: BoundedSite = self.channel.site
        share: PortShare | None = self.channel.share
        if site.spool_room is not None and share is not None and self._drawer is not None:
            self._taken = site.spool_room.take(share, length)
            self._drawer.afterwards(self._taken.release)

    def take_body(self) -> tuple[Octets, Drawer]:
        """Return the body and the drawer it lies in, which is the caller's to close from now on."""
        assert self.content is not None
        assert self._drawer is not None
        content, drawer = self.content, self._drawer
        self.content = self._drawer = None  # Twisted would close it when the connection is lost, under whoever reads it
        return Octets.of(content.getvalue() if isinstance(content, BytesIO) else content), drawer

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Go on to the resource, unless the body was refused."""
        if self._refused:
            self._end()
        else:
            super().requestReceived(command, path, version)

    def render(self, resrc: Resource) -> None:
        """Let the resource answer, unless too many are being answered; a `probe` is answered even so."""
        site: BoundedSite = self.channel.site
        if site.is_full and not getattr(resrc, "probe", False):
            self._refuse_unready(Unready("hub-busy", f"{site.answering} requests are being answered"))
            self._end()
        else:
            super().render(resrc)

    def finish(self) -> None:
        """End the answer; a body that nobody took is gone with it."""
        super().finish()
        self.close_body()

    def connectionLost(self, reason: Any) -> None:
        """Forget the timers."""
        for timer in (self._lingering, self._pausing):
            if timer is not None and timer.active():
                timer.cancel()
        self.close_body()
        super().connectionLost(reason)

    def close_body(self) -> None:
        """Throw the body away, unless it was taken."""
        if self._drawer is not None:
            self._drawer.close()
            self._drawer = None

    def _refuse_size(self, size: int) -> None:
        problem, status = Problem("too-large", f"{size} > {self._limit}"), b"413 Content Too Large"
        if self._stranger is not None:  # he is told what he would be told of a small one
            problem = self._stranger
            status = b"400 Bad Request" if _soap(self) == envelope.SOAP12 else b"500 Internal Server Error"
        log.info("body-refused", size=size, limit=self._limit, problem=problem.code)
        self._refuse(problem, status, ours=False)
        if self.channel.site.note is not None:
            self.channel.site.note(problem, read_client_certificate(self.channel))

    def _refuse_unready(self, unready: Unready) -> None:
        log.warning("hub-unready", problem=unready.problem.code, detail=unready.problem.detail, tracking="")
        self._refuse(unready.problem, b"503 Service Unavailable\r\nRetry-After: %d" % unready.retry_after, ours=True)

    def _refuse(self, problem: Problem, status: bytes, *, ours: bool) -> None:
        self._refused = self.channel.refused = True
        self.close_body()
        self.requestHeaders.removeHeader(b"expect")  # the refusal is the answer; nothing may ask for the body now
        site: BoundedSite = self.channel.site
        headers, body = self._fault(problem, ours=ours) if site.refusal is None else site.refusal(problem)
        said = {"Connection": "close", **headers, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items()).encode("ascii")
        self.channel.transport.write(b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, lines, body))
        self._lingering = site.reactor.callLater(LINGER, self._end)

    def _pause(self, seconds: float) -> None:
        """Read nothing for so many *seconds*, beside those for which nothing is read already."""
        if self._pausing is not None and self._pausing.active():
            self._pausing.delay(seconds)
            return
        self.channel.transport.pauseProducing()
        self._pausing = self.channel.site.reactor.callLater(seconds, self.channel.transport.resumeProducing)

    def _fault(self, problem: Problem, *, ours: bool) -> tuple[dict[str, str], bytes]:
        soap = _soap(self)
        body = envelope.write_fault(self.channel.site.namespace, [problem], server=ours, tracking="", soap=soap)
        return {"Content-Type": envelope.CONTENT_TYPES[soap]}, body

    def _end(self) -> None:
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        self.channel.loseConnection()  # the transport's own would wait for the channel, which produces, to be done


def _line(_timestamp: str, request: Request) -> str:
    """Return the access log's line with the time of the clock on the wall: that of the reactor only counts."""
    return cast("str", combinedLogFormatter(datetimeToLogString(), request))


class BoundedSite(Site):
    """A site whose requests have bodies of at most `body_limit` octets, on so many connections and no more."""

    protocol = cast("Any", BoundedChannel)  # no HTTP/2 is spoken

    room: Callable[[], None] = staticmethod(lambda: None)  #: raises Unready when there is none for a large body
    limit: Callable[[Request], int] | None = (
        None  #: what a request may bring, by its headers, where that is not the same for all
    )
    refusal: Callable[[Problem], tuple[dict[str, str], bytes]] | None = (
        None  #: headers and text, where it is no SOAP fault
    )
    stranger: Callable[[x509.Certificate], Problem | None] | None = None  #: why who shows it brings only what is small
    answering: int | None = None  #: so many requests are answered at a time; None: the resource itself sees to it
    share_of: Callable[[Any], PortShare] | None = None  #: of whose a channel is; None: nobody has one
    spool_room: SpoolRoom | None = None  #: the room that bodies share
    note: Callable[[Problem, x509.Certificate], None] | None = None  #: told of each body that was refused, and whose

    def __init__(
        self, resource: Resource, body_limit: int, namespace: str, reactor: Any, spool: Path | None = None
    ) -> None:
        # No form is ever posted here: Twisted would read all of it into memory to take it apart.
        super().__init__(
            resource,
            requestFactory=BoundedRequest,
            parsePOSTFormSubmission=False,
            timeout=IDLE,
            reactor=reactor,
            logFormatter=_line,
        )
        self._connections = Connections(count_allowed_connections())
        self.body_limit = body_limit
        self.spool = spool  #: the folder for the files of bodies; None: the system's
        self.namespace = namespace
        self.reactor = reactor
        self.displayTracebacks = False

    @property
    def is_full(self) -> bool:
        """Tell whether more than `answering` requests have come whole and wait for their answer."""
        return self.answering is not None and len(self._connections.answering) > self.answering

    def buildProtocol(self, addr: Any) -> Any:
        """Let a connection in."""
        channel: Any = super().buildProtocol(addr)
        channel.connections = self._connections
        return channel


class ServiceResource(Resource):
    """One service at its URL: calls by POST, its contract by `?wsdl` and `?xsd=NAME`."""

    isLeaf = True

    def __init__(self, intake: Intake, contract: Contract, address: Callable[[], str]) -> None:
        super().__init__()
        self._intake = intake
        self._contract = contract
        self._address = address

    def render(self, request: Request) -> Any:
        """Answer another method by 405 (Basic Profile 1.1, R1114); of one that it does not know, Twisted would say 501."""
        return super().render(request) if request.method in _METHODS else _not_allowed(request)

    def render_GET(self, request: Request) -> bytes:
        """Give the contract."""
        if request.postpath:
            return _nothing(request)
        arguments = {name.lower(): values for name, values in request.args.items()}
        if b"wsdl" in arguments or request.uri.lower().endswith(b"?wsdl"):
            document = self._contract.wsdl(self._address())
        elif b"xsd" in arguments:
            try:
                document = self._contract.xsd(arguments[b"xsd"][0].decode("ascii"))
            except (KeyError, UnicodeDecodeError):
                return _nothing(request)
        else:
            return _not_allowed(request)
        request.setHeader(b"Content-Type", _XML)
        return document

    render_HEAD = render_GET

    def render_POST(self, request: BoundedRequest) -> Any:
        """Take a call."""
        try:
            manner = _manner(request)
        except CallRefused as refused:
            request.close_body()
            self._intake.note(refused.problems[0], read_client_certificate(request.channel))
            request.setResponseCode(415 if refused.problems[0].code == "media-type" else 400)
            soap = _soap(request)
            request.setHeader(b"Content-Type", envelope.CONTENT_TYPES[soap].encode())
            return envelope.write_fault(
                self._contract.namespace, refused.problems, server=False, tracking="", soap=soap
            )
        try:
            leave = self._intake.enter(read_client_certificate(request.channel))
        except Unready as unready:
            return self._postpone(request, unready)
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)
        body, drawer = request.take_body()
        answered = Deferred.fromCoroutine(self._answer(request, body, manner, drawer, gone))
        _ = answered.addErrback(_lost).addBoth(_answered, drawer, leave)
        return NOT_DONE_YET

    def _postpone(self, request: BoundedRequest, unready: Unready) -> int:
        """Tell the caller to come again, after a moment."""
        request.close_body()
        request.setResponseCode(503)
        request.setHeader(b"Retry-After", b"%d" % unready.retry_after)
        soap = _soap(request)
        request.setHeader(b"Content-Type", envelope.CONTENT_TYPES[soap].encode())
        fault = envelope.write_fault(self._contract.namespace, [unready.problem], server=True, tracking="", soap=soap)
        later = request.channel.site.reactor.callLater(PAUSE, _finish, request, fault)
        _ = request.notifyFinish().addErrback(lambda _: later.cancel())
        return NOT_DONE_YET

    async def _answer(
        self, request: BoundedRequest, body: Octets, manner: Manner, drawer: Drawer, gone: list[object]
    ) -> None:
        answer = await self._intake.answer(
            body, manner, read_client_certificate(request.channel), drawer, lambda: not gone
        )
        if gone:
            return  # the caller hung up; what was journalled stays, and the same call gets the same answer
        if answer.retry_after is not None:
            request.setResponseCode(503)
            request.setHeader(b"Retry-After", str(answer.retry_after).encode())
        elif answer.fault:
            request.setResponseCode(400 if answer.senders and manner.soap == envelope.SOAP12 else 500)
        request.setHeader(b"Content-Type", answer.body.content_type.encode())
        request.setHeader(b"Content-Length", str(answer.body.size).encode())
        if answer.body.size <= SMALL:
            request.write(answer.body.read())
        elif not await _written(request, answer.body.pieces()):
            return  # the caller hung up
        request.finish()


@implementer(IPullProducer)
@attrs.define(eq=False)
class _Written:
    """A large answer on its way: a piece each time the connection has room for one."""

    _request: BoundedRequest
    _pieces: Iterator[bytes]
    done: Deferred[bool] = attrs.field(factory=Deferred, init=False)

    def resumeProducing(self) -> None:
        """Write the next piece."""
        try:
            piece = next(self._pieces, None)
        except OSError:  # the disk fails: the caller shall see an answer that breaks off
            log.exception("spool-failed")
            self._request.channel.transport.abortConnection()
            return
        if piece is not None:
            self._request.write(piece)
            return
        self._request.unregisterProducer()
        self.done.callback(True)

    def stopProducing(self) -> None:
        """Stop: the caller has hung up."""
        if not self.done.called:
            self.done.callback(False)


def _written(request: BoundedRequest, pieces: Iterator[bytes]) -> Deferred[bool]:
    """Write *pieces*; fire with True when all are written, with False when nobody reads them any more."""
    writing = _Written(request, pieces)
    _ = request.notifyFinish().addErrback(lambda _: writing.stopProducing())
    request.channel.must_be_read()
    request.registerProducer(writing, False)
    return writing.done


def _finish(request: Request, body: bytes) -> None:
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.write(body)
    request.finish()


def _answered(_: object, drawer: Drawer, leave: Callable[[], None]) -> None:
    leave()
    drawer.close()


def _not_allowed(request: Request) -> bytes:
    request.setResponseCode(405)
    request.setHeader(b"Allow", b"POST")
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    return "Gọi bằng POST; đặc tả ở ?wsdl. / Call by POST; the contract is at ?wsdl.\n".encode()


def _nothing(request: Request) -> bytes:
    return cast("bytes", NoResource().render(request))


def read_client_certificate(channel: Any) -> x509.Certificate:
    """Return the certificate the client showed; the handshake has demanded one."""
    shown = channel.transport.getPeerCertificate()
    return cast("x509.Certificate", shown.to_cryptography())


def _soap(request: Request) -> str:
    """Return the version that the media type names; 1.1 for one that names none."""
    try:
        return attachments.read_http_manner(request.getHeader("content-type") or "", None).soap
    except CallRefused:
        return envelope.SOAP11


def _manner(request: Request) -> Manner:
    """Return how the call was sent.  Raises CallRefused."""
    encoding = (request.getHeader("content-encoding") or "identity").strip(" \t").lower()
    if encoding != "identity":
        raise CallRefused(Problem("media-type", f"Content-Encoding: {encoding[:50]}"))
    written = _all(request, b"content-type")
    if len(written) > 1:  # whoever stands between may have believed the other one
        raise CallRefused(Problem("media-type", " / ".join(written)[:200]))
    actions = _all(request, b"soapaction")  # two agree with nothing
    return attachments.read_http_manner("".join(written), ", ".join(actions) if actions else None)


def _all(request: Request, name: bytes) -> list[str]:
    return [value.decode("latin-1") for value in request.requestHeaders.getRawHeaders(name, [])]


def _lost(failure: Any) -> None:
    if failure.check(CancelledError):
        return  # the caller hung up before its work was done
    log.error("answer-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
