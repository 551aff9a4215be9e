"""What a partner's policy wants signed, and how strictly its packets are read: from the call to the journal's row and facts."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from lxml import etree

from hub import config
from hub.domain.errors import Rejected
from hub.domain.model import Receive, Unit
from hub.intake import admission, verification
from hub.journal import events, messages
from hub.journal.fact_reading import fact_rows
from hub.journal.searching import message_reading
from hub.node import dry_run
from hub.partner.policy import Policy, RequiredSignature
from hub.security import signing, wss_tokens, wss_verify
from hub.security.anchors import Anchors
from hub.soap import documents_requests, envelope, wsdl
from hub.soap.attachments import Manner
from hub.store import transactions
from hub.units.province import Province
from lienthong_demo.plan import packets
from tests import databases, homes, pki, samples
from tests.packets import Seal, document, vxp
from tests.pki import NOW

CA = pki.authority()
ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")
CONTRACT = wsdl.load_contract("documents")
ANYONE = ("H55.13", "*")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The configuration of a fresh directory, its anchors those of the test CA."""
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    return config.read_config(home / "hub.toml")


@pytest.fixture
def province(made):
    """Return a province in which the partner `me` has the policy that is asked for."""

    def of(*, units=ANYONE, crls=(), **policy):
        me = config.Partner(code="me", name="Me", certificates=(ME.certificate,), units=units, policy=Policy(**policy))
        there = config.Partner(
            code="there", name="There", certificates=(OTHER.certificate,), units=("H55.01",), receive=Receive.FETCH
        )
        partners = {partner.code: partner for partner in (me, there, made.partners[made.upstream])}
        changed = attrs.evolve(made, anchors=Anchors([CA.certificate], crls), partners=partners)
        return Province.of(changed, [Unit(code, code) for code in ("H55", "H55.13", "H55.01")])

    return of


def call(content, *, by=ME, send=documents_requests.SendDocument):
    """Return the body and action of a call, signed by *by*; unsigned for None."""
    said = send(content) if isinstance(content, bytes) else content
    body = envelope.wrap_in_envelope(documents_requests.build_call_element(said))
    return (
        etree.tostring(body) if by is None else wss_verify.sign_envelope(body, by, NOW)
    ), documents_requests.choose_soap_action(said)


def opened(province, content, *, by=ME, change=bytes):
    body, action = call(content, by=by)
    partner = province.config.partners["me"]
    return verification.open_call(
        change(body), Manner(action=action), (partner,), ME.certificate, province, CONTRACT, NOW
    )


def refused(function, *args, **named):
    with pytest.raises(Rejected) as caught:
        function(*args, **named)
    return caught.value.problems[0].code


def judged(province, content):
    """Return the journal's entry for a packet, as intake judges it."""
    partner = province.config.partners["me"]
    return admission.judge_message(
        documents_requests.SendDocument(content), partner, province, "documents", NOW, f"id-{hash(content)}"
    )


def codes(province, content):
    return [problem.code for problem in judged(province, content).problems]


def test_a_status_is_small(province):
    told = packets.write_status_packet("H55.13", "03", packets.Answered("H55.01", document_id="x"), at=NOW)
    large = told.replace(
        b"</edXML:MessageHeader>", b"</edXML:MessageHeader><More>%b</More>" % (b"A" * admission.STATUS)
    )
    assert codes(province(), told) == []
    assert codes(province(), large) == ["too-large"]


# The envelope


@pytest.mark.parametrize("wanted", ["message", "both"])
def test_an_envelope_that_must_be_signed_is_refused_without_its_signature(province, wanted):
    assert refused(opened, province(signature=wanted), document(), by=None) == "unsigned"
    assert opened(province(signature=wanted), document()).operation == "SendDocument"


def test_under_packet_the_envelope_needs_no_signature(province):
    for content in (
        document(),
        documents_requests.GetPendingDocumentIds("H55.13"),
        documents_requests.GetTraces("H55.13"),
    ):
        assert opened(province(signature="packet"), content, by=None).call is not None


