"""Somebody edits the database behind the hub's back: what `report`, `report close` and `db verify` say."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing as closing_of
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.model import Fact
from hub.journal import blobs
from hub.store import transactions
from hub.store.tables import message
from hub.workload import attestations
from tests import homes
from tests.cli.test_cli_closing import LAST
from tests.journal.test_attestations import recorded

Type = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub with a closed month, which was started once."""
    home = homes.begin(tmp_path / "tinh")
    config = read_config(home / "hub.toml")
    engine = transactions.open_journal(config.database_url, pooled=False)
    with transactions.write_transaction(engine) as tx:
        attestations.begin_attestations(tx, config.identity, datetime.now(UTC))
        for key in ("1", "2"):
            said = {"unit": "H55.13", "service": "dossiers", "milestone": "received", "day": LAST.first}
            recorded(tx, Fact(key=key, at=LAST.start, message=f"m{key}", **said))  # type: ignore[arg-type]
            sha256 = hashlib.sha256(key.encode()).hexdigest()
            blobs.keep_blob(tx, sha256, key.encode())
            tx.execute(sa.update(message).where(message.c.id == f"m{key}").values(sha256=sha256))
    engine.dispose()
    return home


@pytest.fixture
def typed(home: Path) -> Type:
    def run(*words: object, lang: str = "en_US.UTF-8") -> Result:
        return CliRunner(env={"LANG": lang}).invoke(lienthong, ["-c", str(home / "hub.toml"), *map(str, words)])

    assert run("report", "close", LAST.text, "--form", "dossiers").exit_code == 0
    assert run("db", "verify", "--facts").exit_code == 0
    return run


def edit(home: Path, *statements: str) -> None:
    with closing_of(sqlite3.connect(home / "data/hub.db")) as journal, journal:
        for statement in statements:
            journal.execute(statement)


FIGURE = """UPDATE closed_row SET numbers = replace(numbers, '"received_unstated":2', '"received_unstated":0')"""


def test_an_edited_figure_is_never_sealed_and_the_refusal_says_which(home: Path, typed: Type):
    edit(home, FIGURE)
    for kind in ("xml", "csv", "pdf", "xlsx"):
        refused = typed("report", "H55.13", LAST.text, "--form", "dossiers", "--format", kind, "-o", home / "x")
        assert (refused.exit_code, (home / "x").exists()) == (1, False), refused.output
        assert "closing-tampered" in refused.stderr
        assert f"dossiers {LAST.text} H55.13 row" in refused.stderr
    said = json.loads(typed("report", "H55.13", LAST.text, "--form", "dossiers", "--format", "json").stdout)
    (found,) = said["closing"]["tampered"]
    assert [(cell["was"], cell["now"]) for cell in found["cells"] if cell["column"] == "received_unstated"] == [(2, 0)]
    refused = typed("report", "submit", "H55.13", LAST.text, "--form", "dossiers", "--to", "vpub")
    assert refused.exit_code != 0
    published = typed("report", "publish", "H55.13", LAST.text, "--form", "dossiers", "--reason", "x")
    assert "closing-tampered" in published.stderr


def test_closing_again_restores_it_and_is_no_second_edition(home: Path, typed: Type):
    before = typed("report", "H55.13", LAST.text, "--form", "dossiers", "--format", "csv").stdout
    edit(home, FIGURE)
    told = typed("report", "close", LAST.text, "--form", "dossiers")
    assert told.exit_code == 0, told.output
    assert "closed as 2, found 0" in told.stderr
    assert "1 edits were undone" in told.stderr
    assert "0 rows revised" in told.stdout
    assert typed("report", "H55.13", LAST.text, "--form", "dossiers", "--format", "csv").stdout == before
    assert typed("db", "verify").exit_code == 0
    vietnamese = typed("report", "close", LAST.text, "--form", "dossiers", lang="vi_VN.UTF-8")
    assert vietnamese.exit_code == 0


def test_a_planted_fact_stops_the_revision_and_verify_names_it(home: Path, typed: Type):
    planted = (
        "SELECT unit, service, 'x', milestone, at, message, counterpart, outside, document_type, paper, signature, due"
    )
    edit(home, f"INSERT INTO fact {planted}, day, amount, attributes FROM fact WHERE key = '1'")
    refused = typed("report", "close", LAST.text, "--form", "dossiers")
    assert refused.exit_code == 1
    assert "1 facts are not as their events recorded them, such as x" in refused.stderr
    named = typed("--json", "db", "verify", "--facts")
    assert named.exit_code == 1
    rows = [json.loads(line) for line in named.stdout.splitlines()]
    assert [(row["kind"], row["key"], row["fault"]) for row in rows] == [("fact", "x", "planted")]


def test_verify_names_every_cell_and_the_cut_end_of_the_chain(home: Path, typed: Type):
    edit(home, FIGURE, "UPDATE closing SET closed_by = 'x'")
    rows = [json.loads(line) for line in typed("--json", "db", "verify").stdout.splitlines()]
    assert [(row["part"], row["unit"]) for row in rows if row["kind"] == "edited"] == [
        ("closing", ""),
        ("row", "H55.13"),
    ]
    edit(home, "UPDATE content SET octets = 'text' WHERE rowid = (SELECT min(rowid) FROM content)")
    assert typed("db", "verify").exit_code == 1


def test_a_comparison_of_all_facts_goes_on_where_it_was_interrupted(
    home: Path, typed: Type, monkeypatch: pytest.MonkeyPatch
):
    from hub.keeping import fact_audit

    compare, calls = fact_audit.compare_facts, []

    def once(*words: object) -> fact_audit.FactStep:
        calls.append(words)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return compare(words[0], words[1], 1)  # type: ignore[arg-type]

    monkeypatch.setattr(fact_audit, "compare_facts", once)
    stopped = typed("db", "verify", "--facts")
    monkeypatch.undo()
    command = stopped.stderr.split("Go on with: lienthong ")[1].split()
    assert command[:4] == ["db", "verify", "--facts", "--after"]
    edit(home, "UPDATE fact SET amount = 9 WHERE key = '1'")
    assert typed(*command[:5]).exit_code == 0, "it lies before that place"
    edit(home, "UPDATE fact SET amount = 9 WHERE key = '2'")
    assert typed(*command[:5]).exit_code == 1
