"""`lienthong partners`: lists partners and what each may call, adds one, and changes one."""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import click
from cryptography.hazmat.primitives.serialization import Encoding

from hub.cli.journal import open_journal, read_journal_config, read_view_config, require_partner
from hub.cli.partner.writing import tell_warnings
from hub.cli.partner.wsdl_partner import WsdlOptions, add_partner_by_wsdl
from hub.cli.screen import (
    PARTLY,
    CommandStop,
    Screen,
    colour_difference,
    exit_command,
    t,
)
from hub.cli.words import say_filter_word, say_value, say_word
from hub.config import ANY, Config, Partner, editing, files, read_config, read_partner_change
from hub.config.editing import Value
from hub.config.writing import write_partner_toml
from hub.domain.errors import ConfigurationFault, Mistake
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.model import DOCUMENTS, Receive
from hub.intake import grants
from hub.intake.grants import NEW_CALLS
from hub.journal import search, unit_registry
from hub.journal.queue import partner_state as partners
from hub.journal.queue.partner_state import PartnerStanding
from hub.language.phrases import Phrase
from hub.node.consistency import find_any_unit_warning, find_partner_mistakes
from hub.partner.policy import write_policy
from hub.security.certificates import hash_certificate
from hub.services.lookups import operations
from hub.store import transactions

#: Special values of --calls and --tells.


def list_partners(screen: Screen) -> None:
    config = read_view_config(screen)
    standings = read_standings(screen, config)
    rows = [list_fields(config, partner, standings) for partner in config.partners.values()]
    if not screen.json:
        rows = [
            row
            | {
                "receive": say_filter_word("receive", row["receive"]),
                "sending": say_standing(standings.get(str(row["code"]))),
            }
            for row in rows
        ]
    titles = {
        "code": t("code"),
        "receive": t("receive"),
        "sending": t("sending"),
        "units": t("units"),
        "name": t("name"),
    }
    screen.table(titles, rows)
    files = (config.path.parent / "partners").glob("*.toml")
    if any(not file.name.startswith(".") and file.stem not in config.partners for file in files):
        exit_command(PARTLY)


