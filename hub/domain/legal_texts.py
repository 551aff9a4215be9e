"""Knows the legal texts by which the hub counts, prints and keeps: when each is in force, and which text replaces it.

The texts are data, in `legal_texts.toml`. Does not know who cites them, nor what they say.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import attrs


class Certainty(StrEnum):
    """How sure it is what the list says of a text."""

    READ = "V"  #: read in a source
    UNVERIFIED = "U"  #: told by others, not compared with the text
    CONCLUDED = "D"  #: concluded by the project


@attrs.frozen(kw_only=True)
class LegalText:
    """A law, decree, decision or circular."""

    id: str  #: by which forms cite it, such as `qd-28-2018`
    number: str  #: such as `28/2018/QĐ-TTg`
    vi: str  #: its name as it is printed; contains the number
    en: str
    about: Mapping[str, str]  #: what the hub takes from it, in `vi` and `en`
    since: date | None = None  #: the first day in force; None: not known, or before anything that is counted
    until: date | None = None  #: the first day on which it is no longer in force
    replaced_by: str | None = None  #: the id of the text that continues it
    certainty: Certainty
    source: str  #: where it was read

    def is_ended(self, on: date) -> bool:
        """Tell whether it is no longer in force on the day *on*."""
        return self.until is not None and self.until <= on


def _read_texts(file: Path) -> Mapping[str, LegalText]:
    read = tomllib.loads(file.read_text(encoding="utf-8"))
    return MappingProxyType(
        {id_: LegalText(id=id_, **{**said, "certainty": Certainty(said["certainty"])}) for id_, said in read.items()}
    )


LEGAL_TEXTS: Mapping[str, LegalText] = _read_texts(Path(__file__).with_suffix(".toml"))


def choose_legal_text(cited: str, on: date) -> LegalText:
    """Return the text that stands on the day *on* where the text *cited* is cited: that text, or once it has ended the
    one in force that replaces it. Raises KeyError for an unknown id.

    A text that has ended and that nothing in force replaces is returned as it is; it `is_ended`.
    """
    text = LEGAL_TEXTS[cited]
    while text.is_ended(on) and text.replaced_by is not None:
        after = LEGAL_TEXTS[text.replaced_by]
        if on < (after.since or date.min):
            break
        text = after
    return text
