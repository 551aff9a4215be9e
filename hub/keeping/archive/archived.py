"""What lies in an archive: its manifest, messages and events, line by line; no database."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from hub.audit.seals import explain_rejection
from hub.domain.errors import Rejected
from hub.formats import safe_xml
from hub.keeping.archive import manifest
from hub.keeping.archive.manifest import (  # fmt: skip
    MANIFEST,
    ArchiveManifest,
)
from hub.keeping.archive.rows import read_row_values
from hub.report.counting.lines import write_compact_json

#: Octets of the manifest, at most.
MANIFEST_BYTES = 64 << 20
CHAIN_ORIGIN = "0" * 64
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NoArchive(Exception):
    """The file is not an archive file, or damaged. The text says what is wrong."""


@attrs.frozen(kw_only=True)
class ArchivedEvent:
    """One event as it stood in the chain."""

    serial: int
    message: str | None
    delivery: str | None
    number: int
    previous: str | None  #: the hash of the event before it; None: the journal no longer had that event
    hash: str
    text: str  #: the very text that is hashed


@attrs.frozen(kw_only=True)
class ArchivedMessage:
    """A message with its rows, by column as in the journal."""

    id: str
    row: Mapping[str, Any]
    deliveries: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    changes: Sequence[Mapping[str, Any]]
    events: int  #: number of its events
    has_octets: bool  #: its octets are in the file


def read_manifest_content(content: bytes, path: Path) -> ArchiveManifest:
    try:
        return manifest.read_archive_element(safe_xml.parse_safe_xml(content))
    except Rejected as rejected:
        raise NoArchive(f"{path}: {MANIFEST}: {explain_rejection(rejected)}") from None
    except (ValueError, OverflowError) as error:
        raise NoArchive(f"{path}: {MANIFEST}: {error}") from None


def split_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of a member, each with its line feed."""
    held: list[bytes] = []
    for piece in pieces:
        end, *begun = piece.split(b"\n")
        held.append(end)
        for each in begun:
            yield b"".join([*held, b"\n"])
            held = [each]
    if rest := b"".join(held):
        yield rest


def read_archive_line(line: bytes) -> dict[str, Any]:
    """Return the object of a line. Raises ValueError for any other line, and one that is not in the only form."""
    if not manifest.is_bounded_line(line):
        raise ValueError("a line has too many values")
    try:
        said = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(said, dict) or write_compact_json(said) != line:
        raise ValueError("a line is not in the required form")
    return said


def read_archived_row(table: Any, said: Any) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise NoArchive(f"{table.name}: not a row")
    try:
        return read_row_values(table, said)
    except ValueError as error:
        raise NoArchive(str(error)) from None


def make_archived_event(line: Mapping[str, Any]) -> ArchivedEvent:
    try:
        made = ArchivedEvent(**line)
    except TypeError as error:
        raise NoArchive(f"an event cannot be read: {error}") from None
    texts = [made.hash, made.text, *(each for each in (made.message, made.delivery, made.previous) if each is not None)]
    if not (type(made.number) is int and type(made.serial) is int and all(isinstance(each, str) for each in texts)):
        raise NoArchive("an event cannot be read")
    if not all(_HASH.fullmatch(each) for each in (made.hash, CHAIN_ORIGIN if made.previous is None else made.previous)):
        raise NoArchive("an event cannot be read: not a hash")
    return made


def shorten_digest(digest: str) -> int:
    """Return the first 8 octets of a hash as a number: enough to tell neighbours that do not fit."""
    return int(digest[:16], 16)
