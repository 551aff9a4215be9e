"""What a hostile partner sends: small bodies that are dear to read, and large ones that are dearer.  Knows formats; no hub, no port.

Each is what a key that the hub knows may sign: nothing here is turned away at the door.
"""

import base64
import io
import itertools
import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hub.security import signing
from hub.security.certificates import Identity
from lienthong_demo.plan import packets
from tests.signatures import INCLUSIVE, Layout, c14n, plain, stamp

DOCUMENTS = "urn:lienthong:documents:1"
_WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def wrap_call(content: str) -> bytes:
    """Return an unsigned SOAP 1.1 envelope around *content*."""
    return (
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{content}</s:Body></s:Envelope>'
    ).encode()


def send_document(packet: bytes, message_id: str = "") -> str:
    """Return a SendDocument element that carries *packet*."""
    named = f"<d:MessageId>{message_id}</d:MessageId>" if message_id else ""
    octets = base64.b64encode(packet).decode()
    return f'<d:SendDocument xmlns:d="{DOCUMENTS}">{named}<d:Packet>{octets}</d:Packet></d:SendDocument>'


def signed(content: str, identity: Identity) -> bytes:
    """Return a signed call whose Body holds *content*."""
    return signing.sign_envelope(plain(wrap_call(content)), identity, datetime.now(UTC))


def full_of_mistakes(identity: Identity) -> bytes:
    """Return a signed call of half a megabyte in which each of thousands of elements is a mistake: each is explained."""
    wrong = "".join(f'<d:Evil a="{number}"><d:MessageId/></d:Evil>' for number in range(9_000))
    return signed(f'<d:SendDocument xmlns:d="{DOCUMENTS}"><d:MessageId/>{wrong}</d:SendDocument>', identity)


def document(sender: str, recipient: str, number: str, *attachments: tuple[str, bytes]) -> bytes:
    """Return a packet of *sender*."""
    return packets.write_document_packet(
        sender,
        [recipient],
        number=number,
        notation="TAI",
        subject="x",
        promulgated=date(2026, 11, 20),
        attachments=attachments or (("a.txt", b"x"),),
        variation=packets.Variation(wrapped=False),
    )


def calendar(method: str, unit: str, uid: str, rules: Sequence[str]) -> bytes:
    """Return a calendar of one series of *unit* for each of the *rules*."""
    found = ["BEGIN:VCALENDAR", "VERSION:2.0", f"METHOD:{method}"]
    for number, rule in enumerate(rules):
        found += [
            *("BEGIN:VEVENT", f"UID:{uid}-{number}", "SEQUENCE:0", "DTSTAMP:20261120T010000Z"),
            *("DTSTART;VALUE=DATE:20261001", f"RRULE:{rule}"),
            *(f"ORGANIZER;X-LIENTHONG-UNIT={unit}:mailto:a@b.example", "END:VEVENT"),
        ]
    return "\r\n".join([*found, "END:VCALENDAR", ""]).encode()


def dear_calendar(unit: str, uid: str) -> bytes:
    """Return a calendar of twenty series, each by a rule of a hundred days of the week that never come and as many positions."""
    days = ",".join(f"{90 + number % 10}{day}" for number, day in zip(range(100), itertools.cycle(_WEEK)))
    positions = ",".join(map(str, range(1, 100)))
    return calendar("PUBLISH", unit, uid, [f"FREQ=YEARLY;BYDAY={days};BYSETPOS={positions}"] * 20)


def full_calendar(unit: str, uid: str) -> bytes:
    """Return a calendar of a thousand meetings, as many as one may name: two thousand facts."""
    return calendar("REQUEST", unit, uid, [f"FREQ=DAILY;COUNT={count}" for count in (365, 365, 270)])


def zipped(octets: bytes) -> bytes:
    """Return a ZIP of one file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lich.ics", octets)
    return made.getvalue()


def calendars(sender: str, recipient: str, number: str) -> bytes:
    """Return a packet with ten calendars of twenty rules each: 22 kB as a call."""
    made = ((f"lich{at}.ics", zipped(dear_calendar(sender, f"{number}-{at}"))) for at in range(10))
    return document(sender, recipient, number, *made)


def fact_flood(sender: str, recipient: str, number: str) -> bytes:
    """Return a packet whose calendars tell of ten thousand meetings, twenty thousand facts: 21 kB as a call."""
    made = ((f"lich{at}.ics", zipped(full_calendar(sender, f"{number}-{at}"))) for at in range(10))
    return document(sender, recipient, number, *made)


def namespaces(count: int, elements: int) -> str:
    """Return a Header block with *count* namespaces declared around so many elements, sixty by each ancestor."""
    opened = closed = ""
    for first in range(0, count, 60):
        declared = " ".join(f'xmlns:n{at}="urn:{at}"' for at in range(first, min(count, first + 60)))
        opened, closed = f"{opened}<x:b xmlns:x='urn:x' {declared}>", f"</x:b>{closed}"
    return f"{opened}{'<x:e/>' * elements}{closed}"


def signed_namespaces(identity: Identity) -> bytes:
    """Return a signed call of 17 kB: 400 namespaces around 1,100 elements of the Body, in inclusive canonical form."""
    return _layout(content=namespaces(400, 1100), body_transforms=c14n(INCLUSIVE)).signed(identity)


def header_blocks(identity: Identity, content: str, blocks: int, references: int) -> bytes:
    """Return a signed call of *blocks* empty Header blocks and *references* References, each to a block behind all of them."""
    named = [f"N{at}" for at in range(references - 2)]
    found = "".join(f'<x:n xmlns:x="urn:x" wsu:Id="{name}"/>' for name in named)
    return _layout(
        content=content,
        references=tuple((f"#{name}", c14n()) for name in (*named, "TS", "B")),
        headers=f"{'<a/>' * blocks}{found}",
    ).signed(identity)


def _layout(**said: Any) -> Layout:
    now = datetime.now(UTC)
    return Layout(created=stamp(now), expires=stamp(now + timedelta(minutes=14)), **said)


def empty_elements(count: int) -> bytes:
    """Return an unsigned call with one Header block of *count* empty elements."""
    block = f"<x xmlns='urn:x'>{'<a/>' * count}</x>"
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f'<s:Header>{block}</s:Header><s:Body><d:GetOrganizations xmlns:d="{DOCUMENTS}"/></s:Body></s:Envelope>'
    ).encode()


def nested_mail(depth: int, lines: int) -> bytes:
    """Return a mail of *depth* multiparts inside one another, around so many lines of one octet."""
    opened = b"".join(
        b'Content-Type: multipart/mixed; boundary="%s%d"\r\n\r\n--%s%d\r\n' % (b"b" * 60, at, b"b" * 60, at)
        for at in range(depth)
    )
    head = b"From: ai@ngoai.example\r\nTo: truc@thainguyen.gov.vn\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
    return head + opened + b"Content-Type: text/plain\r\n\r\n" + b"-\n" * lines
