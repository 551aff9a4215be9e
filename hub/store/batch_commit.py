"""One batch of steps in one transaction: their times, their turns, what is known of the commit; no thread, no queue."""

import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

import attrs
import sqlalchemy as sa
import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from hub.domain.errors import Unready
from hub.domain.fair_queue import Owner
from hub.domain.model import Detail
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.store import commit_marks, database_errors, transactions
from hub.store.database_errors import describe_unready
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction, write_transaction

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
Step = Callable[[Transaction], object]
#: A commit begins no further step after this time, in seconds. A step waits for the rest of the running commit and, in
#: the next one, for one step of each other owner. A shorter budget syncs the disk more often than needed and costs more
#: CPU per step.
BUDGET = 0.1
#: Number of runs of a batch when the connection breaks or the database aborts it for a transient reason.
_TRIES = 3


class Journal(Protocol):
    """Access to the journal for services. The daemon uses the threaded `Database`, tests use `InlineDatabase`."""

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run a writing step. The Deferred fires after the commit.

        Fails with `Unready` when nothing could be committed.
        """
        ...

    def admit(
        self, owner: Owner, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run a writing step that comes from outside: after the steps given to `write`, round robin with other owners.

        Fails with `Unready` (`hub-busy`) when *owner* has more than its share waiting, or when commits are stuck.
        """
        ...

    def trouble(self) -> Detail:
        """Return why steps from outside are refused now or failed a moment ago, or "" when there is no trouble."""
        ...

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Run a reading step. Fails with `Unready` when the database does not answer."""
        ...

    def read_report(
        self,
        reader: ReportReader,
        step: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run a reading step that may take long, in a separate process, round robin with those of other readers.

        *step* must be a function of a module. Fails with `Unready` (also `hub-busy`, when *reader* has too many
        waiting), or with CancelledError when no caller wants the report any more.
        """
        ...


class CommitWitness(Protocol):
    """Keeps outside the journal what a commit did, before any caller hears of it."""

    begun: bool  #: whether steps from outside may be admitted

    def collect(self, tx: Transaction) -> Any:
        """Return what is to be kept of *tx*, whose steps are done."""
        ...

    def keep(self, found: Any) -> None:
        """Keep what was collected, as the commit is done. Raises OSError."""
        ...


@attrs.frozen
class SetStep(Generic[V, T]):
    """A step of one value that a commit can do for many callers at once. It is called like any other step."""

    one: Callable[[Transaction, V], T]
    #: takes the values of several calls and returns the result of each, or None where the call is to be done by `one`;
    #: when it raises, all are
    many: Callable[[Transaction, Sequence[V]], Sequence[T | None]]

    def __call__(self, tx: Transaction, value: V) -> T:
        """Do the step for one caller."""
        return self.one(tx, value)


