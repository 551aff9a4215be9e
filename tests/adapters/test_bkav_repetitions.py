"""What the bus's word "received already" means after a lost answer."""

from datetime import UTC, datetime

import attrs
import pytest

import adapters
from hub.domain.conversations import Accepted, Refused, Reply
from hub.domain.model import PacketKind
from tests.adapters.test_conformance import FOLDER, consignment, terms

CASES = FOLDER / "bkav/samples"
REFUSED = (CASES / "refused/reply-1.body").read_bytes()
EXISTS = REFUSED.replace(b"N.MessageHeader.Code", b"M.Exist").replace(b"M.MessageHeader.To", b"M.Exist")


@pytest.mark.parametrize(
    ("kind", "lost", "outcome"),
    [
        (PacketKind.DOCUMENT, True, Accepted),
        (PacketKind.DOCUMENT, False, Refused),
        (PacketKind.RECALL, True, Refused),
        (PacketKind.UPDATE, True, Refused),
    ],
)
def test_it_has_our_new_document_and_says_nothing_of_a_change_which_shares_its_id(kind, lost, outcome):
    made = consignment((CASES / "message.edxml").read_bytes(), "documents")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    sent = attrs.evolve(made, message=attrs.evolve(made.message, kind=kind), unsure=now if lost else None)
    conversation = adapters.make_adapter("bkav", terms("bkav")).deliver(sent, now)
    assert next(conversation).hands_over
    with pytest.raises(StopIteration) as ended:
        conversation.send(Reply(200, EXISTS, {"content-type": "text/xml"}))
    assert isinstance(ended.value.value, outcome)
