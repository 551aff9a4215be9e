"""Errors that are planted one at a time, in what the hub has written or in how it counts: the second count finds each alone.

A province is played for two months that are closed and half of a third, on SQLite; each error has a copy of its journal.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.report.counting import closed, counting, dates, division
from hub.report.form.book import Book
from hub.report.form.column import ColumnKind
from hub.report.form.form import Form
from hub.report.form.period import parse_period
from hub.report.form.toml import read_form_toml
from hub.store import transactions
from tests import databases
from tests.histories import comparing, office
from tests.histories.comparing import Cell
from tests.histories.playing import Player
from tests.histories.provinces import Drawing, Size
from tests.recount import results
from tests.recount.cells import Recount
from tests.recount.places import HANOI

pytestmark = pytest.mark.slow

SEED = 5  #: of a province in which each of the errors shows
CLOSED, OPEN = "2026-03", "2026-04"
QUARTER, HALF = "2026-Q1", "2026-H1"
NOW = datetime(2026, 4, 9, 12, 2, tzinfo=HANOI)  #: in the open month, after noon
SIZE = Size(units=6, months=3, mergers=1, documents=1.2, dossiers=5, mail=1, meetings=0.6, lookups=0.2, links=0.15)
FORMS = ("edoc", "ii06a", "dossiers", "mail", "meetings", "incidents")


@attrs.frozen
class Played:
    """A journal that was played, and what the second count makes of it."""

    path: Path
    drawing: Drawing
    player: Player
    again: Recount

    def differing(self, path: Path, wanted: Sequence[tuple[str, str]], book: Book | None = None) -> list[Cell]:
        """Return the cells of reports in the journal at *path* that differ from the second count."""
        engine, now = transactions.open_journal(f"sqlite:///{path}"), self.player.history.now
        try:
            return comparing.compare(engine, self.again, self.drawing.places(), wanted, now, book).differing
        finally:
            engine.dispose()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    path = tmp_path_factory.mktemp("planted") / "hub.db"
    engine = transactions.open_journal(databases.sqlite(path))
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    engine.dispose()
    drawing = Drawing(SEED, SIZE)
    player = Player(engine, drawing, by_soap=False)
    player.play(until=NOW)
    player.do(NOW, None)
    engine.dispose()
    return Played(path, drawing, player, comparing.recount(player.notebook, drawing.places(), player.history.now))


@pytest.fixture(scope="module")
def reopened(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The same journal without its closings: every fact shows in the half-year."""
    path = Path(shutil.copy(played.path, tmp_path_factory.mktemp("reopened") / "hub.db"))
    engine = transactions.open_journal(f"sqlite:///{path}", pooled=False)
    with transactions.write_transaction(engine) as tx:
        for table in ("carried", "closed_row", "closing", "closing_draft", "closed_month"):
            tx.execute(sa.text(f"DELETE FROM {table}"))
    now, province = played.player.history.now, played.drawing.places()
    again = comparing.recount(played.player.notebook, province, now, closes=False)
    return attrs.evolve(played, path=path, again=again)


def shows(played: Played, journal: Path, form: str, book: Book | None = None) -> bool:
    """Tell whether an error shows in the half-year, or else in one of its months."""
    return any(played.differing(journal, [(form, period)], book) for period in (HALF, CLOSED, OPEN))


def copy(played: Played, place: Path) -> Path:
    """Copy a journal for one error."""
    return Path(shutil.copy(played.path, place / "hub.db"))


def change(path: Path, statement: str, **said: object) -> None:
    """Change a journal by a statement that must find something to change."""
    engine = transactions.open_journal(f"sqlite:///{path}", pooled=False)
    said |= {"start": f"{results.bounds(OPEN)[0]:%Y-%m-%dT%H:%M:%S.%fZ}"} if ":start" in statement else {}
    with transactions.write_transaction(engine) as tx:
        assert tx.execute(sa.text(statement), said).rowcount > 0, "nothing was planted"


def copied(where: str, **instead: str) -> str:
    """Return the statement that writes a fact once more, otherwise."""
    names = ["unit", "service", "key", "milestone", "at", "message", "counterpart", "outside", "document_type", "paper"]
    names += ["signature", "due", "day", "amount", "attributes"]
    values = ", ".join(instead.get(name, name) for name in names)
    return f"INSERT INTO fact ({', '.join(names)}) SELECT {values} FROM fact WHERE {where} LIMIT 1"


NEW = "at >= :start"
RECEIVED = "service = 'dossiers' AND milestone = 'received'"
ENDED = "(SELECT key FROM fact WHERE milestone IN ('finished', 'refused'))"

