"""Judges a PDF by what PDF/A-2a (ISO 19005-2) and PDF/UA-1 (ISO 14289-1) ask of a document such as a report.

Not a whole validator: what is asked is what `judge_pdf` lists, each with its clause. Parses by pypdf; knows no report.
"""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from lxml import etree
from pypdf import PdfReader
from pypdf.generic import BooleanObject, ContentStream

_XMP = {
    "pdfaid": "http://www.aiim.org/pdfa/ns/id/",
    "pdfuaid": "http://www.aiim.org/pdfua/ns/id/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
}
#: Operators that paint: paths, text, shadings, images and forms.
_PAINTS = {b"f", b"F", b"f*", b"S", b"s", b"B", b"B*", b"b", b"b*", b"Tj", b"TJ", b"'", b'"', b"sh", b"Do", b"BI"}
_HIDDEN = 2  # the flag of an annotation


def judge_pdf(content: bytes) -> list[str]:
    """Return each demand that the PDF does not meet, by its clause; empty if it meets all."""
    reader: Any = PdfReader(BytesIO(content), strict=True)
    root = reader.trailer["/Root"]
    elements = list(_walk(root["/StructTreeRoot"])) if "/StructTreeRoot" in root else []
    return [
        *_judge_catalogue(reader, root),
        *_judge_metadata(root["/Metadata"].get_data(), reader),
        *_judge_fonts(reader),
        *_judge_content(reader, elements),
        *_judge_annotations(reader, elements),
        *_judge_elements(elements),
    ]


def _judge_catalogue(reader: Any, root: Any) -> Iterator[str]:
    marks = root.get("/MarkInfo", {})
    if not (isinstance(marks.get("/Marked"), BooleanObject) and marks["/Marked"].value):
        yield "UA 6.2: MarkInfo is not Marked"
    suspects = marks.get("/Suspects", BooleanObject(False))
    if not isinstance(suspects, BooleanObject) or suspects.value:
        yield "UA 7.1: Suspects is not false"
    if "/StructTreeRoot" not in root or "/ParentTree" not in root["/StructTreeRoot"]:
        yield "UA 7.1: no structure"
    if not root.get("/Lang"):
        yield "UA 7.2: no language"
    shown = root.get("/ViewerPreferences", {}).get("/DisplayDocTitle")
    if not (isinstance(shown, BooleanObject) and shown.value):
        yield "UA 7.1: the title is not shown"
    intents = [each.get_object() for each in root.get("/OutputIntents", ())]
    if not any(each["/S"] == "/GTS_PDFA1" and each["/DestOutputProfile"].get_data() for each in intents):
        yield "A 6.2.3: no output intent"
    if "/Encrypt" in reader.trailer:
        yield "A 6.1.3: encrypted"
    if "/ID" not in reader.trailer:
        yield "A 6.1.3: no file identifier"
    if {"/OpenAction", "/AA"} & set(root) or {"/JavaScript", "/EmbeddedFiles"} & set(root.get("/Names", {})):
        yield "A 6.5: actions or files"


def _judge_metadata(written: bytes, reader: Any) -> Iterator[str]:
    said = etree.fromstring(written)
    for name, wanted in (("pdfaid:part", "2"), ("pdfaid:conformance", "A"), ("pdfuaid:part", "1")):
        if said.xpath(f"string(.//{name} | .//@{name})", namespaces=_XMP) != wanted:  # an element or an attribute
            yield f"A 6.6.4, UA 5: {name} is not {wanted}"
    title = said.findtext(".//dc:title//rdf:li", namespaces=_XMP)
    if not title or title != reader.metadata.title:
        yield "UA 7.1: no title, or another one in the metadata"


def _judge_fonts(reader: Any) -> Iterator[str]:
    for font in _list_fonts(reader):
        held = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        name = str(font["/BaseFont"])
        if not {"/FontFile", "/FontFile2", "/FontFile3"} & set(held["/FontDescriptor"].get_object()):
            yield f"A 6.2.11.4: {name} is not embedded"
        if "/ToUnicode" not in font:
            yield f"A 6.2.11.7: {name} has no ToUnicode"


def _list_fonts(reader: Any) -> Iterator[Any]:
    """Yield each font of the pages and of what they draw."""
    left = [page.get("/Resources", {}) for page in reader.pages]
    while left:
        resources = left.pop().get_object()
        yield from (font.get_object() for font in resources.get("/Font", {}).values())
        drawn = (each.get_object() for each in resources.get("/XObject", {}).values())
        left += [each["/Resources"] for each in drawn if "/Resources" in each]


