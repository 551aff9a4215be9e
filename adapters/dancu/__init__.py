"""The national population database: one SOAP 1.1 call with an X-Road header.

Knows the request, the response and the header. Knows no HTTP and no journal. README.md names the source of the dialect
and how reliable it is. The reasons of outcomes never quote the question or the answer.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import Answer, Inquest, Query, Refused, Reply, Request, Unavailable
from hub.formats import safe_xml, xsd_types
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms
from hub.partner.reply_parsing import retry_after
from hub.soap import envelope

NAMESPACE = "http://dancuquocgia.bca"
XROAD = "http://x-road.eu/xsd/xroad.xsd"
IDENTIFIERS = "http://x-road.eu/xsd/identifiers"

_MEMBER = r"[^:\s]+:[^:\s]+:[^:\s]+:[^:\s]+"
_SERVICE = rf"{_MEMBER}:[^:\s]+(:[^:\s]+)?"

SETTINGS = (
    Setting(
        "client",
        like=_MEMBER,
        expected=phrase("INSTANCE:CLASS:MEMBER:SUBSYSTEM, such as VN:GOV:000.00.00.H55:truclienthong"),
    ),
    Setting(
        "service",
        like=_SERVICE,
        expected=phrase("INSTANCE:CLASS:MEMBER:SUBSYSTEM:SERVICE, and :VERSION where it has one"),
    ),
    Setting("service-code", "033", expected=phrase("MaDichVu, the code of the service")),
    Setting("officer", "VDXP_VPCP", expected=phrase("MaCanBo, the code of this province as a caller")),
    Setting("soap-action", "", ".*", phrase("the SOAPAction of the service, as its WSDL has it")),
)

_SOAP_STATUSES = {200, 400, 500}
_CLIENT = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
_CALLED = (*_CLIENT, "serviceCode", "serviceVersion")


@attrs.frozen
class Dancu:
    """The population database behind one security server."""

    terms: Terms

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Ask whether a citizen with these particulars exists. MaYeuCau is the hub's id of the question."""
        if query.operation != "VerifyCitizen":
            return Refused(f"the population database knows no {query.operation}")
        headers = (("Content-Type", envelope.CONTENT_TYPE), ("SOAPAction", f'"{self.terms.settings["soap-action"]}"'))
        reply = yield Request(self.terms.url, self._call(query), headers)
        return self._read(reply, reply.at or now)

    def _call(self, query: Query) -> bytes:
        settings, fields = self.terms.settings, query.fields
        asked = {
            "MaYeuCau": query.id,
            "MaDichVu": settings["service-code"],
            "MaCanBo": settings["officer"],
            "SoDinhDanh": fields.get("CitizenId", ""),
            "SoCMND": fields.get("OldId", ""),
            "HoVaTen": fields["FullName"],
        }
        root = envelope.wrap_in_envelope(envelope.build_element(NAMESPACE, "XacThucThongTinCongDanRequest", asked))
        header = etree.Element(f"{{{envelope.SOAP11}}}Header", nsmap={"xro": XROAD, "iden": IDENTIFIERS})
        root.insert(0, header)
        header.append(_party("client", "SUBSYSTEM", _CLIENT, settings["client"]))
        header.append(_party("service", "SERVICE", _CALLED, settings["service"]))
        for name, text in (("userId", settings["officer"]), ("id", query.id), ("protocolVersion", "4.0")):
            etree.SubElement(header, f"{{{XROAD}}}{name}").text = text
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True)

    def _read(self, reply: Reply, now: datetime) -> Answer | Refused | Unavailable:
        def unavailable(reason: str) -> Unavailable:
            return Unavailable(f"HTTP {reply.status}: {reason}", retry_after(reply.headers, now))

        if reply.status in {401, 403}:
            return Unavailable(f"HTTP {reply.status}: access denied", credentials=True)
        if reply.status not in _SOAP_STATUSES:
            return unavailable("no SOAP answer")
        try:
            child = envelope.open_reply(safe_xml.parse_safe_xml(reply.body)).child
            fault = envelope.read_fault(child)
        except (Rejected, ValueError):
            return unavailable("not a valid SOAP answer")
        if fault is not None:
            return self._fault(child, fault.sender, unavailable(f"a fault, {_faultcode(child)}"))
        found = child.find(f"{{{NAMESPACE}}}TonTai") if child.tag == f"{{{NAMESPACE}}}KetQuaXacThucResponse" else None
        if found is None or reply.status != 200:
            return unavailable("no KetQuaXacThucResponse")
        try:
            return Answer((("Exists", "true" if xsd_types.read_xs_boolean(found) else "false"),))
        except ValueError:
            return unavailable("TonTai is no boolean")

    def _fault(self, fault: etree._Element, senders: bool, passing: Unavailable) -> Refused | Unavailable:
        """Return the outcome of a fault by its code.

        A security server's code begins with `Server.` or `Client.` and names the place of the error. *passing* is the
        outcome of a temporary fault.
        """
        code = _faultcode(fault)
        if code.rpartition(".")[2] in {
            "AccessDenied",
            "AuthenticationFailed",
            "UnknownMember",
            "SslAuthenticationFailed",
        }:
            return Unavailable(f"the security server denies access: {code}", credentials=True)
        return Refused(f"the population database refuses: {code}") if senders else passing


def adapter(terms: Terms) -> Dancu:
    """Return the adapter of one security server. Every adapter folder has this function."""
    return Dancu(terms)


def _party(name: str, kind: str, parts: Sequence[str], written: str) -> etree._Element:
    """Return one identifier of the X-Road message protocol (4.0, 2.1), from *written*, `A:B:C:D`."""
    party = etree.Element(f"{{{XROAD}}}{name}", nsmap={"xro": XROAD, "iden": IDENTIFIERS})
    party.set(f"{{{IDENTIFIERS}}}objectType", kind)
    for part, text in zip(parts, written.split(":"), strict=False):
        etree.SubElement(party, f"{{{IDENTIFIERS}}}{part}").text = text
    return party


def _faultcode(fault: etree._Element) -> str:
    """Return the fault code without its prefix; `without a code` if it does not look like a code."""
    found = fault.find("faultcode")
    code = "" if found is None else xsd_types.read_xs_token(found).rpartition(":")[2]
    return (
        code
        if len(code) <= 80 and code.replace(".", "").replace("_", "").isalnum() and code.isascii()
        else "without a code"
    )
