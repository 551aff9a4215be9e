"""Finds the hub that runs in a data directory or on a journal of SQLite, and asks it to reload its configuration.

Uses files, locks and signals. The running hub holds a lock on `hub.pid` until its process ends, however it ends. So a
pid that was left behind is never taken for a running hub. The hub must have a handler for SIGHUP before it takes the lock. A reload is a request
and an answer: `reload.request` holds a nonce, SIGHUP wakes the hub, and `reload.json` holds the verdict for that nonce.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Self

import attrs

from hub.config.durable_files import replace_file
from hub.domain.errors import Mistake
from hub.domain.ids import make_id
from hub.language.phrases import Phrase, pack_phrase, phrase, unpack_phrase

_PID, _NODE, _REQUEST, _ANSWER = "hub.pid", "node", "reload.request", "reload.json"


class Held(Exception):
    """Another hub runs in this data directory, or on this journal: *mistake* says where. The text is its pid."""

    def __init__(self, pid: int | None, mistake: Mistake) -> None:
        super().__init__(pid)
        self.mistake = mistake


class NotRunning(Exception):
    """No hub runs in this data directory."""


class NoAnswer(Exception):
    """A hub runs but did not answer in time."""


def name_node(data: Path, now: datetime) -> str:
    """Return the name of the node in *data*. It stays the same after a restart and differs on another machine."""
    path = data / _NODE
    if not path.exists():
        new = path.with_name(f".{_NODE}.{os.getpid()}")
        new.write_text(make_id(now) + "\n", "ascii")
        new.replace(path)
    return f"{path.read_text('ascii').strip()}@{socket.gethostname()}"


@attrs.frozen
class ReloadVerdict:
    """The hub's answer to a reload request."""

    ok: bool  #: whether the new configuration is in force
    changes: tuple[str, ...] = ()  #: in the wording of `hub.config.describe_config_changes`
    mistakes: tuple[Mistake, ...] = ()  #: why it was refused


@attrs.frozen
class PidFileLock:
    """The running hub's lock on its data directory or its journal, held until `release` or the end of the process."""

    _path: Path
    _file: int  #: file descriptor that holds the lock

    @classmethod
    def acquire(cls, data: Path) -> Self:
        """Write the pid of this process to `hub.pid` and keep the file locked. Raises `Held` if another hub has it."""
        try:
            return cls._acquire(data / _PID)
        except BlockingIOError:
            pid, expected = find_live_pid(data), phrase("one hub per data directory")
            raise Held(pid, _describe_held(f"data ({data})", pid, expected)) from None

    @classmethod
    def acquire_journal(cls, journal: Path) -> Self:
        """As `acquire`, with a file beside SQLite's *journal*: it has one hub, from whichever data directory.

        A hub that starts gives back what was under way, so a second one would send again what the first is sending.
        """
        path = _name_journal_pid(journal)
        try:
            return cls._acquire(path)
        except BlockingIOError:
            pid = _read_live_pid(path)
            raise Held(pid, _describe_second_hub(pid)) from None

    @classmethod
    def _acquire(cls, path: Path) -> Self:
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                _lock_patiently(file, patience=1.0)
            except BlockingIOError:
                os.close(file)
                raise
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file)):
                break
            os.close(file)  # the previous holder removed the file between our open and our lock
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return cls(path, file)

    def release(self) -> None:
        """Remove the file and release the lock."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def lock_hub(data: Path, journal: Path | None) -> ExitStack:
    """Lock the directory *data*, and *journal*, the file of SQLite; None: it is on a server, and several hubs may share it.

    Return what releases the locks when it is closed. Raises `Held`, OSError.
    """
    with ExitStack() as held:
        held.callback(PidFileLock.acquire(data).release)
        if journal is not None and journal.parent.is_dir():
            held.callback(PidFileLock.acquire_journal(journal).release)
        return held.pop_all()


def _lock_patiently(file: int, patience: float) -> None:
    """Take the lock, trying for *patience* seconds: `find_live_pid` of another process holds it for a moment."""
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
    """Return the pid of the hub that runs in *data*, or None."""
    return _read_live_pid(data / _PID)


def find_second_hub(data: Path, journal: Path) -> Mistake | None:
    """Return that a hub with another data directory than *data* runs on SQLite's *journal*; None: none does."""
    pid = _read_live_pid(_name_journal_pid(journal))
    return None if pid is None or pid == find_live_pid(data) else _describe_second_hub(pid)


def _describe_second_hub(pid: int | None) -> Mistake:
    expected = phrase("one hub on a journal of SQLite; several may share one on PostgreSQL")
    return _describe_held("database.url", pid, expected)


def _describe_held(setting: str, pid: int | None, expected: Phrase) -> Mistake:
    return Mistake(f"hub.toml: {setting}", phrase("the hub with pid {held} runs here", held=pid), expected)


def _name_journal_pid(journal: Path) -> Path:
    file = journal.resolve()
    return file.with_name(f"{file.name}.pid")


def _read_live_pid(path: Path) -> int | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
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

    Concurrent requests wait for each other. Raises `NotRunning`, or `NoAnswer` after *patience* seconds.
    """
    until = time.monotonic() + patience
    nonce = secrets.token_hex(16)
    file = os.open(data / _REQUEST, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644) if find_live_pid(data) else None
    if file is None:
        raise NotRunning
    try:
        _lock_patiently(file, patience)
        os.ftruncate(file, 0)
        os.pwrite(file, nonce.encode(), 0)
        _ring_hub(data)
        while time.monotonic() < until:
            verdict = _read_answer(data, nonce)
            if verdict:
                return verdict
            if not find_live_pid(data):
                raise NotRunning
            wait(0.05)
        raise NoAnswer
    except BlockingIOError:  # another request used up our *patience*
        raise NoAnswer from None
    finally:
        os.close(file)


def _ring_hub(data: Path) -> None:
    pid = find_live_pid(data)
    if not pid:
        raise NotRunning
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        raise NotRunning from None


def read_reload_nonce(data: Path) -> str:
    """Return the nonce of the last reload request, or "" if a bare SIGHUP came first.

    Must be read before the configuration is read.
    """
    try:
        return (data / _REQUEST).read_text("ascii")
    except FileNotFoundError:
        return ""


def write_reload_verdict(data: Path, nonce: str, verdict: ReloadVerdict) -> None:
    """Write the running hub's *verdict* for the request with *nonce* (see `read_reload_nonce`)."""
    mistakes = [
        {"path": m.path, "wrong": pack_phrase(m.wrong), "expected": pack_phrase(m.expected)} for m in verdict.mistakes
    ]
    said = {"nonce": nonce, "ok": verdict.ok, "changes": verdict.changes, "mistakes": mistakes}
    replace_file(data / _ANSWER, json.dumps(said, ensure_ascii=False).encode())


def _read_answer(data: Path, nonce: str) -> ReloadVerdict | None:
    try:
        said = json.loads((data / _ANSWER).read_bytes())
    except FileNotFoundError:
        return None
    if said["nonce"] != nonce:
        return None
    mistakes = [
        Mistake(each["path"], unpack_phrase(each["wrong"]), unpack_phrase(each["expected"]))
        for each in said["mistakes"]
    ]
    return ReloadVerdict(said["ok"], tuple(said["changes"]), tuple(mistakes))
