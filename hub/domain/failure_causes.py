"""Says which failures have one cause. A pure rule on the reason that the journal keeps of a failure.

Failures have one cause if they concern the same partner and their reasons are equal once everything is taken out that
differs each time: ids, numbers, times, addresses, paths, and names in quotes. The codes of the hub and of partners
stay. Does not know where causes are stored, nor which failures there are.
"""

import hashlib
import re
import unicodedata

import attrs

#: Characters read of a reason, and kept of what is left of it. Their number bounds the cost of the rule.
READ, KEPT = 1_000, 200
#: Hexadecimal digits of a digest.
DIGITS = 16
#: Stands for what is taken out.
GAP = "…"
#: Instead of a partner's code: the caller is no partner.
NOBODY = "-"
#: How the hub begins the reason of a dead delivery. The partner's words follow.
_BEGINNINGS = ("refused: ", "given up: ", "suspended: ", "set aside: ")
#: A code, such as `unit-unknown`, `E05`, `HTTP 503`, `N.From`.
_CODE = re.compile(r"(?:HTTP )?[A-Za-z0-9._-]{1,32}", re.ASCII)
#: Of the same letters, but an id, a number, a date or the code of an agency.
_NO_CODE = re.compile(r"[0-9]{5}|[0-9]-[0-9]|\.[0-9]|[0-9]\.", re.ASCII)
#: Text in quotes. An apostrophe within a word is no quote.
_QUOTED = re.compile(
    r"\"[^\"]{0,200}\"|(?<!\w)'[^']{0,200}'(?!\w)|“[^”]{0,200}”|‘[^’]{0,200}’|«[^»]{0,200}»|`[^`]{0,200}`"
)
#: A word that differs each time: with a digit, a slash or an at sign. The sign behind it stays.
_VARYING = re.compile(r"[\d/\\@]")
_SIGNS = ",.;:!?"
_NAME = re.compile(rf"(\S+)\.([0-9a-f]{{{DIGITS}}})")


@attrs.frozen
class FailureCause:
    """What failures have in common."""

    partner: str  #: its code, or `NOBODY`
    codes: tuple[str, ...]  #: of the hub or of the partner, as they are written in the reason
    text: str  #: the reason without what differs each time

    @property
    def digest(self) -> str:
        """Return the digest by which the journal finds the failures of this partner and cause."""
        return hashlib.sha256(f"{self.partner}\n{self.text.casefold()}".encode()).hexdigest()[:DIGITS]

    @property
    def name(self) -> str:
        """Return the name of the cause, such as `vpub.3f9c2a1b0d4e5f60`."""
        return write_cause_name(self.partner, self.digest)


def find_cause(partner: str | None, reason: str) -> FailureCause:
    """Return the cause of a failure that concerns *partner* (None: the caller is no partner) with this stored *reason*.

    Of a caller that is no partner only the codes count: a stranger writes the rest, and must not make causes at will.
    """
    codes: list[str] = []
    parts = [_read_part(part, codes) for part in unicodedata.normalize("NFC", reason[:READ]).split("; ")]
    text = "; ".join(parts if partner else codes)[:KEPT]
    return FailureCause(partner or NOBODY, tuple(dict.fromkeys(codes)), text)


def _read_part(part: str, codes: list[str]) -> str:
    """Return one part of a reason (`code: detail`) without what differs, and add its code to *codes*."""
    begin = next((each for each in _BEGINNINGS if part.startswith(each)), "")
    code, sign, detail = part.removeprefix(begin).partition(": ")
    if _CODE.fullmatch(code) and not _NO_CODE.search(code):
        codes.append(code)
        return f"{begin}{code}{sign}{remove_varying_words(detail)}"
    return begin + remove_varying_words(part.removeprefix(begin))


def remove_varying_words(text: str) -> str:
    """Return *text* with a gap in place of quoted text and of each word with a digit, a slash or an at sign."""
    words: list[str] = []
    for word in _QUOTED.sub(GAP, text).split():
        kept = GAP + word[len(word.rstrip(_SIGNS)) :] if _VARYING.search(word) else word
        if not (kept == GAP and words and words[-1] == GAP):
            words.append(kept)
    return " ".join(words)


def write_cause_name(partner: str, digest: str) -> str:
    """Return the name of the cause of *partner* with *digest*."""
    return f"{partner}.{digest}"


def read_cause_name(name: str) -> tuple[str, str] | None:
    """Return the partner and the digest in the *name* of a cause, or None if it is not one."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[1], found[2])