@attrs.frozen
class ChargedStep(Generic[P, T]):
    """A step of the hub that is charged to the partner for which it is done. It waits as the hub's own does."""

    partner: str
    step: Callable[Concatenate[Transaction, P], T]

    def __call__(self, tx: Transaction, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the step."""
        return self.step(tx, *args, **kwargs)


@attrs.frozen(eq=False)
class StepCall:
    """A step with the arguments and the context of its caller."""

    step: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = attrs.field(factory=dict)
    context: contextvars.Context = attrs.field(factory=contextvars.copy_context)

    def __call__(self, tx: Transaction) -> object:
        """Do the step."""
        return self.context.run(self.step, tx, *self.args, **self.kwargs)


_LATER = object()  #: the result of a step that must be run alone
NOT_BEGUN = object()  #: the result of a step for which the commit had no time


def _read_stopped_clock() -> float:
    """Return the time of a clock that stands still: no step uses up its budget."""
    return 0.0


@attrs.frozen(eq=False)
class StepTimes:
    """Measures how long the steps of a commit keep the writer."""

    _steady: Callable[[], float] = _read_stopped_clock  #: a monotonic clock in seconds
    _taken: dict[int, float] = attrs.field(factory=dict, init=False)  #: seconds by the identity of the step

    @contextmanager
    def measure(self, *steps: Step) -> Iterator[None]:
        """Add the time until the end to what *steps*, which are done together, have taken."""
        begun = self._steady()
        try:
            yield
        finally:
            each = (self._steady() - begun) / len(steps)
            for step in steps:
                self._taken[id(step)] = self._taken.get(id(step), 0.0) + each

    def read(self, step: Step) -> float:
        """Return the seconds that *step* took, all its runs together."""
        return self._taken.get(id(step), 0.0)

    @property
    def total(self) -> float:
        """Return the seconds that all steps took."""
        return sum(self._taken.values())


def commit_steps(
    engine: sa.Engine,
    steps: list[Step],
    steady: Callable[[], float] = _read_stopped_clock,
    times: StepTimes | None = None,
    witness: CommitWitness | None = None,
) -> list[object]:
    """Run *steps* in one transaction, each in its own savepoint. Return for each step its result or its `Failure`.

    After a lost connection it is unknown whether the commit was done. If its mark shows that it was
    (hub.store.commit_marks), its results stand. Otherwise the steps are run again. Where no mark can tell, that is safe
    for messages, claims and settlements: each recognises by id what it wrote (`record_message`, `settle_claim`) or
    changes only what is still unchanged; but what only counts may count twice. A transaction that the database aborted
    for a transient reason (a deadlock) is run again too. After another failure of the commit each step is run alone, so
    that only the step that causes the failure fails. A step that would have to wait for another transaction is run
    alone, after the others.

    Once the steps have used `BUDGET` by the clock *steady*, in seconds, no further step is begun, and the result of
    each remaining step is `NOT_BEGUN`. The first step is always begun. In a second run all steps are begun, as they may
    already be committed. *times* gets how long each step took.

    Where *witness* cannot keep what a commit did, the result of each of its steps is a `Failure` of `Unready`.
    """
    times = times or StepTimes()
    tries, doubted, asked = 1, False, dict[str, list[object]]()
    while True:
        try:
            clock = steady if tries == 1 else _read_stopped_clock
            results = _commit_once(engine, steps, asked, again=tries > 1, steady=clock, times=times, witness=witness)
            return [
                commit_steps(engine, [step], times=times, witness=witness)[0] if result is _LATER else result
                for step, result in zip(steps, results, strict=True)
            ]
        except transactions.Unconfirmed as error:
            doubted = again = True
            failure = Failure(Unready("journal-unavailable", str(error)))
        except sa.exc.DBAPIError as error:
            lost, failure = database_errors.is_connection_lost(error), Failure(describe_unready(error))
            again, doubted = lost or database_errors.is_transient_error(error), doubted or lost
        if again and tries < _TRIES:
            tries += 1
        elif len(steps) > 1 and not doubted:  # otherwise they may be committed already
            return [result for step in steps for result in commit_steps(engine, [step], times=times, witness=witness)]
        else:
            return [failure] * len(steps)


def _commit_once(
    engine: sa.Engine,
    steps: list[Step],
    asked: dict[str, list[object]],
    *,
    again: bool,
    steady: Callable[[], float],
    times: StepTimes,
    witness: CommitWitness | None,
) -> list[object]:
    """Run *steps* once. *asked*: by their marks, the results of the runs whose commit was asked for; this one is added."""
    with write_transaction(engine) as tx:
        if again:
            transactions.wait_for_synchronous_standby(tx)
        results = asked.get(commit_marks.read_last_mark(tx) or "") if asked else None
        if results is None:
            results = _run_steps(tx, steps, steady, times)
            if (mark := commit_marks.mark_commit(tx)) is not None:
                asked[mark] = results
        found = None if witness is None else witness.collect(tx)
    return results if witness is None else _keep_witness(witness, found, results)


def _keep_witness(witness: CommitWitness, found: Any, results: list[object]) -> list[object]:
    """Return *results*; failures for those of the commit if *witness* cannot keep it."""
    try:
        witness.keep(found)
    except OSError as error:
        words = phrase("the witness cannot be written: {error}", error=name_system_error(error))
        failure = Failure(Unready("journal-unavailable", words))
        return [result if result is _LATER or result is NOT_BEGUN else failure for result in results]
    return results


def _run_steps(tx: Transaction, steps: list[Step], steady: Callable[[], float], times: StepTimes) -> list[object]:
    """Run *steps* in *tx*, each in its own savepoint."""
    results: list[object] = []
    if len(steps) > 1:
        transactions.share_transaction(tx)
    until = steady() + BUDGET
    done = _run_sets(tx, steps, times)
    for number, step in enumerate(steps):
        if number in done:
            results.append(done[number])
            continue
        if results and steady() >= until:
            results.append(NOT_BEGUN)
            continue
        try:
            with times.measure(step), transactions.savepoint(tx):
                results.append(step(tx))
        except sa.exc.DBAPIError as error:
            if not database_errors.is_statement_error(error):
                raise
            results.append(Failure())
        except transactions.Occupied:
            results.append(_LATER)
        except Exception:  # noqa: BLE001 - it is returned, as a Failure, to the caller that waits for this step
            results.append(Failure())
    return results


def _run_sets(tx: Transaction, steps: Sequence[Step], times: StepTimes) -> dict[int, object]:
    """Do as sets those of *steps* that can be, each set in a savepoint. Return the results by number of the step.

    A set that fails is done step by step, so that only the step that causes the failure fails.
    """
    sets: dict[SetStep[Any, Any], dict[int, object]] = {}
    for number, step in enumerate(steps):
        if isinstance(step, StepCall) and isinstance(step.step, SetStep):
            (value,) = step.args
            sets.setdefault(step.step, {})[number] = value
    done: dict[int, object] = {}
    for together, calls in sets.items():
        if len(calls) < 2:
            continue
        try:
            with times.measure(*(steps[number] for number in calls)), transactions.savepoint(tx):
                results = together.many(tx, list(calls.values()))
        except sa.exc.DBAPIError as error:
            if not database_errors.is_statement_error(error):
                raise
            log.warning("set-not-written", error=str(error))
        except Exception as error:  # noqa: BLE001 - it is found again by the step that causes it
            log.warning("set-not-written", error=repr(error))
        else:
            done |= {number: result for number, result in zip(calls, results, strict=True) if result is not None}
    return done
