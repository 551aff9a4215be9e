"""Reads the discovery document of an OpenID provider (OpenID Connect Discovery 1.0). Asks nobody."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from hub.config.openid import OpenIdProvider
from hub.security import id_token

#: Maximum octets of an answer.
LARGEST = 256 * 1024


_DISCOVERY = "/.well-known/openid-configuration"


class ProviderDown(Exception):
    """The provider does not answer, or not as OpenID Connect says. The text says why, for the log and `check`."""


@attrs.frozen(kw_only=True)
class ProviderMetadata:
    """What the hub uses of a discovery document (OpenID Connect Discovery 1.0, section 3)."""

    authorization: str
    token: str
    keys: str
    end_session: str | None  #: RP-initiated logout; None: there is none
    secret_in_body: bool  #: whether the secret goes into the body of a request, and not into its header
    names_issuer: bool  #: whether each answer in the browser names the issuer (RFC 9207)


def name_discovery(issuer: str) -> str:
    """Return the URL of the discovery document."""
    return issuer.rstrip("/") + _DISCOVERY


def read_metadata(octets: bytes, provider: OpenIdProvider) -> ProviderMetadata:
    """Return what a discovery document says. Raises `ProviderDown` if it does not serve."""
    try:
        said = id_token.read_json_object(octets)
    except ValueError as error:
        raise ProviderDown(f"the discovery document is not JSON: {error}") from None
    if said.get("issuer") != provider.issuer:
        raise ProviderDown(f"the discovery document is of the issuer {str(said.get('issuer'))[:200]!r}")
    places = {}
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"):
        place = said.get(name)
        if place is None and name == "end_session_endpoint":
            continue
        if not isinstance(place, str) or not provider.allows(place):
            raise ProviderDown(f"{name} is {str(place)[:200]!r}, not https on the issuer's host or one of `hosts`")
        places[name] = place
    if "code" not in _read_texts(said, "response_types_supported", "code"):
        raise ProviderDown("it does not offer the response type code")
    if (
        not set(_read_texts(said, "id_token_signing_alg_values_supported", *id_token.ALGORITHMS))
        & id_token.ALGORITHMS.keys()
    ):
        raise ProviderDown(f"it signs ID tokens by none of {', '.join(id_token.ALGORITHMS)}")
    if "S256" not in _read_texts(said, "code_challenge_methods_supported", "S256"):
        raise ProviderDown("it does not offer PKCE with S256")
    ways = _read_texts(said, "token_endpoint_auth_methods_supported", "client_secret_basic")
    if not {"client_secret_basic", "client_secret_post"} & set(ways):
        raise ProviderDown("its token endpoint takes neither client_secret_basic nor client_secret_post")
    return ProviderMetadata(
        authorization=places["authorization_endpoint"],
        token=places["token_endpoint"],
        keys=places["jwks_uri"],
        end_session=places.get("end_session_endpoint"),
        secret_in_body="client_secret_basic" not in ways,
        names_issuer=said.get("authorization_response_iss_parameter_supported") is True,
    )


def _read_texts(said: Mapping[str, Any], name: str, *default: str) -> Sequence[str]:
    found = said.get(name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else default
