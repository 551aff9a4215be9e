"""Fixtures of the tests of archive files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.store import transactions
from tests import databases


@pytest.fixture
def here(tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty journal on SQLite, for what does not depend on the database."""
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()
