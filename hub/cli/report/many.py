"""`lienthong report give-out`, `collect`, `hand-in` and `remind`: one step of the reports of many units, each unit for
itself.

Contains the dialogue only. Each unit is a transaction of its own, and what is done already is not done again: a command
that was interrupted goes on when it is typed again.
"""

import getpass
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import attrs
import click
import sqlalchemy as sa

from hub.cli.journal import open_journal
from hub.cli.report.round_state import read_chosen_round
from hub.cli.report.signed import accept_document, record_refusal
from hub.cli.report.submitting import check_taker, count_for_release
from hub.cli.screen import (
    CONFIGURATION,
    FAILED,
    PARTLY,
    UNAVAILABLE,
    CommandStop,
    Screen,
    exit_command,
    progress_bar,
    read_language,
    say,
    say_count,
    t,
)
from hub.cli.words import say_word
from hub.config import Config, read_config, revocation_cache
from hub.config.durable_files import hold_workplace
from hub.config.officials import SignaturePlace
from hub.domain.errors import Rejected, Unready, describe_problem
from hub.journal import blobs
from hub.language.phrases import phrase
from hub.report.form import book
from hub.report.form.book import Book
from hub.store import transactions
from hub.workload import submission
from hub.workload.many import reminders, round_plan, signed_batch
from hub.workload.many.report_round import ReportRound
from hub.workload.many.round_plan import PlannedUnit, RoundDeed
from hub.workload.many.signed_batch import BatchFile

_DEEDS = {
    "give-out": phrase("is given out"),
    "give-again": phrase("the same file once more"),
    "revise": phrase("another revision"),
    "hand-in": phrase("is handed in"),
    "nothing": phrase("done already"),
    "blocked": phrase("not now"),
}


@attrs.frozen
class _Work:
    """What a command for many units works with."""

    screen: Screen
    config: Config
    engine: sa.Engine
    book: Book
    form: str
    period: str
    now: datetime


@contextmanager
def _open_report_work(screen: Screen, form: str, period: str) -> Iterator[_Work]:
    config = read_config(screen.config)
    known = book.read_book(config.reports)
    with open_journal(config, counts=known.services(form)) as engine:
        yield _Work(screen, config, engine, known, form, period, datetime.now(UTC))


def _read_round(work: _Work, chosen: dict[str, Any]) -> ReportRound:
    with transactions.read_transaction(work.engine) as tx:
        return read_chosen_round(tx, work.book, work.form, work.period, work.now, chosen)


# --- give-out ------------------------------------------------------------------------------------------------------------


def give_out_reports(
    screen: Screen, /, form: str, period: str, output: Path, reason: str, *, planned: bool, **chosen: Any
) -> None:
    with _open_report_work(screen, form, period) as work:
        plan = round_plan.plan_giving_out(_read_round(work, chosen), reason=reason.strip())
        if planned:
            _tell_plan(screen, plan)
            return
        with _open_report_output(output) as write:

            def give(each: PlannedUnit) -> dict[str, object]:
                why = reason.strip() if each.deed is RoundDeed.REVISE else ""
                return _give_out(work, each.standing.unit.code, why, write)

            _write_planned_reports(screen, t("Giving out"), plan, give)


def _give_out(work: _Work, unit: str, reason: str, write: Callable[[str, bytes], None]) -> dict[str, object]:
    with transactions.read_transaction(work.engine) as tx:
        province, counted, by = count_for_release(tx, work.config, unit, work.period, work.form, work.now)
    with transactions.write_transaction(work.engine) as tx:
        kept = submission.issue_report(tx, province, counted, reason=reason, by=by, now=work.now)
        base = submission.read_signing_base(tx, kept)
        content = blobs.read_blob(tx, base.sha256)
    name = submission.name_signing_file(kept, base.sha256)
    write(name, content)
    fields = {"message": kept.message.id, "revision": kept.said.revision, "sha256": base.sha256, "file": name}
    return {**fields, "fresh": kept.fresh, "behind": kept.behind}


