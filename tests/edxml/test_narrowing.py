"""A packet that names only some of its recipients: what changes in it, what does not, and what is left as it is."""

from typing import Literal

import attrs
import pytest

from hub.domain.model import Consignment, Message, MessageState
from hub.edxml import packet
from hub.edxml.narrowing import narrow_packet
from hub.edxml.recipient_naming import RecipientNaming, find_told_recipients, name_recipients
from lienthong_demo.plan import packets
from tests.pki import NOW


def letter(*to: str, signature: Literal["", "dummy", "xmldsig"] = "") -> bytes:
    variation = attrs.evolve(packets.SEEN, signature=signature)
    return packets.write_document_packet(
        "H55.13", to, number="1", notation="VB", subject="V/v", promulgated="2026/11/20", variation=variation
    )


def consigned_to(recipients: tuple[str, ...], content: bytes, named: tuple[str, ...] = ()) -> Consignment:
    message = Message(
        id="m",
        partner="sotttt",
        message_id="m-1",
        service="documents",
        kind="document",
        state=MessageState.ACCEPTED,
        received_at=NOW,
        sha256="",
        size=len(content),
    )
    return Consignment(message=message, content=content, recipients=recipients, attempt=1, named=named)


def test_the_others_are_left_out_and_nothing_else_is_read_differently():
    whole = letter("G22", "H37.01", "H47.01")
    narrowed = narrow_packet(whole, ["H37.01", "H47.01"], keep_signed=True)
    assert (narrowed.named, narrowed.of, narrowed.is_narrow) == (2, 3, True)
    wanted = attrs.evolve(packet.read_packet(whole), recipients=("H37.01", "H47.01"))
    assert packet.read_packet(narrowed.content) == wanted


def test_a_repetition_to_the_same_recipients_has_the_same_octets():
    whole = letter("G22", "H37.01")
    assert narrow_packet(whole, ["G22"], keep_signed=True) == narrow_packet(whole, ["G22"], keep_signed=True)


@pytest.mark.parametrize("codes", [("G22", "H37.01"), ("G22", "H37.01", "H1"), ("H99",)])
def test_a_packet_that_names_nobody_else_or_none_of_them_goes_as_it_is(codes):
    whole = letter("G22", "H37.01")
    assert narrow_packet(whole, codes, keep_signed=False).content is whole


@pytest.mark.parametrize("signature", ["dummy", "xmldsig"])
def test_a_signed_packet_is_whole_or_loses_its_signature_with_the_others(signature):
    whole = letter("G22", "H37.01", signature=signature)
    assert narrow_packet(whole, ["G22"], keep_signed=True).content is whole
    narrowed = narrow_packet(whole, ["G22"], keep_signed=False)
    assert b"Signature" not in narrowed.content
    assert packet.read_packet(narrowed.content).recipients == ("G22",)
    alone = letter("G22", signature=signature)
    assert narrow_packet(alone, ["G22"], keep_signed=False).content is alone, "nobody to leave out, so it stays signed"


def test_an_alias_in_the_packet_stands_for_its_recipient():
    whole = letter("000.00.01.H37", "G22")
    sent = name_recipients(consigned_to(("H37.01",), whole, ("000.00.01.H37",)), RecipientNaming.PACKET)
    assert packet.read_packet(sent.content).recipients == ("000.00.01.H37",)
    assert sent.tell("docId 7") == "docId 7; naming 1 of 2 recipients"


def test_the_answer_of_a_hub_names_recipients_by_whole_codes():
    asked = consigned_to(("H37", "H37.01", "H37.02"), b"", ("H37", "000.00.01.H37", "H37.02"))
    assert find_told_recipients(["the receivers H37.02, 000.00.01.H37."], asked) == ("H37.01", "H37.02")
    assert find_told_recipients(["H37.010 H37x"], asked) == ()
