"""Rebuilds packets from the answers of the bus. Knows where an answer holds the parts of a packet. Knows no operation."""

from lxml import etree

from adapters.bkav import parts
from adapters.bkav.wire import BkavReply
from hub.edxml.schema import QCVN


def build_fetched_packet(heard: BkavReply) -> bytes:
    """Build the packet from an answer to GetDocument. Raises ValueError if the answer does not hold a whole packet."""
    manifest = next(iter(heard.every("Manifest", "edXMLManifest")), None)
    inside = heard.every("MessageHeader", "TraceHeaderList")
    return parts.join_packet([*heard.header, *inside], manifest, heard.files)


def build_status_packet(element: etree._Element) -> bytes:
    """Return the status packet in a trace. If it cannot be built, return the element unchanged."""
    try:
        return parts.join_packet([parts.translate_element(element, QCVN, "MessageHeader")], None, {})
    except ValueError:
        return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
