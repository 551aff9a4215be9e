"""A packet with known tags is read without a parser, and as the usual way reads it, or it is not read so."""

# mypy: disable-error-code="union-attr"

import random
from datetime import date
from functools import partial

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.errors import Rejected
from hub.edxml import known_packets, markings, packet, schema
from hub.edxml.normalise import is_normal
from hub.edxml.schema import QCVN, TextRule
from hub.formats import markup_memory, safe_xml
from hub.formats.markup_memory import MarkupMemory
from hub.formats.models.xsd_model import ModelValue, ValueVariety
from lienthong_demo.plan import packets
from tests.examples import at_most
from tests.fuzz import changing
from tests.packets import BARE, Seal, document, letter
from tests.pki import partner


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """Give the test a memory of its own."""
    memory = MarkupMemory()
    monkeypatch.setattr(known_packets, "_KNOWN", memory)
    return memory


def usually(content):
    """Return the packet, or None if it is refused."""
    try:
        return packet.read_packet(content)
    except Rejected:
        return None


def learn(content):
    found = usually(content)
    assert found is not None
    for _ in range(2):
        known_packets.learn_packet(content, found)
    return found


def agrees(content):
    """Tell whether *content* is known, and see that it is then read as usual, without anything to note."""
    found = known_packets.read_known_packet(content)
    assert found is None or found == usually(content)
    return found is not None


ANSWERED = packets.Answered("H55.13", "7/VB", date(2026, 11, 20), "D1")
FORMS = {
    "document": document(),
    "prefixless": document(variation=packets.Variation(prefix="")),
    "two files": document(
        attachments=(("a.txt", b"a"), ("b.pdf", b"%PDF-")), content_type="text/plain", variation=BARE
    ),
    "calendar": document(attachments=(("a.ics", b"BEGIN:VCALENDAR"),), variation=BARE, content_type="text/calendar"),
    "lines": document("x" * 300, variation=packets.Variation(width=76)),
    "answer": document(responses=[ANSWERED, ANSWERED], due=date(2026, 12, 1), paper=True, priority=3),
    "many": packets.write_document_packet(
        "H55.13",
        [f"H55.{each:02}" for each in range(20)],
        number="7",
        notation="VB",
        subject="x",
        promulgated=date(2026, 11, 20),
    ),
    "recall": document(kind=1, reason="nhầm", about="D1"),
    "recall of answered": document(kind=1, reason="nhầm", responses=[ANSWERED]),
    "update": letter(
        "H55.13",
        ["H55.01"],
        document_id="D2",
        kind=2,
        about="D1",
        reason="x",
        receivers=[("H55.20", "1"), ("H55.01", "0")],
    ),
    "replacement": letter(
        "H55.13", ["H55.01"], document_id="D2", kind=3, reason="x", replaced=[("D1", ["H55.01", "H55.20"]), ("D0", [])]
    ),
    "status": packets.write_status_packet("H55.01", "03", ANSWERED, at="2026/11/24 08:00:00", description="xong"),
}
#: What is noted, marked or signed, and so is never known.
OTHERS = {
    "order": document(variation=packets.Variation(order="clauses")),
    "day first": document(variation=packets.Variation(dates="%d/%m/%Y")),
    "extension": document(variation=packets.Variation(extension="Extra")),
    "secret": document(variation=packets.Variation(extension="SecretLevel")),
    "dummy": document(variation=packets.Variation(signature="dummy")),
    "empty signature": document(variation=packets.Variation(signature="empty")),
    "type of file": document(attachments=(("a.exe", b"a"),), variation=BARE),
    "signed": Seal().signed(partner("sotttt"), document()),
    "comment": document().replace(b"</Attachment>", b"<!-- c --></Attachment>"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_packet_with_known_tags_is_read_as_usual(name):
    content = FORMS[name]
    assert not agrees(content)
    learn(content)
    assert agrees(content)
    assert known_packets.read_known_packet(content).deviations == ()


@pytest.mark.parametrize("name", OTHERS)
def test_of_others_nothing_is_learned(name, known):
    content = OTHERS[name]
    found = usually(content)
    for _ in range(3):
        if found is not None:
            known_packets.learn_packet(content, found)
    assert known._known == {}
    assert not agrees(content)


def test_packets_that_may_be_marked_are_not_known(monkeypatch, known):
    monkeypatch.setattr(markings, "is_marking", lambda tag: tag.endswith("}Subject"))
    learn(FORMS["document"])
    assert known._known == {}


def test_tags_that_came_once_are_not_known():
    content = FORMS["document"]
    known_packets.learn_packet(content, usually(content))
    assert not agrees(content)


def test_other_texts_are_read_without_a_parser(monkeypatch):
    learn(document())
    other = document("Nội dung khác", to="H55.20", number="8", notation="QĐ-UBND", subject="Về việc khác, “trích yếu”")
    expected = usually(other)
    monkeypatch.setattr(safe_xml, "parse_safe_xml", None)
    found = known_packets.read_known_packet(other)
    assert found == expected
    assert (found.recipients, found.code) == (("H55.20",), "8/QĐ-UBND")


TEXTS = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                " ",
                "  ",
                "x",
                " x",
                "x ",
                "a b",
                "a  b",
                "a\tb",
                "a\nb",
                "a|b",
                "| |",
                "&amp;",
                "&#65;",
                "]]&gt;",
                "\u00a0",
                "\u200b",
            ),
            *(
                "0",
                "1",
                "2",
                "3",
                "4",
                "5",
                "00",
                "01",
                "+1",
                "-1",
                "1.0",
                "65535",
                "65536",
                "99999999999",
                "true",
                "false",
                "٣",
            ),
            *(
                "H55.13",
                "000.00.13.H55",
                "H55.1３",
                "h55",
                "H55.13.1.2.3",
                "2026/11/20",
                "2026/02/30",
                "2099/01/01",
                "20/11/2026",
                "2026/11/20 08:00:00",
            ),
            *(
                "x" * 10,
                "x" * 11,
                "x" * 12,
                "é" * 20,
                "é" * 21,
                "x" * 50,
                "x" * 51,
                "x" * 100,
                "x" * 101,
                "x" * 150,
                "x" * 151,
                "x" * 200,
                "x" * 201,
            ),
            *(
                "x" * 300,
                "x" * 301,
                "x" * 500,
                "x" * 501,
                "x" * 999,
                "x" * 1001,
                "x " * 600,
                "x" * 4001,
                "cid:1",
                "1",
                "a.pdf",
                "a.ics",
                "a.exe",
                "QQ==",
                "QR==",
                "Q Q==",
                "UEsDBA==",
            ),
            *("01", "15", "16", "07", "H55.01", "H55.20", "D1"),
        ]
    ),
    st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="&<>￾￿"), max_size=60),
)


