"""Serves the SOAP port: HTTP methods, body sizes, body files and client certificates. Does not interpret calls.

A large body is written to a file while it arrives. A large answer is written as fast as its caller reads it. Neither is
in memory as a whole.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, AnyStr, cast

import attrs
import structlog
from cryptography import x509
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IPullProducer
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import combinedLogFormatter, datetimeToLogString, datetimeToString
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from hub.domain.errors import CallRefused, Unready
from hub.domain.fair_queue import PortShare
from hub.domain.model import Problem
from hub.domain.node_counts import NodeCounts
from hub.domain.trace_context import read_traceparent
from hub.formats import spool
from hub.formats.spool import SMALL, Drawer, Octets
from hub.intake.intake import Intake
from hub.intake.signed_response import SignedResponse
from hub.language.catalogues import say_both
from hub.language.phrases import phrase
from hub.runtime.descriptors import SHORTAGE, is_reserved
from hub.runtime.disk_space import BodyReservation, SpoolReservations
from hub.soap import attachments, envelope
from hub.soap.attachments import Manner
from hub.soap.wsdl import Contract
from hub.web.connection_limits import LINGER, BoundedChannel, Connections, count_allowed_connections

log = structlog.get_logger()

#: Seconds after which an idle connection is closed.
IDLE = 60
#: Seconds before a caller over its limit of concurrent calls gets its 503. Without this delay it could retry as fast as
#: the network allows.
PAUSE = 1
#: Maximum octets of a body that stays in memory although it is larger than `SMALL`. Writing and reading a file costs as
#: much as half of all that a packet of 64 KB needs. At 1 MB memory costs as much as a file.
HELD = 1 << 18
#: Maximum octets of memory for all such bodies and for what is decoded from them.
MOST_HELD = 1 << 24
#: Maximum octets a second read and discarded of a refused body: 40 MB within `LINGER`, and no more of the reactor's
#: time.
DISCARDED = 8 << 20

_METHODS = {b"GET", b"HEAD", b"POST"}
#: Nearly all callers send one of a few media types.
_read_manner = lru_cache(maxsize=128)(attachments.read_http_manner)
_XML = envelope.CONTENT_TYPE.encode()


class BoundedRequest(Request):
    """A request whose body is refused as soon as it is known to be too large, before it is read or stored."""

    channel: Any  # an HTTPChannel with its site, which Twisted's types do not declare
    content: IO[bytes] | None
    _refused = False
    _stranger: Problem | None = None
    _limit = 0
    _size = 0
    _lingering: IDelayedCall | None = None
    _pausing: IDelayedCall | None = None
    _drawer: Drawer | None = None
    _taken: BodyReservation | None = None  #: space reserved for a body that is written to a file
    gone = False  #: whether the caller has disconnected
    logged = False  #: whether another line of the log tells what became of the request

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """Return a header field decoded as ISO 8859-1 (RFC 9110, section 5.5).

        Twisted's own method accepts only UTF-8.
        """
        if isinstance(key, bytes):
            return super().getHeader(key)
        value = super().getHeader(key.encode("ascii"))
        return None if value is None else value.decode("latin-1")

    @property
    def target(self) -> bytes:
        """The target of the request line, which is known before the body is complete."""
        return getattr(self.channel, "_path", None) or self.uri

    def gotLength(self, length: int | None) -> None:
        """Refuse a body by its declared length, or prepare to store it.

        A body above `SMALL` octets goes to a file in the spool folder, unless it has at most `HELD` octets and memory
        for it is left. A client whose certificate belongs to no partner
        (a stranger) may send only small bodies.
        """
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
                if not self._hold(length):
                    self._take_room(length)
                    self.content = _open_body_file(self._drawer)
            except Unready as unready:
                self._refuse_unready(unready)

    def handleContentChunk(self, data: bytes) -> None:
        """Store a part of the body. Refuse the body if it exceeds the limit or cannot be stored."""
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
                self.channel.site.room()  # the disk had space when the body began, but other bodies use it too
            spool.write_spooled(self.content, data)
        except Unready as unready:
            self._refuse_unready(unready)

    def _hold(self, length: int | None) -> bool:
        """Reserve memory for a body of *length* octets, and for as many that are decoded from it.

        It is released when the body's drawer is closed. Return whether there is any.
        """
        site: BoundedSite = self.channel.site
        if length is None or length > HELD or site.held + 2 * length > MOST_HELD:
            return False
        assert self._drawer is not None
        self._drawer.memory = length
        site.held += 2 * length
        self._drawer.afterwards(partial(site.let_go, 2 * length))
        return True

    def _take_room(self, length: int | None) -> None:
        """Reserve spool space for the body until its drawer is closed. Raises `Unready`."""
        site: BoundedSite = self.channel.site
        share: PortShare | None = self.channel.share
        if site.spool_room is not None and share is not None and self._drawer is not None:
            self._taken = site.spool_room.reserve(share, length)
            self._drawer.afterwards(self._taken.release)

    def take_body(self) -> tuple[Octets, Drawer]:
        """Return the body and the drawer that holds its files. From now on the caller must close the drawer."""
        assert self.content is not None
        assert self._drawer is not None
        content, drawer = self.content, self._drawer
        # otherwise Twisted closes it when the connection is lost, while it is being read
        self.content = self._drawer = None
        return Octets.of(content.getvalue() if isinstance(content, BytesIO) else content), drawer

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Pass the request to its resource, unless its body was refused."""
        if self._refused:
            self._end()
        else:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        """Find the resource of the request and let it answer.

        A call to one of the site's `services` goes there directly, with the header fields that Twisted gives an answer.
        """
        site: BoundedSite = self.channel.site
        service = site.services.get(self.path)
        if service is None or self.method != b"POST" or site.is_full:
            super().process()
            return
        fields = {b"Server": [server.version], b"Date": [site.tell_date()]}
        self.responseHeaders._rawHeaders = fields  # noqa: SLF001 - as in `plain_head`
        try:
            body = service.render_POST(self)
        except Exception:  # noqa: BLE001 - logged and answered 500, as Twisted does
            self.site = site
            self.processingFailed(Failure())
            return
        if body is not NOT_DONE_YET:
            self.answer(body)

    def render(self, resrc: Resource) -> None:
        """Let the resource answer, unless too many requests are being answered.

        A resource with `probe` always answers.
        """
        site: BoundedSite = self.channel.site
        if site.is_full and not getattr(resrc, "probe", False):
            self._refuse_unready(
                Unready("hub-busy", phrase("{answering} requests are being answered", answering=site.answering))
            )
            self._end()
        else:
            super().render(resrc)

    def answer(self, body: bytes) -> None:
        """Send *body* behind the status and the header fields that were set, in one write, and end the answer."""
        self.startedWriting, self.sentLength = 1, len(body)
        fields = [
            b"%b: %b\r\n" % (name, value) for name, each in self.responseHeaders.getAllRawHeaders() for value in each
        ]
        self.channel.transport.write(
            b"%b %d %b\r\n%bContent-Length: %d\r\n\r\n%b"
            % (self.clientproto, self.code, self.code_message, b"".join(fields), len(body), body)
        )
        self.finish()

    def finish(self) -> None:
        """End the answer, and discard a body that was not taken."""
        super().finish()
        self.close_body()

    def connectionLost(self, reason: Any) -> None:
        """Cancel the timers, and discard the body."""
        self.gone = True
        for timer in (self._lingering, self._pausing):
            if timer is not None and timer.active():
                timer.cancel()
        self.close_body()
        super().connectionLost(reason)

    def close_body(self) -> None:
        """Discard the body, unless `take_body` was called."""
        if self._drawer is not None:
            self._drawer.close()
            self._drawer = None

    def _refuse_size(self, size: int) -> None:
        problem, status = Problem("too-large", f"{size} > {self._limit}"), b"413 Content Too Large"
        if self._stranger is not None:  # a stranger gets the same answer as for a small body
            problem = self._stranger
            status = b"400 Bad Request" if _read_soap_version(self) == envelope.SOAP12 else b"500 Internal Server Error"
        log.info("body-refused", size=size, limit=self._limit, problem=problem.code)
        self._refuse(problem, status, ours=False)
        if self.channel.site.note is not None:
            self.channel.site.note(problem, read_client_certificate(self.channel))

    def _refuse_unready(self, unready: Unready) -> None:
        log.warning("hub-unready", problem=unready.problem.code, detail=str(unready.problem.detail), tracking="")
        if self.channel.site.count is not None:
            self.channel.site.count(unready.problem.code, read_client_certificate(self.channel))
        self._refuse(unready.problem, b"503 Service Unavailable\r\nRetry-After: %d" % unready.retry_after, ours=True)

    def _refuse(self, problem: Problem, status: bytes, *, ours: bool) -> None:
        self._refused = self.channel.refused = True
        self.close_body()
        self.requestHeaders.removeHeader(b"expect")  # the refusal is the final answer: no `100 Continue` may follow
        site: BoundedSite = self.channel.site
        headers, body = self._fault(problem, ours=ours) if site.refusal is None else site.refusal(problem, self)
        said = {"Connection": "close", **headers, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items()).encode("ascii")
        self.channel.transport.write(b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, lines, body))
        self._lingering = site.reactor.callLater(LINGER, self._end)

    def _pause(self, seconds: float) -> None:
        """Stop reading for *seconds*, in addition to a pause that is already in force."""
        if self._pausing is not None and self._pausing.active():
            self._pausing.delay(seconds)
            return
        self.channel.transport.pauseProducing()
        self._pausing = self.channel.site.reactor.callLater(seconds, self.channel.transport.resumeProducing)

    def _fault(self, problem: Problem, *, ours: bool) -> tuple[dict[str, str], bytes]:
        soap = _read_soap_version(self)
        body = envelope.write_fault(self.channel.site.namespace, [problem], server=ours, tracking="", soap=soap)
        return {"Content-Type": envelope.CONTENT_TYPES[soap]}, body

    def _end(self) -> None:
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        # the transport's own method would wait for the channel, which is a producer, to finish
        self.channel.loseConnection()


