"""Checks that the configuration, the registry and the time agree. Works on values only: opens no file and no socket.

A mistake keeps the hub from starting. A partner's certificate that has expired or was revoked is only a warning: it
must not stop the exchange with the other partners, and a revocation must take effect at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from urllib.parse import urlsplit

import attrs
from cryptography import x509

import adapters
from hub.config import ANY, Config, Partner
from hub.config.partners.partner_files import SECRETS, is_path
from hub.config.table import IN_CREDENTIALS
from hub.config.trusting import is_signed_by
from hub.domain.errors import Mistake, Rejected
from hub.domain.local_time import find_local_day
from hub.domain.model import DOCUMENTS, HUB, Receive, RevocationRule, Unit, UnitMark
from hub.intake import grants
from hub.language.phrases import Phrase, phrase
from hub.partner.adapter_settings import SECRET_FILE
from hub.security import algorithms
from hub.security.anchors import Purpose, Untrusted
from hub.security.certificates import RENEWAL
from hub.security.encryption import KEY_EXPECTED
from hub.services.lookups.operations import OPERATIONS
from hub.store.schema_version import MigrationStep, find_way_to_upgrade
from hub.units.province import Province
from hub.units.routing import Routes
from hub.units.unit_index import UnitIndex


def find_version_mistake(found: str | None, known: Sequence[MigrationStep]) -> Mistake:
    """Return the mistake of a database with schema version *found* (None: no tables) for a program with the migrations *known*."""
    needed = known[-1].version
    wrong = phrase("the schema is of version {found}", found=found) if found else phrase("the database is empty")
    if found and (way := find_way_to_upgrade(known, found)):
        return Mistake("hub.toml: database.url", wrong, way)
    if found and found > needed:
        return Mistake(
            "hub.toml: database.url",
            wrong,
            phrase("version {needed}: this program is older than the database", needed=needed),
        )
    return Mistake(
        "hub.toml: database.url", wrong, phrase("version {needed}: run `lienthong db upgrade`", needed=needed)
    )


def find_partner_mistakes(config: Config, code: str, units: UnitIndex, now: datetime) -> list[Mistake]:
    """Return the mistakes that adding the partner *code* would cause.

    Mistakes that exist without it are left out. Its units may be missing in the registry: they are added with it.
    """
    others = {other: partner for other, partner in config.partners.items() if other != code}
    mistakes, warnings = find_added_mistakes(attrs.evolve(config, partners=others), config, units, now)
    return [*mistakes, *warnings]


def find_added_mistakes(
    before: Config, after: Config, units: UnitIndex, now: datetime
) -> tuple[list[Mistake], list[Mistake]]:
    """Return the mistakes and the warnings of *after* that *before* does not have.

    Units of a partner may be missing in the registry: they are added with it. A warning is a certificate whose revocation
    status is not known yet, or a mistake in the mapping of a partner that is not called.
    """
    everyone = [unit for partner in after.partners.values() for unit in partner.units if unit != ANY]
    new = [unit for unit in dict.fromkeys(everyone) if units.canonical(unit) not in units]
    known = (
        UnitIndex.of([*units, *(Unit(unit, unit) for unit in new)], find_local_day(now), units.list_deeds())
        if new
        else units
    )

    def found(config: Config) -> list[Mistake]:
        return [
            *find_adapter_mistakes(config),
            *find_grant_mistakes(config),
            *find_routing_mistakes(config, known),
        ]

    old, flaws = set(found(before)), {_sort_by_place(each) for each, _ in find_partner_certificate_flaws(before, now)}
    mistakes = [mistake for mistake in found(after) if mistake not in old]
    warnings: list[Mistake] = []
    unfit = {_sort_by_place(each) for each, grave in find_mapping_flaws(before) if grave}
    for flaw, grave in find_mapping_flaws(after):
        if _sort_by_place(flaw) not in unfit:
            (mistakes if grave else warnings).append(flaw)
    for flaw, _ in find_partner_certificate_flaws(after, now):
        if _sort_by_place(flaw) not in flaws:
            (warnings if flaw.wrong.arguments.get("code") == "revocation-unknown" else mistakes).append(flaw)
    if not mistakes and not old:
        today = find_local_day(now)
        told = set(find_report_mistakes(before, Province.of(before, known).routes, today))
        routes = Province.of(after, known).routes
        mistakes += [each for each in find_report_mistakes(after, routes, today) if each not in told]
    return mistakes, warnings


def _sort_by_place(mistake: Mistake) -> tuple[str, str]:
    return mistake.path, str(mistake.wrong)


def find_routing_mistakes(config: Config, units: UnitIndex) -> Iterable[Mistake]:
    """Yield each disagreement between the partners' units and the registry."""
    receiving: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for partner in config.partners.values():
        known = [units.get(units.canonical(written)) for written in set(partner.units) - {ANY}]
        abroad = bool(known) and all(held is None or held.mark == UnitMark.NATIONAL for held in known)
        for written in set(partner.units) - {ANY}:
            unit = units.canonical(written)
            held = units.get(unit)
            if held is None:
                wrong = phrase("the registry has no unit {written}", written=written)
                expected = phrase("a unit of `lienthong units list`; `lienthong units import FILE` adds units")
                yield Mistake(f"partners/{partner.code}.toml: units", wrong, expected)
            elif held.mark == UnitMark.NATIONAL and partner.takes_documents and not abroad:
                wrong = phrase("the registry has {written} as an agency outside the province", written=written)
                expected = phrase(
                    "only units of the province or only agencies outside it, and another partner for the rest"
                )
                yield Mistake(f"partners/{partner.code}.toml: units", wrong, expected)
            if partner.takes_documents:
                receiving[unit].append((partner.code, written))
    for unit, written_by in sorted(receiving.items()):
        first = written_by[0][0]
        for code, written in written_by[1:]:
            if code != first:  # `read_config` has reported units that are written in the same way
                wrong = phrase(
                    "{written} is {unit}, which already receives through {first}",
                    written=written,
                    unit=unit,
                    first=first,
                )
                yield Mistake(f"partners/{code}.toml: units", wrong, phrase("one receiving partner per unit"))


