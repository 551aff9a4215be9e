"""What XML Schema 1.0 cannot say of a packet: assertions of XML Schema 1.1, asked only about partners with the profile `strict`."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from lxml import etree
from xmlschema import XMLSchema11
from xmlschema.validators import XsdAssert

from hub import config
from hub.domain.errors import ConfigurationFault
from hub.domain.model import PacketProfile
from hub.domain.turns import NeedsThread, run_in_turn
from hub.edxml import strict_rules
from hub.formats import xsd_schemas
from hub.partner.policy import Policy
from hub.soap.documents_requests import SendDocument, UpdateTraces
from hub.store import transactions
from lienthong_demo.plan.packets import Answered, write_status_packet
from tests import databases, effort, frontdesk, homes, pki
from tests.conftest import ROOT
from tests.packets import letter

ME = pki.partner("sotttt")
STRICT, OBSERVED = Policy(profile=PacketProfile.STRICT), Policy()
FOLDER = xsd_schemas.find_schema_root() / "xsd/qcvn102/strict"
DOCUMENT = letter("H55.13", ["H55.01"], document_id="D1", due=date(2026, 11, 20))
UPDATE = letter("H55.13", ["H55.01"], document_id="D1", kind=2, about="D0", receivers=[("H55.01", "1")])
STATUS = write_status_packet(
    "H55.13",
    "03",
    Answered(organ="H55.01", code="1/VB", promulgated=date(2026, 11, 10), document_id="D1"),
    at="2026/11/24 08:30:00",
)
HOP = (
    "<edXML:TraceHeader><edXML:OrganId>H55.13</edXML:OrganId><edXML:Timestamp>{}</edXML:Timestamp></edXML:TraceHeader>"
)
LIST = "<edXML:BussinessDocumentInfo><edXML:DocumentInfo>0</edXML:DocumentInfo><edXML:DocumentReceiver>0</edXML:DocumentReceiver></edXML:BussinessDocumentInfo>"


def put(old: str, new: str) -> Callable[[bytes], bytes]:
    """Return what writes *new* instead of *old*, which stands once."""

    def change(content: bytes) -> bytes:
        assert content.decode().count(old) == 1, old
        return content.decode().replace(old, new).encode()

    return change


#: By rule: a sound packet, what breaks the rule, the code, and how the sentences begin.
BROKEN = {
    "due-date": (DOCUMENT, put("<edXML:DueDate>2026/11/20", "<edXML:DueDate>2026/11/09"), "R.MessageHeader.DueDate", "hạn trả lời sớm hơn ngày ban hành", "is before the day of promulgation"),
    "trace-times": (DOCUMENT, put("<edXML:TraceHeaderList>", f"<edXML:TraceHeaderList>{HOP.format('2026/02/30 08:00:00')}"), "R.TraceHeaderList.TraceHeader.Timestamp", "không phải ngày giờ có thật", "is no real time"),
    "trace-order": (DOCUMENT, put("<edXML:TraceHeaderList>", f"<edXML:TraceHeaderList>{HOP.format('2099/01/31 08:00:00')}"), "R.TraceHeaderList.TraceHeader", "các chặng không theo thứ tự thời gian", "the hops are not in the order of time"),
    "update-only": (UPDATE, put("<edXML:BussinessDocType>2", "<edXML:BussinessDocType>0"), "R.TraceHeaderList.Bussiness.BussinessDocumentInfo", "chỉ dùng cho gói tin cập nhật", "belongs to an update only"),
    "replacement-only": (letter("H55.13", ["H55.01"], document_id="D1", kind=3, replaced=[("D0", ["H55.01"])]), put("<edXML:BussinessDocType>3", "<edXML:BussinessDocType>0"), "R.TraceHeaderList.Bussiness.ReplacementInfoList", "chỉ dùng cho gói tin thay thế", "belongs to a replacement only"),
    "update-changes": (letter("H55.13", ["H55.01"], document_id="D1", kind=2, about="D0"), put("<edXML:DocumentInfo>1", "<edXML:DocumentInfo>0"), "M.TraceHeaderList.Bussiness.BussinessDocumentInfo", "không thay đổi gì", "changes nothing"),
    "update-receivers": (letter("H55.13", ["H55.01"], document_id="D1", kind=2, about="D0"), put("<edXML:DocumentReceiver>0", "<edXML:DocumentReceiver>1"), "N.TraceHeaderList.Bussiness.BussinessDocumentInfo.ReceiverList", "còn thiếu: DocumentReceiver là 1", "is missing: DocumentReceiver is 1"),
    "status-time": (STATUS, put("2026/11/24 08:30:00", "2026/02/30 08:30:00"), "R.MessageHeader.Timestamp", "không phải ngày giờ có thật", "is no real time"),
    "answered-day": (STATUS, put(">2026/11/10<", ">2026/02/30<"), "R.MessageHeader.ResponseFor.PromulgationDate", "không phải ngày có thật", "is no real day"),
    "status-sender": (STATUS, put("<edXML:StatusCode>03", "<edXML:StatusCode>13"), "M.MessageHeader.StatusCode", "mã 13 chỉ do đơn vị gửi văn bản gửi", "13 comes from the sender of the document only"),
}  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    made = transactions.open_journal(databases.sqlite(tmp_path_factory.mktemp("strict") / "hub.db"))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory, engine: sa.Engine) -> dict[Policy, Callable[[bytes, str], str]]:
    """By the policy of the caller: what sends a packet under a message id, and returns the answer."""
    made = config.read_config(homes.begin(tmp_path_factory.mktemp("strict") / "tinh") / "hub.toml")
    found: dict[Policy, Callable[[bytes, str], str]] = {}
    for policy in (STRICT, OBSERVED):
        partner = frontdesk.partner("me", ME, "H55.13", policy=policy)
        desk = frontdesk.intake(made, engine, partner, frontdesk.partner("other", pki.partner("vpub"), "H55.01"))

        def send(content: bytes, name: str, desk=desk) -> str:
            kind = UpdateTraces if b"StatusCode>" in content else SendDocument
            return frontdesk.ask(desk, ME, kind(content, name)).body.read().decode()

        found[policy] = send
    return found


@pytest.mark.parametrize("rule", BROKEN)
def test_a_strict_partner_is_refused_by_each_rule_in_both_languages_and_another_is_not(desks, rule: str) -> None:
    sound, spoil, code, vietnamese, english = BROKEN[rule]
    accepted = desks[STRICT](sound, f"{rule} sound")
    assert "<IsSuccess>true" in accepted, accepted
    refused = desks[STRICT](spoil(sound), f"{rule} broken")
    assert f"<Code>{code}</Code>" in refused
    assert f": {vietnamese}" in refused
    assert f": {english}" in refused
    assert "<IsSuccess>true" in desks[OBSERVED](spoil(sound), f"{rule} observed")


@pytest.mark.parametrize("rule", BROKEN)
def test_another_processor_of_xml_schema_1_1_finds_the_same(rule: str) -> None:
    """The files are XML Schema 1.1, which a partner may use as they are; they refuse nothing else."""
    sound, spoil, *_ = BROKEN[rule]
    schema = XMLSchema11(str(FOLDER / f"{'status' if sound is STATUS else 'document'}-rules.xsd"))
    assert schema.is_valid(etree.fromstring(sound))
    errors = list(schema.iter_errors(etree.fromstring(spoil(sound))))
    assert {each.validator.elem.get("id") for each in errors if isinstance(each.validator, XsdAssert)} >= {rule}
    assert all(isinstance(each.validator, XsdAssert) for each in errors)


def test_every_rule_has_a_packet_that_breaks_it_and_two_sentences() -> None:
    rules = [*strict_rules.load_strict_rules("document"), *strict_rules.load_strict_rules("status")]
    assert {each.name for each in rules} == set(BROKEN)
    assert all(each.said.english and each.said.vietnamese != each.said.english for each in rules)


@pytest.mark.parametrize("page", ["docs/reference/errors.md", "docs/vi/reference/errors.md"])
def test_the_reference_names_every_rule(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    for each in (*strict_rules.load_strict_rules("document"), *strict_rules.load_strict_rules("status")):
        assert f"| `{each.name}` | `{each.code}` |" in text, each.name


def test_nothing_of_it_is_asked_about_a_packet_of_the_observed_profile(desks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_rules, "find_broken_rules", lambda *_, **__: pytest.fail("asked"))
    assert "<IsSuccess>true" in desks[OBSERVED](DOCUMENT, "observed only")


def test_the_rules_leave_the_turn_of_the_reactor() -> None:
    with pytest.raises(NeedsThread):
        run_in_turn(strict_rules.find_broken_rules, etree.fromstring(DOCUMENT), is_status=False)


def test_several_threads_judge_at_once() -> None:
    """Each by its own packet: what is parsed of a rule is shared."""
    strict_rules.load_strict_rules.cache_clear()
    packets: list[tuple[bytes, str | None]] = [(sound, None) for sound in (DOCUMENT, UPDATE, STATUS)]
    packets += [(spoil(sound), code) for sound, spoil, code, *_ in BROKEN.values()]

    def judge(number: int) -> bool:
        content, code = packets[number % len(packets)]
        found = strict_rules.find_broken_rules(etree.fromstring(content), is_status=b"StatusCode>" in content)
        return [each.code for each in found][:1] == ([code] if code else [])

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(judge, range(12 * len(packets))))


HOSTILE = {
    "units": put("<edXML:To>", "<edXML:To><edXML:OrganId>H55</edXML:OrganId></edXML:To>" * 9_000 + "<edXML:To>"),
    "hops": put("<edXML:TraceHeaderList>", "<edXML:TraceHeaderList>" + HOP.format("2026/02/30 08:00:00") * 6_000),
    "receivers": put("<edXML:DueDate>", f"{LIST * 6_000}<edXML:DueDate>"),
    "too many": put("<edXML:To>", "<edXML:To/>" * 30_000 + "<edXML:To>"),
    "a long value": put("<edXML:DueDate>2026/11/20", f"<edXML:DueDate>{'9' * 1_000_000}"),
}


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("attack", HOSTILE)
def test_a_megabyte_against_the_rules_costs_no_more_than_their_bound(attack: str) -> None:
    root = etree.fromstring(HOSTILE[attack](DOCUMENT), etree.XMLParser(huge_tree=True))
    strict_rules.load_strict_rules("document")
    broken = effort.run_within(
        strict_rules.SECONDS + 0.5, lambda: strict_rules.find_broken_rules(root, is_status=False)
    )
    # A busy machine may need longer for the others too: then their bound of time says the same.
    assert attack != "too many" or "R.edXML" in {each.code for each in broken}
    assert all(len(str(each.detail)) < 200 for each in broken)


def test_a_rule_without_a_sentence_or_a_code_is_no_rule(tmp_path: Path) -> None:
    text = (FOLDER / "status-rules.xsd").read_text("utf-8")
    for number, broken in enumerate((text.replace("appinfo>", "documentation>"), text.replace('xml:lang="en"', 'xml:lang="fr"'), text.replace("castable", "castle"), "<a/>")):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "status-rules.xsd").write_text(broken)
        with pytest.raises(ConfigurationFault):
            strict_rules.load_strict_rules("status", folder)
