"""The workbooks of the Excel families, as LibreOffice saved them, with the names of 2024 and of 2026: `.xls` and `.xlsx`."""

import pytest

from hub.report.form.book import read_shipped_book
from hub.report.form.form import choose_form
from hub.report.form.period import parse_period
from hub.report.workbooks.declared_workbook import DeclaredReport, read_declared_workbook
from hub.units.sample_units import list_sample_units
from hub.units.unit_names import UnitNames
from tests.report.workbooks import FAMILIES, HERE, MADE, NAMES, convert, find_layout, make_figures

BOOK = read_shipped_book()
PERIOD = parse_period("2026-11")
SAMPLE = list_sample_units()
MEMBERS = tuple(unit.code for unit in SAMPLE)
FINDER = UnitNames.of(SAMPLE, (), MEMBERS, PERIOD.first, PERIOD.last)
#: Whose work each unit of a list of 2024 is today, by the deeds of the sample province.
TODAY = {"H55.10": "H55.13", "H55.9": "H55.6"}


def declared(content, name):
    form = choose_form(BOOK.forms, find_layout(name).form, PERIOD)
    said = read_declared_workbook(content, DeclaredReport(form, PERIOD, MEMBERS, BOOK.layouts), FINDER)
    return {(cell.unit, cell.column): cell.figure for cell in said.cells}


def expected(name, year):
    """Return the figures of the list, those of departments that were merged added up."""
    found: dict[tuple[str, str], int] = {}
    for number, code in enumerate(NAMES[year], 1):
        for column, figure in make_figures(find_layout(name), number).items():
            for unit in ("", TODAY.get(code, code)):
                found[unit, column] = found.get((unit, column), 0) + figure
    return found


@pytest.mark.parametrize("kind", ["xls", "xlsx"])
@pytest.mark.parametrize("year", NAMES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_file_of_each_family_declares_its_figures_for_the_units_of_today(name, year, kind):
    assert declared((HERE / f"{name}-{year}.{kind}").read_bytes(), name) == expected(name, year)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_what_libreoffice_of_today_makes_of_a_family_is_read_the_same(name):
    assert declared(convert(MADE[f"{name}-2024"](), "xls"), name) == expected(name, "2024")