@settings(max_examples=at_most(40))
@given(st.data())
@pytest.mark.parametrize("name", ["document", "answer", "recall", "update", "replacement", "status", "two files"])
@pytest.mark.slow
def test_whatever_a_text_says_it_is_read_as_usual_or_not_at_all(name, data):
    known_packets._KNOWN.clear()
    content = FORMS[name]
    learn(content)
    split = markup_memory.split_document(content)
    leaves = [at for at, tag in enumerate(split.tags[:-1]) if split.tags[at + 1] == b"/" + tag.partition(b" ")[0]]
    changes = data.draw(st.dictionaries(st.sampled_from(leaves), TEXTS, min_size=1, max_size=3))
    agrees(split.put({at: text.encode() for at, text in changes.items()}).join())


@pytest.mark.parametrize("name", ["document", "two files", "status"])
def test_changed_packets_are_read_as_usual_or_not_at_all(name):
    content = FORMS[name]
    learn(content)
    trees = changing.Trees(words=["H55.01", "2026/11/20", "0", "1"], blindly=0)
    for seed in range(150):
        agrees(trees.change(content, markup_memory.SMALL, seed))
    random_ = random.Random(5)
    for _ in range(300):
        at = random_.randrange(len(content))
        agrees(
            content[:at] + random_.choice([b"", b"0", b" ", b"&", b"<", b">", b"\xff", b"\0", b"|"]) + content[at + 1 :]
        )


