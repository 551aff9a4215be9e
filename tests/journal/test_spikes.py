"""Figures far from the mean of the months before are told before a month is closed, and kept with its closing."""

from datetime import date, timedelta

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.errors import ConfigurationFault
from hub.domain.model import Fact, Unit, UnitKind
from hub.journal import unit_registry
from hub.report.counting.spikes import Spike, find_unit_spikes
from hub.report.form.book import read_shipped_book
from hub.report.form.form import SpikeRule
from hub.report.form.period import Period, find_following_month, parse_period
from hub.report.form.toml import read_form_toml
from hub.store import transactions
from hub.store.tables import closed_row, message
from hub.store.tables import fact as facts_table
from hub.workload import closing, spikes
from hub.workload.closing_plan import Closing

BOOK = read_shipped_book()
EDOC = next(form for form in BOOK.forms if form.id == "edoc")
FIRST = parse_period("2026-01")


def send(tx: transactions.Transaction, unit: str, period: Period, count: int) -> None:
    """Let *unit* send *count* documents in *period*."""
    at, said = period.start + timedelta(days=2), f"{unit} {period.text}"
    row = {"id": said, "partner": "p", "message_id": said, "service": "documents", "kind": "k"}
    more = {"state": "accepted", "received_at": at, "sha256": "0" * 64, "size": 1}
    tx.execute(sa.insert(message), [row | more])
    made = [
        Fact(unit=unit, service="documents", key=f"{said} {number}", milestone="sent", at=at, message=said)
        for number in range(count)
    ]
    if made:
        tx.execute(sa.insert(facts_table), [attrs.asdict(each) for each in made])


def close(tx: transactions.Transaction, period: Period) -> Closing:
    return closing.close_month(tx, BOOK, "edoc", period, period.end + timedelta(days=1), "an")


def live(tx: transactions.Transaction, *months: dict[str, int]) -> Period:
    """Let each unit send so many documents in each of the *months*, and close them. Returns the last."""
    period = FIRST
    for number, sent in enumerate(months):
        period = find_following_month(period) if number else period
        for unit, count in sent.items():
            send(tx, unit, period, count)
        close(tx, period)
    return period


def named(found: spikes.FoundSpikes) -> list[tuple[str, str, int, int, int]]:
    """Return what is said of the column `sent_inside`; most columns of the form count some of the same documents."""
    said = [(each.unit, each.column, each.figure, each.total, each.months) for each in found.named]
    return [each for each in said if each[1] == "sent_inside"]


def test_a_figure_over_three_times_the_mean_and_over_100_is_kept_with_the_closing(tx):
    last = live(tx, *[{"A": 40, "B": 20}] * 3, {"A": 121, "B": 100})
    found = spikes.read_spikes(tx, "edoc", last.text)
    assert named(found) == [("A", "sent_inside", 121, 120, 3)]
    assert found.select({"B"}).named == ()
    assert spikes.read_spikes(tx, "edoc", FIRST.text) == spikes.NO_SPIKES


def test_a_unit_that_sends_no_more_is_told_unless_it_has_ended(tx):
    units = [Unit(code=code, name=code, since=date(2020, 1, 1)) for code in ("A", "B")]
    units[1] = attrs.evolve(units[1], until=date(2026, 4, 1))
    unit_registry.write_registry_units(tx, units)
    last = live(tx, *[{"A": 40, "B": 40, "C": 9}] * 3, {})
    assert named(spikes.read_spikes(tx, "edoc", last.text)) == [("A", "sent_inside", 0, 120, 3)]


def test_a_drill_that_is_over_is_nothing_unusual(tx):
    unit_registry.write_registry_units(tx, [Unit(code="K", name="K", kind=UnitKind.DRILL)])
    last = live(tx, {"A": 40, "K": 200}, {"A": 40}, {"A": 40}, {"A": 121})
    assert {each.unit for each in spikes.read_spikes(tx, "edoc", last.text).named} == {"A"}


def test_nothing_is_compared_with_fewer_than_three_months_of_a_unit(tx):
    last = live(tx, {"A": 1}, {"A": 1, "B": 1}, {"A": 1, "B": 1}, {"A": 150, "B": 150, "C": 150})
    assert named(spikes.read_spikes(tx, "edoc", last.text)) == [("A", "sent_inside", 150, 3, 3)]


@pytest.mark.slow
def test_only_the_twelve_months_before_are_compared(tx):
    last = live(tx, {"A": 3_000}, *[{"A": 10}] * 12, {"A": 101})
    assert named(spikes.read_spikes(tx, "edoc", last.text)) == [("A", "sent_inside", 101, 120, 12)]


def test_a_revised_month_is_compared_as_it_is_now(tx):
    last = live(tx, *[{"A": 40}] * 3)
    again = find_following_month(last)
    send(tx, "A", again, 121)
    revised = tx.execute(sa.select(closed_row).where(closed_row.c.period == last.text)).one()
    tx.execute(sa.insert(closed_row), [{**revised._mapping, "revision": 2, "numbers": '{"sent_inside":100}'}])
    close(tx, again)
    assert named(spikes.read_spikes(tx, "edoc", again.text)) == []


def test_of_many_the_farthest_from_their_mean_are_named_and_all_are_counted(tx, monkeypatch):
    monkeypatch.setattr(spikes, "MOST", 2)
    last = live(tx, *[{"A": 1, "B": 1, "C": 1}] * 3, {"A": 101, "B": 103, "C": 102})
    found = spikes.read_spikes(tx, "edoc", last.text)
    columns = found.count // 3
    assert ({each.unit for each in found.named}, found.left_out) == ({"B"}, 3 * columns - 2)


@given(st.integers(-5, 2_000), st.integers(-5, 60_000), st.integers(1, 12))
def test_the_rule_is_that_of_a_pocket_calculator(figure: int, total: int, months: int):
    rule, mean = SpikeRule(least_months=1), total / months
    told = bool(
        find_unit_spikes(attrs.evolve(EDOC, spikes=rule), "A", {"sent_inside": figure}, {"sent_inside": total}, months)
    )
    above, below = figure - 3 * mean, mean / 100 - figure
    if min(abs(above), abs(below)) > 1e-6:  # where floats can tell
        assert told == ((above > 0 and figure > 100) or (below > 0 and mean >= 10))


def test_a_stock_is_never_compared():
    form = next(form for form in BOOK.forms if form.id == "ii06a")
    everything = {column.key: 1_000 for column in form.columns}
    told = {each.column for each in find_unit_spikes(form, "A", everything, {}, 12)}
    assert told == {column.key for column in form.columns if column.kind in ("flow", "happening", "end")}


def test_a_form_says_its_own_numbers():
    text = EDOC.written + "\n[spikes]\nfactor = 2\nleast = 5\n"
    form = read_form_toml(text.encode(), "edoc.toml")
    assert form.spikes == SpikeRule(factor=2, least=5)
    assert find_unit_spikes(form, "A", {"sent_inside": 6}, {"sent_inside": 6}, 3) == [
        Spike("A", "sent_inside", 6, 6, 3)
    ]


@pytest.mark.parametrize(
    ("words", "place"),
    [("factor = 0", "spikes.factor"), ("months = 2", "spikes.least_months"), ("often = 1", "spikes.often")],
)
def test_a_mistake_in_the_numbers_is_named(words: str, place: str):
    with pytest.raises(ConfigurationFault) as fault:
        read_form_toml(f"{EDOC.written}\n[spikes]\n{words}\n".encode(), "edoc.toml")
    assert any(place in each.path.replace(": ", ".") for each in fault.value.mistakes), fault.value.mistakes
