"""The operations on accounts and tokens: each writes the event that it names, and a shell is bound by no account."""

import json
from pathlib import Path
from typing import Any

import pytest

from hub.cli import person
from hub.operations.accounts import account_operations, token_operations
from hub.operations.accounts.permissions import Role
from hub.operations.operation import HubOperation, Topic
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from tests import homes, pki
from tests.api_callers import Program
from tests.console.test_console_accounts import cheap
from tests.console_town import Town
from tests.pki import pem

__all__ = ["cheap"]
CERTIFICATE = pki.partner("ky").certificate
#: What is asked of each operation that takes something.
ASKED: dict[str, dict[str, object]] = {
    "makeAccount": {"name": "binh", "role": "engineer"},
    "changeAccount": {"role": "approver"},
    "addAccountCertificate": {"pem": pem(CERTIFICATE).decode()},
    "removeAccountCertificate": {"sha256": hash_certificate(CERTIFICATE)},
    "makeToken": {"name": "kho2", "scopes": ["replay"]},
}


def order(program: Program, operation: HubOperation) -> int:
    """Carry out an operation on the account `ky` or the token `kho2`."""
    place = operation.address.format(user="ky", name="kho2")
    body = ASKED.get(operation.name) if operation.takes else None
    status: int = program.post(place, body).status
    return status


@pytest.mark.parametrize("topic", [account_operations.TOPIC, token_operations.TOPIC], ids=lambda each: each.name)
def test_an_operation_writes_the_event_that_it_names_in_the_name_of_who_orders(town: Town, topic: Topic) -> None:
    town.add("an", role=Role.ADMINISTRATOR)
    town.add("ky", role=Role.ENGINEER)
    program = Program(town, name="kho", made_by="an")
    config: Any = program.pages.parts.live.config
    config.anchors = Anchors((pki.authority().certificate,))
    for each in topic.operations:
        if each.event:
            before = len(town.told(each.event))
            assert order(program, each) in {200, 201}, (each.name, program.said)
            written = town.told(each.event)[before:]
            assert [one["by"] for one in written] == ["an/kho"], each.name


def test_who_has_a_shell_may_lock_any_account_and_who_is_signed_in_not_the_last_administrator(tmp_path, town) -> None:
    type_ = homes.typing(homes.begin(tmp_path / "tinh"), "users")
    type_("add", "an", "--role", "administrator", "--one-time")
    assert type_("lock", "an").exit_code == 0
    assert type_("set", "an", "--role", "engineer").exit_code == 0
    assert type_("remove", "AN").exit_code == 0
    assert type_("remove", "a b").exit_code == 2
    town.add("an", role=Role.ADMINISTRATOR)
    program = Program(town, owner="binh")
    assert (program.post("/users/an/lock").status, program.said["code"]) == (409, "last-administrator")


def test_a_name_in_an_address_is_read_as_on_the_command_line(town: Town) -> None:
    program = Program(town, name="kho", owner="binh")
    town.add("ky", role=Role.ENGINEER)
    assert program.post("/users/KY/lock").status == 200
    assert program.get("/users/Ky").status == 200
    assert program.post("/users/a b/lock").status == 404
    assert program.post("/tokens/KHO/remove").status == 200


def test_a_command_acts_in_the_name_of_the_account_that_runs_it_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = homes.begin(tmp_path / "tinh")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "an")
    made = homes.typing(home, "tokens")("add", "kho", "--scope", "replay", "--json")
    assert json.loads(made.stdout)["made_by"] == person.name_person() != "an"
    homes.typing(home, "users")("add", "ky", "--role", "engineer", "--one-time")
    events = homes.typing(home)("events", "--kind", "user-added", "--json").stdout.splitlines()
    assert [json.loads(each)["by"] for each in events] == [person.name_person()]
