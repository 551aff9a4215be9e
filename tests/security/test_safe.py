"""The safe: what lies in it can be read with its key alone, in its place alone, and unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.security import encryption
from hub.security.encryption import KEY, NONCE, Safe, Unsealable

SAFE = Safe(b"k" * KEY)


@given(st.binary(), st.text(), st.binary(min_size=NONCE, max_size=NONCE))
def test_what_is_sealed_is_read_with_the_key_in_its_place(octets, place, nonce):
    assert SAFE.unseal(SAFE.seal(octets, place, nonce), place) == octets


def test_nothing_of_it_shows():
    assert "Nguyễn Văn Mẫu".encode() not in SAFE.seal("Nguyễn Văn Mẫu".encode(), "p", bytes(NONCE))


@pytest.mark.parametrize("change", [0, NONCE, -1])
def test_what_was_changed_is_not_read(change):
    sealed = bytearray(SAFE.seal(b"true", "p", bytes(NONCE)))
    sealed[change] ^= 1
    with pytest.raises(Unsealable):
        SAFE.unseal(bytes(sealed), "p")


def test_another_key_or_place_reads_nothing():
    sealed = SAFE.seal(b"true", "p", bytes(NONCE))
    for other, place in ((Safe(b"x" * KEY), "p"), (SAFE, "q")):
        with pytest.raises(Unsealable):
            other.unseal(sealed, place)
    with pytest.raises(Unsealable):
        SAFE.unseal(b"short", "p")


def test_names_and_seals_have_keys_of_their_own():
    assert SAFE.naming != b"k" * KEY
    assert repr(SAFE) == "Safe()"


def test_a_key_file_holds_a_key_and_nothing_else(tmp_path):
    file = tmp_path / "lookups.key"
    file.write_text(encryption.write_key_text(b"k" * KEY))
    assert encryption.open_safe(file) == SAFE
    for text in ("", "abc", encryption.write_key_text(b"k" * 31), "x" * 64):
        file.write_text(text)
        with pytest.raises(ValueError, match="no key"):
            encryption.open_safe(file)