def _open_body_file(drawer: Drawer) -> IO[bytes]:
    """Open a file for a body. Raises Unready if it would be one of the hub's last descriptors."""
    made = drawer.file()
    if is_reserved(made.fileno(), lately=True):
        SHORTAGE.note_reserve()
        raise Unready("hub-busy", SHORTAGE.describe())
    return made


def _write_access_line(_timestamp: str, request: Request) -> str:
    """Return a line of the access log with wall clock time. The reactor's clock only measures durations."""
    return cast("str", combinedLogFormatter(datetimeToLogString(), request))


class BoundedSite(Site):
    """A site that limits the size of request bodies and the number of connections."""

    protocol = cast("Any", BoundedChannel)  # HTTP/2 is not supported

    room: Callable[[], None] = staticmethod(lambda: None)  #: raises `Unready` if the disk has no space for a large body
    #: maximum octets of a request's body, where it depends on the header fields
    limit: Callable[[Request], int] | None = None
    #: header fields and body of a refusal, where it is not a SOAP fault
    refusal: "Callable[[Problem, BoundedRequest], tuple[dict[str, str], bytes]] | None" = None
    #: why a certificate may only bring small bodies; None: it may bring large ones
    stranger: Callable[[x509.Certificate], Problem | None] | None = None
    answering: int | None = None  #: requests answered at a time; None: the resource limits them
    services: "Mapping[bytes, ServiceResource]" = MappingProxyType({})  #: by path; they are in the tree, too
    _told: tuple[float, bytes] = (
        float("-inf"),
        b"",
    )  #: when the Date field was written, by the reactor's clock, and what
    share_of: Callable[[Any], PortShare] | None = None  #: the share of a channel's owner; None: no shares
    spool_room: SpoolReservations | None = None  #: spool space that all bodies share
    held = 0  #: octets of memory reserved for bodies of more than `SMALL` octets and what is decoded from them
    #: called with each refused body's problem and certificate
    note: Callable[[Problem, x509.Certificate], None] | None = None
    #: called with the code and the certificate of each request that the hub had no room for
    count: Callable[[str, x509.Certificate], None] | None = None

    def __init__(
        self, resource: Resource, body_limit: int, namespace: str, reactor: Any, spool: Path | None = None
    ) -> None:
        # No form is posted here. Twisted would read a form into memory as a whole to parse it.
        super().__init__(
            resource,
            requestFactory=BoundedRequest,
            parsePOSTFormSubmission=False,
            timeout=IDLE,
            reactor=reactor,
            logFormatter=_write_access_line,
        )
        self._connections = Connections(count_allowed_connections())
        self.body_limit = body_limit
        self.spool = spool  #: folder for body files; None: the system's
        self.namespace = namespace
        self.reactor = reactor
        self.displayTracebacks = False

    def list_connections(self) -> list[BoundedChannel]:
        """Return every open connection of the port in this process."""
        return self._connections.list_open()

    def make_room(self) -> bool:
        """Close the least useful connection, because descriptors are short. Return whether there was one."""
        return self._connections.close_one()

    def let_go(self, octets: int) -> None:
        """Release *octets* of memory that a body has reserved."""
        self.held -= octets

    def divide_connections(self, processes: int, counts: NodeCounts) -> None:
        """Share the port with other processes, *processes* in all. Call it before the first connection."""
        self._connections = Connections(count_allowed_connections(processes), processes, counts)

    def tell_date(self) -> bytes:
        """Return the field Date of an answer. It may be a second old."""
        now = self.reactor.seconds()
        if now >= self._told[0] + 1:
            self._told = now, datetimeToString()
        return self._told[1]

    def log(self, request: Any) -> None:
        """Write a line of the access log, unless another line of the log says more about the request."""
        if not request.logged:
            super().log(request)

    @property
    def is_full(self) -> bool:
        """Tell whether more than `answering` requests have arrived whole and wait for their answer."""
        return self.answering is not None and len(self._connections.answering) > self.answering

    def buildProtocol(self, addr: Any) -> Any:
        """Create the channel of a new connection."""
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
        """Answer any other method with status 405 (Basic Profile 1.1, R1114).

        Twisted answers an unknown one with 501.
        """
        return super().render(request) if request.method in _METHODS else _not_allowed(request)

    def render_GET(self, request: Request) -> bytes:
        """Return the WSDL, or the XSD with the given name."""
        if request.postpath:
            return _render_nothing(request)
        arguments = {name.lower(): values for name, values in request.args.items()}
        if b"wsdl" in arguments or request.uri.lower().endswith(b"?wsdl"):
            document = self._contract.wsdl(self._address())
        elif b"xsd" in arguments:
            try:
                document = self._contract.xsd(arguments[b"xsd"][0].decode("ascii"), self._address())
            except (KeyError, UnicodeDecodeError):
                return _render_nothing(request)
        else:
            return _not_allowed(request)
        request.setHeader(b"Content-Type", _XML)
        return document

    render_HEAD = render_GET

    def render_POST(self, request: BoundedRequest) -> Any:
        """Pass a call to intake, and write the answer."""
        try:
            manner = _manner(request)
        except CallRefused as refused:
            request.close_body()
            self._intake.record_refusal(refused.problems[0], read_client_certificate(request.channel))
            request.setResponseCode(415 if refused.problems[0].code == "media-type" else 400)
            soap = _read_soap_version(request)
            request.setHeader(b"Content-Type", envelope.CONTENT_TYPES[soap].encode())
            return envelope.write_fault(
                self._contract.namespace, refused.problems, server=False, tracking="", soap=soap
            )
        try:
            leave = self._intake.enter(read_client_certificate(request.channel))
        except Unready as unready:
            return self._postpone(request, unready)
        body, drawer = request.take_body()
        _ = Deferred.fromCoroutine(self._answer(request, body, manner, drawer, leave)).addErrback(
            _end_lost_call, request
        )
        return NOT_DONE_YET

    def _postpone(self, request: BoundedRequest, unready: Unready) -> int:
        """Answer with status 503 and Retry-After, after `PAUSE` seconds."""
        request.close_body()
        request.setResponseCode(503)
        request.setHeader(b"Retry-After", b"%d" % unready.retry_after)
        soap = _read_soap_version(request)
        request.setHeader(b"Content-Type", envelope.CONTENT_TYPES[soap].encode())
        fault = envelope.write_fault(self._contract.namespace, [unready.problem], server=True, tracking="", soap=soap)
        later = request.channel.site.reactor.callLater(PAUSE, _finish_request, request, fault)
        _ = request.notifyFinish().addErrback(lambda _: later.cancel())
        return NOT_DONE_YET

    async def _answer(
        self, request: BoundedRequest, body: Octets, manner: Manner, drawer: Drawer, leave: Callable[[], None]
    ) -> None:
        certificate = read_client_certificate(request.channel)
        try:
            answer = await self._intake.answer(body, manner, certificate, drawer, lambda: not request.gone)
            if not request.gone:  # else what was journalled stays, and the same call gets the same answer
                await _write_answer(request, answer, manner)
        finally:
            leave()
            drawer.close()


