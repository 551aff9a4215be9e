"""`lienthong db upgrade`: rehearsed on a copy, checked before its commit, and with a way back; on both databases."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import Result

from hub.cli.person import name_person
from hub.config import read_config
from hub.domain.model import Event
from hub.journal import event_index, events
from hub.keeping import upgrade
from hub.keeping.backups import lineage
from hub.keeping.backups.witness import Witness
from hub.store import transactions
from tests import homes
from tests.conftest import DATABASES
from tests.sample_migrations import become_next_release

pytestmark = pytest.mark.slow

#: The version of the journal: that of this release. The program is of the next one (`adding`, `removing`).
EARLIER = transactions.read_latest_version()
#: A message as every version of the schema has it.
MESSAGE = """
INSERT INTO message (id, partner, message_id, service, kind, state, received_at, sha256, size)
VALUES ('{}', 'sotttt', 'm{}', 'documents', 'unknown', 'refused', '2026-11-24T08:00:01.000000Z', 'aa', 5)
"""


class Town:
    """The directory of a hub whose journal this release wrote, with one message."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.type = homes.typing(home)
        config = read_config(home / "hub.toml")
        self.url = config.database_url
        engine = transactions.open_journal(self.url, pooled=False)
        transactions.upgrade_schema(engine)
        engine.dispose()
        self.receive(1)

    def receive(self, number: int) -> None:
        """Write a message into it."""
        with self.reading(writes=True) as tx:
            tx.exec_driver_sql(MESSAGE.format(number, number))

    def reading(self, *, writes: bool = False):
        """Open a transaction."""
        engine = transactions.open_journal(self.url, pooled=False)
        return transactions.write_transaction(engine) if writes else transactions.read_transaction(engine)

    @property
    def version(self) -> str | None:
        """Its version."""
        with self.reading() as tx:
            return transactions.select_schema_version(tx)

    @property
    def messages(self) -> int:
        """How many it has."""
        with self.reading() as tx:
            return int(tx.exec_driver_sql("SELECT count(*) FROM message").scalar_one())

    def copies(self, version: str) -> bool:
        """Tell whether a copy of *version* is kept."""
        return upgrade.place_copy(self.url, version).exists()


@pytest.fixture(params=DATABASES)
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A hub's directory on each database."""
    home = homes.begin(tmp_path / "tinh")
    if request.param == "sqlite":
        yield Town(home)
        return
    server = request.getfixturevalue("postgresql")
    with server.database(empty=True) as url:
        plain = url.replace("+psycopg", "")
        config = home / "hub.toml"
        config.write_text(re.sub('^url = "sqlite.*"', f'url = "{plain}"', config.read_text(), flags=re.MULTILINE))
        made = Town(home)
        yield made
        copy = upgrade.place_copy(made.url, EARLIER)
        for name in (copy.name, copy.aside):
            server._do(f'DROP DATABASE IF EXISTS "{name}"')


