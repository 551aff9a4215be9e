"""`lienthong replays`: shows the plans to replay many deliveries, and pauses, resumes, cancels and approves them."""

from hub.cli.journal import open_journal, read_view_config
from hub.cli.replays.replay import make_item_row
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, say, say_count, t
from hub.cli.words import say_field, say_filter_word, say_value, say_word
from hub.domain.model import DeliveryState
from hub.journal.replays import plan_rows
from hub.journal.replays.plan_rows import ReplayPlan
from hub.language.terms import find_term
from hub.operations.replays.plan_operations import write_row
from hub.store import transactions
from hub.store.transactions import Transaction


def show_replay_plan(screen: Screen, plan: str, items: bool, delivery_state: str | None) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        try:
            found = plan_rows.read_plan(tx, plan)
        except KeyError:
            raise _make_absent(plan) from None
        results = plan_rows.count_results(tx, plan)
        fields = write_row(found) | {"results": results}
        screen.row(fields, "" if screen.json else _say_plan(found, results))
        if items or delivery_state:
            _show_items(screen, tx, plan, delivery_state)


def _show_items(screen: Screen, tx: Transaction, plan: str, state: str | None) -> None:
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
        for each in plan_rows.iterate_items(tx, plan, DeliveryState(state) if state else None)
    )

    def say_row(row: dict[str, object]) -> dict[str, object]:
        scopes = {"item": "item", "was": "delivery", "state": "delivery"}
        said = {key: say_word(scope, row[key]) for key, scope in scopes.items()}
        return row | said | {"reason": _say_why(row["why"] or row["reason"])}

    screen.table(columns, rows if screen.json else map(say_row, rows))


def _say_why(why: object) -> str:
    term = find_term("replay", str(why))
    return say_value("reason", why) if term is None else say(term.name)


def _make_absent(plan: str) -> CommandStop:
    return CommandStop(t("there is no plan {plan}", plan=plan), NOT_FOUND)


def _say_plan(plan: ReplayPlan, results: dict[str, int]) -> str:
    """Return the lines that show a plan."""

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
