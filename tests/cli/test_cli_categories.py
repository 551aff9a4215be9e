"""What a clerk types to see what a code means."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from hub.cli.screen import NOT_FOUND
from hub.config import read_config
from hub.domain.ids import make_id
from hub.intake.admission import judge_record
from hub.journal import code_lists, messages
from hub.services import list_services
from hub.store import transactions
from hub.units.province import Province
from tests import homes
from tests.databases import plans

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
PROCEDURES, FIELDS = "LayDanhSachTTHC", "LayDanhMucLinhVuc"
CERTIFIED = {"MATTHC": "2.000815", "TENTTHC": "Chứng thực bản sao"}
SHOP = {"MATTHC": "1.005129", "TENTTHC": "Đăng ký thành lập hộ kinh doanh"}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A hub that was given two lists, one of them twice, and then an empty one."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    config = read_config(home / "hub.toml")
    province, engine = Province.of(config, []), transactions.open_journal(config.database_url, pooled=False)
    given = [
        (PROCEDURES, [SHOP]),
        (FIELDS, [{"MALINHVUC": "CT", "TENLINHVUC": "Chứng thực"}]),
        (PROCEDURES, [SHOP, CERTIFIED]),
        (PROCEDURES, []),
    ]
    for number, (name, rows) in enumerate(given):
        content, now = json.dumps({"service": name, "result": rows}).encode(), START + timedelta(minutes=number)
        entry = judge_record(list_services()["categories"], content, f"l-{number}", "vpcp", province, now, make_id(now))
        with transactions.write_transaction(engine) as tx:
            messages.record_message(tx, entry, province.routes)
    engine.dispose()
    return home


@pytest.fixture
def type_(home):
    return homes.typing(home, "categories")


def lines(done):
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_list_stands_as_it_was_given_last_and_could_be_read(type_):
    found = [(row["list"], row["holds"], row["since"]) for row in lines(type_("--json"))]
    assert found == [
        (FIELDS, "1 mục", "2026-11-24T08:01:00+00:00"),
        (PROCEDURES, "2 mục", "2026-11-24T08:02:00+00:00"),
    ]


def test_a_list_shows_its_codes_and_a_code_its_name(type_):
    assert lines(type_(PROCEDURES, "--json")) == [
        {"code": "1.005129", "name": "Đăng ký thành lập hộ kinh doanh"},
        {"code": "2.000815", "name": "Chứng thực bản sao"},
    ]
    assert lines(type_(PROCEDURES, "2.000815", "--json")) == [{"code": "2.000815", "name": "Chứng thực bản sao"}]
    assert "Chứng thực bản sao" in type_(PROCEDURES, "2.000815", language="vi").stdout


@pytest.mark.parametrize("words", [("LayDanhMucDanToc",), (PROCEDURES, "9.999999")])
def test_what_is_not_there_is_told_so(type_, words):
    assert type_(*words).exit_code == NOT_FOUND


def test_lists_are_found_by_their_index_however_many_messages_there_are(home):
    def look(tx):
        assert len(code_lists.read_newest_lists(tx)) == 2
        assert code_lists.read_code_list(tx, PROCEDURES) is not None

    found = [
        ways for said, ways in plans(read_config(home / "hub.toml").database_url, look) if "max(message.id)" in said
    ]
    assert len(found) == 2
    assert all("ix_message_list" in " ".join(ways) for ways in found), found
