"""A partner's SOAP client for the hub: stock zeep on the hub's WSDL, over mutual TLS.

Knows the shapes of the operations. Does not know what a packet means. An answer is of three kinds: accepted (with a
verified receipt), refused (with codes), none (the same message may be sent again).
"""

from pathlib import Path
from typing import Any

import attrs
import requests
import zeep
from cryptography import x509
from lxml import etree
from requests.adapters import HTTPAdapter
from signxml import SignatureConfiguration, VerifyResult, XMLVerifier
from signxml.exceptions import SignXMLException
from zeep.exceptions import Error as ZeepError
from zeep.exceptions import Fault
from zeep.transports import Transport

from lienthong_demo.protocol.letterbox import DOCUMENTS
from lienthong_demo.protocol.signing import Unbelievable, WireSignature

_SERVER = "Server"


class Unanswered(Exception):
    """The hub did not answer, or answered that it cannot now. Whether it accepted the message is unknown."""


@attrs.frozen
class HubReply:
    """The hub's answer to a message."""

    accepted: bool
    document_id: str | None = None  #: the hub's id
    receipt: str | None = None  #: the receipt's XML, verified
    codes: tuple[str, ...] = ()  #: the reasons of the refusal
    fault: bool = False  #: refused as a call, before any message was read


@attrs.frozen
class Fetched:
    """A document fetched from the hub."""

    document_id: str
    message_id: str
    content: bytes


@attrs.frozen
class Wire:
    """The TLS side of a partner: its certificate and its trust anchors."""

    key: Path
    certificate: Path
    anchors: Path

    def session(self) -> requests.Session:
        """Return a session that reads no settings from the environment."""
        session = requests.Session()
        session.trust_env = False
        session.cert = (str(self.certificate), str(self.key))
        session.verify = str(self.anchors)
        session.mount("https://", HTTPAdapter(pool_maxsize=2))
        return session


class HubClient:
    """A connection of one thread to one service of the hub, by default `documents`."""

    def __init__(
        self,
        hub: str,
        wire: Wire,
        signature: WireSignature | None,
        *,
        timeout: float = 30,
        service: str = "documents",
    ) -> None:
        self._signature = signature
        self._namespace = f"urn:lienthong:{service}:1"
        self._zeep = zeep.Client(  # type: ignore[no-untyped-call]
            f"{hub}/soap/{service}?wsdl",
            transport=Transport(  # type: ignore[no-untyped-call]
                session=wire.session(), timeout=timeout, operation_timeout=timeout
            ),
            wsse=signature,
            settings=zeep.Settings(strict=True, xml_huge_tree=True),
        )

    def send(self, packet: bytes, message_id: str | None = None, operation: str = "SendDocument") -> HubReply:
        """Send a packet. Raises Unanswered."""
        return self.submit(operation, MessageId=message_id, Packet=packet)

    def submit(self, operation: str, **fields: object) -> HubReply:
        """Call an operation that takes a message. Raises Unanswered."""
        try:
            said = self.ask(operation, **fields)
        except Fault as fault:
            return HubReply(False, codes=self.codes(fault), fault=True)
        if not said.Report.IsSuccess:
            return HubReply(False, codes=explain_refusal(said.Report))
        return HubReply(True, said.DocumentId, self._receipt(said.DocumentId))

    def pending(self, unit: str) -> list[str]:
        """Return the ids of the documents that wait for *unit*, oldest first. Raises Unanswered, Fault."""
        return self.ask("GetPendingDocumentIds", OrganId=unit) or []

    def fetch(self, document_id: str) -> Fetched:
        """Fetch one document. Raises Unanswered, Fault."""
        got = self.ask("GetDocument", DocumentId=document_id)
        return Fetched(got.DocumentId, got.MessageId, got.Packet)

    def confirm(self, document_id: str, unit: str | None = None) -> tuple[str, ...]:
        """Confirm that a document was received. Return the codes of a refusal. Raises Unanswered, Fault."""
        return explain_refusal(self.ask("ConfirmReceived", DocumentId=document_id, OrganId=unit))

    def traces(self, unit: str) -> list[bytes]:
        """Return the status packets that came back for *unit*. Raises Unanswered, Fault."""
        return [trace.Packet for trace in self.ask("GetTraces", OrganId=unit) or []]

    def ask(self, operation: str, **fields: object) -> Any:
        """Call any operation. Return the answer as zeep's object. Raises Unanswered, Fault."""
        try:
            return self._zeep.service[operation](**fields)
        except Fault as fault:
            if str(fault.code or _SERVER).endswith(_SERVER):
                raise Unanswered(f"{fault.code}: {fault.message}") from fault
            raise
        except (requests.RequestException, ZeepError) as error:
            raise Unanswered(f"{type(error).__name__}: {error}") from error

    def codes(self, fault: Fault) -> tuple[str, ...]:
        """Return the error codes in the detail of *fault*; its text if it has none."""
        return _fault_codes(fault, self._namespace)

    def _receipt(self, document_id: str) -> str | None:
        """Return the receipt in the last answer as a document of its own. Raises Unbelievable."""
        if self._signature is None or self._signature.body is None:
            return None
        found = self._signature.body.find(f"*/{{{self._namespace}}}Receipt")
        if found is None:
            raise Unbelievable("accepted without a receipt")
        receipt = etree.tostring(found, method="c14n", exclusive=True)
        signed = verify_receipt(receipt, self._signature.hub, self._namespace)
        if signed.findtext(f"{{{self._namespace}}}DocumentId") != document_id:
            raise Unbelievable("the receipt is for another document")
        return receipt.decode()


def verify_receipt(receipt: bytes, hub: x509.Certificate, namespace: str = DOCUMENTS) -> etree._Element:
    """Return the element that the hub signed in a receipt stored as a document. Raises Unbelievable."""
    try:
        only = SignatureConfiguration(location="./", expect_references=1)
        result: VerifyResult = XMLVerifier().verify(receipt, x509_cert=hub, expect_config=only)  # type: ignore[assignment]  # one reference
    except (SignXMLException, ValueError, etree.LxmlError) as error:
        raise Unbelievable(f"receipt: {error}") from error
    if result.signed_xml is None or result.signed_xml.tag != f"{{{namespace}}}Receipt":
        raise Unbelievable("receipt: something else is signed")
    return result.signed_xml


def explain_refusal(report: Any) -> tuple[str, ...]:
    """Return the error codes of a *report*; empty if it is a success."""
    listed = report.ErrorList.Error if report.ErrorList else []
    return () if report.IsSuccess else tuple(error.Code for error in listed)


def _fault_codes(fault: Fault, namespace: str) -> tuple[str, ...]:
    if fault.detail is None or isinstance(fault.detail, str):
        return (str(fault.message),)
    listed = [code.text or "" for code in fault.detail.iterfind(f".//{{{namespace}}}Error/{{{namespace}}}Code")]
    first = [code.text or "" for code in fault.detail.iterfind(f"{{{namespace}}}FaultDetail/{{{namespace}}}Code")]
    return tuple(listed or first)
