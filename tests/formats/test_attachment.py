"""What an attachment may carry, and how a wrapping is told from an archive."""

import base64
import contextlib
import hashlib
import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.formats import base64_content
from hub.formats.base64_content import ContentUnfit


def test_the_wrapping_is_told_from_a_genuine_archive_by_its_only_name():
    def letters(*names):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
        return base64.b64encode(packed.getvalue()).decode()

    uuid = "7c8be4ce-fd32-50f9-9e41-2063b221466e"
    assert base64_content.measure_base64(letters(f"{uuid}.docx")).wrapped
    assert base64_content.measure_base64(letters(uuid)).wrapped
    for names in (("word/document.xml",), (f"{uuid}.pdf", "b.pdf"), (f"a/{uuid}.pdf",), ()):
        assert not base64_content.measure_base64(letters(*names)).wrapped
    assert not base64_content.measure_base64(base64.b64encode(b"PK\x03\x04 but no archive").decode()).wrapped


@given(st.binary(max_size=300), st.integers(1, 80), st.integers(4, 50))
def test_octets_survive_whatever_the_lines_and_slices(octets, width, slice_):
    letters = base64.b64encode(octets).decode()
    lines = "\r\n".join(letters[at : at + width] for at in range(0, len(letters), width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base64_content, "SLICE", slice_)
        found = base64_content.measure_base64(lines)
    assert (found.size, found.sha256) == (len(octets), hashlib.sha256(octets).hexdigest())


def zipped(name="a.txt", *, entries=1, size=None):
    """Return a ZIP; *size* is what it declares each entry to unpack to."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for n in range(entries):
            archive.writestr(zipfile.ZipInfo(name if entries == 1 else f"{n}{name}"), b"x")
    content = bytearray(packed.getvalue())
    if size is not None:
        at = content.index(b"PK\x01\x02")
        content[at + 24 : at + 28] = size.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        zipped(size=200 * 1024 * 1024),
        zipped(size=0xFFFFFFFF),
        zipped(entries=10_001),
        zipped("../a.txt"),
        zipped("a/../../b.txt"),
        zipped("..\\a.txt"),
        zipped("/etc/passwd"),
        zipped("C:\\a.txt"),
        zipped("C:a.txt"),
    ],
    ids=["bomb", "64-bit", "crowd", "up", "up inside", "up in Windows", "absolute", "drive", "drive relative"],
)
def test_an_archive_that_would_burst_or_climb_is_unfit(content):
    with pytest.raises(ContentUnfit):
        base64_content.measure_base64(base64.b64encode(content).decode())


@pytest.mark.slow
def test_a_directory_of_many_names_is_read_however_small_the_slices():
    for entries in (9_000, 10_000, 10_001):
        content = zipped("n" * 60, entries=entries)
        letters = base64.b64encode(content).decode()
        found: list[object] = []
        for step in (1 << 12, 1 << 18):
            try:
                found.append(
                    base64_content.measure_base64(letters[at : at + step] for at in range(0, len(letters), step))
                )
            except ContentUnfit as unfit:
                found.append(str(unfit))
        assert found[0] == found[1]
        assert isinstance(found[0], str) == (entries > 10_000)


@pytest.mark.parametrize("first", range(4, 12, 4))
def test_white_space_before_an_archive_does_not_hide_how_it_begins(first):
    """The first slice then holds a letter or two: found by fuzzing."""
    with pytest.raises(ContentUnfit):
        base64_content.measure_base64(
            " " * (base64_content.SLICE - first) + base64.b64encode(zipped("../a.txt")).decode()
        )


@pytest.mark.parametrize("content", [zipped(), zipped("a/b..c.txt"), zipped(size=99 << 20), zipped(entries=10_000)])
def test_an_ordinary_archive_is_fit(content):
    assert base64_content.measure_base64(base64.b64encode(content).decode()).size == len(content)


def recorded(content, **said):
    """Return a ZIP with the 64-bit end record too, as some writers always write it; *said* is what it says otherwise."""
    at = len(content) - 22
    count, length, offset = struct.unpack("<H2L", content[at + 10 : at + 20])
    fields = {"count": count, "length": length, "offset": offset, **said}
    record = struct.pack("<4sQ2H2LQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count) + struct.pack("<3Q", *fields.values())
    return content[:at] + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1) + content[at:]


def test_a_directory_before_a_64_bit_record_is_read():
    assert base64_content.list_zip_entries(recorded(zipped()), len(recorded(zipped()))) == [b"a.txt"]


END = zipped("../a.txt")[-22:]


@pytest.mark.parametrize(
    "content",
    [
        recorded(zipped("../a.txt")),
        recorded(zipped(), count=2),
        recorded(zipped(), length=0),
        zipped("../a.txt")[:-22] + b"between" + END,
        zipped("../a.txt")[:-22] + b"PK\x06\x07" + END,
        zipped("../a.txt")[:-22] + END[:8] + bytes(8) + END[16:],
        zipped("../a.txt")[:-22] + zipped()[zipped().index(b"PK\x01\x02") :],
        zipped("../a.txt")[:-6] + b"PK\x05\x06" + bytes(2),
        zipped("../a.txt")[:-2] + b"\x16\0" + zipped()[-22:-2] + b"\1\0",
    ],
    ids=[
        *("64-bit", "other count", "other length", "not at the end", "half a record", "none", "another before it"),
        *("an end inside its end", "an end inside its comment"),
    ],
)
def test_an_archive_of_which_readers_may_see_different_directories_is_unfit(content):
    """Not seen where it was looked for, a directory was not judged at all: found by fuzzing."""
    with pytest.raises(ContentUnfit):
        base64_content.measure_base64(base64.b64encode(content).decode())


@given(st.binary(max_size=400), st.integers(0, 500))
def test_an_archive_cut_or_spoilt_anywhere_is_no_surprise(junk, at):
    content = zipped(entries=3)
    for spoilt in (content[:at], content[:at] + junk, b"PK\x03\x04" + junk + content[at:]):
        with contextlib.suppress(ContentUnfit):
            base64_content.measure_base64(base64.b64encode(spoilt).decode())


def wrapped(method=zipfile.ZIP_DEFLATED, content=b"BEGIN:VCALENDAR"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("lich.ics", content)
    return packed.getvalue()


def locked():
    """Return a ZIP that says a password is needed."""
    content = bytearray(wrapped())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    return bytes(content)


def unpacked(content, most=1000):
    letters = base64.b64encode(content).decode()
    assert base64_content.measure_base64(letters).size == len(content), "it may be carried all the same"
    return base64_content.decode_base64_content(letters, most)


def test_what_is_read_is_taken_out_of_its_wrapping():
    assert (
        unpacked(b"BEGIN:VCALENDAR")
        == unpacked(wrapped())
        == unpacked(wrapped(zipfile.ZIP_STORED))
        == b"BEGIN:VCALENDAR"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 1001,
        wrapped(content=b"x" * 1001),
        wrapped(zipfile.ZIP_LZMA),
        wrapped(zipfile.ZIP_BZIP2),
        locked(),
        wrapped(zipfile.ZIP_STORED).replace(b"VCALENDAR", b"VCALENDAS"),
        b"PK\x03\x04" + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 4, 0),
    ],
    ids=["too much", "too much in it", "LZMA", "bzip2", "locked", "damaged", "empty"],
)
def test_what_cannot_be_taken_out_of_its_wrapping_is_unfit_to_be_read(content):
    with pytest.raises(ContentUnfit):
        unpacked(content)
