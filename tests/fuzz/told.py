"""What an input made the parsers do, told to whoever watches.  The parsers are written in C and show no coverage of their own."""

import re
from collections.abc import Callable
from zlib import crc32

LISTENERS: list[Callable[[int], None]] = []
_WORDS = re.compile(r"(?<![\w'\"#:/.])[a-z]{3,12}(?![\w'\"#/.])")


def tell(*what: object) -> None:
    """Tell of something that sets this input apart from others; few different things should be told in all."""
    number = crc32(repr(what).encode())
    for listener in LISTENERS:
        listener(number)


def gist(reason: str) -> str:
    """Return what is always the same in a *reason* of ours: its first words, without names and numbers."""
    return " ".join([word for word in _WORDS.findall(reason) if word not in {"line", "column"}][:2])
