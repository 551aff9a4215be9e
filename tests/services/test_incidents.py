"""Incidents: which lines tell of one, what their facts are, how the agencies are told (docs/reference/incidents.md)."""

from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hub.domain.errors import Rejected
from hub.domain.model import PacketProfile
from hub.edxml import packet
from hub.edxml.rules import examine_packet
from hub.formats import syslog
from hub.services import incidents
from hub.services.incidents import (
    Incident,
    IncidentClass,
    IncidentRules,
    make_duration_fact,
    notice,
    parse_incident_line,
    parse_incident_report,
    read_incident,
)
from tests.conftest import ROOT

NOW = datetime(2026, 11, 24, 8, 0, 5, tzinfo=UTC)
SCHEMA = etree.XMLSchema(file=str(ROOT / "xsd/lienthong/1/incident.xsd"))
RULES = IncidentRules(
    classes=(
        IncidentClass(name="malware", facilities=frozenset({"local0"}), apps=frozenset({"edr"}), severity=4),
        IncidentClass(name="other", severity=3),
    )
)


def line(priority=130, app="edr", at="2026-11-23T17:30:00Z", text=" Mã độc", **said):
    data = "".join(f' {name}="{value}"' for name, value in ({"id": "SC-1", "unit": "H55.13"} | said).items() if value)
    return f"<{priority}>1 {at} may1.example {app} - - [incident@32473{data}]{text}".encode()


def test_a_line_that_fits_a_class_opens_an_incident_of_the_unit_it_names():
    record = read_incident(line(), NOW, "m", rules=RULES)
    (fact,) = record.facts
    assert (record.kind, record.sender, record.subject, record.keys) == ("opened", "H55.13", "Mã độc", ('["SC-1"]',))
    assert (fact.unit, fact.service, fact.key, fact.milestone) == ("H55.13", "incidents", '["SC-1"]', "opened")
    assert (fact.at, fact.day) == (NOW, date(2026, 11, 24)), "half past midnight in Hà Nội"
    assert dict(fact.attributes) == {"class": "malware", "severity": "critical", "time": "2026-11-23T17:30:00Z"}


@pytest.mark.parametrize("state", ["closed", "RESOLVED"])
def test_a_line_with_a_state_that_ends_it_closes_the_incident(state):
    (fact,) = read_incident(line(state=state), NOW, "m", rules=RULES).facts
    assert (fact.key, fact.milestone) == ('["SC-1"]', "closed")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:00:00Z"])
def test_a_time_that_no_clock_shows_is_refused_wherever_it_stands(at):
    texts = {"Id": "1", "Unit": "H55.13", "State": "open", "Class": "x", "Severity": "error", "OpenedAt": at}
    leaves = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    report = f'<IncidentReport xmlns="{incidents.NAMESPACE}">{leaves}</IncidentReport>'.encode()
    for content in (line(at=at), report):
        with pytest.raises(Rejected) as refused:
            read_incident(content, NOW, "m", rules=RULES)
        assert [each.code for each in refused.value.problems] == ["incident-unreadable"]


def test_the_first_class_that_fits_holds():
    classes = {
        (priority, app): RULES.judge(syslog.read_syslog_message(line(priority, app)))
        for priority, app in [(130, "edr"), (133, "edr"), (130, "ids"), (32, "edr")]
    }
    assert [found and found.name for found in classes.values()] == ["malware", None, "other", "other"]


def test_without_an_id_nothing_is_an_incident():
    assert RULES.judge(syslog.read_syslog_message(line(id=""))) is None
    assert IncidentRules().judge(syslog.read_syslog_message(b"<130>1 - - - - - - x")) is None


def test_a_line_that_names_no_unit_is_about_its_host_which_the_registry_may_know_as_an_alias():
    assert read_incident(line(unit=""), NOW, "m").sender == "may1.example"
    with pytest.raises(Rejected) as refused:
        read_incident(line(unit=""), NOW, "m", who_is=lambda _unit, _host: "")
    assert refused.value.problems[0].code == "unit-unknown"