def find_report_mistakes(config: Config, routes: Routes, today: date) -> Iterable[Mistake]:
    """Yield each mistake in the addresses of incident reports: an unknown sender, a recipient without a route."""
    told = config.incidents
    sender = told.report_from
    if sender and (routes.outside(sender) or routes.find_send_problems(HUB, sender)[0].code == "unit-unknown"):
        yield Mistake(
            "hub.toml: incidents.report-from",
            phrase("the registry has no unit {sender}", sender=sender),
            phrase("a unit of the province"),
        )
    if told.report_to:
        try:
            _ = routes.route_all(HUB, told.report_to, today)
        except Rejected as rejected:
            for problem in rejected.problems:
                wrong = phrase("{code}: {detail}", code=problem.code, detail=problem.detail)
                yield Mistake("hub.toml: incidents.report-to", wrong, phrase("agencies with a receiving partner"))


def find_adapter_mistakes(config: Config) -> Iterable[Mistake]:
    """Yield each mistake in a partner's adapter.

    The adapter may not exist, may not support the URL's scheme, may not offer a lookup or service that is configured,
    or may miss a setting.
    """
    for partner in config.partners.values():
        place = f"partners/{partner.code}.toml"
        if partner.adapter not in adapters.list_adapter_names():
            wrong = phrase("there is no adapter {adapter}", adapter=partner.adapter)
            yield Mistake(
                f"{place}: adapter",
                wrong,
                phrase("one of {names}", names=", ".join(adapters.list_adapter_names())),
            )
            continue
        if not partner.files:
            yield from _find_settings_mistakes(partner)
        yield from _lookup_mistakes(config, partner)
        for service in partner.services:
            if service != DOCUMENTS and service not in config.every_service:
                wrong = phrase("there is no service {service}", service=service)
                yield Mistake(
                    f"{place}: services",
                    wrong,
                    phrase("one of {value}", value=", ".join([DOCUMENTS, *config.every_service])),
                )
            elif service in config.services and not adapters.carries_any_service(partner.adapter):
                able = [each for each in adapters.list_adapter_names() if adapters.carries_any_service(each)]
                wrong = phrase(
                    "the adapter {adapter} does not deliver {service}", adapter=partner.adapter, service=service
                )
                yield Mistake(f"{place}: services", wrong, phrase("one of the adapters {names}", names=", ".join(able)))
        schemes = adapters.list_url_schemes(partner.adapter)
        if partner.url and urlsplit(partner.url).scheme not in schemes:
            wrong = phrase("the adapter {adapter} does not support {url}", adapter=partner.adapter, url=partner.url)
            yield Mistake(
                f"{place}: url", wrong, phrase("a URL that begins with {schemes}", schemes=", ".join(schemes))
            )


