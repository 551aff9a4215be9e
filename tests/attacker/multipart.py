"""MTOM and SOAP with Attachments as the weapon: parts that are exchanged, missing, shared, nested, remote, or that are not what was signed.

Knows RFC 2046, 2387 and 2392, XOP 1.0, the SwA profile 1.1, and what they did to CXF (CVE-2022-46364, CVE-2024-28752) and to mail gateways
(parser differentials of MIME).  Where the hub does not speak multipart, only its refusal is tried.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.attacker.campaign import REFUSE, SAME, Attack, Campaign, Case, Shot
from tests.attacker.honest import Form, Letter, Reference, Sealing, b64, frame, seal

XOP = "http://www.w3.org/2004/08/xop/include"
CONTENT = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Content-Signature-Transform"
COMPLETE = "http://docs.oasis-open.org/wss/oasis-wss-SwAProfile-1.1#Attachment-Complete-Signature-Transform"
WINS = "the packet that is kept is not the one that was signed"
SOURCES = "XOP 1.0; SwA profile 1.1; CVE-2022-46364, CVE-2024-28752; RFC 2046 differentials"
ROOT, PART = "envelope@attacker", "packet@attacker"


def include(href: str, inner: str = "", attributes: str = "") -> str:
    return f'<xop:Include xmlns:xop="{XOP}" href="{href}"{attributes}>{inner}</xop:Include>'


def kind(form: Form) -> str:
    return "text/xml" if form.version == "1.1" else "application/soap+xml"


Part = tuple[str, bytes]  # its header lines, its octets


def root_part(form: Form, envelope: bytes, mtom: bool, content_id: str = ROOT) -> Part:
    media = f'application/xop+xml; charset=UTF-8; type="{kind(form)}"' if mtom else f"{kind(form)}; charset=UTF-8"
    return f"Content-Type: {media}\r\nContent-ID: <{content_id}>", envelope


def packet_part(
    octets: bytes, content_id: str = PART, media: str = "application/octet-stream", encoding: str = "binary"
) -> Part:
    return f"Content-Type: {media}\r\nContent-Transfer-Encoding: {encoding}\r\nContent-ID: <{content_id}>", octets


def package(parts: list[Part], boundary: str = "b-1") -> bytes:
    whole = b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + octets + b"\r\n" for head, octets in parts)
    return whole + f"--{boundary}--\r\n".encode()


def headers(
    form: Form,
    mtom: bool,
    *,
    start: str | None = f"<{ROOT}>",
    boundary: str = "b-1",
    extra: str = "",
    media: str | None = None,
) -> dict[str, str]:
    chosen = media or ("application/xop+xml" if mtom else kind(form))
    said = f'multipart/related; type="{chosen}"' + (f'; start="{start}"' if start else "")
    said += f'; start-info="{kind(form)}"' if mtom else ""
    standing = form.headers()
    standing["Content-Type"] = f'{said}; boundary="{boundary}"{extra}'
    return standing


def mtom(case: Case, put: str | None = None, **how: Any) -> bytes:
    """An envelope signed as it would be inline, its packet then replaced by an Include."""
    signed = case.message(case.honest, Sealing(**how)) if how else case.base
    return signed.replace(b64(case.packet).encode(), (put or include(f"cid:{PART}")).encode())


def swa(
    case: Case,
    *,
    cover: bool = True,
    uri: str = f"cid:{PART}",
    text: str | None = None,
    octets: bytes | None = None,
    chain: str = CONTENT,
    uris: int = 1,
) -> bytes:
    """An envelope that names its packet, and signs it by a Reference of its own."""
    operation = case.honest.replace(b64(case.packet), f"cid:{PART}" if text is None else text)

    def references(_: Letter, true: list[Reference]) -> list[Reference]:
        value = b64(hashlib.sha256(case.packet if octets is None else octets).digest())
        return true + [Reference(uri, value, transforms=(chain,))] * (uris if cover else 0)

    return seal(frame(case.form, case.sender, operation), case.form, case.sender, Sealing(references=references))


def ask(campaign: Campaign) -> None:
    """Does the hub take an honest MTOM message?"""
    form = Form()
    case = Case(campaign, Attack("multipart", "question", "", "", lambda _: None), 0)
    body = package([root_part(form, mtom(case), mtom=True), packet_part(case.packet)])
    answer = campaign.line(case.sender).post(body, headers(form, mtom=True))
    campaign.speaks_multipart = answer.accepted
    if answer.accepted:
        campaign.take(case, answer)


def sent(parts: Callable[[Case], list[Part]], *, by_mtom: bool = True, **said: Any) -> Callable[[Case], Shot]:
    return lambda case: Shot(package(parts(case)), headers(case.form, by_mtom, **said), may_close=True)


def both(envelope: bytes, octets: bytes, form: Form, *, by_mtom: bool = True) -> list[Part]:
    return [root_part(form, envelope, by_mtom), packet_part(octets)]


def mtoms() -> dict[str, tuple[Callable[[Case], list[Part]], str]]:
    def plain(
        put: str | None = None, *more: Part, octets: Callable[[Case], bytes] = lambda case: case.packet
    ) -> Callable[[Case], list[Part]]:
        def parts(case: Case) -> list[Part]:
            chosen = (
                None
                if put is None
                else put.replace("@CANARY@", case.campaign.canary.url).replace("@B64@", b64(case.packet))
            )
            return [*both(mtom(case, chosen), octets(case), case.form), *more]

        return parts

    def elsewhere(find: Callable[[Case, str], str], *, evil: bool = False) -> Callable[[Case], list[Part]]:
        """An Include in another signed or unsigned place; its octets in a part of their own."""

        def parts(case: Case) -> list[Part]:
            text = mtom(case).decode()
            value = find(case, text)
            octets = b"evil" if evil else _decode(value)
            return [
                *both(
                    text.replace(f">{value}<", f">{include('cid:other@attacker')}<", 1).encode(), case.packet, case.form
                ),
                packet_part(octets, "other@attacker"),
            ]

        return parts

    def leaf(start: str, end: str, nth: int = 0) -> Callable[[Case, str], str]:
        def found(_: Case, text: str) -> str:
            at = -1
            for _again in range(nth + 1):
                at = text.index(start, at + 1)
            return text[at + len(start) : text.index(end, at)]

        return found

    evil = packet_part(b"evil", "other@attacker")
    return {
        "honest": (plain(), SAME),
        "the part exchanged": (plain(octets=lambda case: case.evil_packet), REFUSE),
        "the part altered by an octet": (plain(octets=lambda case: case.packet + b" "), REFUSE),
        "the part's line ends altered": (plain(octets=lambda case: case.packet.replace(b"\n", b"\r\n")), REFUSE),
        "the part empty": (plain(octets=lambda case: b""), REFUSE),
        "the part in base64, not said so": (plain(octets=lambda case: b64(case.packet).encode()), REFUSE),
        "no such part": (plain(include("cid:nothing@attacker")), REFUSE),
        "the part missing": (lambda case: [root_part(case.form, mtom(case), mtom=True)], REFUSE),
        "two parts of one id, honest first": (plain(None, packet_part(b"evil")), REFUSE),
        "two parts of one id, honest last": (lambda case: [root_part(case.form, mtom(case), mtom=True), packet_part(b"evil"), packet_part(case.packet)], REFUSE),
        "two parts, ids alike but for case": (plain(None, packet_part(b"evil", PART.upper())), REFUSE),
        "two parts, ids alike but for blanks": (plain(None, packet_part(b"evil", f" {PART} ")), REFUSE),
        "two parts, one id percent-encoded": (plain(None, packet_part(b"evil", PART.replace("@", "%40"))), REFUSE),
        "an unnamed part": (plain(None, ("Content-Type: text/plain", b"x")), REFUSE),
        "a part nobody names": (plain(None, evil), REFUSE),
        "http": (plain(include("@CANARY@/packet")), REFUSE),
        "file": (plain(include("file:///etc/passwd")), REFUSE),
        "ftp": (plain(include("ftp://127.0.0.1:1/x")), REFUSE),
        "data": (plain(include("data:;base64,@B64@")), REFUSE),
        "cid of a URL": (plain(include("cid:@CANARY@/packet")), REFUSE),
        "no scheme": (plain(include(PART)), REFUSE),
        "CID in capitals": (plain(include(f"CID:{PART}")), SAME),
        "percent-encoded": (plain(include(f"cid:{PART.replace('@', '%40')}")), SAME),
        "percent-encoded twice": (plain(include(f"cid:{PART.replace('@', '%2540')}")), REFUSE),
        "with a fragment": (plain(include(f"cid:{PART}#x")), REFUSE),
        "with a query": (plain(include(f"cid:{PART}?x")), REFUSE),
        "with a slash": (plain(include(f"cid:{PART}/x")), REFUSE),
        "empty": (plain(include("cid:")), REFUSE),
        "no href": (plain(f'<xop:Include xmlns:xop="{XOP}"/>'), REFUSE),
        "the envelope itself": (plain(include(f"cid:{ROOT}")), REFUSE),
        "two Includes": (plain(include(f"cid:{PART}") * 2), REFUSE),
        "an Include of two parts": (plain(include(f"cid:{PART}") + include("cid:other@attacker"), evil), REFUSE),
        "text before the Include": (plain(f"QUFB{include(f'cid:{PART}')}"), REFUSE),
        "text behind the Include": (plain(f"{include(f'cid:{PART}')}QUFB"), REFUSE),
        "the text beside the Include": (plain(f"@B64@{include('cid:other@attacker')}", evil), REFUSE),
        "a comment beside the Include": (plain(f"<!-- -->{include(f'cid:{PART}')}"), REFUSE),
        "a child in the Include": (plain(include(f"cid:{PART}", "<x/>")), REFUSE),
        "an Include within an Include": (plain(include("cid:other@attacker", include(f"cid:{PART}")), evil), REFUSE),
        "a second href": (plain(include("cid:other@attacker", attributes=f' xmlns:x="urn:x" x:href="cid:{PART}"'), evil), REFUSE),
        "an Include of another namespace": (plain(include(f"cid:{PART}").replace(XOP, f"{XOP}/")), REFUSE),
        "inline, with a part beside": (lambda case: [*both(case.base, b"evil", case.form)], REFUSE),
        "inline alone": (lambda case: [root_part(case.form, case.base, mtom=True)], SAME),
        "an Include for MessageId": (elsewhere(lambda case, text: case.message_id), REFUSE),
        "an Include for a false MessageId": (elsewhere(lambda case, text: case.message_id, evil=True), REFUSE),
        "an Include for the token": (elsewhere(leaf('#Base64Binary">', "<")), SAME),
        "an Include for a false token": (elsewhere(leaf('#Base64Binary">', "<"), evil=True), REFUSE),
        "an Include for SignatureValue": (elsewhere(leaf("<ds:SignatureValue>", "<")), SAME),
        "an Include for a false SignatureValue": (elsewhere(leaf("<ds:SignatureValue>", "<"), evil=True), REFUSE),
        "an Include for DigestValue": (elsewhere(leaf("<ds:DigestValue>", "<")), SAME),
        "an Include for a false DigestValue": (elsewhere(leaf("<ds:DigestValue>", "<", 1), evil=True), REFUSE),
        "an Include for Created": (elsewhere(leaf("<wsu:Created>", "<"), evil=True), REFUSE),
        "an Include in the header": (lambda case: [*both(mtom(case).replace(b"<s:Header>", f"<s:Header>{include('cid:other@attacker')}".encode()), case.packet, case.form), evil], SAME),
        "Body is an Include": (lambda case: [*both(_between(mtom(case), b"<d:SendDocument", b"</d:SendDocument>", include("cid:other@attacker").encode()), case.packet, case.form), evil], REFUSE),
        "the Include is what was signed": (lambda case: both(case.message(case.honest.replace(b64(case.packet), include(f"cid:{PART}"))), case.packet, case.form), REFUSE),
        "the Include is what was signed, the part exchanged": (lambda case: both(case.message(case.honest.replace(b64(case.packet), include(f"cid:{PART}"))), case.evil_packet, case.form), REFUSE),
        "a part that includes itself": (plain(octets=lambda case: include(f"cid:{PART}").encode()), REFUSE),
        "parts that include each other": (plain(include("cid:other@attacker"), packet_part(include(f"cid:{PART}").encode(), "other@attacker")), REFUSE),
        "seventeen parts": (plain(None, *[packet_part(b"", f"p{number}@x") for number in range(17)]), REFUSE),
        "ten thousand parts": (plain(None, *[packet_part(b"", f"p{number}@x") for number in range(10_000)]), REFUSE),
        "a part with ten thousand fields": (plain(None, ("\r\n".join(f"X-{number}: a" for number in range(10_000)), b"")), REFUSE),
        "a part with a field of a megabyte": (plain(None, ("X: " + "a" * 1_000_000, b"")), REFUSE),
        "multipart within": (plain(None, packet_part(package([packet_part(b"x")], "b-2"), "other@attacker", 'multipart/related; boundary="b-2"')), REFUSE),
        "multipart within, deep": (plain(None, packet_part(_nest(50), "other@attacker", 'multipart/mixed; boundary="n50"')), REFUSE),
        "a message within": (plain(None, packet_part(b"Content-Type: text/xml\r\n\r\nx", "other@attacker", "message/rfc822")), REFUSE),
        "a remote part": (plain(None, packet_part(b"", "other@attacker", 'message/external-body; access-type=URL; URL="http://127.0.0.1/"')), REFUSE),
        "an envelope of 2 MB": (lambda case: both(mtom(case).replace(b"<s:Header>", b"<s:Header>" + b" " * 2_000_000), case.packet, case.form), REFUSE),
        "a DOCTYPE": (lambda case: both(mtom(case).replace(b"?>", b"?><!DOCTYPE x>", 1), case.packet, case.form), REFUSE),
    }  # fmt: skip


def _decode(text: str) -> bytes:
    import base64
    import binascii

    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return text.encode()


def _between(octets: bytes, start: bytes, end: bytes, put: bytes) -> bytes:
    at, until = octets.index(start), octets.index(end) + len(end)
    return octets[:at] + put + octets[until:]


def _nest(depth: int) -> bytes:
    inner = b"x"
    for level in range(depth):
        inner = package([(f'Content-Type: multipart/mixed; boundary="n{level}"', inner)], f"n{level + 1}")
    return inner


def swas() -> dict[str, tuple[Callable[[Case], list[Part]], str]]:
    def made(
        octets: Callable[[Case], bytes] = lambda case: case.packet,
        media: str = "application/octet-stream",
        encoding: str = "binary",
        **how: Any,
    ) -> Callable[[Case], list[Part]]:
        return lambda case: [
            root_part(case.form, swa(case, **how), mtom=False),
            packet_part(octets(case), media=media, encoding=encoding),
        ]

    return {
        "honest": (made(), SAME),
        "the attachment exchanged": (made(lambda case: case.evil_packet), REFUSE),
        "the attachment altered": (made(lambda case: case.packet + b"\n"), REFUSE),
        "the attachment not signed": (made(cover=False), REFUSE),
        "the attachment not signed, exchanged": (made(lambda case: case.evil_packet, cover=False), REFUSE),
        "another attachment signed": (made(uri="cid:other@attacker"), REFUSE),
        "another attachment signed, both there": (lambda case: [root_part(case.form, swa(case, uri="cid:other@attacker"), mtom=False), packet_part(case.evil_packet), packet_part(case.packet, "other@attacker")], REFUSE),
        "signed twice": (made(uris=2), REFUSE),
        "signed by exclusive C14N": (made(chain="http://www.w3.org/2001/10/xml-exc-c14n#"), REFUSE),
        "signed by Attachment-Complete": (made(chain=COMPLETE), REFUSE),
        "signed by base64": (made(chain="http://www.w3.org/2000/09/xmldsig#base64"), REFUSE),
        "digest of nothing": (made(octets=lambda case: b""), REFUSE),
        "an attachment of text": (made(media="text/plain"), REFUSE),
        "an attachment of XML": (made(media="text/xml"), REFUSE),
        "an attachment of XML, by suffix": (made(media="application/x+xml"), REFUSE),
        "a remote packet": (lambda case: [root_part(case.form, swa(case, text=f"{case.campaign.canary.url}/p"), mtom=False), packet_part(case.packet)], REFUSE),
        "a remote reference": (lambda case: [root_part(case.form, swa(case, uri=f"{case.campaign.canary.url}/p"), mtom=False), packet_part(case.packet)], REFUSE),
        "a packet of a file": (made(text="file:///etc/passwd"), REFUSE),
        "two cids in Packet": (made(text=f"cid:{PART} cid:{PART}"), REFUSE),
        "a cid and base64 in Packet": (made(text=f"QUFBcid:{PART}"), REFUSE),
        "the packet inline, an attachment beside": (lambda case: [root_part(case.form, case.base, mtom=False), packet_part(b"evil")], REFUSE),
        "two attachments of one id": (lambda case: [root_part(case.form, swa(case), mtom=False), packet_part(case.packet), packet_part(case.evil_packet)], REFUSE),
        "two attachments of one id, honest last": (lambda case: [root_part(case.form, swa(case), mtom=False), packet_part(case.evil_packet), packet_part(case.packet)], REFUSE),
        "base64, said so": (made(lambda case: b64(case.packet).encode(), encoding="base64"), SAME),
        "base64 with rubbish": (made(lambda case: b"*" + b64(case.packet).encode(), encoding="base64"), REFUSE),
        "quoted-printable": (made(encoding="quoted-printable"), REFUSE),
        "uuencode": (made(encoding="x-uuencode"), REFUSE),
        "7bit that is not": (made(lambda case: case.packet, encoding="7bit"), SAME),
        "an XOP Include in SwA": (lambda case: [root_part(case.form, mtom(case), mtom=False), packet_part(case.packet)], REFUSE),
    }  # fmt: skip


def wrappings() -> Iterator[tuple[str, Callable[[Case], Shot], str]]:
    """The outermost form: boundaries, start, types."""

    def whole(change: Callable[[Case, bytes], bytes], **said: Any) -> Callable[[Case], Shot]:
        return lambda case: Shot(
            change(case, package(both(mtom(case), case.packet, case.form))),
            headers(case.form, mtom=True, **said),
            may_close=True,
        )

    def as_it_is(case: Case, body: bytes) -> bytes:
        return body

    def evil_root(case: Case) -> Part:
        return root_part(
            case.form,
            seal(frame(case.form, case.sender, case.evil), case.form, case.sender, Sealing(value=lambda _: b"x" * 256)),
            mtom=True,
            content_id="evil@attacker",
        )

    def two_roots(first: bool) -> Callable[[Case, bytes], bytes]:
        def change(case: Case, _: bytes) -> bytes:
            honest, packet = both(mtom(case), case.packet, case.form)
            return package([evil_root(case), honest, packet] if first else [honest, packet, evil_root(case)])

        return change

    yield "start names nothing", whole(as_it_is, start="<nothing@attacker>"), REFUSE
    yield "start names the packet", whole(as_it_is, start=f"<{PART}>"), REFUSE
    yield "start without brackets", whole(as_it_is, start=ROOT), SAME
    yield "no start", whole(as_it_is, start=None), SAME
    yield "no start, false envelope first", whole(two_roots(True), start=None), REFUSE
    yield "start false, false envelope last", whole(two_roots(False), start="<evil@attacker>"), REFUSE
    yield "two starts", whole(as_it_is, extra=f'; start="<{PART}>"'), REFUSE
    yield "two boundaries", whole(as_it_is, extra='; boundary="b-2"'), REFUSE
    yield (
        "no boundary",
        lambda case: Shot(
            package(both(mtom(case), case.packet, case.form)),
            {**headers(case.form, mtom=True), "Content-Type": 'multipart/related; type="application/xop+xml"'},
            may_close=True,
        ),
        REFUSE,
    )
    yield "boundary empty", whole(as_it_is, boundary=""), REFUSE
    yield (
        "boundary of 200 letters",
        lambda case: Shot(
            package(both(mtom(case), case.packet, case.form), "b" * 200),
            headers(case.form, mtom=True, boundary="b" * 200),
            may_close=True,
        ),
        REFUSE,
    )
    yield "boundary shorter than written", whole(as_it_is, boundary="b-"), REFUSE
    yield "type says another", whole(as_it_is, media="text/plain"), REFUSE
    yield (
        "multipart/mixed",
        lambda case: Shot(
            package(both(mtom(case), case.packet, case.form)),
            {**headers(case.form, mtom=True), "Content-Type": 'multipart/mixed; boundary="b-1"'},
            may_close=True,
        ),
        REFUSE,
    )
    yield "a preamble", whole(lambda _, body: b"preamble\r\n" + body), REFUSE
    yield "a false preamble", whole(lambda case, body: b"--b-1x\r\n\r\nx\r\n" + body), REFUSE
    yield "an epilogue", whole(lambda _, body: body + b"epilogue"), REFUSE
    yield "a package behind", whole(lambda case, body: body + package([evil_root(case)])), REFUSE
    yield "not closed", whole(lambda _, body: body.removesuffix(b"--b-1--\r\n")), REFUSE
    yield "line feeds", whole(lambda _, body: body.replace(b"\r\n", b"\n")), REFUSE
    yield "blanks behind a boundary", whole(lambda _, body: body.replace(b"--b-1\r\n", b"--b-1 \t\r\n")), REFUSE
    yield (
        "the boundary within the packet",
        whole(
            lambda case, body: body.replace(case.packet, case.packet[:100] + b"\r\n--b-1\r\n\r\n" + case.packet[100:])
        ),
        REFUSE,
    )
    yield (
        "a folded field",
        whole(lambda _, body: body.replace(b"Content-ID: <packet", b"Content-ID:\r\n <packet")),
        SAME,
    )
    yield (
        "a field twice",
        whole(
            lambda _, body: body.replace(b"Content-ID: <packet", b"Content-ID: <other@attacker>\r\nContent-ID: <packet")
        ),
        REFUSE,
    )
    yield "no blank line", whole(lambda _, body: body.replace(b"\r\n\r\n", b"\r\n", 1)), REFUSE
    yield (
        "UTF-8 in a field",
        whole(lambda _, body: body.replace(b"Content-ID: <packet", "X: đ\r\nContent-ID: <packet".encode())),
        REFUSE,
    )
    yield (
        "a NUL in a field",
        whole(lambda _, body: body.replace(b"Content-ID: <packet", b"X: \0\r\nContent-ID: <packet")),
        REFUSE,
    )
    yield (
        "start-info of the other SOAP",
        lambda case: Shot(
            package(both(mtom(case), case.packet, case.form)),
            {
                **headers(case.form, mtom=True),
                "Content-Type": headers(case.form, mtom=True)["Content-Type"].replace(
                    f'start-info="{kind(case.form)}"', 'start-info="text/html"'
                ),
            },
            may_close=True,
        ),
        REFUSE,
    )
    yield "cut", whole(lambda _, body: body[: len(body) // 2]), REFUSE
    yield "empty", whole(lambda _, body: b""), REFUSE
    yield "boundaries alone", whole(lambda _, body: b"--b-1\r\n" * 100_000), REFUSE


def packet_policy() -> Iterator[Attack]:
    """A partner whose packet is signed and whose envelope is not: its parts are bound by the packet's own signature."""
    for name, octets in {
        "exchanged": lambda case: case.evil_packet,
        "altered": lambda case: case.packet.replace(b"tin cay", b"gia mao"),
    }.items():

        def shoot(case: Case, octets: Callable[[Case], bytes] = octets) -> Shot:
            envelope = case.base.replace(b64(case.packet).encode(), include(f"cid:{PART}").encode())
            return Shot(package(both(envelope, octets(case), case.form)), headers(case.form, mtom=True), may_close=True)

        yield Attack("multipart", f"packet policy, the part {name}", SOURCES, WINS, shoot, role="packet")


def spoken(shoot: Callable[[Case], Shot]) -> Callable[[Case], Shot]:
    """Whatever the variant, a hub that does not speak multipart takes nothing of it."""

    def fired(case: Case) -> Shot:
        made = shoot(case)
        if not case.campaign.speaks_multipart:
            made.expect = REFUSE
        return made

    return fired


def attacks() -> Iterator[Attack]:
    for version in ("1.1", "1.2"):
        form = Form(version)
        for name, (parts, expect) in mtoms().items():
            yield Attack("mtom", name, SOURCES, WINS, spoken(sent(parts)), expect, form=form)
        for name, (parts, expect) in swas().items():
            yield Attack("swa", name, SOURCES, WINS, spoken(sent(parts, by_mtom=False)), expect, form=form)
        for name, shoot, expect in wrappings():
            yield Attack("multipart", name, SOURCES, WINS, spoken(shoot), expect, form=form)
    yield from packet_policy()
