"""Writes a packet as a text that a person edits: in place of an attachment's content stands a mark, which comes back.

Knows octets and marks. Judges nothing: what comes back from an editor is read like any other packet.
"""

import re
from contextlib import suppress
from xml.parsers import expat

#: Letters of a text that is offered for editing. A longer packet is replaced by a file.
LARGEST_TEXT = 256 * 1024
#: The element whose content is replaced by a mark, by its local name.
_LOADED = "ContentTransferEncoded"
_MARK = re.compile(r"\[\[attachment ([1-9][0-9]{0,3})\]\]")
_START_TAG = re.compile(rb"<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")


class _HasDoctype(Exception):
    """The packet is read no further: it has a DOCTYPE."""


def write_editable_text(octets: bytes) -> str | None:
    """Return the packet in *octets* as a text with marks; None if it is not UTF-8, or has more than `LARGEST_TEXT`.

    A packet that is not well-formed is shown as it is from the place of the error on.
    """
    pieces, at = [], 0
    for number, (begin, end) in enumerate(_find_contents(octets), 1):
        pieces += [octets[at:begin], f"[[attachment {number}]]".encode()]
        at = end
    try:
        text = b"".join([*pieces, octets[at:]]).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if len(text) <= LARGEST_TEXT else None


def read_edited_text(text: str, octets: bytes) -> bytes:
    """Return the packet that the edited *text* stands for. Its marks stand for the attachments of the packet in *octets*.

    A browser ends lines by CR LF; here they end by LF. A mark without an attachment stays as it is, and so does one that
    is repeated: the packet grows by no more than its own attachments.
    """
    contents = dict(enumerate(_find_contents(octets), 1))

    def put_back(mark: re.Match[str]) -> str:
        begin, end = contents.pop(int(mark[1]), (0, 0))
        return octets[begin:end].decode("ascii", "replace") if end else mark[0]

    return _MARK.sub(put_back, text.replace("\r\n", "\n").lstrip()).encode("utf-8", "replace")


def _find_contents(octets: bytes) -> list[tuple[int, int]]:
    """Return where the content of each attachment begins and ends."""
    parser, found = expat.ParserCreate(), []
    begins: list[int] = []

    def start(name: str, _attributes: object) -> None:
        if name.rpartition(":")[2] == _LOADED and (tag := _START_TAG.match(octets, parser.CurrentByteIndex)):
            begins.append(tag.end() if not tag[0].endswith(b"/>") else -1)

    def end(name: str) -> None:
        if name.rpartition(":")[2] == _LOADED and begins and (begin := begins.pop()) >= 0:
            found.append((begin, parser.CurrentByteIndex))

    def refuse(*_: object) -> None:
        raise _HasDoctype

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    with suppress(expat.ExpatError, _HasDoctype):
        parser.Parse(octets, True)
    return found
