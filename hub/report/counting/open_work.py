"""Reads what a unit still has to do, and by which day, from the facts of one business key.

Knows which milestones begin, end, extend and pause work, as `open_work.toml` says for each service. Does not know where
facts come from, nor what day it is.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from hub.domain.model import Fact
from hub.report.counting.corrections import list_corrections, put_corrections
from hub.report.counting.dates import find_fact_day, make_fact_sort_key

FILE = Path(__file__).with_name("open_work.toml")


@attrs.frozen(kw_only=True)
class OpenWorkRule:
    """What is open work of one service. See `open_work.toml`."""

    service: str
    begins: frozenset[str]
    ends: frozenset[str]
    extends: frozenset[str] = frozenset()
    waits: frozenset[str] = frozenset()
    resumes: frozenset[str] = frozenset()
    by_day: bool = False
    field: str = ""
    field_name: str = ""
    officer: str = ""

    @property
    def milestones(self) -> frozenset[str]:
        """All milestones that may change what is open."""
        return list_corrections(self.begins | self.extends) | self.ends | self.waits | self.resumes


@attrs.frozen(kw_only=True)
class OpenWork:
    """Something that a unit has begun and not ended, and that has a due day."""

    unit: str
    service: str
    key: str  #: the business key
    due: date  #: the last day on which it is in time
    since: date  #: the day on which the unit received it
    waiting: bool  #: it waits for somebody else or is excused, so it is not late
    field: str  #: code of the field of procedures, or of the kind of work; empty: not told
    field_name: str  #: as the sender told it; empty: not told
    officer: str  #: code of the officer who has it; empty: not told
    counterpart: str  #: the unit it came from; empty: not told
    message: str  #: hub id of the message by which it began
    told: str  #: hub id of the newest message that is behind its state
    due_told_at: datetime  #: when the hub learned of its due day

    def find_state(self, today: date) -> "WorkState":
        """Return how it stands on the day *today*."""
        if self.waiting:
            return WorkState.WAITING
        return WorkState.LATE if self.due < today else WorkState.SOON


class WorkState(StrEnum):
    """How open work stands on a day."""

    LATE = "late"  #: its due day has passed
    SOON = "soon"  #: its due day is today or on one of the next days that were asked for
    WAITING = "waiting"  #: its due day has passed, or will soon, but it waits for somebody else or is excused


@attrs.frozen(kw_only=True)
class ListedWork:
    """Open work with what a reader recognises it by."""

    work: OpenWork
    number: str  #: number and notation of a document, the code of a dossier or of a work item

    @property
    def place(self) -> tuple[str, ...]:
        """Its place in the list."""
        return self.work.due.isoformat(), self.work.unit, self.work.service, self.work.key


@attrs.frozen(kw_only=True)
class WorkCount:
    """The open work of one unit and service, or of one of its fields, on a day."""

    unit: str
    service: str
    field: str = ""
    field_name: str = ""
    late: int
    soon: int
    waiting: int
    oldest: date | None  #: the earliest due day that has passed; None: none has


def read_open_work(rule: OpenWorkRule, history: Sequence[Fact]) -> OpenWork | None:
    """Return the open work of *history*, all facts of one unit, service and business key; None if nothing is open, or
    nothing has a due day.
    """
    told = [fact for fact in history if fact.milestone in rule.milestones]
    if any(fact.milestone in rule.ends for fact in told):
        return None
    begun = max((fact for fact in told if fact.milestone in rule.begins), key=make_fact_sort_key, default=None)
    if begun is None:
        return None
    corrected = put_corrections(told)
    start = next(fact for fact in corrected.facts if fact.milestone == begun.milestone)
    stating = _find_stating(rule, start, corrected.facts)
    if stating is None or stating.due is None:
        return None
    restated = corrected.stated
    waits, resumes = (sum(fact.milestone in names for fact in told) for names in (rule.waits, rule.resumes))
    known = dict(begun.attributes)
    return OpenWork(
        unit=begun.unit,
        service=begun.service,
        key=begun.key,
        due=stating.due,
        since=find_fact_day(start),
        waiting=waits > resumes,
        field=known.get(rule.field, "") if rule.field else "",
        field_name=known.get(rule.field_name, "") if rule.field_name else "",
        officer=known.get(rule.officer, "") if rule.officer else "",
        counterpart=begun.counterpart,
        message=begun.message,
        told=max(told, key=make_fact_sort_key).message,
        due_told_at=restated.at if restated and restated.due == stating.due else stating.at,
    )


def _find_stating(rule: OpenWorkRule, start: Fact, told: Sequence[Fact]) -> Fact | None:
    """Return the fact that states the due day: the latest one that has one, of the beginning and what extends it."""
    dated = [fact for fact in (start, *told) if fact.due and (fact is start or fact.milestone in rule.extends)]

    def key(fact: Fact) -> tuple[object, ...]:
        return (find_fact_day(fact) if rule.by_day else date.min, make_fact_sort_key(fact))

    return max(dated, key=key, default=None)


@cache
def read_rules() -> Mapping[str, OpenWorkRule]:
    """Return the rules of `open_work.toml` by service."""
    return {rule.service: rule for rule in parse_rules(FILE.read_text("utf-8"))}


def parse_rules(text: str) -> tuple[OpenWorkRule, ...]:
    """Return the rules of the TOML *text*. Raises TypeError for an unknown word or one that is missing."""
    found = []
    for said in tomllib.loads(text)["work"]:
        values: dict[str, Any] = {
            name: frozenset(value) if isinstance(value, list) else value for name, value in said.items()
        }
        found.append(OpenWorkRule(**values))
    return tuple(found)


@cache
def read_revision() -> int:
    """Return the number that rises with every change of the rules."""
    return int(tomllib.loads(FILE.read_text("utf-8"))["revision"])
