"""Finds the unit of each reported dossier, so that a dossier counts in one unit, whoever reports it.

Knows which unit each dossier belongs to (the table `dossier`), and moves a dossier that another unit continues. What a
partner is entitled to report was decided before (`hub.intake.dossier_tellers`); its facts come here as facts of a unit,
as facts of a unit that another reported (`counterpart`), as claims, or to be shared out. Does not know the registry or
forms.

A dossier that moves gets two facts: `handed-over` in the unit that had it, with the amount -1, and `taken-over` in the
other, with the due day and attributes of its beginning. A fact of the past is never changed, so a closed month stays as
it is, and in every period the two add up to 0. A dossier that has ended does not move. A unit takes a dossier over, and
hands it over, at most once: that bounds the facts of a dossier. Only by a deed, or by undoing one, does it get a dossier
back. Then the dossier has another key there, its code with the number of the return, so that each time in a unit has a
beginning and an end of its own; who reports the dossier need not know.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime

import attrs
import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.domain.model import Event, Fact
from hub.journal.sequels import dossier_shares, handovers
from hub.journal.sequels.handovers import Handover
from hub.report.counting.corrections import find_beginning, find_due_day, make_due_correction
from hub.services.dossiers.identity import (
    BEGINS,
    CLAIMED,
    ENDS,
    HANDED_OVER,
    PASSED_ON,
    REGISTERED,
    SHARED,
    TAKEN_OVER,
    read_agency,
    split_key,
)
from hub.services.dossiers.results import NAME
from hub.services.dossiers.waits import RESUMES, WAITING, WAITS
from hub.store import transactions
from hub.store.hot_statements import HotStatement, SetInsert
from hub.store.tables import dossier as table
from hub.store.tables import fact
from hub.store.transactions import Transaction

_READ = HotStatement(
    sa.select(table).where(table.c.dossier.in_(sa.bindparam("names", expanding=True))), lists=("names",)
)
_HISTORIES = HotStatement(
    sa.select(fact)
    .where(
        fact.c.unit.in_(sa.bindparam("units", expanding=True, type_=sa.Text)),
        fact.c.service == sa.bindparam("of", type_=sa.Text),
        fact.c.key.in_(sa.bindparam("keys", expanding=True, type_=sa.Text)),
    )
    .order_by(fact.c.milestone),
    lists=("units", "keys"),
)
_INSERT = SetInsert(table, skips=True)
#: The services of facts about dossiers on their way.
_OURS = (NAME, CLAIMED, SHARED)
#: Names per query. A message has at most 1,000 dossiers, and its facts are written 200 at a time.
_ASKED = 400


@attrs.define
class _Owner:
    """A row of the table: the unit in whose reports a dossier counts."""

    dossier: str
    unit: str
    origin: str  #: the unit for which it was first recorded; after a move before its receipt, the unit that it moved to
    competent: str = ""  #: the unit that DonViXuLy names, as the owner told last
    key: str = ""  #: of its facts in the unit, where it is not its code
    new: bool = False
    changed: bool = False


@attrs.frozen
class KnownOwners:
    """What is recorded of the dossiers that some facts are about: their owners, and claims that may be justified now."""

    owners: Mapping[str, "_Owner"]
    new: Sequence["_Owner"]  #: owners to insert
    claims: Mapping[tuple[str, str], list[Fact]]  #: by unit and code
    #: the units that have what is shared out, with its key there, by the ended or divided unit and code
    shared: Mapping[tuple[str, str], tuple[str, str]]


def read_known_owners(tx: Transaction, facts: Iterable[Fact]) -> KnownOwners | None:
    """Return what `resolve_owners` must know to resolve *facts*; None if none is about a dossier.

    Takes one look-up for a slice of facts, and one for the claims on what they begin; facts of other services cost
    nothing. Writes nothing, so a message reads it before it writes.
    """
    ours = [each for each in facts if each.service in _OURS]
    if not ours:
        return None
    shared = _share_out(tx, [each for each in ours if each.service == SHARED])
    ours = [_settle_owner(each, shared) for each in ours]
    owners = _read_owners(tx, {name for each in ours for name in _list_owner_names(each)})
    begun: dict[str, Fact] = {}
    for each in ours:
        if _begins_ownership(each) and each.key not in owners and f"{each.unit} {each.key}" not in owners:
            begun.setdefault(each.key, each)
    new = [_Owner(key, each.unit, each.unit) for key, each in begun.items()]
    known = owners | {each.dossier: each for each in new}
    pairs = {(each.unit, each.dossier) for each in new}
    for each in ours:
        named, owner = _read_competent(each), known.get(each.key)
        if named and owner is not None and named != owner.competent:
            pairs.add((named, each.key))
    return KnownOwners(owners, new, read_claims(tx, pairs), shared)


def _share_out(tx: Transaction, told: Sequence[Fact]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the unit that has each of the dossiers of ended and divided units that *told* is about, with its key there, by
    unit and code: the one to which it has passed, else the one to which it is to pass.
    """
    said: dict[str, dict[str, dict[str, str]]] = {}
    for each in told:
        said.setdefault(each.unit, {}).setdefault(each.key, {}).update(each.attributes)
    found = {}
    for unit, codes in said.items():
        passing = handovers.read_dossier_handovers(tx, unit, find_local_day(told[0].at))
        having = {heir for of in passing for heir in of.heirs}
        owners = _read_owners(tx, {name for code in codes for name in (code, f"{unit} {code}")})
        passed = _read_passed(tx, unit, codes)
        left, called = {}, {}
        for code, attributes in codes.items():
            owner = owners.get(f"{unit} {code}") or owners.get(code)
            if owner is not None and (owner.unit in having or (owner.unit != unit and owner.origin == unit)):
                found[unit, code] = owner.unit, code
            elif owner is None and code in passed:
                found[unit, code] = passed[code]
            else:
                key = owner.key if owner is not None and owner.key else code
                left[key], called[key] = attributes, code
        for key, heir in _choose_heirs(tx, unit, passing, left).items():
            found[unit, called[key]] = heir, called[key]
    return found


