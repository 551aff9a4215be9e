"""A backup made while retention runs passes its trial, and what it has let go of is in an archive file that it names."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred

from hub.config import Config, read_config
from hub.config.upkeep.backup import BackupSettings
from hub.keeping import integrity
from hub.keeping.archive import catalogue, restoring
from hub.keeping.backups import making
from hub.keeping.retention import letting_go, parts
from hub.keeping.retention.parts import PartState
from hub.language.phrases import Phrase, phrase
from hub.security import age_files
from hub.store import transactions
from hub.store.tables import message
from lienthong_demo.run.postgres import find_postgres_programs
from tests import homes
from tests.archive.test_retention_run import announced, make_run, prepared
from tests.province import NOW

pytestmark = pytest.mark.slow


@attrs.define
class Turns:
    """Lets retention go on by one batch each time that it is told to."""

    waiting: list[Deferred[None]] = attrs.field(factory=list)
    taken: int = 0

    def pause(self, _seconds: float) -> Deferred[None]:
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def take(self) -> None:
        if self.waiting:
            self.taken += 1
            self.waiting.pop().callback(None)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Config, BackupSettings]]:
    """A hub on one of the databases, and where its backups are made."""
    config = read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    settings = BackupSettings(
        folder=tmp_path / "kept",
        recipients=(age_files.make_private_key().recipient,),
        every=None,
        at=timedelta(0),
        keep=9,
        configuration=False,
        keys=False,
        programs=None if request.param == "sqlite" else find_postgres_programs(),
    )
    if request.param == "sqlite":
        yield config, settings
        return
    postgresql = request.getfixturevalue("postgresql")
    with postgresql.database() as url, postgresql.database(empty=True) as trial:
        yield attrs.evolve(config, database_url=url), attrs.evolve(settings, trial_url=trial)


def find_lost(tx: transactions.Transaction, folder: Path) -> Iterator[Phrase]:
    """Yield each message that the journal has let go of and that no file has which it names."""
    for name in tx.scalars(sa.select(message.c.id).where(message.c.archive.is_not(None))):
        entry = restoring.find_archive_entry(tx, name)
        assert entry is not None
        with catalogue.open_entry(entry, folder) as archive:
            if not archive.has_message(name):
                yield phrase("{name} is lost", name=name)


def test_a_backup_has_each_message_or_names_the_file_that_has_it(
    place: tuple[Config, BackupSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, settings = place
    folder, turns, find = tmp_path / "archive", Turns(), integrity.find_content_damage
    went: list[int] = []

    def find_more(tx: transactions.Transaction, tell: Callable[[int], None] = lambda _count: None) -> Iterator[Phrase]:
        """Look at the restored copy, as the trial does, and at what it has let go of."""
        yield from find(tx, tell)
        yield from find_lost(tx, folder)
        went.append(tx.scalar(sa.select(sa.func.count(message.c.archive))) or 0)

    monkeypatch.setattr(integrity, "find_content_damage", find_more)
    monkeypatch.setattr(letting_go, "BATCH", 1)
    engine = transactions.open_journal(config.database_url, pooled=False)
    prepared(engine, 4)
    part = announced(engine, folder).number
    run = attrs.evolve(make_run(engine, folder), pause=turns.pause)
    ended: list[object] = []
    _ = Deferred.fromCoroutine(run.carry_out(part)).addBoth(ended.append)
    moments = (NOW + timedelta(minutes=each) for each in count())  # a name of its own for each
    while not ended:
        made = making.make_backup(config, settings, lambda: next(moments), lambda _step, _count: turns.take())
        assert made.record.restored
    assert (0 < went[0] < 4, turns.taken > 3) == (True, True), "it was made meanwhile"
    with transactions.read_transaction(engine) as tx:
        assert parts.read_part(tx, part).state is PartState.GONE, ended
        assert list(integrity.find_chain_damage(tx)) == []
        assert list(find_more(tx)) == []
    assert went[-1] == 4
