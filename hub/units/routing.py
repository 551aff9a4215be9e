"""Decides which partner may send for a unit and which partner receives for it.

Knows units and partners as values. Knows neither the journal nor the packet.

The rules are those of design.md, “Routing”: first the registry, then the shape of the province's codes, then the
upstream partner. An agency of the national list is outside the province, like an unknown code. Messages for it go to
the upstream partner too, unless a partner is configured with it or with an agency above it, such as the hub of another
province or of a ministry.
"""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Self

import attrs

from hub.domain.errors import Rejected
from hub.domain.model import DeliveryState, Problem, Receive, Unit, UnitMark, is_province_code
from hub.units.deeds import Estate
from hub.units.heirs import find_forebears, find_heir, find_heirs
from hub.units.unit_index import UnitIndex

ANY = "*"
#: Days after the end of a unit in which its code may still be used for its successor (`units.grace-days`).
GRACE = timedelta(days=90)


@attrs.frozen
class RoutedPartner:
    """The part of a partner's configuration that routing needs: its units and how it receives."""

    code: str
    units: tuple[str, ...]
    receive: Receive
    tells: bool = False  #: it may report figures about any unit


@attrs.frozen
class Route:
    """The route of one recipient's delivery.

    `via` is the unit whose system receives: the recipient itself or an ancestor.
    """

    recipient: str
    partner: str
    via: str
    state: DeliveryState
    #: the recipient's code as the message writes it, where it is another one, such as an alias; else empty
    named: str = attrs.field(default="", eq=False)


