"""What everybody may see: what was published is written once, however often it is asked for."""

from typing import Any, cast

from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.operations.reports import standing
from hub.report.form.book import read_shipped_book
from hub.runtime.thread_pool import run_at_once
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.web import public_pages
from hub.workload import submission
from tests.console_town import done
from tests.province import NOW
from tests.readback import from_csv, from_html, from_json

OPERATOR = User(name="op", role=Role.OPERATOR, units=("*",), added_at=NOW, changed_at=NOW)


def publish(town, period):
    """Publish a report, and return where it is."""
    with transactions.write_transaction(town.engine) as tx:
        counted = standing.count_report_for_release(tx, OPERATOR, read_shipped_book(), "edoc", "H55.13", period, NOW)
        submission.publish_report(tx, town.pages().parts.live.province, counted, reason="", by="op", now=NOW)
    return f"reports/edoc/H55.13/{period}.html"


def test_what_no_unit_can_be_called_is_not_asked_of_the_journal(town):
    pages = public_pages.PublicPages(
        cast("Any", None), run_at_once, town.pages().parts.live, lambda: "https://hub/public"
    )
    for unit in ("H55%00", "%0d%0a", "%E2%80%A8"):
        assert done(pages.page(f"reports/edoc/{unit}/2026-11.html")) is None


def test_a_page_is_made_once_and_the_last_ones_are_kept(town, monkeypatch):
    monkeypatch.setattr(public_pages, "_KEPT", 2)
    october, november, second = (publish(town, each) for each in ("2026-10", "2026-11", "2026-Q2"))
    sizes = []

    def work(owner, size, step, *words):
        sizes.append(size)
        return run_at_once(owner, size, step, *words)

    pages = public_pages.PublicPages(
        InlineDatabase(town.engine), cast("Any", work), town.pages().parts.live, lambda: "https://hub/public"
    )
    first = done(pages.page(october))
    for place in (october, november, october, second, october):
        assert (done(pages.page(place)) == first) is (place == october)
    assert len(sizes) == 3
    done(pages.page(november))
    assert len(sizes) == 4, "it was the one that nobody had asked for longest"


def test_a_published_report_is_open_data_with_the_numbers_of_its_page(town):
    place = publish(town, "2026-10").removesuffix(".html")
    pages = public_pages.PublicPages(
        InlineDatabase(town.engine), cast("Any", run_at_once), town.pages().parts.live, lambda: "https://hub/public"
    )
    page, data, rows = (done(pages.page(f"{place}.{kind}")) for kind in ("html", "json", "csv"))
    assert rows.content_type == "text/csv; charset=utf-8"
    found = from_csv(rows.content)
    assert found == from_html(page.content.decode()) == from_json(data.content.decode())
    assert [unit for unit, _ in found] == ["H55.13", "H55.13", "H55.13.1"]
