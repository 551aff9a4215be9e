"""Incidents by syslog over TLS, told by util-linux's `logger`: counted for their unit, and the grave ones told to the agencies."""

import base64
import json
import signal
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress

import pytest
import sqlalchemy as sa
from lxml import etree

from hub.services.incidents import parse_incident_report
from hub.store import transactions
from hub.store.tables import event
from tests.ports import find_free_ports
from tests.running import PATIENCE, until

pytestmark = pytest.mark.slow

AGENCIES = ("000.00.51.G14", "000.00.28.G14")
SETTINGS = f"""
[syslog]
port = %d

[incidents]
report-to = {list(AGENCIES)}
report-from = "H55.13"
report-severity = "critical"

[incidents.classes.malware]
facilities = ["local0"]
apps = ["edr"]
severity = "warning"

[incidents.classes.intrusion]
apps = ["ids"]
"""


@pytest.fixture
def port(hub):
    """The syslog port of a hub that runs with one."""
    (free,) = find_free_ports(1)
    text = hub.config.read_text().replace("[admin]", "[admin]\nmetrics = true")
    hub.config.write_text(text + SETTINGS % free)
    hub.start()
    return free


def tls(hub, port, partner):
    files = hub.files(partner)
    context = ssl.create_default_context(cafile=files["ca"])
    context.load_cert_chain(files["certificate"], files["key"])
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE), server_hostname="127.0.0.1"
    )


@contextmanager
def carrier(hub, port, partner="sotttt"):
    """Carry what comes by TCP on over TLS, as stunnel does for senders without it; give the TCP port."""

    def carry():
        while True:
            with suppress(OSError):
                sender, _ = server.accept()
                with sender, tls(hub, port, partner) as line:
                    while octets := sender.recv(4096):
                        line.sendall(octets)
                    with suppress(OSError):
                        line.unwrap()
                continue
            return

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=carry, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def logger(port, text, *, priority="local0.crit", tag="edr", framing=("--octet-count",), **said):
    """Log *text* with the real program, its structured data as *said*."""
    data = [word for name, value in said.items() for word in ("--sd-param", f'{name}="{value}"')]
    command = ["logger", "--tcp", "-n", "127.0.0.1", "-P", str(port), "--rfc5424", *framing, "-p", priority, "-t", tag]
    subprocess.run(
        [*command, *(["--sd-id", "incident@32473", *data] if said else []), "--", text], check=True, timeout=PATIENCE
    )


def counted(hub):
    lines = [
        line for line in hub.get("/metrics")[1].decode().splitlines() if line.startswith("lienthong_syslog_total{")
    ]
    return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines}


def closed(line):
    """Tell whether the other end has closed the connection, in whatever way."""
    try:
        return line.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


