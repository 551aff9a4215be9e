"""The unit that a text names, or why there is none: what the reader of a workbook asks of the registry."""

from typing import Protocol

import attrs

from hub.language.phrases import Phrase


@attrs.frozen
class UnitMatch:
    """The unit of a report that a name or a code means; or with `unit` "", why there is none."""

    unit: str  #: the code
    #: the code of the unit that was named; another one, if that has ended and `unit` continues its work
    named: str = ""
    called: str = ""  #: the name by which it was found, as the registry has it: that of today, or one of before
    wrong: Phrase | None = None


class UnitFinder(Protocol):
    """Finds the units of a report by what people write."""

    def find_named_unit(self, text: str, under: str = "") -> UnitMatch:
        """Return the unit of the report that *text* means: a code, or a name. *under*: the code of the unit in whose
        part of the list it stands; it decides between units of the same name.
        """

    def has_units_below(self, code: str) -> bool:
        """Return whether units stand below the unit *code*."""

    def suggest_names(self, text: str) -> tuple[str, ...]:
        """Return at most three names that are like *text*. Takes milliseconds."""
