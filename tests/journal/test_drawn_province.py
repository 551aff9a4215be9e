"""A drawn province, from its partners' signed calls to each cell of each report, is counted again from what partners wrote down alone.

The second count (tests/recount) reads neither the journal nor the hub's answers, but for whether a message was refused.
"""

import json
import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
import structlog

from hub.report.form.service_list import read_service_list
from hub.report.output import outputs
from hub.store import transactions
from hub.workload import unit_report
from tests.histories import comparing, office
from tests.histories.comparing import Seen
from tests.histories.playing import Player
from tests.histories.provinces import Drawing, Size
from tests.recount import calendar, cells, places, services
from tests.recount.results import bounds

MERGED: dict[str, Any] = {"joins": True, "documents": 1.0, "dossiers": 1.5}
SMALL = {
    "sqlite": Size(units=10, months=2, mergers=1, deeds=1, **MERGED),
    "postgresql": Size(units=10, months=2, mergers=1, deeds=1, **MERGED),
}
FULL = Size(mergers=3, deeds=3, joins=True, documents=0.7, dossiers=1.5, mail=0.4)


@pytest.fixture
def engine(journal_url: str) -> Iterator[sa.Engine]:
    made = transactions.open_journal(journal_url)
    if made.dialect.name == "sqlite":
        sa.event.listen(made, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        made.dispose()
    yield made
    made.dispose()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Write no line of the log for each of thousands of messages."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(wrapper_class=before)


@attrs.define
class Watched:
    """A played province whose closed reports are looked at when they are closed, and again at the end."""

    player: Player
    closed: dict[tuple[str, str], str] = attrs.field(factory=dict)  #: by form and month: its report in JSON

    def page(self, form: str, month: str) -> str:
        """Return the report of a closed month, octet by octet, but for the number of facts that came too late for it."""
        with transactions.read_transaction(self.player.engine) as tx:
            asked = unit_report.resolve_report_sources(tx, "H55", month, form, office.book())
            report = json.loads(outputs.write_json_report(asked.count(self.player.history.now), asked.names))
        (report.get("closing") or {}).pop("late", None)
        return json.dumps(report)

    def look(self) -> None:
        """Look at what was closed since the last time."""
        for month in self.player.drawing.months:
            if calendar.closing(month) < self.player.history.now - timedelta(days=2):
                for form in cells.FORMS:
                    if (form, month) not in self.closed and form not in cells.REVISED:
                        self.closed[form, month] = self.page(form, month)


def play(engine: sa.Engine, drawing: Drawing, *, by_soap: bool) -> Watched:
    """Play a province, compare it in the midst of its months, and in the end."""
    watched = Watched(Player(engine, drawing, by_soap=by_soap))
    player, middle = watched.player, drawing.months[len(drawing.months) // 2]
    for month in drawing.months:
        player.play(until=bounds(month)[0] + timedelta(days=9))
        watched.look()
        if month == middle:
            compare(player, [(form, month) for form in comparing.FORMS])
    player.play()
    watched.look()
    return watched


def compare(player: Player, wanted: list[tuple[str, str]]) -> Seen:
    """Compare reports with the second count: all cells are equal."""
    now, province = player.history.now, player.drawing.places()
    seen = comparing.compare(player.engine, comparing.recount(player.notebook, province, now), province, wanted, now)
    first = "\n".join(str(cell) for cell in seen.differing[:20])
    assert not seen.differing, f"SEED={player.drawing.seed}: {len(seen.differing)} cells differ\n{first}"
    return seen


#: What the province offers: a service of each level, one that begins and one that ends, and one that has its own code here.
SERVICES = """code,name,field,level,since,until
1.000001,a,HT,full,,
2.000815,b,CT,partial,,
1.000002,c,HT,partial,,2026-02-10
1.000002,c,HT,full,2026-02-20,
1.000003,d,DD,other,,
1.000003.000.00.00.H55,e,DD,full,2026-02-25,
1.000009,f,DD,full,,
"""


def compare_services(player: Player, period: str) -> None:
    """Compare how many services had a dossier, by level and field, with the second count."""
    now, province = player.history.now, player.drawing.places()
    book = attrs.evolve(office.book(), listed=read_service_list(SERVICES.encode(), "services.csv"))
    again = comparing.recount(player.notebook, province, now)
    for unit in ("H55", "H55.01"):
        with places.standing(province), transactions.read_transaction(player.engine) as tx:
            members = places.below(unit, bounds(period)[1])
            table = services.used(again, SERVICES, members, period, now)
            report = unit_report.resolve_report_sources(tx, unit, period, "dichvucong", book).count(now)
        keys = ("services", "used", "used_online")
        counted = {each.path: tuple(each.row.numbers[key] for key in keys) for each in report.divided}
        assert {path: numbers for path, numbers in counted.items() if len(path) == 2} == table
        assert tuple(report.total.numbers[key] for key in keys) == tuple(map(sum, zip(*table.values(), strict=True)))
        if unit == "H55":
            assert 0 < report.total.numbers["used"] <= len(table) + 2  # type: ignore[operator]


STOCKS = {"edoc": ("processing", "overdue"), "ii06a": ("pending",), "dossiers": ("pending",)}


def stock_left(player: Player, period: str) -> list[tuple[str, str, str, str]]:
    """Return the stocks of units that had ended when a period did."""
    found = []
    for form, columns in STOCKS.items():
        with transactions.read_transaction(player.engine) as tx:
            asked = unit_report.resolve_report_sources(tx, "H55", period, form, office.book())
            rows = {row.unit: row.numbers for row in asked.count(player.history.now).rows}
        last = places.day(bounds(period)[1])
        for each in (*player.drawing.mergers, *player.drawing.ordered):
            for unit in each.old if each.is_in_force(last) and not each.undone else ():
                found += [(form, period, unit, column) for column in columns if unit in rows and rows[unit][column]]
    return found


def check(engine: sa.Engine, drawing: Drawing, *, by_soap: bool) -> Seen:
    """Play a province and compare every cell of every form, unit, month, quarter and year; and that closed months stay."""
    watched = play(engine, drawing, by_soap=by_soap)
    player = watched.player
    periods = comparing.periods(drawing.months, player.history.now)
    seen = compare(player, [(form, period) for period in periods for form in comparing.FORMS])
    for period in periods:
        compare_services(player, period)
    left = [each for period in drawing.months for each in stock_left(player, period)]
    assert left == [], "a stock is left in a unit that is no more"
    changed = [key for key, page in watched.closed.items() if watched.page(*key) != page]
    assert changed == [], "closed months have changed"
    assert len(watched.closed) == (len(cells.FORMS) - len(cells.REVISED)) * len(drawing.months)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("journal_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)], indirect=True)
def test_every_cell_of_a_small_province_is_counted_again_from_what_partners_sent(engine: sa.Engine) -> None:
    """The counts of PostgreSQL are held to the second one by test_every_cell.py and test_histories.py."""
    seen = check(engine, Drawing(2026, SMALL[engine.dialect.name]), by_soap=engine.dialect.name == "sqlite")
    assert seen.equal > 4_000
    assert len(seen.filled) > 100, "a count of nothing equals a count of nothing"


@pytest.mark.soak
def test_every_cell_of_a_drawn_province_of_a_hundred_and_fifty_units_through_fourteen_months(engine: sa.Engine) -> None:
    """SEED draws another province."""
    drawing = Drawing(int(os.environ.get("SEED", "20260115")), FULL)
    print(f"SEED={drawing.seed}: {len(drawing.deeds)} deeds of {len(drawing.units)} units")  # noqa: T201 - to draw it again
    seen = check(engine, drawing, by_soap=engine.dialect.name == "sqlite")
    print(f"{seen.equal} cells equal, {len(seen.filled)} columns with numbers")  # noqa: T201 - how much was compared
