"""Writes small elements as text that is already in exclusive canonical form (Exclusive XML Canonicalization 1.0).

Knows how a text is escaped there. Does not know element names, and does not canonicalise a tree.
"""

import re

import attrs

#: Characters that no XML document may contain (XML 1.0, 2.2).
_NOWHERE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPECIAL = re.compile("[&<>\r]")


@attrs.frozen(eq=False)
class CanonicalElement:
    """An element in exclusive canonical form, as it stands where only its own namespaces are in scope."""

    octets: bytes

    def __len__(self) -> int:
        return len(self.octets)


def escape_canonical_text(text: str) -> str:
    """Return *text* as the canonical form writes it between tags (Canonical XML 1.0, 2.3).

    Raises ValueError if it contains a character that XML cannot represent.
    """
    if _NOWHERE.search(text):
        raise ValueError("a character that no XML document may contain")
    if _SPECIAL.search(text):
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")
    return text


def write_canonical_leaf(name: str, text: str) -> str:
    """Return the element *name*, which declares no namespace, with only *text* in it. Raises ValueError."""
    return f"<{name}>{escape_canonical_text(text)}</{name}>"
