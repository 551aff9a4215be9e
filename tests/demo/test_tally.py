"""What the partners' own files say happened: read line by line into results, and the hub's numbers beside them."""

import base64
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pytest

from lienthong_demo.plan import day, packets
from lienthong_demo.plan.day import SMALL, Scale, Town
from lienthong_demo.protocol.reading import read_sample_packet
from lienthong_demo.tally import tally
from lienthong_demo.tally.tally import TalliedResult

DOC = packets.write_document_packet(
    "H55.13", ["G22"], number="7", notation="VB", subject="V/v", promulgated=date(2026, 11, 20)
)
DOWN = packets.write_document_packet(
    "G22", ["H55.14"], number="8", notation="VB", subject="V/v", promulgated=date(2026, 11, 20)
)
ABOUT = {
    "kind": "document",
    "sender": "H55.13",
    "recipients": ["H55.14"],
    "document_id": "D1",
    "code": "7/VB",
    "promulgation_date": "2026/11/20",
    "answered": "",
    "status": None,
}
STATUS = ABOUT | {"kind": "status", "sender": "H55.14", "recipients": [], "answered": "H55.13", "status": "03"}
KEY = ("H55.13", "D1")
TOWN = Town(("H55.13", "H55.13.1"), ("H55.14", "H55.15", "H55.16"), ("G22", "H41"), date(2026, 11, 24))


def parcel(doc_id, content, *, sent="x", to="G22", sender="H55.13"):
    packet = base64.b64encode(content).decode()
    named = {"doc_id": doc_id, "sender_doc_id": sent, "kind": "edoc", "from": sender, "to": to}
    return {"what": "parcel", **named, "sha256": f"sha of {doc_id}", "packet": packet}


def test_a_document_system_sent_what_it_has_a_receipt_for_and_received_for_its_units():
    lines: list[dict[str, Any]] = [
        {"what": "sending", "message_id": "1"},
        {"what": "sent", "accepted": True, "about": ABOUT},
        {"what": "sent", "accepted": True, "about": ABOUT},
        {"what": "sent", "accepted": False, "about": None},
        {"what": "sent", "accepted": True, "about": STATUS},
        {"what": "opened", "about": ABOUT | {"sender": "G22"}, "units": ["H55.13", "H55.13.1"]},
        {"what": "opened", "about": STATUS, "units": []},
    ]
    found = tally.count_results_once(tally.tally_document_system(lines))
    assert set(found) == {
        ("H55.13", "documents", KEY, "sent"),
        ("H55.14", "documents", KEY, "status-03"),
        ("H55.13", "documents", ("G22", "D1"), "received"),
        ("H55.13.1", "documents", ("G22", "D1"), "received"),
    }


def test_at_the_axis_what_came_up_was_received_and_what_went_down_counts_once_it_is_done():
    lines: list[dict[str, Any]] = [
        parcel("up", DOC, sent="s1"),
        {"what": "sent", "doc_id": "s1"},
        parcel("down", DOWN, sent="s2", to="H55.14", sender="G22"),
        {"what": "told", "doc_id": "down", "status": "processing"},
    ]
    up = TalliedResult("G22", "documents", ("H55.13", read_sample_packet(DOC).document_id), "received")
    assert list(tally.tally_axis(lines)) == [up]
    done = [*lines, {"what": "told", "doc_id": "down", "status": "done"}]
    assert list(tally.tally_axis(done)) == [
        up,
        TalliedResult("G22", "documents", ("G22", read_sample_packet(DOWN).document_id), "sent"),
    ]


def test_the_portal_has_a_dossier_once_however_often_it_was_brought():
    lines = [{"what": "dossier", "item": {"MaHoSo": "H55.13-261124-0001"}}] * 2 + [{"what": "login"}]
    (result,) = tally.count_results_once(tally.tally_portal(lines)).values()
    assert (result.unit, result.key, result.milestone) == ("H55.13", ("H55.13-261124-0001",), "synced")


