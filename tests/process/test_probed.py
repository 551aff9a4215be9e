"""A running hub probes its links: partners and hosts, over real sockets, without a word and without a certificate of its own."""

import json
import re
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest

from tests.running import until

pytestmark = pytest.mark.slow


@contextmanager
def door(tls=None):
    """Open a port of this machine; whoever knocks is noted with the first octets they say, and with *tls* their certificate."""
    knocks: list[object] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def answer():
        while True:
            try:
                with listening.accept()[0] as taken:
                    taken.settimeout(5)
                    if tls is None:
                        knocks.append(taken.recv(100))
                        continue
                    with tls.wrap_socket(taken, server_side=True) as inside:
                        knocks.append(inside.getpeercert())
            except ssl.SSLError as error:
                knocks.append(error.reason)
            except OSError:
                if listening.fileno() < 0:
                    return

    threading.Thread(target=answer, daemon=True).start()
    try:
        yield listening.getsockname()[1], knocks
    finally:
        listening.close()


def server(hub, partner, **more):
    """Return a TLS server's context that shows the sample certificate of *partner* and demands one of the caller."""
    files = hub.files(partner)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(files["certificate"], files["key"])
    made.load_verify_locations(files["ca"])
    made.verify_mode = ssl.CERT_REQUIRED
    for key, value in more.items():
        setattr(made, key, value)
    return made


def shown(hub):
    return {row["link"]: row for row in hub.cli("links", "--json")}


def is_told(rows, states):
    """Tell whether the links are shown in these states."""
    return {name: row["state"] for name, row in rows.items()} == states


def test_links_are_probed_told_and_measured(hub):
    deaf = socket.create_server(("127.0.0.1", 0))  # takes connections and says nothing
    with (
        deaf,
        door() as (plain, heard),
        door(server(hub, "vpub", maximum_version=ssl.TLSVersion.TLSv1_2)) as (old, asked),
        door(server(hub, "sotttt")) as (stranger, _),
    ):
        text = hub.config.read_text().replace("[admin]", "[admin]\nmetrics = true") + (
            '\n[links]\nevery = "1s"\ntimeout = "1s"\n'
            f'[links.hosts.plain]\nat = "tcp://127.0.0.1:{plain}"\nunits = ["H55.13"]\n'
            f'[links.hosts.old]\nat = "tls://127.0.0.1:{old}"\n'
            f'[links.hosts.deaf]\nat = "tls://127.0.0.1:{deaf.getsockname()[1]}"\n'
        )
        hub.config.write_text(text)
        path = hub.home / "partners/vpcp.toml"
        url = next(line for line in path.read_text().splitlines() if line.startswith("url"))
        path.write_text(path.read_text().replace(url, f'url = "https://127.0.0.1:{stranger}/soap/documents"'))
        hub.letterbox("vpub")
        hub.start()
        states = {"vpub": "up", "plain": "up", "old": "up", "deaf": "down", "vpcp": "down"}
        until(lambda: len(shown(hub)) == len(states), "every link to be probed")
        # what took a second on a busy machine was down before
        found = until(lambda: is_told(rows := shown(hub), states) and rows, "each to be told as it is")
        assert found["vpub"]["days_left"] > 0
        assert 0 < found["vpub"]["p50"] < 1
        assert found["old"]["days_left"] == found["vpub"]["days_left"], "shown before it asked for ours"
        assert found["plain"]["days_left"] is None
        assert found["deaf"]["reason"] == "no answer within 1 s"
        assert found["vpcp"]["reason"].startswith("certificate-unknown")
        until(lambda: b"" in heard, "a knock without a word")
        assert set(heard) == {b""}
        until(lambda: "PEER_DID_NOT_RETURN_A_CERTIFICATE" in asked, "a knock without a certificate")
        assert all(isinstance(each, str) for each in asked), "nobody showed one, whoever was cut off in between"

        hub.close_letterbox("vpub")
        until(lambda: shown(hub)["vpub"]["state"] == "down", "the link to be down")
        status, body = until(
            lambda: b'"links": "down"' in (found := hub.get("/readyz"))[1] and found, "readyz to say so"
        )
        assert (status, json.loads(body)["ready"]) == (200, True)
        # told once, when the first was down: the others may not have been probed yet
        assert re.search(r"[1-5] of [1-5] links are down: ", hub.log.read_text())
        _, metrics = hub.get("/metrics")
        assert b'lienthong_link_up{link="vpub"} 0' in metrics
        assert b'lienthong_link_up{link="plain"} 1' in metrics
        standing = {row["code"]: row["standing"] for row in hub.cli("partners", "list", "--json")}["vpub"]
        assert (standing["breaker"], standing["failures"]) == ("closed", 0), "a probe is no call"
        hub.letterbox("vpub")
        until(lambda: shown(hub)["vpub"]["state"] == "up", "the link to be up again")
        assert "Traceback" not in hub.log.read_text()
