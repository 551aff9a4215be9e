"""What the hub reads from a packet, what it tolerates, and what it refuses, with which code and where."""

import hashlib
import io
import re
import tomllib
import zipfile
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, cast

import attrs
import pytest
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import Rejected, describe_problem
from hub.domain.model import Attachment, Packet, PacketKind, Problem, Replaced, ResponseFor
from hub.edxml import normalise, packet
from hub.edxml import schema as edxml_schema
from hub.edxml.schema import QCVN
from hub.formats import safe_xml, streamed_xml
from hub.formats.models.schema_loading import load_schema_model
from hub.formats.models.xsd_files import gather_schema_folder
from hub.formats.models.xsd_model import count_elements
from lienthong_demo.plan import packets
from lienthong_demo.plan.packets import Answered, Variation
from tests import packets as wire
from tests import samples
from tests.conftest import ROOT

XSD = ROOT / "xsd" / "qcvn102"
OLD = Answered("H55.20", "12/UBND", date(2026, 10, 1), "H55.20,2026/10/01,12/UBND")
AT = datetime(2026, 11, 24, 9, 30, tzinfo=timezone(timedelta(hours=7)))


def document(**changes):
    """Write a new document with everything in it."""
    given = {
        "sender": "H55.13",
        "recipients": ["H55.01", "000.00.00.G22"],
        "number": "7816",
        "notation": "VPUB-TTĐT",
        "subject": "V/v kết nối & liên thông",
        "promulgated": date(2026, 11, 20),
        "due": date(2026, 12, 1),
        "responses": [OLD],
        "attachments": [("van-ban.pdf", b"%PDF-1.7 mot"), ("phu-luc.xlsx", b"hai")],
        **changes,
    }
    return packets.write_document_packet(given.pop("sender"), given.pop("recipients"), **given)


def status(code="03", answered=OLD, **changes):
    return packets.write_status_packet("H55.01", code, answered, at=AT, description="Đã tiếp nhận", **changes)


def plain(content):
    """Return what the packet says, without what was tolerated in it."""
    return attrs.evolve(packet.read_packet(content), deviations=())


def deviations(content):
    return [problem.code for problem in packet.read_packet(content).deviations]


def refusals(content):
    with pytest.raises(Rejected) as refused:
        packet.read_packet(content)
    return refused.value.problems


def codes(content):
    return [problem.code for problem in refusals(content)]


def edit(content, pattern, new="", count=1):
    """Return *content* with the first match of *pattern* replaced; there must be one."""
    text, found = re.subn(pattern, new, content.decode(), count=count, flags=re.DOTALL)
    assert found, pattern
    return text.encode()


def without(content, name, count=1):
    return edit(content, rf"<(edXML:)?{name}>.*?</(edXML:)?{name}>", count=count)


def holding(content, name, text):
    """Return *content* with *text* in its first *name*."""
    return edit(content, rf"(<(?:edXML:)?{name}[^>]*>).*?(</(?:edXML:)?{name}>)", rf"\g<1>{text}\g<2>")


# --- the real ones --------------------------------------------------------------------------------------------------


def test_every_sample_packet_is_accepted_but_the_one_that_is_not_well_formed():
    found = samples.edxml()
    broken = found.pop("edoc")
    kinds = {name: packet.read_packet(content).kind.value for name, content in found.items()}
    assert {kind for name, kind in kinds.items() if name.startswith("status")} == {"status"}
    assert [kinds[f"edoc_{name}"] for name in ("new", "revocation", "update", "replacement")] == [
        *("document", "recall", "update", "replacement")
    ]
    (problem,) = refusals(broken)
    assert problem.code == "not-well-formed"
    assert str(problem.detail).startswith("line 74, column 9")


def test_a_real_document_says_what_it_says():
    read = packet.read_packet(samples.edxml()["edoc_new"])
    assert (read.sender, read.recipients) == ("000.00.00.A80", ("28.22.H17",))
    assert read.document_id == "000.00.00.G22,2015/09/30,7816/VPCP-TTĐT"
    assert (read.code, read.promulgation_date, read.due) == ("74fass22/VPCP-TTĐT", "2019/01/16", date(2018, 9, 28))
    assert (read.type_name, read.priority, read.paper) == ("Công văn", 0, False)
    assert read.about == "000.00.00.G22,2014/02/30,7806/VPCP-TTĐT"
    assert [each.name for each in read.attachments] == ["1896_QD-TTg_m_294779.doc"]
    # The vendor's dummy signature stands in the packet's own namespace.
    assert [problem.code for problem in read.deviations] == ["element-unknown"]


def test_a_real_recall_answers_the_document_it_recalls():
    read = packet.read_packet(samples.edxml()["edoc_revocation"])
    assert read.recipients == ("000.00.00.H41", "000.00.00.H14", "000.00.00.G17")
    answered = "000.00.04.G14,2012/08/06,267/VPCP-TTĐT"
    assert read.responses == (ResponseFor("000.00.00.H14", "267/VPCP-TTĐT", "2018/09/28", answered),)


@pytest.mark.parametrize("code", ["01", "02", "03", "04", "05", "06"])
def test_a_real_status_says_what_became_of_which_document(code):
    (content,) = [content for name, content in samples.edxml().items() if name.endswith(code)]
    read = packet.read_packet(content)
    assert (read.kind, read.status, read.sender, read.recipients) == (PacketKind.STATUS, code, "000.00.00.H41", ())
    answered = "000.00.00.G22,2015/09/30,7816/VPCP-TTĐT"
    assert read.responses == (ResponseFor("000.00.00.G22", "7816/VPCP-TTĐT", "2015/09/30", answered),)
    assert read.deviations == ()


