"""`lienthong replays`: shows the plans to replay many deliveries, and pauses, resumes, cancels and approves them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import click

from hub.cli import person
from hub.cli.message.messages import DELIVERY_STATES
from hub.cli.screen import (
    NOT_FOUND,
    CommandStop,
    Screen,
    WholeNumber,
    command,
    command_group,
    pass_screen,
    say_count,
    t,
)

if TYPE_CHECKING:
    from hub.journal.queue.replay_plans import ReplayPlan
    from hub.store.transactions import Transaction

_plan_id = click.argument("plan", metavar="ID")


@command_group(
    "replays",
    t("Plans to replay many deliveries: list, show, start, pause, resume, cancel, approve."),
)
def replays() -> None:
    pass


@command(
    "list",
    t("List the plans, newest first."),
    "lienthong replays list --json",
)
@click.option("--limit", type=WholeNumber(1), default=20, show_default=True, help=t("Maximum number."))
@click.option("--before", metavar="ID", help=t("Continue behind the plan with this id, the last one of a page."))
@pass_screen
def list_replay_plans(screen: Screen, limit: int, before: str | None) -> None:
    from hub.cli.journal import open_journal, read_view_config
    from hub.cli.words import say_filter_word
    from hub.journal.queue import replay_plans
    from hub.store import transactions

    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        rows = [_write_plan(each) for each in replay_plans.list_plans(tx, limit, before)]
    columns = {
        "id": t("id"),
        "made_at": t("made"),
        "made_by": t("made by"),
        "state": t("state"),
        "chosen": t("chosen"),
        "queued": t("queued"),
        "reason": t("reason"),
    }
    if not screen.json:
        rows = [row | {"state": say_filter_word("plan", row["state"])} for row in rows]
    if not screen.table(columns, rows) and not screen.json:
        screen.note(t("There is no plan yet: lienthong replay"))


@command(
    "show",
    t("Show one plan: what was chosen and why others were left out, and what has become of the deliveries."),
    "lienthong replays show 0193…",
    "lienthong replays show 0193… --items --json",
    "lienthong replays show 0193… --delivery-state dead",
)
@_plan_id
@click.option("--items", is_flag=True, help=t("Also each delivery, with its state before and now."))
@click.option(
    "--delivery-state", type=click.Choice(DELIVERY_STATES), help=t("Each queued delivery that is now in this state.")
)
@pass_screen
def show_replay_plan(screen: Screen, plan: str, items: bool, delivery_state: str | None) -> None:
    from hub.cli.journal import open_journal, read_view_config
    from hub.journal.queue import replay_plans
    from hub.store import transactions

    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        try:
            found = replay_plans.read_plan(tx, plan)
        except KeyError:
            raise _make_absent(plan) from None
        results = replay_plans.count_results(tx, plan)
        fields = _write_plan(found) | {"results": results}
        screen.row(fields, "" if screen.json else _say_plan(found, results))
        if items or delivery_state:
            _show_items(screen, tx, plan, delivery_state)


def _show_items(screen: Screen, tx: "Transaction", plan: str, state: str | None) -> None:
    from hub.cli.replay import make_item_row
    from hub.cli.words import say_word
    from hub.domain.model import DeliveryState
    from hub.journal.queue import replay_plans

    columns = {
        "number": t("number"),
        "id": t("id"),
        "recipient": t("recipient"),
        "partner": t("partner"),
        "item": t("in the plan"),
        "was": t("before"),
        "state": t("now"),
        "reason": t("reason"),
    }
    rows = (
        make_item_row(each)
        | {"number": each.number, "item": str(each.state), "was": str(each.was), "was_reason": each.was_reason}
        | {"why": each.why, "reason": each.delivery.reason, "queued_at": each.queued_at}
        for each in replay_plans.iterate_items(tx, plan, DeliveryState(state) if state else None)
    )

    def say_row(row: dict[str, object]) -> dict[str, object]:
        scopes = {"item": "item", "was": "delivery", "state": "delivery"}
        said = {key: say_word(scope, row[key]) for key, scope in scopes.items()}
        return row | said | {"reason": _say_why(row["why"] or row["reason"])}

    screen.table(columns, rows if screen.json else map(say_row, rows))


def _say_why(why: object) -> str:
    from hub.cli.screen import say
    from hub.cli.words import say_value
    from hub.language.terms import find_term

    term = find_term("replay", str(why))
    return say_value("reason", why) if term is None else say(term.name)


@command(
    "start",
    t("Start a plan that was made in the console and not started yet."),
    "lienthong replays start 0193…",
)
@_plan_id
@pass_screen
def start_replay_plan(screen: Screen, plan: str) -> None:
    from hub.cli.journal import read_journal_config
    from hub.journal.queue import replay_plans

    over = read_journal_config(screen).replay.approve_over
    _change(screen, plan, lambda tx, said: replay_plans.start_plan(tx, plan, approve_over=over, **said))


@command(
    "pause",
    t("Pause a plan. What it has queued stays queued."),
    "lienthong replays pause 0193…",
)
@_plan_id
@pass_screen
def pause_replay_plan(screen: Screen, plan: str) -> None:
    _change_by(screen, plan, "pause")


@command(
    "resume",
    t("Resume a plan that was paused, or that errors stopped; its errors count anew."),
    "lienthong replays resume 0193…",
)
@_plan_id
@pass_screen
def resume_replay_plan(screen: Screen, plan: str) -> None:
    _change_by(screen, plan, "resume")


@command(
    "cancel",
    t("Cancel a plan for good. What it has queued stays queued."),
    "lienthong replays cancel 0193…",
)
@_plan_id
@pass_screen
def cancel_replay_plan(screen: Screen, plan: str) -> None:
    _change_by(screen, plan, "cancel")


@command(
    "approve",
    t("Approve a plan of another person that `replay.approve-over` or `replay.approve-corrected` holds back."),
    "lienthong replays approve 0193…",
)
@_plan_id
@pass_screen
def approve_replay_plan(screen: Screen, plan: str) -> None:
    from hub.journal.queue import replay_plans

    def approve(tx: "Transaction", said: dict[str, Any]) -> "ReplayPlan":
        _require_approver(tx, plan, said["by"])
        return replay_plans.approve_plan(tx, plan, **said)

    _change(screen, plan, approve)


def _require_approver(tx: "Transaction", plan: str, name: str) -> None:
    """Check that the account *name* of the machine is an account of the console that may approve the plan.

    So that a person is one identity here and there. Raises `CommandStop`, and KeyError if there is no such plan.
    """
    from hub.domain.local_time import find_local_day
    from hub.journal.queue import replay_plans
    from hub.operations.accounts import users
    from hub.operations.accounts.permissions import Permission

    user, found = users.find_user(tx, name.lower()), replay_plans.read_plan(tx, plan)
    if user is None or not user.may(Permission.APPROVE):
        raise CommandStop(
            t("{name} is no account of the console that may approve: sign in there, and approve it", name=name)
        )
    user = attrs.evolve(user, day=find_local_day(datetime.now(UTC)))
    if not found.choice.is_within(users.read_visible_units(tx, user), user.visible_partners):
        raise KeyError(plan)


def _change_by(screen: Screen, plan: str, what: str) -> None:
    from hub.journal.queue import replay_plans
    from hub.journal.queue.replay_rules import PlanEvent

    _change(screen, plan, lambda tx, said: replay_plans.change_plan(tx, plan, PlanEvent(what), **said))


def _change(screen: Screen, plan: str, step: "Callable[[Transaction, dict[str, Any]], ReplayPlan]") -> None:
    """Take a *step* that changes the state of a plan, and print the plan."""
    from hub.cli.journal import open_journal, read_journal_config
    from hub.cli.words import say_word
    from hub.journal.queue.replay_plans import SamePerson
    from hub.journal.queue.replay_rules import PlanUnmovable
    from hub.store import transactions

    said = {"by": person.name_person(), "now": datetime.now(UTC)}
    with open_journal(read_journal_config(screen)) as engine:
        try:
            with transactions.write_transaction(engine) as tx:
                after = step(tx, said)
        except KeyError:
            raise _make_absent(plan) from None
        except SamePerson as same:
            raise CommandStop(t("{person} made the plan: another person must approve it", person=str(same))) from None
        except PlanUnmovable as unmovable:
            raise CommandStop(
                t(
                    "the plan is in the state «{state}», which this does not fit",
                    state=say_word("plan", unmovable.state),
                )
            ) from None
    screen.row(_write_plan(after), t("{id_}: {state}", id_=after.id, state=say_word("plan", after.state)))


def _make_absent(plan: str) -> CommandStop:
    return CommandStop(t("there is no plan {plan}", plan=plan), NOT_FOUND)


def _write_plan(plan: "ReplayPlan") -> dict[str, Any]:
    """Return a plan as JSON shows it."""
    import json

    return {
        "id": plan.id,
        "made_at": plan.made_at,
        "made_by": plan.made_by,
        "reason": plan.reason,
        "state": str(plan.state),
        "changed_at": plan.changed_at,
        "changed_by": plan.changed_by,
        "approved_by": plan.approved_by,
        "choice": json.loads(plan.choice.write()),
        "rate": None if plan.rate is None else str(plan.rate),
        "stop_after": plan.stop_after,
        "chosen": plan.chosen,
        "delivered_before": plan.delivered,
        "in_closed_report": plan.closed,
        "octets": plan.octets,
        "partners": plan.partners,
        "left_out": plan.left_out,
        "queued": plan.queued,
        "left": plan.skipped,
        "waits": plan.waits,
        "key": plan.key,
        "corrects": plan.corrects,
        "corrected": plan.corrected,
    }


def _say_plan(plan: "ReplayPlan", results: dict[str, int]) -> str:
    """Return the lines that show a plan."""
    from hub.cli.words import say_field, say_filter_word, say_word

    def say_counts(counts: dict[str, int], scope: str = "") -> str:
        named = ((say_word(scope, key) if scope else key, say_count(count)) for key, count in counts.items())
        return ", ".join(f"{name}: {count}" for name, count in named)

    lines = [
        (say_field("id"), plan.id),
        (say_field("state"), say_filter_word("plan", plan.state)),
        (say_field("by"), plan.made_by),
        (say_field("reason"), plan.reason),
        (say_field("original"), plan.corrects or ""),
        (say_field("corrected"), plan.corrected or ""),
        (t("approved by"), plan.approved_by or ""),
        (t("rate"), "" if plan.rate is None else str(plan.rate)),
        (t("stops after so many errors"), "" if plan.stop_after is None else say_count(plan.stop_after)),
        (t("chosen"), say_count(plan.chosen)),
        (say_field("size"), say_count(plan.octets)),
        (t("partners"), say_counts(plan.partners)),
        (t("delivered before"), say_count(plan.delivered)),
        (t("in a closed report (harmless: nothing is counted twice)"), say_count(plan.closed)),
        (t("left out"), say_counts(plan.left_out, "replay")),
        (t("queued"), say_count(plan.queued)),
        (t("left alone"), say_count(plan.skipped)),
        (t("still to be queued"), say_count(plan.waits)),
        (t("the queued ones now"), say_counts(results, "delivery")),
    ]
    width = max(len(name) for name, value in lines if value)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in lines if value)


replays.add_command(list_replay_plans)
for _each in (
    show_replay_plan,
    start_replay_plan,
    pause_replay_plan,
    resume_replay_plan,
    cancel_replay_plan,
    approve_replay_plan,
):
    replays.add_command(_each)
