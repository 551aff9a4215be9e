"""Adds a calling partner to the hub of the day: a key, a certificate of the sample CA, and its file."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from hub.security import sample_pki
from lienthong_demo.run.stage import Site


def enrol_partner(
    site: Site, code: str, name: str, units: Sequence[str], *, calls: Sequence[str], tells: bool = False
) -> None:
    """Write the file of a partner that calls for *units*, with a key and a certificate of the sample CA.

    *calls*: the services and operations it may call. *tells*: it may report figures about any unit.
    """
    authority = load_pem_private_key(site.pki("ca.key").read_bytes(), None)
    assert isinstance(authority, RSAPrivateKey)
    issuer = sample_pki.Authority(authority, x509.load_pem_x509_certificate(site.pki("ca.crt").read_bytes()))
    key, certificate = issuer.issue(code, datetime.now(UTC))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sample_pki.write_secret(site.pki(f"partners/{code}.key"), pem)
    site.pki(f"partners/{code}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    said = f'name = "{name}"\ncertificates = ["pki/partners/{code}.crt"]\nunits = {json.dumps(units)}\n'
    said += f"calls = {json.dumps(calls)}\n"
    said += 'tells = "*"\n' if tells else ""
    (site.directory / "partners" / f"{code}.toml").write_text(said, "utf-8")
