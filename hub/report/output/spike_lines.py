"""Writes what is unusual in the figures of a month, and what to look at. Knows languages and no layout."""

from decimal import ROUND_HALF_UP, Decimal

from hub.language.languages import Language
from hub.language.phrases import Phrase, phrase
from hub.report.counting.spikes import Spike
from hub.report.form.form import Form
from hub.report.words import write_number


def round_mean(said: Spike) -> Decimal:
    """Return the mean of the months before, to two decimals, halves rounded up."""
    return (Decimal(said.total) / said.months).quantize(Decimal("0.01"), ROUND_HALF_UP)


def describe_spike(said: Spike, form: Form, name: str, language: Language) -> Phrase:
    """Return the sentence about a figure of the unit called *name*: the unit, the column, the figure, the mean, the
    months and what to look at.
    """
    heading = next((column.heading.say(language) for column in form.columns if column.key == said.column), said.column)
    named = {
        "unit": f"{name} ({said.unit})" if name != said.unit else said.unit,
        "column": heading,
        "figure": write_number(said.figure, language),
        "mean": write_number(round_mean(said), language),
        "months": said.months,
    }
    if said.rises:
        return phrase(
            "{unit}, “{column}”: {figure}; the mean of the {months} months before is {mean}. "
            "Look whether old ones were sent at once, or the same ones under new identifiers.",
            **named,
        )
    return phrase(
        "{unit}, “{column}”: {figure}; the mean of the {months} months before is {mean}. "
        "Look whether the unit's software still sends, and whether its messages are refused.",
        **named,
    )
