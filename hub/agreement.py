"""What the configuration, the registry and the time must agree on.  Knows values; opens nothing, listens nowhere.

A mistake keeps the hub from starting; what time or a CRL did to a partner's certificate is only a warning, for it must not keep
the others waiting, and a revocation must be taken up at once.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs
from cryptography import x509

import adapters
from hub.certificates import ALLOW, Untrusted
from hub.config import ANY, Config
from hub.config.trusting import signed_by
from hub.errors import Mistake
from hub.model import NATIONAL, Receive, Unit
from hub.roll import Roll

_SOON = timedelta(days=30)


def version_mistake(found: str | None, needed: str) -> Mistake:
    """Return the mistake of a database whose schema is of version *found*."""
    wrong = f"the schema is of version {found}" if found else "the database is empty"
    if found and found > needed:
        return Mistake("hub.toml: database.url", wrong, f"version {needed}: this program is older than the database")
    return Mistake("hub.toml: database.url", wrong, f"version {needed}: run `lienthong db upgrade`")


def partner_mistakes(config: Config, code: str, units: Roll, now: datetime) -> list[Mistake]:
    """Return what forbids to add the partner *code* to the others; its units may be new to the registry."""
    new = [unit for unit in config.partners[code].units if units.canonical(unit) not in units]
    known = Roll.of([*units, *(Unit(unit, unit) for unit in new)]) if new else units

    def found(config: Config) -> list[Mistake]:
        certificates = [mistake for mistake, _grave in partner_certificates(config, now)]
        return [*adapter_mistakes(config), *certificates, *routing_mistakes(config, known)]

    others = {other: partner for other, partner in config.partners.items() if other != code}
    before = set(found(attrs.evolve(config, partners=others)))
    return [mistake for mistake in found(config) if mistake not in before]


def routing_mistakes(config: Config, units: Roll) -> Iterable[Mistake]:
    """Give what the partners' units and the registry do not agree on."""
    receiving: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for partner in config.partners.values():
        for written in set(partner.units) - {ANY}:
            unit = units.canonical(written)
            held = units.get(unit)
            if held is None:
                wrong = f"the registry has no unit {written}"
                expected = "a unit of `lienthong units list`; `lienthong units import FILE` adds units"
                yield Mistake(f"partners/{partner.code}.toml: units", wrong, expected)
            elif held.mark == NATIONAL and partner.receive is not Receive.NONE:
                wrong = f"the registry has {written} as an agency outside the province"
                expected = "a unit of the province: what is for others goes to the upstream partner"
                yield Mistake(f"partners/{partner.code}.toml: units", wrong, expected)
            if partner.receive is not Receive.NONE:
                receiving[unit].append((partner.code, written))
    for unit, written_by in sorted(receiving.items()):
        first = written_by[0][0]
        for code, written in written_by[1:]:
            if code != first:  # `read` has found those written the same way
                wrong = f"{written} is {unit}, which already receives through {first}"
                yield Mistake(f"partners/{code}.toml: units", wrong, "one receiving partner a unit")


def adapter_mistakes(config: Config) -> Iterable[Mistake]:
    """Give the partners whose adapter has no folder."""
    for partner in config.partners.values():
        if partner.adapter not in adapters.names():
            wrong = f"there is no adapter {partner.adapter}"
            yield Mistake(f"partners/{partner.code}.toml: adapter", wrong, f"one of {', '.join(adapters.names())}")


def identity_mistakes(config: Config, now: datetime) -> Iterable[Mistake]:
    """Give what is wrong with the hub's own certificate, be it what time did: without it nothing works."""
    try:
        config.anchors.check(config.identity.certificate, now, config.identity.chain, unknown=ALLOW)
    except Untrusted as untrusted:
        expected = "a certificate that is valid now and chains to an anchor"
        yield Mistake("hub.toml: pki.certificate", str(untrusted), expected)


def partner_certificates(config: Config, now: datetime) -> Iterable[tuple[Mistake, bool]]:
    """Give what is wrong with each partner's certificates, and whether that is grave: not what time or a CRL did."""
    for partner in config.partners.values():
        for certificate in partner.certificates:
            try:
                config.anchors.check(certificate, now, unknown=partner.policy.revocation)
            except Untrusted as untrusted:
                expected = "a valid certificate that chains to an anchor (`lienthong trust list`)"
                grave = untrusted.problems[0].code == "certificate-untrusted"
                yield Mistake(f"partners/{partner.code}.toml: certificates", str(untrusted), expected), grave


def endings(config: Config, now: datetime) -> Iterable[Mistake]:
    """Give what ends soon, or has ended without being grave."""
    named = [("hub.toml: pki.certificate", config.identity.certificate)]
    named += [("trust", authority) for authority in config.authorities]
    named += [(f"partners/{p.code}.toml: certificates", c) for p in config.partners.values() for c in p.certificates]
    for place, certificate in named:
        if now <= certificate.not_valid_after_utc < now + _SOON:
            yield Mistake(
                place, f"{_shown(certificate)} ends on {certificate.not_valid_after_utc:%Y-%m-%d}", "renew it"
            )
    for issuer in sorted(config.anchors.overdue(now), key=lambda name: name.rfc4514_string()):
        yield Mistake(
            "crls", f"the CRL of {issuer.rfc4514_string()} is overdue", "a newer one: nothing of that issuer is trusted"
        )


def revocations(config: Config) -> Iterable[tuple[Mistake, bool]]:
    """Give each CRL that does not count, and whether that is grave."""
    for crl in config.crls:
        issuers = [authority for authority in config.authorities if authority.subject == crl.issuer]
        if not issuers:
            wrong = f"there is a CRL of {crl.issuer.rfc4514_string()}, which is no anchor"
            yield Mistake("crls", wrong, "the anchor too, or not this CRL"), False
        elif not any(signed_by(crl, issuer) for issuer in issuers):
            wrong = f"the CRL of {crl.issuer.rfc4514_string()} is not signed by that anchor"
            yield Mistake("crls", wrong, "the CRL that the anchor signed"), True


def _shown(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
