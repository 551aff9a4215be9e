"""What an engineer types to find a message by whatever people have."""

import csv
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import attrs
import pytest

from hub.domain.ids import make_id
from hub.domain.local_time import parse_local_time, write_local_time
from hub.domain.model import Event, Problem
from hub.journal import events, messages
from hub.store import transactions
from tests import homes
from tests.conftest import ROOT
from tests.homes import Type, engine_of
from tests.province import NOW, ROUTES, document, entry
from tests.refused_batches import refuse_batch

TRACKING = make_id(NOW + timedelta(seconds=9))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub with four documents, the last of them refused, and a refused call."""
    home = homes.begin(tmp_path / "tinh")
    with transactions.write_transaction(engine_of(home)) as tx:
        take(tx, 1, code="15/SNV-VP", subject="V/v kết nối dữ liệu")
        take(tx, 2, code="16/SNV-VP", subject="Báo cáo tháng 11")
        take(tx, 3, code="17/UBND-TH", subject="=1+1 Kế hoạch")
        take(tx, 4, code="18/QĐ-SNV", subject="Quyết định", problems=(Problem("unit-unknown", "H55.99"),))
        said = {"partner": "sotttt", "operation": "GetDocument", "code": "not-yours", "tracking": TRACKING}
        events.append_events(tx, Event("call-refused", NOW + timedelta(seconds=9), None, None, said))
    return home


def take(tx, number, *, code, subject, at=None, **fields):
    packet = attrs.evolve(document(document_id=f"D{number}"), code=code, subject=subject)
    made = entry(packet, number, at=at or NOW + timedelta(minutes=number), **fields)
    made = attrs.evolve(made, id=make_id(made.received_at))
    messages.record_message(tx, made, ROUTES)
    return made.id


@pytest.fixture
def type_(home: Path) -> Type:
    return homes.typing(home, "messages")


def found(type_, *words):
    """Return the senders' ids of what is found, in order."""
    done = type_(*words, "--json", "-n", "9")
    assert done.exit_code == 0, done.output
    return [json.loads(line)["message_id"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (["15/SNV-VP"], ["m1"]),
        (["15", "/", "snv", "-", "vp"], ["m1"]),
        (["18", "qd", "snv"], ["m4"]),
        (["ket", "noi"], ["m1"]),
        (["KẾT NỐI dữ liệu"], ["m1"]),
        (["D2"], ["m2"]),
        (["m3"], ["m3"]),
        (["nothing", "like", "it"], []),
        ([], ["m4", "m3", "m2", "m1"]),
    ],
)
def test_a_message_is_found_by_what_people_have(type_, text, ids):
    assert found(type_, *text) == ids


def test_a_message_is_found_by_its_id_its_hash_and_the_agency(type_):
    (row,) = map(json.loads, type_("15/SNV-VP", "--json").stdout.splitlines())
    assert found(type_, row["id"]) == found(type_, row["sha256"]) == found(type_, row["sha256"][:16]) == ["m1"]
    assert found(type_, row["sender"]) == ["m4", "m3", "m2", "m1"]
    assert found(type_, row["partner"]) == ["m4", "m3", "m2", "m1"]


def test_filters_narrow_what_the_box_finds(type_):
    assert found(type_, "snv", "--state", "refused") == ["m4"]
    assert found(type_, "--refusal", "unit-unknown") == ["m4"]
    assert found(type_, "--direction", "in") == []
    assert found(type_, "--direction", "within", "--state", "accepted") == ["m3", "m2", "m1"]
    assert found(type_, "--answer", "E05") == []


def test_json_without_a_number_gives_all_rows_in_the_order_and_the_times_of_ever(type_):
    rows = [json.loads(line) for line in type_("--json").stdout.splitlines()]
    assert [row["message_id"] for row in rows] == ["m1", "m2", "m3", "m4"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", rows[0]["received_at"])
    keys = ["id", "partner", "message_id", "service", "kind", "state", "received_at", "sha256", "size", "refusal"]
    assert list(rows[0])[:10] == keys


def test_people_read_number_state_reason_and_times_of_ha_noi_newest_first(type_):
    lines = type_("-n", "2").stdout.splitlines()
    assert len(lines) == 3
    assert write_local_time(NOW + timedelta(minutes=4)) in lines[1]
    for word in ("18/QĐ-SNV", "unit-unknown: H55.99", "refused"):
        assert word in lines[1]
    assert "17/UBND-TH" in lines[2]
    assert "waiting" in lines[2]
    assert "-n" in type_("-n", "2").stderr


def test_pages_go_on_from_either_side(type_):
    rows = [json.loads(line) for line in type_("--json").stdout.splitlines()]
    assert found(type_, "--before", rows[2]["id"]) == ["m2", "m1"]
    after = type_("--json", "--limit", "1", "--after", rows[1]["id"])
    assert [json.loads(line)["message_id"] for line in after.stdout.splitlines()] == ["m3"]


def test_times_are_read_as_people_write_them(type_):
    at = write_local_time(NOW + timedelta(minutes=3))
    day, clock = at.split(" ")
    assert found(type_, "--since", at) == ["m4", "m3"]
    assert found(type_, "--since", day) == ["m4", "m3", "m2", "m1"]
    assert found(type_, "--until", f"{'-'.join(reversed(day.split('/')))} {clock}") == ["m2", "m1"]
    wrong = type_("--since", "yesterdayish")
    assert wrong.exit_code == 2
    assert "27/11/2026" in wrong.stderr


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("27/11/2026", datetime(2026, 11, 26, 17, tzinfo=UTC)),
        ("7/1/2026 8:05", datetime(2026, 1, 7, 1, 5, tzinfo=UTC)),
        ("08:00:30 27/11/2026", datetime(2026, 11, 27, 1, 0, 30, tzinfo=UTC)),
        ("2026-11-27 08:00", datetime(2026, 11, 27, 1, tzinfo=UTC)),
        ("2026-11-27T08:00:00Z", datetime(2026, 11, 27, 8, tzinfo=UTC)),
    ],
)
def test_a_time_without_an_offset_is_in_ha_noi(text, instant):
    assert parse_local_time(text) == instant


