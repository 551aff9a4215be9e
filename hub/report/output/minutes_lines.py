"""Writes the minutes of corrections: of each revision that was given out after the first, who made it, when and why, who had
returned the one before, and each cell that differs. Knows languages and no layout.
"""

from collections.abc import Iterator, Mapping, Sequence

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase, phrases
from hub.report.form.form import Form
from hub.report.signed.minutes import CorrectedCell, CorrectionMinutes
from hub.report.words import NONE, name_column, write_moment, write_number

#: The heading over the lines.
HEADING = phrase("Minutes of corrections")


def write_minutes(
    form: Form, minutes: Sequence[CorrectionMinutes], names: Mapping[str, str], language: Language
) -> tuple[str, ...]:
    """Return one line for each of *minutes*, the newest first. *names*: the names of units, by code."""
    return tuple(
        ". ".join(translate(part, language) for part in _write_minutes(form, each, names, language))
        for each in minutes[::-1]
    )


def _write_minutes(
    form: Form, minutes: CorrectionMinutes, names: Mapping[str, str], language: Language
) -> Iterator[Phrase | str]:
    yield phrase(
        "Revision {revision} of {time}, made by {person}",
        revision=minutes.revision,
        time=write_moment(minutes.at),
        person=minutes.by or NONE,
    )
    for each in minutes.returned:
        yield phrase(
            "Returned by {partner} at {time}: {reasons}",
            partner=each.partner,
            time=write_moment(each.at),
            reasons="; ".join(each.reasons) or NONE,
        )
    yield phrase("Reason: {reason}", reason=minutes.reason or NONE)
    if not minutes.cells:
        yield phrase("The numbers are the same as before")
        return
    cells = "; ".join(_write_cell(form, each, names, language) for each in minutes.cells)
    more = phrases("and {count} more cell", "and {count} more cells", count=minutes.more)
    yield f"{cells}; {translate(more, language)}" if minutes.more else cells


def _write_cell(form: Form, cell: CorrectedCell, names: Mapping[str, str], language: Language) -> str:
    places = {column.key: place for place, column in enumerate(form.columns, form.first_number)}
    heading = f"({places[cell.column]}) {name_column(form.column(cell.column), language)}"
    of = names.get(cell.unit, cell.unit) if cell.unit else translate(phrase("total"), language)
    return f"{of}, {heading}: {write_number(cell.was, language)} → {write_number(cell.now, language)}"
