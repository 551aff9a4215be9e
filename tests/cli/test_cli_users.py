"""`lienthong users`: who may sign in, told by exit codes; a password never stands in an argument."""

import base64
import json
from datetime import UTC, datetime
from functools import partial

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from hub.cli import lienthong
from hub.config import read_config
from hub.node.check import check_config
from hub.operations.accounts import passwords, second_factor, users
from hub.store import transactions
from hub.store.tables import console_totp
from tests import homes
from tests.console_town import CHEAP

WORD = "một mật khẩu dài"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A hub. Nobody guesses here, so its hashes are made in no time."""
    monkeypatch.setattr(passwords, "hash_password", partial(passwords.hash_password, cost=CHEAP))
    return homes.begin(tmp_path / "tinh")


@pytest.fixture
def typed(home, tmp_path):
    (tmp_path / "word").write_text(f"{WORD}\n", "utf-8")
    (tmp_path / "short").write_text("ngắn\n", "utf-8")

    def run(*words, code=0):
        told = ["-c", str(home / "hub.toml"), "users", *words]
        told = [str(tmp_path / word[1:]) if word.startswith("@") else word for word in told]
        ran = CliRunner(env={"LANG": "C.UTF-8"}).invoke(lienthong, told)
        assert ran.exit_code == code, ran.output
        return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]

    return run


def kept(home, name):
    engine = transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)
    with transactions.read_transaction(engine) as tx:
        found = users.read_password_hash(tx, name)
    engine.dispose()
    return found


def test_a_user_is_added_listed_given_another_password_and_removed(home, typed):
    (said,) = typed("add", "An", "--role", "clerk", "--unit", "H55.13", "--password-file", "@word", "--json")
    assert (said["name"], said["role"], said["units"]) == ("an", "clerk", ["H55.13"])
    first = kept(home, "an")
    assert WORD not in first
    assert passwords.matches_hash(WORD, first)
    typed("add", "an", "--role", "operator", "--password-file", "@word", code=1)
    assert [each["name"] for each in typed("list", "--json")] == ["an"]
    typed("password", "an", "--password-file", "@word")
    assert kept(home, "an") != first, "with another salt"
    assert typed("sessions", "--json") == []
    assert typed("sessions", "an", "--end", "--json") == [{"name": "an", "ended": 0}]
    typed("remove", "an")
    assert typed("list", "--json") == []


def test_a_role_and_limits_are_given_and_changed(typed):
    password = ("--password-file", "@word", "--json")
    (said,) = typed("add", "ky", "--role", "engineer", "--partner", "vpub", "--partner", "vpub", *password)
    assert (said["role"], said["units"], said["partners"]) == ("engineer", ["*"], ["vpub"])
    (said,) = typed("set", "ky", "--role", "approver", "--unit", "H55.13", "--json")
    assert (said["role"], said["units"], said["partners"]) == ("approver", ["H55.13"], ["vpub"])
    (said,) = typed("set", "KY", "--partner", "*", "--json")
    assert typed("list", "--json") == [said]
    assert (said["role"], said["units"], said["partners"]) == ("approver", ["H55.13"], ["*"])


def test_a_one_time_password_is_shown_once_and_must_be_changed(home, typed):
    (said,) = typed("add", "an", "--role", "operator", "--one-time", "--json")
    assert said["must_change"]
    assert passwords.matches_hash(said["password"], kept(home, "an"))
    (again,) = typed("password", "an", "--one-time", "--json")
    assert again["password"] != said["password"]
    assert passwords.matches_hash(again["password"], kept(home, "an"))
    typed("password", "an", "--one-time", "--password-file", "@word", code=2)
    typed("password", "an", "--password-file", "@word")
    assert [each["must_change"] for each in typed("list", "--json")] == [False]


def test_a_user_is_locked_and_unlocked(typed):
    typed("add", "an", "--role", "operator", "--password-file", "@word")
    for _ in range(2):
        assert typed("lock", "An", "--json") == [{"name": "an"}]
    assert typed("list", "--json")[0]["locked_at"]
    typed("unlock", "an")
    assert typed("list", "--json")[0]["locked_at"] is None
    typed("lock", "nobody", code=4)


def kept_secrets(home):
    engine = homes.engine_of(home)
    with transactions.read_transaction(engine) as tx:
        found = "".join(tx.scalars(sa.select(console_totp.c.secret)))
    engine.dispose()
    return found


def test_without_a_key_nobody_is_given_codes_and_check_names_whose_can_be_read(home, typed):
    typed("add", "an", "--role", "operator", "--password-file", "@word")
    engine, config = homes.engine_of(home), home / "hub.toml"
    with transactions.write_transaction(engine) as tx:
        assert second_factor.enrol_user(tx, "an", "A" * 32, by="x", now=datetime.now(UTC))
    before = config.read_text("utf-8")
    config.write_text(before.replace('key-file = "pki/lookups.key"', ""), "utf-8")
    typed("totp", "an", code=1)
    (found,) = check_config(config, datetime.now(UTC)).warnings
    assert "the secrets of codes of an stand readable" in str(found.wrong)
    config.write_text(before, "utf-8")
    with transactions.write_transaction(engine) as tx:
        assert second_factor.seal_secrets(tx, read_config(config).console.keys, lambda: b"s" * 16) == 1
    assert check_config(config, datetime.now(UTC)).warnings == ()
    (home / "pki/lookups.key").rename(home / "pki/old.key")
    (home / "pki/lookups.key").write_text(f"{'5' * 64}\n", "ascii")
    (home / "pki/lookups.key").chmod(0o600)
    (lost,) = check_config(config, datetime.now(UTC)).warnings
    assert "no key decrypts the secrets of codes of an" in str(lost.wrong)
    config.write_text(f'{before}\n[console]\nformer-key-file = "pki/old.key"\n', "utf-8")
    assert check_config(config, datetime.now(UTC)).warnings == ()
    with transactions.read_transaction(engine) as tx:
        assert second_factor.judge_secrets(tx, read_config(config).console.keys).due == ("an",)
    engine.dispose()


def test_one_time_codes_are_set_up_and_removed(home, typed):
    typed("add", "an", "--role", "operator", "--password-file", "@word")
    (said,) = typed("totp", "An", "--json")
    assert said["name"] == "an"
    assert len(base64.b32decode(said["secret"])) == 20
    assert f"secret={said['secret']}" in said["uri"]
    assert [each["totp"] for each in typed("list", "--json")] == [True]
    assert said["secret"] not in kept_secrets(home)
    (again,) = typed("totp", "an", "--json")
    assert again["secret"] != said["secret"]
    typed("totp", "an", "--remove")
    assert [each["totp"] for each in typed("list", "--json")] == [False]
    typed("totp", "an", "--remove", code=4)
    typed("totp", "binh", code=4)


def test_a_client_certificate_is_given_to_one_user(home, typed):
    for name in ("an", "binh"):
        typed("add", name, "--role", "operator", "--password-file", "@word")
    file = str(home / "pki/partners/vpub.crt")
    (said,) = typed("certificate", "An", file, "--json")
    assert (said["name"], len(said["certificate"])) == ("an", 64)
    assert typed("list", "--json")[0]["certificates"] == [said["certificate"]]
    typed("certificate", "binh", file, code=4)
    typed("certificate", "nobody", file, code=4)
    typed("certificate", "an", str(home / "hub.toml"), code=1)
    typed("certificate", "binh", file, "--remove", code=4)
    typed("certificate", "an", file, "--remove")
    assert typed("list", "--json")[0]["certificates"] == []
    typed("remove", "an")


def test_a_person_at_a_provider_is_bound_shown_and_unbound(home, typed):
    (home / "sso.secret").write_text("geheim\n", "utf-8")
    with (home / "hub.toml").open("a", encoding="utf-8") as file:
        file.write(
            '\n[console]\nurl = "https://hub.example"\n[console.providers.sso]\nissuer = "https://sso.example"\n'
            'client-id = "x"\nclient-secret-file = "sso.secret"\n'
        )
    for name in ("an", "binh"):
        typed("add", name, "--role", "operator", "--password-file", "@word")
    (said,) = typed("openid", "An", "sso", "9f1c", "--json")
    assert said == {"name": "an", "issuer": "https://sso.example", "subject": "9f1c"}
    person = {"issuer": "https://sso.example", "claim": "sub", "subject": "9f1c"}
    assert [each["openid"] for each in typed("list", "--json")] == [[person], []]
    assert typed("set", "an", "--role", "engineer", "--json")[0]["openid"] == [person]
    typed("openid", "binh", "sso", "9f1c", code=4)
    typed("openid", "nobody", "sso", "x", code=4)
    typed("openid", "an", "other", "x", code=4)
    typed("openid", "an", "sso", "x" * 256, code=2)
    typed("openid", "an", "sso", "a\nb", code=2)
    typed("openid", "binh", "sso", "9f1c", "--remove", code=4)
    typed("openid", "an", "https://sso.example", "9f1c", "--remove")
    assert [each["openid"] for each in typed("list", "--json")] == [[], []]
    typed("openid", "an", "sso", "9f1c")
    typed("remove", "an")


def test_what_does_not_fit_is_told_by_the_exit_code(typed):
    typed("add", "an", "--role", "reader", "--password-file", "@word", code=2)
    typed("add", "an", "--role", "king", "--unit", "H55", "--password-file", "@word", code=2)
    typed("add", "a b", "--role", "reader", "--unit", "H55", "--password-file", "@word", code=2)
    typed("add", "an", "--role", "reader", "--unit", "H55", code=2)  # no terminal to ask on
    typed("add", "an", "--role", "reader", "--unit", "H55.99", "--password-file", "@word", code=4)
    typed("add", "an", "--role", "reader", "--unit", "H55", "--password-file", "@short", code=1)
    typed("add", "an", "--role", "viewer", "--password-file", "@word", code=2)
    typed("add", "an", "--role", "engineer", "--partner", "nobody", "--password-file", "@word", code=4)
    typed("set", "an", "--role", "viewer", code=4)
    typed("set", "an", code=2)
    typed("password", "an", "--password-file", "@word", code=4)
    typed("remove", "an", code=4)
    typed("sessions", "an", code=4)
    typed("sessions", "--end", code=2)
    assert typed("list", "--json") == []
