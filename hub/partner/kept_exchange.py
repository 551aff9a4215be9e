"""Makes what the journal keeps of the last request and reply of an attempt: bounded, and without secrets.

Of the request it keeps method, URL and headers; its body is the stored message, or can be made of it again. Of the
reply it keeps status, headers and the first 64 KiB of the body. Headers that differ in every reply, such as Date, are
apart, so that equal replies are equal here too. Does not know the journal.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from html import escape
from urllib.parse import quote

import attrs

from hub.domain.conversations import Reply, Request

#: Octets of a reply's body that are kept.
BODY = 64 * 1024
#: Octets of the JSON text of a request and the head of its reply, at most.
HEAD = 8 * 1024
#: Octets of the JSON text of the headers that differ in every reply, at most.
VARYING = 512
#: Octets of one kept exchange at most, with its varying headers.
LARGEST = HEAD + BODY + VARYING
#: What stands in place of a secret.
CUT = "***"

#: Characters of a header that is remembered: a partner may send others, and longer ones, without end.
_USUAL = 1000
_URL, _NAME_LENGTH, _VALUE_LENGTH = 1500, 100, 500
#: A configured secret that is shorter than this is cut only where its name tells that it is one.
_SHORTEST = 4
#: Octets beyond `BODY` that are searched for secrets, because one may begin before the limit and end behind it.
_BEHIND = 4096
#: Headers of replies that differ although the replies are the same. People quote the ids to the partner.
_VARIES = frozenset(
    {
        *("date", "age", "expires", "etag", "last-modified", "server-timing", "x-response-time", "x-runtime"),
        *("x-request-id", "request-id", "x-correlation-id", "correlation-id", "activityid", "x-trace-id"),
        *("traceparent", "x-amzn-trace-id", "cf-ray", "via"),
    }
)
_SECRET_HEADER = re.compile(
    r"auth|cookie|token|secret|passw|pwd|api-?key|signature|session|credential|private", re.IGNORECASE
)
_NAMES = (
    rb"[\w.-]{0,40}?(?:passw(?:or)?d|passphrase|passcode|pwd|mat_?khau|secret(?:_?key)?|api[_-]?key"
    rb"|(?<!binarysecurity)token|credentials?|authorization|cookie|session_?id)"
)
_PREFIX = rb"(?:[\w.-]{1,40}:)?"
#: A text in which none of this stands, in lower case, has no secret that its name tells. Searching for each is a
#: hundred times as fast as the patterns.
_NEEDLES = (
    *(b"passw", b"passp", b"passc", b"pwd", b"khau", b"secret", b"apikey", b"api_key", b"api-key", b"credential"),
    *(b"authorization", b"cookie", b"sessionid", b"session_id", b"bearer", b"basic", b"private key"),
)
#: What has `token` in it without being one: the certificates of a signed reply, and where they stand.
_NO_TOKENS = (
    *(b"binarysecuritytoken", b"tokenreference", b"tokentype", b"-token-profile"),
    *(b'wsu:id="lt-token"', b'uri="#lt-token"'),  # as the hub itself signs (hub.security.signing)
)
_FLAGS = re.IGNORECASE | re.DOTALL
_MARK = CUT.encode()
#: Each pattern and what takes its place. A secret ends with its delimiter, or with the octets at hand.
_SECRETS: tuple[tuple[re.Pattern[bytes], bytes], ...] = (
    # elements, as they are and escaped in the text of another
    (re.compile(rb"(<(" + _PREFIX + _NAMES + rb")(?:\s[^<>]*)?(?<!/)>).*?(?=</\2\s*>|\Z)", _FLAGS), rb"\1" + _MARK),
    (
        re.compile(rb"(&lt;(" + _PREFIX + _NAMES + rb")(?:\s[^&<>]*)?&gt;).*?(?=&lt;/\2|<|\Z)", _FLAGS),
        rb"\1" + _MARK,
    ),
    # attributes
    (re.compile(rb"(\s" + _PREFIX + _NAMES + rb"\s*=\s*([\"'])).*?(?=\2|\Z)", _FLAGS), rb"\1" + _MARK),
    # members of JSON objects, as they are and in a string
    (re.compile(rb"(\"" + _NAMES + rb"\"\s*:\s*\")(?:\\.|[^\"\\])*", _FLAGS), rb"\1" + _MARK),
    (
        re.compile(rb"(\"" + _NAMES + rb"\"\s*:\s*)(?:[\[{][^\]}]*[\]}]?|[^\s\"\[\]{},]+)", _FLAGS),
        rb'\1"' + _MARK + b'"',
    ),
    (re.compile(rb"(\\{1,7}\"" + _NAMES + rb"\\{1,7}\"\s*:\s*\\{1,7}\").*?(?=\\\"|\Z)", _FLAGS), rb"\1" + _MARK),
    # fields of forms and of queries
    (re.compile(rb"((?:\A|[?&;\s])" + _NAMES + rb"=)[^&\s\"'<>;]+", _FLAGS), rb"\1" + _MARK),
    # what is known by its shape: HTTP credentials, JSON web tokens, private keys
    (re.compile(rb"\b(bearer|basic)\s+[\w.~+/=-]{8,}", _FLAGS), rb"\1 " + _MARK),
    (re.compile(rb"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", re.DOTALL), _MARK),
    (re.compile(rb"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL), rb"\1" + _MARK),
)


@attrs.frozen(kw_only=True)
class KeptExchange:
    """What is kept of a request and its reply. Equal exchanges have the same `sha256`."""

    sha256: str  #: of `head` and `body`, hexadecimal
    head: str  #: JSON object, as `read_exchange_head` reads it
    body: bytes  #: the beginning of the reply's body
    varying: str = ""  #: JSON object of the headers that differ in every reply; empty if there are none

    @property
    def size(self) -> int:
        """Octets of head and body."""
        return len(self.head) + len(self.body)


@attrs.frozen(kw_only=True)
class ExchangeHead:
    """The head of a kept exchange."""

    method: str
    url: str
    sent: tuple[tuple[str, str], ...]  #: headers of the request
    status: int | None  #: HTTP status of the reply; None: no reply came
    heard: tuple[tuple[str, str], ...]  #: headers of the reply, without those that vary
    size: int | None  #: octets of the reply's whole body
    left_out: str = ""  #: why no body is kept: `encoded` or `binary`
    more: int = 0  #: headers that were not kept, because the head would be too long

    @property
    def operation(self) -> str:
        """What was called: the SOAPAction, else the last piece of the URL's path."""
        action = next((value.strip('"') for name, value in self.sent if name.lower() == "soapaction"), "")
        return action or self.url.partition("?")[0].rstrip("/").rpartition("/")[2]


