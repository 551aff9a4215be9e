"""How a partner system calls the hub here: one signed call a time over mutual TLS, and an answer that the hub must have signed.

Knows SOAP and the documents contract from outside; signs and verifies by demo/lienthong_demo/protocol/signing.py, which is not the hub's code.
"""

import base64
import http.client
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import attrs
from cryptography import x509
from lxml import etree

from lienthong_demo.protocol.signing import (
    SOAP,
    PartnerIdentity,
    Unbelievable,
    is_signed,
    read_clock,
    sign_call,
    verify_reply,
)

DOCUMENTS = "urn:lienthong:documents:1"
_D = f"{{{DOCUMENTS}}}"
#: Codes that say: not at this time; a caller whose clock is right comes again.
_UNTIMELY = ("timestamp-", "certificate-expired", "certificate-not-yet")


class Unknown(Exception):
    """No answer that can be believed came: whether the call was taken is not known."""


class Refused(Exception):
    """The hub will not take this; its argument is the list of codes."""

    def __init__(self, codes: Sequence[str]) -> None:
        super().__init__(", ".join(codes))
        self.codes = tuple(codes)


@attrs.frozen
class Taken:
    """What the hub said to a message that it took."""

    document_id: str
    receipt: bytes


@attrs.define
class Caller:
    """One thread's connections: to the first of *ports* that answers, and when it does not, to the next."""

    identity: PartnerIdentity
    hub: x509.Certificate
    tls: ssl.SSLContext
    ports: Sequence[int]
    timeout: float = 8.0
    _at: int = 0
    _connection: http.client.HTTPSConnection | None = None

    @classmethod
    def load(cls, pki: Path, partner: str, ports: Sequence[int], at: int = 0) -> "Caller":
        """Read the partner's key and certificate, the CA's and the hub's."""
        key, certificate = pki / f"partners/{partner}.key", pki / f"partners/{partner}.crt"
        tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(certificate, key)
        hub = x509.load_pem_x509_certificate((pki / "hub.crt").read_bytes())
        return cls(PartnerIdentity.load(key, certificate), hub, tls, ports, at=at % len(ports))

    def send(self, message_id: str, packet: bytes) -> Taken:
        """Send a packet.  Unknown, Refused."""
        said = self._call("SendDocument", MessageId=message_id, Packet=base64.b64encode(packet).decode())
        return read_taken(said)

    def pending(self, unit: str) -> list[str]:
        """Return what waits for *unit*.  Unknown, Refused."""
        return read_pending(self._call("GetPendingDocumentIds", OrganId=unit))

    def fetch(self, document_id: str) -> bytes:
        """Return the packet of a document.  Unknown, Refused."""
        return read_packet(self._call("GetDocument", DocumentId=document_id))

    def confirm(self, document_id: str, unit: str) -> None:
        """Confirm that *unit* has it.  Unknown, Refused."""
        require_success(self._call("ConfirmReceived", DocumentId=document_id, OrganId=unit))

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, operation: str, **fields: str) -> etree._Element:
        content = write_call(self.identity, read_clock(), operation, fields)
        try:
            status, answer = self._post(content, f"{DOCUMENTS}/{operation}")
            return understand(status, answer, self.hub, read_clock())
        except (OSError, http.client.HTTPException, etree.XMLSyntaxError, Unbelievable, ValueError) as error:
            self.close()
            self._at = (self._at + 1) % len(self.ports)
            raise Unknown(f"{type(error).__name__}: {error}") from error
        except Unknown:
            self._at = (self._at + 1) % len(self.ports)
            self.close()
            raise

    def _post(self, content: bytes, action: str) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self.ports[self._at], timeout=self.timeout, context=self.tls
            )
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
        self._connection.request("POST", "/soap/documents", content, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def write_call(identity: PartnerIdentity, now: datetime, operation: str, fields: Mapping[str, str]) -> bytes:
    """Return the signed envelope of a call."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    asked = etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{_D}{operation}", nsmap={"d": DOCUMENTS})
    for name, value in fields.items():
        etree.SubElement(asked, f"{_D}{name}").text = value
    sign_call(envelope, identity, now)
    content: bytes = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
    return content


def understand(status: int, content: bytes, hub: x509.Certificate, now: datetime) -> etree._Element:
    """Return the child of the Body that the hub signed.  Unknown, Refused, Unbelievable."""
    envelope = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    if not is_signed(envelope):
        raise Unknown(f"HTTP {status}: not signed")
    child = verify_reply(envelope, hub, now)[0]
    if child.tag != f"{{{SOAP}}}Fault":
        return child
    code, text = child.findtext("faultcode") or "", child.findtext("faultstring") or ""
    codes = [each.text or "" for each in child.iterfind(f".//{_D}Code")] or [text]
    if code.endswith("Server"):
        raise Unknown(f"{code}: {text}")
    if codes[0].startswith(_UNTIMELY):
        raise Unknown(f"untimely: {codes[0]}")
    raise Refused(codes)


def read_taken(said: etree._Element) -> Taken:
    """Return the receipt that an answer to SendDocument brings.  Unknown, Refused."""
    require_success(said)
    receipt = said.find(f"{_D}Receipt")
    if receipt is None:
        raise Unknown("accepted without a receipt")
    return Taken(said.findtext(f"{_D}DocumentId") or "", etree.tostring(receipt, method="c14n", exclusive=True))


def read_pending(said: etree._Element) -> list[str]:
    """Return the ids in an answer to GetPendingDocumentIds."""
    return [each.text or "" for each in said.iterfind(f"{_D}DocumentIds/{_D}DocumentId")]


def read_packet(said: etree._Element) -> bytes:
    """Return the packet in an answer to GetDocument."""
    return base64.b64decode(said.findtext(f"{_D}Packet") or "")


def require_success(said: etree._Element) -> None:
    """Refused, unless the answer reports success."""
    if said.findtext(f"{_D}Report/{_D}IsSuccess") != "true":
        raise Refused([each.text or "" for each in said.iterfind(f"{_D}Report/{_D}ErrorList/{_D}Error/{_D}Code")])
