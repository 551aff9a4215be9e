"""Rehearses each route with one sample packet: signs, verifies, validates, reads, examines and routes it.

Packet and call are signed with the hub's key. Runs the steps of a call up to the journal. Writes nothing and sends
nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import count

import attrs
from lxml import etree

import adapters
from hub.config import ANY, Config, Partner
from hub.delivery.partner_adapters import make_terms
from hub.domain.errors import Mistake, Rejected
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import DOCUMENTS, HUB, Consignment, Message, MessageState, PacketProfile, Receive, RevocationRule
from hub.edxml import packet, rules
from hub.edxml.sample import make_sample_packet
from hub.formats import safe_xml
from hub.formats.spool import Octets
from hub.intake import admission, grants, verification
from hub.language.phrases import phrase
from hub.node import consistency
from hub.partner.hand_calls import Rehearser
from hub.security import signing, wss_verify
from hub.soap import documents_requests, envelope
from hub.soap.attachments import Manner
from hub.soap.sample_calls import SampleWriter
from hub.soap.wsdl import Contract
from hub.units.province import Province

#: Values of elements whose schemas allow more than their services do.
_SAMPLE_VALUES = {"TrangThaiHoSo": "1", "TrangThai": "1"}


def rehearse_deliveries(province: Province, contract: Contract, now: datetime) -> Iterable[Mistake]:
    """Yield a mistake for each receiving partner that a sample packet addressed to it would not reach."""
    for code, unit in _list_recipients(province, now):
        try:
            reached = _find_reached_partner(province, contract, province.config.partners[code], unit, now)
        except (Rejected, wss_verify.Unverified) as error:
            yield Mistake(
                f"partners/{code}.toml",
                phrase("a sample packet for {unit} was refused: {error}", unit=unit, error=error),
                phrase("accepted"),
            )
            continue
        if reached != code:
            yield Mistake(
                f"partners/{code}.toml",
                phrase("a sample packet for {unit} goes to {reached}", unit=unit, reached=reached),
                phrase("a route to {code}", code=code),
            )


def rehearse_mapping(config: Config, partner: Partner, now: datetime) -> Iterable[tuple[Mistake, bool]]:
    """Yield what is wrong with the requests that the mapping of *partner* makes of sample messages, and whether it is grave.

    There is a sample of each kind of message that its `services` may bring. It is grave if a step is wrong for all of them,
    whatever their values are, and the hub calls the partner. Nothing is yielded for a partner whose mapping, settings or
    secrets are not complete.
    """
    if not partner.files or any(consistency.judge_mapping(partner)):
        return
    adapter: object = adapters.make_adapter(partner.adapter, make_terms(config, partner))
    if not isinstance(adapter, Rehearser):
        return
    tried = [(each.message, adapter.rehearse(each, now)) for each in _make_consignments(config, partner, now)]
    always = [{flaw.mistake.path for flaw in flaws if flaw.always} for _, flaws in tried]
    for message, flaws in tried:
        for flaw in flaws:
            place, said = flaw.mistake.path, flaw.mistake.wrong
            wrong = phrase("{service}, {kind}: {wrong}", service=message.service, kind=message.kind, wrong=said)
            mistake = attrs.evolve(flaw.mistake, path=f"partners/{partner.folder}/{place}", wrong=wrong)
            yield mistake, partner.called and all(place in each for each in always)


def _make_consignments(config: Config, partner: Partner, now: datetime) -> Iterator[Consignment]:
    """Yield a sample of each message that the hub may push to *partner*."""
    unit = next((each for each in partner.units if each != ANY), config.province)
    for name in partner.services:
        if name == DOCUMENTS:
            subject = "Gói tin kiểm tra của `lienthong check`"
            content = make_sample_packet(config.province, unit, subject, find_local_day(now))
            read = packet.read_packet(safe_xml.parse_safe_xml(content))
            said = {"document_id": read.document_id, "subject": read.subject, "code": read.code}
            yield _make_consignment(content, name, "document", config.province, unit, now, **said)
            continue
        service = config.every_service.get(name)
        if service is None or not service.operations:
            continue
        contract = grants.load_service_contract(config, name)
        writer = SampleWriter.of(contract, _SAMPLE_VALUES | {"OrganId": unit})
        for operation in contract.operations.values():
            if operation.name not in service.operations:
                continue
            content = etree.tostring(writer.write_element(operation.request), method="c14n", exclusive=True)
            try:
                record = service.read(content, now, make_id(now))
            except Rejected:
                continue  # what the service itself would not take says nothing of the mapping
            if record.kind not in service.undelivered_kinds:
                yield _make_consignment(content, name, record.kind, record.sender, unit, now, subject=record.subject)


def _make_consignment(
    content: bytes, service: str, kind: str, sender: str, unit: str, now: datetime, **said: str
) -> Consignment:
    message = Message(
        id=make_id(now),
        partner=HUB,
        message_id="lienthong-check",
        service=service,
        kind=kind,
        state=MessageState.ACCEPTED,
        received_at=now,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        sender=sender,
        **said,
    )
    return Consignment(message=message, content=content, recipients=(unit,), attempt=1)


def _list_recipients(province: Province, now: datetime) -> Iterable[tuple[str, str]]:
    """Yield each receiving partner with one active unit of its own; for the upstream, a code outside the province."""
    config, today = province.config, find_local_day(now)
    for partner in config.partners.values():
        if partner.receive is Receive.NONE:
            continue
        if partner.code == config.upstream:
            yield partner.code, _make_unknown_code(province)
        for unit in partner.units:
            if unit != ANY and _is_unit_active(province, unit, today):
                yield partner.code, unit
                break


def _make_unknown_code(province: Province) -> str:
    """Return a code outside the province that neither the registry nor a partner file contains.

    It must route to the upstream.
    """
    # shaped as in QCVN 102: Z01, Z02 …
    shaped = (f"{number // 100:03}.00.00.Z{number % 100:02}" for number in count(1))
    return next(code for code in shaped if not province.routes.knows(code))


def _is_unit_active(province: Province, unit: str, today: date) -> bool:
    try:
        province.routes.route(unit, today)
    except Rejected:
        return False
    return True


def _find_reached_partner(province: Province, contract: Contract, partner: Partner, unit: str, now: datetime) -> str:
    """Return the partner that a packet for *unit* reaches under *partner*'s policy.

    Raises `Rejected` and `Unverified`.
    """
    identity, today = province.config.identity, find_local_day(now)
    content = make_sample_packet(province.config.province, unit, "Gói tin kiểm tra của `lienthong check`", today)
    call = documents_requests.SendDocument(signing.sign_packet(content, identity))
    body = wss_verify.sign_envelope(
        envelope.wrap_in_envelope(documents_requests.build_call_element(call)), identity, now
    )
    # for the hub's own certificate, which is checked elsewhere
    policy = attrs.evolve(partner.policy, revocation=RevocationRule.ALLOW)
    signer = attrs.evolve(partner, certificates=(identity.certificate,), policy=policy, calls=(DOCUMENTS,))
    manner = Manner(action=documents_requests.choose_soap_action(call))
    opened = verification.open_call(body, manner, (signer,), identity.certificate, province, contract, now)
    assert isinstance(opened.call, documents_requests.SendDocument)
    assert isinstance(opened.call.packet, bytes)  # a sample packet is small
    root, octets = safe_xml.parse_safe_xml(opened.call.packet), Octets.of(opened.call.packet)
    admission.require_signature(admission.judge_signature(root, octets, signer, province, now), signer.policy)
    read = packet.read_packet(root)
    if signer.policy.profile == PacketProfile.STRICT:
        read = rules.note_broken_rules(read, root)
    rules.examine_packet(read, today=today, profile=signer.policy.profile)
    return province.routes.route(read.recipients[0], today).partner
