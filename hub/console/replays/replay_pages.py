"""The pages of replay plans: the list, a new plan, one plan with its deliveries and the buttons that steer it.

Contains the fields of the forms, and what each page reads. Reading an order and steering a plan are
`replay_orders`. Contains no HTTP and no SQL.

    /replays[?before=ID]                 the plans, newest first
    /replays/new?FIELD=VALUE…            the form for a new plan, filled in with the fields of a search
    /replays                             by POST: makes the plan; the hub chooses its deliveries
    /replays/ID[?after=NUMBER][&now=STATE]  one plan; while it is carried out, a script keeps the page fresh
    /replays/ID                          by POST, with `do`: start, pause, resume, cancel, approve
    /replays/ID/compare                  the packet of a correction beside that of the original
    /replays/correct/MESSAGE             the packet of a message in a text area; by POST plans its correction
"""

from collections.abc import Callable, Mapping
from datetime import datetime

import attrs

from hub.console.page import PageAnswer, PageValues, console_page
from hub.console.replays.correction_pages import read_in_turn
from hub.console.visit import Visit
from hub.delivery.correction_runner import CorrectionRunner
from hub.domain.fair_queue import CONSOLE
from hub.domain.model import DeliveryState
from hub.journal.replays import replay_plans
from hub.journal.replays.replay_plans import KeyReused, SamePerson
from hub.journal.replays.replay_rules import ACTIVE, PLAN, PlanState, PlanUnmovable
from hub.language.phrases import Phrase, phrase
from hub.language.sorting import make_code_sort_key
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.operations.refusals import refuse_as_absent
from hub.operations.replays import replay_orders
from hub.operations.replays.order_fields import REASON, FieldUnfit
from hub.operations.replays.plan_operations import PLANS, TOPIC
from hub.operations.replays.replay_orders import ITEMS, LONGEST, SEARCH, STEPS, may_press
from hub.operations.turns import ReadingTurns
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal
from hub.units.live import Live

#: States of a queued delivery that the hub will change by itself.
_UNDER_WAY = frozenset({DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.HELD, DeliveryState.FETCHED})
#: Fields of the form for a new plan.
FIELDS = (*SEARCH, "id", "to", "again", "reason", "rate", "stop_after", "key")


