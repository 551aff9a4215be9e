"""Reads the answers of an LGSP.

Knows the three shapes of its envelope and the settings that classify its codes. Makes no call.

The shapes are `{success, message, docId}`, `{success, message, data{docId, status, errorCode, errorDesc}}` and,
observed later at the same interface, `{code, message, data{status, docId, errorCode}, errorDetail}`.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import attrs

from hub.domain.conversations import Refused, Reply, Unavailable
from hub.partner.reply_parsing import cut_snippet, may_have_taken, read_json, read_json_text, retry_after
from hub.partner.reply_parsing import read_json_packet as written_packet

#: HTTP statuses under which the LGSP itself answers. Under any other the body is a proxy's.
_OWN = {200, 400, 422, 500}
#: HTTP statuses that mean: our credentials are not accepted.
_DENIED = {401, 403}


@attrs.frozen(kw_only=True)
class LgspAnswer:
    """One answer."""

    success: bool
    code: str  #: the error code as text; empty if there is none or it is 0
    told: str
    data: Any
    document_id: str
    token: str
    body: bytes  #: the body as received
    retry_after: float | None


@attrs.frozen(kw_only=True)
class LgspCodes:
    """What error codes mean for a delivery. Codes that are not listed are temporary."""

    refused: AbstractSet[str]
    recipient: AbstractSet[str]  #: about one of the recipients
    credentials: AbstractSet[str]
    limited: AbstractSet[str]  #: retried until `tries` attempts have been made
    tries: int

    def outcome(self, answer: LgspAnswer, attempt: int, about: tuple[str, ...] = ()) -> Refused | Unavailable:
        """Return the outcome of a failure at the *attempt*-th attempt. *about*: the recipients that it names."""
        if answer.code in self.recipient:
            return Refused(_say_answer(answer), about)
        if answer.code in self.refused or (answer.code in self.limited and attempt >= self.tries):
            return Refused(_say_answer(answer))
        return self.trouble(answer)

    def trouble(self, answer: LgspAnswer) -> Unavailable:
        """Return a failure as temporary, or as rejected credentials."""
        return Unavailable(_say_answer(answer), answer.retry_after, credentials=answer.code in self.credentials)

    def passing(self, answer: LgspAnswer) -> bool:
        """Tell whether a failure does not concern this document alone: every other document would meet it too."""
        return answer.code not in self.refused | self.recipient | self.limited


def read_lgsp_reply(reply: Reply, now: datetime) -> LgspAnswer | Unavailable:
    """Read *reply*. Returns Unavailable if it is not an answer of the LGSP."""
    wait = retry_after(reply.headers, reply.at or now)
    if reply.status in _DENIED:
        return Unavailable(f"HTTP {reply.status}: {cut_snippet(reply.body)}", wait, credentials=True)
    said = read_json(reply.body) if reply.status in _OWN else None
    if not isinstance(said, dict):
        told, unknown = (
            f"HTTP {reply.status}: unexpected answer: {cut_snippet(reply.body)}",
            may_have_taken(reply.status),
        )
        return Unavailable(told, wait, unknown=unknown)
    data = said.get("data")
    inner = data if isinstance(data, dict) else {}
    code = read_json_text(inner.get("errorCode") or said.get("errorCode"))
    code = "" if code == "0" else code
    details = said.get("errorDetail")
    clean = reply.status == 200 and not code and not details
    state = read_json_text(inner.get("status")).upper()
    success = clean and (
        said["success"] is True
        if "success" in said
        else read_json_text(said.get("code")) in {"0", "200"} and state in {"", "OK", "SUCCESS"}
    )
    told = read_json_text(inner.get("errorDesc")) or read_json_text(said.get("message"))
    return LgspAnswer(
        success=success,
        code=code,
        told=told or cut_snippet(reply.body),
        data=data,
        document_id=read_json_text(inner.get("docId") or said.get("docId")),
        token=read_json_text(inner.get("token") or said.get("token")),
        body=reply.body,
        retry_after=wait,
    )


def read_lgsp_packet(answer: LgspAnswer) -> bytes | None:
    """Return the packet in the answer to getEdoc, which holds it as XML or in base64; None if there is none."""
    return written_packet(answer.data.get("edxml") if answer.success and isinstance(answer.data, dict) else None)


def _say_answer(answer: LgspAnswer) -> str:
    return f"{answer.code}: {answer.told}"[:2000] if answer.code else answer.told[:2000]
