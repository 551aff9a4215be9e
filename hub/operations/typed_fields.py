"""Reads what a person types into a search."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from hub.domain.local_time import parse_local_time
from hub.language.phrases import Phrase, phrase


def read_time(text: str, wrong: list[Phrase]) -> datetime | None:
    """Return the time that a person typed; None if there is no text, or if it is no time, which *wrong* then says."""
    if not text:
        return None
    try:
        return parse_local_time(text)
    except ValueError:
        wrong.append(phrase("“{text}” is not a time; write 27/11/2026 or 27/11/2026 08:00", text=text))
        return None


def read_typed_fields(query: Mapping[str, str], names: Iterable[str], longest: int) -> dict[str, str]:
    """Return what was typed into the fields with these *names*, with single spaces, at most *longest* characters each."""
    return {name: " ".join(query.get(name, "").split())[:longest] for name in names}
