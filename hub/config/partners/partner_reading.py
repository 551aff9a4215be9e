"""Reads `partners/*.toml`, and judges each file and the files together. Does not know the other tables of the hub."""

import itertools
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
from cryptography import x509

from hub.config import files
from hub.config import reports as reporting
from hub.config.partners.partner_files import PartnerFileReader
from hub.config.table import ConfigTable, read_toml_file
from hub.config.urls import check_url, find_url_directory
from hub.config.values import ANY, Partner
from hub.domain.errors import Mistake
from hub.domain.model import HUB, Receive
from hub.domain.sanitize import show_value
from hub.language.phrases import phrase
from hub.language.sorting import make_code_sort_key
from hub.partner.adapter_settings import MAPPING, SECRET_FILE
from hub.partner.policy import PartnerTransport, parse_policy
from hub.security.certificates import hash_certificate
from hub.services.defined import DefinedService

PARTNER_CODE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_CALLED_EXPECTED = phrase('a URL, because of receive = "push", policy.collect or lookups')
#: The accepted URL schemes by `transport`. The adapter decides which of them it supports. Any other scheme belongs to a
#: delivery transport that itself defines how it secures its content. It may be used with every `transport` but mutual
#: TLS (`_list_accepted_schemes`).
_SCHEMES = {
    PartnerTransport.MUTUAL_TLS: ("https",),
    PartnerTransport.TLS: ("https", "smtps", "imaps", "smtp", "imap"),
    PartnerTransport.PLAIN: ("http", "smtp", "imap", "file"),
}
_UNIT_EXPECTED = phrase("an agency code without spaces, such as H55.13, or '*'")


def list_partner_files(home: Path, candidates: Mapping[str, str | None]) -> dict[str, Path]:
    """Return the file of each partner by code, those of *candidates* included, those that are away not."""
    there = [path.stem for path in (home / "partners").glob("*.toml") if not path.name.startswith(".")]
    away = {code for code, text in candidates.items() if text is None}
    return {code: home / f"partners/{code}.toml" for code in {*there, *candidates} - away}


def leave_out_partners(
    partners: Mapping[str, Partner], wrong: Sequence[Mistake], tell: Callable[[Sequence[Mistake]], None]
) -> dict[str, Partner]:
    """Return the partners whose files have no mistakes. The mistakes *wrong* are passed to *tell*."""
    if wrong:
        tell(wrong)
    files = {mistake.path.partition(":")[0] for mistake in wrong}
    return {
        code: partner
        for code, partner in partners.items()
        if not files & {f"partners/{code}.toml", f"partners/{partner.settings.get(MAPPING)}"}
    }


def list_tellers(partners: Mapping[str, Partner]) -> tuple[reporting.Teller, ...]:
    return tuple(
        reporting.Teller(code, each.units, each.tells, each.policy.collect is not None)
        for code, each in sorted(partners.items())
    )


def read_partners(
    home: Path, candidates: Mapping[str, str | None], partner_files: Mapping[str, bytes], exchange: Path | None
) -> tuple[dict[str, Partner], list[Mistake]]:
    """Return the partners whose files can be read, in the natural order of their codes, and all mistakes of these files."""
    partners: dict[str, Partner] = {}
    mistakes: list[Mistake] = []
    reader = PartnerFileReader(home, mistakes, partner_files)
    found = list_partner_files(home, candidates)
    for code, path in sorted(found.items(), key=lambda each: make_code_sort_key(each[0])):
        shown = f"partners/{code}.toml"
        before, text = len(mistakes), candidates.get(code)
        content: Mapping[str, object] = read_toml_file(path, shown, mistakes) if text is None else tomllib.loads(text)
        if len(mistakes) == before:
            partner = _read_partner(code, ConfigTable(content, shown, mistakes), home, mistakes, reader)
            partners[code] = _place_directory(partner, exchange, mistakes)
    return partners, mistakes


def _place_directory(partner: Partner, exchange: Path | None, mistakes: list[Mistake]) -> Partner:
    """Return *partner* with the folder below which its directory is. Records a mistake if its directory is elsewhere."""
    place = find_url_directory(partner.url or "")
    if place is None:
        return partner
    if exchange is None or exchange not in place.parents:
        wrong = phrase("{url} is not below the folder of directories", url=repr(partner.url))
        expected = (
            phrase("[exchange] folder in hub.toml: the folder below which partners have their directories")
            if exchange is None
            else phrase("a directory below {url}, the folder of [exchange] in hub.toml", url=exchange.as_uri())
        )
        mistakes.append(Mistake(f"partners/{partner.code}.toml: url", wrong, expected))
    return attrs.evolve(partner, exchange=exchange)


