"""The checks of limit.c in Python, with lxml and cryptography and nothing of the hub: `python -m tests.bench.bare BODIES CA DOCUMENTS PACKETS COUNT`.

One loop over a file of calls, one core, no network, nothing kept.  Standard output is one line of `name=value`, as that of limit.c.
"""

# mypy: disable-error-code="union-attr,arg-type"

import base64
import hashlib
import mmap
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

SOAP, DS = "{http://schemas.xmlsoap.org/soap/envelope/}", "{http://www.w3.org/2000/09/xmldsig#}"
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE, WSU = f"{{{OASIS}wssecurity-secext-1.0.xsd}}", f"{{{OASIS}wssecurity-utility-1.0.xsd}}"
OURS = "{urn:lienthong:documents:1}"
SKEW = timedelta(minutes=1)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class Checks:
    """What is read once, and what is remembered from call to call."""

    def __init__(self, ca: Path, documents: Path, packets: Path) -> None:
        self._ca = x509.load_pem_x509_certificate(ca.read_bytes())
        self._documents, self._packets = (etree.XMLSchema(etree.parse(path)) for path in (documents, packets))
        self._parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
        self._ids: set[str] = set()
        self._find_key = lru_cache(maxsize=4096)(self._read_key)

    def judge(self, octets: bytes) -> bool:
        """Return whether the call holds, and remember its id."""
        try:
            return self._judge(octets)
        except (etree.LxmlError, InvalidSignature, ValueError, TypeError, AttributeError, KeyError):
            return False

    def _parse(self, octets: bytes) -> etree._Element:
        root = etree.fromstring(octets, self._parser)
        if root.getroottree().docinfo.internalDTD is not None:
            raise ValueError("a DTD")
        return root

    def _read_key(self, token: str) -> PublicKey:
        certificate, now = x509.load_der_x509_certificate(base64.b64decode(token)), datetime.now(UTC)
        certificate.verify_directly_issued_by(self._ca)
        key = certificate.public_key()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc or not isinstance(
            key, PublicKey
        ):
            raise ValueError("not now, or not such a key")
        return key

    def _judge(self, octets: bytes) -> bool:
        envelope = self._parse(octets)
        header, body = envelope
        security = header.find(f"{WSSE}Security")
        timestamp, signature = security.find(f"{WSU}Timestamp"), security.find(f"{DS}Signature")
        info = signature.find(f"{DS}SignedInfo")
        key = self._find_key(security.findtext(f"{WSSE}BinarySecurityToken"))
        value, signed = base64.b64decode(signature.findtext(f"{DS}SignatureValue")), _canonicalise(info)
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, signed, padding.PKCS1v15(), SHA256())
        else:
            half = len(value) // 2
            pair = encode_dss_signature(int.from_bytes(value[:half]), int.from_bytes(value[half:]))
            key.verify(pair, signed, ec.ECDSA(SHA256()))
        parts = {f"#{part.get(f'{WSU}Id')}": part for part in (body, timestamp)}
        for reference in info.iterchildren(f"{DS}Reference"):
            digest = hashlib.sha256(_canonicalise(parts.pop(reference.get("URI")))).digest()
            if digest != base64.b64decode(reference.findtext(f"{DS}DigestValue")):
                return False
        created, expires = (
            datetime.fromisoformat(timestamp.findtext(f"{WSU}{name}")) for name in ("Created", "Expires")
        )
        if parts or not created - SKEW <= datetime.now(UTC) <= expires + SKEW or not self._documents.validate(body[0]):
            return False
        packet = self._parse(base64.b64decode(body[0].findtext(f"{OURS}Packet")))
        name = body[0].findtext(f"{OURS}MessageId")
        if not self._packets.validate(packet) or name in self._ids:
            return False
        self._ids.add(name)
        return True


def _canonicalise(element: etree._Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)


def main(bodies: str, ca: str, documents: str, packets: str, count: str) -> None:
    """Judge the first *count* calls of the file, and print."""
    checks, at, judged, accepted = Checks(Path(ca), Path(documents), Path(packets)), 0, 0, 0
    with Path(bodies).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        begun = time.process_time()
        while at < len(octets) and judged < int(count):
            (length,) = struct.unpack_from("=I", octets, at)
            accepted += checks.judge(octets[at + 4 : at + 4 + length])
            judged, at = judged + 1, at + 4 + length
        spent = time.process_time() - begun
    print(f"judged={judged} accepted={accepted} refused={judged - accepted} cpu={spent:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
