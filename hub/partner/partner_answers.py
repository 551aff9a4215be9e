"""Reads a partner's answer to a call: a SOAP 1.1 or 1.2 envelope, inline or with MTOM parts, and values in it by path.

Knows faults, HTTP status and header fields, and XML or JSON that an answer carries as a text. Does not know the
partner's WSDL: what a partner really sends is often not what its schema says, and a path finds it nevertheless.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import attrs
from cryptography import x509
from lxml import etree

from hub.domain.conversations import Reply
from hub.domain.errors import Rejected
from hub.domain.sanitize import replace_unstorable
from hub.formats import safe_xml, xsd_types
from hub.formats.spool import Drawer, Octets
from hub.formats.streamed_xml import NONE, Loads
from hub.partner.mapping_values import (
    INNER,
    AnswerPath,
    Found,
    Step,
    Unfit,
    apply_functions,
    find_elements_at,
    local_name,
    read_element_text,
    write_text,
)
from hub.partner.reply_parsing import read_json, read_packet_text
from hub.security import wss_verify
from hub.soap import attachments, envelope
from hub.soap.attachments import Manner
from hub.soap.envelope import SOAP11, SOAP12

_Element = etree._Element  # noqa: SLF001 - lxml has no other name

#: Comments and CDATA in the Body of an answer are allowed: only values are read from it.
_REPLY = safe_xml.Limits(size=64 << 20, plain=frozenset({"Security"}))
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_XML, _JSON = "xml()", "json()"
#: The trouble of a body that is not SOAP at all.
NO_ANSWER = "no SOAP answer"
#: Maximum elements that one path may find.
_MOST = 10_000
#: The fault codes by which services and security servers reject our credentials and not the message: WS-Security 1.1,
#: 12; X-Road's message protocol.
DENIALS = frozenset(
    {
        "FailedAuthentication",
        "InvalidSecurityToken",
        "FailedCheck",
        "InvalidSecurity",
        "AccessDenied",
        "AuthenticationFailed",
        "SslAuthenticationFailed",
        "UnknownMember",
        "NotAuthorized",
    }
)


@attrs.frozen(kw_only=True)
class PartnerFault:
    """A fault. The codes have no prefix."""

    code: str
    subcode: str = ""
    text: str = ""
    actor: str = ""
    sender: bool  #: the same call will fail again
    detail: etree._Element | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def denies(self) -> bool:
        """Tell whether it rejects our credentials."""
        return any(each.rpartition(".")[2] in DENIALS for each in (self.code, self.subcode))


@attrs.frozen(eq=False, kw_only=True)
class PartnerAnswer:
    """An answer. `child` is the Body's child, None if there is no readable answer."""

    status: int
    headers: Mapping[str, str]  #: names in lower case
    child: etree._Element | None = None
    header: etree._Element | None = None
    fault: PartnerFault | None = None
    length: int = 0  #: octets of the body
    trouble: str = ""  #: why there is no readable answer
    loads: Loads = NONE
    _texts: dict[tuple[int, str], Any] = attrs.field(factory=dict, init=False)

    def read(self, path: AnswerPath, tables: Mapping[str, Mapping[str, str]], under: Any = None) -> str:
        """Return the text at *path*, below the element or JSON value *under* if given.

        "" if there is nothing, or nothing to which the functions of the path can be applied: what a partner sends
        breaks no conversation.
        """
        found: Found | None = next(self._find(path, under), None)
        try:
            return replace_unstorable(write_text(apply_functions(path.functions, found, tables)))
        except Unfit:
            return ""

    def read_all(self, path: AnswerPath, tables: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Return the texts at *path*, of all elements that it names. Raises Unfit if a function cannot be applied."""
        found = (apply_functions(path.functions, each, tables) for each in self._find(path, None))
        return [replace_unstorable(write_text(each)) for each in found]

    def list_items(self, path: AnswerPath) -> list[Any]:
        """Return the elements, or JSON values, at *path*: the first `_MOST` of them."""
        begin = self._beginning(path)
        return [] if begin is None else list(islice(self._follow([begin], path.steps), _MOST))

    def read_octets(self, path: AnswerPath, under: Any = None) -> bytes | None:
        """Return the octets at *path*: those of an MTOM part or of base64, or else the text. None: there is nothing."""
        begin = self._beginning(path) if under is None else under
        place = next(iter(self._follow([begin], path.steps)), None) if begin is not None else None
        if isinstance(place, _Element):
            load = self.loads.get(place)
            if load is not None:
                return self.loads.decoded(load).read()
            if len(place):
                return etree.tostring(place[0], encoding="UTF-8", with_tail=False)
        text = None if place is None else _read_text(place)
        return None if not text else read_packet_text(text)

    def _find(self, path: AnswerPath, under: Any) -> Iterator[str]:
        if path.part == "http":
            name = path.steps[0].name
            found = str(self.status) if name == "status" else self.headers.get(name)
            yield from () if found is None else (found,)
            return
        if path.part == "fault" and self.fault is not None and path.steps[0].name != "detail":
            said = {"code": self.fault.code, "subcode": self.fault.subcode, "text": self.fault.text}
            said["actor"] = self.fault.actor
            yield said.get(path.steps[0].name, "")
            return
        begin = self._beginning(path) if under is None else under
        if begin is None:
            return
        steps = path.steps[1:] if path.part == "fault" else path.steps
        for count, place in enumerate(self._follow([begin], steps)):
            if count >= _MOST:
                raise Unfit(f"{path.written}: more than {_MOST} elements")
            text = _read_text(place)
            if text is not None:
                yield text

    def _beginning(self, path: AnswerPath) -> Any:
        match path.part:
            case "body":
                return None if self.fault is not None else self.child
            case "fault":
                return None if self.fault is None else self.fault.detail
            case "header":
                return self.header
        return None

    def _follow(self, places: Iterable[Any], steps: Sequence[Step]) -> Iterator[Any]:
        """Yield what *steps* lead to: elements, texts of attributes, JSON values."""
        if not steps:
            yield from places
            return
        step, rest = steps[0], steps[1:]
        found: Iterable[Any]
        for place in places:
            if step.name in {_XML, _JSON}:
                inside = self._open(place, step.name)
                found = [] if inside is None else [inside]
            elif isinstance(place, _Element):
                if step.name.startswith("@"):
                    name = step.name[1:].rpartition(":")[2]
                    found = [value for key, value in place.attrib.items() if local_name(key) == name][:1]
                else:
                    found = find_elements_at(place, (step,))
            else:
                found = _descend_json(place, step)
            yield from self._follow(found, rest)

    def _open(self, place: Any, how: str) -> Any:
        """Return the XML or JSON that is written as text at *place*; None if it cannot be read."""
        text = _read_text(place)
        key = (id(place), how)
        if text is not None and key not in self._texts:
            octets = text.strip().encode("utf-8", "replace")  # JSON can name half of a character
            if how == _JSON:
                self._texts[key] = (place, read_json(octets))
            else:
                try:
                    self._texts[key] = (place, safe_xml.parse_safe_xml(octets, limits=INNER))
                except Rejected:
                    self._texts[key] = (place, None)
        return self._texts.get(key, (None, None))[1]


def _descend_json(place: Any, step: Step) -> list[Any]:
    """Return what the member *step* of a JSON value is: of an array, the elements one by one."""
    if isinstance(place, list):
        return [found for each in place[:_MOST] if isinstance(each, dict) for found in _descend_json(each, step)]
    found = place.get(step.name) if isinstance(place, dict) else None
    if isinstance(found, list):
        return found if step.number is None else found[step.number - 1 : step.number]
    return [] if found is None or (step.number or 1) > 1 else [found]


def _read_text(place: Any) -> str | None:
    """Return the text of an element or of a JSON value; None if it is nil, or has parts."""
    if isinstance(place, _Element):
        return None if place.get(_NIL, "").strip() in {"true", "1"} else read_element_text(place)
    if isinstance(place, bool):
        return str(place).lower()
    return str(place) if isinstance(place, str | int | float) else None


def read_partner_answer(
    reply: Reply,
    now: datetime,
    *,
    certificates: Sequence[x509.Certificate] | None = None,
    max_age: timedelta = timedelta(seconds=900),
    skew: timedelta = timedelta(seconds=60),
    binary: frozenset[str] = frozenset(),
) -> PartnerAnswer:
    """Return the answer in *reply*.

    With *certificates* it must be signed with one of them, over Body and Timestamp, and only what is signed is read.
    *binary* are the local names of elements that may have long octets. What cannot be read has a `trouble`: no
    exception is raised for what a partner sends.
    """

    def unread(why: str) -> PartnerAnswer:
        return PartnerAnswer(status=reply.status, headers=reply.headers, length=len(reply.body), trouble=why)

    try:
        how = _read_manner(reply)
        if how is None:
            return unread(NO_ANSWER)
        drawer = Drawer(memory=len(reply.body) + 1)  # a reply is in memory already
        unpacked = attachments.unpack_body(Octets.of(reply.body), how, binary, drawer, _REPLY)
        if local_name(str(unpacked.root.tag)) != "Envelope":
            return unread(NO_ANSWER)
        child, header = _open(unpacked.root)
        if certificates is not None:
            verified = wss_verify.verify_envelope(
                unpacked.root, certificates, now, max_age=max_age, skew=skew, loads=unpacked.loads
            )
            child = envelope.find_only_child(verified.body)
            header = None
    except (Rejected, ValueError) as error:
        return unread(str(error))
    fault = None if child is None else _read_fault(child)
    if fault is None and not 200 <= reply.status < 300:
        return unread("no fault")
    return PartnerAnswer(
        status=reply.status, headers=reply.headers, child=child, header=header, fault=fault, loads=unpacked.loads
    )


def _read_manner(reply: Reply) -> Manner | None:
    """Return how the answer was sent; None if it is no SOAP."""
    media = reply.headers.get("content-type", "").strip().lower()
    if media.startswith("multipart/related"):
        return attachments.read_http_manner(reply.headers["content-type"], None)
    return Manner() if reply.body.lstrip()[:1] in {b"<", b"\xef", b"\xff", b"\xfe", b"\0"} else None


def _open(root: _Element) -> tuple[etree._Element | None, etree._Element | None]:
    """Return the Body's child, None if it is empty, and the Header. Raises CallRefused."""
    for soap in (SOAP11, SOAP12):
        body = root.find(f"{{{soap}}}Body")
        if root.tag == f"{{{soap}}}Envelope" and body is not None and not len(body):
            return None, root.find(f"{{{soap}}}Header")
    opened = envelope.open_reply(root)
    return opened.child, opened.header


def _read_fault(child: _Element) -> PartnerFault | None:
    read = envelope.read_fault(child)
    if read is None:
        return None
    if child.tag == f"{{{SOAP12}}}Fault":
        soap = {"s": SOAP12}
        code, sub, role, detail = (
            child.find(path, soap) for path in ("s:Code/s:Value", "s:Code/s:Subcode/s:Value", "s:Role", "s:Detail")
        )
    else:
        code, role, detail = (child.find(path) for path in ("faultcode", "faultactor", "detail"))
        sub = None
    return PartnerFault(
        code=_read_local_code(code),
        subcode=_read_local_code(sub),
        text=read.text,
        actor="" if role is None else xsd_types.read_xs_token(role),
        sender=read.sender,
        detail=detail,
    )


def _read_local_code(element: etree._Element | None) -> str:
    return "" if element is None else xsd_types.read_xs_token(element).rpartition(":")[2]
