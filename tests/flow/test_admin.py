"""/readyz says why: database, schema, chain, queue, disk, keys, clock."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from hub import events, store
from hub.admin import readiness
from hub.database import InlineDatabase
from hub.model import Event
from hub.province import Province

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path):
    made = store.open_journal(f"sqlite:///{tmp_path / 'hub.db'}", pooled=False)
    store.upgrade(made)
    return made


def look(engine, tmp_path, now=NOW, journal=None, free_disk=1):
    """Return the reasons that are not well."""
    certificate = SimpleNamespace(
        not_valid_before_utc=NOW - timedelta(days=1), not_valid_after_utc=NOW + timedelta(days=1)
    )
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    config = SimpleNamespace(
        data=tmp_path, database_url=url, free_disk=free_disk, identity=SimpleNamespace(certificate=certificate)
    )
    province = cast("Province", SimpleNamespace(config=config))
    done: list[Any] = []
    _ = Deferred.fromCoroutine(readiness(journal or InlineDatabase(engine), province, now)).addCallback(done.append)
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


def test_a_database_that_is_gone(engine, tmp_path):
    (tmp_path / "hub.db").unlink()
    (tmp_path / "hub.db").mkdir()
    assert "database" in look(engine, tmp_path)


def test_a_schema_of_another_version(tmp_path):
    assert "schema" in look(store.open_journal(f"sqlite:///{tmp_path / 'new.db'}", pooled=False), tmp_path)


def test_a_disk_that_is_nearly_full(engine, tmp_path):
    (why,) = look(engine, tmp_path, free_disk=1 << 60).values()
    assert f"{1 << 60} needed" in why


def test_a_journal_that_is_not_written(engine, tmp_path):
    class Slow(InlineDatabase):
        def trouble(self):
            return "9 steps wait"

    assert look(engine, tmp_path, journal=Slow(engine)) == {"queue": "9 steps wait"}