def test_under_packet_a_signature_that_is_there_must_verify(province):
    packets = province(signature="packet")
    assert opened(packets, document()).operation == "SendDocument"
    broken = lambda body: body.replace(b"<Packet>", b"<Packet> ", 1).replace(b":Packet>", b":Packet> ", 1)  # noqa: E731
    assert refused(opened, packets, document(), change=broken) == "signature-invalid"
    assert refused(opened, packets, document(), by=OTHER) == "certificate-unknown"
    elsewhere = lambda body: body.replace(b":Security ", b":Elsewhere ").replace(b":Security>", b":Elsewhere>")  # noqa: E731
    assert refused(opened, packets, document(), change=elsewhere) == "unsigned"


def test_under_packet_the_certificate_of_the_connection_must_still_be_good(province):
    revoked = province(signature="packet", crls=[CA.crl(ME)])
    assert refused(opened, revoked, documents_requests.GetTraces("H55.13"), by=None) == "certificate-revoked"


# Several certificates, and a relay

RENEWED = CA.issue("sotttt renewed", "p256")


def over(province, shown, signer):
    """Return whose call it is when *shown* is the connection's certificate and *signer* signed; or the refusal."""
    body, action = call(document(), by=signer)
    callers = province.callers_over(province.partner_with(shown.certificate))
    manner = Manner(action=action)
    try:
        return verification.open_call(body, manner, callers, shown.certificate, province, CONTRACT, NOW).partner.code
    except Rejected as rejected:
        return rejected.problems[0].code


@pytest.fixture
def changed(province):
    """Return the province with other values for the partners `me` and `there`."""

    def of(me=None, there=None):
        before = province().config
        partners = dict(before.partners)
        partners["me"] = attrs.evolve(partners["me"], **(me or {}))
        partners["there"] = attrs.evolve(partners["there"], **(there or {}))
        units = [Unit(code, code) for code in ("H55", "H55.13", "H55.01")]
        return Province.of(attrs.evolve(before, partners=partners), units)

    return of


def test_while_a_certificate_is_rotated_old_and_new_serve_each_for_either_use(changed):
    both = changed(me={"certificates": pki.signing([ME, RENEWED])})
    assert {over(both, shown, signer) for shown in (ME, RENEWED) for signer in (ME, RENEWED)} == {"me"}
    after = changed(me={"certificates": pki.signing([RENEWED])})
    assert over(after, RENEWED, RENEWED) == "me"
    assert over(after, RENEWED, ME) == "certificate-unknown"
    assert after.partner_with(ME.certificate) is None


def test_the_signer_is_the_partner_of_the_connection(changed):
    assert over(changed(), OTHER, ME) == over(changed(), ME, OTHER) == "certificate-unknown"


def test_a_relay_carries_the_calls_of_who_names_it_and_its_own(changed):
    relayed = changed(me={"policy": Policy(relay="there")})
    assert over(relayed, OTHER, ME) == "me"
    assert over(relayed, OTHER, OTHER) == "there"
    assert over(relayed, ME, ME) == "me"
    assert over(relayed, ME, OTHER) == "certificate-unknown"  # it goes one way
    assert over(relayed, OTHER, pki.partner("vpcp")) == "certificate-unknown"


def test_what_a_relay_carries_is_searched_for_ids_once_however_many_it_carries_for(changed, monkeypatch):
    """130,000 ids were found again for each of a hundred partners behind one relay."""
    found, right = [], wss_tokens.count_ids

    def watched(element):
        found.append(element)
        return right(element)

    monkeypatch.setattr(wss_tokens, "count_ids", watched)
    assert over(changed(me={"policy": Policy(relay="there")}), OTHER, pki.partner("vpcp")) == "certificate-unknown"
    assert len(found) == 1


def test_an_unsigned_call_over_a_relay_is_the_relays_own(changed):
    relayed = changed(
        me={"policy": Policy(relay="there")}, there={"policy": Policy(signature=RequiredSignature.PACKET)}
    )
    assert over(relayed, OTHER, None) == "there"
    assert over(changed(me={"policy": Policy(relay="there")}), OTHER, None) == "unsigned"


