"""A refused call that brought no message is found by the id that its caller was given."""

from typing import Any

import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import events
from hub.journal.searching import search
from hub.store.tables import event
from tests.province import NOW


def refused(tracking, code):
    return Event("call-refused", NOW, None, None, {"partner": "sotttt", "code": code, "tracking": tracking})


def test_a_refused_call_is_found_by_its_tracking_id_and_is_no_message(tx):
    one, two = make_id(NOW), make_id(NOW)
    events.append_events(tx, refused(one, "not-yours"), refused(two, "replayed"), Event("node-began", NOW))
    assert [said["code"] for said in events.read_call_events(tx, one)] == ["not-yours"]
    assert [said["code"] for said in events.read_call_events(tx, two)] == ["replayed"]
    assert [said["code"] for said in events.read_message_events(tx, two)] == ["replayed"], (
        "it stands under its id, so the index has it"
    )
    assert (
        events.read_call_events(tx, make_id(NOW))
        == events.read_call_events(tx, "%")
        == events.read_call_events(tx, '"')
        == []
    )
    assert search.find_messages_by_name(tx, one) == []
    assert "message" not in events.read_call_events(tx, one)[0], "what is hashed says no more than before"


def test_what_an_older_version_wrote_is_found_too(tx):
    tracking = make_id(NOW)
    events.append_events(tx, refused(tracking, "not-yours"))
    tx.execute(sa.update(event).values(message=None))
    assert [said["code"] for said in events.read_call_events(tx, tracking)] == ["not-yours"]
    assert events.read_call_events(tx, tracking.upper()) == [], "and by nothing that is only like its id"


def test_the_index_finds_it_however_many_events_there_are(tx):
    """Both ways: by its id, and among those that stand under none."""
    if tx.dialect.name != "sqlite":
        return
    asked: list[tuple[str, Any]] = []
    sa.event.listen(tx.engine, "before_cursor_execute", lambda *told: asked.append((told[2], told[3])))
    events.read_call_events(tx, "none")
    plans = [str(tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()) for sql, values in list(asked)]
    assert len(plans) == 2
    assert all("ix_event_message" in plan for plan in plans)
