"""Calendars and incident reports in packets: their facts are written after its receipt, and never refuse it."""

from datetime import UTC, date, datetime, timedelta

import attrs
import pytest

from hub import config
from hub.domain.ids import make_id
from hub.domain.model import Receive, Unit
from hub.intake import admission
from hub.journal import events, messages
from hub.journal.fact_reading import fact_rows
from hub.services.incidents import Incident, notice
from hub.soap import documents_requests
from hub.store import transactions
from hub.units.province import Province
from lienthong_demo.plan.invitation import Invitation, Person, write_invitation
from lienthong_demo.plan.packets import Variation
from tests import databases, homes
from tests.packets import document
from tests.pki import NOW, partner
from tests.promised import keep_promises

DEPARTMENT, OFFICE = partner("sotttt"), partner("vpub")
UNITS = [
    Unit("H55", "Tỉnh"),
    Unit("H55.01", "Văn phòng", aliases=("vanphong@tinh.example",)),
    Unit("H55.13", "Sở TTTT"),
    Unit("H55.14", "Sở Y tế"),
]
MEETING = Invitation(
    uid="47",
    start=datetime(2026, 11, 26, 1, 0, tzinfo=UTC),
    length=timedelta(hours=1),
    subject="Giao ban",
    organizer=Person(address="ai-do@tinh.example"),
    attendees=(Person(address="vanphong@tinh.example"), Person(address="khach@example.vn")),
)


