"""Defines a form of report as data: its columns and how each counts. Knows the closed vocabulary of rules. Knows
neither facts nor the file format.

`hub.report.form.toml` reads a form from TOML; `hub.report.counting.counting` counts by it.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum

import attrs

from hub.domain.legal_texts import choose_legal_text
from hub.language.phrases import Phrase, phrase
from hub.report.form.column import FACTLESS, Column, Wording
from hub.report.form.period import Period


class LatePolicy(StrEnum):
    """What happens to a fact that is recorded after the closing of the period in which its time lies
    (`hub.report.counting.posting`).
    """

    NEXT = "next"  #: it is posted to the first period that was still open when it was recorded
    REVISION = "revision"  #: it stays in its period: that closed period and those after it get a new revision


@attrs.frozen
class ManualLine:
    """A figure that the hub cannot count and a unit may declare. It is never a column and never added to one."""

    key: str
    heading: Wording


class Measured(StrEnum):
    """How an indicator comes by its number."""

    COUNTED = "counted"  #: the hub counts it from what is exchanged
    PARTLY = "partly"  #: the hub counts a part, and units declare the rest
    DECLARED = "declared"  #: units declare it
    NOT_MEASURED = "not_measured"


@attrs.frozen(kw_only=True)
class Indicator:
    """One of a set of official indicators, and where its number is."""

    number: str
    title: Wording
    formula: Wording
    columns: tuple[str, ...] = ()  #: the columns in which the hub counts it
    declared: tuple[str, ...] = ()  #: the manual lines that units declare for it

    @property
    def measured(self) -> Measured:
        """How it comes by its number."""
        if self.columns:
            return Measured.PARTLY if self.declared else Measured.COUNTED
        return Measured.DECLARED if self.declared else Measured.NOT_MEASURED


#: The maximum number of columns that one chart can distinguish.
MOST_SERIES = 4


class ChartKind(StrEnum):
    """What a chart shows."""

    TREND = "trend"  #: the totals of columns, period by period
    SHARE = "share"  #: for each unit, the percentage of columns in another column
    COMPARISON = "comparison"  #: the totals of columns beside those of the same period of the year before


@attrs.frozen(kw_only=True)
class Chart:
    """A chart that is drawn with the report."""

    kind: ChartKind
    title: Wording
    columns: tuple[str, ...]
    of: str | None = None  #: share: the column of the denominator


@attrs.frozen(kw_only=True)
class Check:
    """A condition that must hold in each row or, with `before`, between two periods."""

    says: Wording
    left: tuple[str, ...]  #: the columns that are added up
    right: tuple[
        str, ...
    ]  #: with `before`: columns of the period before; with `at_most` one of both sides may be empty (0)
    before: bool = False
    at_most: bool = False  #: the left side may be less than the right side

    def holds(self, left: int, right: int) -> bool:
        """Return whether the sums of both sides satisfy the check."""
        return left <= right if self.at_most else left == right

    @property
    def broken(self) -> str:
        """The sign printed between two sums that do not satisfy the check."""
        return ">" if self.at_most else "≠"


@attrs.frozen
class Sorting:
    """Rows grouped under a heading: the units of one of *levels* and of one of *kinds*; an empty list takes all. A unit of
    which the registry says neither is taken if its name begins with one of *starts*. A section with three empty lists
    takes all other units.
    """

    heading: Wording
    starts: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()  #: of `UnitLevel`
    kinds: tuple[str, ...] = ()  #: of `UnitKind`

    @property
    def takes_rest(self) -> bool:
        """Whether it takes the units that no other section takes."""
        return not (self.starts or self.levels or self.kinds)


#: The dimension of rows that stand for units.
UNIT = "unit"
#: The dimension of rows that stand for principal units and what is below them (`hub.report.counting.principals`).
PRINCIPAL = "principal"
#: The dimension of the headings over such rows: a section of the form.
SECTION = "section"
#: The dimension of rows that stand for levels of public services, and the attribute that names the procedure of a dossier.
LEVEL, PROCEDURE = "level", "procedure"
#: The dimensions that are no attributes of facts.
OF_UNITS = (UNIT, PRINCIPAL, SECTION)


@attrs.frozen(kw_only=True)
class RowPlan:
    """What the rows of a report's table stand for: dimensions, outermost first, by the place of the report's unit in the
    tree.
    """

    top: tuple[str, ...] = (UNIT,)  #: a unit with units below it and none above
    between: tuple[str, ...] = (UNIT,)  #: a unit with units below it and above
    alone: tuple[str, ...] = (UNIT,)  #: a unit with none below
    #: the milestone whose fact states the attributes of a key; "": each fact states its own
    of: str = ""
    unstated: Wording  #: the name of the row of facts that state nothing

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes by which the row of each unit is divided, outermost first. Each table divides by these or by
        the first of them.
        """
        divided = (tuple(one for one in by if one not in OF_UNITS) for by in (self.top, self.between, self.alone))
        return max(divided, key=len)

    def choose(self, *, has_below: bool, has_above: bool) -> tuple[str, ...]:
        """Return the dimensions of the rows in the report of a unit with units below it, and above it, or not."""
        if not has_below:
            return self.alone
        return self.between if has_above else self.top


