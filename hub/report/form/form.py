"""A form of report as data: its columns and how each counts.  Knows the closed vocabulary; neither facts nor how a form is written.

Reading a form from TOML is `hub.report.form.toml`; counting by one is `hub.report.counting.counting`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum

import attrs

from hub.domain.model import DOCUMENTS
from hub.report.form.period import Period
from hub.services import list_services

#: What can be counted, by service: the milestones of its facts (design, “Facts”).
MILESTONES: Mapping[str, frozenset[str]] = {
    DOCUMENTS: frozenset(
        ["sent", "sent-recall", "sent-update", "sent-replacement", "received", "failed"]
        + [f"status-{code}" for code in ("01", "02", "03", "04", "05", "06", "13", "15", "16")]
    ),
    **{
        name: service.milestones | ({service.synced} if service.synced else frozenset())
        for name, service in list_services().items()
    },
}

#: The attributes that a fact of every service has and a condition may name, and the type of their values.
ATTRIBUTES: Mapping[str, type] = {
    "outside": bool,
    "paper": bool,
    "signature": str,
    "document_type": str,
    "counterpart": str,
}


def list_service_attributes(service: str) -> Mapping[str, type]:
    """Return the attributes that a condition on facts of *service* may name."""
    found = list_services().get(service)
    return ATTRIBUTES if found is None else {**ATTRIBUTES, **dict.fromkeys(sorted(found.attributes), str)}


#: The milestone that the rules `within_hours`, `by_due` and `unmatched` join to, of the same unit and key.
RECEIVED = "received"


class ColumnKind(StrEnum):
    """What a column's number is."""

    FLOW = "flow"  #: facts of the period
    STOCK = "stock"  #: business keys that stand so at a moment
    PEAK = "peak"  #: of facts that tell how many there were on a day: those of the day with the most in the period
    HAPPENING = "happening"  #: what happened on a day of the period, as the units say
    END = "end"  #: keys that came to an end in the period, and had begun
    TAKEN = "taken"  #: the number of another form's column
    FORMULA = "formula"  #: the sum of other columns
    RATIO = "ratio"  #: of some columns, what they come to in a hundred of others
    SCORE = "score"  #: points for a ratio
    TIME = "time"  #: when the latest fact of the period was


class Timing(StrEnum):
    """How the day of a fact lies to its due date; without a due date it is on time (standards 4.1)."""

    EARLY = "early"
    ON_TIME = "on_time"
    LATE = "late"

    @classmethod
    def of(cls, day: date, due: date | None) -> "Timing":
        """Return how *day* lies to *due*."""
        if due is None or day == due:
            return cls.ON_TIME
        return cls.EARLY if day < due else cls.LATE


class Late(StrEnum):
    """What becomes of a fact that is recorded after the closing of the period in which its moment lies (`hub.report.counting.posting`)."""

    NEXT = "next"  #: it is posted to the first period that was still open then
    REVISION = "revision"  #: it stays where it is: the closed period and those after it get another revision


@attrs.frozen
class Wording:
    """The same words in both languages."""

    vi: str
    en: str

    def say(self, language: str) -> str:
        """Return the words in *language*: English for `en`, else Vietnamese."""
        return self.en if language == "en" else self.vi


@attrs.frozen
class Condition:
    """The attribute of a fact is (or, when not *holds*, is not) one of the values."""

    attribute: str
    values: frozenset[object]
    holds: bool = True


class Empty(StrEnum):
    """What a ratio is of which the whole is zero (standards 4.3: “zero denominator → 0 or N/A as the indicator says”)."""

    NONE = "none"
    ZERO = "zero"


#: Kinds that stand for other columns and take no fact of their own.
WORKED_OUT = frozenset({ColumnKind.FORMULA, ColumnKind.RATIO, ColumnKind.SCORE})


@attrs.frozen(kw_only=True)
class Column:
    """One column and its rule; which fields a rule may have is the table in docs/reference/reports.md."""

    key: str
    kind: ColumnKind
    heading: Wording
    group: Wording | None = None
    milestones: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()
    within_hours: str | None = None  #: a parameter; at most so long after the unit's `received`
    by_due: bool = False  #: not after the due date
    unmatched: bool = False  #: flow: the unit has no `received` of the same key, before the period's end
    timing: Timing | None = None  #: flow: the fact's day lies so to its own due date, else to that of `received`
    extended_by: frozenset[str] = frozenset()  #: milestones whose due date takes the place of that of `received`
    furthest: frozenset[str] = frozenset()  #: stock: the milestones one of which the key has reached, and none beyond
    due_passed: bool | None = None  #: stock: the due date lies before the moment's day, or does not
    opening: bool = False  #: stock: as things stood when the period began
    without: frozenset[str] = frozenset()  #: stock: milestones the key does not have; happening: those that supersede
    revised: tuple[str, ...] = ()  #: happening: the attributes that tell the thing, its part and its revision
    sum: tuple[str, ...] = ()  #: formula: columns added up
    taken: tuple[str, str] | None = None  #: taken: the form, and its column
    part: tuple[str, ...] = ()  #: ratio: columns, added up
    whole: tuple[str, ...] = ()  #: ratio: the columns of which they are a part, added up
    empty: Empty = Empty.NONE  #: ratio: what it is of nothing
    of: str = ""  #: score: the ratio
    full_at: int = 100  #: score: the percentage from which on all points are given
    points: int = 0  #: score: all of them
    also: tuple["Column", ...] = ()  #: other rules whose facts count in this column too

    @property
    def rules(self) -> tuple["Column", ...]:
        """The rules by which it takes facts, all with its key."""
        return (attrs.evolve(self, also=()), *self.also) if self.also else (self,)

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that it is worked out from."""
        return (*self.sum, *self.part, *self.whole, *((self.of,) if self.of else ()))

    @property
    def joins(self) -> bool:
        """Whether the rule needs the unit's own `received` fact of the same key."""
        return self.within_hours is not None or self.by_due or self.unmatched or self.timing is not None


