"""`lienthong tokens`: a token is made, shown once, listed without its secret, and removed."""

import json

import pytest

from hub.operations.accounts import tokens
from hub.operations.accounts.permissions import PERMISSIONS, Role
from hub.store import transactions
from tests.homes import begin, engine_of, typing


@pytest.fixture
def home(tmp_path):
    return begin(tmp_path / "tinh")


def test_a_token_is_shown_once_listed_and_removed(home):
    lienthong = typing(home, "tokens")
    made = lienthong("add", "Kho", "--scope", "find-messages", "--unit", "H55.13", "--days", "10", "--json")
    assert made.exit_code == 0, made.output
    said = json.loads(made.stdout)
    assert (said["scopes"], said["units"], said["partners"]) == (["find-messages"], ["H55.13"], ["*"])
    assert said["token"].startswith(said["prefix"] + "_")
    engine = engine_of(home)
    with transactions.read_transaction(engine) as tx:
        found = tokens.find_token(tx, said["token"])
        assert found is not None
        assert found.name == "kho"
        assert tokens.find_token(tx, said["token"][:-1] + "~") is None
        kept = str(tx.exec_driver_sql("SELECT * FROM api_token").all())
    engine.dispose()
    assert said["token"] not in kept
    listed = lienthong("list")
    assert said["prefix"] in listed.output
    assert said["token"] not in listed.output
    assert lienthong("add", "kho", "--scope", "replay").exit_code == 1
    assert lienthong("remove", "kho").exit_code == 0
    assert lienthong("remove", "kho").exit_code == 4
    assert "lienthong tokens add" in lienthong("list").output


def test_a_token_may_have_all_permissions_of_a_role(home):
    made = typing(home, "tokens")("add", "gui-lai", "--role", "engineer", "--owner", "an", "--json")
    said = json.loads(made.stdout)
    assert said["scopes"] == sorted(PERMISSIONS[Role.ENGINEER])
    assert said["owner"] == "an"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["x"], 2),
        (["x y", "--scope", "replay"], 2),
        (["x", "--scope", "everything"], 2),
        (["x", "--scope", "replay", "--days", "731"], 2),
        (["x", "--scope", "replay", "--unit", "H99"], 4),
        (["x", "--scope", "replay", "--partner", "nobody"], 4),
    ],
)
def test_a_token_of_what_there_is_not_is_refused(home, words, code):
    assert typing(home, "tokens")("add", *words).exit_code == code
