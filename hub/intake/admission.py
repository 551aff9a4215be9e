"""Judges a message: parses it, checks it and its own signature, authorises its sender, routes it, writes its receipt.

Knows the rules and their order. Does not know how the call arrived or what is in the journal.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

import attrs
from lxml import etree

from hub.config import Partner
from hub.domain.errors import Rejected
from hub.domain.local_time import find_local_day
from hub.domain.model import (
    DOCUMENTS,
    HUB,
    DeliveryState,
    Packet,
    PacketKind,
    PacketProfile,
    PacketSignature,
    Problem,
    Receive,
    Record,
    SignatureStanding,
)
from hub.edxml import changes, known_packets, packet, packet_signature, rules
from hub.formats import markup_memory, streamed_xml
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import Loads
from hub.intake import enclosures
from hub.intake.dossier_tellers import assign_dossiers
from hub.journal import duties
from hub.journal.effects import MessageEntry
from hub.language.phrases import phrase
from hub.partner.policy import Policy, RequiredSignature
from hub.security import signing
from hub.services import Service
from hub.services.dossiers.identity import CLAIMED, SHARED, read_agency
from hub.services.dossiers.results import NAME as DOSSIERS
from hub.services.dossiers.statistic import DECLARED
from hub.soap import documents_requests, documents_responses
from hub.units.province import Province
from hub.units.routing import Route, Routes

#: Maximum octets of a status. It reports the result for one document in some kB, and GetTraces returns up to 2,000 at a
#: time.
STATUS = 128 * 1024


def judge_message(
    call: documents_requests.SendDocument | documents_requests.UpdateTraces,
    partner: Partner,
    province: Province,
    service: str,
    now: datetime,
    message: str,
    drawer: Drawer | None = None,
    *,
    corrected: bool = False,
    schemas: Path | None = None,
    sealed: bool = True,
) -> MessageEntry:
    """Judge the packet of *call*: read and check it, authorise its sender, route it, and write its receipt.

    *corrected*: a person corrected it for the partner. Its signature is then the hub's or missing, and none is required;
    the packet counts as one without a signature of its sender. *schemas*: the folder of schemas to judge by; None: those
    of the hub. *sealed*: write the receipt, which the hub's key signs.
    """
    content = Octets.of(call.packet) if isinstance(call.packet, bytes) else call.packet
    sha256 = content.sha256()
    entry = MessageEntry(
        id=message,
        partner=partner.code,
        message_id=call.message_id or sha256,
        service=service,
        received_at=now,
        content=content,
        sha256=sha256,
    )
    signature, found = _read_signed_packet(content, partner, province, now, drawer, schemas, corrected=corrected)
    if isinstance(found, Rejected):
        return attrs.evolve(entry, signature=signature, problems=found.problems)
    entry = attrs.evolve(entry, signature=signature, packet=found)
    try:
        read = rules.examine_packet(found, today=find_local_day(now), profile=partner.policy.profile)
        entry = attrs.evolve(entry, packet=read)
        only_status = isinstance(call, documents_requests.UpdateTraces)
        routes = authorise_call(read, partner.code, province, now, only_status=only_status)
    except Rejected as rejected:
        return attrs.evolve(entry, problems=rejected.problems)
    receipt = seal_receipt(entry, province) if sealed else None
    rest = duties.pack_attachments(enclosures.find_enclosures(read))
    return attrs.evolve(entry, routes=routes, receipt=receipt, rest=rest)


def _read_signed_packet(
    content: Octets,
    partner: Partner,
    province: Province,
    now: datetime,
    drawer: Drawer | None,
    schemas: Path | None,
    *,
    corrected: bool,
) -> tuple[PacketSignature | None, Packet | Rejected]:
    """Return the packet in *content*, or why it is refused, with its signature as far as that was judged."""
    signature: PacketSignature | None = None
    strict = partner.policy.profile == PacketProfile.STRICT
    usual = not (corrected or strict or schemas)
    small = content.read() if len(content) <= markup_memory.SMALL and usual else None
    found = None if small is None else known_packets.read_known_packet(small)
    try:
        if found is not None:
            signature = PacketSignature(standing=SignatureStanding.UNSIGNED)
            require_signature(signature, partner.policy)
        else:
            root, loads = streamed_xml.parse_streamed_xml(
                content, frozenset({packet.LOADED}), drawer or Drawer(), take=packet.measure_long_text
            )
            if corrected:
                signature = PacketSignature(standing=SignatureStanding.UNSIGNED, code="signed-by-hub")
            else:
                signature = judge_signature(root, content, partner, province, now, loads)
                require_signature(signature, partner.policy)
            found = packet.read_packet(root, loads, schemas)
            if small is not None:
                known_packets.learn_packet(small, found)
            if strict:
                found = rules.note_broken_rules(found, root)
        require_status_size(found, len(content))
    except Rejected as rejected:
        return signature, rejected
    return signature, found


def seal_receipt(entry: MessageEntry, province: Province, namespace: str = documents_requests.NAMESPACE) -> bytes:
    """Return the receipt of *entry* in *namespace*, signed with the hub's key."""
    assert entry.message_id is not None
    said = documents_responses.Receipt(
        document_id=entry.id, message_id=entry.message_id, sha256=entry.sha256, time=entry.received_at
    )
    return signing.seal_canonical(documents_responses.write_receipt(said, namespace), province.config.identity)


