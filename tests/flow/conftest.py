"""What several flows share: a desk under a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import store
from hub.delivery import DRAIN
from tests.flow.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The outgoing desk of a hub with an empty journal, not started."""
    engine = store.open_journal(f"sqlite:///{tmp_path / 'hub.db'}", pooled=False)
    store.upgrade(engine)
    made = Desk(engine)
    yield made
    if made.service is not None and made.service.running:
        made.service.stopService()
        made.clock.advance(DRAIN)
    engine.dispose()
