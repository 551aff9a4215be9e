"""A table of a TOML file that collects mistakes. Knows types and places. Does not know the meaning of the words.

Each method returns the value, or an empty one after recording a mistake, so that one reading finds every mistake.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar

import attrs

from hub.domain.errors import Mistake
from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase

Word = TypeVar("Word", bound=StrEnum)

_KEY = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)


@attrs.frozen
class FormTable:
    """One table: its words, its place in the file, and the list to which its mistakes are added."""

    words: Mapping[str, object]
    name: str  #: the name of the file
    path: str = ""
    mistakes: list[Mistake] = attrs.field(factory=list)

    def __contains__(self, word: str) -> bool:
        return word in self.words

    def wrong(self, word: str, found: Phrase, expected: Phrase) -> None:
        """Record that *word* (or with "" the table itself) is *found*, not as *expected*."""
        place = ".".join(part for part in (self.path, word) if part)
        self.mistakes.append(Mistake(f"{self.name}: {place}" if place else self.name, found, expected))

    def only(self, words: Iterable[str]) -> None:
        """Record a mistake for every word that is not one of *words*."""
        words = set(words)
        for word in self.words:
            if word not in words:
                self.wrong(word, phrase("is not a word of this table"), one_of(sorted(words)))

    def key(self, word: str) -> str:
        """Return a text that other parts of the form, and programs, name the thing by."""
        text = self.text(word)
        if text and not _KEY.fullmatch(text):
            self.wrong(
                word,
                phrase("is {text}", text=repr(text)),
                phrase("lower-case letters, digits, _ and -, beginning with a letter"),
            )
        return text

    def choice(self, word: str, words: type[Word]) -> Word | None:
        """Return the one of *words* that is given; None when absent."""
        if word not in self:
            return None
        named = self.text(word)
        found = next((each for each in words if each == named), None)
        if named and found is None:
            self.wrong(word, phrase("is {named}", named=repr(named)), one_of(words))
        return found

    def text(self, word: str) -> str:
        """Return a text that must be present and not blank; "" after a mistake."""
        value = self.words.get(word)
        if isinstance(value, str) and value.strip():
            return value
        self.wrong(word, describe_found(value), phrase("a text"))
        return ""

    def flag(self, word: str) -> bool:
        """Return `true` or `false`; false when absent."""
        value = self.words.get(word, False)
        if isinstance(value, bool):
            return value
        self.wrong(word, describe_found(value), phrase("true or false"))
        return False

    def day(self, word: str) -> date | None:
        """Return a date, None when absent."""
        value = self.words.get(word)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        self.wrong(word, describe_found(value), phrase("a date such as 2026-01-01"))
        return None

    def number(self, word: str) -> int:
        """Return a whole number above 0 that must be present; 1 after a mistake."""
        value = self.words.get(word)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.wrong(word, describe_found(value), phrase("a whole number above 0"))
        return 1

    def numbers(self, word: str) -> Mapping[str, int]:
        """Return the table *word* of whole numbers above 0; empty when absent."""
        table = self.table(word)
        for key, value in table.words.items():
            if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
                table.wrong(key, describe_found(value), phrase("a whole number above 0"))
        return {key: value for key, value in table.words.items() if isinstance(value, int)}

    def texts(self, word: str, allowed: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return a list of different texts, each one of *allowed* if given; empty when absent."""
        return self._texts(word, self.words.get(word, []), allowed)

    def lists(self, word: str, allowed: Iterable[str] | None = None) -> tuple[tuple[str, ...], ...]:
        """Return a list of lists of texts; empty when absent."""
        value = self.words.get(word, [])
        if not isinstance(value, list):
            self.wrong(word, describe_found(value), phrase("a list of lists"))
            return ()
        return tuple(self._texts(f"{word}[{number}]", entry, allowed) for number, entry in enumerate(value))

    def table(self, word: str) -> "FormTable":
        """Return the table *word*; an empty one when absent."""
        value = self.words.get(word, {})
        if not isinstance(value, dict):
            self.wrong(word, describe_found(value), phrase("a table"))
            value = {}
        return self._below(value, word)

    def tables(self, word: str) -> Iterator["FormTable"]:
        """Yield the tables `[[word]]`; none when absent."""
        value = self.words.get(word, [])
        entries = value if isinstance(value, list) else None
        if entries is None or not all(isinstance(entry, dict) for entry in entries):
            self.wrong(word, describe_found(value), phrase("tables, each opened by [[{word}]]", word=word))
            return
        for number, entry in enumerate(entries):
            yield self._below(entry, f"{word}[{number}]")

    def _below(self, words: Mapping[str, object], word: str) -> "FormTable":
        return FormTable(words, self.name, f"{self.path}.{word}" if self.path else word, self.mistakes)

    def _texts(self, word: str, value: object, allowed: Iterable[str] | None) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            self.wrong(word, describe_found(value), phrase("a list of texts"))
            return ()
        if len(value) != len(set(value)):
            self.wrong(word, describe_found(value), phrase("each text once"))
        if allowed is not None:
            allowed = set(allowed)
            for entry in value:
                if entry not in allowed:
                    self.wrong(word, describe_found(entry), one_of(sorted(allowed)))
        return tuple(value)


def one_of(words: Iterable[str]) -> Phrase:
    """Return what is expected where one of *words* is."""
    return phrase("one of: {words}", words=" ".join(words))


def describe_found(value: object) -> Phrase:
    """Return what is wrong with a value: that it is there, or that it is not."""
    return phrase("is missing") if value is None else phrase("is {value}", value=show_value(value))