# --- every kind -----------------------------------------------------------------------------------------------------


def test_a_document_is_read_whole():
    read = packet.read_packet(document(paper=True, priority=3, variation=Variation(wrapped=False)))
    content_type = "application/zip"
    assert attrs.evolve(read, deviations=()) == Packet(
        kind=PacketKind.DOCUMENT,
        sender="H55.13",
        recipients=("H55.01", "000.00.00.G22"),
        document_id="H55.13,2026/11/20,7816/VPUB-TTĐT",
        code="7816/VPUB-TTĐT",
        promulgation_date="2026/11/20",
        type_name="Công văn",
        subject="V/v kết nối & liên thông",
        priority=3,
        due=date(2026, 12, 1),
        paper=True,
        responses=(ResponseFor("H55.20", "12/UBND", "2026/10/01", "H55.20,2026/10/01,12/UBND"),),
        attachments=(
            Attachment("1", "van-ban.pdf", content_type, 12, hashlib.sha256(b"%PDF-1.7 mot").hexdigest()),
            Attachment("2", "phu-luc.xlsx", content_type, 3, hashlib.sha256(b"hai").hexdigest()),
        ),
    )


def test_a_packet_as_the_standard_has_it_deviates_in_nothing():
    for kind in range(4):
        assert deviations(document(kind=kind, about="D0", replaced=["D0"])) == []
    assert deviations(status()) == []


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_recalls_updates_and_replacements_go_to_their_recipients_without_an_attachment_too(kind):
    read = packet.read_packet(document(kind=kind, about="D0", replaced=["D0"], attachments=[]))
    assert read.kind is (PacketKind.RECALL, PacketKind.UPDATE, PacketKind.REPLACEMENT)[kind - 1]
    assert (read.recipients, read.about, read.attachments) == (("H55.01", "000.00.00.G22"), "D0", ())


@pytest.mark.parametrize("code", ["01", "02", "03", "04", "05", "06", "13", "15", "16"])
def test_each_status_is_read(code):
    read = packet.read_packet(status(code))
    assert (read.kind, read.status, read.sender) == (PacketKind.STATUS, code, "H55.01")
    assert read.responses == (ResponseFor("H55.20", "12/UBND", "2026/10/01", "H55.20,2026/10/01,12/UBND"),)


def test_a_packet_without_bussiness_or_traces_is_a_new_document():
    assert packet.read_packet(document(variation=Variation(bussiness="absent"))).kind is PacketKind.DOCUMENT
    untraced = packet.read_packet(document(variation=Variation(trace=False)))
    assert untraced.kind is PacketKind.DOCUMENT
    assert [problem.code for problem in untraced.deviations] == ["N.TraceHeaderList"]


def test_a_status_may_name_the_document_by_its_code_alone():
    read = packet.read_packet(status(answered=attrs.evolve(OLD, document_id="")))
    assert read.responses == (ResponseFor("H55.20", "12/UBND", "2026/10/01", ""),)


def test_a_response_left_blank_answers_nothing():
    assert packet.read_packet(document(responses=[Answered("")])).responses == ()


# --- how real ones vary ---------------------------------------------------------------------------------------------

VARIATIONS = [
    (Variation(order="clauses"), ["child-order"]),
    (Variation(order="reversed"), ["child-order"]),
    (Variation(bussiness="before"), ["child-order"]),
    (Variation(prefix=""), []),
    (Variation(prefix="e"), []),
    (Variation(cid=False), []),
    (
        Variation(href=True),
        ["N.edXMLBody.edXMLManifest.Reference[1].ContentId", "R.edXMLBody.edXMLManifest.Reference[1]"],
    ),
    (Variation(width=76), []),
    (Variation(signature="dummy"), ["element-unknown"]),
    (Variation(signature="xmldsig"), []),
    (Variation(signature="empty"), ["element-unknown"]),
    (Variation(extension="ApplicationType"), ["element-unknown"]),
]


@pytest.mark.parametrize(("variation", "expected"), VARIATIONS)
def test_a_variation_is_tolerated_noted_and_changes_nothing_that_is_read(variation, expected):
    content = document(variation=variation)
    assert plain(content) == plain(document())
    assert set(expected) <= set(deviations(content))
    assert bool(expected) == bool(deviations(content))


@pytest.mark.parametrize(
    "variation", [Variation(order="reversed"), Variation(signature="xmldsig"), Variation(prefix="")]
)
def test_a_status_varies_likewise(variation):
    assert plain(status(variation=variation)) == plain(status())


@pytest.mark.parametrize(
    ("written", "due"),
    [
        ("2026/12/01", date(2026, 12, 1)),
        ("01/12/2026", date(2026, 12, 1)),
        ("1/12/2026", date(2026, 12, 1)),
        ("2026-12-01", date(2026, 12, 1)),
        ("2026-12-01T00:00:00", date(2026, 12, 1)),
        ("2026/02/30", None),
        ("30/02/2026", None),
        ("khẩn", None),
        ("0000/01/01", None),
    ],
)
def test_a_date_is_read_as_people_write_it_and_one_that_is_none_is_noted(written, due):
    read = packet.read_packet(document(due=written))
    assert read.due == due
    clean = written == "2026/12/01"
    assert [problem.code for problem in read.deviations] == ([] if clean else ["R.MessageHeader.DueDate"])


def test_an_empty_due_date_is_no_date_and_no_deviation():
    read = packet.read_packet(document(due=""))
    assert (read.due, read.deviations) == (None, ())


