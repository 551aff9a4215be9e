"""Spans reach a collector as OpenTelemetry has them; one that is away costs nothing but them."""

import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs

from hub.config.upkeep.tracing import TracingSettings
from hub.domain.spans import NO_TRACER, SpanWork, name_span
from hub.runtime import span_export
from hub.runtime.span_export import make_tracer
from lienthong_demo.protocol.http_server import ServerAnswer, serve_calls
from tests.waiting import PATIENCE, until

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
MESSAGE = "0192f0c1-0000-7000-8000-000000000001"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def every_thread_ends():
    """No thread of the SDK is left: it draws random numbers, which Hypothesis forbids in the tests that come next."""
    yield
    for thread in threading.enumerate():
        if thread.name == "spans-end":
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert not [each.name for each in threading.enumerate() if "Otel" in each.name]


@contextmanager
def collector():
    """Yield the URL of a collector, and what it gets."""
    got = []

    def take(call):
        got.append(ExportTraceServiceRequest.FromString(call.body))
        return ServerAnswer(200)

    with serve_calls(take) as server:
        yield f"{server.url}/v1/traces", got


def test_a_collector_gets_what_the_hub_does_with_a_message(monkeypatch):
    for name in ("EVERY", "PATIENCE"):  # on a busy machine, too, both spans go together, at the end
        monkeypatch.setattr(span_export, name, PATIENCE)
    with collector() as (url, got):
        ticks = iter((0.0, 0.25, 1.0, 3.0))
        tracer, export = make_tracer(TracingSettings(url), lambda: NOW, lambda: next(ticks), "node-1")
        assert export is not None
        export.startService()
        with tracer.span(SpanWork.INTAKE, MESSAGE, CALLER) as told:
            told |= {"partner": "vpub", "attempt": 2}
        with tracer.span(SpanWork.PUSH, MESSAGE, CALLER, "1234567890abcdef") as told:
            told["failure"] = "unavailable"
        export.finish()
    (request,) = got
    (resource,) = request.resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (named["service.name"], named["service.instance.id"]) == ("lienthong", "node-1")
    intake, push = resource.scope_spans[0].spans
    assert (intake.name, intake.kind, intake.trace_id.hex()) == ("intake", intake.SPAN_KIND_SERVER, CALLER[3:35])
    assert (intake.parent_span_id.hex(), intake.span_id.hex()) == (CALLER[36:52], name_span(MESSAGE, SpanWork.INTAKE))
    assert intake.start_time_unix_nano == round(NOW.timestamp() * 1e9)
    assert intake.end_time_unix_nano - intake.start_time_unix_nano == 250_000_000
    said = {each.key: each.value.string_value or each.value.int_value for each in intake.attributes}
    assert said == {"lienthong.message": MESSAGE, "lienthong.partner": "vpub", "lienthong.attempt": 2}
    assert (push.name, push.kind, push.span_id.hex()) == ("push", push.SPAN_KIND_CLIENT, "1234567890abcdef")
    assert push.parent_span_id == intake.span_id
    assert [each.status.code for each in (intake, push)] == [0, 2], "the second failed"


def test_before_the_start_and_after_the_stop_nothing_is_sent():
    with collector() as (url, got):
        tracer, export = make_tracer(TracingSettings(url), lambda: NOW, lambda: 0.0, "node-1")
        assert export is not None
        for step in (lambda: None, export.startService, export.finish):
            step()
            if step != export.startService:
                with tracer.span(SpanWork.INTAKE, MESSAGE, None):
                    pass
    assert got == []


def test_a_collector_that_is_away_costs_the_spans_alone(monkeypatch):
    monkeypatch.setattr(span_export, "PATIENCE", 0.2)
    tracer, export = make_tracer(TracingSettings("http://127.0.0.1:1/v1/traces"), lambda: NOW, lambda: 0.0, "node-1")
    assert export is not None
    export.startService()
    for _ in range(span_export.QUEUED + 100):
        with tracer.span(SpanWork.INTAKE, MESSAGE, None):
            pass
    export.finish()


def test_a_collector_that_takes_nothing_holds_a_stop_up_for_two_seconds_however_much_waits(monkeypatch):
    monkeypatch.setattr(span_export, "LAST", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        tracer, export = make_tracer(TracingSettings(url), lambda: NOW, lambda: 0.0, "node-1")
        assert export is not None
        export.startService()
        for _ in range(span_export.QUEUED):
            with tracer.span(SpanWork.INTAKE, MESSAGE, None):
                pass
        begun = time.monotonic()
        export.finish()
        assert time.monotonic() - begun < span_export.PATIENCE, "not even one of eight sendings is waited for"


def test_a_collector_that_refuses_is_logged_once_without_its_url_and_once_more_when_it_takes_spans(monkeypatch, capfd):
    monkeypatch.setattr(span_export, "EVERY", 0.01)
    refusals, asked = [400, 400, 400], []

    def answer(call):
        asked.append(call.path)
        return ServerAnswer(refusals.pop() if refusals else 200)

    with serve_calls(answer) as server, capture_logs([merge_contextvars]) as logs:
        settings = TracingSettings(f"{server.url}/v1/traces?key=token")
        tracer, export = make_tracer(settings, lambda: NOW, lambda: 0.0, "node-1")
        assert export is not None
        with bound_contextvars(worker=1):
            export.startService()
        for sending in range(1, 6):
            with tracer.span(SpanWork.INTAKE, MESSAGE, None):
                pass
            until(lambda sending=sending: len(asked) == sending, "the span to be sent")
        export.finish()
    refused = {"event": "spans-not-sent", "error": "HTTP 400", "worker": 1, "log_level": "warning"}
    ours = [each for each in logs if "worker" in each]  # the exporter of a test before may give up meanwhile
    assert ours == [refused, {"event": "spans-sent-again", "worker": 1, "log_level": "info"}]
    assert capfd.readouterr().err == "", "the library writes nothing of its own"


def test_a_collector_whose_answer_has_no_end_holds_nothing_up():
    asked, over = threading.Event(), threading.Event()

    class Endless(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            asked.set()
            with suppress(OSError):
                while not over.wait(0.01):
                    self.wfile.write(b"x" * 65536)

        def log_message(self, format, *args):  # noqa: A002 - so named by the library
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        tracer, export = make_tracer(TracingSettings(url), lambda: NOW, lambda: 0.0, "node-1")
        assert export is not None
        export.startService()
        with tracer.span(SpanWork.INTAKE, MESSAGE, None):
            pass
        ending = threading.Thread(target=export.finish, daemon=True)
        ending.start()
        assert asked.wait(PATIENCE)
        ending.join(PATIENCE)
        assert not ending.is_alive()
        over.set()
        server.shutdown()


def test_without_settings_nothing_is_traced():
    assert make_tracer(None, lambda: NOW, lambda: 0.0, "node-1") == (NO_TRACER, None)
