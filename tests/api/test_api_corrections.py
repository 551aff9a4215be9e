"""A program corrects a message: judged as at the console, planned or sent at once, once for each key."""

import pytest

from hub.edxml import editable
from hub.journal.replays import plan_rows
from hub.operations.accounts.permissions import Permission
from hub.store import transactions
from tests.api_callers import Program
from tests.cli.test_cli_corrected import REFUSAL
from tests.console.test_console_correcting import BAD, give_config

TEXT = editable.write_editable_text(BAD) or ""
ORDER = {"reason": "sai loại", "packet": TEXT.replace("Type>9<", "Type>0<")}


@pytest.fixture
def original(town):
    """Refuse a document of the town."""
    return town.take(1, "H55.13", "H55.01", content=BAD, problems=REFUSAL, receipt=None)


@pytest.fixture
def program(town):
    """A program whose hub has the partners of the town."""
    made = Program(town, name="kho")
    give_config(made.pages)
    return made


def test_a_corrected_packet_is_planned_once_under_its_key(town, program, original):
    place = f"/messages/{original}/corrections"
    assert program.post(place, ORDER, key="k").status == 202, program.said
    plan = program.said
    assert (plan["state"], plan["corrects"], plan["corrected"]) == ("planned", original, None)
    assert program.post(place, ORDER, key="k").fields["Idempotency-Replayed"] == "true"
    assert program.said == plan
    assert program.post(place, ORDER | {"reason": "khác"}, key="k").status == 422
    assert program.post(f"/replays/{plan['id']}/start").status == 200
    assert program.said["state"] == "running", "the service of a node carries it out"
    with transactions.read_transaction(town.engine) as tx:
        assert plan_rows.list_active_plans(tx) == [plan["id"]]


def test_what_is_wrong_with_the_packet_is_named(program, original):
    place = f"/messages/{original}/corrections"
    assert program.post(place, ORDER | {"packet": TEXT}, key="k").status == 422
    assert program.said["code"] == "order-unfit"
    assert "BussinessDocType" in str(program.said)
    assert program.post(place, ORDER | {"reason": " "}, key="k").status == 422
    assert program.post(place.replace("0001", "0002"), ORDER, key="k").status == 404
    assert program.post(place, ORDER, key="k").status == 202, "a refused order took no key"


def test_a_token_needs_the_scope(town, original):
    program = Program(town, *(each for each in Permission if each is not Permission.CORRECT), name="x")
    give_config(program.pages)
    assert program.post(f"/messages/{original}/corrections", ORDER, key="k").status == 403
