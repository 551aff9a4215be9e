"""edXML packets: recipients, attachments, what a change names, what no schema knows, and the packet's own signature."""

from collections.abc import Mapping

from hub.domain.errors import Rejected
from tests.costs import filling, stage
from tests.packets import Seal, document

_MANY = 2000  #: of what may repeat
DIMENSIONS: dict[str, int | None] = {
    **filling.DIMENSIONS,
    "recipients": _MANY,
    "nameless": _MANY,  # recipients without a code
    "places": _MANY,
    "answers": _MANY,
    "traces": _MANY,
    "receivers": _MANY,
    "replaced": _MANY,
    "organs": _MANY,  # of each document that is replaced
    "attachments": _MANY,
    "parcels": _MANY,  # references without an attachment
    "strangers": None,  # elements no schema knows, beside the recipients
    "strange_attributes": 50,  # of each recipient
    "space": None,  # in the subject
    "lines": None,  # of base64
    "notes": None,  # letters of a name
}
FILLER = "strangers"
FORMS = {
    "place": ("error", "message", "extra", "signature"),
    "kind": ("0", "1", "2", "3"),
    "signed": ("no", "no", "yes", "inclusive"),
}
WORST = [
    ({"nameless": 1900}, {"place": "extra", "kind": "0", "signed": "no"}),
    ({"text_length": 100, "traces": 1900}, {"place": "error", "kind": "3", "signed": "no"}),
    ({"attachments": 1900}, {"place": "extra", "kind": "0", "signed": "no"}),
    ({"elements": 8000, "scoped": 40}, {"place": "error", "kind": "0", "signed": "inclusive"}),
]
_DOCUMENT = document().decode()


def _of(name: str, content: str) -> str:
    return f"<edXML:{name}>{content}</edXML:{name}>"


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    filled = filling.fill(counts) if counts.keys() & filling.DIMENSIONS else ""
    text = _DOCUMENT
    odd = "".join(f' z{number}=""' for number in range(have["strange_attributes"]))
    to = "".join(f"<edXML:To{odd}>{_of('OrganId', f'H55.{number}')}</edXML:To>" for number in range(have["recipients"]))
    message = to + "<edXML:To/>" * have["nameless"] + "<edXML:Z/>" * have["strangers"]
    text = text.replace("<edXML:To>", message + "<edXML:To>", 1)
    end = "</edXML:MessageHeader>"
    late = _of("ResponseFor", _of("OrganId", "H55.01")) * have["answers"]
    late += _of("ToPlaces", _of("Place", "x") * have["places"]) if have["places"] else ""
    text = text.replace(end, late + (filled if form["place"] == "message" else "") + end, 1)
    traces = _of("TraceHeader", _of("OrganId", "x")) * have["traces"]
    text = text.replace("<edXML:TraceHeaderList>", f"<edXML:TraceHeaderList>{traces}", 1)
    receivers = "".join(
        _of("Receiver", _of("OrganId", f"H55.{number}") + _of("ReceiverType", "1"))
        for number in range(have["receivers"])
    )
    organs = _of("OrganIdList", "".join(_of("OrganId", f"H{number}") for number in range(have["organs"])))
    replaced = "".join(
        _of("ReplacementInfo", _of("DocumentId", f"d{number}") + (organs if number < 40 else ""))
        for number in range(have["replaced"])
    )
    changes = _of("DocumentId", "d") + _of("BussinessDocType", form["kind"])
    if receivers or form["kind"] == "2":
        changes += _of("BussinessDocumentInfo", _of("DocumentReceiver", "1") + _of("ReceiverList", receivers))
    if replaced or form["kind"] == "3":
        replaced = replaced or _of("ReplacementInfo", _of("DocumentId", "d"))
        changes += _of("ReplacementInfoList", replaced)
    at, to_ = text.index("<edXML:Bussiness>"), text.index("</edXML:TraceHeaderList>")
    text = text[:at] + _of("Bussiness", changes) + text[to_:]
    extra = filled if form["place"] in ("error", "extra") else ""
    text = text.replace(
        "</edXML:edXMLHeader>",
        (_of("ErrorList", extra) if form["place"] == "error" else extra) + "</edXML:edXMLHeader>",
        1,
    )
    references = "".join(
        _of("Reference", _of("ContentId", f"cid:{n}")) for n in range(have["attachments"] + have["parcels"])
    )
    attached = "".join(
        _of("Attachment", _of("ContentId", str(n)) + _of("ContentTransferEncoded", "QQ=="))
        for n in range(have["attachments"])
    )
    text = text.replace("</edXML:edXMLManifest>", references + "</edXML:edXMLManifest>", 1)
    text = text.replace("</edXML:AttachmentEncoded>", attached + "</edXML:AttachmentEncoded>", 1)
    text = text.replace("</edXML:Subject>", " " * have["space"] + "x</edXML:Subject>", 1)
    text = text.replace(
        "<edXML:ContentTransferEncoded>", "<edXML:ContentTransferEncoded>" + "QUFB\n" * have["lines"], 1
    )
    text = text.replace("<edXML:AttachmentName>", "<edXML:AttachmentName>" + "\t\n" * have["notes"], 1)
    if form["place"] == "signature":
        text = text.replace("</edXML:edXMLHeader>", filled + "</edXML:edXMLHeader>", 1)
    return text.encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    if form["signed"] == "no" or b" xmlns:s500=" in content:  # its own signer would take too long
        return content
    seal = Seal() if form["signed"] == "yes" else Seal(transforms=Seal().transforms.partition("/>")[0] + "/>")
    try:
        return seal.signed(stage.ME, content)
    except Exception:  # noqa: BLE001 - what xmlsec does not sign is sent unsigned
        return content


def read(content: bytes) -> None:
    entry = stage.judge_packet(content)
    if entry.problems:
        raise Rejected(*entry.problems)