@attrs.define(eq=False)
class ReplayPages:
    """Makes the pages of replay plans."""

    _journal: Journal  #: the journal to read and write
    _live: Live  #: the configuration and the province in force
    _word: Callable[[], str]  #: returns a new random word: the key of an order
    _work: Work  #: runs XML work where its cost says
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    turns: ReadingTurns  #: limits what is read

    @console_page("GET", "/replays", does=TOPIC.operations[:1], template="replays")
    @read_in_turn
    async def list_replays(self, visit: Visit) -> PageAnswer:
        """Show the plans, newest first."""
        before = visit.asked.query.get("before", "")[:36] or None
        plans = await self._journal.read(replay_orders.list_visible_plans, visit.user, PLANS + 1, before)
        more = build_page_path("replays", before=plans[PLANS - 1].id) if len(plans) > PLANS else None
        return {"plans": plans[:PLANS], "more": more, "before": before}

    @console_page("GET", "/replays/new", right=Permission.REPLAY, template="replay_new")
    @read_in_turn
    async def ask_replay(self, visit: Visit) -> PageAnswer:
        """Show the form for a new plan, filled in with the fields of a search."""
        return self._ask(visit.user, visit.asked.query)

    def _ask(self, user: User, given: Mapping[str, str], wrong: Phrase | None = None) -> PageValues:
        fields = {name: given.get(name, "")[:REASON] for name in FIELDS}
        if "again" not in given and fields["delivery"] == DeliveryState.DELIVERED:
            fields["again"] = "1"  # a search of what was delivered
        if "to" not in given and fields["sent_to"] in self._live.config.partners:
            fields["to"] = fields["sent_to"]  # a search of what one partner gets
        said = {
            "fields": fields | {"key": fields["key"] or self._word()},
            "wrong": wrong,
            "partners": sorted(user.keep_visible(self._live.config.partners), key=make_code_sort_key),
        }
        return PageValues(said, 422 if wrong else 200)

    @console_page("POST", "/replays", right=Permission.REPLAY, template="replay_new")
    async def plan_replay(self, visit: Visit) -> PageAnswer:
        """Make a plan; the hub chooses its deliveries."""
        user, form, now = visit.user, visit.asked.form, visit.now
        try:
            order = await replay_orders.read_order(self._journal, self._live, user, form, now)
            plan = await self._journal.admit(
                CONSOLE,
                replay_plans.make_plan,
                order.choice,
                key=f"{user.name} {form.get('key', '')[:LONGEST] or self._word()}",
                reason=order.reason,
                by=user.name,
                now=now,
                goes=False,
                rate=order.rate,
                stop_after=order.stop_after,
            )
        except FieldUnfit as unfit:
            return self._ask(user, form, unfit.why)
        except KeyReused:
            again = {name: value for name, value in form.items() if name != "key"}
            return self._ask(
                user, again, phrase("This form was sent before with other values. Send it again to make another plan.")
            )
        return build_page_path("replays", plan.id)

    @console_page("GET", "/replays/{plan_id}", right=Permission.SEE_REPLAYS, template="replay")
    @read_in_turn
    async def show_replay(self, visit: Visit, plan_id: str) -> PageAnswer:
        """Show one plan; while it is carried out, a script keeps the page fresh."""
        return await self._show(visit, plan_id)

    async def _show(self, visit: Visit, plan_id: str, wrong: Phrase | None = None, status: int = 200) -> PageValues:
        asked, user = visit.asked, visit.user
        after, state = asked.query.get("after", ""), asked.query.get("now", "")
        now = DeliveryState(state) if state in {*DeliveryState} else None
        try:
            place = int(after) if after.isdecimal() and len(after) < 10 else 0
            seen = await self._journal.read(replay_orders.read_shown_plan, user, plan_id, place, ITEMS, now)
        except KeyError:
            raise refuse_as_absent() from None
        plan = seen.plan
        more = seen.items[-1].number if len(seen.items) == ITEMS else None
        goes_on = plan.state in (*ACTIVE, PlanState.AWAITING) or not _UNDER_WAY.isdisjoint(seen.results)
        said = {
            "plan": plan,
            "results": seen.results,
            "items": seen.items,
            "wrong": wrong,
            "may": [
                what
                for what in STEPS
                if may_press(user, what, corrects=plan.corrects is not None) and (plan.state, STEPS[what]) in PLAN
            ],
            "goes_on": goes_on,
            "at": self._now(),
            "here_again": build_page_path("replays", plan.id, after=str(place) if place else None, now=now),
            "more": build_page_path("replays", plan.id, after=str(more), now=now) if more else None,
            "first": build_page_path("replays", plan.id, now=now) if place else None,
            "now": now,
        }
        return PageValues(said, status, live=goes_on)

    @console_page("POST", "/replays/{plan_id}", right=Permission.SEE_REPLAYS, template="replay")
    async def steer_replay(self, visit: Visit, plan_id: str) -> PageAnswer:
        """Start, pause, resume, cancel or approve the plan, as `do` says."""
        asked, user, now = visit.asked, visit.user, visit.now
        what = asked.form.get("do", "")
        if not may_press(user, what):
            raise refuse_as_absent()
        try:
            over = self._live.config.replay.approve_over
            plan = await self._journal.admit(
                CONSOLE,
                replay_orders.steer_plan,
                user,
                plan_id,
                what,
                by=user.name,
                now=now,
                approve_over=over,
            )
            if plan.corrects is not None and plan.state is PlanState.RUNNING:
                _ = await CorrectionRunner(CONSOLE, self._journal, self._live, self._work, self._now).run(plan)
        except KeyError:
            raise refuse_as_absent() from None
        except SamePerson:
            return await self._show(visit, plan_id, phrase("You made this plan: another person must approve it."), 409)
        except PlanUnmovable:
            return await self._show(visit, plan_id, phrase("The plan has changed meanwhile; see its state below."), 409)
        return build_page_path("replays", plan_id)
