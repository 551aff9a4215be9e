"""Makes the packet that names only some of its recipients. Knows `To` and signatures. Knows no partner and no route.

A hub that gets a packet brings it to every recipient that it names. So a packet whose recipients are reached through
several hubs is narrowed for each: its `To` elements are those of that hub's recipients. BKAV's bus does the same before
it hands a packet to the national axis (`ServiceVPCP`, standards 2). Nothing else of the packet changes.
"""

from collections.abc import Collection

import attrs
from lxml import etree

from hub.domain.errors import Rejected
from hub.edxml.schema import QCVN
from hub.formats import safe_xml
from hub.security import xmldsig

_HEADER = "/".join(f"{{{QCVN}}}{name}" for name in ("edXMLEnvelope", "edXMLHeader", "MessageHeader"))


@attrs.frozen
class NarrowedPacket:
    """A packet that names the recipients that were asked for, if that was possible."""

    content: bytes
    named: int  #: number of recipients that it names
    of: int  #: number of recipients that the original names
    signed: bool  #: the original has a signature of its own

    @property
    def is_narrow(self) -> bool:
        """Whether it names fewer recipients than the original."""
        return self.named < self.of


def narrow_packet(content: bytes, codes: Collection[str], *, keep_signed: bool) -> NarrowedPacket:
    """Return the packet *content* without the `To` elements whose OrganId is not one of *codes*.

    A packet that names nobody else, or none of *codes*, is returned as it is. A signature covers the whole packet, so
    a signed packet is returned as it is with *keep_signed*, and else loses its signatures with the other recipients.
    What is not a packet is returned as it is.
    """
    try:
        root = safe_xml.parse_safe_xml(content)
    except Rejected:
        return NarrowedPacket(content, 0, 0, signed=False)
    header = root.find(_HEADER)
    all_to = [] if header is None else header.findall(f"{{{QCVN}}}To")
    others = [each for each in all_to if (each.findtext(f"{{{QCVN}}}OrganId") or "").strip() not in codes]
    signatures = xmldsig.find_claimed_signatures(root)
    left = len(all_to) - len(others)
    if not left or not others or (signatures and keep_signed):
        return NarrowedPacket(content, len(all_to), len(all_to), signed=bool(signatures))
    for each in (*others, *signatures):
        _remove_element(each)
    octets = etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)
    return NarrowedPacket(octets, left, len(all_to), signed=bool(signatures))


def _remove_element(element: etree._Element) -> None:
    """Remove *element* with the white space after it, and the parent if it was only its wrapper (DigitalSignature)."""
    parent = element.getparent()
    assert parent is not None
    parent.remove(element)
    if etree.QName(parent).localname == "DigitalSignature" and not len(parent):
        _remove_element(parent)