@attrs.frozen
class Routes:
    """One consistent snapshot of registry and partners. A reload replaces it as a whole."""

    provinces: tuple[str, ...]  #: the code of the province, and those of the provinces that were merged into it
    upstream: str
    _index: UnitIndex
    _partners: Mapping[str, RoutedPartner]
    _senders: Mapping[str, frozenset[str]]  #: partner -> canonical codes it may send for
    _receivers: Mapping[str, str]  #: unit -> partner
    _tellers: frozenset[str] = frozenset()  #: partners that may report figures about any unit
    _drill: frozenset[str] = frozenset()  #: the test units of inspectors' drills
    _grace: timedelta = GRACE  #: how long the code of a unit that has ended may still be used for its successor

    @classmethod
    def of(
        cls,
        units: UnitIndex | Iterable[Unit],
        posts: Iterable[RoutedPartner],
        *,
        province: str,
        upstream: str,
        merged: Iterable[str] = (),
        grace: timedelta = GRACE,
    ) -> Self:
        """Build the snapshot. *merged*: the codes of the provinces that were merged into *province*. `check` reports two receiving partners of one unit as a configuration mistake."""
        index = units if isinstance(units, UnitIndex) else UnitIndex.of(units)
        by_code = {post.code: post for post in posts}
        senders = {p.code: frozenset(map(index.canonical, p.units)) for p in by_code.values()}
        receivers = {
            code: p.code
            for p in by_code.values()
            if p.receive is not Receive.NONE and p.code != upstream
            for code in senders[p.code] - {ANY}
        }
        senders, receivers = _pass_on(index, by_code, senders, receivers, upstream)
        tellers = frozenset(p.code for p in by_code.values() if p.tells)
        drill = index.list_drill_units()
        return cls((province, *merged), upstream, index, by_code, senders, receivers, tellers, drill, grace)

    @property
    def index(self) -> UnitIndex:
        """Return the units of the registry."""
        return self._index

    def canonical(self, code: str) -> str:
        """Return the registry's code for *code*, which may be an alias or unknown."""
        return self._index.canonical(code)

    def find_actor(self, code: str, on: date) -> str:
        """Return the unit that acts under *code* in the exchange of documents on the day *on*.

        It is the unit of the code; if that has ended, its single successor for documents. With several successors of
        which none is the main one, and with none, it is the unit itself.
        """
        return find_heir(self._index, code, on) or self.canonical(code)

    def list_estate(self, code: str, on: date) -> tuple[str, ...]:
        """Return the units whose older documents the unit *code* acts for on the day *on*: itself, then its forebears.

        A forebear that had *code* as an alias comes before the others.
        """
        unit = self.canonical(code)
        forebears = find_forebears(self._index, unit, on)
        if unit != code and forebears:
            had = {each for each in forebears if code in (self._index.get(each) or Unit("", "")).aliases}
            forebears = tuple(sorted(forebears, key=lambda each: each not in had))
        return (unit, *forebears)

    def list_meant(self, code: str, on: date) -> tuple[str, ...]:
        """Return the units that *code* may mean where it names the unit of an older document on the day *on*.

        These are its estate and, if the unit has ended, the units that continue its work.
        """
        estate = self.list_estate(code, on)
        return tuple(dict.fromkeys((*estate, *find_heirs(self._index, code, on))))

    def list_handed_over(self, on: date) -> dict[str, Route]:
        """Return the units that have ended by the day *on* and have one heir for documents, each with the heir's route."""
        return self.list_routes((code for code in self._index.list_followed() if self.has_ended(code, on)), on)

    def list_routes(self, codes: Iterable[str], on: date) -> dict[str, Route]:
        """Return the routes of what was sent to the units *codes*, on the day *on*, by unit; without those for which
        nobody receives: their partner keeps what it has.
        """
        found: dict[str, Route] = {}
        for code in codes:
            with contextlib.suppress(Rejected):
                found[code] = self.route(code, on, answering=True)
        return found

    def is_late(self, code: str, on: date) -> bool:
        """Tell whether *code* is a unit of the province that has ended, and its days of grace are over on the day *on*."""
        held = self._unit(self.canonical(code))
        return held is not None and held.until is not None and on >= held.until + self._grace

    def has_ended(self, code: str, on: date) -> bool:
        """Tell whether *code* is a unit of the province that has ended by the day *on*."""
        held = self._unit(self.canonical(code))
        return held is not None and held.until is not None and on >= held.until

    def find_end_problem(self, code: str, on: date) -> Problem | None:
        """Return `unit-inactive` if the unit *code* has ended and nothing may be sent under its code any more, else None.

        It may for the days of grace after its end, unless it has several successors and none of them is the main one.
        """
        held = self._unit(self.canonical(code))
        if held is None or held.until is None or not self.has_ended(code, on):
            return None
        heir = find_heir(self._index, held.code, on)
        if not self.is_late(code, on) and (heir or not find_heirs(self._index, held.code, on)):
            return None
        return self._inactive(code, held, on)

    def _inactive(self, code: str, held: Unit, on: date) -> Problem:
        return Problem("unit-inactive", f"{code} ({held.since or '…'} – {held.until or '…'}){self._then(held, on)}")

    def is_drill(self, code: str) -> bool:
        """Tell whether *code* is a test unit of an inspector's drill."""
        return bool(self._drill) and self.canonical(code) in self._drill

    def find_drill_problem(self, codes: Iterable[str]) -> Problem | None:
        """Return `drill-mixed` if some of the units *codes* are test units of a drill and others are not, else None.

        A drill is counted like everything else, so it must not touch what real units are counted for.
        """
        if not self._drill:
            return None
        units = dict.fromkeys(codes)
        drill = [code for code in units if self.is_drill(code)]
        others = [code for code in units if code and not self.is_drill(code)]
        return Problem("drill-mixed", f"{', '.join(drill)} – {', '.join(others)}") if drill and others else None

    def names(self, codes: Iterable[str]) -> dict[str, str]:
        """Return the names of those of *codes* that the registry holds, in or outside the province."""
        found = ((code, self._index.get(self.canonical(code))) for code in codes)
        return {code: unit.name for code, unit in found if unit is not None}

    def outside(self, code: str) -> bool:
        """Tell whether *code* is not a unit of the province."""
        code = self.canonical(code)
        return not is_province_code(code, *self.provinces) and self._unit(code) is None

    def may_send(self, partner: str, code: str) -> bool:
        """Tell whether *partner* may send for the unit *code*.

        The upstream partner may for any unit outside the province.
        """
        if partner == self.upstream:
            return self.outside(code)
        allowed = self._senders.get(partner, frozenset())
        return ANY in allowed or self.canonical(code) in allowed

    def knows(self, code: str) -> bool:
        """Tell whether *code* is the province's, is in the registry, or is configured for a partner."""
        unit = self.canonical(code)
        named = any(unit in units for units in self._senders.values())
        return named or unit in self._index or not self.outside(unit)

    def stands_for(self, partner: str, code: str) -> bool:
        """Tell whether *partner* speaks as the unit *code* itself.

        It does if it is configured with the unit by name, or if it is the upstream partner and the unit is outside the
        province. A partner that may send for any unit (`*`) only carries messages: it may not change or read what
        others sent for a unit.
        """
        return self.owns(partner, code) or (partner == self.upstream and self.outside(code))

    def find_send_problems(self, partner: str, code: str, *, telling: bool = False) -> tuple[Problem, ...]:
        """Return why *partner* may not send for the unit *code* or, if *telling*, report about it; empty if it may.

        `unit-unknown` for a code of the province that the registry does not hold. Else `sender-not-allowed`, together
        with `not-yours` if the partner does not receive for the unit either.
        """
        unit = self.canonical(code)
        if self._unit(unit) is None and not self.outside(unit):
            return (Problem("unit-unknown", code),)
        if self.may_send(partner, code) or (telling and partner in self._tellers):
            return ()
        unsent = Problem("sender-not-allowed", code)
        return (unsent,) if self.receives(partner, code) else (unsent, Problem("not-yours", code))

    def owns(self, partner: str, code: str) -> bool:
        """Tell whether *partner* is configured with the unit *code* by name."""
        return self.canonical(code) in self._senders.get(partner, frozenset())

    def receives(self, partner: str, code: str) -> bool:
        """Tell whether *partner* is the receiving partner of *code*, directly or through an ancestor."""
        found = self._receiver(self.canonical(code))
        return found is not None and found[0] == partner

    def route(self, code: str, on: date, *, answering: bool = False) -> Route:
        """Return the route of a message addressed to *code* on the day *on* (Hà Nội).

        What is addressed to a unit that has ended goes to its single successor for the days of grace. A status is about
        what the unit sent before, so it goes there without end (*answering*).

        Raises Rejected: `unit-inactive`, `unit-unknown` (shaped like a code of the province, but not in the registry),
        `unit-without-system`.
        """
        unit = self.canonical(code)
        held = self._unit(unit)
        if held is not None:
            if not held.active(on):
                heir = find_heir(self._index, unit, on)
                late = self.is_late(unit, on) and not answering
                if heir is None or heir == unit or self.canonical(heir) != heir or late:
                    raise Rejected(self._inactive(code, held, on))
                return self._route_heir(code, heir, on)
            found = self._receiver(unit)
            if found is None:
                raise Rejected(Problem("unit-without-system", code))
            partner, via = found
        elif is_province_code(unit, *self.provinces):
            raise Rejected(Problem("unit-unknown", code))
        else:
            partner, via = self._receiver(unit) or (self.upstream, unit)
        post = self._partners.get(partner)
        if post is None or post.receive is Receive.NONE:
            raise Rejected(Problem("unit-without-system", code))
        return Route(unit, partner, via, choose_first_state(post.receive), "" if code == unit else code)

    def _route_heir(self, code: str, heir: str, on: date) -> Route:
        """Return the route to *heir*, which continues the work of the unit *code*. Raises Rejected, naming both."""
        try:
            return attrs.evolve(self.route(heir, on), named=code)  # the packet names the unit that has ended
        except Rejected as rejected:
            problems = [attrs.evolve(each, detail=f"{code} → {each.detail}") for each in rejected.problems]
        raise Rejected(*problems)

    def route_all(
        self, partner: str, codes: Iterable[str], on: date, *, also: Iterable[str] = (), answering: bool = False
    ) -> tuple[Route, ...]:
        """Return one route for each recipient of a message of *partner*; aliases of one unit give one route.

        From the upstream partner or the hub of another province, recipients outside the province are skipped. Codes of
        *also* that cannot be served are left out. *answering*: see `route`. Raises Rejected with every recipient of *codes* that cannot be
        served, or `not-ours` if no route remains.
        """
        routes: dict[str, Route] = {}
        problems: list[Problem] = []
        codes, also = tuple(codes), tuple(also)
        for code in (*codes, *also):
            if self._abroad(partner) and self.outside(code):
                continue
            try:
                route = self.route(code, on, answering=answering)
            except Rejected as rejected:
                problems += rejected.problems if code in codes else ()
            else:
                routes.setdefault(route.recipient, route)
        if problems:
            raise Rejected(*problems)
        if not routes:
            raise Rejected(Problem("not-ours", ", ".join(codes)))
        return tuple(routes.values())

    def list_line(self, code: str) -> tuple[str, ...]:
        """Return the unit *code* of the registry and the units above it, nearest first. Return () if it is not known."""
        line: dict[str, None] = {}
        unit: str | None = self.canonical(code)
        while unit and unit not in line and (held := self._unit(unit)) is not None:
            line[unit] = None
            unit = held.parent
        return tuple(line)

    def is_under(self, code: str, above: str) -> bool:
        """Tell whether the unit *code* is *above* itself or below it in the registry."""
        unit: str | None = self.canonical(code)
        seen: set[str] = set()
        while unit and unit not in seen:
            if unit == self.canonical(above):
                return True
            seen.add(unit)
            held = self._unit(unit)
            unit = held.parent if held else None
        return False

    def delivers_to(self, partner: str) -> bool:
        """Tell whether *partner* is configured to receive."""
        post = self._partners.get(partner)
        return post is not None and post.receive is not Receive.NONE

    def find_first_state(self, partner: str) -> DeliveryState:
        """Return the initial state of a delivery to *partner*: `held` if it fetches, else `waiting`."""
        post = self._partners.get(partner)
        return choose_first_state(post.receive if post else Receive.PUSH)

    def _abroad(self, partner: str) -> bool:
        """Tell whether *partner* is upstream, or serves only agencies outside the province and receives for them."""
        if partner == self.upstream:
            return True
        post, named = self._partners.get(partner), self._senders.get(partner, frozenset())
        receives = post is not None and post.receive is not Receive.NONE
        return receives and bool(named) and all(code != ANY and self.outside(code) for code in named)

    def _receiver(self, unit: str) -> tuple[str, str] | None:
        """Return the partner that receives for *unit*, and the unit configured for it: *unit* or its nearest ancestor.

        For an agency outside the province, ancestors inside the province are ignored.
        """
        seen: set[str] = set()
        code: str | None = unit
        outside = self.outside(unit)
        while code and code not in seen and (self.outside(code) or not outside):
            if code in self._receivers:
                return self._receivers[code], code
            seen.add(code)
            held = self._index.get(code) if outside else self._unit(code)
            code = held.parent if held else None
        return None

    def successors(self, code: str, on: date) -> tuple[str, ...]:
        """Return the units that continue the work of *code* on the day *on*.

        Successors that have ended are replaced by their own.
        """
        found: dict[str, None] = {}
        seen: set[str] = set()
        waiting = [self.canonical(code)]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            unit = self._index.get(at)
            if unit and unit.until and on >= unit.until:
                waiting.extend(reversed(unit.successors))
            elif at != self.canonical(code):
                found[at] = None
        return tuple(found)

    def _then(self, unit: Unit, on: date) -> str:
        names = self.successors(unit.code, on)
        return f" → {', '.join(names)}" if names else ""

    def _unit(self, code: str) -> Unit | None:
        """Return the unit of the province with this code."""
        found = self._index.get(code)
        return None if found is None or found.mark == UnitMark.NATIONAL else found


