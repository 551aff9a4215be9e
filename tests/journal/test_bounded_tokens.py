"""A token never has more than the account that made it, whatever becomes of the account."""

from datetime import timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.journal import unit_registry
from hub.operations.accounts import accounts, tokens, users
from hub.operations.accounts.accounts import AccountAct, AccountOrder, AccountRefused
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.accounts.token_steps import keep_token
from hub.operations.accounts.tokens import ApiToken
from hub.operations.accounts.users import User
from hub.store import transactions
from hub.store.transactions import Transaction
from tests.province import NOW, UNITS

AN = User(name="an", role=Role.OPERATOR, units=("*",), added_at=NOW, changed_at=NOW)
TEXT = tokens.write_token("1a2b3c4d", "x" * 43)
SCOPES = (str(Permission.REPLAY), str(Permission.SEE_REPORTS))


@pytest.fixture
def tx(engine: sa.Engine) -> Any:
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, UNITS)
        assert users.add_user(tx, AN, "", by="x", now=NOW)
        yield tx


def make(**said: Any) -> ApiToken:
    token = ApiToken(
        name="t",
        prefix=TEXT[:11],
        owner="Ông An",
        scopes=SCOPES,
        units=("*",),
        partners=("*",),
        made_at=NOW,
        made_by="an",
        until=NOW + timedelta(days=9),
    )
    return attrs.evolve(token, **said)


def find(tx: Transaction, text: str = TEXT) -> ApiToken:
    found = tokens.find_token(tx, text)
    assert found is not None
    return found


def test_what_the_account_loses_the_token_loses(tx: Transaction) -> None:
    keep_token(tx, make(), TEXT, ())
    assert (find(tx).scopes, find(tx).units) == (SCOPES, ("*",))
    for units, left in ((("H55.13",), ("H55.13",)), (("*",), ("*",))):
        assert users.change_user(tx, attrs.evolve(AN, units=units, partners=("vpub",)), by="x", now=NOW)
        assert (find(tx).units, find(tx).partners) == (left, ("vpub",))
    assert users.change_user(tx, attrs.evolve(AN, role=Role.READER), by="x", now=NOW)
    assert find(tx).scopes == (str(Permission.SEE_REPORTS),)
    assert users.lock_user(tx, "an", by="x", now=NOW)
    assert find(tx).scopes == ()
    assert users.unlock_user(tx, "an", by="x", now=NOW)
    assert find(tx).scopes == (str(Permission.SEE_REPORTS),)


def test_of_two_limits_the_token_sees_what_is_within_both(tx: Transaction) -> None:
    keep_token(tx, make(units=("H55.13", "H55.01"), partners=("vpub", "vpcp")), TEXT, ("vpub", "vpcp"))
    for units, left in ((("H55",), {"H55.13", "H55.01"}), (("H55.13.1", "H55.30"), {"H55.13.1"})):
        assert users.change_user(tx, attrs.evolve(AN, units=units, partners=("vpcp", "x")), by="x", now=NOW)
        assert (set(find(tx).units), find(tx).partners) == (left, ("vpcp",))
    assert users.change_user(tx, attrs.evolve(AN, units=("H55.30",)), by="x", now=NOW)
    assert find(tx).units == ()


@pytest.mark.parametrize(
    "account",
    [{"role": Role.READER}, {"units": ("H55.13",)}, {"partners": ("vpub",)}, {"role": Role.VIEWER, "units": ("H55",)}],
)
def test_none_is_made_with_more_than_its_maker_has(tx: Transaction, account: dict[str, Any]) -> None:
    assert users.change_user(tx, attrs.evolve(AN, **account), by="x", now=NOW)
    with pytest.raises(AccountRefused) as refused:
        keep_token(tx, make(), TEXT, ())
    assert refused.value.code == "token-exceeds"
    assert tokens.list_tokens(tx) == []
    keep_token(tx, make(made_by="lienthong"), TEXT, ())
    assert find(tx).scopes == SCOPES, "whoever has a shell and no account of that name"


def test_a_token_made_by_a_token_is_bounded_by_the_account_behind_it(tx: Transaction) -> None:
    second = tokens.write_token("5e6f7a8b", "y" * 43)
    keep_token(tx, make(), TEXT, ())
    keep_token(tx, make(name="u", prefix=second[:11], made_by="Ông An/t"), second, ())
    assert users.change_user(tx, attrs.evolve(AN, role=Role.READER), by="x", now=NOW)
    assert find(tx, second).scopes == (str(Permission.SEE_REPORTS),)
    assert tokens.remove_token(tx, "t", by="x", now=NOW)
    assert find(tx, second).scopes == (str(Permission.SEE_REPORTS),), "also when that token is gone"
    accounts.carry_out(tx, AccountOrder(act=AccountAct.REMOVE, name="an"), configured=(), by="x", now=NOW)
    assert tokens.find_token(tx, second) is None
