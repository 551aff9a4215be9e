"""The ID token of an OpenID provider: what one altered word of it does, and which keys may have signed it."""

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from hub.security.id_token import (
    LONGEST_TOKEN,
    ExpectedToken,
    KeyUnknown,
    TokenRefused,
    read_signing_keys,
    verify_id_token,
)
from tests import pki

NOW = pki.NOW
SECOND = int(NOW.timestamp())
ISSUER, CLIENT, NONCE = "https://sso.tinh.gov.vn/realms/tinh", "lienthong", "n" * 43
EXPECTED = ExpectedToken(issuer=ISSUER, client=CLIENT, nonce=NONCE)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "9f1c2d7e",
    "aud": CLIENT,
    "exp": SECOND + 300,
    "iat": SECOND - 5,
    "nonce": NONCE,
    "auth_time": SECOND - 60,
}
RSA, OTHER_RSA, EC = RSAKey.generate_key(2048), RSAKey.generate_key(2048), ECKey.generate_key("P-256")


def public(key: Any, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


KEYS = read_signing_keys(
    json.dumps({"keys": [public(RSA, kid="r", use="sig"), public(EC, kid="e", alg="ES256")]}).encode()
)


def make(key: Any = RSA, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a token; a claim that is None is left out."""
    head = {name: value for name, value in ({"alg": "RS256", "kid": "r"} | (header or {})).items() if value}
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(head, said, key, algorithms=[head["alg"]])


def judge(token: str, expected: ExpectedToken = EXPECTED, **late: Any) -> str:
    return verify_id_token(token, KEYS, expected, NOW + timedelta(**late))


def test_a_token_of_the_provider_names_its_subject():
    for key, header in ((RSA, {}), (RSA, {"alg": "PS256"}), (EC, {"alg": "ES256", "kid": "e"})):
        assert judge(make(key, header)) == "9f1c2d7e"
    assert judge(make(header={"kid": None})) == "9f1c2d7e", "the only key of its type"
    assert judge(make(aud=[CLIENT])) == "9f1c2d7e"
    assert judge(make(aud=[CLIENT, "other"], azp=CLIENT)) == "9f1c2d7e"
    assert judge(make(exp=SECOND - 30)) == "9f1c2d7e", "the clocks may differ by a minute"
    assert judge(make(iat=SECOND + 30)) == "9f1c2d7e"
    named = ExpectedToken(issuer=ISSUER, client=CLIENT, nonce=NONCE, claim="oid")
    assert judge(make(oid="7"), named) == "7"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"aud": [CLIENT, "other"]},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"azp": "other"},
        {"exp": SECOND - 61},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"iat": SECOND - 661},
        {"iat": SECOND + 61},
        {"iat": None},
        {"iat": "now"},
        {"nbf": SECOND + 61},
        {"nonce": "m" * 43},
        {"nonce": None},
        {"nonce": ""},
        {"nonce": [NONCE]},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 256},
    ],
    ids=str,
)
def test_each_other_claim_is_refused(claims):
    with pytest.raises(TokenRefused):
        judge(make(**claims))


@pytest.mark.parametrize("at", [SECOND - 3661, SECOND + 61, None, "now", True], ids=repr)
def test_who_signed_in_at_the_provider_too_long_ago_is_refused_where_that_is_set(at):
    limited = ExpectedToken(issuer=ISSUER, client=CLIENT, nonce=NONCE, max_age=timedelta(hours=1))
    assert judge(make(), limited) == "9f1c2d7e"
    assert judge(make(auth_time=at)) == "9f1c2d7e", "not set"
    with pytest.raises(TokenRefused):
        judge(make(auth_time=at), limited)


def unsigned(header: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, CLAIMS)]
    return ".".join([*parts, ""])


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, 7, ["RS256"], "HS256", "RS384", "EdDSA"], ids=repr)
def test_no_other_algorithm_is_accepted(alg):
    with pytest.raises(TokenRefused):
        judge(unsigned({"alg": alg, "kid": "r"}))


def test_an_hmac_whose_secret_is_the_public_key_is_refused():
    public_key = RSA.public_key
    assert isinstance(public_key, rsa.RSAPublicKey)
    for secret in (
        public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(public(RSA)).encode(),
    ):
        text = unsigned({"alg": "HS256", "kid": "r"}).removesuffix(".")
        mac = hmac.digest(secret, text.encode(), "sha256")
        with pytest.raises(TokenRefused):
            judge(f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}")


def test_only_the_key_that_is_named_and_of_the_algorithm_is_tried():
    with pytest.raises(TokenRefused):
        judge(make(OTHER_RSA))
    with pytest.raises(TokenRefused):
        judge(make(EC, {"alg": "ES256", "kid": "r"}))
    with pytest.raises(KeyUnknown):
        judge(make(header={"kid": "new"}))
    with pytest.raises(KeyUnknown):
        judge(make(header={"kid": "e"}))
    two = read_signing_keys(json.dumps({"keys": [public(RSA, kid="r"), public(OTHER_RSA, kid="s")]}).encode())
    with pytest.raises(TokenRefused):
        verify_id_token(make(header={"kid": None}), two, EXPECTED, NOW)


@given(st.data())
def test_no_octet_of_a_token_can_be_changed(data):
    token = make()
    # the last letter of a part may carry bits that mean nothing
    places = [at for at in range(len(token)) if token[at] != "." and token[at + 1 : at + 2] not in {".", ""}]
    at = data.draw(st.sampled_from(places))
    letter = data.draw(st.sampled_from([each for each in "AQZaqz059-_" if each != token[at]]))
    with pytest.raises(TokenRefused):
        judge(token[:at] + letter + token[at + 1 :])


@given(st.text("ey.J=é", max_size=50) | st.binary(max_size=50).map(lambda octets: f"{octets.hex()}.{octets.hex()}.x"))
def test_rubbish_is_refused_and_breaks_nothing(text):
    with pytest.raises(TokenRefused):
        judge(text)


@pytest.mark.parametrize("header", [{"crit": ["b64"], "b64": False}, {"crit": []}, {"kid": 7}], ids=str)
def test_a_header_that_is_not_understood_is_refused(header):
    head, _, rest = make().partition(".")
    said = json.loads(base64.urlsafe_b64decode(head + "==")) | header
    changed = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    with pytest.raises(TokenRefused):
        judge(f"{changed}.{rest}")


def test_a_token_that_is_too_long_or_too_deep_is_refused():
    with pytest.raises(TokenRefused):
        judge(make(more="x" * LONGEST_TOKEN))
    deep = base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=")
    with pytest.raises(TokenRefused):
        judge(f"{deep}.{deep}.x"[:LONGEST_TOKEN])


WEAK = rsa.generate_private_key(65537, 1024).public_key().public_numbers()


def number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode().rstrip("=")


@pytest.mark.parametrize(
    "key",
    [
        RSA.as_dict(private=True),
        public(RSA, use="enc"),
        public(RSA, alg="HS256"),
        public(RSA, alg="RSA-OAEP"),
        public(RSA, kid=7),
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA", "n": "AQAB"},
        {"kty": "RSA", "n": 7, "e": []},
        {"kty": "RSA", "n": number(WEAK.n), "e": number(WEAK.e)},
        public(ECKey.generate_key("P-384")),
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        "RSA",
        None,
    ],
    ids=["private", "enc", "hmac", "oaep", "kid", "oct", "no e", "types", "weak", "p-384", "off curve", "text", "none"],
)
def test_a_key_that_is_not_for_this_is_left_out(key):
    with pytest.raises(TokenRefused):
        read_signing_keys(json.dumps({"keys": [key]}).encode())
    assert len(read_signing_keys(json.dumps({"keys": [key, public(EC)]}).encode())) == 1


@pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b"[" * 100_000, b"\xff"])
def test_what_is_no_set_of_keys_is_refused(octets):
    with pytest.raises(TokenRefused):
        read_signing_keys(octets)
