"""What the operations on plans to replay do: each function returns a step of a transaction.

Who is limited to some units or partners reaches only the plans that concern nothing else.
"""

from collections.abc import Callable
from functools import partial

import attrs

from hub.domain.local_time import find_local_day
from hub.journal.replays import plan_rows
from hub.journal.replays.plan_rows import ReplayPlan
from hub.journal.replays.replay_plans import SamePerson
from hub.journal.replays.replay_rules import PlanUnmovable
from hub.language.phrases import Phrase, phrase
from hub.language.terms import name_word
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.operation import OperationCall, OperationRefused
from hub.operations.replays import replay_orders
from hub.operations.replays.plan_operations import FoundPlans, PlanSearch
from hub.store.transactions import Transaction


def list_plans(call: OperationCall) -> Callable[[Transaction], FoundPlans]:
    """Return the step that reads a page of the plans (`PlanSearch`)."""
    asked: PlanSearch = call.asked

    def step(tx: Transaction) -> FoundPlans:
        found = replay_orders.list_visible_plans(tx, call.maker, asked.limit + 1, asked.cursor or None)
        shown = found[: asked.limit]
        return FoundPlans(items=shown, next=shown[-1].id if len(found) > asked.limit else None)

    return step


def _steer_plan(call: OperationCall, what: str) -> Callable[[Transaction], ReplayPlan]:
    """Return the step that takes the step *what* of the plan *subject*. It raises `OperationRefused`."""
    over = call.config.replay.approve_over

    def step(tx: Transaction) -> ReplayPlan:
        try:
            user = call.maker or (_find_approver(tx, call) if what == "approve" else None)
            return replay_orders.steer_plan(tx, user, call.subject, what, by=call.by, now=call.now, approve_over=over)
        except KeyError:
            raise OperationRefused("plan-unknown", phrase("there is no plan {plan}", plan=call.subject)) from None
        except SamePerson as same:
            why = phrase("{person} made the plan: another person must approve it", person=str(same))
            raise OperationRefused("same-person", why) from None
        except PlanUnmovable as unmovable:
            state = str(unmovable.state)
            why = Phrase("{value}", {"value": state, "state": name_word("plan", state)})
            raise OperationRefused("state-unfit", why) from None

    return step


def _find_approver(tx: Transaction, call: OperationCall) -> User:
    """Return the account of the name of who has a shell, which may approve: one person is one identity here and there.

    Raises `OperationRefused`, and KeyError if there is no plan.
    """
    plan_rows.read_plan(tx, call.subject)
    user = users.find_user(tx, call.by.lower())
    if user is None or not user.may(Permission.APPROVE):
        why = phrase(
            "{name} is no account of the console that may approve: sign in there, and approve it", name=call.by
        )
        raise OperationRefused("approver-unknown", why)
    return attrs.evolve(user, day=find_local_day(call.now))


start_plan = partial(_steer_plan, what="start")
pause_plan = partial(_steer_plan, what="pause")
resume_plan = partial(_steer_plan, what="resume")
cancel_plan = partial(_steer_plan, what="cancel")
approve_plan = partial(_steer_plan, what="approve")
