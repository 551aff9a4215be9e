"""Reads a tagged PDF as a screen reader does: the elements of its structure tree, each with its text.  Parses by pypdf; knows no report."""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

import attrs
from pypdf import PdfReader
from pypdf.generic import ContentStream

_Marks = Mapping[tuple[int, int], str]  # the text of each marked content, by page and id


@attrs.frozen
class Element:
    """One element of the structure tree: its kind (`TR`, `TH`), its own text and what is below it, in reading order."""

    kind: str
    content: Sequence["str | Element"]

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.content)

    def all(self, *kinds: str) -> Iterator["Element"]:
        """Yield every element of one of *kinds* below this one, in reading order."""
        for part in self.content:
            if isinstance(part, Element):
                if part.kind in kinds:
                    yield part
                yield from part.all(*kinds)


def tree(content: bytes) -> Element:
    """Return the structure tree of a PDF."""
    reader: Any = PdfReader(BytesIO(content))
    pages = {page.indirect_reference.idnum: place for place, page in enumerate(reader.pages)}
    marks = {
        (place, mark): text for place, page in enumerate(reader.pages) for mark, text in _marked(page, reader).items()
    }
    return _element(reader.trailer["/Root"]["/StructTreeRoot"], -1, pages, marks)


def _element(node: Any, page: int, pages: Mapping[int, int], marks: _Marks) -> Element:
    if "/Pg" in node:
        page = pages[node.raw_get("/Pg").idnum]
    below = node.get("/K", [])
    content: list[str | Element] = []
    for part in (each.get_object() for each in (below if isinstance(below, list) else [below])):
        if isinstance(part, int):
            content.append(marks.get((page, part), ""))
        elif part.get("/Type") == "/MCR":
            content.append(marks.get((pages[part.raw_get("/Pg").idnum] if "/Pg" in part else page, part["/MCID"]), ""))
        elif part.get("/Type") != "/OBJR":
            content.append(_element(part, page, pages, marks))
    return Element(str(node.get("/S", "")).removeprefix("/"), content)


def _marked(page: Any, reader: Any) -> dict[int, str]:
    """Return the text of each marked content of a page by its id."""
    fonts = {name: _letters(font.get_object()) for name, font in page["/Resources"].get("/Font", {}).items()}
    found: dict[int, str] = {}
    open_marks: list[int | None] = []
    letters: Mapping[int, str] = {}
    for operands, operator in ContentStream(page.get_contents(), reader).operations:
        match operator:
            case b"BDC" | b"BMC":
                properties = operands[1].get_object() if len(operands) > 1 else {}
                open_marks.append(properties.get("/MCID") if isinstance(properties, dict) else None)
            case b"EMC":
                open_marks.pop()
            case b"Tf":
                letters = fonts[operands[0]]
            case b"Tj" | b"TJ":
                mark = next((each for each in reversed(open_marks) if each is not None), None)
                if mark is not None:
                    strings = operands[0] if operator == b"TJ" else operands
                    shown = b"".join(each.original_bytes for each in strings if not isinstance(each, (int, float)))
                    codes = (int.from_bytes(shown[at : at + 2]) for at in range(0, len(shown), 2))
                    found[mark] = found.get(mark, "") + "".join(letters[code] for code in codes)
    return found


def _letters(font: Any) -> Mapping[int, str]:
    """Return what each two-byte code of a font stands for, as its ToUnicode map says."""
    found: dict[int, str] = {}
    text = font["/ToUnicode"].get_data().decode("latin-1")
    for block in re.findall(r"beginbfchar(.*?)endbfchar", text, re.DOTALL):
        for code, letter in re.findall(r"<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>", block):
            found[int(code, 16)] = bytes.fromhex(letter).decode("utf-16-be")
    for block in re.findall(r"beginbfrange(.*?)endbfrange", text, re.DOTALL):
        for first, last, letter in re.findall(r"<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>", block):
            start = int.from_bytes(bytes.fromhex(letter))
            for code in range(int(first, 16), int(last, 16) + 1):
                found[code] = (start + code - int(first, 16)).to_bytes(len(letter) // 2).decode("utf-16-be")
    return found
