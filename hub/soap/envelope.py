"""Opens and makes SOAP 1.1 and 1.2 envelopes and faults. Knows both versions. Does not know operations or signatures.

Nothing read here is trusted yet. The Body's child becomes a call only after hub.security.wss_verify has verified that
very element.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import attrs
from lxml import etree

from hub.domain.errors import CallRefused, describe_problem
from hub.domain.model import Problem
from hub.domain.sanitize import replace_unwritable
from hub.formats import xsd_types
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase, phrases

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
CONTENT_TYPE = "text/xml; charset=utf-8"
#: version -> the media type of its requests, and the Content-Type of its responses.
MEDIA = {SOAP11: "text/xml", SOAP12: "application/soap+xml"}
CONTENT_TYPES = {SOAP11: CONTENT_TYPE, SOAP12: "application/soap+xml; charset=utf-8"}

#: Maximum blocks of one Header. Toolkits write a few: security, addressing, a session.
MOST_BLOCKS = 64

#: version -> the attribute that addresses a header block, and its values that address the hub.
_ADDRESSED = {
    SOAP11: ("actor", {"", "http://schemas.xmlsoap.org/soap/actor/next"}),
    SOAP12: ("role", {"", f"{SOAP12}/role/next", f"{SOAP12}/role/ultimateReceiver"}),
}
#: Header elements with the addressee of a call (WS-Addressing 1.0 Core, 3.2, and the submission of 2004), and the
#: values that name none.
_TO = {
    f"{{{space}}}To"
    for space in ("http://www.w3.org/2005/08/addressing", "http://schemas.xmlsoap.org/ws/2004/08/addressing")
}
_NOBODY = {
    "http://www.w3.org/2005/08/addressing/anonymous",
    "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous",
}
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_INSTRUCTIONS = etree.XPath("//processing-instruction()")
#: The most problems that a fault lists; the journal has all.
_LISTED = 20

#: SOAP 1.1, 4.4.1 and SOAP 1.2, 5.4.6: two of the hub's error codes have their own fault code.
_FAULTCODES = {"soap-version": "VersionMismatch", "not-must-understand": "MustUnderstand"}


@attrs.frozen
class Envelope:
    """An opened envelope: its Header, its Body, and the Body's only child."""

    header: etree._Element | None
    body: etree._Element
    child: etree._Element
    soap: str = SOAP11  #: the namespace of the SOAP version


@attrs.frozen
class SoapFault:
    """A fault as the caller reads it, SOAP 1.1 or 1.2."""

    sender: bool  #: the caller's fault (Client, Sender): the same call will fail again
    text: str
    problems: tuple[Problem, ...] = ()  #: from the hub's typed detail; `detail` holds the Description
    tracking: str = ""


def open_envelope(root: etree._Element) -> Envelope:
    """Split a SOAP 1.1 or 1.2 envelope into its parts.

    Raises CallRefused: `soap-version` (SOAP 1.1, 4.4.1; SOAP 1.2, 2.8), `not-must-understand` (a header block for the
    hub, without actor or role, or with `next` or `ultimateReceiver`; wsse:Security is understood), `contract-broken`
    (Basic Profile 1.1: no processing instructions, only Header? and Body, no text between elements, exactly one child
    of the Body), `too-deep` (a Header with more than `MOST_BLOCKS`).
    """
    envelope = _find_parts(root, SOAP12 if root.tag == f"{{{SOAP12}}}Envelope" else SOAP11)
    if envelope.header is not None:
        _must_understand(envelope.header, envelope.soap)
    return envelope


def open_reply(root: etree._Element) -> Envelope:
    """Split a partner's reply into its parts. It may be SOAP 1.2 although the call was 1.1.

    Raises CallRefused like `open_envelope`.
    """
    return _find_parts(root, SOAP12 if root.tag == f"{{{SOAP12}}}Envelope" else SOAP11)


def find_only_child(body: etree._Element) -> etree._Element:
    """Return the only child of a Body that hub.security.wss_verify has verified.

    Raises CallRefused `contract-broken`.
    """
    children = _list_elements(body) if len(body) <= MOST_BLOCKS else list(body)
    if len(children) != 1:
        raise _make_broken_refusal(
            body, phrase("the Body has {count} child elements; it must have one", count=len(children))
        )
    return children[0]


def is_signed(envelope: Envelope) -> bool:
    """Tell whether the Header contains an element that claims to be an XML signature."""
    return envelope.header is not None and any(
        True for _ in envelope.header.iter("{http://www.w3.org/2000/09/xmldsig#}Signature")
    )


