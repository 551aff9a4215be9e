"""Takes messages that are in a verified archive file out of the journal, in short transactions.

Knows the rows of a message: what stays (its head, its receipt in the compact form, its deliveries, changes and facts) and
what goes (its bytes, its events, its attempts with what they kept). Each transaction judges its messages again and takes only those whose events are all in the archive. Does not know how an archive is
written, nor when anything is to go.

Octets and exchanges are shared. What nothing refers to any more is found by one pass over what is left (`pass_messages`,
`pass_attempts`) and deleted apart (`remove_octets`, `remove_exchanges`). On PostgreSQL that transaction holds the table for some
milliseconds, so that no message that is being written can rely on octets that go.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.domain.ids import make_first_id
from hub.journal import packed_receipts
from hub.journal.event_index import REFUSED_CALL
from hub.journal.packed_receipts import ReceiptToPack
from hub.keeping.retention import chain_gaps, choosing
from hub.keeping.retention.choosing import MonthSurroundings, RetentionSetting, cut_values
from hub.store import database_errors, transactions
from hub.store.tables import attempt, content, event, event_index, exchange, message, replay_item, replay_plan, upgrade
from hub.store.transactions import Transaction

#: Messages of one transaction, and octets of content that one transaction deletes.
BATCH, MOST_OCTETS = 100, 8 << 20
#: The migration that programs must know from the first deletion on (`mark_first_deletion`).
_SCHEMA, _AFTER = "0066", "after"
#: Rows of one step of the pass over what is left.
_PASS = 5_000


class TableBusy(Exception):
    """Another transaction uses the table that is the argument."""


#: Returns those of some messages that are in the archive file exactly as they are now. It is called in the transaction.
FindUnchanged = Callable[[Transaction, Sequence[str]], Sequence[str]]


@attrs.frozen
class LetGo:
    """What one transaction took out."""

    messages: int = 0
    events: int = 0
    #: messages that stay: they changed since they were archived, or something is to be done for them again
    stayed: tuple[str, ...] = ()

    def plus(self, other: "LetGo") -> "LetGo":
        """Return both together."""
        return LetGo(self.messages + other.messages, self.events + other.events, self.stayed + other.stayed)


def mark_first_deletion(tx: Transaction) -> None:
    """Record that only programs that know the compact forms may serve this journal from now on.

    An older one would answer a repetition of an archived message without its receipt.
    """
    mark = {"version": _SCHEMA, "part": _AFTER}
    if not tx.execute(sa.update(upgrade).where(upgrade.c.version == _SCHEMA).values(mark)).rowcount:
        tx.execute(sa.insert(upgrade), [mark])


def let_messages_go(
    tx: Transaction,
    part: int,
    ids: Sequence[str],
    find_unchanged: FindUnchanged,
    around: MonthSurroundings,
    setting: RetentionSetting,
    now: datetime,
) -> LetGo:
    """Take the messages *ids*, at most `BATCH`, out of the journal as those of the part number *part*.

    Those that have gone before are left out. Octets and exchanges stay.
    """
    judged = choosing.judge_messages(tx, ids, around, setting, now, lock=True)
    free = [each.id for each in judged if each.why is None]
    here = _read_events(tx, free)  # before they are compared: events are only added
    unchanged = set(find_unchanged(tx, free)) - _list_unpackable(tx, free) if free else set()
    whole = [name for name in free if name in unchanged and None not in dict(here[name]).values()]
    stayed = tuple(each.id for each in judged if each.id not in set(whole))
    if not whole:
        return LetGo(stayed=stayed)
    mark_first_deletion(tx)
    _keep_heads(tx, part, whole)
    tx.execute(sa.delete(attempt).where(attempt.c.message.in_(whole)))
    gone = chain_gaps.remove_chained_events(tx, [serial for name in whole for serial, _ in here[name]])
    return LetGo(len(whole), gone, stayed)


def _list_unpackable(tx: Transaction, ids: Sequence[str]) -> set[str]:
    """Return those of the messages *ids* whose receipts are too long for the compact form."""
    too_long = sa.func.length(message.c.receipt) > packed_receipts.MOST
    return set(tx.scalars(sa.select(message.c.id).where(message.c.id.in_(ids), too_long)))


def _read_events(tx: Transaction, ids: Sequence[str]) -> dict[str, list[tuple[int, int | None]]]:
    found: dict[str, list[tuple[int, int | None]]] = {name: [] for name in ids}
    query = sa.select(event.c.message, event.c.serial, event.c.number).where(event.c.message.in_(ids))
    for row in tx.execute(query.order_by(event.c.serial)):
        found[row.message].append((row.serial, row.number))
    return found


def _keep_heads(tx: Transaction, part: int, ids: Sequence[str]) -> None:
    """Keep the heads of messages, and the receipts in their compact form."""
    columns = (message.c[name] for name in ("id", "receipt", "message_id", "document_id", "sha256"))
    rows = tx.execute(sa.select(*columns).where(message.c.id.in_(ids))).all()
    packed_receipts.keep_receipts(
        tx,
        [
            ReceiptToPack(row.id, bytes(row.receipt), row.message_id, row.document_id, row.sha256)
            for row in rows
            if row.receipt is not None
        ],
    )
    head = {"archive": part, "receipt": None, "envelope": None, "subject": None}
    tx.execute(sa.update(message).where(message.c.id.in_(ids)).values(head))
    if tx.dialect.name == "sqlite":
        _put_together(tx, ids)


def _put_together(tx: Transaction, ids: Sequence[str]) -> None:
    """Put the rows *ids* behind all others of their table, where they fill whole pages.

    SQLite does not use the room in the page of a row that became shorter: each head would keep the page of its message.
    """
    last = int(tx.exec_driver_sql("SELECT max(rowid) FROM message").scalar() or 0)
    places = [(last + number, name) for number, name in enumerate(sorted(ids), 1)]
    tx.exec_driver_sql("UPDATE message SET rowid = ? WHERE id = ?", places)


def let_calls_go(tx: Transaction, serials: Sequence[int]) -> int:
    """Delete the events of refused calls with these *serials*, which are in an archive file. Return how many there were."""
    listed = sa.select(event_index.c.serial).where(
        event_index.c.serial.in_(serials), event_index.c.name == REFUSED_CALL
    )
    return chain_gaps.remove_chained_events(tx, list(tx.scalars(listed)))


# --- what several messages share


def pass_messages(tx: Transaction, shared: Collection[str], after: str) -> tuple[set[str], str]:
    """Return which of the octets *shared* the next whole messages behind the hub id *after* have, and the last of them.

    The id is empty when there are no more.
    """
    query = sa.select(message.c.id, message.c.sha256).where(message.c.id > after, message.c.archive.is_(None))
    rows = tx.execute(query.order_by(message.c.id).limit(_PASS)).all()
    return {row.sha256 for row in rows if row.sha256 in shared}, rows[-1].id if len(rows) == _PASS else ""


def pass_attempts(tx: Transaction, shared: Collection[str], after: str) -> tuple[set[str], str]:
    """Return which of the exchanges *shared* the next attempts behind the id *after* have, and the last of them.

    The id is empty when there are no more.
    """
    query = sa.select(attempt.c.id, attempt.c.exchange).where(attempt.c.id > after)
    rows = tx.execute(query.order_by(attempt.c.id).limit(_PASS)).all()
    return {row.exchange for row in rows if row.exchange in shared}, rows[-1].id if len(rows) == _PASS else ""


def list_planned_octets(tx: Transaction) -> set[str]:
    """Return the SHA-256 of all octets that corrections name."""
    rows = tx.execute(sa.select(replay_plan.c.given, replay_plan.c.packet).where(replay_plan.c.corrects.is_not(None)))
    return {name for row in rows for name in row if name}


def measure_octets(tx: Transaction, names: Iterable[str]) -> Iterator[list[str]]:
    """Yield the *names* of octets that are here, in batches of at most `MOST_OCTETS` octets."""
    batch: list[str] = []
    size = 0
    for some in cut_values(sorted(names)):
        query = sa.select(content.c.sha256, sa.func.sum(sa.func.length(content.c.octets)).label("size"))
        for row in tx.execute(query.where(content.c.sha256.in_(some)).group_by(content.c.sha256)):
            if batch and (size + row.size > MOST_OCTETS or len(batch) == choosing.PAGE):
                yield batch
                batch, size = [], 0
            batch.append(row.sha256)
            size += row.size
    if batch:
        yield batch


def remove_octets(tx: Transaction, names: Sequence[str], owners: Sequence[str], passed_until: datetime) -> int:
    """Delete the octets *names*, of which the pass found no use. Return the number of contents deleted.

    *owners*: the hub ids of the archived messages that have them: one that was brought back to be sent again needs its
    octets. *passed_until*: the time before the pass began; messages that came later are looked at here.
    """
    _hold_table(tx, content)
    later = sa.and_(message.c.id >= make_first_id(passed_until), message.c.archive.is_(None))
    used = set(tx.scalars(sa.select(message.c.sha256).where(later, message.c.sha256.in_(names))))
    for some in cut_values(owners):
        back = sa.select(message.c.sha256).where(message.c.id.in_(some), message.c.archive.is_(None))
        used |= set(tx.scalars(back))
    used |= _list_replayed_octets(tx, names, passed_until) | list_planned_octets(tx)
    gone = [name for name in names if name not in used]
    tx.execute(sa.delete(content).where(content.c.sha256.in_(gone)))
    return len(gone)


def _list_replayed_octets(tx: Transaction, names: Sequence[str], since: datetime) -> set[str]:
    """Return which of the octets *names* a message has that a replay may have brought back behind the pass.

    Also one of another archive file, with the same octets: it is named by a plan that is open, or was *since*.
    """
    recent = sa.or_(replay_plan.c.state.not_in(choosing.ENDED), replay_plan.c.changed_at >= since)
    query = (
        sa.select(message.c.sha256)
        .join(replay_item, replay_item.c.message == message.c.id)
        .join(replay_plan, replay_plan.c.id == replay_item.c.plan)
        .where(recent, message.c.archive.is_(None), message.c.sha256.in_(names))
    )
    return set(tx.scalars(query.distinct()))


def remove_exchanges(tx: Transaction, keys: Sequence[str], passed_until: datetime) -> int:
    """Delete the exchanges *keys*, of which the pass found no use. Return how many were deleted.

    *passed_until*: a time before which every attempt had ended when the pass began.
    """
    _hold_table(tx, exchange)
    later = attempt.c.id >= make_first_id(passed_until)
    used = set(tx.scalars(sa.select(attempt.c.exchange).where(later, attempt.c.exchange.in_(keys))))
    gone = [key for key in keys if key not in used]
    tx.execute(sa.delete(exchange).where(exchange.c.sha256.in_(gone)))
    return len(gone)


def _hold_table(tx: Transaction, table: sa.Table) -> None:
    """Let no other transaction use *table* until *tx* ends. Raises TableBusy if one does.

    Without waiting: everybody else who needs the table would wait behind, and *tx* may have steps of others.
    """
    if tx.dialect.name != "postgresql":
        return
    try:
        with transactions.savepoint(tx):
            tx.exec_driver_sql(f"LOCK TABLE {table.name} IN ACCESS EXCLUSIVE MODE NOWAIT")
    except sa.exc.DBAPIError as error:
        if database_errors.is_transient_error(error):
            raise TableBusy(table.name) from error
        raise
