"""The operations of what-if: past packets by other schemas or another policy, a report by another form. Nothing is sent.

A trial is a job: making one answers 202 with its address, and it tells how far it is. It is kept on its node for an hour.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

import attrs

from hub.api.messages import ApiSearchConditions
from hub.api.operation import ROOT, ApiCall, ApiOperation, answer_value
from hub.api.problems import ApiProblem
from hub.api.schemas import At, Projected
from hub.domain.model import Detail, MessageState
from hub.edxml.schema_upload import SchemasUnfit, replace_schemas
from hub.intake.what_if import RejudgedMessage, RulesEffect
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts.permissions import Permission
from hub.operations.accounts.users import User
from hub.operations.operation import LONG
from hub.operations.page_paths import build_page_path
from hub.operations.partners.rule_trials import MOST, RuleTrial, TrialOrder, TrialState, may_see_details, read_most
from hub.operations.parts import OperationParts
from hub.operations.replays import replay_orders
from hub.report.counting.deriving import Number
from hub.web.answers import ConsoleResponse
from hub.workload.form_trial import DifferingCell

_XSD = phrase("an XSD that takes the place of the hub's file of that name")


@attrs.frozen(kw_only=True)
class ApiRulesOrder(ApiSearchConditions):
    """Rules to try, and conditions as in the search of messages."""

    asked = True
    document_xsd: Annotated[str | None, _XSD, LONG] = None
    status_xsd: Annotated[str | None, _XSD, LONG] = None
    parts_xsd: Annotated[str | None, _XSD, LONG] = None
    policy: Annotated[tuple[str, ...], phrase("KEY=VALUE of a policy, for every partner")] = ()
    most: Annotated[int, phrase("the newest messages, so many; at most 10,000")] = MOST

    def schemas(self) -> Mapping[str, str]:
        """Return the given schemas by their place."""
        given = {f"{name}.xsd": getattr(self, f"{name}_xsd") for name in ("document", "status", "parts")}
        return {place: text for place, text in given.items() if text}


@attrs.frozen(kw_only=True)
class ApiFormOrder:
    """A form to count a report by."""

    asked = True
    form: Annotated[str, phrase("the form, TOML"), LONG]
    period: Annotated[str, phrase("2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026")]
    unit: Annotated[str, phrase("empty: the province")] = ""


@attrs.frozen(kw_only=True)
class ApiRuleProblem:
    """A reason to refuse a packet."""

    code: str
    detail: Annotated[Detail | None, phrase("null without see-content")]


@attrs.frozen(kw_only=True)
class ApiRuleChange(Projected[RejudgedMessage]):
    """A message for which something would change."""

    message: Annotated[str, At("message.id")]
    received_at: Annotated[datetime, At("message.received_at")]
    partner: Annotated[str, At("message.partner")]
    code: Annotated[str | None, At("message.code")]
    state: Annotated[MessageState, At("message.state")]
    effect: RulesEffect
    problems: Annotated[
        Sequence[ApiRuleProblem], phrase("by the tried rules; of would-accept by the rules in force; at most 20")
    ]

    @classmethod
    def of(cls, found: RejudgedMessage, *, details: bool) -> "ApiRuleChange":
        """Return what would change."""
        return cls.project(
            found,
            problems=[
                ApiRuleProblem(code=each.code, detail=each.detail if details else None) for each in found.problems
            ],
        )


@attrs.frozen(kw_only=True)
class ApiRuleTrial(Projected[RuleTrial]):
    """A trial, and what it has found so far."""

    id: str
    made_at: datetime
    state: TrialState
    why: Annotated[Phrase | None, phrase("why it failed")]
    total: Annotated[int, phrase("messages to judge")]
    judged: int
    left: Annotated[int, phrase("not judged: bytes or partner are gone")]
    effects: Annotated[Mapping[str, int], phrase("messages by what would change")]
    changes: Annotated[Sequence[ApiRuleChange], phrase("the newest 500; none without find-messages")]

    @classmethod
    def of(cls, trial: RuleTrial, user: User) -> "ApiRuleTrial":
        """Return the trial, and what *user* may see of it."""
        shown = trial.changes if user.may(Permission.FIND_MESSAGES) else ()
        return cls.project(trial, changes=[ApiRuleChange.of(each, details=may_see_details(user)) for each in shown])


@attrs.frozen(kw_only=True)
class ApiDifferingCell(Projected[DifferingCell]):
    """A cell that the tried form counts otherwise."""

    unit: str
    total: Annotated[bool, phrase("true: the sum over the unit and all below it")]
    column: str
    before: Annotated[float | datetime | None, phrase("by the form in force")]
    after: Annotated[float | datetime | None, phrase("by the tried form")]


@attrs.frozen(kw_only=True)
class ApiFormTrial:
    """What another form would change of a report."""

    form: str
    cells: Annotated[Sequence[ApiDifferingCell], phrase("the first 500")]


def _write_cell(value: Number | datetime) -> float | datetime | None:
    return value if value is None or isinstance(value, datetime) else float(value)


async def try_rules(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Begin a trial of other schemas or another policy."""
    wanted: ApiRulesOrder = call.body
    try:
        most = read_most(str(wanted.most))
        given = {place: text.encode("utf-8", "replace") for place, text in wanted.schemas().items()}
        said = wanted.conditions()
        filters = await replay_orders.read_filters(parts.journal, parts.live, call.user, said, call.now)
        order = TrialOrder(
            schemas=replace_schemas(given) if given else {},
            policy=wanted.policy,
            filters=tuple(filters),
            search=" ".join(f"{name}={value}" for name, value in said.items() if value),
            most=most,
        )
        trial = await parts.trials.start(call.user, order, call.now)
    except SchemasUnfit as unfit:
        raise ApiProblem("order-unfit", unfit.why) from None
    return _answer_rule_trial(call, trial, status=202)


