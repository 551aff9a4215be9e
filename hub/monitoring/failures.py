"""Lists the failures of the journal by cause: deliveries, messages and calls. Changes nothing.

The step that ends or suspends a delivery, or refuses a message or a call, writes the digest of the cause
(`hub.domain.failure_causes`) into its row, and a partial index has these rows by partner, cause and time. A list reads
from it one cause of a partner after another, with the first and the last failure, by a look-up each, and counts at most
`COUNTED` failures of a group. So its cost does not depend on the size of the journal: it grows with the number of
causes, of which at most `LOOKED` are read of one partner and kind.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.failure_causes import NOBODY, find_cause, write_cause_name
from hub.domain.ids import make_first_id, read_moment
from hub.domain.model import DeliveryState
from hub.journal.event_index import write_call_reason
from hub.store.hot_statements import HotStatement
from hub.store.tables import delivery, event, event_index, message, write_instant
from hub.store.transactions import Transaction

#: Causes that are read of one partner and kind; groups of a list; failures that are counted of a group.
LOOKED, SHOWN, COUNTED = 2_000, 50, 1_000
#: A list goes back this far unless its reader says otherwise.
BACK = timedelta(days=30)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FailureKind(StrEnum):
    """What failed."""

    DEAD = "dead"  #: a delivery
    SUSPENDED = "suspended"  #: a delivery that waits for a person
    REFUSED = "refused"  #: a message
    CALL = "call"  #: a call that brought no message


@attrs.frozen(kw_only=True)
class FailureFilter:
    """Conditions for groups of failures. All given conditions must hold."""

    partner: str | None = None  #: of the cause; `NOBODY`: the callers are no partners
    kind: FailureKind | None = None
    since: datetime | None = None  #: with a failure from this time on
    until: datetime | None = None  #: with a failure before this time
    visible: tuple[str, ...] | None = None  #: only of these partners; None: of all, and of strangers


@attrs.frozen(kw_only=True)
class FailureGroup:
    """The failures of one kind and cause."""

    kind: FailureKind
    cause: str  #: the name of the cause
    partner: str  #: or `NOBODY`
    codes: tuple[str, ...]
    text: str  #: the reason without what differs each time
    count: int  #: at most `COUNTED`
    more: bool  #: there are more than `COUNTED`
    first: datetime  #: of all failures of the group, whatever period was asked for
    last: datetime
    example: str | None  #: hub id of the message, or Tracking of the call, of the last failure
    reason: str  #: of the last failure, as stored


@attrs.frozen(kw_only=True)
class FailureList:
    """Groups of failures. The group with the latest failure is the first."""

    groups: tuple[FailureGroup, ...]
    others: int = 0  #: number of groups that are not in `groups`
    unread: tuple[str, ...] = ()  #: partners that have more causes than are read


@attrs.frozen(eq=False)
class _Source:
    """Where the failures of one kind stand, and the statements that read them.

    `key` is their time in the form of the index: text that sorts in time order.
    """

    kind: FailureKind
    table: sa.Table
    key: str  #: name of its column
    state: str | None = None  #: the rows have this `state`
    nobody: bool = False  #: the rows have no partner
    partners: HotStatement = attrs.field(init=False)
    causes: HotStatement = attrs.field(init=False)
    causes_since: HotStatement = attrs.field(init=False)
    last: HotStatement = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        for name in ("partners", "causes", "causes_since", "last"):
            object.__setattr__(self, name, HotStatement(getattr(self, f"_select_{name}")()))

    def _failed(self, table: Any) -> list[sa.ColumnElement[bool]]:
        states = [] if self.state is None else [table.c.state == sa.literal_column(f"'{self.state}'", sa.Text)]
        return [*states, table.c.cause.is_not(None)]

    def _ours(self, table: Any) -> list[sa.ColumnElement[bool]]:
        if self.nobody:
            return [*self._failed(table), table.c.partner.is_(None)]
        return [*self._failed(table), table.c.partner == sa.bindparam("partner", type_=sa.Text)]

    def _of_cause(self, table: Any) -> list[sa.ColumnElement[bool]]:
        return [*self._ours(table), table.c.cause == sa.bindparam("cause", type_=sa.Text)]

    def _when(self, table: Any) -> sa.ColumnElement[str]:
        return sa.type_coerce(table.c[self.key], sa.String)

    def _select_partners(self) -> sa.Select[Any]:
        """Return the query of the partners that have failures. The recursive part finds one after another in the index."""
        one, other = self.table.alias("one"), self.table.alias("other")
        first = sa.select(sa.func.min(one.c.partner)).where(*self._failed(one))
        found = sa.select(first.scalar_subquery().label("partner")).cte("found", recursive=True)
        after = sa.select(sa.func.min(other.c.partner)).where(*self._failed(other), other.c.partner > found.c.partner)
        found = found.union_all(sa.select(after.scalar_subquery()).where(found.c.partner.is_not(None)))
        return sa.select(found.c.partner).where(found.c.partner.is_not(None))

    def _select_causes(self) -> sa.Select[Any]:
        """Return the query of the causes of a partner, each with the key of its last failure.

        The recursive part finds one cause after another in the index.
        """
        one, other, table = self.table.alias("one"), self.table.alias("other"), self.table
        start = sa.select(sa.select(sa.func.min(one.c.cause)).where(*self._ours(one)).scalar_subquery().label("cause"))
        found = start.cte("found", recursive=True)
        after = sa.select(sa.func.min(other.c.cause)).where(*self._ours(other), other.c.cause > found.c.cause)
        found = found.union_all(sa.select(after.scalar_subquery()).where(found.c.cause.is_not(None)))
        last = sa.select(sa.func.max(self._when(table))).where(*self._ours(table), table.c.cause == found.c.cause)
        columns = (found.c.cause, last.scalar_subquery().label("last"))
        return sa.select(*columns).where(found.c.cause.is_not(None)).limit(sa.bindparam("most", type_=sa.Integer))

    def _select_causes_since(self) -> sa.Select[Any]:
        """Return the query of `causes` with the key of the first failure since a time."""
        table, causes = self.table.alias("later"), self._select_causes().subquery("causes")
        when = self._when(table)
        first = sa.select(sa.func.min(when)).where(*self._ours(table), table.c.cause == causes.c.cause)
        since = first.where(when >= sa.bindparam("since", type_=sa.String)).scalar_subquery()
        return sa.select(causes, since.label("since"))

    def _select_last(self) -> sa.Select[Any]:
        """Return the query of the last failure of a cause: what it is shown by, its reason, how many there are, and since when."""
        table, other = self.table, self.table.alias("other")
        some = sa.select(other.c.cause).where(*self._of_cause(other)).limit(sa.bindparam("most", type_=sa.Integer))
        number = sa.select(sa.func.count()).select_from(some.subquery("some")).scalar_subquery().label("number")
        early = self.table.alias("early")
        first = sa.select(sa.func.min(self._when(early))).where(*self._of_cause(early)).scalar_subquery().label("first")
        if table is message:
            query = sa.select(number, first, table.c.id.label("example"), table.c.refusal.label("reason"))
        elif table is delivery:
            query = sa.select(number, first, table.c.message.label("example"), table.c.reason)
        else:
            query = sa.select(number, first, table.c.tracking.label("example"), event.c.text.label("reason"))
            query = query.join_from(table, event, event.c.serial == table.c.serial)
        return query.where(*self._of_cause(table)).order_by(table.c[self.key].desc()).limit(1)

    def write_key(self, at: datetime) -> str:
        """Return the key of the instant *at*."""
        return make_first_id(at) if self.table is message else write_instant(at)

    def read_key(self, key: str) -> datetime:
        """Return the instant of a key."""
        if self.table is message:
            return _EPOCH + timedelta(microseconds=read_moment(key))
        return datetime.fromisoformat(key)


_SOURCES = (
    _Source(FailureKind.DEAD, delivery, "changed_at", DeliveryState.DEAD),
    _Source(FailureKind.SUSPENDED, delivery, "changed_at", DeliveryState.SUSPENDED),
    _Source(FailureKind.REFUSED, message, "id"),
    _Source(FailureKind.CALL, event_index, "at"),
    _Source(FailureKind.CALL, event_index, "at", nobody=True),
)


@attrs.frozen
class _Found:
    """A cause that was found."""

    source: _Source
    partner: str
    row: Any

    @property
    def last(self) -> datetime:
        return self.source.read_key(self.row.last)


def list_failures(tx: Transaction, wanted: FailureFilter, limit: int = SHOWN) -> FailureList:
    """Return the groups of failures that match *wanted*, at most *limit*.

    A group is listed if one of its failures is of the period. Its numbers are those of the whole group, so that a
    replay of the group is a replay of what is counted here.
    """
    found: list[_Found] = []
    unread: dict[str, None] = {}
    for source in _SOURCES:
        if wanted.kind not in (None, source.kind):
            continue
        for partner in _list_partners(tx, source, wanted):
            rows = _read_causes(tx, source, partner, wanted)
            if len(rows) > LOOKED:
                unread[partner] = None
            found += [_Found(source, partner, row) for row in rows[:LOOKED] if _is_of_period(source, row, wanted)]
    found.sort(key=lambda each: each.last, reverse=True)
    groups = tuple(_describe_group(tx, each) for each in found[:limit])
    return FailureList(groups=groups, others=len(found) - len(groups), unread=tuple(unread))


def read_last_failures(tx: Transaction, kind: FailureKind) -> dict[str, datetime]:
    """Return the time of the last failure of *kind* of each partner, read as `list_failures` does: by causes, not rows."""
    found = {}
    for source in _SOURCES:
        for partner in _list_partners(tx, source, FailureFilter()) if source.kind is kind else ():
            rows = _read_causes(tx, source, partner, FailureFilter())
            if rows:
                found[partner] = source.read_key(max(row.last for row in rows))
    return found


def _list_partners(tx: Transaction, source: _Source, wanted: FailureFilter) -> Iterator[str]:
    """Yield the partners whose failures *source* may have."""
    if source.nobody:
        yield from [NOBODY] if wanted.partner in (None, NOBODY) and wanted.visible is None else []
        return
    chosen = wanted.visible if wanted.partner is None else (wanted.partner,)
    if chosen is not None:
        yield from (each for each in chosen if wanted.visible is None or each in wanted.visible)
        return
    yield from (row.partner for row in source.partners.read(tx, {}))


def _read_causes(tx: Transaction, source: _Source, partner: str, wanted: FailureFilter) -> Sequence[Any]:
    values = {"partner": partner, "most": LOOKED + 1}
    if wanted.until is None:
        return source.causes.read(tx, values)
    return source.causes_since.read(tx, values | {"since": _write_since(source, wanted)})


def _write_since(source: _Source, wanted: FailureFilter) -> str:
    return "" if wanted.since is None else source.write_key(wanted.since)


def _is_of_period(source: _Source, row: Any, wanted: FailureFilter) -> bool:
    """Tell whether a cause has a failure in the period of *wanted*. Without an end, that is the last one."""
    if wanted.until is None:
        return bool(row.last >= _write_since(source, wanted))
    return row.since is not None and bool(row.since < source.write_key(wanted.until))


def _describe_group(tx: Transaction, found: _Found) -> FailureGroup:
    source, digest = found.source, found.row.cause
    values = {"cause": digest, "partner": found.partner}
    last = source.last.first(tx, values | {"most": COUNTED + 1})
    reason = write_call_reason(json.loads(last.reason)) if source.table is event_index else last.reason or ""
    cause = find_cause(None if source.nobody else found.partner, reason)
    return FailureGroup(
        kind=source.kind,
        cause=write_cause_name(found.partner, digest),
        partner=found.partner,
        codes=cause.codes,
        text=cause.text,
        count=min(last.number, COUNTED),
        more=last.number > COUNTED,
        first=source.read_key(last.first),
        last=found.last,
        example=last.example,
        reason=reason,
    )
