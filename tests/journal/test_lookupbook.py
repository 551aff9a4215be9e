"""What the journal remembers of lookups, on each database: no unit gets more than its quota, and what is kept goes in time."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from hub.domain.errors import CallRefused
from hub.domain.model import Fact, Problem, Record
from hub.journal.effects import MessageEntry
from hub.journal.replay_guard import ReplayMark
from hub.partner.policy import Policy
from hub.store import transactions
from hub.web.lookups import cache
from hub.web.lookups.cache import KeptAnswer, LookupStart, QuotaUse
from tests.province import ROUTES

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
TODAY = QuotaUse(unit="H55.13", operation="VerifyCitizen", day=date(2026, 11, 25))
NAME = "a" * 64


def entry(number, message_id=None, text="record", **fields):
    message = f"00000000-0000-7000-8000-{number:012d}"
    fact = Fact(unit="H55.13", service="lookups", key=message, milestone="verify-citizen", at=NOW, message=message)
    record = Record(kind="verify-citizen", sender="H55.13", keys=(message,), facts=(fact,))
    values = {
        "id": message,
        "partner": "sotttt",
        "message_id": message_id or message,
        "service": "lookups",
        "received_at": NOW,
        "content": text.encode(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "record": record,
        "receipt": b"<receipt/>",
    }
    return MessageEntry(**(values | fields))


def begin(engine, one, quota=100, mark=None, *, repeatable=False):
    with transactions.write_transaction(engine) as tx:
        return cache.begin_lookup(tx, one, NAME, TODAY, quota, mark, repeatable=repeatable)


def settle(engine, one, begun, *, back=False, mark=None):
    with transactions.write_transaction(engine) as tx:
        return cache.settle_lookup(tx, one, ROUTES, begun, {"outcome": "answered"}, back=back, mark=mark)


def used(engine):
    with transactions.read_transaction(engine) as tx:
        return cache.count_unit_lookups(tx, TODAY)


def test_two_nodes_together_give_a_unit_no_more_than_its_quota(engine):
    with ThreadPoolExecutor(4) as nodes:
        found = list(nodes.map(lambda number: begin(engine, entry(number), quota=5), range(20)))
    assert sum(not begun.over for begun in found) == 5
    assert used(engine) == 5


def test_what_nobody_answered_is_given_back_and_what_was_answered_is_not(engine):
    for number, back in ((1, True), (2, False)):
        settle(engine, entry(number), begin(engine, entry(number)), back=back)
    assert used(engine) == 1


def test_of_two_that_ask_the_same_at_the_same_time_one_is_counted(engine):
    one, two = entry(1, "m-1"), entry(2, "m-1")
    begun = [begin(engine, each) for each in (one, two)]
    assert used(engine) == 2
    taken = [settle(engine, each, how) for each, how in zip((one, two), begun, strict=True)]
    assert [each.id for each in taken] == [one.id, one.id]
    assert used(engine) == 1


def test_a_repetition_has_the_id_of_the_first_and_another_question_has_none(engine):
    one = entry(1, "m-1")
    settle(engine, one, begin(engine, one))
    assert begin(engine, entry(2, "m-1"), quota=0) == LookupStart(id=one.id, repeated=True)
    other = entry(3, "m-1", "other")
    assert begin(engine, other) == LookupStart(id=other.id, reused=True)
    assert settle(engine, other, LookupStart(id=other.id, reused=True)).problems[0].code == "id-reused"


def test_what_was_refused_may_be_asked_again_under_its_id(engine):
    one = entry(1, "m-1")
    refused = entry(1, "m-1", problems=(Problem("lookup-refused"),), receipt=None)
    settle(engine, refused, begin(engine, one))
    assert begin(engine, entry(2, "m-1")).repeated is False


def test_a_signed_call_that_comes_again_counts_for_nothing(engine):
    mark = ReplayMark("b" * 64, NOW + timedelta(minutes=5))
    begin(engine, entry(1), mark=mark)
    with pytest.raises(CallRefused):
        begin(engine, entry(2), mark=mark)
    assert used(engine) == 1


def test_a_named_question_that_was_refused_is_asked_again_only_if_it_is_signed_anew(engine):
    """Else who keeps it asks once more, of whom it may not, when it may."""
    mark, anew = (ReplayMark(letter * 64, NOW + timedelta(minutes=5)) for letter in "cd")
    for number, problem, back in ((1, "lookup-unavailable", True), (2, "lookup-refused", False)):
        one = entry(number, "m-1")
        begun = begin(engine, one, mark=mark, repeatable=True)
        refused = entry(number, "m-1", problems=(Problem(problem),), receipt=None)
        settle(engine, refused, begun, back=back, mark=mark)
    with pytest.raises(CallRefused, match="replayed"):
        begin(engine, entry(3, "m-1"), mark=mark, repeatable=True)
    last = entry(4, "m-1")
    assert settle(engine, last, begin(engine, last, mark=anew, repeatable=True), mark=anew).problems == ()
    for each in (anew, mark):
        assert begin(engine, entry(5, "m-1"), mark=each, repeatable=True).repeated, (
            "what was answered is answered again"
        )


def test_an_answer_is_kept_until_its_time_is_over_and_then_gone(engine):
    until = NOW + timedelta(hours=1)
    kept = KeptAnswer(sealed=b"\x00\xff", heard_at=NOW, until=until)
    with transactions.write_transaction(engine) as tx:
        cache.keep_answer(tx, NAME, KeptAnswer(sealed=b"old", heard_at=NOW, until=NOW))
        cache.keep_answer(tx, NAME, kept)
        assert cache.find_kept_answer(tx, NAME, until - timedelta(seconds=1)) == kept
        assert cache.find_kept_answer(tx, NAME, until) is None
        assert cache.find_kept_answer(tx, NAME, NOW - timedelta(hours=1)) is None  # heard by a clock ahead of ours
        assert cache.forget_old_answers(tx, until - timedelta(seconds=1), TODAY.day) == 0
        assert cache.forget_old_answers(tx, until, TODAY.day) == 1
        assert cache.read_next_expiry(tx) is None


def test_counts_of_days_gone_by_are_forgotten(engine):
    begin(engine, entry(1))
    with transactions.write_transaction(engine) as tx:
        cache.forget_old_answers(tx, NOW, TODAY.day + timedelta(days=1))
        assert cache.count_unit_lookups(tx, TODAY) == 1
        cache.forget_old_answers(tx, NOW, TODAY.day + timedelta(days=2))
        assert cache.count_unit_lookups(tx, TODAY) == 0


def test_a_partner_that_all_is_well_with_may_be_asked_by_everybody(engine):
    with transactions.write_transaction(engine) as tx:
        for _ in range(3):
            leave = cache.permit_partner_query(tx, entry(1).id, "bca", Policy(), {}, NOW)
            assert (leave.given, leave.probe) == (True, False)
