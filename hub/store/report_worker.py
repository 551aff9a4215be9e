"""A process that reads reports for the hub, one after the other: what to do comes by a pipe and goes back by another.

Knows the journal's database and how to give way; not what a report is.  It ends with the hub, however that ends.
"""

import contextlib
import ctypes
import gc
import os
import pickle
import resource
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import attrs
import sqlalchemy as sa

from hub.domain.errors import Unready
from hub.store import transactions

#: The descriptor by which answers go back; before each answer, and each question, stands its length.
ANSWERS, HEAD = 3, struct.Struct(">Q")
#: By how much the process gives way to the hub, as nice(1) counts.
NICE = 10
#: PostgreSQL: a statement of a report that takes longer is ended, in seconds; and one whose process is gone within two.
STATEMENT = 60
#: A process that ever took so much memory takes no further report, in MiB: what it holds goes back to the system.
_LARGEST = 256
_PR_SET_PDEATHSIG = 1
_TOO_LONG = "57014"


@attrs.frozen
class Settings:
    """Where the journal is, and where a large report may lay things down."""

    url: str
    password_file: Path | None
    spool: Path | None = None


@attrs.frozen
class Raised:
    """An exception on its way: many cannot be pickled as they are."""

    kind: type[BaseException]
    arguments: tuple[Any, ...]
    fields: dict[str, Any]

    @classmethod
    def of(cls, error: BaseException) -> "Raised":
        """Return *error* as it can be sent."""
        return cls(type(error), error.args, dict(error.__dict__))

    def again(self) -> BaseException:
        """Return it as it was, without its traceback."""
        error = self.kind.__new__(self.kind)
        error.args = self.arguments
        error.__dict__.update(self.fields)
        return error


@attrs.frozen
class WorkerAnswer:
    """An answer."""

    result: Any = None
    error: Raised | None = None
    last: bool = False  #: the process ends after it


def run_reading_step(engine: sa.Engine, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a reading *step*.  Raises `Unready`: `hub-busy` where a statement took too long."""
    try:
        return transactions.run_reading(engine, lambda tx: step(tx, *args, **kwargs))
    except Unready as unready:
        if getattr(getattr(unready.__cause__, "orig", None), "sqlstate", None) == _TOO_LONG:
            raise Unready("hub-busy", f"a statement of the report took over {STATEMENT} s") from unready
        raise


def serve_questions(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until there is no further question."""
    settings: Settings = pickle.loads(_take(questions) or b"")  # noqa: S301 - the hub's own
    if settings.spool is not None:
        os.environ["SQLITE_TMPDIR"] = str(settings.spool)
    engine = transactions.open_journal(settings.url, password_file=settings.password_file).execution_options(
        statement_limit=STATEMENT
    )
    while question := _take(questions):
        last = False
        try:
            step, args, kwargs = pickle.loads(question)  # noqa: S301 - the hub's own
            said = WorkerAnswer(run_reading_step(engine, step, args, kwargs))
            last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _LARGEST * 1024
            content = pickle.dumps(attrs.evolve(said, last=last))
        except Exception as error:  # noqa: BLE001 - it goes back to whoever waits for this report
            content = pickle.dumps(WorkerAnswer(error=Raised.of(error), last=last))
        answers.write(HEAD.pack(len(content)))
        answers.write(content)
        answers.flush()
        if last:
            return
    engine.dispose()


def _take(questions: IO[bytes]) -> bytes:
    head = questions.read(HEAD.size)
    return questions.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""


def _give_way() -> None:
    gc.freeze()
    gc.set_threshold(100_000)  # facts come and go by the hundred thousand, and none is in a cycle
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # typed at the hub's terminal: the hub ends us
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # Linux: when the hub is gone, so are we


def main() -> None:
    """Be such a process."""
    _give_way()
    with os.fdopen(ANSWERS, "wb") as answers, contextlib.suppress(BrokenPipeError):
        serve_questions(sys.stdin.buffer, answers)
