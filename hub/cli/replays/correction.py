"""`lienthong replay ID --corrected FILE`: sends a corrected packet in place of a message that failed.

Prints what is wrong with the packet, or the plan; runs it only where it is told to.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import attrs
import click
import sqlalchemy as sa

from hub.cli import person
from hub.cli.journal import open_journal
from hub.cli.message.named_message import find_one_message
from hub.cli.replays.plan_rows import print_plan_rows
from hub.cli.screen import NOT_FOUND, PARTLY, CommandStop, Screen, exit_command, read_language, say_count, t
from hub.config import Config, read_config
from hub.domain.errors import Rejected, describe_problem
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import Problem
from hub.edxml.readable import PacketFinding
from hub.intake.correction import judge_correction, prepare_correction
from hub.journal import blobs, unit_registry
from hub.journal.effects import MessageEntry
from hub.journal.replays import corrections
from hub.journal.replays.corrections import CorrectableMessage, CorrectedRecipients, CorrectionOrder, find_ordered_plan
from hub.journal.replays.plan_rows import ReplayPlan
from hub.journal.replays.replay_plans import KeyReused
from hub.store import transactions
from hub.store.transactions import Transaction
from hub.units.province import Province


def send_corrected(screen: Screen, name: str, given: bytes, reason: str, key: str, *, yes: bool) -> None:
    """Send the packet *given* in place of the message *name*; without *yes* print only what would be sent.

    Exits 1 after it has printed what is wrong with the packet, and 3 if the plan awaits approval.
    """
    config = read_config(screen.config)
    with open_journal(config) as engine:
        try:
            with transactions.read_transaction(engine) as tx:
                original = find_one_message(tx, name).id
                sha256 = hashlib.sha256(given).hexdigest()
                order = CorrectionOrder(
                    original=original, given=sha256, key=key, reason=reason, by=person.name_person()
                )
                plan = find_ordered_plan(tx, order) if yes else None
                ready = None if plan is not None else _prepare_correction(tx, config, original, given)
            if yes and ready is not None:
                plan = _run_correction(engine, config, order, ready)
        except KeyReused:
            raise CommandStop(t("the key {key} was given before, with another order", key=key)) from None
        except Rejected as rejected:
            _print_problems(screen, rejected.problems)
            exit_command(1)
    if ready is not None:
        _print_rows(screen, ready, plan)
    if plan is not None:
        _tell_correction(screen, plan)
    elif ready is not None:
        _tell_plan(screen, ready)


@attrs.frozen(kw_only=True)
class _ReadyCorrection:
    """A correction that may be carried out."""

    province: Province
    original: CorrectableMessage
    entry: MessageEntry
    recipients: CorrectedRecipients
    now: datetime


def _prepare_correction(tx: Transaction, config: Config, original: str, given: bytes) -> _ReadyCorrection:
    """Judge the packet *given* in place of the message *original*. Raises Rejected."""
    now = datetime.now(UTC)
    province = Province.of(config, unit_registry.read_unit_index(tx, find_local_day(now)))
    found = corrections.read_correctable_message(tx, original)
    entry = prepare_correction(given, found, province, now, make_id(now))
    if entry.problems:
        raise Rejected(*entry.problems)
    recipients = corrections.choose_recipients(tx, found, entry, province.routes)
    return _ReadyCorrection(province=province, original=found, entry=entry, recipients=recipients, now=now)


def _run_correction(engine: sa.Engine, config: Config, order: CorrectionOrder, ready: _ReadyCorrection) -> ReplayPlan:
    """Record the order and carry it out in one commit."""
    province, entry, now = ready.province, ready.entry, ready.now
    assert isinstance(entry.content, bytes)
    signed = judge_correction(entry.content, ready.original, province, now, make_id(now))
    for numbers in blobs.batch_part_numbers(len(entry.content)):  # a running hub never waits for a large packet
        with transactions.write_transaction(engine) as tx:
            blobs.keep_parts(tx, entry.sha256, entry.content[numbers[0] * blobs.PART :], numbers, numbers[0])
    with transactions.write_transaction(engine) as tx:
        plan = corrections.plan_correction(tx, order, entry, province.routes, now, goes=True)
        after = corrections.perform_correction(tx, plan.id, signed, province.routes, now, config.replay)
        return plan if after is None else after


def _print_rows(screen: Screen, ready: _ReadyCorrection, plan: ReplayPlan | None) -> None:

    original, entry, recipients = ready.original, ready.entry, ready.recipients
    done = plan is not None and plan.corrected is not None
    common: dict[str, object] = {"id": original.message.id, "message_id": original.message.message_id, "attempts": 0}
    common |= {"size": len(entry.content), "corrected": plan.corrected if plan else None}

    def rows() -> Iterator[dict[str, object]]:
        partners = {route.recipient: route.partner for route in entry.routes}
        for route in recipients.goes:
            said = {"recipient": route.recipient, "partner": route.partner, "reason": None, "state": str(route.state)}
            yield {**common, **said, "action": "replayed" if done else "planned"}
        for unit, why in recipients.withheld.items():
            said = {"recipient": unit, "partner": partners[unit], "reason": why, "state": None}
            yield {**common, **said, "action": "excluded"}

    print_plan_rows(screen, rows())


def _print_problems(screen: Screen, problems: tuple[Problem, ...]) -> None:
    """Print what is wrong with a packet, each with the line that it is on."""
    language = read_language()

    def rows() -> Iterator[dict[str, object]]:
        for each in problems:
            found = PacketFinding(code=each.code, detail=each.detail, refuses=True)
            yield {
                "line": found.line,
                "code": each.code,
                "detail": str(found.detail),
                "wrong": describe_problem(each, language),
            }

    columns = {"line": t("line"), "code": t("code"), "wrong": t("what is wrong")}
    screen.table(columns, rows())
    screen.note(t("Nothing was sent. Correct the packet and give the command again."))


def _tell_plan(screen: Screen, ready: _ReadyCorrection) -> None:
    goes = {route.recipient for route in ready.recipients.goes}
    closed = sum(1 for each in ready.original.open if each.recipient in goes)
    screen.note(
        t(
            "Plan: a new message for {count} recipients, signed by the hub; {closed} dead deliveries of the original "
            "are closed. Add --yes to send it.",
            count=say_count(len(goes)),
            closed=say_count(closed),
        )
    )


def _tell_correction(screen: Screen, plan: ReplayPlan) -> None:
    """Say what happened."""
    if plan.state == "awaiting":
        screen.note(
            t(
                "Plan {name}: the corrected message awaits the approval of another person: "
                "lienthong replays approve {name}",
                name=plan.id,
            )
        )
        raise click.exceptions.Exit(PARTLY)
    if plan.corrected is None:
        raise CommandStop(
            t("nothing was sent: {why}", why=", ".join(plan.left_out)), NOT_FOUND if not plan.left_out else 1
        )
    screen.note(
        t(
            "Message {message} goes in place of {original}: {count} deliveries queued.",
            message=plan.corrected,
            original=plan.corrects,
            count=say_count(plan.queued),
        )
    )
