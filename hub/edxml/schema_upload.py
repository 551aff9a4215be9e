"""Reads the schemas of packets that a person uploads: one XSD file, or a ZIP of them. Writes no file and compiles nothing.

An uploaded schema names only schemas beside it, so that compiling it reads no other file and no network.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from hub.domain.errors import ConfigurationFault
from hub.formats import xsd_schemas
from hub.formats.models.xsd_files import require_closed_schemas
from hub.formats.zip_reader import Damaged, open_archive, read_zip_entry
from hub.language.phrases import Phrase, phrase

#: Maximum octets of an upload and of all its files together, unpacked; maximum entries of a ZIP.
LARGEST, UNPACKED, FILES = 1 << 20, 2 << 20, 40
#: Files that one XSD may replace; `parts.xsd` is included by the other two.
PLACES = ("document.xsd", "status.xsd", "parts.xsd")
PROFILES = ("observed", "strict")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.xsd", re.ASCII)


class SchemasUnfit(Exception):
    """The upload holds no schemas that can be tried. `why` says so."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


def read_schema_upload(content: bytes, place: str) -> dict[str, bytes]:
    """Return the files of a folder of schemas (`load_packet_schema`), by their path in it. Raises `SchemasUnfit`.

    One XSD takes the place *place*, one of `PLACES`, among the hub's own observed schemas. A ZIP has `document.xsd`
    and `status.xsd`, or `observed/` and `strict/` with both; a folder around them is left out.
    """
    if len(content) > LARGEST:
        raise SchemasUnfit(phrase("The file is larger than {most} KiB.", most=LARGEST >> 10))
    if content.startswith(b"PK"):
        return _read_archive(content)
    if place not in PLACES:
        raise SchemasUnfit(phrase("Choose which of the hub's schemas the file replaces."))
    return replace_schemas({place: content})


def replace_schemas(given: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the hub's own schemas with the files *given*, by `PLACES`, in the observed profile. Raises `SchemasUnfit`.

    The files of the strict profile are others, with other types.
    """
    own = xsd_schemas.find_schema_root() / "xsd/qcvn102"
    files = {f"{profile}/{name}": (own / profile / name).read_bytes() for profile in PROFILES for name in PLACES}
    files |= {f"observed/{name}": content for name, content in given.items()}
    _require_closed(files)
    return files


def _read_archive(content: bytes) -> dict[str, bytes]:
    try:
        archive = open_archive(content)
        entries = [each for each in archive.infolist() if not each.is_dir() and each.filename.endswith(".xsd")]
        if len(archive.infolist()) > FILES:
            raise SchemasUnfit(phrase("The ZIP has more than {most} entries.", most=FILES))
        files: dict[str, bytes] = {}
        left = UNPACKED
        for each in entries:
            octets = read_zip_entry(archive, each, left)
            left -= len(octets)
            if left < 0:
                raise SchemasUnfit(phrase("The files are larger than {most} KiB.", most=UNPACKED >> 10))
            files[_place_entry(each.filename)] = octets
    except Damaged as damaged:
        raise SchemasUnfit(phrase("The ZIP cannot be read: {error}", error=damaged)) from None
    _require_closed(files)
    for profile in ("",) if "document.xsd" in files else PROFILES:
        for name in PLACES[:2]:
            path = f"{profile}/{name}".lstrip("/")
            if path not in files:
                raise SchemasUnfit(phrase("{file} is missing in the ZIP.", file=path))
    return files


def _place_entry(name: str) -> str:
    """Return the path of an entry in the folder of schemas."""
    folder, file = PurePosixPath(name).parent.name, PurePosixPath(name).name
    if "\\" in name or not _NAME.fullmatch(file):
        raise SchemasUnfit(phrase("{file} is no name of a schema file.", file=repr(name[:100])))
    return f"{folder}/{file}" if folder in PROFILES else file


def _require_closed(files: Mapping[str, bytes]) -> None:
    """Check that each file is a schema and names only files beside it. Raises `SchemasUnfit`."""
    try:
        require_closed_schemas(files)
    except ConfigurationFault as fault:
        raise SchemasUnfit(fault.mistakes[0].wrong) from None
