"""`lienthong report close` and `lienthong report periods`: closes periods, and lists the closed ones.

Contains the dialogue only. `hub.workload.closing` does the work.
"""

import getpass
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import click
import sqlalchemy as sa

from hub.cli.journal import make_outstanding_error, open_journal, read_journal_config, read_view_config, wait_for_facts
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, read_language, say, say_count, t
from hub.config import Config
from hub.domain import local_time
from hub.domain.ids import make_id
from hub.domain.local_time import HANOI
from hub.journal import facts, unit_registry
from hub.keeping import document_moves, dossier_moves, mail_moves
from hub.language.phrases import phrase
from hub.monitoring import link_days
from hub.report.counting.marks import MOST_REVISIONS, Silence
from hub.report.form import book
from hub.report.form.book import Book
from hub.report.form.form import Form
from hub.report.form.period import Period, PeriodUnreadable, parse_period
from hub.report.output.closing_lines import describe_revision, list_tampering, list_unready
from hub.report.output.spike_lines import describe_spike, round_mean
from hub.services.links import NAME
from hub.store import transactions
from hub.units.province import Province
from hub.workload import attestations, closing, closing_marks, closing_plan, row_revisions
from hub.workload.closing import ClosingStep, MonthClosed, MonthDraft
from hub.workload.closing_plan import Closing, ClosingPlan, list_counting_forms
from hub.workload.spikes import FoundSpikes

_MONTH_STATES = {"closed": phrase("month closed"), "open": phrase("month open")}


def close_period(screen: Screen, period: str, form: str | None, reason: str, *, planned: bool) -> None:
    try:
        months = parse_period(period).months
    except PeriodUnreadable as error:
        raise click.UsageError(say(error.said)) from None
    config = read_journal_config(screen)
    known = book.read_book(config.reports)
    with open_journal(config, counts=known.services(form) if form else None) as engine:
        with transactions.read_transaction(engine) as tx:
            cuts = closing_plan.keep_closed_workdays(tx, known).cuts
            for text in months:
                _tell_silences(screen, closing_plan.list_silences(tx, known, parse_period(text, cuts)))
        for name in _choose_forms(form, known.forms):
            for month in (parse_period(text, cuts) for text in months):
                try:
                    if planned:
                        _plan_closing(screen, engine, known, name, month)
                        continue
                    _close_month(screen, engine, config, known, name, month, reason.strip())
                except closing_plan.TooEarly as early:
                    at = early.args[0].astimezone(HANOI).strftime("%d/%m/%Y %H:%M")
                    raise CommandStop(
                        t("{text} has not ended: it can be closed from {at}", text=month.text, at=at),
                    ) from None
                except closing_plan.LinkDaysOutstanding:
                    raise CommandStop(
                        t(
                            "{text}: the nodes are still storing what they saw of the links on its last day; close it "
                            "ten minutes after midnight",
                            text=month.text,
                        ),
                    ) from None
                except closing_plan.FactsOutstanding as early:
                    raise make_outstanding_error(early.args[0]) from None
                except row_revisions.FactsForged as forged:
                    _, period, unit, found = forged.args
                    raise CommandStop(
                        t(
                            "{form} {period} {unit}: {count} facts are not as their events recorded them, such as {key}: the "
                            "closed figures stay. See lienthong db verify --facts",
                            form=name,
                            period=period,
                            unit=unit,
                            count=say_count(len(found)),
                            key=found[0].key,
                        ),
                    ) from None
                except closing_plan.OutOfTurn as turn:
                    _explain_closing(screen, name, month, turn.args[0], only=form is not None)


def _tell_silences(screen: Screen, silent: Sequence[Silence]) -> None:
    """Tell of which partners messages may be missing, before the month is closed."""
    for line in list_unready(silent):
        screen.note(say(line))


def _explain_closing(screen: Screen, form: str, month: Period, first: Period | None, *, only: bool) -> None:
    if first is None:
        said = t("{form}: there is nothing to close yet", form=form)
    elif first.first > month.first:
        said = t(
            "{form}: the first period is {first}; there is no {month}", form=form, first=first.text, month=month.text
        )
    else:
        raise CommandStop(
            t("{form}: close {text} first: lienthong report close {text} --form {form}", form=form, text=first.text),
        )
    if only:
        raise CommandStop(said, NOT_FOUND)
    screen.note(said)


def _write_link_days(engine: sa.Engine, config: Config, month: Period) -> None:
    """Write the messages of the link days of *month* that are not written yet, whichever node stored them, and wait for
    their facts. Raises `CommandStop`.
    """
    with transactions.read_transaction(engine) as tx:
        if not closing_plan.has_unwritten_link_days(tx, month):
            return
    now = datetime.now(UTC)
    with transactions.write_transaction(engine) as tx:
        province = Province.of(config, unit_registry.read_unit_index(tx, local_time.find_local_day(now)))
        link_days.write_link_days(tx, province, now)
    wait_for_facts(engine, [NAME])


