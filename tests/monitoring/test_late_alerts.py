"""Units get mail before something is due, and once a week about what is late: once each, whatever node or restart."""

import email
from datetime import UTC, date, datetime, timedelta
from email.policy import default
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from hub.config.alerting.alerts import AlertAddress, AlertSettings
from hub.config.reports import ReportSettings
from hub.domain.conversations import Reply
from hub.domain.errors import Unready
from hub.domain.model import Unit, UnitKind
from hub.journal import nodes, unit_registry
from hub.journal.nodes import Node
from hub.journal.sequels.open_work import alerts
from hub.monitoring.late_alerts import LateAlerts
from hub.report.counting.family import find_nearest_above
from hub.runtime.http_client import Unreachable
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import event
from hub.units.live import Live
from tests.journal.test_open_work import settle, tell

#: Tuesday, 24 November 2026, 08:00 in Hà Nội.
TUESDAY = datetime(2026, 11, 24, 1, tzinfo=UTC)
OK, FULL = (250, "content"), (452, "rcpt")
ADDRESSES = (AlertAddress(unit="H55.13", address="vt@so13.vn"), AlertAddress(unit="H55.30", address="vt@so30.vn"))


@attrs.define(eq=False)
class Office:
    """Nodes of a hub on a clock that the test moves, and a mail server that answers as told."""

    engine: sa.Engine
    now: datetime = TUESDAY
    settings: Any = None  #: an `AlertSettings`
    url: str = "smtp://mail.tinh.vn"
    account: dict[str, str] = attrs.field(factory=lambda: {"from": "truc@tinh.vn", "user": ""})
    secrets: dict[str, str] = attrs.field(factory=dict)
    carry: Any = None  #: sends a request to a real server instead
    answers: list[Any] = attrs.field(factory=list)  #: of the server, then always that it took the mail
    mails: list[Any] = attrs.field(factory=list)  #: what the server took

    def node(self, name: str = "một") -> LateAlerts:
        """Return the sender of a node that has just started."""
        partner = SimpleNamespace(url=self.url, settings=self.account, secrets=self.secrets)
        config = SimpleNamespace(name="Tỉnh", alerts=self.settings, reports=ReportSettings(), partners={"thu": partner})
        live = cast("Live", SimpleNamespace(config=config))
        self.beat(name)
        return LateAlerts(InlineDatabase(self.engine), live, self.send, Clock(), lambda: self.now, name)

    def beat(self, name: str) -> None:
        """Let the node *name* say that it lives."""
        with transactions.write_transaction(self.engine) as tx:
            one = Node(name=name, host="h", version="1", schema="1", started_at=self.now)
            nodes.record_heartbeat(tx, one, self.now)

    async def send(self, request: Any, _partner: object) -> Any:
        """Answer as a mail server does."""
        if self.carry is not None:
            return self.carry(request)
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, Exception):
            raise answer
        code, stage = answer
        if answer == OK:
            said = dict(request.headers)
            mail: Any = email.message_from_bytes(request.body, policy=default)
            assert (said["Mail-From"], said["Rcpt-To"]) == ("truc@tinh.vn", mail["To"])
            self.mails.append(mail)
        return Reply(code, b"said", {"stage": stage}, self.now)

    def look(self, *services: LateAlerts) -> list[tuple[str, str]]:
        """Let each node look once. Returns to whom mail went, and its subject."""
        self.mails.clear()
        with transactions.write_transaction(self.engine) as tx:
            settle(tx)
        for service in services:
            done: list[object] = []
            _ = Deferred.fromCoroutine(service.run_once()).addBoth(done.append)
            assert done == [None]
        return [(mail["To"], mail["Subject"]) for mail in self.mails]

    def tell(self, unit: str, key: str, due: date, at: datetime | None = None, **more: Any) -> None:
        """Let a unit have something to do."""
        with transactions.write_transaction(self.engine) as tx:
            known = (("kind", "bao-cao"), ("officer", "CB-07"))
            at = at or self.now - timedelta(hours=1)
            tell(tx, unit, "work", key, "assigned", at, day=at.date(), due=due, attributes=known, **more)

    def ended(self) -> list[str]:
        """Return the states in the events, in order."""
        with transactions.read_transaction(self.engine) as tx:
            texts = tx.scalars(
                sa.select(event.c.text).where(event.c.text.contains("alert-ended")).order_by(event.c.serial)
            )
            return [text.partition('"sending":"')[2].partition('"')[0] for text in texts]


