"""Goes through what a partner's list shows as open: each is fetched, judged and told, and what is still owed of it is remembered.

Knows which are open, the order of these steps and what to remember between two lists; no call of any partner.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import attrs

from hub.domain.model import Arrival, Judged, Reply, Request, Unavailable
from hub.partner.adapter_settings import AdapterNotes
from hub.partner.reply_parsing import read_json_text

TAKEN = "taken"
REFUSED = "refused"

#: What is still owed of an open document, by their id: to tell that it was `TAKEN` or `REFUSED`; or all, where they did not give it.
Owed = Mapping[str, str]


@attrs.frozen
class FetchedDocument:
    """What they gave when one document was asked for."""

    content: bytes | None  #: none: no packet could be read in their answer
    answer: bytes


@attrs.frozen
class Settled:
    """A list was gone through."""

    owed: Owed
    fresh: int  #: how many it showed that were not owed; more than were to be fetched: some wait for the next list


def open_documents(data: object, settled: AbstractSet[str]) -> list[str] | None:
    """Return the ids that a list of JSON shows and that are in none of the *settled* states, in its order, each once.

    Nothing at all is a list of nothing; None for what is no list.
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
) -> Generator[Request | Arrival, Any, Settled | Unavailable]:
    """Settle what their list has *shown* as open, each id once: all that was *owed*, and at most *most* others.

    *fetch* gets one document; the hub judges it, and *tell* says whether the hub has it and returns whether they heard.  What they do
    not give arrives as their answer, once: the hub refuses it, and a person sees why; it is fetched again as long as it is shown, and
    holds up nothing.  The first time that a collection breaks off at a document, wherever in it, it may be that they are away; *notes*
    puts it behind the others then, and the second time it is one that they do not give, or do not hear of.  What is shown no more is
    owed no more.
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
    return Settled(left, len(fresh))
