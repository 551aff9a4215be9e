"""Takes what lies in a ZIP that a stranger wrote.  Knows the two methods that everybody writes, and a bound; no entry by name.

The other methods of `zipfile` are not for strangers: of LZMA the archive says how much memory it takes to unpack.
Worst cost: 10 µs for each entry of the archive, which are all looked at, and 5 ms for each MB that is taken.
"""

import io
import struct
import zipfile
import zlib

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
#: What `zipfile` raises for octets that are no archive, or a damaged or a locked one; RuntimeError is for a password.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


class Damaged(Exception):
    """It is no ZIP, or nothing can be taken out of it."""


def open_archive(content: bytes) -> zipfile.ZipFile:
    """Return the archive that *content* is.  Raises Damaged."""
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except _BROKEN as error:
        raise Damaged(str(error)) from None


def read_zip_entry(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """Return the octets of *entry*, or *most* and one more of them.  Raises Damaged, also for another method than stored and deflated."""
    if entry.compress_type not in _METHODS:
        raise Damaged(f"compression method {entry.compress_type}")
    try:
        with packed.open(entry) as part:
            return part.read(most + 1)
    except _BROKEN as error:
        raise Damaged(str(error)) from None
