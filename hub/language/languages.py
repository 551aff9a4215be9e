"""Chooses the language of a reader: of the environment for a command, of the browser for a page."""

from collections.abc import Mapping
from enum import StrEnum


class Language(StrEnum):
    """The language of a page, a report or a command."""

    VI = "vi"
    EN = "en"


def choose_environment_language(environment: Mapping[str, str]) -> Language:
    """Return the language of a command (POSIX, "Internationalization Variables").

    The first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set and not empty decides: English if it begins with `en`,
    Vietnamese otherwise, and so for `C`, for `POSIX` and where none is set.
    """
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    said = next((value for name in names if (value := environment.get(name))), "")
    return Language.EN if said.lower().startswith("en") else Language.VI


def choose_language(asked: str | None, kept: str | None, accepted: str) -> Language:
    """Return the language of a page.

    The order is: *asked* (query), *kept* (account or cookie), *accepted* (Accept-Language). The default is Vietnamese.
    """
    for said in (asked, kept):
        if said is not None and said in {*Language}:
            return Language(said)
    ranks: dict[str, float] = {}
    for part in accepted.split(",")[:20]:
        tag, _, rest = part.strip().partition(";")
        try:
            rank = float(rest.strip().removeprefix("q=")) if rest else 1.0
        except ValueError:
            continue
        primary = tag.strip().lower().partition("-")[0]
        ranks[primary] = max(rank, ranks.get(primary, 0.0))
    return Language.EN if ranks.get("en", 0.0) > ranks.get("vi", 0.0) else Language.VI
