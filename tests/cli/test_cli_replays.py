"""Replaying at the command line: the plan, the run, the plans that go on, a second person, and every verb of the manual."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result

from hub.cli.replays.commands import replays
from hub.domain.model import DeliveryState
from hub.journal.fact_reading import fact_rows
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.replay_rules import PlanEvent
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.store import transactions
from tests import homes
from tests.conftest import ROOT
from tests.homes import Type, engine_of
from tests.journal.test_replay_plans import LATER, bring, order, push, read, run, states, told
from tests.province import NOW, ROUTES


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A hub with a dead delivery and two that were delivered."""
    home = homes.begin(tmp_path / "tinh")
    bring(engine_of(home), 3)
    push(engine_of(home), DeliveryState.DEAD, DeliveryState.DELIVERED)
    return home


@pytest.fixture
def type_(home: Path) -> Type:
    return homes.typing(home)


def rows(done: Result, code: int = 0) -> list[dict[str, Any]]:
    assert done.exit_code == code, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_shape_of_the_rows_is_as_it_was_and_the_words_say_queued(home, type_):
    (planned,) = rows(type_("replay", "--partner", "vpub", "--reason", "x", "--json"))
    assert {"id", "message_id", "recipient", "partner", "attempts", "reason", "size", "action"} <= set(planned)
    assert (planned["action"], planned["reason"]) == ("planned", "refused: no")
    assert states(engine_of(home))[DeliveryState.DEAD] == 1, "a plan changes nothing"
    assert rows(type_("replays", "list", "--json")) == []
    done = type_("replay", "--partner", "vpub", "--reason", "x", "--yes")
    assert "1 deliveries queued." in done.stderr
    assert "replayed" not in done.output
    assert "đã xếp hàng" in type_("replays", "show", plan_of(type_), "--items", language="vi").stdout
    shown = type_("replays", "show", plan_of(type_), "--delivery-state", "dead", "--json").stdout.splitlines()
    assert len(shown) == 1, "nothing that it queued is dead"
    assert type_("replay", "--partner", "vpub", "--reason", "x", "--yes").exit_code == 4


def plan_of(type_: Type) -> str:
    return str(rows(type_("replays", "list", "--limit", "1", "--json"))[0]["id"])


def test_again_sends_what_was_delivered_and_a_key_lets_it_run_once(home, type_):
    engine = engine_of(home)
    counted = read(engine, lambda tx: list(fact_rows.read_facts(tx)))
    words = ("replay", "--again", "--to", "vpub", "--reason", "sao lưu", "--key", "k1", "--yes", "--json")
    assert [row["action"] for row in rows(type_(*words))] == ["replayed"] * 3
    push(engine, DeliveryState.DELIVERED, now=datetime.now(UTC) + timedelta(days=1))
    rows(type_(*words))
    assert len(told(engine, "delivery-replayed")) == 3
    new = [fact for fact in read(engine, lambda tx: list(fact_rows.read_facts(tx))) if fact not in counted]
    told_of = [("H55.01", "received"), ("H55.13", "failed-over")]
    assert sorted((fact.unit, fact.milestone) for fact in new) == told_of, "of the one that had died"
    other = type_(*words[:-4], "--recipient", "H55.01", "--key", "k1", "--yes")
    assert (other.exit_code, "k1" in other.stderr) == (1, True)


def test_what_is_left_out_is_said(home, type_):
    bring(engine_of(home), 1, first=9)
    found = rows(type_("replay", "--again", "--to", "vpub", "--reason", "x", "--json"))
    assert [row["reason"] for row in found if row["action"] == "excluded"] == ["under-way"]
    assert "còn đang chuyển" in type_("replay", "--again", "--to", "vpub", "--reason", "x", language="vi").stdout


def test_with_a_rate_the_running_hub_does_it(home, type_):
    done = type_("replay", "--again", "--to", "vpub", "--reason", "x", "--rate", "60/m", "--yes")
    assert (done.exit_code, "The running hub" in done.stderr) == (0, True)
    (plan,) = rows(type_("replays", "list", "--json"))
    assert (plan["state"], plan["chosen"], plan["queued"], plan["rate"]) == ("running", 3, 0, "60/m")
    assert rows(type_("replays", "pause", plan["id"], "--json"))[0]["state"] == "paused"
    assert rows(type_("replays", "pause", plan["id"], "--json"))[0]["state"] == "paused", "pressed twice"
    assert rows(type_("replays", "resume", plan["id"], "--json"))[0]["state"] == "running"
    assert rows(type_("replays", "cancel", plan["id"], "--json"))[0]["state"] == "cancelled"
    wrong = type_("replays", "resume", plan["id"])
    assert (wrong.exit_code, "«cancelled»" in wrong.stderr) == (1, True)


def be(monkeypatch, name):
    """Let *name* type the commands."""
    monkeypatch.setattr("hub.cli.person.name_person", lambda: name)


def account(home, name, role, partners):
    """Give *name* an account of the console, or change it."""
    user = User(name=name, role=role, units=("*",), partners=partners, added_at=LATER, changed_at=LATER)
    with transactions.write_transaction(engine_of(home)) as tx:
        if not users.change_user(tx, user, by="x", now=LATER):
            assert users.add_user(tx, user, "hash", by="x", now=LATER)