async def _write_answer(request: BoundedRequest, answer: SignedResponse, manner: Manner) -> None:
    """Write *answer*, unless the caller disconnects meanwhile."""
    if answer.retry_after is not None:
        request.setResponseCode(503)
        request.setHeader(b"Retry-After", str(answer.retry_after).encode())
    elif answer.fault:
        request.setResponseCode(400 if answer.senders and manner.soap == envelope.SOAP12 else 500)
    request.setHeader(b"Content-Type", answer.body.content_type.encode())
    request.logged = answer.logged
    if answer.body.size <= SMALL:
        request.answer(answer.body.read())
        return
    request.setHeader(b"Content-Length", b"%d" % answer.body.size)
    if await _write_pieces(request, answer.body.pieces()):
        request.finish()


@implementer(IPullProducer)
@attrs.define(eq=False)
class _Written:
    """Writes a large answer: one piece each time the connection has room for it."""

    _request: BoundedRequest
    _pieces: Iterator[bytes]
    done: Deferred[bool] = attrs.field(factory=Deferred, init=False)

    def resumeProducing(self) -> None:
        """Write the next piece."""
        try:
            piece = next(self._pieces, None)
        except OSError:  # the disk failed: break off the answer so that the caller notices
            log.exception("spool-failed")
            self._request.channel.transport.abortConnection()
            return
        if piece is not None:
            self._request.write(piece)
            return
        self._request.unregisterProducer()
        self.done.callback(True)

    def stopProducing(self) -> None:
        """Stop, because the caller has disconnected."""
        if not self.done.called:
            self.done.callback(False)


