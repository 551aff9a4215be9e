"""What a stranger may attach, mail, report or fill in costs as little as its size says: pairs of dimensions, drawn from each reader's grammar."""

from random import Random

import pytest

from tests import costs
from tests.costs import drawing

#: Pairs of the short run, a second or less each.
READERS = {"calendar": 8, "incident": 4, "mail": 12, "syslog": 10, "agencies": 4, "workbook": 2}
SEED = 47
SMALL, LARGE = (64_000, 0.25), (2_000_000, 2.0)


def dearest(reader, size, bound, pairs, seed):
    """Return the message that cost most of so many."""
    module, random = costs.load(reader), Random(seed)
    drawn = (drawing.draw(reader, module, random) for _ in range(pairs))
    return max((drawing.measure(each, module, size, bound) for each in drawn), key=lambda each: each.seconds)


@pytest.mark.parametrize(("reader", "pairs"), READERS.items())
def test_no_pair_of_dimensions_makes_64_kb_cost_over_250_ms(reader, pairs):
    size, bound = SMALL
    found = dearest(reader, size, bound, pairs, SEED)
    assert found.seconds < bound, found


@pytest.mark.soak
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("size", "bound", "pairs"), [(*SMALL, 200), (*LARGE, 60)], ids=["64 kB", "2 MB"])
def test_no_pair_of_two_hundred_does(reader, size, bound, pairs):
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
    seconds, _ = min(drawing.seconds_of(module.read, content) for _ in range(3))
    assert seconds < SMALL[1]
