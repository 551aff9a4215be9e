"""Estimates the cost of reading a message from its octets, before parsing. Counts markup characters. Parses no markup.

The unit is the *octet*: the CPU time per octet of a well-meant message. Eight octets are one microsecond on a machine
on which an RSA-2048 signature takes 0.3 ms. Work estimated below the threshold for worker threads (32 KiB, so 4 ms)
runs on the reactor thread. For a message below that threshold an estimate is never far too low, whatever the message
contains. It may be too high.

A long text without markup and blanks is not counted: at worst it costs an eighth of what as many octets of an ordinary
message cost. Beyond `EXAMINED` octets even such texts are too much for the reactor thread, so nothing is looked for, and beyond
`WHOLE` only samples are counted. Such work runs on a worker thread in any case, and the fair sharing of threads charges
the CPU time that was used, not the estimate.
"""

import binascii
import re
import threading
from collections.abc import Mapping, Sequence

from hub.formats.long_texts import find_long_texts
from hub.formats.markup_memory import MarkupMemory, split_document
from hub.formats.spool import Octets

#: Octets that cost one microsecond.
MICROSECOND = 8
#: The worst cost of reading, whatever the message contains and whether it is accepted or refused: seconds of CPU, then
#: microseconds per octet, then, if present, an upper bound in seconds. The keys are the readers in tests/costs, and
#: each comment describes the worst message. No message under 64 kB costs more than 0.25 s, and none under 2 MB more
#: than 2 s.
WORST: Mapping[str, tuple[float, ...]] = {
    # namespaces in scope under an inclusive canonical form; prefixes searched for at each element
    "envelope": (0.19, 0.9),
    "packet": (0.1, 0.5),  # elements that no schema knows; two thousand recipients without a name
    "multipart": (0.05, 0.2),  # elements of the envelope, which has at most 1 MiB
    "dossiers": (0.05, 0.4),  # dossiers with days that do not exist in the calendar
    "declarations": (0.1, 0.6),  # cells that are in no form
    "categories": (0.05, 0.3),  # rows that contain only a code, each a different one
    "calendar": (0.18, 0.05),  # all that one message may contain: lines, days, facts
    "incident": (0.08, 0.05),  # ten reports of 256 KiB, full of comments
    "mail": (0.19, 0.8),  # headers of very short fields; fields that consist of semicolons
    "syslog": (0.03, 0.9),  # messages of one octet
    "agencies": (0.05, 0.6),  # rows with an older code that tell nothing but their code
    "defined": (0.19, 0.9),  # items whose key is their only value, under as many rules as a service may have
    "workbook": (0.045, 3.15, 1.95),  # cells that contain only zeros, which compress best
    "old_workbook": (0.14, 0.4, 1.5),  # twenty sheets that are the same records
}
#: The estimate for content that cannot be examined. It never runs on the reactor thread, and no well-meant call of 8 KB
#: has so high an estimate.
DEAR = 256 * 1024
#: A text of more octets without markup and blanks costs at most 16 ns per octet: it is searched, decoded, hashed, or
#: refused. So many of its octets count as one.
LONG, _TEXT = 1 << 14, 8
_SHORTEST_LINE = 32  #: octets of a line in such a text
#: Long texts are looked for in a message of at most this many octets: one long text of as many would run on a thread.
EXAMINED = 256 * 1024
#: How the base64 of a ZIP begins, or that it has not begun yet, and how many letters at either end are looked at.
_ZIP_LETTERS, _END_LETTERS = re.compile(rb"[ \t\r\n]*(?:UEsD|&|\Z)"), 128
_ZIP_ENTRY = 32  #: cost of an entry of a ZIP's directory: 4 µs
#: The start tag of an element whose text is no name, so that what a packet may enclose does not depend on it.
_NAMELESS = re.compile(rb"<(?:[\w.-]+:)?ContentTransferEncoded(?:\s[^<>]*)?>")
#: A message of at most this many octets is counted whole. Of a larger one, `_SAMPLES` slices of `_SAMPLE` octets are
#: counted.
WHOLE = 128 * 1024
_SAMPLES, _SAMPLE = 16, 4096
_SPLIT = 16 * 1024  #: maximum octets that are split at all tags, however many there are
FEW = 2000  #: maximum tags at which larger content is split

