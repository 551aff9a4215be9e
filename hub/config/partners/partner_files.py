"""Reads the files of a partner's folders: the mapping that `[settings]` names, the files that its hashes list, its secrets.

Knows the names, sizes and hashes of the files. Does not know what a mapping means: `hub.partner.soap_mapping` does.
The files are read with the configuration, so an adapter opens none, and a reload sees every change of them.

A secret is a file in `secrets/CODE/`, the folder of that partner's secrets, and is named without a path. A path is a file
elsewhere, which only a person who edits the partner's file by hand can name.
"""

import errno
import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from hub.config.table import describe_toml_error
from hub.domain.errors import Mistake
from hub.domain.sanitize import show_value
from hub.language.phrases import Phrase, phrase
from hub.language.system_errors import name_system_error

#: Octets of a mapping, and of all files together that it lists; and the number of those files.
LARGEST_MAPPING = 256 << 10
LARGEST_FOLDER = 8 << 20
MOST_FILES = 100

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_PLACE = re.compile(rf"({_NAME})/({_NAME}\.toml)")
_PLACE_EXPECTED = phrase("a file in a folder of partners/, such as dvc/mapping.toml")
_HASHES_EXPECTED = phrase('a table of files: their names, each with its SHA-256, such as "dichvu.wsdl" = "9f86d081…"')


#: The folder in which each partner has one for its secrets, below that of `hub.toml`.
SECRETS = "secrets"
SECRET_EXPECTED = phrase("the name of a file in the folder of the partner's secrets, without a path")


def is_secret_name(name: str) -> bool:
    """Tell whether a secret may have that *name*. A file that was replaced or set aside, `NAME.old`, is none any more."""
    return is_kept_file_name(name) and not name.endswith(".old")


def is_path(written: str) -> bool:
    """Tell whether *written*, the value of a `NAME-file`, names a file outside the folder of the partner's secrets."""
    return "/" in written


def find_secret_file(home: Path, code: str, written: str) -> Path:
    """Return the file that *written*, the value of a `NAME-file` of the partner *code*, names."""
    return home / written if is_path(written) else home / SECRETS / code / written


def list_secret_names(home: Path, code: str) -> tuple[str, ...]:
    """Return the names of the secrets that lie in the folder of the partner *code*. *home* is the directory of `hub.toml`."""
    found = (home / SECRETS / code).glob("*")
    return tuple(sorted(each.name for each in found if is_secret_name(each.name) and each.is_file()))


def is_kept_file_name(name: str) -> bool:
    """Tell whether a file of a partner's folder may have that *name*: letters, digits and `_ . -`, no path."""
    return re.fullmatch(_NAME, name) is not None


class _Unfit(Exception):
    """A file cannot be read. `args` are what is wrong and what is expected."""


