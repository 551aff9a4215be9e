"""The made-up province has the seed's numbers, sound codes, and says of every unit that it is made up."""

import re
from collections import Counter
from datetime import UTC, date, datetime

import attrs
import pytest

from hub.domain.model import Unit
from hub.node import init_province
from hub.report.counting import sections
from hub.report.counting.counting import Cells, assemble_report
from hub.report.counting.deriving import derive_numbers
from hub.report.counting.family import list_unit_family
from hub.report.form.folder import read_form_folder
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.units import sample_units, units_csv

UNITS = sample_units.list_sample_units()
BY_CODE = {unit.code: unit for unit in UNITS}
TODAY, PERIOD, AFTER = date(2026, 11, 28), parse_period("2026-12"), datetime(2027, 3, 1, tzinfo=UTC)
TODAYS = [unit.at(TODAY) for unit in UNITS if unit.active(TODAY)]
FORMS = read_form_folder()


def depth(unit: Unit) -> int:
    return 1 if unit.parent is None else 1 + depth(BY_CODE[unit.parent])


def test_it_has_989_units_31_departments_9_districts_and_180_communes() -> None:
    assert len(UNITS) == 989
    below = [unit for unit in UNITS if unit.parent == "H55"]
    districts = [unit for unit in below if unit.level == "district"]
    communes = [unit for unit in UNITS if unit.level == "commune" and unit.kind == "committee"]
    assert (len(below) - len(districts), len(districts), len(communes)) == (31, 9, 180)
    assert set(Counter(unit.parent for unit in communes)) == {unit.code for unit in districts}
    assert set(Counter(unit.parent for unit in communes).values()) == {20}


def test_every_unit_says_its_level_and_kind() -> None:
    assert all(unit.level and unit.kind for unit in (*UNITS, *TODAYS, *init_province.make_sample_units()))


def test_today_it_has_two_levels_and_merged_departments() -> None:
    assert len(TODAYS) == 865
    assert {unit.level for unit in TODAYS} == {"province", "commune"}
    communes = [unit for unit in TODAYS if unit.level == "commune" and unit.kind == "committee"]
    assert (len(communes), {unit.parent for unit in communes}) == (171, {"H55"})
    departments = {unit.name.removesuffix(" (mẫu)") for unit in TODAYS if unit.kind == "department"}
    assert {"Sở Tài chính", "Sở Nông nghiệp và Môi trường", "Sở Khoa học và Công nghệ", "Sở Nội vụ"} <= departments
    assert {"Sở Xây dựng", "Sở Dân tộc và Tôn giáo"} <= departments
    gone = ("Kế hoạch và Đầu tư", "Thông tin và Truyền thông", "Lao động", "Giao thông", "Tài nguyên và Môi trường")
    assert not [name for name in departments for each in gone if each in name]
    codes = {unit.code for unit in TODAYS}
    assert all(unit.parent is None or unit.parent in codes for unit in TODAYS)


def test_what_ended_is_continued_by_a_unit_of_today() -> None:
    ended = [unit for unit in UNITS if unit.until]
    codes = {unit.code for unit in TODAYS}
    assert len(ended) == 989 - 865
    assert all(len(unit.successors) == 1 and unit.successors[0] in codes for unit in ended)


@pytest.mark.parametrize("form", ["ii06a", "qd766", "suckhoe", "tonghop"])
@pytest.mark.parametrize(("units", "names"), [("seed", True), ("seed", False), ("today", True), ("today", False)])
def test_every_committee_stands_in_its_level_in_the_official_forms(form: str, units: str, names: bool) -> None:
    """Of all 190, and of those of today. *names*: as they are; else all are called alike, so that no name decides."""
    shown = {unit.code: unit for unit in (UNITS if units == "seed" else TODAYS)}
    if not names:
        shown = {code: attrs.evolve(unit, name="Đơn vị") for code, unit in shown.items()}
    chosen = choose_form(FORMS, form, PERIOD)
    cells = {code: Cells.none(chosen) if chosen.service else Cells(derive_numbers(chosen, code, {})) for code in shown}
    report = assemble_report(chosen, PERIOD, AFTER, tuple(shown), cells)
    places = {"Sở, ban, ngành": "province", "Cấp huyện": "district", "Cấp xã": "commune"}
    found = {each.heading.vi: each.units for each in sections.sort_sections(report, shown)}
    assert set(found) == set(places) - (set() if units == "seed" else {"Cấp huyện"})
    for heading, codes in found.items():
        assert {shown[code].level for code in codes} == {places[heading]}
    committees = {heading: sum(shown[code].kind == "committee" for code in codes) for heading, codes in found.items()}
    assert sum(committees.values()) == (190 if units == "seed" else 172)


def test_each_has_a_code_and_a_name_of_its_own_in_the_shapes_of_the_standard() -> None:
    assert len(BY_CODE) == len({unit.name for unit in UNITS}) == 989
    assert all(re.fullmatch(r"[A-Z]\d{2}(\.[A-Z0-9]{1,3}){0,3}", unit.code) for unit in UNITS)
    aliases = [alias for unit in UNITS for alias in unit.aliases]
    assert all(re.fullmatch(r"\d{3}\.\d{2}\.\d{2}\.[A-Z]\d{2}", alias) for alias in aliases)
    assert len(aliases) == len(set(aliases)) == 1 + 31 + 9 + 180 + 1
    assert {unit.code[:3] for unit in UNITS} == {"H55", "A55"}


def test_each_is_marked_as_made_up_in_mark_and_name() -> None:
    assert all(unit.mark == "synthetic" and unit.name.endswith(" (mẫu)") for unit in UNITS)


def test_it_is_a_tree_at_most_four_high_with_the_party_bloc_beside_the_province() -> None:
    assert max(map(depth, UNITS)) == 4
    assert [unit.code for unit in UNITS if unit.parent is None] == ["A55", "H55"]
    assert len(list_unit_family(UNITS, "H55")) + len(list_unit_family(UNITS, "A55")) == 989
    assert len(list_unit_family(TODAYS, "H55")) + len(list_unit_family(TODAYS, "A55")) == 865


def test_it_is_the_same_every_time() -> None:
    assert sample_units.list_sample_units() == UNITS


def test_a_registry_with_the_sample_units_takes_it_and_then_holds_nothing_else() -> None:
    assert units_csv.read_units_csv(
        units_csv.write_units_csv(UNITS), "seed.csv", init_province.make_sample_units()
    ) == (
        UNITS,
        [],
    )
    assert {unit.code for unit in init_province.make_sample_units()} <= set(BY_CODE)