def judge_own_packet(content: bytes, message_id: str, province: Province, now: datetime, message: str) -> MessageEntry:
    """Judge a packet that the hub itself wrote: only its recipients can be wrong.

    Facts in its attachments are not read, because the hub has already counted them.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    entry = MessageEntry(
        id=message,
        partner=HUB,
        message_id=message_id,
        service=DOCUMENTS,
        received_at=now,
        content=content,
        sha256=sha256,
        packet=packet.read_packet(content),
        signature=PacketSignature(standing=SignatureStanding.UNSIGNED),
    )
    assert entry.packet is not None
    try:
        routes = province.routes.route_all(HUB, entry.packet.recipients, find_local_day(now))
    except Rejected as rejected:
        return attrs.evolve(entry, problems=rejected.problems)
    return attrs.evolve(entry, routes=routes, receipt=seal_receipt(entry, province))


def judge_record(
    service: Service,
    content: bytes,
    message_id: str | None,
    partner: str,
    province: Province,
    now: datetime,
    message: str,
) -> MessageEntry:
    """Judge a message that is not a packet: read it, authorise its units, route it, and write its receipt.

    Its units are replaced by registry codes. It goes to each partner that takes its service, except back to *partner*.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    entry = MessageEntry(
        id=message,
        partner=partner,
        message_id=message_id or sha256,
        service=service.name,
        received_at=now,
        content=content,
        sha256=sha256,
    )
    try:
        record = resolve_record_units(service.read(content, now, message), province.routes)
        entry = attrs.evolve(entry, record=record)
        require_family(record, province.routes)
        require_fact_limit(record)
        if partner != HUB:
            require_permission(record, partner, province.routes, telling=service.may_report_any_unit)
            require_strict_profile(record, province.config.partners[partner].policy)
            require_life(record, province.routes, find_local_day(now))
        record = assign_dossiers(record, partner, province.routes, find_local_day(now))
        require_one_world(list_named_units(record), province.routes)
        entry = attrs.evolve(entry, record=record)
    except Rejected as rejected:
        return attrs.evolve(entry, problems=rejected.problems)
    takers = _list_takers(service, record, province)
    try:
        # what a drill reports leaves the hub by no way
        routes = (
            () if province.routes.is_drill(record.sender) else route_record(record, partner, takers, province.routes)
        )
    except Rejected as rejected:
        return attrs.evolve(entry, problems=rejected.problems)
    receipt = seal_receipt(entry, province, f"urn:lienthong:{service.name}:1")
    first, rest = record.facts[: duties.SLICE], duties.pack_facts(record.facts[duties.SLICE :])
    return attrs.evolve(entry, routes=routes, receipt=receipt, record=attrs.evolve(record, facts=first), rest=rest)


