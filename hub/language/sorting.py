"""Puts names in the order of a Vietnamese dictionary and codes in their natural order, and folds texts for a search.

Does not know the reader's language.

The order is that of the locale `vi` of Unicode's CLDR (common/collation/vi.xml), by which ICU sorts: ă and â after a, đ
after d, ê after e, ô and ơ after o, ư after u. Words that differ only in their tones follow those: level, huyền, hỏi, ngã,
sắc, nặng. Babel has no collation, and ICU would be a library of the system's for this alone.
"""

import re
import unicodedata

_ALPHABET = "aăâbcdđeêfghijklmnoôơpqrstuưvwxyz"
_RANKS = {letter: place for place, letter in enumerate(_ALPHABET, start=1)}
#: The marks that make another letter of the alphabet, and the tones in their order.
_LETTER_MARKS = ("\u0306", "\u0302", "\u031b")
#: The combining characters of the Latin script, and characters among which there may be others.
_MARKS = re.compile("[\u0300-\u034e\u0350-\u036f]+")
_OTHERS = re.compile("[^\x00-\u036f]")
_NUMBER = re.compile("([0-9]+)")
_TONES = {mark: place for place, mark in enumerate(("\u0300", "\u0309", "\u0303", "\u0301", "\u0323"), start=1)}


def make_name_sort_key(name: str) -> tuple[tuple[tuple[int, str], ...], tuple[int, ...], str]:
    """Return the key by which names sort: letters first, then tones, then the name itself.

    Spaces and signs come before digits, digits before letters; small and capital letters are the same until all else is.
    """
    letters: list[tuple[int, str]] = []
    tones: list[int] = []
    for each in unicodedata.normalize("NFD", name.casefold()):
        if each in _TONES:
            if tones:
                tones[-1] = _TONES[each]
        elif each in _LETTER_MARKS and letters:
            letter = unicodedata.normalize("NFC", (letters[-1][1] or " ") + each)
            if letter in _RANKS:
                letters[-1] = (_RANKS[letter] + 1000, letter)
        elif not unicodedata.combining(each):
            rank = _RANKS[each] + 1000 if each in _RANKS else 100 + int(each) if each.isdecimal() else 0
            letters.append((rank, each))
            tones.append(0)
    return tuple(letters), tuple(tones), name


def make_code_sort_key(code: str) -> tuple[tuple[str | int, ...], str]:
    """Return the key by which codes sort for people: numbers by their value, so that H55.2 comes before H55.10."""
    pieces = _NUMBER.split(code.casefold())  # text and numbers in turn, text first
    return tuple(int(piece) if place % 2 else piece for place, piece in enumerate(pieces)), code


def fold_text(text: str) -> str:
    """Return *text* in lower case without diacritics, as people type it in a search.

    `Sở Nội vụ Đà Lạt` becomes `so noi vu da lat`.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    bare = _MARKS.sub("", unicodedata.normalize("NFD", text.casefold().replace("đ", "d")))
    return " ".join(_OTHERS.sub(_drop_mark, bare).split())


def _drop_mark(found: re.Match[str]) -> str:
    return "" if unicodedata.combining(found[0]) else found[0]
