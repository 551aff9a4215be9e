"""Checks a packet against rules that need more than its octets and its schemas: the current day, the partner's profile.

Does not know units. Routing does.
"""

from datetime import date

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Packet, PacketKind, PacketProfile, Problem
from hub.edxml.packet import read_packet_date
from hub.language.phrases import phrase


def note_broken_rules(packet: Packet, root: etree._Element) -> Packet:
    """Return *packet*, read from the tree under *root*, with what it breaks of the rules of the profile `strict`.

    Raises NeedsThread in a turn of the reactor.
    """
    from hub.edxml.strict_rules import find_broken_rules  # xmlschema and elementpath: 0.4 s

    broken = find_broken_rules(root, is_status=packet.kind is PacketKind.STATUS)
    return attrs.evolve(packet, deviations=(*packet.deviations, *broken)) if broken else packet


def examine_packet(packet: Packet, *, today: date, profile: PacketProfile = PacketProfile.OBSERVED) -> Packet:
    """Return *packet* with the additional deviations.

    *today* is the day in Hà Nội. A PromulgationDate after it is out of range (QCVN 102, 1.4). The *observed* profile
    tolerates every deviation. Under *strict* each one is a refusal. Raises Rejected with all of them.
    """
    promulgated = read_packet_date(packet.promulgation_date)
    deviations = packet.deviations
    if promulgated is not None and promulgated > today:
        code = "R.MessageHeader.PromulgationInfo.PromulgationDate"
        deviations = (
            *deviations,
            Problem(
                code,
                phrase(
                    "{promulgation_date} is after {today}",
                    promulgation_date=packet.promulgation_date,
                    today=f"{today:%Y/%m/%d}",
                ),
            ),
        )
    if profile == PacketProfile.STRICT and deviations:
        raise Rejected(*deviations)
    return packet if deviations is packet.deviations else attrs.evolve(packet, deviations=deviations)
