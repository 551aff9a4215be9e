"""`lienthong units`: lists the units of the province and their codes, and imports and exports them as CSV."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.screen import EXISTING_FILE, Screen, command, command_group, pass_screen, say_count, t
from hub.cli.units.fetch import fetch_units
from hub.cli.units.merge import merge_units

if TYPE_CHECKING:
    from hub.domain.model import Unit

_outside = click.option("--outside", is_flag=True, help=t("Include agencies outside the province."))
_output = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=t("Write to this file; default standard output."),
)


@command_group(
    "units",
    t("The units of the province: list, import and export as CSV; a sample province."),
)
def manage_units() -> None:
    pass


@command(
    "list",
    t("List the units, their other codes, and the partner that receives for each."),
    "lienthong units list",
    "lienthong units list --json | jq -r 'select(.partner == null).code'",
)
@_outside
@click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d", "%d/%m/%Y"]),
    help=t("As the units are on this day; default today."),
)
@click.option(
    "--known",
    type=click.DateTime(["%Y-%m-%d", "%d/%m/%Y"]),
    help=t("As it was known at the end of this day; default now."),
)
@pass_screen
def list_units(screen: Screen, outside: bool, on: datetime | None, known: datetime | None) -> None:
    from hub.cli.journal import open_journal, read_view_config
    from hub.cli.words import say_word
    from hub.domain.local_time import HANOI, find_local_day
    from hub.journal import unit_registry
    from hub.language.sorting import make_code_sort_key
    from hub.store import transactions
    from hub.units.province import Province

    config = read_view_config(screen)
    day = find_local_day(datetime.now(UTC)) if on is None else on.date()
    until = None if known is None else (known + timedelta(days=1)).replace(tzinfo=HANOI)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        units = unit_registry.list_unit_histories(tx, outside=outside, known=until)
    found = [unit.at(day) for unit in units]
    found.sort(key=lambda unit: make_code_sort_key(unit.code))
    routes = Province.of(config, found).routes
    rows = (
        {
            "code": unit.code,
            "name": unit.name,
            "parent": unit.parent,
            "level": unit.level,
            "kind": unit.kind,
            "since": unit.since,
            "until": unit.until,
            "aliases": list(unit.aliases),
            "successors": list(unit.successors),
            "mark": unit.mark,
            "partner": next((code for code in config.partners if routes.receives(code, unit.code)), None),
        }
        for unit in found
    )
    titles = {
        "code": t("code"),
        "partner": t("partner"),
        "aliases": t("aliases"),
        "since": t("since"),
        "until": t("until"),
        "successors": t("successors"),
        "level": t("level"),
        "kind": t("kind"),
        "mark": t("mark"),
        "name": t("name"),
    }
    words = {"level": "unit-level", "kind": "unit-kind", "mark": "mark"}
    said = ({**row, **{name: say_word(scope, row[name]) for name, scope in words.items()}} for row in rows)
    screen.table(titles, rows if screen.json else said)


@command(
    "export",
    t("Export the units as CSV (UTF-8), which `units import` reads back unchanged."),
    "lienthong units export -o donvi.csv",
)
@_outside
@_output
@pass_screen
def export(screen: Screen, outside: bool, output: Path | None) -> None:
    from hub.cli.journal import open_journal, read_view_config
    from hub.journal import unit_registry
    from hub.store import transactions

    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = unit_registry.list_unit_histories(tx, outside=outside)
    _write(screen, found, output)


@command(
    "seed",
    t(
        "Print the 989 made-up units of a province as CSV: 31 departments, 9 districts, 180 communes …, and "
        "what the mergers of 2025 left of them. The registry is not changed.\n\nEvery name and code is invented and marked synthetic. The "
        "output is the same every time."
    ),
    "lienthong units seed -o mau.csv",
    "lienthong units import mau.csv --dry-run",
)
@_output
@pass_screen
def seed(screen: Screen, output: Path | None) -> None:
    from hub.units import sample_units as seed

    _write(screen, seed.list_sample_units(), output)


def _write(screen: Screen, found: "Sequence[Unit]", output: Path | None) -> None:
    from hub.units import units_csv

    content = units_csv.write_units_csv(found)
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    output.write_bytes(content)
    screen.row(
        {"file": str(output), "units": len(found)},
        t("Wrote {count} units to {output}.", count=say_count(len(found)), output=output),
    )


@command(
    "import",
    t(
        "Import units from a CSV file (UTF-8) with the columns "
        "code,name,parent,since,until,aliases,successors,mark,level,kind,from.\n\nNew units are added at once. If the "
        "file changes existing units, the plan is printed and only --yes runs it. Units that are not in "
        "the file stay as they are. If there is a mistake, nothing is imported. --national reads the "
        "national axis's list of agencies (CSV or JSON with id,pid,code,name)."
    ),
    "lienthong units import donvi.csv --dry-run",
    "lienthong units import donvi.csv --yes",
    "lienthong units import --national getAgenciesList.json",
)
@click.argument("file", type=EXISTING_FILE)
@click.option("--dry-run", is_flag=True, help=t("Only show what would change."))
@click.option("--yes", is_flag=True, help=t("Also change existing units."))
@click.option(
    "--national",
    is_flag=True,
    help=t("The national list of agencies, outside the province."),
)
@pass_screen
def import_units(screen: Screen, file: Path, dry_run: bool, yes: bool, national: bool) -> None:
    from hub.cli.units.plan import write_unit_list

    write_unit_list(screen, file.read_bytes(), file.name, national=national, dry_run=dry_run, yes=yes)


manage_units.add_command(list_units)
manage_units.add_command(export)
manage_units.add_command(import_units)
manage_units.add_command(fetch_units)
manage_units.add_command(merge_units)
manage_units.add_command(seed)