def test_an_incident_opens_is_told_to_the_agencies_and_closes(hub, port):
    hub.letterbox("vpcp")
    with carrier(hub, port) as here:
        logger(here, "Phát hiện mã độc trên máy chủ", id="SC-1", unit="H55.13")
        until(lambda: counted(hub).get("incident") == 1, "the incident")
        logger(here, "Đã xử lý xong", id="SC-1", unit="H55.13", state="closed", framing=())
        logger(here, "Dò quét cổng", id="SC-2", priority="auth.info", tag="ids", unit="H55.14")
        logger(here, "Không phải của Sở", id="SC-3", unit="H55.12")
        logger(here, "Không có mã", priority="local0.crit")
        logger(here, "Không thuộc loại nào", id="SC-4", tag="cron", priority="local0.info")
        expected = {"incident": 3, "repeated": 0, "refused": 1, "other": 2, "unreadable": 0, "failed": 0, "unframed": 0}
        until(lambda: counted(hub) == expected, "the other lines")
    until(lambda: hub.received("vpcp"), "the report at the axis")
    messages = hub.cli("messages", "--json")
    assert {(row["service"], row["partner"], row["kind"], row["state"]) for row in messages} == {
        ("incidents", "sotttt", "opened", "accepted"),
        ("incidents", "sotttt", "closed", "accepted"),
        ("incidents", "sotttt", "opened", "refused"),
        ("documents", "hub", "document", "accepted"),
    }
    assert [row["refusal"] for row in messages if row["refusal"]] == ["sender-not-allowed: H55.12"]
    told = [fact for fact in hub.cli("report", "--facts", "--json") if fact["service"] == "incidents"]
    assert sorted((fact["unit"], fact["key"], fact["milestone"]) for fact in told) == [
        ("H55.13", '["SC-1"]', "closed"),
        ("H55.13", '["SC-1"]', "closing-seconds"),
        ("H55.13", '["SC-1"]', "opened"),
        ("H55.14", '["SC-2"]', "opened"),
    ]
    (report,) = [row["id"] for row in messages if row["partner"] == "hub"]
    assert [note["document_id"] for note in hub.received("vpcp")] == [report]
    assert set(hub.states(report)) == set(AGENCIES)
    root = etree.fromstring(hub.cli("show", report, "--raw", text=True).encode())
    (encoded, _) = root.iter("{*}ContentTransferEncoded")
    incident = parse_incident_report(base64.b64decode(encoded.text or ""))
    assert (incident.id, incident.unit, incident.name, incident.severity) == ("SC-1", "H55.13", "malware", "critical")
    assert incident.text == "Phát hiện mã độc trên máy chủ"
    with tls(hub, port, "sotttt") as line, tls(hub, port, "vpub") as other:
        hub.revoke("sotttt")
        hub.cli("reload")
        assert closed(line), "the connection of a revoked certificate"
        other.sendall(b"<134>1 - - - - - - x\n")
        until(lambda: counted(hub) == expected | {"other": 3}, "another partner's line, which goes on")


def test_what_is_repeated_flooded_or_broken_loses_nothing_and_counts_once(hub, port):
    opening = b'<130>1 2026-11-24T08:00:00Z may1 edr - - [incident@32473 id="SC-%d" unit="H55.13"] x'
    framed = [b"%d %s" % (len(line), line) for line in (opening % number for number in range(30))]
    noise = b"<134>1 - - - - - - kh\xc3\xb4ng c\xc3\xb3 g\xc3\xac\n" * 20_000
    with tls(hub, port, "sotttt") as line:
        line.sendall(noise + b"".join(framed) + noise + b"<1>no syslog\n")
        slow = framed[0] + b"".join(framed[:2])
        for octet in slow:
            line.sendall(bytes([octet]))
        until(lambda: counted(hub).get("repeated") == 3, "the last line")
        assert counted(hub) == {
            "incident": 30,
            "repeated": 3,
            "refused": 0,
            "other": 40_000,
            "unreadable": 1,
            "failed": 0,
            "unframed": 0,
        }
        line.sendall(b"GET / HTTP/1.1\r\n\r\n" + framed[3])
        assert closed(line), "nobody can tell where the next message begins"
    hub.issue("stranger")
    with tls(hub, port, "stranger") as stranger:
        with suppress(ConnectionError):
            stranger.sendall(framed[0])
        assert closed(stranger)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        plain.sendall(framed[0] * 10)
        while not closed(plain):
            pass
    until(lambda: counted(hub).get("unframed") == 1, "the metrics of now: what was found is told for a second")
    assert hub.stop() == -signal.SIGTERM
    assert hub.cli("messages", "--partner", "sotttt", "--count", text=True).strip() == "30"
    assert refusals(hub) == ["certificate-unknown"]
    assert "Traceback" not in hub.log.read_text()


def refusals(hub):
    """Return the codes of the calls that were refused."""
    engine = transactions.open_journal(f"sqlite:///{hub.home}/data/hub.db")
    with transactions.read_transaction(engine) as tx:
        told = [json.loads(text) for text in tx.scalars(sa.select(event.c.text))]
    engine.dispose()
    return [each["code"] for each in told if each["event"] == "call-refused"]
