"""Reads the head of an ordinary HTTP request in one step. Does not know connections, bodies or answers.

Nearly every request is ordinary: its head arrives in one piece, and nothing in it has to be decided. What is not
ordinary in any way, valid or not, gets None here and is read line by line by the parser of Twisted and the rules of
`connection_limits`. So this grammar accepts a part of what they accept, and reads that part in the same way.
"""

import re
from typing import NamedTuple

from twisted.web.http_headers import Headers, _nameEncoder

#: Maximum octets of an ordinary head, and maximum number of its fields.
_SIZE, _FIELDS = 8192, 64
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
#: The quantifiers of fields are possessive: what does not match is refused in linear time.
_HEAD = re.compile(rb"(%b{1,32}+) ([\x21-\x7e]++) HTTP/1\.1\r\n((?:%b++:[^\r\n\x00]*+\r\n)*+)\r\n" % (_TOKEN, _TOKEN))
_FIELD = re.compile(rb"([^:]++):([^\r]*+)\r\n")
#: The allowed value of Host: one word without a path, a user or a second host (RFC 9110, section 7.2).
HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+;=%:\[\]-]*")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_encode = _nameEncoder.encode
_UNUSUAL = frozenset({b"Transfer-Encoding", b"Expect", b"Upgrade"})


class PlainHead(NamedTuple):
    """The head of an ordinary request, which is always HTTP/1.1."""

    method: bytes
    target: bytes
    fields: Headers
    length: int  #: octets of the body
    size: int  #: octets of the head


def read_plain_head(data: bytes) -> PlainHead | None:
    """Return the head at the beginning of *data*, or None if it is not ordinary or not complete."""
    found = _HEAD.match(data, 0, _SIZE)
    if found is None:
        return None
    pairs = _FIELD.findall(found[3])
    if len(pairs) > _FIELDS:
        return None
    fields: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        fields.setdefault(_encode(name), []).append(value.strip(b" \t"))
    host, lengths = fields.get(b"Host", ()), fields.get(b"Content-Length", (b"0",))
    if len(host) != 1 or HOST.fullmatch(host[0]) is None or not _UNUSUAL.isdisjoint(fields):
        return None
    if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        return None
    headers = Headers()
    headers._rawHeaders = fields  # noqa: SLF001 - its methods would encode and clean again what is clean
    return PlainHead(found[1], found[2], headers, int(lengths[0]), found.end())
