"""Reads an edXML packet (QCVN 102) into a `Packet`, with the rules that follow from its octets.

Knows no units and no time.

The profile is the observed one. It refuses only packets that cannot be routed, delivered or counted. Every other
departure from the standard is tolerated and noted as a deviation. All problems of a packet are reported together, with
the codes that these systems use: `N.` missing, `R.` out of range, `T.` wrong type, `M.` mismatch, each followed by the
path.

`hub.formats.xml_cost.WORST` states the worst cost of reading. It grows only with the number of elements, which
`safe_xml` bounds.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Attachment, Packet, PacketKind, Problem, Replaced, ResponseFor
from hub.edxml import markings, schema
from hub.edxml.markings import Markings
from hub.edxml.normalise import Branch, LoadLetters, PacketBranch, PacketNotes, TreeNormalisation, is_normal
from hub.edxml.schema import QCVN, Schema
from hub.formats import safe_xml, streamed_xml
from hub.formats.base64_content import Carried, ContentUnfit, Letters, measure_base64, measure_octets
from hub.formats.base64_content import decode_base64_content as content_of
from hub.formats.streamed_xml import Loads
from hub.language.phrases import phrase

KINDS = {"0": PacketKind.DOCUMENT, "1": PacketKind.RECALL, "2": PacketKind.UPDATE, "3": PacketKind.REPLACEMENT}

#: File names that are allowed: the types of TT 39/2017/TT-BTTTT, and the two that the hub itself reads.
_FILES = re.compile(
    r"[^\n]*\.(pdf|docx?|odt|xlsx?|ods|csv|pptx?|odp|txt|rtf|jpe?g|png|gif|tiff?|bmp|zip|rar|ics|xml)", re.IGNORECASE
)
CALENDAR, XML = "text/calendar", "application/xml"
#: The attachments that the hub itself reads, by file name extension, whatever type the sender's software states.
READ = {"ics": CALENDAR, "xml": XML}
READ_SIZE = 1 << 18  #: maximum octets of such an attachment
#: maximum octets of all such attachments together, unpacked, those that were too large included; no octets of later
#: ones are kept
READ_TOGETHER = 1 << 22
#: The only element of a packet whose text may be large.
LOADED = "ContentTransferEncoded"
LOADED_TAG = f"{{{QCVN}}}{LOADED}"
STATUS_CODE = f"{{{QCVN}}}StatusCode"
TIMED = 4  #: the Priority of a document that is sent at a given hour
#: Maximum effects of a recall or a replacement: number of documents times number of units. They are all recorded with
#: the receipt, in some milliseconds; what they stop is stopped in turns (hub/journal/queue/outstanding_effects.py).
EFFECTS = 2000
#: The first octets of files of some types.
_MAGIC = {"application/pdf": b"%PDF", "application/zip": b"PK"}
HREF = "{http://www.w3.org/1999/xlink}href"
_HEADER = "/".join(f"{{{QCVN}}}{name}" for name in ("edXMLEnvelope", "edXMLHeader", "MessageHeader"))
_YEAR_FIRST = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?:[ T].*)?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?: .*)?", re.ASCII)


def read_packet(
    content: bytes | etree._Element, loads: Loads = streamed_xml.NONE, schemas: Path | None = None
) -> Packet:
    """Return the content of a packet, with the deviations that were tolerated.

    *content*: its octets, or a tree of `parse_safe_xml` without the *loads*. Reading changes the tree. *schemas*: the
    folder of schemas by which it is judged (`load_packet_schema`); None: those of the hub. Raises Rejected:
    like `parse_safe_xml` for XML that is not well-formed, `packet-unreadable` for another vocabulary, `secret-refused`
    for a packet marked as secret, otherwise with every problem by path and line.
    """
    root = safe_xml.parse_safe_xml(content) if isinstance(content, bytes) else content
    if root.tag != f"{{{QCVN}}}edXML":
        raise Rejected(
            Problem("packet-unreadable", phrase("line {line}: {reason}", line=root.sourceline, reason=root.tag[:280]))
        )
    return (_read_normal(root, loads) if schemas is None else None) or _read_tidied(root, loads, schemas)


#: Reads the content of a normal tree, and notes what is wrong in it.
_Read = Callable[[PacketBranch, PacketNotes, Loads], Packet]


def choose_reader(*, is_status: bool, schemas: Path | None = None) -> tuple[Schema, _Read]:
    """Return the schemas of a status or of a document, from the folder *schemas*, and the function that reads it."""
    if is_status:
        return schema.load_packet_schema("status", schemas), _read_status_packet
    return schema.load_packet_schema("document", schemas), _read_document_packet


def _read_normal(root: etree._Element, loads: Loads) -> Packet | None:
    """Return the content of a packet that is normal as it is. Return None, and leave it unchanged, if it is not.

    A packet that must be refused is not normal either, so that all its problems are found together.
    """
    special = list(root.iter(LOADED_TAG, STATUS_CODE, *markings.list_places()))
    leaves = [each for each in special if each.tag == LOADED_TAG and not len(each)]
    texts = [leaf.text for leaf in leaves]
    for leaf in leaves:
        leaf.text = None  # the reader checks it, because libxml2 is slow at it
    others = [each for each in special if each.tag != LOADED_TAG]
    packet_schema, read = choose_reader(is_status=any(each.tag == STATUS_CODE for each in others))
    normal = is_normal(root, packet_schema)
    for leaf, text in zip(leaves, texts, strict=True):
        leaf.text = text
    if not normal:
        return None
    marked = markings.find_markings(root) if others else markings.NOTHING
    notes = PacketNotes()
    found = read(Branch(root, "edXML", packet_schema.root), notes, loads)
    if notes.refused or marked.secret:
        for leaf, text in zip(leaves, texts, strict=True):
            leaf.text = text
        return None
    return _complete_packet(found, notes, marked)


def _complete_packet(found: Packet, notes: PacketNotes, marked: Markings) -> Packet:
    """Return *found* with its deviations and, if it is to be sent at a given hour, with that hour."""
    hour = marked.hour if found.priority == TIMED else None
    return attrs.evolve(found, deviations=notes.tolerated, hour=hour) if notes.tolerated or hour else found


def _read_tidied(root: etree._Element, loads: Loads, schemas: Path | None = None) -> Packet:
    """Return the content of a packet whose tree is normalised first. Raises Rejected with all its problems."""
    marked = markings.find_markings(root)
    if secret := marked.secret:
        raise Rejected(
            Problem("secret-refused", phrase("{place}: {detail}", place=secret.line, detail=secret.name[:280]))
        )
    packet_schema, read = choose_reader(is_status=_is_status(root), schemas=schemas)
    notes = PacketNotes()
    tidying = TreeNormalisation(packet_schema, notes)
    found = read(tidying.tidy(root), notes, loads)
    for leaf in root.iter(LOADED_TAG) if loads else ():
        if loads.get(leaf) is not None:  # one of two attachments with the same id, already refused
            leaf.text = "QQ=="
    tidying.judge(root)
    if notes.refused:
        raise Rejected(*notes.refused)
    tidying.compare(root)
    return _complete_packet(found, notes, marked)


def read_packet_date(text: str) -> date | None:
    """Read a date as systems write it, `yyyy/MM/dd` or `dd/MM/yyyy`.

    Return None if it is not a date, such as 2014/02/30.
    """
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, number = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        number, month, year = found.groups()
    else:
        return None
    try:
        return date(int(year), int(month), int(number))
    except ValueError:
        return None


def _is_status(root: etree._Element) -> bool:
    """Tell whether the packet is a status packet, by its StatusCode. Raises Rejected if it is also a document."""
    code = root.find(f"{_HEADER}/{STATUS_CODE}")
    if code is None:
        return False
    is_document = root.find(f"{_HEADER}/{{{QCVN}}}To") is not None
    if is_document and (code.text or "").strip(" \t\r\n"):
        raise Rejected(
            Problem(
                "M.MessageHeader.StatusCode", phrase("line {line}: a status packet has no To", line=code.sourceline)
            )
        )
    return not is_document


def _read_status_packet(packet: PacketBranch, notes: PacketNotes, loads: Loads) -> Packet:
    del loads  # a status has no attachments
    message = packet.one("edXMLEnvelope", "edXMLHeader", "MessageHeader")
    answered = message.one("ResponseFor")
    if not (answered.text("DocumentId") or answered.text("Code")):
        notes.refuse(
            "N", answered.path("DocumentId"), phrase("{line}: neither DocumentId nor Code", line=answered.line())
        )
    return Packet(
        kind=PacketKind.STATUS,
        sender=message.one("From").text("OrganId"),
        responses=tuple(_list_responses(message)),
        status=message.text("StatusCode"),
    )


def _read_document_packet(packet: PacketBranch, notes: PacketNotes, loads: Loads) -> Packet:
    header = packet.one("edXMLEnvelope", "edXMLHeader")
    message, business = header.one("MessageHeader"), header.one("TraceHeaderList", "Bussiness")
    code, promulgation, other = message.one("Code"), message.one("PromulgationInfo"), message.one("OtherInfo")
    kind = KINDS.get(business.text("BussinessDocType"), PacketKind.DOCUMENT)
    responses = tuple(_list_responses(message))
    attachments = tuple(_list_attachments(packet, kind, notes, loads))
    added, removed = _list_changed_receivers(business, notes) if kind is PacketKind.UPDATE else ((), ())
    recipients = tuple(_list_recipients(message, notes))
    replaces = tuple(_list_replaced(business)) if kind is PacketKind.REPLACEMENT else ()
    _check_needs(kind, business, responses, notes)
    _check_effects(kind, business, recipients, responses, replaces, notes)
    _read_day(promulgation, "PromulgationDate", notes)
    return Packet(
        kind=kind,
        sender=message.one("From").text("OrganId"),
        recipients=recipients,
        document_id=message.text("DocumentId"),
        code=f"{code.text('CodeNumber')}/{code.text('CodeNotation')}",
        promulgation_date=promulgation.text("PromulgationDate"),
        type_name=message.one("DocumentType").text("TypeName"),
        subject=message.text("Subject"),
        priority={"1": 1, "2": 2, "3": 3, "4": 4}.get(other.text("Priority"), 0),
        due=_read_day(message, "DueDate", notes),
        paper=business.text("Paper") == "1",
        responses=responses,
        about=business.text("DocumentId"),
        added=added,
        removed=removed,
        replaces=replaces,
        attachments=attachments,
    )


def _list_recipients(message: PacketBranch, notes: PacketNotes) -> Iterator[str]:
    seen = set()
    for to in message.all("To"):
        organ = to.text("OrganId")
        if organ and organ in seen:
            notes.refuse(
                "M", to.path("OrganId"), phrase("{line}: another To has {organ}", line=to.line("OrganId"), organ=organ)
            )
        seen.add(organ)
        yield organ


def _list_responses(message: PacketBranch) -> Iterator[ResponseFor]:
    """Yield the documents that the packet answers. An empty element is skipped."""
    for each in message.all("ResponseFor"):
        texts = [each.text(name) for name in ("OrganId", "Code", "PromulgationDate", "DocumentId")]
        if any(texts):
            yield ResponseFor(*texts)


def _list_changed_receivers(business: PacketBranch, notes: PacketNotes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the units that an update adds and those that it removes (QCVN 102, 2.2.3).

    A unit in both lists is added.
    """
    changed = business.one("BussinessDocumentInfo")
    receivers = changed.one("ReceiverList").all("Receiver")
    if receivers and changed.text("DocumentReceiver") != "1":
        notes.tolerate(
            "M",
            changed.path("DocumentReceiver"),
            phrase("{line}: not 1, so the receivers do not change", line=changed.line("DocumentReceiver")),
        )
        return (), ()
    found: dict[str, list[str]] = {"0": [], "1": []}
    for each in receivers:
        organ, kind = each.text("OrganId"), each.text("ReceiverType")
        if organ and kind in found:
            found[kind].append(organ)
        else:
            notes.tolerate(
                "R",
                each.path("ReceiverType"),
                phrase("{line}: {organ} is neither added nor removed", line=each.line(), organ=organ[:50]),
            )
    added = tuple(dict.fromkeys(found["1"]))
    return added, tuple(organ for organ in dict.fromkeys(found["0"]) if organ not in added)


