"""Multipart bodies as partners' toolkits write them, and read again.  Knows MTOM/XOP and SOAP with Attachments; signs nothing but attachments.

Written by hand, beside the hub's own reader and writer: what both sides got wrong alike would not be seen otherwise.
"""

import base64
import email
import email.policy
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import attrs
import requests
from lxml import etree

from hub.security.certificates import Identity
from tests.signatures import DS, SHA256, Layout, forge, plain, stamp
from tests.signatures import SOAP11 as ENVELOPE11
from tests.signatures import SOAP12 as ENVELOPE12

SOAP11, SOAP12 = "text/xml", "application/soap+xml"
SOAPS = {SOAP11: ENVELOPE11, SOAP12: ENVELOPE12}
ROOT = "envelope@test.example"
PART = "packet@test.example"
ATTACHED = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform"
_PACKET = re.compile(rb"(<(?:\w+:)?Packet>)([^<]*)(</(?:\w+:)?Packet>)")


@attrs.frozen(kw_only=True)
class Body:
    """A multipart/related body: its media type, its parts, and all that may be amiss in it."""

    kind: str = "application/xop+xml"
    soap: str = SOAP11
    boundary: str = "uuid:8a7c+id=1"
    start: str | None = f"<{ROOT}>"
    action: str | None = None
    root_headers: str | None = None
    part_headers: str = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
    preamble: bytes = b""
    epilogue: bytes = b"\r\n"

    @property
    def content_type(self) -> str:
        """Return the HTTP header."""
        said = f'multipart/related; type="{self.kind}"; boundary="{self.boundary}"'
        said += "" if self.start is None else f'; start="{self.start}"'
        said += f'; start-info="{self.soap}"' if self.kind == "application/xop+xml" else ""
        return said + ("" if self.action is None else f'; action="{self.action}"')

    def written(self, envelope: bytes, parts: Mapping[str, bytes]) -> bytes:
        """Return the body."""
        headers = self.root_headers
        if headers is None:
            kind = f'{self.kind}; charset=UTF-8; type="{self.soap}"' if self.kind != self.soap else self.kind
            headers = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n"
        line = f"--{self.boundary}".encode()
        chunks = [self.preamble, line, f"\r\n{headers}Content-ID: <{ROOT}>\r\n\r\n".encode(), envelope]
        for name, octets in parts.items():
            chunks += [b"\r\n", line, f"\r\n{self.part_headers}Content-ID: <{name}>\r\n\r\n".encode(), octets]
        return b"".join([*chunks, b"\r\n", line, b"--", self.epilogue])


def optimised(envelope: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Move the base64 of the one Packet of a signed *envelope* into a part, as XOP has it; nothing when there is none."""
    found = _PACKET.search(envelope)
    if found is None:
        return envelope, {}
    include = f'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="cid:{PART}"/>'.encode()
    return envelope[: found.end(1)] + include + envelope[found.start(3) :], {PART: base64.b64decode(found[2])}


def read(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Return the headers, names in lower case, and the octets of each part, read by the standard library.

    In its older manner, which leaves headers as they are: the newer one raises IndexError where a parameter has no value.
    """
    message = email.message_from_bytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body, policy=email.policy.compat32.clone(linesep="\r\n")
    )
    found = []
    for part in cast("list[Any]", message.get_payload()):
        headers = {name.lower(): str(value) for name, value in part.items()}
        found.append((headers, part.get_payload(decode=True)))
    return found


def with_attachment(
    envelope: bytes, identity: Identity, octets: bytes, *, name: str = PART, uri: str | None = None
) -> bytes:
    """Return a signed *envelope* with one more Reference, to the part *name* with these *octets*, signed anew by *identity*."""
    digest = base64.b64encode(hashlib.sha256(octets).digest()).decode()
    reference = (
        f'<ds:Reference xmlns:ds="{DS}" URI="{uri or f"cid:{name}"}"><ds:Transforms><ds:Transform Algorithm="{ATTACHED}"/>'
        f'</ds:Transforms><ds:DigestMethod Algorithm="{SHA256}"/><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>'
    )
    at = envelope.index(b"</ds:SignedInfo>")
    return forge(envelope[:at] + reference.encode() + envelope[at:], identity)


