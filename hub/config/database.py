"""Parses the URL of the journal's database in its two forms. Opens nothing, and never holds a password."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hub.language.phrases import phrase

EXPECTED = phrase('"sqlite:///PATH", or "postgresql://USER@HOST/DATABASE"')
EXPECTED_APART = phrase("a URL without a password, and password-file")
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql", "postgresql+psycopg")


def find_sqlite_file(url: str) -> Path | None:
    """Return the file of the journal at *url*, a result of `parse_database_url`; None: a server holds it."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


class DatabaseUrlUnfit(ValueError):
    """The text is not an accepted URL. The arguments say what is wrong and what is expected.

    They never contain the password.
    """


def parse_database_url(text: str, home: Path) -> str:
    """Return the URL in the form that the store accepts. Raises DatabaseUrlUnfit.

    A relative path becomes relative to *home*, and a PostgreSQL URL gets the name of its driver.
    """
    if text.startswith(_SQLITE) and text != _SQLITE:
        return f"{_SQLITE}{home / text.removeprefix(_SQLITE)}"
    try:
        parts = urlsplit(text)
        sound = parts.scheme in _POSTGRESQL and len(parts.path) > 1 and (parts.port or True)
        secret = parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError:  # the port is not a number
        sound = secret = False
    if secret:
        raise DatabaseUrlUnfit(phrase("it contains a password"), EXPECTED_APART)
    if not sound:
        raise DatabaseUrlUnfit(phrase("{text} does not fit", text=repr(text)), EXPECTED)
    return f"postgresql+psycopg{text[text.index(':') :]}"
