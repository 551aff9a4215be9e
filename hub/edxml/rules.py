"""Checks a packet against rules that need more than its octets: the current day and the partner's profile.

Does not know units. Routing does.
"""

from datetime import date

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import Packet, PacketProfile, Problem
from hub.edxml.packet import read_packet_date
from hub.language.phrases import phrase


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
