"""Worker process that reads reports for the hub, one after another.

Questions come in by one pipe and answers go out by another. The process opens the journal's database and lowers its own
priority. It does not know what a report is. On Linux the process ends whenever the hub ends, also when the hub is
killed.
"""

import contextlib
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
from hub.language.phrases import phrase
from hub.runtime.parent_death import end_with_parent
from hub.store import transactions

#: File descriptor of the answers, and the length prefix of each question and answer.
ANSWERS, HEAD = 3, struct.Struct(">Q")
#: PostgreSQL: a longer statement of a report is cancelled, in seconds. The server cancels it within 2 s after the
#: process died.
STATEMENT = 60
#: A process whose peak memory was larger takes no further report, in MiB. When it ends, the system gets the memory
#: back.
_LARGEST = 256
_TOO_LONG = "57014"


@attrs.frozen
class WorkerSettings:
    """Address of the journal, and the directory for the temporary files of large reports."""

    url: str  #: SQLAlchemy URL of the journal
    password_file: Path | None  #: file with the PostgreSQL password
    spool: Path | None = None  #: directory for SQLite's temporary files


@attrs.frozen
class PickledError:
    """An exception in a form that can be pickled. Many exceptions cannot be pickled directly."""

    kind: type[BaseException]  #: class of the exception
    arguments: tuple[Any, ...]  #: its `args`
    fields: dict[str, Any]  #: its `__dict__`

    @classmethod
    def from_error(cls, error: BaseException) -> "PickledError":
        """Return *error* in the form that can be pickled."""
        return cls(type(error), error.args, dict(error.__dict__))

    def rebuild(self) -> BaseException:
        """Rebuild the exception, without its traceback."""
        error = self.kind.__new__(self.kind)
        error.args = self.arguments
        error.__dict__.update(self.fields)
        return error


@attrs.frozen
class WorkerAnswer:
    """The result of one step, or the exception it raised."""

    result: Any = None
    error: PickledError | None = None
    last: bool = False  #: the process ends after this answer


def run_reading_step(engine: sa.Engine, step: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a reading *step*. Raises `Unready` (`hub-busy`) when a statement took too long."""
    try:
        return transactions.run_reading(engine, lambda tx: step(tx, *args, **kwargs))
    except Unready as unready:
        if getattr(getattr(unready.__cause__, "orig", None), "sqlstate", None) == _TOO_LONG:
            raise Unready(
                "hub-busy", phrase("a statement of the report took longer than {most} s", most=STATEMENT)
            ) from unready
        raise


def serve_questions(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer questions until the pipe is closed."""
    settings: WorkerSettings = pickle.loads(_take_question(questions) or b"")  # noqa: S301 - the hub's own
    if settings.spool is not None:
        os.environ["SQLITE_TMPDIR"] = str(settings.spool)
    engine = transactions.open_journal(settings.url, password_file=settings.password_file).execution_options(
        statement_limit=STATEMENT
    )
    while question := _take_question(questions):
        last = False
        try:
            step, args, kwargs = pickle.loads(question)  # noqa: S301 - the hub's own
            said = WorkerAnswer(run_reading_step(engine, step, args, kwargs))
            last = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _LARGEST * 1024
            content = pickle.dumps(attrs.evolve(said, last=last))
        except Exception as error:  # noqa: BLE001 - it is sent back to the caller that waits for this report
            content = pickle.dumps(WorkerAnswer(error=PickledError.from_error(error), last=last))
        answers.write(HEAD.pack(len(content)))
        answers.write(content)
        answers.flush()
        if last:
            return
    engine.dispose()


def _take_question(questions: IO[bytes]) -> bytes:
    head = questions.read(HEAD.size)
    return questions.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""


def main() -> None:
    """Run the worker process."""
    gc.freeze()
    gc.set_threshold(100_000)  # facts are allocated by the hundred thousand, and none is part of a reference cycle
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the hub's terminal: the hub ends this process
    end_with_parent()
    with os.fdopen(ANSWERS, "wb") as answers, contextlib.suppress(BrokenPipeError):
        serve_questions(sys.stdin.buffer, answers)
