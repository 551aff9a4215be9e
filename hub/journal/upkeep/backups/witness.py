"""A node's witness: what it has seen of the journal, in files outside the journal. Knows no SQL.

The node appends a line a second, if anything happened: era, number and hash of the last numbered event, and the receipts
that were given since the line before. A journal that is put back does not put the witness back. So the node knows at its
start that the journal is older than what it has seen, and which receipts are missing. Each node of several has a witness
of its own, with the receipts of all.

The receipts of the last one or two seconds before a crash may not be in it: senders are asked to repeat everything since
the moment of the backup, not only what the witness names.

A line that a crash has torn is the last of its file, and is passed over. Files are of about `LARGEST` octets, and the
oldest are removed once a backup has what is in them, or when all take more than `MOST`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from hub.config.durable_files import sync_folder
from hub.journal.upkeep.eras import Era, KnownReceipt

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

    def read_last(self) -> WitnessLine | None:
        """Return the last line; None before the first. Raises OSError."""
        if not self._read:
            for file in reversed(self._list_files()):
                self._last = next(iter(list(_read_lines(file))[-1:]), None)
                if self._last is not None:
                    break
            self._read = True
        return self._last

    def append(self, line: WitnessLine) -> None:
        """Append a line, and wait until it is on the disk. Raises OSError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = self._list_files()
        last = self.read_last()
        new = not files or files[-1].stat().st_size >= LARGEST or last is None or last.era_id != line.era_id
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
        }
        text = json.dumps(fields | {"receipts": said}, ensure_ascii=False, separators=(",", ":"))
        with os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as target:
            _cut_torn_line(target)
            target.write(f"{text}\n".encode())
            target.flush()
            os.fsync(target.fileno())
        if new:
            sync_folder(self.folder)
        self._last, self._read = attrs.evolve(line, receipts=()), True

    def find_missing(self, era: int, number: int) -> Iterator[KnownReceipt]:
        """Yield the receipts given after the event *number* of the era *era*, and in every later era. Raises OSError."""
        for file in self._list_files():
            for line in _read_lines(file):
                if line.era > era or (line.era == era and line.number > number):
                    yield from line.receipts

    def covers(self, number: int) -> bool:
        """Tell whether it goes back to the event *number*. Raises OSError."""
        first = next((line for file in self._list_files() for line in _read_lines(file)), None)
        return first is not None and first.number <= number

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
                at = datetime.fromisoformat(said["at"])
                yield WitnessLine(said["era"], said["id"], said["number"], said["hash"], at, receipts)


def begin_line(era: Era, number: int, digest: str, now: datetime) -> WitnessLine:
    """Return the line with which a witness begins, or goes on in another era."""
    return WitnessLine(era.number, era.id, number, digest, now)
