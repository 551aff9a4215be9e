"""Makes the request by which a CA issues the hub's certificate (PKCS #10, RFC 2986), and reads one again.

Knows names and usages of the certificate that is wanted. Does not know files or a CA.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.security.sample_pki import make_key_usage

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

#: Characters of an organization's or common name in a certificate (RFC 5280, appendix A.1: ub-organization-name).
LONGEST = 64
#: A name of a host (RFC 1123, 2.1) with at least one dot; no wildcard: a key that signs receipts serves one hub.
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def normalise_server_name(text: str) -> str:
    """Return a host name or IP address as it stands in a certificate. Raises ValueError if *text* is neither."""
    text = text.strip().lower()
    try:
        return str(ip_address(text))
    except ValueError:
        if _HOST.fullmatch(text) is None or text.rpartition(".")[2].isdigit():
            raise ValueError(text) from None
        return text


def make_certificate_request(
    key: Key, names: Sequence[str], organization: str, country: str = "VN"
) -> x509.CertificateSigningRequest:
    """Return the request for a certificate of a server and client that also signs, for *names*.

    *names*: host names or IP addresses, as `normalise_server_name` returns them; the first is the common name too.
    *country*: two letters (ISO 3166-1).
    """
    subject = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, country),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, names[0][:LONGEST]),
    ]
    usage = make_key_usage(digital_signature=True, key_encipherment=isinstance(key, rsa.RSAPrivateKey))
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name(subject))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .sign(key, hashes.SHA256())
    )


def list_server_names(document: x509.Certificate | x509.CertificateSigningRequest) -> frozenset[str]:
    """Return the host names and IP addresses that *document* names as subject alternative names (RFC 5280, 4.2.1.6)."""
    try:
        named = document.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    addresses = named.get_values_for_type(x509.IPAddress)
    hosts = [name.lower() for name in named.get_values_for_type(x509.DNSName)]
    return frozenset([*hosts, *(str(each) for each in addresses if isinstance(each, IPv4Address | IPv6Address))])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
