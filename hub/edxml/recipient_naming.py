"""How a packet tells a hub which recipients it is to bring it to, and which of them an answer is about.

Knows the settings `name-recipients` of the adapters. Knows no protocol of a partner.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

import attrs

from hub.domain.model import Consignment, PacketKind
from hub.edxml.narrowing import narrow_packet

_WORD = re.compile(r"[\w.-]+")


class RecipientNaming(StrEnum):
    """A value of `name-recipients`."""

    PACKET = "packet"  #: the packet names the recipients of this partner only
    UNSIGNED = "unsigned"  #: so does a packet without a signature of its own; a signed one goes as it is
    HEADER = "header"  #: the packet goes as it is, and the call names them
    NO = "no"  #: the packet goes as it is


@attrs.frozen
class NamedPacket:
    """The octets to send."""

    content: bytes
    is_whole: bool  #: they name others too, because a signed packet was not to be changed
    note: str = ""  #: what differs from the original, for the attempt's detail; empty: nothing

    def tell(self, detail: str) -> str:
        """Return *detail* of an acceptance with the note."""
        return "; ".join(filter(None, (detail, self.note)))


def name_recipients(consignment: Consignment, how: RecipientNaming, *, keep_signed: bool = False) -> NamedPacket:
    """Return the packet of *consignment* as it goes to the partner. A status names its recipient otherwise.

    *keep_signed*: a signed packet goes as it is, as with `RecipientNaming.UNSIGNED`.
    """
    content = consignment.content
    if how in {RecipientNaming.NO, RecipientNaming.HEADER} or consignment.message.kind == PacketKind.STATUS:
        return NamedPacket(content, is_whole=False)
    keeps = keep_signed or how is RecipientNaming.UNSIGNED
    narrowed = narrow_packet(content, consignment.written, keep_signed=keeps)
    if not narrowed.is_narrow:
        return NamedPacket(content, is_whole=narrowed.signed and keeps)
    note = f"naming {narrowed.named} of {narrowed.of} recipients" + (
        ", without its signature" if narrowed.signed else ""
    )
    return NamedPacket(narrowed.content, is_whole=False, note=note)


def find_told_recipients(texts: Iterable[str], consignment: Consignment) -> tuple[str, ...]:
    """Return the recipients of *consignment* whose codes occur as whole words in *texts*, the partner's answer."""
    told = {word.strip(".-") for text in texts for word in _WORD.findall(text)}
    pairs = zip(consignment.recipients, consignment.written, strict=True)
    return tuple(recipient for recipient, code in pairs if {recipient, code} & told)