def _choose_heirs(
    tx: Transaction, unit: str, passing: Sequence[Handover], told: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Return the unit to which each of the dossiers *told* of is to pass, by key: of parts the first that has it, else the
    unit keeps it. So it does with what has a code within the unit, until that passes by a move, which names it.
    """
    found = dict.fromkeys(told, unit)
    for of in passing:
        left = {key: said for key, said in told.items() if found[key] == unit}
        if of.is_part:
            left = {key: said for key, said in left.items() if read_agency(split_key(key)[0]) is not None}
        claims = {} if of.is_part else read_claims(tx, {(heir, key) for heir in of.heirs for key in left})
        shares = dossier_shares.read_shares(tx, of, [split_key(key)[0] for key in left])
        found |= dossier_shares.choose_heirs(tx, of, left, claims, shares)
    return found


def _read_passed(tx: Transaction, unit: str, codes: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the units to which those of the dossiers *codes* passed that *unit* has given to others, with the key there."""
    histories = _read_histories(tx, NAME, {(unit, code) for code in codes})
    gone = [each for history in histories.values() for each in history if each.milestone in (HANDED_OVER, PASSED_ON)]
    others = {(each.counterpart, f"{each.key}@{unit}") for each in gone}  # where the unit has another of the same code
    renamed = _read_histories(tx, NAME, others)
    return {
        each.key: pair
        if (pair := (each.counterpart, f"{each.key}@{unit}")) in renamed
        else (each.counterpart, each.key)
        for each in gone
    }


def _settle_owner(told: Fact, shared: Mapping[tuple[str, str], tuple[str, str]]) -> Fact:
    if told.service != SHARED:
        return told
    unit, key = shared[told.unit, told.key]
    return attrs.evolve(told, service=NAME, unit=unit, key=key)


def resolve_owners(
    tx: Transaction, facts: Sequence[Fact], known: KnownOwners | None
) -> tuple[Sequence[Fact], Sequence[Fact], list[Event]]:
    """Return *facts* with those about dossiers recorded for the unit that the dossier belongs to; what units tell again of
    the receipt of dossiers that they have taken over, as the takeover that it may correct; and findings as events.

    *known*: what `read_known_owners` returned for them in *tx*. Adds the facts of a move, and claims that are now
    justified. Writes which unit a dossier belongs to.
    """
    if known is None:
        return facts, (), []
    found = _Resolving(tx, {**known.owners, **_insert_owners(tx, known.new)}, dict(known.claims))
    for each in facts:
        found.take(_settle_owner(each, known.shared))
    found.write()
    return found.facts, found.restated, found.events


@attrs.define
class _Resolving:
    """The facts of one transaction on their way to their units."""

    _tx: Transaction
    _owners: dict[str, _Owner]
    _claims: dict[tuple[str, str], list[Fact]]  #: by unit and code
    facts: list[Fact] = attrs.field(factory=list)
    restated: list[Fact] = attrs.field(factory=list)  #: takeovers of which the unit tells the receipt
    events: list[Event] = attrs.field(factory=list)
    _disputed: set[tuple[str, str]] = attrs.field(factory=set)  #: unit and code of which an event is told

    def take(self, told: Fact) -> None:
        """Add *told*, for the unit that its dossier belongs to."""
        if told.service not in (NAME, CLAIMED):
            self.facts.append(told)
            return
        owner = self._owners.get(f"{told.unit} {told.key}") or self._owners.get(told.key)
        if owner is None:
            if told.service == CLAIMED:
                self._tell(told, told.counterpart)
            self.facts.append(told)
        elif owner.unit == told.unit:
            self._add(join_fact(told, owner.unit) if told.service == CLAIMED else told, owner)
        elif told.service == CLAIMED or told.outside:
            self._judge(told, owner)
        elif self._move(owner, told):
            self._add(told, owner)
        else:
            self._add(join_fact(told, owner.unit), owner)

    def _judge(self, told: Fact, owner: _Owner) -> None:
        """Take what was reported for a unit that is not the dossier's and has no right to it by the code."""
        if told.unit in (owner.competent, owner.origin) or self._has_reported(told, owner):
            self._add(join_fact(told, owner.unit), owner)
        elif _stands_alone(told, owner):
            self._tell(told, owner.unit, counts=True)
            name = f"{told.unit} {told.key}"
            self._owners |= _insert_owners(self._tx, [_Owner(name, told.unit, told.unit)])
            self._claims |= read_claims(self._tx, {(told.unit, told.key)})
            self._add(told, self._owners[name])
        else:
            self._tell(told, owner.unit)
            self.facts.append(attrs.evolve(told, service=CLAIMED, counterpart=owner.unit))

    def _has_reported(self, told: Fact, owner: _Owner) -> bool:
        """Return whether *told*, that the national portal took a dossier, is of a message of a unit that has reported it."""
        if told.milestone != "synced":
            return False
        name = (owner.unit, owner.key or told.key)
        known = _read_histories(self._tx, NAME, {name})
        return any(told.unit == each.counterpart or told.message == each.message for each in known.get(name, ()))

    def _tell(self, told: Fact, owner: str, *, counts: bool = False) -> None:
        """Append the finding that another unit than the *owner* reported a dossier, once for both. *counts*: it counts."""
        name = "dossier-disputed" if counts else "dossier-claimed"
        if (told.unit, told.key) not in self._disputed:
            self._disputed.add((told.unit, told.key))
            body = {"unit": told.unit, "key": told.key, "owner": owner}
            self.events.append(Event(name, told.at, told.message, None, body))

    def _add(self, told: Fact, owner: _Owner) -> None:
        """Add *told* for its unit, the dossier's *owner*, and the claims that it justifies.

        A receipt is no fact if the unit has taken the dossier over: it was counted where the dossier was received. It may
        state another due day.
        """
        if told.milestone != "received" or owner.unit == owner.origin:
            self.facts.append(_place_at_owner(told, owner))
        elif "procedure" in dict(told.attributes):
            self.restated.append(_place_at_owner(attrs.evolve(told, milestone=TAKEN_OVER), owner))
        self._take_up(owner.unit, told, owner)
        named = _read_competent(told)
        if named and named != owner.competent:
            owner.competent, owner.changed = named, True
            self._take_up(named, told, owner)

    def _take_up(self, unit: str, told: Fact, owner: _Owner) -> None:
        """Add the claims of *unit* on the dossier of *told* as facts of its owner that were recorded with *told*."""
        for claim in self._claims.pop((unit, told.key), ()):
            self.facts.append(_place_at_owner(join_fact(attrs.evolve(claim, at=told.at), owner.unit), owner))

    def _move(self, owner: _Owner, told: Fact) -> bool:
        """Move the dossier to the unit of *told*. Return False if it has ended, or that unit has handed it over."""
        transactions.lock_names(self._tx, [f"dossier {owner.dossier}"])
        owner.unit = _read_owners(self._tx, {owner.dossier})[owner.dossier].unit  # another node may have moved it
        key = owner.key or told.key
        move = Move(unit=owner.unit, successor=told.unit, key=key, at=told.at, day=find_local_day(told.at))
        made = None if owner.unit == told.unit else make_move_facts(self._tx, move)
        if made is None:
            return owner.unit == told.unit
        self.facts += made
        owner.unit, owner.changed = told.unit, True
        if not was_counted(made):
            owner.origin = told.unit
        elif owner.origin == told.unit:
            owner.origin = move.unit  # its receipt counted before it came here again
        self._claims |= read_claims(self._tx, {(told.unit, told.key)})
        return True

    def write(self) -> None:
        """Write the owners that have changed."""
        _update_owners(self._tx, [each for each in self._owners.values() if each.changed])


def _begins_ownership(told: Fact) -> bool:
    """Return whether *told* makes its unit the owner of a dossier that nobody reported before."""
    return told.service == NAME and told.milestone != "synced" and read_agency(told.key) is not None


def _stands_alone(told: Fact, owner: _Owner) -> bool:
    """Return whether *told* is of a unit that reports the dossier as its own, by a code that names no unit of the province.

    Then it counts in both units, so that nobody takes a dossier away by being the first to report it. A step of work, or
    a report that names the owner as the competent unit, is no such report.
    """
    said = dict(told.attributes)
    return told.service == NAME and "procedure" in said and said.get("competent") != owner.unit


def _read_competent(told: Fact) -> str:
    """Return the competent unit that the owner of the dossier names; "" if another unit reports, or none is named."""
    return "" if told.counterpart or told.service != NAME else dict(told.attributes).get("competent", "")


def _list_owner_names(told: Fact) -> tuple[str, ...]:
    """Return the names under which the owner of a dossier may be stored: the code, and the code within its unit."""
    within = f"{told.unit} {told.key}"
    return (within,) if read_agency(told.key) is None else (told.key, within)


def join_fact(told: Fact, unit: str) -> Fact:
    """Return *told* as a fact of the dossier's unit, with the unit that reported it as counterpart if it is another."""
    by = "" if told.unit == unit else told.unit
    return attrs.evolve(told, service=NAME, unit=unit, counterpart=by)


def _place_at_owner(told: Fact, owner: _Owner) -> Fact:
    """Return *told* under the key under which its unit has the dossier."""
    return attrs.evolve(told, key=owner.key) if owner.key else told


def _read_owners(tx: Transaction, names: Collection[str]) -> dict[str, _Owner]:
    asked, found = sorted(names), dict[str, _Owner]()
    for first in range(0, len(asked), _ASKED):
        for row in _READ.read(tx, {"names": asked[first : first + _ASKED]}):
            found[row.dossier] = _Owner(*row)
    return found


def _insert_owners(tx: Transaction, owners: Sequence[_Owner]) -> dict[str, _Owner]:
    """Insert *owners*, and return them by dossier; of those that another node has just inserted, its own."""
    rows = [
        {"dossier": each.dossier, "unit": each.unit, "origin": each.origin, "competent": ""}
        for each in sorted(owners, key=lambda each: each.dossier)
    ]
    found = {each.dossier: each for each in owners}
    return found if _INSERT.run(tx, rows) == len(rows) else found | _read_owners(tx, found.keys())


def _update_owners(tx: Transaction, owners: Sequence[_Owner]) -> None:
    if owners:
        rows = [
            {"named": each.dossier, "unit": each.unit, "origin": each.origin, "competent": each.competent}
            for each in sorted(owners, key=lambda each: each.dossier)
        ]
        tx.execute(sa.update(table).where(table.c.dossier == sa.bindparam("named")), rows)


def read_claims(tx: Transaction, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], list[Fact]]:
    """Return the claims of units on dossiers, by unit and code."""
    return _read_histories(tx, CLAIMED, pairs)


