"""Test units of an inspector's drill: units of a kind and a root of their own, which no other unit is tied to."""

from datetime import date

import pytest

from hub.domain.model import Receive, Unit, UnitChange, UnitKind
from hub.units.routing import RoutedPartner, Routes
from hub.units.units_csv import read_units_csv

DRILL = UnitKind.DRILL
KNOWN = (
    Unit("H55", "Tỉnh"),
    Unit("H55.1", "Văn phòng", "H55", kind="office"),
    Unit("H55.K01", "Gốc thử", kind=DRILL),
    Unit("H55.K01.1", "Đơn vị thử", "H55.K01", kind=DRILL, aliases=("000.00.K1.H55",)),
)
HEADER = "code,name,parent,kind,from,successors,until"


def wrong(*lines: str) -> list[str]:
    _, mistakes = read_units_csv("\n".join([HEADER, *lines]).encode(), "u.csv", KNOWN, today=date(2026, 11, 24))
    return [str(each.path) for each in mistakes]


def test_a_test_unit_is_below_test_units_only() -> None:
    assert wrong("H55.K02,Gốc,,drill,,,", "H55.K02.1,Đơn vị,H55.K02,drill,,,") == []
    assert wrong("H55.K02,Gốc,H55,drill,,,") == ["u.csv:2: kind"]


def test_no_other_unit_is_below_a_test_unit_or_continues_its_work() -> None:
    assert wrong("H55.2,Sở,H55.K01,department,,,") == ["u.csv:2: kind"]
    assert wrong("H55.K02,Gốc,,drill,,H55.1,2027-01-01") == ["u.csv:2: kind"]


def test_a_unit_never_becomes_a_test_unit_nor_a_test_unit_another() -> None:
    assert wrong("H55.K01.1,Đơn vị thử,H55.K01,department,,,") == ["u.csv:2: kind"]
    assert wrong("H55.1,Văn phòng,,drill,,,") == ["u.csv:2: kind"]
    assert wrong("H55.1,Văn phòng,H55,drill,2027-01-01,,") == ["u.csv:2: kind"]


def test_a_test_unit_may_get_another_name() -> None:
    assert wrong("H55.K01.1,Tên khác,H55.K01,drill,2027-01-01,,") == []


@pytest.fixture(name="routes")
def _routes() -> Routes:
    partner = RoutedPartner("kiemtra", ("H55.K01", "H55.K01.1"), Receive.FETCH)
    return Routes.of(KNOWN, [partner], province="H55", upstream="vpcp")


def test_test_units_are_known_by_their_codes_and_aliases(routes: Routes) -> None:
    assert [routes.is_drill(code) for code in ("H55.K01.1", "000.00.K1.H55", "H55.1", "", "G22")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_message_names_test_units_or_others_never_both(routes: Routes) -> None:
    assert routes.find_drill_problem(["H55.K01", "000.00.K1.H55", ""]) is None
    assert routes.find_drill_problem(["H55.1", "G22"]) is None
    mixed = routes.find_drill_problem(["H55.K01", "H55.1"])
    assert mixed is not None
    assert (mixed.code, str(mixed.detail)) == ("drill-mixed", "H55.K01 – H55.1")


def test_a_later_version_of_a_unit_keeps_its_kind(routes: Routes) -> None:
    later = Unit("H55.K01", "Gốc", kind=DRILL, changes=(UnitChange(date(2027, 1, 1), "Gốc khác", kind=DRILL),))
    assert Routes.of([later], [], province="H55", upstream="vpcp").is_drill("H55.K01")
