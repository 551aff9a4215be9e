"""All that must be right before the hub runs, as one list.  Knows every part enough to try it; changes nothing.

`lienthong check`, `twistd` at its start and a reload ask the same function.  A mistake stops them; a warning does not: what
time or a CRL did to one partner's certificate must not keep the others waiting, and a revocation must be taken up at once.
"""

import errno
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509
from lxml.etree import LxmlError
from sqlalchemy.exc import SQLAlchemyError

import adapters
import hub
from hub import contract, pidfile, registry, store
from hub.certificates import Untrusted
from hub.config import ANY, Config, Listen, read
from hub.config.trusting import signed_by
from hub.errors import ConfigurationFault, Mistake
from hub.model import Receive, Unit
from hub.province import Province
from hub.rehearsal import rehearse

_SOON = timedelta(days=30)


@attrs.frozen
class Findings:
    """What a look at a directory found; *province* is there when the parts fit together."""

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...] = ()
    province: Province | None = None


def look(path: Path, now: datetime) -> Findings:
    """Look at the configuration *path* and everything it needs."""
    try:
        config = read(path)
    except ConfigurationFault as fault:
        return Findings(fault.mistakes)
    units, mistakes = _journal(config)
    mistakes += [*_installation(), *_contracts(), *_adapters(config), *_identity(config, now), *_ports(config)]
    warnings = list(_times(config, now))
    for found, grave in [*_partner_certificates(config, now), *_revocations(config)]:
        (mistakes if grave else warnings).append(found)
    if units is None:
        return Findings(tuple(mistakes), tuple(warnings))
    mistakes += routing_mistakes(config, units)
    province = Province.of(config, units)
    if not mistakes:
        mistakes += rehearse(province, contract.load("documents"), now)
    return Findings(tuple(mistakes), tuple(warnings), province)


def version_mistake(found: str | None) -> Mistake:
    """Return the mistake of a database whose schema is of version *found*."""
    wrong = f"the schema is of version {found}" if found else "the database is empty"
    return Mistake("hub.toml: database.url", wrong, f"version {store.latest_version()}: run `lienthong db upgrade`")


def partner_mistakes(config: Config, code: str, units: Sequence[Unit], now: datetime) -> list[Mistake]:
    """Return what forbids to add the partner *code* to the others; its units may be new to the registry."""
    known = [*units, *(Unit(unit, unit) for unit in config.partners[code].units)]

    def found(config: Config) -> list[Mistake]:
        certificates = [mistake for mistake, _grave in _partner_certificates(config, now)]
        return [*_adapters(config), *certificates, *routing_mistakes(config, known)]

    others = {other: partner for other, partner in config.partners.items() if other != code}
    before = set(found(attrs.evolve(config, partners=others)))
    return [mistake for mistake in found(config) if mistake not in before]


def routing_mistakes(config: Config, units: Sequence[Unit]) -> Iterable[Mistake]:
    """What the partners' units and the registry do not agree on."""
    held = {unit.code for unit in units}
    aliases = {alias: unit.code for unit in units for alias in unit.aliases}
    receiving: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for partner in config.partners.values():
        for written in set(partner.units) - {ANY}:
            unit = aliases.get(written, written)
            if unit not in held:
                wrong = f"the registry has no unit {written}"
                expected = "a unit of `lienthong units list`; `lienthong units import FILE` adds units"
                yield Mistake(f"partners/{partner.code}.toml: units", wrong, expected)
            if partner.receive is not Receive.NONE:
                receiving[unit].append((partner.code, written))
    for unit, written_by in sorted(receiving.items()):
        first = written_by[0][0]
        for code, written in written_by[1:]:
            if code != first:  # `read` has found those written the same way
                wrong = f"{written} is {unit}, which already receives through {first}"
                yield Mistake(f"partners/{code}.toml: units", wrong, "one receiving partner a unit")


def _journal(config: Config) -> tuple[list[Unit] | None, list[Mistake]]:
    """Return the registry's units; None, and why, when they cannot be read."""
    if not config.data.is_dir() or not os.access(config.data, os.W_OK | os.X_OK):
        expected = "a directory that this account may write"
        return None, [Mistake("hub.toml: data", f"{config.data} is not there or not writable", expected)]
    engine = store.open_engine(config.database_url, pooled=False)
    try:
        found = store.version(engine)
        if found != store.latest_version():
            return None, [version_mistake(found)]
        with store.reading(engine) as tx:
            return registry.units(tx), []
    except SQLAlchemyError as error:
        wrong = f"the database does not answer: {getattr(error, 'orig', None) or error}"
        return None, [Mistake("hub.toml: database.url", wrong, "a database that opens")]
    finally:
        engine.dispose()


