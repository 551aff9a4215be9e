"""Makes signed samples of each operation that a partner may call, and of the hub's call to it.

They are signed with a throw-away key of a sandbox, whose certificate is of a sample CA and belongs to nobody: no hub
accepts them, and no key of the hub or of the partner is used. They show the form. Pure.
"""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256

import attrs
from cryptography import x509
from lxml import etree

from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import Problem
from hub.edxml.sample import make_sample_packet, make_sample_status
from hub.formats import xsd_types
from hub.language.phrases import Phrase, phrase, verbatim
from hub.monitoring.integration.facts import IntegrationFacts, IntegrationService
from hub.security import sample_pki, signing
from hub.security.certificates import Identity
from hub.soap import documents_requests, documents_responses, envelope
from hub.soap.sample_calls import SampleWriter

#: The subject of the sandbox's certificate.
SANDBOX = "SANDBOX, belongs to nobody"
_NOTATION = "SANDBOX"
#: A code outside the province and outside of every registry, for a partner without units.
_NOWHERE = "000.00.00.Z00"


@attrs.frozen(kw_only=True)
class SampleFile:
    """One file of the kit."""

    name: str
    about: Phrase
    content: bytes = attrs.field(repr=False)


@attrs.frozen
class SandboxKey:
    """A throw-away key, and its CA. Only certificates of it are handed out."""

    identity: Identity
    authority: x509.Certificate


def make_sandbox_key(now: datetime) -> SandboxKey:
    """Return a new throw-away key. Takes about 0.2 s of CPU."""
    authority = sample_pki.create_sample_ca(now)
    return SandboxKey(Identity(*authority.issue(SANDBOX, now)), authority.certificate)


def make_samples(facts: IntegrationFacts, key: SandboxKey, now: datetime) -> Iterator[SampleFile]:
    """Yield the samples of each operation: the packets, then the calls and their answers."""
    writer = _Samples.of(facts, key.identity, now)
    yield SampleFile(name="packet-document.edxml", about=phrase("A document, without SOAP"), content=writer.document)
    yield SampleFile(name="packet-status.edxml", about=phrase("A status of this document"), content=writer.status)
    signed = signing.sign_packet(writer.document, key.identity)
    yield SampleFile(
        name="packet-document-signed.edxml", about=phrase("The document with a signature of its own"), content=signed
    )
    for service in facts.services:
        yield from writer.list_calls(service)
    yield from writer.list_refusals()


@attrs.frozen(eq=False)
class _Samples:
    """Writes the samples of one partner."""

    key: Identity
    now: datetime
    unit: str  #: a unit of the partner
    document: bytes
    status: bytes

    @classmethod
    def of(cls, facts: IntegrationFacts, key: Identity, now: datetime) -> "_Samples":
        unit = facts.units[0][0] if facts.units else _NOWHERE
        to, day = facts.others[0] if facts.others else _NOWHERE, find_local_day(now)
        document = make_sample_packet(unit, to, "Văn bản mẫu (SANDBOX)", day, notation=_NOTATION)
        return cls(key, now, unit, document, make_sample_status(to, unit, day, notation=_NOTATION))

    def list_calls(self, service: IntegrationService) -> Iterator[SampleFile]:
        """Yield the call and the answer of each operation of *service*."""
        name = service.contract.name
        for operation in service.contract.operations.values():
            if operation.name not in service.operations:
                continue
            packet = self.status if operation.name == "UpdateTraces" else self.document
            writer = SampleWriter.of(service.contract, self._choose_values(packet))
            call = writer.write_element(operation.request)
            title = verbatim(f"{name}: {operation.name}")
            yield self._sign(
                f"{name}-{operation.name}-call.xml", phrase("{operation}, the call", operation=title), call
            )
            about = phrase("{operation}, the answer", operation=title)
            file = f"{name}-{operation.name}-answer.xml"
            if operation.name in {"SendDocument", "UpdateTraces"}:
                yield self._sign_taken(file, about, operation.name, packet)
            elif operation.response in service.contract.model.elements:
                yield self._sign(file, about, writer.write_element(operation.response))
            else:  # of a service that the configuration defines: the answer to a message that was accepted
                content, space = etree.tostring(call, method="c14n", exclusive=True), service.contract.namespace
                yield self._sign_taken(file, about, operation.name, content, space)

    def list_refusals(self) -> Iterator[SampleFile]:
        """Yield how the hub refuses: a message in a good call, and a call."""
        problem = Problem("unit-unknown", "H55.99")
        refused = documents_responses.build_refused_response("SendDocument", [problem])
        yield self._sign("refused-message.xml", phrase("A refused message: HTTP 200, IsSuccess=false"), refused)
        fault = envelope.write_fault(
            documents_requests.NAMESPACE, [Problem("unsigned")], server=False, tracking=make_id(self.now)
        )
        yield SampleFile(
            name="refused-call.xml", about=phrase("A refused call: a SOAP fault, not signed here"), content=fault
        )

    def _choose_values(self, packet: bytes) -> dict[str, str]:
        """Return values of elements. Optional elements that are named here are written."""
        return {
            "OrganId": self.unit,
            "MessageId": "2026-0001",
            "DocumentId": make_id(self.now),
            "Packet": xsd_types.encode_canonical_base64(packet),
            "Period": f"{self.now:%Y-%m}",
            "Form": "edoc",
        }

    def _sign(self, name: str, about: Phrase, child: etree._Element) -> SampleFile:
        signed = signing.sign_envelope(envelope.wrap_in_envelope(child), self.key, self.now)
        return SampleFile(name=name, about=about, content=signed)

    def _sign_taken(
        self, name: str, about: Phrase, operation: str, packet: bytes, space: str = documents_requests.NAMESPACE
    ) -> SampleFile:
        """Return the answer to an accepted message, with a receipt that is sealed like those of the hub."""
        document_id = make_id(self.now)
        content = documents_responses.Receipt(document_id, "2026-0001", sha256(packet).hexdigest(), self.now)
        receipt = signing.seal_canonical(documents_responses.write_receipt(content, space), self.key)
        taken = documents_responses.write_taken_response(operation, document_id, receipt, space)
        signed = signing.sign_canonical_body(taken, envelope.SOAP11, self.key, self.now)
        return SampleFile(name=name, about=about, content=signed)