def test_each_is_judged_by_its_own_policy(changed):
    short = Policy(relay="there", max_age=timedelta(seconds=60))
    assert over(changed(me={"policy": short}), OTHER, ME) == "timestamp-expired"
    assert over(changed(me={"policy": short}), OTHER, OTHER) == "there"


def test_the_skew_is_the_partners(changed):
    late = NOW + timedelta(minutes=8)
    for skew, verdict in ((timedelta(minutes=1), "timestamp-expired"), (timedelta(minutes=5), "me")):
        tolerant = changed(me={"policy": Policy(clock_skew=skew)})
        body, action = call(document())
        how = (
            Manner(action=action),
            (tolerant.config.partners["me"],),
            ME.certificate,
            tolerant,
            CONTRACT,
            late,
        )
        if verdict == "me":
            assert verification.open_call(body, *how).partner.code == verdict
        else:
            assert refused(verification.open_call, body, *how) == verdict


# The packet

GOOD = signing.sign_packet(document(), ME)
SWAPPED = GOOD.replace(b"<edXML:ContentTransferEncoded>UEsDBB", b"<edXML:ContentTransferEncoded>UEsDBC", 1)
PACKETS = {
    "valid": GOOD,
    "invalid": GOOD.replace("V/v kết nối".encode(), b"V/v khac", 1),
    "unsigned": document(),
    "unverifiable": Seal().signed(OTHER),
}


@pytest.mark.parametrize("standing", PACKETS)
@pytest.mark.parametrize("wanted", ["message", "packet", "both"])
def test_a_packets_own_signature_is_noted_or_required(province, standing, wanted):
    entry = judged(province(signature=wanted), PACKETS[standing])
    assert entry.signature.standing == standing
    told = {"unsigned": "packet-unsigned"}.get(standing, f"packet-signature-{standing}")
    expected = [] if wanted == "message" or standing == "valid" else [told]
    assert [problem.code for problem in entry.problems] == expected


def test_another_attachment_in_a_validly_signed_packet_is_a_bad_signature(province):
    at = GOOD.index(b"ContentTransferEncoded")
    at = GOOD.index(b">", at) + 20
    swapped = GOOD[:at] + (b"A" if GOOD[at : at + 1] != b"A" else b"B") + GOOD[at + 1 :]
    assert codes(province(signature="packet"), swapped) == ["packet-signature-invalid"]


def test_the_vxp_form_counts_only_with_both_its_switches(province):
    for vxp_signature, sha1 in ((False, False), (False, True), (True, False)):
        tolerant = province(signature="packet", vxp_signature=vxp_signature, sha1=sha1)
        assert codes(tolerant, vxp(ME)) == ["packet-signature-unverifiable"]
    assert codes(province(signature="packet", vxp_signature=True, sha1=True), vxp(ME)) == []


@pytest.mark.parametrize("subject", ["V/v <!-- -->kết nối", "V/v <![CDATA[]]>kết nối", "<![CDATA[V/v kết]]> nối"])
def test_a_comment_or_cdata_is_text_in_an_unsigned_packet_and_makes_a_signature_worth_nothing(province, subject):
    def with_cut(packet):
        found = packet.replace("V/v kết nối".encode(), subject.encode(), 1)
        assert found != packet
        return found

    for packet, standing in ((document(), "unsigned"), (GOOD, "unverifiable")):
        entry = judged(province(), with_cut(packet))
        assert (entry.problems, entry.signature.standing) == ((), standing)
    assert codes(province(signature="packet"), with_cut(GOOD)) == ["packet-signature-unverifiable"]


@pytest.mark.parametrize("wanted", ["packet", "both"])
def test_every_sample_packet_is_refused_where_packets_must_be_signed(province, wanted):
    tolerant = province(signature=wanted, vxp_signature=True, sha1=True)
    found = {name: codes(tolerant, content) for name, content in samples.edxml().items()}
    dummy, none = ["packet-signature-unverifiable"], ["packet-unsigned"]
    assert found.pop("edoc") == ["not-well-formed"]
    assert found == {name: dummy if name.startswith("edoc") else none for name in found}


