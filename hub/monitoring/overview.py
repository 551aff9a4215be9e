"""Measures the overview: what waits, is held, dead and refused for each partner, and how well the exchange runs.

Every number is bounded. A count ends at `MOST` and then says that there are more; a rate is taken from the newest events.
So the overview costs the same in a journal of any size. Reads the journal; does not know how it is shown, and changes
nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from enum import StrEnum

import attrs
import sqlalchemy as sa

from hub.config import Partner
from hub.domain.ids import make_first_id
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.model import DeliveryState, Receive
from hub.journal import event_index, nodes
from hub.journal.nodes import NodeState, PendingRestart
from hub.journal.queue import partner_state
from hub.journal.queue.partner_state import PartnerStanding, Pause
from hub.keeping import eras
from hub.language.sorting import make_code_sort_key
from hub.monitoring import link_rows
from hub.monitoring.link_rows import SeenLink
from hub.partner.circuit_breaker import BreakerPosition
from hub.services.links.probes import LinkState, count_days_left
from hub.store.hot_statements import HotStatement
from hub.store.tables import REFUSED, SEARCHED, UNDELIVERED, delivery, event, message, write_instant
from hub.store.transactions import Transaction

#: A count ends here, and says that there are more.
MOST = 10_000
#: Undelivered deliveries that are counted with one statement. Of more, each partner and state is counted by itself.
_TOGETHER = 20_000
#: Newest events that a rate is taken from: first the few, and all only if the few are not older than the minute.
_NEWEST = (500, 10_000)
#: A partner whose certificate ends within this time needs attention.
SOON = timedelta(days=30)
#: A delivery to a partner that is pushed to needs attention when it has waited this long.
LATE = timedelta(hours=1)
#: Where time and name of an event stand in its text: `{"at":"2026-11-24T08:00:00.000000Z","event":"NAME"`.
_TIME_AT, _TIME_LENGTH, _NAME_AT = 8, 27, 46
_SHOWN = (
    DeliveryState.WAITING,
    DeliveryState.SENDING,
    DeliveryState.HELD,
    DeliveryState.FETCHED,
    DeliveryState.SUSPENDED,
    DeliveryState.DEAD,
)
#: Deliveries that do not wait for their partner.
_ENDED = {DeliveryState.SUSPENDED, DeliveryState.DEAD}


class Concern(StrEnum):
    """What needs a person's attention."""

    NO_NODE = "no-node"  #: no node of the hub runs
    BREAKER = "breaker"  #: the breaker of the partner is not closed
    LINK = "link"  #: its link is down, or has not been reported
    CERTIFICATE = "certificate"  #: its certificate has ended, or ends soon
    SUSPENDED = "suspended"  #: deliveries to it are suspended, and wait for a person
    LATE = "late"  #: a delivery to it has waited for more than `LATE`
    RESTART = "restart"  #: a node must be restarted for a changed setting
    RECEIPTS = "receipts"  #: messages with a receipt are missing since the journal was put back
    UNCONFIGURED = "unconfigured"  #: deliveries wait for it, and the configuration does not name it


@attrs.frozen
class BoundedCount:
    """A number that is exact up to `MOST`."""

    number: int = 0  #: at most `MOST`
    more: bool = False  #: there are more than `number`

    @classmethod
    def of(cls, counted: int) -> "BoundedCount":
        """Return the count of *counted* things, of which at most `MOST` + 1 were counted."""
        return cls(min(counted, MOST), counted > MOST)


@attrs.frozen(kw_only=True)
class WaitingDeliveries:
    """The deliveries to one partner in one state."""

    count: BoundedCount = attrs.field(factory=BoundedCount)
    since: datetime | None = None  #: how long the oldest has waited; of more than `MOST`, the oldest of those


