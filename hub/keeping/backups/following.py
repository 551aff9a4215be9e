"""Lets the node's witness follow the journal, and sees while the hub runs that the journal was put back or replaced."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.domain.errors import Unready
from hub.domain.model import Detail
from hub.keeping import backup_runs, eras
from hub.keeping.backup_runs import BackupOutcome
from hub.keeping.backups import claims, lineage
from hub.keeping.backups.receipts_first import ReceiptsFirst
from hub.keeping.backups.witness import Witness, WitnessLine
from hub.keeping.eras import WitnessedEvents
from hub.language.phrases import Phrase, phrase
from hub.runtime.periodic import PeriodicService
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

log = structlog.get_logger()

#: Events that are read at once, and lost receipts that are counted at most.
_AT_ONCE, MOST_COUNTED = 2000, 10_000
#: Seconds between two counts of what is awaited, and of two removals of what backups have.
_COUNTED = 60.0
#: Time after which the witness says anew until when it has all, though nothing happened.
_SAID_AGAIN = timedelta(minutes=1)


def end_process() -> None:
    """End this process in order, as an operator does. systemd does not start it again: it was no failure."""
    os.kill(os.getpid(), signal.SIGTERM)


@attrs.define(eq=False)
class WitnessFollower(PeriodicService):
    """Appends to the witness every second what was numbered since."""

    every = 1.0
    failure = "witness-not-written"

    _journal: Journal
    _live: Live
    _clock: IReactorTime
    _now: Callable[[], datetime]
    _witness: Witness
    _node: str
    _end: Callable[[], None]  #: ends the hub in order
    _first: ReceiptsFirst | None = None  #: None: receipts leave before the witness has them
    #: what shows that the journal was put back while the node ran; None: nothing does
    put_back: Phrase | None = attrs.field(default=None, init=False)
    #: lost receipts that have not come again, up to `MOST_COUNTED`; None: they were not counted yet
    awaited: int | None = attrs.field(default=None, init=False)
    _compared: bool = attrs.field(default=False, init=False)  #: whether the journal was compared with the witness
    _taken_up: bool = attrs.field(default=False, init=False)
    _counted: float = attrs.field(default=float("-inf"), init=False)
    _failed: bool = attrs.field(default=False, init=False)
    _unclaimed: bool = attrs.field(default=False, init=False)
    #: what shows that another hub has replaced this one; None: nothing does
    replaced: Phrase | None = attrs.field(default=None, init=False)

    async def work(self) -> None:
        """Follow the journal to its end."""
        try:
            if not self._taken_up:
                await self._journal.write(lineage.join_era, self._witness, self._now())
                await self._journal.read(lineage.begin_witness, self._witness, self._now)
                self._taken_up = True
            while await self._journal.read(self._follow, self._now()) and not self.stopping:
                pass
            if self._first is not None and self._taken_up and not self._first.begun:
                await self._journal.read(self._first.begin)
            if self._clock.seconds() - self._counted >= _COUNTED:
                self._counted = self._clock.seconds()
                self.awaited = await self._journal.read(self._look_after)
                await self._journal.read(self._claim)
                if self.replaced is not None and not self.stopping:
                    log.critical("hub-replaced", reason=str(self.replaced))
                    self._end()
        except Unready:
            pass  # the database does not answer, which readiness says; the next round tries again
        except OSError as error:
            if not self._failed:  # once; the next rounds try again
                log.warning("witness-not-written", error=str(error))
            self._failed = True
        else:
            self._failed = False

    @property
    def unknown(self) -> frozenset[str]:
        """Return the checks of the node's readiness that were not made yet: `era`, `receipts`."""
        return frozenset(({"era"} if not self._compared else set()) | ({"receipts"} if self.awaited is None else set()))

    def describe_put_back(self) -> Detail:
        """Return what shows that the journal was put back, or that this was not looked at yet; empty if nothing does."""
        if not self._compared:
            return phrase("the journal was not compared with the witness yet")
        return self.replaced or self.put_back or ""

    def describe_awaited(self) -> Detail:
        """Return how many lost receipts have not come again, or that they were not counted; empty if none is awaited."""
        if self.awaited is None:
            return phrase("lost receipts were not counted yet")
        if not self.awaited:
            return ""
        return phrase("{count} messages with a receipt are missing; ask for them again", count=self.awaited)

    def _follow(self, tx: Transaction, now: datetime) -> bool:
        """Append the next events; tell whether there may be more. *now*: a moment before. Runs in a thread."""
        seen = self._witness.read_last()
        assert seen is not None
        found = lineage.find_put_back(tx, seen)
        if found is not None and self.put_back is None:
            log.critical("journal-put-back", reason=str(found))
        self.put_back, self._compared = found, True
        if found is not None:
            return False
        era = eras.list_eras(tx)[-1]
        if era.id != seen.era_id:
            self._taken_up = False  # another node restored or adopted it
            if self._first is not None:
                self._first.begun = False
            return False
        told = eras.read_witnessed_events(tx, seen.number, _AT_ONCE)
        more = told is not None and told.number - seen.number >= _AT_ONCE
        until = seen.until if more else eras.find_settled_moment(tx, now)
        if told is None:
            if until is None or (seen.until is not None and until - seen.until < _SAID_AGAIN):
                return False
            told = WitnessedEvents(seen.number, seen.hash, ())
        self._witness.append(
            WitnessLine(era.number, era.id, told.number, told.hash, self._now(), told.receipts, until, seen.first)
        )
        return more

    def _look_after(self, tx: Transaction) -> int:
        """Let go what the oldest kept backup has, and return what is awaited. Runs in a thread."""
        settings = self._live.config.backup
        good = [each for each in backup_runs.list_backup_runs(tx) if each.outcome is BackupOutcome.GOOD]
        kept = good[: settings.keep] if settings else good
        self._witness.forget(min((each.number or 0 for each in kept), default=0))
        return eras.count_awaited_receipts(tx, MOST_COUNTED)

    def _claim(self, tx: Transaction, *, stopped: bool = False) -> None:
        """Say beside the backups that this hub serves, unless another has replaced it. Runs in a thread."""
        config = self._live.config
        known = eras.list_eras(tx)
        if config.backup is None or not known or self.put_back is not None:
            return
        folder, province = config.backup.folder, config.province
        if not folder.is_dir() and backup_runs.read_backup_standing(tx).last_good is None:
            return  # the first backup makes it
        try:
            self.replaced = claims.find_replacement(known[-1], claims.read_claim(folder, province))
            if self.replaced is None:
                claims.write_claim(folder, province, known[-1], self._node, self._now(), stopped=stopped)
        except OSError as error:
            if not self._unclaimed:  # once; the next rounds try again
                log.warning("era-not-claimed", error=str(error))
            self._unclaimed = True
        else:
            self._unclaimed = False

    async def finish(self) -> None:
        """Follow to the last event, and say beside the backups that this hub was stopped."""
        await self.run_once()
        with suppress(Unready):  # the database does not answer: the claim is believed for some minutes more
            await self._journal.read(partial(self._claim, stopped=True))
