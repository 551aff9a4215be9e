"""The events that no message leads to are found by kind, time, partner, user, Tracking and words, in a journal of any size."""

from datetime import timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.ids import make_id
from hub.domain.model import Event
from hub.journal import event_index, events
from hub.journal.event_index import EventCursor, EventFilter
from hub.store.tables import event
from hub.store.tables import event_index as table
from tests.province import NOW

TRACKING = make_id(NOW)
MESSAGE = make_id(NOW)


def at(minutes, name, message=None, **body):
    return Event(name, NOW + timedelta(minutes=minutes), message, None, body)


EVENTS = (
    at(0, "user-added", user="an", role="reader", units=["H55.13"], by="root"),
    at(1, "user-signed-in", user="an", address="10.0.0.1"),
    at(2, "call-refused", partner="sotttt", operation="SendDocument", code="not-yours", tracking=TRACKING),
    at(3, "call-refused", certificate="ab" * 32, code="certificate-unknown", detail="Sở Y tế"),
    at(4, "partner-paused", partner="vpub", reason="bảo trì đến 17 giờ", by="an"),
    at(5, "link-down", link="vpub", node="n1", place="127.0.0.1:1", reason="refused"),
    at(6, "content-opened", MESSAGE, user="an", sha256="aa"),
)


@pytest.fixture
def told(tx):
    """A journal with events of each kind, and some of messages."""
    events.append_events(tx, at(0, "message-accepted", MESSAGE, partner="vpub"), *EVENTS[:3])
    events.append_events(tx, *EVENTS[3:], at(7, "delivery-dead", MESSAGE, partner="vpub", reason="x"))
    return tx


def names(tx, **wanted):
    return [one.name for one in event_index.find_events(tx, EventFilter(**wanted), 100).found]


def test_the_list_has_every_event_without_a_message_the_newest_first(told):
    assert names(told) == [each.name for each in reversed(EVENTS)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"name": "call-refused"}, ["call-refused", "call-refused"]),
        ({"partner": "vpub"}, ["link-down", "partner-paused"]),
        ({"partner": "vpub", "name": "link-down"}, ["link-down"]),
        ({"partner": "-", "name": "call-refused"}, ["call-refused"]),
        ({"partner": "-"}, ["content-opened", "call-refused", "user-signed-in", "user-added"]),
        ({"user": "an"}, ["content-opened", "partner-paused", "user-signed-in", "user-added"]),
        ({"user": "root"}, ["user-added"]),
        ({"tracking": TRACKING}, ["call-refused"]),
        ({"tracking": MESSAGE}, []),
        ({"text": "BAO TRI"}, ["partner-paused"]),
        ({"text": "y tế sở"}, ["call-refused"]),
        ({"text": TRACKING}, ["call-refused"]),
        ({"text": "reason"}, []),
        ({"since": NOW + timedelta(minutes=5)}, ["content-opened", "link-down"]),
        ({"until": NOW + timedelta(minutes=1)}, ["user-added"]),
        ({"since": NOW + timedelta(minutes=1), "until": NOW + timedelta(minutes=2)}, ["user-signed-in"]),
        ({"user": "nobody"}, []),
    ],
)
def test_each_condition_finds_its_events(told, wanted, found):
    assert names(told, **wanted) == found


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("wanted", [{}, {"user": "an"}, {"until": NOW + timedelta(minutes=5)}])
def test_pages_follow_one_another_without_a_gap(told, size, wanted):
    whole, pages, before = names(told, **wanted), [], None
    while True:
        page = event_index.find_events(told, EventFilter(**wanted), size, before)
        pages += [one.name for one in page.found]
        if page.more is None:
            break
        before = EventCursor.parse(page.more.text())
    assert pages == whole


def test_events_of_one_moment_are_told_apart(tx):
    events.append_events(tx, *(at(0, "user-signed-out", user=f"u{number}") for number in range(9)))
    first = event_index.find_events(tx, EventFilter(), 5)
    rest = event_index.find_events(tx, EventFilter(), 5, first.more)
    assert [one.fields["user"] for one in (*first.found, *rest.found)] == [
        f"u{number}" for number in reversed(range(9))
    ]


