"""Announces what will go, archives it, and takes it out of the journal: the steps of retention, in their order.

Knows the order: announced, written into an archive file that was read back, recorded, and only then deleted, in short
transactions with pauses between. Each step is committed by itself and may be done again after a crash. The rules are those
of `hub.keeping.retention`. Does not know when it is time, nor which node is to do it.
"""

import fcntl
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import attrs

from hub.config.durable_files import sync_folder
from hub.config.upkeep.retention import RetentionSettings
from hub.journal.nodes import list_live_nodes
from hub.keeping.archive import catalogue, confirming
from hub.keeping.archive.catalogue import ArchiveAbsent, ArchiveEntry
from hub.keeping.archive.manifest import MOST_MESSAGES
from hub.keeping.archive.reading import Archive
from hub.keeping.archive.writing import ArchiveChoice, ArchiveRecord, write_archive
from hub.keeping.retention import choosing, letting_go, parts
from hub.keeping.retention.choosing import CalendarMonth, JudgedMessage, MonthSurroundings, RetentionSetting
from hub.keeping.retention.letting_go import FindUnchanged, LetGo, TableBusy
from hub.keeping.retention.parts import PartEvent, PartMoved, PartState, RetentionPart
from hub.keeping.retention.rules import KeptBecause, RetentionRules
from hub.language.phrases import Phrase, phrase
from hub.security.certificates import Signer
from hub.store import transactions
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction

P = ParamSpec("P")
T = TypeVar("T")

#: Octets of messages in one archive file, before compression. The journal is read in one transaction meanwhile.
MOST_OCTETS = 256 << 20
#: Batches between two looks at what is open, and seconds between two batches.
_LOOK, PAUSE = 20, 0.05
#: How long before the pass over what is left a message, and an attempt, may have begun that was not committed then.
_MESSAGE_LAG, _ATTEMPT_LAG = timedelta(hours=1), timedelta(days=1)
#: Attempts to delete a batch of shared rows while others hold the table.
_TRIES = 20
_FIRST = "0"


class RetentionHeld(Exception):
    """Retention does not go on now. *why* says why."""

    def __init__(self, why: Phrase) -> None:
        super().__init__(str(why))
        self.why = why


@attrs.frozen(kw_only=True)
class MonthPlan:
    """What would go of one month, and why the rest stays."""

    month: str  #: such as `2026-08`
    messages: int  #: that would go
    octets: int  #: of these messages
    calls: int  #: refused calls that would go
    stays: Counter[KeptBecause]  #: messages that stay, by the reason


def make_setting(settings: RetentionSettings, forms: Collection[str], feed: str | None) -> RetentionSetting:
    """Return what the rules need: the operator's numbers, the *forms* that are closed, the subscription in use."""
    rules = RetentionRules(months=settings.months, other=settings.other, contest=settings.contest)
    return RetentionSetting(rules=rules, forms=tuple(sorted(forms)), feed=feed)


