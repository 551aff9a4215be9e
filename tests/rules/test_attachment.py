"""What an attachment may carry, and how a wrapping is told from an archive."""

import base64
import contextlib
import hashlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import attachment
from hub.attachment import Unfit


def test_the_wrapping_is_told_from_a_genuine_archive_by_its_only_name():
    def letters(*names):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
        return base64.b64encode(packed.getvalue()).decode()

    uuid = "7c8be4ce-fd32-50f9-9e41-2063b221466e"
    assert attachment.carried(letters(f"{uuid}.docx")).wrapped
    assert attachment.carried(letters(uuid)).wrapped
    for names in (("word/document.xml",), (f"{uuid}.pdf", "b.pdf"), (f"a/{uuid}.pdf",), ()):
        assert not attachment.carried(letters(*names)).wrapped
    assert not attachment.carried(base64.b64encode(b"PK\x03\x04 but no archive").decode()).wrapped


@given(st.binary(max_size=300), st.integers(1, 80), st.integers(4, 50))
def test_octets_survive_whatever_the_lines_and_slices(octets, width, slice_):
    letters = base64.b64encode(octets).decode()
    lines = "\r\n".join(letters[at : at + width] for at in range(0, len(letters), width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attachment, "SLICE", slice_)
        found = attachment.carried(lines)
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
    with pytest.raises(Unfit):
        attachment.carried(base64.b64encode(content).decode())


def test_a_directory_of_many_names_is_read_however_small_the_slices():
    for entries in (9_000, 10_000, 10_001):
        content = zipped("n" * 60, entries=entries)
        letters = base64.b64encode(content).decode()
        found: list[object] = []
        for step in (1 << 12, 1 << 18):
            try:
                found.append(attachment.carried(letters[at : at + step] for at in range(0, len(letters), step)))
            except Unfit as unfit:
                found.append(str(unfit))
        assert found[0] == found[1]
        assert isinstance(found[0], str) == (entries > 10_000)


@pytest.mark.parametrize("content", [zipped(), zipped("a/b..c.txt"), zipped(size=99 << 20), zipped(entries=10_000)])
def test_an_ordinary_archive_is_fit(content):
    assert attachment.carried(base64.b64encode(content).decode()).size == len(content)


@given(st.binary(max_size=400), st.integers(0, 500))
def test_an_archive_cut_or_spoilt_anywhere_is_no_surprise(junk, at):
    content = zipped(entries=3)
    for spoilt in (content[:at], content[:at] + junk, b"PK\x03\x04" + junk + content[at:]):
        with contextlib.suppress(Unfit):
            attachment.carried(base64.b64encode(spoilt).decode())