def _write_pieces(request: BoundedRequest, pieces: Iterator[bytes]) -> Deferred[bool]:
    """Write *pieces*. The result is True if all are written, False if the caller has disconnected."""
    writing = _Written(request, pieces)
    _ = request.notifyFinish().addErrback(lambda _: writing.stopProducing())
    request.channel.must_be_read()
    request.registerProducer(writing, False)
    return writing.done


def _finish_request(request: BoundedRequest, body: bytes) -> None:
    request.answer(body)


def _not_allowed(request: Request) -> bytes:
    request.setResponseCode(405)
    request.setHeader(b"Allow", b"POST")
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    return (" / ".join(say_both(phrase("Call by POST; the contract is at ?wsdl."))) + "\n").encode()


def _render_nothing(request: Request) -> bytes:
    return cast("bytes", NoResource().render(request))


def read_client_certificate(channel: Any) -> x509.Certificate:
    """Return the certificate that the client showed. The handshake requires one, and it is the same until the end."""
    if channel.certificate is None:
        channel.certificate = channel.transport.getPeerCertificate().to_cryptography()
    return cast("x509.Certificate", channel.certificate)


def _read_soap_version(request: Request) -> str:
    """Return the SOAP version that the media type names; 1.1 if it names none."""
    try:
        return attachments.read_http_manner(request.getHeader("content-type") or "", None).soap
    except CallRefused:
        return envelope.SOAP11


