"""Reads the answers of an exchange behind WSO2: `{status, errorCode, errorDesc, …}`, token responses, gateway faults.

Makes no call. The gateway in front of the exchange answers itself with 401 and 403 (`{fault{code, message}}`) and with
5xx.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import attrs

from hub.domain.conversations import Refused, Reply, Unavailable
from hub.partner.reply_parsing import cut_snippet, may_have_taken, read_json, read_json_text, retry_after
from hub.partner.reply_parsing import read_json_packet as written_packet

#: HTTP statuses under which the exchange itself answers. Under any other it is the gateway or a proxy.
_OWN = {200, 201, 202, 400, 500}
_DENIED = {401, 403}
#: The lifetime, in seconds, of a token whose answer does not state one.
_SHORT = 60


@attrs.frozen
class Token:
    """A token and its lifetime in seconds."""

    value: str = attrs.field(repr=False)
    seconds: int


@attrs.frozen(kw_only=True)
class Wso2Answer:
    """One answer."""

    success: bool
    code: str  #: the error code as text; empty if there is none or it is 0
    told: str
    data: Any
    document_id: str
    body: bytes  #: the body as received
    retry_after: float | None


@attrs.frozen(kw_only=True)
class Wso2Codes:
    """What error codes mean for a delivery. Codes that are not listed are temporary."""

    refused: AbstractSet[str]
    recipient: AbstractSet[str]  #: about one of the recipients
    credentials: AbstractSet[str]

    def outcome(self, answer: Wso2Answer, about: tuple[str, ...] = ()) -> Refused | Unavailable:
        """Return the outcome of a failure. *about*: the recipients that it names."""
        if answer.code in self.recipient:
            return Refused(_say_answer(answer), about)
        return Refused(_say_answer(answer)) if answer.code in self.refused else self.trouble(answer)

    def trouble(self, answer: Wso2Answer) -> Unavailable:
        """Return a failure as temporary, or as rejected credentials."""
        return Unavailable(_say_answer(answer), answer.retry_after, credentials=answer.code in self.credentials)


def read_wso2_token(reply: Reply, now: datetime) -> Token | Unavailable:
    """Read the response to a token request (RFC 6749, 5.1 and 5.2)."""
    wait = retry_after(reply.headers, reply.at or now)
    said = read_json(reply.body)
    said = said if isinstance(said, dict) else {}
    value, seconds = said.get("access_token"), said.get("expires_in")
    if reply.status == 200 and isinstance(value, str) and value.isascii() and value.isprintable() and value:
        lives = seconds if isinstance(seconds, int) and not isinstance(seconds, bool) else _SHORT
        return Token(value, min(max(lives, 0), 86_400))
    error = read_json_text(said.get("error"))
    denied = reply.status in _DENIED or error in {"invalid_client", "unauthorized_client", "invalid_grant"}
    told = read_json_text(said.get("error_description")) or error
    # does not quote a text that may be a token
    told = told or ("JSON without a token that can be used" if said else cut_snippet(reply.body))
    return Unavailable(f"no token: HTTP {reply.status}: {told}"[:500], wait, credentials=denied)


def read_wso2_reply(reply: Reply, now: datetime) -> Wso2Answer | Unavailable:
    """Read *reply*. Returns Unavailable if it is not an answer of the exchange."""
    wait = retry_after(reply.headers, reply.at or now)
    if reply.status in _DENIED:
        return Unavailable(f"HTTP {reply.status}: {cut_snippet(reply.body)}", wait, credentials=True)
    said = read_json(reply.body) if reply.status in _OWN else None
    if not isinstance(said, dict) or "status" not in said:
        told, unknown = (
            f"HTTP {reply.status}: unexpected answer: {cut_snippet(reply.body)}",
            may_have_taken(reply.status),
        )
        return Unavailable(told, wait, unknown=unknown)
    code = read_json_text(said.get("errorCode"))
    code = "" if code == "0" else code
    return Wso2Answer(
        success=reply.status < 400 and not code and read_json_text(said["status"]).upper() in {"OK", "SUCCESS", "200"},
        code=code,
        told=read_json_text(said.get("errorDesc")) or cut_snippet(reply.body),
        data=said.get("data"),
        document_id=read_json_text(said.get("docId")),
        body=reply.body,
        retry_after=wait,
    )


def read_wso2_packet(answer: Wso2Answer) -> bytes | None:
    """Return the packet in `data`, which holds it in base64 or as it is; None if there is none."""
    return written_packet(answer.data if answer.success else None)


def _say_answer(answer: Wso2Answer) -> str:
    return f"{answer.code}: {answer.told}"[:2000] if answer.code else answer.told[:2000]