def _list_replaced(business: PacketBranch) -> Iterator[Replaced]:
    for each in business.one("ReplacementInfoList").all("ReplacementInfo"):
        organs = each.one("OrganIdList").texts("OrganId")
        yield Replaced(each.text("DocumentId"), tuple(dict.fromkeys(filter(None, organs))))


def _check_needs(
    kind: PacketKind, business: PacketBranch, responses: tuple[ResponseFor, ...], notes: PacketNotes
) -> None:
    """Refuse a change that does not name its document or what changes (QCVN 102, 2.2.3 to 2.2.8)."""
    if kind is PacketKind.DOCUMENT:
        return
    if kind is PacketKind.RECALL and not (responses or business.text("DocumentId")):
        notes.refuse(
            "N",
            business.path("DocumentId"),
            phrase("{line}: no document to recall, and no ResponseFor", line=business.line()),
        )
    needed = {PacketKind.UPDATE: "BussinessDocumentInfo", PacketKind.REPLACEMENT: "ReplacementInfoList"}.get(kind)
    if needed is not None and not business.has(needed):
        notes.refuse("N", business.path(needed), phrase("{line}: Bussiness has none", line=business.line()))
    if not business.text("BussinessDocReason"):
        notes.tolerate(
            "N",
            business.path("BussinessDocReason"),
            phrase("{line}: no reason given", line=business.line("BussinessDocReason")),
        )
    if kind is PacketKind.UPDATE and not business.text("DocumentId"):
        notes.tolerate(
            "N",
            business.path("DocumentId"),
            phrase("{line}: the DocumentId of the MessageHeader is used", line=business.line()),
        )