def test_a_page_reads_a_bounded_number_of_rows_and_says_how_far_it_came(tx, monkeypatch):
    monkeypatch.setattr(event_index, "MOST_READ", 10)
    events.append_events(tx, at(0, "user-signed-in", user="rare"), *(at(n, "link-up", link="x") for n in range(1, 25)))
    page, steps = event_index.find_events(tx, EventFilter(text="rare"), 5), 1
    assert (page.found, page.reached) == ([], NOW + timedelta(minutes=15))
    while page.more is not None:
        page, steps = event_index.find_events(tx, EventFilter(text="rare"), 5, page.more), steps + 1
    assert ([one.name for one in page.found], steps) == (["user-signed-in"], 3)


def test_what_is_new_is_followed_in_the_order_of_writing(told):
    seen = event_index.read_last_serial(told)
    assert event_index.find_new_events(told, EventFilter(), seen) == []
    events.append_events(told, at(9, "link-up", link="vpub"), at(8, "user-signed-in", user="an"))
    assert [one.name for one in event_index.find_new_events(told, EventFilter(), seen)] == ["link-up", "user-signed-in"]
    assert [one.name for one in event_index.find_new_events(told, EventFilter(user="an"), seen)] == ["user-signed-in"]


def test_the_hashed_text_says_no_more_than_before(told):
    texts = list(told.scalars(sa.select(event.c.text).order_by(event.c.serial)))
    assert f'"tracking":"{TRACKING}"' in texts[3]
    assert events.chain_events(told) == len(texts)
    assert list(events.find_broken_events(told)) == []
    assert [one.number for one in event_index.find_events(told, EventFilter(), 2).found] == [8, 7]
    assert [said["event"] for said in events.read_call_events(told, TRACKING)] == ["call-refused"]
    assert [said["event"] for said in events.read_message_events(told, MESSAGE)] == [
        "message-accepted",
        "content-opened",
        "delivery-dead",
    ]


def test_what_may_be_chosen_is_what_there_is(told):
    assert event_index.list_event_names(told) == sorted({each.name for each in EVENTS})
    assert event_index.list_event_partners(told) == ["sotttt", "vpub"]
    assert event_index.has_event_user(told, "root")
    assert not event_index.has_event_user(told, "sotttt")


def test_refused_calls_are_counted_up_to_a_bound(told):
    assert event_index.count_refused_calls(told, NOW, 10) == {"sotttt": 1, None: 1}
    assert event_index.count_refused_calls(told, NOW + timedelta(minutes=3), 10) == {None: 1}
    assert event_index.count_refused_calls(told, NOW, 1) == {None: 1}


@pytest.mark.parametrize(
    "text", ["", "_", "2026-11-24T08:00:00.000000Z", "2026_1x", "x_1", "2026-11-24_1", "2026-11-24T08:00:00Z_-1"]
)
def test_what_is_no_cursor_is_no_cursor(text):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, the page is not found
        EventCursor.parse(text)


def test_every_condition_is_read_from_an_index_in_its_order(told):
    """However many events there are, a page sorts nothing."""
    if told.dialect.name != "sqlite":
        return
    asked = []
    sa.event.listen(told.engine, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
    wanted: tuple[dict[str, Any], ...] = (
        {},
        {"name": "link-up"},
        {"partner": "vpub"},
        {"user": "an"},
        {"tracking": TRACKING},
    )
    for each in wanted:
        event_index.find_events(told, attrs.evolve(EventFilter(**each), since=NOW), 5, EventCursor("2027", 1))
    plans = [str(told.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()) for sql, values in list(asked)]
    assert len(plans) == 6
    for plan in plans:
        assert "USING INDEX ix_event_index_" in plan or "USING COVERING INDEX ix_event_index_" in plan, plan
    assert all("TEMP B-TREE" not in plan for plan in plans[:5])


def test_an_index_row_is_of_its_event(told):
    rows = told.execute(sa.select(table.c.name, table.c.message).where(table.c.message.is_not(None))).all()
    assert [tuple(row) for row in rows] == [("content-opened", MESSAGE)]