@attrs.frozen(kw_only=True)
class PartnerOverview:
    """How the exchange with one partner stands."""

    code: str
    name: str
    receive: Receive
    deliveries: Mapping[DeliveryState, WaitingDeliveries]  #: of the states in `_SHOWN`
    refused_messages: BoundedCount  #: today
    refused_calls: BoundedCount  #: today, calls that brought no message
    standing: PartnerStanding
    link: SeenLink | None  #: of several nodes, the one that sees it worst
    days_left: int | None  #: until its last certificate ends; None without one
    concerns: tuple[Concern, ...] = ()

    @property
    def pause(self) -> Pause | None:
        """The pause of the sending to the partner; None if it is not paused."""
        return self.standing.pause

    @property
    def oldest(self) -> datetime | None:
        """Since when the oldest delivery waits for the partner, pushed or to be fetched."""
        waits = (self.deliveries[state].since for state in _SHOWN if state not in _ENDED)
        return min((since for since in waits if since is not None), default=None)


@attrs.frozen(kw_only=True)
class ExchangeRate:
    """How much of something happens in a minute."""

    number: int  #: in the last minute
    estimated: bool = False  #: there are more events in a minute than are read: projected from the newest


@attrs.frozen(kw_only=True)
class Overview:
    """The state of the whole exchange at one moment."""

    at: datetime
    day: datetime  #: when today began, in Hà Nội
    partners: Sequence[PartnerOverview]
    strangers: BoundedCount  #: calls refused today of callers that are no partner
    accepted: ExchangeRate  #: messages
    refused: ExchangeRate  #: messages
    delivered: ExchangeRate  #: deliveries
    nodes: int  #: nodes of the hub that run
    restarts: Mapping[str, PendingRestart]  #: what waits for a restart of a node, by the node's name
    #: messages with a receipt that are missing since the journal was put back, and have not come again
    awaited: BoundedCount

    @property
    def concerns(self) -> tuple[Concern, ...]:
        """What needs a person's attention, of the hub and of every partner, each once."""
        own = [] if self.nodes else [Concern.NO_NODE]
        own += [Concern.RESTART] if self.restarts else []
        own += [Concern.RECEIPTS] if self.awaited.number else []
        return tuple(dict.fromkeys([*own, *(each for partner in self.partners for each in partner.concerns)]))


def measure_overview(tx: Transaction, partners: Mapping[str, Partner], now: datetime) -> Overview:
    """Return the overview of *partners*, which are those of the configuration by code.

    A partner that the configuration does not name any more is included while deliveries wait for it.
    """
    day = datetime.combine(find_local_day(now), time(), HANOI)
    waiting = _count_deliveries(tx)
    calls = event_index.count_refused_calls(tx, day, MOST + 1)
    standings = partner_state.read_partner_standings(tx)
    links = _find_worst_links(link_rows.list_seen_links(tx, now))
    gone = sorted({code for _, code in waiting} - set(partners), key=make_code_sort_key)
    found = [
        _measure_partner(tx, code, partners.get(code), waiting, calls, standings, links, day, now)
        for code in (*sorted(partners, key=make_code_sort_key), *gone)
    ]
    accepted, refused, delivered = _measure_rates(tx, now)
    alive = [each for each in nodes.list_nodes(tx, now) if each.state is NodeState.ALIVE]
    return Overview(
        at=now,
        day=day,
        partners=found,
        strangers=BoundedCount.of(calls.get(None, 0)),
        accepted=accepted,
        refused=refused,
        delivered=delivered,
        nodes=len(alive),
        restarts={each.node.name: each.pending for each in alive if each.pending.settings},
        awaited=BoundedCount.of(eras.count_awaited_receipts(tx, MOST + 1)),
    )


