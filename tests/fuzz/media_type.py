"""Headers of a request: read without an error whatever their octets, and, where RFC 9110 has a meaning for them, with that meaning."""

import re
from collections.abc import Iterator

from twisted.web.test.requesthelper import DummyChannel

from hub.domain.errors import CallRefused
from hub.formats.mime import read_media_type
from hub.soap import envelope
from hub.soap.envelope import SOAP12
from hub.web.soap_listener import BoundedRequest, _manner, _read_soap_version
from tests.fuzz.told import tell

LONGEST = 512
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t !-~\x80-\xff])*"'
HEADER = re.compile(rf"({TOKEN}/{TOKEN})((?:[ \t]*;[ \t]*(?:{TOKEN}=(?:{TOKEN}|{QUOTED}))?)*)[ \t]*")
PARAMETER = re.compile(rf"({TOKEN})=({QUOTED}|{TOKEN})")
ACTION = "urn:lienthong:documents:1/SendDocument"


def request(content: bytes) -> BoundedRequest:
    """Return a request whose headers are the lines of *content*."""
    made = BoundedRequest(DummyChannel(), False)
    for name, value in zip((b"content-type", b"soapaction", b"content-encoding"), content.split(b"\n"), strict=False):
        made.requestHeaders.addRawHeader(name, value.replace(b"\r", b"").strip(b" \t"))
    return made


def seeds() -> Iterator[bytes]:
    yield f'text/xml; charset=utf-8\n"{ACTION}"'.encode()
    yield f'application/soap+xml; charset="utf-8"; action="{ACTION}"\n""\nidentity'.encode()
    yield b'multipart/related; type="application/xop+xml"; boundary="a b"; start=\'<1>\'; x="\\""\n\ngzip'
    yield "text/xml;action=é;;\n'x'".encode()


def judge(content: bytes) -> None:
    asked = request(content)
    soap, agrees = _read_soap_version(asked), False
    try:
        manner = _manner(asked)
    except CallRefused as refused:
        envelope.write_fault("urn:x", refused.problems, server=False, tracking="")
        refusal: CallRefused | None = refused
    else:
        refusal = None
        agrees = envelope.action_matches(manner.action, ACTION)
        assert manner.soap == soap
        assert not agrees or (manner.action or "").strip().strip('"') in {"", ACTION}
    header = asked.getHeader("content-type") or ""
    media, parameters = read_media_type(header)
    meant = HEADER.fullmatch(header.strip(" \t"))
    tell(refusal is None, soap == SOAP12, agrees, meant is not None, min(len(parameters), 3))
    if meant is None:
        return
    assert media == meant[1].lower()
    pairs = [
        (name.lower(), re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value)
        for name, value in PARAMETER.findall(meant[2])
    ]
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        assert parameters == dict(pairs)
