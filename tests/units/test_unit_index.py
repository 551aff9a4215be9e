"""The registry, packed, says of every code what a plain look at its units says; and so do the routes over it."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import Rejected
from hub.domain.model import Receive, Unit, UnitMark
from hub.units.routing import RoutedPartner, Routes, choose_first_state
from hub.units.unit_index import UnitIndex

DAYS = st.none() | st.dates(date(2025, 1, 1), date(2027, 1, 1))
CODES = ("H55", "H55.1", "H55.13", "H55.13.1", "000.00.13.H55", "G22", "000.00.00.G22", "H550", "Ủy", "\ud800", "")


@st.composite
def registries(draw: st.DrawFn) -> list[Unit]:
    """Units of a few codes that name one another; no alias is of two units or a unit's code, as `units import` sees to."""
    codes = draw(st.lists(st.sampled_from(CODES[:-1]) | st.text(max_size=3), unique=True, max_size=8))
    spare = st.sampled_from([*CODES, *codes, "alias", "Ấlias"])
    pairs = st.tuples(spare.filter(lambda code: code not in codes), st.sampled_from(codes))
    aliases = draw(st.lists(pairs, unique_by=lambda pair: pair[0])) if codes else []
    return [
        Unit(
            code,
            draw(st.text(max_size=5)),
            draw(st.none() | spare.filter(bool)),
            draw(DAYS),
            draw(DAYS),
            tuple(sorted(alias for alias, owner in aliases if owner == code)),
            draw(st.sampled_from(UnitMark)),
            tuple(draw(st.lists(spare, unique=True, max_size=2))),
        )
        for code in codes
    ]


@given(registries(), st.lists(st.text(max_size=4)))
def test_a_packed_unit_is_the_unit_that_was_packed(units: list[Unit], others: list[str]) -> None:
    roll, by_code = UnitIndex.of(units), {unit.code: unit for unit in units}
    assert list(roll) == sorted(units, key=lambda unit: unit.code)
    assert len(roll) == len(units)
    aliases = {alias: unit.code for unit in units for alias in unit.aliases}
    for code in {*by_code, *aliases, *others, *CODES}:
        assert roll.get(code) == by_code.get(code)
        assert (code in roll) == (code in by_code)
        assert roll.canonical(code) == aliases.get(code, code)


class Plainly:
    """Routing as design.md says it, over dicts, without any care for memory."""

    def __init__(self, units: list[Unit], posts: list[RoutedPartner]) -> None:
        self.units = {unit.code: unit for unit in units if unit.mark != UnitMark.NATIONAL}
        self.outsiders = {unit.code: unit for unit in units if unit.mark == UnitMark.NATIONAL}
        self.aliases = {alias: unit.code for unit in units for alias in unit.aliases}
        self.posts = {post.code: post for post in posts}
        self.passed: dict[str, str] = {}
        self.passed = self.pass_on()

    def pass_on(self) -> dict[str, str]:
        """Return the partners that receive for a unit because they are configured with one that it continues."""
        named = {post.code: {self.canonical(unit) for unit in post.units} for post in self.posts.values()}
        able: dict[str, set[str]] = {}
        for code, unit in (self.units | self.outsiders).items():
            heirs = self.heirs(code, date.max, frozenset()) - {code}
            if not unit.successors or len(heirs) != 1 or (heir := next(iter(heirs))) not in self.units:
                continue
            if self.receiver(heir) is None and not any(heir in codes for codes in named.values()):
                theirs = {post for post, codes in named.items() if code in codes}
                able.setdefault(heir, set()).update(theirs)
        sends = {post.code for post in POSTS if post.receive is Receive.NONE} | {"vpcp"}
        return {heir: min(theirs - sends) for heir, theirs in able.items() if len(theirs - sends) == 1}

    def canonical(self, code: str) -> str:
        return self.aliases.get(code, code)

    def outside(self, code: str) -> bool:
        code = self.canonical(code)
        return code not in self.units and not (code == "H55" or code.startswith("H55.") or code.endswith(".H55"))

    def receiver(self, code: str) -> tuple[str, str] | None:
        at: str | None = code
        known = self.outsiders if self.outside(code) else self.units
        for _ in range(len(known) + 1):
            if known is self.outsiders and at is not None and not self.outside(at):
                return None  # an agency outside is below no unit of ours
            for post in reversed(self.posts.values()):  # of two, a mistake of configuration, the last
                own = {self.canonical(unit) for unit in post.units}
                if post.code != "vpcp" and post.receive is not Receive.NONE and at is not None and at in own:
                    return post.code, at
            if at in self.passed:
                return self.passed[at], at
            at = known[at].parent if at in known else None
        return None

    def heirs(self, code: str, on: date, seen: frozenset[str]) -> set[str]:
        unit = self.units.get(code) or self.outsiders.get(code)
        if unit is None or unit.until is None or on < unit.until:
            return {code}
        return {
            heir for each in unit.successors if each not in seen for heir in self.heirs(each, on, seen | {code, each})
        }

    def route(self, code: str, on: date) -> object:
        code = self.canonical(code)
        if self.outside(code):
            partner, via = self.receiver(code) or ("vpcp", code)
        elif code not in self.units:
            return "unit-unknown"
        elif not (self.units[code].since or on) <= on < (self.units[code].until or date.max):
            until, heirs = self.units[code].until, self.heirs(code, on, frozenset())
            if until is None or not until <= on < until + timedelta(days=90) or len(heirs) != 1 or heirs == {code}:
                return "unit-inactive"
            (heir,) = heirs
            return "unit-inactive" if self.canonical(heir) != heir else self.route(heir, on)
        elif found := self.receiver(code):
            partner, via = found
        else:
            return "unit-without-system"
        if partner not in self.posts or self.posts[partner].receive is Receive.NONE:
            return "unit-without-system"
        return code, partner, via, choose_first_state(self.posts[partner].receive)