def find_mapping_flaws(config: Config) -> Iterable[tuple[Mistake, bool]]:
    """Yield each mistake in the files of a partner's folder and in the settings that they need, and whether it is grave.

    It is not for a partner that the hub does not call: its mapping may be in the making.
    """
    for partner in config.partners.values():
        if partner.files and partner.adapter in adapters.list_adapter_names():
            yield from ((mistake, partner.called) for mistake in judge_mapping(partner))


def judge_mapping(partner: Partner) -> Iterable[Mistake]:
    """Yield each mistake in the files of the partner's folder and in the settings that they need."""
    for mistake in adapters.find_file_mistakes(partner.adapter, partner.settings, partner.files):
        yield attrs.evolve(mistake, path=f"partners/{partner.folder}/{mistake.path}")
    yield from _find_settings_mistakes(partner)
    held = adapters.list_conversations(partner.adapter, partner.settings, partner.files)
    wanted = [
        *([("receive", "deliver")] if partner.receive is Receive.PUSH else []),
        *([("policy.collect", "collect")] if partner.policy.collect is not None else []),
        *(("lookups", f"ask.{operation}") for operation in partner.lookups),
    ]
    for key, conversation in wanted:
        if held is not None and conversation not in held:
            wrong = phrase("the mapping has no [[{conversation}]]", conversation=conversation)
            yield Mistake(
                f"partners/{partner.code}.toml: {key}", wrong, phrase("its steps in the mapping, or not this key")
            )


def _find_settings_mistakes(partner: Partner) -> Iterable[Mistake]:
    """Yield each mistake in `[settings]`, as the adapter and the files of the partner's folder want them."""
    said = (partner.settings, partner.secrets, partner.files)
    for key, wrong, expected in adapters.find_settings_flaws(partner.adapter, *said):
        yield Mistake(f"partners/{partner.code}.toml: settings.{key}", wrong, expected)


def find_secret_warnings(config: Config) -> Iterable[Mistake]:
    """Yield each secret of a partner that lies outside the folder of its secrets; systemd's credentials may."""
    for partner in config.partners.values():
        for name, written in partner.secret_files.items():
            if is_path(written) and not written.startswith(IN_CREDENTIALS):
                wrong = phrase("{file} lies outside the folder of the partner's secrets", file=written)
                expected = phrase(
                    'the file {place}, and {key} = "{name}"',
                    place=f"{SECRETS}/{partner.code}/{name}",
                    key=f"{name}{SECRET_FILE}",
                    name=name,
                )
                yield Mistake(f"partners/{partner.code}.toml: settings.{name}{SECRET_FILE}", wrong, expected)


def find_grant_mistakes(config: Config) -> Iterable[Mistake]:
    """Yield each name in a partner's `calls` that is neither a service nor an operation."""
    for partner in config.partners.values():
        known = grants.list_grant_names(config) if partner.calls else ()
        for name in partner.calls or ():
            if name not in known:
                wrong = phrase("there is no service or operation {name}", name=name)
                yield Mistake(
                    f"partners/{partner.code}.toml: calls",
                    wrong,
                    phrase("one of {names}", names=", ".join(known)),
                )


