"""`lienthong archive`: what a person types to see what was let go of, on a journal with one archive file."""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Event
from hub.journal import events
from hub.keeping.archive import catalogue
from hub.keeping.archive.writing import ArchiveChoice, ArchiveRecord, write_archive
from hub.store import transactions
from hub.store.tables import event
from tests import homes
from tests.archiving import chain, forgotten, live
from tests.province import NOW

pytestmark = pytest.mark.slow

Type = Callable[..., Result]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ArchiveRecord]:
    """A hub with three delivered messages, two of them in an archive file, with the event of a refused call."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    config = read_config(home / "hub.toml")
    engine = transactions.open_journal(config.database_url, pooled=False)
    ids = live(engine, 3)
    with transactions.write_transaction(engine) as tx:
        said = {"partner": "vpub", "code": "signature-invalid", "tracking": "T9"}
        events.append_events(tx, Event("call-refused", NOW, None, None, said))
        refused = tx.scalar(sa.select(sa.func.max(event.c.serial)))
    chain(engine)
    config.archive.mkdir()
    with transactions.read_transaction(engine) as tx:
        chosen = ArchiveChoice(period="2026-11", messages=ids[:2], others=[refused or 0])
        record = write_archive(tx, chosen, config.archive, config.identity, datetime.now(UTC))
    assert record is not None
    with transactions.write_transaction(engine) as tx:
        catalogue.record_archive(tx, record)
    return home, record


@pytest.fixture
def home(made: tuple[Path, ArchiveRecord], tmp_path: Path) -> Path:
    shutil.copytree(made[0], tmp_path / "tinh")
    return tmp_path / "tinh"


@pytest.fixture
def record(made: tuple[Path, ArchiveRecord]) -> ArchiveRecord:
    return made[1]


@pytest.fixture
def typed(home: Path) -> Type:
    def run(*words: object) -> Result:
        return CliRunner().invoke(lienthong, ["archive", *map(str, words), "-c", str(home / "hub.toml")])

    return run


def said(done: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]


def test_the_list_says_what_is_in_each_file_and_whether_it_is_there(typed, home, record):
    (row,) = said(typed("list", "--json"))
    assert (row["id"], row["period"], row["messages"], row["sha256"]) == (record.id, "2026-11", 2, record.sha256)
    assert row["file"] == str(home / "data/archive" / record.path.name)
    Path(str(row["file"])).unlink()
    record_file = record.path  # where it was written: a second place where it may lie
    hidden = record_file.rename(record_file.with_suffix(".away"))
    try:
        assert said(typed("list", "--json"))[0]["file"] is None
        assert record.path.name in typed("list").output
        done = typed("show", record.id)
        assert done.exit_code == 1
        assert record.path.name in done.output
        assert str(home / "data/archive") in done.output
    finally:
        hidden.rename(record_file)


def test_verify_finds_a_changed_file(typed, home, record):
    done = typed("verify")
    assert done.exit_code == 0, done.output
    path = home / "data/archive" / record.path.name
    shutil.copy(path, path.with_name("archive-2026-11-left.zip"))
    path.with_name("archive-2026-11-other.zip").write_bytes(b"")
    left, other, known = said(typed("verify", "--json"))
    assert (left["name"], left["recorded"], left["alone"]) == ("archive-2026-11-left.zip", False, 0)
    assert (other["name"], other["alone"], len(other["problems"])) == ("archive-2026-11-other.zip", None, 1)  # type: ignore[arg-type]
    assert (known["name"], known["recorded"]) == (record.path.name, True)
    shown = typed("verify").output
    assert "xóa được" in shown
    assert "Không đọc được tệp" in shown
    path.write_bytes(path.read_bytes().replace(b"PK", b"PL", 1))
    done = typed("verify", record.path.name, "--json")
    assert done.exit_code == 1
    assert len(said(done)[0]["problems"]) == 2  # type: ignore[arg-type]


def test_show_lists_the_messages_and_extract_writes_one(typed, home, record, tmp_path):
    manifest, *rows = said(typed("show", record.path.name, "--messages", "--json"))
    assert manifest["messages"] == 2
    assert [row["id"] for row in rows] == list(record.messages)
    (_, refused) = said(typed("show", record.path.name, "--events", "--json"))
    assert (refused["event"], refused["code"], refused["tracking"]) == ("call-refused", "signature-invalid", "T9")
    assert "T9" in typed("show", record.id, "--events").output
    done = typed("extract", record.id, rows[0]["id"], tmp_path / "ra", "--json")
    assert done.exit_code == 0, done.output
    line, octets, receipt = (Path(str(each)).read_bytes() for each in said(done)[0]["files"])  # type: ignore[attr-defined]
    assert octets.startswith("<packet số='0'/>".encode())
    assert b"<MessageId>m0</MessageId>" in receipt
    assert [each["number"] for each in json.loads(line)["events"]]
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.read_transaction(engine) as tx:
        told = events.read_message_events(tx, str(rows[0]["id"]))
    assert told[-1]["event"] == "content-opened", "who took it out is recorded"
    assert typed("extract", record.id, rows[0]["id"], tmp_path / "ra").exit_code == 1, "nothing is written over"
    assert typed("extract", record.id, "0" * 36, tmp_path / "ra").exit_code == 4
    assert typed("show", "archive-none.zip").exit_code == 4


# --- a message whose rows are gone


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that has let two delivered messages go."""
    home = homes.begin(tmp_path_factory.mktemp("emptied") / "tinh")
    config = read_config(home / "hub.toml")
    engine = transactions.open_journal(config.database_url, pooled=False)
    live(engine, 2)
    forgotten(engine, config.archive)
    return home


