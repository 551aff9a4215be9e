"""Lets messages of a journal go without an archive file: what an archive would hold is read from the journal itself.

For tests of what stays and what goes; the archive file has its own.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeVar

import attrs
import sqlalchemy as sa

from hub.domain.model import Event, MessageState
from hub.journal import events
from hub.journal.searching import search_index
from hub.journal.sequels.open_work import following
from hub.keeping.retention import choosing, letting_go, parts
from hub.keeping.retention.choosing import CalendarMonth, JudgedMessage, RetentionSetting
from hub.keeping.retention.rules import RetentionRules
from hub.store import transactions
from hub.store.tables import attempt, closing, event, message

T = TypeVar("T")


@attrs.frozen
class ArchivedHead:
    """What an archive would hold of one message."""

    id: str
    sha256: str
    events: int
    exchanges: frozenset[str]


#: Rules by which everything that is handled may go once a year of reports is closed and contested no more.
AT_ONCE = RetentionSetting(rules=RetentionRules(months={}, other=0, contest=0), forms=("f",))


def close_year(tx: transactions.Transaction, year: int, at: datetime, form: str = "f") -> None:
    """Write that the months of *year* were closed for *form* at *at*."""
    for number in range(1, 13):
        last = date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)
        row = {"form": form, "period": f"{year}-{number:02}", "first_day": last.replace(day=1), "last_day": last}
        said = {"closed_at": at, "closed_by": "hub", "definition": "", "sha256": "0" * 64}
        transactions.insert_missing_rows(tx, closing, [row | said])


def read_all_events(engine: sa.Engine, now: datetime) -> None:
    """Chain the events and one more, which is the last, and let the indexer and the list of work read them all."""
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("hub-started", now, None, None, {}))
        while events.chain_events(tx):
            pass
        while (step := search_index.read_step(tx, left=0)) is not None:
            search_index.write_step(tx, step)
        while (work := following.read_step(tx)) is not None:
            following.write_step(tx, work)


def run_read(engine: sa.Engine) -> Callable[[Callable[[transactions.Transaction], T]], T]:
    """Return the function that runs a reading step in a transaction of its own."""

    def read(step: Callable[[transactions.Transaction], T]) -> T:
        with transactions.read_transaction(engine) as tx:
            return step(tx)

    return read


def judge(engine: sa.Engine, now: datetime, setting: RetentionSetting = AT_ONCE) -> list[JudgedMessage]:
    """Return every whole message of the journal, each with why it stays."""
    read = run_read(engine)
    found: list[JudgedMessage] = []
    for month in read(lambda tx: choosing.list_ripe_months(tx, setting, now)):
        around = read(lambda tx, of=month: choosing.read_surroundings(tx, of, setting))  # type: ignore[misc]
        step = partial(
            choosing.judge_page, month=month, around=around, setting=setting, now=now, states=[*MessageState]
        )
        after = ""
        while page := read(partial(step, after=after)):
            found += page
            after = page[-1].id
    return found


def look_at(tx: transactions.Transaction, ids: Sequence[str]) -> list[ArchivedHead]:
    """Return what an archive of the messages *ids* would hold, by what the journal has now."""
    heads = []
    for row in tx.execute(sa.select(message.c.id, message.c.sha256).where(message.c.id.in_(ids))):
        many = tx.scalar(sa.select(sa.func.count()).where(event.c.message == row.id)) or 0
        kept = tx.scalars(sa.select(attempt.c.exchange).where(attempt.c.message == row.id)).all()
        heads.append(ArchivedHead(row.id, row.sha256, many, frozenset(key for key in kept if key)))
    return heads


def find_unchanged(heads: Sequence[ArchivedHead]) -> letting_go.FindUnchanged:
    """Return the function that tells which messages have as many events as in *heads*."""
    known = {each.id: each for each in heads}

    def find(tx: transactions.Transaction, ids: Sequence[str]) -> list[str]:
        return [each.id for each in look_at(tx, ids) if known.get(each.id) == each]

    return find


def let_go(engine: sa.Engine, now: datetime, setting: RetentionSetting = AT_ONCE, part: int = 1) -> list[str]:
    """Let everything go that may. Return the hub ids of what went."""
    read_all_events(engine, now)
    free = [each.id for each in judge(engine, now, setting) if each.why is None]
    gone: list[str] = []
    heads: list[ArchivedHead] = []
    for some in choosing.cut_values(free, letting_go.BATCH):
        with transactions.write_transaction(engine) as tx:
            heads += (chosen := look_at(tx, some))
            around = choosing.read_surroundings(tx, CalendarMonth.of(now), setting)
            found = letting_go.let_messages_go(tx, part, some, find_unchanged(chosen), around, setting, now)
            stayed = found.stayed
            if not any(each.number == part for each in parts.list_parts(tx)):
                parts.announce_part(tx, "2026-11", messages=0, octets=0, due_at=now, by="hub", now=now)
            parts.add_gone(tx, part, found.events, now)
            gone += [name for name in some if name not in stayed]
    heads = [each for each in heads if each.id in gone]
    remove_shared(engine, heads, now)
    return gone


def remove_shared(engine: sa.Engine, heads: Sequence[ArchivedHead], now: datetime) -> None:
    """Delete the octets and exchanges of *heads* that no other message has."""
    with transactions.write_transaction(engine) as tx:
        octets = unused(tx, letting_go.pass_messages, {each.sha256 for each in heads})
        kept = unused(tx, letting_go.pass_attempts, {key for each in heads for key in each.exchanges})
        for batch in list(letting_go.measure_octets(tx, octets)):
            letting_go.remove_octets(tx, batch, [each.id for each in heads], now - timedelta(hours=1))
        letting_go.remove_exchanges(tx, sorted(kept), now - timedelta(days=1))


def unused(tx: transactions.Transaction, step: Callable[..., tuple[set[str], str]], shared: set[str]) -> set[str]:
    """Return which of *shared* nothing has any more, by the pass *step*."""
    after = "0"
    while after:
        used, after = step(tx, shared, after)
        shared = shared - used
    return shared
