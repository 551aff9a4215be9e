"""A column of a form: what it counts, of which facts, how it is worded and graded; no form, no file."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum

import attrs

from hub.config.service_files import read_shipped_services
from hub.domain.model import DOCUMENTS
from hub.language.languages import Language
from hub.services import CountableFacts, list_services

PLACE = re.compile(r"\{([^{}]*)\}")  #: `{NAME}` in a text of a form

#: Milestones of documents that pass from a unit that has ended to the one that continues its work: in the one, in the
#: other, and in the other if the document was in work.
HANDED_OVER, TAKEN_OVER, IN_WORK = "handed-over", "taken-over", "taken-over-in-work"

#: What can be counted, by service: the milestones of its facts (design, “Facts”).
MILESTONES: Mapping[str, frozenset[str]] = {
    DOCUMENTS: frozenset(
        ["sent", "sent-recall", "sent-update", "sent-replacement", "received", "failed", "failed-over"]
        + [HANDED_OVER, TAKEN_OVER, IN_WORK]
        + [f"status-{code}" for code in ("01", "02", "03", "04", "05", "06", "13", "15", "16")]
    ),
    **{
        name: service.milestones | ({service.synced} if service.synced else frozenset())
        for name, service in list_services().items()
    },
    **{name: service.countable.milestones for name, service in read_shipped_services().items()},
}

#: The attributes that a condition may name for facts of every service, with the type of their values.
ATTRIBUTES: Mapping[str, type] = {
    "outside": bool,
    "paper": bool,
    "signature": str,
    "document_type": str,
    "counterpart": str,
}


@attrs.frozen
class CountedService:
    """What a form may name of the facts of its service."""

    name: str  #: empty: the form takes its numbers from other forms
    milestones: frozenset[str] | None  #: None: any
    attributes: Mapping[str, type] | None  #: with the type of their values; None: any, and texts but for `ATTRIBUTES`

    def name_attributes(self, named: Iterable[str]) -> Mapping[str, type]:
        """Return the attributes that a form may name, with the type of their values. *named*: those that it does name."""
        return {**dict.fromkeys(named, str), **ATTRIBUTES} if self.attributes is None else self.attributes


def find_counted_service(name: str, own: Iterable[CountableFacts] | None = ()) -> CountedService | None:
    """Return what a form may name of the facts of the service *name*. Return None if there is no such service.

    *own*: the services that the province defines. None: those of some earlier configuration, so a service that is
    defined by a schema may have any milestone and attribute.
    """
    found = list_services().get(name)
    if found is not None or name in (DOCUMENTS, ""):
        more = () if found is None else sorted(found.attributes)
        return CountedService(name, MILESTONES.get(name), {**ATTRIBUTES, **dict.fromkeys(more, str)})
    if own is None:
        return CountedService(name, None, None)
    for each in (*own, *(shipped.countable for shipped in read_shipped_services().values())):
        if each.service == name:
            return CountedService(name, each.milestones, {**ATTRIBUTES, **dict.fromkeys(sorted(each.attributes), str)})
    return None


#: The milestone to which the rules `within_hours`, `by_due`, `matched` and `unmatched` join, of the same unit and key.
RECEIVED = "received"
#: The attribute of a result on a document that a unit received whose work the result's unit continues: that unit's code.
RECEIVED_BY = "received-by"


class ColumnKind(StrEnum):
    """What the number of a column is."""

    FLOW = "flow"  #: the facts of the period
    STOCK = "stock"  #: the business keys that are in a state at a moment
    PEAK = "peak"  #: facts that state a quantity of a day: those of the day with the greatest total in the period
    HAPPENING = "happening"  #: what happened on a day of the period, as the units state the day
    END = "end"  #: the keys that ended in the period and had begun
    TAKEN = "taken"  #: the number of another form's column
    FORMULA = "formula"  #: the sum of other columns
    RATIO = "ratio"  #: the percentage of some columns in others
    SCORE = "score"  #: points for a ratio
    EXPRESSION = "expression"  #: what a formula over columns, parameters and numbers gives
    GRADE = "grade"  #: the grade for a number, by thresholds; its number is the place of the grade, from 1
    DECLARED = "declared"  #: a figure that the hub cannot count and a unit declares
    TIME = "time"  #: the time of the latest fact of the period


class Timing(StrEnum):
    """The day of a fact relative to its due date. Without a due date a fact is on time (standards 4.1)."""

    EARLY = "early"
    ON_TIME = "on_time"
    LATE = "late"

    @classmethod
    def of(cls, day: date, due: date | None) -> "Timing":
        """Return the position of *day* relative to *due*."""
        if due is None or day == due:
            return cls.ON_TIME
        return cls.EARLY if day < due else cls.LATE


@attrs.frozen
class Wording:
    """The same text in both languages."""

    vi: str
    en: str

    def say(self, language: Language) -> str:
        """Return the text in *language*: English for `en`, else Vietnamese."""
        return self.en if language == Language.EN else self.vi

    def list_places(self) -> tuple[str, ...]:
        """Return each NAME that stands as `{NAME}` in one of the texts, once."""
        return tuple(dict.fromkeys(PLACE.findall(self.vi + self.en)))

    def fill(self, said: Mapping[str, "Wording"]) -> "Wording":
        """Return the texts with each `{NAME}` that *said* knows replaced by what it says in that language."""
        vi, en = ({name: getattr(each, language) for name, each in said.items()} for language in ("vi", "en"))
        return Wording(
            PLACE.sub(lambda found: vi.get(found[1], found[0]), self.vi),
            PLACE.sub(lambda found: en.get(found[1], found[0]), self.en),
        )


@attrs.frozen
class Condition:
    """A test that the attribute of a fact is (or, if *holds* is false, is not) one of the values."""

    attribute: str
    values: frozenset[object]
    holds: bool = True


class EmptyRatio(StrEnum):
    """The value of a ratio whose denominator is zero (standards 4.3: “zero denominator → 0 or N/A as the indicator
    says”).
    """

    NONE = "none"
    ZERO = "zero"


#: The kinds that are computed from other columns and count no facts of their own.
WORKED_OUT = frozenset(
    {ColumnKind.FORMULA, ColumnKind.RATIO, ColumnKind.SCORE, ColumnKind.EXPRESSION, ColumnKind.GRADE}
)
#: The kinds that count no facts, neither of their own nor of another form.
FACTLESS = WORKED_OUT | {ColumnKind.DECLARED}
#: The maximum decimals of a number.
MOST_DECIMALS = 4


@attrs.frozen
class Grade:
    """A grade, and the number from which on it is given."""

    at: int | None  #: None: the last grade, for every number below the others
    heading: Wording


class Declarer(StrEnum):
    """Whose declaration of a figure counts."""

    ANY = "any"  #: the unit's own, or that of a unit above it, whichever is newer
    OWN = "own"  #: the unit's own
    ABOVE = "above"  #: that of a unit above it: nobody gives points to themselves


@attrs.frozen(kw_only=True)
class Column:
    """One column and its rule. The table in docs/reference/reports.md says which fields a rule may have."""

    key: str
    kind: ColumnKind
    heading: Wording
    group: Wording | None = None
    milestones: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()
    within_hours: str | None = None  #: the name of a parameter: the maximum number of hours after the unit's `received`
    by_due: bool | None = None  #: whether the fact is not after the due date; None: either
    dated: bool = False  #: flow, stock: the fact, or the beginning of its key, states a due date
    #: flow, stock: the unit has a `received` of the same key before the period's end (stock: the report's moment)
    matched: bool = False
    unmatched: bool = False  #: flow: the unit has no `received` of the same key before the period's end
    #: flow, end: milestones that the key must have too, as known at the closing or, of an open period, now; stock: those
    #: that it must have at the moment
    having: frozenset[str] = frozenset()
    #: flow, end: milestones that the key must not have, as known at the closing or, of an open period, now
    lacking: frozenset[str] = frozenset()
    #: flow: how the fact's day lies relative to its own due date, else to that of `received`
    timing: Timing | None = None
    extended_by: frozenset[str] = frozenset()  #: milestones whose due date replaces that of `received`
    furthest: frozenset[str] = frozenset()  #: stock: the key has reached one of these milestones and none beyond
    due_passed: bool | None = None  #: stock: whether the due date lies before the day of the moment
    waiting: bool | None = None  #: stock: whether the key waits at the moment (`Form.waits`)
    clock: bool = False  #: with `timing` or `due_passed`: waits are not counted against the unit (`Form.clock`)
    opening: bool = False  #: stock: the state at the beginning of the period
    #: peak: the column of what a unit handed over; a unit that has handed over by a period's end has no peak in it
    until: str = ""
    #: end: the milestones of which the first counts; none: all that end the work on a key (`Form.ends`)
    first_of: frozenset[str] = frozenset()
    #: stock: milestones that the key must not have; flow, end: those it must not have by the period's end; happening:
    #: those that supersede a fact
    without: frozenset[str] = frozenset()
    revised: tuple[str, ...] = ()  #: happening: the attributes that name the thing, its part and its revision
    sum: tuple[str, ...] = ()  #: formula: the columns that are added up
    taken: tuple[str, str] | None = None  #: taken: the form, and its column
    #: taken: instead of the other form's number, how many public services have at least so many of it
    least: int | None = None
    part: tuple[str, ...] = ()  #: ratio: the columns of the numerator, added up
    whole: tuple[str, ...] = ()  #: ratio: the columns of the denominator, added up
    empty: EmptyRatio = EmptyRatio.NONE  #: ratio: its value when the denominator is zero
    may_exceed: bool = False  #: ratio: by its definition it may be more than 100
    of: str = ""  #: score: the column of the ratio
    full_at: int = 100  #: score: the percentage from which all points are given
    points: int = 0  #: score: the maximum points
    #: expression: the formula, as `hub.report.form.expression` reads it
    expression: str = ""
    inputs: tuple[str, ...] = ()  #: expression: the columns that the formula names
    #: expression: the decimals to which it is rounded; declared: the most decimals; taken: the other form's number is in
    #: units of so many decimals (2: hundredths)
    decimals: int = 0
    grades: tuple[Grade, ...] = ()  #: grade: the best first
    most: int = 0  #: declared: the greatest number
    declarer: Declarer = Declarer.ANY  #: declared: whose declaration counts
    also: tuple["Column", ...] = ()  #: other rules whose facts count in this column too

    @property
    def rules(self) -> tuple["Column", ...]:
        """The rules by which the column counts facts, each with the column's key."""
        return (attrs.evolve(self, also=()), *self.also) if self.also else (self,)

    @property
    def named(self) -> tuple[str, ...]:
        """The keys of the columns from which it is computed."""
        return (*self.sum, *self.part, *self.whole, *((self.of,) if self.of else ()), *self.inputs)

    @property
    def places(self) -> int:
        """The number of decimals with which its numbers are written."""
        return 2 if self.kind in (ColumnKind.RATIO, ColumnKind.SCORE) else self.decimals

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are counts: whole, and never absent."""
        return self.kind not in _UNCOUNTED and not self.places

    @property
    def joins(self) -> bool:
        """Whether the rule needs other facts of the same key, such as the unit's own `received`."""
        return (
            self.within_hours is not None
            or self.by_due is not None
            or (self.dated and self.kind is ColumnKind.FLOW)
            or self.matched
            or self.unmatched
            or self.timing is not None
            or bool(self.having or self.lacking)
            or (self.kind is ColumnKind.FLOW and bool(self.without))
        )


_UNCOUNTED = frozenset({ColumnKind.TIME, ColumnKind.GRADE, ColumnKind.DECLARED, ColumnKind.EXPRESSION})