def _list_takers(service: Service, record: Record, province: Province) -> list[Partner]:
    """Return the partners to which a *record* of *service* is pushed."""
    return [
        each
        for each in province.config.partners.values()
        if service.name in each.services
        and record.kind not in service.undelivered_kinds
        and each.receive is Receive.PUSH
    ]


def route_record(record: Record, partner: str, takers: Sequence[Partner], routes: Routes) -> tuple[Route, ...]:
    """Return the deliveries of a *record* that *partner* sent: to each of *takers*, or to those of the units that it names.

    A named unit's system is the one of *takers* with this unit, or the nearest one above, among its units. What *partner*
    has sent does not go back to it. Raises `Rejected` with each unit that is not known, or has no such system.
    """
    if record.recipients is None:
        return tuple(
            Route(each.code, each.code, each.code, DeliveryState.WAITING) for each in takers if each.code != partner
        )
    owners = {routes.canonical(unit): each.code for each in takers for unit in each.units}
    found: list[Route] = []
    problems: list[Problem] = []
    for code in record.recipients:
        line = routes.list_line(code)
        via = next((unit for unit in line if unit in owners), None)
        if not line:
            problems.append(Problem("unit-unknown", code))
        elif via is None:
            problems.append(Problem("unit-without-system", code))
        elif owners[via] != partner:
            found.append(Route(line[0], owners[via], via, DeliveryState.WAITING))
    if problems:
        raise Rejected(*problems)
    return tuple({route.recipient: route for route in found}.values())


def require_fact_limit(record: Record) -> None:
    """Raise `Rejected` if *record* has more facts than one message may have."""
    if len(record.facts) > duties.MOST_FACTS:
        raise Rejected(Problem("too-many-facts", f"{len(record.facts)} > {duties.MOST_FACTS}"))


def require_one_world(codes: Iterable[str], routes: Routes) -> None:
    """Raise `Rejected` (`drill-mixed`) if *codes* are both test units of a drill and other units."""
    if (mixed := routes.find_drill_problem(codes)) is not None:
        raise Rejected(mixed)


def list_named_units(record: Record) -> Iterator[str]:
    """Yield the units whose counts *record* may touch. A code of a dossier stands for the unit that it names."""
    yield from (record.sender, *record.told, *(record.recipients or ()))
    for fact in record.facts:
        yield fact.unit
        if fact.service in (DOSSIERS, CLAIMED, SHARED) and fact.milestone not in DECLARED.values():
            yield read_agency(fact.key) or fact.key
            yield from (value for name, value in fact.attributes if name == "competent")


def require_permission(record: Record, partner: str, routes: Routes, *, telling: bool = False) -> None:
    """Raise `Rejected` if *partner* may not report about a unit in *record*.

    A record without a unit needs no permission.

    *telling*: the record only reports figures about units, so a partner that may report about any unit (`tells`) may
    send it, too.
    """
    for unit in dict.fromkeys((record.sender, *(fact.unit for fact in record.facts))):
        if unit and (why := routes.find_send_problems(partner, unit, telling=telling)):
            raise Rejected(why[0])


def require_life(record: Record, routes: Routes, on: date) -> None:
    """Raise `Rejected` (`unit-inactive`) if the sender of *record* has ended and its days of grace are over on the day *on*."""
    if record.sender and routes.is_late(record.sender, on):
        raise Rejected(*filter(None, (routes.find_end_problem(record.sender, on),)))


def require_family(record: Record, routes: Routes) -> None:
    """Raise `Rejected` for each unit in *record* that is not below its sender, or that appears under two codes."""
    strangers = [unit for unit in record.told if not routes.is_under(unit, record.sender)]
    first = {routes.canonical(unit): unit for unit in reversed(record.told)}
    again = [unit for unit in record.told if first[routes.canonical(unit)] != unit]
    problems = [Problem("unit-not-below", f"{unit}: {record.sender}") for unit in strangers]
    problems += [
        Problem(
            "M.Figures.OrganId",
            phrase("{unit}: also appears as {first}", unit=unit, first=first[routes.canonical(unit)]),
        )
        for unit in again
    ]
    if problems:
        raise Rejected(*problems)