@attrs.frozen
class ManualLine:
    """A figure that the hub cannot count and a unit may declare: never a column, never added to one."""

    key: str
    heading: Wording


#: Columns that one chart can tell apart.
MOST_SERIES = 4


class ChartKind(StrEnum):
    """What a chart shows."""

    TREND = "trend"  #: the totals of columns, period by period
    SHARE = "share"  #: of each unit, what columns come to in a hundred of another
    COMPARISON = "comparison"  #: the totals of columns beside those of the same period a year before


@attrs.frozen(kw_only=True)
class Chart:
    """What people would rather look at than read."""

    kind: ChartKind
    title: Wording
    columns: tuple[str, ...]
    of: str | None = None  #: share: the column that is the whole


@attrs.frozen(kw_only=True)
class Check:
    """What must agree in each row, or, with `before`, between two periods."""

    says: Wording
    left: tuple[str, ...]  #: columns, added up
    right: tuple[str, ...]  #: with `before`: of the period before; none, which is 0, only with `at_most`
    before: bool = False
    at_most: bool = False  #: the left side may be less than the right one

    def holds(self, left: int, right: int) -> bool:
        """Tell whether the sums of both sides are as they must be."""
        return left <= right if self.at_most else left == right

    @property
    def broken(self) -> str:
        """The sign between two sums that do not hold."""
        return ">" if self.at_most else "≠"


@attrs.frozen
class Sorting:
    """Rows that stand together under a heading: those of units whose names begin so; without such words, all that is left."""

    heading: Wording
    starts: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Form:
    """A form: what it counts, since when, by which columns in which order.

    A form without a service takes its numbers from other forms.
    """

    id: str
    service: str
    title: Wording
    basis: Wording  #: the legal basis
    counted: Wording  #: the unit of count
    columns: tuple[Column, ...]
    since: date | None = None
    until: date | None = None  #: half-open
    by_day: bool = False  #: a fact counts on the day its unit says, not when the hub learned of it
    number: str = ""  #: by which officials know it, such as `II.06a/VPCP/KSTT`
    late: Late = Late.NEXT
    due_working_days: int | None = None  #: the report is due so many working days after its period
    first_number: int = 1  #: what the first column is numbered; official forms number the columns before it too
    parameters: Mapping[str, int] = attrs.field(factory=dict)
    steps: tuple[frozenset[str], ...] = ()  #: milestones that move a key forward, in order
    final: frozenset[str] = frozenset()  #: those it never leaves
    begins: frozenset[str] = frozenset()  #: milestones with which the work on a key begins
    ends: frozenset[str] = frozenset()  #: those with which it ends: the first of them counts
    sections: tuple[Sorting, ...] = ()
    checks: tuple[Check, ...] = ()
    notes: tuple[Wording, ...] = ()
    manual: tuple[ManualLine, ...] = ()
    charts: tuple[Chart, ...] = ()
    rules_used: Wording | None = None  #: the rule set that was chosen, if one was
    written: str = attrs.field(default="", eq=False, repr=False)  #: the form as it was read, letter by letter

    @property
    def called(self) -> str:
        """What stands above the report: the official number, else the id."""
        return self.number or self.id

    def column(self, key: str) -> Column:
        """Return the column *key*.  KeyError, naming the columns there are, when there is none."""
        for column in self.columns:
            if column.key == key:
                return column
        raise KeyError(
            f"no column {key}; the columns of {self.id} are: {' '.join(column.key for column in self.columns)}"
        )

    @property
    def rules(self) -> tuple[Column, ...]:
        """The rules by which its columns take facts, in the columns' order; some have several."""
        return tuple(rule for column in self.columns if column.kind not in WORKED_OUT for rule in column.rules)

    @property
    def bases(self) -> tuple[str, ...]:
        """The forms that it takes numbers from, each once."""
        return tuple(dict.fromkeys(column.taken[0] for column in self.columns if column.taken))

    def parts(self, key: str) -> tuple[Column, ...]:
        """Return the rules and the taken columns that *key* is worked out from, each once; its own when it takes facts itself."""
        column = self.column(key)
        if column.kind not in WORKED_OUT:
            return column.rules
        return tuple(dict.fromkeys(part for name in column.named for part in self.parts(name)))


def choose_form(forms: Iterable[Form], identity: str, period: Period) -> Form:
    """Return the version of form *identity* in force on the last day of *period*.  LookupError when there is none."""
    forms = tuple(forms)
    for form in forms:
        if form.id == identity and (form.since or date.min) <= period.last < (form.until or date.max):
            return form
    known = " ".join(sorted({form.id for form in forms}))
    raise LookupError(
        f"Không có biểu mẫu “{identity}” cho kỳ {period.text}; có: {known}. / No form “{identity}” for {period.text}; there are: {known}."
    )
