"""Says why a message was refused, and which cells of reports its facts count in."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby

import attrs

from hub.domain.errors import find_error_sentence
from hub.domain.model import Detail, ElementPlace, Fact, Problem
from hub.language.phrases import Phrase, SaidText
from hub.report.counting.column_rules import list_flow_columns
from hub.report.form.book import Book
from hub.report.form.column import Column
from hub.report.form.form import Form
from hub.report.form.period import find_month_containing

#: Cells of reports that are named for one fact.
CELLS = 8


#: Findings that are shown in a packet.
FINDINGS = 200


@attrs.frozen(kw_only=True)
class ReportCell:
    """A cell of a monthly report in which a fact is counted."""

    form: Form
    column: Column
    period: str
    unit: str


#: Mistakes of one refusal that are shown at once; the others are folded.
UNFOLDED = 20


@attrs.frozen(kw_only=True)
class ShownReason:
    """One reason of a refusal."""

    code: str
    sentence: Phrase | None  #: what the caller was told; None: the code is not known any more
    detail: Detail
    place: ElementPlace | None  #: None: the detail says it, if there is one

    @property
    def wrong(self) -> Detail:
        """What is wrong at the place: the detail without what names the place."""
        if self.place is None or not isinstance(self.detail, SaidText):
            return self.detail
        said = (each.partition(": ")[2] for each in (self.detail.english, self.detail.vietnamese))
        return SaidText(*said)


@attrs.frozen(kw_only=True)
class ReasonGroup:
    """Reasons that stand together and have one code."""

    code: str
    sentence: Phrase | None
    mistakes: Sequence[ShownReason]  #: those with a place, in a table
    folded: Sequence[ShownReason]  #: those of them that are shown on demand
    others: Sequence[ShownReason]


def list_reasons(problems: Iterable[Problem]) -> list[ShownReason]:
    """Return the reasons of a refusal with the sentence of each that the caller got."""
    return [
        ShownReason(code=each.code, sentence=_find_sentence(each.code), detail=each.detail, place=each.place)
        for each in problems
    ]


def group_reasons(problems: Iterable[Problem]) -> list[ReasonGroup]:
    """Return the reasons of a refusal, those that follow one another and have one code together."""
    found = []
    for code, reasons in groupby(list_reasons(problems), lambda each: each.code):
        some = list(reasons)
        placed = [each for each in some if each.place is not None]
        found.append(
            ReasonGroup(
                code=code,
                sentence=some[0].sentence,
                mistakes=placed[:UNFOLDED],
                folded=placed[UNFOLDED:],
                others=[each for each in some if each.place is None and each.detail],
            )
        )
    return found


def _find_sentence(code: str) -> Phrase | None:
    try:
        return find_error_sentence(code)
    except KeyError:
        return None


def list_cells(event: Mapping[str, object], book: Book, seen: frozenset[str] | None) -> list[ReportCell]:
    """Return the cells of monthly reports that count the fact of *event*, if its unit is *seen* (None: all are).

    They are those of columns that count the facts of a period.
    A fact that was recorded after its month was closed may stand in the next one.
    """
    fact = read_told_fact(event)
    if fact is None or (seen is not None and fact.unit not in seen):
        return []
    found = []
    for form in book.forms:
        if form.service != fact.service:
            continue
        month = find_month_containing(fact.at, book.cuts)
        if not ((form.since is None or form.since <= month.last) and (form.until is None or month.last < form.until)):
            continue
        found += [
            ReportCell(form=form, column=column, period=month.text, unit=fact.unit)
            for column in list_flow_columns(form, fact)
        ]
    return found[:CELLS]


def read_told_fact(event: Mapping[str, object]) -> Fact | None:
    """Return the fact that the event `fact-recorded` states; None if it is not one."""
    said = {name: event[name] for name in ("unit", "service", "key", "milestone") if isinstance(event.get(name), str)}
    attributes = event.get("attributes") or {}
    if len(said) < 4 or not isinstance(attributes, Mapping):
        return None
    return Fact(
        **said,  # type: ignore[arg-type]
        at=datetime.fromisoformat(str(event["at"])),
        message=str(event.get("message") or ""),
        counterpart=str(event.get("counterpart") or ""),
        outside=bool(event.get("outside")),
        document_type=str(event.get("document_type") or ""),
        paper=bool(event.get("paper")),
        signature=str(event.get("signature") or "unsigned"),
        attributes=tuple(sorted((str(key), str(value)) for key, value in attributes.items())),
    )
