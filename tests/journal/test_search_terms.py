"""Messages found by words, codes and hashes: before they are indexed, after it, and half and half."""

import random
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hub.domain import search_terms
from hub.domain.ids import make_first_id, make_first_id_of, make_id, make_moment, read_moment
from hub.domain.model import DeliveryState, Event, MessageState
from hub.domain.search_terms import split_words
from hub.journal import events
from hub.journal.searching import refused_calls, search, search_index
from hub.journal.searching.message_filter import MessageFilter
from hub.store.tables import attempt, message, search_posting
from tests.journal.test_searches import put

BEGUN = datetime(2026, 11, 24, 8, tzinfo=UTC)
WORDS = ("kết", "nối", "dữ", "liệu", "báo", "cáo", "kế", "hoạch", "15", "tháng", "Đảng")
CODES = ("15/SNV-VP", "15/SNV", "16/UBND-VP", "05/BC-SNV", None)
REASONS = ("unit-unknown: H55.99; recipient-closed: H55.98", "not-yours: H55.01", "schema: T.1")
ANSWERS = ("refused: E05: no such unit", "HTTP 503", "E07", None)


def settle(tx, left=0):
    """Chain and index all events but some."""
    while events.chain_events(tx):
        pass
    while (step := search_index.read_step(tx, left)) is not None:
        assert search_index.write_step(tx, step)


def place(tx, chance, number):
    """Put a message in the journal with words, its events and attempts; return what a search may ask of it."""
    one = put(tx, chance, number)
    at = BEGUN + timedelta(minutes=chance.randrange(90), microseconds=chance.randrange(3))
    said = {
        "id": make_id(at),
        "received_at": at,
        "subject": chance.choice([None, " ".join(chance.sample(WORDS, chance.randrange(1, 6)))]),
        "code": chance.choice(CODES),
        "sha256": f"{chance.randrange(6):x}bcdef012345" + "0" * 52,
    }
    refused = one["state"] == MessageState.REFUSED
    said["refusal"] = chance.choice(REASONS) if refused else None
    name, said["id"] = said["id"], one["id"]  # the deliveries refer to the id, so it stays
    del name, said["received_at"]
    tx.execute(sa.update(message).where(message.c.id == one["id"]).values(said))
    told = "message-refused" if refused else "message-accepted"
    events.append_events(tx, Event(told, one["received_at"], one["id"], None, {"partner": one["partner"]}))
    said["answers"] = []
    for answer in [] if refused else [chance.choice(ANSWERS)]:
        times = {"started_at": BEGUN, "recipients": "[]", "partner": "vpub", "number": 1}
        tx.execute(sa.insert(attempt).values(id=make_id(BEGUN), message=one["id"], detail=answer, **times))
        body = {"partner": "vpub", "outcome": "refused", "reason": answer}
        events.append_events(tx, Event("attempt-ended", BEGUN, one["id"], None, body))
        said["answers"] = search_terms.list_codes(answer)
    return one | said


def draw(chance, kept):
    one = chance.choice(kept)
    words = sorted(search_terms.list_words(one["code"], one["subject"])) or ["15"]
    recipients = [each["recipient"] for each in one["made"]] or ["H55.01"]
    partners = [each["partner"] for each in one["made"]] or ["vpub"]
    units = ("H55.13", "H55.30")
    whole = {
        "words": tuple(chance.sample(words, min(len(words), chance.randrange(1, 4)))),
        "sha256": one["sha256"][: chance.choice((12, 64))],
        "refusal": chance.choice(["unit-unknown", "not-yours", "recipient-closed", "schema"]),
        "answer": chance.choice(["E05", "e07", "HTTP 503", "none"]),
        "sent_by": one["partner"],
        "sent_to": chance.choice(partners),
        "delivery_state": chance.choice([each["state"] for each in one["made"]] or [*DeliveryState]),
        "beside": chance.choice(["vpcp", "hub"]),
        "recipient": chance.choice(recipients),
        "visible": chance.choice([units, ("H55.01",), ()]),
        "services_hidden": ("dossiers",),
        "state": one["state"],
        "since": one["received_at"] - timedelta(microseconds=chance.randrange(20)),
        "before": chance.choice(kept)["id"],
        "after": chance.choice(kept)["id"],
    }
    chosen = chance.sample(list(whole), chance.choice((1, 1, 2, 2, 3)))
    return MessageFilter(**{name: whole[name] for name in chosen})


def fits(one, wanted):
    made = one["made"]
    own = search_terms.list_words(one["code"], one["subject"])
    visible = wanted.visible is None or (
        one["state"] == MessageState.ACCEPTED
        and not {one["sender"], *(each["recipient"] for each in made)}.isdisjoint(wanted.visible)
    )
    partners = {one["partner"], *(each["partner"] for each in made)}
    return all(
        (
            own.issuperset(wanted.words),
            wanted.sha256 is None or one["sha256"].startswith(wanted.sha256),
            wanted.refusal is None or wanted.refusal in search_terms.list_codes(one["refusal"]),
            wanted.answer is None or wanted.answer.lower() in one["answers"],
            wanted.sent_by in (None, one["partner"]),
            wanted.sent_to is None
            or any(
                each["partner"] == wanted.sent_to and wanted.delivery_state in (None, each["state"]) for each in made
            ),
            wanted.delivery_state is None
            or wanted.sent_to is not None
            or any(each["state"] == wanted.delivery_state for each in made),
            wanted.beside is None or wanted.beside not in partners,
            wanted.recipient is None or any(each["recipient"] == wanted.recipient for each in made),
            visible,
            one["service"] not in wanted.services_hidden,
            wanted.state in (None, one["state"]),
            wanted.since is None or one["received_at"] >= wanted.since,
            wanted.before is None or one["id"] < wanted.before,
            wanted.after is None or one["id"] > wanted.after,
        )
    )


