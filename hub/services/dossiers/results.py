"""Builds facts about dossiers. Knows the shape of these facts, not the format of the messages."""

from collections.abc import Iterable
from datetime import date, datetime

import attrs

from hub.domain.model import Fact
from hub.language.phrases import phrase
from hub.services.dossiers.codes import DossierCodes
from hub.services.dossiers.item import CallItem

NAME = "dossiers"


@attrs.frozen(kw_only=True)
class FactSource:
    """The message that the facts come from."""

    unit: str
    at: datetime
    message: str

    def fact(self, key: str, milestone: str, day: date | None = None, **rest: object) -> Fact:
        """Return a fact of the unit."""
        return Fact(
            unit=self.unit,
            service=NAME,
            key=key,
            milestone=milestone,
            at=self.at,
            message=self.message,
            day=day,
            **rest,  # type: ignore[arg-type]  # fields of Fact
        )


def list_known_attributes(**found: str) -> tuple[tuple[str, str], ...]:
    """Return the non-empty attributes, sorted by name, as a fact holds them."""
    return tuple(sorted((name, text) for name, text in found.items() if text))


def keep_earliest_milestones(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Return *facts* with each milestone of a dossier once: the fact with the earliest day."""
    found: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        first = found.setdefault((fact.key, fact.milestone), fact)
        if (fact.day or date.max) < (first.day or date.max):
            found[fact.key, fact.milestone] = fact
    return tuple(found.values())


def read_reached_milestones(codes: DossierCodes, item: CallItem, name: str) -> frozenset[str]:
    """Return the milestones of the status in the leaf *name*.

    Refuses an unknown status, because it could not be counted.
    """
    code = item.text(name)
    status = codes.statuses.get(code)
    if status is None:
        item.refuse(
            "R",
            name,
            phrase(
                "{code} is none of the statuses {names}",
                code=code[:50] or phrase("nothing"),
                names=" ".join(codes.statuses),
            ),
        )
        return frozenset()
    return status.milestones