@attrs.frozen(eq=False, kw_only=True)
class RetentionRun:
    """The steps of retention on one journal."""

    journal: Journal
    setting: RetentionSetting
    settings: RetentionSettings
    folder: Path  #: of the archive files
    identity: Signer
    now: Callable[[], datetime]
    pause: Callable[[float], Awaitable[None]]  #: waits for so many seconds, while others write

    # --- what will go

    async def plan(self) -> list[MonthPlan]:
        """Return what would go now, and why the rest stays, by month, oldest first. Changes nothing."""
        found = []
        now = self.now()
        for month in await self.journal.read(choosing.list_ripe_months, self.setting, now):
            around = await self.journal.read(choosing.read_surroundings, month, self.setting)
            free = []
            stays = Counter(await self.journal.read(choosing.count_staying, month, around, self.setting, now))
            async for each in self._judge(month, around, now):
                if each.why is None:
                    free.append(each.size)
                else:
                    stays[each.why] += 1
            calls = await self.journal.read(choosing.list_old_calls, month, around, self.setting, now)
            found.append(
                MonthPlan(month=month.text, messages=len(free), octets=sum(free), calls=len(calls), stays=stays)
            )
        return found

    async def _judge(
        self, month: CalendarMonth, around: MonthSurroundings, now: datetime
    ) -> AsyncIterator[JudgedMessage]:
        after = ""
        while page := await self.journal.read(choosing.judge_page, month, around, self.setting, now, after):
            for each in page:
                yield each
            after = page[-1].id

    async def announce(self, by: str) -> list[RetentionPart]:
        """Announce each month of which something may go and that is not announced yet. Return the new parts."""
        open_months = {each.month for each in await self.journal.read(parts.list_parts, only_open=True)}
        made = []
        for each in await self.plan():
            if each.month in open_months or not (each.messages or each.calls):
                continue
            now = self.now()
            part = await self.journal.write(
                parts.announce_part,
                each.month,
                messages=each.messages,
                octets=each.octets,
                due_at=now + timedelta(days=self.settings.announce),
                by=by,
                now=now,
            )
            made += [part] if part else []
        return made

    # --- it goes

    async def carry_out(self, number: int) -> RetentionPart:
        """Archive the part *number* and take it out of the journal, or go on where it was interrupted.

        Raises RetentionHeld if it must not go on now; OSError, ArchiveBroken, ArchiveAbsent and Unready if it cannot. Nothing is
        deleted then but what a verified file has.
        """
        part = await self.journal.read(parts.read_part, number)
        if part.state is PartState.ANNOUNCED:
            await self.journal.read(self._check)
            part = await self._archive(part)
        if part.state is PartState.ARCHIVED:
            part = await self._let_go(part)
        return part

    def _check(self, tx: Transaction) -> None:
        """Raise RetentionHeld if nothing may go now."""
        if choosing.is_month_being_closed(tx):
            raise RetentionHeld(phrase("a month is being closed"))
        own = transactions.read_latest_version()
        old = [node.name for node in list_live_nodes(tx, self.now()) if node.schema < own]
        if old:
            raise RetentionHeld(phrase("an earlier version runs on {nodes}", nodes=", ".join(old)))

    async def _archive(self, part: RetentionPart) -> RetentionPart:
        now, month = self.now(), CalendarMonth(part.month)
        around = await self.journal.read(choosing.read_surroundings, month, self.setting)
        free: list[JudgedMessage] = []
        async for each in self._judge(month, around, now):
            if each.why is None:
                free.append(each)
            if len(free) == MOST_MESSAGES:
                break
        calls = await self.journal.read(choosing.list_old_calls, month, around, self.setting, now)
        chosen = ArchiveChoice(period=part.month, messages=[each.id for each in free], others=calls)
        record = None
        if free or calls:
            _make_folder(self.folder)
            record = await self.journal.read(
                write_archive, chosen, self.folder, self.identity, now, most_octets=MOST_OCTETS
            )
        if record is None:
            return await self._move(_withdraw_part, part.number, self.now())
        sizes = {each.id: each.size for each in free}
        octets = sum(sizes[name] for name in record.messages)
        try:
            return await self._move(_record_written_archive, part.number, record, octets, self.now())
        except RetentionHeld:
            await self.journal.read(_remove_unrecorded, record)
            raise

    async def _let_go(self, part: RetentionPart) -> RetentionPart:
        assert part.archive is not None
        entry = await self.journal.read(catalogue.read_archive_entry, part.archive)
        with ExitStack() as opened:
            # in a thread: it reads the whole file
            file = await self.journal.read(_open_archive_file, opened, entry, self.folder)
            stayed = await self._let_messages_go(part, file)
            for some in choosing.cut_values(file.calls):
                await self._move(_let_calls_go, part.number, entry.id, some, self.now())
                await self.pause(PAUSE)
            await self._let_shared_go(file)
        return await self._move(_finish_part, part.number, stayed, self.now())

    async def _move(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Go on with the part by *step*. Of two processes on different machines only one does, and goes on with its file."""
        try:
            return await self.journal.write(step, *args, **kwargs)
        except PartMoved:
            raise RetentionHeld(phrase("another process is at it")) from None

    async def _let_messages_go(self, part: RetentionPart, file: "_OpenFile") -> int:
        """Take the messages of *file* out. Return how many stayed, because something is to be done for them again."""
        month, stayed, archive = CalendarMonth(part.month), 0, file.archive.manifest.id
        find_unchanged = partial(_find_unchanged, archive=file.archive)
        around = await self.journal.read(choosing.read_surroundings, month, self.setting)
        for place, some in enumerate(choosing.cut_values(file.messages, letting_go.BATCH)):
            if place % _LOOK == 0:
                await self.journal.read(self._check)
                around = await self.journal.read(choosing.read_surroundings, month, self.setting)
            found = await self._move(
                _let_messages_go, part.number, archive, some, find_unchanged, around, self.setting, self.now()
            )
            stayed += len(found.stayed)
            await self.pause(PAUSE)
        return stayed

    async def _let_shared_go(self, file: "_OpenFile") -> None:
        """Delete the octets and exchanges of *file* that nothing has any more."""
        began = self.now()
        octets = await self._pass(letting_go.pass_messages, set(file.octets))
        octets -= await self.journal.read(letting_go.list_planned_octets)
        for batch in await self.journal.read(_list_batches, octets):
            owners = [name for digest in batch for name in file.octets[digest]]
            await self._delete_shared(letting_go.remove_octets, batch, owners, began - _MESSAGE_LAG)
        exchanges = await self._pass(letting_go.pass_attempts, file.exchanges)
        for some in choosing.cut_values(sorted(exchanges)):
            await self._delete_shared(letting_go.remove_exchanges, some, began - _ATTEMPT_LAG)

    async def _pass(
        self, step: Callable[[Transaction, Collection[str], str], tuple[set[str], str]], shared: set[str]
    ) -> set[str]:
        """Return which of *shared* nothing that is left has."""
        after = _FIRST
        while after and shared:
            used, after = await self.journal.read(step, shared, after)
            shared = shared - used
        return shared

    async def _delete_shared(
        self, step: Callable[Concatenate[Transaction, P], int], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Delete some rows. While others hold the table, try again: nobody waits for it longer than a moment."""
        for rest in reversed(range(_TRIES)):
            try:
                await self.journal.write(step, *args, **kwargs)
            except TableBusy as busy:
                if not rest:
                    raise RetentionHeld(phrase("the table {name} is in use", name=str(busy))) from busy
                await self.pause(1.0)
            else:
                break
        await self.pause(PAUSE)


@attrs.frozen(eq=False, kw_only=True)
class _OpenFile:
    """A verified archive file, and what is in it."""

    archive: Archive
    messages: Sequence[str]  #: hub ids
    calls: Sequence[int]  #: serials of the events of refused calls
    octets: Mapping[str, Sequence[str]]  #: SHA-256 of the octets of messages that are in it -> their hub ids
    exchanges: set[str]  #: keys of what attempts kept


def _open_archive_file(tx: Transaction, opened: ExitStack, entry: ArchiveEntry, folder: Path) -> _OpenFile:
    """Open the file of *entry*, which is the one that was verified. Raises ArchiveAbsent."""
    del tx  # it is called in the thread of a reading step
    path = entry.find_file(folder)
    if path is not None and _hash_file(path) != entry.sha256:
        raise ArchiveAbsent(entry, f"{path}: SHA-256")
    archive = opened.enter_context(catalogue.open_entry(entry, folder))
    messages, octets, exchanges = [], dict[str, list[str]](), set[str]()
    for each in archive.messages():
        messages.append(each.id)
        if each.has_octets:
            octets.setdefault(each.row["sha256"], []).append(each.id)
        exchanges |= {attempt["exchange"] for attempt in each.attempts if attempt.get("exchange")}
    calls = [each.serial for each in archive.other_events()]
    return _OpenFile(archive=archive, messages=messages, calls=calls, octets=octets, exchanges=exchanges)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _list_batches(tx: Transaction, names: Collection[str]) -> list[list[str]]:
    return list(letting_go.measure_octets(tx, names))


def _find_unchanged(tx: Transaction, ids: Sequence[str], archive: Archive) -> list[str]:
    return confirming.find_unchanged_messages(tx, archive, ids)


def _record_written_archive(
    tx: Transaction, number: int, record: ArchiveRecord, octets: int, now: datetime
) -> RetentionPart:
    catalogue.record_archive(tx, record)
    said = {"file": record.path.name, "sha256": record.sha256, "events": record.counts.events}
    return parts.move_part(
        tx, number, PartEvent.ARCHIVE, now, said=said, archive=record.id, messages=len(record.messages), octets=octets
    )


def _remove_unrecorded(tx: Transaction, record: ArchiveRecord) -> None:
    """Remove the file of *record* if the journal does not name it: another process has recorded its own."""
    try:
        catalogue.read_archive_entry(tx, record.id)
    except KeyError:
        record.path.unlink(missing_ok=True)


def _withdraw_part(tx: Transaction, number: int, now: datetime) -> RetentionPart:
    return parts.move_part(tx, number, PartEvent.WITHDRAW, now)


def _let_messages_go(
    tx: Transaction,
    part: int,
    archive: str,
    ids: Sequence[str],
    find_unchanged: FindUnchanged,
    around: MonthSurroundings,
    setting: RetentionSetting,
    now: datetime,
) -> LetGo:
    parts.hold_part(tx, part, archive)  # a person may have given the file up
    found = letting_go.let_messages_go(tx, part, ids, find_unchanged, around, setting, now)
    parts.add_gone(tx, part, found.events, now)
    return found


def _let_calls_go(tx: Transaction, part: int, archive: str, serials: Sequence[int], now: datetime) -> None:
    parts.hold_part(tx, part, archive)
    parts.add_gone(tx, part, letting_go.let_calls_go(tx, serials), now)


def _finish_part(tx: Transaction, number: int, stayed: int, now: datetime) -> RetentionPart:
    part = parts.read_part(tx, number)
    said = {"events": part.events, "stayed": stayed}
    return parts.move_part(tx, number, PartEvent.FINISH, now, said=said, messages=part.messages - stayed)


def _make_folder(folder: Path) -> None:
    """Make *folder* where it is not there, and its name durable."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        sync_folder(folder.parent)


@contextmanager
def hold_turn(folder: Path) -> Iterator[None]:
    """Let only one process of this machine archive into *folder* at a time. Raises RetentionHeld while another one does."""
    _make_folder(folder)
    handle = os.open(folder / ".retention.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RetentionHeld(phrase("another process is at it")) from None
        yield
    finally:
        os.close(handle)
