"""A process's own append-only record: JSON lines.  Knows files; not what a line means.

A line is handed to the operating system before its process says anything to anyone.  Only the hub and its database are killed;
the machine stays, so a line needs no fsync.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any


class Record:
    """One file, one process, any number of its threads."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lock = Lock()

    def write(self, what: str, **said: object) -> None:
        """Append one line, with the real time."""
        line = json.dumps({"what": what, "at": time.time(), **said}, ensure_ascii=False) + "\n"
        with self._lock:
            os.write(self._file, line.encode())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each line from the first; what has no end yet is not a line."""
    if path.exists():
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        yield from map(json.loads, whole.splitlines())
