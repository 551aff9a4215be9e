"""Who continues the work of a unit that has ended: by its single successor, by the deed, along chains, day by day."""

from datetime import date

import pytest

from hub.domain.model import Unit
from hub.units.deeds import Deed, Estate
from hub.units.heirs import find_forebears, find_heir, find_heirs
from hub.units.unit_index import UnitIndex

JULY, EVE, NEXT = date(2025, 7, 1), date(2025, 6, 30), date(2026, 1, 1)
MERGED = [
    Unit("H55.1", "Xã A", until=JULY, aliases=("000.00.01.H55",), successors=("H55.3",)),
    Unit("H55.2", "Xã B", until=JULY, successors=("H55.3",)),
    Unit("H55.3", "Xã AB", since=JULY, until=NEXT, successors=("H55.4",)),
    Unit("H55.4", "Phường AB", since=NEXT),
]
SPLIT = [
    Unit("H55.1", "Xã A", until=JULY, successors=("H55.2", "H55.3")),
    Unit("H55.2", "Xã B"),
    Unit("H55.3", "Xã C"),
]


@pytest.mark.parametrize(
    ("code", "on", "heir"),
    [
        ("H55.1", EVE, "H55.1"),
        ("H55.1", JULY, "H55.3"),
        ("000.00.01.H55", JULY, "H55.3"),
        ("H55.2", NEXT, "H55.4"),
        ("H55.9", NEXT, "H55.9"),
    ],
)
def test_a_unit_that_has_ended_gives_way_to_its_successor_and_that_to_its_own(code: str, on: date, heir: str) -> None:
    assert find_heir(UnitIndex.of(MERGED, on), code, on) == heir


def test_a_unit_continues_the_work_of_all_before_it_from_the_day_on() -> None:
    roll = UnitIndex.of(MERGED, JULY)
    assert find_forebears(roll, "H55.3", EVE) == ()
    assert find_forebears(roll, "H55.3", JULY) == ("H55.1", "H55.2")
    assert find_forebears(roll, "H55.4", JULY) == ()
    assert find_forebears(roll, "H55.4", NEXT) == ("H55.3", "H55.1", "H55.2")
    assert find_forebears(roll, "H55.3", NEXT) == ()


def test_several_successors_have_one_heir_only_if_the_deed_says_which() -> None:
    plain = UnitIndex.of(SPLIT, JULY)
    assert find_heir(plain, "H55.1", JULY) is None
    assert find_heirs(plain, "H55.1", JULY) == ("H55.2", "H55.3")
    main = UnitIndex.of(SPLIT, JULY, [Deed("H55.1", "H55.3", main=True)])
    assert find_heir(main, "H55.1", JULY) == "H55.3"


def test_what_another_successor_than_the_main_one_does_for_the_unit_is_its_own_work() -> None:
    main = UnitIndex.of(SPLIT, JULY, [Deed("H55.1", "H55.3", main=True)])
    assert find_heirs(main, "H55.1", JULY) == ("H55.3", "H55.2"), "the main one first"
    assert find_forebears(main, "H55.2", JULY) == find_forebears(main, "H55.3", JULY) == ("H55.1",)


def test_a_deed_says_what_of_the_work_goes_to_whom() -> None:
    deeds = [
        Deed("H55.1", "H55.2", frozenset({Estate.DOCUMENTS, Estate.PARTNERS})),
        Deed("H55.1", "H55.3", frozenset({Estate.DOSSIERS})),
    ]
    roll = UnitIndex.of(SPLIT, JULY, deeds)
    heirs = {what: find_heir(roll, "H55.1", JULY, what) for what in Estate}
    assert heirs == {
        Estate.DOCUMENTS: "H55.2",
        Estate.DOSSIERS: "H55.3",
        Estate.MAIL: None,
        Estate.PARTNERS: "H55.2",
        Estate.OFFICIALS: None,
    }


def test_without_a_deed_a_successor_takes_over_the_work_and_no_right_of_a_system_or_a_person() -> None:
    roll = UnitIndex.of(MERGED, JULY)
    assert [find_heir(roll, "H55.1", JULY, what) for what in Estate] == ["H55.3", "H55.3", "H55.3", None, None]


def test_a_deed_with_a_unit_that_the_registry_no_longer_names_as_successor_says_nothing() -> None:
    roll = UnitIndex.of(SPLIT, JULY, [Deed("H55.1", "H55.4", main=True)])
    assert find_heirs(roll, "H55.1", JULY) == ("H55.2", "H55.3")


def test_units_that_follow_one_another_in_a_circle_have_no_heir() -> None:
    circle = [
        Unit("H55.1", "a", until=JULY, successors=("H55.2",)),
        Unit("H55.2", "b", until=JULY, successors=("H55.1",)),
    ]
    assert find_heir(UnitIndex.of(circle, JULY), "H55.1", JULY) is None
    assert find_forebears(UnitIndex.of(circle, JULY), "H55.1", JULY) == ()
