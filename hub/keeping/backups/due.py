"""Decides when a backup is due. Pure: knows the schedule, the time and what was made, not how it is made."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from hub.config.upkeep.backup import BackupSettings
from hub.domain.local_time import HANOI
from hub.keeping.backup_runs import BackupOutcome, BackupRun

#: Tries for one time of the schedule, the time between two, and the time after which a running one is given up.
MOST_TRIES, AGAIN, GIVEN_UP = 3, timedelta(hours=1), timedelta(hours=12)
#: The day from which the times of the schedule are counted.
_FIRST = datetime(2026, 1, 1, tzinfo=HANOI)


@attrs.frozen
class DueBackup:
    """A backup that is due now."""

    due: datetime  #: its time in the schedule
    attempt: int


def find_last_slot(every: timedelta, at: timedelta, now: datetime) -> datetime:
    """Return the last time of the schedule up to *now*: *at* past midnight in Hà Nội, and each multiple of *every*."""
    first = _FIRST + at
    return first + (now - first) // every * every


def find_next_try(settings: BackupSettings, now: datetime, runs: Sequence[BackupRun]) -> datetime | None:
    """Return when the schedule begins its next backup, as far as is known *now*; *now* if it is due. None: never.

    *runs* are those of the journal, the one that began last first. A time that passed while no hub ran is made up for
    once. One that failed is tried again an hour later, up to `MOST_TRIES` times. A backup that a person made since then
    serves as well. One that runs is expected to be good.
    """
    if settings.every is None:
        return None
    slot = find_last_slot(settings.every, settings.at, now)
    following = slot + settings.every
    since = [each for each in runs if each.due == slot or each.started_at >= slot]
    if any(each.outcome is BackupOutcome.GOOD for each in since) or find_running(now, runs) is not None:
        return following
    tries = [each for each in since if each.due == slot]
    if not tries:
        return now
    last = max(tries, key=lambda each: each.attempt)
    if last.attempt >= MOST_TRIES:
        return following
    again = (last.ended_at or last.started_at + GIVEN_UP) + AGAIN
    return max(now, min(again, following))


def find_running(now: datetime, runs: Sequence[BackupRun]) -> BackupRun | None:
    """Return the backup that is being made, of *runs*; None if none is. One that has run too long is given up."""
    running = (each for each in runs if each.outcome is BackupOutcome.RUNNING and now - each.started_at < GIVEN_UP)
    return next(running, None)


def decide_backup(settings: BackupSettings, now: datetime, runs: Sequence[BackupRun]) -> DueBackup | None:
    """Return the backup that is due, or None. *runs*: as in `find_next_try`."""
    at = find_next_try(settings, now, runs)
    if settings.every is None or at is None or at > now:
        return None
    slot = find_last_slot(settings.every, settings.at, now)
    return DueBackup(slot, max((each.attempt for each in runs if each.due == slot), default=0) + 1)
