"""The list of units: codes in their natural order, and units found by the abbreviations that people use."""

import re
from urllib.parse import quote

import pytest

from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from tests.console_town import Browser

UNITS = [
    Unit("H55.2", "Sở Nội vụ", "H55"),
    Unit("H55.10", "Sở Khoa học và Công nghệ", "H55"),
    Unit("H55.10.2", "UBND xã Tân Thành", "H55.10"),
    Unit("H55.10.11", "Ủy ban nhân dân xã Tân Lập", "H55.10"),
]


@pytest.fixture
def browser(town):
    with transactions.write_transaction(town.engine) as tx:
        unit_registry.write_registry_units(tx, UNITS)
    town.add("an", "*", role=Role.READER)
    browser = Browser(town)
    assert browser.sign_in("an").status == 303
    return browser


def codes(browser, query=""):
    assert browser.get(f"/units{query}").status == 200
    found = re.findall(r"H55(?:\.[0-9]+)*", " ".join(re.findall(r'class="code">([^<]*)<', browser.page)))
    return list(dict.fromkeys(found))


def test_codes_stand_in_their_natural_order(browser):
    found = [code for code in codes(browser) if code in {unit.code for unit in UNITS}]
    assert found == ["H55.2", "H55.10", "H55.10.2", "H55.10.11"]


@pytest.mark.parametrize(
    ("text", "code"),
    [("Sở KHCN", "H55.10"), ("skhcn", "H55.10"), ("ubnd xa tan lap", "H55.10.11"), ("noi vu", "H55.2")],
)
def test_a_unit_is_found_by_its_usual_abbreviation(browser, text, code):
    assert codes(browser, f"?q={quote(text)}")[:1] == [code]
