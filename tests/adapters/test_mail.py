"""The shared mail: what a mail of the hub's is, to whom it goes, and what of a mail that came in is believed."""

import email
import hashlib
import subprocess
from email.header import decode_header, make_header
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.policy import SMTP
from typing import Any

import attrs
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

import adapters
from adapters.mail import Mail, opening, parts
from adapters.mail.addresses import Addresses, MailUnusable
from adapters.mail.parts import MailSplitter
from hub.domain.conversations import Accepted, Collected, Refused, Reply, Request, Unavailable
from hub.partner.adapter_settings import Terms
from hub.security.anchors import Anchors
from hub.security.signing import sign_packet
from tests import packets, pki
from tests.effort import run_within
from tests.examples import at_most
from tests.mailing import CONTENT, consignment, mail, signed
from tests.pki import NOW, authority, partner

CLERK, HUB = partner("clerk"), partner("hub")
ANCHORS = Anchors([authority().certificate])
JUDGE = opening.MailTrust([CLERK.certificate], ANCHORS)
SETTINGS = {"from": "truc@x.vn", "address": "{unit}@x.vn"}


@attrs.frozen
class Elsewhere:
    """A signer whose key is not here: all that is known of it is how to have something signed."""

    inner: object

    def __getattr__(self, name):
        if name in {"key", "pem"}:
            raise AttributeError(name)
        return getattr(self.inner, name)


def made(signer=HUB, secrets=None, **settings):
    terms = Terms(
        partner="mail",
        url="smtp://x.vn",
        identity=signer,
        anchors=ANCHORS,
        settings=SETTINGS | settings,
        secrets=secrets or {},
    )
    adapter = adapters.make_adapter("mail", terms)
    assert isinstance(adapter, Mail)
    return adapter


def asked(adapter, *parts, **more):
    step = next(adapter.deliver(consignment(*parts, **more), NOW))
    assert isinstance(step, Request)
    return step


def ended(adapter, reply=None, *parts, **more):
    return hold(adapter.deliver(consignment(*parts, **more), NOW), lambda _: reply)


def hold(conversation, answer):
    """Hold a conversation, each step answered by *answer*; return how it ended."""
    said = None
    while True:
        try:
            step = conversation.send(said)
        except StopIteration as end:
            return end.value
        said = answer(step)


def sent_to(request):
    return [value for name, value in request.headers if name == "Rcpt-To"]


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
def test_a_mail_is_signed_whole_by_a_key_that_may_lie_elsewhere_and_openssl_verifies_it(tmp_path, kind):
    signer = Elsewhere(partner("mail hub", kind))
    body = asked(made(signer)).body
    (tmp_path / "ca.crt").write_bytes(pki.pem(authority().certificate))
    command = (
        "openssl",
        "cms",
        "-verify",
        "-CAfile",
        tmp_path / "ca.crt",
        "-purpose",
        "any",
        "-attime",
        str(int(NOW.timestamp())),
    )
    verified = subprocess.run(command, input=body, capture_output=True, check=False)
    assert verified.returncode == 0, verified.stderr
    attached = [
        part
        for part in email.message_from_bytes(verified.stdout).walk()
        if part.get_content_type() == "application/xml"
    ]
    assert [part.get_payload(decode=True) for part in attached] == [CONTENT]
    spoilt = body.replace(b"goi-tin", b"goi-tjn", 1)
    assert subprocess.run(command, input=spoilt, capture_output=True, check=False).returncode != 0


