"""`lienthong report glance`: a person compares units at the command line, also before the hub has counted in the night."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Fact
from hub.journal import unit_registry
from hub.report.form.period import find_month_containing
from hub.store import transactions
from tests import glance_town, homes

Type = Callable[..., Result]
MONTH = find_month_containing(datetime.now(UTC) - timedelta(days=70))  # over, whatever day it is


@pytest.fixture
def typed(tmp_path: Path) -> Type:
    home = homes.begin(tmp_path / "tinh")
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, glance_town.UNITS)
        said = [("H55.1", 3), ("H55.1.1", 2), ("H55.2", 4), ("H55.41", 9)]
        glance_town.put_facts(
            tx,
            [
                Fact(
                    unit=unit,
                    service="documents",
                    key=f"{unit} {number}",
                    milestone="sent",
                    at=MONTH.start,
                    message=f"{unit} {number}",
                )
                for unit, count in said
                for number in range(count)
            ],
        )
    engine.dispose()

    def run(*words: object, lang: str = "en_US.UTF-8") -> Result:
        return CliRunner(env={"LANG": lang}).invoke(lienthong, ["-c", str(home / "hub.toml"), *map(str, words)])

    return run


def test_departments_are_ranked_with_all_units_below_them_each_time_the_same(typed: Type):
    for _ in range(2):  # counted at the first time, read as kept at the second
        done = typed("--json", "report", "glance", "edoc", MONTH.text, "--by", "sent")
        assert done.exit_code == 0, done.output
        rows = {row["unit"]: row for row in map(json.loads, done.stdout.splitlines())}
        ranked = [(row["unit"], row["place"], row["value"]) for row in rows.values() if row["value"]]
        assert ranked == [("H55.1", 1, 5), ("H55.2", 2, 4)]


def test_the_units_below_one_and_a_class_are_compared_too(typed: Type):
    below = typed("report", "glance", "edoc", MONTH.text, "--by", "sent", "--under", "H55.1", "--json").stdout
    assert [json.loads(line)["value"] for line in below.splitlines()] == [2]
    shown = typed("report", "glance", "edoc", MONTH.text, "--by", "sent", "--class", "communes", lang="vi_VN.UTF-8")
    assert "UBND xã 1" in shown.stdout
    assert "Kỳ chưa đóng: số liệu tính đến" in shown.stderr


def test_the_file_is_open_data(typed: Type, tmp_path: Path):
    place = tmp_path / "units.csv"
    assert typed("report", "glance", "edoc", MONTH.text, "--by", "sent", "-o", place).exit_code == 0
    head, *lines = csv.reader(place.read_text("utf-8-sig").splitlines())
    assert head[:5] == ["Place", "Agency code", "Unit", "Figure", "Part"]
    assert head[-1] == MONTH.text
    assert [(line[0], line[1], line[3]) for line in lines[:2]] == [("1", "H55.1", "5"), ("2", "H55.2", "4")]
    said = json.loads(typed("report", "glance", "edoc", MONTH.text, "--by", "sent", "--format", "json").stdout)
    assert (said["indicator"]["key"], said["rows"][0]["unit"], said["complete"]) == ("sent", "H55.1", False)


def test_what_there_is_not_is_said(typed: Type):
    for words in (
        ["edoc", MONTH.text, "--by", "x"],
        ["edoc", MONTH.text, "--class", "x"],
        ["x", MONTH.text],
        ["edoc", "2099-01"],
    ):
        assert typed("report", "glance", *words).exit_code == 4, words
    assert typed("report", "glance", "edoc", "soon").exit_code == 2


def test_check_names_each_mistake_of_the_province_s_own_file(typed: Type, tmp_path: Path):
    home = tmp_path / "tinh"
    (home / "hub.toml").write_text((home / "hub.toml").read_text() + '\n[reports]\nglance = "toan-canh.toml"\n')
    (home / "toan-canh.toml").write_text('[[indicator]]\nform = "edoc"\nkey = "x"\npart = ["senst"]\n')
    assert "toan-canh.toml: indicator[0].part" in typed("check").output
    (home / "toan-canh.toml").write_text('[[indicator]]\nform = "edoc"\nkey = "x"\npart = ["sent"]\n')
    done = typed("--json", "report", "glance", "edoc", MONTH.text)
    assert json.loads(done.stdout.splitlines()[0])["value"] == 5, "the province's indicator stands first"