@pytest.fixture
def adding(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program be of a next release, which only adds."""
    become_next_release(monkeypatch, tmp_path / "next", removes=False)


@pytest.fixture
def removing(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program be of a next release, which removes what older programs need."""
    become_next_release(monkeypatch, tmp_path / "next", removes=True)


def ok(done: Result) -> str:
    """Return what a command said, which must have succeeded."""
    assert done.exit_code == 0, done.output
    return done.output


def test_a_rehearsal_says_how_long_it_takes_and_changes_nothing(town: Town, removing: None) -> None:
    said = ok(town.type("db", "upgrade", "--rehearse"))
    assert "Rehearsed on a copy" in said
    assert "as it was" in said
    assert town.version == EARLIER
    assert not town.copies(EARLIER)


def test_after_an_upgrade_that_removes_something_the_copy_is_the_way_back(town: Town, removing: None) -> None:
    assert "--undo" in ok(town.type("db", "upgrade"))
    assert town.version == transactions.read_latest_version()
    assert town.copies(EARLIER)
    assert f"→ {EARLIER}" in ok(town.type("db", "upgrade", "--undo"))
    assert (town.version, town.messages) == (EARLIER, 1)
    ok(town.type("db", "upgrade"))  # and forward again
    assert (town.version, town.messages) == (transactions.read_latest_version(), 1)


@pytest.mark.parametrize("town", ["sqlite"], indirect=True)
def test_a_way_back_that_was_interrupted_is_gone_again(town: Town, removing: None) -> None:
    ok(town.type("db", "upgrade"))
    copy = upgrade.place_copy(town.url, EARLIER)
    assert isinstance(copy, upgrade.FileCopy)
    Path(copy.aside).hardlink_to(copy.file)  # and then the power went
    assert f"→ {EARLIER}" in ok(town.type("db", "upgrade", "--undo"))
    assert (town.version, town.messages) == (EARLIER, 1)


def test_there_is_no_way_back_over_a_message_that_came_since(town: Town, removing: None) -> None:
    ok(town.type("db", "upgrade"))
    town.receive(2)
    refused = town.type("db", "upgrade", "--undo")
    assert refused.exit_code == 1
    assert "1 messages came since" in refused.output
    assert town.messages == 2


def tell(town: Town, *names: str) -> None:
    with town.reading(writes=True) as tx:
        events.append_events(tx, *(Event(name, datetime.now(UTC), body={}) for name in names))


def test_the_way_back_names_every_deed_that_it_gives_up_and_begins_an_era(town: Town, removing: None) -> None:
    with town.reading(writes=True) as tx:
        tx.exec_driver_sql(
            'INSERT INTO era (number, id, began_at, because, reason, "by", backup, event, hash, complete)'
            " VALUES (1, 'first', '2026-11-24T08:00:00.000000Z', 'made', '', '', '', 0, '', true)"
        )
    ok(town.type("db", "upgrade"))
    tell(town, "month-closed", "partner-changed", "partner-changed", "account-added")
    refused = town.type("db", "upgrade", "--undo")
    assert refused.exit_code == 1
    for deed in ("month-closed (1)", "a partner was changed (2)", "account-added (1)"):
        assert deed in refused.output
    assert town.version == transactions.read_latest_version()
    assert town.copies(EARLIER)
    assert f"→ {EARLIER}" in ok(town.type("db", "upgrade", "--undo", "--yes"))
    with town.reading() as tx:
        rows = tx.exec_driver_sql("SELECT number, because, reason FROM era ORDER BY number").all()
        told = [each for each in tx.exec_driver_sql("SELECT text FROM event").scalars() if "era-begun" in each]
    assert [tuple(row) for row in rows] == [(1, "made", ""), (2, "restored", "db upgrade --undo")]
    assert len(told) == 1


def test_the_era_that_the_node_has_seen_since_the_copy_is_an_earlier_one_of_what_is_put_back(
    town: Town, removing: None
) -> None:
    ok(town.type("db", "upgrade"))
    seen = Witness(read_config(town.home / "hub.toml").witness_folder)
    with town.reading(writes=True) as tx:
        lineage.join_era(tx, seen, datetime.now(UTC))
        events.chain_events(tx)
    with town.reading() as tx:
        lineage.begin_witness(tx, seen, lambda: datetime.now(UTC))
    ok(town.type("db", "upgrade", "--undo"))
    ok(town.type("db", "upgrade"))
    with town.reading() as tx:
        assert lineage.find_put_back(tx, Witness(seen.folder).read_last()) is None, "it starts, on either version"


def test_after_an_upgrade_that_only_adds_the_older_program_is_the_way_back(town: Town, adding: None) -> None:
    assert "older program runs on this version too" in ok(town.type("db", "upgrade"))
    with town.reading() as tx:
        (noted,) = event_index.find_events(tx, event_index.EventFilter(name="journal-upgraded"), 5).found
    said = {"old_version": EARLIER, "new_version": town.version, "rehearsed": True, "copy": "", "by": name_person()}
    assert noted.fields.items() >= said.items()
    assert not town.copies(EARLIER)
    assert town.type("db", "upgrade", "--undo").exit_code == 4


def test_an_upgrade_that_would_lose_a_message_is_not_committed(
    town: Town, removing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate: Callable[[sa.Connection, str], None] = transactions.migrate_schema

    def lose(tx: sa.Connection, target: str = "head") -> None:
        migrate(tx, target)
        tx.exec_driver_sql("DELETE FROM message")

    monkeypatch.setattr(transactions, "migrate_schema", lose)
    for options in ([], ["--no-copy"]):
        refused = town.type("db", "upgrade", *options)
        assert refused.exit_code == 1
        assert "message refused documents: 1 → 0" in refused.output
        assert (town.version, town.messages) == (EARLIER, 1)
        assert not town.copies(EARLIER)


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    refused = homes.typing(homes.begin(tmp_path / "tinh"))("db", "upgrade", "--undo", "--before")
    assert refused.exit_code == 2