def test_a_mail_says_in_vietnamese_what_it_brings_and_nothing_of_a_subject_gets_into_a_header():
    request = asked(
        made(), subject="V/v cấp phép\r\nBcc: ai-do@ngoai.example\r\n\r\n<html>", recipients=("H55.1", "H55.2")
    )
    read = email.message_from_bytes(request.body)
    assert read["Bcc"] is None
    assert str(make_header(decode_header(read["Subject"]))) == "[Văn bản] V/v cấp phép Bcc: ai-do@ngoai.example <html>"
    assert read["To"].split() == ["H55.1@x.vn,", "H55.2@x.vn"]
    (text,) = (part for part in read.walk() if part.get_content_type() == "text/plain")
    octets: Any = text.get_payload(decode=True)
    said = octets.decode()
    assert said.startswith(
        "Kính gửi: H55.1, H55.2\r\n\r\nTrục liên thông chuyển đến đơn vị gói tin văn bản điện tử (edXML)"
    )
    assert "Trích yếu: V/v cấp phép" in said
    assert "\r\nMã thông điệp của trục: 01936f1e-7c80-7000-8000-000000000001\r\n" in said
    assert said.endswith("Thư được gửi tự động, xin không trả lời.\r\n")
    assert all(len(line) <= 998 for line in request.body.split(b"\r\n")), "RFC 5322, 2.1.1"
    assert b"\n" not in request.body.replace(b"\r\n", b"")
    assert request.body.isascii()


def test_a_repetition_has_the_same_message_id_and_another_message_another():
    ids = [email.message_from_bytes(asked(made(), **more).body)["Message-ID"] for more in ({}, {}, {"id": "another"})]
    assert ids == ["<01936f1e-7c80-7000-8000-000000000001@x.vn>"] * 2 + ["<another@x.vn>"]


def test_a_notice_is_a_message_of_another_service_attached_as_it_is():
    request = asked(made(), b"<incident/>", service="incidents", recipients=("H55.1",), subject="Sự cố")
    read = email.message_from_bytes(request.body)
    assert str(make_header(decode_header(read["Subject"]))) == "[sự cố an toàn thông tin] Sự cố"
    (attached,) = (part for part in read.walk() if part.get_content_type() == "application/xml")
    assert attached.get_filename() == "incidents-01936f1e-7c80-7000-8000-000000000001.xml"
    assert attached.get_payload(decode=True) == b"<incident/>"


def test_the_limit_is_that_of_the_whole_mail_to_the_octet():
    size = len(asked(made()).body)
    assert asked(attrs.evolve(made(), limit=size))
    refused = ended(attrs.evolve(made(), limit=size - 1))
    assert refused == Refused(f"the mail has {size} octets; the mail system takes {size - 1}")
    assert made(limit="3MiB").limit == 3 * 1024 * 1024
    assert made().limit == 20_000_000


def test_an_address_is_the_tables_then_the_templates_then_if_allowed_the_packets():
    table = "# thư của các đơn vị\nH55.1, vanthu@x.vn\r\nH55.2,vanthu@x.vn\n"
    adapter = made(secrets={"addresses": table})
    assert sent_to(asked(adapter, recipients=("H55.1", "H55.2", "H55.3"))) == ["vanthu@x.vn", "H55.3@x.vn"]
    packet = packets.letter("H55.13", ["H55.4"], document_id="D").replace(b"</edXML:OrganId>", b"</edXML:OrganId>", 1)
    named = packet.replace(
        b"<edXML:OrganId>H55.4</edXML:OrganId>",
        b"<edXML:OrganId>H55.4</edXML:OrganId><edXML:Email>tu-goi@y.vn</edXML:Email>",
    )
    assert named != packet
    bare = attrs.evolve(adapter, addresses=Addresses.read(table, "", from_packet=False))
    assert ended(bare, None, named, recipients=("H55.1", "H55.4", "H55.5")) == Refused(
        "no mail address for H55.4, H55.5"
    )
    trusting = attrs.evolve(adapter, addresses=Addresses.read("", "", from_packet=True))
    assert sent_to(asked(trusting, named, recipients=("H55.4",))) == ["tu-goi@y.vn"]
    assert ended(trusting, None, b"no packet", recipients=("H55.4",)) == Refused("no mail address for H55.4")


@pytest.mark.parametrize("unit", ["H55 1", "H55>\r\nRCPT TO:<x@y.vn", "", "a" * 65, "H55,1@y.vn,z"])
def test_nothing_but_an_address_goes_into_a_command(unit):
    assert isinstance(ended(made(), None, recipients=(unit,)), Refused)