def test_a_receipt_that_names_nothing_or_other_bytes_is_a_loss():
    notebooks = {
        "sotttt": [
            {"what": "sent", "accepted": True, "message_id": "m1", "sha256": "a"},
            {"what": "sent", "accepted": True, "message_id": "m2", "sha256": "b"},
            {"what": "sent", "accepted": True, "message_id": "m3", "sha256": "c"},
        ],
        "vpcp": [parcel("d1", DOWN), {"what": "told", "doc_id": "d1", "status": "done"}],
    }
    row = {"partner": "sotttt", "message_id": "m1", "state": "accepted", "sha256": "a"}
    held = [row, row | {"message_id": "m2", "sha256": "other"}, row | {"message_id": "m3", "state": "refused"}]
    axis = {"partner": "vpcp", "message_id": "d1", "state": "accepted", "sha256": "sha of d1"}
    lost = list(tally.find_lost_receipts(notebooks, [*held, axis]))
    assert [each.split(":")[0] for each in lost] == ["sotttt m2", "sotttt m3"]
    assert len(list(tally.find_lost_receipts(notebooks, held))) == 3


@pytest.mark.parametrize("spoil", ["missing", "too many", "amount"])
def test_facts_that_are_not_the_files_results_are_told_one_by_one(spoil):
    results = [TalliedResult("H55.13", "mail", ("2026-11-24",), "sent", 5)]
    fact = {"unit": "H55.13", "service": "mail", "key": "2026-11-24", "milestone": "sent", "amount": 5}
    facts = {"missing": [], "too many": [fact, fact | {"key": "x"}], "amount": [fact | {"amount": 6}]}[spoil]
    services = frozenset({"mail"})
    key = lambda fact: (fact["key"],)  # noqa: E731
    assert list(tally.compare_facts(results, [fact], services, key)) == []
    assert len(list(tally.compare_facts(results, facts, services, key))) == 1


def test_a_report_whose_cell_is_not_the_files_number_or_that_lacks_a_unit_is_told():
    expected = Counter({("H55.13", "documents", "sent"): 2, ("H55.14", "documents", "sent"): 1})
    rows = [{"unit": "H55.13", "sent": 2}, {"unit": "H55.14", "sent": 1}, {"unit": "H55.15", "sent": 0}]
    columns = {"sent": "sent"}
    assert list(tally.compare_report(rows, expected, "documents", columns, "edoc")) == []
    assert len(list(tally.compare_report(rows[:1], expected, "documents", columns, "edoc"))) == 1
    wrong = [{"unit": "H55.13", "sent": 3}, *rows[1:]]
    assert len(list(tally.compare_report(wrong, expected, "documents", columns, "edoc"))) == 1


def test_the_same_day_has_the_same_letters_and_nobody_writes_to_itself():
    letters, again = day.plan_letters(TOWN, SMALL), day.plan_letters(TOWN, SMALL)
    assert [each.content for each in letters] == [each.content for each in again]
    down = day.plan_parcels(TOWN, SMALL)
    assert len(letters) + len(down) == SMALL.documents
    readings = [read_sample_packet(each.content) for each in letters]
    assert all(each.sender not in each.recipients for each in readings)
    assert {each.sender for each in readings} == set(TOWN.units)
    assert len({each.document_id for each in readings}) == len(letters)
    assert sum(each.recipients[0] in TOWN.agencies for each in readings) == len(letters) // 4


def test_an_agency_answers_with_four_to_six_statuses():
    for number in range(6):
        found = list(
            day.plan_agency_statuses(read_sample_packet(DOC), "G22", number, datetime(2026, 11, 24, tzinfo=UTC))
        )
        assert 4 <= len(found) <= 6
        assert {(each.sender, each.to) for each in found} == {("G22", "H55.13")}


def test_the_whole_is_the_seeds_province():
    assert Scale(documents=3200, offices=100, dossiers=1000, mailboxes=9000) == day.WHOLE
