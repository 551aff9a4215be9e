"""Calls by MTOM and by SOAP with Attachments: parts, their headers, what looks like a boundary, what the envelope refers to."""

import re
from collections.abc import Mapping

from lxml import etree

from hub.formats import mime
from hub.soap import attachments, documents_requests
from tests.costs import filling, stage
from tests.packets import document
from tests.signatures import Layout

DIMENSIONS: dict[str, int | None] = {
    **filling.DIMENSIONS,
    "parts": mime.MOST_PARTS - 2,
    "header": mime.MOST_HEADER - 500,  # octets of each part's
    "fields": 400,  # of each part's header
    "folds": 400,  # of one field
    "lookalikes": None,  # beginnings of a boundary
    "letters": None,  # of a part in base64
    "gaps": None,  # lines of one letter in it
    "included": None,  # elements that refer to a part
    "identifier": 400,  # letters of a content id
}
FILLER = "letters"
FORMS = {"carriage": ("mtom", "swa"), "place": ("operation", "block"), "boundary": ("b", "b" * 69)}
WORST = [
    ({"parts": 14, "fields": 400}, {"carriage": "swa", "place": "block", "boundary": "b"}),
    ({"elements": 12_000, "depth": 50, "scoped": 30}, {"carriage": "mtom", "place": "block", "boundary": "b"}),
    ({"gaps": 10_000}, {"carriage": "mtom", "place": "block", "boundary": "b"}),
    ({"lookalikes": 1000}, {"carriage": "swa", "place": "block", "boundary": "b"}),
]
_OPERATION = etree.tostring(
    documents_requests.build_call_element(documents_requests.SendDocument(document(), "m-1"))
).decode()
_INCLUDED = re.compile(rb"<xop:Include[^>]*>")
_INCLUDE = '<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:{}"/>'


def _manner(boundary: str) -> attachments.Manner:
    kind = 'type="application/xop+xml"; start-info="text/xml"' if boundary[0] == "b" else 'type="text/xml"'
    return attachments.read_http_manner(f'multipart/related; {kind}; boundary="{boundary}"', '""')


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    filled = filling.fill(counts) if counts.keys() & filling.DIMENSIONS else ""
    name = "i" * max(1, have["identifier"])
    reference = _INCLUDE.format(f"{name}0@x") if form["carriage"] == "mtom" else f"cid:{name}0@x"
    start, end = _OPERATION.index("<Packet>"), _OPERATION.index("</Packet>")
    more = f"<Packet>{reference}</Packet>" * have["included"]
    content = _OPERATION[:start] + f"<Packet>{reference}{_OPERATION[end:]}"
    content = content.replace(
        "</SendDocument>", more + (filled if form["place"] == "operation" else "") + "</SendDocument>"
    )
    envelope = Layout(content=content, headers=filled if form["place"] == "block" else "").template(stage.ME.token)
    boundary = ("b" if form["carriage"] == "mtom" else "s") + form["boundary"]
    fields = "".join(f"x{number}: y\r\n" for number in range(have["fields"])) + "long: " + "z" * have["header"]
    fields += "\r\n z" * have["folds"]
    octets = "QUJD" * have["letters"] + "Q\nUJD\n" * have["gaps"] or "QUJD"
    octets += f"\r\n--{boundary[:-1]}" * have["lookalikes"]
    encoding = "8bit" if have["lookalikes"] else "base64"
    parts = "".join(
        f"\r\n--{boundary}\r\nContent-ID: <{name}{number}@x>\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: {encoding}\r\n{fields}\r\n\r\n{octets if not number else ''}"
        for number in range(1 + have["parts"])
    )
    kind = 'application/xop+xml; type="text/xml"' if form["carriage"] == "mtom" else "text/xml"
    return f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n{envelope}{parts}\r\n--{boundary}--\r\n".encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    start, end = content.index(b"<s:Envelope"), content.index(b"</s:Envelope>") + len(b"</s:Envelope>")
    envelope, boundary = content[start:end], content[: content.index(b"\r\n")]
    if form["carriage"] == "swa":
        return content[:start] + stage.sign(envelope) + content[end:]
    octets = content[content.index(b"\r\n\r\n", end) + 4 : content.index(b"\r\n" + boundary, end + 4 + len(boundary))]
    included = _INCLUDED.search(envelope)
    assert included is not None
    inline = b"".join(octets.split())
    signed = stage.sign(envelope.replace(included[0], inline))
    return (
        content[:start]
        + signed.replace(b">" + inline + b"</Packet>", b">" + included[0] + b"</Packet>")
        + content[end:]
    )


def read(content: bytes) -> None:
    boundary = content[2 : content.index(b"\r\n")].decode()
    stage.open_call(content, manner=_manner(boundary))
