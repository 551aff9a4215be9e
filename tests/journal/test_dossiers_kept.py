"""What the journal keeps of messages about dossiers, and how it finds them again, on each database."""

import hashlib
from datetime import date, timedelta

import pytest

from hub.domain.errors import Rejected
from hub.domain.model import PacketProfile
from hub.intake import dossiers_query
from hub.intake.admission import require_strict_profile, resolve_record_units
from hub.journal import events, messages
from hub.journal.effects import MessageEntry
from hub.journal.fact_reading import fact_rows
from hub.journal.searching import message_reading
from hub.partner.policy import Policy
from hub.services.dossiers import read_dossier_call
from tests.dossiers import hoso, statistic, sync
from tests.province import NOW, ROUTES


def take(tx, number, content):
    """Take a message of `sotttt` in; return the hub's id of it."""
    at, message = NOW + timedelta(minutes=number), f"00000000-0000-7000-8000-{number:012d}"
    entry = MessageEntry(
        id=message,
        partner="sotttt",
        message_id=f"m-{number}",
        service="dossiers",
        received_at=at,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        record=resolve_record_units(read_dossier_call(content, at, message), ROUTES),
        receipt=b"<receipt/>",
    )
    assert messages.record_message(tx, entry, ROUTES).problems == ()
    return message


def test_facts_of_dossiers_come_back_as_they_were_and_other_days_are_recorded_beside_them(tx):
    first = take(tx, 1, sync(hoso("a")))
    again = take(tx, 2, sync(hoso("a", NgayTiepNhan="20261119083000")))
    ended = take(tx, 3, sync(hoso("a", TrangThaiHoSo="9", NgayKetThucXuLy="20261123160000")))
    found = {(fact.milestone, fact.day, fact.due, fact.message) for fact in fact_rows.read_facts(tx)}
    assert found == {
        ("received", date(2026, 11, 20), date(2026, 11, 27), first),
        ("received-corrected-1", date(2026, 11, 19), date(2026, 11, 27), again),
        ("received-corrected-2", date(2026, 11, 20), date(2026, 11, 27), ended),
        ("finished", date(2026, 11, 23), date(2026, 11, 27), ended),
        ("days-taken", date(2026, 11, 23), None, ended),
    }
    (received, *_) = sorted(fact_rows.read_facts(tx), key=lambda fact: fact.message)
    assert dict(received.attributes)["channel"] == "online"


def test_the_history_of_a_dossier_goes_back_no_further_than_memory_should(tx, monkeypatch):
    contents = [sync(hoso("a", GhiChu=f"{number}")) for number in range(3)]
    ids = [take(tx, number, content) for number, content in enumerate(contents)]
    for octets, many in ((sum(map(len, contents)), 3), (2 * len(contents[0]), 2), (1, 1)):
        monkeypatch.setattr(dossiers_query, "OCTETS", octets)
        unit, told = dossiers_query._find_told_steps(tx, "a", None)
        assert (unit, [each.message for each in told]) == ("H55.13", ids[::-1][:many])


def test_an_alias_of_a_unit_names_the_same_dossier(tx):
    take(tx, 1, sync(hoso("a"), organ="000.00.13.H55"))
    take(tx, 2, sync(hoso("a"), organ="H55.13"))
    assert [(fact.unit, fact.key) for fact in fact_rows.read_facts(tx)] == [("H55.13", "a")]


def test_amounts_of_a_declared_month_are_kept_zeros_too(tx):
    take(tx, 1, statistic(SolvedLate="0", TotalSolved="28"))
    amounts = {fact.milestone: fact.amount for fact in fact_rows.read_facts(tx)}
    assert (amounts["declared-received"], amounts["declared-late"]) == (40, 0)


def test_what_is_tolerated_is_told_and_the_strict_profile_refuses_it(tx):
    content = sync(hoso("a", MaTTHC="CT-01"))
    message = take(tx, 1, content)
    told = [event for event in events.read_message_events(tx, message) if event["event"] == "deviation-tolerated"]
    assert [event["code"] for event in told] == ["R.HoSo[1].MaTTHC"]
    record = read_dossier_call(content, NOW, message)
    require_strict_profile(record, Policy())
    with pytest.raises(Rejected) as refused:
        require_strict_profile(record, Policy(profile=PacketProfile.STRICT))
    assert [problem.code for problem in refused.value.problems] == ["R.HoSo[1].MaTTHC"]


def test_the_messages_about_a_dossier_are_found_by_its_whole_code_newest_first(tx):
    one = take(tx, 1, sync(hoso("H55.13-1"), hoso("other")))
    two = take(tx, 2, sync(hoso("H55.13-1", TrangThaiHoSo="5")))
    for number, code in enumerate(("h55.13-1", "H55.13-11", "H55_13-1", 'H55.13-1"', "%", "ồ"), 3):
        take(tx, number, sync(hoso(code)))

    def found(code, units=None, most=100):
        return [row["id"] for row in message_reading.find_messages_about(tx, "dossiers", code, units, most)]

    assert found("H55.13-1") == [two, one]
    assert found("H55.13-1", ["H55.13"]) == [two, one]
    assert found("H55.13-1", ["H55.01"]) == []
    assert found("H55.13-1", most=1) == [two]
    assert [len(found(code)) for code in ("%", "ồ", 'H55.13-1"', "H55_13-1", "H55", "")] == [1, 1, 1, 1, 0, 0]
