"""Multipart bodies: taken apart as the standard library takes them apart, or refused.  The first line is the Content-Type."""

import base64
import re
from collections.abc import Iterator

from hub.domain.errors import CallRefused, Rejected
from hub.formats import mime
from hub.formats.spool import Drawer, Octets
from hub.soap import attachments
from tests import mtom
from tests.fuzz.told import tell

LONGEST = 2048
CODES = {"media-type", "multipart-broken", "attachment-unknown", "too-large", "attachment-not-signed"}
#: Of our own words, what sets one refusal apart from another.
PHRASES = (
    *(
        "the parameters",
        "valid boundary",
        "has no type",
        "of the start part",
        "does not begin",
        "more than",
        "does not end",
    ),
    *(
        "is followed by",
        "has no end",
        "itself",
        "declared as base64",
        "Content-Transfer-Encoding",
        "in the header of a part",
    ),
    *(
        "in one part",
        "valid content id",
        "without Content-ID",
        "two parts are",
        "not a cid",
        "text/xml",
        "multipart/related",
    ),
)
ENVELOPE = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><Packet>QUJD</Packet></s:Body></s:Envelope>'


def seeds() -> Iterator[bytes]:
    root, parts = mtom.optimised(ENVELOPE)
    for body in (
        mtom.Body(),
        mtom.Body(soap=mtom.SOAP12, boundary="b", start=None, action="urn:a"),
        mtom.Body(
            preamble=b"\r\n",
            epilogue=b"",
            part_headers="Content-Type: text/plain;\r\n x=y\r\nContent-Transfer-Encoding: base64\r\n",
        ),
    ):
        octets = {
            name: base64.b64encode(each) if "base64" in body.part_headers else each for name, each in parts.items()
        }
        yield body.content_type.encode() + b"\n" + body.written(root, octets)
    swa = mtom.Body(kind=mtom.SOAP11)
    yield swa.content_type.encode() + b"\n" + swa.written(ENVELOPE.replace(b"QUJD", b"cid:1"), {"1": b"ABC", "2": b""})


#: A quoted pair (RFC 9110, 5.6.4) that `email` leaves as it stands: it knows two of them.
_PAIR = re.compile(r'\\[^\\"]')


def judge(content: bytes) -> None:
    head, _, body = content.partition(b"\n")
    header = head.replace(b"\r", b"").decode("latin-1")  # HTTP lets none through
    drawer = Drawer()
    try:
        how = attachments.read_http_manner(header, "")
        if how.related is None:
            return
        root, others = mime.split_mime_body(Octets.of(body), how.related, drawer)
        found = [(part.content_id, part.octets.read()) for part in (root, *others.values())]
    except CallRefused as refused:
        (problem,) = refused.problems
        assert problem.code in CODES
        tell(problem.code, next((phrase for phrase in PHRASES if phrase in str(problem.detail)), ""))
        return
    finally:
        drawer.close()
    boundary = b"--" + how.related.boundary.encode()
    if body.count(b"\r" + boundary) or body.count(b"\n" + boundary) != body.count(b"\r\n" + boundary):
        return  # half of a line end is none to us
    if not _PAIR.search(header):
        theirs = [octets for _, octets in mtom.read(header, body)]
        assert sorted(octets for _, octets in found) == sorted(theirs)
    tell("parts", min(len(found), 4))
    unpack(body, how)


def unpack(body: bytes, how: attachments.Manner) -> None:
    drawer = Drawer()
    try:
        unpacked = attachments.unpack_body(Octets.of(body), how, frozenset({"Packet"}), drawer)
        tell("unpacked", how.carriage.name, len(unpacked.loads))
    except Rejected as refused:
        (problem,) = refused.problems
        tell("not unpacked", problem.code)
    finally:
        drawer.close()
