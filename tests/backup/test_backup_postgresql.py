"""Backups of a hub on PostgreSQL: of one snapshot, restored on trial in a database of their own, restored into an empty one."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from hub.config import Config, read_config
from hub.config.upkeep.backup import BackupSettings
from hub.journal import events, messages
from hub.keeping.backups import making, restoring, shelf, trial
from hub.keeping.backups.journal_copy import NOWHERE, place_postgresql, place_trial
from hub.keeping.backups.making import MadeBackup
from hub.keeping.backups.package import BackupUnfit
from hub.keeping.backups.postgresql import PostgresqlPlace, read_dump
from hub.keeping.backups.restoring import RestoreStatement
from hub.keeping.backups.witness import Witness
from hub.security import age_files
from hub.security.age_files import PrivateKey
from hub.store import transactions
from lienthong_demo.run.postgres import find_postgres_programs
from tests import homes
from tests.databases import Postgresql
from tests.province import NOW, ROUTES, document, entry


@attrs.frozen
class Office:
    """A hub on PostgreSQL with a database for trials, and the private key of its backups."""

    config: Config
    settings: BackupSettings
    key: PrivateKey

    def record(self, *numbers: int) -> None:
        with transactions.write_transaction(self.engine()) as tx:
            for number in numbers:
                messages.record_message(tx, entry(document(document_id=f"D{number}"), number), ROUTES)
            events.chain_events(tx)

    def engine(self, url: str | None = None) -> sa.Engine:
        return transactions.open_journal(url or self.config.database_url, pooled=False)

    def back_up(self, **changed: object) -> MadeBackup:
        return making.make_backup(self.config, attrs.evolve(self.settings, **changed), lambda: NOW)  # type: ignore[arg-type]

    def trial(self) -> PostgresqlPlace:
        return place_trial(self.config, self.settings)

    def messages(self, url: str) -> set[str]:
        with transactions.read_transaction(self.engine(url)) as tx:
            return set(tx.exec_driver_sql("SELECT message_id FROM message").scalars())

    def tables(self, url: str) -> set[str]:
        return set(sa.inspect(self.engine(url)).get_table_names())


@pytest.fixture(scope="module")
def tried(postgresql: Postgresql) -> Iterator[str]:
    """The URL of the database for trials."""
    with postgresql.database(empty=True) as url:
        yield url


@pytest.fixture
def office(postgresql: Postgresql, tried: str, tmp_path: Path) -> Iterator[Office]:
    config = read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    key = age_files.make_private_key()
    with postgresql.database() as url:
        settings = BackupSettings(
            folder=tmp_path / "kept",
            recipients=(key.recipient,),
            every=None,
            at=timedelta(0),
            keep=3,
            configuration=True,
            keys=False,
            trial_url=tried,
            programs=find_postgres_programs(),
        )
        made = Office(attrs.evolve(config, database_url=url), settings, key)
        made.record(1, 2, 3)
        yield made


def test_a_backup_is_restored_on_trial_and_the_trial_leaves_nothing(office: Office) -> None:
    made = office.back_up()
    assert made.record.restored
    assert made.record.manifest.messages == 3
    assert office.tables(str(office.settings.trial_url)) == {"lienthong_trial"}
    (again,) = shelf.list_backups(office.settings.folder)
    assert again == made.record


def test_it_is_of_one_snapshot_although_messages_come_in_meanwhile(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = PostgresqlPlace.dump

    def late(self: PostgresqlPlace, snapshot: str, *rest: object) -> None:
        thread = threading.Thread(target=office.record, args=(4, 5))
        thread.start()
        thread.join()
        dump(self, snapshot, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PostgresqlPlace, "dump", late)
    assert office.back_up().record.manifest.messages == 3
    assert office.messages(office.config.database_url) == {"m1", "m2", "m3", "m4", "m5"}


@pytest.fixture
def spare(postgresql: Postgresql) -> Iterator[str]:
    """The URL of an empty database."""
    with postgresql.database(empty=True) as url:
        yield url


def test_it_is_restored_into_an_empty_database_only(office: Office, spare: str, tmp_path: Path) -> None:
    file = office.back_up().record.file
    office.record(4)
    signers = [office.config.identity.certificate]

    said = RestoreStatement(reason="", by="me", now=NOW, witness=Witness(tmp_path / "witness"))

    def restore(url: str) -> restoring.RestoredJournal:
        place = attrs.evolve(place_postgresql(office.config, office.settings), url=url)
        return restoring.restore_postgresql_journal(file, [office.key], signers, place, office.config.data, said)

    with pytest.raises(BackupUnfit, match="not empty"):
        restore(office.config.database_url)
    assert office.messages(office.config.database_url) == {"m1", "m2", "m3", "m4"}
    assert restore(spare).manifest.messages == 3
    assert office.messages(spare) == {"m1", "m2", "m3"}
    with transactions.write_transaction(office.engine(spare)) as tx:  # the sequences go on where they were
        messages.record_message(tx, entry(document(document_id="D9"), 9), ROUTES)
        assert events.chain_events(tx) > 0


def test_damage_is_found_by_the_trial(office: Office) -> None:
    with transactions.write_transaction(office.engine()) as tx:
        tx.exec_driver_sql("UPDATE event SET text = text || ' ' WHERE number = 2")
    with pytest.raises(BackupUnfit, match="event 2"):
        office.back_up()
    assert shelf.list_backups(office.settings.folder) == []
    assert office.tables(str(office.settings.trial_url)) == {"lienthong_trial"}


def test_a_database_that_is_in_use_is_never_taken_for_trials(office: Office) -> None:
    with pytest.raises(BackupUnfit, match="no database for trials"):
        office.back_up(trial_url=office.config.database_url)
    assert office.messages(office.config.database_url) == {"m1", "m2", "m3"}


def test_what_a_killed_trial_left_is_removed_by_the_next(office: Office, tmp_path: Path) -> None:
    office.trial().prepare_trial()
    with transactions.write_transaction(office.engine(str(office.settings.trial_url))) as tx:
        tx.exec_driver_sql("CREATE TABLE message (id text)")
        tx.exec_driver_sql("CREATE FUNCTION left_over() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert office.back_up().record.restored


def test_without_a_database_for_trials_the_dump_is_read_whole_and_the_record_says_so(
    office: Office, tmp_path: Path
) -> None:
    made = office.back_up(trial_url=None)
    assert not made.record.restored
    work = tmp_path / "work"
    work.mkdir()
    place = attrs.evolve(NOWHERE, programs=office.settings.programs)
    tried = trial.try_backup(
        made.record.file, [office.key], [office.config.identity.certificate], work, place, lambda *_: None
    )
    assert not tried.restored
    tried.journal.write_bytes(tried.journal.read_bytes()[:-2000])
    with pytest.raises(BackupUnfit, match="pg_restore"):
        read_dump(tried.journal, office.settings.programs)