def is_partner_code(code: str) -> bool:
    """Tell whether *code* may be the code of a partner, and so the name of its file."""
    return re.fullmatch(PARTNER_CODE, code) is not None and code != HUB


def _check_partner_code(table: ConfigTable, code: str) -> None:
    if not is_partner_code(code):
        table.wrong(
            "",
            phrase("{code} is not a valid partner code", code=repr(code)),
            phrase("letters, digits, - and _; not {hub}, which is the hub itself", hub=HUB),
        )


def _read_partner_units(table: ConfigTable) -> tuple[str, ...]:
    units = table.texts("units", ())
    for unit in units:
        if unit != ANY and (len(unit) > 64 or not unit.isprintable() or " " in unit or ANY in unit):
            table.wrong("units", phrase("{unit} does not fit", unit=repr(unit)), _UNIT_EXPECTED)
    return units


def _check_partner_url(table: ConfigTable, partner: Partner, *, mapped: bool) -> None:
    """Note a URL that is missing, unused or of a wrong scheme. *mapped*: the partner has a mapping for SOAP calls."""
    if partner.called and not partner.url:
        table.wrong("url", phrase("is missing"), _CALLED_EXPECTED)
    elif partner.url and not partner.called and not mapped:  # with a mapping, `lienthong call` uses it
        table.wrong(
            "url",
            phrase('is set although receive = "{receive}"', receive=partner.receive),
            phrase('no url, or receive = "push"'),
        )
    elif partner.url:
        check_url(table, "url", partner.url, _list_accepted_schemes(partner.policy.transport, partner.url))


def _check_partner_certificates(
    table: ConfigTable, partner: Partner, named: Sequence[object], mistakes: Sequence[Mistake]
) -> None:
    """Note that no certificate is *named*, unless one that is could not be read."""
    unread = any(mistake.path == table.place("certificates") for mistake in mistakes)
    if not partner.certificates and partner.policy.transport == PartnerTransport.MUTUAL_TLS and not unread:
        table.wrong(
            "certificates", phrase("is empty") if named else phrase("is missing"), phrase("at least one PEM file")
        )


def _read_partner(
    code: str, table: ConfigTable, home: Path, mistakes: list[Mistake], reader: PartnerFileReader
) -> Partner:
    receive = (
        table.text(
            "receive", "none", like="|".join(Receive), expected=phrase("one of {words}", words=", ".join(Receive))
        )
        or "none"
    )
    url = table.text("url", "")
    named = [
        files.read_certificate_file(home / name, partial(table.wrong, "certificates"))
        for name in table.texts("certificates", ())
    ]
    certificates = [file[0] for file in named if file]
    _check_partner_code(table, code)
    units = _read_partner_units(table)
    calls = table.texts("calls", ())
    tells = table.text("tells", "", like=r"\*", expected=phrase("'*': it may report figures about any unit"))
    policy, wrongs = parse_policy(table.table("policy").pairs(), table.place("policy"))
    mistakes += wrongs
    own = table.table("settings")
    settings, secret_files, secrets = _read_adapter_settings(own, code, reader)
    mapping = settings.get(MAPPING)
    partner = Partner(
        code=code,
        name=table.text("name", code),
        certificates=tuple(certificates),
        chain=tuple(link for file in named for link in file[1:]),
        units=units,
        calls=calls if table.given("calls") else None,
        tells=bool(tells),
        receive=Receive(receive),
        url=url or None,
        adapter=table.text(
            "adapter", "documents", like=r"[a-z][a-z0-9_]*", expected=phrase("the name of a folder in adapters/")
        ),
        services=table.texts("services", ("documents",)),
        lookups=table.texts("lookups", ()),
        contracts=table.texts("contracts", ()),
        settings=settings,
        secrets=secrets,
        secret_files=secret_files,
        files={} if mapping is None else reader.read(mapping, partial(own.wrong, MAPPING)),
        policy=policy,
    )
    _check_partner_url(table, partner, mapped=mapping is not None)
    _check_partner_certificates(table, partner, named, mistakes)
    table.close()
    return partner


