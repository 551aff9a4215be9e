"""The pages of replay plans: the list, a new plan, one plan with its deliveries and the buttons that steer it.

Contains the fields of the forms, what each page reads, and which button needs which permission. Contains no HTTP and
no SQL.

    /replays[?before=ID]                 the plans, newest first
    /replays/new?FIELD=VALUE…            the form for a new plan, filled in with the fields of a search
    /replays                             by POST: makes the plan; the hub chooses its deliveries
    /replays/ID[?after=NUMBER][&live=1]  one plan; live: the page loads itself again
    /replays/ID                          by POST, with `do`: start, pause, resume, cancel, approve
    /replays/ID/compare                  the packet of a correction beside that of the original
    /replays/correct/MESSAGE             the packet of a message in a text area; by POST plans its correction
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import attrs

from hub.console import layout, message_list, users
from hub.console.permissions import Permission
from hub.console.replays.correction_pages import (
    REASON,
    CorrectionPages,
    FieldUnfit,
    ReplayPage,
    clean_field,
    read_reason,
)
from hub.console.request import ConsoleRequest, refuse_as_absent
from hub.console.users import User
from hub.delivery.correction_runner import CorrectionRunner
from hub.domain.fair_queue import CONSOLE
from hub.domain.local_time import find_local_day
from hub.journal.queue import replay_plans
from hub.journal.queue.replay import ReplayChoice
from hub.journal.queue.replay_plans import KeyReused, PlannedItem, ReplayPlan, SamePerson
from hub.journal.queue.replay_rules import ACTIVE, PLAN, PlanEvent, PlanState, PlanUnmovable
from hub.journal.search import MessageFilter
from hub.journal.search_request import SearchRequest, plan_search
from hub.language.phrases import Phrase, phrase
from hub.partner import rate_limit
from hub.partner.rate_limit import Rate
from hub.runtime.thread_pool import Work
from hub.store.group_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Plans, and deliveries of a plan, on one page.
PLANS, ITEMS = 50, 100
#: Maximum characters of a field; the forms have the same limits.
_LONGEST = 200
#: Fields that choose messages, as in the address of a search.
SEARCH = tuple(message_list.CHOOSING)
#: Addresses that are no plan's.
_NO_PLANS = frozenset({"new", "correct"})
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

    @property
    def _runner(self) -> CorrectionRunner:
        return CorrectionRunner(CONSOLE, self._journal, self._live, self._work, self._now)

    @property
    def _corrections(self) -> CorrectionPages:
        return CorrectionPages(self._journal, self._runner, self._word, self._work)

    async def show(self, asked: ConsoleRequest, user: User, now: datetime) -> ReplayPage:
        """Return the page for a GET request of *user*."""
        match asked.path[1:]:
            case ():
                return await self._list(asked, user)
            case ("new",) if user.may(Permission.REPLAY):
                return self._ask(user, asked.query)
            case ("correct", message) if user.may(Permission.CORRECT):
                return await self._corrections.show(user, message, now)
            case (plan,) if plan not in _NO_PLANS:
                return await self._show(asked, user, plan)
            case (plan, "compare") if plan not in _NO_PLANS:
                return await self._corrections.compare(user, plan, now)
        raise refuse_as_absent()

    async def act(self, asked: ConsoleRequest, user: User, now: datetime) -> ReplayPage | str:
        """Do what a form of *user* asks. Return the address of the next page, or the page that says why not."""
        match asked.path[1:]:
            case () if user.may(Permission.REPLAY):
                return await self._make(asked.form, user, now)
            case ("correct", message) if user.may(Permission.CORRECT):
                return await self._corrections.order(asked, user, message, now)
            case (plan,):
                return await self._steer(asked, user, plan, now)
        raise refuse_as_absent()

    async def _list(self, asked: ConsoleRequest, user: User) -> ReplayPage:
        before = asked.query.get("before", "")[:36] or None
        plans = await self._journal.read(_list_visible_plans, user, PLANS + 1, before)
        more = layout.build_page_path("replays", before=plans[PLANS - 1].id) if len(plans) > PLANS else None
        return ReplayPage("replays", {"plans": plans[:PLANS], "more": more, "before": before})

    def _ask(self, user: User, given: Mapping[str, str], wrong: Phrase | None = None) -> ReplayPage:
        fields = {name: given.get(name, "")[:REASON] for name in FIELDS}
        said = {
            "fields": fields | {"key": fields["key"] or self._word()},
            "wrong": wrong,
            "partners": sorted(user.keep_visible(self._live.config.partners)),
        }
        return ReplayPage("replay_new", said, 422 if wrong else 200)

    async def _make(self, form: Mapping[str, str], user: User, now: datetime) -> ReplayPage | str:
        try:
            choice = await self._read_choice(form, user, now)
            reason = read_reason(form.get("reason", ""))
            rate, stop_after = _read_rate(form.get("rate", "")), _read_number(form.get("stop_after", ""))
            plan = await self._journal.admit(
                CONSOLE,
                replay_plans.make_plan,
                choice,
                key=f"{user.name} {form.get('key', '')[:_LONGEST] or self._word()}",
                reason=reason,
                by=user.name,
                now=now,
                goes=False,
                rate=rate,
                stop_after=stop_after,
            )
        except FieldUnfit as unfit:
            return self._ask(user, form, unfit.why)
        except KeyReused:
            again = {name: value for name, value in form.items() if name != "key"}
            return self._ask(
                user, again, phrase("This form was sent before with other values. Send it again to make another plan.")
            )
        return layout.build_page_path("replays", plan.id)

    async def _read_choice(self, form: Mapping[str, str], user: User, now: datetime) -> ReplayChoice:
        said = {name: clean_field(form.get(name, ""), _LONGEST) for name in (*SEARCH, "id", "to")}
        if not any(said.values()):
            raise FieldUnfit(phrase("Choose by at least one field; everything at once is refused."))
        config = self._live.config
        names = {code: partner.name for code, partner in user.keep_visible(config.partners).items()}
        if said["to"] and said["to"] not in names:
            raise FieldUnfit(phrase("There is no partner {code}.", code=said["to"]))
        plan = await self._journal.read(plan_search, _read_request(said), names, config.upstream, find_local_day(now))
        for each in plan.unknown:
            wrong = phrase("There is no partner {code}.", code=each.value)
            unit = phrase("There is no unit {code}, or there are several.", code=each.value)
            raise FieldUnfit(wrong if each.field == "partner" else unit)
        ids = tuple(said["id"].split())
        filters = await self._journal.read(_limit_filters, user, plan.filters)
        wanted = [attrs.evolve(each, ids=ids or each.ids) for each in filters]
        return ReplayChoice.of(wanted, None, said["to"] or None, again=form.get("again") == "1", made_at=now)

    async def _show(
        self, asked: ConsoleRequest, user: User, plan_id: str, wrong: Phrase | None = None, status: int = 200
    ) -> ReplayPage:
        after = asked.query.get("after", "")
        try:
            seen = await self._journal.read(_read_shown, user, plan_id, int(after) if after.isdecimal() else 0)
        except KeyError:
            raise refuse_as_absent() from None
        plan = seen.plan
        shown = {name: value for name, value in asked.query.items() if name in {"after", "live"}}
        more = seen.items[-1].number if len(seen.items) == ITEMS else None
        live = asked.query.get("live") == "1" and plan.state in ACTIVE
        said = {
            "plan": plan,
            "results": seen.results,
            "items": seen.items,
            "wrong": wrong,
            "may": [
                what
                for what in _BUTTONS
                if may_press(user, what, corrects=plan.corrects is not None) and (plan.state, _BUTTONS[what]) in PLAN
            ],
            "active": plan.state in ACTIVE,
            "live": live,
            "here_again": layout.build_page_path("replays", plan.id, **shown),
            "live_address": layout.build_page_path("replays", plan.id, **shown | {"live": None if live else "1"}),
            "more": layout.build_page_path("replays", plan.id, after=str(more)) if more else None,
            "first": layout.build_page_path("replays", plan.id) if after else None,
        }
        return ReplayPage("replay", said, status)

    async def _steer(self, asked: ConsoleRequest, user: User, plan_id: str, now: datetime) -> ReplayPage | str:
        what = asked.form.get("do", "")
        if not may_press(user, what):
            raise refuse_as_absent()
        try:
            corrects = (await self._journal.read(_read_visible_plan, user, plan_id)).corrects
            if corrects is not None and not (
                may_press(user, what, corrects=True) and await self._corrections.sees(user, corrects)
            ):
                raise refuse_as_absent()
            plan = await self._change(plan_id, what, user.name, now)
            if plan.corrects is not None and plan.state is PlanState.RUNNING:
                _ = await self._runner.run(plan)
        except KeyError:
            raise refuse_as_absent() from None
        except SamePerson:
            return await self._show(
                asked, user, plan_id, phrase("You made this plan: another person must approve it."), 409
            )
        except PlanUnmovable:
            return await self._show(
                asked, user, plan_id, phrase("The plan has changed meanwhile; see its state below."), 409
            )
        return layout.build_page_path("replays", plan_id)

    async def _change(self, plan_id: str, what: str, by: str, now: datetime) -> ReplayPlan:
        if what == "start":
            over = self._live.config.replay.approve_over
            return await self._journal.admit(
                CONSOLE, replay_plans.start_plan, plan_id, by=by, now=now, approve_over=over
            )
        if what == "approve":
            return await self._journal.admit(CONSOLE, replay_plans.approve_plan, plan_id, by=by, now=now)
        return await self._journal.admit(CONSOLE, replay_plans.change_plan, plan_id, _BUTTONS[what], by=by, now=now)


#: The permission that each button needs. Who may approve a plan may also reject it.
_NEEDED = {
    "start": {Permission.REPLAY},
    "approve": {Permission.APPROVE},
    "pause": {Permission.REPLAY},
    "resume": {Permission.REPLAY},
    "cancel": {Permission.REPLAY, Permission.APPROVE},
}
#: The buttons of a plan, and the event for which a state must have room.
_BUTTONS = {
    "start": PlanEvent.RUN,
    "approve": PlanEvent.APPROVE,
    "pause": PlanEvent.PAUSE,
    "resume": PlanEvent.RESUME,
    "cancel": PlanEvent.CANCEL,
}


def may_press(user: User, what: str, *, corrects: bool = False) -> bool:
    """Tell whether *user* may press the button *what*: has one of the permissions that it needs.

    *corrects*: the plan is a correction. It is one commit, so it is never paused, and who sends it may correct.
    """
    if corrects and what in {"start", "resume", "pause"}:
        return what != "pause" and user.may(Permission.CORRECT)
    return any(map(user.may, _NEEDED.get(what, ())))


@attrs.frozen
class _Shown:
    plan: ReplayPlan
    results: Mapping[str, int]  #: the queued deliveries by their state now
    items: list[PlannedItem]


def _list_visible_plans(tx: Transaction, user: User, limit: int, before: str | None) -> list[ReplayPlan]:
    seen = users.read_visible_units(tx, user)
    return replay_plans.list_plans_within(tx, limit, before, seen, user.visible_partners)


def _read_visible_plan(tx: Transaction, user: User, plan_id: str) -> ReplayPlan:
    """Return the plan. Raises KeyError if there is none, or if it may concern what *user* does not see."""
    plan = replay_plans.read_plan(tx, plan_id)
    if not plan.choice.is_within(users.read_visible_units(tx, user), user.visible_partners):
        raise KeyError(plan_id)
    return plan


def _limit_filters(tx: Transaction, user: User, filters: Sequence[MessageFilter]) -> list[MessageFilter]:
    return message_list.limit_filters(user, users.read_visible_units(tx, user), filters)


def _read_shown(tx: Transaction, user: User, plan_id: str, after: int) -> _Shown:
    plan = _read_visible_plan(tx, user, plan_id)
    results = replay_plans.count_results(tx, plan_id) if plan.queued else {}
    return _Shown(plan, results, replay_plans.list_items(tx, plan_id, after, ITEMS))


def _read_request(said: Mapping[str, str]) -> SearchRequest:
    """Return what the fields of a search ask for. A search that would be widened is refused."""
    query = message_list.parse_list_query(said)
    for wrong in query.wrong:
        raise FieldUnfit(wrong)
    if bool(said["state"]) != bool(query.asked.state) or bool(said["direction"]) != bool(query.asked.direction):
        raise FieldUnfit(phrase("This search finds no messages that could be replayed."))
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
