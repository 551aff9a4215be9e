"""Forms of signature that WSS4J can be told to make, as older Java systems are: each that the profile admits is taken."""

import pytest

pytestmark = pytest.mark.slow

MORE, ENC, DS = (
    "http://www.w3.org/2001/04/xmldsig-more#",
    "http://www.w3.org/2001/04/xmlenc#",
    "http://www.w3.org/2000/09/xmldsig#",
)
PLAIN = {
    "keyIdentifier": "BST_DIRECT_REFERENCE",
    "algorithm": f"{MORE}rsa-sha256",
    "digest": f"{ENC}sha256",
    "canonicalForm": "http://www.w3.org/2001/10/xml-exc-c14n#",
    "token": "X509v3",
    "signToken": "no",
}
TAKEN = [
    {"keyIdentifier": "ISSUER_SERIAL"},
    {"keyIdentifier": "SKI_KEY_IDENTIFIER"},
    {"keyIdentifier": "THUMBPRINT_IDENTIFIER"},
    {"canonicalForm": "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"},
    {"token": "X509PKIPathv1"},
    {"signToken": "yes"},
    {"token": "X509PKIPathv1", "signToken": "yes"},
    {"algorithm": f"{MORE}rsa-sha384"},
    {"algorithm": f"{MORE}rsa-sha512", "digest": f"{ENC}sha512"},
]
REFUSED = [
    ({"keyIdentifier": "X509_KEY_IDENTIFIER"}, "signature-invalid"),  # the certificate itself, in no token
    (
        {"keyIdentifier": "ISSUER_SERIAL", "signToken": "yes"},
        "signature-invalid",
    ),  # of a token that is not in the message
    ({"algorithm": f"{DS}rsa-sha1"}, "algorithm-refused"),
    ({"digest": f"{DS}sha1"}, "algorithm-refused"),
    ({"canonicalForm": "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"}, "algorithm-refused"),
]


@pytest.mark.parametrize("toolkit", ["wss4j"], indirect=True)
def test_each_form_of_the_profile_is_taken_and_every_other_refused(hub, toolkit, caller):
    office = caller("vpub", "11")
    for form in TAKEN:
        office.call("sign", **PLAIN | form)
        assert office.call("CheckPermission", OrganId="H55.1")["IsSuccess"] == "true", form
    for form, code in REFUSED:
        office.call("sign", **PLAIN | form)
        answer = office.call("CheckPermission", OrganId="H55.1")
        assert answer.all("Code") == [code], (form, answer)
