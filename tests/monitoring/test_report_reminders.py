"""Units are reminded of reports that they have not handed in when a person asks: once a day, whatever node or restart, and of what is so by then."""

from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest

from hub.config.alerting.alerts import AlertAddress, AlertSettings
from hub.config.reports import ReportSettings
from hub.domain.model import Unit, UnitKind
from hub.journal import events, unit_registry
from hub.journal.sequels.open_work import alerts
from hub.monitoring.late_alerts import LateAlerts
from hub.report.form.book import read_shipped_book
from hub.store import transactions
from hub.workload.many import reminders, report_round
from hub.workload.many.report_round import RoundFilter
from tests.journal.test_signed_revisions import give_out, hand_in, take_back
from tests.monitoring.test_late_alerts import FULL, TUESDAY, Office
from tests.officials import by_xmlsec
from tests.pki import NOW as SIGNED

BOOK = read_shipped_book()
PERIOD = "2026-11"
SETTINGS = AlertSettings(
    through="thu",
    before=(),
    hour=7,
    weekly=False,
    addresses=(AlertAddress(unit="H55.13", address="vt@so13.vn"), AlertAddress(unit="H55.30", address="vt@so30.vn")),
)
UNITS = [
    Unit("H55", "Tỉnh"),
    Unit("H55.13", "Sở Nội vụ", "H55"),
    Unit("H55.13.1", "Trung tâm", "H55.13"),
    Unit("H55.30", "Sở Tư pháp", "H55"),
    Unit("H55.T", "Kiểm tra", "H55.13", kind=UnitKind.DRILL),
]


class RemindingOffice(Office):
    """A hub whose nodes also send what persons ask to remind of."""

    def node(self, name: str = "một") -> LateAlerts:
        """Return the sender of a node that has just started."""
        live = cast("Any", SimpleNamespace(config=SimpleNamespace(alerts=self.settings, reports=ReportSettings())))
        made = super().node(name)
        made._list_reminders = partial(reminders.list_reminders, live)
        return made

    def read(self, form: str = "edoc") -> report_round.ReportRound:
        with transactions.read_transaction(self.engine) as tx:
            return report_round.read_report_round(tx, BOOK, form, PERIOD, self.now)

    def ask(self, form: str = "edoc", **wanted: frozenset[str]) -> dict[str, bool]:
        """Ask to remind the units that are *wanted*; return for each mail whether it is new."""
        found = RoundFilter(**wanted).choose(self.read(form))  # type: ignore[arg-type]
        mails, _ = reminders.plan_reminders(found, SETTINGS, self.now)
        with transactions.write_transaction(self.engine) as tx:
            return dict(reminders.request_reminders(tx, found, mails, by="chi", now=self.now))


@pytest.fixture
def office(engine):
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, UNITS)
    return RemindingOffice(engine, settings=SETTINGS)


def submit(office):
    """Hand in the report of H55.13."""
    with transactions.write_transaction(office.engine) as tx:
        kept, octets = give_out(tx)
        take_back(tx, kept, by_xmlsec(octets), SIGNED + timedelta(minutes=1))
        hand_in(tx, now=SIGNED + timedelta(minutes=2))


def test_each_address_gets_one_mail_about_its_units_and_who_has_no_address_is_named(office):
    mails, without = reminders.plan_reminders(office.read(), SETTINGS, office.now)
    assert {each.unit: [one.unit.code for one in each.about] for each in mails} == {
        "H55.13": ["H55.13", "H55.13.1"],
        "H55.30": ["H55.30"],
    }
    assert [each.unit.code for each in without] == ["H55"]
    assert office.look(office.node()) == [], "nobody has asked yet"
    assert office.ask() == {"H55.13": True, "H55.30": True}
    assert office.look(office.node()) == [
        ("vt@so13.vn", f"[Tỉnh] H55.13: 2 báo cáo edoc {PERIOD} chưa nộp"),
        ("vt@so30.vn", f"[Tỉnh] H55.30: 1 báo cáo edoc {PERIOD} chưa nộp"),
    ]
    assert office.look(office.node()) == [], "a restart sends none twice"
    assert office.ended() == ["sent", "sent"]


def test_a_unit_is_reminded_of_a_form_and_period_once_a_day_however_often_one_asks(office):
    assert office.ask() == {"H55.13": True, "H55.30": True}
    assert office.ask() == {"H55.13": False, "H55.30": False}
    assert len(office.look(office.node(), office.node("hai"))) == 2
    assert office.ask() == {"H55.13": False, "H55.30": False}
    assert office.ask("ii06a", units=frozenset({"H55.30"})) == {"H55.30": True}
    assert len(office.look(office.node())) == 1
    office.now += timedelta(days=1)
    assert office.ask() == {"H55.13": True, "H55.30": True}
    assert len(office.look(office.node())) == 2


def test_the_mail_says_what_is_so_when_it_is_sent_with_the_days_left(office):
    office.now = TUESDAY - timedelta(days=8)  # Monday 16 November; II.06a is due on the 17th
    office.ask("ii06a", units=frozenset({"H55.30"}))
    office.look(office.node())
    said = office.mails[0].get_content()
    assert "Hạn gửi 17/11/2026; còn 1 ngày." in said
    assert "1. Sở Tư pháp (H55.30): sẵn sàng để ký" in said
    office.now = TUESDAY
    office.ask()
    submit(office)
    office.look(office.node())
    assert "H55.13.1" in office.mails[0].get_content()
    assert "Sở Nội vụ (H55.13):" not in office.mails[0].get_content()


def test_who_hands_in_before_the_mail_goes_gets_none(office):
    office.ask(units=frozenset({"H55.13"}))
    submit(office)
    unit_registry_without_centre = attrs.evolve(UNITS[2], parent="H55.30")
    with transactions.write_transaction(office.engine) as tx:
        unit_registry.write_registry_units(tx, [UNITS[0], UNITS[1], unit_registry_without_centre, *UNITS[3:]])
    assert office.look(office.node()) == []
    assert office.ended() == ["failed"]


def test_a_mail_that_the_server_does_not_take_is_tried_again_and_a_lost_one_is_not(office):
    office.ask(units=frozenset({"H55.30"}))
    office.answers = [FULL]
    assert office.look(office.node()) == []
    office.now += timedelta(minutes=10)
    assert len(office.look(office.node())) == 1
    assert office.ended() == ["failed", "sent"]
    office.ask("ii06a", units=frozenset({"H55.30"}))
    with transactions.write_transaction(office.engine) as tx:
        (key, address), *_ = alerts.list_requested(tx, TUESDAY.date(), office.now)
        assert alerts.begin_alert(tx, key, address, "một", office.now)
    assert office.look(office.node()) == [], "the node died while it sent"
    assert office.ended() == ["failed", "sent", "unsure"]


def test_who_asked_is_in_the_events(office):
    office.ask()
    with transactions.write_transaction(office.engine) as tx:
        events.chain_events(tx)
        told = [each.text for each in events.read_chained_events(tx, 0, 10)]
    assert [
        text
        for text in told
        if '"event":"reminders-requested"' in text and '"by":"chi"' in text and '"items":2' in text
    ]