def find_grant_warnings(config: Config) -> Iterable[Mistake]:
    """Yield each partner without `calls`, and each that fetches but may not call the operations for it.

    The deliveries of the latter would wait for ever.
    """
    for partner in config.partners.values():
        if partner.calls is None:
            granted = ", ".join(grants.list_granted(partner, config)) or "–"
            wrong = phrase("it is missing, so the partner may call {granted}", granted=granted)
            expected = phrase("only what it needs: `lienthong partners grants {code} --propose`", code=partner.code)
            yield Mistake(f"partners/{partner.code}.toml: calls", wrong, expected)
        needed = ("GetPendingDocumentIds", "GetDocument", "ConfirmReceived")
        lacks = [name for name in needed if not grants.is_granted(partner, config, DOCUMENTS, name)]
        if partner.receive is Receive.FETCH and lacks:
            wrong = phrase("it fetches, and may not call {lacks}", lacks=", ".join(lacks))
            yield Mistake(f"partners/{partner.code}.toml: calls", wrong, phrase("documents, or another receive"))


def find_any_unit_warning(before: Partner | None, after: Partner) -> list[Mistake]:
    """Return the warning that the partner may send for any unit, unless it may do so already."""
    if ANY not in after.units or (before is not None and ANY in before.units):
        return []
    wrong = phrase("the partner may send for any unit")
    return [Mistake(f"partners/{after.code}.toml: units", wrong, phrase("the units that it speaks for"))]


def _lookup_mistakes(config: Config, partner: Partner) -> Iterable[Mistake]:
    """Yield each reason why *partner* cannot answer the lookups configured for it."""
    place = f"partners/{partner.code}.toml: lookups"
    for operation in partner.lookups:
        if operation not in OPERATIONS:
            yield Mistake(
                place,
                phrase("there is no operation {operation}", operation=operation),
                phrase("one of {operations}", operations=", ".join(OPERATIONS)),
            )
    if partner.lookups and not adapters.answers_lookups(partner.adapter):
        wrong = phrase("the adapter {adapter} answers no lookups", adapter=partner.adapter)
        yield Mistake(place, wrong, phrase("an adapter that answers lookups, such as ngsp, or no lookups"))
    if partner.lookups and config.lookups is None:
        wrong = phrase("it is missing, and {code} answers lookups", code=partner.code)
        yield Mistake("hub.toml: lookups.key-file", wrong, KEY_EXPECTED)


def find_identity_mistakes(config: Config, now: datetime) -> Iterable[Mistake]:
    """Yield each flaw in the hub's own certificates, including expiry: without them the hub cannot work."""
    for name, own in config.own:
        try:
            config.anchors.check(own.certificate, now, own.chain, unknown=RevocationRule.ALLOW)
        except Untrusted as untrusted:
            expected = phrase("a certificate that is valid now and chains to an anchor")
            yield Mistake(f"hub.toml: {name}", _say_untrusted(untrusted), expected)


def find_partner_certificate_flaws(config: Config, now: datetime) -> Iterable[tuple[Mistake, bool]]:
    """Yield each flaw in a partner's certificates, and whether it is grave. Expiry and revocation are not grave."""
    for partner in config.partners.values():
        for certificate in partner.certificates:
            try:
                config.anchors.check(certificate, now, unknown=partner.policy.revocation)
            except Untrusted as untrusted:
                expected = phrase("a valid certificate that chains to an anchor (`lienthong trust list`)")
                grave = untrusted.problems[0].code == "certificate-untrusted"
                yield Mistake(f"partners/{partner.code}.toml: certificates", _say_untrusted(untrusted), expected), grave


def find_official_certificate_flaws(config: Config, now: datetime) -> Iterable[Mistake]:
    """Yield each flaw in an official's certificates. None is grave: the exchange does not need them."""
    officials = config.officials
    if officials is None:
        return
    for official in officials.people.values():
        for certificate in official.certificates:
            try:
                officials.anchors.check(certificate, now, official.chain, purpose=Purpose.SIGN)
            except Untrusted as untrusted:
                expected = phrase("a valid certificate that chains to an anchor of [officials]")
                yield Mistake(f"officials/{official.code}.toml: certificates", _say_untrusted(untrusted), expected)