@attrs.frozen(kw_only=True)
class Clock:
    """How waits are taken off the time of a unit, for columns with `clock` (standards 4.3, indicator 2.1)."""

    #: the reasons of waits that stop the clock: the day on which the wait began is compared with the due date
    stops: frozenset[str] = frozenset()
    #: by such a reason: the milestone with which a key that waits for it is late
    too_often: Mapping[str, str] = attrs.field(factory=dict)
    #: pairs of milestones: the days between them are taken off the day of an end
    pauses: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class SpikeRule:
    """Which figures of a month are told before it is closed, because they are far from the mean of the months before
    (`hub.report.counting.spikes`). No circular says so; a form says otherwise in `[spikes]`.
    """

    factor: int = 3  #: above so many times the mean,
    least: int = 100  #: and above this figure
    fraction: int = 100  #: below the mean divided by this,
    least_mean: int = 10  #: where the mean is at least this: of few, none is usual
    months: int = 12  #: the maximum number of closed months that are compared
    least_months: int = 3  #: with fewer nothing is compared


@attrs.frozen(kw_only=True)
class Form:
    """A form: what it counts, its period of validity, and its columns in order.

    A form without a service takes its numbers from other forms.
    """

    id: str
    service: str
    title: Wording
    basis: Wording  #: the legal basis, as it is printed
    counted: Wording  #: the unit of count
    columns: tuple[Column, ...]
    since: date | None = None
    until: date | None = None  #: the first day on which it is no longer in force
    by_day: bool = False  #: a fact counts on the day that its unit states, not when the hub received it
    number: str = ""  #: the official number, such as `II.06a/VPCP/KSTT`
    late: LatePolicy = LatePolicy.NEXT
    due_working_days: int | None = None  #: the report is due this many working days after its period
    first_number: int = 1  #: the number of the first column; official forms number the columns before it too
    parameters: Mapping[str, int] = attrs.field(factory=dict)
    steps: tuple[frozenset[str], ...] = ()  #: milestones that move a key forward, in order
    final: frozenset[str] = frozenset()  #: the milestones that a key never leaves
    begins: frozenset[str] = frozenset()  #: milestones that begin the work on a key
    ends: frozenset[str] = frozenset()  #: milestones that end it; the first of them counts
    #: milestones that begin a wait, and that end one: a key waits if it has more of the first than of the second
    waits: frozenset[str] = frozenset()
    resumes: frozenset[str] = frozenset()
    clock: Clock | None = None
    spikes: SpikeRule = SpikeRule()
    sections: tuple[Sorting, ...] = ()
    rows: RowPlan | None = None  #: None: the rows are units
    checks: tuple[Check, ...] = ()
    notes: tuple[Wording, ...] = ()
    manual: tuple[ManualLine, ...] = ()
    indicators: tuple[Indicator, ...] = ()
    charts: tuple[Chart, ...] = ()
    rules_used: Wording | None = None  #: the rule set that was chosen, if any
    written: str = attrs.field(default="", eq=False, repr=False)  #: the text of the form as it was read, unchanged
    #: the basis as written, with `{id}` for each text of `hub.domain.legal_texts`; None: it cites none by its id
    citing: Wording | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def cites(self) -> tuple[str, ...]:
        """The ids of the legal texts that the basis cites and that `state_basis` would state, each once."""
        return () if self.citing is None else self.citing.list_places()

    @property
    def divides_by(self) -> tuple[str, ...]:
        """The attributes of facts by which the row of each unit is divided; () if rows are units."""
        return self.rows.attributes if self.rows is not None else ()

    @property
    def called(self) -> str:
        """The title code printed above the report: the official number, else the id."""
        return self.number or self.id

    def column(self, key: str) -> Column:
        """Return the column *key*. Raises KeyError, with a list of the columns, when there is none."""
        for column in self.columns:
            if column.key == key:
                return column
        raise KeyError(
            f"no column {key}; the columns of {self.id} are: {' '.join(column.key for column in self.columns)}"
        )

    @property
    def rules(self) -> tuple[Column, ...]:
        """The rules by which its columns count facts, in the order of the columns. A column may have several."""
        return tuple(rule for column in self.columns if column.kind not in FACTLESS for rule in column.rules)

    @property
    def bases(self) -> tuple[str, ...]:
        """The forms from which it takes numbers, each once."""
        return tuple(dict.fromkeys(column.taken[0] for column in self.columns if column.taken))

    @property
    def counts_services(self) -> bool:
        """Whether its columns count public services, out of what another form counts by procedure."""
        return any(column.least is not None for column in self.columns)

    def is_in_force(self, on: date) -> bool:
        """Tell whether this version is in force on the day *on*."""
        return (self.since or date.min) <= on < (self.until or date.max)

    def parts(self, key: str) -> tuple[Column, ...]:
        """Return the rules and the taken columns from which *key* is computed, each once; its own rules if it counts
        facts itself.
        """
        column = self.column(key)
        if column.kind not in FACTLESS:
            return column.rules
        return tuple(dict.fromkeys(part for name in column.named for part in self.parts(name)))


