"""Tests the way from the hub to one partner step by step: name, TCP, TLS, certificates, one harmless HTTP request.

Never sends a document: over HTTP it asks with GET, and to a mail server it only listens for the greeting. Blocks, so the
hub runs it in a thread of its own; each step takes at most `PATIENCE` seconds, only a silent DNS may take longer. Writes
nothing.
"""

import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import attrs
from cryptography import x509
from OpenSSL import SSL

from hub.config import Config, Partner
from hub.config.urls import find_url_directory, lies_in_exchange
from hub.domain.errors import Rejected
from hub.domain.own_addresses import leads_home
from hub.domain.sanitize import replace_controls
from hub.language.phrases import Phrase, phrase, verbatim
from hub.monitoring.connection_steps import (
    CallDirection,
    ConnectionStep,
    ConnectionStepName,
    StepVerdict,
    describe_certificate,
    judge_certificate,
)
from hub.partner.policy import PartnerTransport
from hub.runtime import http_client
from hub.runtime.peer_check import make_peer_checks
from hub.security import tls
from hub.security.certificates import hash_certificate

#: Seconds for one step.
PATIENCE = 5.0
#: Addresses of a name that are tried, octets of an answer that are read.
_ADDRESSES, _ANSWER = 4, 64 * 1024
_PORTS = {"https": 443, "http": 80, "smtp": 587, "smtps": 465, "imap": 143, "imaps": 993}
_TLS_SCHEMES = ("https", "smtps", "imaps")
#: Reasons by which OpenSSL names the alert of a server that refuses the certificate of its client (RFC 8446, 6.2).
_CERTIFICATE_ALERTS = (
    "unknown ca",
    "certificate required",
    "bad certificate",
    "certificate unknown",
    "certificate expired",
    "certificate revoked",
    "unsupported certificate",
    "access denied",
    "decrypt error",
)


def check_outbound(partner: Partner, config: Config, now: datetime, *, asks: bool = True) -> Iterator[ConnectionStep]:
    """Yield each step of a call of *partner* as it ends. After a failed step the further ones are left out.

    Unless it *asks*, it ends with the connection or the TLS handshake, and sends nothing above it.
    """
    if partner.url is None:
        said = phrase("the hub does not call this partner (receive = {receive})", receive=partner.receive.value)
        yield _make_step(ConnectionStepName.ADDRESS, StepVerdict.SKIPPED, said)
        return
    parts = urlsplit(partner.url)
    if parts.scheme == "file":
        yield _try_folder(find_url_directory(partner.url) or Path(), partner.exchange)
        return
    port, host = parts.port or _PORTS.get(parts.scheme), parts.hostname or ""
    if port is None or not host:
        said = phrase("{url} names no host and port that can be tried", url=partner.url)
        yield _make_step(ConnectionStepName.ADDRESS, StepVerdict.SKIPPED, said)
        return
    step, addresses = _resolve_host(host, port)
    yield step
    if not addresses:
        return
    step, plain = _connect_to_host(addresses, port)
    yield step
    if plain is None:
        return
    with plain:
        yield from _check_above_tcp(plain, partner, config, parts, now, asks=asks)


def _check_above_tcp(
    plain: socket.socket, partner: Partner, config: Config, parts: SplitResult, now: datetime, *, asks: bool
) -> Iterator[ConnectionStep]:
    """Yield the steps above TCP."""
    if parts.scheme not in _TLS_SCHEMES:
        if asks and parts.scheme in _PORTS:
            yield _ask_harmlessly(_PlainLine(plain), partner, parts)
        return
    shaken = _shake_hands(plain, partner, config, parts.hostname or "")
    yield shaken.step
    judged = list(_judge_chain(shaken, partner, config, parts.hostname or "", now))
    yield from judged
    mutual = partner.policy.transport is PartnerTransport.MUTUAL_TLS
    if not asks or shaken.connection is None or any(each.failed for each in judged):
        return
    line = _TlsLine(shaken.connection, plain)
    answered = _ask_harmlessly(line, partner, parts)
    own = _judge_own(config, shaken, line, now) if mutual else None
    if own is not None:
        yield own
    if own is None or not own.failed:
        yield answered


