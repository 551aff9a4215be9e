"""The axis's list of what we sent: which of its items are a message of ours, and which a receiver could not take.

Knows the fields of `getSentEdocList` (README.md). Makes no call.

An item has no id of ours. So a message whose answer was lost is recognised by its sender and receiver, by its number
and notation or its title, and by the time: the axis cannot have taken it before it was sent.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import attrs

from adapters.vxp.answers import VxpAnswer, clean_vxp_text, read_vxp_id
from adapters.vxp.signing import HANOI
from hub.domain.conversations import LaterFailure
from hub.domain.model import Consignment

#: Maximum difference between the axis's clock and ours.
_SKEW = timedelta(minutes=15)
_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


@attrs.frozen(kw_only=True)
class VxpSentItem:
    """One item: a message of ours to one receiver."""

    doc_id: str  #: senderDocId, which `sendEdoc` returned; empty if it is none
    sender: str
    to: str
    title: str
    notation: str
    sent: datetime | None  #: None: not told, or not in a form that is known
    state: str  #: receiveStatus in lower case
    told: str  #: receiveStatusDesc


def read_vxp_sent_items(answer: VxpAnswer) -> list[VxpSentItem] | None:
    """Return the items of a list; None if it is not a list of items."""
    data = answer.fields.get("data")
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
        return None
    return [_read_item(each) for each in data]


def find_sent_ids(items: Iterable[VxpSentItem], consignment: Consignment, sender: str) -> dict[str, str] | None:
    """Return the docIds under which the axis took *consignment*, by recipient, of those that *items* show.

    *sender* is what was sent as `from`. Returns None if the list does not allow a judgement: an item that may be it has
    neither notation nor title.
    """
    assert consignment.unsure is not None
    found: dict[str, str] = {}
    message = consignment.message
    codes = {code: to for to, *codes in _list_sent_pairs(consignment) for code in codes}
    for item in items:
        to = codes.get(item.to)
        late = item.sent is None or item.sent >= consignment.unsure - _SKEW
        ours = not item.sender or item.sender in {sender, message.sender}
        if to is None or not late or not ours or not item.doc_id or item.doc_id in consignment.earlier:
            continue
        if not item.notation and not item.title:
            return None
        if _is_same(item.notation, message.code) and _is_same(item.title, message.subject):
            found.setdefault(to, item.doc_id)
    return found


def list_later_failures(items: Iterable[VxpSentItem]) -> Iterator[LaterFailure]:
    """Yield what a receiver's system could not take."""
    for item in items:
        if item.state == "fail" and item.doc_id:
            yield LaterFailure(item.doc_id, item.to, item.told or "the receiver's system set it to fail")


def _list_sent_pairs(consignment: Consignment) -> Iterator[tuple[str, str, str]]:
    for recipient, code in zip(consignment.recipients, consignment.written, strict=True):
        yield recipient, recipient, code


def _is_same(shown: str, ours: str | None) -> bool:
    """Tell whether a text of the list may be *ours*: equal, the end of it (a notation alone), or not given at all."""
    one, other = _make_comparable(shown), _make_comparable(ours or "")
    return not one or not other or one == other or other.endswith(f"/{one}") or other.startswith(one)


def _make_comparable(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())[:500]


def _read_item(said: Mapping[str, object]) -> VxpSentItem:
    return VxpSentItem(
        doc_id=read_vxp_id(said.get("senderDocId")),
        sender=clean_vxp_text(said.get("fromCode")),
        to=clean_vxp_text(said.get("toCode")),
        title=clean_vxp_text(said.get("title")),
        notation=clean_vxp_text(said.get("notation")),
        sent=_read_time(clean_vxp_text(said.get("sentTime"))),
        state=clean_vxp_text(said.get("receiveStatus")).lower(),
        told=clean_vxp_text(said.get("receiveStatusDesc")),
    )


def _read_time(text: str) -> datetime | None:
    for form in _TIMES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=HANOI)
        except ValueError:
            continue
    return None