def _judge_content(reader: Any, elements: list[Any]) -> Iterator[str]:
    """What a page paints is an artifact, or content of an element of the structure."""
    told = {(page, mark) for element in elements for page, mark in _list_marks(element)}
    for number, page in enumerate(reader.pages, 1):
        opened: list[bool] = []
        for operands, operator in ContentStream(page.get_contents(), reader).operations:
            if operator in (b"BDC", b"BMC"):
                mark = operands[1].get("/MCID") if len(operands) > 1 and isinstance(operands[1], dict) else None
                known = mark is not None and (page.indirect_reference.idnum, mark) in told
                if mark is not None and not known:
                    yield f"UA 7.1: page {number}: content {mark} is in no element"
                opened.append(known or operands[0] == "/Artifact")
            elif operator == b"EMC":
                opened.pop()
            elif operator in _PAINTS and not any(opened):
                yield f"UA 7.1: page {number}: {operator.decode()} outside of tags and artifacts"


def _list_marks(element: Any) -> Iterator[tuple[int, int]]:
    for part in _list_parts(element):
        if isinstance(part, int):
            yield element.raw_get("/Pg").idnum, part
        elif part.get("/Type") == "/MCR":
            yield (part if "/Pg" in part else element).raw_get("/Pg").idnum, part["/MCID"]


def _list_parts(element: Any) -> list[Any]:
    below = element.get("/K", [])
    return [each.get_object() for each in (below if isinstance(below, list) else [below])]


def _walk(element: Any) -> Iterator[Any]:
    for part in _list_parts(element):
        if isinstance(part, dict) and "/S" in part:
            yield part
            yield from _walk(part)


def _judge_annotations(reader: Any, elements: list[Any]) -> Iterator[str]:
    """An annotation that is seen is in an element of the structure."""
    tagged = {
        part.raw_get("/Obj").idnum
        for element in elements
        for part in _list_parts(element)
        if not isinstance(part, int) and part.get("/Type") == "/OBJR"
    }
    for number, page in enumerate(reader.pages, 1):
        for reference in page.get("/Annots", ()):
            annotation = reference.get_object()
            left, lower, right, upper = (float(each) for each in annotation["/Rect"])
            seen = right > left and upper > lower and not int(annotation.get("/F", 0)) & _HIDDEN
            if seen and reference.idnum not in tagged:
                yield f"UA 7.18: page {number}: {annotation['/Subtype']} is in no element"


def _judge_elements(elements: list[Any]) -> Iterator[str]:
    level = 0
    for element in elements:
        kind = str(element["/S"])
        if kind == "/Figure" and not element.get("/Alt"):
            yield "UA 7.3: a figure without words"
        if kind == "/Table":
            yield from _judge_table(element)
        if kind[:2] == "/H" and kind[2:].isdecimal():
            if int(kind[2:]) > level + 1:
                yield f"UA 7.4.2: {kind[1:]} after H{level}"
            level = int(kind[2:])


def _judge_table(table: Any) -> Iterator[str]:
    """Its headings have a scope, and its rows are of one length, with cells that go over several."""
    rows = [each for each in _walk(table) if each["/S"] == "/TR"]
    cells = [[each for each in _list_parts(row) if each.get("/S") in ("/TH", "/TD")] for row in rows]
    headings = [cell for row in cells for cell in row if cell["/S"] == "/TH"]
    if not headings:
        yield "UA 7.5: a table without headings"
    if not all(_attributes(cell).get("/Scope") in ("/Column", "/Row", "/Both") for cell in headings):
        yield "UA 7.5: a heading without a scope"
    reaching: dict[int, int] = {}  # how many cells from above reach into each row
    lengths = set()
    for place, row in enumerate(cells):
        length = reaching.get(place, 0)
        for cell in row:
            span = _attributes(cell)
            wide = int(span.get("/ColSpan", 1))
            length += wide
            for below in range(place + 1, place + int(span.get("/RowSpan", 1))):
                reaching[below] = reaching.get(below, 0) + wide
        lengths.add(length)
    if len(lengths) > 1 or max(reaching, default=0) >= len(rows):
        yield f"A 6.7, UA 7.2: rows of {sorted(lengths)} columns"


def _attributes(cell: Any) -> Mapping[str, Any]:
    """Return the attributes of a cell that belong to tables."""
    given = cell.get("/A", [])
    listed = [each.get_object() for each in (given if isinstance(given, list) else [given])]
    return {name: value for each in listed if each.get("/O") == "/Table" for name, value in each.items()}
