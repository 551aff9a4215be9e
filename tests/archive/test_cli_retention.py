"""`lienthong retention` says what goes, and does it, in the words of an operator; and how long a budget lasts."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hub import config
from hub.cli import lienthong
from hub.config.upkeep.retention import RetentionSettings
from hub.domain.errors import ConfigurationFault
from hub.domain.local_time import write_local_time
from hub.domain.model import Problem
from hub.keeping.retention.disk_budget import JournalSize, judge_budget, read_budget, record_size
from hub.store import transactions
from hub.store.tables import event
from tests import letting_go
from tests.archive.test_retention_run import START, record
from tests.province import NOW, document

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with one refused message that is old enough to go."""
    place = tmp_path_factory.mktemp("retention") / "tinh"
    assert CliRunner().invoke(lienthong, ["init", str(place), "--soap-port", "0", "--admin-port", "0"]).exit_code == 0
    with (place / "hub.toml").open("a") as file:
        file.write("\n[retention]\nannounce = 1\n")
    engine = transactions.open_journal(config.read_config(place / "hub.toml").database_url)
    record(engine, document(), 1, at=START.replace(year=2025), problems=(Problem("not-authorised", "x"),), receipt=None)
    letting_go.read_all_events(engine, START)
    engine.dispose()
    return place


def typed(home: Path, *words: str):
    ran = CliRunner(env={"LANG": "en"}).invoke(lienthong, ["-c", str(home / "hub.toml"), "retention", *words])
    assert ran.exit_code == 0, ran.output
    return ran


def said(ran) -> list[dict[str, object]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_what_goes_is_planned_announced_and_run_when_it_is_due(home, monkeypatch):
    month, size = said(typed(home, "plan", "--json"))
    assert (month["month"], month["messages"], month["stays"]) == ("2025-01", 1, {})
    assert (size["kind"], size["budget"], size["tight"]) == ("size", None, False)
    (part,) = said(typed(home, "announce", "--json"))
    assert (part["state"], part["messages"]) == ("announced", 1)
    assert "Nothing new is to be announced." in typed(home, "announce").output
    assert "Nothing that is announced is due." in typed(home, "run", "--yes").output

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(days=2)

    monkeypatch.setattr("hub.cli.audit.retention.datetime", Later)
    assert said(typed(home, "run", "--json"))[0]["state"] == "announced", "without --yes it is only shown"
    (done,) = said(typed(home, "run", "--yes", "--json"))
    assert (done["state"], done["messages"]) == ("gone", 1)
    assert said(typed(home, "parts", "--json"))[0]["archive"] == done["archive"]
    assert "2025-01" in typed(home, "parts").output
    due = datetime.fromisoformat(str(part["due_at"]))
    assert due.utcoffset() == timedelta(0)
    assert write_local_time(due) in typed(home, "parts").output, "people read the time of Hà Nội"


def test_what_was_announced_is_withdrawn_by_a_person_with_a_reason(home):
    engine = transactions.open_journal(config.read_config(home / "hub.toml").database_url, pooled=False)
    record(engine, document(), 2, at=START.replace(year=2024), problems=(Problem("not-authorised", "x"),), receipt=None)
    letting_go.read_all_events(engine, START)
    (part,) = [each for each in said(typed(home, "announce", "--json")) if each["month"] == "2024-01"]
    (done,) = said(typed(home, "withdraw", str(part["part"]), "--reason", "thanh tra", "--json"))
    assert done["state"] == "withdrawn"
    with transactions.read_transaction(engine) as tx:
        (told,) = tx.scalars(sa.select(event.c.text).where(event.c.text.like("%retention-withdrawn%")))
    assert json.loads(told)["reason"] == "thanh tra"
    asked = ["-c", str(home / "hub.toml"), "retention", "withdraw", "--reason", "x"]
    again, unknown = (CliRunner().invoke(lienthong, [*asked, number]) for number in (str(part["part"]), "99"))
    assert (again.exit_code, unknown.exit_code) == (1, 4)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[retention]\nhours = '25-3'\n", "retention.hours"),
        ("[retention.months]\nreports = 12\n", "retention.months.reports"),
        ("[retention.months]\ndocument = 12\n", "retention.months.document"),
        ("[retention.months]\ndocuments = 0\n", "retention.months.documents"),
    ],
)
def test_a_wrong_setting_is_reported(home, tmp_path, text, place):
    wrong = home / "wrong.toml"
    wrong.write_text((home / "hub.toml").read_text().replace("\n[retention]\nannounce = 1\n", "") + text)
    with pytest.raises(ConfigurationFault) as fault:
        config.read_config(wrong)
    assert [each.path for each in fault.value.mistakes] == [f"wrong.toml: {place}"]


@pytest.mark.parametrize(
    ("hours", "expected"), [((20, 5), [20, 23, 0, 1, 4]), ((1, 3), [1]), ((0, 24), [20, 23, 0, 1, 4, 5, 12])]
)
def test_the_hours_may_go_over_midnight(hours, expected):
    settings = RetentionSettings(hours=hours)
    assert [hour for hour in (20, 23, 0, 1, 4, 5, 12) if settings.is_hour(hour)] == expected


def sizes(*octets: int, every: int = 10) -> list[JournalSize]:
    return [JournalSize(date(2026, 1, 1) + timedelta(days=every * place), each) for place, each in enumerate(octets)]


def test_a_budget_lasts_as_long_as_the_growth_of_the_last_days_lets_it():
    found = judge_budget(2000, sizes(400, 500, 600))
    assert (found.growth, found.days, found.is_tight) == (10, 140, False)
    assert judge_budget(1000, sizes(400, 500, 600)).is_tight, "forty days"
    assert judge_budget(1000, sizes(800, 800)).is_tight, "four fifths"
    assert judge_budget(1000, sizes(1200, 1100)).days == 0
    assert judge_budget(1000, sizes(400, 390)).days is None, "it shrinks"
    assert judge_budget(1000, sizes(400, 500, every=3)).growth is None, "not known yet"
    assert not judge_budget(0, sizes(400, 500)).is_tight


def test_the_size_of_each_day_is_kept(tx):
    measured = record_size(tx, NOW)
    assert record_size(tx, NOW + timedelta(hours=1)).day == measured.day
    standing = read_budget(tx, measured.octets * 10, NOW + timedelta(days=20))
    assert standing.octets > 100_000
    assert standing.growth is not None
