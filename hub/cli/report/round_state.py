"""`lienthong report round`: how the reports of all units stand. Also the options by which commands for many units choose
them.

Contains the dialogue only. `hub.workload.many.report_round` reads the states.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from hub.cli.journal import open_journal, read_view_config
from hub.cli.report.commands import DECLARED_STATES, ROUND_STEPS
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, say, say_count, t
from hub.cli.words import say_filter_word, say_word
from hub.domain.model import UnitKind, UnitLevel
from hub.journal import unit_registry
from hub.report.form import book
from hub.report.form.book import Book
from hub.report.form.form import FormMissing
from hub.report.form.period import PeriodUnreadable
from hub.store import transactions
from hub.store.transactions import Transaction
from hub.workload.many import report_round
from hub.workload.many.report_round import ReportRound, RoundFilter, UnitStanding


def read_chosen_round(
    tx: Transaction, book: Book, form: str, period: str, now: datetime, chosen: dict[str, Any]
) -> ReportRound:
    """Return the round with the units that the options *chosen* (`UNIT_OPTIONS`) name.

    Raises `UsageError` for an unknown form, period, level or kind, `CommandStop` 4 for an unknown unit.
    """
    try:
        found = report_round.read_report_round(tx, book, form, period, now)
    except (PeriodUnreadable, FormMissing) as error:
        raise click.UsageError(say(error.said)) from None
    return _make_filter(tx, found, chosen).choose(found)


def _make_filter(tx: Transaction, found: ReportRound, chosen: dict[str, Any]) -> RoundFilter:
    for option, known in (("levels", UnitLevel), ("kinds", UnitKind)):
        for word in set(chosen[option]) - {str(each) for each in known}:
            words = ", ".join(str(each) for each in known if each)
            raise click.UsageError(t("{word} is none of {words}", word=word, words=words))
    codes = {each.unit.code for each in found.units}
    named = {unit: unit_registry.resolve_unit_code(tx, unit, found.period.last) for unit in chosen["units"]}
    if chosen["below"]:
        named[chosen["below"]] = unit_registry.resolve_unit_code(tx, chosen["below"], found.period.last)
    for unit, code in named.items():
        if code not in codes:
            raise CommandStop(t("there is no unit {unit}", unit=unit), NOT_FOUND)
    return RoundFilter(
        units=frozenset(named[unit] for unit in chosen["units"]),
        below=named.get(chosen["below"], ""),
        **{name: frozenset(chosen[name]) for name in ("levels", "kinds", "steps", "declared")},
    )


def show_round(screen: Screen, /, form: str, period: str, **chosen: Any) -> None:
    config, now = read_view_config(screen, "reports", "services", "officials"), datetime.now(UTC)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        found = read_chosen_round(tx, book.read_book(config.reports), form, period, now, chosen)
    if screen.json:
        for each in found.units:
            screen.row(describe_standing(found, each), "")
        return
    titles = {
        "unit": t("unit"),
        "name": t("name"),
        "state": t("state"),
        "since": t("since"),
        "revision": t("revision"),
        "declared": t("declaration"),
        "differing": t("cells that differ"),
        "who": t("signed by, submitted to"),
    }
    if not screen.table(titles, map(_say_standing, found.units)):
        screen.note(t("No unit is chosen."))
    for line in say_round_counts(found):
        screen.note(line)


def describe_standing(found: ReportRound, standing: UnitStanding) -> dict[str, object]:
    """Return how the report of a unit stands as JSON has it, also in the API."""
    newest = standing.revision
    return {
        "form": found.form.id,
        "period": found.period.text,
        "unit": standing.unit.code,
        "name": standing.unit.name,
        "parent": standing.unit.parent,
        "level": standing.unit.level or None,
        "kind": standing.unit.kind or None,
        "state": str(standing.step),
        "since": standing.since,
        "revision": None if newest is None else newest.revision,
        "signed_by": None if newest is None or newest.signing is None else newest.signing.official,
        "partners": [] if newest is None else [each.partner for each in newest.handed_in],
        "reasons": [] if newest is None else [reason for each in newest.verdicts for reason in each.reasons],
        "declaration": str(standing.declared),
        "declared_at": standing.declared_at,
        "differing": standing.differing,
        "due": None if found.due is None else found.due.day.isoformat(),
        "days_left": found.days_left,
    }


def _say_standing(standing: UnitStanding) -> dict[str, object]:
    newest = standing.revision
    who = [] if newest is None or newest.signing is None else [newest.signing.official]
    who += [] if newest is None else [f"→ {each.partner}" for each in newest.handed_in]
    return {
        "unit": standing.unit.code,
        "name": standing.unit.name,
        "state": say_word("reports", standing.step),
        "since": standing.since,
        "revision": None if newest is None else newest.revision,
        "declared": say_word("declaration", standing.declared),
        "differing": standing.differing or None,
        "who": ", ".join(who),
    }


def say_round_counts(found: ReportRound) -> Iterator[str]:
    """Yield lines that say how many units are in each state, and how much time is left."""
    counts = found.count_steps()
    steps = [
        f"{say_filter_word('reports', word)}: {say_count(counts[word])}" for word in ROUND_STEPS if counts.get(word)
    ]
    yield t("Units: {count}; {steps}", count=say_count(len(found.units)), steps="; ".join(steps) or "–")
    told = found.count_declarations()
    yield "; ".join(
        f"{say_filter_word('declaration', word)}: {say_count(told[word])}" for word in DECLARED_STATES if told.get(word)
    )
    if found.open_month and found.ended:
        yield t("{unclosed} is not closed; lienthong report close {unclosed} closes it", unclosed=found.open_month)
    if found.due is None or found.days_left is None:
        return
    day = f"{found.due.day:%d/%m/%Y}"
    if found.days_left >= 0:
        yield t("Due on {day}; days left: {days}.", day=day, days=say_count(found.days_left))
    else:
        yield t("Was due on {day}; days late: {days}.", day=day, days=say_count(-found.days_left))