def keep_exchange(request: Request, reply: Reply | None, secrets: Collection[str]) -> KeptExchange:
    """Return what is kept of *request* and its *reply* (None: none came).

    *secrets* are the configured ones of the partner. Those of the request are left out, too.
    """
    hidden = _spell_secrets(frozenset((*secrets, *request.secrets)))
    room = [HEAD - 400]
    url = _cut_text(request.url, hidden)[:_URL]
    room[0] -= len(json.dumps(url))
    sent, left = _redact_headers(request.headers, hidden, room)
    said: dict[str, object] = {"method": request.method[:20], "url": url, "sent": sent}
    body, varying = b"", ""
    if reply is not None:
        steady = [(name, value) for name, value in reply.headers.items() if name not in _VARIES]
        heard, unkept = _redact_headers(steady, hidden, room)
        left += unkept
        body, why = _redact_body(reply, hidden)
        said |= {"status": reply.status, "heard": heard, "size": len(reply.body)}
        said |= {"left_out": why} if why else {}
        own, _ = _redact_headers(((n, v) for n, v in reply.headers.items() if n in _VARIES), hidden, [VARYING - 2])
        varying = json.dumps(dict(own)) if own else ""
    if left:
        said["more"] = left
    head = json.dumps(said, separators=(",", ":"))
    sha256 = hashlib.sha256(head.encode() + b"\n" + body).hexdigest()
    return KeptExchange(sha256=sha256, head=head, body=body, varying=varying)


def read_exchange_head(head: str) -> ExchangeHead:
    """Return the head of a kept exchange as `keep_exchange` wrote it."""
    said = json.loads(head)
    return ExchangeHead(
        method=said["method"],
        url=said["url"],
        sent=tuple((name, value) for name, value in said["sent"]),
        status=said.get("status"),
        heard=tuple((name, value) for name, value in said.get("heard", ())),
        size=said.get("size"),
        left_out=said.get("left_out", ""),
        more=said.get("more", 0),
    )


