"""The page of the versions: of the journal and of each node, the upgrades that were made, the migrations and when they came."""

import json
import re
from datetime import timedelta

import sqlalchemy as sa

from hub.console.keeping import upgrades_page
from hub.domain.model import Event
from hub.journal import event_index, events, nodes
from hub.journal.event_index import EventFilter
from hub.journal.nodes import LIFE, Node, PendingRestart
from hub.keeping import upgrade
from hub.keeping.upgrade import UpgradeStatement
from hub.operations.accounts.permissions import Role
from hub.store import tables, transactions
from tests.console.test_console_access import visit
from tests.console_town import Browser, Town
from tests.effort import run_within
from tests.province import NOW

#: Versions of migrations: the latest is that of the program.
EARLIER, BETWEEN, LATEST = "0050", "0060", transactions.read_latest_version()
SAID = UpgradeStatement(now=NOW, by="an", rehearsed=True, copy="")


def apply(engine: sa.Engine, *versions: str) -> None:
    """Note migrations as applied."""
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.insert(tables.upgrade), [{"version": each, "part": "before"} for each in versions])


def open_page(town: Town) -> Browser:
    town.add("an", role=Role.ENGINEER)
    browser = visit(town, "an")
    assert browser.get("/upgrades").status == 200
    return browser


def row(page: str, name: str) -> str:
    """Return the text of the row that *name* begins."""
    found = re.search(rf'<th role="rowheader" scope="row">{name}.*?</tr>', page, re.DOTALL)
    assert found, page
    return " ".join(re.sub(r"<[^>]*>", " ", found[0]).split())


def write_upgrade(engine: sa.Engine, old: str, new: str, copy: str = "") -> None:
    body = {"old_version": old, "new_version": new, "seconds": 2.5, "rehearsed": True, "copy": copy, "by": "minh"}
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("journal-upgraded", NOW, body=body))


def test_each_node_stands_with_its_version_and_the_journal_with_its_own(town):
    with transactions.write_transaction(town.engine) as tx:
        for name, version, schema, at in (
            ("nut-3", "2026.11.0", "0042", town.now - 2 * LIFE),
            ("nut-1", "2026.12.0", LATEST, town.now),
            ("nut-2", "2026.11.0", "0042", town.now),
        ):
            node = Node(name=name, host="truc", version=version, schema=schema, started_at=town.now)
            nodes.record_heartbeat(
                tx, node, at, PendingRestart(settings=("workers",), since=town.now) if name == "nut-1" else None
            )
    page = open_page(town).page
    assert f"<dd>{LATEST}<span" in page
    assert "2026.12.0" in row(page, "nut-1")
    assert "cần khởi động lại: workers" in row(page, "nut-1")
    assert "0042 cũ hơn nhật ký" in row(page, "nut-2")
    assert "mất tín hiệu" in row(page, "nut-3")
    assert "cũ hơn nhật ký" not in row(page, "nut-1") + row(page, "nut-3")


def test_a_migration_has_the_time_of_the_upgrade_that_applied_it(town, tmp_path):
    apply(town.engine, BETWEEN)
    copy = tmp_path / f"hub.db.before-upgrade-{EARLIER}"
    copy.write_bytes(b"")
    write_upgrade(town.engine, EARLIER, LATEST, str(copy))
    page = open_page(town).page
    at = "24/11/2026 15:00:00"
    assert f"{EARLIER} → {LATEST} 2,5 s trên một bản chép, không mất gì {copy} minh" in row(page, "<time")
    for version, expected in ((LATEST, at), (BETWEEN, at), (EARLIER, "chưa ghi lại")):
        assert row(page, version).endswith(expected), version
    assert f"vẫn còn: {copy}" in page
    copy.unlink()
    assert "vẫn còn:" not in visit_again(town)


def visit_again(town: Town) -> str:
    browser = visit(town, "an")
    browser.get("/upgrades")
    return browser.page


def test_what_waits_for_the_last_older_node_is_named_with_its_command(town, monkeypatch):
    known = tuple((each, "before") for each in (EARLIER, BETWEEN, LATEST))
    monkeypatch.setattr(transactions, "list_migrations", lambda: known)
    with transactions.write_transaction(town.engine) as tx:
        write_version(tx, EARLIER)
    page = open_page(town).page
    assert f"Chưa áp dụng: {BETWEEN}, {LATEST}" in page
    assert "lienthong db upgrade --after" in page


def write_version(tx: transactions.Transaction, version: str) -> None:
    tx.execute(sa.update(sa.table("alembic_version", sa.column("version_num"))).values(version_num=version))


def test_an_upgrade_is_an_event_that_the_page_reads(engine, monkeypatch):
    """What the migrations do to tables is for tests/cli/test_cli_upgrade.py."""
    monkeypatch.setattr(transactions, "migrate_schema", write_version)
    apply(engine, BETWEEN)
    with transactions.write_transaction(engine) as tx:
        write_version(tx, EARLIER)
    upgrade.upgrade_journal(engine, LATEST, commit=False, said=SAID)
    assert read_upgrades(engine) == [], "a rehearsal leaves nothing"
    upgrade.upgrade_journal(engine, LATEST, said=SAID)
    (found,) = read_upgrades(engine)
    assert found.items() >= {"old_version": EARLIER, "new_version": LATEST, "rehearsed": True, "by": "an"}.items()
    with transactions.read_transaction(engine) as tx:
        shown = upgrades_page.read_versions(tx, NOW)
    times = {each.version: shown.find_time(each) for each in shown.applied}
    assert times.pop(EARLIER) is None
    assert set(times.values()) == {"2026-11-24T08:00:00.000000Z"}
    assert shown.applied[0].version == shown.version == shown.needed
    assert shown.pending == []


def test_a_part_on_which_this_program_cannot_run_gets_no_event(engine, monkeypatch):
    """Its tables may lack a column."""
    monkeypatch.setattr(transactions, "migrate_schema", write_version)
    upgrade.upgrade_journal(engine, "0002", said=SAID)
    assert read_upgrades(engine) == []


def read_upgrades(engine: sa.Engine) -> list[dict[str, object]]:
    with transactions.read_transaction(engine) as tx:
        found = event_index.find_events(tx, EventFilter(name="journal-upgraded"), 10).found
    return [json.loads(each.text) for each in found]


def test_the_page_costs_no_tenth_of_a_second_with_many_nodes_and_upgrades(town):
    with transactions.write_transaction(town.engine) as tx:
        for number in range(200):
            started = town.now - timedelta(minutes=number)
            node = Node(name=f"n{number}", host="h", version="1", schema=LATEST, started_at=started)
            nodes.record_heartbeat(tx, node, town.now)
    apply(town.engine, *(f"00{number}" for number in range(10, 40)))
    for _ in range(60):
        write_upgrade(town.engine, EARLIER, LATEST)
    browser = open_page(town)
    run_within(0.1, lambda: browser.get("/upgrades"))
    rows = browser.page.count('role="rowheader"')
    assert rows == upgrades_page.NODES + upgrades_page.UPGRADES + upgrades_page.MIGRATIONS
