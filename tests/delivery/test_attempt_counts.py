"""What /metrics tells of delivery: every attempt once, by its outcome, and how long a message took to its recipient."""

from hub.delivery.push_service import RESCUE
from hub.domain.measures import ATTEMPT_SECONDS, ATTEMPTS, DELIVERED_SECONDS, LEASES
from tests.outgoing import Desk


def test_attempts_are_counted_by_outcome_and_the_lag_from_the_acceptance(desk):
    desk.start()
    desk.up["vpub"] = False
    desk.take(1, "H55.01")
    desk.pass_time(1)
    desk.up["vpub"] = True
    desk.pass_time(1)
    assert desk.measures.read(ATTEMPTS) == {("vpub", "unavailable"): [1], ("vpub", "accepted"): [1]}
    (*classes, total) = desk.measures.read(DELIVERED_SECONDS)["vpub",]
    assert (sum(classes), total) == (1, 1.5), "the first retry comes after 1.5 seconds"
    assert sum(desk.measures.read(ATTEMPT_SECONDS)["vpub",][:-1]) == 2


def test_a_conversation_is_as_long_as_its_partner_takes(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    desk.take(1, "H55.01")
    desk.pass_time(3)
    desk.answer()
    (*_, total) = desk.measures.read(ATTEMPT_SECONDS)["vpub",]
    assert total == 3.0


def test_what_a_crash_left_is_taken_back_and_counted(desk):
    desk.start()
    desk.up["vpub"] = "hangs"
    desk.take(1, "H55.01")
    after = Desk(desk.engine, desk.clock).start()
    after.pass_time(RESCUE)
    assert after.measures.read(LEASES) == {(): [1]}
    desk.answer()
    assert desk.measures.read(ATTEMPTS) == {("vpub", "stale"): [1]}, "its claim was lost"