def list_fields(config: Config, partner: Partner, standings: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """Return all fields of a partner, as in `--json`."""
    return {
        "code": partner.code,
        "name": partner.name,
        "receive": partner.receive.value,
        "url": partner.url,
        "adapter": partner.adapter,
        "upstream": partner.code == config.upstream,
        "units": list(partner.units),
        "tells": "*" if partner.tells else None,
        "calls": None if partner.calls is None else list(partner.calls),
        "granted": list(grants.list_granted(partner, config)),
        "certificates": [
            {
                "sha256": hash_certificate(certificate),
                "subject": certificate.subject.rfc4514_string(),
                "not_after": certificate.not_valid_after_utc,
            }
            for certificate in partner.certificates
        ],
        "policy": write_policy(partner.policy),
        "standing": standings.get(partner.code),
    }


def say_granted(names: Iterable[str]) -> str:
    """Return what may be called, each with its name: `lookups.VerifyCitizen (citizen verified)`."""
    return ", ".join(f"{each} ({name})" if (name := name_grant(each)) else each for each in names)


def name_grant(granted: str) -> str:
    """Return the name of a service, or of a lookup; of another operation the name of its service; "" if it has none."""
    service, _, operation = granted.partition(".")
    if service == operations.NAME and operation in operations.OPERATIONS:
        return say_word(service, operations.OPERATIONS[operation].milestone)
    name = say_word("service", service)
    return "" if name == service else name


def read_standings(screen: Screen, config: Config) -> dict[str, dict[str, object]]:
    """Return the sending state of each partner that the hub pushes to.

    If the journal cannot be opened, print a note and return nothing.
    """
    try:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            every, under_way = partners.read_partner_standings(tx), partners.count_attempts_under_way(tx)
    except (CommandStop, ConfigurationFault) as error:
        screen.note(t("The journal cannot be read: {error}", error=error))
        return {}
    found: dict[str, dict[str, object]] = {}
    for code in (code for code, partner in config.partners.items() if partner.receive is Receive.PUSH):
        standing = every.get(code, PartnerStanding())
        stands, pause = standing.breaker, standing.pause
        found[code] = {
            "breaker": stands.position.value,
            "failures": stands.failures,
            "opened": stands.opened,
            "until": stands.until,
            "reason": stands.reason,
            "paused": None if pause is None else {"at": pause.at, "by": pause.by, "reason": pause.reason},
            "under_way": under_way.get(code, 0),
        }
    return found


def say_standing(standing: Mapping[str, object] | None) -> str:
    """Return the sending state in a few words."""
    match standing:
        case None:
            return ""
        case {"paused": {"by": by, "reason": reason}}:
            return t("paused by {by}: {reason}", by=by, reason=reason)
        case {"breaker": position, "reason": None | ""}:
            return say_word("breaker", position)
        case {"breaker": position, "reason": reason}:
            return f"{say_word('breaker', position)}: {say_value('reason', reason)}"[:80]
    return ""


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
        said |= {"receive": "fetch" if fetch else "push"} | _url(before, push)

    def text(certificates: tuple[str, ...]) -> str:
        made = before or _begin_file(code, certificates)
        return editing.edit_toml(made, {**({"certificates": certificates} if certificates else {}), **said}, shown)

    places = _places(home, code, before, certificate_files)
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
    contents = {home / place: pem for place, file in places.items() if (pem := _pem(file, home / place))}
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


def grants_command(screen: Screen, codes: tuple[str, ...], propose: bool, since: datetime | None, yes: bool) -> None:
    if (yes or since) and not propose:
        raise click.UsageError(t("--yes and --since go with --propose"))
    config = read_journal_config(screen) if propose else read_view_config(screen)
    for code in codes:
        _ = require_partner(config, code)
    done: dict[str, set[tuple[str, str]]] = {}
    if propose:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            done = search.list_accepted_kinds(tx, since.replace(tzinfo=HANOI) if since else None)
    waiting = 0
    for partner in (config.partners[code] for code in codes or config.partners):
        now = grants.list_granted(partner, config)
        fields: dict[str, object] = {
            "code": partner.code,
            "calls": None if partner.calls is None else list(partner.calls),
            "granted": list(now),
        }
        if not propose:
            why = "" if partner.calls is not None else t(" (by its kind)")
            screen.row(fields, f"{partner.code}: {say_granted(now) or t('nothing')}{why}")
            continue
        own = done.get(partner.code, set())
        if not own:
            screen.row(
                {**fields, "proposed": None, "diff": [], "written": False},
                t("{code}: has sent nothing; no proposal", code=partner.code),
            )
            continue
        wanted = grants.propose_grants(own | ({(DOCUMENTS, "")} if partner.receive is Receive.FETCH else set()), config)
        shown = f"partners/{partner.code}.toml"
        path = config.path.parent / shown
        before = editing.read_text(path, shown)
        after = (
            editing.edit_toml(before, {"calls": wanted}, shown)
            if partner.calls is None or set(wanted) != set(partner.calls)
            else before
        )
        diff = editing.write_difference(before, after, shown)
        kept = editing.replace_file(path, after.encode()) if yes and diff else None
        waiting += bool(diff) and not yes
        gone = [name for name in now if not any(each == name or each.startswith(f"{name}.") for each in wanted)]
        screen.row(
            {
                **fields,
                "proposed": list(wanted),
                "diff": diff,
                "written": kept is not None,
                "kept": str(kept) if kept else None,
            },
            colour_difference(diff) or t("{code}: as proposed", code=partner.code),
        )
        if diff and gone:
            screen.note(
                t(
                    "{code}: may no longer call {gone}; the journal shows no use of them",
                    code=partner.code,
                    gone=say_granted(gone),
                ),
            )
        if kept:
            screen.note(t("Wrote {path}; old file: {kept}", path=path, kept=kept))
    if waiting:
        screen.note(t("Nothing was written; add --yes to write it"))
    elif yes:
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


def _url(before: str, push: str | None) -> dict[str, Value]:
    """Return the change of `url`: the URL to push to, or None to remove a URL that served only for pushing."""
    if push:
        return {"url": push}
    said = tomllib.loads(before) if before else {}
    asked = said.get("lookups") or (isinstance(said.get("policy"), Mapping) and "collect" in said["policy"])
    return {} if asked else {"url": None}


def _places(home: Path, code: str, before: str, files: Iterable[Path]) -> dict[str, Path]:
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


def _pem(file: Path, place: Path) -> bytes | None:
    """Return the certificate in *file* and its chain in PEM; None if *file* is already at *place*."""
    if place.exists() and place.samefile(file):
        return None

    def wrong(what: Phrase, expected: Phrase) -> None:
        raise ConfigurationFault([Mistake(str(file), what, expected)])

    return b"".join(one.public_bytes(Encoding.PEM) for one in files.read_certificate_file(file, wrong))
