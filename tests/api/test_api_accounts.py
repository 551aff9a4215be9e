"""Accounts and tokens by the API: as at the console, once under a key, and a secret in the first answer alone."""

import json
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from hub.api.table import OPERATIONS
from hub.operations.accounts import tokens
from hub.operations.accounts.permissions import Permission, Role
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.store import transactions
from hub.store.tables import metadata
from tests import pki
from tests.api_callers import Program
from tests.console.test_console_accounts import cheap, code_of
from tests.console_town import Browser, Town
from tests.pki import pem

__all__ = ["cheap"]


@pytest.fixture
def program(town: Town) -> Program:
    """A program of the administrator an, beside an engineer."""
    town.add("an", role=Role.ADMINISTRATOR)
    town.add("ky", role=Role.ENGINEER)
    made = Program(town, name="kho", made_by="an")
    config: Any = made.pages.parts.live.config
    config.anchors = Anchors((pki.authority().certificate,))
    return made


def kept(town: Town) -> str:
    with transactions.read_transaction(town.engine) as tx:
        return "\n".join(str(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables)


def test_an_account_is_made_once_and_its_password_told_once(town: Town, program: Program) -> None:
    body = {"name": "Binh", "role": "reader", "units": ["H55.13"]}
    first = program.post("/users", body, key="k1")
    assert first.status == 201
    password = program.said["password"]
    assert (program.said["account"]["name"], program.said["account"]["must_change"]) == ("binh", True)
    again = program.post("/users", body, key="k1")
    assert again.fields["Idempotency-Replayed"] == "true"
    assert program.said == json.loads(first.content) | {"password": None}
    assert password not in kept(town)
    assert [each["by"] for each in town.told("user-added") if each["user"] == "binh"] == ["an/kho"]
    binh = Browser(town)
    assert binh.sign_in("binh", password).status == 303
    assert binh.get("/").location == "/account"
    assert program.post("/users", body, key="k2").status == 409
    assert program.said["code"] == "name-taken"


def test_an_account_is_listed_read_changed_locked_and_removed(town: Town, program: Program) -> None:
    browser = Browser(town)
    browser.sign_in("ky")
    program.get("/users?q=k&role=engineer&state=open")
    (listed,) = program.said["items"]
    program.get("/users/ky")
    assert program.said["account"] == listed
    assert [each["address"] for each in program.said["sessions"]] == ["10.0.0.1"]
    program.post("/users/ky", {"units": ["H55.13"]})
    assert (program.said["role"], program.said["units"]) == ("engineer", ["H55.13"])
    assert program.post("/users/ky/lock").status == 200
    assert program.said["locked_at"]
    program.get("/users/ky")
    assert program.said["sessions"] == []
    program.post("/users/ky/unlock")
    assert program.said["locked_at"] is None
    program.post("/users/ky/set-password", key="p")
    password = program.said["password"]
    program.post("/users/ky/set-codes")
    secret = program.said["secret"]
    assert secret in program.said["uri"]
    browser.sign_in("ky", password)
    browser.get("/sign-in/code")
    assert browser.post("/sign-in/code", code=code_of(secret, town), next="/").status == 303
    program.post("/users/ky/end-sessions")
    assert browser.get("/account").status == 401
    program.post("/users/ky/remove-codes")
    assert program.said["codes"] is False
    own = pki.partner("ky").certificate
    program.post("/users/ky/add-certificate", {"pem": pem(own).decode()})
    assert (program.said["sha256"], len(program.said["warnings"])) == (hash_certificate(own), 1)
    program.post("/users/ky/remove-certificate", {"sha256": hash_certificate(own)})
    assert program.said["certificates"] == []
    program.post("/users/ky/remove")
    assert program.get("/users/ky").status == 404
    assert program.post("/users/ky/lock").status == 404
    told = town.told("user-changed", "user-locked", "user-unlocked", "user-codes-set", "user-removed")
    assert [each["by"] for each in told] == ["an/kho"] * 5
    assert password not in kept(town)


def test_a_token_does_not_lock_out_its_owner_or_the_last_administrator(town: Town, program: Program) -> None:
    other = Program(town, owner="binh")
    for step in ("lock", "remove", "set-password"):
        assert program.post(f"/users/an/{step}").status == 409
        assert program.said["code"] == "own-account"
    assert program.post("/users/an", {"role": "viewer"}).status == 409
    for step, body in (("/lock", None), ("/remove", None), ("", {"role": "operator"}), ("", {"units": ["H55"]})):
        assert other.post(f"/users/an{step}", body).status == 409
        assert other.said["code"] == "last-administrator"
    town.add("bo", role=Role.ADMINISTRATOR)
    assert other.post("/users/an/lock").status == 200


WRONG: tuple[tuple[str, dict[str, object], str], ...] = (
    ("/users", {"name": "a b", "role": "reader", "units": ["*"]}, "name"),
    ("/users", {"name": "x", "role": "reader"}, "units"),
    ("/users", {"name": "x", "role": "reader", "units": ["H99"]}, "units"),
    ("/users", {"name": "x", "role": "engineer", "partners": ["nobody"]}, "partners"),
    ("/users/ky/add-certificate", {"pem": "no certificate"}, "pem"),
    ("/users/ky", {"units": ["H99"]}, "units"),
    ("/tokens", {"name": "x y", "scopes": ["replay"]}, "name"),
    ("/tokens", {"name": "x"}, "scopes"),
    ("/tokens", {"name": "x", "scopes": ["replay"], "days": 731}, "days"),
    ("/tokens", {"name": "x", "scopes": ["replay"], "days": -1}, "days"),
)


def test_what_will_not_do_is_named_in_both_languages(town: Town, program: Program) -> None:
    for place, body, field in WRONG:
        said = []
        for language in ("en", "vi"):
            program.language = language
            assert program.post(place, body).status == 422, body
            (flaw,) = program.said["problems"]
            assert (program.said["code"], flaw["name"]) == ("order-unfit", field), body
            said.append(flaw["detail"])
        assert said[0] != said[1], body
    assert program.post("/users", {"name": "x", "role": "king"}).status == 400


def test_a_token_is_made_listed_and_removed(town: Town, program: Program) -> None:
    body = {"name": "Moi", "scopes": ["replay"], "role": "viewer", "days": 5, "partners": ["*"]}
    program.post("/tokens", body, key="t")
    text = program.said["secret"]
    assert program.said["token"]["owner"] == "an"
    program.post("/tokens", body, key="t")
    assert program.said["secret"] is None
    assert text not in kept(town)
    with transactions.read_transaction(town.engine) as tx:
        found = tokens.find_token(tx, text)
    assert found is not None
    assert (found.scopes, found.until) == (("find-messages", "replay", "see-reports"), town.now + timedelta(days=5))
    program.get("/tokens")
    assert [each["name"] for each in program.said["items"]] == ["kho", "moi"]
    program.post("/tokens/moi/remove")
    assert program.said["made_by"] == "an/kho"
    assert program.post("/tokens/moi/remove").status == 404


def test_a_token_makes_none_that_may_do_more(town: Town, program: Program) -> None:
    weak = Program(town, Permission.MANAGE_USERS, Permission.REPLAY, name="yếu", made_by="an")
    for body in ({"scopes": ["see-content"]}, {"role": "viewer", "scopes": ["replay"]}):
        assert weak.post("/tokens", {"name": "moi"} | body).status == 422
        assert weak.said["problems"][0]["name"] == "scopes"
    assert weak.post("/tokens", {"name": "moi", "scopes": ["replay", "manage-users"]}).status == 201
    text = weak.said["secret"]

    def find() -> tuple[str, ...] | None:
        with transactions.read_transaction(town.engine) as tx:
            found = tokens.find_token(tx, text)
        return None if found is None else found.scopes

    assert find() == ("manage-users", "replay")
    assert program.post("/tokens/y%E1%BA%BFu/remove").status in {200, 404}
    town.add("quy", role=Role.ADMINISTRATOR)
    other = Program(town, Permission.MANAGE_USERS, name="khác", owner="quy", made_by="quy")
    assert other.post("/users/an", {"role": "engineer"}).status == 200
    assert find() == ("replay",)
    assert other.post("/users/an/lock").status == 200
    assert find() == ()
    assert other.post("/users/an/remove").status == 200
    assert find() is None, "what an account made goes with it"


def test_every_operation_that_gives_rights_asks_for_all_of_them() -> None:
    found = {each.name for each in OPERATIONS if Permission.MANAGE_USERS in each.scopes}
    assert found == {each.name for each in OPERATIONS if each.tag in {"users", "tokens"}}
    assert all(each.whole and each.unlimited for each in OPERATIONS if each.name in found)
