"""A message has one line in the log, and the port is told so; a call without one has the port's own."""

import pytest
from structlog.testing import capture_logs

from hub import config
from hub.soap import documents_requests
from hub.store import transactions
from tests import databases, frontdesk, homes, pki
from tests.packets import letter

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")


@pytest.fixture
def desk(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    partners = frontdesk.partner("me", ME, "H55.13"), frontdesk.partner("other", OTHER, "H55.01")
    yield frontdesk.intake(made, engine, *partners)
    engine.dispose()


SENT = documents_requests.SendDocument(letter("H55.13", ["H55.01"], document_id="D1"))


@pytest.mark.parametrize(
    ("call", "events"),
    [
        (SENT, ["message-accepted"]),
        (documents_requests.SendDocument(letter("H55.01", ["H55.13"], document_id="D2")), ["message-refused"]),
        (documents_requests.CheckPermission("H55.13"), []),
        (documents_requests.GetDocument("nothing"), []),
    ],
    ids=["accepted", "refused with a report", "a question", "a fault"],
)
def test_a_call_is_logged_where_its_message_is(desk, call, events):
    with capture_logs() as lines:
        answer = frontdesk.ask(desk, ME, call)
    assert [line["event"] for line in lines] == events
    assert answer.logged is bool(events)


def test_a_message_that_comes_again_has_a_line_again(desk):
    frontdesk.ask(desk, ME, SENT)
    with capture_logs() as lines:
        assert frontdesk.ask(desk, ME, SENT, earlier=1).logged
    assert [(line["event"], line["repeated"]) for line in lines] == [("message-accepted", True)]
