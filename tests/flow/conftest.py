"""What several flows share: a desk under a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import store
from hub.console import passwords
from hub.delivery import DRAIN
from tests import databases
from tests.console import NOBODY, Town
from tests.flow.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The outgoing desk of a hub with an empty journal, not started."""
    engine = store.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    made = Desk(engine)
    yield made
    if made.service is not None and made.service.running:
        made.service.stopService()
        made.clock.advance(DRAIN)
    engine.dispose()


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """A journal with some units, and the console's pages over it; a name of nobody is soon compared."""
    monkeypatch.setattr(passwords, "NOBODY", NOBODY)
    engine = store.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield Town(engine)
    engine.dispose()
