"""/readyz says why: database, schema, chain, disk, keys, clock."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from hub import events, store
from hub.admin import readiness
from hub.database import InlineDatabase
from hub.model import Event
from hub.province import Province
from hub.service import KEY_PATIENCE, Hub

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path):
    made = store.open_journal(f"sqlite:///{tmp_path / 'hub.db'}", pooled=False)
    store.upgrade(made)
    return made


def look(engine, tmp_path, now=NOW, key_flaw=""):
    """Return the reasons that are not well."""
    certificate = SimpleNamespace(
        not_valid_before_utc=NOW - timedelta(days=1), not_valid_after_utc=NOW + timedelta(days=1)
    )
    own = (("pki.certificate", SimpleNamespace(certificate=certificate)),)
    config = SimpleNamespace(data=tmp_path, own=own)
    province = cast("Province", SimpleNamespace(config=config))
    done: list[Any] = []
    asked = readiness(InlineDatabase(engine), province, now, lambda: succeed(key_flaw))
    _ = Deferred.fromCoroutine(asked).addCallback(done.append)
    (found,) = done
    reasons = {name: why for name, why in found.reasons.items() if why}
    assert found.ready == (not reasons)
    return reasons


def test_all_is_well(engine, tmp_path):
    assert look(engine, tmp_path) == {}


def test_an_event_that_waits_too_long_for_its_number(engine, tmp_path):
    with store.writing(engine) as tx:
        events.append(tx, Event("message-accepted", NOW - timedelta(minutes=1)))
    assert "chain" in look(engine, tmp_path)
    with store.writing(engine) as tx:
        events.chain(tx)
    assert look(engine, tmp_path) == {}


def test_a_clock_that_went_back(engine, tmp_path):
    with store.writing(engine) as tx:
        events.append(tx, Event("message-accepted", NOW + timedelta(hours=1)))
    assert "clock" in look(engine, tmp_path)


def test_a_certificate_that_ended(engine, tmp_path):
    assert "keys" in look(engine, tmp_path, NOW + timedelta(days=2))


def test_a_key_that_cannot_sign(engine, tmp_path):
    assert look(engine, tmp_path, key_flaw="there is no token truc") == {"keys": "there is no token truc"}


def test_a_disk_that_is_nearly_full(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("hub.admin.shutil.disk_usage", lambda _path: SimpleNamespace(free=1000))
    assert "disk" in look(engine, tmp_path)


def test_a_database_that_is_gone(engine, tmp_path):
    (tmp_path / "hub.db").unlink()
    (tmp_path / "hub.db").mkdir()
    assert "database" in look(engine, tmp_path)


def test_a_schema_of_another_version(tmp_path):
    assert "schema" in look(store.open_journal(f"sqlite:///{tmp_path / 'new.db'}", pooled=False), tmp_path)


def test_a_token_that_keeps_readyz_waiting_is_not_well():
    clock, waiting = Clock(), Deferred[str]()
    config = SimpleNamespace(identity=SimpleNamespace(flaw=None))
    hub = SimpleNamespace(
        province=SimpleNamespace(config=config),
        _workroom=SimpleNamespace(work=lambda _size, _step: waiting),
        _reactor=clock,
    )
    told: list[str] = []
    _ = Deferred.fromCoroutine(Hub._key_flaw(cast("Hub", hub))).addCallback(told.append)
    clock.advance(KEY_PATIENCE)
    assert told == ["no answer within 5 s"]
