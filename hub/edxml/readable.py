"""Writes a packet for people: one numbered line for each element, its findings beside it, attachments listed.

Reads any XML safely, also a packet that was refused. Octets that are no XML are shown as the lines of text that they
are. Knows no units and no journal.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Detail
from hub.edxml.packet import LOADED
from hub.edxml.schema import QCVN
from hub.formats import base64_content, streamed_xml
from hub.formats.base64_content import ContentUnfit
from hub.formats.safe_xml import read_local_name
from hub.formats.spool import Drawer, Octets

#: Lines that are shown, and letters of one text.
LINES, LETTERS = 3000, 2000
#: Octets of a packet that is read for this; of an attachment that is unpacked.
LARGEST = 24 << 20
_LINE = re.compile(r"\bline (\d+)\b")
_ATTACHMENT = f"{{{QCVN}}}Attachment"
_LOADED = f"{{{QCVN}}}{LOADED}"


@attrs.frozen(kw_only=True)
class PacketFinding:
    """What was found in the packet: a code of docs/reference/errors.md, and what is wrong where."""

    code: str
    detail: Detail
    refuses: bool  #: it is a reason of the refusal, not a tolerated deviation

    @property
    def line(self) -> int | None:
        """Return the line of the packet's octets that the detail names."""
        found = _LINE.search(str(self.detail))
        return int(found[1]) if found else None


@attrs.frozen(kw_only=True)
class PacketLine:
    """One line as it is shown."""

    number: int | None  #: of the line in the octets where it begins; None: an end tag
    depth: int  #: of nesting
    text: str
    hidden: int = 0  #: letters of its text that are not shown
    attachment: int | None = None  #: number of the attachment whose content stands here, from 1
    findings: tuple[PacketFinding, ...] = ()


@attrs.frozen(kw_only=True)
class ListedAttachment:
    """An attachment as the packet names it."""

    number: int  #: from 1, in the order of the packet
    name: str
    content_type: str
    letters: int  #: of base64


@attrs.frozen(kw_only=True)
class ReadablePacket:
    """A packet for people."""

    lines: Sequence[PacketLine]
    more: bool  #: it has more lines than are shown
    attachments: Sequence[ListedAttachment]
    elsewhere: Sequence[PacketFinding]  #: findings that name no line that is shown
    is_xml: bool


def write_readable_packet(octets: bytes, findings: Sequence[PacketFinding]) -> ReadablePacket:
    """Return the packet in *octets* with its *findings*, each at the line that it names."""
    drawer = Drawer()
    try:
        root, loads = _parse_packet(octets, drawer)
        lines, is_xml = list(_cut_long_lines(_write_packet_lines(root, loads))), True
        attachments = [_list_attachment(number, each, loads) for number, each in enumerate(root.iter(_ATTACHMENT), 1)]
    except Rejected:
        texts = octets[: LINES * LETTERS].decode("utf-8", "replace").splitlines()
        lines = [_make_text_line(number, each) for number, each in enumerate(texts[: LINES + 1], 1)]
        is_xml, attachments = False, []
    finally:
        drawer.close()
    placed, elsewhere = _place_findings(lines[:LINES], findings)
    return ReadablePacket(
        lines=placed, more=len(lines) > LINES, attachments=attachments, elsewhere=elsewhere, is_xml=is_xml
    )


def write_packet_lines(octets: bytes) -> list[str]:
    """Return the packet in *octets* as lines to compare: equal for packets that differ only in how they are written.

    In place of an attachment's content stands the SHA-256 of its base64, without white space.
    """
    drawer = Drawer()
    try:
        root, loads = _parse_packet(octets, drawer)
        digests = {number: _digest_attachment(each, loads) for number, each in enumerate(root.iter(_ATTACHMENT), 1)}
        lines = list(_cut_long_lines(_write_packet_lines(root, loads)))
    except Rejected:
        return [each[:LETTERS] for each in octets[: LINES * LETTERS].decode("utf-8", "replace").splitlines()[:LINES]]
    finally:
        drawer.close()
    return [
        "  " * line.depth + line.text + (f" SHA-256 {digests.get(line.attachment)}" if line.attachment else "")
        for line in lines
    ]


def _digest_attachment(attachment: etree._Element, loads: streamed_xml.Loads) -> str:
    leaf = attachment.find(_LOADED)
    if leaf is None:
        return ""
    load, digest = loads.get(leaf), hashlib.sha256()
    for piece in [(leaf.text or "").encode()] if load is None else load.letters():
        digest.update(b"".join(piece.split()))
    return digest.hexdigest()


def read_packet_attachment(octets: bytes, number: int) -> tuple[ListedAttachment, bytes] | None:
    """Return attachment *number* (from 1) of the packet in *octets*, unpacked; None if it cannot be had."""
    drawer = Drawer()
    try:
        root, loads = _parse_packet(octets, drawer)
        for place, each in enumerate(root.iter(_ATTACHMENT), 1):
            leaf = each.find(_LOADED)
            if place == number and leaf is not None:
                load = loads.get(leaf)
                base64_content.measure_base64((leaf.text or "") if load is None else load.letters())
                letters = (leaf.text or "") if load is None else load.letters()
                return _list_attachment(number, each, loads), base64_content.decode_base64_content(letters, LARGEST)
    except (Rejected, ValueError, ContentUnfit):
        return None
    finally:
        drawer.close()
    return None


