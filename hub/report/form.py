"""A form of report as data: its columns and how each counts.  Knows the closed vocabulary; neither facts nor how a form is written.

Reading a form from TOML is `hub.report.reading`; counting by one is `hub.report.counting`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum

import attrs

from hub.report.period import Period

#: What can be counted, by service: the milestones of its facts (design, “Facts”).
MILESTONES: Mapping[str, frozenset[str]] = {
    "documents": frozenset(
        ["sent", "sent-recall", "sent-update", "sent-replacement", "received", "failed"]
        + [f"status-{code}" for code in ("01", "02", "03", "04", "05", "06", "13", "15", "16")]
    ),
}

#: The attributes of a fact that a condition may name, and the type of their values.
ATTRIBUTES: Mapping[str, type] = {
    "outside": bool,
    "paper": bool,
    "signature": str,
    "document_type": str,
    "counterpart": str,
}

#: The milestone that the rules `within_hours` and `by_due` join to, of the same unit and key.
RECEIVED = "received"


class Kind(StrEnum):
    """What a column's number is."""

    FLOW = "flow"  #: facts of the period
    STOCK = "stock"  #: business keys that stand so at a moment
    FORMULA = "formula"  #: the sum of other columns
    TIME = "time"  #: when the latest fact of the period was


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


@attrs.frozen(kw_only=True)
class Column:
    """One column and its rule; which fields a rule may have is the table in docs/reference/reports.md."""

    key: str
    kind: Kind
    heading: Wording
    group: Wording | None = None
    milestones: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()
    within_hours: str | None = None  #: a parameter; at most so long after the unit's `received`
    by_due: bool = False  #: not after the due date
    furthest: frozenset[str] = frozenset()  #: stock: the milestones one of which the key has reached, and none beyond
    due_passed: bool = False  #: stock: the due date lies before the moment's day
    without: frozenset[str] = frozenset()  #: stock: milestones the key does not have
    sum: tuple[str, ...] = ()  #: formula: columns added up

    @property
    def joins(self) -> bool:
        """Whether the rule needs the unit's own `received` fact of the same key."""
        return self.within_hours is not None or self.by_due


@attrs.frozen(kw_only=True)
class Form:
    """A form: what it counts, since when, by which columns in which order."""

    id: str
    service: str
    title: Wording
    basis: Wording  #: the legal basis
    counted: Wording  #: the unit of count
    columns: tuple[Column, ...]
    since: date | None = None
    until: date | None = None  #: half-open
    parameters: Mapping[str, int] = attrs.field(factory=dict)
    steps: tuple[frozenset[str], ...] = ()  #: milestones that move a key forward, in order
    final: frozenset[str] = frozenset()  #: those it never leaves
    notes: tuple[Wording, ...] = ()

    def column(self, key: str) -> Column:
        """Return the column *key*.  KeyError, naming the columns there are, when there is none."""
        for column in self.columns:
            if column.key == key:
                return column
        raise KeyError(
            f"no column {key}; the columns of {self.id} are: {' '.join(column.key for column in self.columns)}"
        )

    def parts(self, key: str) -> tuple[Column, ...]:
        """Return the counting columns that *key* adds up, itself when it is one."""
        column = self.column(key)
        if column.kind is not Kind.FORMULA:
            return (column,)
        return tuple(part for summand in column.sum for part in self.parts(summand))


def choose(forms: Iterable[Form], identity: str, period: Period) -> Form:
    """Return the version of form *identity* in force on the last day of *period*.  LookupError when there is none."""
    forms = tuple(forms)
    for form in forms:
        if form.id == identity and (form.since or date.min) <= period.last < (form.until or date.max):
            return form
    known = " ".join(sorted({form.id for form in forms}))
    raise LookupError(
        f"Không có biểu mẫu “{identity}” cho kỳ {period.text}; có: {known}. / No form “{identity}” for {period.text}; there are: {known}."
    )
