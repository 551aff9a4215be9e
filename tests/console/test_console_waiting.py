"""An official's first page is headed by the reports that wait for that official, and only by these."""

from datetime import UTC, datetime

import pytest

from hub.formats.spool import Octets
from hub.journal import blobs
from hub.operations.accounts.permissions import Role
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.store import transactions
from hub.workload import closing
from tests.console_town import Browser
from tests.officials import by_signxml, official, officials

PLACE = "/signing/edoc/H55.13/2026-11"


@pytest.fixture
def closed(town):
    """A town whose last ended month is closed; H55.13.1, below H55.13, sent a document in it."""
    town.officials = officials(official())
    town.take(1, "H55.13.1", at=datetime(2026, 11, 10, 3, 0, tzinfo=UTC))
    with transactions.write_transaction(town.engine) as tx:
        closing.close_month(tx, read_shipped_book(), "edoc", parse_period("2026-11"), town.now, "hub")
    return town


def waits(town, name, role, *units):
    """Return what the first page of a new account says that waits for it."""
    town.add(name, *units, role=role)
    browser = Browser(town)
    browser.sign_in(name)
    return browser, waiting(browser)


def waiting(browser):
    browser.get("/")
    return [link for link in browser.links() if link.startswith("/signing/")]


@pytest.mark.parametrize(
    ("role", "units", "found"),
    [
        (Role.CLERK, ["H55.13"], [PLACE]),
        (Role.CLERK, ["000.00.13.H55"], [PLACE]),
        (Role.CLERK, ["H55.13", "H55.13.1"], [PLACE, PLACE.replace("H55.13", "H55.13.1")]),
        (Role.CLERK, ["H55.01"], []),
        (Role.CLERK, ["H55.30"], []),
        (Role.CLERK, ["*"], []),
        (Role.READER, ["H55.13"], []),
        (Role.OPERATOR, [], []),
    ],
)
def test_a_closed_report_waits_for_the_clerk_of_its_unit(closed, role, units, found):
    browser, said = waits(closed, "an", role, *units)
    assert said == found
    assert ("Việc đang chờ bạn" in browser.page) is bool(found)


def test_it_waits_until_it_is_signed(closed):
    browser, said = waits(closed, "chi", Role.CLERK, "H55.13")
    assert said == [PLACE]
    browser.get(PLACE)
    answer = browser.post(f"{PLACE}.xml")
    assert answer.status == 200
    assert waiting(browser) == [PLACE], "it was given out, and must be signed"
    with transactions.read_transaction(closed.engine) as tx:
        octets = blobs.read_blob(tx, answer.stored)
    browser.get(PLACE)
    assert browser.post(PLACE, file=Octets.of(by_signxml(octets))).status == 303
    assert waiting(browser) == []


def test_nothing_waits_before_the_month_is_closed(town):
    town.take(1, at=datetime(2026, 11, 10, 3, 0, tzinfo=UTC))
    assert waits(town, "an", Role.CLERK, "H55.13")[1] == []
