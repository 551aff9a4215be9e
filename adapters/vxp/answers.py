"""Reads the answers of the axis: the envelope, list items, an edXML packet.

Knows their fields. Makes no call and no decision.

The axis is not trusted to be correct. A body that is not an answer of the axis is reported as such. Its texts are
cleaned, so that they can be stored and passed on.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime

import attrs

from hub.domain.conversations import Reply, Unavailable
from hub.domain.sanitize import replace_controls
from hub.partner.reply_parsing import may_have_taken, read_json, retry_after

#: HTTP statuses under which the axis itself answers. Its SDK reads JSON under any status, but a 5xx may come from a
#: proxy.
_ANSWERED = {200, 201, 400, 404}
_STRANGER = {401, 403}
#: An id of the axis is a MongoDB id or a UUID. It must fit in a header.
_ID = re.compile(r"[!-~]{1,200}")


@attrs.frozen
class VxpAnswer:
    """One answer: `{status, ErrorCode, ErrorDesc, …}`."""

    good: bool
    code: str
    told: str
    fields: Mapping[str, object]

    def __str__(self) -> str:
        return f"{self.code}: {self.told}" if self.told else self.code

    @property
    def doc_id(self) -> str:
        """Return the docId that `sendEdoc` returned; empty without one.

        It is beside the status, where the SDK reads it, or in `data`.
        """
        data = self.fields.get("data")
        first = data[0] if isinstance(data, list) and data else data
        inner = first if isinstance(first, Mapping) else {}
        for value in (self.fields.get("DocId"), self.fields.get("docId"), inner.get("docId"), inner.get("DocId")):
            if isinstance(value, str | int) and _ID.fullmatch(str(value)):
                return str(value)
        return ""


@attrs.frozen
class VxpListItem:
    """One item of a list of received packets."""

    doc_id: str  #: empty if it has no valid docId
    status: str  #: initial, processing, done, fail; in lower case
    created: str  #: as written by the axis


def read_vxp_reply(reply: Reply, now: datetime) -> VxpAnswer | Unavailable:
    """Return the answer in *reply*, or why there is none."""
    if reply.status in _STRANGER:
        return Unavailable(f"HTTP {reply.status}: the axis does not accept our credentials", credentials=True)
    if reply.status not in _ANSWERED:
        unknown = may_have_taken(reply.status)
        return Unavailable(f"HTTP {reply.status}", retry_after(reply.headers, now), unknown=unknown)
    said = read_json(reply.body)
    if not isinstance(said, Mapping) or "status" not in said or "ErrorCode" not in said:
        told, unknown = f"HTTP {reply.status}: no answer of the axis", may_have_taken(reply.status)
        return Unavailable(told, retry_after(reply.headers, now), unknown=unknown)
    code, state = clean_vxp_text(said["ErrorCode"]), clean_vxp_text(said["status"]).upper()
    if (code == "0") != (state != "FAIL"):
        told = f"HTTP {reply.status}: the answer contradicts itself: {state}, ErrorCode {code}"
        return Unavailable(told, unknown=True)
    return VxpAnswer(code == "0", code, clean_vxp_text(said.get("ErrorDesc")), said)


def read_vxp_items(answer: VxpAnswer) -> list[VxpListItem] | None:
    """Return the items of a list, the oldest first by their `created` texts; None if it is not a list of items."""
    data = answer.fields.get("data")
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
        return None
    listed = [
        VxpListItem(
            read_vxp_id(each.get("docId")),
            clean_vxp_text(each.get("status")).lower(),
            clean_vxp_text(each.get("created_time")),
        )
        for each in data
    ]
    return sorted(listed, key=lambda item: item.created)


def read_vxp_packet(answer: VxpAnswer) -> bytes | None:
    """Return the octets that `getEdoc` returned in base64; None if they cannot be decoded."""
    data = answer.fields.get("data")
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode("".join(data.split()), validate=True) or None
    except ValueError:
        return None


def clean_vxp_text(value: object) -> str:
    """Return *value* as one line that can be stored: no lone surrogate, no control character, at most 500 characters."""
    if value is None:
        return ""
    line = " ".join(str(value).split())[:500]
    return replace_controls(line)


def read_vxp_id(value: object) -> str:
    """Return *value* if it is an id of the axis, else ""."""
    return str(value) if isinstance(value, str | int) and _ID.fullmatch(str(value)) else ""
