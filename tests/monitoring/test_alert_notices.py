"""What is to be told of an alert is told through each channel: once, together, not in quiet hours, and never lost."""

from datetime import UTC, datetime, time, timedelta

import pytest
from twisted.internet.defer import Deferred, fail

from hub.config.alerting.operator_alerts import OperatorAlertSettings, QuietHours, WebhookSettings
from hub.domain.alert_severity import AlertSeverity
from hub.domain.errors import Unready
from hub.keeping import alert_notices, hub_alerts
from hub.monitoring.hub_alerts.sender import AlertSender
from hub.runtime import disk_space
from hub.store.inline_database import InlineDatabase
from hub.store.tables import event, hub_alert_notice
from tests.monitoring.test_failures import die
from tests.watching import WatchedHub

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DEAD = "dead-letters vpub"
HOOK = WebhookSettings(url="https://x", key=b"k" * 24, key_file=None)  # type: ignore[arg-type]


@pytest.fixture
def watched(engine):
    return told(engine)


def told(engine, **said):
    settings = OperatorAlertSettings(**({"mail": ("truc@tinh.vn",)} | said))
    return WatchedHub(engine).open(operator_alerts=settings)


def begin(watched, number=1):
    """Let a delivery die, and the hub see it."""
    watched.write(die, number, "refused: E05", at=watched.now)
    return watched.look()


def test_a_transition_is_told_through_each_channel(engine):
    watched = told(engine, mail=("a@tinh.vn", "b@tinh.vn"), webhook=HOOK)
    begin(watched)
    found = sorted(watched.deliver(watched.sender()))
    assert found == [[channel, f"raised {DEAD}"] for channel in ("mail a@tinh.vn", "mail b@tinh.vn", "webhook")]
    assert watched.deliver(watched.sender()) == []


def test_what_changed_together_is_told_together(watched, monkeypatch):
    monkeypatch.setattr(disk_space, "read_free_octets", lambda _place: 0)
    begin(watched)
    (found,) = watched.deliver(watched.sender())
    assert sorted(found) == ["mail truc@tinh.vn", f"raised {DEAD}", "raised disk-low /"]


def test_neither_a_restart_nor_another_node_tells_it_again(watched):
    begin(watched)
    one, other = watched.sender(), watched.sender("hai")
    assert watched.deliver(one, other) == [["mail truc@tinh.vn", f"raised {DEAD}"]]
    assert watched.deliver(watched.sender(), watched.sender("hai"), after=DAY) == []


def test_what_could_not_be_sent_is_sent_again_as_the_same_batch_while_newer_ones_wait_for_their_own(watched):
    sender = watched.sender()
    watched.broken.add("mail truc@tinh.vn")
    begin(watched)
    (first,) = watched.write(waiting)
    assert watched.deliver(sender) == []
    assert watched.deliver(sender, after=30 * timedelta(seconds=1)) == []
    watched.broken.clear()
    watched.write(hub_alerts.acknowledge_alerts, None, by="chi", note="", now=watched.now)
    begin(watched, 2)
    found = watched.deliver(sender, after=MINUTE)
    assert sorted(found) == [["mail truc@tinh.vn", f"more {DEAD}"], ["mail truc@tinh.vn", f"raised {DEAD}"]]
    assert [each.id for each in watched.sent if each.attempt == 2] == [first]


def waiting(tx):
    return [row.id for row in tx.execute(hub_alert_notice.select()) if row.state == "waiting"]


def test_a_channel_that_is_broken_for_three_days_loses_its_notices_with_an_event(watched):
    sender = watched.sender()
    watched.broken.add("mail truc@tinh.vn")
    begin(watched)
    for _ in range(5):
        watched.deliver(sender, after=DAY)
        watched.beat("một")
    assert watched.write(waiting) == []
    (said,) = watched.write(events_named, "hub-alert-told")
    assert '"sending":"failed"' in said
    assert "cáp đứt" in said


def events_named(tx, name):
    return [text for text in tx.scalars(event.select().with_only_columns(event.c.text)) if f'"event":"{name}"' in text]


def test_a_node_that_ends_while_it_sends_leaves_its_batch_to_the_next(watched):
    begin(watched)

    async def hang(_batch):
        await Deferred()

    lost = AlertSender(watched.sender()._journal, {"mail": hang}, None, lambda: watched.now, "một")  # type: ignore[arg-type]
    _ = Deferred.fromCoroutine(lost.run_once())
    assert watched.deliver(watched.sender("hai")) == [], "the node lives, and may be sending it"
    assert watched.deliver(watched.sender("một")) == [["mail truc@tinh.vn", f"raised {DEAD}"]]
    assert watched.sent[0].attempt == 2


class LostOnce(InlineDatabase):
    """A journal that commits one step and is gone before it says so."""

    lost: object = None  #: the step

    def write(self, step, *args, **kwargs):
        done = super().write(step, *args, **kwargs)
        if step is not self.lost:
            return done
        self.lost = None
        return fail(Unready("journal-unavailable", "cáp đứt"))


