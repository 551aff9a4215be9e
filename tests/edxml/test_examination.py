"""What a packet may say on which day, and to whom the hub is strict."""

from datetime import date

import pytest

from hub.domain.errors import Rejected, describe_problem
from hub.domain.model import PacketProfile
from hub.edxml import packet, rules
from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Variation

TODAY = date(2026, 11, 24)


def read(promulgated: date | str = TODAY, **changes):
    content = packets.write_document_packet(
        "H55.13", ["H55.01"], number="1", notation="A", subject="S", promulgated=promulgated, **changes
    )
    return packet.read_packet(content)


def test_an_ordinary_packet_passes_unchanged():
    for profile in PacketProfile:
        assert rules.examine_packet(read(), today=TODAY, profile=profile) == read()


@pytest.mark.parametrize("promulgated", ["2026/11/25", "25/11/2026", "2062/11/24"])
def test_a_document_of_tomorrow_is_tolerated_and_noted(promulgated):
    examined = rules.examine_packet(read(promulgated), today=TODAY)
    assert examined.deviations[-1].code == "R.MessageHeader.PromulgationInfo.PromulgationDate"
    assert str(examined.deviations[-1].detail) == f"{promulgated} is after 2026/11/24"
    assert rules.examine_packet(examined, today=date(2062, 11, 24)) == examined


def test_a_date_that_cannot_be_read_is_not_in_the_future():
    dirty = read("2026/13/45")
    assert rules.examine_packet(dirty, today=TODAY) == dirty


def test_a_strict_partner_is_refused_for_every_deviation_together():
    varied = read("25/11/2026", variation=Variation(order="clauses", extension="ReplyFors"))
    assert varied.deviations
    with pytest.raises(Rejected) as refused:
        rules.examine_packet(varied, today=TODAY, profile=PacketProfile.STRICT)
    found = [problem.code for problem in refused.value.problems]
    assert {"child-order", "element-unknown", "R.MessageHeader.PromulgationInfo.PromulgationDate"} <= set(found)
    assert all(" / " in describe_problem(problem) for problem in refused.value.problems)
