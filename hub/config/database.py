"""Reads where the journal's database is.  Knows the two forms of its URL; opens nothing, and never holds a password."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

EXPECTED = '"sqlite:///PATH", or "postgresql://USER@HOST/DATABASE"'
EXPECTED_APART = "a URL without a password, and password-file"
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql", "postgresql+psycopg")


class DatabaseUrlUnfit(ValueError):
    """The text is no such URL; its arguments are what is wrong and what is expected, and never contain the text's password."""


def url_of(text: str, home: Path) -> str:
    """Return the URL as the store takes it: a relative path counts from *home*, PostgreSQL names its driver.  DatabaseUrlUnfit."""
    if text.startswith(_SQLITE) and text != _SQLITE:
        return f"{_SQLITE}{home / text.removeprefix(_SQLITE)}"
    try:
        parts = urlsplit(text)
        sound = parts.scheme in _POSTGRESQL and len(parts.path) > 1 and (parts.port or True)
        secret = parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError:  # a port that is no number
        sound = secret = False
    if secret:
        raise DatabaseUrlUnfit("a password stands in it", EXPECTED_APART)
    if not sound:
        raise DatabaseUrlUnfit(f"{text!r} does not fit", EXPECTED)
    return f"postgresql+psycopg{text[text.index(':') :]}"