def _plan_closing(screen: Screen, engine: sa.Engine, known: Book, form: str, month: Period) -> None:
    """Tell what is unusual in *month*, counted as it would be closed now. Writes nothing."""
    with transactions.read_transaction(engine) as tx:
        if any(each.period.text == month.text for each in closing_plan.read_closings(tx, form)):
            screen.note(t("{form} {period}: is closed already", form=form, period=month.text))
            return
        plan = closing_plan.plan_closing(tx, known, form, month, datetime.now(UTC))
    steps, found = closing.close_in_steps(plan, lambda: datetime.now(UTC), getpass.getuser(), None), None
    step = steps.send(None)
    while step.run is not closing.settle_closing:
        if not step.writes:
            with transactions.read_transaction(engine) as tx:
                found = step.run(tx, *step.arguments)
        step = steps.send(found)
    draft = step.arguments[0]
    _tell_spikes(screen, engine, draft)
    many = draft.spikes.count
    said = t(
        "{form} {period}: would be closed; {units} units, {unusual} unusual figures",
        form=form,
        period=month.text,
        units=say_count(len(draft.rows)),
        unusual=say_count(many),
    )
    row = {"form": form, "period": month.text, "state": "open", "units": len(draft.rows)}
    screen.row({**row, **_list_spikes(draft.spikes)}, said)


def _tell_spikes(screen: Screen, engine: sa.Engine, draft: MonthDraft) -> None:
    """Tell which figures of *draft* are unusual, before it is closed."""
    found, period, form = draft.spikes, draft.plan.period, draft.plan.form
    if not found.count:
        return
    with transactions.read_transaction(engine) as tx:
        names = {unit.code: unit.name for unit in unit_registry.list_registry_units(tx, period.last)}
    for each in found.named:
        said = say(describe_spike(each, form, names.get(each.unit, each.unit), read_language()))
        screen.note(f"{form.id} {period.text}: {said}")
    if found.left_out:
        screen.note(
            t(
                "{form} {period}: {count} more figures are unusual, and nearer to their mean",
                form=form.id,
                period=period.text,
                count=say_count(found.left_out),
            )
        )


def _list_spikes(found: FoundSpikes) -> dict[str, object]:
    """Return the fields of a row that say what is unusual."""
    figures = [
        {
            "unit": each.unit,
            "column": each.column,
            "figure": each.figure,
            "mean": float(round_mean(each)),
            "months": each.months,
        }
        for each in found.named
    ]
    return {"unusual": found.count, "figures": figures}


def _close_month(
    screen: Screen, engine: sa.Engine, config: Config, known: Book, form: str, month: Period, reason: str
) -> None:
    by, now = getpass.getuser(), datetime.now(UTC)
    with transactions.read_transaction(engine) as tx:
        made = next((each for each in closing_plan.read_closings(tx, form) if each.period.text == month.text), None)
    if made is None:
        dossier_moves.move_all_dossiers(engine, now)
        now = datetime.now(UTC)  # what is recorded at the time of the closing is late
        document_moves.move_all_documents(engine, now)
        with transactions.write_transaction(engine) as tx:
            facts.record_facts(tx, mail_moves.list_account_moves(tx, now))
        _write_link_days(engine, config, month)
        now = datetime.now(UTC)  # after what was written and moved just now
        with transactions.write_transaction(engine) as tx:
            plan = closing.begin_closing(tx, known, form, month, now, make_id(now), takes_over=True)
        assert plan is not None
        steps = closing.close_in_steps(plan, lambda: datetime.now(UTC), by, config.identity)
        done = _take_steps(engine, plan, steps, lambda draft: _tell_spikes(screen, engine, draft))
        said = t("closed")
        _say_closing(screen, form, done.closing, said, units=done.units, fresh=True, revised=0, found=done.spikes)
        return
    _restore_closing(screen, engine, known, form, made, by)
    with transactions.read_transaction(engine) as tx:
        units = list(row_revisions.find_differing_units(tx, form, month.text))
    revised = 0
    for unit in units:
        with transactions.write_transaction(engine) as tx:
            written = row_revisions.revise_unit(
                tx,
                form,
                month.text,
                unit,
                reason=reason,
                by=by,
                now=datetime.now(UTC),
                signer=config.identity,
                trust=known.trust,
            )
        for period, row in written:
            revised += 1
            cells = "; ".join(f"{key}: {was} → {is_}" for key, (was, is_) in row.diff.items())
            screen.note(
                t(
                    "{form} {period} {unit}: revision {revision}: {cells}",
                    form=form,
                    period=period,
                    unit=unit,
                    revision=row.revision,
                    cells=cells or phrase("different facts, same numbers"),
                ),
            )
    said = t("was already closed, counted again")
    _say_closing(screen, form, made, said, units=len(units), fresh=False, revised=revised)


def _restore_closing(screen: Screen, engine: sa.Engine, known: Book, form: str, made: Closing, by: str) -> None:
    """Restore what somebody edited of a closed month in the database, and say so: it is no revision."""
    with transactions.write_transaction(engine) as tx:
        found = attestations.restore_attested(tx, known.trust, form, made.period.text, by, datetime.now(UTC))
        names = {unit.code: unit.name for unit in unit_registry.list_registry_units(tx, made.period.last)}
    if found:
        for line in list_tampering(found, names, read_language()):
            screen.note(line)
        screen.note(t("{count} edits were undone: the month is as it was closed", count=say_count(len(found))))


