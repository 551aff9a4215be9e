"""Pickles values of the configuration with keys and certificates, for a worker process of the same node.

So a worker has exactly the configuration that is in force, and reads no file that may have been changed since.
"""

import io
import pickle
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key
from OpenSSL.crypto import X509


class _Pickler(pickle.Pickler):
    """A pickler that also writes certificates, CRLs and private keys, as DER."""

    def reducer_override(self, obj: Any) -> Any:
        match obj:
            case x509.Certificate():
                return _load_certificate, (obj.public_bytes(Encoding.DER),)
            case x509.CertificateRevocationList():
                return _load_crl, (obj.public_bytes(Encoding.DER),)
            case x509.ObjectIdentifier():
                return _load_oid, (obj.dotted_string,)
            case X509():
                return _load_openssl, (obj.to_cryptography(),)
        if hasattr(obj, "private_bytes"):
            return _load_key, (obj.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)
        return NotImplemented


def pack_config(value: object) -> bytes:
    """Return *value*, such as a province, as octets. They may contain private keys."""
    written = io.BytesIO()
    _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(value)
    return written.getvalue()


def unpack_config(octets: bytes) -> Any:
    """Return the value that `pack_config` has written."""
    return pickle.loads(octets)  # noqa: S301 - from a process of our own


def _load_certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _load_crl(der: bytes) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(der)


def _load_oid(dotted: str) -> x509.ObjectIdentifier:
    return x509.ObjectIdentifier(dotted)


def _load_openssl(certificate: x509.Certificate) -> X509:
    return X509.from_cryptography(certificate)


def _load_key(der: bytes) -> PrivateKeyTypes:
    return load_der_private_key(der, None)