#: Nanoseconds for each `<` of a call (scan, tree, canonical form, contract), for each `<` of a packet (also two
#: schemas, normalising and describing the errors), and for each `=`, which is an attribute unless it is in a text.
_TAG, _PACKET_TAG, _ATTRIBUTE = 3_500, 10_000, 1_000
#: Nanoseconds for each pair of namespace declarations at each `<`: an inclusive canonical form compares all in scope at
#: each element.
_PAIR = 4
#: Maximum prefixes of a PrefixList (`hub.security.xmldsig.MOST_PREFIXES`). Each is searched for among the declarations
#: at each element.
_PREFIXES = 32
#: A part whose content is hidden by its transfer encoding.
_HIDDEN = re.compile(rb"transfer-encoding:\s*base64", re.IGNORECASE)
#: Parts of the names and types of attachments that the hub unpacks and reads (`hub.edxml.packet.READ`).
_ENCLOSED = (b".ics", b".xml", b"text/calendar")
#: The cost of the markup of small documents, by the cost of a tag and by their tags: it does not depend on texts.
_COSTS = MarkupMemory()
_CARRIAGE_RETURN = re.compile(rb"&#(?:13|xd);")


def estimate_worst_cost(reader: str, size: int) -> float:
    """Return the maximum CPU time in seconds that *reader* takes for a message of *size* octets."""
    least, octet, *most = WORST[reader]
    return min(least + size * octet / 1_000_000, *most, float("inf"))


def estimate_call(body: bytes | Octets) -> int:
    """Estimate the cost of `open_call` for *body*, an envelope or a multipart body. In octets."""
    size, seen, factor = _estimate_visible(body)
    if _is_wide(seen) or (seen.lstrip()[:2] == b"--" and _HIDDEN.search(seen)):
        return max(size, DEAR)
    return size + _estimate_markup(seen, _TAG, factor)


def estimate_packet(packet: bytes | Octets) -> int:
    """Estimate the cost of `judge_message` for *packet*. In octets.

    A packet that may enclose a calendar or an incident report gets at least `DEAR`, because a ZIP of a kilobyte may
    hold hundreds of them.
    """
    size, seen, factor = _estimate_visible(packet, nameless=True)
    if _is_wide(seen) or _may_enclose(seen):
        return max(size, DEAR)
    return size + _estimate_markup(seen, _PACKET_TAG, factor)


def estimate_record(content: bytes | Octets) -> int:
    """Estimate the cost of `judge_record` for *content*, the XML of a record. In octets, at least its length."""
    whole = Octets.of(content) if isinstance(content, bytes) else content
    size, seen, factor = len(whole), *_take_sample(whole)
    return max(size, DEAR) if _is_wide(seen) else size + _estimate_markup(seen, _PACKET_TAG, factor)


class _Split(threading.local):
    """The content that one thread has split last: its cost is estimated just before it is read."""

    content = b""
    parts: Sequence[bytes] | None = (b"",)


_SPLIT_LAST = _Split()


def split_tags(content: bytes) -> Sequence[bytes] | None:
    """Return *content* split at each `<`. Return None if there are more than `FEW`."""
    if content is not _SPLIT_LAST.content:
        _SPLIT_LAST.parts = content.split(b"<") if len(content) <= _SPLIT else _split_few(content)
        _SPLIT_LAST.content = content
    return _SPLIT_LAST.parts


def _split_few(content: bytes) -> Sequence[bytes] | None:
    """Split *content* like `split_tags`. Skips a long text at once, where `bytes.split` looks at each octet."""
    parts, start, end = [], 0, content.find(b"<")
    while end >= 0:
        parts.append(content[start:end])
        if len(parts) > FEW:
            return None
        start, end = end + 1, content.find(b"<", end + 1)
    parts.append(content[start:])
    return parts


def _count_octet(content: bytes, octet: bytes) -> int:
    """Return how often *octet* occurs in *content*. Where it is as rare as markup, `bytes.count` is slower."""
    count, at = 0, content.find(octet)
    while at >= 0:
        count += 1
        if count > FEW:
            return content.count(octet)
        at = content.find(octet, at + 1)
    return count