def list_addressees(headers: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the addressees that signed header blocks name. *headers* are their tags and texts."""
    return tuple(text for tag, text in headers if tag in _TO and text not in _NOBODY)


def action_matches(header: str | None, action: str) -> bool:
    """Tell whether the SOAPAction *header* agrees with the *action* of the Body's operation.

    In SOAP 1.2 the header is the `action` of the media type. It may be quoted, unquoted, empty or absent. The Body's
    element selects the operation, and the header may only agree with it (SOAPAction spoofing).
    """
    given = (header or "").strip()
    if len(given) > 1 and given[0] == given[-1] == '"':
        given = given[1:-1]
    return given in {"", action}


def wrap_in_envelope(child: etree._Element, soap: str = SOAP11) -> etree._Element:
    """Put *child* into the Body of a new, unsigned envelope of the SOAP version *soap*. Return the envelope."""
    envelope = etree.Element(f"{{{soap}}}Envelope", nsmap={"soap": soap})
    etree.SubElement(envelope, f"{{{soap}}}Body").append(child)
    return envelope


def add_header_block(root: etree._Element, block: etree._Element) -> None:
    """Put *block* first into the Header of the envelope *root*, which gets a Header if it has none."""
    soap = etree.QName(root).namespace
    header = root.find(f"{{{soap}}}Header")
    if header is None:
        header = root.makeelement(f"{{{soap}}}Header")
        root.insert(0, header)
    header.insert(0, block)


def write_unsigned_envelope(child: etree._Element, soap: str = SOAP11) -> bytes:
    """Return the octets of an unsigned envelope around *child*."""
    return etree.tostring(wrap_in_envelope(child, soap), encoding="UTF-8", xml_declaration=True)


def is_sender_fault(problems: Sequence[Problem]) -> bool:
    """Tell whether a fault with *problems*, not caused by the hub, is SOAP 1.2's `Sender`.

    It has HTTP status 400, all others 500.
    """
    return problems[0].code not in _FAULTCODES


def write_fault(
    namespace: str, problems: Sequence[Problem], *, server: bool, tracking: str, soap: str = SOAP11
) -> bytes:
    """Return the octets of an unsigned Fault of the version *soap*.

    The reason of SOAP 1.2 has one Text in each language (part 1, 5.4.2); the faultstring of SOAP 1.1 has all in one.
    The detail is the typed `FaultDetail` of the service *namespace*. *server*: the hub's fault, and the caller may send
    the same again; otherwise the caller's fault. *problems* is not empty. Its first one names the fault; of many, the
    detail lists the first `_LISTED`.
    """
    first = problems[0]
    said = replace_unwritable(describe_problem(first))
    element = etree.Element(f"{{{soap}}}Fault", nsmap={"soap": soap})
    if soap == SOAP12:
        code = "Receiver" if server else _FAULTCODES.get(first.code, "Sender")
        held = etree.SubElement(element, f"{{{SOAP12}}}Code")
        etree.SubElement(held, f"{{{SOAP12}}}Value").text = f"soap:{code}"
        reason = etree.SubElement(element, f"{{{SOAP12}}}Reason")
        for language in Language:
            text = etree.SubElement(reason, f"{{{SOAP12}}}Text")
            text.set(_LANGUAGE, language)
            text.text = replace_unwritable(describe_problem(first, language))
        detail = f"{{{SOAP12}}}Detail"
    else:
        code = "Server" if server else _FAULTCODES.get(first.code, "Client")
        etree.SubElement(element, "faultcode").text = f"soap:{code}"
        reason = etree.SubElement(element, "faultstring")
        reason.set(_LANGUAGE, Language.VI)
        reason.text = said
        detail = "detail"
    fields = {"Code": first.code, "Description": said, "Tracking": tracking}
    typed = build_element(namespace, "FaultDetail", fields)
    if len(problems) > 1:
        listed = list(problems[:_LISTED])
        if len(problems) > _LISTED:
            more = phrases(
                "{count} more is in the hub's journal, under the tracking id",
                "{count} more are in the hub's journal, under the tracking id",
                count=len(problems) - _LISTED,
            )
            listed.append(Problem(problems[_LISTED].code, more))
        typed.append(build_error_list(namespace, listed))
    etree.SubElement(element, detail).append(typed)
    return write_unsigned_envelope(element, soap)


def build_element(namespace: str, name: str, fields: Mapping[str, str | None]) -> etree._Element:
    """Return an element of *namespace* with one leaf per entry of *fields* that is not None, in order."""
    made = etree.Element(f"{{{namespace}}}{name}", nsmap=cast("Any", {None: namespace}))
    for field, text in fields.items():
        if text is not None:
            etree.SubElement(made, f"{{{namespace}}}{field}").text = text
    return made


def build_error_list(namespace: str, problems: Sequence[Problem]) -> etree._Element:
    """Return an `ErrorList` of *namespace* with code and both sentences of each problem."""
    errors = build_element(namespace, "ErrorList", {})
    for problem in problems:
        errors.append(
            build_element(
                namespace, "Error", {"Code": problem.code, "Description": replace_unwritable(describe_problem(problem))}
            )
        )
    return errors


def read_error_list(errors: etree._Element) -> tuple[Problem, ...]:
    """Read an `ErrorList` of any namespace. The Description becomes the detail."""
    namespace = etree.QName(errors).namespace
    return tuple(
        Problem(_read_text_under(error, namespace, "Code"), _read_text_under(error, namespace, "Description"))
        for error in errors.iterchildren(f"{{{namespace}}}Error")
    )


def read_fault(child: etree._Element) -> SoapFault | None:
    """Read the Body's *child* as a SOAP 1.1 or 1.2 fault. Return None if it is not one.

    Of several texts of a reason the English one is taken, or else the first.
    """
    match child.tag:
        case _ if child.tag == f"{{{SOAP11}}}Fault":
            code, reason, detail = (_find_at(child, name) for name in ("faultcode", "faultstring", "detail"))
        case _ if child.tag == f"{{{SOAP12}}}Fault":
            soap = {"s": SOAP12}
            code, reason, detail = (
                _find_at(child, path, soap) for path in ("s:Code/s:Value", "s:Reason/s:Text", "s:Detail")
            )
            texts = child.iterfind("s:Reason/s:Text", soap)
            reason = next((each for each in texts if each.get(_LANGUAGE) == Language.EN), reason)
        case _:
            return None
    name = "" if code is None else xsd_types.read_xs_token(code).rpartition(":")[2].partition(".")[0]
    problems, tracking = ((), "") if detail is None else _read_detail(detail)
    return SoapFault(
        name in {"Client", "Sender"}, "" if reason is None else xsd_types.read_xs_token(reason), problems, tracking
    )


def _read_detail(detail: etree._Element) -> tuple[tuple[Problem, ...], str]:
    for typed in detail.iterchildren("{*}FaultDetail"):
        namespace = etree.QName(typed).namespace
        code = _read_text_under(typed, namespace, "Code")
        every = [
            problem for errors in typed.iterchildren(f"{{{namespace}}}ErrorList") for problem in read_error_list(errors)
        ]
        first = [Problem(code, _read_text_under(typed, namespace, "Description"))] if code else []
        return tuple(every or first), _read_text_under(typed, namespace, "Tracking")
    return (), ""


def _find_parts(root: etree._Element, soap: str) -> Envelope:
    if root.tag != f"{{{soap}}}Envelope":
        name = etree.QName(root)
        if name.localname != "Envelope":
            raise _make_broken_refusal(root, phrase("the root element is not a SOAP Envelope"))
        raise CallRefused(Problem("soap-version", (name.namespace or "")[:100]))
    for instruction in cast("Any", _INSTRUCTIONS(root)):
        raise _make_broken_refusal(instruction, phrase("processing instruction"))
    parts = _list_elements(root) if len(root) <= MOST_BLOCKS else list(root)
    header = parts.pop(0) if parts and parts[0].tag == f"{{{soap}}}Header" else None
    if len(parts) != 1 or parts[0].tag != f"{{{soap}}}Body":
        raise _make_broken_refusal(
            root, phrase("an Envelope must have at most one Header, then one Body, and nothing else")
        )
    if header is not None:
        if len(header) > MOST_BLOCKS:
            raise CallRefused(
                Problem(
                    "too-deep",
                    phrase(
                        "line {line}: {count} header blocks; at most {most}",
                        line=header.sourceline,
                        count=len(header),
                        most=MOST_BLOCKS,
                    ),
                )
            )
        _list_elements(header)
    return Envelope(header, parts[0], find_only_child(parts[0]), soap)


def _list_elements(parent: etree._Element) -> list[etree._Element]:
    """Return the child elements. Only white space and comments may stand beside them. Raises CallRefused."""
    for text in (parent.text, *[child.tail for child in parent]):
        if text and text.strip(" \t\r\n"):
            raise _make_broken_refusal(parent, phrase("text in {localname}", localname=etree.QName(parent).localname))
    return list(parent.iterchildren("*"))


def _must_understand(header: etree._Element, soap: str) -> None:
    addressed, us = _ADDRESSED[soap]
    for block in _list_elements(header):
        required = block.get(f"{{{soap}}}mustUnderstand", "0").strip() not in {"0", "false"}
        ours = block.get(f"{{{soap}}}{addressed}", "").strip() in us
        if required and ours and block.tag != f"{{{WSSE}}}Security":
            raise CallRefused(
                Problem(
                    "not-must-understand",
                    phrase("line {line}: {reason}", line=block.sourceline, reason=block.tag[:200]),
                )
            )


def _make_broken_refusal(place: etree._Element, reason: Phrase) -> CallRefused:
    return CallRefused(
        Problem("contract-broken", phrase("line {line}: {reason}", line=place.sourceline, reason=reason))
    )


def _find_at(element: etree._Element, path: str, namespaces: dict[str, str] | None = None) -> etree._Element | None:
    return element.find(path, namespaces)


def _read_text_under(element: etree._Element, namespace: str | None, name: str) -> str:
    found = element.find(f"{{{namespace}}}{name}")
    return "" if found is None else xsd_types.read_leaf_text(found)
