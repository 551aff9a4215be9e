"""The registry of units: those of the province stand apart from the agencies of the national list."""

from datetime import date

import sqlalchemy as sa

from hub.domain.model import Unit, UnitMark
from hub.journal import unit_registry
from hub.store import transactions
from hub.store.tables import OWN, unit, unit_alias
from tests import databases

TODAY = date(2026, 11, 28)
AGENCY = Unit("G09", "Bộ Khoa học và Công nghệ", aliases=("000.00.00.G09",), mark=UnitMark.NATIONAL)
HALL = Unit("H55", "Tỉnh Thái Nguyên")
OFFICE = Unit("H55.01", "Văn phòng", "H55", aliases=("01", "000.01.H55"), successors=("H55",))


def test_the_units_of_the_province_are_listed_without_the_agencies_of_the_nation(tx):
    unit_registry.write_registry_units(tx, [AGENCY, OFFICE, HALL])
    own = [HALL, Unit("H55.01", "Văn phòng", "H55", aliases=("000.01.H55", "01"), successors=("H55",))]
    assert unit_registry.list_registry_units(tx, TODAY) == own
    assert unit_registry.list_registry_units(tx, TODAY, outside=True) == [AGENCY, *own]
    assert unit_registry.read_unit_names(tx, TODAY) == {"H55": "Tỉnh Thái Nguyên", "H55.01": "Văn phòng"}
    assert unit_registry.resolve_unit_code(tx, "000.00.00.G09", date(2026, 11, 28)) == "G09"


def test_no_list_of_the_province_reads_all_agencies_of_the_nation(tmp_path):
    """A hundred times as many: a page of the console would take a quarter of a second."""
    own = sa.select(unit.c.code).where(OWN)
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    with transactions.read_transaction(engine) as tx:
        for query in (own, sa.select(unit_alias).where(unit_alias.c.unit.in_(own))):
            spelled = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
            plan = " ".join(row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {spelled}"))
            assert "INDEX ix_unit_own" in plan, plan
            assert "SCAN unit_alias" not in plan, plan
    engine.dispose()
