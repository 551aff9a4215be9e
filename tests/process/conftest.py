"""One hub directory a test; whatever runs in it ends with the test."""

from collections.abc import Iterator

import pytest

from tests.running import RunningHub


@pytest.fixture
def hub(tmp_path) -> Iterator[RunningHub]:
    """A directory made by `lienthong init`; nothing runs in it yet."""
    made = RunningHub(tmp_path / "hub")
    yield made
    made.close()
