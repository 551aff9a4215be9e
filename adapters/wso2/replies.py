"""What an exchange behind WSO2 answers.  Knows the answer `{status, errorCode, errorDesc, …}`, a token's and the gateway's faults.

Asks nothing.  The gateway in front answers for itself under 401 and 403 (`{fault{code, message}}`) and under 5xx.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import attrs

from hub.domain.model import Refused, Reply, Unavailable
from hub.partner.reply_parsing import cut_snippet, read_json, read_json_text, retry_after
from hub.partner.reply_parsing import read_json_packet as written_packet

#: Statuses under which the exchange itself answers; under any other it is the gateway or a proxy.
_OWN = {200, 201, 202, 400, 500}
_DENIED = {401, 403}
#: A token whose answer does not say how long it lives is used so long, in seconds.
_SHORT = 60


@attrs.frozen
class Token:
    """A token, and how many seconds it lives."""

    value: str = attrs.field(repr=False)
    seconds: int


@attrs.frozen(kw_only=True)
class Wso2Answer:
    """One answer."""

    success: bool
    code: str  #: the error code as text; empty where there is none, or it is 0
    told: str
    data: Any
    document_id: str
    body: bytes  #: as it came
    retry_after: float | None


@attrs.frozen(kw_only=True)
class Wso2Codes:
    """What their error codes mean to a delivery; any other code may pass."""

    refused: AbstractSet[str]
    credentials: AbstractSet[str]

    def outcome(self, answer: Wso2Answer) -> Refused | Unavailable:
        """Judge a failure."""
        return Refused(_told(answer)) if answer.code in self.refused else self.trouble(answer)

    def trouble(self, answer: Wso2Answer) -> Unavailable:
        """Tell a failure as one that may pass, or as theirs that we are not known."""
        return Unavailable(_told(answer), answer.retry_after, credentials=answer.code in self.credentials)


def read_wso2_token(reply: Reply, now: datetime) -> Token | Unavailable:
    """Read the answer to a request for a token (RFC 6749, 5.1 and 5.2)."""
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
    told = told or ("JSON without a token that can be used" if said else cut_snippet(reply.body))  # not what may be one
    return Unavailable(f"no token: HTTP {reply.status}: {told}"[:500], wait, credentials=denied)


def read_wso2_reply(reply: Reply, now: datetime) -> Wso2Answer | Unavailable:
    """Read *reply*; what is no answer of theirs is unavailable."""
    wait = retry_after(reply.headers, reply.at or now)
    if reply.status in _DENIED:
        return Unavailable(f"HTTP {reply.status}: {cut_snippet(reply.body)}", wait, credentials=True)
    said = read_json(reply.body) if reply.status in _OWN else None
    if not isinstance(said, dict) or "status" not in said:
        return Unavailable(f"HTTP {reply.status}: no answer of theirs: {cut_snippet(reply.body)}", wait)
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
    """Return the octets of the packet in `data`, which is its base64, or the packet written as it is; None where there is none."""
    return written_packet(answer.data if answer.success else None)


def _told(answer: Wso2Answer) -> str:
    return f"{answer.code}: {answer.told}"[:2000] if answer.code else answer.told[:2000]