@pytest.mark.parametrize(
    ("status", "stage", "text", "outcome", "credentials"),
    [
        (250, "content", "Ok", Accepted, None),
        (250, "rcpt", "Ok", Unavailable, False),
        (251, "content", "?", Unavailable, False),
        (354, "content", "go on", Unavailable, False),
        (421, "mail", "busy", Unavailable, False),
        (454, "starttls", "TLS not available", Unavailable, False),
        (454, "auth", "4.7.0 Temporary authentication failure", Unavailable, False),
        (500, "auth", "what?", Unavailable, True),
        (530, "mail", "5.7.0 Authentication required", Unavailable, True),
        (534, "auth", "5.7.9 mechanism too weak", Unavailable, True),
        (550, "mail", "5.7.1 Sender refused", Refused, None),
        (552, "content", "5.3.4 message too big", Refused, None),
        (552, "rcpt", "5.2.2 mailbox full", Refused, None),
        (554, "greeting", "5.3.2 closed", Unavailable, False),
        (554, "content", "5.7.1 spam", Refused, None),
        (523, "content", "5.3.4 too big", Refused, None),
    ],
)
def test_what_the_server_says_is_understood_by_its_code_and_step(status, stage, text, outcome, credentials):
    got = ended(made(), Reply(status, text.encode(), {"stage": stage}))
    assert isinstance(got, outcome)
    assert credentials is None or got.credentials is credentials
    assert not isinstance(got, Refused) or ("5.3.4" in text) <= ("too large" in got.detail)


def test_an_address_that_is_refused_keeps_the_mail_from_no_other_unit():
    refusal = ended(made(), Reply(550, b"5.1.1 unknown", {"stage": "rcpt"}))
    assert refusal.about == (), "it is about one of them"
    assert ended(made(), Reply(554, b"5.7.1 spam", {"stage": "content"})).about is None


def test_a_mail_that_is_sent_again_after_a_lost_answer_may_be_there_twice():
    taken = Reply(250, b"Ok", {"stage": "content"})
    assert asked(made()).hands_over
    again = made().deliver(attrs.evolve(consignment(), unsure=NOW), NOW)
    assert hold(again, lambda _: taken) == Accepted("Ok", twice=True)
    assert ended(made(), Reply(251, b"?", {"stage": "content"})).unknown
    assert not ended(made(), Reply(451, b"4.3.0 no", {"stage": "content"})).unknown


def test_who_only_reads_a_mailbox_sends_nothing():
    terms = Terms(partner="mail", url="imaps://x.vn/INBOX", identity=HUB, anchors=ANCHORS, settings=SETTINGS)
    adapter = adapters.make_adapter("mail", terms)
    assert isinstance(adapter, Mail)
    assert isinstance(ended(adapter), Refused)
    assert adapter.watched() == Request("imaps://x.vn/INBOX", b"IDLE", ())
    silent = made()
    assert silent.watched() is None
    assert hold(silent.collect("", NOW), None) == Unavailable("no mailbox is set: settings.mailbox")


def test_a_long_mailbox_is_read_in_parts_each_with_its_cursor():
    adapter = made(mailbox="imap://x.vn/INBOX")
    listed = b"\r\n".join(
        b"* %d FETCH (UID %d RFC822.SIZE 30000000)" % (number, number * 2) for number in range(25, 0, -1)
    )
    commands = []

    def answer(step):
        commands.append(step.body)
        return Reply(200, listed if len(commands) == 1 else b"", {"uidvalidity": "9"})

    ended = hold(adapter.collect("9:1", NOW), answer)
    assert attrs.evolve(ended, unusable=()) == Collected("9:40", more=True)
    assert ended.unusable == tuple(f"mail {2 * number}: 30000000 octets; at most 20000000" for number in range(1, 21))
    assert commands[0] == b"UID FETCH 2:* (UID RFC822.SIZE)"
    assert commands[1:] == [rb"UID STORE %d +FLAGS.SILENT (\Seen \Flagged)" % (2 * number) for number in range(1, 21)]


