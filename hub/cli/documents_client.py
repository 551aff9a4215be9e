"""The client side of the hub's services: signs calls, and verifies answers; of documents, the receipts too.

Blocking, one call at a time.

Uses TLS and HTTP of the standard library. Contains no configuration and no journal. Only the given CA file is trusted:
the system's certificates, proxies and environment variables are ignored.
"""

import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from lxml import etree

from hub.config.service_files import read_shipped_services
from hub.domain.errors import Rejected
from hub.domain.model import Problem
from hub.formats import safe_xml
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error
from hub.partner.reply_parsing import retry_after
from hub.security import signing, wss_verify
from hub.security.anchors import Anchors
from hub.security.certificates import CredentialUnfit, Identity, load_pem_certificates
from hub.services.defined import load_defined_contract
from hub.soap import documents_requests, documents_responses, envelope, wsdl
from hub.soap.defined_contract import compile_answers

_MAX_AGE = timedelta(seconds=900)
_LONGEST = 60 * 1024 * 1024  #: maximum octets of an answer: the hub's largest document, plus its envelope

#: Errors that mean that the peer has closed the connection.
_HUNG_UP = (ConnectionError, ssl.SSLError)

Said = TypeVar("Said")


class SubmissionRefused(Rejected):
    """The hub refuses the call permanently. `problems` holds its codes and descriptions."""

    def __init__(self, *problems: Problem, tracking: str = "") -> None:
        super().__init__(*problems)
        self.tracking = tracking  #: id to give to the operator; empty for a business refusal


class HubUnavailable(Exception):
    """There is no trustworthy answer. The same call may be sent again."""

    def __init__(self, detail: Phrase | str, retry_after: float | None = None, said: Phrase | None = None) -> None:
        super().__init__(str(detail))
        self.said = said or detail  #: for people
        self.retry_after = retry_after  #: seconds, if the hub stated them


@attrs.frozen
class Sent:
    """An accepted message, with its receipt."""

    document_id: str  #: the hub's id of the message
    message_id: str
    sha256: str
    time: datetime
    receipt: bytes  #: the sealed receipt, verified


@attrs.frozen
class HttpAnswer:
    """An HTTP answer, and the TLS certificate of the server."""

    status: int
    headers: Mapping[str, str]  #: names in lower case
    body: bytes
    peer: x509.Certificate


