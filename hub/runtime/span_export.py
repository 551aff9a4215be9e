"""Sends spans to an OpenTelemetry collector, by its SDK, from a thread of the SDK. Does not know what a span tells of.

At most `QUEUED` spans wait; further ones are dropped, so a collector that is away costs the hub nothing else.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import attrs
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


@attrs.define(eq=False)
class SpanExport(Service):
    """The sender of one process. It drops every span before it is started."""

    _endpoint: str  #: URL of the collector
    _node: str  #: name of the node
    _version: str  #: of the program
    _processor: Any = attrs.field(default=None, init=False)
    _resource: Any = attrs.field(default=None, init=False)

    def startService(self) -> None:
        """Start the thread. Not before: twistd forks after the services were made."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        Service.startService(self)
        named = {"service.name": "lienthong", "service.version": self._version, "service.instance.id": self._node}
        self._resource = Resource(named)
        self._processor = BatchSpanProcessor(
            OTLPSpanExporter(self._endpoint, timeout=PATIENCE, session=_make_session()),
            max_queue_size=QUEUED,
            max_export_batch_size=TOGETHER,
            schedule_delay_millis=EVERY * 1000,
        )

    def stopService(self) -> Deferred[None]:
        """Send what waits, and end the thread."""
        Service.stopService(self)
        return threads.deferToThread(self.finish)

    def finish(self) -> None:
        """Send what waits, and end the thread. Blocks, for about `PATIENCE` at most."""
        processor, self._processor = self._processor, None
        if processor is not None:
            processor.shutdown()

    def tell(self, span: WorkSpan) -> None:
        """Queue *span*."""
        if self._processor is not None:
            self._processor.on_end(_write_span(span, self._resource))


def _make_session() -> Any:
    """Return what sends to the collector and reads the head of its answer only: a body may have no end."""
    from requests import Session

    class HeadSession(Session):
        def request(self, *args: Any, **kwargs: Any) -> Any:
            answer = super().request(*args, **(kwargs | {"stream": True}))
            answer.close()
            return answer

    return HeadSession()


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
