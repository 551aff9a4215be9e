"""One hub directory a test; whatever runs in it ends with the test."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from tests.running import RunningHub


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path) -> Iterator[RunningHub]:
    """A directory made by `lienthong init`; nothing runs in it yet.

    Its journal is on SQLite, or where `@pytest.mark.parametrize("hub", DATABASES, indirect=True)` says.
    """
    on_postgresql = getattr(request, "param", "sqlite") == "postgresql"
    fresh = request.getfixturevalue("postgresql").database() if on_postgresql else nullcontext()
    with fresh as database:
        made = RunningHub(tmp_path / "hub", database)
        yield made
        made.close()
