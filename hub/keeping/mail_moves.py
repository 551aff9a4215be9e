"""Tells by which facts the mail accounts of units that have ended pass to the units that continue their work, and come
back if those go on.

Knows the accounts that units report. A mail system moves the accounts themselves; what its successor has is what that
reports. Does not know when units are looked at (`hub.workload.month_end`), nor how the facts count
(`hub.report.counting.counting`).
"""

from datetime import date, datetime, timedelta
from itertools import groupby

import attrs
import sqlalchemy as sa

from hub.domain.local_time import find_local_day
from hub.domain.model import Fact
from hub.journal.fact_reading import fact_rows
from hub.journal.sequels import handovers
from hub.services.mail import FIGURES, HANDED_OVER, NAME
from hub.store.tables import fact, unit
from hub.store.transactions import Transaction
from hub.units.deeds import Estate


def list_account_moves(tx: Transaction, now: datetime) -> list[Fact]:
    """Return the facts, not recorded yet, by which accounts pass from units that have ended, or come back to units that
    go on or keep their accounts.

    The accounts pass to the heir, the main one or the first of several, on the first day on which the unit is no more.
    Their number is the last above 0 that it has reported for a day of the year in which its last day lies. They come
    back today, with that number below 0. Each fact has the message from which its number comes.
    """
    today = find_local_day(now)
    ended = {each.unit: each for each in handovers.list_handovers(tx, today, Estate.MAIL)[Estate.MAIL]}
    moves = _read_moves(tx)
    gone = {code for code, told in moves.items() if sum(each.amount for each in told) > 0}
    found = []
    for code, each in ended.items():
        last = None if code in gone else find_last_accounts(tx, code, each.day)
        if last is not None:
            found.append(attrs.evolve(last, counterpart=each.heirs[0], day=each.day))
    for code in sorted(gone - ended.keys()):
        last = moves[code][-1]
        found.append(attrs.evolve(last, amount=-last.amount, day=today))
    return [
        attrs.evolve(each, key=_make_key(len(moves.get(each.unit, ())) + 1), milestone=HANDED_OVER, at=now)
        for each in found
    ]


def _make_key(number: int) -> str:
    """Return the key of a unit's move *number*, from 1."""
    return f"{HANDED_OVER}/{number}"


def _read_moves(tx: Transaction) -> dict[str, list[Fact]]:
    """Return the moves recorded of each unit that has any, in their order."""
    mine = sa.and_(fact.c.service == NAME, fact.c.milestone == HANDED_OVER)
    # by the primary key, unit by unit: no index leads to the few moves among all facts of the service
    moved = sa.select(unit.c.code).where(
        sa.exists().where(mine, fact.c.unit == unit.c.code, fact.c.key == _make_key(1))
    )
    found: dict[str, list[Fact]] = {}
    for code in tx.scalars(moved.order_by(unit.c.code)).all():
        rows = tx.execute(fact_rows.RAW_FACT.where(mine, fact.c.unit == code).order_by(fact.c.at, fact.c.key))
        found[code] = [fact_rows.read_raw_fact(row) for row in rows]
    return found


def find_last_accounts(tx: Transaction, code: str, end: date) -> Fact | None:
    """Return the last number of accounts above 0 that the unit *code* has reported for a day of the year in which the day
    before *end* lies, or for a later one, with its corrections; None: it has reported none.
    """
    since = (end - timedelta(days=1)).replace(month=1, day=1)
    issued = sa.and_(fact.c.milestone == FIGURES["AccountsIssued"], fact.c.day >= since)
    query = fact_rows.RAW_FACT.where(fact.c.service == NAME, fact.c.unit == code, issued)
    told = [fact_rows.read_raw_fact(row) for row in tx.execute(query)]
    told.sort(key=lambda each: (each.day or date.min, each.key), reverse=True)
    # a correction has the key of what it corrects, `#` and more: both stand together, the report last
    for _, some in groupby(told, lambda each: each.key.partition("#")[0]):
        reported = list(some)
        amount = sum(each.amount for each in reported)
        if amount > 0:
            return attrs.evolve(reported[-1], amount=amount)
    return None