@contextmanager
def _open_report_output(output: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Give the function that writes a file into a folder, or into a ZIP, which appears when all is written."""
    if output.suffix.lower() != ".zip":
        output.mkdir(parents=True, exist_ok=True)
        yield lambda name, content: _replace_file(output / name, lambda file: file.write(content))
        return
    with tempfile.TemporaryFile(dir=output.absolute().parent) as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            yield archive.writestr
        packed.seek(0)
        _replace_file(output, lambda file: [file.write(part) for part in iter(lambda: packed.read(1 << 20), b"")])


def _replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that is whole as soon as it is there."""
    with hold_workplace(path.absolute()) as place:
        new = place / path.name
        with new.open("wb") as file:
            write(file)
        new.chmod(0o644)
        new.replace(path)


# --- hand-in -------------------------------------------------------------------------------------------------------------


def hand_in_reports(screen: Screen, /, form: str, period: str, partner: str, *, planned: bool, **chosen: Any) -> None:
    with _open_report_work(screen, form, period) as work:
        check_taker(work.config, partner)
        officials = work.config.officials
        required = officials is not None and officials.required
        plan = round_plan.plan_handing_in(_read_round(work, chosen), partner, required=required)
        if planned:
            _tell_plan(screen, plan)
            return
        _write_planned_reports(
            screen, t("Handing in"), plan, lambda each: _hand_in(work, each.standing.unit.code, partner)
        )


def _hand_in(work: _Work, unit: str, partner: str) -> dict[str, object]:
    with transactions.read_transaction(work.engine) as tx:
        province, counted, by = count_for_release(tx, work.config, unit, work.period, work.form, work.now)
    with transactions.write_transaction(work.engine) as tx:
        kept = submission.submit_report(tx, province, counted, partner, reason="", by=by, now=work.now)
    return {"message": kept.message.id, "revision": kept.said.revision, "fresh": kept.fresh, "behind": kept.behind}


# --- collect -------------------------------------------------------------------------------------------------------------


def collect_reports(screen: Screen, form: str, period: str, paths: tuple[Path, ...], *, planned: bool) -> None:
    with _open_report_work(screen, form, period) as work:
        revocation_cache.set_revocation_answers(
            work.config, revocation_cache.load_revocation_answers(work.config, work.now)
        )
        found = _read_round(work, dict.fromkeys(("units", "levels", "kinds", "steps", "declared"), ()) | {"below": ""})
        names = signed_batch.list_files(paths)
        outcomes = Counter[str]()
        with progress_bar(t("Taking in")) as progress:
            for number, each in enumerate(names, 1):
                row = _collect_file(work, found, each, planned=planned)
                outcomes[str(row["outcome"])] += 1
                screen.row(row, _say_collected(row))
                progress(number, len(names))
    counts = (f"{say(_OUTCOMES[word])}: {say_count(many)}" for word, many in sorted(outcomes.items()))
    screen.note("; ".join(counts) or t("There are no files."))
    if outcomes["refused"]:
        exit_command(FAILED if outcomes.total() == outcomes["refused"] else PARTLY)


_OUTCOMES = {
    "accepted": phrase("accepted"),
    "drafted": phrase("signed by the drafter"),
    "known": phrase("already recorded"),
    "refused": phrase("refused"),
}


class _Judged(Exception):
    """Takes back the transaction in which a file was only judged."""


def _end_judging(*, planned: bool) -> None:
    """Raise `_Judged` if nothing may be written."""
    if planned:
        raise _Judged


def _collect_file(work: _Work, found: ReportRound, file: BatchFile, *, planned: bool) -> dict[str, object]:
    row: dict[str, object] = {"file": file.name, "unit": None, "outcome": "refused", "official": None, "problems": []}
    uploaded, unit, taken = b"", "", None
    address = work.form, found.period.text
    try:
        uploaded = file.read()
        unit = signed_batch.find_unit(file.name, uploaded, *address, [each.unit.code for each in found.units])
        row["unit"] = unit
        with suppress(_Judged), transactions.write_transaction(work.engine) as tx:
            kept = submission.read_newest_revision(tx, unit, *address)
            taken = accept_document(tx, work.config, kept, uploaded, work.now)
            _end_judging(planned=planned)
    except Rejected as rejected:
        row["problems"] = [
            {"code": each.code, "detail": describe_problem(each, read_language())} for each in rejected.problems
        ]
        if unit and not planned:
            with transactions.write_transaction(work.engine) as tx:
                record_refusal(tx, unit, *address, rejected, uploaded, work.now)
    except Unready as unready:
        why = unready.problem.detail
        raise CommandStop(t("no receipt can be written now: {why}", why=why), UNAVAILABLE) from None
    if taken is not None:
        outcome = "drafted" if taken.place is SignaturePlace.DRAFTER else "accepted"
        row |= {"outcome": outcome if taken.fresh else "known", "official": taken.official.code}
    return row


def _say_collected(row: dict[str, Any]) -> str:
    said = f"{row['file']}: {row['unit'] or '–'}: {say(_OUTCOMES[row['outcome']])}"
    said += f" ({row['official']})" if row["official"] else ""
    return said + "".join(f"\n  {each['code']}: {each['detail']}" for each in row["problems"])


# --- remind --------------------------------------------------------------------------------------------------------------


def remind_units(screen: Screen, /, form: str, period: str, *, planned: bool, **chosen: Any) -> None:
    with _open_report_work(screen, form, period) as work:
        settings = work.config.alerts
        if settings is None:
            raise CommandStop(t("hub.toml has no [alerts]: the hub cannot send mail"), CONFIGURATION)
        found = _read_round(work, chosen)
        mails, without = reminders.plan_reminders(found, settings, work.now)
        asked: Mapping[str, bool] = {}
        if not planned:
            by = getpass.getuser()
            with transactions.write_transaction(work.engine) as tx:
                asked = reminders.request_reminders(tx, found, mails, by=by, now=work.now)
    words = {None: t("would be sent"), True: t("is sent soon"), False: t("was sent or asked for today")}
    for each in mails:
        fresh, units = asked.get(each.unit), [one.unit.code for one in each.about]
        row = {"unit": each.unit, "address": each.address, "about": units, "fresh": fresh}
        screen.row(row, f"{each.unit} <{each.address}>: {words[fresh]}; {t('units')}: {', '.join(units)}")
    for one in without:
        row = {"unit": one.unit.code, "address": None, "about": [one.unit.code], "fresh": None}
        screen.row(row, f"{one.unit.code}: {t('no address, nor above it')}")
    screen.note(t("Mails: {count}; units without an address: {without}", count=len(mails), without=len(without)))


# --- for each unit -------------------------------------------------------------------------------------------------------


def _tell_plan(screen: Screen, plan: Sequence[PlannedUnit]) -> None:
    titles = {"unit": t("unit"), "name": t("name"), "state": t("state"), "deed": t("plan"), "why": t("why")}

    def tell(each: PlannedUnit) -> dict[str, object]:
        unit, why = each.standing.unit, "" if each.why is None else say(each.why)
        said = {"unit": unit.code, "name": unit.name}
        if screen.json:
            return {**said, "state": str(each.standing.step), "deed": str(each.deed), "why": why or None}
        state, deed = say_word("reports", each.standing.step), say(_DEEDS[each.deed])
        return {**said, "state": state, "deed": deed, "why": why}

    screen.table(titles, map(tell, plan))
    screen.note(_say_counts(Counter(each.deed for each in plan)))


def _say_counts(deeds: Counter[RoundDeed]) -> str:
    return "; ".join(f"{say(_DEEDS[deed])}: {say_count(many)}" for deed, many in deeds.items())


def _write_planned_reports(
    screen: Screen, label: str, plan: Sequence[PlannedUnit], deed: Callable[[PlannedUnit], dict[str, object]]
) -> None:
    """Do what is planned, unit by unit, and print each result. One unit's failure stops no other."""
    failed, done = 0, Counter["RoundDeed"]()
    todo = [each for each in plan if each.acts]
    with progress_bar(label) as progress:
        for number, each in enumerate(todo, 1):
            unit = each.standing.unit.code
            try:
                row = deed(each)
            except Unready as unready:
                why = unready.problem.detail
                raise CommandStop(t("cannot be sealed now: {why}", why=why), UNAVAILABLE) from None
            except (click.ClickException, *submission.REFUSALS) as error:
                failed += 1
                why = error.format_message() if isinstance(error, click.ClickException) else _say_refusal(error)
                screen.row({"unit": unit, "deed": "failed", "why": why}, f"{unit}: {t('failed')}: {why}")
            else:
                done[each.deed] += 1
                said = f"{unit}: {say(_DEEDS[each.deed])}: {t('revision')} {row['revision']}"
                said += f"; {t('the numbers have changed since')}" if row["behind"] else ""
                screen.row({"unit": unit, "deed": str(each.deed), **row}, said)
            progress(number, len(todo))
    left = Counter(each.deed for each in plan if not each.acts)
    screen.note(_say_counts(done + left))
    if failed:
        screen.note(t("Failed: {count}. Type the command again to go on.", count=say_count(failed)))
        exit_command(PARTLY if done else FAILED)


def _say_refusal(error: Exception) -> str:
    match error:
        case submission.Unended():
            return t("the period has not ended")
        case submission.Unclosed():
            return t("{month} is not closed", month=error.args[0])
        case submission.Unreasoned():
            return t(
                "the numbers differ from revision {unreasoned}; a new one needs --reason", unreasoned=error.args[0]
            )
        case submission.OfDrill():
            return t("a test unit of a drill")
    return t("it is not signed")
