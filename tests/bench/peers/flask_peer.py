"""Takes signed calls as a user of Flask and signxml would write it: the peer that `./dev bench` measures the hub beside.

`gunicorn -w 2 flask_peer:app`, with PEER_CA, PEER_DOCUMENTS, PEER_PACKETS (files) and PEER_DATABASE (SQLite) in its environment.  The
checks are the hub's: no DTD, the schemas of call and packet, a signature of Body and Timestamp whose certificate leads to the CA, a message
id that is new.  A row is committed before the answer, which is not signed.  Knows no routes, units, facts, deliveries or events.
"""

# mypy: ignore-errors

import base64
import fcntl
import os
import sqlite3
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from flask import Flask, Response, request
from lxml import etree
from signxml import DigestAlgorithm, SignatureConfiguration, SignatureMethod, XMLVerifier

SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE, WSU = f"{{{OASIS}wssecurity-secext-1.0.xsd}}", f"{{{OASIS}wssecurity-utility-1.0.xsd}}"
OURS = "{urn:lienthong:documents:1}"
SKEW = timedelta(minutes=1)

EXPECTED = SignatureConfiguration(
    location=f"./{SOAP}Header/{WSSE}Security/",
    expect_references=2,
    signature_methods=frozenset({SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
)
DOCUMENTS = etree.XMLSchema(etree.parse(os.environ["PEER_DOCUMENTS"]))
PACKETS = etree.XMLSchema(etree.parse(os.environ["PEER_PACKETS"]))
with open(os.environ["PEER_CA"], "rb") as file:  # noqa: PTH123  # as a user would write it
    CA = x509.load_pem_x509_certificate(file.read())

app = Flask(__name__)


@lru_cache
def database() -> sqlite3.Connection:
    """Return this worker's connection."""
    connection = sqlite3.connect(os.environ["PEER_DATABASE"], timeout=60, isolation_level=None)
    # of two that set the mode at once, one would fail
    with Path(os.environ["PEER_DATABASE"] + ".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS message (id TEXT PRIMARY KEY, sender TEXT, received_at TEXT, packet BLOB) WITHOUT ROWID"
    )
    return connection


@lru_cache(maxsize=4096)
def trusted(token: str) -> x509.Certificate:
    """Return the certificate in *token*, if the CA has issued it and it is valid now."""
    certificate = x509.load_der_x509_certificate(base64.b64decode(token))
    certificate.verify_directly_issued_by(CA)
    if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
        raise ValueError("the certificate is not valid now")
    return certificate


def parse(octets: bytes) -> etree._Element:
    """Parse without entities; refuse a DTD."""
    root = etree.fromstring(octets, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    if root.getroottree().docinfo.doctype:
        raise ValueError("a DTD")
    return root


def check(octets: bytes) -> tuple[str, str, bytes]:
    """Return message id, sender and packet of a call that holds."""
    root = parse(octets)
    security = root.find(f"{SOAP}Header/{WSSE}Security")
    certificate = trusted(security.findtext(f"{WSSE}BinarySecurityToken"))
    results = XMLVerifier().verify(
        octets,
        x509_cert=certificate,
        parser=etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True),
        expect_config=EXPECTED,
        id_attribute="Id",
    )
    signed = {result.signed_xml.tag: result.signed_xml for result in results}
    body, timestamp = signed[f"{SOAP}Body"], signed[f"{WSU}Timestamp"]
    created, expires = (datetime.fromisoformat(timestamp.findtext(f"{WSU}{name}")) for name in ("Created", "Expires"))
    if not created - SKEW <= datetime.now(UTC) <= expires + SKEW:
        raise ValueError("not its time")
    (call,) = body
    DOCUMENTS.assertValid(call)
    packet = base64.b64decode(call.findtext(f"{OURS}Packet"))
    document = parse(packet)
    PACKETS.assertValid(document)
    return call.findtext(f"{OURS}MessageId"), document.findtext(".//{*}From/{*}OrganId"), packet


def answer(success: str, error: str = "", status: int = 200) -> Response:
    """Return a SendDocumentResponse."""
    envelope = (
        f'<soap:Envelope xmlns:soap="{SOAP[1:-1]}"><soap:Body><SendDocumentResponse xmlns="{OURS[1:-1]}"><Report>'
        f"<IsSuccess>{success}</IsSuccess><ErrorList>{error}</ErrorList></Report></SendDocumentResponse></soap:Body></soap:Envelope>"
    )
    return Response(envelope, status, content_type="text/xml; charset=utf-8")


@app.post("/soap/documents")
def take() -> Response:
    """Take one call."""
    try:
        message, sender, packet = check(request.get_data())
        database().execute(
            "INSERT INTO message VALUES (?, ?, ?, ?)", (message, sender, datetime.now(UTC).isoformat(), packet)
        )
    except Exception as error:  # noqa: BLE001  # whatever is wrong with it, it is refused
        code = type(error).__name__
        return answer("false", f"<Error><Code>{code}</Code><Description></Description></Error>", 400)
    return answer("true")