class ServiceClient:
    """One partner's connection to one hub, for calls of every service. Use it as a context manager.

    *key* and *certificate* serve for TLS and for signatures. *signers* are the certificates with which the hub signs.
    Without them, the hub must sign with the certificate that it shows in TLS.
    """

    def __init__(
        self,
        url: str,
        *,
        key: Path,
        certificate: Path,
        ca: Path,
        now: Callable[[], datetime],
        timeout: float = 60.0,
        signers: Sequence[x509.Certificate] = (),
    ) -> None:
        """Read the files.

        *timeout* is in seconds. Raises `OSError`, `ValueError` or `TypeError` if a file is unfit or *url* is not
        `https://HOST…`.
        """
        place = urlsplit(url)
        if place.scheme != "https" or not place.hostname:
            raise CredentialUnfit(phrase("not an https address: {url}", url=url))
        self.path = place.path or "/"
        self.identity = Identity.read(key, certificate)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_verify_locations(cafile=ca)
        tls.load_cert_chain(certificate, key)
        self._connection = HTTPSConnection(place.hostname, place.port, context=tls, timeout=timeout)
        self._anchors = Anchors(load_pem_certificates(ca.read_bytes()))
        self._signers = tuple(signers)
        self._now = now
        self._contracts: dict[str, wsdl.Contract] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. The next call opens it again."""
        self._connection.close()

    def sign_packet(self, packet: bytes) -> bytes:
        """Return *packet* with this partner's own signature in it. Raises the errors of `signing.sign_packet`."""
        return signing.sign_packet(packet, self.identity)

    def ask(self, service: str, element: etree._Element, path: str) -> tuple[etree._Element, x509.Certificate]:
        """Return the verified and validated answer to the call *element* of *service*, and the server's TLS certificate.

        *path*: of the service at the hub. Raises `SubmissionRefused` and `HubUnavailable`.
        """
        body = signing.sign_envelope(envelope.wrap_in_envelope(element), self.identity, self._now())
        name = etree.QName(element)
        answer = self._post(path, body, f"{name.namespace}/{name.localname}")
        wait = retry_after(answer.headers, self._now())
        try:
            opened = envelope.open_reply(safe_xml.parse_safe_xml(answer.body, limits=safe_xml.Limits(size=_LONGEST)))
            signed = envelope.is_signed(opened)
            child = self._verified(opened, answer.peer) if signed else opened.child
        except Rejected as error:
            raise _judge_unreadable_answer(answer.status, error, wait) from error
        fault = envelope.read_fault(child)
        # a fault may be unsigned: the holder of the TLS key may send it, and it claims no success
        if fault is not None:
            problems = fault.problems or (Problem("fault", fault.text),)
            if fault.sender:
                raise SubmissionRefused(*problems, tracking=fault.tracking)
            raise HubUnavailable("; ".join(f"{each.code}: {each.detail}" for each in problems), wait)
        if not signed or answer.status != 200:
            raise HubUnavailable(phrase("HTTP {status}: the answer is not signed", status=answer.status), wait)
        try:
            self._find_contract(service).validate(child)
        except Rejected as error:
            raise HubUnavailable(phrase("the answer breaks the contract: {error}", error=error), wait) from error
        return child, answer.peer

    def _verified(self, opened: envelope.Envelope, peer: x509.Certificate) -> etree._Element:
        """Return the signed child of the Body.

        The signer must be a known signer, or else the server's TLS certificate.
        """
        root = opened.body.getparent()
        assert root is not None
        verified = wss_verify.verify_envelope(root, self._signers or [peer], self._now(), max_age=_MAX_AGE)
        return envelope.find_only_child(verified.body)

    def _find_contract(self, service: str) -> wsdl.Contract:
        if service not in self._contracts:
            own = wsdl.is_published_contract(service)
            self._contracts[service] = wsdl.load_contract(service) if own else load_shipped_contract(service)
        return self._contracts[service]

    def _post(self, path: str, body: bytes, action: str) -> HttpAnswer:
        """Post one call. If the hub has closed a kept connection meanwhile, connect once more."""
        kept = self._connection.sock is not None
        try:
            try:
                return self._exchange(path, body, action)
            except (*_HUNG_UP, HTTPException):
                if not kept:
                    raise
                self.close()
                return self._exchange(path, body, action)
        except (OSError, HTTPException) as error:
            self.close()
            raise HubUnavailable(f"{type(error).__name__}: {error}", said=name_system_error(error)) from error

    def _exchange(self, path: str, body: bytes, action: str) -> HttpAnswer:
        connection = self._connection
        if connection.sock is None:
            connection.connect()
        shown = connection.sock.getpeercert(binary_form=True)
        assert shown is not None, "the context demands a certificate"
        headers = {"Content-Type": envelope.CONTENT_TYPE, "SOAPAction": f'"{action}"'}
        with suppress(*_HUNG_UP):  # the hub may refuse a call that is too large before it has read all of it
            connection.request("POST", path, body, headers)
        response = connection.getresponse()
        content = response.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            raise HTTPException(f"the answer has more than {_LONGEST} octets")
        found = {name.lower(): value for name, value in response.getheaders()}
        return HttpAnswer(response.status, found, content, x509.load_der_x509_certificate(shown))


