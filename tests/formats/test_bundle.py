"""A bundle is a ZIP that any program opens, and of which each octet is as it must be."""

import contextlib
import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.formats import zip_archive
from hub.formats.zip_archive import Malformed, Packing

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,9}(/[a-z0-9][a-z0-9._-]{0,9})?", fullmatch=True)


def packed(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    packing = Packing(file)
    for name, octets in members.items():
        with packing.writing(name) as write:
            for at in range(0, len(octets), 7):
                write(octets[at : at + 7])
    packing.end()
    return file.getvalue()


def unpacked(content: bytes) -> dict[str, bytes]:
    file = io.BytesIO(content)
    return {
        member.name: b"".join(zip_archive.read_member_pieces(file, member))
        for member in zip_archive.read_zip_members(file)
    }


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=5))
@pytest.mark.slow
def test_what_is_packed_is_read_back_by_us_and_by_a_library_nobody_here_wrote(members):
    content = packed(members)
    assert unpacked(content) == members
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members
        assert archive.testzip() is None


@given(st.data())
def test_no_octet_can_be_another_one(data):
    content = bytearray(packed({"mimetype": b"a/b", "facts/1.jsonl": b"[1]\n[2]\n", "empty": b""}))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Malformed):
        unpacked(bytes(content))


@given(st.integers(0, 200))
def test_a_bundle_cut_short_or_gone_on_with_is_none(many):
    content = packed({"mimetype": b"a/b", "facts/1.jsonl": b"[1]\n" * 20})
    with pytest.raises(Malformed):
        unpacked(content[:many])
    with pytest.raises(Malformed):
        unpacked(content + b"\0" * (many + 1))


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a\\b", "a//b", ".x", "A", "a/b/c", "ố", "", "x" * 300, "a/..", "con:"]
)
def test_no_member_can_be_called_so(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name or "\0"), b"x")
    with pytest.raises(Malformed):
        unpacked(file.getvalue())
    with pytest.raises(ValueError, match=r"^"):
        Packing(io.BytesIO()).put(name, b"x")


def test_nothing_may_be_compressed_so_nothing_can_blow_up():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("bomb"), b"\0" * (50 << 20), zipfile.ZIP_DEFLATED)
    with pytest.raises(Malformed, match="compressed"):
        unpacked(file.getvalue())


def test_a_name_can_be_taken_once():
    packing = Packing(io.BytesIO())
    packing.put("a", b"1")
    with pytest.raises(ValueError, match="a"):
        packing.put("a", b"2")
    twice = packed({"a": b"1", "b": b"1"}).replace(
        b"PK\x03\x04" + packed({"b": b"1"})[4:31], b"PK\x03\x04" + packed({"a": b"1"})[4:31]
    )
    with pytest.raises(Malformed, match="twice"):
        unpacked(twice)


@pytest.mark.slow
def test_more_than_65535_members_are_a_zip_too():
    content = packed({f"octets/{number}": b"" for number in range(65_600)})
    assert len(unpacked(content)) == len(zipfile.ZipFile(io.BytesIO(content)).namelist()) == 65_600


def test_a_member_that_grows_too_large_says_so(monkeypatch):
    monkeypatch.setattr(zip_archive, "LARGEST", 10)
    packing = Packing(io.BytesIO())
    with pytest.raises(OverflowError), packing.writing("a") as write:
        write(b"x" * 11)
    with pytest.raises(OverflowError), packing.embedding("b") as file:
        file.write(b"x" * 11)


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=3), st.binary(max_size=30))
def test_a_bundle_within_a_bundle_is_to_the_octet_as_it_is_alone_and_reads_as_a_file(members, after):
    outer = io.BytesIO()
    packing = Packing(outer)
    packing.put("before", b"1")
    with packing.embedding("inside/a.zip") as file:
        inner = Packing(file)
        for name, octets in members.items():
            inner.put(name, octets)
        inner.end()
    packing.put("after", after)
    packing.end()
    assert unpacked(outer.getvalue()) == {"before": b"1", "inside/a.zip": packed(members), "after": after}
    inside = next(each for each in zip_archive.read_zip_members(outer) if each.name == "inside/a.zip")
    window = zip_archive.open_member(outer, inside)
    assert window.read() == packed(members)
    assert window.read(1) == b"", "it ends where the member ends"
    assert {each.name for each in zip_archive.read_zip_members(window)} == set(members)
    with pytest.raises(io.UnsupportedOperation):
        window.write(b"x")
    window.close()
    assert not outer.closed


# --- with compressed members, where the reader allows them


def deflated(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    packing = Packing(file)
    for name, octets in members.items():
        packing.put(name, octets, deflated=True)
    packing.end()
    return file.getvalue()


def inflated(content: bytes) -> dict[str, bytes]:
    file = io.BytesIO(content)
    return {
        member.name: b"".join(zip_archive.read_member_pieces(file, member))
        for member in zip_archive.read_zip_members(file, deflated=True)
    }


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=5))
def test_what_is_deflated_is_read_back_by_us_and_by_a_library_nobody_here_wrote(members):
    members |= {"long": b"0123456789" * 100_000}
    content = deflated(members)
    assert inflated(content) == members
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members
        assert archive.testzip() is None
    with pytest.raises(Malformed, match="compressed"):
        unpacked(content)


def test_a_deflated_member_expands_to_the_size_of_its_header_and_no_further():
    content = deflated({"bomb": b"\0" * (8 << 20)})
    size = (8 << 20).to_bytes(4, "little")
    for wrong in (100, (8 << 20) - 1, (8 << 20) + 1):
        changed = content.replace(size, wrong.to_bytes(4, "little"))
        file, seen = io.BytesIO(changed), list[bytes]()
        (member,) = zip_archive.read_zip_members(file, deflated=True)
        with pytest.raises(Malformed, match=r"than its size"):
            seen.extend(zip_archive.read_member_pieces(file, member))
        assert sum(map(len, seen)) <= wrong
        assert max(map(len, seen), default=0) <= zip_archive.PIECE, "never more in memory at once"


@given(st.data())
def test_no_octet_of_a_deflated_one_can_be_another_one(data):
    content = bytearray(deflated({"mimetype": b"a/b", "facts/1.jsonl": b"[1]\n[2]\n" * 9, "empty": b""}))
    at, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    content[at] ^= bit
    with contextlib.suppress(Malformed):
        assert inflated(bytes(content)) == {"mimetype": b"a/b", "facts/1.jsonl": b"[1]\n[2]\n" * 9, "empty": b""}


def test_nothing_stands_behind_the_octets_of_a_deflated_member():
    packer = zlib.compressobj(wbits=-15)
    octets = packer.compress(b"x" * 100) + packer.flush()
    for behind in (b"!", b"!" * zip_archive.PIECE):
        file = io.BytesIO()
        made = zip_archive.Member("a", 31, 100, zlib.crc32(b"x" * 100), len(octets + behind))
        file.write(made.header + octets + behind)
        with pytest.raises(Malformed, match="behind"):
            list(zip_archive.read_member_pieces(file, made))
