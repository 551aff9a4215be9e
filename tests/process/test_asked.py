"""A hub that runs asks a CA what it has revoked, over HTTP and HTTPS, and trusts nothing but its configuration."""

import json
import ssl
import tomllib
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.cli.documents_client import HubUnavailable
from hub.cli.screen import CONFIGURATION
from hub.security import sample_pki
from hub.web.soap_listener import IDLE
from lienthong_demo.protocol.http_server import ServerAnswer, serve_calls
from tests.packets import document
from tests.pki import pem
from tests.running import until

pytestmark = pytest.mark.slow


@contextmanager
def serving(crl, files=None):
    """Serve *crl* on loopback, over TLS with the key and certificate of *files*; give the port and what was asked."""
    asked = list[str]()
    context = None
    if files is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["certificate"], files["key"])

    def answer(call):
        asked.append(call.path)
        status = 302 if call.path == "/elsewhere" else 200
        return ServerAnswer(status, crl, "application/pkix-crl", {"Location": "/ca.crl"})

    with serve_calls(answer, tls=context) as server:
        yield server.server_port, asked


def told(hub, event):
    """Return the lines of the log about *event*."""
    return hub.told(event)


def gets_in(hub, name):
    """Tell whether a document of that partner, for a unit of vpub, is accepted."""
    unit = tomllib.loads((hub.home / "partners/vpub.toml").read_text())["units"][0]
    try:
        with hub.client(name) as client:
            client.send(document(to=unit), f"{name} {datetime.now(UTC)}")
    except HubUnavailable:
        return False
    return True


def add(hub, name):
    certificate = hub.issue(name)
    hub.cli("partners", "add", name, "--certificate", hub.files(name)["certificate"], "--unit", "*")
    return certificate


def revoking(hub, *certificates, number=2):
    crl = hub.authority().revoke(*certificates, now=datetime.now(UTC), number=number)
    return crl.public_bytes(Encoding.DER)


def test_who_is_revoked_at_the_ca_gets_in_no_more_and_the_others_do(hub):
    gone = add(hub, "gone")
    add(hub, "soyte")
    hub.start()
    assert gets_in(hub, "gone")
    with serving(revoking(hub, gone)) as (port, asked), hub.client("gone") as lost, hub.client("soyte") as kept:
        unit = tomllib.loads((hub.home / "partners/vpub.toml").read_text())["units"][0]
        for client in (lost, kept):
            client.send(document(to=unit), "before")
        line, other = lost._connection.sock, kept._connection.sock
        url = f"http://127.0.0.1:{port}/ca.crl"
        assert (
            hub.cli("trust", "add", hub.home / "pki/ca.crt", "--crl-url", "ftp://ca.example", code=CONFIGURATION) == []
        )
        hub.cli("trust", "add", hub.home / "pki/ca.crt", "--crl-url", url)
        hub.cli("reload")
        # whose connection is in use all the while
        until(lambda: kept.send(document(to=unit), "before") and told(hub, "revocation-heard"), "the CRL to be fetched")
        line.settimeout(IDLE / 2)
        assert line.recv(1) == b"", "its open connection is closed by the news alone"
        kept.send(document(to=unit), "after")
        assert kept._connection.sock is other
        assert not gets_in(hub, "gone")
        assert gets_in(hub, "soyte")
        assert asked == ["/ca.crl"]
    heard = [row for row in hub.cli("trust", "list", "--json") if "url" in row]
    assert [(row["url"], row["about"], row["holds"]) for row in heard] == [(url, "CRL", "còn hạn")]
    assert told(hub, "client-refused")[-1]["reason"].startswith("certificate-revoked")
    hub.stop()
    hub.start()  # the CA is down now: what it said is kept
    assert not gets_in(hub, "gone")
    assert gets_in(hub, "soyte")


def test_a_ca_that_was_never_heard_lets_nobody_in_unless_the_policy_allows_it(hub):
    add(hub, "soyte")
    add(hub, "lax")
    hub.cli(
        "partners", "add", "lax", "--certificate", hub.files("lax")["certificate"], "--unit", "*", "--replace",
        "--policy", "revocation=allow",
    )  # fmt: skip
    settings = hub.config.read_text().replace('crls = ["pki/crl.pem"]', "crls = []")
    hub.config.write_text(settings)
    with serving(b"") as (port, _asked):
        url = f"http://127.0.0.1:{port}/ca.crl"  # nobody is there any more when it is asked
    hub.cli("trust", "add", hub.home / "pki/ca.crt", "--crl-url", url)
    assert "revocation-unknown" in json.dumps(hub.cli("check", "--json"))
    hub.start()
    assert not gets_in(hub, "soyte")
    assert gets_in(hub, "lax")
    assert {line["partner"] for line in told(hub, "revocation-unknown-allowed")} == {"lax"}
    assert until(lambda: told(hub, "revocation-not-heard"), "the CA not to be heard")[0]["url"] == url
    status, body = hub.get("/readyz")
    assert (status, json.loads(body)["ready"]) == (200, True)  # for one partner at least
    assert json.loads(body)["reasons"]["revocation"] == "overdue"
    assert "partners are kept out: revocation-unknown" in hub.log.read_text()
    lax = hub.home / "partners/lax.toml"
    lax.write_text(lax.read_text().replace('revocation = "allow"', 'revocation = "configured"'))
    hub.cli("reload")
    until(lambda: hub.get("/readyz")[0] == 503, "readyz to say so, which looks once a second")


def test_nothing_around_the_hub_makes_it_trust_anybody(hub, monkeypatch, tmp_path):
    """Trust stores and proxies of the machine count for nothing: not for partners, nor for where a CA is asked."""
    evil = sample_pki.create_sample_ca(datetime.now(UTC))
    (tmp_path / "evil.crt").write_bytes(pem(evil.certificate))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "evil.crt"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    add(hub, "soyte")
    hub.issue("place")
    files = hub.files("place")
    key, certificate = evil.issue("evil place", datetime.now(UTC))
    hers = {"key": tmp_path / "place.key", "certificate": tmp_path / "place.crt"}
    sample_pki.write_secret(hers["key"], key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    hers["certificate"].write_bytes(pem(certificate))
    with ExitStack() as stack:
        places = [stack.enter_context(serving(revoking(hub), shown)) for shown in (files, hers)]
        ports = [port for port, _asked in places]
        urls = [f"https://127.0.0.1:{port}/ca.crl" for port in ports] + [f"https://127.0.0.1:{ports[0]}/elsewhere"]
        words = [word for url in urls for word in ("--crl-url", url)]
        hub.cli("trust", "add", hub.home / "pki/ca.crt", *words)
        letterbox = hub.letterbox("vpub")
        hub.start()
        until(lambda: len(told(hub, "revocation-not-heard")) >= 2, "the evil place and the redirect to be refused")
        assert {line["url"] for line in told(hub, "revocation-heard")} == {urls[0]}
        assert {line["url"] for line in told(hub, "revocation-not-heard")} == {urls[1], urls[2]}
        assert places[1][1] == []
        assert gets_in(hub, "soyte")
        until(lambda: hub.received("vpub"), "the push to vpub, past the proxy")
        assert letterbox is hub.letterboxes["vpub"]
