"""The journal's tests run on each database.  SQLite on disk here; PostgreSQL joins by one more fixture parameter."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from hub import store


@pytest.fixture(params=["sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path) -> Iterator[sa.Engine]:
    """An empty journal of the latest version."""
    made = store.open_journal(f"sqlite:///{tmp_path / 'hub.db'}", pooled=False)
    store.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def tx(engine: sa.Engine) -> Iterator[store.Transaction]:
    """One transaction in it, committed at the end."""
    with store.writing(engine) as transaction:
        yield transaction