@pytest.mark.parametrize("written", ["30/10/2020", "", "2014/02/30", "hôm qua"])
def test_a_dirty_promulgation_date_is_kept_as_written(written):
    read = packet.read_packet(document(promulgated=written, document_id="D1"))
    assert read.promulgation_date == written
    place = "MessageHeader.PromulgationInfo.PromulgationDate"
    assert f"{'R' if written else 'N'}.{place}" in [problem.code for problem in read.deviations]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("CodeNumber", "20251017160104", "R.MessageHeader.Code.CodeNumber"),
        ("CodeNotation", "x" * 31, "R.MessageHeader.Code.CodeNotation"),
        ("SteeringType", "0", "R.MessageHeader.SteeringType"),
        ("Type", "18", "R.MessageHeader.DocumentType.Type"),
        ("TypeName", "", "N.MessageHeader.DocumentType.TypeName"),
        ("Priority", "", "T.MessageHeader.OtherInfo.Priority"),
        ("PageAmount", "hai", "T.MessageHeader.OtherInfo.PageAmount"),
        ("Direction", "False", "T.MessageHeader.OtherInfo.Direction"),
        ("OrganId", "vxp.saas.03", "R.MessageHeader.From.OrganId"),
        ("OrganName", "", "N.MessageHeader.From.OrganName"),
        ("Subject", "x" * 501, "R.MessageHeader.Subject"),
    ],
)
def test_what_only_the_standard_refuses_is_noted_at_its_place(name, text, code):
    assert code in deviations(holding(document(), name, text))


@pytest.mark.parametrize(
    "organ", ["H55.242", "000.00.00.G22", "28.22.H17", "777.77.04.D77", "00.53.W00", "A53", "H37.DN.001"]
)
def test_codes_of_all_families_are_codes(organ):
    assert deviations(document(recipients=[organ])) == []


@pytest.mark.parametrize(
    "name", ["DocumentType", "SignerInfo", "Content", "OtherInfo", "ToPlaces", "OrganName", "TraceHeader"]
)
def test_what_a_packet_can_be_routed_without_may_be_missing(name):
    assert packet.read_packet(without(document(), name)).kind is PacketKind.DOCUMENT


def test_what_is_missing_hides_no_other_deviation():
    content = without(holding(document(), "SteeringType", "0"), "DocumentType")
    assert deviations(content) == ["N.MessageHeader.DocumentType", "R.MessageHeader.SteeringType"]


def test_an_attribute_that_nobody_knows_is_noted_and_an_xsi_one_is_not():
    xsi = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
    content = edit(document(), "<edXML:Subject>", f'<edXML:Subject {xsi} i:type="x:string" lang="vi">')
    (problem,) = packet.read_packet(content).deviations
    assert problem.code == "attribute-unknown"
    assert str(problem.detail).startswith("MessageHeader.Subject/@lang: line ")


def test_an_unknown_element_is_named_with_its_place_and_line():
    (problem,) = packet.read_packet(document(variation=Variation(extension="ReplyFors"))).deviations
    assert (problem.code, str(problem.detail)) == ("element-unknown", "MessageHeader.ReplyFors: line 5")


def test_a_comment_inside_a_value_does_not_cut_it():
    content = edit(document(), "V/v kết nối", "V/v <!-- x -->kết nối")
    assert packet.read_packet(content).subject == "V/v kết nối & liên thông"


def test_at_most_fifty_deviations_are_kept():
    content = document(recipients=[f"x.{n}" for n in range(80)])
    assert len(deviations(content)) == 50


# --- attachments ----------------------------------------------------------------------------------------------------


def test_octets_are_measured_as_carried_wrapped_or_not():
    read = packet.read_packet(document(attachments=[("a.pdf", b"%PDF-")]))
    wrapped = packets.zip_packet("a.pdf", b"%PDF-")
    assert read.attachments == (
        Attachment("1", "a.pdf", "application/zip", len(wrapped), hashlib.sha256(wrapped).hexdigest()),
    )


@pytest.mark.parametrize(
    ("name", "content_type", "content", "expected"),
    [
        ("a.pdf", "text/plain", None, "M.AttachmentEncoded.Attachment[1].ContentType"),
        ("a.pdf", "application/pdf", b"MZ", "M.AttachmentEncoded.Attachment[1].ContentType"),
        ("a.exe", "application/octet-stream", b"MZ", "R.AttachmentEncoded.Attachment[1].AttachmentName"),
        ("khong-duoi", "application/octet-stream", b"MZ", "R.AttachmentEncoded.Attachment[1].AttachmentName"),
    ],
)
def test_an_attachment_that_is_not_what_it_says_is_noted(name, content_type, content, expected):
    variation = Variation(wrapped=content is None)
    written = document(attachments=[(name, content or b"%PDF-")], content_type=content_type, variation=variation)
    assert deviations(written) == [expected]


@pytest.mark.parametrize(
    "letters",
    [
        "QR==",
        "QQ",
        "QQ=",
        "QQ==QQ==",
        "=QQ=",
        "QQ=Q",
        "Q=Q=",
        "QQ==Q",
        "QUJD!",
        "QUJ\N{NO-BREAK SPACE}D",
        "QUJĐ",
        "${x}",
        "QUI-",
    ],
)
def test_what_is_not_base64_is_refused(letters):
    content = holding(document(), "ContentTransferEncoded", letters)
    assert codes(content) == ["T.AttachmentEncoded.Attachment[1].ContentTransferEncoded"]


def test_base64_may_have_white_space_anywhere():
    content = holding(document(), "ContentTransferEncoded", " \n JV\tBE\r\nRg=\n= ")
    assert packet.read_packet(content).attachments[0].size == 4


