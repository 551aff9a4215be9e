"""Gathers all that is known of one partner: its settings, certificates, rights and state. Changes nothing."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
from cryptography import x509

import adapters
from hub.config import Config, Partner
from hub.config.editing import read_text
from hub.config.partners.partner_settings import CERTIFICATES, PartnerSetting, list_partner_settings
from hub.domain.model import Problem
from hub.intake import grants
from hub.monitoring import overview
from hub.monitoring.overview import PartnerOverview
from hub.security import algorithms
from hub.security.anchors import Untrusted
from hub.security.certificates import describe_owner, hash_certificate
from hub.store.transactions import Transaction


@attrs.frozen(kw_only=True)
class PartnerCertificate:
    """One certificate of a partner."""

    sha256: str
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    days_left: int  #: negative after its end
    file: str  #: as the partner's file names it
    problem: Problem | None  #: why it proves nothing now


@attrs.frozen(kw_only=True)
class PartnerFile:
    """One file of a partner's folder that is in force: its mapping, a WSDL or a schema."""

    path: str  #: below the folder of `hub.toml`, such as `partners/dvc/mapping.toml`
    octets: int
    sha256: str


@attrs.frozen(kw_only=True)
class PartnerView:
    """All that is known of one partner."""

    partner: Partner
    settings: Sequence[PartnerSetting]
    certificates: Sequence[PartnerCertificate]
    granted: tuple[str, ...]
    upstream: bool  #: the partner for every agency outside the province
    files: Sequence[PartnerFile] = ()  #: the mapping first


@attrs.frozen(kw_only=True)
class TrustedAuthority:
    """One CA that the hub trusts, or is to trust."""

    sha256: str
    subject: str
    issuer: str
    key: str  #: such as `RSA 4096` or `EC secp256r1`
    not_before: datetime
    not_after: datetime
    days_left: int  #: negative after its end
    partners: tuple[str, ...]  #: those with a certificate that it issued itself


def list_trusted_authorities(config: Config, now: datetime) -> list[TrustedAuthority]:
    """Return the trusted CAs, by the end of their certificates."""
    found = [
        describe_authority(
            authority,
            now,
            [
                partner.code
                for partner in config.partners.values()
                if any(each.issuer == authority.subject for each in (*partner.certificates, *partner.chain))
            ],
        )
        for authority in config.authorities
    ]
    return sorted(found, key=lambda each: (each.not_after, each.sha256))


def describe_authority(authority: x509.Certificate, now: datetime, partners: Sequence[str] = ()) -> TrustedAuthority:
    """Return what people compare before they trust a CA. *partners*: those with a certificate of it."""
    return TrustedAuthority(
        sha256=hash_certificate(authority),
        subject=describe_owner(authority),
        issuer=authority.issuer.rfc4514_string(),
        key=algorithms.describe_key(authority),
        not_before=authority.not_valid_before_utc,
        not_after=authority.not_valid_after_utc,
        days_left=(authority.not_valid_after_utc - now).days,
        partners=tuple(partners),
    )


def view_partner(config: Config, code: str, now: datetime) -> PartnerView:
    """Return what the configuration says of the partner *code*. Raises KeyError, and ConfigurationFault.

    The partner's file is read again, for the lines of its keys.
    """
    partner = config.partners[code]
    path, shown = config.path.parent / f"partners/{code}.toml", f"partners/{code}.toml"
    text = read_text(path, shown) if path.exists() else ""  # a file that is gone may still be in force
    known = partner.adapter in adapters.list_adapter_names()
    own = adapters.list_adapter_settings(partner.adapter, partner.settings, partner.files) if known else ()
    return PartnerView(
        partner=partner,
        settings=list_partner_settings(partner, text, own),
        certificates=list_partner_certificates(config, partner, text, now),
        granted=grants.list_granted(partner, config),
        upstream=code == config.upstream,
        files=list_partner_files(partner),
    )


def list_partner_files(partner: Partner) -> list[PartnerFile]:
    """Return the files of its folder that *partner* was read with."""
    return [
        PartnerFile(
            path=f"partners/{partner.folder}/{name}", octets=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        for name, content in partner.files.items()
    ]


def list_partner_certificates(config: Config, partner: Partner, text: str, now: datetime) -> list[PartnerCertificate]:
    """Return the certificates of *partner*, whose file has the content *text*."""
    files = list_certificate_files(text)
    named = files if len(files) == len(partner.certificates) else [""] * len(partner.certificates)
    return [
        PartnerCertificate(
            sha256=hash_certificate(certificate),
            subject=describe_owner(certificate),
            issuer=certificate.issuer.rfc4514_string(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            days_left=(certificate.not_valid_after_utc - now).days,
            file=file,
            problem=_find_problem(config, partner, certificate, now),
        )
        for certificate, file in zip(partner.certificates, named, strict=True)
    ]


def list_certificate_files(text: str) -> list[str]:
    """Return the files that the TOML *text* of a partner names under `certificates`; none if it cannot be read."""
    try:
        found = tomllib.loads(text).get(CERTIFICATES, [])
    except ValueError:
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _find_problem(config: Config, partner: Partner, certificate: x509.Certificate, now: datetime) -> Problem | None:
    try:
        config.anchors.check(certificate, now, unknown=partner.policy.revocation)
    except Untrusted as untrusted:
        return untrusted.problems[0]
    return None


def measure_partner(
    tx: Transaction, partners: Mapping[str, Partner], code: str, now: datetime
) -> PartnerOverview | None:
    """Return the state of the exchange with the partner *code*, of which nothing may be configured; None: nothing at all."""
    found = overview.measure_overview(tx, {name: each for name, each in partners.items() if name == code}, now)
    return next((each for each in found.partners if each.code == code), None)
