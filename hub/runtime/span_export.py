"""Sends spans to an OpenTelemetry collector, by its SDK, from a thread of the SDK. Does not know what a span tells of.

At most `QUEUED` spans wait; further ones push out the oldest, so a collector that is away costs the hub nothing else.
That it is away is logged once, and once that it takes spans again.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred

from hub.config.upkeep.tracing import TracingSettings
from hub.domain.spans import NO_TRACER, Tracer, WorkSpan

#: Spans that wait to be sent, how many are sent together, and the seconds between two sendings.
QUEUED, TOGETHER, EVERY = 4096, 512, 2.0
#: Seconds within which the collector must answer.
PATIENCE = 3.0
#: Seconds that a stop waits for the collector to take what is left.
LAST = 2.0


@attrs.define(eq=False)
class SpanExport(Service):
    """The sender of one process. It drops every span before it is started."""

    _endpoint: str  #: URL of the collector
    _node: str  #: name of the node
    _version: str  #: of the program
    _exporter: Any = attrs.field(default=None, init=False)
    _processor: Any = attrs.field(default=None, init=False)
    _write: Any = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Start the thread. Not before: twistd forks after the services were made."""
        from hub.runtime import otel_spans  # OpenTelemetry is an extra that only a hub with `[tracing]` needs

        Service.startService(self)
        named = {"service.name": "lienthong", "service.version": self._version, "service.instance.id": self._node}
        self._write = partial(otel_spans.write_span, resource=otel_spans.Resource(named))
        self._exporter = otel_spans.make_exporter(self._endpoint, PATIENCE)
        self._processor = otel_spans.BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUED,
            max_export_batch_size=TOGETHER,
            schedule_delay_millis=EVERY * 1000,
        )

    def stopService(self) -> Deferred[None]:
        """Send what waits, and end the thread."""
        Service.stopService(self)
        return threads.deferToThread(self.finish)

    def finish(self) -> None:
        """Send what waits, and end the thread. Blocks, for `LAST` seconds at most: what is left then is lost."""
        processor, self._processor = self._processor, None
        if processor is not None:
            # the SDK itself waits for up to 30 s; none of its threads holds up the end of the process
            ending = threading.Thread(target=processor.shutdown, name="spans-end", daemon=True)
            ending.start()
            ending.join(LAST)
            if ending.is_alive():
                self._exporter.shutdown()  # no sending begins any more, and none is tried again

    def tell(self, span: WorkSpan) -> None:
        """Queue *span*."""
        if self._processor is not None:
            self._processor.on_end(self._write(span))


def make_tracer(
    settings: TracingSettings | None, now: Callable[[], datetime], seconds: Callable[[], float], node: str
) -> tuple[Tracer, SpanExport | None]:
    """Return what tells spans, and the service that sends them; None: nothing is traced."""
    if settings is None:
        return NO_TRACER, None
    export = SpanExport(settings.endpoint, node, version("lienthong"))
    return Tracer(export.tell, settings.percent / 100, now, seconds), export
