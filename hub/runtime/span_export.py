"""Sends spans to an OpenTelemetry collector, by its SDK, from a thread of the SDK. Does not know what a span tells of.

At most `QUEUED` spans wait; further ones push out the oldest, so a collector that is away costs the hub nothing else.
That it is away is logged once, and once that it takes spans again.
"""

import contextvars
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import attrs
import structlog
from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred

from hub.config.upkeep.tracing import TracingSettings
from hub.domain.spans import NO_TRACER, SpanWork, Tracer, WorkSpan

#: Spans that wait to be sent, how many are sent together, and the seconds between two sendings.
QUEUED, TOGETHER, EVERY = 4096, 512, 2.0
_EPOCH = datetime.fromtimestamp(0, UTC)
#: Seconds within which the collector must answer.
PATIENCE = 3.0
#: Seconds that a stop waits for the collector to take what is left.
LAST = 2.0

log = structlog.get_logger()


@attrs.define(eq=False)
class SpanExport(Service):
    """The sender of one process. It drops every span before it is started."""

    _endpoint: str  #: URL of the collector
    _node: str  #: name of the node
    _version: str  #: of the program
    _exporter: Any = attrs.field(default=None, init=False)
    _processor: Any = attrs.field(default=None, init=False)
    _resource: Any = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Start the thread. Not before: twistd forks after the services were made."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        Service.startService(self)
        named = {"service.name": "lienthong", "service.version": self._version, "service.instance.id": self._node}
        self._resource = Resource(named)
        self._exporter = _make_exporter(self._endpoint)
        self._processor = BatchSpanProcessor(
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
            self._processor.on_end(_write_span(span, self._resource))


def _make_exporter(endpoint: str) -> Any:
    """Return what sends to the collector at *endpoint*, and logs when that begins to fail and when it succeeds again.

    It reads the head of an answer only: a body may have no end.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult
    from requests import Session

    # the SDK would write a line about each failure to standard error, with the URL, which may have a token in it
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
    context = contextvars.copy_context()  # the lines of a worker process name it

    class HeadSession(Session):
        outcome = ""  #: of the last request

        def request(self, *args: Any, **kwargs: Any) -> Any:
            try:
                answer = super().request(*args, **(kwargs | {"stream": True}))
            except Exception as error:
                self.outcome = type(error).__name__
                raise
            answer.close()
            self.outcome = f"HTTP {answer.status_code}"
            return answer

    session = HeadSession()

    class ToldExporter(OTLPSpanExporter):
        failing = False  #: whether the last spans were not taken

        def export(self, spans: Any) -> Any:
            result = super().export(spans)
            failing = result is not SpanExportResult.SUCCESS
            if failing and not self.failing:
                context.run(lambda: log.warning("spans-not-sent", error=session.outcome))
            elif self.failing and not failing:
                context.run(lambda: log.info("spans-sent-again"))
            self.failing = failing
            return result

    return ToldExporter(endpoint, timeout=PATIENCE, session=session)


def make_tracer(
    settings: TracingSettings | None, now: Callable[[], datetime], seconds: Callable[[], float], node: str
) -> tuple[Tracer, SpanExport | None]:
    """Return what tells spans, and the service that sends them; None: nothing is traced."""
    if settings is None:
        return NO_TRACER, None
    export = SpanExport(settings.endpoint, node, version("lienthong"))
    return Tracer(export.tell, settings.percent / 100, now, seconds), export


def _write_span(span: WorkSpan, resource: Any) -> Any:
    """Return *span* as the SDK has it."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    kinds = {SpanWork.INTAKE: SpanKind.SERVER, SpanWork.PUSH: SpanKind.CLIENT}
    sampled, trace = TraceFlags(TraceFlags.SAMPLED), int(span.trace_id, 16)
    began = (span.started - _EPOCH) // timedelta(microseconds=1) * 1000
    remote = span.work is SpanWork.INTAKE
    above = SpanContext(trace, int(span.parent_id, 16), remote, sampled) if span.parent_id else None
    return ReadableSpan(
        name=str(span.work),
        context=SpanContext(trace, int(span.span_id, 16), is_remote=False, trace_flags=sampled),
        parent=above,
        resource=resource,
        attributes={f"lienthong.{name}": value for name, value in span.attributes.items()},
        kind=kinds.get(span.work, SpanKind.INTERNAL),
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=began,
        end_time=began + round(span.seconds * 1e9),
    )
