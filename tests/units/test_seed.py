"""The made-up province has the seed's numbers, sound codes, and says of every unit that it is made up."""

import re
from collections import Counter

from hub.domain.model import Unit
from hub.node import init_province
from hub.report.counting.family import list_unit_family
from hub.units import sample_units, units_csv

UNITS = sample_units.list_sample_units()
BY_CODE = {unit.code: unit for unit in UNITS}


def depth(unit: Unit) -> int:
    return 1 if unit.parent is None else 1 + depth(BY_CODE[unit.parent])


def test_it_has_989_units_31_departments_9_districts_and_180_communes() -> None:
    assert len(UNITS) == 989
    below = [unit for unit in UNITS if unit.parent == "H55"]
    districts = [unit for unit in below if unit.name.startswith("Ủy ban nhân dân ")]
    communes = [
        unit for unit in UNITS if unit.parent in {d.code for d in districts} and "Ủy ban nhân dân" in unit.name[:16]
    ]
    assert (len(below) - len(districts), len(districts), len(communes)) == (31, 9, 180)
    assert set(Counter(unit.parent for unit in communes).values()) == {20}


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