def _pass_on(
    index: UnitIndex,
    posts: Mapping[str, RoutedPartner],
    senders: Mapping[str, frozenset[str]],
    receivers: Mapping[str, str],
    upstream: str,
) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Return *senders* and *receivers* with what the partners of units that have ended do for their heirs.

    A partner that is configured with the old unit by name may send for the heir, and receives for it, if the deed hands
    over the partners. It may do so, too, if nobody else speaks for the heir: no partner is configured with it, and none
    receives for it through an ancestor. Where several partners could receive for the heir, none does.
    """
    passed: dict[str, dict[str, None]] = {}
    for code in index.list_followed():
        named = [partner for partner, units in senders.items() if code in units]
        heir = find_heir(index, code, index.day, Estate.PARTNERS) if named else None
        if named and heir is None:
            heir = find_heir(index, code, index.day)
            if heir and (any(heir in units for units in senders.values()) or _is_served(index, heir, receivers)):
                continue
        if heir and heir != code and (unit := index.get(heir)) is not None and unit.mark != UnitMark.NATIONAL:
            passed.setdefault(heir, {}).update(dict.fromkeys(named))
    more_senders, more_receivers = dict(senders), dict(receivers)
    for heir, partners in passed.items():
        for partner in partners:
            more_senders[partner] |= {heir}
        able = [each for each in partners if posts[each].receive is not Receive.NONE and each != upstream]
        if len(able) == 1:
            more_receivers.setdefault(heir, able[0])
    return more_senders, more_receivers


def _is_served(index: UnitIndex, code: str, receivers: Mapping[str, str]) -> bool:
    """Tell whether a partner receives for the unit *code* or for an ancestor of it."""
    seen: set[str] = set()
    at: str | None = code
    while at and at not in seen:
        if at in receivers:
            return True
        seen.add(at)
        unit = index.get(at)
        at = unit.parent if unit and unit.mark != UnitMark.NATIONAL else None
    return False


def choose_first_state(receive: Receive) -> DeliveryState:
    """Return the state of a new delivery to a partner with this way of receiving."""
    return DeliveryState.HELD if receive is Receive.FETCH else DeliveryState.WAITING