#: What is wrong, where it shows, and the statement that does it.
WRITTEN: dict[str, tuple[str, str]] = {
    "a repetition counts under a key of its own": (
        "edoc",
        copied(f"milestone = 'sent' AND unit LIKE 'H55%' AND {NEW}", key='\'["again", "D0"]\''),
    ),
    "what was refused counts": (
        "edoc",
        copied(f"milestone = 'sent' AND {NEW}", key="'[\"refused\"]'", unit="'H55.01'"),
    ),
    "a document that was never brought is received": (
        "edoc",
        copied(f"service = 'documents' AND milestone = 'received' AND unit LIKE 'H55%' AND {NEW}", key="key || ' '"),
    ),
    "a document that was brought is not received": (
        "edoc",
        (
            f"DELETE FROM fact WHERE service = 'documents' AND milestone = 'received' AND {NEW}"
            " AND key IN (SELECT key FROM fact WHERE milestone = 'status-03')"
        ),
    ),
    "what a recall stopped has failed": (
        "edoc",
        copied(f"milestone = 'sent' AND unit LIKE 'H55%' AND {NEW}", milestone="'failed'"),
    ),
    "another code of a unit is another unit": (
        "edoc",
        "UPDATE fact SET unit = '000.00.01.H55' WHERE milestone = 'sent' AND unit LIKE 'H55%'",
    ),
    "outside and inside are exchanged": (
        "edoc",
        f"UPDATE fact SET outside = 1 - outside WHERE milestone = 'sent' AND {NEW}",
    ),
    "a broken signature is good": (
        "edoc",
        "UPDATE fact SET signature = 'valid' WHERE signature <> 'valid' AND milestone = 'sent' AND at >= :start",
    ),
    "a status counts for another recipient": (
        "edoc",
        (
            "UPDATE fact SET unit = 'H55' WHERE milestone = 'status-03' AND (unit, key) ="
            " (SELECT unit, key FROM fact AS one WHERE milestone = 'status-03' AND NOT EXISTS"
            " (SELECT * FROM fact WHERE unit = 'H55' AND key = one.key) LIMIT 1)"
        ),
    ),
    "an end counts on the day on which the hub was told": (
        "ii06a",
        "UPDATE fact SET day = substr(at, 1, 10) WHERE service = 'dossiers' AND day <> substr(at, 1, 10)",
    ),
    "dossiers are due a day later": ("ii06a", "UPDATE fact SET due = date(due, '+1 day') WHERE service = 'dossiers'"),
    "dossiers are due a day earlier": ("ii06a", "UPDATE fact SET due = date(due, '-1 day') WHERE service = 'dossiers'"),
    "a stock stays in a unit that has handed it on": (
        "ii06a",
        copied(
            f"{RECEIVED} AND day >= '2026-03-15' AND key NOT IN {ENDED}",
            unit="CASE unit WHEN 'H55' THEN 'H55.01' ELSE 'H55' END",
        ),
    ),
    "a dossier moves to another unit without its end": (
        "ii06a",
        f"UPDATE fact SET unit = 'H55.02' WHERE {RECEIVED} AND unit <> 'H55.02' AND key IN {ENDED} AND day >= '2026-03-15'",
    ),
    "an end is forgotten, so that a stock is overdue for ever": (
        "ii06a",
        f"DELETE FROM fact WHERE service = 'dossiers' AND milestone = 'finished' AND {NEW}",
    ),
    "who had a dossier done withdrew it": (
        "dossiers",
        (
            "UPDATE fact SET attributes = replace(attributes, 'done', 'withdrawn') WHERE milestone = 'finished'"
            " AND attributes LIKE '%done%'"
        ),
    ),
    "a correction replaces what it corrects": (
        "mail",
        (
            "DELETE FROM fact WHERE service = 'mail' AND amount >= 0 AND (unit, milestone, day) IN"
            " (SELECT unit, milestone, day FROM fact WHERE service = 'mail' AND amount < 0)"
        ),
    ),
    "a correction is forgotten": (
        "mail",
        "DELETE FROM fact WHERE service = 'mail' AND amount < 0",
    ),
    "an incident is closed that is not": (
        "incidents",
        copied(
            "milestone = 'opened' AND key NOT IN (SELECT key FROM fact WHERE milestone = 'closed')",
            milestone="'closed'",
        ),
    ),
    "a meeting is held twice": (
        "meetings",
        copied(f"milestone = 'called' AND {NEW}", key="key || ' '"),
    ),
    "the registry has another parent than the file": (
        "edoc",
        "UPDATE unit SET parent = NULL WHERE code = 'H55.01'",
    ),
}


