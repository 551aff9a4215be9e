"""One stream of JSON lines: the hub's own events and Twisted's.  Knows structlog and twistd's `--logger`; not what is logged.

Unless twistd was told of another logger, `tap.py` gives it this one, at the place twistd would log to.
"""

import sys
import threading
from typing import Any, TextIO, cast

import attrs
import structlog
from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import provider

#: Twisted tells of each connection's factory that it starts and stops; the delivery that uses it says more.
_NOISE = {"twisted.web.client._HTTP11ClientFactory"}
_LEVELS = {"warn": "warning"}


@attrs.frozen(eq=False)
class Lines:
    """Writes lines whole, from any thread.

    Twisted logs «Received SIGTERM» from inside the signal's handler, which may have interrupted this very thread in the middle of a
    line: a lock that the thread itself would have to wait for (structlog's own) would hold up the stop for ever.
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
    """Make structlog write one JSON object a line to *stream* (standard output)."""
    lines = Lines(stream or cast("TextIO", sys.__stdout__))
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
