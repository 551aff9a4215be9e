"""What the axis's list of sent messages tells: what it has after a lost answer, and what a receiver could not take."""

from datetime import timedelta

import attrs
import pytest

from adapters.vxp.answers import VxpAnswer
from adapters.vxp.sent import find_sent_ids, read_vxp_sent_items
from hub.domain.conversations import Accepted, LaterFailure, LaterFailures, Postponed, Unavailable
from hub.partner.adapter_settings import AdapterNotes
from tests.adapters.test_vxp import asked, bad, consignment, good
from tests.adapters.test_vxp import axis as axis_of
from tests.pki import NOW

ASKED = attrs.evolve(consignment(), unsure=NOW)
ASKED = attrs.evolve(ASKED, message=attrs.evolve(ASKED.message, code="7/VB", subject="V/v báo cáo"))


def axis(notes=None, **settings):
    return axis_of(notes, **{"sent_list": "10m", "sent_wait": "0s", **settings})


def shown(to, **more):
    said = {"senderDocId": f"id-{to}", "fromCode": "H55.13", "toCode": to, "notation": "7/VB", "title": "V/v báo cáo"}
    return said | {"sentTime": "2026-11-24 15:00:00", "receiveStatus": "done"} | more


def told(*items):
    found = read_vxp_sent_items(VxpAnswer(True, "0", "", {"data": list(items)}))
    assert found is not None
    return find_sent_ids(found, ASKED, "H55.13")


@pytest.mark.parametrize(
    ("item", "same"),
    [
        (shown("G22"), True),
        (shown("G22", title=""), True),
        (shown("G22", notation="VB"), True),
        (shown("G22", fromCode=""), True),
        (shown("G22", sentTime="?"), True),
        (shown("G22", sentTime="2026-11-24 14:46:00"), True),  # clocks differ by 14 minutes
        (shown("G22", sentTime="2026-11-24 14:44:00"), False),
        (shown("G22", notation="8/VB"), False),
        (shown("G22", title="V/v khác"), False),
        (shown("G22", fromCode="H55.14"), False),
        (shown("G23"), False),
        (shown("G22", senderDocId=None), False),
    ],
)
def test_an_item_is_the_message_if_all_that_it_says_fits(item, same):
    assert told(item) == ({"G22": "id-G22"} if same else {})


def test_an_item_of_an_earlier_message_of_the_lane_is_not_this_one():
    found = read_vxp_sent_items(VxpAnswer(True, "0", "", {"data": [shown("G22")]}))
    assert found is not None
    assert find_sent_ids(found, attrs.evolve(ASKED, earlier=frozenset({"id-G22"})), "H55.13") == {}


def test_an_item_without_notation_and_title_allows_no_judgement():
    assert told(shown("G22", notation="", title="")) is None


def speak(conversation, *replies):
    """Return the operations that were asked, and the outcome."""
    done, left = [], iter(replies)
    try:
        step = next(conversation)
        while True:
            done.append(asked(step))
            step = conversation.send(next(left))
    except StopIteration as end:
        return done, end.value


def test_what_the_list_shows_is_delivered_and_only_the_rest_is_sent():
    done, outcome = speak(axis().deliver(ASKED, NOW), good(data=[shown("G22"), shown("G14")]))
    assert [name for name, _ in done] == ["getSentEdocList"]
    assert outcome.ids == {"G22": "id-G22", "G14": "id-G14"}
    done, outcome = speak(
        axis(name_recipients="header").deliver(ASKED, NOW), good(data=[shown("G22")]), good(DocId="9")
    )
    assert [name for name, _ in done] == ["getSentEdocList", "sendEdoc"]
    assert done[1][1]["to"] == '["G14"]'
    assert (outcome.ids, outcome.twice) == ({"G22": "id-G22", "G14": "9"}, False)
    assert (done[0][1]["fromDate"], done[0][1]["toDate"]) == ("2026/11/23", "2026/11/25")


@pytest.mark.parametrize("answer", [bad("100"), good(data="?"), good(data=[shown("G22", notation="", title="")])])
def test_an_axis_that_cannot_say_is_sent_to_again_and_that_is_told(answer):
    _, outcome = speak(axis().deliver(ASKED, NOW), answer, good(DocId="9"))
    assert isinstance(outcome, Accepted)
    assert outcome.twice


def test_an_axis_that_does_not_answer_the_question_is_not_sent_to():
    done, outcome = speak(axis().deliver(ASKED, NOW), bad("20"))
    assert len(done) == 1
    assert isinstance(outcome, Unavailable)


def collect(notes, now, *sent):
    """Collect from an axis where nothing waits; return the days asked of the list of sent messages, and what it told."""
    days: list[tuple[str, str]] = []
    failed: list[LaterFailure] = []
    conversation = axis(notes).collect("2026-11-24", now)
    step = next(conversation)
    try:
        while True:
            if isinstance(step, LaterFailures):
                failed += step.failures
                step = conversation.send(None)
                continue
            name, fields = asked(step)
            if name == "getSentEdocList":
                days.append((fields["messagetype"], fields["fromDate"]))
            items = list(sent) if days[-1:] == [("edoc", f"{now:%Y/%m/%d}")] and name == "getSentEdocList" else []
            step = conversation.send(attrs.evolve(good(data=items), at=now))
    except StopIteration:
        return days, failed


def test_later_failures_are_told_and_what_is_asked_for_is_bounded():
    notes = AdapterNotes()
    failure = shown("G22", receiveStatus="fail", receiveStatusDesc="Sai định dạng")
    days, failed = collect(notes, NOW, failure, shown("G14"))
    assert failed == [LaterFailure("id-G22", "G22", "Sai định dạng")]
    assert [day for kind, day in days if kind == "edoc"] == ["2026/11/24", "2026/11/23", "2026/11/22"]
    assert len(days) == 6
    assert collect(notes, NOW + timedelta(minutes=5)) == ([], []), "not before ten minutes"
    older = [collect(notes, NOW + timedelta(minutes=11 * n))[0][4][1] for n in range(1, 7)]
    assert older == [f"2026/11/{day}" for day in (21, 20, 19, 18, 22, 21)], "one of the days before, in turn"


def test_what_the_list_does_not_show_yet_waits_until_the_axis_can_no_longer_be_working_on_it():
    still = attrs.evolve(good(data=[shown("G22")]), at=NOW + timedelta(seconds=59))
    done, outcome = speak(axis(sent_wait="1m").deliver(ASKED, NOW), still)
    assert len(done) == 1
    assert isinstance(outcome, Postponed)
    assert outcome.until == NOW + timedelta(minutes=1)
    slow = attrs.evolve(ASKED, unsure_until=NOW + timedelta(seconds=30))
    _, outcome = speak(axis(sent_wait="1m").deliver(slow, NOW), still)
    assert outcome.until == NOW + timedelta(seconds=90), "from the end of the attempt"
    over = attrs.evolve(still, at=NOW + timedelta(minutes=1))
    done, _ = speak(axis(sent_wait="1m").deliver(ASKED, NOW), over, good(DocId="9"))
    assert len(done) == 2
