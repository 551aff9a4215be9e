"""The spans of a hub as OpenTelemetry has them, and what sends them. Imports its SDK, an extra; does not know when to send."""

import contextvars
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from requests import Session

from hub.domain.spans import SpanWork, WorkSpan

__all__ = ["BatchSpanProcessor", "Resource", "make_exporter", "write_span"]

_EPOCH = datetime.fromtimestamp(0, UTC)

log = structlog.get_logger()


def make_exporter(endpoint: str, patience: float) -> OTLPSpanExporter:
    """Return what sends to the collector at *endpoint*, and logs when that begins to fail and when it succeeds again.

    *patience*: seconds within which it must answer. The exporter reads the head of an answer only: a body may have no end.
    """
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

    return ToldExporter(endpoint, timeout=patience, session=session)


def write_span(span: WorkSpan, resource: Resource) -> ReadableSpan:
    """Return *span* as the SDK has it."""
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
