"""`lienthong partners add CODE --wsdl …`: fetches a WSDL once, keeps its files, and writes the entry and a mapping to fill in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import click

from hub.cli.partner.mapping_skeleton import renew_mapping, write_mapping
from hub.cli.partner.writing import WritingOptions, change_partner
from hub.cli.partner.wsdl_fetch import WsdlFetcher
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, say, say_count, t
from hub.config import Config, read_config
from hub.config.editing import write_edits
from hub.config.files import parse_certificates
from hub.config.partners.partner_edit import PartnerEdit, PartnerExists
from hub.config.urls import find_url_flaw
from hub.node.partner_editor import PartnerEditor
from hub.partner.adapter_settings import MAPPING
from hub.soap.wsdl_fields import DescribedPort, describe_operations, list_ports
from hub.soap.wsdl_gathering import GatheredFile, gather_wsdl
from hub.units.unit_index import UnitIndex

_MAPPING = "mapping.toml"


@attrs.frozen(kw_only=True)
class WsdlOptions:
    """The options of `partners add` about a WSDL."""

    wsdl: str
    operations: tuple[str, ...]
    port: str | None
    url: str | None
    hosts: tuple[str, ...]
    plain: bool
    authorities: tuple[Path, ...]
    as_hub: bool


def add_partner_by_wsdl(
    screen: Screen, code: str, asked: WsdlOptions, *, replace: bool, dry_run: bool, **given: Any
) -> None:
    """Add the partner *code*, or with *replace* lay a new version of its WSDL beside the one in force.

    *given*: the other options of `partners add`.
    """
    if given["fetch"] or given["push"] or given["adapter"]:
        raise click.UsageError(t("--wsdl goes without --fetch, --push and --adapter"))
    config = read_config(screen.config, set_aside=lambda _mistakes: None)
    exists = code in config.partners
    if exists and not replace:
        raise CommandStop(t("the partner {code} exists already; --replace changes it", code=code))
    if replace and not exists:
        raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)
    gathered = _gather_wsdl_files(screen, config, asked)
    contents, port = _write_folder(asked, gathered, _read_mapping(config, code) if exists else None)
    url = asked.url or _find_url(port)
    certificate = b"".join(each.read_bytes() for each in given["certificate_files"]) or None
    assignments = _list_assignments(code, url, certificate, given)

    def plan(editor: PartnerEditor, units: UnitIndex, now: datetime) -> PartnerEdit:
        try:
            return editor.plan_addition(code, assignments, certificate, units, now, contents)
        except PartnerExists as there:
            raise CommandStop(say(there.why)) from None

    if exists:
        _lay_beside(screen, code, contents, dry_run=dry_run)
        return
    change_partner(screen, code, plan, WritingOptions("", dry_run, reload=False), unchanged="")
    if not dry_run:
        _tell_next(screen, code, url, asked.operations or port.operations)


def _lay_beside(screen: Screen, code: str, contents: Mapping[str, bytes], *, dry_run: bool) -> None:
    """Write a new version of the WSDL and its mapping into a folder that nothing uses yet."""
    editor = PartnerEditor(screen.config)
    edit = editor.plan_folder(code, contents)
    folder = edit.files[0].path.parent.name
    if not dry_run:
        _ = write_edits(editor.home, edit.files)
    files = [str(each.path) for each in edit.files]
    screen.row(
        {"code": code, "folder": f"partners/{folder}", "files": files, "written": not dry_run},
        "\n".join(files),
    )
    if dry_run:
        screen.note(t("Nothing was written"))
        return
    screen.note(t("The partner goes on as before. Next:"))
    screen.note(t("1. Bring partners/{folder}/mapping.toml up to date", folder=folder))
    screen.note(
        t(
            "2. `lienthong partners set {code} settings.mapping={folder}/mapping.toml --dry-run` says what does not fit; "
            "--reload instead puts it in force",
            code=code,
            folder=folder,
        )
    )


def _list_assignments(code: str, url: str | None, certificate: bytes | None, given: Mapping[str, Any]) -> list[str]:
    """Return the keys of the partner's file as `KEY=VALUE`. Without a certificate it is called over TLS, not mutual TLS."""
    calls = given["calls"]
    said = {
        "name": given["name"],
        "units": ",".join(given["units"]),
        "tells": "*" if given["tells"] == "*" else None,
        "url": url,
        "adapter": "soap",
        f"settings.{MAPPING}": f"{code}/{_MAPPING}",
        "policy.transport": None if certificate else "tls",
        **{f"policy.{key}": value for key, value in given["policy"].items()},
    }
    granted = [] if calls is None else [f"calls={','.join(calls)}"]
    return [*granted, *(f"{key}={value}" for key, value in said.items() if value)]


