"""The hub as an operator meets it: it starts, says why it does not, listens, reloads, refuses what is too large, stops."""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import tomllib
from datetime import UTC, date, datetime
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from hub.cli.documents_client import HubUnavailable, SubmissionRefused
from hub.security.certificates import Identity
from hub.web.connection_limits import GRACE
from lienthong_demo.plan.packets import write_document_packet
from tests import pki
from tests.interop.toolkits import verified_by_xmlsec1
from tests.running import PATIENCE, until
from tests.waiting import SOON
from tests.warm import BIN

pytestmark = pytest.mark.slow


def packet(number=1, recipient="H55.1", **fields):
    return write_document_packet(
        "H55.13",
        [recipient],
        number=str(number),
        notation="STTTT",
        subject="x",
        promulgated=date(2026, 11, 20),
        **fields,
    )


def refused_start(hub):
    """Start a hub that must not start; return its exit code and what it said."""
    hub.start(wait=False)
    return hub.process.wait(PATIENCE), hub.log.read_text()


def test_it_is_alive_and_ready_and_shows_its_contracts_and_stops_on_sigterm(hub):
    hub.start()
    assert hub.get("/healthz") == (200, b'{"alive": true}\n')
    assert b'"ready": true' in hub.get("/readyz")[1]
    assert b"documents.wsdl" in hub.get("/contracts/")[1]
    wsdl = hub.get("/contracts/documents.wsdl")[1]
    assert hub.soap.encode() in wsdl
    assert hub.get("/contracts/xsd/lienthong/1/documents.xsd")[0] == 200
    assert hub.get("/contracts/../pki/hub.key")[0] == 404
    assert hub.stop() == -15
    assert not (hub.home / "data/hub.pid").exists()


@pytest.mark.parametrize("reactor", ["asyncio", "epoll", "poll"])
def test_it_runs_on_each_reactor(hub, reactor):
    hub.start(BIN / "twistd", f"--reactor={reactor}")
    hub.letterbox("vpub")
    with hub.client("sotttt") as client:
        sent = client.send(packet()).document_id
    until(lambda: hub.states(sent)["H55.1"][0] == "delivered", "the delivery")


def traced(putrequest, connection, trace, *words, **more):
    """Begin a request that has the trace context of its caller."""
    putrequest(*words, **more)
    connection.putheader("traceparent", f"00-{trace}-00f067aa0ba902b7-01")


def test_with_ec_keys_it_receives_signs_and_delivers(hub, tmp_path):
    place = tmp_path / "ec"
    hub.cli("init", place, "--key-type", "ec-p256", "--soap-port", 0, "--admin-port", 0, config=False)
    shutil.rmtree(hub.home / "pki")
    shutil.copytree(place / "pki", hub.home / "pki")
    assert isinstance(Identity.read(hub.home / "pki/hub.key", hub.home / "pki/hub.crt").key, EllipticCurvePrivateKey)
    hub.cli("check")
    hub.start()
    hub.letterbox("vpub")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with hub.client("sotttt") as client:
        client._connection.putrequest = partial(traced, client._connection.putrequest, client._connection, trace)
        sent = client.send(packet())
    until(lambda: hub.states(sent.document_id)["H55.1"][0] == "delivered", "the delivery")
    (settled,) = until(lambda: hub.told("delivery-settled"), "the log to tell of it")
    (accepted,) = hub.told("message-accepted")
    traced_to = {(line["trace"], line["message"]) for line in (accepted, settled)}
    assert traced_to == {(trace, sent.document_id)}
    assert trace in hub.cli("show", sent.document_id, "--json")[0]["trace"]
    assert verified_by_xmlsec1(sent.receipt, hub.home / "pki/hub.crt", tmp_path)


def test_a_taken_port_ends_it_with_78_and_its_name(hub):
    port = tomllib.loads(hub.config.read_text())["soap"]["port"]
    with socket.create_server(("127.0.0.1", port)):
        code, said = refused_start(hub)
    assert code == 78
    assert "soap.port" in said


def test_every_mistake_of_a_configuration_is_printed_and_it_ends_with_78(hub):
    path = hub.home / "partners/vpub.toml"
    path.write_text(path.read_text().replace("https://", "http://") + "\nnonsense = 1\n")
    (hub.home / "pki/crl.pem").unlink()
    code, said = refused_start(hub)
    assert code == 78
    for expected in ("partners/vpub.toml: url", "nonsense", "crl"):
        assert expected in said


