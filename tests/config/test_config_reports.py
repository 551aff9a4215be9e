"""`[reports]`: forms, rule sets and working days of the province's own; every mistake has its place."""

from datetime import date

import pytest

from hub.config.reports import ReportSettings, read_report_settings
from hub.config.table import ConfigTable
from hub.domain.errors import Mistake


def reading(said, home):
    mistakes: list[Mistake] = []
    found = read_report_settings(ConfigTable(said, "hub.toml", mistakes, path=("reports",)), home)
    return found, [mistake.path for mistake in mistakes]


def test_without_it_reports_are_as_they_come_with_the_hub(tmp_path):
    assert reading({}, tmp_path) == (ReportSettings(), [])


def test_what_it_says(tmp_path):
    (tmp_path / "forms").mkdir()
    (tmp_path / "days.toml").touch()
    said = {"forms": "forms", "workdays": "days.toml", "rule_sets": {"ii06a": "apart"}}
    expected = ReportSettings(forms=tmp_path / "forms", workdays=tmp_path / "days.toml", rule_sets={"ii06a": "apart"})
    assert reading(said, tmp_path) == (expected, [])


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"forms": "nowhere"}, "hub.toml: reports.forms"),
        ({"workdays": "nowhere.toml"}, "hub.toml: reports.workdays"),
        ({"forms": 3}, "hub.toml: reports.forms"),
        ({"rule_sets": "apart"}, "hub.toml: reports.rule_sets"),
        ({"rule_sets": {"ii06a": "A b"}}, "hub.toml: reports.rule_sets.ii06a"),
        ({"rule_sets": {"ii06a": 1}}, "hub.toml: reports.rule_sets.ii06a"),
        ({"form": "x"}, "hub.toml: reports.form"),
        ({"close": 12}, "hub.toml: reports.close"),
        ({"close": {"hour": 24}}, "hub.toml: reports.close.hour"),
        ({"close": {"working_day": 21}}, "hub.toml: reports.close.working_day"),
        ({"close": {"day": 1}}, "hub.toml: reports.close.day"),
    ],
)
def test_a_mistake_has_its_place(said, place, tmp_path):
    assert reading(said, tmp_path)[1] == [place]


def test_when_the_hub_closes_a_month(tmp_path):
    found, mistakes = reading({"close": {"working_day": 0, "hour": 8}}, tmp_path)
    assert (found.close_working_day, found.close_hour, mistakes) == (0, 8, [])


def test_the_cut_off_days_each_from_its_month_on(tmp_path):
    said = {"cut_offs": [{"day": 25}, {"day": 15, "since": date(2019, 2, 24)}]}
    found, mistakes = reading(said, tmp_path)
    assert (found.cut_offs, mistakes) == (((25, None), (15, date(2019, 2, 24))), [])


@pytest.mark.parametrize(
    ("cut_offs", "places"),
    [
        (15, [""]),
        ([15], [""]),
        ([], [""]),
        ([{"day": 15, "since": date(2019, 2, 24)}], [""]),
        ([{}], ["[0].day"]),
        ([{"day": 0}], ["[0].day"]),
        ([{"day": 29}], ["[0].day"]),
        ([{"day": "15"}], ["[0].day"]),
        ([{"day": True}], ["[0].day"]),
        ([{"day": 25}, {"day": 15, "from": date(2019, 2, 24)}], ["[1].from", "[1].since"]),
        ([{"day": 25}, {"day": 15, "since": "2019-02-24"}], ["[1].since"]),
        ([{"day": 25}, {"day": 15}], ["[1].since"]),
        (
            [{"day": 25}, {"day": 15, "since": date(2019, 2, 24)}, {"day": 1, "since": date(2019, 2, 1)}],
            ["[2].since"],
        ),
        (
            [{"day": 31, "since": "x"}, {"day": 15, "since": date(2019, 2, 24), "month": 1}, {"day": None}],
            ["[0].day", "[0].since", "[1].month", "[2].day"],
        ),
        (
            [{"day": 31, "since": date(2019, 1, 1)}, {"day": 0, "since": date(2019, 1, 2)}],
            ["[0].day", "[1].day", "[1].since", ""],
        ),
    ],
)
def test_every_mistake_in_the_cut_off_days_is_told_at_once(cut_offs, places, tmp_path):
    assert reading({"cut_offs": cut_offs}, tmp_path)[1] == [f"hub.toml: reports.cut_offs{place}" for place in places]