def _installation() -> Iterable[Mistake]:
    """Both `hub` and `tap` are names that other distributions use too."""
    found, home = find_spec("tap"), Path(hub.__file__).parent.parent
    if found is None or found.origin is None or Path(found.origin).resolve().parent != home.resolve():
        wrong = f"`tap` is {found.origin}" if found else "there is no module `tap`"
        yield Mistake("installation", wrong, f"{home / 'tap.py'}: install lienthong in an environment of its own")


def _contracts() -> Iterable[Mistake]:
    try:
        contract.load("documents")
    except (OSError, LxmlError, KeyError) as error:
        yield Mistake("wsdl/lienthong/1/documents.wsdl", str(error), "the files of this version, unchanged")


def _adapters(config: Config) -> Iterable[Mistake]:
    for partner in config.partners.values():
        if partner.adapter not in adapters.names():
            wrong = f"there is no adapter {partner.adapter}"
            yield Mistake(f"partners/{partner.code}.toml: adapter", wrong, f"one of {', '.join(adapters.names())}")


def _identity(config: Config, now: datetime) -> Iterable[Mistake]:
    try:
        config.anchors.check(config.identity.certificate, now)
    except Untrusted as untrusted:
        expected = "a certificate that is valid now and chains to an anchor"
        yield Mistake("hub.toml: pki.certificate", str(untrusted), expected)


def _partner_certificates(config: Config, now: datetime) -> Iterable[tuple[Mistake, bool]]:
    """Give what is wrong with each partner's certificates, and whether that is grave: not what time or a CRL did."""
    stale = _stale_issuers(config, now)
    for partner in config.partners.values():
        for certificate in partner.certificates:
            try:
                config.anchors.check(certificate, now)
            except Untrusted as untrusted:
                expected = "a valid certificate that chains to an anchor (`lienthong trust list`)"
                grave = untrusted.problems[0].code == "certificate-untrusted" and certificate.issuer not in stale
                yield Mistake(f"partners/{partner.code}.toml: certificates", str(untrusted), expected), grave


def _times(config: Config, now: datetime) -> Iterable[Mistake]:
    """What ends soon, or has ended without being grave."""
    named = [("hub.toml: pki.certificate", config.identity.certificate)]
    named += [("trust", authority) for authority in config.authorities]
    named += [(f"partners/{p.code}.toml: certificates", c) for p in config.partners.values() for c in p.certificates]
    for place, certificate in named:
        if now <= certificate.not_valid_after_utc < now + _SOON:
            yield Mistake(
                place, f"{_shown(certificate)} ends on {certificate.not_valid_after_utc:%Y-%m-%d}", "renew it"
            )
    for issuer in _stale_issuers(config, now):
        yield Mistake(
            "crls", f"the CRL of {issuer.rfc4514_string()} is overdue", "a newer one: nothing of that issuer is trusted"
        )


def _stale_issuers(config: Config, now: datetime) -> set[x509.Name]:
    fresh = {crl.issuer for crl in config.crls if crl.next_update_utc is None or crl.next_update_utc > now}
    return {crl.issuer for crl in config.crls} - fresh


def _revocations(config: Config) -> Iterable[tuple[Mistake, bool]]:
    """Give each CRL that does not count, and whether that is grave."""
    for crl in config.crls:
        issuers = [authority for authority in config.authorities if authority.subject == crl.issuer]
        if not issuers:
            wrong = f"there is a CRL of {crl.issuer.rfc4514_string()}, which is no anchor"
            yield Mistake("crls", wrong, "the anchor too, or not this CRL"), False
        elif not any(signed_by(crl, issuer) for issuer in issuers):
            wrong = f"the CRL of {crl.issuer.rfc4514_string()} is not signed by that anchor"
            yield Mistake("crls", wrong, "the CRL that the anchor signed"), True


def _ports(config: Config) -> Iterable[Mistake]:
    """A port held by the hub that runs here is no mistake."""
    if pidfile.alive(config.data):
        return
    for key, listen in (("soap", config.soap), ("admin", config.admin)):
        error = _port_error(listen)
        if error == errno.EADDRINUSE:
            wrong = f"{listen.port} on {listen.host} is held by another process"
            yield Mistake(f"hub.toml: {key}.port", wrong, "a free port")
        elif error:
            yield Mistake(
                f"hub.toml: {key}.host",
                f"{listen.host}:{listen.port}: {os.strerror(error)}",
                "an address of this machine",
            )


def _port_error(listen: Listen) -> int | None:
    family = socket.AF_INET6 if ip_address(listen.host).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Twisted does
        try:
            listening.bind((listen.host, listen.port))
            listening.listen(1)
        except OSError as error:
            return error.errno
    return None


def _shown(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
