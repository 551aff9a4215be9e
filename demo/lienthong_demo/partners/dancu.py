"""The national population database: `python -m lienthong_demo.partners.dancu --port N --notebook FILE`.

Written from the service's documents. Knows nothing of the hub. It stands for the security server and the service behind
it: the X-Road header is checked by the message protocol (4.0), the request by the service's schema, and each has its
own faults. The citizens are made up.
"""

import argparse
import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import attrs
from lxml import etree

from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, hash_content
from lienthong_demo.protocol.partner_server import PartnerServer

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XROAD = "http://x-road.eu/xsd/xroad.xsd"
IDENTIFIERS = "http://x-road.eu/xsd/identifiers"
DANCU = "http://dancuquocgia.bca"

#: identification number, number of the old card, full name
CITIZENS = (
    ("019085000001", "091234567", "Nguyễn Văn Mẫu"),
    ("019190000002", "", "Trần Thị Thử"),
    ("019301000003", "092345678", "Hoàng Thử Nghiệm"),
)
#: The elements of a request, each once, in this order. All are texts and may be empty.
ASKED = ("MaYeuCau", "MaDichVu", "MaCanBo", "SoDinhDanh", "SoCMND", "HoVaTen")
CLIENT = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
SERVICE = (*CLIENT, "serviceCode")


class ServiceFault(Exception):
    """A fault: a code and a sentence."""