def test_an_archive_that_would_burst_or_climb_is_refused():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../a.txt", b"x")
    content = document(attachments=[("a.zip", packed.getvalue())], variation=Variation(wrapped=False))
    (problem,) = refusals(content)
    assert problem.code == "R.AttachmentEncoded.Attachment[1].ContentTransferEncoded"
    assert str(problem.detail).endswith(": a ZIP with the path ../a.txt")


@pytest.mark.slow
def test_of_what_is_read_no_more_is_kept_than_a_few_calendars_need():
    small = packets.zip_packet("a.xml", b"<a/>" + b" " * 260_000)
    found = packet.read_packet(
        document(
            attachments=[(f"{number}.xml", small) for number in range(20)],
            variation=attrs.evolve(packets.SEEN, wrapped=False),
        )
    )
    sizes = [len(each.content or b"") for each in found.attachments]
    assert [size > 0 for size in sizes] == [True] * 16 + [False] * 4
    assert sum(sizes) <= packet.READ_TOGETHER


def test_what_is_unpacked_and_too_large_uses_up_the_room_of_what_is_read():
    """Each of these is unpacked as far as 256 KiB before it is known to be too large: sixteen are looked into, and no more."""
    burst = packets.zip_packet("a.xml", b" " * (1 << 20))
    found = packet.read_packet(
        document(
            attachments=[
                *((f"{number}.xml", burst) for number in range(15)),
                ("1.ics", b"BEGIN"),
                ("b.xml", burst),
                ("2.ics", b"BEGIN"),
            ],
            variation=attrs.evolve(packets.SEEN, wrapped=False),
        )
    )
    assert [each.content for each in found.attachments] == [b""] * 15 + [b"BEGIN"] + [b""] * 2


@pytest.mark.slow
def test_an_attachment_of_20_mb_passes():
    size = 20 * 1024 * 1024
    noise = hashlib.shake_128(b"20").digest(size)
    content = document(attachments=[("a.rar", noise)], variation=Variation(wrapped=False))
    assert packet.read_packet(content).attachments[0].sha256 == hashlib.sha256(noise).hexdigest()


# --- refusals -------------------------------------------------------------------------------------------------------

HEADER, BUSSINESS = "MessageHeader", "TraceHeaderList.Bussiness"
REFERENCE, ATTACHED = "edXMLBody.edXMLManifest.Reference", "AttachmentEncoded.Attachment"
NEW = document()
RECALL = document(kind=1, responses=[])
UPDATE = document(kind=2, about="D0")
REPLACEMENT = document(kind=3, replaced=["D0", "D1"])
STATUS = status()

