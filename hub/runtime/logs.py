"""Writes one stream of JSON lines, with the hub's own events and Twisted's.

Configures structlog; does not know what is logged.

`tap.py` installs this observer, with twistd's usual output, unless twistd was given `--logger`.
"""

import sys
import threading
from typing import Any, TextIO, cast

import attrs
import structlog
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import provider

#: Twisted logs the start and stop of the factory of each connection. The delivery that uses it logs more.
_NOISE = {"twisted.web.client._HTTP11ClientFactory"}
_LEVELS = {"warn": "warning"}


@attrs.frozen(eq=False)
class LineLogger:
    """Writes whole lines, from any thread.

    Twisted logs «Received SIGTERM» inside the signal handler, which may interrupt the same thread in the middle of a
    line. With a lock that is not reentrant (structlog's own) the thread would wait for itself and never stop.
    """

    _stream: TextIO
    _lock: threading.RLock = attrs.field(factory=threading.RLock)

    def msg(self, line: str) -> None:
        """Write *line*."""
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = msg


def configure_logs(stream: TextIO | None = None) -> None:
    """Make structlog write one JSON object per line to *stream* (default: standard output)."""
    lines = LineLogger(stream or cast("TextIO", sys.__stdout__))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )


def observer(stream: TextIO | None = None) -> ILogObserver:
    """Return an observer of Twisted's events: `twistd -n --logger hub.runtime.logs.observer lienthong`."""
    configure_logs(stream)
    log = structlog.get_logger()

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("log_namespace") in _NOISE:
            return
        level = event["log_level"].name
        failure = event.get("log_failure")
        fields: dict[str, Any] = {"exception": failure.getTraceback()} if failure is not None else {}
        say = getattr(log, _LEVELS.get(level, level))
        say(formatEvent(event), logger=event.get("log_namespace", ""), **fields)

    return cast("ILogObserver", observe)
