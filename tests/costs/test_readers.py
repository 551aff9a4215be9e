"""What a stranger may attach, mail, report or fill in: two hundred pairs of each reader by itself, and the calendars that once cost seconds."""

from random import Random

import pytest

from tests import costs
from tests.costs import drawing

READERS = ("calendar", "incident", "mail", "syslog", "agencies", "workbook", "old_workbook")
SMALL, LARGE = (64_000, 0.25), (2_000_000, 2.0)


def dearest(reader, size, bound, pairs, seed):
    """Return the message that cost most of so many."""
    module, random = costs.load(reader), Random(seed)
    drawn = (drawing.draw(reader, module, random) for _ in range(pairs))
    return max((drawing.measure(each, module, size, bound) for each in drawn), key=lambda each: each.seconds)


@pytest.mark.soak
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("size", "bound", "pairs"), [(*SMALL, 200), (*LARGE, 60)], ids=["64 kB", "2 MB"])
def test_no_pair_of_two_hundred_costs_more_than_is_promised(reader, size, bound, pairs):
    seed = Random().randrange(1 << 30)
    found = dearest(reader, size, bound, pairs, seed)
    assert found.seconds < bound, (seed, found)


def test_the_calendars_that_kept_a_hub_from_answering_are_cheap():
    """Ten of twenty rules each, BYDAY with a hundred entries, BYSETPOS: 22 kB that were looked at day by day, for 4.8 s."""
    module = costs.load("calendar")
    form = {name: values[0] for name, values in module.FORMS.items()}
    counts = {"calendars": 10, "series": 20, "weekdays": 100, "positions": 100}
    content = module.build(counts, form)
    assert len(content) < 32 * 1024
    seconds, _ = drawing.least_seconds_of(module.read, content, SMALL[1])
    assert seconds < SMALL[1]
