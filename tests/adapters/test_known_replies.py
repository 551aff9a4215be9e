"""A reply of a known form is read without a parser, and it is the outcome of the usual way, or it is not read so."""

import random
import re
from datetime import timedelta

import pytest

from adapters.documents import adapter
from hub.domain.conversations import Accepted, Refused, Reply
from hub.domain.model import Consignment
from hub.formats import safe_xml
from hub.partner.adapter_settings import Terms
from hub.security import signing, wss_verify
from hub.soap import documents_responses, envelope
from hub.soap.documents_responses import Receipt
from tests.adapters.test_documents import CONTENT, HUB, MESSAGE, NO, STRANGER, THEIRS, YES
from tests.pki import NOW, partner

EC = partner("ec", "p256")


def taken(number, identity=THEIRS, at=NOW):
    """Return a signed acceptance as a hub writes it, with its receipt."""
    said = Receipt(f"0193-{number}", f"m-{number}", f"{number:064d}", at)
    receipt = signing.seal_canonical(documents_responses.write_receipt(said), identity)
    child = documents_responses.write_taken_response("SendDocument", said.document_id, receipt)
    return signing.sign_canonical_body(child, envelope.SOAP11, identity, at)


def plain(number, identity=THEIRS, at=NOW):
    """Return a signed acceptance that names no document."""
    del number
    return wss_verify.sign_envelope(YES, identity, at)


def make(*identities):
    certificates = [each.certificate for each in identities or (THEIRS, EC)]
    return adapter(Terms(partner="vpub", url="https://vpub/", identity=HUB, certificates=certificates))


def outcome(push, body, status=200, at=NOW):
    conversation = push.deliver(Consignment(message=MESSAGE, content=CONTENT, recipients=(), attempt=1), NOW)
    next(conversation)
    with pytest.raises(StopIteration) as end:
        conversation.send(Reply(status, body, {}, at))
    return end.value.value


def taught(write, *identities, identity=THEIRS):
    push = make(*identities)
    for number in range(3):
        assert isinstance(outcome(push, write(number, identity)), Accepted)
    return push


@pytest.fixture
def unparsed(monkeypatch):
    """Let the parser fail."""

    def fail(*_args, **_more):
        raise AssertionError("parsed")

    def begin():
        monkeypatch.setattr(safe_xml, "parse_safe_xml", fail)

    return begin


@pytest.mark.parametrize("identity", [THEIRS, EC], ids=["RSA", "ECDSA"])
@pytest.mark.parametrize("write", [taken, plain])
def test_the_fourth_reply_of_a_form_is_read_without_a_parser(write, identity, unparsed):
    push, later = taught(write, identity=identity), NOW + timedelta(minutes=3)
    unparsed()
    assert outcome(push, write(7, identity, later), at=later) == Accepted("DocumentId 0193-7" if write is taken else "")


def test_a_form_is_learned_from_nothing_but_a_signed_acceptance(unparsed):
    push = make()
    for _ in range(4):
        assert outcome(push, YES) == Accepted()
        assert isinstance(outcome(push, wss_verify.sign_envelope(NO, THEIRS, NOW)), Refused)
    assert not push._known._memory._forms._known
    unparsed()
    with pytest.raises(AssertionError, match="parsed"):
        outcome(push, YES)


def test_a_refusal_with_the_same_tags_is_one():
    push, body = taught(plain), YES.replace(b">true<", b">false<")
    assert isinstance(outcome(push, wss_verify.sign_envelope(body, THEIRS, NOW)), Refused)


@pytest.mark.parametrize("status", [400, 500, 204])
def test_under_another_status_it_is_no_acceptance(status):
    assert not isinstance(outcome(taught(taken), taken(7), status), Accepted)


@pytest.mark.parametrize("minutes", [-30, -2, 2, 30])
def test_its_time_counts(minutes):
    push, at = taught(taken), NOW + timedelta(minutes=minutes)
    assert outcome(push, taken(7), at=at) == outcome(make(), taken(7), at=at)


@pytest.mark.parametrize("write", [taken, plain])
def test_another_signer_is_not_believed(write):
    push = taught(write, THEIRS)
    for stranger in (STRANGER, HUB, EC):
        assert not isinstance(outcome(push, write(7, stranger)), Accepted)
        assert not isinstance(
            outcome(push, write(7, stranger).replace(stranger.token.encode(), THEIRS.token.encode())), Accepted
        )


def test_texts_of_two_replies_do_not_mix():
    push, one, other = taught(taken), taken(8), taken(9, at=NOW + timedelta(seconds=1))
    texts, others = re.split(rb"([<>])", one), re.split(rb"([<>])", other)
    differ = [at for at, (text, another) in enumerate(zip(texts, others, strict=True)) if text != another]
    assert len(differ) > 8
    for at in differ:
        mixed = b"".join([*texts[:at], others[at], *texts[at + 1 :]])
        assert not isinstance(outcome(push, mixed), Accepted), others[at]
        assert outcome(push, mixed) == outcome(make(), mixed)


@pytest.mark.slow
def test_whatever_is_changed_the_outcome_is_that_of_the_usual_way():
    chance, push, body = random.Random(20261128), taught(taken), taken(8)
    for _ in range(400):
        at = chance.randrange(len(body))
        instead = chance.choice(
            [b"", b" ", b"&", b"<", b">", b"\r", b"\xc3\xa9", b"A", bytes([body[at] ^ 1]), b"<!--x-->"]
        )
        changed = body[:at] + instead + body[at + 1 :]
        assert outcome(push, changed) == outcome(make(), changed), (at, instead)


def test_no_more_forms_are_remembered_than_may_be():
    push = make()
    for number in range(20):
        tagged = YES.replace(b"<Report>", b'<Report xmlns:n%d="urn:x">' % number)
        for _ in range(3):
            outcome(push, wss_verify.sign_envelope(tagged, THEIRS, NOW))
    assert 0 < len(push._known._memory._forms._known) <= 16
    assert len(push._known._memory._layouts._known) <= 16
