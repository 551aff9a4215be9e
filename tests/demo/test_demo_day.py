"""The day of the province in the demo: which of the sample's units take part as what, on which days, and that it is one day."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.cli.screen import FAILED
from hub.units.sample_units import list_sample_units
from lienthong_demo.command import midnight
from lienthong_demo.command.day import Played, _offices
from lienthong_demo.command.demo import _Story
from lienthong_demo.plan.day import SMALL, WHOLE, Town
from lienthong_demo.run.dayplay import ONE_STOP, PAST, DayPlay
from tests import homes


def test_the_offices_of_the_whole_sample_are_of_the_province_and_the_first_is_its_own():
    codes = tuple(sorted(each.code for each in list_sample_units()))
    assert codes[0] == "A55", "units of the Party come first"
    offices = _offices(Town((), codes, (), date(2026, 11, 24)), WHOLE)
    assert len(offices) == WHOLE.offices
    assert offices[0] == "H55"
    assert all(each.startswith("H55.") for each in offices[1:])


@pytest.mark.parametrize("ago", range(7))
def test_no_office_works_on_a_day_again_whichever_day_of_the_period_it_is(ago):
    first = date(2026, 12, 15)
    today, told = first + timedelta(ago), []

    def order(what: str, **said: Any) -> dict[str, Any]:
        told.append(date.fromisoformat(said["day"]))
        return {"accepted": 1, "refused": []}

    said: Any = SimpleNamespace(say=lambda _: None)
    stage: Any = SimpleNamespace(partners={ONE_STOP: SimpleNamespace(order=order)})
    played = DayPlay(
        stage, Town((), (), (), today), SMALL, first, Path(), said, cast("Any", None), 1, cast("Any", None)
    )
    played.play_past(first)
    played._work_the_counters()
    days = [
        *(first - timedelta(each) for each in range(PAST, 0, -1)),
        *(today - timedelta(each) for each in range(min(ago, 4), -1, -1)),
    ]
    assert told == days


def wait(hour: int, minute: int = 0, second: int = 0) -> int:
    now = datetime(2026, 12, 31, hour, minute, second, tzinfo=UTC)
    return int(midnight.find_wait(now, midnight.SMALL).total_seconds())


def test_a_demo_that_would_see_midnight_in_hanoi_begins_after_it():
    assert [wait(16, 58), wait(16, 58, 1), wait(16, 59, 59), wait(17), wait(23, 59, 59)] == [0, 119, 1, 0, 0]


def test_the_demo_waits_before_it_makes_anything(monkeypatch, tmp_path):
    class Slept(Exception):
        pass

    def sleep(seconds: float) -> None:
        raise Slept(seconds, list(tmp_path.glob("var/demo/1/*")))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(midnight, "find_wait", lambda _now, needed: needed)
    monkeypatch.setattr("lienthong_demo.command.demo.time.sleep", sleep)
    monkeypatch.setattr("lienthong_demo.command.demo.signal.signal", lambda *_: None)
    done = homes.typing(tmp_path)("demo")
    assert isinstance(done.exception, Slept)
    assert done.exception.args == (120, [])
    assert "120" in done.stderr


@pytest.mark.parametrize(("dead", "code"), [(0, 0), (1, FAILED)])
def test_a_demo_that_is_not_kept_ends_by_itself_with_one_line_and_says_by_its_code_whether_it_agrees(
    monkeypatch, tmp_path, dead, code
):
    played = Played(accepted=2, refused=1, delivered=2, dead=dead, facts=3, lost=(), differences=(), pages=())

    def play_story(_stage: object, _operator: object, _narrator: object, directory: Path) -> _Story:
        (directory / "reports").mkdir()
        return _Story([], [], None)

    monkeypatch.chdir(tmp_path)
    for name, stand_in in {
        "signal.signal": lambda *_: None,
        "_await_midnight": lambda *_: None,
        "_play_story": play_story,
        "_recount_story": lambda *_: played,
        "play_day": lambda *_: SimpleNamespace(played=played),
    }.items():
        monkeypatch.setattr(f"lienthong_demo.command.demo.{name}", stand_in)
    done = homes.typing(tmp_path)("demo")
    assert done.exit_code == code, done.output
    (line,) = map(json.loads, done.stdout.splitlines())
    report = str(tmp_path / "var/demo/1/reports/index.html")
    sums = {"accepted": 4, "refused": 2, "delivered": 4, "dead": 2 * dead, "facts": 6, "lost": 0}
    assert line == sums | {"report": report}
