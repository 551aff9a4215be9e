"""Reads what a packet says out of its bytes.  Knows the elements' names; judges nothing."""

import datetime as dt
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import attrs
import xmlsec
from lxml import etree

from tests.recount.places import HANOI

KINDS = {"1": "recall", "2": "update", "3": "replacement"}
CHANGES = ("recall", "update", "replacement")


@attrs.frozen(kw_only=True)
class Named:
    """A document as another packet names it."""

    organ: str
    number: str
    date: str
    document_id: str


@attrs.frozen(kw_only=True)
class Letter:
    kind: str
    sender: str
    to: tuple[str, ...] = ()
    document_id: str = ""
    number: str = ""  #: number/notation
    date: str = ""
    due: dt.date | None = None
    paper: bool = False
    priority: int = 0
    hour: datetime | None = None
    answers: tuple[Named, ...] = ()
    status: str = ""
    about: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    replaces: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """Whom it must reach."""
        return (*self.to, *self.added, *(organ for _, organs in self.replaces for organ in organs))


def read(octets: bytes) -> Letter:
    root = ET.fromstring(octets)
    header = root.find("{*}edXMLEnvelope/{*}edXMLHeader")
    assert header is not None
    message = header.find("{*}MessageHeader")
    assert message is not None
    sender = _text(message, "From/OrganId")
    answers = tuple(
        Named(
            organ=_text(each, "OrganId"),
            number=_text(each, "Code"),
            date=_text(each, "PromulgationDate"),
            document_id=_text(each, "DocumentId"),
        )
        for each in message.findall("{*}ResponseFor")
    )
    status = _text(message, "StatusCode")
    if status:
        return Letter(kind="status", sender=sender, answers=answers, status=status)
    business = header.find("{*}TraceHeaderList/{*}Bussiness")
    assert business is not None
    kind = KINDS.get(_text(business, "BussinessDocType"), "document")
    receivers = business.findall("{*}BussinessDocumentInfo/{*}ReceiverList/{*}Receiver") if kind == "update" else []
    listed = [(_text(each, "ReceiverType"), _text(each, "OrganId")) for each in receivers]
    added = [organ for type_, organ in listed if type_ == "1"]
    replaced = business.findall("{*}ReplacementInfoList/{*}ReplacementInfo") if kind == "replacement" else []
    due, hour, priority = (
        _text(message, "DueDate"),
        _text(message, "OtherInfo/SendTime"),
        int(_text(message, "OtherInfo/Priority")),
    )
    return Letter(
        kind=kind,
        sender=sender,
        to=tuple(_text(to, "OrganId") for to in message.findall("{*}To")),
        document_id=_text(message, "DocumentId"),
        number=f"{_text(message, 'Code/CodeNumber')}/{_text(message, 'Code/CodeNotation')}",
        date=_text(message, "PromulgationInfo/PromulgationDate"),
        due=datetime.strptime(due, "%Y/%m/%d").date() if due else None,  # noqa: DTZ007 - a day has no hour
        paper=_text(business, "Paper") == "1",
        priority=priority,
        hour=_instant(hour) if hour and priority == 4 else None,
        answers=answers,
        about=_text(business, "DocumentId"),
        added=tuple(dict.fromkeys(added)),
        removed=tuple(dict.fromkeys(organ for type_, organ in listed if type_ == "0" and organ not in added)),
        replaces=tuple(
            (_text(each, "DocumentId"), tuple(organ.text or "" for organ in each.findall("{*}OrganIdList/{*}OrganId")))
            for each in replaced
        ),
    )


def is_signed(octets: bytes, certificate: bytes) -> bool:
    """Tell whether the packet's own signature was made with *certificate* (PEM), as xmlsec sees it."""
    signature = xmlsec.tree.find_node(etree.fromstring(octets), xmlsec.constants.NodeSignature)
    if signature is None:
        return False
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem)
    try:
        context.verify(signature)
    except xmlsec.Error:
        return False
    return True


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext("/".join(f"{{*}}{name}" for name in path.split("/"))) or "").strip()


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=HANOI).astimezone(UTC)