def test_a_second_hub_in_one_directory_ends_with_78(hub):
    hub.start()
    second = subprocess.run(
        [BIN / "twistd", "-n", "--pidfile=", "lienthong", "-c", hub.config],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 78, second.stderr


def test_a_database_of_another_version_ends_it_with_78_and_names_the_command(hub):
    (hub.home / "data/hub.db").unlink()
    code, said = refused_start(hub)
    assert (code, "lienthong db upgrade" in said) == (78, True)
    hub.cli("db", "upgrade")
    hub.cli("units", "list")


def test_a_usage_fault_of_twistd_is_1(hub):
    assert subprocess.run([BIN / "twistd", "lienthong", "--nonsense"], capture_output=True, check=False).returncode == 1


def test_a_new_partner_and_a_revocation_are_taken_up_without_a_restart(hub):
    hub.start()
    hub.issue("soyte")
    large = packet(2, attachments=[("ban-do.pdf", os.urandom(1024 * 1024))])  # which is not read
    for call in (lambda client: client.pending("H55.14"), lambda client: client.send(large)):
        with hub.client("soyte") as client, pytest.raises(SubmissionRefused) as caught:
            call(client)
        assert caught.value.problems[0].code == "certificate-unknown"
    hub.cli(
        "partners", "add", "soyte", "--certificate", hub.files("soyte")["certificate"], "--unit", "H55.77", "--fetch"
    )
    hub.cli("reload")
    with hub.client("soyte") as kept, hub.client("sotttt") as department:
        sent = department.send(packet(1, "H55.77")).document_id
        assert kept.pending("H55.77") == (sent,)
        hub.revoke("soyte")
        line, other = kept._connection.sock, department._connection.sock
        hub.cli("reload")
        line.settimeout(SOON)
        assert line.recv(1) == b"", "a connection that is open already is closed"
        department.send(packet(2, "H55.77"))
        assert department._connection.sock is other, "that of another partner goes on"
    with hub.client("soyte") as fresh, pytest.raises(HubUnavailable):
        fresh.pending("H55.77")
    assert '"event": "client-refused"' in hub.log.read_text()
    assert "certificate-revoked" in hub.log.read_text()


def test_a_broken_configuration_is_refused_on_reload_and_the_old_one_stays(hub):
    hub.start()
    path = hub.home / "partners/vpub.toml"
    good = path.read_text()
    path.write_text(good + "nonsense = 1\n")
    hub.cli("reload", code=78)
    with hub.client("sotttt") as client:
        client.send(packet())
    path.write_text(good)
    hub.cli("reload")
    told = ["configuration-reloaded", "configuration-refused"]

    def list_reloads() -> list[str]:
        return [each["event"] for each in hub.cli("events", "--json") if each["event"] in told]

    until(lambda: list_reloads() == told, "both reloads to be in the journal")
    (mistake,) = hub.cli("events", "--kind", told[1], "--json")[0]["mistakes"]
    assert mistake.startswith("partners/vpub.toml: nonsense: ")
    assert mistake in hub.log.read_text(), "a person can read it there"
    assert hub.cli("status", "--json")[0]["nodes"] == 1


def test_reload_without_a_hub_is_69(hub):
    hub.cli("reload", code=69)


def test_20_mb_pass_and_what_is_beyond_the_limit_is_refused_before_it_is_read(hub):
    hub.letterbox("vpub")
    hub.start()
    large = packet(attachments=[("ban-do.pdf", os.urandom(20 * 1024 * 1024))])
    with hub.client("sotttt") as client:
        sent = client.send(large)
        until(lambda: hub.states(sent.document_id)["H55.1"][0] == "delivered", "20 MB to be pushed")
        with pytest.raises(SubmissionRefused) as caught:
            client.send(packet(2, attachments=[("ban-do.pdf", os.urandom(24 * 1024 * 1024))]))
    assert caught.value.problems[0].code == "too-large"
    assert hub.received("vpub")[0]["sha256"] == sent.sha256


def test_a_body_is_refused_by_its_declared_length_alone(hub):
    hub.start()
    files = hub.files("sotttt")
    context = ssl.create_default_context(cafile=str(files["ca"]))
    context.load_cert_chain(files["certificate"], files["key"])
    port = tomllib.loads(hub.config.read_text())["soap"]["port"]
    for head in (b"Content-Length: 999999999\r\n", b"Content-Length: 999999999\r\nExpect: 100-continue\r\n"):
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"POST /soap/documents HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n" + head + b"\r\n")
            secure.settimeout(GRACE)  # after which a body that does not come is given up, with another status
            assert secure.recv(4096).startswith(b"HTTP/1.1 413")