@attrs.define
class PartnerFileReader:
    """Reads files below `partners/` and `secrets/` of the directory *home* of `hub.toml`."""

    _home: Path
    _mistakes: list[Mistake]
    #: files that are not written yet, by their path below *home*
    _candidates: Mapping[str, bytes] = attrs.field(factory=dict)

    def read_secret(self, code: str, written: str, wrong: Callable[[Phrase, Phrase], None]) -> str | None:
        """Return the secret of the partner *code* that *written* names, without its last line feed. None after a mistake."""
        if not is_path(written) and not is_secret_name(written):
            wrong(phrase("{value} does not fit", value=show_value(written)), SECRET_EXPECTED)
            return None
        file = find_secret_file(self._home, code, written)
        shown = f"{SECRETS}/{code}/{written}" if not is_path(written) else f"{file}"
        try:
            content = self._candidates.get(shown)
            return (file.read_bytes() if content is None else content).decode().rstrip("\r\n")
        except (OSError, ValueError) as error:
            wrong(
                phrase("{home} cannot be read: {error}", home=shown, error=name_system_error(error)),
                phrase("a file that holds the secret and nothing else"),
            )
            return None

    def read(self, place: str, wrong: Callable[[Phrase, Phrase], None]) -> dict[str, bytes]:
        """Return the mapping at *place*, such as `dvc/mapping.toml`, and the files that it lists, by their names.

        The keys have no folder: all files are beside the mapping. Empty after a mistake; *wrong* is told of one in
        *place* itself, any other is recorded at the mapping's key.
        """
        named = _PLACE.fullmatch(place)
        if named is None:
            wrong(phrase("{value} does not fit", value=show_value(place)), _PLACE_EXPECTED)
            return {}
        folder, name = named.groups()
        try:
            content = self._load(folder, name, LARGEST_MAPPING)
        except _Unfit as unfit:
            wrong(*unfit.args)
            return {}
        before, shown = len(self._mistakes), f"partners/{place}"
        found = {name: content, **self._list(folder, shown, content)}
        return found if len(self._mistakes) == before else {}

    def _list(self, folder: str, shown: str, content: bytes) -> dict[str, bytes]:
        """Return the files that the mapping *content* lists under `[wsdl.sha256]`."""

        def wrong(key: str, what: Phrase, expected: Phrase) -> None:
            self._mistakes.append(Mistake(f"{shown}: {key}", what, expected))

        try:
            hashes = _find_hashes(tomllib.loads(content.decode()))
        except (ValueError, RecursionError) as error:
            self._mistakes.append(describe_toml_error(shown, error))
            return {}
        if not isinstance(hashes, Mapping) or len(hashes) > MOST_FILES:
            wrong("wsdl.sha256", phrase("{value} does not fit", value=show_value(hashes)), _HASHES_EXPECTED)
            return {}
        found: dict[str, bytes] = {}
        for name, sha256 in hashes.items():
            key = f'wsdl.sha256."{name}"'
            if not is_kept_file_name(name):
                wrong(key, phrase("{value} does not fit", value=show_value(name)), _NAME_EXPECTED)
                continue
            try:
                found[name] = self._load(folder, name, LARGEST_FOLDER - sum(map(len, found.values())))
            except _Unfit as unfit:
                wrong(key, *unfit.args)
                continue
            is_now = hashlib.sha256(found[name]).hexdigest()
            if not isinstance(sha256, str) or sha256.lower() != is_now:
                expected = phrase("the file with this SHA-256; if the new one is right, write its SHA-256 here")
                wrong(key, phrase("the file has the SHA-256 {sha256}", sha256=is_now), expected)
        return found

    def _load(self, folder: str, name: str, most: int) -> bytes:
        """Return the content of `partners/FOLDER/NAME`. Follows no symbolic link below `partners/`. Raises _Unfit."""
        place = f"{folder}/{name}"
        content = self._candidates.get(f"partners/{place}")
        if content is None:
            try:
                content = _read_regular_file(self._home / "partners", folder, name, most)
            except OSError as error:
                linked = error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
                why = phrase("a symbolic link is in the way") if linked else name_system_error(error)
                raise _Unfit(phrase("{place} cannot be read: {why}", place=place, why=why), _FILE_EXPECTED) from error
        if len(content) > most:
            raise _Unfit(
                phrase("{place} is too large", place=place),
                phrase(
                    "at most {mapping} KiB in the mapping and {folder} MiB in all files that it lists",
                    mapping=LARGEST_MAPPING >> 10,
                    folder=LARGEST_FOLDER >> 20,
                ),
            )
        return content


_FILE_EXPECTED = phrase("a plain file in a folder of partners/")
_NAME_EXPECTED = phrase("the name of a file beside the mapping: letters, digits and _ . -")


def _find_hashes(mapping: Mapping[str, Any]) -> object:
    """Return `[wsdl.sha256]`; an empty table without it: what must be there, the reader of the mapping says."""
    wsdl = mapping.get("wsdl", {})
    return wsdl.get("sha256", {}) if isinstance(wsdl, Mapping) else {}


def _read_regular_file(root: Path, folder: str, name: str, most: int) -> bytes:
    """Return up to *most* + 1 octets of a file. Raises OSError; for a symbolic link, too."""
    inside = os.open(root / folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # O_NONBLOCK: the opening of a named pipe would wait for its writer
        held = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=inside)
    finally:
        os.close(inside)
    with os.fdopen(held, "rb") as file:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return file.read(max(0, most) + 1)
