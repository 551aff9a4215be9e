"""Writes one stream of JSON lines, with the hub's own events and Twisted's, and waits for no reader of it.

Configures structlog; does not know what is logged.

`tap.py` installs this observer, with twistd's usual output, unless twistd was given `--logger`.
"""

import io
import json
import os
import re
import select
import stat
import sys
import threading
from collections import deque
from collections.abc import MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import attrs
import structlog
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import provider

log = structlog.get_logger()

_LEVELS = {"warn": "warning", "exception": "error"}
#: Values that JSON has no form for are shown as Python shows them.
_ENCODER = json.JSONEncoder(ensure_ascii=False, default=repr)


#: Where Python shows the address of an object: it says nothing to a reader, and much to an attacker.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
#: How the journal of systemd is told the priority of a line (sd-daemon(3)); a line of another level has none.
_PRIORITIES = {"critical": "<2>", "error": "<3>", "warning": "<4>", "info": "<6>", "debug": "<7>"}
_LEVEL = re.compile(r'"level": "(\w+)"')

#: Maximum lines that wait for a reader. Those after them are lost, and counted.
MOST = 20_000
#: Maximum characters of one write: as octets they fit into any pipe that is writable at all (POSIX: PIPE_BUF).
_PIECE = 1024
#: Lines that are written at once when the reader reads again.
_SLICE = 200


@attrs.define(eq=False)
class LineLogger:
    """Writes whole lines, from any thread, in order.

    A pipe or socket whose reader has stopped would hold up the thread that writes to it, which may be the reactor's.
    From then on a thread of its own writes, until nothing waits any more.

    Twisted logs «Received SIGTERM» inside the signal handler, which may interrupt the same thread in the middle of a
    line. With a lock that is not reentrant (structlog's own) the thread would wait for itself and never stop.
    """

    _stream: TextIO
    _prefixes: bool = attrs.field(init=False)  #: whether each line has its priority: the journal of systemd reads it
    _lock: threading.RLock = attrs.field(factory=threading.RLock)
    _poll: Any = attrs.field(init=False)  #: tells whether the stream is writable; None: it always is
    _waiting: deque[str] = attrs.field(factory=deque, init=False)  #: what is not written yet
    _writes: bool = attrs.field(default=False, init=False)  #: whether somebody is writing already
    _lost: int = attrs.field(default=0, init=False)  #: lines lost since that was last logged

    def __attrs_post_init__(self) -> None:
        self._poll = _watch_stream(self._stream)
        self._prefixes = _is_journal(self._stream)

    def msg(self, line: str) -> None:
        """Write *line*, or let it wait for its turn. It may be several lines."""
        if self._prefixes:
            line = "\n".join(_find_priority(each) + each for each in line.split("\n"))
        with self._lock:
            if len(self._waiting) >= MOST:
                self._lost += 1
                return
            self._waiting.append(f"{line}\n")
            if not self._writes:
                self._write()

    debug = info = warning = error = critical = msg

    def _write(self) -> None:
        """Write what waits as far as that needs no reader, and leave the rest to a thread."""
        self._writes, held_up = True, False
        try:
            while self._waiting and not held_up:
                if self._poll is not None and not self._poll.poll(0):
                    held_up = True
                    continue
                text = self._waiting.popleft()
                if self._poll is not None and len(text) > _PIECE:
                    self._waiting.appendleft(text[_PIECE:])
                    text = text[:_PIECE]
                self._stream.write(text)
                self._stream.flush()
        finally:
            self._writes = held_up
        if held_up:
            threading.Thread(target=self._write_patiently, name="log", daemon=True).start()

    def _write_patiently(self) -> None:
        while True:
            with self._lock:
                lines = [self._waiting.popleft() for _ in range(min(_SLICE, len(self._waiting)))]
                lost = 0 if lines else self._lost
                self._lost -= lost
                self._writes = bool(lines)
            if lost:
                with suppress(OSError, ValueError):  # the reader is gone, or the stream closed
                    log.warning("log-lines-lost", count=lost)
            if not lines:
                return
            try:
                self._stream.write("".join(lines))
                self._stream.flush()
            except (OSError, ValueError):
                with self._lock:
                    self._lost += len(lines)


def _watch_stream(stream: TextIO) -> Any:
    """Return what tells whether *stream* is writable; None for a file or memory, which always is."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    made = select.poll()
    made.register(descriptor, select.POLLOUT)
    return made


def _is_journal(stream: TextIO) -> bool:
    """Tell whether *stream* goes to the journal of systemd, by `JOURNAL_STREAM` (systemd.exec(5)): device and inode."""
    try:
        found = os.fstat(stream.fileno())
    except (AttributeError, OSError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _find_priority(line: str) -> str:
    found = _LEVEL.search(line)
    return _PRIORITIES.get(found[1], "") if found else ""


def _render_event(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    """Return the line of *event*: the last step of structlog, in one function and with one encoder, for half its CPU."""
    event["level"] = _LEVELS.get(method, method)
    moment = datetime.now(UTC)  # noqa: TID251 - the moment of a line is when it is written
    event["timestamp"] = moment.isoformat().replace("+00:00", "Z")
    if "exc_info" in event:
        structlog.processors.format_exc_info(logger, method, event)
    line = _ENCODER.encode(event)
    return _ADDRESS.sub("", line) if " at 0x" in line else line


def configure_logs(stream: TextIO | None = None, *, lasting: bool = False) -> None:
    """Make structlog write one JSON object per line to *stream* (default: standard output).

    With *lasting*, loggers that were used once may keep this configuration.
    """
    lines = LineLogger(stream or cast("TextIO", sys.__stdout__))
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _render_event],
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=lasting,
    )


def write_lines(text: str) -> None:
    """Write the log lines *text* of another process of this node. They are written already as this process would."""
    structlog.get_config()["logger_factory"]().msg(text)


def observer(stream: TextIO | None = None) -> ILogObserver:
    """Return an observer of Twisted's events: `twistd -n --logger hub.runtime.logs.observer lienthong`."""
    configure_logs(stream, lasting=True)

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        level = event["log_level"].name
        failure = event.get("log_failure")
        fields: dict[str, Any] = {"exception": failure.getTraceback()} if failure is not None else {}
        say = getattr(log, _LEVELS.get(level, level))
        say(formatEvent(event), logger=event.get("log_namespace", ""), **fields)

    return cast("ILogObserver", observe)
