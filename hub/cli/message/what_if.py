"""`lienthong what-if`: what other schemas, another policy or another form would change for past messages and reports.

Sends nothing and writes nothing. Contains the options and the wording only.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click
import sqlalchemy as sa
from lxml import etree

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.message.messages import build_message_filter
from hub.cli.screen import CommandStop, Screen, exit_command, progress_bar, read_language, say, say_count, t
from hub.cli.words import say_word
from hub.config import read_config
from hub.domain.errors import ConfigurationFault
from hub.domain.local_time import find_local_day, write_local_time
from hub.domain.model import DOCUMENTS
from hub.edxml.readable import PacketFinding
from hub.intake.rejudging import rejudge_part
from hub.intake.what_if import JUDGING, RejudgedMessage, TriedRules, parse_tried_policy
from hub.journal import unit_registry
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.report.form import book
from hub.report.form.form import Form, FormMissing
from hub.report.form.period import PeriodUnreadable
from hub.report.form.toml import read_form_toml
from hub.store import transactions
from hub.units.province import Province
from hub.workload import form_trial

#: Messages judged in one transaction; the newest ones that are judged without `-n`.
_PART = 50


def show_what_if(
    screen: Screen,
    /,
    schema: Path | None,
    policy: tuple[str, ...],
    form: Path | None,
    period: str | None,
    newest: int,
    **options: Any,
) -> None:
    if form is not None:
        others = {name: value for name, value in options.items() if name != "unit"}
        if schema or policy or any(others.values()) or not period:
            raise click.UsageError(t("--form goes with --period and --unit, and with nothing else"))
        changed = _try_form(screen, form, period, options["unit"])
    else:
        if period or not (schema or policy):
            raise click.UsageError(t("say what to try: --schema, --policy, or --form with --period"))
        changed = _try_rules(screen, _read_rules(schema, policy), newest, options)
    exit_command(int(changed))


def _read_rules(schema: Path | None, policy: tuple[str, ...]) -> TriedRules:
    """Return the rules to try. Raises `UsageError` for what cannot be tried."""
    for each in policy:
        if each.partition("=")[0].strip() not in JUDGING:
            keys = ", ".join(JUDGING)
            raise click.UsageError(t("{key} judges no message; these keys do: {keys}", key=repr(each), keys=keys))
    tried, mistakes = parse_tried_policy(policy)
    for mistake in mistakes:
        raise click.UsageError(f"{mistake.path}: {say(mistake.wrong)} ({say(mistake.expected)})")
    rules = TriedRules(schemas=schema and schema.resolve(), policy=tried)
    try:
        rules.require_schemas()
    except ConfigurationFault as fault:
        wrong = say(fault.mistakes[0].wrong)
        raise click.UsageError(t("{folder}: no schemas of packets: {error}", folder=schema, error=wrong)) from fault
    except (OSError, etree.LxmlError) as error:
        raise click.UsageError(t("{folder}: no schemas of packets: {error}", folder=schema, error=error)) from error
    return rules


@attrs.define
class _RejudgedCount:
    """Counts messages while they are judged."""

    judged: int = 0
    left: int = 0  #: their bytes are not kept or too many, or their partner is not configured any more
    effects: dict[str, int] = attrs.field(factory=dict)


def _try_rules(screen: Screen, rules: TriedRules, most: int, options: dict[str, Any]) -> bool:
    """Judge past packets by *rules*, and print those for which something would change. Tell whether there is one."""
    if options["service"] not in (None, DOCUMENTS):
        raise click.UsageError(t("only packets are judged again: --service documents"))
    config, tally = read_config(screen.config), _RejudgedCount()
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            index = unit_registry.read_unit_index(tx, find_local_day(datetime.now(UTC)))
            wanted = build_message_filter(tx, {**options, "service": DOCUMENTS}, config)
            total = search.count_messages(tx, wanted, most)
        province = Province.of(config, index)
        with progress_bar(t("Judging")) as tell:
            changes = _rejudge_messages(engine, province, rules, wanted, most, tally, lambda: tell(tally.judged, total))
            rows = map(_make_row, changes)
            screen.table(_title_rejudged_columns(), rows if screen.json else map(_say_row, rows))
    _tell_tally(screen, tally)
    return bool(tally.effects)


def _rejudge_messages(
    engine: sa.Engine,
    province: Province,
    rules: TriedRules,
    wanted: MessageFilter,
    most: int,
    tally: _RejudgedCount,
    tell: Any,
) -> Iterator[RejudgedMessage]:
    """Judge the newest *most* messages that *wanted* lets through, and yield those for which something would change.

    Each part is a transaction of its own, so that a running hub can clean up behind it.
    """
    before, left = None, most
    while left > 0:
        with transactions.read_transaction(engine) as tx:
            part = rejudge_part(tx, province, rules, [wanted], before, min(left, _PART))
        tally.judged += part.judged
        tally.left += part.left
        tell()
        for each in part.changes:
            tally.effects[each.effect] = tally.effects.get(each.effect, 0) + 1
            yield each
        before, left = part.last, left - _PART
        if before is None:
            return


def _make_row(found: RejudgedMessage) -> dict[str, object]:
    problems = [PacketFinding(code=each.code, detail=each.detail, refuses=True) for each in found.problems]
    message = found.message
    return {
        "id": message.id,
        "received_at": message.received_at,
        "partner": message.partner,
        "code": message.code,
        "state": str(message.state),
        "effect": str(found.effect),
        "problems": [{"code": each.code, "line": each.line, "detail": str(each.detail)} for each in problems],
    }


def _title_rejudged_columns() -> dict[str, str]:
    return {
        "received_at": t("received"),
        "code": t("number and notation"),
        "partner": t("partner"),
        "effect": t("what would change"),
        "problem": t("reason"),
        "id": t("id"),
    }


def _say_row(row: Mapping[str, Any]) -> dict[str, object]:
    first, *others = row["problems"]
    more = f" (+{len(others)})" if others else ""
    return {
        **row,
        "received_at": write_local_time(row["received_at"]),
        "effect": say_word("effect-of-rules", row["effect"]),
        "problem": f"{first['code']}: {first['detail']}"[:160] + more,
    }


def _tell_tally(screen: Screen, tally: _RejudgedCount) -> None:
    changed = sum(tally.effects.values())
    screen.note(
        t(
            "{judged} packets judged again; something would change for {changed}. Nothing was sent or written.",
            judged=say_count(tally.judged),
            changed=say_count(changed),
        )
    )
    for effect, count in tally.effects.items():
        screen.note(f"{say_word('effect-of-rules', effect)}: {say_count(count)}")
    if tally.left:
        screen.note(t("{count} were not judged: their bytes or their partner are gone.", count=say_count(tally.left)))


def _try_form(screen: Screen, file: Path, period: str, unit: str | None) -> bool:
    """Count the report by the form in *file*, and print the cells that differ. Tell whether there is one."""
    config = read_journal_config(screen)
    tried = read_form_toml(file.read_bytes(), file.name, config.reports.countable)
    forms = book.read_book(config.reports)
    with (
        open_journal(config, counts=forms.services(tried.id)) as engine,
        transactions.read_transaction(engine) as tx,
    ):
        code = unit or config.province
        if unit_registry.resolve_unit_code(tx, code, find_local_day(datetime.now(UTC))) not in {
            each.code for each in unit_registry.list_unit_histories(tx)
        }:
            raise CommandStop(t("there is no unit {unit}", unit=code), 4)
        try:
            before, after = form_trial.count_form_trial(tx, code, period, tried, forms, datetime.now(UTC))
        except (PeriodUnreadable, FormMissing) as error:
            raise click.UsageError(say(error.said)) from None
    cells = list(form_trial.list_differing_cells(before, after))
    columns = {
        "unit": t("unit"),
        "column": t("column"),
        "before": t("in force"),
        "after": t("tried"),
    }
    rows = (attrs.asdict(each) for each in cells)
    screen.table(columns, rows if screen.json else (_say_cell(each, tried) for each in rows))
    if cells:
        screen.note(
            t("{count} cells would differ. A closed month keeps its numbers all the same.", count=say_count(len(cells)))
        )
    else:
        screen.note(t("No cell would differ."))
    return bool(cells)


def _say_cell(cell: dict[str, Any], tried: Form) -> dict[str, object]:
    heading = next((each.heading.say(read_language()) for each in tried.columns if each.key == cell["column"]), "")
    unit = f"{cell['unit']} {t('total')}" if cell["total"] else cell["unit"]
    return {**cell, "unit": unit, "column": f"{cell['column']} {heading}".rstrip()}
