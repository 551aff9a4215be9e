"""Verifies the ID token of an OpenID provider (OpenID Connect Core 1.0, section 3.1.3.7). Knows joserfc; opens nothing.

The algorithms are fixed here, whatever the provider or the token says: RSA or ECDSA signatures with SHA-256. So a token
without a signature, or with an HMAC whose secret would be a public key, is refused before any key is looked at.
"""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, RSAKey

#: The accepted algorithms, each with the type of key that it needs.
ALGORITHMS: Mapping[str, str] = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
#: How far the provider's clock may be off.
SKEW = timedelta(minutes=1)
#: The longest time between the issue of a token and its use here: it comes in the answer to our own request.
OLDEST = timedelta(minutes=10)
#: Maximum characters of a token, of a subject, and keys of a set that are looked at.
LONGEST_TOKEN, LONGEST_SUBJECT, MOST_KEYS = 16 * 1024, 255, 50
_SHORTEST_RSA = 2048


class TokenRefused(ValueError):
    """The ID token, or the set of keys, is not to be believed. The text says why, for the log."""


@attrs.frozen(eq=False)
class SigningKey:
    """One public key by which a provider signs."""

    kid: str | None
    algorithm: str | None  #: the only algorithm that it is for; None: any of its type
    key: "RSAKey | ECKey"

    def fits(self, algorithm: str, kid: str | None) -> bool:
        """Tell whether a token with this algorithm and key id may be signed by it. Without a *kid*, any key may."""
        return (
            self.key.key_type == ALGORITHMS[algorithm]
            and self.algorithm in {None, algorithm}
            and (kid is None or kid == self.kid)
        )


@attrs.frozen(kw_only=True)
class ExpectedToken:
    """What an ID token must say."""

    issuer: str
    client: str
    nonce: str
    claim: str = "sub"  #: the claim that names the account
    max_age: timedelta | None = None  #: the longest time since the user signed in at the provider


class KeyUnknown(TokenRefused):
    """No known key has the key id of the token: the provider may have changed its keys."""


def read_json_object(octets: bytes) -> Mapping[str, Any]:
    """Return the JSON object in *octets*. Raises ValueError."""
    try:
        found = json.loads(octets)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - callers catch one type
    return found


def read_signing_keys(octets: bytes) -> Sequence[SigningKey]:
    """Return the usable keys of a JWK set (RFC 7517). Raises `TokenRefused` if there is none.

    A key of another type or for another use is left out, as is a private or symmetric one and a weak one.
    """
    try:
        listed = read_json_object(octets).get("keys")
    except ValueError as error:
        raise TokenRefused(f"the set of keys is not JSON: {error}") from None
    found = [_read_key(each) for each in (listed if isinstance(listed, list) else ())[:MOST_KEYS]]
    usable = [each for each in found if each is not None]
    if not usable:
        raise TokenRefused("the set of keys holds no public key for a signature by RSA or ECDSA P-256")
    return usable


def _read_key(jwk: Any) -> SigningKey | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    if not isinstance(jwk, dict) or "d" in jwk or jwk.get("use", "sig") != "sig":
        return None
    kind, kid, algorithm = jwk.get("kty"), jwk.get("kid"), jwk.get("alg")
    if algorithm is not None and algorithm not in ALGORITHMS:
        return None
    if kind not in ALGORITHMS.values() or not isinstance(kid, str | None):
        return None
    try:
        # only the numbers of the key: a member such as `x5c` is not read
        if kind == "RSA":
            if _count_bits(jwk["n"]) < _SHORTEST_RSA:
                return None  # joserfc only warns
            key: RSAKey | ECKey = RSAKey.import_key({name: jwk[name] for name in ("kty", "n", "e")})
        else:
            key = ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
            if key.curve_name != "P-256":
                return None
    except (JoseError, KeyError, TypeError, ValueError):
        return None
    return SigningKey(kid, algorithm, key)


def _count_bits(number: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(f"{number}==")).bit_length()


def verify_id_token(token: str, keys: Sequence[SigningKey], expected: ExpectedToken, now: datetime) -> str:
    """Return the subject in *token*: the value of the claim that names the account.

    Raises `KeyUnknown` if another set of keys may help, and `TokenRefused` for any other flaw.
    """
    from joserfc import jws, jwt
    from joserfc.errors import JoseError

    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise TokenRefused("it is too long, or not ASCII")
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused(f"it is not a signed JWT: {error}") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused(f"its algorithm is {str(algorithm)[:20]!r}")
    if "crit" in header:
        raise TokenRefused("it has a header that must be understood")
    if not isinstance(kid, str | None):
        raise TokenRefused("its key id is not a text")
    fitting = [each for each in keys if each.fits(algorithm, kid)]
    if not fitting:
        raise KeyUnknown("no key of the provider has its key id and type")
    if len(fitting) > 1:
        raise TokenRefused("several keys of the provider may have signed it, and it names none")
    try:
        claims = jwt.decode(token, fitting[0].key, algorithms=[algorithm]).claims
        _check_claims(claims, expected, now)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenRefused(f"{type(error).__name__}: {error}") from None
    return _read_subject(claims, expected.claim)


def _check_claims(claims: Mapping[str, Any], expected: ExpectedToken, now: datetime) -> None:
    from joserfc.jwt import JWTClaimsRegistry

    second = int(now.timestamp())
    JWTClaimsRegistry(
        second,
        int(SKEW.total_seconds()),
        iss={"essential": True, "value": expected.issuer},
        sub={"essential": True},
        aud={"essential": True, "value": expected.client},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True},
    ).validate(dict(claims))
    if not hmac.compare_digest(str(claims["nonce"]).encode("utf-8", "surrogatepass"), expected.nonce.encode()):
        raise TokenRefused("it has another nonce")
    audience, party = claims["aud"], claims.get("azp")
    if party is not None and party != expected.client:
        raise TokenRefused("it is for another party (azp)")
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        raise TokenRefused("it has several audiences and no azp")
    if claims["iat"] < second - (OLDEST + SKEW).total_seconds():
        raise TokenRefused("it was issued too long ago")
    if expected.max_age is not None:
        at = claims.get("auth_time")
        if not isinstance(at, int | float) or isinstance(at, bool):
            raise TokenRefused("it does not say when the user signed in (auth_time)")
        if not second - (expected.max_age + SKEW).total_seconds() <= at <= second + SKEW.total_seconds():
            raise TokenRefused("the user signed in at the provider too long ago (auth_time)")


def _read_subject(claims: Mapping[str, Any], claim: str) -> str:
    found = claims.get(claim)
    if not isinstance(found, str) or not 0 < len(found) <= LONGEST_SUBJECT or not found.isprintable():
        raise TokenRefused(f"its claim {claim} is no text of 1 to {LONGEST_SUBJECT} printable characters")
    return found