@pytest.mark.parametrize("indexed", ["nothing", "half", "all"])
@pytest.mark.parametrize(
    ("seed", "drawn"),
    [(0, 8), pytest.param(1, 60, marks=pytest.mark.slow), pytest.param(2, 60, marks=pytest.mark.soak)],
)
def test_a_search_by_terms_finds_what_a_look_at_every_message_finds(tx, seed, drawn, indexed, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 4)
    monkeypatch.setattr(search, "_MANY", 5)
    monkeypatch.setattr(search, "_TOGETHER", 3)
    monkeypatch.setattr(search_index, "_FEW", 1)
    monkeypatch.setattr(search_index, "STEP", 7)
    chance = random.Random(seed)
    kept = []
    for number in range(40):
        kept.append(place(tx, chance, number))
        if indexed == "half" and number == 20:
            settle(tx)
    if indexed == "all":
        settle(tx)
    assert bool(search_index.read_progress(tx)) == (indexed != "nothing")
    found = 0
    for _ in range(drawn):
        wanted = [draw(chance, kept) for _ in range(chance.choice((1, 1, 2)))]
        expected = sorted(one["id"] for one in kept if any(fits(one, each) for each in wanted))
        assert [one.id for one in search.find_messages(tx, wanted)] == expected, wanted
        assert [one.id for one in search.find_messages(tx, wanted, newest_first=True)] == expected[::-1], wanted
        assert list(search.find_message_ids(tx, wanted, 3, newest_first=True)) == expected[::-1][:3], wanted
        assert search.count_messages(tx, wanted) == len(expected), wanted
        assert search.count_messages(tx, wanted[0], 2) == min(2, sum(fits(one, wanted[0]) for one in kept))
        found += bool(expected)
    assert found > drawn / 3


@pytest.mark.slow
def test_a_message_is_found_by_its_words_in_the_transaction_that_brings_it_and_for_ever(tx):
    """The buckets of an hour, indexed in many steps, in any order."""
    chance, names = random.Random(1), list[tuple[str, int]]()
    for number in range(24):
        at = BEGUN + timedelta(minutes=chance.randrange(200), microseconds=number)
        fields = {"partner": "p", "service": "documents", "kind": "document", "size": 1, "sha256": "aa"}
        name, said = make_id(at), {"received_at": at, "state": "accepted", "subject": f"Báo cáo số {number % 3}"}
        tx.execute(sa.insert(message).values(id=name, **said, **fields))
        events.append_events(tx, Event("message-accepted", at, name, None, {}))
        names.append((name, number % 3))
        if number % 5 == 0:
            settle(tx, chance.randrange(4))
        for which in range(3):
            expected = sorted((name for name, of in names if of == which), reverse=True)
            wanted = MessageFilter(words=tuple(split_words(f"bao cao {which}")))
            assert list(search.find_message_ids(tx, wanted, newest_first=True)) == expected
            assert list(search.find_message_ids(tx, wanted)) == expected[::-1]
    assert tx.scalar(sa.select(sa.func.count()).select_from(search_posting)) > 10


def test_of_two_nodes_one_writes_a_step(tx):
    place(tx, random.Random(3), 1)
    events.chain_events(tx)
    step = search_index.read_step(tx, 0)
    assert step is not None
    assert search_index.write_step(tx, step)
    assert not search_index.write_step(tx, step)
    assert search_index.read_step(tx, 0) is None


def test_a_journal_that_is_not_indexed_yet_says_so(tx, monkeypatch):
    monkeypatch.setattr(search_index, "READ", 3)
    for number in range(8):
        place(tx, random.Random(number), number)
    events.chain_events(tx)
    assert search_index.is_behind(tx)
    settle(tx)
    assert not search_index.is_behind(tx)


@pytest.mark.parametrize("indexed", [False, True])
def test_refused_calls_are_found_newest_first(tx, indexed):
    names = [make_id(BEGUN + timedelta(seconds=number)) for number in range(5)]
    for number, name in enumerate(names):
        said = {"partner": "vpub" if number % 2 else "vpcp", "operation": "SendDocument", "tracking": name}
        events.append_events(tx, Event("call-refused", BEGUN, None, None, {"code": "not-granted", **said}))
    if indexed:
        settle(tx)
    calls = list(refused_calls.find_refused_calls(tx, MessageFilter()))
    assert [call.tracking for call in calls] == names[::-1]
    assert [call.tracking for call in refused_calls.find_refused_calls(tx, MessageFilter(sent_by="vpub"))] == names[
        3::-2
    ]
    assert [call.tracking for call in refused_calls.find_refused_calls(tx, MessageFilter(before=names[2]), 1)] == [
        names[1]
    ]
    assert not list(refused_calls.find_refused_calls(tx, MessageFilter(refusal="hub-busy")))
    call = refused_calls.read_refused_call(tx, names[0])
    assert call is not None
    assert call.operation == "SendDocument"
    assert refused_calls.read_refused_call(tx, make_id(BEGUN)) is None


def test_an_id_holds_its_moment():
    chance = random.Random(0)
    for _ in range(500):
        at = BEGUN + timedelta(microseconds=chance.randrange(10**12))
        assert read_moment(make_id(at)) == make_moment(at)
        assert make_first_id_of(make_moment(at)) == make_first_id(at)