@attrs.define
class PopulationDatabase:
    """The service and the security server in front of it."""

    client: str  #: who may ask: INSTANCE:CLASS:MEMBER:SUBSYSTEM
    service: str  #: the service that may be called, with its code
    officer: str
    office: PartnerServer = attrs.field(init=False)

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Answer one call in SOAP 1.1. A fault has the HTTP status 500."""
        try:
            header, request = _opened(call)
            self._let_in(header)
            said = self._verify(request, refuse)
        except ServiceFault as fault:
            return _said(_fault(*map(str, fault.args)), 500)
        return _said(said, 200, header, call.body)

    def _let_in(self, header: etree._Element) -> None:
        """Check the header (PR-MESS 4.0, 2.2): the caller, the service, the id, the version."""
        client, service = (header.find(f"{{{XROAD}}}{name}") for name in ("client", "service"))
        found, version = _leaf(header, "id"), _leaf(header, "protocolVersion")
        if client is None or service is None or not found or version is None:
            raise ServiceFault("Client.MissingHeaderField", "Required field is missing")
        if version != "4.0":
            raise ServiceFault("Client.InvalidProtocolVersion", f"Unsupported protocol version: {version}")
        for party, kind in ((client, "SUBSYSTEM"), (service, "SERVICE")):
            if party.get(f"{{{IDENTIFIERS}}}objectType") != kind:
                raise ServiceFault("Client.InvalidXml", "objectType")
        if _parts(service, SERVICE) != self.service.split(":")[:5]:
            raise ServiceFault("Server.ServerProxy.UnknownService", "Unknown service")
        if _parts(client, CLIENT) != self.client.split(":"):
            raise ServiceFault("Server.ServerProxy.AccessDenied", "Request is not allowed")

    def _verify(self, request: etree._Element, refuse: bool) -> etree._Element:
        """XacThucThongTinCongDan: tell whether exactly such a citizen exists."""
        if request.tag != f"{{{DANCU}}}XacThucThongTinCongDanRequest":
            raise ServiceFault("Client", "Cannot find dispatch method")
        if [each.tag for each in request] != [f"{{{DANCU}}}{name}" for name in ASKED]:
            raise ServiceFault("Client", "cvc-complex-type.2.4: the content is not complete")
        said = {name: (request.findtext(f"{{{DANCU}}}{name}") or "").strip() for name in ASKED}
        if refuse or said["MaDichVu"] != "033" or said["MaCanBo"] != self.officer or not said["MaYeuCau"]:
            raise ServiceFault("Client", "MaDichVu, MaCanBo không hợp lệ")
        if not said["HoVaTen"] or not (
            re.fullmatch(r"\d{12}", said["SoDinhDanh"]) or re.fullmatch(r"\d{9}", said["SoCMND"])
        ):
            raise ServiceFault("Client", "Thiếu thông tin xác thực")
        exists = any(
            said["SoDinhDanh"] in {"", number} and said["SoCMND"] in {"", card} and said["HoVaTen"] == name
            for number, card, name in CITIZENS
        )
        number = said["SoDinhDanh"] or said["SoCMND"]
        self.office.note("verified", request=said["MaYeuCau"], number=hash_content(number.encode()), exists=exists)
        result = etree.Element(f"{{{DANCU}}}KetQuaXacThucResponse", nsmap={"ns2": DANCU})
        etree.SubElement(result, f"{{{DANCU}}}TonTai").text = "true" if exists else "false"
        return result


def _opened(call: ServerCall) -> tuple[etree._Element, etree._Element]:
    """Return the Header and the child of the Body. Raises ServiceFault."""
    if not call.headers.get("content-type", "").startswith("text/xml"):
        raise ServiceFault("Client", "Unsupported Content-Type")
    try:
        root = etree.fromstring(call.body, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        raise ServiceFault("Client.InvalidXml", "not well-formed") from None
    header, body = root.find(f"{{{SOAP}}}Header"), root.find(f"{{{SOAP}}}Body")
    if root.tag != f"{{{SOAP}}}Envelope" or header is None or body is None or len(body) != 1:
        raise ServiceFault("Client.MissingHeaderField", "no SOAP 1.1 envelope with a Header and one child in its Body")
    return header, body[0]


def _parts(party: etree._Element, names: Sequence[str]) -> list[str]:
    return [(party.findtext(f"{{{IDENTIFIERS}}}{name}") or "").strip() for name in names]


def _leaf(header: etree._Element, name: str) -> str | None:
    found = header.findtext(f"{{{XROAD}}}{name}")
    return None if found is None else found.strip()


def _fault(code: str, words: str) -> etree._Element:
    fault = etree.Element(f"{{{SOAP}}}Fault", nsmap={"SOAP-ENV": SOAP})
    etree.SubElement(fault, "faultcode").text = f"SOAP-ENV:{code}"
    etree.SubElement(fault, "faultstring").text = words
    return fault


def _said(
    child: etree._Element, status: int, header: etree._Element | None = None, request: bytes = b""
) -> ServerAnswer:
    """Return an envelope. An answer repeats the *header* of its request, with the request's hash (PR-MESS 4.0, 2.2)."""
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"SOAP-ENV": SOAP})
    head = etree.SubElement(root, f"{{{SOAP}}}Header")
    if header is not None:
        head.extend(list(header))
        hashed = etree.SubElement(head, f"{{{XROAD}}}requestHash", nsmap={"xro": XROAD})
        hashed.set("algorithmId", "http://www.w3.org/2001/04/xmlenc#sha512")
        hashed.text = base64.b64encode(hashlib.sha512(request).digest()).decode()
    etree.SubElement(root, f"{{{SOAP}}}Body").append(child)
    return ServerAnswer(status, etree.tostring(root, encoding="UTF-8", xml_declaration=True), "text/xml; charset=utf-8")


def main() -> None:
    """Serve until the orders end."""
    parser = argparse.ArgumentParser(prog="lienthong_demo.partners.dancu")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--client", default="VN:GOV:000.00.00.H55:truclienthong")
    parser.add_argument("--service", default="VN:GOV:000.00.00.G01:dancu:XacThucThongTinCongDan")
    parser.add_argument("--officer", default="VDXP_VPCP")
    given = parser.parse_args()
    database = PopulationDatabase(given.client, given.service, given.officer)
    denial = _said(_fault("Server.ServerProxy.AccessDenied", "Request is not allowed"), 500)
    database.office = PartnerServer(Notebook(given.notebook), database.answer, denial=denial)
    database.office.serve(given.port)


if __name__ == "__main__":
    main()
