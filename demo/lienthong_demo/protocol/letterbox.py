"""The HTTPS server with one operation, SendDocument, of a partner that is pushed to.

Knows the receiving side of the documents contract, its own identity and the hub's certificate. Does not know what a
packet means.
"""

import base64
import binascii
import http.server
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from lienthong_demo.protocol.notebook import Notebook, hash_content, read_notebook
from lienthong_demo.protocol.signing import (
    SOAP,
    Clock,
    PartnerIdentity,
    Unbelievable,
    read_clock,
    sign_call,
    verify_reply,
)

DOCUMENTS = "urn:lienthong:documents:1"
_LIMIT = 64 * 1024 * 1024
_PATIENCE = 30.0  #: seconds that a silent connection is kept


class IdReused(ValueError):
    """A document came whose id came before with other bytes."""


@attrs.frozen
class Delivered:
    """One document that the hub pushed."""

    document_id: str
    content: bytes


@attrs.define
class Shelf:
    """The documents received so far, by the hub's id. A repetition is answered again and noted as a repetition."""

    notebook: Notebook
    clock: Clock = read_clock
    _known: dict[str, str] = attrs.field(factory=dict)  #: document id -> SHA-256
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @classmethod
    def reopen(cls, notebook: Notebook, clock: Clock = clock) -> Self:
        """Restore from the notebook what was received before a restart."""
        known = {
            str(n["document_id"]): str(n["sha256"]) for n in read_notebook(notebook.path) if n["what"] == "received"
        }
        return cls(notebook, clock, known)

    def take(self, delivered: Delivered, how: str) -> bool:
        """Note a document. Return whether it is new. Raises IdReused, and ValueError once the notebook is closed."""
        sha256 = hash_content(delivered.content)
        with self._lock:
            before = self._known.get(delivered.document_id)
            if before not in (None, sha256):
                raise IdReused(f"{delivered.document_id} came before with other bytes")
            self.notebook.write(
                "received",
                self.clock(),
                document_id=delivered.document_id,
                sha256=sha256,
                size=len(delivered.content),
                first=before is None,
                how=how,
            )
            self._known[delivered.document_id] = sha256
        return before is None


class Letterbox(http.server.ThreadingHTTPServer):
    """The HTTPS server.

    Each request passes mutual TLS and the check of the hub's signature, then is stored and answered.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        tls: ssl.SSLContext,
        identity: PartnerIdentity,
        hub: x509.Certificate,
        shelf: Shelf,
        tell: Callable[[Delivered], None],
    ) -> None:
        self.tls = tls
        self.identity = identity
        self.hub = hub
        self.signer = hub  #: a hub whose key is in a token signs with another certificate than that of its TLS
        self.shelf = shelf
        self.tell = tell
        super().__init__(address, _Slot)

    def get_request(self) -> tuple[ssl.SSLSocket, Any]:
        """Accept a connection. The TLS handshake happens later, in the connection's own thread."""
        plain, peer = super().get_request()
        return self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note a broken connection. The server goes on."""
        with suppress(ValueError):  # this partner has been shut down since, and its notebook is closed
            self.shelf.notebook.write("connection-broken", self.shelf.clock(), peer=str(client_address))


class _Slot(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Letterbox

    def setup(self) -> None:
        # The handshake happens here, in the connection's own thread, so that a silent client blocks no other.
        self.request.settimeout(_PATIENCE)
        self.request.do_handshake()
        super().setup()

    def do_POST(self) -> None:
        """Take one push. Report every mistake of it in the answer. A partner that was shut down since answers nothing."""
        self._answer(*self._take())

    def _take(self) -> tuple[int, etree._Element]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LIMIT:
            self.close_connection = True
            return 413, _fault("too-large", length)
        content = self.rfile.read(int(length))
        if self.request.getpeercert(True) != self.server.hub.public_bytes(Encoding.DER):
            return 403, _fault("certificate-unknown", "this letterbox is the hub's alone")
        try:
            envelope = etree.fromstring(
                content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
            )
            delivered = _read(verify_reply(envelope, self.server.signer, self.server.shelf.clock()))
        except (Unbelievable, etree.XMLSyntaxError, ValueError) as error:
            return 500, _fault("signature-invalid", str(error))
        try:
            first = self.server.shelf.take(delivered, "push")
        except IdReused as error:
            return 200, _report(("id-reused", str(error)))
        if first:
            self.server.tell(delivered)
        return 200, _report()

    def _answer(self, status: int, body: etree._Element) -> None:
        envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
        etree.SubElement(envelope, f"{{{SOAP}}}Body").append(body)
        sign_call(envelope, self.server.identity, self.server.shelf.clock())
        content = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
        self.send_response(status)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """The notebook is the only log of requests."""


def make_server_context(identity_key: Path, identity_certificate: Path, anchors: Path) -> ssl.SSLContext:
    """Return a context that presents the partner's certificate and requires a client certificate issued by *anchors*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(identity_certificate, identity_key)
    context.load_verify_locations(anchors)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _read(body: etree._Element) -> Delivered:
    """Read SendDocument from the verified Body. Raises ValueError."""
    if [child.tag for child in body] != [f"{{{DOCUMENTS}}}SendDocument"]:
        raise ValueError("the Body is not one SendDocument")
    fields = {child.tag: child.text or "" for child in body[0]}
    message_id = fields.get(f"{{{DOCUMENTS}}}MessageId", "").strip()
    if not message_id:
        raise ValueError("no MessageId")
    try:
        packet = "".join(fields.get(f"{{{DOCUMENTS}}}Packet", "").split())
        return Delivered(message_id, base64.b64decode(packet, validate=True))
    except binascii.Error as error:
        raise ValueError(f"Packet is not base64: {error}") from error


def _report(*problems: tuple[str, str]) -> etree._Element:
    answer = etree.Element(f"{{{DOCUMENTS}}}SendDocumentResponse", nsmap={"d": DOCUMENTS})
    report = etree.SubElement(answer, f"{{{DOCUMENTS}}}Report")
    etree.SubElement(report, f"{{{DOCUMENTS}}}IsSuccess").text = "false" if problems else "true"
    errors = etree.SubElement(report, f"{{{DOCUMENTS}}}ErrorList")
    for code, description in problems:
        error = etree.SubElement(errors, f"{{{DOCUMENTS}}}Error")
        etree.SubElement(error, f"{{{DOCUMENTS}}}Code").text = code
        etree.SubElement(error, f"{{{DOCUMENTS}}}Description").text = description
    return answer


def _fault(code: str, detail: str) -> etree._Element:
    fault = etree.Element(f"{{{SOAP}}}Fault")
    etree.SubElement(fault, "faultcode").text = "soap:Client"
    etree.SubElement(fault, "faultstring").text = f"{code}: {detail}"
    return fault
