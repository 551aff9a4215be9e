"""What a recall, an update and a replacement do to the documents they name.  Knows packets and states; not the journal.

QCVN 102, 2.2; what it leaves open is settled in docs/explanation/architecture.md «Recall, update, replacement».
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import attrs

from hub.domain.lifecycle import DELIVER
from hub.domain.model import Kind, Packet, State

#: Kinds that change an earlier document.
CHANGES = frozenset({Kind.RECALL, Kind.UPDATE, Kind.REPLACEMENT})
#: Kinds that are documents of their own; a recall or an update is only about one.
DOCUMENTS = (Kind.DOCUMENT, Kind.REPLACEMENT)
#: What a recipient answers to a change (QCVN 102 code list): 15 agreed, 16 refused.
AGREED, REFUSED = "15", "16"
ANSWERS = frozenset({AGREED, REFUSED})
#: The unit of an effect on every recipient.
EVERY = ""


class Effect(StrEnum):
    """What a change means for one recipient of the document; the word begins the reason of a stopped delivery."""

    RECALLED = "recalled"
    REMOVED = "removed"
    REPLACED = "replaced"
    UPDATED = "updated"  #: stops nothing: the update follows the document


@attrs.frozen
class Named:
    """A document as a change names it: by its DocumentId, or, failing that, by number and date."""

    document_id: str
    code: str = ""
    promulgation_date: str = ""


@attrs.frozen
class Mark:
    """One effect of a change: on which document, at which unit (`EVERY`: all)."""

    document_id: str
    unit: str
    effect: Effect


def named(packet: Packet) -> tuple[Named, ...]:
    """Return the documents that *packet* changes.

    A recall names its document by `Bussiness/DocumentId`, else by `ResponseFor`; an update by `Bussiness/DocumentId`, else
    by its own DocumentId; a replacement in its `ReplacementInfoList`.
    """
    match packet.kind:
        case Kind.REPLACEMENT:
            found = [Named(each.document_id) for each in packet.replaces]
        case Kind.RECALL if not packet.about:
            found = [Named(each.document_id, each.code, each.promulgation_date) for each in packet.responses]
        case Kind.RECALL | Kind.UPDATE:
            found = [Named(packet.about or packet.document_id)]
        case _:
            found = []
    return tuple(dict.fromkeys(found))


def told(packet: Packet) -> tuple[str, ...]:
    """Return the units beside `To` that *packet* must reach: added receivers, and the units where something is replaced."""
    return tuple(dict.fromkeys((*packet.added, *(organ for each in packet.replaces for organ in each.organs))))


def marks(packet: Packet, documents: Iterable[str], canonical: Callable[[str], str]) -> Iterator[Mark]:
    """Yield what *packet* means for the *documents* it names, as the journal knows them, and their recipients."""
    for document in dict.fromkeys(documents):
        match packet.kind:
            case Kind.RECALL:
                for unit in dict.fromkeys(map(canonical, packet.recipients)):
                    yield Mark(document, unit, Effect.RECALLED)
            case Kind.UPDATE:
                yield Mark(document, EVERY, Effect.UPDATED)
                for unit in dict.fromkeys(map(canonical, packet.removed)):
                    yield Mark(document, unit, Effect.REMOVED)
            case Kind.REPLACEMENT:
                lists = [each.organs for each in packet.replaces if each.document_id == document]
                units = [EVERY] if not all(lists) else [canonical(organ) for organs in lists for organ in organs]
                for unit in dict.fromkeys(units):
                    yield Mark(document, unit, Effect.REPLACED)
            case _:
                return


def reason(effect: Effect, change: str) -> str:
    """Return the reason of a delivery stopped by the message *change*."""
    return f"{effect}: {change}"


def stop(state: State) -> State | None:
    """Return what a stop makes of a delivery in *state*; None when it comes too late, and only the change itself can tell."""
    (becomes,) = DELIVER.get((state, "stop"), (None,))
    return becomes