def _measure_partner(
    tx: Transaction,
    code: str,
    partner: Partner | None,
    waiting: Mapping[tuple[DeliveryState, str], WaitingDeliveries],
    calls: Mapping[str | None, int],
    standings: Mapping[str, PartnerStanding],
    links: Mapping[str, SeenLink],
    day: datetime,
    now: datetime,
) -> PartnerOverview:
    ends = [each.not_valid_after_utc for each in partner.certificates] if partner else []
    found = PartnerOverview(
        code=code,
        name=partner.name if partner else "",
        receive=partner.receive if partner else Receive.NONE,
        deliveries={state: waiting.get((state, code), WaitingDeliveries()) for state in _SHOWN},
        refused_messages=_count_refused(tx, code, day),
        refused_calls=BoundedCount.of(calls.get(code, 0)),
        standing=standings.get(code, PartnerStanding()),
        link=links.get(code),
        days_left=count_days_left(max(ends, default=None), now),
    )
    concerns = [] if partner else [Concern.UNCONFIGURED]
    return attrs.evolve(found, concerns=(*concerns, *_list_concerns(found, now)))


def _list_concerns(found: PartnerOverview, now: datetime) -> Iterator[Concern]:
    if found.standing.breaker.position is not BreakerPosition.CLOSED:
        yield Concern.BREAKER
    if found.link is not None and found.link.state != LinkState.UP:
        yield Concern.LINK
    if found.days_left is not None and found.days_left < SOON.days:
        yield Concern.CERTIFICATE
    if found.deliveries[DeliveryState.SUSPENDED].count.number:
        yield Concern.SUSPENDED
    since = found.deliveries[DeliveryState.WAITING].since
    if since is not None and now - since > LATE:
        yield Concern.LATE


def _find_worst_links(seen: Iterable[SeenLink]) -> dict[str, SeenLink]:
    """Return one link of each name: one that is not up, if there is any."""
    found: dict[str, SeenLink] = {}
    for link in seen:
        if link.name not in found or found[link.name].state == LinkState.UP:
            found[link.name] = link
    return found


def _count_deliveries(tx: Transaction) -> dict[tuple[DeliveryState, str], WaitingDeliveries]:
    """Return the undelivered deliveries by state and partner.

    Up to `_TOGETHER` of them are counted with one statement. If there are more, each state and partner is counted by
    itself, up to `MOST`.
    """
    rows = _COUNT_TOGETHER.read(tx, {"most": _TOGETHER + 1})
    if sum(row.number for row in rows) <= _TOGETHER:
        return {(DeliveryState(row.state), row.partner): _make_waiting(row) for row in rows}
    found = {}
    for state in _SHOWN:
        for partner in _list_waiting_partners(tx, state):
            row = _COUNT_ONE.first(tx, {"state": state.value, "partner": partner, "most": MOST + 1})
            assert row is not None
            found[state, partner] = _make_waiting(row)
    return found


def _make_waiting(row: "sa.Row[tuple[str, str, int, str]]") -> WaitingDeliveries:
    since = row.since if isinstance(row.since, datetime) or row.since is None else datetime.fromisoformat(row.since)
    return WaitingDeliveries(count=BoundedCount.of(row.number), since=since)


def _list_waiting_partners(tx: Transaction, state: DeliveryState) -> Iterator[str]:
    last = ""
    while (
        row := _NEXT_PARTNER.first(tx, {"state": state.value, "last": last})
    ) is not None and row.partner is not None:
        yield row.partner
        last = row.partner


def _count_refused(tx: Transaction, partner: str, since: datetime) -> BoundedCount:
    row = _COUNT_REFUSED.first(tx, {"code": partner, "first": make_first_id(since), "most": MOST + 1})
    assert row is not None
    return BoundedCount.of(row.number)