def _parse_packet(octets: bytes, drawer: Drawer) -> tuple[etree._Element, streamed_xml.Loads]:
    return streamed_xml.parse_streamed_xml(Octets.of(octets), frozenset({LOADED}), drawer)


def _cut_long_lines(lines: Iterator[PacketLine]) -> Iterator[PacketLine]:
    for number, line in enumerate(lines):
        if number > LINES:
            return
        yield line


def _write_packet_lines(root: etree._Element, loads: streamed_xml.Loads) -> Iterator[PacketLine]:
    numbers = {each: number for number, each in enumerate(root.iter(_ATTACHMENT), 1)}
    yield from _write_element_lines(root, 0, {}, loads, numbers)


def _write_element_lines(
    element: etree._Element,
    depth: int,
    spaces: Mapping[str, str],
    loads: streamed_xml.Loads,
    numbers: Mapping[etree._Element, int],
) -> Iterator[PacketLine]:
    if not isinstance(element.tag, str):  # a comment
        yield PacketLine(
            number=cast("int | None", element.sourceline), depth=depth, text=f"<!--{(element.text or '')[:LETTERS]}-->"
        )
        return
    prefix = f"{element.prefix}:" if element.prefix else ""
    name = f"{prefix}{read_local_name(element)}"
    own = {key or "": uri for key, uri in element.nsmap.items()}
    # in the order of the canonical form, so that two packets can be compared
    declared = [
        f'xmlns{":" + key if key else ""}="{uri}"' for key, uri in sorted(own.items()) if spaces.get(key) != uri
    ]
    known = {uri: key for key, uri in own.items() if key}
    named = [
        f'{_qualify_key(str(key), known)}="{_escape_text(str(value))}"' for key, value in sorted(element.attrib.items())
    ]
    head = " ".join([name, *declared, *named])[:LETTERS]
    text = element.text or ""
    line = cast("int | None", element.sourceline)
    if element.tag == _LOADED and not len(element):
        load = loads.get(element)
        letters = len(text) if load is None else sum(map(len, load.letters()))
        yield PacketLine(
            number=line,
            depth=depth,
            text=f"<{head}>…</{name}>",
            hidden=letters,
            attachment=numbers.get(parent) if (parent := element.getparent()) is not None else None,
        )
    elif len(element):
        shown = text.strip()
        yield PacketLine(number=line, depth=depth, text=f"<{head}>{_escape_text(shown[:LETTERS])}")
        for child in element:
            yield from _write_element_lines(child, depth + 1, own, loads, numbers)
            if child.tail and child.tail.strip():
                yield PacketLine(number=None, depth=depth + 1, text=_escape_text(child.tail.strip()[:LETTERS]))
        yield PacketLine(number=None, depth=depth, text=f"</{name}>")
    elif text:
        hidden = max(0, len(text) - LETTERS)
        shown = _escape_text(text[:LETTERS]) + ("…" if hidden else "")
        yield PacketLine(number=line, depth=depth, text=f"<{head}>{shown}</{name}>", hidden=hidden)
    else:
        yield PacketLine(number=line, depth=depth, text=f"<{head}/>")


def _qualify_key(key: str, known: Mapping[str, str]) -> str:
    name = etree.QName(key)
    return f"{known.get(name.namespace, 'xml')}:{name.localname}" if name.namespace else name.localname


def _escape_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _make_text_line(number: int, text: str) -> PacketLine:
    return PacketLine(number=number, depth=0, text=text[:LETTERS], hidden=max(0, len(text) - LETTERS))


def _list_attachment(number: int, attachment: etree._Element, loads: streamed_xml.Loads) -> ListedAttachment:
    texts = {read_local_name(each): (each.text or "").strip() for each in attachment.iterchildren("*")}
    leaf = attachment.find(_LOADED)
    load = None if leaf is None else loads.get(leaf)
    letters = 0 if leaf is None else len(leaf.text or "") if load is None else sum(map(len, load.letters()))
    return ListedAttachment(
        number=number,
        name=texts.get("AttachmentName", "")[:200],
        content_type=texts.get("ContentType", "")[:100],
        letters=letters,
    )


def _place_findings(
    lines: Sequence[PacketLine], findings: Sequence[PacketFinding]
) -> tuple[list[PacketLine], list[PacketFinding]]:
    """Return *lines* with the findings at theirs, and the findings that have none.

    Where several elements stand on one line, a finding stands at the element that its code names, if there is one.
    """
    at: dict[int, list[PacketFinding]] = {}
    elsewhere = []
    for finding in findings:
        name = re.sub(r"\[.*", "", finding.code.rpartition(".")[2])
        on = [place for place, line in enumerate(lines) if line.number is not None and line.number == finding.line]
        exact = [
            place for place in on if name and re.match(rf"<(?:[\w.-]+:)?{re.escape(name)}[ />]", lines[place].text)
        ]
        if exact or on:
            at.setdefault((exact or on)[0], []).append(finding)
        else:
            elsewhere.append(finding)
    return [attrs.evolve(line, findings=tuple(at.get(place, ()))) for place, line in enumerate(lines)], elsewhere
