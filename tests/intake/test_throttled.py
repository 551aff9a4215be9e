"""A partner that brings more calls than its policy allows is refused before anything of a call is read, and an event tells of it once."""

import json

import pytest
import sqlalchemy as sa

from hub import config
from hub.domain.errors import Unready
from hub.partner.policy import Policy
from hub.store import transactions
from hub.store.tables import event
from tests import databases, frontdesk, homes, pki

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
STRANGER = pki.authority().issue("stranger")


@pytest.fixture
def engine(tmp_path):
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()


@pytest.fixture
def desk(tmp_path, engine):
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    me = frontdesk.partner("me", ME, "H55.13", policy=Policy(intake_concurrency=2))
    return frontdesk.intake(made, engine, me, frontdesk.partner("other", OTHER, "H55.01"))


def told(engine):
    with transactions.read_transaction(engine) as tx:
        texts = [json.loads(text) for text in tx.scalars(sa.select(event.c.text).order_by(event.c.serial))]
    return [(each.get("partner"), each["code"], each["detail"]) for each in texts if each["event"] == "call-refused"]


def test_who_brings_more_calls_than_it_may_is_refused_and_told_of_once(desk, engine):
    leave = [desk.enter(ME.certificate) for _ in range(2)]
    for _ in range(50):
        with pytest.raises(Unready):
            desk.enter(ME.certificate)
    assert told(engine) == [("me", "hub-busy", "intake-concurrency 2: 1 refused")]
    desk.enter(OTHER.certificate)()
    leave[0]()
    desk.enter(ME.certificate)


def test_strangers_share_the_places_of_one_partner(desk, engine):
    most = Policy().intake_concurrency
    for _ in range(most):
        desk.enter(STRANGER.certificate)
    with pytest.raises(Unready):
        desk.enter(pki.authority().issue("another stranger").certificate)
    desk.enter(OTHER.certificate)
    assert told(engine) == [(None, "hub-busy", f"intake-concurrency {most}: 1 refused")]
