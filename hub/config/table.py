"""Reads one table of a TOML file key by key, and reports what is wrong with a value. Does not know the meaning of keys.

Every mistake is collected, and reading continues with a default, so that one run reports all mistakes. A caller that
builds something from the values must check the mistakes first.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import attrs

from hub.domain.errors import Mistake
from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error

_REQUIRED: Any = object()
_QUOTED = phrase("text in quotes")
#: The folder in which systemd lays the credentials of a service (systemd.exec(5), LoadCredential=), at the beginning of a path.
CREDENTIALS = "CREDENTIALS_DIRECTORY"
#: The beginning of such a path.
IN_CREDENTIALS = f"${{{CREDENTIALS}}}/"
#: The line at which a part of a TOML file begins: the header of a table, or any line before the first one.
_HEADER = re.compile(r"^\[", re.MULTILINE)
_SIZES = {"KB": 1_000, "MB": 1_000_000, "KiB": 1 << 10, "MiB": 1 << 20}


def is_credential(file: Path) -> bool:
    """Tell whether systemd passed *file* to this process.

    It gives the service's user alone a right to it, by an access list, which shows as a right of root's group.
    """
    folder = os.environ.get(CREDENTIALS)
    return bool(folder) and file.parent == Path(str(folder))


def parse_toml_parts(text: str, shown: str, mistakes: list[Mistake]) -> Mapping[str, Any]:
    """Return the content of *text*. Record a mistake for each part that is not TOML, and return the rest without it.

    A part is a table from its header on, or a line before the first header. *shown* is the name of the file.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        first = error
    sound = ""
    for before, part in _split_toml(text):
        try:
            _ = tomllib.loads("\n" * before + part)
        except (ValueError, RecursionError) as error:
            name = re.search(r"[\w-]+", part.partition("\n")[0])
            mistakes.append(describe_toml_error(f"{shown}: {name[0]}" if name else shown, error))
        else:
            sound += part
    try:
        return tomllib.loads(sound)
    except ValueError:  # each part is right, but not beside the others: a table is there twice
        mistakes.append(describe_toml_error(shown, first))
        return {}


def describe_toml_error(place: str, error: Exception) -> Mistake:
    """Return the mistake that *place*, a file or a key of one, is not TOML."""
    return Mistake(place, phrase("is not TOML: {error}", error=error), phrase("TOML in UTF-8"))


def _split_toml(text: str) -> Iterable[tuple[int, str]]:
    """Yield each part of *text*, and the number of lines before it."""
    start = found.start() if (found := _HEADER.search(text)) else len(text)
    lines = text[:start].splitlines(keepends=True)
    yield from enumerate(lines)
    before = len(lines)
    for part in re.split(r"(?m)^(?=\[)", text[start:]):
        if part:
            yield before, part
            before += part.count("\n")


