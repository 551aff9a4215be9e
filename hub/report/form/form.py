"""Defines a form of report as data: its columns and how each counts. Knows the closed vocabulary of rules. Knows
neither facts nor the file format.

`hub.report.form.toml` reads a form from TOML; `hub.report.counting.counting` counts by it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum

import attrs

from hub.config.service_files import read_shipped_services
from hub.domain.legal_texts import choose_legal_text
from hub.domain.model import DOCUMENTS
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.form.period import Period
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


class LatePolicy(StrEnum):
    """What happens to a fact that is recorded after the closing of the period in which its time lies
    (`hub.report.counting.posting`).
    """

    NEXT = "next"  #: it is posted to the first period that was still open when it was recorded
    REVISION = "revision"  #: it stays in its period: that closed period and those after it get a new revision


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
