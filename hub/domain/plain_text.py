"""Compares texts as people type them: without diacritics, capital letters and punctuation. Knows no meanings."""

import re
from functools import lru_cache

from hub.language.sorting import fold_text

_BETWEEN = re.compile(r"[\W_]+")


@lru_cache(4096)
def write_plain_words(text: str) -> str:
    """Return the words of *text* in small letters, without diacritics and punctuation, with single spaces between.

    “&” is “và”: `Sở TT&TT` has the words `so tt va tt`.
    """
    return _BETWEEN.sub(" ", fold_text(text.replace("&", " và "))).strip()
