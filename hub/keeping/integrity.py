"""Checks a journal for damage: SQLite's file, the hash chain of the events, the octets of the messages.

Repairs nothing.

SQLite itself detects only inconsistent pages. The hashes detect a changed bit inside a text or a packet.
"""

import hashlib
from collections.abc import Callable, Iterator
from time import monotonic

import sqlalchemy as sa

from hub.domain.errors import Mistake
from hub.domain.model import MessageState
from hub.journal import events
from hub.language.phrases import Phrase, phrase, verbatim
from hub.store import database_errors
from hub.store.tables import chain_gap, content, message, retention_part
from hub.store.transactions import Transaction

#: Time limit for the check of the file by `check` and `twistd`, in seconds.
BRIEFLY = 2.0
_AT_ONCE = 32
#: Virtual machine steps of SQLite between two checks of the time limit.
_STEPS = 10_000


def describe_damage(found: Phrase) -> Mistake:
    """Return the mistake that reports a damaged journal."""
    expected = phrase("verify first, restore last: docs/howto/incident-book.md")
    return Mistake("hub.toml: database.url", phrase("the journal is damaged: {found}", found=found), expected)


def find_file_damage(tx: Transaction, *, briefly: bool = False) -> list[Phrase]:
    """Return what SQLite finds wrong with its file; *briefly* limits the check to `BRIEFLY`. Empty on PostgreSQL."""
    until = monotonic() + BRIEFLY
    return find_damage_until(tx, not briefly, lambda: briefly and monotonic() > until)


def find_damage_until(tx: Transaction, whole: bool, enough: Callable[[], bool]) -> list[Phrase]:
    """Return what SQLite finds wrong with the structure of its file, and, if *whole*, with its indexes.

    Ends as soon as *enough* says so, with what was found until then: nothing. Empty on PostgreSQL.
    """
    if tx.dialect.name != "sqlite":
        return []
    connection = tx.connection.driver_connection
    assert connection is not None
    connection.set_progress_handler(enough, _STEPS)
    try:
        found = tx.exec_driver_sql("PRAGMA integrity_check(20)" if whole else "PRAGMA quick_check(3)").scalars().all()
    except sa.exc.DBAPIError as error:
        if database_errors.is_damage_error(error):
            return [verbatim(error.orig)]
        if enough():
            return []  # the time is over and no damage was found so far
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return [verbatim(line) for line in found if line != "ok"]


def find_journal_damage(
    tx: Transaction, tell: Callable[[int, int], None] = lambda _done, _all: None
) -> Iterator[Phrase]:
    """Yield each damage of a whole journal: of SQLite's file, or, if that has none, of what is recorded in it.

    *tell* is called with the numbers of octets of messages that were read so far, and of all.
    """
    damaged = find_file_damage(tx)
    yield from damaged or find_record_damage(tx, tell)  # which would read the damaged pages


def find_record_damage(tx: Transaction, tell: Callable[[int, int], None]) -> Iterator[Phrase]:
    """Yield each damage of what is recorded: in the hash chain, in the octets of the messages, in a page that is read."""
    try:
        yield from find_chain_damage(tx)
        total = int(tx.scalar(sa.select(sa.func.sum(sa.func.length(content.c.octets)))) or 0)
        yield from find_content_damage(tx, lambda done: tell(done, total))
    except sa.exc.DBAPIError as error:
        if not database_errors.is_damage_error(error):
            raise
        yield verbatim(error.orig)


def find_chain_damage(tx: Transaction) -> Iterator[Phrase]:
    """Yield each error in the hash chain of the events, and each event that is stored as of another message.

    As many events must be missing as have gone with the parts of retention: else somebody may have written a link over
    events that are in no archive file.
    """
    for number in events.find_broken_events(tx):
        yield phrase("the hash of event {number} does not match its text and its predecessor", number=number)
    for serial in events.find_misplaced_events(tx):
        yield phrase(
            "the event with serial number {serial} is stored as of another message than it says", serial=serial
        )
    missing = int(tx.scalar(sa.select(sa.func.sum(chain_gap.c.last - chain_gap.c.first + 1))) or 0)
    gone = int(tx.scalar(sa.select(sa.func.sum(retention_part.c.events))) or 0)
    if missing != gone:
        yield phrase("{missing} events are missing, and {gone} went into archive files", missing=missing, gone=gone)


def find_content_damage(tx: Transaction, tell: Callable[[int], None] = lambda _count: None) -> Iterator[Phrase]:
    """Yield each error in the octets of the messages. *tell* is called with the number of octets read so far."""
    query = sa.select(content).order_by(content.c.sha256, content.c.part).execution_options(yield_per=_AT_ONCE)
    name, hashed, parts, size = "", hashlib.sha256(), 0, 0
    with tx.execute(query) as rows:
        for row in rows:
            if row.sha256 != name:
                if name and hashed.hexdigest() != name and _is_named_by_message(tx, name):
                    yield phrase("the octets of {name} do not match this hash", name=name)
                name, hashed, parts = row.sha256, hashlib.sha256(), 0
            octets = row.octets if isinstance(row.octets, bytes | memoryview) else b"no octets: somebody edited it"
            hashed.update(octets if row.part == parts else b"a part is missing")
            parts, size = parts + 1, size + len(octets)
            tell(size)
    if name and hashed.hexdigest() != name and _is_named_by_message(tx, name):
        yield phrase("the octets of {name} do not match this hash", name=name)
    kept = sa.exists().where(content.c.sha256 == message.c.sha256)
    lost = sa.select(message.c.id).where(message.c.state == MessageState.ACCEPTED, message.c.archive.is_(None), ~kept)
    yield from (phrase("the octets of message {each} are missing", each=each) for each in tx.scalars(lost))


def _is_named_by_message(tx: Transaction, name: str) -> bool:
    """Tell whether a whole message has these octets.

    Parts may be left over of one that was never accepted, or that was not brought back from its archive file to the end.
    """
    whole = sa.select(message.c.id).where(message.c.sha256 == name, message.c.archive.is_(None))
    return tx.execute(whole.limit(1)).first() is not None