REFUSED = {
    "no envelope": (b'<edXML xmlns="%s"/>' % QCVN.encode(), f"N.edXMLEnvelope N.{ATTACHED}"),
    "no header": (without(NEW, "edXMLHeader"), "N.edXMLHeader"),
    "no message header": (without(NEW, HEADER), f"N.{HEADER}"),
    "no From": (without(NEW, "From"), f"N.{HEADER}.From"),
    "no From/OrganId": (without(NEW, "OrganId"), f"N.{HEADER}.From.OrganId"),
    "blank From/OrganId": (holding(NEW, "OrganId", " \n "), f"N.{HEADER}.From.OrganId"),
    "long From/OrganId": (holding(NEW, "OrganId", "x" * 101), f"R.{HEADER}.From.OrganId"),
    "no To": (document(recipients=[]), f"N.{HEADER}.To"),
    "blank To": (document(recipients=["H55.01", ""]), f"N.{HEADER}.To[2].OrganId"),
    "To twice": (document(recipients=["H55.01", "H55.02", "H55.01"]), f"M.{HEADER}.To[3].OrganId"),
    "too many To": (document(recipients=[f"H55.{n}" for n in range(2001)]), f"R.{HEADER}.To"),
    "no DocumentId": (without(NEW, "DocumentId"), f"N.{HEADER}.DocumentId"),
    "blank DocumentId": (document(document_id=""), f"N.{HEADER}.DocumentId"),
    "long DocumentId": (document(document_id="x" * 501), f"R.{HEADER}.DocumentId"),
    "no Code": (without(NEW, "Code"), f"N.{HEADER}.Code"),
    "no CodeNumber": (without(NEW, "CodeNumber"), f"N.{HEADER}.Code.CodeNumber"),
    "blank CodeNumber": (document(number=" "), f"N.{HEADER}.Code.CodeNumber"),
    "no CodeNotation": (without(NEW, "CodeNotation"), f"N.{HEADER}.Code.CodeNotation"),
    "no PromulgationInfo": (without(NEW, "PromulgationInfo"), f"N.{HEADER}.PromulgationInfo"),
    "no PromulgationDate": (without(NEW, "PromulgationDate"), f"N.{HEADER}.PromulgationInfo.PromulgationDate"),
    "no Subject": (without(NEW, "Subject"), f"N.{HEADER}.Subject"),
    "blank Subject": (document(subject="  "), f"N.{HEADER}.Subject"),
    "long Subject": (holding(NEW, "Subject", "x" * 4001), f"R.{HEADER}.Subject"),
    "Subject twice": (edit(NEW, "(<edXML:Subject>.*?</edXML:Subject>)", r"\1\1"), f"R.{HEADER}.Subject"),
    "an element in Subject": (edit(NEW, "<edXML:Subject>", r"\g<0><b/>"), f"T.{HEADER}.Subject"),
    "text between elements": (edit(NEW, "<edXML:Subject>", r"x\g<0>"), f"R.{HEADER}"),
    "Priority 5": (document(priority=5), f"R.{HEADER}.OtherInfo.Priority"),
    "Paper 2": (holding(NEW, "Paper", "2"), f"R.{BUSSINESS}.Paper"),
    "BussinessDocType 4": (document(kind=4), f"R.{BUSSINESS}.BussinessDocType"),
    "BussinessDocType blank": (holding(NEW, "BussinessDocType", ""), f"N.{BUSSINESS}.BussinessDocType"),
    "no BussinessDocType": (without(NEW, "BussinessDocType"), f"N.{BUSSINESS}.BussinessDocType"),
    "recall of nothing": (RECALL, f"N.{BUSSINESS}.DocumentId"),
    "update of nothing": (without(UPDATE, "BussinessDocumentInfo"), f"N.{BUSSINESS}.BussinessDocumentInfo"),
    "replacement of nothing": (without(REPLACEMENT, "ReplacementInfoList"), f"N.{BUSSINESS}.ReplacementInfoList"),
    "replacement of none": (document(kind=3), f"N.{BUSSINESS}.ReplacementInfoList.ReplacementInfo"),
    "replacement of a blank": (
        document(kind=3, replaced=["D0", ""]),
        f"N.{BUSSINESS}.ReplacementInfoList.ReplacementInfo[2].DocumentId",
    ),
    "no attachment": (document(attachments=[]), f"N.{ATTACHED}"),
    "an attachment too few": (without(NEW, "Attachment"), f"M.{REFERENCE}[1].ContentId"),
    "a reference too few": (without(NEW, "Reference"), f"M.{ATTACHED}[1].ContentId"),
    "a reference to nothing": (holding(NEW, "ContentId", ""), f"N.{REFERENCE}[1].ContentId M.{ATTACHED}[1].ContentId"),
    "a reference twice": (holding(NEW, "ContentId", "cid:2"), f"M.{REFERENCE}[2].ContentId M.{ATTACHED}[1].ContentId"),
    "an attachment twice": (NEW.replace(b"<ContentId>cid:2", b"<ContentId>1"), f"M.{ATTACHED}[2].ContentId M.{REFERENCE}[2].ContentId"),
    "an attachment without id": (NEW.replace(b"<ContentId>cid:2<", b"<ContentId><"), f"N.{ATTACHED}[2].ContentId M.{REFERENCE}[2].ContentId"),
    "an attachment without octets": (document(attachments=[("a.txt", b"")], variation=Variation(wrapped=False)), f"N.{ATTACHED}[1].ContentTransferEncoded"),
    "an element among octets": (edit(NEW, "(<edXML:ContentTransferEncoded[^>]*>)", r"\1<b/>"), f"T.{ATTACHED}[1].ContentTransferEncoded"),
    "status: no From": (without(STATUS, "From"), f"N.{HEADER}.From"),
    "status: no ResponseFor": (without(STATUS, "ResponseFor"), f"N.{HEADER}.ResponseFor N.{HEADER}.ResponseFor.DocumentId"),
    "status: two ResponseFor": (edit(STATUS, "(<edXML:ResponseFor>.*</edXML:ResponseFor>)", r"\1\1"), f"R.{HEADER}.ResponseFor"),
    "status: no document": (status(answered=Answered("H55.20")), f"N.{HEADER}.ResponseFor.DocumentId"),
    "status: of nobody's document": (status(answered=Answered("", "1/A")), f"N.{HEADER}.ResponseFor.OrganId"),
    "status 07": (status("07"), f"R.{HEADER}.StatusCode"),
    "status 999": (status("999"), f"R.{HEADER}.StatusCode"),
    "status 1": (status("1"), f"R.{HEADER}.StatusCode"),
    "status blank": (status(""), f"N.{HEADER}.StatusCode"),
    "status and document": (document(variation=Variation(extension="StatusCode")), f"M.{HEADER}.StatusCode"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_code_and_the_place(content, expected):
    problems = refusals(content)
    assert [problem.code for problem in problems] == expected.split()
    assert all(re.match(r"line \d+: \S", str(problem.detail)) for problem in problems), problems
    assert all(" / " in describe_problem(problem) for problem in problems)


@pytest.mark.parametrize(
    "content",
    [
        b"<edXML/>",
        b'<edXML xmlns="http://www.e-doc.vn/Schema/"/>',
        b'<EdXMLEnvelope xmlns="http://www.go.vn/eDoc"/>',
        NEW.replace(b"edXML>", b"edxml>").replace(b"<edXML ", b"<edxml "),
    ],
)
def test_another_vocabulary_is_no_packet(content):
    assert codes(content) == ["packet-unreadable"]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"PK\x03\x04", NEW[:-9], b"{}"])
def test_what_is_no_xml_is_told_by_line_and_column(content):
    (problem,) = refusals(content)
    assert problem.code == "not-well-formed"
    assert re.match(r"line \d+, column \d+: ", str(problem.detail))


def test_all_problems_are_told_together():
    content = document(number="", subject="", priority=7, kind=9, recipients=["H55.01", "H55.01"], attachments=[])
    assert sorted(codes(content)) == [
        "M.MessageHeader.To[2].OrganId",
        "N.AttachmentEncoded.Attachment",
        "N.MessageHeader.Code.CodeNumber",
        "N.MessageHeader.Subject",
        "R.MessageHeader.OtherInfo.Priority",
        "R.TraceHeaderList.Bussiness.BussinessDocType",
    ]


def test_what_is_missing_hides_no_other_problem():
    content = holding(without(without(NEW, "From"), "Code"), "Subject", "")
    assert codes(content) == ["N.MessageHeader.From", "N.MessageHeader.Code", "N.MessageHeader.Subject"]


def test_at_most_fifty_problems_are_told():
    assert len(codes(document(recipients=[""] * 80))) == 50


