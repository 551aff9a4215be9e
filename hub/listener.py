"""The SOAP port: HTTP in, HTTP out.  Knows methods, media types, sizes and who is on the other end; not what a call means."""

import re
from collections.abc import Callable
from typing import Any, cast

import structlog
from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from hub import envelope
from hub.connections import BoundedChannel, Connections, allowed
from hub.contract import Contract
from hub.intake import Intake, Manner
from hub.model import Problem

log = structlog.get_logger()

#: A connection that says nothing for so long is closed, in seconds.
IDLE = 60
#: After refusing a body, what still comes is thrown away for so long, so that the refusal can be read, in seconds.
LINGER = 5

_METHODS = {b"GET", b"HEAD", b"POST"}
_XML = envelope.CONTENT_TYPE.encode()
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:("(?:[^"\\]|\\.)*")|([^\s;"]*))')


class BoundedRequest(Request):
    """A request whose body is refused as soon as it is known to be too large, before it is read or kept."""

    channel: Any  # an HTTPChannel that knows its site, which Twisted's types do not say
    _refused = False
    _size = 0
    _lingering: IDelayedCall | None = None

    def gotLength(self, length: int | None) -> None:
        """Refuse by the declared length."""
        super().gotLength(min(length, self._limit) if length is not None else None)
        if length is not None and length > self._limit:
            self._refuse(length)

    def handleContentChunk(self, data: bytes) -> None:
        """Refuse by what has come, when no length was declared."""
        self._size += len(data)
        if not self._refused and self._size > self._limit:
            self._refuse(self._size)
        if not self._refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Go on to the resource, unless the body was refused."""
        if self._refused:
            self._end()
        else:
            super().requestReceived(command, path, version)

    def connectionLost(self, reason: Any) -> None:
        """Forget the timer."""
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        super().connectionLost(reason)

    @property
    def _limit(self) -> int:
        return int(self.channel.site.body_limit)

    def _refuse(self, size: int) -> None:
        self._refused = True
        self.requestHeaders.removeHeader(b"expect")  # the refusal is the answer; nothing may ask for the body now
        site: BoundedSite = self.channel.site
        problem = Problem("too-large", f"{size} > {self._limit}")
        soap = _soap(self)
        body = envelope.fault(site.namespace, [problem], server=False, tracking="", soap=soap)
        head = (
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
            % (envelope.CONTENT_TYPES[soap].encode(), len(body))
        )
        log.info("body-refused", size=size, limit=self._limit)
        self.channel.transport.write(head + body)
        self._lingering = site.reactor.callLater(LINGER, self._end)

    def _end(self) -> None:
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        self.channel.loseConnection()  # the transport's own would wait for the channel, which produces, to be done


class BoundedSite(Site):
    """A site whose requests have bodies of at most `body_limit` octets, on so many connections and no more."""

    protocol = cast("Any", BoundedChannel)  # no HTTP/2 is spoken

    def __init__(self, resource: Resource, body_limit: int, namespace: str, reactor: Any) -> None:
        # No form is ever posted here: Twisted would read all of it into memory to take it apart.
        super().__init__(
            resource, requestFactory=BoundedRequest, parsePOSTFormSubmission=False, timeout=IDLE, reactor=reactor
        )
        self._connections = Connections(allowed())
        self.body_limit = body_limit
        self.namespace = namespace
        self.reactor = reactor
        self.displayTracebacks = False

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
        refusal = _media_refusal(request)
        if refusal is not None:
            request.setResponseCode(415)
            soap = _soap(request)
            request.setHeader(b"Content-Type", envelope.CONTENT_TYPES[soap].encode())
            return envelope.fault(self._contract.namespace, [refusal], server=False, tracking="", soap=soap)
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)
        _ = Deferred.fromCoroutine(self._answer(request, gone)).addErrback(_lost)
        return NOT_DONE_YET

    async def _answer(self, request: BoundedRequest, gone: list[object]) -> None:
        assert request.content is not None
        body = request.content.read()
        request.content.close()
        manner = _manner(request)
        answer = await self._intake.answer(body, manner, peer(request.channel))
        if gone:
            return  # the caller hung up; what was journalled stays, and the same call gets the same answer
        if answer.retry_after is not None:
            request.setResponseCode(503)
            request.setHeader(b"Retry-After", str(answer.retry_after).encode())
        elif answer.fault:
            request.setResponseCode(400 if answer.senders and manner.soap == envelope.SOAP12 else 500)
        request.setHeader(b"Content-Type", envelope.CONTENT_TYPES[manner.soap].encode())
        request.setHeader(b"Content-Length", str(len(answer.body)).encode())
        request.write(answer.body)
        request.finish()


def _not_allowed(request: Request) -> bytes:
    request.setResponseCode(405)
    request.setHeader(b"Allow", b"POST")
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    return "Gọi bằng POST; đặc tả ở ?wsdl. / Call by POST; the contract is at ?wsdl.\n".encode()


def _nothing(request: Request) -> bytes:
    return cast("bytes", NoResource().render(request))


def peer(channel: Any) -> x509.Certificate:
    """Return the certificate the client showed; the handshake has demanded one."""
    shown = channel.transport.getPeerCertificate()
    return cast("x509.Certificate", shown.to_cryptography())


def _media_refusal(request: Request) -> Problem | None:
    media, _parameters = media_type(request.getHeader("content-type") or "")
    if media not in envelope.MEDIA.values():
        return Problem("media-type", media or "-")
    encoding = (request.getHeader("content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        return Problem("media-type", f"Content-Encoding: {encoding}")
    return None


def _soap(request: Request) -> str:
    """Return the version that the media type names; 1.1 for one that names none."""
    media, _parameters = media_type(request.getHeader("content-type") or "")
    return envelope.SOAP12 if media == envelope.MEDIA[envelope.SOAP12] else envelope.SOAP11


def _manner(request: Request) -> Manner:
    soap = _soap(request)
    if soap == envelope.SOAP11:
        return Manner(soap, request.getHeader("soapaction"))
    _media, parameters = media_type(request.getHeader("content-type") or "")
    return Manner(soap, parameters.get("action"))


def media_type(header: str) -> tuple[str, dict[str, str]]:
    """Return the media type and its parameters (RFC 9110, 8.3.1), names in lower case, quoted values unquoted."""
    media, _, rest = header.partition(";")
    found = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted else bare
        for name, quoted, bare in _PARAMETER.findall(f";{rest}")
    }
    return media.strip().lower(), found


def _lost(failure: Any) -> None:
    log.error("answer-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
