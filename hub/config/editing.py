"""Edits an operator's files in place. Only the named keys of a TOML file change; comments, order and other keys stay.

Knows TOML as text and whole files. Does not know the meaning of keys. An edit is planned from the content that was read,
and written only if the file still has that content.
"""

import difflib
import fcntl
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Table

from hub.config.durable_files import sync_folder
from hub.config.writing import write_atomically
from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error

#: A list with more characters is written on several lines.
_LONG = 100
#: The value of a key: a text, a list of texts, or the keys of a table. None removes the key.
Value = str | tuple[str, ...] | Mapping[str, "Value"] | None


class FileChangedMeanwhile(Exception):
    """A file is not what the edit was planned from. The argument is its path."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path


@attrs.frozen
class FileEdit:
    """One file to write, or to take away."""

    path: Path
    #: the content that the edit was planned from; None: there was no such file
    before: bytes | None = attrs.field(repr=False)
    #: the new content; None: the file goes. Its content stays in `NAME.old`
    after: bytes | None = attrs.field(repr=False)
    mode: int | None = None  #: the permissions of the file; None: as before, or those of any new file


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
    _edit_table(document, changes, shown)
    made = tomlkit.dumps(document)
    windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
    return made.replace("\r\n", "\n").replace("\n", "\r\n") if windows else made


def _edit_table(table: Any, changes: Mapping[str, Value], shown: str) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            if key not in table:
                if all(each is None for each in value.values()):
                    continue
                table[key] = tomlkit.table()
            if not isinstance(table[key], Table | InlineTable):
                raise ConfigurationFault(
                    [
                        Mistake(
                            f"{shown}: {key}",
                            phrase("{key} is not a table", key=key),
                            phrase("a table, [{key}]", key=key),
                        )
                    ]
                )
            _edit_table(table[key], value, shown)
        elif value is None:
            table.pop(key, None)
        else:
            wanted = list(value) if isinstance(value, tuple) else value
            if key not in table:
                _add_key(table, key, _write_toml_value(None, wanted))
            elif table[key] != wanted and not _edit_list(table[key], wanted):
                table[key] = _write_toml_value(table[key], wanted)


def _add_key(table: Any, key: str, item: Any) -> None:
    """Add a key to *table*: behind its last key, because comments that follow belong to the next table."""
    keys = table.value.body if isinstance(table, Table) else []
    last = next((name for name, each in reversed(keys) if name is not None and not isinstance(each, Table | AoT)), None)
    if last is None or last.is_dotted() or keys[-1][0] is last:
        table[key] = item
        return
    item.trivia.trail = "\n"
    table.value._insert_after(last, key, item)  # noqa: SLF001 - the library adds at the end only
    dict.__setitem__(table, key, item)


def _edit_list(before: object, wanted: str | list[str]) -> bool:
    """Remove items from the list *before* and append others, so that it becomes *wanted*. Tell whether that was possible.

    What stays keeps its line and its comment. It is not possible if what stays would change its order.
    """
    if not isinstance(before, Array) or not isinstance(wanted, list) or "#" not in before.as_string():
        return False
    stays = [each for each in before.unwrap() if each in wanted]
    if wanted[: len(stays)] != stays or not stays:
        return False
    for place in reversed(range(len(before))):
        if before[place] not in wanted:
            del before[place]
    for each in wanted[len(stays) :]:
        before.append(each)
    return bool(before.unwrap() == wanted)


def _write_toml_value(before: object, wanted: str | list[str]) -> Any:
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
            [Mistake(shown, phrase("cannot be read: {strerror}", strerror=name_system_error(error)), phrase("a file"))]
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
    before = _read_file(path)
    if before == content:
        return None
    kept = None if before is None else _keep_file(path, before)
    write_atomically(path, content)
    return kept


def write_edits(home: Path, edits: Sequence[FileEdit]) -> list[Path]:
    """Write all *edits* of files below *home*, or none. Return the backups of the files that were there before.

    Of two writers at the same time the second sees what the first has written. Raises `FileChangedMeanwhile` if a file
    is not what its edit was planned from, and OSError.
    """
    with _lock_folder(home):
        for edit in edits:
            if _read_file(edit.path) != edit.before:
                raise FileChangedMeanwhile(edit.path)
        done: list[FileEdit] = []
        kept: list[Path] = []
        try:
            for edit in edits:
                done.append(edit)
                kept += _write_edit(edit)
        except BaseException:
            _take_back(done)
            raise
        return kept


def undo_edits(home: Path, edits: Iterable[FileEdit]) -> None:
    """Give each file of *edits* the content that it had before, unless another writer has changed it since."""
    with _lock_folder(home):
        _take_back([edit for edit in edits if _read_file(edit.path) == edit.after])


def _write_edit(edit: FileEdit) -> list[Path]:
    if edit.after == edit.before:
        return []
    kept = [] if edit.before is None else [_keep_file(edit.path, edit.before)]
    if edit.after is None:
        _remove_file(edit.path)
    else:
        _write_with_mode(edit.path, edit.after, edit.mode)
    return kept


def _take_back(edits: Sequence[FileEdit]) -> None:
    for edit in reversed(edits):
        if edit.before is None:
            _remove_file(edit.path)
        else:
            _write_with_mode(edit.path, edit.before)


def _remove_file(path: Path) -> None:
    if path.exists():
        path.unlink()
        sync_folder(path.parent)


def _write_with_mode(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write *content* to *path* with the permissions *mode*, or those of the file that is or was there."""
    alike = next((each for each in (path, _name_backup(path)) if each.exists()), None)
    write_atomically(path, content, mode or (None if alike is None else alike.stat().st_mode & 0o7777))


def _name_backup(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def _keep_file(path: Path, content: bytes) -> Path:
    kept = _name_backup(path)
    write_atomically(kept, content, path.stat().st_mode & 0o7777)
    return kept


def _read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextmanager
def _lock_folder(folder: Path) -> Generator[None]:
    """Keep other writers of *folder* out. Waits for the one that is writing, which takes milliseconds."""
    held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
