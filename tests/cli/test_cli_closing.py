"""`lienthong report close` and `periods`: a person closes, counts again, and sees what is closed."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Fact
from hub.journal import blobs, duties, events, facts
from hub.report.form.book import read_shipped_book
from hub.report.form.period import find_following_month, find_month_containing, parse_period
from hub.store import tables, transactions
from hub.workload import closing
from tests import homes

Type = Callable[..., Result]
LAST = find_month_containing(datetime.now(UTC) - timedelta(days=70))  # over, whatever day it is
NEXT = find_following_month(LAST)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return homes.begin(tmp_path / "tinh")


@pytest.fixture
def typed(home: Path) -> Type:
    def run(*words: object, lang: str = "en_US.UTF-8") -> Result:
        return CliRunner(env={"LANG": lang}).invoke(lienthong, ["-c", str(home / "hub.toml"), *map(str, words)])

    return run


def put(home: Path, key: str, day: date, at: datetime, service: str = "dossiers", milestone: str = "received") -> None:
    fact = Fact(unit="H55.13", service=service, key=key, milestone=milestone, at=at, message=f"m{key}", day=day)
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        row = {"id": f"m{key}", "partner": "p", "message_id": key, "service": "dossiers", "kind": "k"}
        more = {"state": "accepted", "received_at": at, "sha256": "0" * 64, "size": 1}
        tx.execute(sa.insert(tables.message), [row | more])
        tx.execute(sa.insert(tables.fact), [attrs.asdict(fact)])
        events.append_events(tx, facts.make_fact_event(fact))
    engine.dispose()


def test_a_month_is_closed_once_and_counted_again_when_it_is_closed_again(home: Path, typed: Type):
    put(home, "1", LAST.first, LAST.start)
    done = typed("--json", "report", "close", LAST.text, "--form", "dossiers")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["form"], said["period"], said["fresh"], said["units"]) == ("dossiers", LAST.text, True, 1)
    assert len(said["sha256"]) == 64
    again = json.loads(typed("--json", "report", "close", LAST.text, "--form", "dossiers").stdout)
    assert (again["fresh"], again["revised"], again["sha256"]) == (False, 0, said["sha256"])
    put(home, "2", LAST.first, LAST.start)
    warned = typed("report", "H55.13", LAST.text, "--form", "dossiers", "--facts", "--json")
    assert "has changed since the closing" in warned.stderr
    told = typed("report", "close", LAST.text, "--form", "dossiers", "--reason", "found in the log")
    assert f"dossiers {LAST.text} H55.13: revision 2: received_unstated: 1 → 2" in told.stderr
    assert "1 rows revised" in told.stdout
    periods = typed("--json", "report", "periods", "--form", "dossiers").stdout.splitlines()
    assert [json.loads(line)["revised"] for line in periods] == [1, None]
    counted = json.loads(typed("report", "H55", LAST.text, "--form", "dossiers", "--format", "json").stdout)
    assert counted["total"]["received"] == 2


def test_a_closing_moves_the_open_dossiers_of_a_unit_that_has_ended_first(home: Path, typed: Type, tmp_path: Path):
    put(home, "1", LAST.first, LAST.start)
    ended = LAST.first + timedelta(days=5)
    units = tmp_path / "units.csv"
    units.write_text(
        f"code,name,parent,since,until,successors\nH55.13,Sở cũ,H55,,{ended},H55.14\nH55.14,Sở mới,H55,{ended},,\n",
        "utf-8",
    )
    done = typed("units", "import", units, "--yes")
    assert done.exit_code == 0, done.output
    assert typed("report", "close", LAST.text, "--form", "ii06a").exit_code == 0
    report = json.loads(typed("--json", "report", "H55", LAST.text, "--form", "ii06a").stdout)
    columns = {column["key"] for column in report["columns"]}
    found = {
        row["unit"]: {key: number for key, number in row.items() if number and key in columns}
        for row in report["rows"]
        if row["unit"] in ("H55.13", "H55.14")
    }
    assert found["H55.13"] == {"received_direct": 1, "taken_over": -1}
    assert found["H55.14"] == {"received": 1, "pending": 1, "pending_in_time": 1, "taken_over": 1}
    assert report["total"]["taken_over"] == 0


def test_a_closing_records_first_that_the_mail_accounts_of_a_unit_that_has_ended_passed(
    home: Path, typed: Type, tmp_path: Path
):
    put(home, "1", LAST.first, LAST.start, "mail", "accounts-issued")
    ended = LAST.first + timedelta(days=5)
    units = tmp_path / "units.csv"
    units.write_text(
        f"code,name,parent,since,until,successors\nH55.13,Sở cũ,H55,,{ended},H55.14\nH55.14,Sở mới,H55,{ended},,\n",
        "utf-8",
    )
    assert typed("units", "import", units, "--yes").exit_code == 0
    assert typed("report", "close", LAST.text, "--form", "mail").exit_code == 0
    report = json.loads(typed("--json", "report", "H55", LAST.text, "--form", "mail").stdout)
    (row,) = [row for row in report["rows"] if row["unit"] == "H55.13"]
    assert (row["accounts"], row["handed_over"]) == (0, 1)


@pytest.mark.slow
def test_what_is_unusual_is_told_before_a_month_is_closed_and_by_a_plan_that_closes_nothing(home: Path, typed: Type):
    months = [find_month_containing(LAST.start - timedelta(days=1))]
    while len(months) < 3:
        months.insert(0, find_month_containing(months[0].start - timedelta(days=1)))
    put(home, "0", months[0].first, months[0].start)
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    for month, count in zip([*months, LAST], (40, 40, 40, 150), strict=True):
        at = month.start + timedelta(days=2)
        said: dict[str, Any] = {"unit": "H55.13", "service": "dossiers", "milestone": "received"}
        keys = (f"{month.text} {number}" for number in range(count))
        made = [Fact(key=key, at=at, day=month.first, message="m0", **said) for key in keys]
        with transactions.write_transaction(engine) as tx:
            tx.execute(sa.insert(tables.fact), [attrs.asdict(each) for each in made])
            if month is not LAST:
                closing.close_month(tx, read_shipped_book(), "dossiers", month, month.end + timedelta(days=1), "an")
    engine.dispose()
    planned = typed("--json", "report", "close", LAST.text, "--form", "dossiers", "--plan")
    assert planned.exit_code == 0, planned.output
    plan = json.loads(planned.stdout)
    told = {"unit": "H55.13", "column": "received_unstated", "figure": 150, "mean": 40.33, "months": 3}
    assert (plan["state"], told in plan["figures"]) == ("open", True)
    listed = typed("--json", "report", "periods", "--form", "dossiers").stdout.splitlines()
    assert json.loads(listed[-1])["state"] == "open", "the plan closed nothing"
    assert json.loads(listed[-1])["period"] == LAST.text
    closed = typed("report", "close", LAST.text, "--form", "dossiers", lang="vi_VN.UTF-8")
    assert f"dossiers {LAST.text}: " in closed.stderr
    assert ": 150; trung bình 3 tháng trước là 40,33" in closed.stderr
    assert f"{plan['unusual']} số liệu bất thường" in closed.stdout
    again = typed("report", "close", LAST.text, "--form", "dossiers", "--plan")
    assert (again.exit_code, "is closed already" in again.stderr) == (0, True)


@pytest.mark.slow
def test_all_forms_are_closed_when_none_is_named_and_listed(home: Path, typed: Type):
    put(home, "1", LAST.first, LAST.start)
    closed = [json.loads(line) for line in typed("--json", "report", "close", LAST.text).stdout.splitlines()]
    listed = [json.loads(line) for line in typed("--json", "report", "periods").stdout.splitlines()]
    assert len(closed) >= 8
    for form in {row["form"] for row in closed}:
        rows = [(row["period"], row["state"]) for row in listed if row["form"] == form]
        assert rows == [(LAST.text, "closed"), (NEXT.text, "open")]
    shown = typed("report", "periods", "--form", "dossiers", lang="vi_VN.UTF-8")
    assert "đóng lúc" in shown.stdout


def test_what_cannot_be_closed_is_said_with_what_to_do(home: Path, typed: Type):
    nothing = typed("report", "close", LAST.text, "--form", "edoc")
    assert (nothing.exit_code, "nothing to close yet" in nothing.stderr) == (4, True)
    put(home, "1", LAST.first, LAST.start)
    turn = typed("report", "close", NEXT.text, "--form", "edoc")
    assert (turn.exit_code, f"lienthong report close {LAST.text} --form edoc" in turn.stderr) == (1, True)
    assert typed("report", "close", LAST.text, "--form", "edoc").exit_code == 0
    before = typed("report", "close", "2020-01", "--form", "edoc")
    assert before.exit_code == 4
    month = parse_period(NEXT.text)
    while month.end < datetime.now(UTC):
        assert typed("report", "close", month.text, "--form", "edoc").exit_code == 0
        month = find_following_month(month)
    early = typed("report", "close", month.text, "--form", "edoc", lang="vi_VN.UTF-8")
    assert (early.exit_code, "chưa kết thúc: đóng được từ" in early.stderr) == (1, True)
    assert typed("report", "close", "xx").exit_code == 2
    assert typed("report", "close", LAST.text, "--form", "xx").exit_code == 2
    assert typed("report", "periods", "H55").exit_code == 2


def test_nothing_is_counted_or_closed_over_facts_that_are_still_to_be_written(home: Path, typed: Type, monkeypatch):
    put(home, "1", LAST.first, LAST.start)
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    owed = Fact(unit="H55.13", service="dossiers", key="2", milestone="received", at=LAST.start, message="m1")
    with transactions.write_transaction(engine) as tx:
        duties.record_duty(tx, "m1", LAST.start, "dossiers", duties.pack_facts([owed]))
    monkeypatch.setattr("hub.cli.journal.PATIENCE", 0.0)
    report = ("report", "H55.13", LAST.text, "--form", "dossiers")
    ways = (report, (*report, "--facts"), ("report", "--facts"), ("report", "close", LAST.text))
    for words in (*ways, ("evidence", *report[1:3], "--form", "dossiers")):
        said = typed(*words)
        assert (said.exit_code, said.stdout) == (69, ""), words
        assert "facts-outstanding: " in said.stderr
        assert "1 / 1" in said.stderr
    assert "kết quả của thông điệp đã nhận đang được ghi" in typed("report", "--facts", lang="vi_VN.UTF-8").stderr
    with transactions.write_transaction(engine) as tx:
        octets = b"what m1 says"
        blobs.keep_blob(tx, name := hashlib.sha256(octets).hexdigest(), octets)
        tx.execute(sa.update(tables.message).values(sha256=name))
    whole = typed("db", "verify")
    assert (whole.exit_code, "1 facts of accepted messages are not written yet" in whole.stderr) == (0, True)
    duties.write_outstanding_facts(engine)
    engine.dispose()
    assert len(typed("--json", "report", "--facts").stdout.splitlines()) == 2
    assert typed("report", "close", LAST.text, "--form", "dossiers").exit_code == 0


def test_a_late_fact_is_named_in_what_a_person_reads_of_the_month(home: Path, typed: Type, tmp_path: Path):
    """Close a month, send figures of it afterwards, close it again, and read the list of months and the report."""
    put(home, "1", LAST.first, LAST.start, service="mail", milestone="sent-internal")
    assert typed("report", "close", LAST.text, "--form", "mail").exit_code == 0
    put(home, "2", LAST.first, datetime.now(UTC), service="mail", milestone="sent-internal")
    assert typed("report", "close", LAST.text, "--form", "mail", "--reason", "máy chủ hỏng").exit_code == 0
    listed = typed("report", "periods", "--form", "mail")
    assert f"mail {LAST.text} H55.13: revision 2 of" in listed.stderr
    assert "sent_internal: 1 → 2" in listed.stderr
    assert "reason: máy chủ hỏng; late messages: m2 (p, " in listed.stderr
    closed = json.loads(typed("--json", "report", "periods", "--form", "mail").stdout.splitlines()[0])
    (change,) = closed["changes"]
    assert (change["unit"], change["reason"], change["messages"][0]["id"]) == ("H55.13", "máy chủ hỏng", "m2")
    shown = typed("report", "H55", LAST.text, "--form", "mail")
    assert "Revision 2 of a closed report" in shown.stderr
    assert "Message m2 from p, received at" in shown.stderr
    before = json.loads(typed("report", "H55", LAST.text, "--form", "mail", "--format", "json", "--revision", 1).stdout)
    assert (before["total"]["sent_internal"], before["closing"]["revised"]) == (1, [])
    assert typed("report", "H55", LAST.text, "--form", "mail", "--revision", 3).exit_code == 4
    paper = typed(
        "report", "H55", LAST.text, "--form", "mail", "--revision", 1, "--format", "pdf", "-o", tmp_path / "x"
    )
    assert paper.exit_code == 2


@pytest.mark.slow
def test_a_month_that_is_closed_by_hand_has_what_the_nodes_saw_of_the_links_on_its_last_day(home: Path, typed: Type):
    """No hub runs: the command itself writes the day that a node has stored, before it closes the first form."""
    put(home, "1", LAST.first, LAST.start)
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        seen = {"name": "gate", "node": "b", "place": "10.0.0.1:22", "units": '["H55.13"]', "probed": "f", "up": "7"}
        tx.execute(sa.insert(tables.link_day), [{**seen, "day": LAST.last}])
    engine.dispose()
    assert typed("report", "close", LAST.text).exit_code == 0

    def read_minutes(period: str) -> tuple[int, int]:
        total = json.loads(typed("report", "H55.13", period, "--form", "links", "--format", "json").stdout)["total"]
        return total["probed"], total["up"]

    assert (read_minutes(LAST.text), read_minutes(NEXT.text)) == ((4, 3), (0, 0))


@pytest.mark.slow
def test_an_import_of_units_changes_no_closed_report_and_closing_again_writes_nothing(
    home: Path, typed: Type, tmp_path: Path
):
    """The file of a coming merger: the unit that sent is renamed, and goes below another."""
    put(home, "1", LAST.first, LAST.start)
    assert typed("report", "close", LAST.text).exit_code == 0

    def read_closed() -> list[str]:
        formats = ("csv", "html", "json")
        return [typed("report", "H55", LAST.text, "--form", "dossiers", "--format", each).stdout for each in formats]

    before = read_closed()
    listed = tmp_path / "units.csv"
    listed.write_text("code,name,parent\nH55.13,Sở Gộp,H55.14\nH55.14,Sở Khác,\n", "utf-8")
    assert typed("units", "import", listed, "--yes").exit_code == 0
    assert read_closed() == before
    again = [json.loads(line) for line in typed("--json", "report", "close", LAST.text).stdout.splitlines()]
    assert {(each["fresh"], each["revised"]) for each in again} == {(False, 0)}
    assert read_closed() == before
    listing = typed("--json", "report", "periods").stdout.splitlines()
    assert {(row["revised"] or 0, len(row["changes"])) for row in map(json.loads, listing)} == {(0, 0)}