def _check_effects(
    kind: PacketKind,
    business: PacketBranch,
    recipients: tuple[str, ...],
    responses: tuple[ResponseFor, ...],
    replaces: tuple[Replaced, ...],
    notes: PacketNotes,
) -> None:
    """Refuse a change with more than `EFFECTS` effects."""
    effects = sum(max(1, len(each.organs)) for each in replaces)
    if kind is PacketKind.RECALL and not business.text("DocumentId"):
        effects = len(recipients) * len(responses)
    if effects > EFFECTS:
        place, line = business.path("BussinessDocType"), business.line("BussinessDocType")
        notes.refuse(
            "R",
            place,
            phrase(
                "{line}: documents times units are {effects}; at most {most} in one packet",
                line=line,
                effects=effects,
                most=EFFECTS,
            ),
        )


def _read_day(branch: PacketBranch, name: str, notes: PacketNotes) -> date | None:
    """Read a date. A date that cannot be read is tolerated."""
    text = branch.text(name)
    found = read_packet_date(text)
    if text and found is None:
        notes.tolerate(
            "R", branch.path(name), phrase("{line}: {text} is not a date", line=branch.line(name), text=text[:50])
        )
    return found


def _list_attachments(packet: PacketBranch, kind: PacketKind, notes: PacketNotes, loads: Loads) -> Iterator[Attachment]:
    """Yield the attachments in the order of their references. Removes their base64 from the tree."""
    manifest = packet.one("edXMLEnvelope", "edXMLBody", "edXMLManifest")
    encoded = packet.one("AttachmentEncoded")
    references = _by_content_id(manifest.all("Reference"), notes)
    attached = _by_content_id(encoded.all("Attachment"), notes)
    carries, room = {}, READ_TOGETHER
    for content_id, attachment in attached.items():
        most = min(room, READ_SIZE) if _is_read(attachment, references.get(content_id)) else None
        carries[content_id] = loaded = _load_attachment(attachment, most, notes, loads)
        if most is not None and loaded is not None:
            room -= len(loaded[1] or b"") or most  # an attachment that is too large was unpacked up to this size
    if not attached and kind is PacketKind.DOCUMENT:
        notes.refuse(
            "N", encoded.path("Attachment"), phrase("{line}: a new document has at least one", line=encoded.line())
        )
    for content_id in attached.keys() - references.keys():
        attachment = attached[content_id]
        notes.refuse(
            "M",
            attachment.path("ContentId"),
            phrase(
                "{line}: no Reference names {content_id}",
                line=attachment.line("ContentId"),
                content_id=content_id[:100],
            ),
        )
    for content_id, reference in references.items():
        if content_id not in attached:
            notes.refuse(
                "M",
                reference.path("ContentId"),
                phrase(
                    "{line}: no Attachment is {content_id}",
                    line=reference.line("ContentId"),
                    content_id=content_id[:100],
                ),
            )
        elif (load := carries[content_id]) is not None:
            yield _combine_attachment(content_id, reference, attached[content_id], load, notes)


