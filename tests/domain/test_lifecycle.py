"""The life cycles: nothing moves but by the table."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.conversations import Accepted, Postponed, Refused, Unavailable
from hub.domain.lifecycle import (
    DELIVER,
    RECEIVE,
    REPORT,
    SET_ASIDE,
    STATUS_RANK,
    DeliveryEvent,
    HeldContent,
    Judgement,
    ReportEvent,
    advance_status,
    judge_interruption,
    judge_outcome,
    move_delivery,
    move_report,
    name_outcome,
    receive_message,
)
from hub.domain.model import AfterGiveUp, DeliveryState, MessageState, ReportState

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
FORTNIGHT = timedelta(days=14)


def verdict(outcome, *, since=NOW, now=NOW, delay=timedelta(seconds=8)):
    return judge_outcome(outcome, since=since, now=now, delay=delay, give_up=FORTNIGHT)


def test_what_the_partner_took_is_delivered():
    assert verdict(Accepted()).state is DeliveryState.DELIVERED


def test_a_business_refusal_is_never_tried_again():
    assert verdict(Refused("M.To")).state is DeliveryState.DEAD
    assert verdict(Refused("M.To")).reason == "refused: M.To"


def test_an_unavailable_partner_is_tried_again_after_the_delay_or_when_it_says():
    assert verdict(Unavailable("down")).due == NOW + timedelta(seconds=8)
    assert verdict(Unavailable("busy", retry_after=60)).due == NOW + timedelta(seconds=60)
    assert verdict(Unavailable("busy", retry_after=1)).due == NOW + timedelta(seconds=8)


def test_a_delivery_is_given_up_by_time_after_one_last_try_at_its_end():
    late = NOW + FORTNIGHT - timedelta(seconds=1)
    assert verdict(Unavailable("down"), now=late).due == NOW + FORTNIGHT
    assert verdict(Unavailable("down"), now=NOW + FORTNIGHT).state is DeliveryState.DEAD


@pytest.mark.parametrize(("then", "pauses"), [(AfterGiveUp.WAIT, False), (AfterGiveUp.PAUSE, True)])
def test_a_delivery_waits_for_a_person_instead_of_dying_if_the_policy_says_so(then, pauses):
    judge = partial(judge_outcome, since=NOW, delay=timedelta(0), give_up=FORTNIGHT, then=then)
    found = judge(Unavailable("down"), now=NOW + FORTNIGHT)
    assert (found.state, found.reason, found.pauses) == (DeliveryState.SUSPENDED, "suspended: down", pauses)
    assert judge(Unavailable("down"), now=NOW).state is DeliveryState.WAITING
    assert judge(Refused("no"), now=NOW + FORTNIGHT).state is DeliveryState.DEAD
    broken = judge(Unavailable("hub-error", ours=True), now=NOW + FORTNIGHT, crashes=SET_ASIDE)
    assert (broken.state, broken.reason) == (DeliveryState.DEAD, "set aside: hub-error")


def test_a_postponed_delivery_is_asked_again_uncounted_and_never_in_the_past():
    later = NOW + timedelta(minutes=5)
    assert (verdict(Postponed(later)).due, verdict(Postponed(later)).counts) == (later, False)
    assert verdict(Postponed(NOW - timedelta(1))).due == NOW


@given(
    st.one_of(
        st.builds(Accepted),
        st.builds(Refused, st.text(max_size=5)),
        st.builds(Unavailable, st.text(max_size=5), st.none() | st.floats(0, 1e6)),
        st.builds(Postponed, st.datetimes(timezones=st.just(UTC))),
    ),
    st.timedeltas(timedelta(0), timedelta(days=30)),
    st.timedeltas(timedelta(0), timedelta(hours=1)),
    st.sampled_from(AfterGiveUp),
)
def test_every_verdict_is_in_the_table_and_nothing_waits_without_a_time(outcome, age, delay, then):
    found = judge_outcome(outcome, since=NOW, now=NOW + age, delay=delay, give_up=FORTNIGHT, then=then)
    assert found.pauses <= (found.state is DeliveryState.SUSPENDED)
    assert found.state in DELIVER[DeliveryState.SENDING, name_outcome(outcome)]
    assert (found.state is DeliveryState.WAITING) == (found.due is not None)
    assert found.due is None or found.due >= NOW + age


def test_a_move_that_is_not_in_the_table_is_a_mistake_whoever_asks_for_it():
    for state in DeliveryState:
        for what in DeliveryEvent:
            for to in DeliveryState:
                if to in DELIVER.get((state, what), ()):
                    assert move_delivery(state, what, to) is to
                else:
                    with pytest.raises(ValueError, match="no delivery goes from"):
                        move_delivery(state, what, to)
    assert move_delivery(DeliveryState.WAITING, DeliveryEvent.CLAIM) is DeliveryState.SENDING
    with pytest.raises(ValueError, match="no delivery goes from"):
        move_delivery(DeliveryState.SENDING, DeliveryEvent.UNAVAILABLE)  # to wait or to die: it must be said


def test_a_message_that_broke_the_hub_again_and_again_is_set_aside():
    broken = Unavailable("hub-error: ZeroDivisionError()", ours=True)
    for crashes in range(SET_ASIDE - 1):
        found = judge_outcome(broken, since=NOW, now=NOW, delay=timedelta(0), give_up=FORTNIGHT, crashes=crashes)
        assert (found.state, found.crashes) == (DeliveryState.WAITING, crashes + 1)
    found = judge_outcome(broken, since=NOW, now=NOW, delay=timedelta(0), give_up=FORTNIGHT, crashes=SET_ASIDE - 1)
    assert (found.state, found.reason) == (DeliveryState.DEAD, "set aside: hub-error: ZeroDivisionError()")


def test_a_partner_that_is_down_is_no_reason_to_set_aside():
    found = judge_outcome(
        Unavailable("down"), since=NOW, now=NOW, delay=timedelta(0), give_up=FORTNIGHT, crashes=SET_ASIDE
    )
    assert (found.state, found.crashes) == (DeliveryState.WAITING, 0)


def test_what_a_crash_cut_short_goes_again_at_once_then_later_and_later_then_no_more():
    verdicts = [judge_interruption(NOW, crashes) for crashes in range(SET_ASIDE + 1)]
    assert [each.state for each in verdicts] == [DeliveryState.WAITING] * SET_ASIDE + [DeliveryState.DEAD]
    waits = [each.due - NOW for each in verdicts[:-1] if each.due]
    assert waits == [timedelta(seconds=seconds) for seconds in (0, 0, 10, 20, 40)]
    assert not any(each.counts for each in verdicts[:-1])


def test_only_what_is_sound_and_new_is_accepted_and_the_same_bytes_are_the_same_message():
    assert {key for key, becomes in RECEIVE.items() if becomes is MessageState.ACCEPTED} == {("nothing", "sound")}
    assert {held for (held, _), becomes in RECEIVE.items() if becomes is None} == {"the same bytes"}
    assert receive_message(HeldContent.OTHER_BYTES, Judgement.SOUND) is MessageState.REFUSED


def test_what_is_suspended_is_left_only_by_a_person_or_a_change():
    assert {what for state, what in DELIVER if state is DeliveryState.SUSPENDED} == {
        DeliveryEvent.RESUME,
        DeliveryEvent.REPLAY,
        DeliveryEvent.GIVE_UP,
        DeliveryEvent.STOP,
    }


def test_what_ended_is_left_only_by_replay_or_by_a_later_failure():
    assert {
        (what, *to) for (state, what), to in DELIVER.items() if state is DeliveryState.DELIVERED and what != "replay"
    } == {("confirm", DeliveryState.DELIVERED), ("fail", DeliveryState.DEAD)}
    assert {
        (what, *to) for (state, what), to in DELIVER.items() if state is DeliveryState.DEAD and what != "replay"
    } == {("stop", DeliveryState.DEAD)}


@pytest.mark.parametrize(
    ("history", "status"),
    [
        (["01", "03", "04", "05", "06"], "06"),
        (["06", "05", "01"], "06"),
        (["02", "03"], "02"),
        (["03", "02"], "02"),
        (["04", "02"], "02"),
        (["01", "03", "05", "02", "06"], "02"),
        (["04", "01"], "04"),
        (["13", "15", "16"], None),
        (["01", "13"], "01"),
    ],
)
def test_a_status_moves_only_forward(history, status):
    now = None
    for code in history:
        now = advance_status(now, code)
    assert now == status


@given(st.lists(st.sampled_from([*STATUS_RANK, "13", "15", "16"])))
def test_repeating_a_status_changes_nothing_and_the_rank_never_falls_but_to_a_refusal(history):
    now = None
    for code in history:
        after = advance_status(now, code)
        assert advance_status(after, code) == after
        assert after == "02" or STATUS_RANK.get(after or "", 0) >= STATUS_RANK.get(now or "", 0)
        now = after


def test_a_report_is_signed_only_while_it_is_closed_or_drafted_and_only_a_revision_mends_what_came_back():
    assert {state for state, what in REPORT if what == "sign"} == {ReportState.CLOSED, ReportState.DRAFTED}
    assert {state for state, what in REPORT if what == "draft"} == {ReportState.CLOSED}
    after = {becomes for (state, what), becomes in REPORT.items() if state is ReportState.RETURNED and what != "revise"}
    assert after == {ReportState.RETURNED}
    assert {becomes for (_, what), becomes in REPORT.items() if what in {"close", "revise"}} == {ReportState.CLOSED}
    assert "revise" not in {what for state, what in REPORT if state is ReportState.OPEN}


def test_a_step_of_a_report_that_is_not_in_the_table_is_a_mistake():
    for state in ReportState:
        for what in ReportEvent:
            if (state, what) in REPORT:
                assert move_report(state, what) is REPORT[state, what]
            else:
                with pytest.raises(ValueError, match="no report goes on"):
                    move_report(state, what)