def _take_steps(
    engine: sa.Engine,
    plan: ClosingPlan,
    steps: Generator[ClosingStep, Any, MonthClosed],
    tell: Callable[[MonthDraft], None],
) -> MonthClosed:
    """Take the steps of a closing, each in a transaction of its own, so that a running hub writes in between. *tell*:
    called with what was counted, before it is written.
    """
    found = None
    try:
        while True:
            step = steps.send(found)
            if step.run is closing.settle_closing:
                tell(step.arguments[0])
            with (transactions.write_transaction if step.writes else transactions.read_transaction)(engine) as tx:
                found = step.run(tx, *step.arguments)
    except StopIteration as end:
        return cast("MonthClosed", end.value)
    except BaseException:
        with transactions.write_transaction(engine) as tx:
            closing.abandon_closing(tx, plan)
        raise


def _say_closing(
    screen: Screen,
    form: str,
    made: Closing,
    said: str,
    *,
    units: int,
    fresh: bool,
    revised: int,
    found: FoundSpikes | None = None,
) -> None:
    text = f"{form} {made.period.text}: {said}; SHA-256 {made.sha256}"
    if not fresh:
        text += t("; {revised} rows revised", revised=say_count(revised))
    elif found is not None and found.count:
        text += t("; {unusual} unusual figures", unusual=say_count(found.count))
    unusual = {} if found is None else _list_spikes(found)
    screen.row({**_describe_closing(form, made), "fresh": fresh, "units": units, "revised": revised, **unusual}, text)


def _describe_closing(form: str, made: Closing) -> dict[str, object]:
    return {
        "form": form,
        "period": made.period.text,
        "state": "closed",
        "from": made.period.first.isoformat(),
        "to": made.period.last.isoformat(),
        "closed_at": made.closed_at,
        "by": made.by,
        "sha256": made.sha256,
    }


def list_periods(screen: Screen, form: str | None) -> None:
    columns = {
        "form": t("form"),
        "period": t("period"),
        "state": t("state"),
        "from": t("first day"),
        "to": t("last day"),
        "closed_at": t("closed at"),
        "by": t("by"),
        "revised": t("revised units"),
    }
    config = read_view_config(screen, "reports", "services")
    known = book.read_book(config.reports)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        rows = [row for name in _choose_forms(form, known.forms) for row in _list_closed_periods(tx, name, known)]
    if not screen.json:
        rows = [{**row, "state": say(_MONTH_STATES[str(row["state"])])} for row in rows]
    if not screen.table(columns, rows) and not screen.json:
        screen.note(t("There are no periods yet."))
    for row in rows if not screen.json else ():
        for each in cast("list[dict[str, Any]]", row["changes"]):
            _note_change(screen, each)


def _note_change(screen: Screen, change: dict[str, Any]) -> None:
    cells = "; ".join(f"{cell['column']}: {cell['was']} → {cell['now']}" for cell in change["cells"])
    messages = ", ".join(f"{each['id']} ({each['partner']}, {each['at']})" for each in change["messages"])
    screen.note(
        t(
            "{form} {period} {unit}: revision {revision} of {time}: {cells}; reason: {reason}; late messages: {messages}",
            **{name: change[name] for name in ("form", "period", "unit", "revision", "reason")},
            time=change["made_at"],
            cells=cells or phrase("different facts, same numbers"),
            messages=messages or "–",
        ),
    )


def _list_closed_periods(tx: sa.Connection, form: str, book: Book) -> Iterator[dict[str, object]]:
    revised = row_revisions.count_revised_rows(tx, form)
    for made in closing_plan.read_closings(tx, form):
        units = revised.get(made.period.text, 0)
        changes = _list_changes(tx, made) if units else []
        yield {**_describe_closing(form, made), "revised": units, "changes": changes}
    found = closing_plan.find_next_month_to_close(tx, book, form)
    if found is not None:
        month = found[1]
        days = {"from": month.first.isoformat(), "to": month.last.isoformat()}
        yield {
            "form": form,
            "period": month.text,
            "state": "open",
            **days,
            "closed_at": None,
            "by": None,
            "sha256": None,
            "revised": None,
            "changes": [],
        }


def _list_changes(tx: sa.Connection, made: Closing) -> list[dict[str, object]]:
    """Return what was changed in the closed month *made* and why, the newest first, at most `MOST_REVISIONS`."""
    revised = closing_marks.list_revised_rows(tx, made.form.id, [made.period.text])[::-1][:MOST_REVISIONS]
    return [describe_revision(each) for each in closing_marks.read_row_revisions(tx, made.form, revised)]


def _choose_forms(form: str | None, forms: Sequence[Form]) -> list[str]:
    known = list_counting_forms(forms)
    if form is not None and form not in known:
        raise click.UsageError(t("no form {form}: {known}", form=form, known=", ".join(known)))
    return [form] if form is not None else known