@attrs.define
class ConfigTable:
    """The keys of one table. *environment*, if given, overrides them as `LIENTHONG_TABLE_KEY`."""

    _content: Mapping[str, object]
    _file: str
    _mistakes: list[Mistake]
    _environment: Mapping[str, str] = attrs.field(factory=dict)
    _path: tuple[str, ...] = ()
    _taken: set[str] = attrs.field(factory=set, init=False)

    def place(self, key: str = "") -> str:
        """Return the place of *key*, such as `partners/vpub.toml: policy.timeout`."""
        return f"{self._file}: {'.'.join([*self._path, *([key] if key else [])])}"

    def wrong(self, key: str, wrong: Phrase, expected: Phrase) -> None:
        """Record a mistake at *key*."""
        self._mistakes.append(Mistake(self.place(key), wrong, expected))

    def text(self, key: str, default: str = _REQUIRED, *, like: str = ".+", expected: Phrase = _QUOTED) -> str:
        """Return the text of *key*, which must match the pattern *like*.

        Return the default if it is absent, or "" after a mistake.
        """
        value = self._take(key, default, expected)
        if value is None:
            return "" if default is _REQUIRED else default
        if not isinstance(value, str):
            self.wrong(key, phrase("{value} is not a text", value=show_value(value)), expected)
        elif not re.fullmatch(like, value):
            self.wrong(key, phrase("{value} does not fit", value=show_value(value)), expected)
        else:
            return self.place_credential(key, value)
        return ""

    def place_credential(self, key: str, value: str) -> str:
        """Return *value*, with the folder of systemd's credentials in place of `${CREDENTIALS_DIRECTORY}` before a name.

        Return "" after a mistake.
        """
        if not value.startswith(IN_CREDENTIALS):
            return value
        folder, name = os.environ.get(CREDENTIALS, ""), value.removeprefix(IN_CREDENTIALS)
        if not folder:
            expected = phrase("a start by systemd with LoadCredential={name}:…", name=name)
            self.wrong(key, phrase("{variable} is not set", variable=CREDENTIALS), expected)
        elif "/" in name or name in {"", ".", ".."}:
            self.wrong(key, phrase("{value} does not fit", value=show_value(value)), phrase("the name of a credential"))
        else:
            return f"{folder}/{name}"
        return ""

    def number(self, key: str, default: int = _REQUIRED, *, least: int, most: int) -> int:
        """Return the integer of *key*. Return 0 after a mistake."""
        expected = phrase("a whole number from {least} to {most}", least=least, most=most)
        value = self._take(key, default, expected)
        if value is None:
            return 0 if default is _REQUIRED else default
        if self._overridden(key) is not None and isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.wrong(key, phrase("{value} does not fit", value=show_value(value)), expected)
            return 0
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the boolean of *key*. Return the default after a mistake."""
        expected = phrase("true or false")
        value = self._take(key, default, expected)
        if self._overridden(key) is not None:
            value = {"true": True, "false": False}.get(str(value), value)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(key, phrase("{value} does not fit", value=show_value(value)), expected)
            return default
        return value

    def day(self, key: str) -> date | None:
        """Return the day of *key*, a TOML date. Return None if it is absent and after a mistake."""
        expected = phrase("a day without quotes, such as 2026-12-31")
        value = self._take(key, None, expected)
        if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        self.wrong(key, phrase("{value} does not fit", value=show_value(value)), expected)
        return None

    def size(self, key: str, default: int) -> int:
        """Return the number of bytes in a size such as `40MB` or `512KiB`."""
        expected = phrase('a size in quotes: a whole number and KB, MB, KiB or MiB, such as "40MB"')
        text = self.text(key, "", like=rf"[1-9][0-9]{{0,8}}({'|'.join(_SIZES)})", expected=expected)
        number = text.rstrip("KMiB")
        return int(number) * _SIZES[text[len(number) :]] if text else default

    def texts(self, key: str, default: tuple[str, ...] = _REQUIRED) -> tuple[str, ...]:
        """Return the list of texts of *key*. Return an empty one after a mistake."""
        expected = phrase("a list of texts in quotes")
        self._taken.add(key)
        value = self._content.get(key)
        if value is None and default is _REQUIRED:
            self.wrong(key, phrase("is missing"), expected)
        if value is None:
            return () if default is _REQUIRED else default
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.wrong(key, phrase("{value} does not fit", value=show_value(value)), expected)
            return ()
        for item in sorted({item for item in value if value.count(item) > 1}):
            self.wrong(key, phrase("{item} is listed twice", item=repr(item)), phrase("each item once"))
        return tuple(dict.fromkeys(value))

    def table(self, key: str) -> "ConfigTable":
        """Return the table under *key*. Return an empty one if it is absent."""
        self._taken.add(key)
        value = self._content.get(key, {})
        if not isinstance(value, Mapping):
            self.wrong(
                key, phrase("{value} is not a table", value=show_value(value)), phrase("a table, [{key}]", key=key)
            )
            value = {}
        return ConfigTable(value, self._file, self._mistakes, self._environment, (*self._path, key))

    def tables(self, key: str) -> "list[ConfigTable] | None":
        """Return the tables in the list of *key*, each with its index in its place.

        Return None if it is absent and after a mistake.
        """
        self._taken.add(key)
        value = self._content.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            self.wrong(
                key, phrase("{value} does not fit", value=show_value(value)), phrase("a list of tables, [{ … }, { … }]")
            )
            return None
        places = ((item, (*self._path, f"{key}[{number}]")) for number, item in enumerate(value))
        return [ConfigTable(item, self._file, self._mistakes, path=path) for item, path in places]

    def pairs(self) -> Mapping[str, object]:
        """Return all keys of the table unchecked, and mark all as read."""
        self._taken |= set(self._content)
        return self._content

    def given(self, key: str) -> bool:
        """Tell whether *key* is set, in the file or in the environment."""
        return key in self._content or self._overridden(key) is not None

    def is_table(self, key: str) -> bool:
        """Tell whether *key* is set to a table."""
        return isinstance(self._content.get(key), Mapping)

    def allow(self, key: str) -> None:
        """Mark *key* as known, although it is not read now."""
        self._taken.add(key)

    @property
    def known(self) -> frozenset[str]:
        """The keys that were read so far."""
        return frozenset(self._taken)

    @property
    def has_mistakes(self) -> bool:
        """Whether a mistake was recorded in the file of this table."""
        return any(mistake.path.startswith(f"{self._file}:") for mistake in self._mistakes)

    def close(self) -> None:
        """Record a mistake for every key that was not read."""
        for key in sorted(set(self._content) - self._taken):
            self.wrong(key, phrase("unknown key"), phrase("one of {taken}", taken=", ".join(sorted(self._taken))))

    def _take(self, key: str, default: object, expected: Phrase) -> object:
        self._taken.add(key)
        value = self._overridden(key) or self._content.get(key)
        if value is None and default is _REQUIRED:
            self.wrong(key, phrase("is missing"), expected)
        return value

    def _overridden(self, key: str) -> str | None:
        name = "_".join(["LIENTHONG", *self._path, key]).upper().replace("-", "_")
        return self._environment.get(name) or None


def read_toml_file(
    path: Path, shown: str, mistakes: list[Mistake], parse: Callable[[str], Mapping[str, object]] = tomllib.loads
) -> Mapping[str, object]:
    try:
        return parse(path.read_text("utf-8"))
    except OSError as error:
        mistakes.append(
            Mistake(
                shown,
                phrase("cannot be read: {strerror}", strerror=name_system_error(error)),
                phrase("{file}; `lienthong init DIR` writes all files of a hub", file=path.absolute()),
            )
        )
    except (ValueError, RecursionError) as error:  # not UTF-8, or not TOML, or thousands of brackets
        mistakes.append(describe_toml_error(shown, error))
    return {}