@attrs.define(eq=False)
class Caller:
    """A partner that calls in any of the three forms, and reads its answers with no code of the hub's."""

    url: str
    identity: Identity
    session: requests.Session
    soap: str = SOAP11

    def sign(self, operation: str, fields: Mapping[str, str]) -> bytes:
        """Return a call, signed by xmlsec, whose fields are written as they are."""
        content = "".join(f"<d:{name}>{value}</d:{name}>" for name, value in fields.items())
        now = datetime.now(UTC)
        layout = Layout(
            soap=SOAPS[self.soap],
            created=stamp(now),
            expires=stamp(now + timedelta(minutes=5)),
            content=f'<d:{operation} xmlns:d="urn:lienthong:documents:1">{content}</d:{operation}>',
        )
        return layout.signed(self.identity)

    def send(self, how: str, packet: bytes, message_id: str | None = None) -> "Heard":
        """Send a packet."""
        fields = {} if message_id is None else {"MessageId": message_id}
        if how != "swa":
            letters = base64.b64encode(packet).decode()
            return self.call(how, self.sign("SendDocument", fields | {"Packet": letters}))
        named = self.sign("SendDocument", fields | {"Packet": f"cid:{PART}"})
        return self.call(how, with_attachment(named, self.identity, packet), {PART: packet})

    def ask(self, how: str, operation: str, **fields: str) -> "Heard":
        """Make a call that has no packet."""
        return self.call(how, self.sign(operation, fields))

    def call(self, how: str, envelope: bytes, parts: Mapping[str, bytes] | None = None) -> "Heard":
        """Post a signed envelope."""
        kind, body = self.soap, envelope
        if how == "mtom":
            form = Body(soap=self.soap)
            kind, body = form.content_type, form.written(*optimised(envelope))
        elif how == "swa":
            form = Body(kind=self.soap, soap=self.soap)
            kind, body = form.content_type, form.written(envelope, parts or {})
        return self.post(kind, body)

    def post(self, content_type: str, body: bytes) -> "Heard":
        """Post a body."""
        answer = self.session.post(self.url, data=body, headers={"Content-Type": content_type}, timeout=120)
        return Heard.of(answer.status_code, answer.headers["Content-Type"], answer.content)


@attrs.frozen
class Heard:
    """An answer: its envelope, and what lay beside it."""

    status: int
    content_type: str
    envelope: bytes
    parts: Mapping[str, bytes]  #: by content id

    @classmethod
    def of(cls, status: int, content_type: str, body: bytes) -> "Heard":
        """Take an answer apart."""
        if not content_type.startswith("multipart/"):
            return cls(status, content_type, body, {})
        (_, envelope), *others = read(content_type, body)
        return cls(
            status, content_type, envelope, {headers["content-id"].strip("<>"): octets for headers, octets in others}
        )

    def text(self, name: str) -> str:
        """Return the text of the first element of that name."""
        found = next(plain(self.envelope).iter(f"{{*}}{name}"))
        return "".join(map(str, found.itertext()))

    def packet(self) -> bytes:
        """Return the packet, however it came."""
        (element,) = plain(self.envelope).iter("{*}Packet")
        if len(element):
            return self.parts[element[0].get("href", "").removeprefix("cid:")]
        text = element.text or ""
        return self.parts[text.removeprefix("cid:")] if text.startswith("cid:") else base64.b64decode(text)

    def whole(self) -> bytes:
        """Return the envelope with each Include made base64 again, as its signature has it."""
        root = plain(self.envelope)
        for include in list(root.iter("{http://www.w3.org/2004/08/xop/include}Include")):
            parent = include.getparent()
            assert parent is not None
            parent.remove(include)
            parent.text = base64.b64encode(self.parts[include.get("href", "").removeprefix("cid:")]).decode()
        return etree.tostring(root)
