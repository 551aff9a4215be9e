"""The benchmark works: it measures, and finds what a server must not do. Its figures are judged by nobody here."""

import re
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.journal.searching import search_index
from hub.security.sample_pki import KeyType, create_sample_ca
from hub.store import transactions
from hub.store.tables import attempt, message, search_posting
from tests.bench import bare, bars, beside, calls, console_pages, parts, profiling, province_journal, record, servers
from tests.bench.run import FLASK, HUB, Plan, Run
from tests.conftest import ROOT, cannot_be_had
from tests.databases import sqlite

SHORT = Plan(rounds=1, busy=0.2, most=100, warm=64, short=True)


@pytest.mark.slow
@pytest.mark.processes
def test_the_short_form_measures_the_hub_beside_a_peer_and_the_limit(tmp_path):
    """Inside, it sees that a changed body is refused by all, that rows equal receipts, and that the hub signed its answers."""
    try:
        load = parts.compile_program("load", tmp_path, "libssl", "libcrypto")
        parts.install_python_peers()
    except parts.Missing as missing:
        cannot_be_had("a part of the benchmark", str(missing))
    said: list[str] = []
    run = Run(tmp_path, SHORT, load, said.append)
    beside.measure(run)
    text = "\n".join(said)
    assert re.search(r"calibration: RSA-2048 signature \d+ us", text)
    assert re.search(rf"{re.escape(HUB)} +\d+ +\d+ to \d+ +\d+", text), text
    assert re.search(rf"{re.escape(FLASK)} +\d+ +\d+ to \d+ +\d+", text), text
    assert re.search(r"one process : Flask \+ signxml +\d+\.\d\d", text), text


def test_the_peers_packages_are_locked_by_their_hashes():
    lock = parts.LOCK.read_text()
    pieces = re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE)[1:]
    assert [piece for piece in pieces if "--hash=sha256:" not in piece] == []
    named = {piece.partition("==")[0] for piece in pieces}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["bench"]
    assert {re.split(r"[^\w-]", each)[0] for each in wanted} <= named


def test_a_part_that_is_not_here_is_named_with_its_package(monkeypatch):
    monkeypatch.setenv("PATH", str(Path("/nowhere")))
    with pytest.raises(parts.Missing, match="no gcc, pkg-config: install gcc"):
        parts.compile_program("load", Path(), "libssl")


def test_a_sample_belongs_to_the_innermost_frame_that_says_something():
    """A library in C is itself; the kernel and the C library belong to who called them; who waits is not counted."""
    stacks = [
        "run (twistd:8);_write (hub/store/hot_statements.py:9);execute (_sqlite3.cpython.so);pwrite64 (libc.so.6) 3",
        "run (twistd:8);judge (hub/intake/admission.py:85);parse (lxml/etree.cpython-313.so) 4",
        "run (twistd:8);_send (twisted/internet/tcp.py:9);0x1f (?);send (libc.so.6) 2",
        "run (twistd:8);__init__ (<attrs generated methods hub.domain.model.Packet>:3) 1",
        "run (twistd:8);take (hub/domain/fair_queue.py:3);pthread_cond_timedwait (libc.so.6);0x1 (libc.so.6) 90",
    ]
    found = profiling.read_samples("\n".join(stacks))
    assert found == {"lxml": 0.4, "sqlite3": 0.3, "twisted": 0.2, "hub.domain": 0.1}


def test_a_bar_says_whether_it_is_reached():
    texts = bars.describe_bars({"rate:flask": 2.0, "cpu:limit": 5.1})
    rows = {bar.key: text for bar, text in zip(bars.BARS, texts, strict=True)}
    assert "2.00  reached" in rows["rate:flask"]
    assert "5.10  missed" in rows["cpu:limit"]
    assert "not measured" in rows["workbook"]


def test_a_changed_body_differs_in_one_letter():
    call = b"<a><Packet>" + b"A" * 100 + b"</Packet></a>"
    changed = calls.change_body(call)
    assert sum(was != now for was, now in zip(call, changed, strict=True)) == 1


