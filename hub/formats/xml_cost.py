"""What reading a message will cost, estimated from its octets before anything is parsed.  Knows how markup is counted; reads no markup.

The unit is the *octet*: so many octets of an honest message cost as much CPU.  Eight of them are one microsecond on a machine where an
RSA-2048 signature costs 0.3 ms.  Work that is estimated below the workroom's threshold (32 KiB, so 4 ms) is done on the reactor's thread.
An estimate is never far too low for a message below that threshold, however it is written; it may be too high.

Beyond `WHOLE` octets only samples are counted: such work goes to a thread in any case, and whoever shares threads out fairly
charges the CPU time that was used, not this.
"""

import re
from collections.abc import Mapping

from hub.formats.spool import Octets

#: Octets that cost one microsecond.
MICROSECOND = 8
#: What reading costs at worst, whatever the message holds and whether it is taken or refused: so many seconds of CPU, and for each octet
#: so many microseconds; and, where that is less, what no message costs more than.  By reader, as tests/costs has them; none under 64 kB
#: costs over 0.25 s, none under 2 MB over 2 s.
WORST: Mapping[str, tuple[float, ...]] = {
    "envelope": (
        0.19,
        0.9,
    ),  # namespaces in scope under an inclusive canonical form; prefixes looked for at each element
    "packet": (0.1, 0.5),  # elements that no schema knows; two thousand recipients without a name
    "multipart": (0.05, 0.2),  # elements of the envelope, which has 1 MiB at most
    "dossiers": (0.05, 0.4),  # dossiers with days that no calendar has
    "declarations": (0.1, 0.6),  # cells that no form has
    "categories": (0.05, 0.3),  # rows of nothing but a code, each another
    "calendar": (0.18, 0.05),  # all that one message has room for: lines, days, facts
    "incident": (0.08, 0.05),  # ten of 256 KiB, full of comments
    "mail": (0.19, 0.8),  # heads of the shortest fields; fields that are nothing but semicolons
    "syslog": (0.03, 0.9),  # messages of one octet
    "agencies": (0.05, 0.6),  # rows with an older code, of which only the code is told
    "workbook": (0.045, 3.15, 1.95),  # cells with nothing but zeros, which compress best
}
#: An estimate for what cannot be looked into: no reactor thread does it, and no honest call of 8 KB is estimated so dear.
DEAR = 256 * 1024
#: A message is counted whole up to so many octets; of a larger one `_SAMPLES` slices of `_SAMPLE` octets are.
WHOLE = 128 * 1024
_SAMPLES, _SAMPLE = 16, 4096

#: Nanoseconds of each `<` of a call (scan, tree, canonical form, contract), of each `<` of a packet (two schemas, tidying and telling what
#: is wrong, too) and of each `=`, which is an attribute if it is not in a text.
_TAG, _PACKET_TAG, _ATTRIBUTE = 3_500, 10_000, 1_000
#: Nanoseconds of each pair of namespace declarations, for each `<`: an inclusive canonical form compares all in scope, at each element.
_PAIR = 4
#: Prefixes of a PrefixList at most (`hub.security.xmldsig.MOST_PREFIXES`): each is looked for among the declarations, at each element.
_PREFIXES = 32
#: A part whose transfer encoding hides what is in it.
_HIDDEN = re.compile(rb"transfer-encoding:\s*base64", re.IGNORECASE)
#: What the name or the type of an attachment that is unpacked and read has in it (`hub.edxml.packet.READ`).
_ENCLOSED = (b".ics", b".xml", b"text/calendar")
_CARRIAGE_RETURN = re.compile(rb"&#(?:13|xd);")


def estimate_worst_cost(reader: str, size: int) -> float:
    """Return the seconds of CPU that *reader* takes at most for a message of *size* octets."""
    least, octet, *most = WORST[reader]
    return min(least + size * octet / 1_000_000, *most, float("inf"))


def estimate_call(body: bytes | Octets) -> int:
    """Estimate what `open_call` costs for *body*, an envelope or a multipart body: in octets, at least its length."""
    size, seen, factor = _seen(body)
    if _is_wide(seen) or (seen.lstrip()[:2] == b"--" and _HIDDEN.search(seen)):
        return max(size, DEAR)
    return size + _markup(seen, _TAG, factor)


def estimate_packet(packet: bytes | Octets) -> int:
    """Estimate what `judge_message` costs for *packet*: in octets, at least its length.

    A packet that may enclose a calendar or an incident report is dear: a ZIP of a kilobyte may hold hundreds.
    """
    size, seen, factor = _seen(packet)
    if _is_wide(seen) or _may_enclose(seen):
        return max(size, DEAR)
    return size + _markup(seen, _PACKET_TAG, factor)


def estimate_record(content: bytes | Octets) -> int:
    """Estimate what `judge_record` costs for *content*, the XML of a record: in octets, at least its length."""
    size, seen, factor = _seen(content)
    return max(size, DEAR) if _is_wide(seen) else size + _markup(seen, _PACKET_TAG, factor)


def _seen(octets: bytes | Octets) -> tuple[int, bytes, int]:
    """Return the length, what of the octets is counted, and how often that goes into the whole."""
    whole = Octets.of(octets) if isinstance(octets, bytes) else octets
    size = len(whole)
    if size <= WHOLE:
        return size, octets if isinstance(octets, bytes) else whole.read(), 1
    step = size // _SAMPLES
    seen = b"".join(whole.cut(at, at + _SAMPLE).read() for at in range(0, step * _SAMPLES, step))
    return size, seen, size // len(seen)


def _markup(seen: bytes, tag: int, factor: int) -> int:
    tags, declared = seen.count(b"<"), seen.count(b"xmlns")
    pairs = declared * (declared + _PREFIXES) * tags
    return factor * (tags * tag + seen.count(b"=") * _ATTRIBUTE + pairs * _PAIR) * MICROSECOND // 1000


def _may_enclose(seen: bytes) -> bool:
    """Tell whether a packet may enclose what the hub reads, though its name is cut in two by a comment or written in references."""
    low = seen.lower()
    if b"<!" in low:
        first, *others = low.split(b"<!--")
        parts = [each.partition(b"-->") for each in others]
        low = b"".join((first, *(after for _, _, after in parts)))
        if b"<!" in low or not all(end for _, end, _ in parts):  # a CDATA section may hold what looks like a comment
            return True
    if b"&#" in low and b"&#" in _CARRIAGE_RETURN.sub(b"", low):
        return True
    return any(each in low for each in _ENCLOSED)


def _is_wide(seen: bytes) -> bool:
    """Tell whether it may be UTF-16, in which no markup is found by its octets."""
    return b"\0" in seen[:4] or seen[:2] in {b"\xff\xfe", b"\xfe\xff"}
