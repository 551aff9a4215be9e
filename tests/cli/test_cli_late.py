"""What an operator types to see who is late today: `late`, by unit, item by item, as a file."""

import csv
import io
import json
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from click.testing import Result
from openpyxl import load_workbook

from hub.domain import local_time
from hub.journal import events
from hub.store import transactions
from tests import homes
from tests.homes import Type, engine_of
from tests.journal.test_open_work import AT, tell

TODAY = local_time.find_local_day(AT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that does not run, in whose journal units have something to do."""
    home = homes.begin(tmp_path_factory.mktemp("late") / "tinh")
    with transactions.write_transaction(engine_of(home)) as tx:
        for number in range(3):
            tell(
                tx,
                "H55.13",
                "dossiers",
                f"D{number}",
                "received",
                day=TODAY - timedelta(days=30),
                due=TODAY - timedelta(days=10 - number),
                attributes=(("field", "TP-HT"), ("field_name", "Hộ tịch")),
            )
        known = (("kind", "bao-cao"), ("officer", "CB-07"))
        tell(tx, "H55.14", "work", "V1", "assigned", day=TODAY, due=TODAY - timedelta(days=5), attributes=known)
        tell(tx, "H55.14", "documents", '["H55","=1"]', "received", due=TODAY + timedelta(days=1), code="=15/UBND-VP")
        while events.chain_events(tx):
            pass
    return home


@pytest.fixture
def type_(home: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Then":  # noqa: ARG003 - the day of the test, whatever zone is asked for
            return cls.fromisoformat(AT.isoformat())

    monkeypatch.setattr("hub.cli.monitoring.late.datetime", Then)
    return homes.typing(home)


def rows(done: Result) -> list[dict[str, object]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_unit_with_the_most_that_is_late_stands_first(type_):
    found = rows(type_("late", "--json"))
    assert [(row["unit"], row["late"], row["soon"], row["oldest"]) for row in found] == [
        ("H55.13", 3, 0, "2026-11-14"),
        ("H55.14", 1, 1, "2026-11-19"),
    ]
    assert found[1]["services"] == {
        "documents": {"late": 0, "soon": 1, "waiting": 0},
        "work": {"late": 1, "soon": 0, "waiting": 0},
    }


def test_items_say_who_has_them_since_when_and_which_message_told(type_):
    (work,) = rows(type_("late", "--unit", "H55.14", "--service", "work", "--json"))
    assert (work["key"], work["officer"], work["field"], work["state"]) == ("V1", "CB-07", "bao-cao", "late")
    assert work["days"] == -3  # 20, 23 and 24 November are working days after Thursday the 19th
    assert rows(type_("messages", "--json", "--message-id", str(work["message"])))
    found = rows(type_("late", "--unit", "H55", "--field", "TP-HT", "--json"))
    assert [row["key"] for row in found] == ["D0", "D1", "D2"]
    assert [row["key"] for row in rows(type_("late", "--items", "--state", "soon", "--json"))] == ['["H55","=1"]']


def test_a_list_is_written_as_a_file_that_a_spreadsheet_reads_and_runs_nothing_of(type_, tmp_path):
    for kind in ("csv", "xlsx"):
        assert type_("late", "--unit", "H55.14", "--format", kind, "-o", str(tmp_path / f"l.{kind}")).exit_code == 0
    lines = list(csv.reader(io.StringIO((tmp_path / "l.csv").read_bytes().decode("utf-8-sig"))))
    assert [line[6] for line in lines[1:]] == ["V1", "'=15/UBND-VP"]
    assert [line[1] for line in lines[1:]] == ["-3", "1"]
    sheet = load_workbook(tmp_path / "l.xlsx").active
    assert [[sheet.cell(row, column).value for column in (2, 7)] for row in (5, 6)] == [[-3, "V1"], [1, "=15/UBND-VP"]]
    assert sheet.cell(6, 7).data_type == "s"


def test_a_unit_that_is_not_there_is_not_an_empty_list(type_):
    assert type_("late", "--unit", "H55.99").exit_code == 4
    assert type_("late", "--format", "csv").exit_code == 2


def test_what_comes_later_is_in_the_next_list_without_a_running_hub(type_, home):
    with transactions.write_transaction(engine_of(home)) as tx:
        tell(tx, "H55.13", "dossiers", "D1", "finished", day=TODAY)
        tell(tx, "H55.13", "dossiers", "D2", "finished", day=TODAY)
        while events.chain_events(tx):
            pass
    assert [row["late"] for row in rows(type_("late", "--json"))] == [1, 1]


def test_one_thing_is_listed_by_day_with_its_messages(type_):
    (told,) = rows(type_("item", "H55.14", "V1", "--json"))
    assert (told["milestone"], told["attributes"], told["due"]) == (
        "assigned",
        {"kind": "bao-cao", "officer": "CB-07"},
        "2026-11-19",
    )
    assert told["message"]
    dossier = type_("item", "H55.13", "D0", "--service", "dossiers")
    assert dossier.exit_code == 0, dossier.output
    assert type_("item", "H55.13", "D9", "--service", "dossiers").exit_code == 4