def _make_step(
    name: ConnectionStepName, verdict: StepVerdict, found: Phrase, do: Phrase | None = None
) -> ConnectionStep:
    return ConnectionStep(direction=CallDirection.OUT, name=name, verdict=verdict, found=found, do=do)


def _try_folder(path: Path, exchange: Path | None) -> ConnectionStep:
    if lies_in_exchange(path, exchange) and os.access(path, os.W_OK | os.X_OK):
        return _make_step(
            ConnectionStepName.ADDRESS, StepVerdict.GOOD, phrase("this account may write in {path}", path=path)
        )
    return _make_step(
        ConnectionStepName.ADDRESS,
        StepVerdict.FAILED,
        phrase("this account may not write in {path}, or there is no such folder", path=path),
        phrase("Make the folder, and let the account under which the hub runs write in it"),
    )


def _resolve_host(host: str, port: int) -> tuple[ConnectionStep, list[tuple[int, str]]]:
    """Return the step and the addresses of *host*, each with its family."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return (
            _make_step(
                ConnectionStepName.DNS,
                StepVerdict.FAILED,
                phrase("{host}: {error}", host=host, error=_describe_error(error)),
                phrase("Check the name in the key url, and the DNS of this machine (/etc/resolv.conf, /etc/hosts)"),
            ),
            [],
        )
    addresses = list(dict.fromkeys((int(family), str(place[0])) for family, _, _, _, place in found))
    if any(leads_home(host, address) for _, address in addresses):
        said = phrase("{host} leads to this machine itself", host=host)
        do = phrase("Write the address itself in the key url, in the partner's file, if that is meant")
        return _make_step(ConnectionStepName.DNS, StepVerdict.FAILED, said, do), []
    shown = ", ".join(address for _, address in addresses[:_ADDRESSES])
    said = (
        phrase("{host} is an address, not a name", host=host)
        if shown == host
        else phrase("{host} is {addresses}", host=host, addresses=shown)
    )
    return _make_step(ConnectionStepName.DNS, StepVerdict.GOOD, said), addresses[:_ADDRESSES]


def _connect_to_host(addresses: Sequence[tuple[int, str]], port: int) -> tuple[ConnectionStep, socket.socket | None]:
    """Return the step and the open connection to the first address that answers."""
    why: list[str] = []
    for family, address in addresses:
        begun = time.monotonic()
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(PATIENCE)
        try:
            plain.connect((address, port))
        except OSError as error:
            plain.close()
            why.append(f"{address}:{port}: {_describe_error(error)}")
            continue
        took = f"{(time.monotonic() - begun) * 1000:.0f}"
        said = phrase("{address}:{port} answers in {took} ms", address=address, port=port, took=took)
        return _make_step(ConnectionStepName.TCP, StepVerdict.GOOD, said), plain
    refused = any("refused" in each.lower() for each in why)
    do = (
        phrase(
            "The machine answers, but nothing listens there: check the port, and ask the partner to start its service"
        )
        if refused
        else phrase("Ask for the firewalls between the two machines and the route; this machine must reach that port")
    )
    return _make_step(ConnectionStepName.TCP, StepVerdict.FAILED, verbatim("; ".join(why)), do), None


@attrs.frozen(kw_only=True)
class _Handshake:
    """What a TLS handshake brought."""

    step: ConnectionStep
    connection: SSL.Connection | None  #: None: it failed
    chain: Sequence[x509.Certificate]  #: what the server showed, its own first
    asked: bool  #: whether the server asked for the certificate of the client


def _shake_hands(plain: socket.socket, partner: Partner, config: Config, host: str) -> _Handshake:
    """Shake hands with the server, whatever certificate it shows. It is judged afterwards, before anything is sent."""
    chain: list[x509.Certificate] = []
    states: set[str] = set()

    def look(shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
        chain[:] = [shown, *above]

    mutual = partner.policy.transport is PartnerTransport.MUTUAL_TLS
    context = tls.make_tls_context(config.tls if mutual else None, look)
    context.set_info_callback(lambda connection, _where, _code: states.add(connection.get_state_string().decode()))
    connection = SSL.Connection(context, plain)
    if not host.replace(".", "").replace(":", "").isdigit():
        connection.set_tlsext_host_name(host.encode("idna"))
    connection.set_connect_state()
    plain.setblocking(False)
    failure: Exception | None = None
    try:
        _until_ready(plain, connection.do_handshake)
    except (SSL.Error, OSError) as error:
        failure = error
    shown = connection.get_peer_cert_chain(as_cryptography=True) or []
    asked = any("certificate request" in state for state in states)
    kept = shown[: tls.MOST_LINKS + 1] or chain
    if failure is not None:
        return _Handshake(step=_explain_handshake(failure, config, asked), connection=None, chain=kept, asked=asked)
    said = phrase(
        "{version}, {cipher}",
        version=connection.get_protocol_version_name(),
        cipher=connection.get_cipher_name() or "–",
    )
    step = _make_step(ConnectionStepName.TLS, StepVerdict.GOOD, said)
    return _Handshake(step=step, connection=connection, chain=kept, asked=asked)


def _explain_handshake(error: Exception, config: Config, asked: bool) -> ConnectionStep:
    why = _describe_error(error)
    if _is_certificate_alert(why) or (asked and "alert" in why):
        said = phrase("the server refuses the certificate of the hub: {why}", why=why)
        return _make_step(ConnectionStepName.TLS, StepVerdict.FAILED, said, _give_ours(config))
    if any(
        word in why for word in ("wrong version number", "packet length too long", "unknown protocol", "http request")
    ):
        do = phrase("Nothing speaks TLS at that port: check port and scheme in the key url")
    elif "protocol version" in why or "unsupported protocol" in why:
        do = phrase("The server must offer TLS 1.2 or 1.3")
    elif "handshake failure" in why or "no ciphers" in why or "insufficient security" in why:
        do = phrase(
            "The server must offer ECDHE with AES-GCM or ChaCha20; it may also want another certificate of the hub"
        )
    elif isinstance(error, TimeoutError):
        do = phrase("Something accepts the connection and says nothing: often a firewall or a service that hangs")
    else:
        do = phrase(
            "The connection was cut: by a firewall, or by a server that does not know the hub; ask the partner for its log"
        )
    return _make_step(ConnectionStepName.TLS, StepVerdict.FAILED, verbatim(why), do)


def _give_ours(config: Config) -> Phrase:
    return phrase(
        "Ask the partner to admit the certificate of the hub, SHA-256 {sha256}, issued by {issuer}",
        sha256=hash_certificate(config.tls.certificate),
        issuer=config.tls.certificate.issuer.rfc4514_string(),
    )


def _judge_chain(
    shaken: _Handshake, partner: Partner, config: Config, host: str, now: datetime
) -> Iterator[ConnectionStep]:
    """Yield a step for each certificate that the server showed. Its own is judged as in a delivery."""
    name = ConnectionStepName.SERVER_CERTIFICATE
    if not shaken.chain:
        if shaken.connection is not None:
            yield _make_step(name, StepVerdict.FAILED, phrase("the server showed none"))
        return
    own, *above = shaken.chain
    check, stapled = make_peer_checks(partner, config.anchors, lambda: now, host)
    try:
        check(own, above)
        stapled(own, b"")
    except Rejected as rejected:
        yield judge_certificate(CallDirection.OUT, name, own, rejected.problems, now)
    else:
        yield judge_certificate(CallDirection.OUT, name, own, (), now)
    for link in above:
        said = phrase("above it: {certificate}", certificate=describe_certificate(link, now))
        if now > link.not_valid_after_utc:
            do = phrase("The partner must send the renewed certificate of its CA")
            yield _make_step(name, StepVerdict.WARNING, said, do)
        else:
            yield _make_step(name, StepVerdict.GOOD, said)


def _judge_own(config: Config, shaken: _Handshake, line: "_TlsLine", now: datetime) -> ConnectionStep:
    """Return whether the server took the certificate of the hub. Under TLS 1.3 only its answer tells."""
    name, said = ConnectionStepName.CLIENT_CERTIFICATE, describe_certificate(config.tls.certificate, now)
    if line.broken is not None and shaken.asked:
        found = phrase(
            "{certificate}: asked for, and then the server broke off: {why}", certificate=said, why=line.broken
        )
        return _make_step(name, StepVerdict.FAILED, found, _give_ours(config))
    if not shaken.asked:
        found = phrase("the server asks for none, so it does not know who calls")
        do = phrase("The partner should require certificates of its callers; if it cannot, set policy.transport=tls")
        return _make_step(name, StepVerdict.WARNING, found, do)
    return _make_step(name, StepVerdict.GOOD, phrase("{certificate}: asked for, and accepted", certificate=said))


class _PlainLine:
    """An open connection without TLS."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._plain.settimeout(PATIENCE)

    def exchange(self, octets: bytes, enough: bytes) -> bytes:
        """Send *octets* and return what comes until *enough* stands in it, up to `_ANSWER` octets. Raises OSError."""
        if octets:
            self._plain.sendall(octets)
        found, until = b"", time.monotonic() + PATIENCE
        while enough not in found and len(found) < _ANSWER and time.monotonic() < until:
            try:
                part = self._plain.recv(16384)
            except TimeoutError:
                if found:
                    break
                raise
            if not part:
                break
            found += part
        return found


