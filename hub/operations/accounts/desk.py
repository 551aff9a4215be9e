"""Makes the secrets of accounts, and the steps of a transaction that keep what is kept of them.

The pages and the API use it. A secret is returned once, to the page or the answer that shows it. Contains no page.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs
from cryptography import x509

from hub.config import ANY, Config
from hub.config.files import parse_certificates
from hub.domain.errors import Rejected
from hub.language.phrases import Phrase, phrase
from hub.operations.accounts import second_factor
from hub.operations.accounts.accounts import AccountRefused
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import NameUnfit, User, normalise_user_name
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate

#: Maximum octets of a certificate file.
CERTIFICATE = 64 * 1024


@attrs.frozen
class CodeSecret:
    """A new secret of one-time codes."""

    text: str = attrs.field(repr=False)  #: shown once
    address: str = attrs.field(repr=False)  #: from which an app reads it
    sealed: str  #: as the journal keeps it


def read_certificate(config: Config, content: bytes, now: datetime) -> tuple[str, list[Phrase]]:
    """Return the SHA-256 of a certificate, PEM or DER, and why the hub would not accept it now.

    Raises `AccountRefused` if it is none.
    """
    if len(content) > CERTIFICATE:
        large = phrase("the file is larger than {count} octets", count=CERTIFICATE)
        raise AccountRefused("certificate-unfit", large)
    try:
        shown = parse_certificates(content)
    except (ValueError, TypeError):
        shown = []
    if not shown:
        raise AccountRefused("certificate-unfit", phrase("it is no X.509 certificate, PEM or DER"))
    return hash_certificate(shown[0]), _find_warnings(config, shown, now)


def _find_warnings(config: Config, shown: Sequence[x509.Certificate], now: datetime) -> list[Phrase]:
    found = []
    if not config.console.client_certificates:
        found.append(phrase("`[console] client-certificates` is off: no browser is asked for a certificate."))
    try:
        config.anchors.check(shown[0], now, shown[1:], purpose=Purpose.CLIENT)
    except Rejected as rejected:
        found.append(phrase("The hub does not accept this certificate now: {why}", why=str(rejected)))
    return found


def draw_up_secret(config: Config, name: str, octets: bytes, salt: bytes) -> CodeSecret:
    """Return a secret of one-time codes of the account *name*, of random *octets*. Raises `AccountRefused`."""
    if not config.console.keys.safes:
        why = phrase(
            "The hub has no key that encrypts the secrets of one-time codes: name the file of one in hub.toml as "
            "`key-file` of [console] or of [lookups]."
        )
        raise AccountRefused("codes-keyless", why)
    secret = second_factor.write_secret(octets[: second_factor.SECRET])
    sealed = second_factor.seal_secret(config.console.keys, name, secret, salt)
    return CodeSecret(secret, second_factor.write_enrolment_address(secret, name, config.name), sealed)


def make_user(name: str, role: Role, units: Sequence[str], partners: Sequence[str], now: datetime) -> User:
    """Return the user that a person asks to add. Raises `AccountRefused`."""
    try:
        name = normalise_user_name(name)
    except NameUnfit:
        raise refuse_name(name) from None
    units, partners = complete_limits(role, units, partners)
    return User(name=name, role=role, units=units, partners=partners, added_at=now, changed_at=now)


def refuse_name(text: str, code: str = "name-unfit") -> AccountRefused:
    """Return the refusal of *text*, which is no name of an account."""
    unfit = phrase("{name} is not a valid name: letters a to z, digits, . _ @ -", name=repr(text[:64]))
    return AccountRefused(code, unfit)


def complete_limits(
    role: Role, units: Sequence[str], partners: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return units and partners without repetitions; none of them means all. Raises `AccountRefused`.

    An official sees the units that are named, and no others.
    """
    if not units and role.is_official:
        raise AccountRefused("units-missing", phrase("name the units of an official, or * for every unit"))
    return tuple(dict.fromkeys(units or [ANY])), tuple(dict.fromkeys(partners or [ANY]))


def split_codes(text: str) -> tuple[str, ...]:
    """Return the codes in *text*, which has commas or blanks between them."""
    return tuple(text.replace(",", " ").replace(";", " ").split())
