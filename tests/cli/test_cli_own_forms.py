"""A province's own forms, rule sets and calendar: `lienthong check` judges them, `lienthong report` counts and closes by them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Fact
from hub.report.form.folder import FOLDER
from hub.report.form.period import CutOff, Cuts, find_following_month, find_month_containing
from hub.store import tables, transactions
from tests import homes

Type = Callable[..., Result]
LAST = find_month_containing(datetime.now(UTC) - timedelta(days=70))  # over, whatever day it is
SMALL = """
id = "nho"
service = "dossiers"
by_day = true
due_working_days = 1
title = { vi = "Nhỏ", en = "Small" }
basis = { vi = "Không", en = "None" }
counted = { vi = "hồ sơ", en = "dossiers" }
[[column]]
key = "received"
kind = "flow"
vi = "Tiếp nhận"
en = "Received"
milestones = ["received"]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = homes.begin(tmp_path / "tinh")
    (home / "bieu").mkdir()
    (home / "bieu/nho.toml").write_text(SMALL, encoding="utf-8")
    with (home / "hub.toml").open("a", encoding="utf-8") as hub:
        hub.write('\n[reports]\nforms = "bieu"\nrule_sets = { ii06a = "apart" }\n')
    return home


@pytest.fixture
def typed(home: Path) -> Type:
    def run(*words: object) -> Result:
        env = {"LANG": "en_US.UTF-8"}
        return CliRunner(env=env).invoke(lienthong, ["-c", str(home / "hub.toml"), *map(str, words)])

    return run


def put(home: Path, *milestones: tuple[str, tuple[tuple[str, str], ...]]) -> None:
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        row = {"id": "m", "partner": "p", "message_id": "1", "service": "dossiers", "kind": "k", "state": "accepted"}
        tx.execute(sa.insert(tables.message), [row | {"received_at": LAST.start, "sha256": "0" * 64, "size": 1}])
        common: dict[str, Any] = {"unit": "H55.13", "service": "dossiers", "key": "1", "at": LAST.start, "message": "m"}
        facts = [
            Fact(milestone=name, day=LAST.first, attributes=attributes, **common) for name, attributes in milestones
        ]
        tx.execute(sa.insert(tables.fact), [attrs.asdict(fact) for fact in facts])
    engine.dispose()


def report(typed: Type, form: str) -> dict[str, object]:
    done = typed("report", "H55.13", LAST.text, "--form", form, "--format", "json")
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_form_of_its_own_is_counted_and_closed(home: Path, typed: Type):
    put(home, ("received", ()))
    assert typed("check").exit_code == 0
    counted = report(typed, "nho")
    assert (counted["total"], counted["form"]) == ({"received": 1}, "nho")
    assert counted["due"] is not None
    closed = typed("--json", "report", "close", LAST.text, "--form", "nho")
    assert json.loads(closed.stdout)["fresh"] is True, closed.output
    assert report(typed, "nho")["total"] == {"received": 1}


def test_a_form_counts_by_the_rule_set_that_was_chosen(home: Path, typed: Type):
    put(home, ("received", ()), ("finished", (("outcome", "withdrawn"),)))
    total = report(typed, "ii06a")["total"]
    assert isinstance(total, dict)
    assert (total["withdrawn"], total["settled_on_time"], total["settled"]) == (1, 0, 1)
    hub = (home / "hub.toml").read_text("utf-8")
    (home / "hub.toml").write_text(hub.replace('rule_sets = { ii06a = "apart" }', ""), "utf-8")
    plain = report(typed, "ii06a")["total"]
    assert isinstance(plain, dict)
    assert ("withdrawn" in plain, plain["settled_on_time"], plain["settled"]) == (False, 1, 1)


def test_check_tells_every_mistake_in_forms_and_calendar(home: Path, typed: Type):
    (home / "bieu/nho.toml").write_text(SMALL.replace('"flow"', '"guess"'), encoding="utf-8")
    (home / "bieu/b.toml").write_text((FOLDER / "edoc.toml").read_text("utf-8").replace("true", "1"), encoding="utf-8")
    (home / "days.toml").write_text('[[off]]\nfirst = "x"\n', encoding="utf-8")
    with (home / "hub.toml").open("a", encoding="utf-8") as hub:
        hub.write('workdays = "days.toml"\n')
    refused = typed("check")
    assert refused.exit_code == 78
    for place in ("nho.toml: column[0].kind", "b.toml: column[", "days.toml: off[0].first", "days.toml: off[0].vi"):
        assert place in refused.stderr
    assert typed("report", "H55.13", LAST.text).exit_code == 78


def test_periods_have_the_days_of_the_provinces_own_cut_off(home: Path, typed: Type):
    put(home, ("received", ()))
    with (home / "hub.toml").open("a", encoding="utf-8") as hub:
        hub.write("cut_offs = [{ day = 25 }, { day = 3, since = 2001-01-01 }]\n")
    assert typed("check").exit_code == 0
    month = find_month_containing(LAST.start, Cuts((CutOff(3),)))
    done = typed("report", "H55.13", month.text, "--form", "nho", "--format", "json")
    counted = json.loads(done.stdout)
    days = month.first.isoformat(), month.last.isoformat()
    assert (counted["period"]["from"], counted["period"]["to"]) == days
    assert counted["total"] == {"received": 1}
    assert days_of(typed("--json", "report", "periods", "--form", "nho")) == [(month.text, "open", *days)]
    assert typed("report", "close", month.text, "--form", "nho").exit_code == 0

    hub_toml = (home / "hub.toml").read_text("utf-8")
    (home / "hub.toml").write_text(hub_toml.replace("day = 3", "day = 20"), "utf-8")
    after = find_following_month(month, Cuts((CutOff(20),)).keeping([month]))
    assert (after.first.day, after.last.day) == (3, 19), "it goes on where the closed one ended"
    assert days_of(typed("--json", "report", "periods", "--form", "nho")) == [
        (month.text, "closed", *days),
        (after.text, "open", after.first.isoformat(), after.last.isoformat()),
    ]


def days_of(done: Result) -> list[tuple[str, ...]]:
    assert done.exit_code == 0, done.output
    rows = map(json.loads, done.stdout.splitlines())
    return [tuple(row[key] for key in ("period", "state", "from", "to")) for row in rows]


def test_check_tells_every_mistake_in_the_cut_off_days(home: Path, typed: Type):
    with (home / "hub.toml").open("a", encoding="utf-8") as hub:
        hub.write(
            "cut_offs = [{ day = 29, since = 2019-02-24 }, { day = 15, sinc = 2019-02-24, since = 2019-02-01 }]\n"
        )
    refused = typed("check")
    assert refused.exit_code == 78
    for place in ("[0].day: ", "[1].sinc: ", "[1].since: ", ": "):
        assert f"hub.toml: reports.cut_offs{place}" in refused.stderr
