"""Reads an order to replay deliveries from the fields of a form, and steers plans. The pages and the API share it.

An order reaches only what its user sees: the messages of the user's units, and deliveries to the user's partners.
Contains no HTTP, no page and no SQL.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState
from hub.domain.sanitize import clean_line
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.plan_rows import PlannedItem, ReplayPlan
from hub.journal.replays.replay import ReplayChoice
from hub.journal.replays.replay_rules import PlanEvent
from hub.journal.searching.message_filter import MessageFilter
from hub.language.phrases import phrase
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.messages import message_list
from hub.operations.messages.search_request import SearchRequest, plan_search
from hub.operations.replays.order_fields import FieldUnfit, read_reason, sees_original
from hub.operations.replays.plan_operations import NEEDED
from hub.partner import rate_limit
from hub.partner.rate_limit import Rate
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Deliveries of a plan on one page.
ITEMS = 100
#: Maximum characters of a field; the forms have the same limits.
LONGEST = 200
#: Fields that choose messages, as in the address of a search.
SEARCH = tuple(message_list.CHOOSING)
#: What a person may do with a plan, and the event for which its state must have room.
STEPS = {
    "start": PlanEvent.RUN,
    "approve": PlanEvent.APPROVE,
    "pause": PlanEvent.PAUSE,
    "resume": PlanEvent.RESUME,
    "cancel": PlanEvent.CANCEL,
}


@attrs.frozen(kw_only=True)
class ReplayOrder:
    """What a person orders."""

    choice: ReplayChoice
    reason: str
    rate: Rate | None
    stop_after: int | None


def may_press(user: User, what: str, *, corrects: bool = False) -> bool:
    """Tell whether *user* may take the step *what* of a plan: has one of the permissions that it needs.

    *corrects*: the plan is a correction. It is one commit, so it is never paused, and who sends it may correct.
    """
    if corrects and what in {"start", "resume", "pause"}:
        return what != "pause" and user.may(Permission.CORRECT)
    return any(map(user.may, NEEDED.get(what, ())))


async def read_order(journal: Journal, live: Live, user: User, form: Mapping[str, str], now: datetime) -> ReplayOrder:
    """Return the order in the fields *form* of *user*. Raises `FieldUnfit`."""
    choice = await _read_choice(journal, live, user, form, now)
    return ReplayOrder(
        choice=choice,
        reason=read_reason(form.get("reason", "")),
        rate=_read_rate(form.get("rate", "")),
        stop_after=_read_number(form.get("stop_after", "")),
    )


async def _read_choice(
    journal: Journal, live: Live, user: User, form: Mapping[str, str], now: datetime
) -> ReplayChoice:
    said = {name: clean_line(form.get(name, ""), LONGEST) for name in (*SEARCH, "id", "to")}
    if not any(said.values()):
        raise FieldUnfit(phrase("Choose by at least one field; everything at once is refused."))
    if said["to"] and said["to"] not in user.keep_visible(live.config.partners):
        raise FieldUnfit(phrase("There is no partner {code}.", code=said["to"]))
    wanted = await read_filters(journal, live, user, said, now)
    return ReplayChoice.of(wanted, None, said["to"] or None, again=form.get("again") == "1", made_at=now)


async def read_filters(
    journal: Journal, live: Live, user: User, said: Mapping[str, str], now: datetime
) -> list[MessageFilter]:
    """Return the filters for the messages that the fields *said* of a search choose and *user* sees. Raises `FieldUnfit`."""
    config = live.config
    names = {code: partner.name for code, partner in user.keep_visible(config.partners).items()}
    plan = await journal.read(plan_search, _read_request(said), names, config.upstream, find_local_day(now))
    for each in plan.unknown:
        match each.field:
            case "partner":
                raise FieldUnfit(phrase("There is no partner {code}.", code=each.value))
            case "cause":
                raise FieldUnfit(phrase("“{value}” is no cause; the page of failures has them.", value=each.value))
        raise FieldUnfit(phrase("There is no unit {code}, or there are several.", code=each.value))
    ids = tuple(said.get("id", "").split())
    filters = await journal.read(_limit_filters, user, plan.filters)
    return [attrs.evolve(each, ids=ids or each.ids) for each in filters]


def _limit_filters(tx: Transaction, user: User, filters: Sequence[MessageFilter]) -> list[MessageFilter]:
    return message_list.limit_filters(user, users.read_visible_units(tx, user), filters)


def list_visible_plans(tx: Transaction, user: User | None, limit: int, before: str | None) -> list[ReplayPlan]:
    """Return at most *limit* plans that *user* (None: who sees all) sees, newest first: those ahead of the plan *before*."""
    if user is None:
        return plan_rows.list_plans(tx, limit, before)
    seen = users.read_visible_units(tx, user)
    return plan_rows.list_plans_within(tx, limit, before, seen, user.visible_partners)


def read_visible_plan(tx: Transaction, user: User, plan_id: str) -> ReplayPlan:
    """Return the plan. Raises KeyError if there is none, or if it may concern what *user* does not see."""
    plan = plan_rows.read_plan(tx, plan_id)
    if not plan.choice.is_within(users.read_visible_units(tx, user), user.visible_partners):
        raise KeyError(plan_id)
    return plan


@attrs.frozen
class ShownPlan:
    """A plan, and some of its deliveries."""

    plan: ReplayPlan
    results: Mapping[str, int]  #: the queued deliveries by their state now
    items: list[PlannedItem]


def read_shown_plan(
    tx: Transaction, user: User, plan_id: str, after: int, limit: int, now: DeliveryState | None = None
) -> ShownPlan:
    """Return a plan and its next *limit* deliveries behind the number *after*; with *now* as `list_items` does.

    Raises KeyError as `read_visible_plan`.
    """
    plan = read_visible_plan(tx, user, plan_id)
    results = plan_rows.count_results(tx, plan_id) if plan.queued else {}
    return ShownPlan(plan, results, plan_rows.list_items(tx, plan_id, after, limit, now) if limit else [])


def steer_plan(
    tx: Transaction, user: User | None, plan_id: str, what: str, *, by: str, now: datetime, approve_over: int | None
) -> ReplayPlan:
    """Take the step *what*, one of `STEPS`, of a plan for *user*; None: for who has a shell, and sees all.

    A running correction is carried out by the service of a node, or by who started it. Raises `SamePerson`,
    `PlanUnmovable`, and KeyError as `read_visible_plan`, or if *user* may not take the step of this correction.
    """
    if user is not None and not _may_steer(tx, user, read_visible_plan(tx, user, plan_id).corrects, what):
        raise KeyError(plan_id)
    if what == "start":
        return replay_plans.start_plan(tx, plan_id, by=by, now=now, approve_over=approve_over)
    if what == "approve":
        return replay_plans.approve_plan(tx, plan_id, by=by, now=now)
    return replay_plans.change_plan(tx, plan_id, STEPS[what], by=by, now=now)


def _may_steer(tx: Transaction, user: User, corrects: str | None, what: str) -> bool:
    return corrects is None or (may_press(user, what, corrects=True) and sees_original(tx, user, corrects))


def _read_request(said: Mapping[str, str]) -> SearchRequest:
    """Return what the fields of a search ask for. A search that would be widened is refused."""
    query = message_list.parse_list_query(said)
    for wrong in query.wrong:
        raise FieldUnfit(wrong)
    if bool(said["state"]) != bool(query.asked.state) or bool(said["direction"]) != bool(query.asked.direction):
        raise FieldUnfit(phrase("This search finds calls, or nothing: choose a state and a direction of messages."))
    return query.asked


def _read_rate(text: str) -> Rate | None:
    try:
        return Rate.read(text.strip()) if text.strip() else None
    except ValueError:
        raise FieldUnfit(phrase("The rate must be {expected}.", expected=rate_limit.EXPECTED)) from None


def _read_number(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 0 < int(text.strip()[:10]) < 1_000_000_000:
        raise FieldUnfit(phrase("The number of errors must be a whole number from 1."))
    return int(text)