def _parts(shape, place=()):
    for part in shape.parts.values():
        if part.shape is None:
            yield (*place, part.name), part
        else:
            yield from _parts(part.shape, (*place, part.name))


@pytest.mark.parametrize("kind", ["document", "status"])
def test_nearly_every_text_has_a_rule(kind):
    ruled = [name[-1] for name, part in _parts(schema.load_packet_schema(kind).root) if part.rule is None]
    assert sorted(ruled) == (["ContentTransferEncoded", "ErrorList"] if kind == "document" else [])


@pytest.mark.parametrize("name", ["answer", "update", "replacement", "status"])
def test_what_fits_a_rule_both_schemas_allow(name):
    """Each leaf is given each text that fits its rule."""
    content = FORMS[name]
    root = safe_xml.parse_safe_xml(content)
    known_schema, _ = packet.choose_reader(is_status=name == "status")
    for leaf in root.iter(packet.LOADED_TAG):
        leaf.text = None
    assert is_normal(root, known_schema)
    rules = {f"{{{QCVN}}}{place[-2]}/{{{QCVN}}}{place[-1]}": part.rule for place, part in _parts(known_schema.root)}
    texts = [
        *"0123456789",
        *map(str, range(95, 105)),
        "00",
        "true",
        "false",
        "9" * 4,
        "9" * 9,
        "9" * 10,
        "",
        "x",
        "x y",
        "a.b/c",
    ]
    texts += [
        "x" * number
        for number in (9, 10, 11, 20, 21, 30, 31, 50, 51, 100, 101, 150, 200, 201, 300, 500, 501, 1000, 1001)
    ]
    texts += ["é" * number for number in (11, 50, 1000)] + [
        "A12",
        "12.A12",
        "000.00.13.H55",
        "H55.1.A.ZZ9",
        "H55.1.1.1.1",
        "1.A12",
    ]
    texts += [
        "2026/01/31",
        "2026/12/01",
        "2026/13/01",
        "9999/02/30",
        "2026/01/31 23:59:59",
        "2026/01/31 24:00:00",
        "٣٣٣٣/01/31",
    ]
    texts += ["01", "02", "03", "04", "05", "06", "07", "13", "15", "16"]
    tried = 0
    for leaf in [each for each in root.iter() if not len(each)]:
        rule = rules.get(f"{leaf.getparent().tag}/{leaf.tag}")
        if rule is None:
            continue
        before = leaf.text
        for text in filter(rule.fits, texts):
            leaf.text = text
            assert is_normal(root, known_schema), (leaf.tag, text, rule)
            assert not known_schema.observed(root), (leaf.tag, text)
            tried += 1
        leaf.text = before
    assert tried > 300


def test_a_rule_is_refused_where_a_facet_is_not_known():
    whole, text = partial(ModelValue, builtin="int"), partial(ModelValue, builtin="token")
    kinds = {
        "digits": whole(total_digits=3),
        "letters": text(patterns=(("\\p{L}",),)),
        "one bound": whole(min_inclusive="5"),
        "time": ModelValue(builtin="dateTime"),
        "range": whole(min_inclusive="5", max_inclusive="7"),
        "list": text(variety=ValueVariety.LIST),
    }
    rules = {name: schema.derive_text_rule(kind) for name, kind in kinds.items()}
    assert [name for name, rule in rules.items() if rule is not None] == ["range"]
    assert rules["range"].values == {"5", "6", "7"}
    assert attrs.evolve(TextRule(), least=1).fits("x")


def test_a_rule_counts_no_blanks_that_a_schema_may_count_as_one():
    two = schema.derive_text_rule(ModelValue(builtin="token", least=4))
    assert (two.fits("a  b"), two.fits("abcd"), two.fits("a b c")) == (False, True, True)


def test_what_is_learned_is_bounded(monkeypatch):
    memory = MarkupMemory(3)
    monkeypatch.setattr(known_packets, "_KNOWN", memory)
    for number in range(10):
        learn(document().replace(b"<AttachmentEncoded>", b"<AttachmentEncoded" + b" " * number + b">"))
        assert 0 < len(memory._known) <= 3