def read_varying_headers(varying: str | None) -> Mapping[str, str]:
    """Return the headers of one reply that differ in every reply."""
    return dict(json.loads(varying)) if varying else {}


def hide_secrets(text: str, secrets: Collection[str]) -> str:
    """Return *text*, which a partner wrote, with `***` in place of each of *secrets* of four letters or more."""
    octets = text.encode("utf-8", "surrogatepass")
    for each in _spell_secrets(frozenset(secrets)):
        octets = octets.replace(each, _MARK)
    return octets.decode("utf-8", "surrogatepass")


@lru_cache(64)
def _spell_secrets(secrets: frozenset[str]) -> tuple[bytes, ...]:
    """Return how *secrets* may be written: plainly, in a URL, in JSON, in XML. The longest first."""
    long = [each for each in secrets if len(each) >= _SHORTEST]
    if not long:
        return ()
    found = {way for each in long for way in _list_spellings(each)}
    return tuple(sorted((each.encode("utf-8", "surrogatepass") for each in found), key=len, reverse=True))


def _list_spellings(secret: str) -> tuple[str, ...]:
    ways = (secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1])
    return (*ways, escape(secret, quote=False), escape(secret))


def _cut_hidden(text: bytes, hidden: Iterable[bytes]) -> bytes:
    for each in hidden:
        if each in text:
            text = text.replace(each, _MARK)
    if not _may_hold_secrets(text):
        return text
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _may_hold_secrets(text: bytes) -> bool:
    low = text.lower()
    if b"eyJ" in text or any(each in low for each in _NEEDLES):
        return True
    if b"token" in low:
        for each in _NO_TOKENS:  # taken out, not counted: two of them may share one `token`
            low = low.replace(each, b"")
    return b"token" in low


@lru_cache(64)
def _cut_text(text: str, hidden: tuple[bytes, ...]) -> str:
    octets = _cut_hidden(text.encode("utf-8", "surrogatepass"), hidden)
    return re.sub(r"(?<=//)[^/@\s]*@", f"{CUT}@", octets.decode("utf-8", "replace"))


def _redact_headers(
    headers: Iterable[tuple[str, str]], hidden: tuple[bytes, ...], room: list[int]
) -> tuple[list[tuple[str, str]], int]:
    """Return the headers that fit into *room* (octets, is reduced), without secrets, and the number of the others."""
    kept, left = [], 0
    for name, value in headers:
        usual = len(name) + len(value) <= _USUAL
        pair, needs = (_redact_header if usual else _redact_header.__wrapped__)(name, value, hidden)
        if needs > room[0]:
            left += 1
            continue
        room[0] -= needs
        kept.append(pair)
    return kept, left


@lru_cache(256)  # nearly all headers are those of the message before
def _redact_header(name: str, value: str, hidden: tuple[bytes, ...]) -> tuple[tuple[str, str], int]:
    """Return a header without secrets, and the octets that it needs."""
    said = CUT if _SECRET_HEADER.search(name) else _cut_text(value, hidden)[:_VALUE_LENGTH]
    pair = (name[:_NAME_LENGTH], said)
    return pair, len(json.dumps(pair)) + 2


def _redact_body(reply: Reply, hidden: tuple[bytes, ...]) -> tuple[bytes, str]:
    """Return the beginning of the body without secrets, as UTF-8 where it was UTF-16; or why it is not kept."""
    if reply.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        return b"", "encoded"
    region = reply.body[: BODY + _BEHIND]
    whole = len(region) == len(reply.body)
    if region[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or region[:2] in (b"<\0", b"{\0"):
        region = region.decode("utf-16" if region[0] > 0xF0 else "utf-16-le", "replace").encode()
    elif region[:2] in (b"\0<", b"\0{"):
        region = region.decode("utf-16-be", "replace").encode()
    if b"\0" in region:
        return b"", "binary"
    text = _cut_hidden(region, hidden)
    return (text if whole else text[: max(0, len(text) - _BEHIND)])[:BODY], ""
