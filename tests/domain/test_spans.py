"""Spans of one trace find one another by ids that follow from the message's, and are told as the caller says."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from hub.domain.ids import make_id
from hub.domain.spans import NO_TRACER, SpanWork, Tracer, WorkSpan, is_sampled, name_span
from hub.domain.trace_context import find_trace_id

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
MESSAGE = "0192f0c1-0000-7000-8000-000000000001"
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collected(list[WorkSpan]):
    """Spans, with a clock that moves on a second with each look."""

    def tracer(self, share=1.0):
        ticks = iter(range(1000))
        return Tracer(self.append, share, lambda: NOW, lambda: float(next(ticks)))


def test_a_call_with_a_trace_is_a_span_below_its_callers_and_the_work_on_it_below_that():
    told = Collected()
    tracer = told.tracer()
    with tracer.span(SpanWork.INTAKE, MESSAGE, CALLER) as said:
        said["partner"] = "vpub"
        with tracer.span(SpanWork.VERIFY, MESSAGE, CALLER):
            pass
    verify, intake = told
    assert {verify.trace_id, intake.trace_id} == {CALLER[3:35]}
    assert intake.parent_id == CALLER[36:52]
    assert verify.parent_id == intake.span_id == name_span(MESSAGE, SpanWork.INTAKE)
    assert intake.attributes == {"message": MESSAGE, "partner": "vpub"}
    assert (intake.started, intake.seconds) == (NOW, 3.0)
    assert not intake.failed


def test_a_message_without_a_trace_begins_its_own():
    told = Collected()
    with told.tracer().span(SpanWork.INTAKE, MESSAGE, None):
        pass
    assert (told[0].trace_id, told[0].parent_id) == (MESSAGE.replace("-", ""), None)


def test_work_that_raises_or_says_so_has_failed():
    told = Collected()
    tracer = told.tracer()
    with suppress(ZeroDivisionError), tracer.span(SpanWork.COMMIT, MESSAGE, None):
        raise ZeroDivisionError
    with tracer.span(SpanWork.PUSH, MESSAGE, None) as said:
        said["failure"] = "unavailable"
    assert [each.failed for each in told] == [True, True]


@pytest.mark.parametrize(
    ("traceparent", "share", "sampled"),
    [(CALLER, 0.0, True), (f"{CALLER[:-1]}0", 1.0, False), (None, 1.0, True), (None, 0.0, False)],
    ids=["the caller wants it", "the caller does not", "all of ours", "none of ours"],
)
def test_what_a_caller_says_of_its_trace_holds_and_else_the_share(traceparent, share, sampled):
    told = Collected()
    with told.tracer(share).span(SpanWork.INTAKE, MESSAGE, traceparent):
        pass
    assert bool(told) is sampled


def test_of_many_traces_the_share_is_told_and_by_all_processes_the_same():
    ids = [f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}" for number in range(1, 2001)]
    chosen = [each for each in ids if is_sampled(each, None, 0.25)]
    assert 400 < len(chosen) < 600


def test_the_share_is_also_that_of_traces_whose_id_is_a_message_s():
    """Two bits in the middle of such an id are the same in all."""
    ids = [find_trace_id(make_id(datetime(2026, 11, 29, tzinfo=UTC)), None) for _ in range(2000)]
    assert 400 < len([each for each in ids if is_sampled(each, None, 0.25)]) < 600


def test_without_a_collector_nothing_is_told():
    with NO_TRACER.span(SpanWork.INTAKE, MESSAGE, CALLER) as said:
        said["partner"] = "vpub"
