"""A document without its long texts says the same as the whole one."""

import base64
import hashlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import Rejected
from hub.formats import base64_content, safe_xml, streamed_xml, xsd_types
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import Load, Loads

NAMES = frozenset({"L"})


@pytest.fixture(autouse=True)
def _everything_is_long(monkeypatch):
    """Let a text of 16 letters be long, and no document too small."""
    monkeypatch.setattr(streamed_xml, "LONG", 16)
    monkeypatch.setattr(streamed_xml, "WHOLE", 0)
    monkeypatch.setattr(streamed_xml, "_SHORTEST_LINE", 1)


def slim(content, step=None):
    octets = Octets.of(content)
    if step is None:
        return streamed_xml.parse_streamed_xml(octets, NAMES, Drawer())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Octets.pieces, "__defaults__", (step,))
        return streamed_xml.parse_streamed_xml(octets, NAMES, Drawer())


def forms(root, loads=streamed_xml.NONE):
    """Return every canonical form of the tree and of each element in it."""
    found = []
    for exclusive in (True, False):
        found += [
            b"".join(loads.spread(etree.tostring(each, method="c14n", exclusive=exclusive, with_tail=False)))
            for each in root.iter("*")
        ]
    return found


LETTERS = st.binary(min_size=12, max_size=90).map(lambda octets: base64.b64encode(octets).decode())
ENDS = st.sampled_from(["\n", "\r\n", "\r", "&#13;\n", "&#xD;\n", "&#xd;", " ", "\t", ""])
LINES = st.tuples(LETTERS, ENDS, st.integers(1, 40)).map(
    lambda all_: all_[1].join(all_[0][at : at + all_[2]] for at in range(0, len(all_[0]), all_[2]))
)
#: What is no plain base64, though it may look like it.
ODD = st.sampled_from(
    [
        "<![CDATA[QUJDQUJDQUJDQUJDQUJD]]>",
        "QUJDQUJDQUJD<!-- c -->QUJDQUJDQUJDQUJD",
        "QUJDQUJDQUJDQUJDQUJDQUJD&#10;QUJD",
        "QUJDQUJDQUJDQUJDQUJDQUJD&#65;",
        "QUJDQUJDQUJDQUJDQUJDQUJD&amp;",
        "QUJDQUJDQUJDQUJDQUJDQUJD<x/>",
        "<x/>QUJDQUJDQUJDQUJDQUJDQUJD",
        "<L>QUJDQUJDQUJDQUJDQUJDQUJD</L>",
        "QUJDQUJDQUJDQUJDQUJDé",
        "QUJDQUJDQUJDQUJDQUJDQUJD&#xD",
        "~" + "a" * 32 + "~",
        "<!-->QUJDQUJDQUJDQUJDQUJDQUJD<-->",
        "<![CDATA[>QUJDQUJDQUJDQUJDQUJDQUJD<]]>",
        "<![CDATA[x]]>QUJDQUJDQUJDQUJDQUJDQUJD",
        "QUJDQUJDQUJDQUJDQUJDQUJD<!-- c -->\n",
        "QUJD>QUJDQUJDQUJDQUJDQUJDQUJD",
        " " * 40,
    ]
)
ATTRIBUTES = st.sampled_from(
    ["", ' a="1>2"', " a='\"/>'", ' xml:space="preserve"', ' xmlns:q="urn:q" q:L="QUJD"', ' a="<L>"']
)


@st.composite
def documents(draw):
    """Return a document with long texts, in whatever form."""
    parts = []
    for _ in range(draw(st.integers(1, 6))):
        text = draw(st.one_of(LINES, LINES, ODD))
        name = draw(st.sampled_from(["L", "p:L", "M"]))
        parts.append(
            f"<{name}{draw(ATTRIBUTES).replace('<L>', '&lt;L>')}>{text}</{name}>{draw(st.sampled_from(['', chr(10), 'é', '<!-- <L> -->']))}"
        )
    return f'<r xmlns:p="urn:p">{"".join(parts)}</r>'.replace("&#xD<", "&#xD;<")


@given(documents(), st.integers(1, 60), st.sampled_from(["", "\ufeff", '<?xml version="1.0" encoding="UTF-8"?>\n']))
@pytest.mark.slow
def test_canonical_forms_lines_and_values_are_those_of_the_whole(text, step, opening):
    content = (opening + text).encode()
    whole = safe_xml.parse_safe_xml(content)
    root, loads = slim(content, step)
    assert forms(root, loads) == forms(whole)
    for ours, theirs in zip(root.iter("*"), whole.iter("*"), strict=True):
        assert (ours.tag, ours.items(), ours.tail) == (theirs.tag, theirs.items(), theirs.tail)
        if "\r" not in text.replace("\r\n", ""):  # libxml2 itself does not count a lone one
            assert ours.sourceline == theirs.sourceline
        load = loads.get(ours)
        if load is None:
            assert ours.text == theirs.text
            continue
        assert b"".join(load.letters()).decode() == (theirs.text or "").replace("\r", "")
        assert loads.decoded(load).read() == xsd_types.read_xs_base64(theirs)