def _read_histories(
    tx: Transaction, service: str, pairs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[Fact]]:
    asked, found = sorted(pairs), dict[tuple[str, str], list[Fact]]()
    for first in range(0, len(asked), _ASKED):
        some = asked[first : first + _ASKED]
        units, keys = ({pair[place] for pair in some} for place in (0, 1))
        for row in _HISTORIES.read(tx, {"of": service, "units": sorted(units), "keys": sorted(keys)}):
            if (row.unit, row.key) in pairs:
                found.setdefault((row.unit, row.key), []).append(Fact(**row._asdict()))
    return found


def was_counted(made: Iterable[Fact]) -> bool:
    """Return whether the facts *made* of a move are of a dossier that the unit before has received."""
    return any(each.milestone == HANDED_OVER for each in made)


def _pass_on(move: "Move", own: Mapping[str, Fact], others: Mapping[str, Fact]) -> list[Fact]:
    """Return the facts that a dossier which nobody has taken on passes to the successor of *move*; none if there is none."""
    registered = own.get(REGISTERED)
    if registered is None or PASSED_ON in own:
        return []
    on = max(move.day, registered.day or move.day)
    passed = attrs.evolve(
        registered, milestone=PASSED_ON, at=move.at, day=on, counterpart=move.successor, outside=False
    )
    if REGISTERED in others or not BEGINS.isdisjoint(others):
        return [passed]
    key = move.new_key or move.key
    return [
        passed,
        attrs.evolve(registered, unit=move.successor, key=key, at=move.at, counterpart=move.unit, outside=False),
    ]


