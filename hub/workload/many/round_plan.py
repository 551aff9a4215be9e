"""Plans what is done with the reports of many units at once: which are given out, given out again, revised or handed in,
and which are left, with the reason.

Pure: knows the steps of a report. Neither reads nor writes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from hub.domain.model import ReportState
from hub.language.phrases import Phrase, phrase
from hub.workload.many.report_round import ReportRound, UnitStanding
from hub.workload.revisions import EarlyStep


class RoundDeed(StrEnum):
    """What is done with the report of one unit."""

    GIVE_OUT = "give-out"  #: its first revision is made
    GIVE_AGAIN = "give-again"  #: the document of its revision is written once more; nothing changes
    REVISE = "revise"  #: another revision is made
    HAND_IN = "hand-in"
    NOTHING = "nothing"  #: it is done already
    BLOCKED = "blocked"  #: it cannot be done now


@attrs.frozen
class PlannedUnit:
    """What is done with the report of one unit."""

    standing: UnitStanding
    deed: RoundDeed
    why: Phrase | None = None  #: why nothing is done

    @property
    def acts(self) -> bool:
        """Whether anything is done."""
        return self.deed not in (RoundDeed.NOTHING, RoundDeed.BLOCKED)


def count_deeds(plan: Sequence[PlannedUnit]) -> Mapping[RoundDeed, int]:
    """Return for how many units each deed is planned."""
    return Counter(each.deed for each in plan)


_RUNNING = phrase("the period has not ended")
_SIGNED = phrase("it is signed already")


def plan_giving_out(found: ReportRound, *, reason: str) -> list[PlannedUnit]:
    """Return what to do so that each unit of *found* gets the document to sign. *reason*: for new revisions; "" if none
    was given.
    """
    return [_plan_giving_out(found, each, reason=reason) for each in found.units]


def _plan_giving_out(found: ReportRound, standing: UnitStanding, *, reason: str) -> PlannedUnit:
    match standing.step:
        case EarlyStep.READY:
            return PlannedUnit(standing, RoundDeed.GIVE_OUT)
        case ReportState.CLOSED | ReportState.DRAFTED:
            return PlannedUnit(standing, RoundDeed.GIVE_AGAIN)
        case ReportState.RETURNED if reason:
            return PlannedUnit(standing, RoundDeed.REVISE)
        case ReportState.RETURNED:
            needs = phrase("it was returned; another revision needs a reason")
            return PlannedUnit(standing, RoundDeed.BLOCKED, needs)
        case EarlyStep():
            return PlannedUnit(standing, RoundDeed.BLOCKED, _say_open(found))
    return PlannedUnit(standing, RoundDeed.NOTHING, _SIGNED)


def plan_handing_in(found: ReportRound, partner: str, *, required: bool) -> list[PlannedUnit]:
    """Return what to do so that the report of each unit of *found* reaches *partner*. *required*: only signed reports may
    be handed in.
    """
    return [_plan_handing_in(found, each, partner, required=required) for each in found.units]


def _plan_handing_in(found: ReportRound, standing: UnitStanding, partner: str, *, required: bool) -> PlannedUnit:
    newest = standing.revision
    if standing.step is ReportState.RETURNED:
        again = phrase("it was returned; give out another revision")
        return PlannedUnit(standing, RoundDeed.BLOCKED, again)
    if newest is not None and any(each.partner == partner for each in newest.handed_in):
        return PlannedUnit(standing, RoundDeed.NOTHING, phrase("it was handed in already"))
    if standing.step in (EarlyStep.RUNNING, EarlyStep.MONTH_OPEN):
        return PlannedUnit(standing, RoundDeed.BLOCKED, _say_open(found))
    if required and (newest is None or newest.signing is None):
        return PlannedUnit(standing, RoundDeed.BLOCKED, phrase("it is not signed"))
    return PlannedUnit(standing, RoundDeed.HAND_IN)


def _say_open(found: ReportRound) -> Phrase:
    return phrase("{month} is not closed", month=found.open_month) if found.ended and found.open_month else _RUNNING
