"""Edits an operator's TOML file in place: only the keys that are named change; comments, order and every other key stay.

Knows TOML as text and whole files; not what the keys mean.  The command line alone edits.
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

#: A list of more characters is written on lines of its own.
_LONG = 100
#: The value of a key: a text, a list of texts, or the keys of a table; None takes a key out.
Value = str | tuple[str, ...] | Mapping[str, "Value"] | None


def edit_toml(text: str, changes: Mapping[str, Value], shown: str) -> str:
    """Return the TOML *text* with *changes*; what has its value already stays as it is written.

    Raises `ConfigurationFault`, which calls the file *shown*, for what is no TOML, and where a table should be and is not.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigurationFault([Mistake(shown, f"is not TOML: {error}", "TOML in UTF-8")]) from error
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
                raise ConfigurationFault([Mistake(f"{shown}: {key}", f"{key} is not a table", f"a table, [{key}]")])
            _edit(table[key], value, shown)
        elif value is None:
            table.pop(key, None)
        else:
            wanted = list(value) if isinstance(value, tuple) else value
            if key not in table or table[key] != wanted:
                table[key] = _written(table.get(key), wanted)


def _written(before: object, wanted: str | list[str]) -> Any:
    """Return *wanted* as TOML; a list on lines of its own where the one *before* was, or where it is long."""
    item = tomlkit.item(wanted)
    if isinstance(item, Array):
        item.multiline((isinstance(before, Array) and "\n" in before.as_string()) or len(item.as_string()) > _LONG)
    return item


def read_text(path: Path, shown: str) -> str:
    """Return what *path* holds, line ends as they are.  Raises `ConfigurationFault`, which calls it *shown*."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise ConfigurationFault([Mistake(shown, f"cannot be read: {error.strerror}", "a file")]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationFault([Mistake(shown, f"is not TOML: {error}", "TOML in UTF-8")]) from error


def unified_difference(before: str, after: str, shown: str) -> list[str]:
    """Return the unified difference of a file's texts, line by line; nothing where they are alike."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), shown, shown, lineterm="")
    return list(lines)


def replace_file(path: Path, content: bytes) -> Path | None:
    """Write *content* to *path* whole or not at all; return where what stood there is kept, `NAME.old`, None where nothing did.

    Nothing is written where *content* stands there already.
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