class _TlsLine:
    """An open connection with TLS. `broken` says why the server broke off before it answered."""

    def __init__(self, connection: SSL.Connection, plain: socket.socket) -> None:
        self._connection, self._plain = connection, plain
        self.broken: str | None = None

    def exchange(self, octets: bytes, enough: bytes) -> bytes:
        """Send *octets* and return what comes until *enough* stands in it, up to `_ANSWER` octets. Raises OSError."""
        found, until = b"", time.monotonic() + PATIENCE
        try:
            if octets:
                _ = _until_ready(self._plain, lambda: self._connection.send(octets))
            while enough not in found and len(found) < _ANSWER and time.monotonic() < until:
                found += _until_ready(self._plain, lambda: self._connection.recv(16384))
        except SSL.ZeroReturnError:
            return found
        except TimeoutError:
            if not found:
                raise
        except SSL.Error as error:
            if not found:
                self.broken = _describe_error(error)
                raise OSError(self.broken) from error
        except OSError as error:
            if not found:
                self.broken = _describe_error(error)
                raise
        return found


def _ask_harmlessly(line: "_PlainLine | _TlsLine", partner: Partner, parts: SplitResult) -> ConnectionStep:
    """Return how the server answers a harmless request, or greets."""
    try:
        if parts.scheme in {"http", "https"}:
            return _judge_answer(line.exchange(_write_request(partner), b"\0"))
        greeting = line.exchange(b"", b"\n")
    except OSError as error:
        do = phrase("The server takes the connection and does not answer; ask the partner for its log")
        return _make_step(ConnectionStepName.ANSWER, StepVerdict.FAILED, verbatim(_describe_error(error)), do)
    said = replace_controls(greeting.decode("latin-1").split("\n")[0].strip())[:200]
    if greeting.startswith((b"220", b"* OK", b"* PREAUTH")):
        return _make_step(ConnectionStepName.ANSWER, StepVerdict.GOOD, phrase("it greets: {greeting}", greeting=said))
    do = phrase("A mail server must greet with 220 or OK: check the port, and ask the partner")
    return _make_step(ConnectionStepName.ANSWER, StepVerdict.FAILED, phrase("it says: {greeting}", greeting=said), do)


