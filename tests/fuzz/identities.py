"""Keys and certificates that are the same on every machine and every day, so that what was signed with them can be kept.

The keys are no secret: anyone can work them out from their names, as is done here.
"""

from functools import cache
from hashlib import shake_256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from hub.security.anchors import Anchors
from hub.security.certificates import Identity
from tests import pki
from tests.pki import DAY, NOW, Authority

#: How far the next primes are from what the names give, in twos: finding them anew would take a second each.
_STEPS = {"authority": (195, 35), "partner": (124, 324), "stranger": (134, 438)}


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """Return the RSA key of 2048 bits that belongs to *name*."""
    p, q = (
        (int.from_bytes(shake_256(f"{name} {which}".encode()).digest(128)) | 3 << 1022 | 1) + 2 * step
        for which, step in zip("pq", _STEPS[name], strict=True)
    )
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


@cache
def authority() -> Authority:
    """Return the CA that issued `partner`."""
    made, name = key("authority"), pki._name("Fuzz CA")
    builder = pki._builder(name, name, made, NOW - 30 * DAY, NOW + 30 * DAY).serial_number(1)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(pki.usage(key_cert_sign=True, crl_sign=True), critical=True)
    return Authority(Identity(made, builder.sign(made, SHA256())), NOW)


@cache
def issued(name: str, serial: int) -> Identity:
    """Return a certificate of `authority` for the key of *name*."""
    builder = pki._builder(pki._name(name), authority().certificate.subject, key(name), NOW - DAY, NOW + DAY)
    builder = builder.serial_number(serial).add_extension(pki.SIGNS, critical=True)
    return Identity(key(name), builder.sign(key("authority"), SHA256()), (authority().certificate,))


PARTNER = issued("partner", 2)
STRANGER = issued("stranger", 3)  #: of the same CA, and configured for nobody
#: Says it is `partner`'s, of the same CA, and another made it.
FORGED = (
    pki._builder(PARTNER.certificate.subject, authority().certificate.subject, key("partner"), NOW - DAY, NOW + DAY)
    .serial_number(4)
    .sign(key("stranger"), SHA256())
)
ANCHORS = Anchors([authority().certificate], [authority().crl()])
