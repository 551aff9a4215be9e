"""Deeds of succession: which unit continues the work of a unit that has ended, and what of its work.

Knows the deed as a value, and which deeds the registry allows. Does not know the database.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum

import attrs

from hub.domain.errors import Mistake
from hub.domain.model import Unit, UnitMark
from hub.language.phrases import phrase, verbatim


class Estate(StrEnum):
    """A part of a unit's work that a deed hands over."""

    DOCUMENTS = "documents"  #: statuses and changes of its documents, and what still comes to its code
    DOSSIERS = "dossiers"
    MAIL = "mail"  #: its mail accounts
    PARTNERS = "partners"  #: the systems that are configured with it
    OFFICIALS = "officials"  #: the people who work for it: console users, and officials who sign its reports


#: Values of a rule that a mistake names at most.
MOST_NAMED = 20
#: Handed over by the registry's list of successors alone: the unit's work, but no right of a system or a person.
WORK = frozenset({Estate.DOCUMENTS, Estate.DOSSIERS, Estate.MAIL})


class ShareKind(StrEnum):
    """What of a dossier a rule looks at."""

    FIELD = "field"  #: the code of its field of work (MaLinhVuc)
    PROCEDURE = "procedure"  #: the code of its procedure (MaTTHC)
    COMPETENT = "competent"  #: the unit that DonViXuLy names by its code: the nearest to a place that dossiers say
    KEYS = "keys"  #: its own code


@attrs.frozen
class Share:
    """A rule of a deed: open dossiers of which *kind* is one of *values* go to *successor*, unless another successor has
    reported them as its own.
    """

    successor: str
    kind: ShareKind
    values: frozenset[str]  #: as the rows of reports spell them (`division.write_value`); codes of dossiers as they are

    def fits(self, code: str, attributes: Mapping[str, str]) -> bool:
        """Return whether the rule is about the dossier *code* with these *attributes*, spelt as rows spell them."""
        return (code if self.kind is ShareKind.KEYS else attributes.get(self.kind, "")) in self.values

    def __str__(self) -> str:
        """Return the rule as it is typed; of keys only their number."""
        what = str(len(self.values)) if self.kind is ShareKind.KEYS else " ".join(sorted(self.values))
        return f"{self.successor}:{self.kind}={what}"


def choose_successor(shares: Sequence[Share], code: str, attributes: Mapping[str, str]) -> str | None:
    """Return the successor of the first of *shares* that is about the dossier *code*; None if none is."""
    return next((share.successor for share in shares if share.fits(code, attributes)), None)


@attrs.frozen
class Deed:
    """*successor* continues *estates* of *unit* from the end of *unit* on."""

    unit: str
    successor: str
    estates: frozenset[Estate] = WORK
    main: bool = False  #: the one of several successors that is meant where only one can be
    shared: bool = False  #: rules (`Share`) say which dossiers are whose


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


@attrs.frozen(kw_only=True)
class DeedOrder:
    """What a person orders: *units* end, and *successors* continue their work, of which the first is the main one."""

    units: tuple[str, ...]
    successors: tuple[str, ...]
    on: date  #: the first day on which the units no longer are
    estates: frozenset[Estate] = WORK
    reference: str = ""  #: the number of the decision
    shares: tuple[Share, ...] = ()  #: in the order in which they are tried; what none fits goes to the main successor

    @property
    def deeds(self) -> tuple[Deed, ...]:
        """The deed of each unit with each successor."""
        several = len(self.successors) > 1
        return tuple(
            Deed(unit, successor, self.estates, several and successor == self.successors[0], bool(self.shares))
            for unit in self.units
            for successor in self.successors
        )


def find_order_mistakes(order: DeedOrder, units: Mapping[str, Unit]) -> Iterator[Mistake]:
    """Yield why the registry, *units* by code, does not allow *order*."""
    ours = phrase("a unit of the province, by its code in the registry")
    for code in (*order.units, *order.successors):
        if code not in units or units[code].mark == UnitMark.NATIONAL:
            yield Mistake(code, phrase("there is no unit {code}", code=code), ours)
        elif (order.units + order.successors).count(code) > 1:
            yield Mistake(code, phrase("is named twice"), phrase("each unit once"))
    for unit in (units[code] for code in order.units if code in units):
        if unit.until is not None and unit.until != order.on:
            expected = phrase("a unit without an end, or one that ends on {on}", on=order.on)
            yield Mistake(unit.code, phrase("it ends on {until}", until=unit.until), expected)
        if unit.since is not None and unit.since >= order.on:
            yield Mistake(
                unit.code,
                phrase("it begins on {since}", since=unit.since),
                phrase("a unit that begins before {on}", on=order.on),
            )
        if others := set(unit.successors) - set(order.successors):
            yield Mistake(
                unit.code,
                phrase("it has other successors: {others}", others=", ".join(sorted(others))),
                phrase("all its successors in one order"),
            )
    yield from _find_share_mistakes(order, units)
    for unit in (units[code] for code in order.successors if code in units):
        if not unit.active(order.on):
            yield Mistake(
                unit.code,
                phrase("it is not active on {on}", on=order.on),
                phrase("a unit that is; import it first with this day in `since`"),
            )
        if set(order.units) & _list_following(unit.code, units):
            yield Mistake(
                unit.code,
                phrase("it is followed by a unit that it is to succeed"),
                phrase("units that are not followed by one another"),
            )


def _find_share_mistakes(order: DeedOrder, units: Mapping[str, Unit]) -> Iterator[Mistake]:
    """Yield why the rules of *order* can not be followed, whatever the dossiers are."""
    if order.shares and Estate.DOSSIERS not in order.estates:
        yield Mistake("--share", phrase("the deed hands over no dossiers"), verbatim("--what dossiers"))
    seen: set[tuple[ShareKind, str]] = set()
    for share in order.shares:
        if share.successor not in order.successors:
            expected = phrase("one of {successors}", successors=", ".join(order.successors))
            yield Mistake(str(share), phrase("is no successor of this deed"), expected)
        if share.kind is ShareKind.COMPETENT and not share.values <= units.keys():
            yield Mistake(
                str(share),
                phrase("there is no such unit"),
                phrase("a unit of the province, by its code in the registry"),
            )
        twice = {(share.kind, value) for value in share.values} & seen
        if twice:
            names = ", ".join(sorted(value for _, value in twice)[:MOST_NAMED])
            yield Mistake(str(share), phrase("an earlier rule has {names}", names=names), phrase("each value once"))
        seen |= {(share.kind, value) for value in share.values}


def _list_following(code: str, units: Mapping[str, Unit]) -> set[str]:
    """Return the successors of the unit *code*, theirs, and so on."""
    found: set[str] = set()
    waiting = [code]
    while waiting:
        unit = units.get(waiting.pop())
        new = set(unit.successors) - found if unit else set[str]()
        found |= new
        waiting += new
    return found
