"""When a backup is due, which node makes it, and how old the last good one is."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from hub.config.upkeep.backup import BackupSettings
from hub.domain.errors import Unready
from hub.domain.ids import make_id
from hub.keeping import backup_runs
from hub.keeping.backup_runs import BackupOutcome, BackupRun
from hub.keeping.backups import due
from hub.keeping.backups.due import DueBackup
from hub.keeping.backups.schedule import BackupProcess, BackupSchedule
from hub.security import age_files
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests import homes

DAY = timedelta(days=1)
#: One o'clock in the night in Hà Nội.
NIGHT = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)


def settings(**changed: Any) -> BackupSettings:
    values: dict[str, Any] = {
        "folder": Path("/nowhere"),
        "recipients": (),
        "every": DAY,
        "at": timedelta(hours=1),
        "keep": 14,
        "configuration": True,
        "keys": False,
    }
    return BackupSettings(**values | changed)


def run(outcome: BackupOutcome, began: datetime, slot: datetime | None = None, attempt: int = 1) -> BackupRun:
    ended = None if outcome is BackupOutcome.RUNNING else began + timedelta(minutes=5)
    return BackupRun(
        id=make_id(began), due=slot, attempt=attempt, node="n", started_at=began, ended_at=ended, outcome=outcome,
        made_at=began, file="f", octets=1, number=1, restored=True, reason=None,
    )  # fmt: skip


GOOD, FAILED, RUNNING = BackupOutcome.GOOD, BackupOutcome.FAILED, BackupOutcome.RUNNING
HOUR = timedelta(hours=1)


def test_a_day_has_its_hour_in_ha_noi_and_shorter_times_are_counted_from_it() -> None:
    at = timedelta(hours=1)
    assert due.find_last_slot(DAY, at, NIGHT) == NIGHT
    assert due.find_last_slot(DAY, at, NIGHT - timedelta(seconds=1)) == NIGHT - DAY
    assert due.find_last_slot(6 * HOUR, at, NIGHT + 13 * HOUR) == NIGHT + 12 * HOUR


@pytest.mark.parametrize(
    ("now", "runs", "expected"),
    [
        (NIGHT, [], (NIGHT, 1)),
        (NIGHT + 9 * HOUR, [run(GOOD, NIGHT - DAY, NIGHT - DAY)], (NIGHT, 1)),  # the hub was stopped in the night
        (NIGHT + HOUR, [run(GOOD, NIGHT, NIGHT)], None),
        (NIGHT + 2 * HOUR, [run(GOOD, NIGHT + HOUR)], None),  # a person made one since
        (NIGHT + 2 * HOUR, [run(RUNNING, NIGHT, NIGHT)], None),
        (NIGHT + HOUR, [run(FAILED, NIGHT, NIGHT)], None),
        (NIGHT + 2 * HOUR, [run(FAILED, NIGHT, NIGHT)], (NIGHT, 2)),
        (NIGHT + 5 * HOUR, [run(FAILED, NIGHT + 2 * HOUR, NIGHT, 2), run(FAILED, NIGHT, NIGHT)], (NIGHT, 3)),
        (NIGHT + 9 * HOUR, [run(FAILED, NIGHT + 4 * HOUR, NIGHT, 3), run(FAILED, NIGHT, NIGHT)], None),
        (NIGHT + 14 * HOUR, [run(RUNNING, NIGHT, NIGHT)], (NIGHT, 2)),  # its node is lost
        (NIGHT + DAY, [run(FAILED, NIGHT + 4 * HOUR, NIGHT, 3)], (NIGHT + DAY, 1)),
        (NIGHT + HOUR, [run(RUNNING, NIGHT - HOUR, NIGHT - DAY)], None),  # the one before takes that long
    ],
)
def test_what_is_due(now: datetime, runs: list[BackupRun], expected: tuple[datetime, int] | None) -> None:
    assert due.decide_backup(settings(), now, runs) == (expected and DueBackup(*expected))
    assert due.decide_backup(settings(every=None), now, runs) is None


def test_one_node_makes_it_and_the_age_is_that_of_the_moment_of_its_journal(engine: sa.Engine) -> None:
    with transactions.write_transaction(engine) as tx:
        assert backup_runs.read_backup_standing(tx).last_good is None
        first = backup_runs.begin_backup_run(tx, "a", NIGHT, NIGHT)
        assert first is not None
        assert backup_runs.begin_backup_run(tx, "b", NIGHT, NIGHT) is None, "another node has begun it"
        backup_runs.end_backup_run(tx, first, NIGHT + HOUR, made_at=NIGHT, file="f", octets=7, number=3, restored=True)
        second = backup_runs.begin_backup_run(tx, "b", NIGHT + DAY, NIGHT + DAY)
        assert second is not None
        assert backup_runs.read_backup_standing(tx).failure is None, "it runs"
        backup_runs.fail_backup_run(tx, second, NIGHT + DAY, "no room")
        standing = backup_runs.read_backup_standing(tx)
    assert standing.last_good is not None
    assert standing.last_good.made_at == NIGHT
    assert standing.failure is not None
    assert standing.failure.reason == "no room"


def test_the_table_is_bounded_and_keeps_the_last_good_one(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_runs, "MOST_KEPT", 3)
    with transactions.write_transaction(engine) as tx:
        for number in range(6):
            at = NIGHT + number * DAY
            begun = backup_runs.begin_backup_run(tx, "a", at, at)
            assert begun is not None
            if number == 0:
                backup_runs.end_backup_run(tx, begun, at, made_at=at, file="f", octets=7, number=3, restored=True)
            else:
                backup_runs.fail_backup_run(tx, begun, at, "no room")
        assert len(backup_runs.list_backup_runs(tx, 100)) == 4
        good = backup_runs.read_backup_standing(tx).last_good
    assert good is not None
    assert good.made_at == NIGHT


@attrs.define
class Night:
    """A hub's schedule, without its processes."""

    engine: sa.Engine
    clock: Clock = attrs.field(factory=Clock)
    now: datetime = NIGHT
    started: list[tuple[str, BackupProcess]] = attrs.field(factory=list)
    journal: Any = None

    def service(self, node: str = "a") -> BackupSchedule:
        live: Any = SimpleNamespace(config=SimpleNamespace(backup=settings()))

        def start(begun: str) -> BackupProcess:
            process = BackupProcess()
            self.started.append((begun, process))
            return process

        made = BackupSchedule(
            self.journal or InlineDatabase(self.engine), live, self.clock, lambda: self.now, node, start
        )
        made.startService()
        return made

    def runs(self) -> list[tuple[BackupOutcome, str | None]]:
        with transactions.read_transaction(self.engine) as tx:
            return [(each.outcome, each.reason) for each in backup_runs.list_backup_runs(tx)]