def _gather_wsdl_files(screen: Screen, config: Config, asked: WsdlOptions) -> list[GatheredFile]:
    trusted = [*config.authorities]
    for file in asked.authorities:
        try:
            trusted += parse_certificates(file.read_bytes())
        except (OSError, ValueError) as error:
            raise CommandStop(t("{place} cannot be read: {error}", place=file, error=error)) from error
    fetcher = WsdlFetcher(
        asked.wsdl,
        asked.hosts,
        asked.plain,
        trusted,
        config.tls if asked.as_hub else None,
        lambda place, octets: screen.note(
            t("{place}: {count} octets", place=place, count=say_count(octets)),
        ),
    )
    return gather_wsdl(asked.wsdl, fetcher.fetch, lambda path: Path(path).is_file())


def _write_folder(
    asked: WsdlOptions, gathered: list[GatheredFile], before: str | None
) -> tuple[dict[str, bytes], DescribedPort]:
    """Return the files of the folder with its mapping, and the port. *before*: the mapping to bring up to date."""
    files, main = {each.name: each.content for each in gathered}, gathered[0].name
    ports = list_ports(files, main)
    port = next((each for each in ports if asked.port in (None, each.name)), None)
    if port is None:
        names = ", ".join(each.name for each in ports) or "–"
        raise CommandStop(t("the WSDL has no SOAP port {port}; it has {ports}", port=asked.port or "", ports=names))
    if before is not None:
        return {_MAPPING: renew_mapping(before, files, main).encode(), **files}, port
    wanted = asked.operations or (port.operations if len(port.operations) == 1 else ())
    unknown = [each for each in wanted if each not in port.operations]
    if unknown or not wanted:
        names = ", ".join(port.operations)
        raise click.UsageError(
            t("there is no operation {name}; there are {names}", name=unknown[0], names=names)
            if unknown
            else t("choose with --operation what is called to deliver a message: {names}", names=names)
        )
    described = describe_operations(files, main, port.service, port.name, wanted)
    text = write_mapping(files, main, asked.wsdl, port, ports, described)
    return {_MAPPING: text.encode(), **files}, port


def _read_mapping(config: Config, code: str) -> str | None:
    """Return the mapping in force; None if the partner has none."""
    partner = config.partners[code]
    if not partner.files:
        return None
    return next(iter(partner.files.values())).decode()


def _find_url(port: DescribedPort) -> str | None:
    """Return the address in the WSDL, if a partner may have it: toolkits write placeholders and localhost there."""
    return None if find_url_flaw(port.address, ("https",)) else port.address


def _tell_next(screen: Screen, code: str, url: str | None, operations: Sequence[str]) -> None:
    screen.note(t("Next:"))
    screen.note(t("1. Fill in partners/{code}/mapping.toml", code=code))
    if url is None:
        screen.note(t("   The WSDL has no usable address: `lienthong partners set {code} url=https://…`", code=code))
    screen.note(t("2. `lienthong check` says what is not mapped"))
    screen.note(
        t("3. `lienthong call {code} {operation} --dry-run` shows a request", code=code, operation=operations[0])
    )
    screen.note(t("4. `lienthong partners set {code} receive=push --reload` puts it in force", code=code))
