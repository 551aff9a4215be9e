"""Every cell of every form equals a naive second count from exact bytes and events (tests/recount), whatever happened, on each database.

What happens is drawn by hypothesis, from the same seeds each time; a history that fails is shortened.
"""

import ast
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, seed, settings

from hub.journal import duties
from hub.store import transactions
from tests import recount
from tests.databases import few_on_postgresql
from tests.histories.cells import DERIVED, FORMS, Cells, begun
from tests.histories.drawing import Step
from tests.histories.duties import Duties
from tests.histories.months import months
from tests.recount.cells import REVISED

SIMPLE = (
    "lookups",
    "links",
    "reporting",
    "btp07a",
    "congviec",
    "congviec-hoso",
    "congviec-vanban",
)  #: forms of which fewer histories are enough
ALIASED = ("000.00.13.H55", "H55.01")


@pytest.fixture
def engine(journal_url: str) -> Iterator[sa.Engine]:
    """A journal that every example empties."""
    made = transactions.open_journal(journal_url)
    if made.dialect.name == "sqlite":
        sa.event.listen(made, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        made.dispose()
    yield made
    made.dispose()


@pytest.fixture(autouse=True)
def _small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let most messages be more than is written at once."""
    monkeypatch.setattr(duties, "SLICE", 3)


def run(engine: sa.Engine, form: str, steps: tuple[int, int], examples: int, *, seeded: bool = True) -> None:
    """Draw *examples* histories of so many *steps* (from, to), most of them of the service of *form*, and check each."""
    number = secrets.randbits(32) if not seeded else 2 * FORMS.index(form) + (engine.dialect.name == "sqlite")

    @seed(number)  # others on each database
    @settings(
        max_examples=examples,
        deadline=None,
        print_blob=False,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(drawn=months(form, *steps))
    def every_cell_is_as_counted_again(drawn: Sequence[Step]) -> None:
        province = Duties(engine, ("node",))
        for step in drawn:
            step.does(province, **step.said)
        seen = Cells(province.history)
        for period in begun(province.history.now):
            seen.check(form, period)
        for each in FORMS:
            seen.check(each, "2026", ["H55"])
        for each in DERIVED:
            seen.check(each, "2026-11", ["H55"])
            seen.check(each, "2026", ["H55"])
        seen.check(form, "2026-11", ALIASED)
        if form in REVISED:
            province.wait_days(1)
            province.night()
            seen = Cells(province.history, taken_up=True)
            for period in begun(province.history.now):
                seen.check(form, period)

    every_cell_is_as_counted_again()


@pytest.mark.slow
@few_on_postgresql("form", FORMS, set(FORMS) - set(SIMPLE))
def test_many_histories_of_months(engine: sa.Engine, form: str) -> None:
    """Fewer on PostgreSQL, where each takes three times as long; the soak test draws for as long as it is told."""
    run(engine, form, (20, 45), examples=2 if form not in SIMPLE and engine.dialect.name == "sqlite" else 1)


@pytest.mark.soak
@pytest.mark.parametrize("form", FORMS)
def test_random_histories_of_months_until_the_time_is_over(engine: sa.Engine, form: str) -> None:
    over = time.monotonic() + 60 * float(os.environ.get("MINUTES", "30")) / 2 / len(FORMS)  # on each database
    while time.monotonic() < over:
        run(engine, form, (20, 80), examples=50, seeded=False)


def test_the_second_count_shares_nothing_with_the_hub() -> None:
    for path in Path(recount.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in named:
                assert name.partition(".")[0] not in {"hub", "adapters"}, path
                assert not name.startswith("tests") or name.startswith("tests.recount"), path
