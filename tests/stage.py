"""A hub played by the standard library: real mutual TLS, real signatures, and answers that a test decides.

Knows what the documents service looks like from outside; for a hub that works, see tests/running.py.
"""

import hashlib
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lxml import etree

from hub.security import signing, wss_verify
from hub.soap import documents_requests, documents_responses, envelope, wsdl
from tests import pki

STARTED = datetime.now(UTC)  # TLS reads the real clock
CA = pki.authority("Client CA", STARTED)
OTHER_CA = pki.authority("Other CA", STARTED)
HUB, ME, STRANGER = CA.issue("hub"), CA.issue("me"), CA.issue("stranger")
PACKET = "<edXML>gói tin</edXML>".encode()
SHA256 = hashlib.sha256(PACKET).hexdigest()
CONTRACT = wsdl.load_contract("documents")


def now():
    return datetime.now(UTC)


@contextmanager
def hub(tmp_path, answer, identity=HUB, *, body_limit=None, clients=CA.certificate, caller=ME, hang_up=False, port=0):
    """Serve *answer* (call -> status, headers, body) to *caller* over mutual TLS; give the client's arguments."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            length = int(self.headers["Content-Length"])
            if body_limit is not None and length > body_limit:
                self.close_connection = True
                return self.reply(413, {"Connection": "close"}, b"too large")
            root = etree.fromstring(self.rfile.read(length), etree.XMLParser(huge_tree=True))
            body = wss_verify.verify_envelope(root, [caller.certificate], now(), max_age=timedelta(minutes=15)).body
            child = envelope.find_only_child(body)
            assert envelope.action_matches(self.headers["SOAPAction"], CONTRACT.operation(child).action)
            return self.reply(*answer(documents_requests.read_documents_call(child, CONTRACT.validate(child))))

        def reply(self, status, headers, body):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection |= hang_up

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass

    key, certificate = pki.write(tmp_path, "server", identity)
    ca = tmp_path / "server-ca.pem"
    ca.write_bytes(pki.pem(clients))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    with Server(("127.0.0.1", port), Handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield arguments(tmp_path, f"https://127.0.0.1:{server.server_port}/soap/documents")
        finally:
            server.shutdown()
            thread.join()


def arguments(tmp_path, url, ca=CA):
    key, certificate = pki.write(tmp_path, "me", ME)
    anchor = tmp_path / f"{ca.certificate.serial_number}.pem"
    anchor.write_bytes(pki.pem(ca.certificate))
    return {"url": url, "key": key, "certificate": certificate, "ca": anchor, "now": now, "timeout": 5}


def receipt(call, identity=HUB, **changes):
    said: dict[str, Any] = {
        "document_id": "d-1",
        "message_id": call.message_id or SHA256,
        "sha256": hashlib.sha256(call.packet).hexdigest(),
        "time": STARTED,
    }
    return signing.seal_canonical(
        documents_responses.write_receipt(documents_responses.Receipt(**(said | changes))), identity
    )


def build_taken(operation, document_id, receipt):
    """Return the hub's response to a message that was taken, as a tree."""
    return etree.fromstring(documents_responses.write_taken_response(operation, document_id, receipt).octets)


def signed(element, identity=HUB, status=200, headers=None):
    return status, headers or {}, wss_verify.sign_envelope(envelope.write_unsigned_envelope(element), identity, now())


def take(call):
    return signed(build_taken(type(call).__name__, "d-1", receipt(call)))
