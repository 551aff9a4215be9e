"""The X-Road adapter in front of the axis: identifies the caller and checks that all headers are signed.

Knows the header scheme from the public documents only (standards 2.1): every logical header as `XroadVnpt-NAME`, their
names in `sign-header-key`, the pairs as JSON in `sign-header`, its HMAC-SHA256 in `hash-header`. Knows no operation.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import attrs

from lienthong_demo.partners.axis import Refusal
from lienthong_demo.plan.packets import HANOI
from lienthong_demo.protocol.http_server import ServerCall

PREFIX = "xroadvnpt-"
VERSION = "3.0.201608"
_PATIENCE = timedelta(minutes=15)  #: maximum difference of a timestamp


@attrs.frozen
class Gate:
    """The systems that may call, with their secrets."""

    secrets: Mapping[str, str]  #: by systemId
    #: form of `hash-file`: `short` as the SDK writes it, without an octet's leading zero, or `full`
    digits: str = "short"

    def admit(self, call: ServerCall) -> tuple[str, dict[str, str]]:
        """Return the systemId and the logical headers of a call, names in lower case.

        Raises Refusal 15 for a wrong signature.
        """
        headers = call.headers
        text = headers.get(f"{PREFIX}sign-header", "")
        names = [name for name in headers.get(f"{PREFIX}sign-header-key", "").split(";") if name]
        logical = {name.lower(): headers.get(PREFIX + name.lower(), "") for name in names}
        system = logical.get("systemid", "")
        mark = hmac.new(self.secrets.get(system, "").encode(), text.encode(), hashlib.sha256).hexdigest()
        if system not in self.secrets or not hmac.compare_digest(mark, headers.get(f"{PREFIX}hash-header", "")):
            raise Refusal("15", "wrong systemId or secret")
        try:
            signed = {name.lower(): value for name, value in json.loads(text).items()}
        except (ValueError, AttributeError) as error:
            raise Refusal("15", "sign-header is no JSON object") from error
        if signed != {PREFIX + name: value for name, value in logical.items()}:
            raise Refusal("15", "the headers are not those that are signed")
        if headers.get(f"{PREFIX}version") != VERSION or logical.get("content-type") != headers.get("content-type"):
            raise Refusal("15", "another version, or another Content-Type than the signed one")
        if abs(_clock(logical.get("timestamp", "")) - datetime.now(UTC)) > _PATIENCE:
            raise Refusal("15", "the timestamp is too far off")
        return system, logical

    def file(self, call: ServerCall, mark: str) -> bytes:
        """Return the file of a call if `hash-file` is its SHA-256. The SDK sends a line break after the file."""
        for content in (call.body, call.body.removesuffix(b"\r\n")):
            octets = hashlib.sha256(content).digest()
            if mark == (octets.hex() if self.digits == "full" else "".join(format(octet, "x") for octet in octets)):
                return content
        raise Refusal("10", "hash-file is not the SHA-256 of the file")


def _clock(text: str) -> datetime:
    """Parse `ddMMyyyy'T'HHmmss+SSSS`, with milliseconds after the plus sign."""
    moment, _, thousandths = text.partition("+")
    try:
        if len(thousandths) == 4 and int(thousandths) < 1000:
            return datetime.strptime(moment, "%d%m%YT%H%M%S").replace(tzinfo=HANOI)
    except ValueError:
        pass
    raise Refusal("15", f"the timestamp {text!r} is none")