def test_a_status_must_be_signed_too(province):
    content = samples.edxml()["status_inbox__01"]
    assert codes(province(signature="packet"), content) == ["packet-unsigned"]
    assert codes(province(signature="packet"), signing.sign_packet(content, ME)) == []


# The profile


def test_each_sample_packet_is_accepted_as_observed(province):
    found = {name: codes(province(), content) for name, content in samples.edxml().items()}
    assert found.pop("edoc") == ["not-well-formed"]
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_under_strict_each_sample_packet_is_refused_for_what_departs_in_it(province):
    found = {name: codes(province(profile="strict"), content) for name, content in samples.edxml().items()}
    refused_for = {
        "edoc": ["not-well-formed"],
        # the Signature in the packet's own namespace; an answer due before the day of the document
        "edoc_new": ["element-unknown", "R.MessageHeader.DueDate"],
        "edoc_replacement": ["element-unknown"],
        "edoc_revocation": ["child-order", "element-unknown"],
        "edoc_update": ["element-unknown"],
    }
    assert found == {name: refused_for.get(name, []) for name in found}


# What is kept


@pytest.fixture
def tx(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    with transactions.write_transaction(engine) as transaction:
        yield transaction
    engine.dispose()


@pytest.mark.parametrize("standing", PACKETS)
def test_the_row_the_fact_and_the_events_tell_what_the_signature_is_worth(province, tx, standing):
    place = province()
    taken = messages.record_message(tx, judged(place, PACKETS[standing]), place.routes)
    assert taken.problems == ()
    assert message_reading.read_message(tx, taken.id).signature == standing
    assert [fact.signature for fact in fact_rows.read_facts(tx)] == [standing]
    told = [event for event in events.read_message_events(tx, taken.id) if event["event"] == "packet-signature"]
    assert [event["signature"] for event in told] == ([] if standing == "unsigned" else [standing])


def test_a_refused_packet_keeps_what_its_signature_is_worth(province, tx):
    place = province(signature="packet")
    taken = messages.record_message(tx, judged(place, PACKETS["invalid"]), place.routes)
    assert [problem.code for problem in taken.problems] == ["packet-signature-invalid"]
    assert message_reading.read_message(tx, taken.id).signature == "invalid"
    assert list(fact_rows.read_facts(tx)) == []
    names = [event["event"] for event in events.read_message_events(tx, taken.id)]
    assert names == ["message-refused", "packet-signature"]


def test_the_fact_of_a_status_tells_it_too(province, tx):
    place = province()
    taken = messages.record_message(
        tx, judged(place, signing.sign_packet(samples.edxml()["status_inbox__01"], ME)), place.routes
    )
    assert taken.problems == ()
    (fact,) = fact_rows.read_facts(tx)
    assert (fact.milestone, fact.signature) == ("status-01", "valid")


def test_each_use_of_what_is_only_tolerated_is_an_event(province, tx):
    place = province(signature="packet", vxp_signature=True, sha1=True)
    taken = messages.record_message(tx, judged(place, vxp(ME)), place.routes)
    names = [event["event"] for event in events.read_message_events(tx, taken.id)]
    assert {"packet-signature", "vxp-signature-used", "sha1-used"} <= set(names)
    plain = messages.record_message(
        tx, judged(place, signing.sign_packet(document("khac", number="8"), ME)), place.routes
    )
    names = [event["event"] for event in events.read_message_events(tx, plain.id)]
    assert not {"vxp-signature-used", "sha1-used"} & set(names)


# The rehearsal of `check`


@pytest.mark.parametrize(
    "policy", [{"signature": "packet"}, {"signature": "both"}, {"profile": "strict"}, {"vxp_signature": True}]
)
def test_check_rehearses_each_route_by_its_partners_policy(made, policy):
    partners = {code: attrs.evolve(partner, policy=Policy(**policy)) for code, partner in made.partners.items()}
    units = [Unit(unit, unit) for partner in partners.values() for unit in partner.units if unit != "*"]
    place = Province.of(attrs.evolve(made, partners=partners), [Unit("H55", "H55"), *units])
    assert list(dry_run.rehearse_deliveries(place, CONTRACT, datetime.now(UTC))) == []
