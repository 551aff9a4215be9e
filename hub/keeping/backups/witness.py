"""A node's witness: what it has seen of the journal, in files outside the journal. Knows no SQL.

The node appends a line a second, if anything happened: era, number and hash of the last numbered event, and the receipts
that were given since the line before. A journal that is put back does not put the witness back. So the node knows at its
start that the journal is older than what it has seen, and which receipts are missing. Each node of several has a witness
of its own, with the receipts of all.

Each line says until when the node had seen every receipt that was given. Those of the last one or two seconds before a
crash may not be in it: senders are asked to repeat everything since the moment of the backup, not only what the witness
names. Where the node promises to write each receipt before it leaves (`hub.keeping.backups.receipts_first`), lines
*ahead* of the numbers have them, and none is missing.

A line that a crash has torn is the last of its file, and is passed over. Files are of about `LARGEST` octets, and the
oldest are removed once a backup has what is in them, or when all take more than `MOST`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

import attrs

from hub.config.durable_files import sync_folder
from hub.keeping.eras import Era, KnownReceipt

#: Octets of a file, about, and of all together.
LARGEST, MOST = 16 << 20, 1 << 30
_SUFFIX = ".jsonl"


@attrs.frozen
class WitnessLine:
    """What a node has seen up to an event."""

    era: int
    era_id: str
    number: int  #: of the last numbered event
    hash: str
    at: datetime  #: when the node saw it
    receipts: Sequence[KnownReceipt] = ()
    until: datetime | None = None  #: until when it had seen every receipt that was given; None: it does not say
    first: bool = False  #: whether from then on no receipt leaves that is not in a line
    ahead: bool = False  #: whether its receipts are of events that had no number yet


@attrs.frozen(kw_only=True)
class WitnessSize:
    """How much a witness holds."""

    octets: int
    written_at: datetime | None  #: when its newest file was last written; None: it has none


@attrs.define
class Witness:
    """The files of one node's witness."""

    folder: Path
    _last: WitnessLine | None = None
    _read: bool = False
    #: the follower and the writer of the journal append from threads of their own
    _lock: RLock = attrs.field(factory=RLock, init=False)

    def read_last(self) -> WitnessLine | None:
        """Return the last line that is not ahead of the numbers; None before the first. Raises OSError."""
        with self._lock:
            if not self._read:
                for file in reversed(self._list_files()):
                    self._last = next(iter([each for each in _read_lines(file) if not each.ahead][-1:]), None)
                    if self._last is not None:
                        break
                self._read = True
            return self._last

    def append(self, line: WitnessLine) -> None:
        """Append a line, and wait until it is on the disk. Raises OSError."""
        with self._lock:
            self._append(line)

    def append_ahead(self, receipts: Sequence[KnownReceipt], now: datetime) -> None:
        """Append *receipts* whose events have no number yet, behind the last line. Raises OSError."""
        with self._lock:
            last = self.read_last()
            assert last is not None
            self._append(attrs.evolve(last, receipts=receipts, at=now, ahead=True))

    def set_promise(self, now: datetime, *, first: bool) -> None:
        """Say from when on no receipt leaves that is not in a line, or that this ends. Raises OSError."""
        with self._lock:
            last = self.read_last()
            if last is not None and last.first != first:
                self._append(attrs.evolve(last, receipts=(), at=now, first=first))

    def _append(self, line: WitnessLine) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = self._list_files()
        last = self.read_last()
        full = not line.ahead and bool(files) and files[-1].stat().st_size >= LARGEST
        new = not files or full or last is None or last.era_id != line.era_id
        file = self.folder / _name_file(self._next_serial(files), line.number) if new else files[-1]
        said = [
            [each.id, each.partner, each.message_id, each.sha256, each.received_at.isoformat()]
            for each in line.receipts
        ]
        fields = {
            "era": line.era,
            "id": line.era_id,
            "number": line.number,
            "hash": line.hash,
            "at": line.at.isoformat(),
            "until": line.until and line.until.isoformat(),
            "first": line.first,
            "ahead": line.ahead,
        }
        text = json.dumps(fields | {"receipts": said}, ensure_ascii=False, separators=(",", ":"))
        with os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as target:
            _cut_torn_line(target)
            target.write(f"{text}\n".encode())
            target.flush()
            os.fdatasync(target.fileno())
        if new:
            sync_folder(self.folder)
        if not line.ahead:
            self._last, self._read = attrs.evolve(line, receipts=()), True

    def find_missing(self, era: int, number: int) -> Iterator[KnownReceipt]:
        """Yield the receipts given after the event *number* of the era *era*, and in every later era. Raises OSError."""
        ahead: dict[str, KnownReceipt] = {}  # those that no line with their numbers has
        for file in self._list_files():
            for line in _read_lines(file):
                if line.ahead:
                    ahead |= {each.id: each for each in line.receipts if line.era >= era}
                    continue
                for each in line.receipts:
                    ahead.pop(each.id, None)
                if line.era > era or (line.era == era and line.number > number):
                    yield from line.receipts
        yield from ahead.values()

    def find_window(
        self, era: int, number: int, since: datetime | None, now: datetime
    ) -> tuple[datetime, datetime] | None:
        """Return from when to when it has every receipt that was given; None: that is not known. Raises OSError.

        *era*, *number*, *since*: the last event of the journal as it was put back, and its time. *now*: no hub has run
        from the last line until then.
        """
        first = next((line for file in self._list_files() for line in _read_lines(file)), None)
        last = self.read_last()
        if first is None or last is None:
            return None
        begin = first.at if since is None or (first.era, first.number) > (era, number) else since
        end = now if last.first else last.until
        return None if end is None or end < begin else (begin, end)

    def forget(self, number: int) -> None:
        """Remove the files whose events, of the present era, are all up to *number*, and the oldest beyond `MOST`.

        The last file stays. Raises OSError.
        """
        files = self._list_files()
        sizes = [each.stat().st_size for each in files]
        for place, file in enumerate(files[:-1]):
            following = _number_of(files[place + 1])
            if following > number and sum(sizes[place:]) <= MOST:
                return
            file.unlink()

    def _list_files(self) -> list[Path]:
        return sorted(self.folder.glob(f"[0-9]*{_SUFFIX}")) if self.folder.is_dir() else []

    @staticmethod
    def _next_serial(files: Sequence[Path]) -> int:
        return int(files[-1].name.split("-")[0]) + 1 if files else 1