@pytest.mark.parametrize("prefix", ["edXML", "", "e"])
def test_a_problem_is_placed_on_its_line_whatever_the_prefix(prefix):
    content = document(recipients=["H55.01", "H55.02", "x" * 200], variation=Variation(prefix=prefix))
    (problem,) = refusals(edit(content, r"<(\w+:)?OrganId>x", r"\n\g<0>"))
    assert problem.code == "R.MessageHeader.To[3].OrganId"
    assert str(problem.detail) == "line 6: has 200 characters, and at most 100 are allowed; shorten it"


def test_an_empty_status_code_does_not_make_a_document_a_status():
    content = edit(NEW, "</edXML:MessageHeader>", r"<edXML:StatusCode/>\g<0>")
    read = packet.read_packet(content)
    assert (read.kind, [problem.code for problem in read.deviations]) == (PacketKind.DOCUMENT, ["element-unknown"])


# --- whatever comes -------------------------------------------------------------------------------------------------


def shuffled(content, random):
    """Return *content* with the children of every element in another order; those of one name keep theirs."""
    root = etree.fromstring(content)
    for element in root.iter():
        children = list(element)
        names = [child.tag for child in children]
        random.shuffle(names)
        waiting = {name: [child for child in children if child.tag == name] for name in names}
        element[:] = [waiting[name].pop(0) for name in names]
    return etree.tostring(root)


@given(st.sampled_from([NEW, UPDATE, REPLACEMENT, STATUS]), st.randoms(use_true_random=False))
@pytest.mark.slow
def test_the_order_of_children_changes_nothing_that_is_read(content, random):
    assert plain(shuffled(content, random)) == plain(content)


def reads_or_refuses(content):
    try:
        found = packet.read_packet(content)
    except Rejected as rejected:
        problems = rejected.problems
    else:
        assert found.sender
        assert found.recipients or found.status
        problems = found.deviations or (Problem("N.x"),)
    assert 1 <= len(problems) <= 50
    assert all(describe_problem(problem) for problem in problems)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(content):
    reads_or_refuses(content)


def read_or_refused(read, content):
    """Return the packet that *read* reads from the tree of *content*, or the problems with which it refuses it."""
    try:
        return read(safe_xml.parse_safe_xml(content))
    except Rejected as refused:
        return refused.problems


def well_formed(content):
    try:
        return safe_xml.parse_safe_xml(content) is not None
    except Rejected:
        return False


def as_tidied(content):
    """Fail unless *content* is read, or refused, as it would be if every packet were normalised first."""
    found = read_or_refused(packet.read_packet, content)
    if well_formed(content) and safe_xml.parse_safe_xml(content).tag != f"{{{QCVN}}}edXML":
        assert [each.code for each in found] == ["packet-unreadable"]
        return found
    assert found == read_or_refused(lambda root: packet._read_tidied(root, streamed_xml.NONE), content)
    return found


CHANGED = [NEW, UPDATE, REPLACEMENT, STATUS, document(variation=Variation(prefix="", href=True, signature="xmldsig"))]
MARKUP = re.compile(rb"<[^>]*>|[^<]+")


@given(st.sampled_from(CHANGED), st.data())
def test_a_spoilt_packet_is_read_or_refused_and_nothing_else(content, data):
    tokens = MARKUP.findall(content)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(tokens) - 1))
        match data.draw(st.sampled_from(["drop", "twice", "swap", "text", "blank"])):
            case "drop":
                tokens[at] = b""
            case "twice":
                tokens[at] *= 2
            case "swap":
                other = data.draw(st.integers(0, len(tokens) - 1))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case "text":
                tokens[at] = data.draw(st.sampled_from([b"4", b"x" * 600, b"&#160;", b"<x/>", b"<x xmlns='u:x'>y</x>"]))
            case _:
                tokens[at] = b" "
    content = b"".join(tokens)
    reads_or_refuses(content)
    if well_formed(content):
        as_tidied(content)


@given(st.sampled_from(CHANGED), st.data())
@pytest.mark.slow
def test_an_element_dropped_doubled_moved_or_filled_is_read_or_refused(content, data):
    root = etree.fromstring(content)
    for _ in range(data.draw(st.integers(1, 5))):
        element = data.draw(st.sampled_from(list(root.iter())[1:] or [root]))
        parent = element.getparent()
        match data.draw(st.sampled_from(["drop", "double", "move", "fill", "rename", "attribute"])):
            case "drop" if parent is not None:
                parent.remove(element)
            case "double" if parent is not None:
                parent.append(etree.fromstring(etree.tostring(element)))
            case "move" if parent is not None:
                parent.insert(0, element)
            case "fill":
                element.text = data.draw(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20))
            case "rename":
                element.tag = (
                    f"{{{data.draw(st.sampled_from([QCVN, 'urn:x']))}}}{data.draw(st.sampled_from(['To', 'X']))}"
                )
            case _:
                element.set("{urn:x}a", "1")
    reads_or_refuses(etree.tostring(root))
    as_tidied(etree.tostring(root))


