"""The operations on plans to replay: list them, start, pause, resume, cancel and approve one.

Contains no page, no address and no command: those are made of the values below. What an operation does is in
`hub.operations.replays.plan_steps`, so that the help of a command loads nothing of it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import attrs

from hub.journal.replays.replay_rules import PlanState
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.operation import (
    CURSOR,
    CommandWords,
    Cursor,
    HubOperation,
    Option,
    RefusalKind,
    RefusalMeaning,
    Subject,
    Topic,
)

if TYPE_CHECKING:
    from hub.journal.replays.plan_rows import ReplayPlan

#: Plans on one page.
PLANS = 50
#: The permissions of which a step needs one. Who may approve a plan may also reject it.
NEEDED = {
    "start": (Permission.REPLAY,),
    "approve": (Permission.APPROVE,),
    "pause": (Permission.REPLAY,),
    "resume": (Permission.REPLAY,),
    "cancel": (Permission.REPLAY, Permission.APPROVE),
}


@attrs.frozen(kw_only=True)
class PlanSearch:
    """Which plans are listed."""

    limit: Annotated[int, Option(phrase("Maximum number."), least=1, default=20)] = PLANS
    cursor: Annotated[
        str,
        CURSOR,
        Option(phrase("Continue behind the plan with this id, the last one of a page."), metavar="ID", typed="before"),
    ] = ""


@attrs.frozen(kw_only=True)
class Plan:
    """A plan to replay deliveries."""

    id: str
    state: PlanState
    made_at: datetime
    made_by: str
    reason: str
    changed_at: datetime
    changed_by: str
    approved_by: str | None
    rate: str | None
    stop_after: int | None
    chooses: Annotated[Mapping[str, Any], phrase("the conditions that choose the deliveries")]
    chosen: int
    delivered_before: Annotated[int, phrase("chosen ones that were delivered before")]
    in_closed_report: Annotated[int, phrase("chosen ones whose message was received in a closed month")]
    octets: int
    partners: Annotated[Mapping[str, int], phrase("chosen ones by partner")]
    left_out: Annotated[Mapping[str, int], phrase("excluded ones by reason")]
    queued: int
    left: Annotated[int, phrase("chosen ones that were left alone, because they had changed")]
    waits: Annotated[int, phrase("chosen ones that are not queued yet")]
    results: Annotated[Mapping[str, int] | None, phrase("queued ones by their state now; null in a list")]
    corrects: Annotated[str | None, phrase("of a correction: the hub's id of the message that is corrected")]
    corrected: Annotated[str | None, phrase("of a correction: the hub's id of the message that went in its place")]

    @classmethod
    def of(cls, plan: "ReplayPlan", results: Mapping[str, int] | None = None) -> "Plan":
        """Return the plan. *results*: the queued deliveries by their state now."""
        row = write_row(plan)
        own = {each.name: row[each.name] for each in attrs.fields(cls) if each.name in row}
        return cls(**own | {"state": plan.state, "chooses": row["choice"], "results": results})


@attrs.frozen(kw_only=True)
class PlanList:
    """A page of plans, newest first."""

    items: Sequence[Plan]
    next: Cursor


@attrs.frozen(kw_only=True)
class FoundPlans:
    """A page of plans as the journal has them."""

    items: "Sequence[ReplayPlan]"
    next: str | None

    def write(self) -> PlanList:
        """Return the page as the API has it."""
        return PlanList(items=list(map(Plan.of, self.items)), next=self.next)


def write_row(plan: "ReplayPlan") -> dict[str, Any]:
    """Return a plan as `--json` shows it."""
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


# --- the operations ---------------------------------------------------------------------------------------------------


def _make_steering_operation(what: str, name: str, about: Phrase, said: Phrase) -> HubOperation:
    """Return the operation that takes the step *what* of a plan; *said*: the help of its command."""
    return HubOperation(
        name=name,
        about=about,
        rights=NEEDED[what],
        subject=Subject("plan", phrase("id of the plan"), typed="id"),
        answers=Plan,
        write=Plan.of,
        does=f"hub.operations.replays.plan_steps:{what}_plan",
        event="replay-plan",
        address=f"/replays/{{plan}}/{what}",
        command=CommandWords(
            name=what,
            about=said,
            examples=(f"lienthong replays {what} 0193…",),
            write_row=write_row,
            scopes={"state": "plan"},
            said=phrase("{id}: {state}"),
            refusals={"state-unfit": phrase("the plan is in the state «{state}», which this does not fit")},
        ),
    )


TOPIC = Topic(
    name="replays",
    about=phrase("Plans to replay many deliveries: list, show, start, pause, resume, cancel, approve."),
    operations=(
        HubOperation(
            name="listPlans",
            about=phrase("List the plans, newest first, 50 on a page."),
            rights=(Permission.SEE_REPLAYS,),
            takes=PlanSearch,
            answers=PlanList,
            write=FoundPlans.write,
            does="hub.operations.replays.plan_steps:list_plans",
            address="/replays",
            command=CommandWords(
                name="list",
                about=phrase("List the plans, newest first."),
                examples=("lienthong replays list --json",),
                write_row=write_row,
                columns={
                    "id": phrase("id"),
                    "made_at": phrase("made"),
                    "made_by": phrase("made by"),
                    "state": phrase("state"),
                    "chosen": phrase("chosen"),
                    "queued": phrase("queued"),
                    "reason": phrase("reason"),
                },
                scopes={"state": "plan"},
                empty=phrase("There is no plan yet: lienthong replay"),
            ),
        ),
        _make_steering_operation(
            "start",
            "startPlan",
            phrase("Start a plan whose deliveries are chosen."),
            phrase("Start a plan that was made in the console and not started yet."),
        ),
        _make_steering_operation(
            "pause",
            "pausePlan",
            phrase("Pause a plan. What it has queued stays queued."),
            phrase("Pause a plan. What it has queued stays queued."),
        ),
        _make_steering_operation(
            "resume",
            "resumePlan",
            phrase("Resume a plan that was paused or that errors stopped."),
            phrase("Resume a plan that was paused, or that errors stopped; its errors count anew."),
        ),
        _make_steering_operation(
            "cancel",
            "cancelPlan",
            phrase("Cancel a plan. What it has queued stays queued."),
            phrase("Cancel a plan for good. What it has queued stays queued."),
        ),
        _make_steering_operation(
            "approve",
            "approvePlan",
            phrase("Approve a plan that another person has made."),
            phrase(
                "Approve a plan of another person that `replay.approve-over` or `replay.approve-corrected` holds back."
            ),
        ),
    ),
    refusals={
        "plan-unknown": RefusalMeaning(RefusalKind.ABSENT, "plan"),
        "same-person": RefusalMeaning(RefusalKind.CONFLICT),
        "state-unfit": RefusalMeaning(RefusalKind.CONFLICT),
        "approver-unknown": RefusalMeaning(RefusalKind.CONFLICT),
    },
)
