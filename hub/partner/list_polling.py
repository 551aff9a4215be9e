"""Settles the open documents of a partner's list: each is fetched, judged by the hub and confirmed to the partner.

Knows which documents are open, the order of these steps, and what is still owed until the next list. Makes no call of
any partner itself.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import attrs

from hub.domain.conversations import Arrival, Judged, Reply, Request, Unavailable
from hub.partner.adapter_settings import AdapterNotes
from hub.partner.reply_parsing import read_json_text

TAKEN = "taken"
REFUSED = "refused"

#: Documents by the partner's id that are still owed: a confirmation of `TAKEN` or `REFUSED`, or every step, "", where
#: the partner did not give the document.
Owed = Mapping[str, str]


@attrs.frozen
class FetchedDocument:
    """The partner's answer to the fetch of one document."""

    content: bytes | None  #: None: the answer contains no readable packet
    answer: bytes  #: the partner's answer as received


@attrs.frozen
class SettledList:
    """The result of settling one list."""

    owed: Owed  #: what is owed after this list
    fresh: int  #: open documents that were not owed; if more than were fetched, the rest waits for the next list


def list_open_documents(data: object, settled: AbstractSet[str]) -> list[str] | None:
    """Return the ids in a JSON list whose status is none of *settled*, in the list's order, without duplicates.

    JSON null counts as an empty list. Returns None for a value that is not a list.
    """
    items = [] if data is None else data
    if not isinstance(items, list):
        return None
    closed = {state.lower() for state in settled}
    rows = [
        item for item in items if isinstance(item, dict) and read_json_text(item.get("status")).lower() not in closed
    ]
    return [each for each in dict.fromkeys(read_json_text(row.get("docId")) for row in rows) if each]


Fetch = Callable[[str], Generator[Request, Reply, FetchedDocument | Unavailable]]
Tell = Callable[[str, bool], Generator[Request, Reply, bool | Unavailable]]


def settle_open_list(
    shown: Sequence[str], owed: Owed, most: int, fetch: Fetch, tell: Tell, notes: AdapterNotes, now: datetime
) -> Generator[Request | Arrival, Any, SettledList | Unavailable]:
    """Settle the ids that a partner's list has *shown* as open: all that were *owed*, and at most *most* others.

    *fetch* gets one document. The hub judges it, and *tell* reports to the partner whether the hub has it, and returns
    whether the partner acknowledged that. Where the partner does not give a document, its answer is yielded as an
    `Arrival` once: the hub refuses it, so that a person sees why. The document is fetched again as long as it is shown,
    and does not block the others.

    The first time that a collection breaks off at a document, at whatever step, the partner may be unavailable. *notes*
    then moves the document behind the others. The second time it counts as a document that the partner does not give or
    does not acknowledge. An id that is not shown any more is no longer owed.
    """
    fresh = notes.in_turn([each for each in shown if each not in owed], now)
    left: dict[str, str] = {}
    for document_id in (*fresh[:most], *(each for each in shown if each in owed)):
        state, stuck = owed.get(document_id, ""), notes.ask(document_id, now) or document_id in owed
        if not state:
            given = yield from fetch(document_id)
            if isinstance(given, Unavailable):
                if given.credentials or not stuck:
                    return given
                given = FetchedDocument(None, given.detail.encode())
            if given.content is not None:
                judged: Judged = yield Arrival(given.content, document_id)
                state = TAKEN if judged.is_here else REFUSED
            elif document_id not in owed:
                yield Arrival(given.answer, document_id)
        told = (yield from tell(document_id, state == TAKEN)) if state else False
        if isinstance(told, Unavailable) and (told.credentials or not stuck):
            return told
        notes.have(document_id)
        if told is not True:
            left[document_id] = state
    return SettledList(left, len(fresh))