@pytest.fixture
def office(engine):
    return open_office(engine)


def open_office(engine: sa.Engine) -> Office:
    """Return the office of a province with some units."""
    units = [Unit("H55", "Tỉnh"), Unit("H55.13", "Sở Nội vụ", "H55"), Unit("H55.13.1", "Trung tâm", "H55.13")]
    units += [Unit("H55.30", "Sở Tư pháp", "H55"), Unit("H55.T", "Kiểm tra", "H55.13", kind=UnitKind.DRILL)]
    with transactions.write_transaction(engine) as tx:
        unit_registry.write_registry_units(tx, units)
    settings = AlertSettings(through="thu", before=(3, 1), hour=7, weekly=False, addresses=ADDRESSES)
    return Office(engine, settings=settings)


def text(office):
    return office.mails[0].get_content()


def test_a_unit_is_told_once_on_each_day_before_and_no_more(office):
    office.tell("H55.13", "V1", date(2026, 11, 27))
    found = []
    for day in range(9):  # Tuesday to the Wednesday after
        office.now = TUESDAY + timedelta(days=day)
        found += [(office.now.day, to) for to, _ in office.look(office.node(), office.node("hai"))]
    assert found == [(24, "vt@so13.vn"), (26, "vt@so13.vn")]


def test_a_mail_has_codes_and_no_name_of_a_person_and_no_subject(office):
    office.tell("H55.13.1", "V1", date(2026, 11, 25), code="15/UBND")
    ((_, subject),) = office.look(office.node())
    assert subject == "[Tỉnh] H55.13: 1 việc sắp đến hạn"
    assert (
        "1. 25/11/2026 (còn 1 ngày làm việc); công việc V1; đơn vị H55.13.1; lĩnh vực hoặc loại việc bao-cao; cán bộ CB-07"
        in (text(office))
    )
    assert office.mails[0]["Auto-Submitted"] == "auto-generated"


def test_nothing_is_sent_on_a_day_off_nor_before_the_hour_and_it_is_made_up_for(office):
    office.tell("H55.13", "V1", date(2026, 11, 30))  # three working days before: Wednesday 25; one: Friday 27
    office.tell("H55.13", "V2", date(2026, 12, 1))  # one working day before: Monday 30
    quiet = [TUESDAY - timedelta(hours=2), TUESDAY + timedelta(days=4), TUESDAY + timedelta(days=5)]
    for office.now in quiet:  # 06:00, Saturday, Sunday
        assert office.look(office.node()) == []
    office.now = TUESDAY + timedelta(days=6)
    ((_, subject),) = office.look(office.node())
    assert "2 việc" in subject


def test_what_arrives_late_is_told_on_the_next_working_day(office):
    office.tell("H55.13", "V1", date(2026, 11, 25))
    assert len(office.look(office.node())) == 1
    office.tell("H55.13", "V2", date(2026, 11, 25), office.now)  # after the mail of the day
    assert office.look(office.node()) == []
    office.now += timedelta(days=1)
    assert len(office.look(office.node())) == 1
    assert "V2" in text(office)
    assert "V1" not in text(office)


def test_what_is_late_is_listed_once_a_week_on_its_first_working_day(office):
    office.settings = attrs.evolve(office.settings, before=(), weekly=True)
    office.tell("H55.13", "V1", date(2026, 11, 20))
    found = []
    for day in range(8):
        office.now = TUESDAY + timedelta(days=day)
        found += [(office.now.day, subject) for _, subject in office.look(office.node(), office.node("hai"))]
    assert found == [(24, "[Tỉnh] H55.13: 1 việc quá hạn"), (30, "[Tỉnh] H55.13: 1 việc quá hạn")]


def test_a_long_list_is_cut_and_counted(office):
    office.settings = attrs.evolve(office.settings, before=(), weekly=True)
    for number in range(203):
        office.tell("H55.13", f"V{number}", date(2026, 11, 20))
    office.look(office.node())
    assert "200. " in text(office)
    assert "201. " not in text(office)
    assert "Còn 3 việc nữa." in text(office)