async def read_trial(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Answer with a trial."""
    return _answer_rule_trial(call, _find_rule_trial(parts, call))


async def cancel_trial(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Cancel a trial."""
    trial = _find_rule_trial(parts, call)
    parts.trials.cancel(trial)
    return _answer_rule_trial(call, trial)


def _find_rule_trial(parts: OperationParts, call: ApiCall) -> RuleTrial:
    try:
        return parts.trials.find(call.user, call.text("trial"))
    except KeyError:
        raise ApiProblem("not-found") from None


def _answer_rule_trial(call: ApiCall, trial: RuleTrial, status: int = 200) -> ConsoleResponse:
    location = build_page_path(*ROOT, "what-if", "rules", trial.id) if status == 202 else None
    return answer_value(ApiRuleTrial.of(trial, call.user), call, status=status, location=location)


async def try_form(parts: OperationParts, call: ApiCall) -> ConsoleResponse:
    """Count a report by another form."""
    wanted: ApiFormOrder = call.body
    content = wanted.form.encode("utf-8", "replace")
    words = (content, wanted.period, wanted.unit, call.now)
    form, cells = await parts.trials.count_form(call.user, call.wanted, *words)
    said = [
        ApiDifferingCell.project(each, before=_write_cell(each.before), after=_write_cell(each.after)) for each in cells
    ]
    return answer_value(ApiFormTrial(form=form.id, cells=said), call)


_trying = partial(ApiOperation, method="POST", tag="what-if", scopes=(Permission.REPLAY,))
OPERATIONS = (
    _trying(
        name="tryRules",
        path="/what-if/rules",
        about=phrase("Judge past packets again by other schemas or another policy. Nothing is sent or changed."),
        takes=ApiRulesOrder,
        answers=ApiRuleTrial,
        status=202,
        run=try_rules,
    ),
    ApiOperation(
        name="getTrial",
        path="/what-if/rules/{trial}",
        tag="what-if",
        about=phrase("Read a trial: how far it is, and the messages for which something would change."),
        scopes=(Permission.REPLAY,),
        answers=ApiRuleTrial,
        run=read_trial,
    ),
    _trying(
        name="cancelTrial",
        path="/what-if/rules/{trial}/cancel",
        about=phrase("Cancel a trial. What it has found stays."),
        answers=ApiRuleTrial,
        run=cancel_trial,
    ),
    ApiOperation(
        name="tryForm",
        method="POST",
        path="/what-if/forms",
        tag="what-if",
        about=phrase("Count a report again by another form, and tell the cells that differ."),
        scopes=(Permission.SEE_REPORTS,),
        takes=ApiFormOrder,
        answers=ApiFormTrial,
        run=try_form,
    ),
)