def _by_content_id(branches: Sequence[PacketBranch], notes: PacketNotes) -> dict[str, PacketBranch]:
    """Return *branches* by content id without `cid:`, which one of the two places often omits."""
    found: dict[str, PacketBranch] = {}
    for branch in branches:
        content_id = (branch.text("ContentId") or branch.attribute(HREF).strip(" ")).removeprefix("cid:")
        if content_id and content_id not in found:
            found[content_id] = branch
            continue
        place, line = branch.path("ContentId"), branch.line("ContentId")
        if content_id:
            notes.refuse(
                "M", place, phrase("{line}: {content_id} is used twice", line=line, content_id=content_id[:100])
            )
        else:
            notes.refuse("N", place, phrase("{line}: no ContentId", line=line))
            found.setdefault(place, branch)
    return found


def read_type(name: str, content_type: str) -> str:
    """Return the type under which the hub itself reads an attachment, or "" if it does not read it."""
    return READ.get(name.rpartition(".")[2].lower(), CALENDAR if content_type.lower().startswith(CALENDAR) else "")


def _is_read(attachment: PacketBranch, reference: PacketBranch | None) -> bool:
    return any(
        read_type(each.text("AttachmentName"), each.text("ContentType")) for each in (attachment, reference) if each
    )


def measure_long_text(octets: Iterable[bytes]) -> Carried | ContentUnfit:
    """Measure the *octets* that a long text encodes, while its packet is parsed. Return the refusal if they are unfit."""
    try:
        return measure_octets(octets)
    except ContentUnfit as unfit:
        return unfit


