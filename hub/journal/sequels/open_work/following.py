"""Keeps the list of what units still have to do: of the facts only what is open and has a due day.

Intake writes nothing for it. A follower reads the chain of events, which has each fact once and in one order. For each
business key that they name it reads all facts as they are now, and writes its row, or deletes it. So the table is the same
whatever the order of the facts, and can be made anew at any time. What is open is decided by
`hub.report.counting.open_work`. Does not know forms, the registry, or who may see what.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.journal.fact_reading.fact_rows import RAW_FACT, read_raw_fact
from hub.report.counting import open_work as rules
from hub.report.counting.open_work import OpenWork, OpenWorkRule
from hub.store import transactions
from hub.store.hot_statements import SetInsert
from hub.store.tables import event, fact
from hub.store.tables import open_work as table
from hub.store.tables import search_progress as progress
from hub.store.transactions import Transaction

#: Events of one step, and keys whose facts are read by one statement.
STEP, _KEYS = 4_000, 200
#: Events that were read and change nothing, so many are not written: an idle hub writes nothing.
_UNWRITTEN = 200
#: Rows that one step deletes before the list is made anew.
_CLEARED = 5_000
#: Where the name of an event stands in its text, counted from 1, and the event of a fact.
_PLACE, _TOLD = len(f'{{"at":"{"_" * 27}","event":"') + 1, 'fact-recorded"'
#: The name under which the progress of a revision of the rules is kept.
_NAME = "open-work "
_FIELDS = tuple(field.name for field in attrs.fields(OpenWork))
_INSERT = SetInsert(table)

Key = tuple[str, str, str]  #: unit, service, business key


@attrs.frozen(eq=False)
class OpenWorkStep:
    """What the events between two numbers change."""

    after: int | None  #: the number that is kept; None: the list is to be begun
    upto: int
    keys: Sequence[Key] = ()  #: those that may have changed
    rows: Sequence[OpenWork] = ()  #: what is open of them

    @property
    def changes(self) -> bool:
        """Whether it must be written: something may change, or so much was read that readers would think it behind."""
        return self.after is None or bool(self.keys) or self.upto - self.after >= _UNWRITTEN


def read_step(tx: Transaction, seen: int = 0, known: Mapping[str, OpenWorkRule] | None = None) -> OpenWorkStep | None:
    """Return what the next events change, at most `STEP` of them; None if there are none.

    *seen*: the number of an event up to which nothing changes the list, as an earlier step found.
    """
    known = rules.read_rules() if known is None else known
    kept = _read_kept(tx)
    if any(name > _name_rules() for name in kept):
        return None  # a later version keeps the list
    after = kept.get(_name_rules())
    if after is None:
        return OpenWorkStep(None, 0)
    start, last = max(after, seen), _read_last(tx)
    if last <= start:
        return None
    upto = min(start + STEP, last)
    keys = list(_list_keys(tx, start, upto, known))
    return OpenWorkStep(after, upto, keys, [*_read_open(tx, keys, known)])


def write_step(tx: Transaction, step: OpenWorkStep) -> bool:
    """Write *step*, unless another node has. Return whether it was written, wholly or in part."""
    if step.after is None:
        return _begin_again(tx)
    mine = sa.and_(progress.c.name == _name_rules(), progress.c.number == step.after)
    if not tx.execute(sa.update(progress).where(mine).values(number=step.upto)).rowcount:
        return False
    for some in _split_keys(step.keys):
        tx.execute(sa.delete(table).where(sa.tuple_(*table.primary_key).in_(some)))
    _ = _INSERT.run(tx, [{name: getattr(row, name) for name in _FIELDS} for row in step.rows])
    return True


def read_progress(tx: Transaction) -> int:
    """Return the number of the last event that is in the list; 0: none, or the list is being made anew."""
    return max(_read_kept(tx).values(), default=0)


def count_unread(tx: Transaction) -> int:
    """Return the number of events that are not in the list yet."""
    return max(0, _read_last(tx) - (_read_kept(tx).get(_name_rules()) or 0))


def _name_rules() -> str:
    return f"{_NAME}{rules.read_revision():04d}"


def _read_kept(tx: Transaction) -> dict[str, int]:
    rows = tx.execute(sa.select(progress).where(progress.c.name >= _NAME, progress.c.name < f"{_NAME}:"))
    return {row.name: row.number for row in rows}


def _read_last(tx: Transaction) -> int:
    return tx.scalar(sa.select(sa.func.max(event.c.number))) or 0


def _begin_again(tx: Transaction) -> bool:
    """Delete some rows that other rules have made; when none is left, begin the list with the first event."""
    some = sa.select(*table.primary_key).limit(_CLEARED).subquery()
    if tx.execute(sa.delete(table).where(sa.tuple_(*table.primary_key).in_(sa.select(some)))).rowcount:
        return True
    begin_list(tx)
    return True


def begin_list(tx: Transaction) -> None:
    """Write that the list begins with the first event. Its rows must be those of no other rules."""
    tx.execute(sa.delete(progress).where(progress.c.name >= _NAME, progress.c.name < _name_rules()))
    transactions.insert_missing_rows(tx, progress, [{"name": _name_rules(), "number": 0}])


def _list_keys(tx: Transaction, start: int, upto: int, known: Mapping[str, OpenWorkRule]) -> Iterable[Key]:
    """Return the keys whose facts are told between the numbers and may change what is open, each once."""
    numbered = sa.and_(event.c.number > start, event.c.number <= upto)
    told = sa.func.substr(event.c.text, _PLACE, len(_TOLD)) == _TOLD
    found: dict[Key, None] = {}
    for text in tx.scalars(sa.select(event.c.text).where(numbered, told).order_by(event.c.number)):
        said = json.loads(text)
        rule = known.get(said["service"])
        if rule is not None and said["milestone"] in rule.milestones:
            found[said["unit"], said["service"], said["key"]] = None
    return found


def _read_open(tx: Transaction, keys: Sequence[Key], known: Mapping[str, OpenWorkRule]) -> Iterator[OpenWork]:
    for history in _read_histories(tx, keys):
        found = rules.read_open_work(known[history[0].service], history)
        if found is not None:
            yield found


def _read_histories(tx: Transaction, keys: Sequence[Key]) -> Iterator[list[Fact]]:
    for some in _split_keys(keys):
        histories: dict[Key, list[Fact]] = {}
        for row in tx.execute(RAW_FACT.where(sa.tuple_(fact.c.unit, fact.c.service, fact.c.key).in_(some))):
            one = read_raw_fact(row)
            histories.setdefault((one.unit, one.service, one.key), []).append(one)
        yield from histories.values()


def _split_keys(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), _KEYS):
        yield keys[start : start + _KEYS]