POSTS = [
    RoutedPartner("sotttt", ("H55.13", "000.00.13.H55"), Receive.FETCH),
    RoutedPartner("vpub", ("H55", "alias"), Receive.PUSH),
    RoutedPartner("vpcp", (), Receive.PUSH),
    RoutedPartner("any", ("*", "G22"), Receive.NONE),
]


@given(registries(), st.dates(date(2025, 1, 1), date(2027, 1, 1)))
def test_routes_over_the_packed_registry_are_those_over_plain_units(units: list[Unit], on: date) -> None:
    units = [unit for unit in units if unit.code not in {"", "*"}]  # no code may have a star: import refuses it
    routes, plain = Routes.of(units, POSTS, province="H55", upstream="vpcp"), Plainly(units, POSTS)
    for code in {*CODES, *(unit.code for unit in units), "alias", "Ấlias"}:
        try:
            route = routes.route(code, on)
            found: object = (route.recipient, route.partner, route.via, route.state)
        except Rejected as rejected:
            found = rejected.problems[0].code
        assert found == plain.route(code, on)
        assert routes.outside(code) == plain.outside(code)
        for post in POSTS:
            receiver = plain.receiver(plain.canonical(code))
            assert routes.receives(post.code, code) == (receiver is not None and receiver[0] == post.code)


def test_a_code_of_two_units_one_after_another_means_the_one_that_is_active_on_the_day() -> None:
    merger = date(2026, 7, 1)
    old = Unit("H55.13", "Sở cũ", until=merger, aliases=("000.00.13.H55",), successors=("H55.30",))
    new = Unit("H55.30", "Sở mới", since=merger, aliases=("000.00.13.H55",))
    for on, meant in ((date(2026, 6, 30), "H55.13"), (merger, "H55.30"), (date(2030, 1, 1), "H55.30")):
        roll = UnitIndex.of([new, old], on)
        assert roll.canonical("000.00.13.H55") == meant
        assert {unit.code: unit.aliases for unit in roll} == {"H55.13": old.aliases, "H55.30": new.aliases}


def test_where_none_is_active_it_means_the_last_that_was_and_not_one_that_is_yet_to_begin() -> None:
    units = [
        Unit("A", "a", until=date(2020, 1, 1), aliases=("x",)),
        Unit("B", "b", since=date(2021, 1, 1), until=date(2022, 1, 1), aliases=("x",)),
        Unit("C", "c", since=date(2027, 1, 1), aliases=("x",)),
    ]
    assert UnitIndex.of(units, date(2026, 11, 24)).canonical("x") == "B"
    assert UnitIndex.of(units, date(2020, 6, 1)).canonical("x") == "A"
