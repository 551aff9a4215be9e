"""The benchmark works: it measures, and finds what a server must not do. Its figures are judged by nobody here."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.security.sample_pki import KeyType, create_sample_ca
from tests.bench import bare, bars, beside, calls, console_pages, parts, profiling, record, servers
from tests.bench.run import FLASK, HUB, Plan, Run
from tests.conftest import ROOT, cannot_be_had

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
    for text, name in ((page, "last run"), (page, "profile"), (readme, "bench")):
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


@pytest.mark.slow
def test_the_pages_about_messages_are_measured():
    """None is refused, and the lists find something; `./dev bench --pages` has the sizes that count."""
    with console_pages.opened_journal("sqlite", 6_000) as engine:
        browser = console_pages.sign_in(engine, agencies=10)
        measured = {row["page"] for row in console_pages.measure_pages(browser, 6_000, times=1)}
        assert measured == set(console_pages.list_pages(6_000, 0))
        found = set()
        for name, place in console_pages.list_pages(6_000, 0).items():
            browser.get(place)
            found |= {name} if "/messages/0" in browser.page else set()
        assert {"list", "number of a document", "DocumentId", "a unit", "dead"} <= found