def _manner(request: Request) -> Manner:
    """Return how the call was sent. Raises `CallRefused`."""
    encoding = (request.getHeader("content-encoding") or "identity").strip(" \t").lower()
    if encoding != "identity":
        raise CallRefused(Problem("media-type", f"Content-Encoding: {encoding[:50]}"))
    written = _read_all_headers(request, b"content-type")
    if len(written) > 1:  # an intermediary may have used the other one
        raise CallRefused(Problem("media-type", " / ".join(written)[:200]))
    actions = _read_all_headers(request, b"soapaction")  # two values match no action, so they are refused later
    manner = _read_manner("".join(written), ", ".join(actions) if actions else None)
    traces = _read_all_headers(request, b"traceparent")
    trace = read_traceparent(traces[0]) if len(traces) == 1 else None
    return manner if trace is None else attrs.evolve(manner, trace=trace)


def _read_all_headers(request: Request, name: bytes) -> list[str]:
    return [value.decode("latin-1") for value in request.requestHeaders.getRawHeaders(name, [])]


def _end_lost_call(failure: Any, request: BoundedRequest) -> None:
    """End the connection of a call that could not be answered, not even with a fault."""
    if failure.check(CancelledError):
        return  # the caller disconnected before the answer was ready
    if not request.gone:
        request.channel.end_unanswered()
    SHORTAGE.note_error(failure.value)
    log.error("answer-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