def test_a_line_without_a_time_is_of_the_moment_at_which_it_came():
    assert parse_incident_line(syslog.read_syslog_message(line(at="-")), NOW, RULES).time == NOW


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<130>1 - - - - - - x",
        b"<999>1 - - - - - - x",
        line(id="x" * 129),
        line(id="a\nb"),
        b"<IncidentReport/>",
        b"<?xml version='1.0'?><!DOCTYPE a><a/>",
        b"<IncidentReport xmlns='urn:lienthong:incident:1'><Id>1</Id></IncidentReport>",
    ],
)
def test_what_tells_of_no_incident_is_refused(content):
    with pytest.raises(Rejected):
        read_incident(content, NOW, "m")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
INCIDENTS = st.builds(
    Incident,
    id=st.text(
        st.characters(
            min_codepoint=33, max_codepoint=0x1EF9, exclude_categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Cn", "Co"]
        ),
        min_size=1,
        max_size=40,
    ),
    unit=st.sampled_from(["H55.13", "000.00.13.H55"]),
    kind=st.sampled_from(["opened", "closed"]),
    name=st.sampled_from(["malware", "incident"]),
    severity=st.sampled_from(syslog.SEVERITIES),
    time=st.integers(0, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    host=st.sampled_from(["", "may1.example"]),
    text=TEXT,
)


@given(INCIDENTS)
def test_a_report_follows_its_schema_and_is_read_as_it_was_meant(incident):
    written = notice.write_incident_report(incident)
    SCHEMA.assertValid(etree.fromstring(written))
    read_again = parse_incident_report(written)
    assert attrs.evolve(read_again, text="") == attrs.evolve(incident, text="")


@given(INCIDENTS)
def test_the_packet_to_the_agencies_departs_from_the_standard_in_nothing(incident):
    names = {"H55.13": "Sở Thông tin và Truyền thông"}
    content = notice.write_incident_packet(incident, "H55.13", ["000.00.51.G14", "000.00.28.G14"], NOW, names)
    assert content == notice.write_incident_packet(incident, "H55.13", ["000.00.51.G14", "000.00.28.G14"], NOW, names)
    found = packet.read_packet(content)
    assert examine_packet(found, today=date(2026, 11, 24), profile=PacketProfile.STRICT) == found
    assert found.deviations == ()
    assert (found.sender, found.recipients) == ("H55.13", ("000.00.51.G14", "000.00.28.G14"))
    assert found.attachments[0].content == notice.write_incident_report(incident)


def test_the_text_tells_a_person_in_vietnamese():
    incident = parse_incident_line(syslog.read_syslog_message(line()), NOW, RULES)
    assert notice.write_incident_text(incident, {"H55.13": "Sở TTTT"}).splitlines() == [
        "BÁO CÁO SỰ CỐ AN TOÀN THÔNG TIN",
        "",
        "Mã sự cố: SC-1",
        "Đơn vị: Sở TTTT",
        "Loại: malware",
        "Mức độ: nghiêm trọng",
        "Thời điểm: 24/11/2026 00:30:00",
        "Máy: may1.example",
        "Nội dung: Mã độc",
    ]


def test_how_long_an_incident_was_open_is_told_by_the_clocks_of_who_told_it():
    (opened,) = read_incident(line(), NOW, "first", rules=RULES).facts
    later = NOW + timedelta(hours=3)
    (closed,) = read_incident(line(state="closed", at="2026-11-23T18:30:01.9Z"), later, "second", rules=RULES).facts
    fact = make_duration_fact(opened, closed, last=closed)
    assert (fact.milestone, fact.amount, fact.at, fact.message) == ("closing-seconds", 3601, later, "second")
    assert make_duration_fact(opened, closed, last=opened).message == "first"
    (before,) = read_incident(line(state="closed", at="2020-01-01T00:00:00Z"), later, "m", rules=RULES).facts
    assert make_duration_fact(opened, before, last=before).amount == 0
    assert fact.milestone in incidents.SERVICE.milestones


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: line()[:60] + tail))
def test_no_octets_break_the_reading(octets):
    try:
        record = read_incident(octets, NOW, "m")
    except Rejected:
        return
    assert record.facts