def end(process: BackupProcess, code: int) -> None:
    process.processEnded(Failure(ProcessTerminated(exitCode=code)))


def test_two_nodes_make_one_backup_and_a_process_that_dies_has_failed(engine: sa.Engine) -> None:
    night = Night(engine)
    nodes = [night.service("a"), night.service("b")]
    night.clock.advance(60)
    ((_, process),) = night.started
    process.errReceived(b"killed by nobody")
    end(process, 9)
    assert night.runs() == [(FAILED, "killed by nobody")]
    night.now += 2 * HOUR
    night.clock.advance(60)
    assert len(night.started) == 2, "it is tried again, by one of them"
    for each in nodes:
        _ = each.stopService()


def test_what_a_node_had_begun_before_it_was_killed_has_failed_at_its_start(engine: sa.Engine) -> None:
    with transactions.write_transaction(engine) as tx:
        backup_runs.begin_backup_run(tx, "a", NIGHT, NIGHT)
    night = Night(engine, now=NIGHT + 5 * HOUR)
    service = night.service("a")
    assert night.runs() == [(FAILED, "the hub ended meanwhile, or the journal did not answer")]
    _ = service.stopService()


class DeafJournal(InlineDatabase):
    """A journal that does not answer while it is `away`; and one step is committed, and it does not say so."""

    away, lost = False, None

    def write(self, step: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        if self.away:
            return gone()
        done = super().write(step, *args, **kwargs)
        if step is not self.lost:
            return done
        self.lost = None
        return gone()

    def read(self, step: Any, *args: Any, **kwargs: Any) -> Deferred[Any]:
        return gone() if self.away else super().read(step, *args, **kwargs)


def gone() -> Deferred[Any]:
    return fail(Unready("journal-unavailable", "x"))


def test_a_backup_that_the_journal_began_and_did_not_say_so_is_tried_again(engine: sa.Engine) -> None:
    journal: Any = DeafJournal(engine)
    journal.lost = backup_runs.begin_backup_run
    night = Night(engine, journal=journal)
    service = night.service("a")
    assert night.runs() == [(BackupOutcome.RUNNING, None)]
    night.clock.advance(60)
    assert [outcome for outcome, _ in night.runs()] == [FAILED]
    night.now += 2 * HOUR
    night.clock.advance(60)
    assert len(night.started) == 1
    _ = service.stopService()


def test_a_backup_whose_end_the_journal_did_not_hear_keeps_no_other_away(engine: sa.Engine) -> None:
    """A row without an end would do so for twelve hours."""
    journal: Any = DeafJournal(engine)
    night = Night(engine, journal=journal)
    service = night.service("a")
    ((_, process),) = night.started
    journal.away = True
    end(process, 9)
    assert night.runs() == [(BackupOutcome.RUNNING, None)]
    journal.away = False
    night.clock.advance(60)
    assert [outcome for outcome, _ in night.runs()] == [FAILED]
    night.now += 2 * HOUR
    night.clock.advance(60)
    assert len(night.started) == 2
    _ = service.stopService()


@pytest.mark.slow
def test_the_process_of_the_schedule_makes_a_backup_that_the_journal_knows(tmp_path: Path) -> None:
    home = homes.begin(tmp_path / "tinh")
    key, hub = age_files.make_private_key(), home / "hub.toml"
    hub.write_text(
        f'{hub.read_text("utf-8")}\n[backup]\nfolder = "../kept"\nrecipients = ["{key.recipient.text}"]\n', "utf-8"
    )
    engine = homes.engine_of(home)
    with transactions.write_transaction(engine) as tx:
        begun = backup_runs.begin_backup_run(tx, "a", NIGHT, NIGHT)
    assert begun is not None
    told: dict[str, Any] = {}
    spawner = SimpleNamespace(spawnProcess=lambda _protocol, _path, words, env: told.update(words=words, env=env))
    BackupProcess().spawn(spawner, hub, begun)
    ended = subprocess.run(told["words"], env=told["env"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    with transactions.read_transaction(engine) as tx:
        standing = backup_runs.read_backup_standing(tx)
    assert standing.last_good is not None
    assert (tmp_path / "kept" / str(standing.last_good.file)).exists()