@pytest.mark.parametrize("text", ["", "31/02/2026", "11/27/2026", "27/11/26", "25:00 27/11/2026", "x"])
def test_what_is_no_time_is_a_mistake(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are Python's or the calendar's
        parse_local_time(text)


def test_an_unknown_partner_or_unit_is_an_error_and_not_nothing(type_):
    for words in (("--partner", "nobody"), ("--unit", "H55.99.99"), ("--recipient", "Sở Không Có")):
        done = type_(*words, "--count")
        assert (done.exit_code, done.stdout) == (4, ""), words
        assert words[1] in done.stderr
    assert type_("--partner", "vpcp", "--count").stdout == "0\n"


def test_a_refused_call_is_found_by_its_tracking_and_in_the_list_of_refused_calls(type_):
    assert "not-yours" in type_(TRACKING).stdout
    (row,) = map(json.loads, type_("--calls", "--json").stdout.splitlines())
    assert (row["id"], row["kind"], row["operation"]) == (TRACKING, "call", "GetDocument")
    assert "GetDocument" not in type_("--calls", "--partner", "vpub").stdout


def test_csv_is_for_a_spreadsheet_and_runs_no_formula(type_):
    done = type_("--csv", language="vi")
    rows = list(csv.DictReader(StringIO(done.stdout_bytes.decode("utf-8-sig"))))
    assert len(rows) == 4
    texts = [list(row.values()) for row in rows]
    assert texts[1][1:3] == ["17/UBND-TH", "'=1+1 Kế hoạch"]
    assert "unit-unknown: H55.99" in texts[0]


def test_follow_prints_each_new_message_once(home, type_, monkeypatch):
    rounds = []

    def sleep(_seconds):
        rounds.append(1)
        if len(rounds) == 4:
            raise KeyboardInterrupt
        if len(rounds) < 3:
            with transactions.write_transaction(engine_of(home)) as tx:
                take(tx, 9 + len(rounds), code="1/A", subject="mới", at=datetime.now(UTC))

    monkeypatch.setattr("hub.cli.monitoring.repeating.sleep", sleep)
    done = type_("--follow", "--json")
    assert done.exit_code == 0, done.output
    ids = [json.loads(line)["message_id"] for line in done.stdout.splitlines()]
    assert ids == ["m1", "m2", "m3", "m4", "m10", "m11"]


def test_every_example_of_the_help_and_the_page_runs(type_):
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    section = page.split("### lienthong messages")[1].split("\n### ")[0]
    written = re.findall(r"^    (lienthong messages.*)$", section, re.MULTILINE)
    assert len(written) >= 8
    shown = re.findall(r"^ +(lienthong messages.*)$", type_("--help").stdout, re.MULTILINE)
    assert len(shown) >= 8
    for line in {*written, *shown}:
        words = shlex.split(line)[2:]
        if "--follow" not in words:
            done = type_(*words)
            assert done.exit_code == 0, (line, done.output)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("vi", "“2026-01-05” không đúng dạng [0-9]{14}"),
        ("en", "“2026-01-05” does not have the form [0-9]{14}; write it so"),
    ],
)
@pytest.mark.slow
def test_show_names_every_mistake_of_a_refused_batch_in_the_users_language(home, monkeypatch, language, said):
    """With the sentence of their code once; `trace`, which has a line for an event, names three."""
    name = refuse_batch(engine_of(home), NOW)
    monkeypatch.setenv("LC_ALL", language)
    lines = homes.typing(home, "show")(name).stdout.splitlines()
    (first,) = (number for number, line in enumerate(lines) if "contract-broken (47): " in line)
    mistakes = [line for line in lines[first + 1 :] if "/SyncDossiers/" in line]
    assert len(mistakes) == 47
    assert said in mistakes[0]
    traced = homes.typing(home, "trace")(name).stdout
    assert said in traced
    assert traced.count("/SyncDossiers/") == 3
    (row,) = map(json.loads, homes.typing(home, "show")(name, "--json").stdout.splitlines())
    assert [each["path"] for each in row["problems"]][:2] == [
        "/SyncDossiers/HoSo[3]/NgayTiepNhan",
        "/SyncDossiers/HoSo[57]/MaTTHC",
    ]
    assert len(row["problems"]) == 47