def test_the_soap_port_demands_a_certificate_for_everything(hub):
    hub.start()
    bare = ssl.create_default_context(cafile=str(hub.home / "pki/ca.crt"))
    port = tomllib.loads(hub.config.read_text())["soap"]["port"]
    said = b""
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),  # in the handshake, or, with TLS 1.3, after it
        socket.create_connection(("127.0.0.1", port)) as plain,
        bare.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(b"GET /soap/documents?wsdl HTTP/1.1\r\nHost: x\r\n\r\n")
        said = secure.recv(4096)
    assert said == b"", "nothing may be said to a stranger"


def test_a_certificate_with_a_weak_key_or_for_something_else_ends_the_handshake(hub):
    """Though it is a partner's, and of a trusted CA."""
    sample = hub.authority()
    ca = pki.Authority(Identity(sample.key, sample.certificate), datetime.now(UTC))
    shown = {kind: ca.issue(kind, kind) for kind in ("p256", "p521", "rsa1024", "p224", "k256")}
    shown["serves"] = ca.issue("serves", "p256", purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    for name, identity in shown.items():
        pki.write(hub.home / "pki/partners", name, identity)
    names = [f"pki/partners/{name}.crt" for name in shown]
    (hub.home / "partners/soyte.toml").write_text(f'certificates = {json.dumps(names)}\nunits = ["*"]\n')
    hub.start()
    port = tomllib.loads(hub.config.read_text())["soap"]["port"]

    def told(name):
        """Return what who shows that certificate is told."""
        caller = ssl.create_default_context(cafile=str(hub.home / "pki/ca.crt"))
        caller.set_ciphers("DEFAULT:@SECLEVEL=0")
        caller.maximum_version = ssl.TLSVersion.TLSv1_2  # TLS 1.3 has no such curves
        caller.load_cert_chain(*reversed([hub.home / f"pki/partners/{name}.{end}" for end in ("key", "crt")]))
        try:
            with (
                socket.create_connection(("127.0.0.1", port)) as plain,
                caller.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
            ):
                secure.sendall(b"GET /soap/documents?wsdl HTTP/1.1\r\nHost: x\r\n\r\n")
                return secure.recv(12)
        except (ssl.SSLError, ConnectionError):
            return b""

    assert {name for name in shown if told(name) == b"HTTP/1.1 200"} == {"p256", "p521"}
    refused = {line["reason"].partition(":")[0] for line in hub.told("client-refused")}
    assert refused == {"certificate-weak", "certificate-untrusted"}


def test_garbage_is_answered_and_nothing_breaks(hub):
    hub.start()
    with hub.client("sotttt") as client:
        for body in (b"", b"garbage", b"<a/>", b"<!DOCTYPE a><a/>", os.urandom(1000), b"<a" * 10000):
            answer = client._post("/soap/documents", body, "")
            assert (answer.status, b"Fault" in answer.body) == (500, True), body[:20]
        client.send(packet())
    refusals = {row["refusal"].split(":")[0] for row in hub.cli("messages", "--state", "refused", "--json")}
    assert {"not-well-formed", "doctype-refused"} <= refusals
    assert "Traceback" not in hub.log.read_text()


def test_log_lines_are_json_where_twistd_logs(hub):
    hub.start()
    with hub.client("sotttt") as client:
        client.send(packet())
    hub.stop()
    events = [json.loads(line)["event"] for line in hub.log.read_text().splitlines()]
    assert "message-accepted" in events


def test_init_leaves_a_directory_with_something_in_it_alone(tmp_path):
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/letter").write_text("mine")
    ran = subprocess.run([BIN / "lienthong", "init", tmp_path / "hub"], capture_output=True, check=False)
    assert ran.returncode != 0
    assert [each.name for each in (tmp_path / "hub").iterdir()] == ["letter"]
