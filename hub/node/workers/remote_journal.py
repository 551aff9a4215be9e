"""The journal as a worker process sees it: it reads by itself, and the node's own process writes.

The step of a caller runs in the node's process unchanged, with its group commit, its fairness and its refusals. Contains
no SQL and starts no process.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from hub.config import Partner
from hub.domain.conversations import Query
from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.domain.model import Detail
from hub.language.phrases import phrase
from hub.node.workers.channel import (
    PartnerQuestion,
    ReportStep,
    RequestFailure,
    Result,
    RoutesAt,
    Unwanted,
    WrittenStep,
    pack,
    unpack,
)
from hub.store.batch_commit import Journal
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.units.routing import Routes
from hub.web.lookups.partner_query import QueryResult

P = ParamSpec("P")
T = TypeVar("T")

#: Versions of the routes that are known: of the province in force, and of those before it that a call may have begun
#: with.
KEPT = 3
#: Interval of the check whether a caller still waits for its report or its answer, in seconds.
_LOOK = 1.0


@attrs.define(eq=False)
class Requests:
    """The requests of one process to the other that have no result yet."""

    send: Callable[[tuple[Any, ...]], None]  #: sends a message
    _last: int = attrs.field(default=0, init=False)  #: number of the last request
    _open: dict[int, Deferred[Any]] = attrs.field(factory=dict, init=False)

    def ask(self, make: Callable[[int], tuple[Any, ...]]) -> Deferred[Any]:
        """Send the request that *make* returns for its number. The Deferred fires with the result."""
        self._last += 1
        try:
            self.send(make(self._last))
        except Exception:  # noqa: BLE001 - an argument that cannot be pickled; the caller of this step hears it
            return fail(Failure())
        done = self._open[self._last] = Deferred[Any]()
        return done

    def ask_while_wanted(
        self, make: Callable[[int], tuple[Any, ...]], wanted: Callable[[], bool], clock: Any
    ) -> Deferred[Any]:
        """Do as `ask`, and tell the other process when nobody wants the result any more."""
        done = self.ask(make)
        looking = LoopingCall(self._look, wanted, self._last)
        looking.clock = clock
        _ = looking.start(_LOOK, now=False)
        return done.addBoth(_stop_looking, looking)

    def _look(self, wanted: Callable[[], bool], number: int) -> None:
        if not wanted():
            self.send(Unwanted(number))

    @property
    def is_empty(self) -> bool:
        """Tell whether every request has its result."""
        return not self._open

    def fail(self, error: Exception) -> None:
        """Let every request fail with *error*: the other process has ended."""
        while self._open:
            self._open.popitem()[1].errback(error)

    def tell(self, said: Result | RequestFailure) -> None:
        """Fire the Deferred of a request."""
        done = self._open.pop(said.number)
        try:
            found = unpack(said.packed)
        except Exception:  # noqa: BLE001 - the caller of this step hears it
            done.errback(Failure())
            return
        if isinstance(said, Result):
            done.callback(found)
        else:
            done.errback(found.rebuild())


@attrs.define(eq=False)
class RemoteJournal:
    """See `hub.store.batch_commit.Journal`."""

    _requests: Requests
    _reads: Journal  #: reads the database; nothing is written with it
    _clock: Any  #: the reactor, for intervals
    _is_busy: Callable[[], bool] = lambda: False  #: whether work is left that leads to further steps
    _routes: deque[tuple[Routes, int]] = attrs.field(factory=lambda: deque(maxlen=KEPT), init=False)

    def set_routes(self, routes: Routes, version: int) -> None:
        """Note that *routes* are in force, and which version they are in the node's process."""
        self._routes.appendleft((routes, version))

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.write`. *step* must be a function of a module."""
        return self._write(None, step, args, kwargs)

    def admit(
        self, owner: Owner, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See `Journal.admit`. *step* must be a function of a module."""
        return self._write(owner.name, step, args, kwargs)

    def _write(
        self, owner: str | None, step: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Deferred[T]:
        try:
            words = [self._name_routes(each) if isinstance(each, Routes) else each for each in args]
        except Unready as unready:
            return fail(unready)
        return self._requests.ask(
            lambda number: WrittenStep(number, owner, pack((step, words, kwargs)), self._is_busy())
        )

    def _name_routes(self, routes: Routes) -> RoutesAt:
        for known, version in self._routes:
            if known is routes:
                return RoutesAt(version)
        raise forget_routes()

    def trouble(self) -> Detail:
        """See `Journal.trouble`. Only the node's process reports it."""
        return ""

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.read`."""
        return self._reads.read(step, *args, **kwargs)

    def read_report(
        self,
        reader: ReportReader,
        step: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """See `Journal.read_report`. The report takes one of the places that the node has for reports."""
        return self._requests.ask_while_wanted(
            lambda number: ReportStep(number, reader.name, reader.longest, pack((step, args, kwargs))),
            reader.wanted,
            self._clock,
        )


@attrs.frozen(eq=False)
class RemoteQueryRunner:
    """See `hub.web.lookups.partner_query.QueryRunner`. The node's process asks, within the limits of the partner."""

    live: Live
    _requests: Requests

    async def ask(self, query: Query, partner: Partner, said: Mapping[str, object]) -> QueryResult:
        """See `PartnerQueryRunner.ask`."""
        found = await self._requests.ask(lambda number: PartnerQuestion(number, query, partner.code, said))
        assert isinstance(found, QueryResult)
        return found


def forget_routes() -> Unready:
    """Return the refusal of a call that began with a province so old that its routes are not kept any more."""
    return Unready("hub-busy", phrase("the configuration at the call's arrival is not kept any more"), retry_after=1)


def _stop_looking(result: T, looking: LoopingCall) -> T:
    if looking.running:
        looking.stop()
    return result