#: What only the observed schema refuses, what is no value, and what may hide something: each in a packet that conforms otherwise.
HIDDEN = {
    "a number in another spelling": ("<edXML:Priority>4", "<edXML:Priority>+4"),
    "a type of document in another spelling": ("<edXML:BussinessDocType>0", "<edXML:BussinessDocType>00"),
    "a flag in another spelling": ("<edXML:Paper>0", "<edXML:Paper>-0"),
    "a long text": ("</edXML:OtherInfo>", f"<edXML:Appendixes><edXML:Appendix>{'x' * 10_001}</edXML:Appendix></edXML:Appendixes></edXML:OtherInfo>"),
    "a text of allowed length": ("</edXML:OtherInfo>", f"<edXML:Appendixes><edXML:Appendix>{'x' * 9_000}</edXML:Appendix></edXML:Appendixes></edXML:OtherInfo>"),
    "a padded text": ("<edXML:Subject>V/v", f"<edXML:Subject>V/v{' ' * 1002}"),
    "many places": ("<edXML:ToPlaces>", f"<edXML:ToPlaces>{'<edXML:Place>x</edXML:Place>' * 2001}"),
    "a type for the validator": ("<edXML:Priority>", '<edXML:Priority xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="edXML:Priority">'),
    "a marking in an open element": ("</edXML:TraceHeaderList>", '</edXML:TraceHeaderList><edXML:ErrorList><e xmlns=""><DoMat>A</DoMat></e></edXML:ErrorList>'),
    "a marking in a signature": ("</edXML:TraceHeaderList>", '</edXML:TraceHeaderList><d:Object xmlns:d="http://www.w3.org/2000/09/xmldsig#"><Mật>A</Mật></d:Object>'),
    "an hour in an open element": ("</edXML:TraceHeaderList>", "</edXML:TraceHeaderList><edXML:ErrorList><HenGio>2026/11/25 07:00</HenGio></edXML:ErrorList>"),
    "a status in an open element": ("</edXML:TraceHeaderList>", "</edXML:TraceHeaderList><edXML:ErrorList><edXML:StatusCode>01</edXML:StatusCode></edXML:ErrorList>"),
    "base64 that is none": (">bmFt<", ">bmF<"),
    "two attachments with one name": (">cid:1<", ">cid:0<"),
    "two recipients with one code": ("<edXML:OrganId>000.00.00.G22", "<edXML:OrganId>H55.01"),
    "a date that is none": ("2026/11/20</edXML:PromulgationDate>", "2026/02/30</edXML:PromulgationDate>"),
}  # fmt: skip


@pytest.mark.parametrize("what", HIDDEN)
def test_a_packet_that_conforms_is_read_as_if_it_were_normalised_first(what):
    attached = [("a.pdf", b"nam"), ("b.zip", b"PK")]
    content = document(
        priority=4, attachments=attached, content_type="application/pdf", variation=Variation(wrapped=False)
    )
    before = as_tidied(content)
    old, new = HIDDEN[what]
    changed = content.replace(old.encode(), new.encode(), 1)
    assert changed != content, "the table is of packets as they are made now"
    found = as_tidied(changed)
    unseen = {"a text of allowed length", "a type for the validator", "a status in an open element"}
    assert (found == before) == (what in unseen)


def test_a_packet_that_conforms_is_not_normalised(monkeypatch):
    monkeypatch.setattr(packet, "TreeNormalisation", None)
    assert packet.read_packet(document(priority=4)).kind is PacketKind.DOCUMENT
    assert packet.read_packet(status()).kind is PacketKind.STATUS


@pytest.mark.parametrize("kind", ["document", "status"])
def test_what_conforms_to_the_strict_schema_conforms_to_the_observed_one(kind):
    """The proof of `is_normal`: what it does not look at, the strict schema bounds at least as narrowly."""
    observed, strict = (
        load_schema_model(gather_schema_folder(XSD / profile / f"{kind}.xsd"), f"{kind}.xsd")
        for profile in ("observed", "strict")
    )
    pairs, seen = [tuple(model.elements[f"{{{QCVN}}}edXML"].type for model in (observed, strict))], set()
    while pairs:
        pair = pairs.pop()
        seen.add(pair)
        taken, declared = (
            count_elements(cast("Any", model.types[key].group))
            for model, key in zip((observed, strict), pair, strict=True)
        )
        assert set(declared) <= set(taken)
        for name, total in taken.items():
            if total.least:
                assert declared[name].least, name
        for name, total in declared.items():
            assert cast("int", taken[name].most) >= (2000 if total.most is None else 1)
            both = taken[name].element.type, total.element.type
            loose, tight = cast("Any", observed.types[both[0]]), cast("Any", strict.types[both[1]])
            if tight.group is not None:
                pairs += [both] if both not in seen else []
                continue
            if tight.is_any or loose.value.values is not None:
                continue  # `is_normal` compares these values itself
            wide, narrow = loose.value, tight.value
            assert not wide.is_bounded, name
            assert narrow.builtin == wide.builtin or (wide.builtin == "token" and narrow.builtin != "string")
            pattern = "".join(each for group in narrow.patterns for each in group) if narrow.patterns else "*"
            longest = normalise.PADDING if "*" in pattern or "+" in pattern else len(pattern)
            bounded = longest if narrow.most is None else narrow.most  # `is_normal` leaves longer texts to the schemas
            assert wide.most is None or wide.most >= bounded, name
            if wide.least:
                assert narrow.least or narrow.patterns or narrow.builtin == "int", name


# --- the schemas ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["observed", "strict"])
def test_the_schemas_say_that_they_are_reconstructed_and_are_the_ones_named(profile):
    source = tomllib.loads((XSD / profile / "SOURCE.toml").read_text(encoding="utf-8"))
    files = {path.name: path.read_bytes() for path in (XSD / profile).glob("*.xsd")}
    assert {name for name, entry in source.items() if isinstance(entry, dict)} == set(files)
    for name, content in files.items():
        assert b"Reconstructed by the project" in content
        assert source[name]["reconstructed"] is True
        assert source[name]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("profile", ["observed", "strict"])
