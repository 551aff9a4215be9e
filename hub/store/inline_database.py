"""The journal's database for commands and tests: each step at once, in the caller's thread."""

import pickle
from collections.abc import Callable
from typing import Concatenate, cast

import attrs
import sqlalchemy as sa
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from hub.domain.fair_queue import Owner
from hub.domain.model import Detail
from hub.store.batch_commit import P, T, commit_steps
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction, run_reading


@attrs.define(eq=False)
class InlineDatabase:
    """Runs the same steps and the same SQL without threads, for tests of services under a `Clock`."""

    engine: sa.Engine

    def write(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.write`."""

        def run() -> T:
            (result,) = commit_steps(self.engine, [lambda tx: step(tx, *args, **kwargs)])
            if isinstance(result, Failure):
                result.raiseException()
            return cast("T", result)

        return maybeDeferred(run)

    def admit(
        self, owner: Owner, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """See `Journal.admit`."""
        del owner
        return self.write(step, *args, **kwargs)

    def trouble(self) -> Detail:
        """See `Journal.trouble`."""
        return ""

    def read(self, step: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """See `Journal.read`."""
        return maybeDeferred(run_reading, self.engine, lambda tx: step(tx, *args, **kwargs))

    def read_report(
        self,
        reader: ReportReader,
        step: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """See `Journal.read_report`. Pickles the arguments and the result, as the way to a process and back does."""
        del reader
        step, args, kwargs = pickle.loads(pickle.dumps((step, args, kwargs)))  # noqa: S301
        return self.read(step, *args, **kwargs).addCallback(lambda found: pickle.loads(pickle.dumps(found)))  # noqa: S301
