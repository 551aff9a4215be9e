"""CAs are asked in the background what they revoke, and what they say counts for calls."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet.task import Clock

from hub.config import Config, Partner, RevocationSource, read_config, revocation_cache
from hub.node import init_province
from hub.node.revocation_fetch import EVERY, RevocationFetcher
from hub.partner.policy import Policy
from hub.runtime.peer_check import make_peer_checks
from hub.runtime.thread_pool import run_at_once
from hub.security import tls
from hub.security.anchors import LIFE, Anchors, Purpose, Untrusted
from hub.security.certificates import Identity
from hub.security.crl_ocsp import RevocationList
from hub.units.live import Live, Setup
from hub.units.province import Province
from tests import pki
from tests.conftest import ROOT
from tests.pki import DAY, NOW

CA = pki.authority()
SOYTE, GONE = CA.issue("soyte"), CA.issue("gone", label="soyte")
LIST, MIRROR, OCSP = "http://crl.example/ca.crl", "http://mirror.example/ca.crl", "http://ocsp.example/"


@attrs.define
class Places:
    """What each URL would answer; what was asked of whom."""

    answers: dict[str, bytes] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)

    async def fetch(self, anchors: Anchors, question: revocation_cache.RevocationQuestion, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.answers:
            raise OSError("nobody is there")
        return self.answers[url]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Config:
    home = tmp_path_factory.mktemp("inquiry") / "tinh"
    init_province.write_province(home, init_province.choose_ports(1, 2), NOW)
    return read_config(home / "hub.toml")


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(NOW.timestamp())
    return made


def configured(made: Config, tmp_path, *, crl: tuple[str, ...] = (), by_ocsp: tuple[str, ...] = ()) -> Config:
    """Return a configuration whose one partner has certificates of the test CA, which is asked at those places."""
    partner = Partner(code="soyte", name="soyte", certificates=pki.signing([SOYTE, GONE]))
    source = RevocationSource(issuer=CA.certificate, crl_urls=crl, ocsp_urls=by_ocsp)
    anchors = Anchors([CA.certificate], sourced=[CA.certificate])
    return attrs.evolve(made, anchors=anchors, sources=(source,), partners={"soyte": partner}, data=tmp_path)


def live(config: Config) -> Live:
    return Live(Setup(Province.of(config, ())))


def reload(inquiry: RevocationFetcher, config: Config) -> None:
    inquiry._live.setup = live(config).setup
    inquiry.reconfigure(())


@pytest.fixture
def begin(clock: Clock) -> Iterator[Callable[[Config, Places], RevocationFetcher]]:
    running: list[RevocationFetcher] = []

    def start(config: Config, places: Places) -> RevocationFetcher:
        now = lambda: datetime.fromtimestamp(clock.seconds(), NOW.tzinfo)  # noqa: E731
        inquiry = RevocationFetcher(
            live(config), revocation_cache.load_revocation_answers(config, now()), clock, run_at_once, now, places.fetch
        )
        inquiry.startService()
        running.append(inquiry)
        return inquiry

    yield start
    for inquiry in running:
        inquiry.stopService()


def verdict(config: Config, identity: Identity = SOYTE, now: datetime = NOW) -> str:
    try:
        config.anchors.check(identity.certificate, now)
    except Untrusted as untrusted:
        return untrusted.problems[0].code
    return "good"


def der(crl: x509.CertificateRevocationList) -> bytes:
    return crl.public_bytes(Encoding.DER)


def test_a_crl_is_fetched_and_counts(made, tmp_path, begin):
    config, places = configured(made, tmp_path, crl=(LIST,)), Places({LIST: der(CA.crl(GONE))})
    assert verdict(config) == "revocation-unknown"
    begin(config, places)
    assert (verdict(config), verdict(config, GONE)) == ("good", "certificate-revoked")


def test_ocsp_is_asked_about_each_certificate_the_ca_issued(made, tmp_path, begin):
    config = configured(made, tmp_path, by_ocsp=(OCSP,))
    places = Places({OCSP: CA.answer(SOYTE)})
    begin(config, places)
    assert places.asked == [OCSP, OCSP]
    assert (verdict(config), verdict(config, GONE)) == ("good", "revocation-unknown")  # the answer was not about it


def test_the_next_responder_is_asked_when_one_is_silent(made, tmp_path, begin):
    config = configured(made, tmp_path, by_ocsp=("http://dead.example/", OCSP))
    begin(config, Places({OCSP: CA.answer(SOYTE)}))
    assert verdict(config) == "good"


def test_each_place_of_a_list_is_asked(made, tmp_path, begin):
    config = configured(made, tmp_path, crl=(MIRROR, LIST))
    begin(config, Places({LIST: der(CA.crl())}))
    assert verdict(config) == "good"


@pytest.mark.parametrize(
    "octets",
    [b"<html>", der(CA.crl(signer=pki.key("impostor"))), der(CA.crl(begins=NOW - 2 * DAY, ends=NOW - DAY))],
    ids=["no CRL", "forged", "overdue"],
)
def test_what_does_not_count_is_not_kept_and_is_asked_for_again(made, tmp_path, begin, clock, octets):
    config, places = configured(made, tmp_path, crl=(LIST,)), Places({LIST: octets})
    begin(config, places)
    assert verdict(config) == "revocation-unknown"
    assert not list(tmp_path.rglob("*.crl"))
    places.answers[LIST] = der(CA.crl())
    clock.advance(EVERY)
    assert len(places.asked) == 1  # it rests for a minute
    clock.pump([EVERY] * 4)
    assert verdict(config) == "good"


def test_an_older_crl_never_takes_the_place_of_a_newer(made, tmp_path, begin, clock):
    """Who sits on the way may replay the CRL from before the revocation."""
    new, old = CA.crl(GONE, begins=NOW - DAY / 4), CA.crl(begins=NOW - DAY / 2)
    config, places = configured(made, tmp_path, crl=(LIST,)), Places({LIST: der(new)})
    inquiry = begin(config, places)
    places.answers[LIST] = der(old)
    inquiry.reconfigure(revocation_cache.load_revocation_answers(config, NOW))
    clock.advance(EVERY)
    assert len(places.asked) == 2
    assert verdict(config, GONE) == "certificate-revoked"
    assert revocation_cache.load_revocation_answers(config, NOW)[0].said.begins == new.last_update_utc


def test_what_was_heard_is_asked_for_again_before_it_ends(made, tmp_path, begin, clock):
    config = configured(made, tmp_path, crl=(LIST,))
    places = Places({LIST: der(CA.crl(begins=NOW, ends=NOW + timedelta(hours=10)))})
    begin(config, places)
    clock.pump([EVERY] * 239)
    assert len(places.asked) == 1
    places.answers[LIST] = der(CA.crl(GONE, begins=NOW + timedelta(hours=1), ends=NOW + timedelta(hours=20)))
    clock.pump([EVERY] * 2)
    assert len(places.asked) == 2
    assert verdict(config, GONE, NOW + timedelta(hours=1)) == "certificate-revoked"


def test_when_a_ca_falls_silent_what_it_said_counts_until_it_is_due_and_then_nobody_gets_in(
    made, tmp_path, begin, clock
):
    config = configured(made, tmp_path, crl=(LIST,))
    places = Places({LIST: der(CA.crl(begins=NOW, ends=NOW + timedelta(hours=1)))})
    begin(config, places)
    places.answers.clear()
    clock.pump([EVERY] * 200)
    assert len(places.asked) > 10
    assert verdict(config, now=NOW + timedelta(minutes=59)) == "good"
    assert verdict(config, now=NOW + timedelta(hours=1)) == "revocation-unknown"


def test_what_was_heard_survives_a_restart(made, tmp_path, begin):
    config = configured(made, tmp_path, crl=(LIST,), by_ocsp=(OCSP,))
    begin(config, Places({LIST: der(CA.crl(GONE)), OCSP: CA.answer(SOYTE)}))
    again = configured(made, tmp_path, crl=(LIST,), by_ocsp=(OCSP,))
    begin(again, Places())
    assert (verdict(again), verdict(again, GONE)) == ("good", "certificate-revoked")


def test_what_was_changed_on_disk_is_passed_over(made, tmp_path, begin):
    config = configured(made, tmp_path, crl=(LIST,))
    begin(config, Places({LIST: der(CA.crl(GONE))}))
    (kept,) = tmp_path.rglob("*.crl")
    kept.write_bytes(der(CA.crl(signer=pki.key("impostor"))))
    assert revocation_cache.load_revocation_answers(config, NOW) == []


def test_a_reload_asks_anew_and_forgets_what_is_no_longer_asked(made, tmp_path, begin, clock):
    config, places = configured(made, tmp_path, crl=(LIST,)), Places({LIST: der(CA.crl(GONE))})
    inquiry = begin(config, places)
    reload(inquiry, configured(made, tmp_path, crl=(LIST,)))
    clock.advance(EVERY)
    assert len(places.asked) == 2
    other = configured(made, tmp_path, crl=(MIRROR,))
    reload(inquiry, other)
    assert verdict(other, GONE) == "revocation-unknown"


def test_without_a_source_nobody_is_asked(made, tmp_path, begin, clock):
    config = attrs.evolve(configured(made, tmp_path), sources=())
    places = Places()
    begin(config, places)
    clock.pump([EVERY] * 10)
    assert places.asked == []


# --- what a server staples ------------------------------------------------------------------------------------------------


def shaken(server: SSL.Context, client: SSL.Context) -> bool:
    """Tell whether a handshake through memory succeeds, the client asking for an OCSP response."""
    ends = []
    for context, start in ((client, "set_connect_state"), (server, "set_accept_state")):
        end = SSL.Connection(context, None)
        getattr(end, start)()
        ends.append(end)
    ends[0].request_ocsp()
    done = set()
    for _ in range(10):
        for here, there in (ends, reversed(ends)):
            try:
                here.do_handshake()
                done.add(here)
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False
            with suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(1 << 16))
    return len(done) == 2


@pytest.mark.parametrize(
    ("staple", "rule", "taken"),
    [
        (CA.answer(SOYTE), "require", True),
        (b"", "require", False),
        (b"", "allow", True),
        (pki.authority("Other CA").answer(SOYTE), "require", False),
        (pki.authority("Other CA").answer(SOYTE), "allow", True),
        (CA.answer(SOYTE, ocsp.OCSPCertStatus.REVOKED), "allow", False),
    ],
    ids=["good", "none, required", "none, allowed", "of another, required", "of another, allowed", "revoked"],
)
def test_a_stapled_response_is_judged_in_the_handshake(staple, rule, taken):
    partner = Partner(code="soyte", name="", certificates=pki.signing([SOYTE]), policy=Policy(revocation=rule))
    check, stapled = make_peer_checks(partner, Anchors([CA.certificate]), lambda: NOW, "vpub")
    server = tls.make_tls_context(SOYTE)
    server.set_ocsp_server_callback(lambda _connection, _data: staple)
    assert shaken(server, tls.make_tls_context(None, check, stapled=stapled)) is taken


@pytest.mark.parametrize("shown", ["its own", "another's", "no server's", "a weak one"])
def test_a_server_shows_a_certificate_of_the_partner_that_is_for_servers(shown):
    callers = CA.issue("calls", purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])
    weak = CA.issue("weak server", "p224")
    identity = {"its own": SOYTE, "another's": GONE, "no server's": callers, "a weak one": weak}[shown]
    partner = Partner(code="soyte", name="", certificates=pki.signing([SOYTE, callers, weak]))
    check, stapled = make_peer_checks(partner, Anchors([CA.certificate]), lambda: NOW, "vpub")
    assert shaken(tls.make_tls_context(identity), tls.make_tls_context(None, check)) is (shown == "its own")
    if shown in {"no server's", "a weak one"}:
        with pytest.raises(Untrusted, match=r"extended key usage|certificate-weak"):
            stapled(identity.certificate, b"")


def test_a_key_for_pss_alone_serves_tls(made):
    identity = Identity.read(ROOT / "tests/keys/pss.key", ROOT / "tests/keys/pss.crt")
    shown: list[x509.Certificate] = []
    assert shaken(
        tls.make_tls_context(identity),
        tls.make_tls_context(None, lambda certificate, _above: shown.append(certificate)),
    )
    assert identity.certificate in shown


# --- the chain that is shown in a handshake ------------------------------------------------------------------------------

ROOT_CA = pki.authority("Other CA")
UPPER = ROOT_CA.subordinate("upper CA")
LOWER = UPPER.subordinate("lower CA")
LEAF = LOWER.issue("below", label="leaf")


def showing(*above):
    return attrs.evolve(LEAF, chain=tuple(one.certificate for one in above))


def taken(anchors, shown, *, purpose):
    """Tell whether who shows *shown* gets in, as the server of a partner or as its client."""

    def check(certificate, above):
        anchors.check(certificate, NOW, above, purpose=purpose)

    judge = tls.make_tls_context(SOYTE if purpose == Purpose.CLIENT else None, check)
    other = tls.make_tls_context(shown)
    return shaken(judge, other) if purpose == Purpose.CLIENT else shaken(other, judge)


@pytest.mark.parametrize("purpose", [Purpose.CLIENT, Purpose.SERVER])
@pytest.mark.parametrize(
    ("above", "known", "expected"),
    [
        ((LOWER, UPPER), (), True),
        ((UPPER, LOWER), (), True),
        ((LOWER, UPPER, ROOT_CA), (), True),
        ((LOWER,), (UPPER,), True),
        ((UPPER,), (LOWER,), False),
        ((LOWER,), (), False),
        ((UPPER,), (), False),
        ((), (), False),
        ((), (LOWER, UPPER), True),
    ],
    ids=["both", "in disorder", "with the root", "one, one known", "a gap", "one", "upper alone", "none", "known"],
)
def test_an_intermediate_may_be_shown_in_the_handshake(purpose, above, known, expected):
    anchors = Anchors([ROOT_CA.certificate], intermediates=[one.certificate for one in known])
    assert taken(anchors, showing(*above), purpose=purpose) is expected


@pytest.mark.parametrize("purpose", [Purpose.CLIENT, Purpose.SERVER])
def test_a_chain_that_is_shown_is_no_trust(purpose):
    assert not taken(Anchors([CA.certificate]), showing(LOWER, UPPER, ROOT_CA), purpose=purpose)
    revoked = Anchors([ROOT_CA.certificate], [ROOT_CA.crl(UPPER.identity)])
    assert not taken(revoked, showing(LOWER, UPPER), purpose=purpose)


def test_only_so_many_links_are_looked_at():
    chain = ROOT_CA
    above: list[x509.Certificate] = []
    for number in range(tls.MOST_LINKS + 1):
        chain = chain.subordinate(f"CA {number}")
        above.insert(0, chain.certificate)
    for count, expected in ((tls.MOST_LINKS, True), (tls.MOST_LINKS + 1, False)):
        leaf = attrs.evolve(chain.issue("deep", label="leaf"), chain=tuple(above[:count]))
        top = above[count - 1]
        assert taken(Anchors([top]), leaf, purpose=Purpose.SERVER)  # the top is an anchor: one link fewer is needed
        beyond = Anchors([ROOT_CA.certificate], intermediates=above[count:])
        assert taken(beyond, leaf, purpose=Purpose.SERVER) is expected


def test_the_chain_of_a_connection_is_remembered_while_it_is_open():
    anchors, leaf = Anchors([ROOT_CA.certificate]), showing(LOWER, UPPER)
    with pytest.raises(Untrusted):
        anchors.check(leaf.certificate, NOW, purpose=Purpose.CLIENT)
    assert taken(anchors, leaf, purpose=Purpose.CLIENT)
    anchors.check(
        leaf.certificate, NOW + 2 * LIFE, purpose=Purpose.CLIENT
    )  # a call over it, when the first judgement is old
    anchors.set_revocations([RevocationList(ROOT_CA.crl(UPPER.identity))], {})
    with pytest.raises(Untrusted, match="certificate-revoked"):
        anchors.check(leaf.certificate, NOW + 2 * LIFE, purpose=Purpose.CLIENT)


def test_chains_of_two_connections_are_not_mixed():
    seen = []
    context = tls.make_tls_context(None, lambda certificate, above: seen.append((certificate, [*above])))
    for above in ((), (LOWER,), (), (LOWER, UPPER)):
        seen.clear()
        assert shaken(tls.make_tls_context(showing(*above)), context)
        assert seen[-1] == (LEAF.certificate, [one.certificate for one in above])
