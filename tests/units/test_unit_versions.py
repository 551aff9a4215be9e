"""A unit has versions from a day on: a list of units says which of them each row is about."""

from datetime import date

import pytest

from hub.domain.model import Receive, Unit, UnitChange
from hub.units.routing import RoutedPartner, Routes
from hub.units.unit_changes import list_changed_values
from hub.units.unit_index import UnitIndex
from hub.units.units_csv import read_units_csv, write_units_csv
from tests.words import in_vietnamese

DAY = date(2026, 12, 12)
BEFORE = date(2026, 12, 11)
MOVED = UnitChange(DAY, "Xã Ba mới", "H55", "commune", "committee")
THREE = Unit("H55.40.3", "Xã Ba", "H55.40", level="commune", kind="committee", changes=(MOVED,))
KNOWN = (
    Unit("H55", "Tỉnh", level="province", kind="committee"),
    Unit("H55.40", "Huyện", "H55", level="district", kind="committee"),
    THREE,
)


def read(*lines: str, today: date = BEFORE) -> list[Unit]:
    units, mistakes = read_units_csv("\n".join(lines).encode(), "u.csv", KNOWN, today=today)
    assert mistakes == []
    return units


def find_mistakes(*lines: str) -> list[str]:
    _, mistakes = read_units_csv("\n".join(lines).encode(), "u.csv", KNOWN, today=BEFORE)
    assert all(in_vietnamese(each.wrong) and in_vietnamese(each.expected) for each in mistakes)
    return [each.path for each in mistakes]


def test_a_version_is_in_force_from_its_day_on():
    assert THREE.at(BEFORE) == Unit("H55.40.3", "Xã Ba", "H55.40", level="commune", kind="committee")
    assert THREE.at(DAY) == Unit("H55.40.3", "Xã Ba mới", "H55", level="commune", kind="committee")


def test_routing_goes_by_the_units_of_the_day():
    posts = (RoutedPartner("huyen", ("H55.40",), Receive.FETCH), RoutedPartner("tinh", ("H55",), Receive.FETCH))
    found = []
    for day in (BEFORE, DAY):
        routes = Routes.of(UnitIndex.of(KNOWN, day), posts, province="H55", upstream="vpcp")
        (route,) = routes.route_all("vpcp", ["H55.40.3"], day)
        found.append(route.partner)
    assert found == ["huyen", "tinh"]


def test_a_row_with_a_day_changes_nothing_before_that_day():
    (unit,) = read("code,name,parent,level,kind,from", "H55.40,Khu vực,H55,province,board,2026-12-12")
    assert unit == Unit(
        *("H55.40", "Huyện", "H55"),
        level="district",
        kind="committee",
        changes=(UnitChange(DAY, "Khu vực", "H55", "province", "board"),),
    )


def test_a_row_without_a_day_corrects_the_version_of_today_from_its_beginning():
    (before,) = read("code,name", "H55.40.3,Xã Sửa")
    assert (before.at(BEFORE).name, before.at(DAY).name) == ("Xã Sửa", "Xã Ba mới")
    (after,) = read("code,name", "H55.40.3,Xã Sửa", today=DAY)
    assert (after.at(BEFORE).name, after.at(DAY).name) == ("Xã Ba", "Xã Sửa")
    (first,) = read("code,name,from", "H55.40.3,Xã Sửa,start", today=DAY)
    assert (first.at(BEFORE).name, first.at(DAY).name) == ("Xã Sửa", "Xã Ba mới")


def test_what_a_file_has_no_column_for_stays_as_it_is():
    (unit,) = read("code,name,from", "H55.40.3,Xã Tư,2027-01-01")
    assert unit.changes == (MOVED, UnitChange(date(2027, 1, 1), "Xã Tư", "H55", "commune", "committee"))
    aliased = Unit("H55.1", "Sở", "H55", date(2025, 7, 1), aliases=("000.00.01.H55",), level="province")
    units, _ = read_units_csv(b"code,name\nH55.1,S\xe1\xbb\x9f Hai", "u.csv", [*KNOWN, aliased])
    assert units == [Unit("H55.1", "Sở Hai", "H55", date(2025, 7, 1), aliases=("000.00.01.H55",), level="province")]


def test_versions_are_exported_and_taken_back_unchanged():
    content = write_units_csv(KNOWN)
    for known in ((), KNOWN):
        for today in (BEFORE, DAY):
            assert read_units_csv(content, "u.csv", known, today=today) == (list(KNOWN), [])


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("H55.9,Sở,H55,,,2026-12-12", "from"),  # of a unit that there is not
        ("H55.40,Huyện,H55,,,12/12/2026", "from"),
        ("H55.40,Huyện,H55,huyện,,2026-12-12", "level"),
        ("H55.40,Huyện,H55,,sở,", "kind"),
        ("H55.40,Huyện,H55.40.3,,,2026-12-01", "parent"),  # where the other still is below it
        ("H55.40,Huyện,H55.77,,,2026-12-12", "parent"),
    ],
)
def test_a_mistake_in_a_version_is_named_by_its_column(line, column):
    assert find_mistakes("code,name,parent,level,kind,from", line) == [f"u.csv:2: {column}"]


def test_a_version_begins_within_the_days_of_its_unit_and_says_nothing_that_all_versions_share():
    header = "code,name,parent,since,until,from"
    whole = "H55.9,Sở,H55,2026-12-12,2027-12-12,"
    for day in ("2026-12-12", "2027-12-12", "2026-01-01"):
        assert find_mistakes(header, whole, f"H55.9,Sở Hai,H55,,,{day}") == ["u.csv:3: from"]
    assert find_mistakes(header, whole, "H55.9,Sở Hai,H55,,,2027-01-01") == []
    assert find_mistakes(header, whole, "H55.9,Sở Hai,H55,2027-01-01,,2027-01-01") == ["u.csv:3: since"]
    assert find_mistakes(header, whole, *["H55.9,Sở Hai,H55,,,2027-01-01"] * 2) == ["u.csv:4: code"]


def test_a_parent_may_become_a_child_when_the_child_has_moved_away():
    lines = "code,name,parent,from", "H55.40,Huyện,H55.40.3,2026-12-12"
    assert find_mistakes(*lines) == []


def test_a_change_is_told_with_its_version_and_both_values():
    before = Unit("H55.40", "Huyện", "H55", aliases=("a",))
    after = Unit("H55.40", "Huyện Hai", "H55", DAY, changes=(UnitChange(DAY, "Huyện Hai", None),))
    assert [each.text for each in list_changed_values(before, after)] == [
        "H55.40 since: – → 2026-12-12",
        "H55.40 aliases: a → –",
        "H55.40 start name: Huyện → Huyện Hai",
        "H55.40 2026-12-12 parent: H55 → –",
    ]
    assert [each.text for each in list_changed_values(after, before)][-1] == "H55.40 2026-12-12 name: Huyện Hai → –"
