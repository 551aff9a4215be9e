"""Fetches the files of a WSDL, once and bounded: for a person who adds a partner, never for a running hub.

Knows files, https and what a person allowed. A WSDL is a stranger's document: what it refers to is fetched from its own
host only, or from its own folder, unless a person names another host.
"""

import http.client
import ssl
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urljoin, urlsplit

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.cli.screen import UNAVAILABLE, CommandStop, t
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error
from hub.security.certificates import Identity
from hub.soap.wsdl_documents import MAX_OCTETS
from hub.soap.wsdl_gathering import is_address

#: Seconds without an octet, seconds for all files together, and redirects of one file.
_PATIENCE, _ALL, _REDIRECTS = 20.0, 120.0, 3
_PORTS = {"https": 443, "http": 80}
_MOVED = {301, 302, 303, 307, 308}


@attrs.define
class WsdlFetcher:
    """Fetches the files of the WSDL at *origin*: an address, or a path."""

    _origin: str
    _hosts: Collection[str]  #: other hosts that are allowed: `HOST` or `HOST:PORT`
    _plain: bool  #: whether http is allowed
    _authorities: Iterable[x509.Certificate]  #: trusted beside those of the machine
    _shown: Identity | None  #: what a server with mutual TLS is shown; None: nothing
    _told: Callable[[str, int], None]  #: is told of each file: where it came from, its octets
    _clock: Callable[[], float] = time.monotonic
    _until: float | None = attrs.field(default=None, init=False)

    def fetch(self, place: str) -> bytes:
        """Return the content of *place*. Raises ConfigurationFault where it is not allowed, and CommandStop."""
        content = self._download(place) if is_address(place) else self._read(place)
        self._told(place, len(content))
        return content

    def _read(self, place: str) -> bytes:
        root = Path(self._origin).resolve().parent
        if is_address(self._origin) or not Path(place).resolve().is_relative_to(root):
            expected = phrase("files of the folder of the WSDL, and of folders in it")
            raise ConfigurationFault([Mistake(place, phrase("it is not beside the WSDL"), expected)])
        try:
            with Path(place).open("rb") as file:
                return file.read(MAX_OCTETS + 1)
        except OSError as error:
            raise CommandStop(
                t("{place} cannot be read: {error}", place=place, error=name_system_error(error))
            ) from error

    def _download(self, place: str) -> bytes:
        if self._until is None:
            self._until = self._clock() + _ALL
        for _ in range(_REDIRECTS + 1):
            self._allow(place)
            answer = self._ask(place)
            if isinstance(answer, bytes):
                return answer
            place = urljoin(place, answer)
        raise CommandStop(t("{place}: more than {count} redirects", place=place, count=_REDIRECTS), UNAVAILABLE)

    def _allow(self, place: str) -> None:
        """Raise ConfigurationFault if *place* may not be fetched."""
        parts = urlsplit(place)
        schemes = ("https", "http") if self._plain else ("https",)
        expected: Phrase
        if parts.scheme not in schemes:
            expected = phrase("https, or http with --allow-http")
            raise ConfigurationFault([Mistake(place, phrase("{scheme} is not allowed", scheme=parts.scheme), expected)])
        if parts.username is not None or parts.password is not None:
            wrong = phrase("the address has a user or a password")
            raise ConfigurationFault([Mistake(parts.hostname or "", wrong, phrase("an address without them"))])
        own = _name_host(self._origin) if is_address(self._origin) else ""
        if _name_host(place) != own and not {_name_host(place), parts.hostname} & set(self._hosts):
            expected = phrase("the host of the WSDL, or --allow-host {host}", host=parts.hostname or "")
            raise ConfigurationFault([Mistake(place, phrase("it is on another host"), expected)])

    def _ask(self, place: str) -> bytes | str:
        """Return what is at *place*, or where it has moved to. Raises CommandStop."""
        parts = urlsplit(place)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        line: http.client.HTTPConnection
        if parts.scheme == "https":
            line = http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=self._trust())
        else:
            line = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        try:
            line.request("GET", target, headers={"Accept": "text/xml, application/xml, */*"})
            with line.getresponse() as answer:
                moved = answer.getheader("Location", "")
                if answer.status in _MOVED and moved:
                    return moved
                if answer.status != 200:
                    raise CommandStop(t("{place}: HTTP {status}", place=place, status=answer.status), UNAVAILABLE)
                return self._drain(answer, place)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CommandStop(
                t("{place} cannot be fetched: {error}", place=place, error=str(error) or repr(error)), UNAVAILABLE
            ) from error
        finally:
            line.close()

    def _drain(self, answer: http.client.HTTPResponse, place: str) -> bytes:
        """Return the body, at most MAX_OCTETS + 1 octets of it, as long as there is time."""
        content = b""
        while len(content) <= MAX_OCTETS and (more := answer.read1(64 * 1024)):
            content += more
            if self._until is not None and self._clock() > self._until:
                raise CommandStop(t("{place}: no end after {count} seconds", place=place, count=int(_ALL)), UNAVAILABLE)
        return content

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in self._authorities)
        if pem:
            context.load_verify_locations(cadata=pem.decode("ascii"))
        if self._shown is not None:
            chain = (self._shown.certificate, *self._shown.chain)
            with NamedTemporaryFile() as file:  # only this account may read it; ssl takes keys by file only
                _ = file.write(self._shown.pem + b"".join(each.public_bytes(Encoding.PEM) for each in chain))
                file.flush()
                context.load_cert_chain(file.name)
        return context


def _name_host(place: str) -> str:
    """Return the host and port of an address."""
    parts = urlsplit(place)
    return f"{parts.hostname or ''}:{parts.port or _PORTS.get(parts.scheme, 0)}"