@pytest.mark.parametrize("form", [*FORMS, *(f"{form} of a closed month" for form in FORMS)])
def test_without_an_error_every_cell_is_equal(played: Played, form: str) -> None:
    name, _, closed_ = form.partition(" ")
    wanted = [(name, CLOSED), (name, QUARTER)] if closed_ else [(name, OPEN)]
    assert played.differing(played.path, wanted) == []


@pytest.mark.parametrize("form", FORMS)
def test_without_closings_every_cell_of_the_half_year_is_equal(reopened: Played, form: str) -> None:
    assert reopened.differing(reopened.path, [(form, HALF)]) == []


@pytest.mark.parametrize("error", WRITTEN)
def test_an_error_in_what_is_written_is_found(reopened: Played, tmp_path: Path, error: str) -> None:
    form, statement = WRITTEN[error]
    journal = copy(reopened, tmp_path)
    change(journal, statement)
    assert shows(reopened, journal, form)


# --- closed months --------------------------------------------------------------------------------------------------------

CLOSINGS: dict[str, tuple[str, str]] = {
    "a closed row is altered": (
        "ii06a",
        """UPDATE closed_row SET numbers = json_set(numbers, '$.received_online', 99)
        WHERE period = '2026-03' AND form = 'ii06a' AND unit = 'H55.01'""",
    ),
    "a closed row is lost": ("edoc", "DELETE FROM closed_row WHERE period = '2026-03' AND form = 'edoc'"),
    "a revision of a closed row is lost": ("mail", "DELETE FROM closed_row WHERE form = 'mail' AND revision > 1"),
    "a closed row stands under another unit": (
        "dossiers",
        "UPDATE closed_row SET unit = 'H55.99' WHERE period = '2026-03' AND form = 'dossiers' AND unit = 'H55.01'",
    ),
}


@pytest.mark.parametrize("error", CLOSINGS)
def test_an_error_in_a_closed_month_is_found_in_it_and_in_its_quarter(
    played: Played, tmp_path: Path, error: str
) -> None:
    form, statement = CLOSINGS[error]
    journal = copy(played, tmp_path)
    change(journal, re.sub(r"\s+", " ", statement))
    assert played.differing(journal, [(form, "2026-02"), (form, CLOSED)])
    assert played.differing(journal, [(form, QUARTER)])


# --- forms ----------------------------------------------------------------------------------------------------------------


def edited(form: str, old: str, new: str) -> Book:
    """Return the book with a form in which *new* stands instead of *old*."""
    book = office.book()
    (found,) = [each for each in book.forms if each.id == form]
    assert old in found.written
    other = read_form_toml(found.written.replace(old, new).encode(), form)
    return attrs.evolve(book, forms=tuple(other if each.id == form else each for each in book.forms))


EDITED: dict[str, tuple[str, str, str]] = {
    "the order of statuses is another": (
        "edoc",
        '["status-02", "status-03"], ["status-04", "taken-over-in-work"], ["status-05"]',
        '["status-02"], ["status-04", "taken-over-in-work"], ["status-05"], ["status-03"]',
    ),
    "a refusal leaves a document in work": (
        "edoc",
        'final = ["status-02", "status-06", "handed-over"]',
        'final = ["status-06", "handed-over"]',
    ),
    "a document that was completed stays overdue": (
        "edoc",
        'without = ["status-02", "status-06", "handed-over"]',
        "without = []",
    ),
    "an acknowledgement has two hours": ("edoc", "acknowledge_within_hours = 24", "acknowledge_within_hours = 2"),
    "recalls count as documents sent": ("edoc", 'milestones = ["sent-recall"]', 'milestones = ["sent"]'),
    "a stock is that of the end, not of the beginning": ("ii06a", "opening = true\n", ""),
    "a dossier that was given back stays in hand": (
        "ii06a",
        'without = ["finished", "refused", "handed-over"]\ndue_passed = true',
        'without = ["finished", "handed-over"]\ndue_passed = true',
    ),
    "papers that were brought postpone nothing": (
        "dossiers",
        'extended_by = ["supplemented", "supplemented-again"]',
        "extended_by = []",
    ),
    "a letter of apology is overlooked": ("btp07a", 'having = ["apologised"]\n', 'having = ["returned"]\n'),
    "what is taken on waits to be taken on": (
        "btp07a",
        '["received", "taken-over", "finished", "refused", "passed-on"]',
        "[]",
    ),
    "what was given back was never taken on": ("btp07a", 'without = ["received", "taken-over"]\n', ""),
    "online in part is online from end to end": ("btp07a", 'level = "partial"', 'level = "full"'),
    "accounts are added up day by day": ("mail", 'kind = "peak"\nuntil = "handed_over"\n', 'kind = "flow"\n'),
    "a unit that has handed over its accounts has them": ("mail", 'until = "handed_over"\n', ""),
    "a meeting that was cancelled is held": ("meetings", 'without = ["cancelled", "series"]', "without = []"),
}


