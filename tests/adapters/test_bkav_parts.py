"""A packet that was taken apart for the bus and put together again says the same, and is written in one way only."""

from datetime import UTC, date, datetime

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.bkav import parts
from adapters.bkav.parts import EDOC, join_packet, split_packet
from hub.edxml import packet
from hub.edxml.schema import QCVN
from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Answered, Variation
from tests.examples import at_most
from tests.packets import document

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(str.strip)
NAMES = st.sampled_from(("van ban.txt", "Tờ trình (số 7).pdf", 'bảng <kê> & "phụ lục".xlsx', "a.zip"))
FILES = st.lists(st.tuples(NAMES, st.binary(min_size=1, max_size=200)), min_size=1, max_size=4)
VARIATIONS = st.builds(
    Variation,
    order=st.sampled_from(("seen", "clauses", "reversed")),
    prefix=st.sampled_from(("edXML", "", "a")),
    bussiness=st.sampled_from(("after", "before", "absent")),
    trace=st.booleans(),
    cid=st.booleans(),
    href=st.booleans(),
    wrapped=st.booleans(),
    width=st.sampled_from((0, 76)),
    extension=st.sampled_from(("", "ReplyFors")),
)
DOCUMENTS = st.builds(
    packets.write_document_packet,
    st.just("H55.13"),
    st.just(("000.00.00.H53", "H53.01")),
    number=st.integers(1, 9999).map(str),
    notation=st.just("UBND-VX"),
    subject=TEXT,
    promulgated=st.just(date(2026, 11, 20)),
    attachments=FILES,
    due=st.sampled_from((None, date(2026, 12, 1), "")),
    paper=st.booleans(),
    priority=st.integers(0, 4),
    responses=st.sampled_from(((), (Answered("000.00.00.H53", "1/UBND", "2026/11/01", "x"),))),
    content_type=st.sampled_from(("application/zip", "text/plain", "kiểu lạ")),
    variation=VARIATIONS,
)
STATUSES = st.builds(
    packets.write_status_packet,
    st.just("H55.13"),
    st.sampled_from(("01", "02", "06", "13")),
    st.just(Answered("000.00.00.H53", "1/UBND", "2026/11/01", "000.00.00.H53,2026/11/01,1/UBND")),
    at=st.just(datetime(2026, 11, 24, 1, tzinfo=UTC)),
    description=TEXT,
)


def said(content: bytes) -> tuple[object, set[str]]:
    """Return what the hub reads from a packet, and which kinds of deviation; not on what lines they are."""
    found = packet.read_packet(content)
    return attrs.evolve(found, deviations=()), {problem.code for problem in found.deviations}


def again(content: bytes, namespace: str = EDOC) -> bytes:
    taken = split_packet(content, namespace)
    return join_packet(taken.header, taken.manifest if len(taken.manifest) else None, taken.files)


@settings(max_examples=at_most(60), deadline=None)
@given(DOCUMENTS, st.sampled_from((EDOC, QCVN)))
@pytest.mark.slow
def test_a_document_says_the_same_when_it_was_apart(content: bytes, namespace: str) -> None:
    before, after = said(content), said(again(content, namespace))
    assert after[0] == before[0]
    assert after[1] <= before[1]  # what only the lost halves of the descriptions had is no deviation any more


@settings(max_examples=at_most(30), deadline=None)
@given(STATUSES)
def test_a_status_says_the_same_when_it_was_apart(content: bytes) -> None:
    assert said(again(content)) == said(content)


@settings(max_examples=at_most(30), deadline=None)
@given(DOCUMENTS, st.sampled_from((EDOC, QCVN)))
def test_put_together_it_has_one_form_that_stays(content: bytes, namespace: str) -> None:
    once = again(content, namespace)
    assert again(once, namespace) == once == again(content, QCVN)


def test_prefixes_and_spaces_make_no_other_octets() -> None:
    forms = {again(document(variation=Variation(prefix=prefix))) for prefix in ("edXML", "", "x")}
    spaced = document().replace(b"><edXML:", b">\n   <edXML:")
    assert len(forms | {again(spaced)}) == 1


def test_a_packets_own_signature_stays_behind() -> None:
    for form in ("dummy", "xmldsig", "empty"):
        signed = document(variation=Variation(signature=form))
        assert b"Signature" not in again(signed)
        assert again(signed) == again(document())


def test_what_does_not_fit_together_is_no_packet() -> None:
    taken = split_packet(document(), EDOC)
    for files, wrong in (({}, "no part is 1"), ({**taken.files, "9": b"x"}, "the part 9")):
        with pytest.raises(ValueError, match=wrong):
            join_packet(taken.header, taken.manifest, files)
    with pytest.raises(ValueError, match="no MessageHeader"):
        join_packet([], taken.manifest, taken.files)
    elsewhere = [etree.Element("{urn:elsewhere}MessageHeader")]
    with pytest.raises(ValueError, match="no MessageHeader"):
        join_packet(elsewhere, taken.manifest, taken.files)


def test_a_name_that_only_the_attachment_had_travels_with_its_reference() -> None:
    content = document(variation=Variation(wrapped=False))
    bare = content.replace(b"<edXML:AttachmentName>van-ban.txt</edXML:AttachmentName>", b"", 1)
    assert bare != content
    assert packet.read_packet(again(bare)).attachments[0].name == "van-ban.txt"


def test_elements_in_no_vocabulary_are_taken_for_ours() -> None:
    """JAXB writes the children of some elements unqualified."""
    taken = split_packet(document(), EDOC)
    loose = [etree.fromstring(etree.tostring(each).replace(f' xmlns="{EDOC}"'.encode(), b"")) for each in taken.header]
    wrapped = [parts.translate_element(each, EDOC) for each in loose]
    assert join_packet(wrapped, taken.manifest, taken.files) == again(document())
