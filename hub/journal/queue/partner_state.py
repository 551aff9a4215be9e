"""State of each partner that the hub pushes to: breaker, rate limit and pause. Knows one table.

The state is in the journal, so it survives a restart and is the same for all nodes. A partner without a row is in the
initial state.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.model import Event
from hub.journal import events
from hub.partner.circuit_breaker import Breaker, BreakerPosition, hurry_breaker
from hub.store import transactions
from hub.store.hot_statements import HotStatement
from hub.store.tables import SENDING, delivery
from hub.store.tables import partner_state as table
from hub.store.transactions import Transaction


@attrs.frozen
class Pause:
    """An operator has paused the sending to a partner."""

    at: datetime
    by: str  #: name of the operator
    reason: str


@attrs.frozen(kw_only=True)
class PartnerStanding:
    """State of one partner."""

    breaker: Breaker = attrs.field(factory=Breaker)
    pause: Pause | None = None
    next_at: datetime | None = None  #: time at which the rate limit allows the next message


_CODED = sa.select(table).where(table.c.partner == sa.bindparam("code"))
_ONE = HotStatement(_CODED)
_ALL = HotStatement(sa.select(table))
_LOCKED = HotStatement(_CODED.with_for_update())
_SEIZED = HotStatement(_CODED.with_for_update(skip_locked=True))
_UNDER_WAY = HotStatement(
    sa.select(delivery.c.partner, sa.func.count(delivery.c.message.distinct()).label("messages"))
    .where(SENDING)
    .group_by(delivery.c.partner)
)


def read_partner_standings(tx: Transaction) -> dict[str, PartnerStanding]:
    """Return the state of each partner that has a row."""
    return {row.partner: _read_standing(row._asdict()) for row in _ALL.read(tx, {})}


def read_partner_standing(tx: Transaction, partner: str) -> PartnerStanding:
    """Return the state of *partner*."""
    row = _ONE.first(tx, {"code": partner})
    return PartnerStanding() if row is None else _read_standing(row._asdict())


def count_attempts_under_way(tx: Transaction) -> dict[str, int]:
    """Return the number of messages being sent to each partner, by all nodes."""
    return dict(_UNDER_WAY.read(tx, {}))


def seize_partner(tx: Transaction, partner: str) -> PartnerStanding | None:
    """Lock the state of *partner* until the transaction ends and return it. None while another node holds it.

    Does not wait: what the other node does not claim is found in the next run.
    """
    row = _SEIZED.first(tx, {"code": partner})
    if row is None and transactions.insert_missing_rows(tx, table, [{"partner": partner}]):
        row = _ONE.first(tx, {"code": partner})
    return None if row is None else _read_standing(row._asdict())


def write_partner_standing(tx: Transaction, partner: str, before: PartnerStanding, after: PartnerStanding) -> None:
    """Write the changed columns of a partner that is locked by `seize_partner`."""
    changed = {name: value for name, value in _write_standing(after).items() if value != _write_standing(before)[name]}
    if changed:
        tx.execute(sa.update(table).where(table.c.partner == partner).values(changed))


def move_breaker(tx: Transaction, partner: str, step: Callable[[Breaker], Breaker], now: datetime) -> None:
    """Apply *step*, a transition of hub.partner.circuit_breaker, to the breaker of *partner*.

    Records an event when the breaker opens or closes. When the step changes nothing, as after an ordinary success, no
    row is locked or written.
    """
    if step(found := read_partner_standing(tx, partner).breaker) == found:
        return
    transactions.insert_missing_rows(tx, table, [{"partner": partner}])
    row = _LOCKED.first(tx, {"code": partner})
    before = _read_standing(row._asdict())
    after = attrs.evolve(before, breaker=step(before.breaker))
    write_partner_standing(tx, partner, before, after)
    old, new = before.breaker, after.breaker
    if new.position is BreakerPosition.OPEN and old.position is not BreakerPosition.OPEN:
        until = new.until.isoformat() if new.until else None
        said = {"partner": partner, "opened": new.opened, "until": until, "reason": new.reason}
        events.append_events(tx, Event("breaker-opened", now, None, None, said))
    if new.position is BreakerPosition.CLOSED and old.position is not BreakerPosition.CLOSED:
        events.append_events(tx, Event("breaker-closed", now, None, None, {"partner": partner}))


def pause_partner(tx: Transaction, partner: str, *, reason: str, by: str, now: datetime) -> bool:
    """Pause the sending to *partner* on all nodes. Attempts in progress end normally.

    Return False if it is already paused.
    """
    transactions.insert_missing_rows(tx, table, [{"partner": partner}])
    running = sa.and_(table.c.partner == partner, table.c.paused_at.is_(None))
    values = {"paused_at": now, "paused_by": by, "paused_reason": reason}
    if not tx.execute(sa.update(table).where(running).values(values)).rowcount:
        return False
    events.append_events(tx, Event("partner-paused", now, None, None, {"partner": partner, "reason": reason, "by": by}))
    return True


def resume_partner(tx: Transaction, partner: str, *, reason: str, by: str, now: datetime) -> bool:
    """End the pause of *partner*, and let an open breaker probe at once. Return False if there was neither."""
    found = _LOCKED.first(tx, {"code": partner})
    before = PartnerStanding() if found is None else _read_standing(found._asdict())
    after = attrs.evolve(before, pause=None, breaker=hurry_breaker(before.breaker, now))
    if after == before:
        return False
    write_partner_standing(tx, partner, before, after)
    events.append_events(
        tx, Event("partner-resumed", now, None, None, {"partner": partner, "reason": reason, "by": by})
    )
    transactions.notify_nodes(tx)
    return True


def _read_standing(row: Mapping[str, Any]) -> PartnerStanding:
    return PartnerStanding(
        breaker=Breaker(
            position=BreakerPosition(row["breaker"]),
            failures=row["failures"],
            opened=row["opened"],
            until=row["until"],
            pace=row["pace"],
            reason=row["reason"],
        ),
        pause=Pause(row["paused_at"], row["paused_by"], row["paused_reason"]) if row["paused_at"] else None,
        next_at=row["next_at"],
    )


def _write_standing(standing: PartnerStanding) -> Mapping[str, object]:
    breaker, pause = standing.breaker, standing.pause
    return {
        "breaker": breaker.position.value,
        "failures": breaker.failures,
        "opened": breaker.opened,
        "until": breaker.until,
        "pace": breaker.pace,
        "reason": breaker.reason,
        "next_at": standing.next_at,
        "paused_at": pause.at if pause else None,
        "paused_by": pause.by if pause else None,
        "paused_reason": pause.reason if pause else None,
    }
