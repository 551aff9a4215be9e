"""Chooses the files of the hub's directory that belong into a backup. Reads no journal.

The hub's directory is that of `hub.toml`. Left out are the data directory (spool, sockets, the journal's own files), the
folder of the backups, archive files, which never change and are copied once, and, unless wanted, secrets: the folder
`secrets/`, what a key of a TOML file names as one, and what looks like a private key wherever it lies.
"""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import attrs

from hub.config import Config
from hub.config.durable_files import MARK
from hub.config.partners.partner_files import SECRETS
from hub.config.upkeep.backup import BackupSettings, list_secret_files
from hub.keeping.backups.manifest import HOME

#: Files above this size are no configuration.
LARGEST = 64 << 20
_MARKS = (b"PRIVATE KEY-----", b"AGE-SECRET-KEY-1")


@attrs.frozen
class ChosenFiles:
    """The files of a hub that are backed up beside its journal."""

    files: tuple[tuple[str, Path], ...]  #: name of the member, and the file
    left_out: tuple[str, ...]  #: named in hub.toml and not taken, or found and not taken


def choose_files(config: Config, settings: BackupSettings) -> ChosenFiles:
    """Return the files to back up. Raises OSError."""
    archives = (f"{config.archive}/",) if config.archive.is_dir() and any(config.archive.iterdir()) else ()
    if not settings.configuration:
        return ChosenFiles((), ("hub.toml", *archives))
    home = config.path.parent.resolve()
    apart = (config.data.resolve(), settings.folder.resolve(), config.archive.resolve())
    every = sorted(_walk_home(home, apart))
    found = [each for each in every if each.stat().st_size <= LARGEST]
    secret = {path.resolve() for _, path in config.secrets}
    for each in found:
        if each.suffix == ".toml":
            secret |= list_secret_files(home, tomllib.loads(each.read_text("utf-8")))
    taken, left = [], [*(each.relative_to(home).as_posix() for each in every if each not in found), *archives]
    for each in found:
        name = each.relative_to(home).as_posix()
        hidden = name.startswith(f"{SECRETS}/") or each.resolve() in secret or _is_private_key(each)
        if settings.keys or not hidden:
            taken.append((f"{HOME}{name}", each))
        else:
            left.append(name)
    outside = sorted(str(each) for each in secret if not each.is_relative_to(home))
    return ChosenFiles(tuple(taken), (*left, *outside))


def _walk_home(home: Path, apart: tuple[Path, ...]) -> Iterator[Path]:
    for here, folders, names in os.walk(home):  # `Path.walk` is new in Python 3.12
        folder = Path(here)
        folders[:] = [each for each in folders if not each.endswith(MARK) and (folder / each).resolve() not in apart]
        yield from (folder / each for each in names if (folder / each).is_file())


def _is_private_key(file: Path) -> bool:
    octets = file.read_bytes()
    return any(mark in octets for mark in _MARKS)
