"""Splits a multipart/related body into parts (RFC 2046, 2387, 2392).

Knows boundaries, part headers and content ids. Does not know envelopes.

The reader is strict. If two readers could split a body differently, one would verify what the other does not use. So
lines end in CRLF, the body begins and ends with the boundary, and each text that looks like a boundary is one. No body
is read whole: a part is a slice of the body, or a file of its own if it came as base64.

`hub.formats.xml_cost.WORST` states the worst cost. Each octet is read a few times, in C. Parts, their headers and the
envelope are bounded.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

import attrs

from hub.domain.errors import CallRefused
from hub.domain.model import Detail, Problem
from hub.formats import base64_content
from hub.formats.spool import Drawer, Octets
from hub.language.phrases import phrase

XOP = "application/xop+xml"

MOST_PARTS = 16  #: maximum number of parts, the envelope included
MOST_HEADER = 8 * 1024  #: maximum octets of one part's header
LONGEST_ROOT = 1024 * 1024  #: maximum octets of the envelope
_LONGEST_ID = 512

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")  # RFC 2046, 5.1.1
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([\t\x20-\x7e]*+)")
_ID = re.compile(r"[\x21-\x3b=\x3f-\x7e]+")
#: White space is a space or a tab (RFC 9110, 5.6.3). Python accepts more characters as white space, but another reader
#: takes those for a part of the name. Possessive quantifiers (`*+`, `++`) prevent backtracking. Without them, the white
#: space around an empty value could be divided in as many ways as there are spaces, for each parameter, and the numbers
#: would multiply.
_PARAMETER = re.compile(r';[ \t]*+([!#-:<>-~]++)[ \t]*+=[ \t]*+(?:("(?:[^"\\]|\\.)*+")|([!#-:<-~]*+))')
_PARAMETERS = re.compile(rf"(?:{_PARAMETER.pattern}[ \t]*+)++;?[ \t]*")
_CRLF = b"\r\n"
#: The name of a form field.
_FORM_FIELD = re.compile(
    rb'\r\ncontent-disposition:[ \t]*form-data;[ \t]*name="([a-z][a-z0-9._-]{0,39})"', re.IGNORECASE
)
_OURS = ("content-type", "content-id", "content-transfer-encoding")


@attrs.frozen
class Related:
    """The parameters of a multipart/related Content-Type."""

    boundary: str
    kind: str  #: `type`: the media type of the envelope
    start: str | None  #: the content id of the envelope; None: the envelope is the first part


@attrs.frozen(eq=False)
class MimePart:
    """One part of a body. Its octets are decoded from the transfer encoding."""

    content_id: str  #: without `<>`; empty if the part has none
    media: str
    parameters: Mapping[str, str]  #: parameters of the media type
    octets: Octets


def read_media_type(header: str) -> tuple[str, dict[str, str]]:
    """Return the media type and its parameters (RFC 9110, 8.3.1), names in lower case, quoted values unquoted."""
    media, _, rest = header.partition(";")
    found = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted else bare
        for name, quoted, bare in _PARAMETER.findall(f";{rest}")
    }
    return media.strip(" \t").lower(), found


def read_related_header(header: str) -> Related:
    """Read a multipart/related Content-Type *header*.  Raises CallRefused `multipart-broken`."""
    _media, _, rest = header.partition(";")
    parameters = read_media_type(header)[1]
    if _PARAMETERS.fullmatch(f";{rest}") is None or len(parameters) != len(_PARAMETER.findall(f";{rest}")):
        raise _make_broken_refusal(
            phrase("the parameters of the Content-Type are malformed")
        )  # a repeated parameter, or text that is no parameter
    boundary = parameters.get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise _make_broken_refusal(phrase("not a valid boundary: {boundary}", boundary=repr(boundary[:80])))
    kind = read_media_type(parameters.get("type", ""))[0]
    if not kind:
        raise _make_broken_refusal(phrase("the Content-Type has no type"))
    start = parameters.get("start")
    return Related(boundary, kind, None if start is None else _strip_brackets(start))


def split_mime_body(
    body: Octets, how: Related, drawer: Drawer, *, most: int = MOST_PARTS
) -> tuple[MimePart, dict[str, MimePart]]:
    """Return the envelope's part, and the other parts by content id. There may be at most *most* parts.

    Raises CallRefused: `multipart-broken`, `attachment-unknown` (a content id used twice, or missing), `too-large` (the
    envelope).
    """
    parts = [
        _make_mime_part(header, octets, drawer)
        for header, octets in _cut_parts(body, how.boundary.encode("ascii"), most)
    ]
    others: dict[str, MimePart] = {}
    root = parts[0]
    if how.start is not None:
        roots = [part for part in parts if part.content_id == how.start]
        if len(roots) != 1:
            raise _make_broken_refusal(
                phrase(
                    "{count} parts have the id of the start part, <{start}>", count=len(roots), start=how.start[:100]
                )
            )
        root = roots[0]
    if len(root.octets) > LONGEST_ROOT:
        raise CallRefused(
            Problem(
                "too-large",
                phrase("the envelope of a multipart body: {count} > {most}", count=len(root.octets), most=LONGEST_ROOT),
            )
        )
    for part in parts:
        if part is root:
            continue
        if not part.content_id:
            raise CallRefused(Problem("attachment-unknown", phrase("a part without Content-ID")))
        if part.content_id in others or part.content_id == root.content_id:
            raise CallRefused(
                Problem("attachment-unknown", phrase("two parts are <{content_id}>", content_id=part.content_id[:200]))
            )
        others[part.content_id] = part
    return root, others


def read_form_data(body: Octets, header: str, *, most: int = 10) -> dict[str, Octets]:
    """Return the fields of a multipart/form-data *body* (RFC 7578) by name, at most *most*.

    *header* is its Content-Type. File names are ignored: they are untrusted. Raises CallRefused `multipart-broken`.
    """
    media, parameters = read_media_type(header)
    boundary = parameters.get("boundary", "")
    if media != "multipart/form-data" or _BOUNDARY.fullmatch(boundary) is None:
        raise _make_broken_refusal(phrase("not a form: {header}", header=repr(header[:80])))
    found: dict[str, Octets] = {}
    for head, octets in _cut_parts(body, boundary.encode("ascii"), most):
        names = _FORM_FIELD.findall(b"\r\n" + head)
        if len(names) != 1 or names[0].decode("ascii") in found:
            raise _make_broken_refusal(
                phrase("a field that does not have exactly one name: {head}", head=repr(head[:80]))
            )
        found[names[0].decode("ascii")] = octets
    return found


def read_content_id(uri: str) -> str:
    """Return the content id in a `cid:` *uri* (RFC 2392). Raises CallRefused `attachment-unknown` for any other URI."""
    scheme, _, name = uri.partition(":")
    try:
        found = unquote(name, errors="strict") if scheme.lower() == "cid" and name.isascii() else ""
    except UnicodeDecodeError:
        found = ""
    if _ID.fullmatch(found) is None or len(found) > _LONGEST_ID:
        raise CallRefused(Problem("attachment-unknown", phrase("not a cid: {uri}", uri=uri[:200])))
    return found


def _cut_parts(body: Octets, boundary: bytes, most: int) -> Iterator[tuple[bytes, Octets]]:
    """Yield the header and the content of each part."""
    first = b"--" + boundary
    head = body.cut(0, min(len(body), len(first) + 2)).read()
    skipped = 2 if head.startswith(_CRLF) else 0  # an empty preamble, which some toolkits write
    start, count = skipped + len(first), 0
    if head[skipped:start] != first:
        raise _make_broken_refusal(phrase("the body does not begin with the boundary"))
    for at in _find_delimiters(body, _CRLF + first, start):
        count += 1
        if count > most:
            raise _make_broken_refusal(phrase("more than {most} parts", most=most))
        yield _divide_part(body, start, at)
        start = at + len(first) + 2
    after = body.cut(start, min(start + 4, len(body))).read()
    closed = count > 0 and after[:2] == b"--" and after[2:] in {b"", _CRLF} and start + len(after) == len(body)
    if not closed:
        raise _make_broken_refusal(phrase("the body does not end with the closing boundary"))


def _divide_part(body: Octets, start: int, end: int) -> tuple[bytes, Octets]:
    """Return the header and the content of the part whose boundary ends at *start*."""
    header = body.cut(start, min(end, start + MOST_HEADER + 4)).read()
    if not header.startswith(_CRLF):
        raise _make_broken_refusal(
            phrase("octet {start}: a boundary is followed by {header}", start=start, header=repr(header[:2]))
        )
    if header.startswith(_CRLF + _CRLF):
        return b"", body.cut(start + 4, end)
    length = header.find(_CRLF + _CRLF)
    if length < 0:
        raise _make_broken_refusal(
            phrase("octet {start}: the header of a part has no end within {most} octets", start=start, most=MOST_HEADER)
        )
    return header[2:length], body.cut(start + length + 4, end)


def _find_delimiters(body: Octets, delimiter: bytes, start: int) -> Iterator[int]:
    """Yield the positions of *delimiter* in *body*, from *start* on."""
    rest, at = b"", start
    for piece in body.cut(start, len(body)).pieces():
        window = rest + piece
        found = window.find(delimiter)
        while found >= 0:
            yield at + found
            found = window.find(delimiter, found + len(delimiter))
        kept = min(len(window), len(delimiter) - 1)
        at += len(window) - kept
        rest = window[len(window) - kept :]


def _make_mime_part(header: bytes, octets: Octets, drawer: Drawer) -> MimePart:
    fields = _read_header_fields(header)
    media, parameters = read_media_type(fields.get("content-type", "text/plain"))
    if media.startswith(("multipart/", "message/")):
        raise _make_broken_refusal(phrase("a part that is {media} itself", media=media[:50]))
    name = fields.get("content-id")
    encoding = fields.get("content-transfer-encoding", "7bit").strip(" \t").lower()
    if encoding == "base64":
        try:
            octets = drawer.keep(
                base64_content.decode_base64_slices(piece.decode("ascii") for piece in octets.pieces())
            )
        except ValueError as error:
            raise _make_broken_refusal(
                phrase("a part is declared as base64 and is not: {error}", error=str(error))
            ) from None
    elif encoding not in {"7bit", "8bit", "binary"}:
        raise _make_broken_refusal(
            phrase(
                "Content-Transfer-Encoding {encoding}; accepted are binary, 8bit, 7bit and base64",
                encoding=encoding[:50],
            )
        )
    return MimePart("" if name is None else _strip_brackets(name.strip(" \t")), media, parameters, octets)


def _read_header_fields(header: bytes) -> dict[str, str]:
    """Return the header fields that the hub uses, names in lower case.

    A folded line is joined to the line before it.
    """
    found: dict[str, str] = {}
    for line in _unfold_header(header):
        field = _FIELD.fullmatch(line)
        if field is None:
            raise _make_broken_refusal(phrase("a malformed line in the header of a part: {line}", line=repr(line[:80])))
        name = field[1].decode("ascii").lower()
        if name in found:
            raise _make_broken_refusal(phrase("two {name} in one part", name=name))
        if name in _OURS:
            found[name] = field[2].decode("ascii")
    return found


def _unfold_header(header: bytes) -> Iterable[bytes]:
    return re.sub(rb"\r\n[ \t]+", b" ", header).split(_CRLF) if header else ()


def _strip_brackets(name: str) -> str:
    """Return a content id without its `<>`, which some clients omit in `start`."""
    bare = name[1:-1] if name.startswith("<") and name.endswith(">") else name
    if _ID.fullmatch(bare) is None or len(bare) > _LONGEST_ID:
        raise _make_broken_refusal(phrase("not a valid content id: {name}", name=repr(name[:100])))
    return bare


def _make_broken_refusal(detail: Detail) -> CallRefused:
    return CallRefused(Problem("multipart-broken", detail))
