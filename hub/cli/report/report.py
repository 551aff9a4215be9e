"""`lienthong report`: a table of the commands for workload reports, and the two short forms.

Contains the names of the commands, old and new, and what replaces an old option.
"""

import click

from hub.cli.report.commands import SHOW_OPTIONS, show_report
from hub.cli.screen import USAGE, CommandGroup, CommandStop, command, command_group, t
from hub.language.phrases import phrase

#: name -> (`module:attribute`, description in Vietnamese, in English), in the order of a report's life.
COMMANDS = {
    "show": ("hub.cli.report.commands:show_report", phrase("Show a unit's report, or export it")),
    "facts": (
        "hub.cli.report.commands:show_facts",
        phrase("The facts behind a report, or all facts"),
    ),
    "template": (
        "hub.cli.report.commands:write_template",
        phrase("Write the XLSX template for a unit's declaration"),
    ),
    "declare": (
        "hub.cli.report.commands:declare_figures",
        phrase("Record the figures that a unit declares"),
    ),
    "reconcile": (
        "hub.cli.report.commands:show_reconciliation",
        phrase("Compare a unit's declaration with the hub's count"),
    ),
    "close": (
        "hub.cli.report.commands:close_period",
        phrase("Close the months of an ended period"),
    ),
    "periods": (
        "hub.cli.report.commands:list_periods",
        phrase("List closed periods, and when each was closed"),
    ),
    "import-signed": (
        "hub.cli.report.commands:import_signed",
        phrase("Import the XML report that an official has signed"),
    ),
    "state": (
        "hub.cli.report.commands:show_state",
        phrase("State of a report: closed, signed, submitted, accepted"),
    ),
    "round": ("hub.cli.report.commands:show_round", phrase("How the reports of all units stand")),
    "give-out": ("hub.cli.report.commands:give_out_reports", phrase("Give out the reports of many units to be signed")),
    "remind": ("hub.cli.report.commands:remind_units", phrase("Remind units by mail of reports not handed in")),
    "collect": ("hub.cli.report.commands:collect_reports", phrase("Take in the signed reports of many units")),
    "hand-in": ("hub.cli.report.commands:hand_in_reports", phrase("Submit the reports of many units to a partner")),
    "submit": (
        "hub.cli.report.commands:submit_report",
        phrase("Submit a report to a partner"),
    ),
    "publish": ("hub.cli.report.commands:publish_report", phrase("Publish a report")),
    "glance": (
        "hub.cli.report.commands:show_glance",
        phrase("Rank all units of a class, with trend and change"),
    ),
    "rules": (
        "hub.cli.report.commands:write_rules",
        phrase("Write a form's rules as Schematron or JSON Schema"),
    ),
    "validate": (
        "hub.cli.report.commands:validate_file",
        phrase("Test whether the cells of anyone's report agree"),
    ),
}

#: Option of `lienthong report` before it had commands -> the command that replaces it.
MOVED = {
    "--template": "template UNIT PERIOD -o FILE",
    "--declare": "declare UNIT PERIOD FILE",
    "--reconcile": "reconcile UNIT PERIOD",
    "--close": "close PERIOD",
    "--periods": "periods",
    "--signed": "import-signed UNIT PERIOD FILE",
    "--state": "state UNIT PERIOD",
    "--submit": "submit UNIT PERIOD PARTNER",
    "--publish": "publish UNIT PERIOD --reason TEXT",
}

_SHORT = ""  #: stands for the missing name of a command


class _Reports(CommandGroup):
    """Treats arguments that begin with no command's name as the short form of `show` or `facts`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = _skip_common_options(args)
        if at < len(args) and args[at] not in {*self.list_commands(ctx), *self.get_help_option_names(ctx)}:
            args = [*args[:at], _SHORT, *args[at:]]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == _SHORT:
            return "show", show_short_form, args[1:]
        return super().resolve_command(ctx, args)


def _skip_common_options(args: list[str]) -> int:
    """Return the index of the first argument after `-c FILE` and `--json`."""
    at = 0
    while at < len(args):
        if args[at] in ("-c", "--config"):
            at += 2
        elif args[at] == "--json" or args[at].startswith(("-c", "--config=")):
            at += 1
        else:
            break
    return at


report_workload = command_group(
    "report",
    t(
        "The workload reports of the units: shown, declared and reconciled, closed, signed, submitted, "
        "published.\n\n`lienthong report UNIT PERIOD` is short for `report show`, `lienthong report "
        "--facts` for `report facts`."
    ),
    "lienthong report H55.01 2026-12",
    "lienthong report close 2026-12",
    "lienthong report submit H55 2026-12 baocao",
    "lienthong report submit --help",
    cls=_Reports,
    table=COMMANDS,
)


show_short_form = command(
    "show",
    "",
    runs="hub.cli.report.show:show_short_form",
    options=(
        click.argument("unit", required=False),
        click.argument("period", required=False),
        *SHOW_OPTIONS,
        click.option("--facts", "only_facts", is_flag=True, help=t("The facts, like report facts.")),
    ),
)
show_short_form.help, show_short_form.epilog = show_report.help, show_report.epilog


def _name_successor(_context: click.Context, option: click.Parameter, value: str | None) -> None:
    """Refuse an option that is now a command, and name the command. Raises `CommandStop`."""
    if value is not None:
        old, new = option.opts[0], MOVED[option.opts[0]]
        raise CommandStop(t("{old} is a command now: lienthong report {new}", old=old, new=new), USAGE)


show_short_form.params += [
    click.Option(
        [name], is_flag=False, flag_value="", is_eager=True, hidden=True, expose_value=False, callback=_name_successor
    )
    for name in MOVED
]
