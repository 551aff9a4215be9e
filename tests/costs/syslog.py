"""Syslog: what comes over one connection, many small messages or one as long as may be, and the incidents in them."""

import contextlib
from collections.abc import Mapping

from hub.domain.errors import Rejected
from hub.formats import syslog
from hub.formats.syslog import Stream, Unframed
from hub.services.incidents import RULES, parse_incident_line
from tests.pki import NOW

DIMENSIONS: dict[str, int | None] = {
    "messages": None,
    "elements": 100,
    "parameters": 1000,  # of each element
    "value": None,  # its length
    "escapes": None,
    "text": None,
    "foreign": None,  # octets of the text that are no UTF-8
    "empty": None,  # messages with nothing in them
    "tiny": None,  # messages that are none
    "breaks": None,
}
FILLER = "breaks"
FORMS = {"framing": ("counted", "lines"), "cut": ("whole", "chunks", "octets"), "closed": ("yes", "yes", "no")}

WORST = [
    ({"tiny": 30_000}, {"framing": "lines", "cut": "octets", "closed": "yes"}),
    ({"elements": 99, "parameters": 10}, {"framing": "counted", "cut": "whole", "closed": "yes"}),
    ({"escapes": 30_000}, {"framing": "counted", "cut": "whole", "closed": "yes"}),
]


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    value = b"a" * have["value"] + b'\\"' * have["escapes"]
    given = b"".join(b' p%d="%s"' % (number, value if number < 1 else b"") for number in range(have["parameters"]))
    data = b'[incident@32473 id="1" unit="H55.13"%s' % (b' v="%s"' % value if value else b"")
    data += (b"]" if form["closed"] == "yes" else b"") + b"".join(
        b"[e%d%s]" % (number, given) for number in range(have["elements"])
    )
    line = b"<130>1 2026-11-24T01:00:00Z h a - - %s %s%s" % (data, b"x" * have["text"], b"\xff" * have["foreign"])
    one = b"%d %s" % (len(line), line) if form["framing"] == "counted" else line + b"\n"
    tiny = b"1 x" if form["framing"] == "counted" else b"<\n"
    return one * max(1, have["messages"]) + tiny * have["tiny"] + b"<\n" * have["empty"] + b"\n" * have["breaks"]


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    """Return *content* with how it comes in pieces before it."""
    return form["cut"].encode() + b":" + content


def read(content: bytes) -> None:
    cut, _, octets = content.partition(b":")
    step = {b"whole": len(octets) or 1, b"chunks": 1400, b"octets": 16}[cut]
    stream = Stream()
    with contextlib.suppress(Unframed):
        for at in range(0, len(octets), step):
            for each in stream.feed(octets[at : at + step]):
                with contextlib.suppress(ValueError, Rejected):
                    _ = parse_incident_line(syslog.read_syslog_message(each), NOW, RULES)
