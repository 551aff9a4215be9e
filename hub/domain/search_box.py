"""Reads the one search box: decides from a text what to look for. Does not search.

A person types whatever is at hand: an id, a number and notation, words of the subject, an agency's name or its usual
abbreviation, a partner, a hash. Ambiguous text is looked for in several places.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import attrs

from hub.domain import search_terms
from hub.domain.model import Unit
from hub.domain.search_terms import split_words
from hub.language.sorting import fold_text

#: Characters read of the box, and words of it that a message must have.
LONGEST, WORDS = 200, 20
#: Agencies that are looked for. A text that names more names none in particular.
AGENCIES = 8
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_HASH = re.compile(rf"(?=.*[a-f])[0-9a-f]{{{search_terms.DIGITS},64}}|[0-9a-f]{{64}}", re.ASCII)
_AGENCY_CODE = re.compile(r"[A-Z][0-9]{2}(\.[A-Z0-9-]+)*", re.ASCII)
#: Words that an abbreviation leaves out: `Sở KHCN` is `Sở Khoa học và Công nghệ`.
_SKIPPED = frozenset({"va", "cac", "cua"})


@attrs.frozen(kw_only=True)
class BoxLook:
    """One place to look in. Exactly one field is set."""

    id: str | None = None  #: the hub's id of a message, or the Tracking of a call
    message_id: str | None = None  #: the sender's id
    document_id: str | None = None
    sha256: str | None = None  #: or its first digits, at least 12
    words: tuple[str, ...] = ()  #: of number, notation and subject, folded; all are needed
    unit: str | None = None  #: code of an agency
    partner: str | None = None  #: code of a partner


@attrs.frozen
class BoxReading:
    """What the text of the box says."""

    looks: tuple[BoxLook, ...] = ()  #: a message found in any of these is found; none: the box is empty
    units: tuple[Unit, ...] = ()  #: the agencies that the text names, at most `AGENCIES`
    many: int = 0  #: the number of agencies, if the text names more than `AGENCIES`: none of them is looked for


def read_box(text: str, units: Iterable[Unit], partners: Mapping[str, str]) -> BoxReading:
    """Return what *text* may mean. *units*: the registry; *partners*: names by code."""
    said = " ".join(text[:LONGEST].split())
    if not said:
        return BoxReading()
    lower = said.lower()
    if _ID.fullmatch(lower):
        return BoxReading((BoxLook(id=lower), BoxLook(message_id=said), BoxLook(document_id=said)))
    looks = [BoxLook(message_id=said), BoxLook(document_id=said)]
    if _HASH.fullmatch(lower):
        looks.append(BoxLook(sha256=lower))
    folded = fold_text(said)
    looks += [BoxLook(partner=code) for code, name in partners.items() if folded in (fold_text(code), fold_text(name))]
    found = find_agencies(said, units)
    many = len(found) if len(found) > AGENCIES else 0
    named = () if many else tuple(found)
    codes = [unit.code for unit in named]
    if not found and _AGENCY_CODE.fullmatch(said.upper()):
        codes = [said.upper()]  # of an agency outside the province, which the registry may not have
    looks += [BoxLook(unit=code) for code in codes]
    if words := tuple(dict.fromkeys(split_words(said)))[:WORDS]:
        looks.append(BoxLook(words=words))
    return BoxReading(tuple(looks), named, many)


def find_agencies(text: str, units: Iterable[Unit]) -> list[Unit]:
    """Return the units that *text* names best: by code or alias, else by the whole name, its beginning, a part of it.

    Each word of *text* is a word of the name, or the first letters of the next words: `UBND xã Tân Thành`, `Sở KHCN`.
    """
    code, words = text.strip().casefold(), split_words(text)
    ranked: dict[int, list[Unit]] = {}
    for unit in units:
        if code == unit.code.casefold() or code in map(str.casefold, unit.aliases):
            ranked.setdefault(0, []).append(unit)
        elif words and (rank := _rank_words(words, _split_name(unit.name))):
            ranked.setdefault(rank, []).append(unit)
    return ranked[min(ranked)] if ranked else []


@lru_cache(maxsize=4096)  # the units of a province: each search reads all their names
def _split_name(name: str) -> tuple[str, ...]:
    return tuple(split_words(name))


def _rank_words(words: Sequence[str], name: Sequence[str]) -> int:
    """Return 1 if *words* are the whole name, 2 if its beginning, 3 if at least two words or letters within, else 0."""
    end = _match_words(words, name, 0)
    if end == len(name) or _match_words(name, words, 0) == len(words):  # either may be the abbreviation
        return 1
    if end is not None:
        return 2
    if len(words) == 1 and len(words[0]) < 3:
        return 0
    # No word matches from a place with another letter: what begins with skipped words is matched from behind these, too.
    starts = [start for start in range(1, len(name)) if name[start][0] == words[0][0]]
    return 3 if any(_match_words(words, name, start) is not None for start in starts) else 0


def _match_words(words: Sequence[str], name: Sequence[str], at: int) -> int | None:
    """Return the place in *name* behind the words that *words* stand for, from place *at* on; None if they do not fit."""
    for word in words:
        if at < len(name) and name[at] == word:
            at += 1
            continue
        ends = _match_initials(word, name, at) if len(word) > 1 else None
        if ends is None:
            return None
        at = ends
    return at


def _match_initials(letters: str, name: Sequence[str], at: int) -> int | None:
    for letter in letters:
        while at < len(name) and name[at][0] != letter and name[at] in _SKIPPED:
            at += 1
        if at >= len(name) or name[at][0] != letter:
            return None
        at += 1
    return at
