"""A duration is said in its largest unit, in both languages."""

import pytest

from hub.language.catalogues import say_both
from hub.language.durations import describe_age


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, ("0 giây", "0 s")),
        (59.9, ("59 giây", "59 s")),
        (60, ("1 phút", "1 min")),
        (3599, ("59 phút", "59 min")),
        (3600, ("1 giờ", "1 h")),
        (47 * 3600, ("47 giờ", "47 h")),
        (48 * 3600, ("2 ngày", "2 d")),
    ],
)
def test_a_duration_is_said_in_its_largest_unit(seconds, said):
    assert say_both(describe_age(seconds)) == said
