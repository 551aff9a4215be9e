"""URLs that an operator writes: what is wrong with one, and whether it names the hub's own machine or a directory."""

import os
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hub.config.table import ConfigTable
from hub.domain.own_addresses import is_own_host
from hub.language.phrases import Phrase, phrase

PLAIN_SCHEMES = ("http", "https")  #: fetched content is signed; TLS would only hide what is fetched
HTTPS_URL = phrase("an https URL without user, password or fragment, such as https://10.0.0.5/soap/documents")
PLAIN_URL = phrase("an http or https URL without user, password or fragment, such as http://crl.ca.example/ca.crl")


def check_url(table: ConfigTable, key: str, url: str, schemes: Collection[str] = ("https",)) -> None:
    expected = (
        HTTPS_URL
        if tuple(schemes) == ("https",)
        else PLAIN_URL
        if set(schemes) <= set(PLAIN_SCHEMES)
        else _any_url(schemes)
    )
    if flaw := find_url_flaw(url, schemes):
        table.wrong(key, flaw, expected)


def _any_url(schemes: Collection[str]) -> Phrase:
    return phrase("a URL without user, password or fragment that begins with {schemes}", schemes=", ".join(schemes))


def find_url_directory(url: str) -> Path | None:
    """Return the directory that a `file:` URL names, without `..`; links are not followed. Return None for another URL."""
    try:
        parts = urlsplit(url)
    except ValueError:  # `find_url_flaw` says it
        return None
    return Path(os.path.normpath(unquote(parts.path))) if parts.scheme == "file" else None


def names_own_machine(url: str) -> bool:
    """Tell whether the host of *url* is written as an address of the hub's own machine."""
    try:
        return "://" in url and is_own_host(urlsplit(url).hostname or "")
    except ValueError:  # `find_url_flaw` says it
        return False


def lies_in_exchange(place: Path, exchange: Path | None) -> bool:
    """Tell whether the directory *place* lies in the folder *exchange*, links followed."""
    return exchange is not None and place.resolve().is_relative_to(exchange.resolve())


def find_url_flaw(url: str, schemes: Collection[str]) -> Phrase | None:
    """Return what is wrong with *url*, which must have one of *schemes*. Return None if nothing is wrong."""
    try:
        parts = urlsplit(url)
        placed = parts.path if parts.scheme == "file" else parts.hostname
        sound = parts.scheme in schemes and placed and parts.port != 0 and not parts.fragment
        sound = sound and (parts.scheme != "file" or (not parts.netloc and unquote(parts.path).isprintable()))
        if not sound or parts.username is not None or not url.isascii() or not url.isprintable() or " " in url:
            return phrase("{url} does not fit", url=repr(url))
    except ValueError as error:
        return phrase("{url} does not fit: {error}", url=repr(url), error=error)
    return None