@pytest.mark.parametrize("step", [alert_notices.claim_batch, alert_notices.end_batch])
def test_a_batch_is_sent_although_the_journal_was_gone_in_the_midst_of_it(watched, step):
    begin(watched)
    sender = watched.sender()
    sender._journal = LostOnce(watched.engine)
    sender._journal.lost = step
    watched.deliver(sender)
    watched.now += MINUTE
    watched.beat("một")
    found = watched.deliver(sender)
    assert found == ([["mail truc@tinh.vn", f"raised {DEAD}"]] if step is alert_notices.claim_batch else [])


def test_a_batch_whose_end_the_journal_did_not_take_is_sent_again_as_the_same_one(watched):
    begin(watched)
    sender = watched.sender()
    good, sender._journal = sender._journal, LostBefore(watched.engine)
    assert watched.deliver(sender) == [["mail truc@tinh.vn", f"raised {DEAD}"]]
    (first,) = watched.sent
    sender._journal = good
    watched.now += MINUTE
    watched.beat("một")
    assert watched.deliver(sender) == [["mail truc@tinh.vn", f"raised {DEAD}"]]
    (again,) = watched.sent
    assert (again.id, again.attempt) == (first.id, 2)


class LostBefore(InlineDatabase):
    """A journal that does not take the end of a batch."""

    def write(self, step, *args, **kwargs):
        if step is alert_notices.end_batch:
            return fail(Unready("journal-unavailable", "cáp đứt"))
        return super().write(step, *args, **kwargs)


def test_in_quiet_hours_only_what_is_critical_is_told_and_the_rest_together_at_their_end(engine, monkeypatch):
    quiet = QuietHours(begin=time(21, 30), end=time(6))
    watched = told(engine, quiet=quiet)
    watched.now = datetime(2026, 11, 24, 15, tzinfo=UTC)  # 22:00 in Hà Nội
    watched.beat("một")
    begin(watched)
    sender = watched.sender()
    assert watched.deliver(sender) == []
    monkeypatch.setattr(disk_space, "read_free_octets", lambda _place: 0)
    watched.config.free_disk = 1
    watched.look()
    assert watched.deliver(sender) == [["mail truc@tinh.vn", "raised disk-low /"]]
    monkeypatch.undo()
    watched.now += MINUTE
    watched.write(hub_alerts.acknowledge_alerts, None, by="chi", note="", now=watched.now)
    begin(watched, 2)
    assert watched.deliver(sender, after=7 * HOUR + 58 * MINUTE) == []
    watched.beat("một")
    assert watched.deliver(sender, after=MINUTE) == [["mail truc@tinh.vn", f"raised {DEAD}", f"more {DEAD}"]]


@pytest.mark.parametrize(
    ("begin", "end", "hour", "due"),
    [("21:30", "06:00", 23, 6 + 24), ("21:30", "06:00", 5, 6), ("12:00", "13:00", 12, 13), ("12:00", "13:00", 13, 13)],
)
def test_quiet_hours_may_pass_midnight(begin, end, hour, due):
    quiet = QuietHours(begin=time.fromisoformat(begin), end=time.fromisoformat(end))
    day = datetime(2026, 11, 23, 17, tzinfo=UTC)  # midnight in Hà Nội
    assert quiet.find_due(day + hour * HOUR) == day + due * HOUR


def test_what_is_less_grave_than_asked_for_is_kept_and_not_told(engine):
    watched = told(engine, least=AlertSeverity.CRITICAL)
    assert begin(watched) == [f"raised {DEAD}"]
    assert watched.deliver(watched.sender()) == []


def test_a_channel_that_is_configured_no_more_is_given_up_at_once(watched):
    begin(watched)
    sender = watched.sender()
    sender._channels = {}
    assert watched.deliver(sender) == []
    assert watched.write(waiting) == []


def test_a_test_is_sent_at_once_in_quiet_hours_too(engine):
    watched = told(engine, quiet=QuietHours(begin=time(0), end=time(23, 59)))
    ids = watched.write(alert_notices.add_test_notices, ["mail truc@tinh.vn"], "chi", watched.now)
    assert watched.deliver(watched.sender()) == [["mail truc@tinh.vn", "test test"]]
    (found,) = watched.write(alert_notices.read_notices, list(ids.values())).values()
    assert (found.state, found.attempts) == ("sent", 1)


def test_a_flood_of_alerts_is_sent_in_few_messages(watched, monkeypatch):
    monkeypatch.setattr(alert_notices, "MOST", 3)
    for number in range(7):
        watched.write(alert_notices.add_test_notices, ["mail truc@tinh.vn"], str(number), watched.now)
    assert [len(each) - 1 for each in watched.deliver(watched.sender())] == [3, 3, 1]


def test_notices_are_forgotten_a_month_after_they_were_sent(watched):
    begin(watched)
    sender = watched.sender()
    watched.deliver(sender)
    watched.deliver(sender, after=29 * DAY)
    assert watched.write(count) == 1
    watched.deliver(sender, after=2 * DAY)
    assert watched.write(count) == 0


def count(tx):
    return len(tx.execute(hub_alert_notice.select()).all())