def test_a_run_is_kept_in_the_pages_where_their_marks_are():
    page, readme = record.PAGE.read_text("utf-8"), record.README.read_text("utf-8")
    assert "| a row |\n<!-- rows end -->" in record.append_row(page, "| a row |")
    for text, name in (
        (page, "last run"),
        (page, "profile"),
        (page, "pages sqlite"),
        (page, "pages postgresql"),
        (readme, "bench"),
    ):
        changed = record.replace_between(text, name, ["new"])
        assert f"<!-- {name} -->\nnew\n<!-- /{name} -->" in changed
        assert record.replace_between(changed, name, ["new"]) == changed
    (header,) = (line for line in page.splitlines() if line.startswith("| day |"))
    assert header.count("|") == 6 + len(record.KEYS) + 1


def test_the_checks_in_python_take_what_holds_and_nothing_else(tmp_path):
    ca = create_sample_ca(datetime.now(UTC))
    key, certificate = ca.issue("sotttt", datetime.now(UTC), KeyType.EC_P256)
    files = (tmp_path / "key", tmp_path / "certificate")
    files[0].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "ca").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    checks = bare.Checks(tmp_path / "ca", servers.DOCUMENTS, servers.PACKETS)
    first, second = calls.sign_calls("x", 2, 4096, [files])
    assert [checks.judge(each) for each in (first, first, calls.change_body(second), second)] == [
        True,
        False,
        False,
        True,
    ]


@pytest.fixture
def few_others(monkeypatch):
    """Let a journal have few agencies and few events without a message."""
    for name in ("AGENCIES", "OTHERS"):
        monkeypatch.setattr(province_journal, name, 200)


@pytest.mark.slow
def test_the_pages_about_messages_are_measured(few_others):
    """None is refused, and the lists find something; `./dev bench --pages` has the sizes that count."""
    with console_pages.opened_journal("sqlite", 6_000) as engine:
        browser = console_pages.sign_in(engine, 6_000)
        measured = {row["page"] for row in console_pages.measure_pages(browser, 6_000, times=1)}
        pages = console_pages.list_pages(6_000, 0)
        assert measured == set(pages)
        empty = set()
        for name, place in pages.items():
            if place.startswith("/messages?") or place == "/messages":
                browser.get(place)
                empty |= set() if "/messages/0" in browser.page else {name}
    # what is rare is not in a journal of three hours
    rare = {
        "number of a document",
        "number, of a unit",
        "no such words",
        "two rare words",
        "words that hardly ever meet",
    }
    assert empty <= {f"box: {name}" for name in rare} | {"a day", "a day, of a unit", "dossiers of a unit, dead"}


def test_a_filled_journal_has_the_terms_that_the_indexer_writes(tmp_path):
    engine = transactions.open_journal(sqlite(tmp_path / "hub.db"))
    province_journal.fill(engine, 2_500)
    columns = (message.c.id, message.c.code, message.c.subject, message.c.refusal, message.c.sha256)
    with transactions.read_transaction(engine) as tx:
        wanted = search_index.collect_rows(tx.execute(sa.select(*columns)))
        answers = [(row.message, row.detail) for row in tx.execute(sa.select(attempt.c.message, attempt.c.detail))]
        for key, lows in search_index.collect_answers(answers).items():
            wanted.setdefault(key, set()).update(lows)
        found: dict[tuple[str, int], set[int]] = {}
        for row in tx.execute(sa.select(search_posting)):
            found.setdefault((row.term, row.bucket), set()).update(memoryview(row.moments).cast("I"))
    engine.dispose()
    assert len(wanted) > 3_000
    assert found == wanted


def test_a_kept_journal_is_filled_once_and_has_one_size(tmp_path, few_others):
    said: list[str] = []
    for _ in range(2):
        with console_pages.opened_journal("sqlite", 500, tmp_path / "kept", said.append) as engine:
            assert console_pages.measure_octets(engine) > 100_000
    assert sum("filled" in each for each in said) == 1
    with (
        pytest.raises(SystemExit, match="has 500 messages, not 600"),
        console_pages.opened_journal("sqlite", 600, tmp_path / "kept"),
    ):
        pass


def test_a_journal_is_not_filled_where_it_does_not_fit(tmp_path, monkeypatch):
    with (
        pytest.raises(SystemExit, match="more than 20 GB"),
        console_pages.opened_journal("postgresql", 20_000_000, tmp_path / "kept"),
    ):
        pass
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(SystemExit, match="free disk"), console_pages.opened_journal("sqlite", 500, tmp_path / "kept"):
        pass
    (tmp_path / "kept" / "letter").touch()
    with pytest.raises(SystemExit, match="not empty"), console_pages.opened_journal("sqlite", 500, tmp_path / "kept"):
        pass
