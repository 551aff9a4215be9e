"""Who runs in a data directory, and how it is asked to read its configuration again.  Knows files, locks and signals.

The running hub holds a lock on `hub.pid` until its process ends, however it ends; so a number left behind is never taken for
a hub.  It must know what SIGHUP means before it takes hold.  A reload is a question and an answer: `reload.request` holds a nonce, SIGHUP rings, `reload.json` answers that nonce.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self

import attrs

from hub.domain.errors import Mistake
from hub.domain.ids import new_id

_PID, _NODE, _REQUEST, _ANSWER = "hub.pid", "node", "reload.request", "reload.json"


class Held(Exception):
    """Another hub runs in this data directory; its argument is the pid."""


class NotRunning(Exception):
    """No hub runs in this data directory."""


class NoAnswer(Exception):
    """The hub runs, and did not answer in time."""


def name_node(data: Path, now: datetime) -> str:
    """Return the name of the node that runs in *data*: the same after a restart, and another on another machine."""
    path = data / _NODE
    if not path.exists():
        new = path.with_name(f".{_NODE}.{os.getpid()}")
        new.write_text(new_id(now) + "\n", "ascii")
        new.replace(path)
    return f"{path.read_text('ascii').strip()}@{socket.gethostname()}"


@attrs.frozen
class ReloadVerdict:
    """What a hub answers to a reload."""

    ok: bool
    changes: tuple[str, ...] = ()  #: as `hub.config.describe_config_changes` says them
    mistakes: tuple[Mistake, ...] = ()


@attrs.frozen
class PidFileLock:
    """The running hub's grip on its data directory, kept until `release` or the end of the process."""

    _path: Path
    _file: int

    @classmethod
    def take(cls, data: Path) -> Self:
        """Write the pid of this process to `hub.pid` and keep it locked.  Raises `Held` when another hub has it."""
        path = data / _PID
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                _lock(file, patience=1.0)
            except BlockingIOError:
                os.close(file)
                raise Held(find_live_pid(data)) from None
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file)):
                break
            os.close(file)  # the one that let go removed it between our open and our lock
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return cls(path, file)

    def release(self) -> None:
        """Remove the file and let go."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def _lock(file: int, patience: float) -> None:
    """Take the lock; somebody who only looks holds it for a moment, so try for *patience* seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.02)
        else:
            return


def find_live_pid(data: Path) -> int | None:
    """Return the pid of the hub that runs in *data*; None if none does."""
    try:
        file = os.open(data / _PID, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(file, 32, 0) or b"0")
    finally:
        os.close(file)
    return None


def request_reload(data: Path, patience: float = 30.0, wait: Callable[[float], None] = time.sleep) -> ReloadVerdict:
    """Ask the hub that runs in *data* to read its configuration again, and return its verdict.

    Several who ask at once take turns.  Raises `NotRunning`, or `NoAnswer` after *patience* seconds.
    """
    until = time.monotonic() + patience
    nonce = secrets.token_hex(16)
    file = os.open(data / _REQUEST, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644) if find_live_pid(data) else None
    if file is None:
        raise NotRunning
    try:
        _lock(file, patience)
        os.ftruncate(file, 0)
        os.pwrite(file, nonce.encode(), 0)
        _ring(data)
        while time.monotonic() < until:
            verdict = _answered(data, nonce)
            if verdict:
                return verdict
            if not find_live_pid(data):
                raise NotRunning
            wait(0.05)
        raise NoAnswer
    except BlockingIOError:  # somebody else's reload took all our patience
        raise NoAnswer from None
    finally:
        os.close(file)


def _ring(data: Path) -> None:
    pid = find_live_pid(data)
    if not pid:
        raise NotRunning
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        raise NotRunning from None


def read_reload_nonce(data: Path) -> str:
    """Return the nonce of whoever asked last; "" when a bare SIGHUP came first.  Read it before the configuration."""
    try:
        return (data / _REQUEST).read_text("ascii")
    except FileNotFoundError:
        return ""


def write_reload_verdict(data: Path, nonce: str, verdict: ReloadVerdict) -> None:
    """Write the running hub's *verdict* on the `read_reload_nonce` *nonce*."""
    new = data / f"{_ANSWER}.new"
    new.write_text(json.dumps({"nonce": nonce, **attrs.asdict(verdict)}, ensure_ascii=False), "utf-8")
    new.replace(data / _ANSWER)


def _answered(data: Path, nonce: str) -> ReloadVerdict | None:
    try:
        said = json.loads((data / _ANSWER).read_bytes())
    except FileNotFoundError:
        return None
    if said["nonce"] != nonce:
        return None
    return ReloadVerdict(said["ok"], tuple(said["changes"]), tuple(Mistake(**mistake) for mistake in said["mistakes"]))
