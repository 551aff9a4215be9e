"""A partner's own append-only file: what it sent and what it received.

Knows JSON lines and fsync. Does not know what they mean.

A line is on disk before the partner answers anyone, so a recount can trust the file without trusting the process.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Self


def hash_content(content: bytes) -> str:
    """Return the SHA-256 of *content*, hex."""
    return hashlib.sha256(content).hexdigest()


class Notebook:
    """One file with one writing process, which may have any number of threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("ab+")
        self._drop_half_line()

    def write(self, what: str, at: datetime, **body: object) -> None:
        """Append one line. Return when it is on disk."""
        line = json.dumps({"at": at.isoformat(), "what": what, **body}, ensure_ascii=False) + "\n"
        with self._lock:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def _drop_half_line(self) -> None:
        """Remove an unfinished last line, left by a killed process."""
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_notebook(path: Path) -> Iterator[Mapping[str, object]]:
    """Read a notebook from its beginning. An unfinished last line, left by a killed process, is skipped.

    Raises ValueError if any other line is not JSON.
    """
    if not path.exists():
        return
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    for line in whole.splitlines():
        yield json.loads(line)