def measure_witness(folder: Path) -> WitnessSize:
    """Return how much the witness in *folder* holds, without reading it. Raises OSError."""
    found = [each.stat() for each in Witness(folder)._list_files()]  # noqa: SLF001 - the same module
    written = max((each.st_mtime for each in found), default=None)
    return WitnessSize(
        octets=sum(each.st_size for each in found),
        written_at=None if written is None else datetime.fromtimestamp(written, UTC),
    )


def _name_file(serial: int, number: int) -> str:
    return f"{serial:08}-{number:020}{_SUFFIX}"


def _number_of(file: Path) -> int:
    """Return the number of the last event of the first line of *file*."""
    return int(file.name.removesuffix(_SUFFIX).split("-")[1])


def _cut_torn_line(target: Any) -> None:
    """Remove the end of a line that a crash has torn, and stand at the end of the file."""
    size = target.seek(0, os.SEEK_END)
    if size == 0:
        return
    target.seek(size - 1)
    if target.read(1) == b"\n":
        return
    target.seek(0)
    whole = target.read().rfind(b"\n") + 1
    target.truncate(whole)
    target.seek(whole)


def _read_lines(file: Path) -> Iterable[WitnessLine]:
    with file.open("rb") as source:
        for text in source:
            if text.endswith(b"\n"):
                said = json.loads(text)
                receipts = tuple(
                    KnownReceipt(each[0], each[1], each[2], each[3], datetime.fromisoformat(each[4]))
                    for each in said["receipts"]
                )
                at, until = datetime.fromisoformat(said["at"]), said.get("until")
                yield WitnessLine(
                    said["era"],
                    said["id"],
                    said["number"],
                    said["hash"],
                    at,
                    receipts,
                    None if until is None else datetime.fromisoformat(until),
                    said.get("first", False),
                    said.get("ahead", False),
                )


def begin_line(era: Era, number: int, digest: str, now: datetime) -> WitnessLine:
    """Return the line with which a witness begins, or goes on in another era."""
    return WitnessLine(era.number, era.id, number, digest, now)