@pytest.mark.parametrize(("waiting", "taken"), [(1000, 20), (2500, 50), (60_000, 200)])
def test_of_a_flooded_mailbox_more_is_taken_each_time_it_is_listed(waiting, taken):
    adapter = made(mailbox="imap://x.vn/INBOX")
    listed = b"\r\n".join(b"* %d FETCH (UID %d RFC822.SIZE 30000000)" % (each, each) for each in range(1, waiting + 1))
    said = [Reply(200, listed, {"uidvalidity": "9"})]
    ended = hold(adapter.collect("", NOW), lambda _: said.pop() if said else Reply(200, b""))
    assert (ended.cursor, ended.more, len(ended.unusable)) == (f"9:{taken}", True, taken)


@pytest.mark.parametrize("more", [b"UID 1 ", b"UID 1)", b"UID " + b"9" * 50 + b" "])
def test_a_list_of_mails_is_read_in_one_go_whatever_it_says(more):
    line = b"* 1 FETCH (" + more * (16_000 // len(more)) + b"RFC822.SIZE 1"
    said = Reply(200, b"\r\n".join([line] * 30), {"uidvalidity": "9"})
    adapter = made(mailbox="imap://x.vn/INBOX")
    assert run_within(2, lambda: hold(adapter.collect("9:1", NOW), lambda _: said)) == Collected("9:1")


@pytest.mark.parametrize(("status", "cursor"), [(200, "9:2"), (400, "9:2"), (404, "9:2"), (401, "")])
def test_a_mail_that_cannot_be_moved_is_flagged_and_holds_up_none_behind_it(status, cursor):
    listed = b"* 1 FETCH (UID 1 RFC822.SIZE 30000000)\r\n* 2 FETCH (UID 2 RFC822.SIZE 30000000)"
    answers = {b"UID FETCH 1:* (UID RFC822.SIZE)": Reply(200, listed, {"uidvalidity": "9"})}
    said = []

    def answer(step):
        said.append(step.body)
        return answers.get(step.body, Reply(status if b"MOVE" in step.body else 200, b""))

    ended = hold(made(mailbox="imap://x.vn/INBOX", **{"refused-folder": "Tu choi"}).collect("", NOW), answer)
    if cursor:
        assert (ended.cursor, [why.partition(":")[0] for why in ended.unusable]) == (cursor, ["mail 1", "mail 2"])
    else:
        assert ended.credentials
    assert said[1:3] == [rb"UID STORE 1 +FLAGS.SILENT (\Seen \Flagged)", b'UID MOVE 1 "Tu choi"']


def mixed(part, *, times=1, deep=1):
    """Return a multipart of so many times *part*; so *deep* in others."""
    for number in range(deep, 0, -1):
        each = b"\r\n--%d\r\n" % number
        part = (
            b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n" % number
            + each
            + each.join([part] * times)
            + b"\r\n--%d--\r\n" % number
        )
    return part


# --- what comes in -------------------------------------------------------------------------------------------------------


def opened(octets, judge=JUDGE):
    return opening.open_mail_packets(octets, judge, NOW)


def why(octets, judge=JUDGE):
    with pytest.raises(MailUnusable) as refused:
        opened(octets, judge)
    return str(refused.value)


def test_only_what_the_signature_covers_is_read(tmp_path):
    good = signed(tmp_path, mail(b"<good/>"), CLERK)
    assert opened(good) == (b"<good/>",)
    assert opened(good.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) == (b"<good/>",)
    bad = mail(b"<bad/>").partition(b"\r\n\r\n")[2]
    inside = email.message_from_bytes(good).get_boundary()
    assert inside is not None
    around = good.replace(b"\r\n\r\n", b"\r\n\r\n" + bad + b"\r\n", 1)
    assert opened(around) == (b"<good/>",), "a preamble is nobody's"
    assert opened(good + bad) == (b"<good/>",), "neither is what follows"
    third = f"\r\n--{inside}\r\n".encode() + mail(b"<bad/>")
    assert "two parts" in why(good.replace(f"\r\n--{inside}--".encode(), third + f"\r\n--{inside}--".encode()))
    wrapped = (
        b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n"
        + good
        + b"\r\n--q\r\n"
        + mail(b"<bad/>")
        + b"\r\n--q--\r\n"
    )
    assert "not signed" in why(wrapped), "a signature somewhere inside is not the mail's"


def test_who_signed_must_be_configured_valid_for_it_and_lead_to_an_anchor(tmp_path):
    good = signed(tmp_path, mail(CONTENT), CLERK)
    assert why(good, opening.MailTrust([], ANCHORS)).startswith("certificate-unknown")
    assert why(good, opening.MailTrust([CLERK.certificate], Anchors(()))).startswith("certificate-untrusted")
    gone = Anchors([authority().certificate], [authority().crl(CLERK)])
    assert why(good, opening.MailTrust([CLERK.certificate], gone)).startswith("certificate-revoked")
    ended = authority().issue("ended", begins=NOW - 9 * pki.DAY, ends=NOW - pki.DAY)
    late = signed(tmp_path, mail(CONTENT), ended)
    assert why(late, opening.MailTrust([ended.certificate], ANCHORS)).startswith("certificate-expired")
    stamps = authority().issue("stamps", purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    other = signed(tmp_path, mail(CONTENT), stamps)
    assert why(other, opening.MailTrust([stamps.certificate], ANCHORS)).startswith("certificate-untrusted")


@pytest.mark.parametrize("form", [(), ("-stream",), ("-nodetach",)], ids=["clear", "as a stream", "enclosed"])
def test_the_forms_in_which_mail_programs_sign_count(tmp_path, form):
    octets = signed(tmp_path, mail(CONTENT, b"<second/>"), CLERK, form=form)
    assert opened(octets) == (CONTENT, b"<second/>")


def test_an_unsigned_mail_counts_if_each_packet_in_it_is_signed():
    packet = packets.letter("H55.13", ["H55.1"], document_id="D")
    sealed = sign_packet(packet, CLERK)
    assert opened(mail(sealed)) == (sealed,)
    assert "packet: unsigned" in why(mail(packet))
    assert "packet: unsigned" in why(mail(sealed, packet))
    assert "certificate-unknown" in why(mail(sign_packet(packet, partner("stranger"))))
    assert "signature-invalid" in why(mail(sealed.replace(b"V/v", b"V/x", 1)))
    assert "not-well-formed" in why(mail(CONTENT[:-9]))


def test_a_packet_signed_in_itself_has_one_name_in_every_spelling_in_which_its_signature_holds():
    sealed = sign_packet(packets.letter("H55.13", ["H55.1"], document_id="D"), CLERK)
    others = (
        sealed + b"\n",
        sealed.replace(b"?>", b" ?>", 1),
        sealed.replace(b"<edXML ", b'<edXML  xmlns:unused="urn:x" ', 1),
        sealed.replace(b"<ds:KeyInfo>", b"<ds:KeyInfo> ", 1),
    )
    assert len({sealed, *others}) == 5
    assert {opening.name_packet(each) for each in others if opened(mail(each)) == (each,)} == {
        opening.name_packet(sealed)
    }
    assert opening.name_packet(sealed) != opening.name_packet(sealed.replace(b"V/v", b"V/x", 1))


@pytest.mark.parametrize(
    "octets", [b"", CONTENT, packets.letter("H55.13", ["H55.1"], document_id="D"), b"<Signature>x</Signature>"]
)
def test_any_other_is_called_by_its_octets(octets):
    assert opening.name_packet(octets) == hashlib.sha256(octets).hexdigest()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\r\n\r\n",
        b"Subject: x\r\n\r\nno packet\r\n",
        b"\xff\xfe\x00",
        b"Content-Type: multipart/signed\r\n\r\nx",
        b'Content-Type: multipart/signed; boundary=""\r\n\r\n--\r\n\r\n--\r\n\r\n----\r\n',
        b'Content-Type: multipart/signed; boundary="("\r\n\r\n--(\r\n\r\na\r\n--(\r\n\r\nb\r\n--(--\r\n',
        b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
        b"Content-Type: application/xml; charset=nope; name*0*=x'y'z\r\nContent-Transfer-Encoding: base64\r\n\r\n=\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
        + b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 500,
        b"Content-Type: message/rfc822\r\n\r\n" * 2000,
        b"Content-Type: text/plain; name*=idna''a\r\n\r\nx\r\n",
        b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename*=undefined''a\r\n\r\nx\r\n",
        b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename*=a\0b''a\r\n\r\nx\r\n",
        b"Content-Type: text/plain; name*" + b"9" * 5000 + b"=a\r\n\r\nx\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"\r\n" * 1_000_001,
        b'Content-Type: multipart/signed; a="' + b";" * 100_000 + b"\r\n\r\nx\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
        b'Content-Disposition: attachment; a="' + b"\r\n ;" * 100_000 + b"\r\n\r\nx\r\n",
    ],
)
def test_a_mail_that_makes_no_sense_is_refused_soon_and_nothing_else_happens(octets):
    found = run_within(0.25, lambda: why(octets))
    assert found


