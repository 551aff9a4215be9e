"""Computes what a recall, an update or a replacement does to the documents it names. Knows packets and states.

Does not know the journal. Source: QCVN 102, 2.2. What the standard leaves open is settled in
docs/explanation/architecture.md «Recall, update, replacement».
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import cache

import attrs

from hub.domain.lifecycle import DELIVER, DeliveryEvent
from hub.domain.model import DeliveryState, Packet, PacketKind

#: Kinds that change an earlier document.
CHANGES = frozenset({PacketKind.RECALL, PacketKind.UPDATE, PacketKind.REPLACEMENT})
#: Kinds that are documents themselves. A recall or an update is only about one.
DOCUMENTS = (PacketKind.DOCUMENT, PacketKind.REPLACEMENT)
#: Status codes with which a recipient answers a change (QCVN 102 code list): 15 agreed, 16 refused.
AGREED, REFUSED = "15", "16"
ANSWERS = frozenset({AGREED, REFUSED})
#: Status code that only the sender of a document writes about it (QCVN 102 code list): it asks for the document back.
OF_SENDER = "13"
#: Stands for every unit in the effect of a change.
EVERY = ""


class Effect(StrEnum):
    """The effect of a change on one recipient of the document.

    The reason of a stopped delivery begins with this word.
    """

    RECALLED = "recalled"
    REMOVED = "removed"
    REPLACED = "replaced"
    UPDATED = "updated"  #: stops nothing: the update follows the document
    CORRECTED = "corrected"  #: no packet does that: a person has corrected the message, which goes as another one


@attrs.frozen
class ChangedDocument:
    """The reference to a document in a change: by DocumentId, or, if there is none, by number and date."""

    document_id: str
    code: str = ""
    promulgation_date: str = ""


@attrs.frozen
class ChangeEffect:
    """One effect of a change on one document at one unit (`EVERY`: all units)."""

    document_id: str
    unit: str
    effect: Effect


def list_changed_documents(packet: Packet) -> tuple[ChangedDocument, ...]:
    """Return the documents that *packet* changes.

    A recall names its document by `Bussiness/DocumentId`, otherwise by `ResponseFor`; an update by
    `Bussiness/DocumentId`, otherwise by its own DocumentId; a replacement in its `ReplacementInfoList`.
    """
    match packet.kind:
        case PacketKind.REPLACEMENT:
            found = [ChangedDocument(each.document_id) for each in packet.replaces]
        case PacketKind.RECALL if not packet.about:
            found = [ChangedDocument(each.document_id, each.code, each.promulgation_date) for each in packet.responses]
        case PacketKind.RECALL | PacketKind.UPDATE:
            found = [ChangedDocument(packet.about or packet.document_id)]
        case _:
            found = []
    return tuple(dict.fromkeys(found))


def list_told_units(packet: Packet) -> tuple[str, ...]:
    """Return the units beside `To` that *packet* must reach: added receivers, and units at which something is
    replaced.
    """
    return tuple(dict.fromkeys((*packet.added, *(organ for each in packet.replaces for organ in each.organs))))


def list_change_effects(
    packet: Packet, documents: Iterable[str], canonical: Callable[[str], str]
) -> Iterator[ChangeEffect]:
    """Yield the effects of *packet* on the *documents* that it names.

    *documents* are the ids of these documents in the journal. *canonical* resolves aliases of unit codes.
    """
    if packet.kind not in CHANGES:
        return
    resolve = cache(canonical)  # a packet may name each of its units with each of its documents
    match packet.kind:
        case PacketKind.RECALL:
            units, effect = {resolve(code): None for code in packet.recipients}, Effect.RECALLED
        case PacketKind.UPDATE:
            units, effect = {resolve(code): None for code in packet.removed}, Effect.REMOVED
        case _:
            units, effect = {EVERY: None}, Effect.REPLACED
    named = _list_replaced_units(packet, resolve) if packet.kind is PacketKind.REPLACEMENT else {}
    for document in dict.fromkeys(documents):
        if packet.kind is PacketKind.UPDATE:
            yield ChangeEffect(document, EVERY, Effect.UPDATED)
        for unit in named.get(document, units):
            yield ChangeEffect(document, unit, effect)


def _list_replaced_units(packet: Packet, resolve: Callable[[str], str]) -> dict[str, dict[str, None]]:
    """Return the units at which each document is replaced, by DocumentId: `EVERY` where it is named once without units."""
    found: dict[str, dict[str, None]] = {}
    for each in packet.replaces:
        units = found.setdefault(each.document_id, {})
        units |= dict.fromkeys(map(resolve, each.organs)) if each.organs else {EVERY: None}
    return {document: {EVERY: None} if EVERY in units else units for document, units in found.items()}


def write_stop_reason(effect: Effect, change: str) -> str:
    """Return the reason of a delivery that the message *change* stopped."""
    return f"{effect}: {change}"


def stop_delivery_state(state: DeliveryState) -> DeliveryState | None:
    """Return the state of a delivery in *state* after a stop. Return None if the delivery can no longer be stopped.

    In that case only the change itself informs the recipient.
    """
    (becomes,) = DELIVER.get((state, DeliveryEvent.STOP), (None,))
    return becomes
