"""Deeds of succession: which unit continues the work of a unit that has ended, and what of its work.

Knows the deed as a value. Does not know the registry, days or the database.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum

import attrs


class Estate(StrEnum):
    """A part of a unit's work that a deed hands over."""

    DOCUMENTS = "documents"  #: statuses and changes of its documents, and what still comes to its code
    DOSSIERS = "dossiers"
    MAIL = "mail"  #: its mail accounts
    PARTNERS = "partners"  #: the systems that are configured with it
    OFFICIALS = "officials"  #: the people who work for it: console users, and officials who sign its reports


#: Handed over by the registry's list of successors alone: the unit's work, but no right of a system or a person.
WORK = frozenset({Estate.DOCUMENTS, Estate.DOSSIERS, Estate.MAIL})


@attrs.frozen
class Deed:
    """*successor* continues *estates* of *unit* from the end of *unit* on."""

    unit: str
    successor: str
    estates: frozenset[Estate] = WORK
    main: bool = False  #: the one of several successors that is meant where only one can be


def complete_deeds(successors: Mapping[str, Collection[str]], deeds: Collection[Deed]) -> dict[str, tuple[Deed, ...]]:
    """Return the deeds of each unit, in the order of its *successors* in the registry.

    A successor without one of the *deeds* takes over the unit's work (`WORK`). A deed with a unit that is not among the
    successors has no effect.
    """
    written = {(deed.unit, deed.successor): deed for deed in deeds}
    return {
        unit: tuple(written.get((unit, successor), Deed(unit, successor)) for successor in listed)
        for unit, listed in successors.items()
    }
