"""Deeds of succession: which unit continues the work of a unit that has ended, or a part of the dossiers of one that goes
on.

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
#: What a part of a unit that goes on is.
PART = frozenset({Estate.DOSSIERS})


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
    """*successor* continues *estates* of *unit* from the end of *unit* on, or a part of its dossiers while it goes on."""

    unit: str
    successor: str
    estates: frozenset[Estate] = WORK
    main: bool = False  #: the one of several successors that is meant where only one can be
    shared: bool = False  #: rules (`Share`) say which dossiers are whose
    since: date | None = None  #: the first day of a deed for a part of a unit that goes on


def complete_deeds(successors: Mapping[str, Collection[str]], deeds: Collection[Deed]) -> dict[str, tuple[Deed, ...]]:
    """Return the deeds of each unit, in the order of its *successors* in the registry.

    A successor without one of the *deeds* takes over the unit's work (`WORK`). A deed with a unit that is not among the
    successors has no effect here, nor has one for a part.
    """
    written = {(deed.unit, deed.successor): deed for deed in deeds if deed.since is None}
    return {
        unit: tuple(written.get((unit, successor), Deed(unit, successor)) for successor in listed)
        for unit, listed in successors.items()
    }


@attrs.frozen(kw_only=True)
class DeedOrder:
    """What a person orders: *units* end, and *successors* continue their work, of which the first is the main one.

    Of a *part*: the units go on, and the successors continue those of their dossiers that the rules name.
    """

    units: tuple[str, ...]
    successors: tuple[str, ...]
    on: date  #: the first day on which the units no longer are, or no longer have the part
    estates: frozenset[Estate] = WORK
    reference: str = ""  #: the number of the decision
    #: in the order in which they are tried; what none fits goes to the main successor, of a part it stays
    shares: tuple[Share, ...] = ()
    part: bool = False

    @property
    def deeds(self) -> tuple[Deed, ...]:
        """The deed of each unit with each successor."""
        several = len(self.successors) > 1 and not self.part
        since = self.on if self.part else None
        return tuple(
            Deed(unit, successor, self.estates, several and successor == self.successors[0], bool(self.shares), since)
            for unit in self.units
            for successor in self.successors
        )


def find_order_mistakes(
    order: DeedOrder, units: Mapping[str, Unit], recorded: Collection[DeedOrder] = ()
) -> Iterator[Mistake]:
    """Yield why the registry, *units* by code, and the deeds *recorded* before do not allow *order*."""
    ours = phrase("a unit of the province, by its code in the registry")
    for code in (*order.units, *order.successors):
        if code not in units or units[code].mark == UnitMark.NATIONAL:
            yield Mistake(code, phrase("there is no unit {code}", code=code), ours)
        elif (order.units + order.successors).count(code) > 1:
            yield Mistake(code, phrase("is named twice"), phrase("each unit once"))
    if order.part:
        yield from _find_part_mistakes(order, units, recorded)
    for unit in (units[code] for code in order.units if code in units and not order.part):
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


def _find_part_mistakes(
    order: DeedOrder, units: Mapping[str, Unit], recorded: Collection[DeedOrder]
) -> Iterator[Mistake]:
    """Yield why *order* can not be for a part of its units: rules, no other work, no way back."""
    if order.estates != PART:
        yield Mistake("--what", phrase("a part of a unit is dossiers alone"), verbatim("--what dossiers"))
    for code in order.successors:
        if code not in {share.successor for share in order.shares}:
            yield Mistake(code, phrase("no rule names it"), verbatim(f"--share {code}:field=…"))
    for unit in (units[code] for code in order.units if code in units):
        if not unit.active(order.on):
            yield Mistake(
                unit.code, phrase("it is not active on {on}", on=order.on), phrase("a unit that goes on on that day")
            )
    earlier = [each for each in recorded if each.part]
    following = {code for code in order.successors for code in _list_part_following(code, earlier)}
    for code in order.units:
        if code in following:
            yield Mistake(
                code,
                phrase("a deed before hands a part of a successor over to it"),
                phrase("undo that deed: what is open comes back"),
            )
        taken = {
            (share.kind, value)
            for each in earlier
            if code in each.units
            for share in each.shares
            for value in share.values
        }
        twice = sorted(value for share in order.shares for value in share.values if (share.kind, value) in taken)
        if twice:
            yield Mistake(
                code,
                phrase("an earlier rule has {names}", names=", ".join(twice[:MOST_NAMED])),
                phrase("undo the deed that says so first"),
            )


def _list_part_following(code: str, deeds: Collection[DeedOrder]) -> set[str]:
    """Return the units to which *deeds* hand over a part of the unit *code*, or of what it has so."""
    found: set[str] = set()
    waiting = [code]
    while waiting:
        at = waiting.pop()
        new = {successor for each in deeds if at in each.units for successor in each.successors} - found
        found |= new
        waiting += new
    return found


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
