"""The journal's tests run on each database: SQLite on disk, and PostgreSQL."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from hub import store


@pytest.fixture
def engine(journal_url: str) -> Iterator[sa.Engine]:
    """An empty journal of the latest version."""
    made = store.open_journal(journal_url, pooled=False)
    yield made
    made.dispose()


@pytest.fixture
def tx(engine: sa.Engine) -> Iterator[store.Transaction]:
    """One transaction in it, committed at the end."""
    with store.writing(engine) as transaction:
        yield transaction
