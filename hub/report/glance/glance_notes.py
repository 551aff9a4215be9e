"""Writes what stands above, beside and below the ranking in files. Knows languages and no layout."""

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase, phrases
from hub.report.glance.drawing import name_shown
from hub.report.glance.ranking import RankedUnit
from hub.report.glance.settings import Better
from hub.report.glance.view import GlanceView
from hub.report.output.spike_lines import describe_spike
from hub.report.words import write_day, write_moment, write_number

#: The headings of a table of units.
HEADINGS = (
    phrase("Place"), phrase("Agency code"), phrase("Unit"), phrase("Figure"), phrase("Part"), phrase("Whole"),
    phrase("Change"), phrase("Place before"), phrase("Target met"), phrase("Far from the others"),
)  # fmt: skip
_BETTER = {
    Better.MORE: phrase("The greatest figure is the best."),
    Better.LESS: phrase("The smallest figure is the best."),
    Better.NEITHER: phrase("The greatest figure stands first; nobody has said which is better."),
}


def write_glance_head(view: GlanceView, language: Language) -> tuple[str, str, str, str]:
    """Return the four lines above the ranking: the form, the indicator and the units, the period, how it was counted."""
    period = view.period
    days = phrase("from {first} to {last}", first=write_day(period.first), last=write_day(period.last))
    counted = (
        phrase("Closed, revision {revision}.", revision=view.revision)
        if view.complete
        else phrase("Numbers as counted at {at}.", at=write_moment(view.made_at))
    )
    return (
        view.form.title.say(language),
        f"{view.name_indicator(view.indicator, language)} – {name_shown(view, language)}",
        f"{translate(phrase('Period'), language)}: {period.name(language)} ({translate(days, language)})",
        translate(counted, language),
    )


def write_glance_notes(view: GlanceView, language: Language) -> list[str]:
    """Return the notes below the ranking: what is better, the target, how the units lie, and what was unusual."""
    ranking, found = view.ranking, [_BETTER[view.indicator.better]]
    if ranking.target is not None:
        found.append(phrase("Target: {target}.", target=write_number(ranking.target, language)))
    if ranking.spread is not None:
        low, middle, high = (
            write_number(each, language) for each in (ranking.spread.low, ranking.spread.middle, ranking.spread.high)
        )
        found.append(
            phrases(
                "Of {count} unit with a figure, half have at most {middle}; the middle half lies between {low} and {high}.",
                "Of {count} units with a figure, half have at most {middle}; the middle half lies between {low} and {high}.",
                count=ranking.spread.count,
                low=low,
                middle=middle,
                high=high,
            )
        )
    shown = {row.unit.code for row in ranking.rows}
    named = list(dict.fromkeys(spike for code in shown for spike in view.list_spikes(code)))
    named.sort(key=lambda each: (-each.distance, each.unit, each.column))
    found += [describe_spike(each, view.form, view.names.get(each.unit, each.unit), language) for each in named]
    return [translate(each, language) for each in found]


def write_notices(view: GlanceView, row: RankedUnit, language: Language) -> str:
    """Return what is to be noticed of a unit: the target, what is far from the others or unusual."""
    said = [] if row.met is None else [phrase("target met") if row.met else phrase("target missed")]
    if row.ended and row.unit.until is not None:
        said.append(phrase("ended on {day}, without a place", day=write_day(row.unit.until)))
    if row.inherited is not None:
        taken = phrase("{count} taken over from former units", count=write_number(row.inherited, language))
        apart = phrase(
            "without a place: {count} taken over from former units", count=write_number(row.inherited, language)
        )
        said.append(apart if row.heir else taken)
    said += [phrase("far from the others")] if row.far else []
    said += [phrase("unusual")] if view.list_spikes(row.unit.code) else []
    return ", ".join(translate(each, language) for each in said)
