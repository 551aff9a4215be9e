"""Attachments: measured as Python's base64 measures them, and no ZIP is taken that zipfile sees climb or burst."""

import base64
import hashlib
import io
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from hub.formats import base64_content
from hub.formats.base64_content import ENTRIES, RATIO, UNPACKED, Carried, ContentUnfit
from lienthong_demo.plan import packets
from tests.fuzz.told import gist, tell

LONGEST = 2048
MOST = 300  #: octets of one that is read
CANONICAL = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def seeds() -> Iterator[bytes]:
    yield base64.encodebytes(b"Noi dung van ban\n" * 9)
    yield b"QQ==\r\n"
    yield b"QR=="
    yield packets.zip_packet("van-ban.pdf", b"%PDF-1.7")
    for names in (("a.txt", "b/c.txt"), ("../a",), ("/a",), ("C:\\a",), ("\u00e9",), ()):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), b"x" * 50)
            archive.comment = b"c" * len(names)
        yield packed.getvalue()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("lich.ics", (2020, 1, 1, 0, 0, 0)), b"BEGIN:VCALENDAR\r\n", method)
        yield packed.getvalue()
    yield b"PK\x03\x04" + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 4, 0)
    for name in ("a.txt", "../a.txt"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), b"x")
        yield with_record(packed.getvalue())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, archive.open(zipfile.ZipInfo("big"), "w", force_zip64=True) as entry:
        entry.write(b"x")
    yield packed.getvalue()


def with_record(archive: bytes) -> bytes:
    """Return *archive*, which has no comment, with the directory told once more in the 64-bit form, as some writers always do."""
    end = struct.Struct("<4s4H2LH")
    at = len(archive) - end.size
    count, length, place = end.unpack(archive[at:])[4:7]
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, place)
    return archive[:at] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1) + archive[at:]


def judge(content: bytes) -> None:
    judge_letters(content.decode("latin-1"))
    judge_archive(content)


def judge_letters(letters: str) -> None:
    """Take *letters* for base64."""
    written = letters.encode("utf-8").translate(None, b" \t\r\n")
    expected = base64.b64decode(written) if CANONICAL.fullmatch(written) else None
    if expected is not None and base64.b64encode(expected) != written:
        expected = None  # stray bits
    found = measured(letters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base64_content, "SLICE", 7)
        sliced = measured(letters)
    assert found == sliced or (isinstance(found, str) and isinstance(sliced, str)), (
        "cut into other slices it is something else"
    )
    if isinstance(found, Carried):
        assert expected is not None
        assert (found.size, found.sha256) == (len(expected), hashlib.sha256(expected).hexdigest())
        assert found.head == expected[:8]
    else:
        assert expected is None or found.startswith("Unfit"), found
    tell("letters", isinstance(found, Carried) or gist(found))


def measured(letters: str) -> Carried | str:
    try:
        return base64_content.measure_base64(letters)
    except (ValueError, ContentUnfit) as error:
        return f"{type(error).__name__}: {error}"


def judge_archive(octets: bytes) -> None:
    """Take *octets* for what is to be carried, as a ZIP where they begin like one; and for what the hub reads."""
    found = measured(base64.b64encode(octets).decode())
    if isinstance(found, Carried):
        judge_content(octets)
    if not octets.startswith(b"PK\x03\x04"):
        assert isinstance(found, Carried)
        assert not found.wrapped
        return
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, EOFError) as error:
        tell("no zip", gist(str(error)), isinstance(found, Carried))
        return
    tell("zip", min(len(entries), 3), found.wrapped if isinstance(found, Carried) else gist(found))
    if isinstance(found, Carried):
        assert len(entries) <= ENTRIES
        assert sum(entry.file_size for entry in entries) <= max(UNPACKED, RATIO * len(octets))
        for entry in entries:
            assert not climbs(entry.orig_filename), entry
        assert not found.wrapped or len(entries) == 1


def judge_content(octets: bytes) -> None:
    """Take what may be carried out of its wrapping."""
    try:
        found = base64_content.decode_base64_content(base64.b64encode(octets).decode(), MOST)
    except ContentUnfit as unfit:
        tell("unread", gist(str(unfit)))
        return
    assert len(found) <= MOST
    if octets.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            first = archive.infolist()[0]
            assert first.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
            assert found == archive.read(first)
    else:
        assert found == octets
    tell("read", octets != found)


def climbs(name: str) -> bool:
    """Tell whether *name* leaves the folder it is unpacked in, on either kind of system."""
    windows = PureWindowsPath(name)
    return (
        ".." in windows.parts
        or ".." in PurePosixPath(name).parts
        or bool(windows.drive or windows.root)
        or name.startswith("/")
    )