@pytest.mark.slow
def test_a_large_plan_awaits_another_person(home, type_, monkeypatch):
    with (home / "hub.toml").open("a") as file:
        file.write("\n[replay]\napprove-over = 2\n")
    be(monkeypatch, "an")
    done = type_("replay", "--again", "--to", "vpub", "--reason", "x", "--yes")
    assert (done.exit_code, "approve" in done.stderr) == (3, True)
    plan = plan_of(type_)
    account(home, "an", Role.OPERATOR, ("*",))
    same = type_("replays", "approve", plan)
    assert (same.exit_code, "another person" in same.stderr) == (1, True)
    assert told(engine_of(home), "delivery-replayed") == []
    be(monkeypatch, "binh")
    for role, partners in ((None, ()), (Role.ENGINEER, ("*",)), (Role.APPROVER, ("sotttt",))):
        if role is not None:
            account(home, "binh", role, partners)
        refused = type_("replays", "approve", plan)
        assert refused.exit_code in (1, 4), refused.output
    account(home, "binh", Role.APPROVER, ("vpub",))
    assert rows(type_("replays", "approve", plan, "--json"))[0]["approved_by"] == "binh"
    made = run(
        engine_of(home), read(engine_of(home), plan_rows.read_plan, plan), now=datetime.now(UTC) + timedelta(days=1)
    )
    assert made.queued == 3


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["replay", "--reason", "x"], 2, "an ID or a filter"),
        (["replay", "--to", "nobody", "--reason", "x"], 4, "no partner nobody"),
        (["replay", "--to", "vpub", "--rate", "fast", "--reason", "x"], 2, "rate"),
        (["replay", "--to", "vpub", "--reason", " "], 2, "--reason"),
        (["replay", "--to", "sotttt", "--reason", "x"], 4, "no delivery"),
        (["replays", "show", "nothing"], 4, "no plan nothing"),
        (["replays", "cancel", "nothing"], 4, "no plan nothing"),
    ],
)
def test_what_does_not_fit_is_said(type_, words, code, told):
    done = type_(*words)
    assert (done.exit_code, told in done.stderr) == (code, True), done.output


@pytest.mark.parametrize("page", ["docs/howto/replay.md", "docs/vi/howto/replay.md"])
def test_each_verb_of_the_manual_is_typed_as_it_stands(home, type_, page):
    """The pages of tests/process/test_pages.py type those in fences; what needs a hub in another state is typed here."""
    lines = [line for line in (ROOT / page).read_text().splitlines() if line.startswith("    lienthong")]
    lines = [line for line in lines if "--corrected" not in line]  # tests/cli/test_cli_corrected.py types these
    typed = set()
    for line in lines:
        words = shlex.split(line)[3:]
        if words[0] == "replay":
            del words[
                words.index("--since") : words.index("--since") + 2
            ]  # messages of tests have no time in their ids
        else:
            words[2] = make_ready(home, words[1]).id
        done = type_(*words)
        assert done.exit_code == 0, (line, done.output)
        typed.add(" ".join(words[:2]) if words[0] == "replays" else words[0])
    assert typed == {"replay", "replays pause", "replays resume", "replays cancel"}


def make_ready(home, what):
    """Return a plan that may be paused, resumed or cancelled."""
    engine = engine_of(home)
    plan = order(engine, again=True, key=what, now=NOW + timedelta(minutes=5), goes=True)
    with transactions.write_transaction(engine) as tx:
        replay_plans.take_step(tx, plan.id, ROUTES, LATER, approve_over=None)
        if what == "resume":
            replay_plans.change_plan(tx, plan.id, PlanEvent.PAUSE, by="an", now=LATER)
    return plan


def test_every_verb_has_an_example():
    for name, command in replays.commands.items():
        assert f"lienthong replays {name}" in (command.epilog or ""), name


@pytest.mark.slow
def test_ten_thousand_in_a_plan(home, type_):
    engine = engine_of(home)
    multiply(engine, 10_000)
    done = type_("replay", "--partner", "vpub", "--reason", "x", "--yes", "--json")
    assert len(rows(done)) == 10_001
    (plan,) = rows(type_("replays", "list", "--json"))
    assert (plan["state"], plan["queued"], plan["partners"]) == ("done", 10_001, {"vpub": 10_001})
    replayed = [each["delivery"] for each in told(engine, "delivery-replayed")]
    assert len(replayed) == len(set(replayed)) == 10_001


def multiply(engine, count):
    """Make *count* more dead deliveries, each of a message of its own, by SQL."""
    with transactions.write_transaction(engine) as tx:
        columns = {
            table: [row[1] for row in tx.execute(sa.text(f"PRAGMA table_info({table})"))]
            for table in ("message", "delivery")
        }
        first = tx.scalar(sa.text("SELECT message FROM delivery WHERE state = 'dead'"))
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        name = "printf('00000000-0000-7000-9000-%012d', i)"
        values = {"message": {"id": name, "message_id": "'b' || i", "document_id": "'B' || i"}}
        values["delivery"] = {"id": name, "message": name, "lane": "'lane ' || i"}
        for table, changed in values.items():
            said = ", ".join(changed.get(column, column) for column in columns[table])
            where = f"{'id' if table == 'message' else 'message'} = '{first}'"
            named = ", ".join(columns[table])
            tx.execute(sa.text(f"INSERT INTO {table} ({named}) {numbers} SELECT {said} FROM n, {table} WHERE {where}"))
