"""Edits an operator's TOML file in place. Only the named keys change; comments, order and all other keys stay.

Knows TOML as text and whole files. Does not know the meaning of keys. Only the command line edits files.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, Table

from hub.config.writing import write_atomically
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase

#: A list with more characters is written on several lines.
_LONG = 100
#: The value of a key: a text, a list of texts, or the keys of a table. None removes the key.
Value = str | tuple[str, ...] | Mapping[str, "Value"] | None


def edit_toml(text: str, changes: Mapping[str, Value], shown: str) -> str:
    """Return the TOML *text* with *changes*. A key that already has its value stays as it is written.

    *shown* is the name of the file in errors. Raises `ConfigurationFault` if the text is not TOML, or if a value stands
    where a table is expected.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigurationFault(
            [Mistake(shown, phrase("is not TOML: {error}", error=error), phrase("TOML in UTF-8"))]
        ) from error
    _edit(document, changes, shown)
    return tomlkit.dumps(document)


def _edit(table: Any, changes: Mapping[str, Value], shown: str) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            if key not in table:
                if not value:
                    continue
                table[key] = tomlkit.table()
            if not isinstance(table[key], Table):
                raise ConfigurationFault(
                    [
                        Mistake(
                            f"{shown}: {key}",
                            phrase("{key} is not a table", key=key),
                            phrase("a table, [{key}]", key=key),
                        )
                    ]
                )
            _edit(table[key], value, shown)
        elif value is None:
            table.pop(key, None)
        else:
            wanted = list(value) if isinstance(value, tuple) else value
            if key not in table or table[key] != wanted:
                table[key] = _written(table.get(key), wanted)


def _written(before: object, wanted: str | list[str]) -> Any:
    """Return *wanted* as TOML. A list is written on several lines if the list *before* was, or if it is long."""
    item = tomlkit.item(wanted)
    if isinstance(item, Array):
        item.multiline((isinstance(before, Array) and "\n" in before.as_string()) or len(item.as_string()) > _LONG)
    return item


def read_text(path: Path, shown: str) -> str:
    """Return the content of *path* with its line ends.

    Raises `ConfigurationFault`, in which the file is called *shown*.
    """
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise ConfigurationFault(
            [Mistake(shown, phrase("cannot be read: {strerror}", strerror=error.strerror), phrase("a file"))]
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationFault(
            [Mistake(shown, phrase("is not TOML: {error}", error=error), phrase("TOML in UTF-8"))]
        ) from error


def write_difference(before: str, after: str, shown: str) -> list[str]:
    """Return the unified diff of two texts of a file, line by line. Return an empty list if they are equal."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), shown, shown, lineterm="")
    return list(lines)


def replace_file(path: Path, content: bytes) -> Path | None:
    """Write *content* to *path* atomically. Return the path of the backup of the previous file, `NAME.old`, or None.

    None means that there was no file, or that it already had this *content*. In the second case nothing is written.
    """
    before = path.read_bytes() if path.exists() else None
    if before == content:
        return None
    kept = None
    if before is not None:
        kept = path.with_name(f"{path.name}.old")
        write_atomically(kept, before)
        kept.chmod(path.stat().st_mode & 0o7777)
    write_atomically(path, content)
    return kept