def _estimate_visible(content: bytes | Octets, *, nameless: bool = False) -> tuple[int, bytes, int]:
    """Return the cost of *content* without its markup, the octets to count, and the factor from these to the whole.

    Long texts are left out of what is counted; with *nameless* only those that evidently are no name.
    """
    whole = Octets.of(content) if isinstance(content, bytes) else content
    size = len(whole)
    if size <= LONG or size > EXAMINED:
        return size, *_take_sample(whole)
    parts, at, left, entries = [], 0, 0, 0
    for start, end in find_long_texts(whole, LONG):
        part, text = whole.cut(at, start).read(), whole.cut(start, end).read()
        if not _has_words(text) and (not nameless or _NAMELESS.fullmatch(part, part.rfind(b"<"))):
            parts.append(part)
            at, left = end, left + end - start
            entries += _count_entries(text) if nameless else 0
    parts.append(whole.cut(at, size).read())
    seen = b"".join(parts)
    if nameless and b"<!" in seen:  # a comment or a CDATA section may contain what looks like a tag
        return size, *_take_sample(whole)
    return size - left + left // _TEXT + entries * _ZIP_ENTRY, seen, 1


def _has_words(text: bytes) -> bool:
    """Tell whether *text* has blanks, or more line ends than base64 has: it is dear to collapse them."""
    return b" " in text or b"\t" in text or (b"\n" in text and text.count(b"\n") > len(text) // _SHORTEST_LINE)


def _count_entries(text: bytes) -> int:
    """Return how many entries the directory of a ZIP whose base64 is *text* can have, by its end record.

    The shortest entry has 46 octets. So many as fit are assumed if no end record is at the end.
    """
    if not _ZIP_LETTERS.match(text[:_END_LETTERS]):
        return 0
    end = text[-_END_LETTERS:].translate(None, b" \t\r\n")[-32:]
    try:
        record = binascii.a2b_base64(end)[-22:]
    except binascii.Error:
        record = b""
    if record[:4] == b"PK\5\6" and record[-2:] == b"\0\0":
        return int.from_bytes(record[10:12], "little")
    return len(text) * 3 // 4 // 46


def _take_sample(whole: Octets) -> tuple[bytes, int]:
    """Return octets of *whole*, and the factor from these to all."""
    size = len(whole)
    if size <= WHOLE:
        return whole.read(), 1
    step = size // _SAMPLES
    seen = b"".join(whole.cut(at, at + _SAMPLE).read() for at in range(0, step * _SAMPLES, step))
    return seen, size // len(seen)


def _estimate_markup(seen: bytes, tag: int, factor: int) -> int:
    """Return the cost of the markup of *seen*, in octets, times *factor*. *tag* is the cost of one tag."""
    split = split_document(seen)
    if split is None:
        parts = split_tags(seen)
        return factor * _count_markup(seen, seen.count(b"<") if parts is None else len(parts) - 1, tag)
    cost: int | None = _COSTS.get((tag, split.tags))
    if cost is None:
        markup = b" ".join(split.tags)
        cost = _count_markup(markup, len(split.tags), tag)
        if _COSTS.is_due((tag, split.tags), len(markup)):
            _COSTS.keep((tag, split.tags), cost)
    return factor * cost


def _count_markup(markup: bytes, tags: int, tag: int) -> int:
    attributes, declared = _count_octet(markup, b"="), markup.count(b"xmlns")
    pairs = declared * (declared + _PREFIXES) * tags
    return (tags * tag + attributes * _ATTRIBUTE + pairs * _PAIR) * MICROSECOND // 1000


def _may_enclose(seen: bytes) -> bool:
    """Tell whether a packet may enclose content that the hub reads.

    A comment or a character reference may hide its name.
    """
    low = seen.lower()
    if b"!" in low and b"<!" in low:
        first, *others = low.split(b"<!--")
        parts = [each.partition(b"-->") for each in others]
        low = b"".join((first, *(after for _, _, after in parts)))
        # a CDATA section may contain text that looks like a comment
        if b"<!" in low or not all(end for _, end, _ in parts):
            return True
    if b"&" in low and b"&#" in _CARRIAGE_RETURN.sub(b"", low):
        return True
    return any(each in low for each in _ENCLOSED)


def _is_wide(seen: bytes) -> bool:
    """Tell whether the content may be UTF-16, in which markup cannot be found by its octets."""
    return b"\0" in seen[:4] or seen[:2] in {b"\xff\xfe", b"\xfe\xff"}