def _load_attachment(
    attachment: PacketBranch, most: int | None, notes: PacketNotes, loads: Loads
) -> tuple[Carried, bytes | None] | None:
    """Measure the content of *attachment* and remove it from the tree, because validating it would be slow.

    If the hub reads the attachment, its octets are returned too, at most *most*. They are empty if there are more or if
    they cannot be unpacked.
    """
    letters = attachment.take_letters(LOADED, loads)
    if letters is None:
        return None
    try:
        found = letters.measure() if isinstance(letters, LoadLetters) else measure_base64(letters)
    except ValueError as error:
        said = phrase("{line}: not base64: {error}", line=attachment.line(LOADED), error=str(error))
        notes.refuse("T", attachment.path(LOADED), said)
    except ContentUnfit as unfit:
        said = phrase("{place}: {detail}", place=attachment.line(LOADED), detail=unfit.why)
        notes.refuse("R", attachment.path(LOADED), said)
    else:
        if found.size:
            return found, None if most is None else _decode_base64(letters, most)
        notes.refuse("N", attachment.path(LOADED), phrase("{line}: empty", line=attachment.line(LOADED)))
    return None


def _decode_base64(letters: Letters, most: int) -> bytes:
    try:
        return content_of(letters, most)
    except ContentUnfit:
        return b""


def _combine_attachment(
    content_id: str,
    reference: PacketBranch,
    attachment: PacketBranch,
    loaded: tuple[Carried, bytes | None],
    notes: PacketNotes,
) -> Attachment:
    """Combine the parts of one attachment. A mismatch between its two descriptions and its octets is tolerated."""
    load, content = loaded
    named = attachment.text("AttachmentName")
    name = reference.text("AttachmentName") or named
    content_type = reference.text("ContentType") or attachment.text("ContentType")
    if named not in {name, ""}:
        line = attachment.line("AttachmentName")
        said = phrase("{line}: its Reference says {name}", line=line, name=name[:100])
        notes.tolerate("M", attachment.path("AttachmentName"), said)
    elif not _FILES.fullmatch(name):
        line = attachment.line("AttachmentName")
        said = phrase("{line}: {name}: not an allowed type of file", line=line, name=name[-100:])
        notes.tolerate("R", attachment.path("AttachmentName"), said)
    magic = _MAGIC.get(content_type.lower(), b"")
    if load.wrapped and magic != b"PK":
        said = phrase(
            "{line}: {content_type}, but wrapped in a ZIP",
            line=attachment.line("ContentType"),
            content_type=content_type[:50],
        )
        notes.tolerate("M", attachment.path("ContentType"), said)
    elif not load.head.startswith(magic):
        said = phrase(
            "{line}: {content_type}, but its first octets are those of another type",
            line=attachment.line("ContentType"),
            content_type=content_type[:50],
        )
        notes.tolerate("M", attachment.path("ContentType"), said)
    return Attachment(content_id, name, content_type, load.size, load.sha256, content)
