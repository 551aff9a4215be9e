"""An OpenID provider without a port: it answers the hub's requests and signs ID tokens. Knows no pages.

A real one is started by tests/process/test_openid_provider.py.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from hub.config.openid import OpenIdProvider
from hub.runtime.http_answer import CompleteAnswer
from tests.console_town import HOST, Town

ISSUER, SECRET = "https://sso.tinh.gov.vn", "bí mật của trục"
PROVIDER = OpenIdProvider(
    name="sso",
    title="Cổng SSO tỉnh",
    issuer=ISSUER,
    client_id="lienthong",
    client_secret=SECRET,
    secret_file=Path("sso.secret"),
)


class SsoSite:
    """What the provider says; a test changes it. `asked` has the path of each request, in order."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.asked: list[str] = []
        self.metadata = self.write_metadata()
        self.key, self.kid = ECKey.generate_key("P-256"), "1"
        self.claims: dict[str, Any] = {}  #: in place of the right ones
        self.status: dict[str, int] = {}  #: of a path, in place of 200
        self.down = False
        self.codes: dict[str, dict[str, str]] = {}  #: the request of each code that is not used yet
        town.fetch = self.fetch

    @staticmethod
    def write_metadata() -> dict[str, Any]:
        """Return the discovery document."""
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "end_session_endpoint": f"{ISSUER}/end",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
        }

    async def fetch(self, method: str, url: str, fields: Sequence[tuple[str, str]], body: bytes) -> CompleteAnswer:
        """Answer a request of the hub."""
        path = urlsplit(url).path
        self.asked.append(path)
        if self.down:
            raise ConnectionError("refused")
        said: dict[str, Any] = {
            "/.well-known/openid-configuration": lambda: self.metadata,
            "/jwks": lambda: {"keys": [{**self.key.as_dict(private=False), "kid": self.kid}]},
            "/token": lambda: self.give_token(dict(fields), dict(parse_qsl(body.decode()))),
        }[path]()
        status = self.status.get(path, 400 if "error" in said else 200)
        return CompleteAnswer(status, {}, json.dumps(said).encode())

    def sign_in(self, address: str, subject: str) -> str:
        """A person signs in at the *address* to which the hub sent the browser; return the query of the way back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (query["response_type"], query["client_id"], query["code_challenge_method"]) == (
            "code",
            "lienthong",
            "S256",
        )
        assert query["redirect_uri"] == f"https://{HOST}/sign-in/openid/sso"
        code = f"code{len(self.codes)}{subject}"
        self.codes[code] = query | {"sub": subject}
        return f"code={code}&state={query['state']}"

    def give_token(self, fields: dict[str, str], form: dict[str, str]) -> dict[str, Any]:
        """Return the answer of the token endpoint."""
        expected = base64.b64encode(b"lienthong:b%C3%AD+m%E1%BA%ADt+c%E1%BB%A7a+tr%E1%BB%A5c").decode()
        assert fields["Authorization"] == f"Basic {expected}", "encoded before they are joined"
        begun = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if begun is None or begun["code_challenge"] != challenge or begun["redirect_uri"] != form["redirect_uri"]:
            return {"error": "invalid_grant"}
        now = int(self.town.now.timestamp())
        claims = {"iss": ISSUER, "sub": begun["sub"], "aud": "lienthong", "exp": now + 60, "iat": now}
        claims |= {"nonce": begun["nonce"], **self.claims}
        header = {"alg": "ES256", "kid": self.kid}
        return {"access_token": "x", "token_type": "Bearer", "id_token": jwt.encode(header, claims, self.key)}
