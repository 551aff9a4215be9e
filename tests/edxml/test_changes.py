"""What recalls, updates and replacements name, whom they reach, and what they stop."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.lifecycle import STEP, choose_queue_position
from hub.domain.model import DeliveryState, PacketKind, Replaced, ResponseFor
from hub.edxml import changes
from hub.edxml.changes import EVERY, ChangedDocument, ChangeEffect, Effect
from hub.edxml.markings import read_hour
from tests.province import ROUTES, document

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def change(kind, **fields):
    return attrs.evolve(document("H55.13", "H55.01", "G22", document_id="X"), kind=kind, **fields)


def marks(packet, *documents):
    return list(changes.list_change_effects(packet, documents, ROUTES.canonical))


def test_a_recall_names_its_document_in_either_place():
    answered = (ResponseFor("H55.13", "1/A", "2026/11/20", "D2"), ResponseFor("H55.13", "2/A", "2026/11/20", ""))
    assert changes.list_changed_documents(change(PacketKind.RECALL, about="D1", responses=answered)) == (
        ChangedDocument("D1"),
    )
    assert changes.list_changed_documents(change(PacketKind.RECALL, responses=answered)) == (
        ChangedDocument("D2", "1/A", "2026/11/20"),
        ChangedDocument("", "2/A", "2026/11/20"),
    )


def test_an_update_names_its_document_in_bussiness_or_carries_its_id():
    assert changes.list_changed_documents(change(PacketKind.UPDATE, about="D1")) == (ChangedDocument("D1"),)
    assert changes.list_changed_documents(change(PacketKind.UPDATE)) == (ChangedDocument("X"),)


def test_a_new_document_changes_nothing_whatever_it_answers():
    packet = change(PacketKind.DOCUMENT, about="D1", responses=(ResponseFor("H55.13", "", "", "D2"),))
    assert (changes.list_changed_documents(packet), marks(packet, "D1")) == ((), [])


def test_a_recall_concerns_the_units_it_addresses():
    assert marks(change(PacketKind.RECALL), "D1") == [
        ChangeEffect("D1", "H55.01", Effect.RECALLED),
        ChangeEffect("D1", "G22", Effect.RECALLED),
    ]


def test_an_update_reaches_the_units_it_adds_and_takes_the_document_from_those_it_removes():
    packet = change(PacketKind.UPDATE, about="D1", added=("H55.13.1",), removed=("000.00.13.H55",))
    assert changes.list_told_units(packet) == ("H55.13.1",)
    assert marks(packet, "D1") == [
        ChangeEffect("D1", EVERY, Effect.UPDATED),
        ChangeEffect("D1", "H55.13", Effect.REMOVED),
    ]


def test_a_replacement_supersedes_at_the_units_it_names_or_at_all():
    packet = change(
        PacketKind.REPLACEMENT, replaces=(Replaced("D1", ("H55.01",)), Replaced("D2"), Replaced("D1", ("G22",)))
    )
    assert changes.list_told_units(packet) == ("H55.01", "G22")
    assert marks(packet, "D1", "D2") == [
        ChangeEffect("D1", "H55.01", Effect.REPLACED),
        ChangeEffect("D1", "G22", Effect.REPLACED),
        ChangeEffect("D2", EVERY, Effect.REPLACED),
    ]


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        (DeliveryState.WAITING, DeliveryState.DEAD),
        (DeliveryState.HELD, DeliveryState.DEAD),
        (DeliveryState.SENDING, DeliveryState.SENDING),
        (DeliveryState.DEAD, DeliveryState.DEAD),
        (DeliveryState.FETCHED, None),
        (DeliveryState.DELIVERED, None),
    ],
)
def test_what_waits_is_stopped_and_what_was_handed_over_is_not(state, becomes):
    assert changes.stop_delivery_state(state) is becomes


@given(st.timedeltas(timedelta(0), timedelta(days=1)), st.integers(0, 4), st.integers(0, 4))
def test_nothing_is_overtaken_by_what_becomes_due_four_steps_later(later, ours, theirs):
    assert choose_queue_position(NOW, theirs) <= choose_queue_position(NOW, ours) or theirs < ours, (
        "the more urgent goes first"
    )
    if later > STEP * 4:
        assert choose_queue_position(NOW, ours) < choose_queue_position(NOW + later, theirs)


@pytest.mark.parametrize(
    "text", ["2026/11/24 15:30", "2026-11-24T15:30:00", "2026-11-24T08:30:00Z", "2026/11/24 15:30:00"]
)
def test_an_hour_is_read_as_systems_write_it_in_ha_noi(text):
    assert read_hour(text) == datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "2026/02/30 08:00", "0001-01-01T00:00:00", "25:00"])
def test_what_is_no_hour_is_none(text):
    assert read_hour(text) is None
