"""What /metrics tells of intake: every call once, by partner, service and answer; every message once, by what became of it."""

import pytest
from lxml import etree

from hub import config
from hub.domain.errors import Unready
from hub.domain.measures import CALL_SECONDS, CALLS_ANSWERED, DELIVERED_SECONDS, MESSAGES
from hub.domain.model import Problem
from hub.partner.policy import Policy
from hub.soap import documents_requests
from hub.store import transactions
from tests import databases, frontdesk, homes, pki
from tests.packets import letter

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
STRANGER = pki.authority().issue("stranger")
SENT = documents_requests.SendDocument(letter("H55.13", ["H55.01"], document_id="D1"), "m1")


@pytest.fixture
def desk(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    me = frontdesk.partner("me", ME, "H55.13", policy=Policy(intake_concurrency=2))
    yield frontdesk.intake(made, engine, me, frontdesk.partner("other", OTHER, "H55.01"))
    engine.dispose()


def counted(desk, measure):
    """Return what is counted, without the service, which is always the same."""
    found = desk._access.measures.read(measure)
    assert {labels[1] for labels in found} <= {"documents"}
    return {(labels[0], *labels[2:]): value[0] for labels, value in found.items()}


def test_a_message_is_accepted_once_and_then_repeated(desk):
    for earlier in (0, 1, 2):
        frontdesk.ask(desk, ME, SENT, earlier=earlier)
    assert counted(desk, CALLS_ANSWERED) == {("me", "ok"): 3}
    assert counted(desk, MESSAGES) == {("me", "accepted"): 1, ("me", "repeated"): 2}
    ((labels, durations),) = desk._access.measures.read(CALL_SECONDS).items()
    assert (labels, sum(durations[:-1])) == (("me", "documents"), 3)
    assert 0 < durations[-1] < 10, "seconds"


def test_a_message_that_is_refused_is_counted_by_its_code_though_the_call_was_answered(desk):
    frontdesk.ask(desk, ME, documents_requests.SendDocument(letter("H55.01", ["H55.13"], document_id="D2")))
    assert counted(desk, CALLS_ANSWERED) == {("me", "ok"): 1}
    assert counted(desk, MESSAGES) == {("me", "sender-not-allowed"): 1}


def test_a_call_that_gets_a_fault_is_counted_by_its_code(desk):
    frontdesk.ask(desk, ME, documents_requests.GetDocument("nothing"))
    frontdesk.put(desk, b"<not-well-formed", ME)
    frontdesk.put(desk, b"", STRANGER)
    assert counted(desk, CALLS_ANSWERED) == {
        ("me", "document-not-found"): 1,
        ("me", "not-well-formed"): 1,
        ("", "certificate-unknown"): 1,
    }
    assert counted(desk, MESSAGES) == {("me", "not-well-formed"): 1}


def test_a_call_that_finds_no_place_is_counted_each_time(desk):
    for _ in range(2):
        desk.enter(ME.certificate)
    for _ in range(5):
        with pytest.raises(Unready):
            desk.enter(ME.certificate)
    assert counted(desk, CALLS_ANSWERED) == {("me", "hub-busy"): 5}


def test_a_call_that_is_refused_before_it_is_read_is_counted_once(desk):
    desk.record_refusal(Problem("media-type"), ME.certificate)
    desk.count_unread("disk-low", OTHER.certificate)
    assert counted(desk, CALLS_ANSWERED) == {("me", "media-type"): 1, ("other", "disk-low"): 1}


def test_what_a_partner_fetches_has_arrived_when_it_confirms_and_is_counted_once(desk):
    frontdesk.ask(desk, ME, SENT)
    pending = frontdesk.ask(desk, OTHER, documents_requests.GetPendingDocumentIds("H55.01"))
    (held,) = [each.text or "" for each in etree.fromstring(pending.body.read()).iterfind(".//{*}DocumentId")]
    frontdesk.ask(desk, OTHER, documents_requests.GetDocument(held))
    for earlier in (0, 1):
        frontdesk.ask(desk, OTHER, documents_requests.ConfirmReceived(held), earlier=earlier)
    ((labels, counts),) = desk._access.measures.read(DELIVERED_SECONDS).items()
    assert (labels, sum(counts[:-1])) == (("other",), 1)


def test_an_error_of_the_hub_is_one(desk, monkeypatch):
    monkeypatch.setattr("hub.intake.intake.open_call", None)
    frontdesk.ask(desk, ME, SENT)
    assert counted(desk, CALLS_ANSWERED) == {("me", "hub-error"): 1}