def test_a_mail_of_megabytes_from_anybody_costs_less_than_a_second():
    """Sixty multiparts in one another and two million lines: each line was looked at for each multipart, 10 s in all."""
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(60))
    fewer = b"\n--b0--\n".join(nested.split(b"\r\n\r\n", 15))
    first, second = run_within(1, lambda: [why(each + b"\r\n" * 1_900_000) for each in (nested, fewer)])
    assert "deep" in first
    assert second


PART = b"Content-Type: application/xml\r\n\r\n<a/>\r\n"


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        (mixed(PART, times=parts.PARTS - 1), mixed(PART, times=parts.PARTS)),
        (mixed(PART, deep=parts.DEPTH), mixed(PART, deep=parts.DEPTH + 1)),
        (b"X: %s\r\n" % (b"x" * (parts.HEADS - 100)) + PART, b"X: %s\r\n" % (b"x" * parts.HEADS) + PART),
        (mixed(PART + b"--1x\r\n" * (parts.LOOKS - 2)), mixed(PART + b"--1x\r\n" * (parts.LOOKS - 1))),
    ],
    ids=["parts", "depth", "heads", "lines like a boundary"],
)
def test_what_a_mail_may_make_of_itself_is_bounded(within, beyond):
    assert "signed" in why(within), "the packet was found"
    assert "more than" in why(beyond)