def _write_request(partner: Partner) -> bytes:
    """Return a GET request, which changes nothing; at a service of the hub's own contract it asks for the WSDL."""
    url = partner.url or ""
    if partner.adapter == "documents" and not urlsplit(url).query:
        url = f"{url}?wsdl"
    _, path, host = http_client.split_http_url(url)
    headers = (("User-Agent", "lienthong connection test"), ("Accept", "*/*"))
    return http_client.write_request_head("GET", path, host, headers, 0, lasts=False)


#: HTTP statuses that show a service which answers: GET is often not what it takes.
_SERVICE_ANSWERS = {400, 405, 406, 411, 415, 500, 501}


def _judge_answer(answer: bytes) -> ConnectionStep:
    name = ConnectionStepName.ANSWER
    first = replace_controls(answer.split(b"\r\n", 1)[0].split(b"\n", 1)[0].decode("latin-1"))[:100]
    words = first.split(" ")
    if not first.startswith("HTTP/") or len(words) < 2 or not words[1].isdecimal():
        do = phrase("No HTTP server answers at that port: check port and scheme in the key url")
        said = phrase("no HTTP: {answer}", answer=first) if first else phrase("nothing came")
        return _make_step(name, StepVerdict.FAILED, said, do)
    status, said = int(words[1]), verbatim(first)
    if b"definitions" in answer and b"http://schemas.xmlsoap.org/wsdl/" in answer:
        return _make_step(name, StepVerdict.GOOD, phrase("{answer}, with the contract (WSDL)", answer=first))
    if 300 <= status < 400:
        do = phrase("The hub follows no redirect: put the last address into the key url")
        return _make_step(name, StepVerdict.WARNING, said, do)
    if status in {401, 403}:
        do = phrase(
            "The server knows the hub not well enough: ask the partner to admit it; check the keys under settings"
        )
        return _make_step(name, StepVerdict.WARNING, said, do)
    if status in {404, 410}:
        do = phrase("Nothing is there for GET; if calls fail too, compare the path in the key url with the partner's")
        return _make_step(name, StepVerdict.WARNING, said, do)
    if status in {502, 503, 504}:
        do = phrase("A server in front answers, the system behind it does not: ask the partner")
        return _make_step(name, StepVerdict.FAILED, said, do)
    if 200 <= status < 300 or status in _SERVICE_ANSWERS:
        return _make_step(name, StepVerdict.GOOD, phrase("{answer}: a service answers", answer=first))
    do = phrase("Ask the partner what that answer means")
    return _make_step(name, StepVerdict.WARNING, said, do)


def _until_ready(plain: socket.socket, deed: Callable[[], object]) -> bytes:
    """Call *deed* until it needs nothing more from the network, at most `PATIENCE` seconds. Raises TimeoutError."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            found = deed()
            return found if isinstance(found, bytes) else b""
        except SSL.WantReadError:
            ready = select.select([plain], [], [], max(0.0, until - time.monotonic()))[0]
        except SSL.WantWriteError:
            ready = select.select([], [plain], [], max(0.0, until - time.monotonic()))[1]
        if not ready:
            raise TimeoutError(f"nothing came within {PATIENCE:g} s")


def _is_certificate_alert(why: str) -> bool:
    return any(alert in why for alert in _CERTIFICATE_ALERTS)


def _describe_error(error: Exception) -> str:
    """Return the text of an error of the network or of OpenSSL in one line."""
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        return "; ".join(str(reason) for _, _, reason in error.args[0]) or type(error).__name__
    if isinstance(error, SSL.Error) and len(error.args) > 1:
        return str(error.args[1])
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