@pytest.mark.parametrize("kind", ["document", "status"])
def test_a_second_validator_reads_the_schemas_the_same_way(profile, kind):
    path = str(XSD / profile / f"{kind}.xsd")
    ours, second = etree.XMLSchema(file=path), xmlschema.XMLSchema(path)
    base = NEW if kind == "document" else STATUS
    judged = [
        base,
        *(holding(base, name, text) for name in ("OrganId", "DocumentId", "Code") for text in ("", "x" * 999)),
    ]
    judged += [
        without(base, name)
        for name in ("From", "OrganName", "DocumentId", "Description", "StatusCode")
        if name in base.decode()
    ]
    for content in judged:
        root = etree.fromstring(content)
        assert ours.validate(root) == second.is_valid(root), content
    assert ours.validate(etree.fromstring(base))


# --- what changes and what is marked --------------------------------------------------------------------------------------


def update(flag="1", *receivers):
    """Write an update of D0 with these receivers, each a unit and a type, in place of its own."""
    listed = "".join(
        f"<edXML:Receiver><edXML:OrganId>{organ}</edXML:OrganId><edXML:ReceiverType>{kind}</edXML:ReceiverType></edXML:Receiver>"
        for organ, kind in receivers
    )
    changed = (
        f"<edXML:DocumentReceiver>{flag}</edXML:DocumentReceiver><edXML:ReceiverList>{listed}</edXML:ReceiverList>"
    )
    return edit(UPDATE, r"<edXML:DocumentReceiver>.*?</edXML:DocumentReceiver>", changed)


def test_an_update_says_whom_it_adds_and_removes():
    read = packet.read_packet(update("1", ("H55.01", "1"), ("H55.02", "0"), ("H55.01", "0"), ("H55.03", "7")))
    assert (read.added, read.removed) == (("H55.01",), ("H55.02",))
    assert any(problem.code.endswith("Receiver[4].ReceiverType") for problem in read.deviations)


def test_receivers_change_only_where_the_update_says_so():
    read = packet.read_packet(update("0", ("H55.01", "1")))
    assert (read.added, read.removed) == ((), ())
    assert any(problem.code.endswith("DocumentReceiver") for problem in read.deviations)


def test_a_real_update_and_a_real_replacement_name_units_and_documents():
    found = samples.edxml()
    assert packet.read_packet(found["edoc_update"]).added == ("000.00.00.H14",)
    assert packet.read_packet(found["edoc_update"]).removed == ("000.00.00.H41",)
    old = Replaced("000.00.00.G22,2014/01/30,7806/VPCP-TTĐT", ("000.00.00.H41", "000.00.00.H14"))
    assert packet.read_packet(found["edoc_replacement"]).replaces == (old, old)


def test_a_text_may_not_be_blown_up_by_white_space_that_its_schema_does_not_count():
    assert codes(document(document_id=f"a{' ' * 2000}b")) == ["R.MessageHeader.DocumentId"]
    assert codes(holding(document(), "Subject", f"a{chr(10) * 2000}b")) == ["R.MessageHeader.Subject"]
    assert packet.read_packet(holding(document(), "Subject", f"a b{chr(10) * 2000}")).subject == "a b"
    assert packet.read_packet(document(document_id=f"a{' ' * 900}b")).document_id == f"a{' ' * 900}b"


def test_a_change_that_would_do_too_much_in_one_step_is_refused():
    units, old = [f"000.00.00.G{number}" for number in range(51)], [f"old-{number}" for number in range(40)]
    recalled = [Answered("H55.13", document_id=each) for each in old]
    for many in (
        document(kind=1, recipients=units, responses=recalled),
        document(kind=3, recipients=units, replaced=old),
    ):
        assert codes(many) == ["R.TraceHeaderList.Bussiness.BussinessDocType"]
    assert packet.read_packet(document(kind=1, recipients=units[:-1], responses=recalled)).kind is PacketKind.RECALL
    assert packet.read_packet(document(kind=3, recipients=units[:-1], replaced=old)).kind is PacketKind.REPLACEMENT


def marked(name, text, content=None):
    added = f"<edXML:{name}>{text}</edXML:{name}></edXML:OtherInfo>"
    return edit(content or document(priority=4), "</edXML:OtherInfo>", added)


@pytest.mark.parametrize(("name", "text"), [("DoMat", "Tối mật"), ("secretlevel", "2"), ("ĐộMật", "A")])
def test_a_document_that_says_it_is_secret_is_refused(name, text):
    assert codes(marked(name, text)) == ["secret-refused"]


def test_a_document_that_says_it_is_not_secret_is_taken():
    assert packet.read_packet(marked("DoMat", " Thường ")).kind is PacketKind.DOCUMENT


def test_a_timed_document_has_its_hour_and_no_other_has():
    assert packet.read_packet(marked("HenGio", "2026/11/25 07:00")).hour == datetime(2026, 11, 25, tzinfo=UTC)
    assert packet.read_packet(marked("HenGio", "sớm")).hour is None
    assert packet.read_packet(marked("HenGio", "2026/11/25 07:00", document(priority=3))).hour is None


def test_of_two_thousand_mistakes_the_place_of_a_hundred_is_looked_for(monkeypatch):
    """6 MB may hold 180,000 of them."""
    places, found = [], edxml_schema.Schema._place

    def looked(schema, root, path, families):
        places.append(path)
        return found(schema, root, path, families)

    monkeypatch.setattr(edxml_schema.Schema, "_place", looked)
    content = wire.document(to="H55.01")
    (one,) = re.findall(rb"<[^<]*To>.*?</[^<]*:To>", content, re.DOTALL)
    with pytest.raises(Rejected):
        packet.read_packet(content.replace(one, one.replace(b"OrganId>", b"Bad>") * 2000))
    assert 0 < len(places) <= 100