def read(home: Path, *words: str) -> Result:
    return CliRunner().invoke(lienthong, [*words, "-c", str(home / "hub.toml")])


def test_show_and_trace_read_it_from_its_file_and_raw_writes_its_bytes(emptied):
    (row, _) = said(read(emptied, "messages", "--json"))
    (name,) = {str(path.name) for path in (emptied / "data/archive").iterdir()}
    (shown,) = said(read(emptied, "show", str(row["id"]), "--json"))
    assert shown["archives"] == [name]
    assert shown["subject"] == "V/v kết nối"
    assert len(shown["attempts"]) == 2  # type: ignore[arg-type]
    assert "<MessageId>" in str(shown["receipt"])
    assert name in read(emptied, "show", str(row["id"])).output
    raw = read(emptied, "show", str(row["message_id"]), "--raw")
    assert hashlib.sha256(raw.stdout_bytes).hexdigest() == shown["sha256"]
    told = [each["event"] for each in said(read(emptied, "trace", str(row["id"]), "--json"))]
    assert told[0] == "message-accepted"
    assert "content-opened" in told, "what happened since it went is there, too"
    assert len(said(read(emptied, "show", str(row["id"]), "--attempts", "--json"))) == 2
    calls = {each["what"]: each for each in said(read(emptied, "show", str(row["id"]), "--signature", "--json"))}
    assert calls["packet"]["over"] == shown["sha256"]


def test_a_file_that_is_needed_and_away_is_named(emptied):
    (row, _) = said(read(emptied, "messages", "--json"))
    (path,) = (emptied / "data/archive").iterdir()
    away = path.rename(emptied / "away.zip")
    try:
        for words in (("show",), ("show", "--raw"), ("trace",)):
            done = read(emptied, words[0], str(row["id"]), *words[1:])
            assert done.exit_code == 1
            assert path.name in done.output
            assert str(emptied / "data/archive") in done.output
    finally:
        away.rename(path)


def test_replay_sends_it_again(emptied, tmp_path):
    home = tmp_path / "tinh"
    shutil.copytree(emptied, home)
    (row, _) = said(read(home, "messages", "--json"))
    order = ("replay", str(row["id"]), "--again", "--reason", "bên nhận mất")
    (planned,) = said(read(home, *order, "--json"))
    assert planned["action"] == "planned"
    (queued,) = said(read(home, *order, "--yes", "--json"))
    assert queued["action"] == "replayed"
    (shown,) = said(read(home, "show", str(row["id"]), "--json"))
    assert [each["state"] for each in shown["deliveries"]] == ["waiting"]  # type: ignore[attr-defined]
    assert said(read(home, "messages", "--json"))[0]["subject"] == "V/v kết nối"
    (path,) = (home / "data/archive").iterdir()
    path.rename(tmp_path / "away.zip")
    (_, other) = said(read(home, "messages", "--json"))
    hidden = (emptied / "data/archive" / path.name).rename(emptied / "away.zip")  # where it was written
    try:
        done = read(home, "replay", str(other["id"]), "--again", "--reason", "x", "--yes")
        assert path.name in done.output
    finally:
        hidden.rename(emptied / "data/archive" / path.name)
