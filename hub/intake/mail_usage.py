"""Records a day's count of mail as a message of the hub itself, with its facts. Does not count mail."""

from collections import defaultdict
from datetime import date, datetime

import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.model import HUB
from hub.intake import admission
from hub.journal import messages
from hub.journal.effects import RecordedMessage
from hub.services import list_services
from hub.services.mail import NAME, log
from hub.services.mail.log import NOBODY, Tally
from hub.store.tables import fact, message
from hub.store.transactions import Transaction
from hub.units.province import Province


def read_told_usage(tx: Transaction, day: date, since: date | None = None) -> Tally:
    """Return what the hub has recorded for *day* so far, or for the days from *since* to *day*, including corrections."""
    key = day.isoformat() if since is None else f"{since}/{day}"
    told = sa.or_(fact.c.key == key, fact.c.key.startswith(f"{key}#", autoescape=True))
    ours = sa.and_(message.c.id == fact.c.message, message.c.partner == HUB)
    rows = tx.execute(
        sa.select(fact.c.unit, fact.c.milestone, sa.func.sum(fact.c.amount))
        .where(ours, fact.c.service == NAME, fact.c.day == day, told)
        .group_by(fact.c.unit, fact.c.milestone)
    )
    found: Tally = defaultdict(dict)
    for unit, milestone, amount in rows:
        found[unit][milestone] = int(amount)
    return dict(found)


def subtract_tally(counted: Tally, before: Tally) -> Tally:
    """Return the difference that must be added to *before* to reach *counted*, without zero differences."""
    found: Tally = defaultdict(dict)
    for unit in {*counted, *before} - {NOBODY}:
        now, then = counted.get(unit, {}), before.get(unit, {})
        for milestone in {*now, *then}:
            if change := now.get(milestone, 0) - then.get(milestone, 0):
                found[unit][milestone] = change
    return dict(found)


def record_mail_usage(
    tx: Transaction,
    province: Province,
    tally: Tally,
    day: date,
    now: datetime,
    correction: str = "",
    since: date | None = None,
) -> RecordedMessage:
    """Write the message of *day*, or of the days from *since* to *day*.

    The same count again is the same message. A different count is refused (`id-reused`) unless it is a *correction*.
    """
    content = log.write_usage_message(tally, province.config.province, day, since=since, correction=correction)
    days = day.isoformat() if since is None else f"{since}/{day}"
    name = None if correction else f"{NAME}/{days}"
    entry = admission.judge_record(list_services()[NAME], content, name, HUB, province, now, make_id(now))
    return messages.record_message(tx, entry, province.routes)
