"""Reads all forms of a province: the shipped ones, those of adapters, its own. Knows which replaces which."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType

from hub.domain.errors import ConfigurationFault, Mistake
from hub.language.phrases import phrase
from hub.report.form.form import PROCEDURE, Form
from hub.report.form.toml import choose_rule_set, read_form_toml
from hub.report.form.toml_table import one_of
from hub.services import CountableFacts, list_adapter_services

FOLDER = Path(__file__).parents[1] / "forms"


def _list_unknown_rule_sets(rule_sets: Mapping[str, str], found: Sequence[Form]) -> list[Mistake]:
    """Return a mistake for each rule set of a form that is not *found*."""
    known = sorted({form.id for form in found})
    return [
        Mistake(f"reports.rule_sets.{one}", phrase("is not a form"), one_of(known))
        for one in sorted(rule_sets.keys() - set(known))
    ]


def read_form_folder(
    folder: Path = FOLDER,
    own: Path | None = None,
    rule_sets: Mapping[str, str] = MappingProxyType({}),
    countable: tuple[CountableFacts, ...] = (),
) -> tuple[Form, ...]:
    """Return the forms of *folder* (one per file), of the services in adapters' folders, and of the province's folder
    *own*.

    A form of *own* replaces a shipped form with the same id whose dates overlap. *rule_sets*: the rule set to use, by
    form id. *countable*: the facts of the services that the province defines. Raises ConfigurationFault with the mistakes
    of all forms; OSError if a file is unreadable.
    """
    found: list[Form] = []
    mistakes: list[Mistake] = []
    places = (folder, *(place / "forms" for _, place in list_adapter_services()))
    shipped = [(path, False) for place in places for path in sorted(place.glob("*.toml"))]
    added = [(path, True) for path in (sorted(own.glob("*.toml")) if own else ())]
    mine: list[Form] = []
    for path, is_own in added + shipped:
        try:
            form = read_form_toml(path.read_bytes(), path.name, countable)
            if form.id in rule_sets:
                form = read_form_toml(choose_rule_set(form.written, rule_sets[form.id]).encode(), path.name, countable)
        except ConfigurationFault as fault:
            mistakes += fault.mistakes
            continue
        if not is_own and any(form.id == other.id and overlap_forms(form, other) for other in mine):
            continue
        if any(form.id == other.id and overlap_forms(form, other) for other in found):
            mistakes.append(
                Mistake(
                    f"{path.name}: since",
                    phrase("another version of {id_} is in force on the same days", id_=form.id),
                    phrase("dates that do not overlap"),
                )
            )
        found.append(form)
        if is_own:
            mine.append(form)
    if not mistakes:
        mistakes += _list_unknown_rule_sets(rule_sets, found)
    if mistakes:
        raise ConfigurationFault(mistakes)
    mistakes = [mistake for form in found for mistake in _check_takings(form, found)]
    if mistakes:
        raise ConfigurationFault(mistakes)
    return tuple(found)


def _check_takings(form: Form, others: Sequence[Form]) -> Iterator[Mistake]:
    """Yield a mistake for each column that *form* takes from another form and that some version of it, in force at the
    same time, does not have.
    """
    for column in form.columns:
        if column.taken is None:
            continue
        if (column.least is None) is form.counts_services:
            place = f"{form.id}: column {column.key}: least"
            yield Mistake(
                place, phrase("is missing"), phrase("0 or 1: a form counts services in all columns that it takes")
            )
        base, key = column.taken
        versions = [other for other in others if other.id == base and overlap_forms(form, other)]
        place = f"{form.id}: column {column.key}"
        if not versions or any(other.bases for other in versions):
            known = " ".join(sorted({other.id for other in others if not other.bases}))
            yield Mistake(
                f"{place}: form",
                phrase("is {base}", base=repr(base)),
                phrase("a form that counts and is in force on the same days: {known}", known=known),
            )
        elif column.least is not None and not all(map(_divides_by_procedure, versions)):
            yield Mistake(
                f"{place}: form",
                phrase("is {base}", base=repr(base)),
                phrase("a form that divides its rows by procedure"),
            )
        elif not all(key in {each.key for each in other.columns if each.is_whole} for other in versions):
            fit = " ".join(sorted({each.key for other in versions for each in other.columns if each.is_whole}))
            yield Mistake(
                f"{place}: column",
                phrase("is {key}", key=repr(key)),
                phrase("a column of {base} that is a whole number: {fit}", base=base, fit=fit),
            )


def _divides_by_procedure(form: Form) -> bool:
    return PROCEDURE in form.divides_by


def overlap_forms(one: Form, other: Form) -> bool:
    """Tell whether both forms are in force on a common day."""
    return (one.since or date.min) < (other.until or date.max) and (other.since or date.min) < (one.until or date.max)