class FormMissing(LookupError):
    """There is no such form for the period."""

    def __init__(self, form: str, period: str, known: str) -> None:
        super().__init__(form, period, known)

    @property
    def detail(self) -> str:
        """What was asked for and what there is, without words of a language; for a `Problem`."""
        form, period, known = self.args
        return f"{form} {period}: {known}"

    @property
    def said(self) -> Phrase:
        """The sentence for a reader; it names the forms that there are."""
        form, period, known = self.args
        return phrase(
            "There is no form “{form}” for {period}; there are: {known}.", form=form, period=period, known=known
        )

    def __str__(self) -> str:
        return str(self.said)


def choose_form(forms: Iterable[Form], identity: str, period: Period) -> Form:
    """Return the version of form *identity* in force on the last day of *period*, with the legal basis of that day.
    Raises FormMissing when there is none.
    """
    forms = tuple(forms)
    for form in forms:
        if form.id == identity and form.is_in_force(period.last):
            return state_basis(form, period.last)
    known = " ".join(sorted({form.id for form in forms}))
    raise FormMissing(identity, period.text, known)


def state_basis(form: Form, on: date) -> Form:
    """Return *form* with its basis stated as of the day *on*: each legal text that it cites by its id, or the one that has
    replaced it by then.

    Its text says so, in the word `texts`: a month that is closed keeps it, so that no later list of texts changes what
    was printed.
    """
    if form.citing is None:
        return form
    chosen = {cited: choose_legal_text(cited, on) for cited in form.cites}
    said = {cited: Wording(text.vi, text.en) for cited, text in chosen.items()}
    entries = ", ".join(
        f"{cited} = {{ vi = {_quote_toml_text(each.vi)}, en = {_quote_toml_text(each.en)} }}"
        for cited, each in said.items()
    )
    written = f"texts = {{ {entries} }}\n{form.written}"
    return attrs.evolve(form, basis=form.citing.fill(said), citing=None, written=written)


def _quote_toml_text(text: str) -> str:
    """Return *text* as a string of TOML."""
    return json.dumps(text, ensure_ascii=False)
