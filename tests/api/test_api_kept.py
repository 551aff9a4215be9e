"""Tokens and the answers to orders in the journal, on each database."""

import json
import threading
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from hub.api import idempotency
from hub.api.idempotency import IdempotencyConflict, OrderedAnswer, run_once
from hub.api.replays import ApiReplayOrder
from hub.api.schemas import JsonUnfit, read_object
from hub.domain.model import Event
from hub.journal import events
from hub.operations.accounts import tokens
from hub.operations.accounts.tokens import ApiToken, hash_token, write_token
from hub.store import transactions
from hub.store.tables import api_key, event
from tests.province import NOW
from tests.waiting import PATIENCE

TEXT = write_token("1a2b3c4d", "x" * 43)
TOKEN = ApiToken(
    name="kho",
    prefix="lt_1a2b3c4d",
    owner="an",
    scopes=("replay",),
    units=("*",),
    partners=("*",),
    made_at=NOW,
    made_by="root",
    until=NOW + timedelta(days=1),
)


@pytest.fixture
def engine(journal_url):
    made = transactions.open_journal(journal_url)
    yield made
    made.dispose()


def write(engine, step, *args, **said):
    with transactions.write_transaction(engine) as tx:
        return step(tx, *args, **said)


def test_what_is_kept_of_a_request_needs_the_token_to_be_guessed():
    asked = ("POST", "v1/partners/cong/settings", b'{"secrets": [{"name": "secret", "value": "1234"}]}')
    kept = idempotency.hash_request(TEXT, *asked)
    assert kept == idempotency.hash_request(TEXT, *asked)
    assert len({kept, idempotency.hash_request("", *asked), idempotency.hash_request(hash_token(TEXT), *asked)}) == 3


def test_a_token_is_found_by_its_secret_alone(engine):
    assert write(engine, tokens.add_token, TOKEN, hash_token(TEXT))
    assert not write(engine, tokens.add_token, TOKEN, hash_token(TEXT)), "the name is taken"
    other = attrs.evolve(TOKEN, name="other")
    assert not write(engine, tokens.add_token, other, hash_token(TEXT)), "and so is the prefix"
    assert write(engine, tokens.find_token, TEXT) == TOKEN
    for wrong in ("", "lt_1a2b3c4d", TEXT[:-1] + "y", TEXT + "x", TEXT.upper(), "\ud800"):
        assert write(engine, tokens.find_token, wrong) is None
    write(engine, tokens.touch_token, "kho", NOW)
    assert write(engine, tokens.list_tokens) == [attrs.evolve(TOKEN, used_at=NOW)]
    assert write(engine, tokens.remove_token, "kho", by="root", now=NOW)
    assert write(engine, tokens.list_tokens) == []


def order(tx):
    """What is ordered: an event; and the answer to it."""
    events.append_events(tx, Event("replay", NOW, None, None, {"reason": "x"}))
    return OrderedAnswer(status=202, content="trả lời".encode(), location="/x")


def test_two_that_send_an_order_at_once_order_once_and_get_one_answer(engine):
    together, answers = threading.Barrier(2), []

    def send():
        together.wait()
        answers.append(write(engine, run_once, "lt_1a2b3c4d", "k", "request", NOW, order))

    threads = [threading.Thread(target=send) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert sorted(each.again for each in answers) == [False, True]
    assert {(each.status, each.content, each.location) for each in answers} == {(202, "trả lời".encode(), "/x")}
    assert write(engine, lambda tx: tx.scalar(sa.select(sa.func.count()).select_from(event))) == 1
    with pytest.raises(IdempotencyConflict):
        write(engine, run_once, "lt_1a2b3c4d", "k", "another", NOW, order)


def test_an_order_that_breaks_leaves_neither_a_deed_nor_an_answer(engine):
    def broken(tx):
        order(tx)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(engine, run_once, "lt_1a2b3c4d", "k", "request", NOW, broken)
    assert write(engine, lambda tx: tx.execute(sa.select(api_key)).all()) == []
    later = NOW + idempotency.KEPT
    assert not write(engine, run_once, "lt_1a2b3c4d", "k", "request", NOW, order).again
    assert not write(engine, run_once, "lt_1a2b3c4d", "k", "other", later, order).again, "it was forgotten"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([each.name for each in attrs.fields(ApiReplayOrder)]) | st.text(max_size=5)


@given(VALUES | st.dictionaries(NAMES, VALUES))
def test_whatever_a_body_holds_it_is_read_or_said_to_be_unfit(said):
    try:
        found = read_object(ApiReplayOrder, json.loads(json.dumps(said)))
    except JsonUnfit:
        return
    assert all(isinstance(each, str) for each in found.fields().values())