class DocumentsClient(ServiceClient):
    """A `ServiceClient` with the calls of the documents service. Its URL is the one of this service."""

    # Each of the following methods raises `SubmissionRefused` and `HubUnavailable`.

    def send(self, packet: bytes, message_id: str | None = None) -> Sent:
        """Send *packet*, and verify that the receipt is sealed and is for this message."""
        return self._submit(documents_requests.SendDocument(packet, message_id))

    def update(self, packet: bytes, message_id: str | None = None) -> Sent:
        """Send a status packet by UpdateTraces, otherwise like `send`."""
        return self._submit(documents_requests.UpdateTraces(packet, message_id))

    def pending(self, organ_id: str, limit: int | None = None) -> tuple[str, ...]:
        """Return the ids of the messages that wait for a unit, oldest first."""
        return self._call(documents_requests.GetPendingDocumentIds(organ_id, limit), documents_responses.read_pending)[
            0
        ]

    def get(self, document_id: str) -> documents_responses.Document:
        """Fetch one message."""
        found, _ = self._call(documents_requests.GetDocument(document_id), documents_responses.read_document)
        if found.document_id != document_id:
            raise HubUnavailable(phrase("asked for {asked}, got {got}", asked=document_id, got=found.document_id))
        return found

    def confirm(self, document_id: str, organ_id: str | None = None) -> None:
        """Confirm one message, for one unit or for all of the partner's units. It may be repeated."""
        call = documents_requests.ConfirmReceived(document_id, organ_id)
        report, _ = self._call(call, lambda child: documents_responses.read_report(child, "ConfirmReceived"))
        if not report.success:
            raise SubmissionRefused(*report.problems)

    def traces(
        self, organ_id: str, document_id: str | None = None, since: datetime | None = None
    ) -> tuple[documents_responses.Trace, ...]:
        """Return the status packets for a unit, in order of arrival."""
        return self._call(documents_requests.GetTraces(organ_id, document_id, since), documents_responses.read_traces)[
            0
        ]

    def _submit(self, call: documents_requests.SendDocument | documents_requests.UpdateTraces) -> Sent:
        answer, peer = self._call(call, lambda child: documents_responses.read_submission(child, type(call).__name__))
        if not answer.report.success:
            raise SubmissionRefused(*answer.report.problems)
        if answer.receipt is None:
            raise HubUnavailable(phrase("accepted, but without a receipt"))
        try:
            said = documents_responses.read_receipt(self._unsealed(answer.receipt, peer))
        except (Rejected, ValueError) as error:
            raise HubUnavailable(phrase("the receipt does not hold: {error}", error=error)) from error
        assert isinstance(call.packet, bytes)
        sha256 = hashlib.sha256(call.packet).hexdigest()
        if (said.document_id, said.message_id, said.sha256) != (answer.document_id, call.message_id or sha256, sha256):
            raise HubUnavailable(phrase("the receipt is for another message: {said}", said=said))
        return Sent(said.document_id, said.message_id, sha256, said.time, answer.receipt)

    def _unsealed(self, receipt: bytes, peer: x509.Certificate) -> etree._Element:
        """Verify the seal of *receipt*, and return its root element.

        The sealer must be one of the signers, or else *peer*, or an older certificate with the same subject from the
        same CA. With known signers the subject is not compared, because the certificate of TLS may have the same one.
        """
        try:
            return wss_verify.unseal_document(receipt, self._signers or [peer], self._now())[0]
        except wss_verify.Unverified as error:
            if self._signers:
                raise
            root, sealer = wss_verify.unseal_document(receipt, self._anchors, self._now())
            if sealer.subject != peer.subject:
                raise error from None
            return root

    def _call(
        self, call: documents_requests.Call, read: Callable[[etree._Element], Said]
    ) -> tuple[Said, x509.Certificate]:
        child, peer = self.ask("documents", documents_requests.build_call_element(call), self.path)
        try:
            return read(child), peer
        except ValueError as error:
            raise HubUnavailable(phrase("the answer makes no sense: {error}", error=error)) from error


def load_shipped_contract(service: str) -> wsdl.Contract:
    """Return the contract of a service that the hub brings along, defined by its schema, as one that validates answers."""
    defined = read_shipped_services()[service]
    answers = compile_answers(service, [each.operation for each in defined.messages], defined.schema)
    return attrs.evolve(load_defined_contract(defined), schema=answers)


def _judge_unreadable_answer(status: int, error: Rejected, wait: float | None) -> SubmissionRefused | HubUnavailable:
    """Return the error for an answer that is not an envelope or whose signature is invalid."""
    if status == 413:
        return SubmissionRefused(Problem("too-large", "HTTP 413"))
    return HubUnavailable(f"HTTP {status}: {error}", wait)
