"""Reads `[console.providers.NAME]`: the OpenID providers at which users of the console may sign in.

Does not know HTTP or tokens. An address of a provider is https; the hub calls no host that is not in the settings.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from cryptography import x509

from hub.config import files
from hub.config.table import ConfigTable
from hub.config.trusting import is_authority
from hub.domain.sanitize import show_value
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.partner.policy import parse_duration

#: Maximum number of providers: each has a button on the sign-in page.
MOST = 5
#: The longest time since the user signed in at the provider that may be demanded.
LONGEST_AGE = timedelta(days=30)
_NAME = r"[a-z0-9][a-z0-9-]{0,31}"
_HOST = r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?"
_SCOPE = r"[\x21\x23-\x5b\x5d-\x7e]{1,100}"  # RFC 6749 section 3.3
_ISSUER_EXPECTED = phrase('the https URL that the provider names itself, such as "https://sso.tinh.gov.vn/realms/tinh"')
_URL_EXPECTED = phrase('the console\'s https URL without a path, such as "https://hub.tinh.gov.vn:8444"')
_AGE_EXPECTED = phrase("a duration of at most 30 days, such as 15m, 8h or 1d")


@attrs.frozen(kw_only=True)
class OpenIdProvider:
    """One provider: `[console.providers.NAME]`."""

    name: str  #: stands in the redirect URI
    title: str  #: how the sign-in page names it
    issuer: str
    client_id: str
    client_secret: str = attrs.field(repr=False)
    secret_file: Path
    scopes: tuple[str, ...] = ("openid",)
    claim: str = "sub"  #: the claim of the ID token that names the account
    authorities: tuple[
        x509.Certificate, ...
    ] = ()  #: its TLS certificate must lead to one of these; empty: to an anchor
    hosts: tuple[str, ...] = ()  #: hosts besides the issuer's that its addresses may have, each `HOST` or `HOST:PORT`
    codes: bool = True  #: whether a user who has one-time codes is asked for one behind it
    max_age: timedelta | None = None  #: the longest time since the user signed in at the provider

    def allows(self, url: str) -> bool:
        """Tell whether *url*, which the provider names, is https on a host that the operator allows."""
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError:
            return False
        plain = url.isascii() and url.isprintable() and " " not in url and not parts.fragment
        if not plain or parts.scheme != "https" or parts.username is not None or not parts.hostname:
            return False
        known = {_split_host(urlsplit(self.issuer).netloc), *map(_split_host, self.hosts)}
        return (parts.hostname, port) in known


def read_openid_providers(table: ConfigTable, home: Path) -> tuple[str, Mapping[str, OpenIdProvider]]:
    """Return the console's URL, and the providers by name. *table* is `[console]`; mistakes are in its list."""
    url = table.text("url", "", like=f"https://{_HOST}", expected=_URL_EXPECTED)
    inner = table.table("providers")
    found: dict[str, OpenIdProvider] = {}
    for name, content in inner.pairs().items():
        if not re.fullmatch(_NAME, name):
            inner.wrong(name, phrase("is not a name of a provider"), phrase("letters a to z, digits and -"))
        elif isinstance(content, Mapping) and (one := _read_provider(inner.table(name), name, home)) is not None:
            found[name] = one
        elif not isinstance(content, Mapping):
            inner.table(name)  # says that it is no table
    if len(found) > MOST:
        table.wrong(
            "providers", phrase("there are {count} providers", count=len(found)), phrase("at most {most}", most=MOST)
        )
    if found and not url:
        table.wrong("url", phrase("is missing"), _URL_EXPECTED)
    issuers = [each.issuer for each in found.values()]
    for issuer in sorted({each for each in issuers if issuers.count(each) > 1}):
        table.wrong(
            "providers", phrase("two providers have the issuer {issuer}", issuer=issuer), phrase("each issuer once")
        )
    return url, found


def _read_scopes(table: ConfigTable) -> tuple[str, ...]:
    scopes = table.texts("scopes", ("openid",))
    for each in scopes:
        if not re.fullmatch(_SCOPE, each):
            table.wrong("scopes", phrase("{value} does not fit", value=show_value(each)), phrase("a scope of OAuth"))
    if scopes and "openid" not in scopes:
        table.wrong("scopes", phrase("openid is missing"), phrase("a list with openid in it"))
    return scopes


def _read_provider(table: ConfigTable, name: str, home: Path) -> OpenIdProvider | None:
    """Return the provider *name*, or None after a mistake that leaves nothing to use."""
    issuer = table.text(
        "issuer", like=rf"https://{_HOST}(?:/[\x21\x24-\x3e\x40-\x7e]{{0,200}})?", expected=_ISSUER_EXPECTED
    )
    if issuer and _split_host(urlsplit(issuer).netloc) is None:
        table.wrong("issuer", phrase("{value} does not fit", value=show_value(issuer)), _ISSUER_EXPECTED)
        issuer = ""
    client = table.text("client-id", like=r"[\x20-\x7e]{1,255}")
    file = table.text("client-secret-file")
    secret = _read_secret(table, home / file) if file else ""
    scopes = _read_scopes(table)
    claim = table.text(
        "claim", "sub", like=r"[A-Za-z0-9_.:/-]{1,100}", expected=phrase("the name of a claim, such as sub")
    )
    hosts = table.texts("hosts", ())
    for each in hosts:
        if not re.fullmatch(_HOST, each) or _split_host(each) is None:
            table.wrong("hosts", phrase("{value} does not fit", value=show_value(each)), phrase("HOST or HOST:PORT"))
    authority = table.text("ca", "")
    authorities = files.read_certificate_file(home / authority, partial(table.wrong, "ca")) if authority else ()
    for shown in authorities:
        if not is_authority(shown):
            table.wrong(
                "ca",
                phrase("{name} is not a CA", name=shown.subject.rfc4514_string()),
                phrase("certificates of CAs"),
            )
    codes, age = table.flag("codes", default=True), _read_age(table)
    title = table.text("title", name, like=r".{1,60}", expected=phrase("a text of at most 60 characters"))
    table.close()
    if not (issuer and client and secret):
        return None
    return OpenIdProvider(
        name=name,
        title=title,
        issuer=issuer,
        client_id=client,
        client_secret=secret,
        secret_file=home / file,
        scopes=scopes,
        claim=claim,
        authorities=authorities,
        hosts=hosts,
        codes=codes,
        max_age=age,
    )


def _read_secret(table: ConfigTable, file: Path) -> str:
    expected = phrase("a file that holds the secret and nothing else")
    try:
        secret = file.read_text("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        table.wrong(
            "client-secret-file",
            phrase("{file} cannot be read: {error}", file=file, error=name_system_error(error)),
            expected,
        )
        return ""
    if not secret or len(secret) > 1024 or not secret.isprintable():
        table.wrong("client-secret-file", phrase("{file} holds no secret", file=file), expected)
        return ""
    return secret


def _read_age(table: ConfigTable) -> timedelta | None:
    text = table.text("max-age", "")
    if not text:
        return None
    try:
        age = parse_duration(text)
    except ValueError:
        age = timedelta(0)
    if not timedelta(0) < age <= LONGEST_AGE:
        table.wrong("max-age", phrase("{value} does not fit", value=show_value(text)), _AGE_EXPECTED)
        return None
    return age


def _split_host(netloc: str) -> tuple[str, int] | None:
    """Return host and port; None if it has no valid port or address."""
    try:
        parts = urlsplit(f"//{netloc}")
        return parts.hostname or "", parts.port or 443
    except ValueError:
        return None
