"""Makes files whole or not at all: durable names, and workplaces of which a killed process leaves nothing for long.

What becomes a file is made in a folder beside it, its workplace, which is locked as long as its maker lives: the kernel
releases the lock of a process that was killed. So whoever comes next on this machine tells what is left from what is being
made, in whatever process that is. Folders may be shared with other machines, whose locks are not always seen here: so the
name of a workplace has that of its machine. Knows directories and locks, not what is written there.
"""

import fcntl
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

#: How the name of a workplace ends. No other program has such names.
MARK = ".lienthong-new"


def sync_folder(folder: Path) -> None:
    """Wait until the names in *folder* are on the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def hold_workplace(path: Path) -> Generator[Path]:
    """Yield a new folder beside *path*, which only this account reads, to make *path* in it. It is removed at the end.

    What was left beside *path* by makers that were killed is removed first. Raises OSError.
    """
    remove_leftovers([path.parent])
    place, lock = _make_locked(path)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def replace_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write *content* to *path*, whole or not at all, and wait until file and name are on the disk. Raises OSError.

    *mode*: its permissions, from the first octet on; None: those of any new file.
    """
    with hold_workplace(path) as place:
        new = place / path.name
        with new.open("wb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)


def remove_leftovers(folders: Iterable[Path], before: datetime | None = None) -> None:
    """Remove the workplaces in *folders* whose makers have ended. What cannot be looked at or removed stays.

    Those of other machines are removed if they are from *before* that moment; None: they stay.
    """
    for folder in folders:
        with suppress(OSError):
            for place in list(folder.glob(f".*{MARK}")):
                if f".{_name_machine()}." in place.name or _is_from_before(place, before):
                    _remove_if_left(place)


def _is_from_before(place: Path, moment: datetime | None) -> bool:
    with suppress(OSError):
        return moment is not None and place.stat().st_mtime < moment.timestamp()
    return False


def _remove_if_left(place: Path) -> None:
    with suppress(OSError):
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place)
        finally:
            os.close(handle)


def _make_locked(path: Path) -> tuple[Path, int]:
    """Return a new workplace and the handle that locks it."""
    prefix = f".{path.name}.{_name_machine()}."
    while True:
        place = Path(tempfile.mkdtemp(prefix=prefix, suffix=MARK, dir=path.parent))
        with suppress(FileNotFoundError):  # somebody took it for left before it was locked
            handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with suppress(FileNotFoundError, BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _ = place.stat()
                return place, handle
            os.close(handle)


def _name_machine() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:32]