def test_of_a_signature_that_stands_beside_what_it_signs_no_more_is_read_than_any_has():
    """Of what is longer no element is looked at."""

    def beside(signature):
        parts = (PART, b"Content-Type: application/pkcs7-signature\r\n\r\n" + signature)
        said = b"Content-Type: multipart/signed; boundary=1\r\n\r\n"
        return said + b"".join(b"\r\n--1\r\n" + part for part in parts) + b"\r\n--1--\r\n"

    assert "at most" not in why(beside(b"0" * opening.SIGNATURE))
    assert "at most" in why(beside(b"0" * (opening.SIGNATURE + 1)))


@settings(deadline=None, max_examples=at_most(100))
@given(
    st.recursive(
        st.binary(max_size=60) | st.sampled_from([b"", b"--1", b"--1-x", b"\r\n--2\r\n", b"\n\n"]),
        lambda inner: st.lists(inner, min_size=1, max_size=4),
        max_leaves=12,
    )
)
def test_a_mail_is_cut_where_the_email_package_cuts_it(tree):
    """Octets of any kind, as base64, in parts that lie in one another as mail programs lay them."""
    octets = composed(tree, iter("123456789abcdefghijkl")).as_bytes(policy=SMTP)
    theirs = [
        part.get_payload(decode=True) for part in email.message_from_bytes(octets).walk() if not part.is_multipart()
    ]
    cutter = MailSplitter(octets)
    assert [part.content() for part in cutter.leaves(cutter.part())] == theirs


def composed(tree, boundaries):
    if isinstance(tree, bytes):
        return MIMEApplication(tree, name="a.xml")
    made = MIMEMultipart(boundary=next(boundaries))
    for each in tree:
        made.attach(composed(each, boundaries))
    return made
