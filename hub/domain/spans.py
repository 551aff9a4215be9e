"""Spans of the hub's work on a message: the call, its verification, the commit, each attempt to deliver it.

Their ids follow from the message's, so the parts of one trace find one another without a word between them, over workers,
nodes and restarts. Knows times and ids; not where spans are sent.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

import attrs

from hub.domain.trace_context import find_trace_id


class SpanWork(StrEnum):
    """What a span tells of."""

    #: a call, from its arrival to its signed answer, below its caller's span; or something fetched from a partner
    INTAKE = "intake"
    VERIFY = "verify"  #: its parsing, verification and validation
    COMMIT = "commit"  #: the wait for the commit of the message
    PUSH = "push"  #: an attempt to deliver


@attrs.frozen(kw_only=True)
class WorkSpan:
    """A piece of work that has ended."""

    work: SpanWork
    trace_id: str  #: 32 hexadecimal digits
    span_id: str  #: 16
    parent_id: str | None  #: 16; None: it begins the trace
    started: datetime
    seconds: float
    attributes: Mapping[str, str | int]  #: codes and numbers, no personal data
    failed: bool


def name_span(message: str, work: SpanWork) -> str:
    """Return the span id of the hub's own *work* on the message with this id."""
    return sha256(f"{message} {work}".encode()).hexdigest()[:16]


def is_sampled(trace_id: str, traceparent: str | None, share: float) -> bool:
    """Tell whether the spans of a trace are told: as its caller says, else *share* (0 to 1) of all traces.

    By the id of the trace, so every process and node decides alike: the last seven octets are compared, which are random
    in every trace id (W3C Trace Context Level 2, “random trace id flag”), also in one that is a UUIDv7.
    """
    if traceparent is not None:
        return traceparent.endswith("1")
    return int(trace_id[-14:], 16) < share * 2**56


class _NotTold(AbstractContextManager[dict[str, str | int]]):
    """Work of which nothing is told, which costs the hot path nothing."""

    def __enter__(self) -> dict[str, str | int]:
        """Return attributes that nobody reads."""
        return {}

    def __exit__(self, *_error: object) -> None:
        """Tell nothing."""


_NOT_TOLD = _NotTold()


@attrs.frozen(eq=False)
class Tracer:
    """Tells spans."""

    _tell: Callable[[WorkSpan], None] | None = None  #: takes a span; None: nothing is traced
    _share: float = 0.0  #: share of the traces that begin here
    _now: Callable[[], datetime] = lambda: datetime.min.replace(tzinfo=UTC)  #: the wall clock, aware and in UTC
    _seconds: Callable[[], float] = lambda: 0.0  #: a monotonic clock

    def tells(self, message: str, traceparent: str | None) -> bool:
        """Tell whether spans about this message are told. See `span`."""
        return self._tell is not None and is_sampled(find_trace_id(message, traceparent), traceparent, self._share)

    def span(
        self,
        work: SpanWork,
        message: str,
        traceparent: str | None,
        span_id: str | None = None,
        *,
        first: bool = False,
    ) -> AbstractContextManager[dict[str, str | int]]:
        """Tell of the work in the block, which may put attributes into what it is given. It failed if the block raises.

        *message*: the hub's id of the message, or of the call without one. *span_id*: if it is not `name_span`.
        *first*: the hub wrote the message itself, so that no intake is above the work.
        """
        return _NOT_TOLD if self._tell is None else self._span(work, message, traceparent, span_id, first)

    @contextmanager
    def _span(
        self, work: SpanWork, message: str, traceparent: str | None, span_id: str | None, first: bool
    ) -> Generator[dict[str, str | int]]:
        assert self._tell is not None
        attributes: dict[str, str | int] = {}
        started, begun = self._now(), self._seconds()
        failed = True
        try:
            yield attributes
            failed = False
        finally:
            if self.tells(message, traceparent):
                caller = None if traceparent is None else traceparent[36:52]
                intake = None if first else name_span(message, SpanWork.INTAKE)
                self._tell(
                    WorkSpan(
                        work=work,
                        trace_id=find_trace_id(message, traceparent),
                        span_id=span_id or name_span(message, work),
                        parent_id=caller if work is SpanWork.INTAKE else intake,
                        started=started,
                        seconds=max(0.0, self._seconds() - begun),
                        attributes={"message": message, **attributes},
                        failed=failed or "failure" in attributes,
                    )
                )


#: Traces nothing.
NO_TRACER = Tracer()
