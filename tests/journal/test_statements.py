"""The file of the hot statements says what the code does."""

import pytest

from hub.journal import message_sets
from hub.journal.queue import settlement_sets
from hub.store import transactions
from tests import databases
from tests.conftest import ROOT
from tests.journal.statements import write_statements


def test_the_file_of_the_hot_statements_is_that_of_the_code():
    file = ROOT / "docs/explanation/statements.sql"
    made = "python -m tests.journal.statements > docs/explanation/statements.sql"
    assert file.read_text("utf-8") == write_statements(), f"make it anew: {made}"


@pytest.mark.parametrize(
    "statement", [message_sets._NEW, message_sets._ANSWERED, message_sets._PLACES, settlement_sets._HELD]
)
def test_a_set_is_found_by_indexes_on_sqlite(tmp_path, statement):
    """Nothing but the list of what is asked is read from its beginning to its end."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    with engine.connect() as connection:
        asked = ["x"] * len(statement._types) * 2
        sql = f"EXPLAIN QUERY PLAN {statement.write_sql(engine.dialect, 2)}"
        ways = [row[3] for row in connection.exec_driver_sql(sql, tuple(asked))]
    scanned = {way.split()[1] for way in ways if way.startswith("SCAN")}
    assert scanned & {"message", "delivery", "attempt", "change", "signed_call", "fact", "next"} == set(), ways
