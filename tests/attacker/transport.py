"""HTTP as the weapon: smuggling, framing, floods, media types and actions that say something else than the Body.

Knows RFC 9110 and 9112, the request-smuggling literature (Linhart et al. 2005, Kettle 2019), Twisted's own advisories, and SOAPAction
spoofing (Jensen et al. 2009).  A closed connection is answer enough here; a second answer, or a message taken, is not.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator

from tests.attacker.campaign import REFUSE, SAME, Attack, Case, Shot
from tests.attacker.honest import DOCUMENTS, Form, Sealing

SMUGGLING = "Linhart et al. 2005; Kettle 2019; CVE-2020-10108, -10109, CVE-2022-24801"
WINS = "a request is framed otherwise than it says"
SPOOFING = "Jensen et al. 2009, SOAPAction spoofing; CXF before 2.4.9"


def head(
    case: Case,
    *lines: str,
    method: str = "POST",
    target: str | None = None,
    version: str = "HTTP/1.1",
    host: bool = True,
) -> bytes:
    line = case.campaign.line(case.sender)
    standing = [f"{name}: {value}" for name, value in case.form.headers().items()]
    if host:
        standing.insert(0, f"Host: {line.host}:{line.port}")
    return ("\r\n".join([f"{method} {target or line.path} {version}", *standing, *lines]) + "\r\n\r\n").encode(
        "utf-8", "surrogateescape"
    )


def raw(make: Callable[[Case], list[bytes]], linger: float = 0.2, *, wait: bool = False) -> Callable[[Case], Shot]:
    return lambda case: Shot(pieces=make(case), linger=linger, may_close=True, may_wait=wait)


def chunk(octets: bytes) -> bytes:
    return f"{len(octets):x}\r\n".encode() + octets + b"\r\n"


def forged(case: Case) -> bytes:
    """A message that nobody signed, for the place where a smuggler would put it."""
    return case.message(case.evil, Sealing(value=lambda _: b"x" * 256))


def framings() -> dict[str, tuple[Callable[[Case], list[bytes]], str]]:
    def sized(length: str, *lines: str) -> Callable[[Case], list[bytes]]:
        return lambda case: [head(case, f"Content-Length: {length.format(len(case.base))}", *lines), case.base]

    def chunked(
        *lines: str, make: Callable[[bytes], bytes] = lambda base: chunk(base) + b"0\r\n\r\n"
    ) -> Callable[[Case], list[bytes]]:
        return lambda case: [head(case, *(lines or ("Transfer-Encoding: chunked",))), make(case.base)]

    def smuggled(*lines: str, outer: Callable[[Case], bytes]) -> Callable[[Case], list[bytes]]:
        return lambda case: [head(case, *(line.format(len(case.base)) for line in lines)), outer(case)]

    def inner_chunks(case: Case) -> bytes:
        return chunk(case.base) + b"0\r\n\r\n" + head(case, f"Content-Length: {len(case.base)}") + case.base

    return {
        "two Content-Lengths": (sized("{}", "Content-Length: 0"), REFUSE),
        "two Content-Lengths, the same": (lambda case: sized("{}", f"Content-Length: {len(case.base)}")(case), SAME),
        "Content-Length with a list": (sized("{0}, {0}"), SAME),
        "Content-Length with a plus": (sized("+{}"), REFUSE),
        "Content-Length in hexadecimal": (lambda case: [head(case, f"Content-Length: {len(case.base):#x}"), case.base], REFUSE),
        "Content-Length with an underscore": (lambda case: [head(case, f"Content-Length: {len(case.base):_}"), case.base], REFUSE),
        "Content-Length negative": (sized("-1"), REFUSE),
        "Content-Length of a huge number": (sized("9" * 40), REFUSE),
        "Content-Length of 5000 digits": (sized("9" * 5000), REFUSE),
        "Content-Length just over the limit": (sized("40000001"), REFUSE),
        "Content-Length blank": (sized(" "), REFUSE),
        "Content-Length in Arabic": (lambda case: [head(case, "Content-Length: ٤٢"), case.base], REFUSE),
        "no length": (lambda case: [head(case), case.base], REFUSE),
        "Content-Length and chunked": (smuggled("Content-Length: {}", "Transfer-Encoding: chunked", outer=inner_chunks), REFUSE),
        "chunked and Content-Length": (smuggled("Transfer-Encoding: chunked", "Content-Length: 5", outer=inner_chunks), REFUSE),
        "chunked twice": (chunked("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), REFUSE),
        "chunked, identity": (chunked("Transfer-Encoding: chunked, identity"), REFUSE),
        "identity": (chunked("Transfer-Encoding: identity"), REFUSE),
        "gzip, chunked": (chunked("Transfer-Encoding: gzip, chunked"), REFUSE),
        "xchunked": (chunked("Transfer-Encoding: xchunked"), REFUSE),
        "chunked with a tab": (chunked("Transfer-Encoding:\tchunked"), SAME),
        "chunked with a blank before the colon": (chunked("Transfer-Encoding : chunked"), REFUSE),
        "chunked in a folded line": (chunked("Transfer-Encoding:\r\n chunked"), REFUSE),
        "chunked in quotes": (chunked('Transfer-Encoding: "chunked"'), REFUSE),
        "a chunk of hexadecimal with a prefix": (chunked(make=lambda base: b"0x" + chunk(base) + b"0\r\n\r\n"), REFUSE),
        "a chunk with a plus": (chunked(make=lambda base: b"+" + chunk(base) + b"0\r\n\r\n"), REFUSE),
        "a chunk with a minus": (chunked(make=lambda base: b"-" + chunk(base) + b"0\r\n\r\n"), REFUSE),
        "a chunk with an extension": (chunked(make=lambda base: f"{len(base):x};a=b\r\n".encode() + base + b"\r\n0\r\n\r\n"), SAME),
        "a chunk with an endless extension": (chunked(make=lambda base: b"1;" + b"a" * 2_000_000 + b"\r\n"), REFUSE),
        "a chunk's size without end": (chunked(make=lambda base: b"0" * 2_000_000), REFUSE),
        "a chunk larger than the limit": (chunked(make=lambda base: b"fffffff\r\n" + base), REFUSE),
        "a chunk larger than its size": (chunked(make=lambda base: b"5\r\n" + base + b"\r\n0\r\n\r\n"), REFUSE),
        "chunks over the limit": (lambda case: [head(case, "Transfer-Encoding: chunked"), *[chunk(b" " * 1_000_000)] * 45], REFUSE),
        "chunks of one octet": (chunked(make=lambda base: b"".join(chunk(base[at : at + 1]) for at in range(len(base))) + b"0\r\n\r\n"), SAME),
        "chunks ending in line feeds": (chunked(make=lambda base: f"{len(base):x}\n".encode() + base + b"\n0\n\n"), REFUSE),
        "trailers": (chunked(make=lambda base: chunk(base) + b"0\r\nContent-Length: 0\r\n\r\n"), SAME),
        "trailers without end": (chunked(make=lambda base: chunk(base) + b"0\r\n" + b"a: b\r\n" * 200_000), REFUSE),
        "a request behind the first": (lambda case: [head(case, f"Content-Length: {len(case.base)}") + case.base + head(case, f"Content-Length: {len(forged(case))}") + forged(case)], SAME),
        "thirty requests at once": (lambda case: [(head(case, f"Content-Length: {len(case.base)}") + case.base) * 30], SAME),
        "Expect: 100-continue": (sized("{}", "Expect: 100-continue"), SAME),
        "Expect: something": (sized("{}", "Expect: 200-maybe"), SAME),
        "Upgrade": (sized("{}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), SAME),
        "HTTP/0.9": (lambda case: [b"POST /soap/documents\r\n\r\n" + case.base], REFUSE),
        "HTTP/1.0": (lambda case: [head(case, f"Content-Length: {len(case.base)}", version="HTTP/1.0"), case.base], SAME),
        "HTTP/3.0": (lambda case: [head(case, f"Content-Length: {len(case.base)}", version="HTTP/3.0"), case.base], SAME),
        "HTTP/2 preface": (lambda case: [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], REFUSE),
        "line feeds alone": (lambda case: [(head(case, f"Content-Length: {len(case.base)}").replace(b"\r\n", b"\n")), case.base], REFUSE),
        "no Host": (lambda case: [head(case, f"Content-Length: {len(case.base)}", host=False), case.base], REFUSE),
        "two Hosts": (sized("{}", "Host: evil.example"), REFUSE),
        "garbage": (lambda case: [b"\x16\x03\x01" + bytes(500) + b"\r\n\r\n"], REFUSE),
        "half a request": (lambda case: [head(case, "Content-Length: 100000"), b"<s:"], REFUSE),
    }  # fmt: skip


# To an HTTP parser these are requests that have not come whole.
UNFINISHED = {"half a request", "a chunk larger than the limit", "HTTP/0.9"}


def headers(**changes: str | None) -> Callable[[Case], Shot]:
    def shoot(case: Case) -> Shot:
        standing = case.form.headers()
        for name, value in changes.items():
            name = name.replace("_", "-")  # noqa: PLW2901
            if value is None:
                standing.pop(name, None)
            else:
                standing[name] = value
        return Shot(case.base, standing)

    return shoot


def lines(*extra: str) -> Callable[[Case], Shot]:
    return lambda case: Shot(
        pieces=[head(case, f"Content-Length: {len(case.base)}", *extra), case.base], may_close=True
    )


def packed(how: str, octets: Callable[[bytes], bytes]) -> Callable[[Case], Shot]:
    return lambda case: Shot(octets(case.base), {**case.form.headers(), "Content-Encoding": how})


def spoofed(version: str) -> Iterator[Attack]:
    """The action names another operation than the Body."""
    form = Form(version)
    actions = {
        "another operation": f"{DOCUMENTS}/ConfirmReceived",
        "an unknown operation": f"{DOCUMENTS}/Unknown",
        "another service": "urn:lienthong:dossiers:1/SendDocument",
        "the operation alone": "SendDocument",
        "a longer one": f"{DOCUMENTS}/SendDocumentResponse",
        "in lower case": f"{DOCUMENTS}/senddocument",
        "with a blank": f"{DOCUMENTS}/SendDocument x",
    }
    for name, action in actions.items():
        if version == "1.1":
            yield Attack(
                "actions",
                name,
                SPOOFING,
                "the header chooses what is done",
                headers(SOAPAction=f'"{action}"'),
                form=form,
            )
        else:
            kind = f'application/soap+xml; charset=utf-8; action="{action}"'
            yield Attack(
                "actions", name, SPOOFING, "the header chooses what is done", headers(Content_Type=kind), form=form
            )
    if version == "1.1":
        right, wrong = f'"{DOCUMENTS}/SendDocument"', f'"{DOCUMENTS}/GetDocument"'
        for name, first, second in (("right first", right, wrong), ("wrong first", wrong, right)):

            def twice(case: Case, first: str = first, second: str = second) -> Shot:
                made = case.campaign.line(case.sender).head(
                    len(case.base), {"Content-Type": "text/xml", "SOAPAction": first, "soapaction": second}
                )
                return Shot(pieces=[made, case.base], may_close=True)

            yield Attack(
                "actions", f"two SOAPActions, {name}", SPOOFING, "the header chooses what is done", twice, form=form
            )


def media(version: str) -> Iterator[Attack]:
    form = Form(version)
    wins = "an envelope is read under a type that is not its own"
    source = "WS-I BP 1.1; RFC 7303; RFC 3902"
    other = "application/soap+xml" if version == "1.1" else "text/xml"
    for kind in (
        other, "text/plain", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png", "*/*", "",
        "application/octet-stream", "text/html", "application/xml", "text/xml2", "text/xmlx; charset=utf-8", "xml", "text/xml, text/plain",
        "application/dime", "multipart/related", "application/fastinfoset", "application/xop+xml", "application/soap+msbin1",
    ):  # fmt: skip
        yield Attack("media", f"type {kind!r}", source, wins, headers(Content_Type=kind), form=form)
    yield Attack("media", "no type", source, wins, headers(Content_Type=None), form=form)
    proper = "text/xml" if version == "1.1" else "application/soap+xml"
    for charset in ("utf-16", "utf-7", "us-ascii", "ibm037", "unknown", "utf-8; charset=utf-16", "'utf-8", "utf-8\tx"):
        name = f"charset {charset!r}, envelope UTF-8"
        yield Attack("media", name, source, wins, headers(Content_Type=f"{proper}; charset={charset}"), SAME, form=form)
    yield Attack("media", "two types", source, wins, lines("Content-Type: text/plain"), SAME, form=form)
    for how, octets in {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "x-gzip": gzip.compress,
        "br": lambda base: base,
        "GZIP": gzip.compress,
        "gzip, gzip": lambda base: gzip.compress(gzip.compress(base)),
        "a gzip bomb": lambda base: gzip.compress(b" " * 50_000_000),
        "compress": lambda base: base,
    }.items():
        called = "gzip" if "bomb" in how else how
        yield Attack("media", f"Content-Encoding {how}", "CVE-2025-25293", wins, packed(called, octets), form=form)


def targets() -> Iterator[Attack]:
    wins = "another path or method is the service, or gives a file away"
    source = "OWASP path traversal, verb tampering"
    for target in (
        "/soap/documents/", "//soap/documents", "/soap/./documents", "/soap/x/../documents", "/soap%2fdocuments", "/SOAP/documents", "/soap/documents;x",
        "/soap/documents%00", "/soap/documents/..", "/", "/soap", "/admin", "/healthz", "/api/v1", "*", "/soap/documents\\..", "/soap/reports",
        "https://evil.example/soap/documents", "/soap/documents?wsdl", "/soap/documents#x", "/%73oap/documents",
    ):  # fmt: skip
        make = lambda case, target=target: [head(case, f"Content-Length: {len(case.base)}", target=target), case.base]  # noqa: E731
        yield Attack("targets", f"POST {target}", source, wins, raw(make, 0), SAME)
    for target in (
        "?xsd=../../hub.toml", "?xsd=../hub.toml", "?xsd=/etc/passwd", "?xsd=..%2f..%2fhub.toml", "?xsd=documents.xsd%00", "?xsd=", "?xsd",
        "?wsdl=../x", "?xsd=file:///etc/passwd", "?xsd=documents.xsd&xsd=../x", "?xsd=" + "a" * 100_000, "?wsdl&" + "a=b&" * 20_000,
    ):  # fmt: skip
        make = lambda case, target=target: [head(case, method="GET", target=f"/soap/documents{target}")]  # noqa: E731
        yield Attack("targets", f"GET {target[:40]}", source, wins, raw(make, 0), SAME)
    for method in (
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "post",
        "GET",
        "POST\tx",
        "X" * 100_000,
    ):

        def make(case: Case, method: str = method) -> list[bytes]:
            override = "X-HTTP-Method-Override: POST"
            return [head(case, f"Content-Length: {len(case.base)}", override, method=method), case.base]

        yield Attack("targets", f"method {method[:20]}", source, wins, raw(make, 0))


def attacks() -> Iterator[Attack]:
    for name, (make, expect) in framings().items():
        yield Attack("framing", name, SMUGGLING, WINS, raw(make, wait=name in UNFINISHED), expect)
    floods = {
        "ten thousand headers": [f"X-{number}: a" for number in range(10_000)],
        "a header of a megabyte": ["X-Long: " + "a" * 1_000_000],
        "a header name of a megabyte": ["X" * 1_000_000 + ": a"],
        "a thousand cookies": ["Cookie: a=b"] * 1000,
        "a header without colon": ["Nonsense"],
        "a header with a NUL": ["X: a\0b"],
        "a header with a bare return": ["X: a\rContent-Length: 0"],
        "an empty header name": [": a"],
        "a header in UTF-8": ["X: đơn vị"],
        "proxies' words": [
            "X-Forwarded-For: 127.0.0.1",
            "X-SSL-Client-Cert: x",
            "X-Client-DN: CN=recipient",
            "Forwarded: for=127.0.0.1",
        ],
        "Authorization": ["Authorization: Basic YWRtaW46YWRtaW4="],
        "a range": ["Range: bytes=0-1"],
    }
    for name, extra in floods.items():
        yield Attack(
            "framing",
            name,
            "Twisted advisories; Slowloris",
            "it costs memory, or changes who is asking",
            lines(*extra),
            SAME,
        )
    for version in ("1.1", "1.2"):
        yield from spoofed(version)
        yield from media(version)
    yield from targets()
