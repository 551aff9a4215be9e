"""An official's signing program: signs an XML document (XAdES-B, enveloped) with the official's own key.

Knows signxml and two PEM files. Knows nothing of the hub. A real official has the key on a token and a program with
windows.
"""

import argparse
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from signxml import DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.xades import XAdESSigner


def sign_as_official(document: bytes, key: bytes, certificate: bytes) -> bytes:
    """Return *document* with one more signature as its last child. *key* and *certificate* are PEM.

    Raises ValueError and the errors of lxml.
    """
    signer = XAdESSigner(
        method=SignatureConstructionMethod.enveloped,
        signature_algorithm=SignatureMethod.RSA_SHA256,
        digest_algorithm=DigestAlgorithm.SHA256,
    )
    root = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    secret = load_pem_private_key(key, password=None)
    signed = signer.sign(root, key=secret, cert=[x509.load_pem_x509_certificate(certificate)])  # type: ignore[arg-type]  # RSA
    return etree.tostring(signed, encoding="UTF-8", xml_declaration=True)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser("lienthong_demo.partners.official")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("document", type=Path)
    parser.add_argument("signed", type=Path)
    options = parser.parse_args()
    options.signed.write_bytes(
        sign_as_official(options.document.read_bytes(), options.key.read_bytes(), options.certificate.read_bytes())
    )


if __name__ == "__main__":
    main()
