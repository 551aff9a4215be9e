"""Counts the work of the journal's only writer for a message, transaction by transaction: statements, and steps of SQLite's machine.

The message is judged in a province of 5,000 units, each of which may be named, recorded with its receipt, and what the receipt
promises is done to the end.  Knows no reader.
"""

import contextlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.errors import Rejected
from hub.domain.model import Receive, Unit
from hub.intake import admission
from hub.journal import messages
from hub.journal.effects import MessageEntry
from hub.store import transactions
from hub.units.province import Province
from tests import databases
from tests.costs import stage
from tests.pki import NOW
from tests.promised import do_next

#: The machine that bounds are stated for does about so much in 15 ms, whichever comes first: a statement with its Python is
#: 10 µs or more, a thousand steps are 0.1 ms.
STATEMENTS, STEPS = 300, 160_000
_EACH = 100  #: steps between two counts


@attrs.frozen
class Work:
    """What one transaction took."""

    statements: int  #: each row of one that is executed for many rows counts
    steps: int  #: of SQLite's virtual machine

    def is_within_a_turn(self) -> bool:
        """Tell whether it is no more than one message may take of the writer at a time."""
        return self.statements <= STATEMENTS and self.steps <= STEPS


@cache
def province() -> Province:
    """Return the stage's province with units that all may be named: `there` fetches for half of them, `pushed` is pushed to."""
    small = stage.province()
    units = [Unit("H55", "H55"), Unit("H55.13", "a", "H55"), Unit("H55.01", "b", "H55")]
    units += [Unit(f"H55.{number}", f"c{number}", "H55") for number in range(2000) if number != 13]
    units += [Unit(f"H55.13.{number}", f"d{number}", "H55.13") for number in range(3000)]
    partners = dict(small.config.partners)
    there = partners["there"]
    half = tuple(f"H55.{number}" for number in range(1000, 2000))
    partners["there"] = attrs.evolve(there, units=("H55.01", "H55"))
    partners["pushed"] = attrs.evolve(there, code="pushed", certificates=(), units=half, receive=Receive.PUSH)
    return Province.of(attrs.evolve(small.config, partners=partners), units)


class CountedJournal:
    """A journal on SQLite whose transactions are counted."""

    def __init__(self, path: Path) -> None:
        self.engine = transactions.open_journal(databases.sqlite(path))
        self._statements = self._counts = self._number = 0
        sa.event.listen(self.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
        sa.event.listen(self.engine, "before_cursor_execute", self._executed)

    def _executed(self, _tx: Any, _cursor: Any, _sql: str, parameters: Any, _context: Any, many: bool) -> None:
        apart = many and not isinstance(parameters[0], str)  # else the values of all rows are those of one statement
        self._statements += len(parameters) if apart else 1

    def _stepped(self) -> int:
        self._counts += 1
        return 0

    def count(self, deed: Callable[..., Any], *args: object) -> tuple[Any, Work]:
        """Do *deed* in a transaction.  Return its result, and what it took."""
        with transactions.write_transaction(self.engine) as tx:
            self._statements = self._counts = 0
            raw: Any = tx.connection.dbapi_connection
            raw.set_progress_handler(self._stepped, _EACH)
            found = deed(tx, *args)
            raw.set_progress_handler(None, 0)
        return found, Work(self._statements, self._counts * _EACH)

    def record(self, entry: MessageEntry) -> list[Work]:
        """Record *entry* and do what its receipt promises.  Return what each transaction took."""
        _, work = self.count(messages.record_message, entry, province().routes)
        found, more = [work], True
        while more:
            more, work = self.count(do_next, province().routes)
            found.append(work)
        return found


def judge(module: Any, content: bytes, number: int) -> list[MessageEntry]:
    """Return what the reader *module* makes of *content* in this province, as the message *number*; refused ones, too."""
    found: list[MessageEntry] = []
    name = f"00000000-0000-7000-8000-{number:012d}"

    def judged(real: Callable[..., MessageEntry], *args: Any, **how: Any) -> MessageEntry:
        entry = real(*(name if each == "id" else each for each in args), **how)
        found.append(attrs.evolve(entry, received_at=NOW))
        return entry

    made = province()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stage, "province", lambda: made)
        for each in ("judge_message", "judge_record"):
            patched.setattr(admission, each, partial(judged, getattr(admission, each)))
        with contextlib.suppress(Rejected):
            module.read(content)
    return found
