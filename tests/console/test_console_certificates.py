"""Signing in by the client certificate that the browser showed: checked each time, and one user's alone."""

from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace

import pytest
from OpenSSL import SSL

from hub.config.values import ConsoleSettings
from hub.console import edge
from hub.console.request import SESSION
from hub.operations.accounts import client_certificates, second_factor
from hub.security import tls
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.store import transactions
from tests import pki
from tests.console_town import Browser

OWN = pki.partner("an").certificate
SHA256 = hash_certificate(OWN)


def add(town, name="an", certificate=OWN):
    with transactions.write_transaction(town.engine) as tx:
        return client_certificates.add_certificate(tx, name, hash_certificate(certificate), by="root", now=town.now)


class Token(Browser):
    """A browser that shows a certificate."""

    shown = (OWN,)

    def _asked(self, **said):
        return super()._asked(**said, shown=lambda: self.shown)

    def enter(self, following="/units"):
        self.get("/sign-in")
        return self.post("/sign-in/certificate", next=following)


@pytest.fixture
def an(town):
    town.settings = ConsoleSettings(client_certificates=True)
    town.add("an", "H55.13")
    assert add(town)
    browser = Token(town)
    trust(browser, Anchors((pki.authority().certificate,)))
    return browser


def trust(browser, anchors):
    browser.pages.parts.live.config.anchors = anchors


def test_the_certificate_signs_in_its_user(town, an):
    answer = an.enter("/reports/edoc/H55.13/2026-12")
    assert (answer.status, answer.location) == (303, "/reports/edoc/H55.13/2026-12")
    assert an.get(answer.location).status == 200
    assert [each["user"] for each in town.told("user-signed-in")] == ["an"]


@pytest.mark.parametrize("which", ["none", "nobody's", "untrusted", "expired"])
def test_no_other_certificate_signs_in_anybody(town, an, which):
    begins, ends = pki.NOW - timedelta(9), pki.NOW - timedelta(8)
    certificate = {
        "nobody's": pki.partner("binh"),
        "untrusted": pki.authority("Other CA").issue("an"),
        "expired": pki.authority().issue("an", begins=begins, ends=ends),
    }.get(which, pki.partner("an"))
    if which in {"untrusted", "expired"}:
        assert add(town, certificate=certificate.certificate), "it is the user's, but not good"
    an.shown = () if which == "none" else (certificate.certificate,)
    assert an.enter().status == 401
    said = {"none": "không đưa ra chứng thư", "nobody's": hash_certificate(certificate.certificate)}
    assert said.get(which, "không được chấp nhận") in an.page
    assert SESSION not in an.cookies
    assert town.told("user-signed-in") == []


def test_a_revoked_certificate_signs_in_nobody(town, an):
    authority = pki.authority()
    crl = authority.crl(OWN)
    trust(an, Anchors((authority.certificate,), (crl,)))
    assert an.enter().status == 401
    assert SESSION not in an.cookies


def test_it_is_off_unless_it_is_set(town, an):
    town.settings = ConsoleSettings()
    other = Token(town)
    other.get("/sign-in")
    assert "/sign-in/certificate" not in other.page
    assert other.post("/sign-in/certificate").status == 404
    assert an.get("/sign-in").status == 200
    assert "/sign-in/certificate" in an.page
    assert an.post("/sign-in/certificate", proof="x").status == 403
    assert an.post("/sign-in/certificate", origin="https://evil.example").status == 403


def test_a_code_is_asked_for_behind_it(town, an):
    with transactions.write_transaction(town.engine) as tx:
        assert second_factor.enrol_user(tx, "an", "A" * 32, by="root", now=town.now)
    assert an.enter().location == "/sign-in/code?next=%2Funits"
    assert SESSION not in an.cookies
    assert an.get("/sign-in/code").status == 200


def test_a_certificate_is_of_one_user_and_is_removed(town, an):
    town.add("binh", "H55.01")
    assert not add(town, "binh")
    assert not add(town, "nobody")
    assert add(town), "again"
    an.enter()
    assert an.get("/account").status == 200
    with transactions.write_transaction(town.engine) as tx:
        assert client_certificates.list_certificates(tx) == {"an": [SHA256]}
        assert not client_certificates.remove_certificate(tx, "binh", SHA256, by="root", now=town.now)
        assert client_certificates.remove_certificate(tx, "an", SHA256, by="root", now=town.now)
    assert an.get("/account").status == 401
    assert an.enter().status == 401
    told = [each["event"] for each in town.told("user-certificate-added", "user-certificate-removed")]
    assert told == ["user-certificate-added", "user-certificate-removed"]


@pytest.mark.parametrize("whose", ["own", "other", "none"])
def test_the_handshake_asks_for_a_certificate_and_takes_any_or_none(whose):
    other = pki.authority("Other CA").issue("an")
    identity = {"own": pki.partner("an"), "other": other}.get(whose)
    server = tls.make_tls_context(pki.partner("hub"), authorities=[pki.authority().certificate], asks=True)
    client = tls.make_tls_context(identity)
    ends = []
    for context, start in ((client, "set_connect_state"), (server, "set_accept_state")):
        end = SSL.Connection(context, None)
        getattr(end, start)()
        ends.append(end)
    for _ in range(10):
        for here, there in (ends, reversed(ends)):
            with suppress(SSL.WantReadError):
                here.do_handshake()
            with suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(1 << 16))
    peer = ends[1].get_peer_certificate()
    transport = SimpleNamespace(getPeerCertificate=lambda: peer, getHandle=lambda: ends[1])
    shown = edge._read_certificates(SimpleNamespace(channel=SimpleNamespace(transport=transport)))
    assert shown[:1] == (() if identity is None else (identity.certificate,))
    assert list(ends[0].get_client_ca_list()) != []