def require_strict_profile(record: Record, policy: Policy) -> None:
    """Raise `Rejected` for deviations that the profile *observed* tolerates, if *policy* says `strict`."""
    if policy.profile == PacketProfile.STRICT and record.deviations:
        raise Rejected(*record.deviations)


def resolve_record_units(record: Record, routes: Routes) -> Record:
    """Return *record* with registry codes for its units."""
    facts = tuple(attrs.evolve(fact, unit=routes.canonical(fact.unit)) for fact in record.facts)
    return attrs.evolve(record, sender=routes.canonical(record.sender), facts=facts)


def judge_signature(
    root: etree._Element,
    octets: Octets,
    partner: Partner,
    province: Province,
    now: datetime,
    loads: Loads = streamed_xml.NONE,
) -> PacketSignature:
    """Return the result of checking the own signature of a packet that *partner* sent.

    *root* is the tree of its *octets*, from which *loads* were taken out.
    """
    policy = partner.policy
    return packet_signature.judge_packet_signature(
        root,
        octets,
        partner.certificates,
        province.config.anchors,
        now,
        sha1=policy.sha1,
        vxp=policy.vxp_signature,
        unknown=policy.revocation,
        loads=loads,
    )


def require_status_size(read: Packet, octets: int) -> None:
    """Raise `Rejected` for a status with more *octets* than `STATUS`."""
    if read.kind is PacketKind.STATUS and octets > STATUS:
        raise Rejected(Problem("too-large", f"{octets} > {STATUS}"))


def require_signature(found: PacketSignature | None, policy: Policy) -> None:
    """Raise `Rejected` if the policy requires signed packets and this one has no valid signature."""
    if policy.signature == RequiredSignature.MESSAGE or found is None or found.standing is SignatureStanding.VALID:
        return
    codes = {
        SignatureStanding.UNSIGNED: "packet-unsigned",
        SignatureStanding.INVALID: "packet-signature-invalid",
        SignatureStanding.UNVERIFIABLE: "packet-signature-unverifiable",
    }
    reason = phrase("{place}: {detail}", place=found.code, detail=found.detail) if found.detail else found.code
    raise Rejected(Problem(codes[found.standing], reason))


def authorise_call(
    read: Packet, partner: str, province: Province, now: datetime, *, only_status: bool = False
) -> tuple[Route, ...]:
    """Return the routes of *read* if *partner* may send it. UpdateTraces (*only_status*) allows a status only.

    Raises `Rejected`.
    """
    routes, today = province.routes, find_local_day(now)
    if only_status and read.kind is not PacketKind.STATUS:
        raise Rejected(Problem("N.MessageHeader.StatusCode", "UpdateTraces"))
    if not routes.may_send(partner, read.sender):
        raise Rejected(Problem("sender-not-allowed", read.sender))
    if (ended := routes.find_end_problem(read.sender, today)) is not None:
        raise Rejected(ended)
    others = (*read.recipients, *changes.list_told_units(read), *read.removed, *(each.organ for each in read.responses))
    require_one_world((read.sender, *others), routes)
    if read.kind is not PacketKind.STATUS:
        return routes.route_all(partner, (*read.recipients, *changes.list_told_units(read)), today, also=read.removed)
    organ = read.responses[0].organ
    if routes.find_actor(organ, today) == routes.find_actor(read.sender, today):
        # a status of the original sender goes to the document's recipients, which the journal knows; one about what
        # units sent one another that are one now, to nobody
        return ()
    try:
        return routes.route_all(partner, (organ,), today, answering=True)
    except Rejected as rejected:
        if all(problem.code == "unit-without-system" for problem in rejected.problems):
            return ()  # its system reads the status by GetTraces
        if routes.has_ended(organ, today):
            return ()  # nobody continues its work alone; the systems of all who do read the status by GetTraces
        raise