@pytest.fixture(scope="module")
def province(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    made = config.read_config(home / "hub.toml")
    me = config.Partner(code="me", name="Me", certificates=(DEPARTMENT.certificate,), units=("H55.13", "H55.14"))
    there = config.Partner(
        code="there", name="There", certificates=(OFFICE.certificate,), units=("H55.01",), receive=Receive.FETCH
    )
    partners = {each.code: each for each in (me, there, made.partners[made.upstream])}
    return Province.of(attrs.evolve(made, partners=partners), UNITS)


@pytest.fixture
def engine(tmp_path):
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()


@pytest.fixture
def send(engine, province):
    """Judge and take a packet of the partner `me` with these attachments; give its facts and what was ignored."""
    seen: set[tuple[str, ...]] = set()

    def sent(*attachments, **said):
        content = document(attachments=attachments, number=str(len(seen) + 1), **said)
        me, call = province.config.partners["me"], documents_requests.SendDocument(content)
        entry = admission.judge_message(call, me, province, "documents", NOW, make_id(NOW))
        assert entry.problems == ()
        with transactions.write_transaction(engine) as tx:
            assert messages.record_message(tx, entry, province.routes).problems == ()
        keep_promises(engine, province.routes)
        with transactions.read_transaction(engine) as tx:
            facts = [
                fact for fact in fact_rows.read_facts(tx) if fact.message == entry.id and fact.service != "documents"
            ]
            told = events.read_message_events(tx, entry.id)
        seen.add((entry.id,))
        return [(fact.unit, fact.service, fact.milestone) for fact in facts], [
            each for each in told if each["event"] == "enclosure-ignored"
        ]

    return sent


def ics(method="REQUEST", name="moi-hop.ics", **changed):
    return name, write_invitation(attrs.evolve(MEETING, **changed), method, NOW)


CALLED = [("H55.13", "meetings", "called"), ("H55.13", "meetings", "scheduled")]


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_invitation_in_a_packet_is_of_the_unit_that_sends_it(send, wrapped):
    """An address the registry does not know is the sender's: the packet says who that is.  The VXP SDK wraps attachments."""
    assert send(ics(), ("van-ban.txt", b"x"), variation=Variation(wrapped=wrapped)) == (CALLED, [])


def test_nothing_of_what_a_packet_encloses_is_read_before_its_receipt(province, monkeypatch):
    """Reading it may be dear: neither the caller waits for that, nor does a slip in it take the receipt away."""

    def read(*_args):
        pytest.fail("it is read before the receipt")

    for reader in ("hub.services.meetings.read_meetings", "hub.services.incidents.read_incident"):
        monkeypatch.setattr(reader, read)
    report = Incident(id="SC-9", unit="H55.13", kind="opened", name="malware", severity="critical", time=NOW)
    call = documents_requests.SendDocument(
        document(attachments=[ics(), ("su-co.xml", notice.write_incident_report(report))])
    )
    entry = admission.judge_message(call, province.config.partners["me"], province, "documents", NOW, make_id(NOW))
    assert (entry.problems, entry.receipt is None, len(entry.rest)) == ((), False, 2)


def test_an_organizer_whose_code_stands_there_is_that_unit_if_the_sender_may_speak_for_it(send):
    own = Person(address="x@y", unit="H55.14")
    assert {unit for unit, *_ in send(ics(organizer=own))[0]} == {"H55.14"}
    foreign = Person(address="vanphong@tinh.example")
    facts, ignored = send(ics(organizer=foreign))
    assert facts == []
    assert [(each["attachment"], each["code"]) for each in ignored] == [("moi-hop.ics", "sender-not-allowed")]


def test_no_rule_is_followed_of_a_unit_that_the_sender_may_not_speak_for(send, monkeypatch):
    """Whose a meeting is, a few lines say; on which days it falls is looked up for who may say it."""
    monkeypatch.delattr("hub.formats.rrule.list_rule_days")
    foreign = Person(address="vanphong@tinh.example")
    facts, ignored = send(ics(organizer=foreign, rule="FREQ=DAILY"))
    assert facts == []
    assert [(each["attachment"], each["code"]) for each in ignored] == [("moi-hop.ics", "sender-not-allowed")]


@pytest.mark.slow
def test_all_calendars_of_a_packet_share_what_they_may_bring(send):
    """Of these each has 2 × 330 facts and one: 4,000 are enough for six.  What says so tells what to do."""
    many = [ics(name=f"{number}.ics", uid=str(number), rule="FREQ=DAILY;COUNT=330") for number in range(7)]
    facts, ignored = send(*many)
    assert len(facts) == 6 * 661
    assert [(each["attachment"], each["code"]) for each in ignored] == [("6.ics", "calendar-too-large")]


def test_an_answer_in_a_packet_is_of_the_unit_that_sends_it(send):
    there = Person(address="toi@tinh.example", answer="X-ATTENDED")
    assert send(ics("REPLY", attendees=(there,)))[0] == [("H55.13", "meetings", "attended")]


@pytest.mark.parametrize(
    "content",
    [
        b"no calendar",
        b"",
        b"BEGIN:VCALENDAR\r\n" * 9,
        b"BEGIN:VCALENDAR\r\nX:" + b"a" * (1 << 19),
        b"PK\x03\x04 no ZIP",
    ],
)
def test_a_calendar_that_cannot_be_read_does_not_refuse_its_packet(send, content):
    facts, ignored = send(("moi-hop.ics", content or b"\n"), ("van-ban.txt", b"x"), variation=Variation(wrapped=False))
    assert facts == []
    assert [(each["attachment"], each["code"]) for each in ignored] == [("moi-hop.ics", "calendar-unreadable")]


def test_more_than_ten_calendars_are_not_read(send):
    many = [ics(name=f"{number}.ics", uid=str(number)) for number in range(12)]
    facts, ignored = send(*many)
    assert len(facts) == 20
    assert [each["code"] for each in ignored] == ["too-many-enclosures"]


def test_other_xml_is_nobodys_business(send):
    assert send(("du-lieu.xml", b"<a/>"), ("hong.xml", b"<a")) == ([], [])


def test_an_incident_report_opens_and_closes_an_incident_of_the_unit_that_sends_it(send):
    opened = Incident(
        id="SC-7", unit="H55.13", kind="opened", name="malware", severity="critical", time=NOW - timedelta(hours=2)
    )
    closed = attrs.evolve(opened, kind="closed", time=NOW)
    foreign = attrs.evolve(opened, unit="H55.01")
    assert send(("su-co.xml", notice.write_incident_report(opened)))[0] == [("H55.13", "incidents", "opened")]
    assert send(("su-co.xml", notice.write_incident_report(closed)))[0] == [
        ("H55.13", "incidents", "closed"),
        ("H55.13", "incidents", "closing-seconds"),
    ]
    facts, ignored = send(("su-co.xml", notice.write_incident_report(foreign)))
    assert facts == []
    assert ignored[-1]["code"] == "sender-not-allowed"


def test_how_long_an_incident_was_open_is_known_whichever_end_comes_first(send, engine):
    opened = Incident(
        id="SC-8", unit="H55.13", kind="opened", name="malware", severity="critical", time=NOW - timedelta(minutes=2)
    )
    send(("su-co.xml", notice.write_incident_report(attrs.evolve(opened, kind="closed", time=NOW))))
    assert send(("su-co.xml", notice.write_incident_report(opened)))[0] == [
        ("H55.13", "incidents", "closing-seconds"),
        ("H55.13", "incidents", "opened"),
    ]
    with transactions.read_transaction(engine) as tx:
        (seconds,) = [fact for fact in fact_rows.read_facts(tx) if fact.milestone == "closing-seconds"]
    assert (seconds.amount, dict(seconds.attributes)["class"]) == (120, "malware")


def test_the_facts_tell_the_day_of_the_meeting(send, engine):
    send(ics(rule="FREQ=WEEKLY;COUNT=2"))
    with transactions.read_transaction(engine) as tx:
        days = [fact.day for fact in fact_rows.read_facts(tx) if fact.milestone == "called"]
    assert days == [date(2026, 11, 26), date(2026, 12, 3)]