@given(documents())
@pytest.mark.slow
def test_a_document_in_utf_16_is_left_whole(text):
    content = text.encode("utf-16")
    root, loads = slim(content)
    assert (len(loads), forms(root)) == (0, forms(safe_xml.parse_safe_xml(content)))


def test_letters_of_utf_16_are_not_taken_for_base64():
    for encoding in ("utf-16-be", "utf-16-le"):
        text = '<?xml version="1.0" encoding="UTF-16"?><L>' + "\u4142" * 40 + "</L>"
        content = "\ufeff".encode(encoding) + text.encode(encoding)
        root, loads = slim(content)
        assert (len(loads), root.text) == (0, "\u4142" * 40)


def test_long_texts_are_really_taken_out_whatever_their_line_ends():
    octets = secrets.token_bytes(90)
    for end in (b"\n", b"\r\n", b"&#13;\n", b"&#xD;\n"):
        root, loads = slim(b'<r><L a="1>2">' + base64.encodebytes(octets).replace(b"\n", end) + b"</L></r>")
        load = loads.get(root[0])
        assert load is not None
        assert b"".join(load.octets.pieces()) not in etree.tostring(root)
        assert loads.decoded(load).read() == octets


def test_nothing_is_left_out_between_or_before_elements():
    for content in (
        b"<r><L/>" + b"QUJD" * 10 + b"<L/></r>",
        b"<?xml version='1.0'?>" + b"\n" * 40 + b"<r><L>" + b"QUJD" * 10 + b"</L></r>",
    ):
        root, loads = slim(content)
        assert (len(loads), forms(root)) == (0, forms(safe_xml.parse_safe_xml(content)))


def test_a_token_of_the_senders_own_stands_for_nothing(monkeypatch):
    written = "~" + "0" * 32 + "~"
    root, loads = slim(f"<r><M>{written}</M><L>{'QUJD' * 10}</L></r>".encode())
    assert loads.get(root[0]) is None
    assert loads.get(root[1]) is not None
    assert b"".join(loads.spread(etree.tostring(root))) == f"<r><M>{written}</M><L>{'QUJD' * 10}</L></r>".encode()


@pytest.mark.parametrize("content", [b"", b"<", b"\xbd"])
def test_a_document_shorter_than_any_mark_is_refused_as_it_would_be_whole(content, monkeypatch):
    """Found by fuzzing; no document of a body is slimmed when it is so short."""
    monkeypatch.setattr(streamed_xml, "WHOLE", -1)
    with pytest.raises(Rejected, match="not-well-formed"):
        streamed_xml.parse_streamed_xml(Octets.of(content), frozenset({"Packet"}), Drawer())


@given(documents(), st.binary(max_size=12), st.integers(0, 400))
@pytest.mark.slow
def test_what_is_refused_whole_is_refused_slim_with_the_same_words(text, noise, at):
    content = text.encode()
    spoilt = content[:at] + noise + content[at:]
    assert outcome(lambda: (safe_xml.parse_safe_xml(spoilt), streamed_xml.NONE)) == outcome(lambda: slim(spoilt))


def outcome(read):
    """Return the canonical forms of what is read, or the code and line of its refusal: libxml2 counts the columns of what is left."""
    try:
        return forms(*read())
    except Rejected as rejected:
        (problem,) = rejected.problems
        return problem.code, str(problem.detail).partition(", column")[0]
    except etree.C14NError:
        return "no canonical form"


@given(st.binary(max_size=400), st.integers(1, 50))
def test_the_base64_of_a_part_is_that_of_its_octets(octets, thirds):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed_xml, "SLICE", 3 * thirds)
        load = Load(Octets.of(octets), carried=True)
        written = b"".join(load.canonical())
    assert (written, len(load)) == (base64.b64encode(octets), len(written))


@given(st.text(alphabet="QUJD=Rw-é \r\n\t", max_size=40))
def test_base64_is_judged_slice_by_slice_as_it_is_judged_whole(letters):
    element = etree.Element("L")
    element.text = letters

    def octets(read):
        try:
            return read()
        except ValueError:
            return None

    whole = octets(lambda: xsd_types.read_xs_base64(element))
    for step in (1, 3, 7):
        pieces = [letters[at : at + step] for at in range(0, len(letters), step)]
        assert octets(lambda pieces=pieces: b"".join(base64_content.decode_base64_slices(pieces))) == whole


def test_tokens_name_their_texts_in_copies_of_the_tree_too():
    loads = Loads()
    element = etree.Element("L")
    loads.put(element, Load(Octets.of(b"abc"), carried=True))
    copy = etree.fromstring(etree.tostring(element))
    assert b"".join(loads.spread(etree.tostring(copy))) == b"<L>YWJj</L>"
    assert loads.size == 3
    assert hashlib.sha256(b"abc").hexdigest() == loads.get(copy).octets.sha256()  # type: ignore[union-attr]
