"""`[console] key-file`: which key encrypts the secrets of one-time codes, and which only decrypt."""

from pathlib import Path

import pytest

from hub.config import read_config
from hub.domain.errors import ConfigurationFault
from hub.security.encryption import CODES, Unsealable, open_safe, write_key_text
from tests import homes


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = homes.begin(tmp_path / "tinh")
    for name in ("new", "old"):
        (made / name).write_text(write_key_text(name.encode().ljust(32)))
    return made


def configure(home: Path, text: str) -> None:
    file = home / "hub.toml"
    file.write_text(f"{file.read_text('utf-8')}\n[console]\n{text}\n", "utf-8")


def order(home: Path) -> list[str]:
    """Return the files of the keys, the encrypting one first."""
    found = []
    for safe in read_config(home / "hub.toml").console.keys.safes:
        sealed = safe.seal(b"x", "p", b"n" * 12)
        for name in ("pki/lookups.key", "new", "old"):
            try:
                open_safe(home / name).of_use(CODES).unseal(sealed, "p")
            except Unsealable:
                continue
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("", ["pki/lookups.key"]),
        ('key-file = "new"', ["new", "pki/lookups.key"]),
        ('former-key-file = "old"', ["pki/lookups.key", "old"]),
        ('key-file = "new"\nformer-key-file = "old"', ["new", "old", "pki/lookups.key"]),
    ],
)
def test_the_key_of_lookups_serves_unless_another_is_named(home: Path, text: str, files: list[str]) -> None:
    configure(home, text)
    assert order(home) == files
    named = {key for key, _ in read_config(home / "hub.toml").secrets if key.startswith("console.")}
    assert named == {f"console.{line.split(' = ')[0]}" for line in text.splitlines()}


def test_a_key_that_cannot_be_used_is_a_mistake(home: Path) -> None:
    configure(home, 'key-file = "hub.toml"')
    with pytest.raises(ConfigurationFault) as fault:
        read_config(home / "hub.toml")
    assert "console.key-file" in str(fault.value.mistakes)
