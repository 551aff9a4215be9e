"""The commands of `hub/cli/units`: names, help and options. What runs stands in the module each names."""

from pathlib import Path

import click

from hub.cli.screen import EXISTING_FILE, command, command_group, t
from hub.units.deeds import Estate

fetch_units = command(
    "fetch",
    t(
        "Ask the national axis for its list of all agencies (getAgenciesList) and import it like `units "
        "import --national`, or write it to a file.\n\nThe partner's adapter must support this list (vxp)."
    ),
    "lienthong units fetch --from vpcp --dry-run",
    "lienthong units fetch --from vpcp --yes",
    "lienthong units fetch --from vpcp -o getAgenciesList.json",
    runs="hub.cli.units.fetch:fetch_units",
    options=(
        click.option("--from", "partner", required=True, metavar="PARTNER", help=t("The partner.")),
        click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            help=t("Write to this file and import nothing."),
        ),
        click.option("--dry-run", is_flag=True, help=t("Only show what would change.")),
        click.option("--yes", is_flag=True, help=t("Also change existing agencies.")),
        click.option(
            "--timeout",
            default=300.0,
            show_default=True,
            help=t("Seconds to wait for the answer."),
        ),
    ),
)


merge_units = command(
    "merge",
    t(
        "Record that the units OLD end on a day and that others continue their work: a merger, or with several "
        "--into a split, of which the first is the main successor and --share says which dossiers go to which. With --part "
        "the units go on, and only the dossiers pass that --share names, from that day on.\n\n--plan shows what is touched, and what goes to "
        "whom, and writes nothing: documents on their way and in hand, dossiers in hand, mail accounts, partners, accounts and officials. Successors are "
        "imported before. Rights of systems and people are handed over only with --what partners and --what officials. "
        "Without OLD, the recorded deeds are listed. --undo undoes one, and gives back what is open of the work."
    ),
    "lienthong units merge H55.41 H55.42 --into H55.43 --on 2026-07-01 --plan",
    "lienthong units merge H55.41 H55.42 --into H55.43 --on 2026-07-01 --reference '1683/NQ-UBTVQH15'",
    "lienthong units merge H55.44 --into H55.45 --on 2026-07-01 --what documents --what partners",
    "lienthong units merge H55.41 --into H55.43 --into H55.45 --on 2026-07-01 --share H55.45:field=TP-HT",
    "lienthong units merge H55.41 H55.42 --part --into H55.47 --on 2026-07-01 --share H55.47:field=TP-HT",
    "lienthong units merge --undo 019f2c1a-7c1e-7000-8000-3f1f0e1d2c3b",
    runs="hub.cli.units.merge:merge_units",
    options=(
        click.argument("old", nargs=-1),
        click.option(
            "--into", "new", multiple=True, metavar="NEW", help=t("A unit that continues the work; repeatable.")
        ),
        click.option(
            "--on",
            "day",
            type=click.DateTime(["%Y-%m-%d", "%d/%m/%Y"]),
            help=t("The first day on which the units OLD no longer are, or no longer have the part."),
        ),
        click.option(
            "--part", is_flag=True, help=t("The units OLD go on; NEW continue the dossiers that --share names.")
        ),
        click.option("--plan", is_flag=True, help=t("Only show what is touched.")),
        click.option(
            "--what",
            type=click.Choice([str(estate) for estate in Estate]),
            multiple=True,
            help=t("A part of the work that is handed over; repeatable. Default: documents, dossiers, mail."),
        ),
        click.option(
            "--share",
            multiple=True,
            metavar="NEW:KIND=VALUE",
            help=t(
                "Dossiers that go to NEW: those with this field, procedure or competent unit, or with a code in a file (keys=FILE, "
                "one a line). Repeatable: the first rule that fits decides, and what none fits goes to the main successor, or with "
                "--part stays."
            ),
        ),
        click.option("--reference", default="", metavar="TEXT", help=t("The number of the decision.")),
        click.option("--yes", is_flag=True, help=t("Record without asking.")),
        click.option("--undo", metavar="ID", help=t("Undo this deed.")),
    ),
)


_outside = click.option("--outside", is_flag=True, help=t("Include agencies outside the province."))

_output = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=t("Write to this file; default standard output."),
)

list_units = command(
    "list",
    t("List the units, their other codes, and the partner that receives for each."),
    "lienthong units list",
    "lienthong units list --json | jq -r 'select(.partner == null).code'",
    runs="hub.cli.units.units:list_units",
    options=(
        _outside,
        click.option(
            "--on",
            type=click.DateTime(["%Y-%m-%d", "%d/%m/%Y"]),
            help=t("As the units are on this day; default today."),
        ),
        click.option(
            "--known",
            type=click.DateTime(["%Y-%m-%d", "%d/%m/%Y"]),
            help=t("As it was known at the end of this day; default now."),
        ),
    ),
)

export = command(
    "export",
    t("Export the units as CSV (UTF-8), which `units import` reads back unchanged."),
    "lienthong units export -o donvi.csv",
    runs="hub.cli.units.units:export",
    options=(_outside, _output),
)

write_sample_units = command(
    "seed",
    t(
        "Print the 989 made-up units of a province as CSV: 31 departments, 9 districts, 180 communes …, and "
        "what the mergers of 2025 left of them. The registry is not changed.\n\nEvery name and code is invented and marked synthetic. The "
        "output is the same every time."
    ),
    "lienthong units seed -o mau.csv",
    "lienthong units import mau.csv --dry-run",
    runs="hub.cli.units.units:write_sample_units",
    options=(_output,),
)

import_units = command(
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
    runs="hub.cli.units.units:import_units",
    options=(
        click.argument("file", type=EXISTING_FILE),
        click.option("--dry-run", is_flag=True, help=t("Only show what would change.")),
        click.option("--yes", is_flag=True, help=t("Also change existing units.")),
        click.option(
            "--national",
            is_flag=True,
            help=t("The national list of agencies, outside the province."),
        ),
    ),
)

manage_units = command_group(
    "units",
    t("The units of the province: list, import and export as CSV; a sample province."),
    commands=(list_units, export, import_units, fetch_units, merge_units, write_sample_units),
)
