"""The day of the province in the demo: which of the sample's units take part as what."""

from datetime import date

from hub.cli.demo.day import _offices
from hub.demo.plan.day import WHOLE, Town
from hub.units.sample_units import list_sample_units


def test_the_offices_of_the_whole_sample_are_of_the_province_and_the_first_is_its_own():
    codes = tuple(sorted(each.code for each in list_sample_units()))
    assert codes[0] == "A55", "units of the Party come first"
    offices = _offices(Town((), codes, (), date(2026, 11, 24)), WHOLE)
    assert len(offices) == WHOLE.offices
    assert offices[0] == "H55"
    assert all(each.startswith("H55.") for each in offices[1:])
