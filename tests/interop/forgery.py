"""Envelopes as a thief on the way would change them.  Knows the hub's form of a signed envelope; judges nothing."""

from collections.abc import Callable
from copy import deepcopy

from lxml import etree

WSU_ID = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}Id"


def altered(content: bytes, true: bytes, false: bytes) -> bytes:
    """Return *content* with *false* in place of *true*, once."""
    assert content.count(true) == 1
    return content.replace(true, false)


def wrapped(content: bytes, true: bytes, false: bytes, *, same_id: bool = False) -> bytes:
    """Return *content* with the signed Body moved into the Header, and another one in its place."""
    root = etree.fromstring(content)
    signed = root[1]
    another = etree.fromstring(altered(etree.tostring(signed, encoding="UTF-8"), true, false))
    if not same_id:
        another.set(WSU_ID, "another")
    etree.SubElement(root[0], "{urn:x}Kept").append(deepcopy(signed))
    root.replace(signed, another)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def unsigned(content: bytes, true: bytes, false: bytes) -> bytes:
    """Return *content* without its Security header."""
    root = etree.fromstring(altered(content, true, false))
    root[0].clear()
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


FORGED: dict[str, Callable[[bytes, bytes, bytes], bytes]] = {
    "unsigned": unsigned,
    "altered": altered,
    "wrapped": wrapped,
    "wrapped, the same id twice": lambda content, true, false: wrapped(content, true, false, same_id=True),
}