@attrs.frozen(kw_only=True)
class Move:
    """A dossier that passes from a unit to another."""

    unit: str
    successor: str
    key: str
    at: datetime  #: when it is recorded
    day: date  #: the first day in the other unit
    new_key: str = ""  #: its code in the other unit, if another


def make_move_facts(tx: Transaction, move: Move) -> list[Fact] | None:
    """Return the facts of *move*; none if the dossier has not begun in its unit. None: it has ended there, or the
    successor has handed it over before.

    If it has begun in the successor too, it counted in both: then it only ends in the unit, and the earlier of the two due
    days holds. What was handed in and not taken on yet is passed on: it waits in the successor from the same day.
    """
    there = (move.successor, move.new_key or move.key)
    found = _read_histories(tx, NAME, {(move.unit, move.key), there})
    own, others = ({each.milestone: each for each in found.get(name, ())} for name in ((move.unit, move.key), there))
    if not ENDS.isdisjoint(own) or not {HANDED_OVER, PASSED_ON}.isdisjoint(others):
        return None
    begun = find_beginning(own.values())
    if begun is None:
        return _pass_on(move, own, others)
    on = max(move.day, begun.day or move.day)  # what a unit receives after the day of a deed has passed no earlier
    moved = attrs.evolve(begun, at=move.at, day=on, due=find_due_day([*own.values()]), outside=False)
    handed = attrs.evolve(moved, milestone=HANDED_OVER, counterpart=move.successor, amount=-begun.amount)
    if not BEGINS.isdisjoint(others):
        earlier = make_due_correction([*others.values()], moved, move.at)
        return [handed, earlier] if earlier and ENDS.isdisjoint(others) else [handed]
    unit, key = there
    waits, resumes = ([own[name] for name in names if name in own] for names in (WAITS, RESUMES))
    going_on = waits[-1:] if len(waits) > len(resumes) else []
    return [
        handed,
        attrs.evolve(moved, unit=unit, key=key, milestone=TAKEN_OVER, counterpart=move.unit),
        *(
            attrs.evolve(each, unit=unit, key=key, milestone=WAITING, counterpart=move.unit, at=move.at)
            for each in going_on
        ),
    ]