def test_a_mail_that_the_server_has_not_taken_is_sent_again(office):
    office.tell("H55.13", "V1", date(2026, 11, 25))
    office.answers = [FULL, Unreachable("refused", unsent=True)]
    node = office.node()
    assert office.look(node) == []
    assert office.look(node) == [], "not before ten minutes are over"
    office.now += timedelta(minutes=10)
    assert office.look(node) == []
    office.now += timedelta(minutes=20)
    assert len(office.look(node)) == 1
    assert office.ended() == ["failed", "failed", "sent"]


def test_after_six_attempts_the_next_working_day_tells_it(office):
    office.tell("H55.13", "V1", date(2026, 11, 25))
    office.answers = [FULL] * 6
    node = office.node()
    for _ in range(40):
        office.now += timedelta(minutes=10)
        assert office.look(node) == []
    assert office.answers == []
    office.now = TUESDAY + timedelta(days=1)
    assert len(office.look(node)) == 1


def test_a_mail_that_may_have_arrived_is_never_sent_again_and_an_event_says_so(office):
    office.tell("H55.13", "V1", date(2026, 11, 25))
    office.answers = [Unreachable("lost after DATA")]
    assert office.look(office.node()) == []
    for hours in (1, 24):
        office.now = TUESDAY + timedelta(hours=hours)
        assert office.look(office.node()) == []
    assert office.ended() == ["unsure"]


def test_a_restart_in_the_midst_of_a_mail_sends_it_no_second_time(office):
    office.tell("H55.13", "V1", date(2026, 11, 25))
    office.answers = [KeyboardInterrupt()]
    node = office.node()
    with transactions.write_transaction(office.engine) as tx:
        settle(tx)
        key = alerts.AlertKey("H55.13", alerts.AlertKind.DUE, date(2026, 11, 24))
        assert alerts.begin_alert(tx, key, "vt@so13.vn", "một", office.now)
    office.answers = []
    assert office.look(office.node("hai")) == [], "the node lives, as far as is known"
    assert office.ended() == []
    assert office.look(office.node("một")) == [], "this is the node, started again"
    assert office.ended() == ["unsure"]
    del node


def test_a_mail_whose_end_the_journal_did_not_take_is_told_as_unsure_without_a_restart(office):
    office.tell("H55.13", "V1", date(2026, 11, 25))
    node = office.node()
    good, node._journal = node._journal, Forgetful(office.engine)
    assert len(office.look(node)) == 1
    node._journal = good
    assert office.look(node) == []
    assert office.ended() == ["unsure"]


class Forgetful(InlineDatabase):
    """A journal that does not take the end of a mail."""

    def write(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        if step is alerts.end_alert:
            return fail(Unready("journal-unavailable", "cáp đứt"))
        return super().write(step, *args, **kwargs)


def test_of_two_nodes_that_found_the_same_alert_one_begins_it(office):
    key = alerts.AlertKey("H55.13", alerts.AlertKind.DUE, date(2026, 11, 24))
    for expected in (True, False):
        with transactions.write_transaction(office.engine) as tx:
            assert alerts.begin_alert(tx, key, "vt@so13.vn", "một", office.now) is expected


def test_units_without_an_address_are_told_to_the_one_above_and_a_drill_to_nobody(office):
    office.tell("H55.13.1", "V1", date(2026, 11, 25))
    office.tell("H55.T", "V2", date(2026, 11, 25))
    assert [to for to, _ in office.look(office.node())] == ["vt@so13.vn"]
    assert "V2" not in text(office)
    units = {"A": Unit("A", "A", "B"), "B": Unit("B", "B", "A")}
    assert find_nearest_above(units, ["C"], "A") is None, "parents in a circle"


def test_an_address_is_used_only_while_it_is_in_force(office):
    over = AlertAddress(unit="H55.13", address="cu@so13.vn", until=date(2026, 11, 24))
    new = AlertAddress(unit="H55.13", address="moi@so13.vn", since=date(2026, 11, 24))
    office.settings = attrs.evolve(office.settings, addresses=(over, new))
    office.tell("H55.13", "V1", date(2026, 11, 25))
    assert [to for to, _ in office.look(office.node())] == ["moi@so13.vn"]
