"""/readyz says why: database, schema, chain, disk, keys, clock.  /metrics says how much."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred

from hub import events, store
from hub.admin import gather, readiness
from hub.database import InlineDatabase
from hub.feed import Feed
from hub.model import Event
from hub.province import Province
from tests.pages import DOCS, quoted, rows, sections

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path):
    made = store.open_journal(f"sqlite:///{tmp_path / 'hub.db'}", pooled=False)
    store.upgrade(made)
    return made


def look(engine, tmp_path, now=NOW):
    """Return the reasons that are not well."""
    certificate = SimpleNamespace(
        not_valid_before_utc=NOW - timedelta(days=1), not_valid_after_utc=NOW + timedelta(days=1)
    )
    config = SimpleNamespace(data=tmp_path, identity=SimpleNamespace(certificate=certificate))
    province = cast("Province", SimpleNamespace(config=config))
    done: list[Any] = []
    _ = Deferred.fromCoroutine(readiness(InlineDatabase(engine), province, now)).addCallback(done.append)
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


def test_a_disk_that_is_nearly_full(engine, tmp_path, monkeypatch):
    monkeypatch.setattr("hub.admin.shutil.disk_usage", lambda _path: SimpleNamespace(free=1000))
    assert "disk" in look(engine, tmp_path)


def test_a_database_that_is_gone(engine, tmp_path):
    (tmp_path / "hub.db").unlink()
    (tmp_path / "hub.db").mkdir()
    assert "database" in look(engine, tmp_path)


def test_a_schema_of_another_version(tmp_path):
    assert "schema" in look(store.open_journal(f"sqlite:///{tmp_path / 'new.db'}", pooled=False), tmp_path)


def told(engine, tmp_path):
    """Return the metrics by name."""
    certificate = SimpleNamespace(
        not_valid_before_utc=NOW - timedelta(days=1), not_valid_after_utc=NOW + timedelta(days=1)
    )
    partner = SimpleNamespace(code="vpub", certificates=(certificate,))
    config = SimpleNamespace(
        data=tmp_path, identity=SimpleNamespace(certificate=certificate), partners={"vpub": partner}
    )
    province = cast("Province", SimpleNamespace(config=config))
    feed = cast("Feed", SimpleNamespace(name="lienthong", connected=True))
    done: list[Any] = []
    _ = Deferred.fromCoroutine(gather(InlineDatabase(engine), province, NOW, feed)).addBoth(done.append)
    return {each.name: {tuple(labels.values()): value for labels, value in each.samples} for each in done[0]}


def test_the_metrics_of_a_hub_that_is_well(engine, tmp_path):
    found = told(engine, tmp_path)
    assert set(found["lienthong_ready"].values()) == {1.0}
    assert found["lienthong_certificate_expiry_timestamp_seconds"] == dict.fromkeys(
        [("hub",), ("vpub",)], (NOW + timedelta(days=1)).timestamp()
    )
    assert found["lienthong_disk_free_bytes"][()] > 0
    assert found["lienthong_feed_connected"] == {(): 1.0}
    assert found["lienthong_feed_unpublished_events"] == {(): 0}


def test_without_a_database_the_metrics_say_so(engine, tmp_path):
    (tmp_path / "hub.db").unlink()
    (tmp_path / "hub.db").mkdir()
    found = told(engine, tmp_path)
    assert found["lienthong_ready"]["database",] == 0.0
    assert "lienthong_events_total" not in found


def test_every_metric_is_explained(engine, tmp_path):
    written = {name for row in rows(sections(DOCS / "howto/operate.md")["Metrics"]) for name in quoted(row[0])}
    assert set(told(engine, tmp_path)) == written