def _read_adapter_settings(
    table: ConfigTable, code: str, reader: PartnerFileReader
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the adapter's settings: texts by name, and by NAME what `NAME-file` keys name, and the contents of these files."""
    texts, named, secrets = dict[str, str](), dict[str, str](), dict[str, str]()
    for key, value in table.pairs().items():
        if not isinstance(value, str) or not value:
            table.wrong(key, phrase("{value} does not fit", value=show_value(value)), phrase("text in quotes"))
        elif key.endswith(SECRET_FILE):
            name, placed = key.removesuffix(SECRET_FILE), table.place_credential(key, value)
            content = reader.read_secret(code, placed, partial(table.wrong, key)) if placed else None
            if content is not None:
                named[name], secrets[name] = value, content
        else:
            texts[key] = value
    return texts, named, secrets


def _list_accepted_schemes(transport: PartnerTransport, url: str) -> tuple[str, ...]:
    """Return the accepted schemes of *url*: those of `transport`, and possibly the URL's own.

    A scheme unknown to the hub belongs to the adapter or to its transport. `lienthong check` asks them about it.
    """
    scheme = url.partition(":")[0]
    own = transport != PartnerTransport.MUTUAL_TLS and scheme not in itertools.chain(*_SCHEMES.values())
    return (*_SCHEMES[transport], scheme) if own else _SCHEMES[transport]


def _list_unknown_editions(
    partners: Mapping[str, Partner], services: Mapping[str, DefinedService]
) -> Iterable[Mistake]:
    """Yield each entry of `contracts` that names no edition of a service of the operator, or a service twice."""
    known = [f"{name}@{edition}" for name, each in services.items() for edition, _ in each.editions]
    for partner in partners.values():
        named = [each.partition("@")[0] for each in partner.contracts]
        for entry, name in zip(partner.contracts, named, strict=True):
            if entry not in known or named.count(name) > 1:
                expected = phrase("each service once, one of {names}", names=", ".join(known) or "–")
                wrong = phrase("there is no edition {name}", name=repr(entry))
                yield Mistake(f"partners/{partner.code}.toml: contracts", wrong, expected)


def find_disagreements(
    partners: Mapping[str, Partner],
    upstream: str,
    own: Collection[x509.Certificate],
    services: Mapping[str, DefinedService],
) -> Iterable[Mistake]:
    """Yield conflicts between partners, keys that the upstream partner must not have, and unknown editions."""
    yield from _list_unknown_editions(partners, services)
    receiving: defaultdict[str, list[str]] = defaultdict(list)
    showing: defaultdict[str, list[str]] = defaultdict(list)
    for partner in partners.values():
        for certificate in partner.certificates:
            showing[hash_certificate(certificate)].append(partner.code)
        if partner.code == upstream and partner.units:
            wrong = phrase("the upstream partner names {units}", units=", ".join(partner.units))
            expected = phrase("no units: it may send for every unit outside the province and owns none")
            yield Mistake(f"partners/{partner.code}.toml: units", wrong, expected)
        if partner.policy.relay == partner.code or partner.policy.relay not in {"", *partners}:
            wrong = phrase("{relay} is not another partner", relay=partner.policy.relay)
            expected = phrase("the code of the partner that carries its calls, or none")
            yield Mistake(f"partners/{partner.code}.toml: policy.relay", wrong, expected)
        if partner.code != upstream and partner.takes_documents:
            for unit in set(partner.units) - {ANY}:
                receiving[unit].append(partner.code)
    for unit, codes in sorted(receiving.items()):
        for code in codes[1:]:
            yield Mistake(
                f"partners/{code}.toml: units",
                phrase("{unit} already receives through {codes}", unit=unit, codes=codes[0]),
                phrase("one receiving partner per unit"),
            )
    for shown, codes in showing.items():
        for code in sorted(set(codes) - {codes[0]}):
            wrong = phrase("the certificate {shown}… also belongs to {codes}", shown=shown[:16], codes=codes[0])
            yield Mistake(f"partners/{code}.toml: certificates", wrong, phrase("a certificate of its own"))
        if shown in map(hash_certificate, own):
            yield Mistake(
                f"partners/{codes[0]}.toml: certificates",
                phrase("it is the hub's own certificate"),
                phrase("a certificate of its own"),
            )
