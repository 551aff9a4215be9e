"""Says what may go into an archive and then leave the journal. Pure rules on what is known of a message; no database, no clock.

Age alone never decides. A message goes only when nothing is left to be done for it, when every report that may count it
is closed and beyond contest, and when it is older than its kind is kept. Whatever is not known keeps it.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum

import attrs

from hub.config.upkeep.retention import CONTEST_MONTHS, FOR_GOOD, KEPT_MONTHS, OTHER_MONTHS, REFUSED, STATUSES
from hub.domain.local_time import find_local_day
from hub.domain.model import DOCUMENTS, MessageState, PacketKind


class KeptBecause(StrEnum):
    """Why a message stays whole. The first reason that holds is told."""

    FOR_GOOD = "for-good"  #: messages of its service stay for good
    UNDELIVERED = "undelivered"  #: a delivery of it is not done
    DEAD = "dead"  #: a delivery of it died, and nobody has dealt with it
    DUTY = "duty"  #: facts or attachments of it are still to be read
    OPEN_WORK = "open-work"  #: a unit has not done yet what it began, or what it told last
    REPLAY = "replay"  #: a replay or a correction that has not ended names it
    BEHIND = "behind"  #: an event of it is not in the chain, the search index, the list of work or the feed yet
    OPEN_PERIOD = "open-period"  #: a report that may count it is not closed
    CONTESTABLE = "contestable"  #: a report that may count it can still be contested, or was returned
    YOUNG = "young"  #: it is not as old as its kind is kept


@attrs.frozen(kw_only=True)
class RetentionRules:
    """How long things are kept, in months."""

    months: Mapping[str, int] = KEPT_MONTHS  #: by service, `REFUSED` or `STATUSES`
    other: int = OTHER_MONTHS
    contest: int = CONTEST_MONTHS

    def find_months(self, service: str, kind: str, state: str) -> int:
        """Return the months that a message is kept after the last thing that happened to it."""
        if state == MessageState.REFUSED:
            return self.months.get(REFUSED, self.other)
        if service == DOCUMENTS and kind == PacketKind.STATUS and STATUSES in self.months:
            return self.months[STATUSES]
        return self.months.get(service, self.other)


@attrs.frozen(kw_only=True)
class ClosedYear:
    """A year of reports in which every month of every form that counts is closed."""

    last: date  #: its last day, in Hà Nội
    settled_at: datetime  #: of the newest closing or revision of a month of it
    returned: bool = False  #: a report of it was returned and not accepted since


@attrs.frozen(kw_only=True)
class MessageStanding:
    """What the rules must know of one message."""

    id: str  #: hub id
    service: str
    kind: str
    state: str
    received_at: datetime
    settled_at: datetime  #: of the last thing that happened to it or to a delivery of it
    counted_on: date  #: the last day on which a fact of it may count, in Hà Nội
    undelivered: bool = False
    dead: bool = False
    duty: bool = False
    open_work: bool = False
    replay: bool = False
    behind: bool = False


def judge_message(
    standing: MessageStanding, rules: RetentionRules, years: tuple[ClosedYear, ...], now: datetime
) -> KeptBecause | None:
    """Return why the message stays whole at *now*, or None if it may go. *years*: the closed ones, in order."""
    if standing.service in FOR_GOOD and standing.state != MessageState.REFUSED:
        return KeptBecause.FOR_GOOD
    for holds, why in (
        (standing.undelivered, KeptBecause.UNDELIVERED),
        (standing.dead, KeptBecause.DEAD),
        (standing.duty, KeptBecause.DUTY),
        (standing.open_work, KeptBecause.OPEN_WORK),
        (standing.replay, KeptBecause.REPLAY),
        (standing.behind, KeptBecause.BEHIND),
    ):
        if holds:
            return why
    if standing.state == MessageState.ACCEPTED:  # a refused one is in no report
        year = next((each for each in years if standing.counted_on <= each.last), None)
        if year is None:
            return KeptBecause.OPEN_PERIOD
        if year.returned or now < add_months(year.settled_at, rules.contest):
            return KeptBecause.CONTESTABLE
    months = rules.find_months(standing.service, standing.kind, standing.state)
    if now < add_months(standing.settled_at, months):
        return KeptBecause.YOUNG
    return None


def add_months(at: datetime, months: int) -> datetime:
    """Return the instant *months* calendar months after *at*; where that month has no such day, its end."""
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    first = at.replace(year=year, month=month + 1, day=1)
    end = (first + timedelta(days=32)).replace(day=1)
    return min(first + timedelta(days=at.day - 1), end)


def find_counted_day(*moments: datetime | date | None) -> date:
    """Return the last day in Hà Nội of *moments*, of which at least one is given."""
    return max(find_local_day(each) if isinstance(each, datetime) else each for each in moments if each is not None)
