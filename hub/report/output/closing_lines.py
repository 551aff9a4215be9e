"""Writes what a report says of the closings behind it: that it is a revision, what each revision changed and why, how
many facts came after a closing, and what may be missing; and that nothing happened. Knows languages and no layout.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from hub.domain.local_time import HANOI
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase, phrases
from hub.report.counting.counting import Report
from hub.report.counting.deriving import Number
from hub.report.counting.marks import (
    ChangedCell,
    ClosingMarks,
    LateFacts,
    RowRevision,
    Silence,
    SilenceKind,
    TamperedPart,
    Tampering,
    read_own_reason,
)
from hub.report.form.period import parse_period
from hub.report.words import NONE, write_moment, write_number

#: The heading over the lines.
HEADING = phrase("Changes after the closing")
_NOTHING = phrase("Nothing happened: in the whole period the hub has no result of this unit to count.")
#: The maximum number of partners that a report names as silent. It always says how many there are.
MOST_NAMED = 10


@attrs.frozen
class ClosingLines:
    """What a report says of the closings behind it, in one language."""

    unready: tuple[str, ...] = ()  #: stand at the top: that the report is not ready, and why; empty if it is
    tampered: tuple[str, ...] = ()  #: stand above all: what of it somebody edited in the database
    nothing: str = ""  #: stands at the top: that nothing happened; "" if something did
    banner: str = ""  #: stands at the top; "" if the report is no revision
    revised: tuple[str, ...] = ()  #: one line for each revision of a row, the newest first
    late: tuple[str, ...] = ()  #: how many facts came after a closing, and where they count

    @property
    def top(self) -> tuple[str, ...]:
        """All lines above the table."""
        return tuple(line for line in (*self.tampered, *self.unready, self.nothing, self.banner) if line)

    @property
    def all(self) -> tuple[str, ...]:
        """All lines below the table."""
        return self.revised + self.late


def write_closing_lines(report: Report, names: Mapping[str, str], language: Language) -> ClosingLines:
    """Return what *report* says of the closings behind it. *names*: the names of units, by code."""
    marks = report.marks
    revised = [_write_revision(report, each, names, language) for each in marks.revised]
    if marks.left_out:
        earlier = phrases(
            "{count} earlier revision is not listed here", "{count} earlier revisions are not listed here",
            count=marks.left_out,
        )  # fmt: skip
        revised.append(translate(earlier, language))
    return ClosingLines(
        tampered=tuple(list_tampering(marks.tampered, names, language)),
        unready=tuple(translate(each, language) for each in list_unready(marks.silences)),
        nothing=translate(_NOTHING, language) if is_empty(report) else "",
        banner=_write_banner(marks, language),
        revised=tuple(revised),
        late=tuple(_write_late(report, language)),
    )


def list_tampering(tampered: Sequence[Tampering], names: Mapping[str, str], language: Language) -> Iterator[str]:
    """Yield that somebody edited what stands behind a report, and which cells: `MOST_NAMED` findings at most."""
    if not tampered:
        return
    edited = any(each.part is not TamperedPart.FACT for each in tampered)
    yield translate(
        phrase(
            "EDITED IN THE DATABASE: what is marked below is not what the hub closed. The report is not given out. "
            "`lienthong report close` restores it."
        )
        if edited
        else phrase(
            "EDITED IN THE DATABASE: facts below are not as they were recorded. `lienthong db verify --facts` names them."
        ),
        language,
    )
    for each in tampered[:MOST_NAMED]:
        said = {"form": each.form, "month": each.period, "unit": names.get(each.unit, each.unit), "code": each.unit}
        match each.part:
            case TamperedPart.ROW if each.cells:
                for cell in each.cells:
                    yield translate(
                        phrase(
                            "{unit} ({code}), {month}: {column}: closed as {was}, found {now}",
                            **said,
                            column=cell.heading.say(language),
                            was=write_changed_value(cell.was, language),
                            now=write_changed_value(cell.now, language),
                        ),
                        language,
                    )
            case TamperedPart.ROW:
                yield translate(phrase("{unit} ({code}), {month}: the row is not as it was closed", **said), language)
            case TamperedPart.FACT:
                yield translate(
                    phrase("{unit} ({code}): a fact is not as its event recorded it: {key}", **said, key=each.key),
                    language,
                )
            case TamperedPart.CLOSING:
                yield translate(phrase("{month}: the closing of {form} is not as it was made", **said), language)
            case TamperedPart.WORLD:
                yield translate(
                    phrase("{month}: the units, due days or forms that it kept were edited", **said), language
                )
            case TamperedPart.ATTESTATION:
                yield translate(phrase("What attests the closed months is incomplete"), language)
    if len(tampered) > MOST_NAMED:
        yield translate(phrase("And {count} more", count=len(tampered) - MOST_NAMED), language)


def is_empty(report: Report) -> bool:
    """Return whether the period of *report* is over and nothing of its units was counted in it."""
    return report.ended and not any(report.total.numbers.values()) and not any(report.total.times.values())


def list_unready(silences: Sequence[Silence]) -> Iterator[Phrase]:
    """Yield that a report with these *silences* is not ready, and why: at most `MOST_NAMED` reasons, then their number."""
    if silences:
        yield phrase("NOT READY: results of this period may be missing. What is missing counts in a later month.")
    for each in silences[:MOST_NAMED]:
        if each.since is None:
            yield phrase(
                "{month}: the messages of {partner} were not collected", month=each.period, partner=each.partner
            )
            continue
        named = {"month": each.period, "partner": each.partner, "time": write_moment(each.since)}
        if each.kind is SilenceKind.UNREAD:
            yield phrase("{month}: the messages of {partner} were not collected since {time}", **named)
        else:
            yield phrase("{month}: {partner}, which tells on most days, was not heard since {time}", **named)
    if len(silences) > MOST_NAMED:
        rest = len(silences) - MOST_NAMED
        yield phrases("And {count} more partner", "And {count} more partners", count=rest)


def _write_banner(marks: ClosingMarks, language: Language) -> str:
    if marks.revision == 1 or marks.closed_at is None:
        return ""
    said = phrase(
        "Revision {revision} of a closed report: its rows were counted again after the closing. "
        "What changed and why is said below the table. It replaces revision {before}, made at {time}.",
        revision=marks.revision,
        before=marks.revision - 1,
        time=write_moment(find_time_before(marks)),
    )
    return translate(said, language)


def find_time_before(marks: ClosingMarks) -> datetime:
    """Return when the revision before that of *marks* was made. A report of several months was made with its last."""
    assert marks.closed_at is not None
    return max([marks.closed_at, *(each.made_at for each in marks.revised[1:2])])


def _write_revision(report: Report, row: RowRevision, names: Mapping[str, str], language: Language) -> str:
    head = phrase(
        "{unit} ({code}), {month}: revision {revision} of {time}, made by {person}",
        unit=names.get(row.unit, row.unit),
        code=row.unit,
        month=parse_period(row.period).name(language),
        revision=row.revision,
        time=write_moment(row.made_at),
        person=row.by or NONE,
    )
    parts = [translate(head, language), _write_cells(report, row, language)]
    reason = translate(read_own_reason(row.reason), language)
    parts.append(translate(phrase("Reason: {reason}", reason=reason or NONE), language))
    parts += (translate(each, language) for each in _name_messages(row))
    return ". ".join(parts)


def _write_cells(report: Report, row: RowRevision, language: Language) -> str:
    if not row.cells:
        return translate(phrase("The numbers are the same; other facts are behind them"), language)
    places = {column.key: place for place, column in enumerate(report.form.columns, report.form.first_number)}
    return "; ".join(
        f"({places[each.column]}) {each.heading.say(language)}: "
        f"{write_changed_value(each.was, language)} → {write_changed_value(each.now, language)}"
        for each in row.cells
        if each.column in places
    )


def write_changed_value(value: Number | datetime, language: Language) -> str:
    """Return a cell of a changed row as readers see it."""
    return write_moment(value) if isinstance(value, datetime) else write_number(value, language)


def _name_messages(row: RowRevision) -> Iterator[Phrase]:
    for each in row.late.named:
        yield phrases(
            "Message {message} from {partner}, received at {time}: {count} fact",
            "Message {message} from {partner}, received at {time}: {count} facts",
            count=each.facts,
            message=each.id,
            partner=each.partner,
            time=f"{each.at.astimezone(HANOI):%d/%m/%Y %H:%M:%S}",
        )
    if row.late.more:
        yield phrases("And {count} more message", "And {count} more messages", count=row.late.more)


def _write_late(report: Report, language: Language) -> Iterator[str]:
    for each in report.marks.late:
        yield translate(_describe_late(each, here=report.period.text == each.counted_in, language=language), language)


def _describe_late(late: LateFacts, *, here: bool, language: Language) -> Phrase:
    said: dict[str, Any] = {
        "count": late.facts,
        "month": parse_period(late.period).name(language),
        "later": parse_period(late.counted_in).name(language),
        "form": late.form,
    }
    if here:
        return phrases(
            "{count} fact of {month} came after its closing and is counted here ({form})",
            "{count} facts of {month} came after its closing and are counted here ({form})",
            **said,
        )
    return phrases(
        "{count} fact of {month} came after its closing and counts in {later} ({form})",
        "{count} facts of {month} came after its closing and count in {later} ({form})",
        **said,
    )


def describe_marks(marks: ClosingMarks) -> dict[str, Any] | None:
    """Return the marks as values of JSON; None if nothing is closed. Times are ISO 8601 in UTC."""
    late = [attrs.asdict(each) for each in marks.late]
    if marks.closed_at is None and not late:
        return None
    return {
        "closed_at": None if marks.closed_at is None else marks.closed_at.isoformat(),
        "revision": marks.revision,
        "before": marks.revision - 1 or None,
        "revised": [describe_revision(each) for each in marks.revised],
        "left_out": marks.left_out,
        "late": late,
        "silences": [describe_silence(each) for each in marks.silences],
        "tampered": [describe_tampering(each) for each in marks.tampered],
    }


def describe_tampering(found: Tampering) -> dict[str, Any]:
    """Return a finding as values of JSON. In its cells `was` is what was closed, and `now` what stands there."""
    said = {"form": found.form, "period": found.period, "part": found.part.value, "unit": found.unit}
    return said | {"key": found.key, "cells": [_describe_cell(each) for each in found.cells]}


def describe_silence(silence: Silence) -> dict[str, Any]:
    """Return a silence as values of JSON."""
    return attrs.asdict(silence) | {
        "kind": silence.kind.value,
        "since": None if silence.since is None else silence.since.isoformat(),
    }


def describe_revision(row: RowRevision) -> dict[str, Any]:
    """Return a revision of a row as values of JSON."""
    return {
        "form": row.form,
        "period": row.period,
        "unit": row.unit,
        "revision": row.revision,
        "made_at": row.made_at.isoformat(),
        "by": row.by,
        "reason": row.reason,
        "cells": [_describe_cell(each) for each in row.cells],
        "messages": [{**attrs.asdict(each), "at": each.at.isoformat()} for each in row.late.named],
        "more_messages": row.late.more,
    }


def _describe_cell(cell: ChangedCell) -> dict[str, Any]:
    was, now = (_write_plain(each) for each in (cell.was, cell.now))
    return {"column": cell.column, **attrs.asdict(cell.heading), "was": was, "now": now}


def _write_plain(value: Number | datetime) -> int | float | str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, int) else float(value)
