"""`lienthong partners add`: writes the file of a new partner, or changes what one says, with its certificates."""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import click
from cryptography.hazmat.primitives.serialization import Encoding

from hub.cli.journal import open_journal
from hub.cli.partner.partners import say_granted
from hub.cli.partner.writing import tell_warnings
from hub.cli.partner.wsdl_partner import WsdlOptions, add_partner_by_wsdl
from hub.cli.screen import CommandStop, Screen, colour_difference, t
from hub.config import ANY, Partner, editing, files, read_config, read_partner_change
from hub.config.editing import Value
from hub.config.writing import write_partner_toml
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.local_time import find_local_day
from hub.intake.grants import NEW_CALLS
from hub.journal import unit_registry
from hub.language.phrases import Phrase
from hub.node.consistency import find_any_unit_warning, find_partner_mistakes
from hub.store import transactions


def add_partner(screen: Screen, /, code: str, **given: Any) -> None:
    wsdl = {each.name: given.pop(each.name) for each in attrs.fields(WsdlOptions)}
    if wsdl["wsdl"] is not None:
        add_partner_by_wsdl(screen, code, WsdlOptions(**wsdl), **given)
    elif any(wsdl.values()):
        raise click.UsageError(t("--operation, --port, --url, --allow-…, --ca and --as-hub go with --wsdl"))
    else:
        _add_partner(screen, code, **given)


def _add_partner(
    screen: Screen,
    code: str,
    certificate_files: tuple[Path, ...],
    units: tuple[str, ...],
    calls: tuple[str, ...] | None,
    tells: str | None,
    fetch: bool,
    push: str | None,
    name: str | None,
    adapter: str | None,
    policy: Mapping[str, str],
    replace: bool,
    dry_run: bool,
) -> None:
    if fetch and push:
        raise click.UsageError(t("choose --fetch or --push"))
    home = screen.config.absolute().parent
    path, shown = home / "partners" / f"{code}.toml", f"partners/{code}.toml"
    if path.exists() and not replace:
        raise CommandStop(t("the partner {code} exists already; --replace changes it", code=code))
    if not path.exists() and not certificate_files:
        raise click.UsageError(t("--certificate is missing"))
    before = editing.read_text(path, shown) if path.exists() else ""
    said: dict[str, Value] = {
        **({"name": name} if name else {}),
        **({"units": units} if units else {}),
        **({} if calls is None else {"calls": calls}),
        **({"tells": "*" if tells == "*" else None} if tells else {}),
        **({"adapter": adapter} if adapter else {}),
        **({"policy": policy} if policy else {}),
    }
    if fetch or push:
        said |= {"receive": "fetch" if fetch else "push"} | _plan_url_change(before, push)

    def text(certificates: tuple[str, ...]) -> str:
        made = before or _begin_file(code, certificates)
        return editing.edit_toml(made, {**({"certificates": certificates} if certificates else {}), **said}, shown)

    places = _place_certificates(home, code, before, certificate_files)
    given = tuple(str(file.absolute()) for file in certificate_files)
    config = read_partner_change(screen.config, code, text(given))
    partner = config.partners[code]
    named = [unit for unit in partner.units if unit != ANY]
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            known = unit_registry.read_unit_index(tx, find_local_day(datetime.now(UTC)))
        if mistakes := find_partner_mistakes(config, code, known, datetime.now(UTC)):
            raise ConfigurationFault(mistakes)
        _tell_rights(screen, partner, known=bool(before))
        after = text(tuple(places))
        diff = editing.write_difference(before, after, shown)
        fields = {"code": code, "file": str(path), "diff": diff, "written": not dry_run}
        if dry_run:
            new = [unit for unit in named if known.canonical(unit) not in known]
            screen.row({**fields, "units_added": new, "kept": []}, colour_difference(diff))
            screen.note(t("Nothing was written"))
            return
        with transactions.write_transaction(engine) as tx:
            added = unit_registry.add_missing_units(tx, named)
    contents = {
        home / place: pem for place, file in places.items() if (pem := _read_certificate_pem(file, home / place))
    }
    contents[path] = after.encode()
    replaced = [editing.replace_file(file, content) for file, content in contents.items()]
    kept = [str(old) for old in replaced if old is not None]
    written = t("Wrote {path}", path=path)
    screen.row(
        {**fields, "units_added": added, "kept": kept},
        "\n".join(filter(None, [colour_difference(diff) if before else "", written])),
    )
    for old in kept:
        screen.note(t("Old file: {old}", old=old))
    if added:
        screen.note(t("Added the units {added}", added=", ".join(added)))
    screen.note(t("A running hub uses it after `lienthong reload`"))


def _begin_file(code: str, certificates: Iterable[str]) -> str:
    """Return the text of a new partner's file."""
    return write_partner_toml(name=code, certificates=certificates, calls=NEW_CALLS)


def _tell_rights(screen: Screen, partner: Partner, *, known: bool) -> None:
    """Tell what a new partner may call, and warn of one that may send for any unit from now on."""
    if not known:
        granted = say_granted(partner.calls or ()) or t("nothing")
        screen.note(t("{code} may call {calls}", code=partner.code, calls=granted))
    held = read_config(screen.config, set_aside=lambda _mistakes: None).partners.get(partner.code)
    tell_warnings(screen, find_any_unit_warning(held, partner))


def _plan_url_change(before: str, push: str | None) -> dict[str, Value]:
    """Return the change of `url`: the URL to push to, or None to remove a URL that served only for pushing."""
    if push:
        return {"url": push}
    said = tomllib.loads(before) if before else {}
    asked = said.get("lookups") or (isinstance(said.get("policy"), Mapping) and "collect" in said["policy"])
    return {} if asked else {"url": None}


def _place_certificates(home: Path, code: str, before: str, files: Iterable[Path]) -> dict[str, Path]:
    """Return the target path of each certificate file, as the partner's file names it.

    A file that the partner's file names already stays where it is.
    """
    try:
        said = tomllib.loads(before).get("certificates", [])
    except ValueError:
        said = []  # the reader of the file reports what is wrong with it
    named = {(home / each).resolve(): each for each in said if isinstance(each, str)}
    given = list(files)
    stays = {named[file.resolve()] for file in given if file.resolve() in named}
    free = (
        name for number in count(1) if (name := f"partners/{code}{f'-{number}' if number > 1 else ''}.crt") not in stays
    )
    return {named.get(file.resolve()) or next(free): file for file in given}


def _read_certificate_pem(file: Path, place: Path) -> bytes | None:
    """Return the certificate in *file* and its chain in PEM; None if *file* is already at *place*."""
    if place.exists() and place.samefile(file):
        return None

    def wrong(what: Phrase, expected: Phrase) -> None:
        raise ConfigurationFault([Mistake(str(file), what, expected)])

    return b"".join(one.public_bytes(Encoding.PEM) for one in files.read_certificate_file(file, wrong))
