"""All that was told of one thing: of which unit a code means today."""

from datetime import UTC, date, datetime

import pytest

from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.monitoring.item_life import read_item_life
from hub.monitoring.late_work import UnitUnknown
from tests.journal.test_open_work import tell

NOW = datetime(2026, 11, 24, 1, tzinfo=UTC)
OLD, NEW, ALIAS = "H55.90", "H55.91", "000.00.90.H55"


@pytest.fixture
def told(tx):
    """A code that passed from a unit that has ended to another, and a work item of the same key at each."""
    day = date(2026, 7, 1)
    units = [Unit(OLD, "Sở cũ", until=day, aliases=(ALIAS,)), Unit(NEW, "Sở mới", since=day, aliases=(ALIAS,))]
    unit_registry.write_registry_units(tx, units)
    for unit in (OLD, NEW):
        tell(tx, unit, "work", "V1", "assigned", NOW, day=NOW.date(), due=date(2026, 11, 30))
    return tx


def test_another_code_of_a_unit_means_the_unit_that_has_it_today(told):
    life = read_item_life(told, ALIAS, "work", "V1", NOW)
    assert life is not None
    assert (life.unit, life.name) == (NEW, "Sở mới")


def test_who_sees_only_the_unit_that_had_the_code_before_learns_nothing_of_the_other(told):
    with pytest.raises(UnitUnknown):
        read_item_life(told, ALIAS, "work", "V1", NOW, {OLD})