def find_partners_of_unknown_revocation(config: Config, now: datetime) -> tuple[dict[str, str], bool]:
    """Find partners that are kept out because the revocation status of their certificates is unknown.

    Return the reason by partner code, and whether no partner at all can connect. Partners that are kept out for another
    reason are not in the result, because a newer CRL would not help them. They do count for the second value.
    """
    why: dict[str, str] = {}
    callers = [partner for partner in config.partners.values() if partner.certificates]
    for partner in callers:
        found = [_find_refusal(config, partner, certificate, now) for certificate in partner.certificates]
        if "" not in found:
            why[partner.code] = next((each for each in found if each.startswith("revocation-unknown")), "")
    return {code: reason for code, reason in why.items() if reason}, len(why) == len(callers)


def _find_refusal(config: Config, partner: Partner, certificate: x509.Certificate, now: datetime) -> str:
    try:
        config.anchors.check(certificate, now, unknown=partner.policy.revocation)
    except Untrusted as untrusted:
        return str(untrusted)
    return ""


def find_expiring_certificates(config: Config, now: datetime) -> Iterable[Mistake]:
    """Yield each certificate that ends within 30 days, and each CRL that is overdue."""
    named = [(f"hub.toml: {name}", own.certificate) for name, own in config.own]
    named += [("trust", authority) for authority in config.authorities]
    named += [(f"partners/{p.code}.toml: certificates", c) for p in config.partners.values() for c in p.certificates]
    people = config.officials.people.values() if config.officials else ()
    named += [(f"officials/{p.code}.toml: certificates", c) for p in people for c in p.certificates]
    trusting = [("", config.anchors)]
    if config.officials:
        named += [("hub.toml: officials.anchors", authority) for authority in config.officials.authorities]
        trusting.append(("hub.toml: officials.", config.officials.anchors))
        if (stamping := config.officials.stamping) is not None:
            place = "hub.toml: officials.timestamps."
            named += [(f"{place}anchors", authority) for authority in stamping.authorities]
            trusting.append((place, stamping.anchors))
    for place, certificate in named:
        if now <= certificate.not_valid_after_utc < now + RENEWAL:
            yield Mistake(
                place,
                phrase(
                    "{certificate} ends on {day}",
                    certificate=_show_subject(certificate),
                    day=f"{certificate.not_valid_after_utc:%Y-%m-%d}",
                ),
                phrase("renew it"),
            )
    overdue = [(place, name.rfc4514_string()) for place, anchors in trusting for name in anchors.overdue(now)]
    for place, name in sorted(overdue):
        yield Mistake(
            f"{place}crls",
            phrase("the CRL of {name} is overdue", name=name),
            phrase("a newer one: nothing of that issuer is trusted"),
        )


def find_weak_anchors(config: Config) -> Iterable[Mistake]:
    """Yield each anchor with a weak key. Nothing that such an anchor issued is trusted."""
    for authority in config.authorities:
        if weakness := algorithms.describe_key_weakness(authority):
            expected = phrase("another CA: nothing of this one is trusted")
            yield Mistake(
                "trust", phrase("{name} has {weakness}", name=_show_subject(authority), weakness=weakness), expected
            )


def check_revocations(config: Config) -> Iterable[tuple[Mistake, bool]]:
    """Yield each CRL that cannot be used, and whether that is grave."""
    for crl in config.crls:
        issuers = [authority for authority in config.authorities if authority.subject == crl.issuer]
        if not issuers:
            wrong = phrase("there is a CRL of {name}, which is not an anchor", name=crl.issuer.rfc4514_string())
            yield Mistake("crls", wrong, phrase("the anchor added, or this CRL removed")), False
        elif not any(is_signed_by(crl, issuer) for issuer in issuers):
            wrong = phrase("the CRL of {name} is not signed by that anchor", name=crl.issuer.rfc4514_string())
            yield Mistake("crls", wrong, phrase("the CRL that the anchor signed")), True


def _say_untrusted(untrusted: Untrusted) -> Phrase:
    """Return why a certificate proves nothing."""
    return phrase("{code}: {detail}", code=untrusted.problems[0].code, detail=untrusted.problems[0].detail)


def _show_subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
