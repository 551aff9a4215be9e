"""Starts the backups that are due, each in a process of its own, one of all nodes at a time.

Which node makes a backup is decided by a row of the journal that only one can write (`hub.keeping.backup_runs`).
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

import hub
from hub.keeping import backup_runs
from hub.keeping.backup_runs import BackupRun
from hub.keeping.backups import due
from hub.keeping.backups.due import DueBackup
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.units.live import Live

log = structlog.get_logger()

#: Octets of what a process says that are kept.
_SAID = 2000


@attrs.define(eq=False)
class BackupSchedule(PeriodicService):
    """Looks every minute whether a backup is due."""

    every = 60.0
    failure = "backup-not-scheduled"

    _journal: Journal
    _live: Live  #: the configuration in force
    _clock: Any  #: the reactor, which starts processes
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _node: str
    #: starts the process of the row with this id; replaced in tests
    _start: "Callable[[str], BackupProcess] | None" = None
    _process: "BackupProcess | None" = attrs.field(default=None, init=False)
    _told: "Deferred[None] | None" = attrs.field(default=None, init=False)  #: fires when the end was written and logged
    #: whether a row that this node has begun may have no end: from before the start, or the journal did not answer
    _unended: bool = attrs.field(default=True, init=False)

    async def work(self) -> None:
        """Start a backup if one is due and none runs here."""
        if self._process is not None:
            return
        if self._unended:  # a process of the schedule ends with its hub, however that ends
            await self._journal.write(backup_runs.fail_ended_runs, self._node, self._now())
            self._unended = False
        settings = self._live.config.backup
        if settings is None:
            return
        runs = await self._journal.read(backup_runs.list_backup_runs, 20)
        found = due.decide_backup(settings, self._now(), runs)
        if found is not None:
            await self._begin(found)

    async def _begin(self, found: DueBackup) -> None:
        self._unended = True
        begun = await self._journal.write(
            backup_runs.begin_backup_run, self._node, self._now(), found.due, found.attempt
        )
        if begun is None or self.stopping:
            return  # another node was faster; or this one stops, and its next start ends the row
        start = self._start or self._spawn
        self._process = start(begun)
        self._told = self._process.gone.addCallback(lambda code: self._tell(begun, code)).addErrback(
            lambda failure: log.error("backup-not-scheduled", exception=failure.getTraceback())
        )
        _ = self._told.addCallback(self._forget)

    def _spawn(self, begun: str) -> "BackupProcess":
        process = BackupProcess()
        process.spawn(self._clock, self._live.config.path, begun)
        return process

    def _tell(self, begun: str, code: int | None) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._report(begun, code))

    def _forget(self, _: object) -> None:
        self._process = None

    async def _report(self, begun: str, code: int | None) -> None:
        """Log what became of the backup. A process that ended without telling the journal has failed."""
        said = self._process.said if self._process is not None else ""
        run = await self._journal.read(_find_run, begun)
        if run is not None and run.outcome is backup_runs.BackupOutcome.RUNNING:
            reason = said or f"its process ended with {code}"
            await self._journal.write(backup_runs.fail_backup_run, begun, self._now(), reason)
            run = attrs.evolve(run, outcome=backup_runs.BackupOutcome.FAILED, reason=reason)
        self._unended = False
        if run is None:
            return
        if run.outcome is backup_runs.BackupOutcome.GOOD:
            log.info("backup-made", file=run.file, octets=run.octets, restored=run.restored)
        else:
            log.error("backup-failed", reason=run.reason or said)

    async def finish(self) -> None:
        """End the process; what it had begun is removed by the next backup."""
        if self._process is not None and self._told is not None:
            self._process.kill()
            await self._told


def _find_run(tx: Any, begun: str) -> BackupRun | None:
    return next((each for each in backup_runs.list_backup_runs(tx) if each.id == begun), None)


class BackupProcess(ProcessProtocol):
    """The process of one backup. `gone` fires with its exit code, None if a signal ended it."""

    transport: IProcessTransport | None

    def __init__(self) -> None:
        self.gone: Deferred[int | None] = Deferred()
        self.ended = False
        self.said = ""

    def spawn(self, reactor: Any, config: Path, begun: str) -> None:
        """Start the process."""
        place = str(Path(hub.__file__).parent.parent)
        paths = os.pathsep.join(filter(None, [place, os.environ.get("PYTHONPATH", "")]))
        words = [sys.executable, "-m", "hub.cli.db.scheduled_backup", str(config), begun]
        reactor.spawnProcess(self, sys.executable, words, env=os.environ | {"PYTHONPATH": paths})

    def errReceived(self, data: bytes) -> None:
        """Keep the last of what it says."""
        self.said = (self.said + data.decode("utf-8", "replace"))[-_SAID:].strip()

    def processEnded(self, reason: Failure) -> None:
        """Tell that it has ended."""
        self.ended = True
        code = 0 if reason.check(ProcessDone) else getattr(reason.value, "exitCode", None)
        self.gone.callback(code)

    def kill(self) -> None:
        """End the process, if it runs."""
        if not self.ended and self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")
