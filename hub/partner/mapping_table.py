"""One table of a mapping file that is read: its values, their kinds, the mistakes with their lines; no mapping."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from hub.domain.errors import Mistake
from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase
from hub.partner.mapping_values import Unwritten

T = TypeVar("T")
QUOTED_TEXT = phrase("text in quotes")
_TABLE = phrase("a table")


@attrs.define
class MappingTable:
    """One table, read key by key."""

    _content: Mapping[str, Any]
    _file: str
    mistakes: list[Mistake]
    path: str = ""  #: where the table stands in the file, such as `deliver[2].input`; "": the file itself
    _taken: set[str] = attrs.field(factory=set, init=False)

    def place(self, key: str = "") -> str:
        path = ".".join(each for each in (self.path, f'"{key}"' if "/" in key or "@" in key else key) if each)
        return f"{self._file}: {path}" if path else self._file

    def wrong(self, key: str, wrong: Phrase, expected: Phrase) -> None:
        self.mistakes.append(Mistake(self.place(key), wrong, expected))

    def given(self, key: str) -> bool:
        return key in self._content

    def misfit(self, key: str, value: object, expected: Phrase) -> None:
        self.wrong(key, phrase("{value} does not fit", value=show_value(value)), expected)

    def text(
        self, key: str, *, required: bool = False, like: str = r"[^\n]+", expected: Phrase = QUOTED_TEXT
    ) -> str | None:
        self._taken.add(key)
        value = self._content.get(key)
        if value is None:
            if required:
                self.wrong(key, phrase("is missing"), expected)
            return None
        if not isinstance(value, str) or not re.fullmatch(like, value):
            self.misfit(key, value, expected)
            return None
        return value

    def flag(self, key: str) -> bool | None:
        self._taken.add(key)
        value = self._content.get(key)
        if value is not None and not isinstance(value, bool):
            self.misfit(key, value, phrase("true or false"))
            return None
        return value

    def texts(self, key: str, value: object) -> tuple[str, ...]:
        """Return *value*, found under *key*, as texts: one, or a list of them."""
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int) for each in given):
            self.misfit(key, value, phrase("a text in quotes, or a list of them"))
            return ()
        return tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in given)

    def text_list(self, key: str) -> tuple[str, ...]:
        """Return the texts of *key*: one, or a list of them; none if it is not given."""
        self._taken.add(key)
        return self.texts(key, self._content[key]) if key in self._content else ()

    def table(self, key: str) -> "MappingTable":
        self._taken.add(key)
        return self._inside(key, self._content.get(key, {}), key)

    def tables(self, key: str) -> "Sequence[MappingTable]":
        self._taken.add(key)
        value = self._content.get(key, [])
        if not isinstance(value, list):
            self.misfit(key, value, phrase("[[{key}]], once for each", key=key))
            return ()
        return [self._inside(key, each, f"{key}[{number}]") for number, each in enumerate(value, 1)]

    def _inside(self, key: str, value: object, shown: str) -> "MappingTable":
        if not isinstance(value, Mapping):
            self.misfit(key, value, _TABLE)
            value = {}
        path = ".".join(each for each in (self.path, f'"{shown}"' if "/" in shown else shown) if each)
        return MappingTable(value, self._file, self.mistakes, path)

    def items(self) -> list[tuple[str, Any]]:
        """Return all keys with their values."""
        self._taken.update(self._content)
        return list(self._content.items())

    def names(self) -> list[str]:
        """Return all keys."""
        return [key for key, _ in self.items()]

    def read(self, key: str, how: Callable[[str], T], *, required: bool = False) -> T | None:
        """Return the text of *key* as *how* reads it."""
        text = self.text(key, required=required)
        return None if text is None else self.understand(key, text, how)

    def understand(self, key: str, text: str, how: Callable[[str], T]) -> T | None:
        """Return *text*, found under *key*, as *how* reads it. None after a mistake."""
        try:
            return how(text)
        except Unwritten as error:
            self.wrong(key, error.wrong, error.expected)
            return None

    def close(self) -> None:
        """Record a mistake for each key that was not read."""
        for key in self._content:
            if key not in self._taken:
                known = ", ".join(sorted(self._taken)) or "-"
                self.wrong(key, phrase("unknown key"), phrase("one of {keys}", keys=known))