def _measure_rates(tx: Transaction, now: datetime) -> tuple[ExchangeRate, ExchangeRate, ExchangeRate]:
    """Return the messages accepted, the messages refused and the deliveries delivered in the last minute.

    They are counted among the newest events. If these do not reach back a minute, the numbers are projected.
    """
    since = now - timedelta(minutes=1)
    numbers, oldest = [0, 0, 0], None
    for most in _NEWEST:
        row = _COUNT_EVENTS.first(tx, {"since": write_instant(since), "most": most})
        assert row is not None
        oldest = None if row.oldest is None else datetime.fromisoformat(row.oldest)
        numbers = [number or 0 for number in (row.accepted, row.refused, row.delivered)]
        if row.number < most or oldest is None or oldest < since:
            return _make_rates(numbers)
    assert oldest is not None
    seconds = max((now - oldest).total_seconds(), 1.0)
    return _make_rates([round(number * 60 / seconds) for number in numbers], estimated=True)


def _make_rates(numbers: Sequence[int], *, estimated: bool = False) -> tuple[ExchangeRate, ExchangeRate, ExchangeRate]:
    accepted, refused, delivered = (ExchangeRate(number=number, estimated=estimated) for number in numbers)
    return accepted, refused, delivered


_most = sa.bindparam("most", type_=sa.Integer)
_undelivered = (
    sa.select(delivery.c.state, delivery.c.partner, delivery.c.since)
    .where(UNDELIVERED)
    # the order of the index, so that no plan reads the delivered ones
    .order_by(delivery.c.state, delivery.c.partner, delivery.c.message)
    .limit(_most)
    .subquery()
)
_number = sa.func.count().label("number")
_COUNT_TOGETHER = HotStatement(
    sa.select(_undelivered.c.state, _undelivered.c.partner, _number, sa.func.min(_undelivered.c.since).label("since"))
    .select_from(_undelivered)
    .group_by(_undelivered.c.state, _undelivered.c.partner)
)
_of_one = (
    sa.select(delivery.c.since)
    .where(UNDELIVERED, delivery.c.state == sa.bindparam("state"), delivery.c.partner == sa.bindparam("partner"))
    .order_by(delivery.c.message)
    .limit(_most)
    .subquery()
)
_COUNT_ONE = HotStatement(sa.select(_number, sa.func.min(_of_one.c.since).label("since")).select_from(_of_one))
_NEXT_PARTNER = HotStatement(
    sa.select(sa.func.min(delivery.c.partner).label("partner")).where(
        UNDELIVERED, delivery.c.state == sa.bindparam("state"), delivery.c.partner > sa.bindparam("last")
    )
)
_refused_ones = (
    sa.select(message.c.id)
    .where(message.c.partner == sa.bindparam("code"), SEARCHED, REFUSED, message.c.id >= sa.bindparam("first"))
    .limit(_most)
    .subquery()
)
_COUNT_REFUSED = HotStatement(sa.select(_number).select_from(_refused_ones))
_newest = sa.select(event.c.text).order_by(event.c.serial.desc()).limit(_most).subquery()


def _is_named(name: str) -> sa.ColumnElement[bool]:
    return sa.func.substr(_newest.c.text, _NAME_AT, len(name) + 1) == sa.literal_column(f"'{name}\"'")


def _count_named(name: str) -> sa.ColumnElement[int]:
    recent = sa.func.substr(_newest.c.text, _TIME_AT, _TIME_LENGTH) >= sa.bindparam("since", type_=sa.String)
    return sa.func.sum(sa.case((sa.and_(_is_named(name), recent), 1), else_=0))


_moment = sa.func.substr(_newest.c.text, _TIME_AT, _TIME_LENGTH)
#: Of an event of a link or a fact the time may lie before that of the events ahead of it.
_in_order = sa.or_(*(_is_named(name) for name in ("message-accepted", "message-refused", "delivery-delivered")))
_COUNT_EVENTS = HotStatement(
    sa.select(
        _number,
        sa.func.min(sa.case((_in_order, _moment))).label("oldest"),
        _count_named("message-accepted").label("accepted"),
        _count_named("message-refused").label("refused"),
        _count_named("delivery-delivered").label("delivered"),
    ).select_from(_newest)
)
