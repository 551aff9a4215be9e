"""People type days and times as they write them here; what is no time is said to be none."""

from datetime import UTC, datetime

import pytest

from hub.domain.local_time import parse_local_time


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("27/11/2026", datetime(2026, 11, 26, 17, tzinfo=UTC)),
        (" 1/2/2026 8:05 ", datetime(2026, 2, 1, 1, 5, tzinfo=UTC)),
        ("27/11/2026 08:05:30", datetime(2026, 11, 27, 1, 5, 30, tzinfo=UTC)),
        ("27/11/2026T08:05", datetime(2026, 11, 27, 1, 5, tzinfo=UTC)),
        ("2026-11-27", datetime(2026, 11, 26, 17, tzinfo=UTC)),
        ("2026-11-27T08:05", datetime(2026, 11, 27, 1, 5, tzinfo=UTC)),
        ("2026-11-27T08:05:00Z", datetime(2026, 11, 27, 8, 5, tzinfo=UTC)),
        ("2026-11-27T08:05:00+01:00", datetime(2026, 11, 27, 7, 5, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_ha_noi_unless_it_says_otherwise(text, instant):
    assert parse_local_time(text) == instant


@pytest.mark.parametrize(
    "text", ["", "yesterday", "31/02/2026", "11/27/2026", "27/11/26", "27/11/2026 25:00", "0001-01-01", "٢٧/11/2026"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - its words are Python's
        parse_local_time(text)
