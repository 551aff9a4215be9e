"""The operations on plans to replay: each step writes its event, and each refusal is said in the same way by both faces."""

import json
from pathlib import Path

import pytest

from hub.api.table import OPERATIONS
from hub.journal.replays import plan_rows
from hub.operations.operation import OperationCall
from hub.operations.replays.plan_operations import TOPIC, PlanSearch
from hub.operations.replays.plan_steps import list_plans
from hub.store import transactions
from tests import homes
from tests.api_callers import Program
from tests.console_town import Town
from tests.homes import engine_of
from tests.journal.test_replay_plans import bring, order, run

#: The steps of a plan in an order in which its state has room for each.
STEPS = ("startPlan", "pausePlan", "resumePlan", "cancelPlan")


def test_each_step_of_a_plan_writes_an_event_in_the_name_of_who_takes_it(town: Town) -> None:
    program = Program(town, name="kho")
    bring(town.engine, 2)
    plan = run(town.engine, order(town.engine, again=True, goes=False)).id
    steps = {each.name: each for each in TOPIC.operations if each.event}
    assert {*STEPS, "approvePlan"} == {*steps}
    for name in STEPS:
        before = len(town.told("replay-plan"))
        assert program.post(steps[name].address.format(plan=plan)).status == 200, program.said
        (told,) = town.told(steps[name].event)[before:]
        assert (told["plan"], told["by"]) == (plan, "an/kho")
    assert program.post(f"/replays/{plan}/resume").status == 409
    assert (program.said["code"], program.said["detail"]) == ("state-unfit", "cancelled")


def test_a_step_that_does_not_fit_ends_the_command_with_the_name_of_the_state(tmp_path: Path) -> None:
    home = homes.begin(tmp_path / "tinh")
    bring(engine_of(home), 1)
    plan = run(engine_of(home), order(engine_of(home), again=True, goes=False)).id
    type_ = homes.typing(home, "replays")
    assert json.loads(type_("cancel", plan, "--json").stdout)["state"] == "cancelled"
    for language, said in {"vi": "«đã hủy»", "en": "«cancelled»"}.items():
        done = type_("pause", plan, language=language)
        assert (done.exit_code, said in done.stderr) == (1, True), done.stderr
    assert type_("pause", "none").exit_code == 4


def test_the_api_has_a_page_of_plans_and_the_command_as_many_as_are_asked_for(town: Town, tmp_path: Path) -> None:
    bring(town.engine, 1)
    ids = [order(town.engine, again=True, key=str(number)).id for number in range(3)]
    call = OperationCall(
        asked=PlanSearch(limit=2, cursor=max(ids)), by="an", now=town.now, config=town.pages().parts.live.config
    )
    with transactions.read_transaction(town.engine) as tx:
        found = list_plans(call)(tx)
        assert [each.id for each in found.items] == sorted(ids)[1::-1]
        assert found.next is None
        assert len(plan_rows.list_plans(tx, 9)) == 3
    (listed,) = [each for each in OPERATIONS if each.name == "listPlans"]
    assert [each.name for each in listed.parameters] == ["cursor"]
    said = homes.typing(homes.begin(tmp_path / "tinh"), "replays")("list", "--help").stdout
    assert "--limit" in said
    assert "[default: 20; x>=1]" in said


@pytest.mark.parametrize("name", ["none", "x y"])
def test_a_plan_that_is_not_there_is_nowhere(town: Town, name: str) -> None:
    program = Program(town)
    for what in ("start", "approve"):
        assert program.post(f"/replays/{name}/{what}").status == 404
