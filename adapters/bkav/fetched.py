"""What the bus gave, put together to the packet it was.  Knows where in an answer its parts stand; no operation."""

from lxml import etree

from adapters.bkav import parts
from adapters.bkav.wire import BkavReply
from hub.edxml.schema import QCVN


def build_fetched_packet(heard: BkavReply) -> bytes:
    """Put together what GetDocument gave.  ValueError when that makes no packet."""
    manifest = next(iter(heard.every("Manifest", "edXMLManifest")), None)
    inside = heard.every("MessageHeader", "TraceHeaderList")
    return parts.join_packet([*heard.header, *inside], manifest, heard.files)


def build_status_packet(element: etree._Element) -> bytes:
    """Return the status packet of a trace; what makes none, as it came."""
    try:
        return parts.join_packet([parts.translate_element(element, QCVN, "MessageHeader")], None, {})
    except ValueError:
        return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