@pytest.mark.parametrize("error", EDITED)
def test_an_error_in_a_form_is_found(reopened: Played, error: str) -> None:
    form, old, new = EDITED[error]
    assert shows(reopened, reopened.path, form, edited(form, old, new))


# --- counting -------------------------------------------------------------------------------------------------------------


def _own_day(form: Form, _books: object = None) -> Callable[[Fact], object]:
    return partial(dates.find_fact_time, form)


def _late_by_a_day(compare: Callable[..., object]) -> Callable[..., object]:
    def later(*given: object) -> object:
        due = compare(*given)
        return due and due.replace(day=1)  # type: ignore[attr-defined]

    return later


def _by_the_last(placing: object, fact: Fact, history: Sequence[Fact]) -> Fact | None:
    """Return what states the field of a dossier: its end, or what was told last."""
    return max(history, key=lambda each: each.at)


def _months_added_up(merge: Callable[..., dict[str, int]]) -> Callable[..., dict[str, int]]:
    def added(form: Form, parts: Sequence[dict[str, int]]) -> dict[str, int]:
        found = merge(form, parts)
        stocks = [column.key for column in form.columns if column.kind is ColumnKind.STOCK]
        return found | {key: sum(part.get(key, 0) for part in parts) for key in stocks}

    return added


COUNTED: dict[str, tuple[str, str, Callable[[pytest.MonkeyPatch], object]]] = {
    "a late result counts in the month that is closed": (
        "ii06a",
        OPEN,
        lambda patch: patch.setattr(counting, "make_poster", _own_day),
    ),
    "a due day is another": (
        "ii06a",
        OPEN,
        lambda patch: patch.setattr(dates, "find_latest_due_date", _late_by_a_day(dates.find_latest_due_date)),
    ),
    "a dossier stands in the field that was told last": (
        "ii06a",
        OPEN,
        lambda patch: patch.setattr(counting.Placing, "find_origin", _by_the_last),
    ),
    "two spellings of a field are two rows": (
        "ii06a",
        OPEN,
        lambda patch: patch.setattr(division, "write_value", str),
    ),
    "the stocks of months are added up in a quarter": (
        "ii06a",
        QUARTER,
        lambda patch: patch.setattr(closed, "_merge_numbers", _months_added_up(closed._merge_numbers)),
    ),
    "a month ends a day later": (
        "edoc",
        OPEN,
        lambda patch: patch.setattr(
            "hub.workload.unit_report.parse_period",
            lambda text, *_: attrs.evolve(parse_period(text), first=parse_period(text).first.replace(day=25)),
        ),
    ),
}


@pytest.mark.parametrize("error", COUNTED)
def test_an_error_in_how_the_hub_counts_is_found(played: Played, monkeypatch: pytest.MonkeyPatch, error: str) -> None:
    form, period, plant = COUNTED[error]
    plant(monkeypatch)
    assert played.differing(played.path, [(form, period)])


def test_a_month_that_closes_on_a_holiday_is_found(tmp_path: Path) -> None:
    """Tết of 2026 is in the week after the 14th of February: what is told of dossiers in it belongs to the month before."""
    calendar = office.book().workdays
    worked = attrs.evolve(office.book(), workdays=attrs.evolve(calendar, days={}))
    for number, book in enumerate((office.book(), worked)):
        path = tmp_path / f"{number}.db"
        engine = transactions.open_journal(databases.sqlite(path), pooled=False)
        drawing = Drawing(
            1, Size(units=4, months=1, documents=0, dossiers=9, mail=0, meetings=0, incidents=0, lookups=0)
        )
        player = Player(engine, drawing, by_soap=False, book=book)
        player.play()
        again = comparing.recount(player.notebook, drawing.places(), player.history.now)
        played = Played(path, drawing, player, again)
        differing = played.differing(path, [("ii06a", "2026-02"), ("ii06a", "2026-03")])
        assert bool(differing) is (book is worked), differing


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Let no test count by what another has left in a cache."""
    division._read_stated.cache_clear()
    yield
    division._read_stated.cache_clear()
