"""The commands of `hub/cli/report`: names, help and options. What runs stands in the module each names."""

from pathlib import Path

import click

from hub.cli.report.arguments import PERIODS, REPORT_ARGUMENTS, every_form_option, form_option
from hub.cli.screen import EXISTING_FILE, command, t

ROUND_STEPS = ("running", "month-open", "ready", "closed", "drafted", "signed", "submitted", "accepted", "returned")

DECLARED_STATES = ("undeclared", "declared", "declared-equal", "declared-differing")

#: Add the options that choose units of a round. They are passed on to `read_chosen_round`.
UNIT_OPTIONS = (
    click.option("--unit", "units", multiple=True, metavar="UNIT", help=t("Only this unit; may be repeated.")),
    click.option("--below", default="", metavar="UNIT", help=t("Only this unit and those below it.")),
    click.option("--level", "levels", multiple=True, help=t("Only units of this level; may be repeated.")),
    click.option("--kind", "kinds", multiple=True, help=t("Only units of this kind; may be repeated.")),
    click.option(
        "--step",
        "steps",
        multiple=True,
        type=click.Choice(ROUND_STEPS),
        help=t("Only units whose report is at this step; may be repeated."),
    ),
    click.option(
        "--declared",
        multiple=True,
        type=click.Choice(DECLARED_STATES),
        help=t("Only units whose declaration stands so; may be repeated."),
    ),
)

close_period = command(
    "close",
    t(
        "Close the months of an ended period. A month that is closed already is counted again, and "
        "units whose numbers differ get a revision. Figures that are far from those of the months before are told "
        "before a month is closed.\n\n{periods} Without --form: for every form.",
        periods=PERIODS,
    ),
    "lienthong report close 2026-12",
    "lienthong report close 2026-12 --plan",
    'lienthong report close 2026-12 --form dossiers --reason "tìm thấy trong nhật ký"',
    runs="hub.cli.report.closing:close_period",
    options=(
        click.argument("period"),
        every_form_option,
        click.option("--reason", default="", help=t("Reason for revisions; recorded.")),
        click.option("--plan", "planned", is_flag=True, help=t("Count, tell what is unusual, and close nothing.")),
    ),
)

list_periods = command(
    "periods",
    t("List the closed months and the open one, of one form or of every form."),
    "lienthong report periods --form dossiers",
    "lienthong report periods --json",
    runs="hub.cli.report.closing:list_periods",
    options=(every_form_option,),
)


write_template = command(
    "template",
    t("Write the XLSX template in which a unit declares its figures.\n\n{periods}", periods=PERIODS),
    "lienthong report template H55.13 2026-12 -o mau.xlsx",
    "lienthong report template H55.13 2026-12 --form dossiers -o mau.xlsx",
    runs="hub.cli.report.declared:write_template",
    options=(
        *REPORT_ARGUMENTS,
        click.option(
            "-o",
            "--output",
            required=True,
            type=click.Path(dir_okay=False, path_type=Path),
            help=t("The file to write."),
        ),
    ),
)

declare_figures = command(
    "declare",
    t(
        "Record what a unit declares by a workbook (.xlsx, .xls): the template that it has filled in, or the workbook of "
        "the paper form, of a unit or of a whole province. A folder has a workbook of each unit, called by its code or "
        "name. The journal names the user who runs the command.\n\n{periods} `lienthong report template` writes the "
        "template.",
        periods=PERIODS,
    ),
    "lienthong report declare H55.13 2026-12 mau.xlsx",
    "lienthong report declare H55 2026-12 --form ii06a bieu-toan-tinh.xls",
    "lienthong report declare H55 2026-12 --form ii06a --each bieu-toan-tinh.xls",
    "lienthong report declare H55 2026-12 --form btp07a thang-12/",
    runs="hub.cli.report.declared:declare_figures",
    options=(
        *REPORT_ARGUMENTS,
        click.option(
            "--each",
            "apart",
            is_flag=True,
            help=t("Record the rows of the file as a declaration of each unit for itself. Interrupted, type it again."),
        ),
        click.argument("file", type=click.Path(exists=True, path_type=Path)),
    ),
)

show_reconciliation = command(
    "reconcile",
    t(
        "Compare a unit's newest declaration with the hub's count, cell by cell. Cells that differ come "
        "first, each with the command that shows its messages.\n\n{periods}",
        periods=PERIODS,
    ),
    "lienthong report reconcile H55.13 2026-12",
    "lienthong report reconcile H55.13 2026-12 --json | jq 'select(.verdict == \"differs\")'",
    runs="hub.cli.report.declared:show_reconciliation",
    options=(*REPORT_ARGUMENTS,),
)


show_glance = command(
    "glance",
    t(
        "The units of a class beside one another: ranked by an indicator, with the change since the period before, the "
        "trend of twelve periods, the target, and what is far from the others.\n\n{periods} Closed periods are read as "
        "they were closed. A running one is as counted in the night before; the time is said. --by takes the key of an "
        "indicator or of a column of the form.",
        periods=PERIODS,
    ),
    "lienthong report glance ii06a 2026-11",
    "lienthong report glance edoc 2026-11 --class communes --by overdue",
    "lienthong report glance edoc 2026-Q4 --under H55.13 --format csv -o don-vi.csv",
    runs="hub.cli.report.glance:show_glance",
    options=(
        click.argument("form"),
        click.argument("period"),
        click.option("--by", "indicator", default="", metavar="KEY", help=t("The indicator; default: the first.")),
        click.option(
            "--class", "of_class", default="", metavar="KEY", help=t("The class of units; default: the first.")
        ),
        click.option(
            "--under", default="", metavar="CODE", help=t("Compare the units directly below this one instead.")
        ),
        click.option(
            "--format",
            "kind",
            type=click.Choice(["csv", "json", "pdf", "xlsx"]),
            help=t("Write a file of that format."),
        ),
        click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=t("Write to this file.")),
    ),
)


_plan_option = click.option("--plan", "planned", is_flag=True, help=t("Say what would be done, and do nothing."))

give_out_reports = command(
    "give-out",
    t(
        "Give out the reports of many units to be signed: one file for each unit, in a folder or a ZIP. From then on "
        "these revisions do not change. A unit whose report is given out already gets the same file again.\n\n{periods}",
        periods=PERIODS,
    ),
    "lienthong report give-out ii06a 2026-12 -o ky/ --plan",
    "lienthong report give-out ii06a 2026-12 -o ky.zip --below H55.13",
    'lienthong report give-out ii06a 2026-12 -o ky/ --step returned --reason "bị trả lại"',
    runs="hub.cli.report.many:give_out_reports",
    options=(
        click.argument("form"),
        click.argument("period"),
        click.option(
            "-o", "--output", type=click.Path(path_type=Path), required=True, help=t("A folder, or a file .zip.")
        ),
        click.option("--reason", default="", help=t("Reason for new revisions of returned reports; recorded.")),
        *UNIT_OPTIONS,
        _plan_option,
    ),
)

hand_in_reports = command(
    "hand-in",
    t(
        "Submit the reports of many units to the partner PARTNER, each as it was signed. What was submitted already is "
        "not sent again.\n\n{periods}",
        periods=PERIODS,
    ),
    "lienthong report hand-in ii06a 2026-12 baocao --plan",
    "lienthong report hand-in ii06a 2026-12 baocao --step signed",
    runs="hub.cli.report.many:hand_in_reports",
    options=(
        click.argument("form"),
        click.argument("period"),
        click.argument("partner"),
        *UNIT_OPTIONS,
        _plan_option,
    ),
)

collect_reports = command(
    "collect",
    t(
        "Take in the signed reports of many units at once: files, folders and ZIPs with signed XML or PDF. Each file is "
        "judged for itself, and the refusal of one keeps no other. The unit is read from the file; of a PDF, from "
        "its name FORM_UNIT_PERIOD….\n\n{periods}",
        periods=PERIODS,
    ),
    "lienthong report collect ii06a 2026-12 da-ky/ --plan",
    "lienthong report collect ii06a 2026-12 da-ky.zip",
    runs="hub.cli.report.many:collect_reports",
    options=(
        click.argument("form"),
        click.argument("period"),
        click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)),
        _plan_option,
    ),
)

remind_units = command(
    "remind",
    t(
        "Remind units by mail of reports that they have not handed in: those that are chosen, each at its address of "
        "[alerts] in hub.toml, or at that of the nearest unit above it. A running hub sends the mails within a minute, "
        "at most one to a unit of this form and period on a day.\n\n{periods}",
        periods=PERIODS,
    ),
    "lienthong report remind ii06a 2026-12 --plan",
    "lienthong report remind ii06a 2026-12 --step ready --step closed",
    runs="hub.cli.report.many:remind_units",
    options=(click.argument("form"), click.argument("period"), *UNIT_OPTIONS, _plan_option),
)


show_round = command(
    "round",
    t(
        "How the report of each unit stands: open, declared, given out, signed, submitted, accepted or returned, and the "
        "days that are left. Declared figures are compared once the period is closed.\n\n{periods}",
        periods=PERIODS,
    ),
    "lienthong report round edoc 2026-12",
    "lienthong report round ii06a 2026-12 --below H55.13 --step ready --step returned",
    "lienthong report round ii06a 2026-12 --json",
    runs="hub.cli.report.round_state:show_round",
    options=(click.argument("form"), click.argument("period"), *UNIT_OPTIONS),
)


#: Add the options of `report show` to a command.
SHOW_OPTIONS = (
    form_option,
    click.option(
        "--format",
        "kind",
        type=click.Choice(["csv", "html", "json", "paper", "pdf", "xlsx", "xml"]),
        help=t("The format; default csv. paper: the workbook of the paper form."),
    ),
    click.option(
        "-o",
        "--output",
        type=click.Path(dir_okay=False, path_type=Path),
        help=t("Write to this file."),
    ),
    click.option(
        "--charts",
        "charted",
        is_flag=True,
        help=t(
            "Include charts (html, pdf, xlsx); this counts earlier periods too.",
        ),
    ),
    click.option("--explain", metavar="COLUMN", help=t("The messages behind a column.")),
    click.option(
        "--unit",
        "row",
        metavar="CODE",
        help=t("With --explain: only the row of this unit."),
    ),
    click.option(
        "--row",
        "divided",
        metavar="VALUE",
        help=t("With --explain: only the row of this value, such as a field; of two values joined by |."),
    ),
    click.option(
        "--rows",
        "by",
        type=click.Choice(["unit", "principal"]),
        help=t(
            "A row for each unit, or for each department and commune with the units below it; default: as the form says."
        ),
    ),
    click.option(
        "--open",
        "opened",
        metavar="CODE",
        help=t("The units that the row of this department or commune sums up; with --explain: the messages behind it."),
    ),
    click.option(
        "--revision",
        type=click.IntRange(min=1),
        help=t("Show a closed report as it was in this revision (csv, html, json)."),
    ),
    click.option(
        "--reason",
        default="",
        help=t(
            "With --format xml: reason for a new revision; recorded.",
        ),
    ),
)


show_report = command(
    "show",
    t(
        "The workload report of a unit (and of the units below it) for a period.\n\n{periods} --explain "
        "COLUMN lists exactly the messages behind a number. --format xml of an ended period is the "
        "document to sign: the same octets each time. --format pdf and html of a report that was given out show its "
        "newest revision, with its number, state and signatures.",
        periods=PERIODS,
    ),
    "lienthong report show H55.01 2026-12 --format html -o baocao.html",
    "lienthong report show H55.01 2026-12 --format xlsx -o baocao.xlsx",
    "lienthong report show H55.01 2026-12 --format pdf --charts -o baocao.pdf",
    "lienthong report show H55 2026-Q4 --explain received",
    "lienthong report show H55 2026-Q4 --explain received --unit H55.13",
    "lienthong report show H55.13 2026-12 --form ii06a --explain received --row TP-HT",
    "lienthong report show H55 2026-12 --form tonghop --rows principal",
    "lienthong report show H55 2026-12 --form ii06a --open H55.13 --explain received",
    "lienthong report show H55 2026-12 --format xml -o bao-cao.xml",
    'lienthong report show H55 2026-12 --format xml --reason "bị trả lại" -o bao-cao.xml',
    runs="hub.cli.report.show:show_report",
    options=(click.argument("unit"), click.argument("period"), *SHOW_OPTIONS),
)

show_facts = command(
    "facts",
    t("List all facts behind a report; without UNIT and PERIOD: all facts.\n\n{periods}", periods=PERIODS),
    "lienthong report facts H55.13 2026-12 --form dossiers",
    "lienthong report facts --json",
    runs="hub.cli.report.show:show_facts",
    options=(click.argument("unit", required=False), click.argument("period", required=False), form_option),
)


import_signed = command(
    "import-signed",
    t(
        "Import the XML report that an official has signed. Prints who signed it, or why it is "
        "refused.\n\n{periods} `lienthong report show UNIT PERIOD --format xml` writes the document to "
        "sign; where two persons sign, after the first signature the document with it.",
        periods=PERIODS,
    ),
    "lienthong report import-signed H55 2026-12 bao-cao.signed.xml",
    runs="hub.cli.report.signed:import_signed",
    options=(*REPORT_ARGUMENTS, click.argument("file", type=EXISTING_FILE)),
)

show_state = command(
    "state",
    t(
        "The state of each revision of a report: when it was closed, who signed it, when it was "
        "submitted, and the recipient's answer with its reasons.\n\n{periods}",
        periods=PERIODS,
    ),
    "lienthong report state H55 2026-12",
    runs="hub.cli.report.signed:show_state",
    options=(*REPORT_ARGUMENTS,),
)


submit_report = command(
    "submit",
    t(
        "Submit the report of an ended period to the partner PARTNER. A signed report is submitted "
        "exactly as signed.\n\n{periods} If the numbers differ from the existing revision, --reason is "
        "needed.",
        periods=PERIODS,
    ),
    "lienthong report submit H55 2026-12 baocao",
    'lienthong report submit H55 2026-12 baocao --form dossiers --reason "bị trả lại"',
    runs="hub.cli.report.submitting:submit_report",
    options=(
        *REPORT_ARGUMENTS,
        click.argument("partner"),
        click.option("--reason", default="", help=t("Reason for a new revision; recorded.")),
    ),
)

publish_report = command(
    "publish",
    t("Publish the report of an ended period.\n\n{periods}", periods=PERIODS),
    'lienthong report publish H55 2026-12 --reason "CV 123/UBND"',
    runs="hub.cli.report.submitting:publish_report",
    options=(*REPORT_ARGUMENTS, click.option("--reason", required=True, help=t("Reason; recorded."))),
)


write_rules = command(
    "rules",
    t(
        "Write the rules of a form that a receiver can run: as Schematron for the sealed XML, or as JSON Schema for the "
        "JSON report, which says the shape only. The admin port serves both at /contracts/report/."
    ),
    "lienthong report rules ii06a --schematron > ii06a.sch",
    "lienthong report rules ii06a --json-schema > ii06a.schema.json",
    runs="hub.cli.report.validating:write_rules",
    options=(
        click.argument("form"),
        click.option(
            "--schematron", "kind", flag_value="schematron", default="schematron", help=t("Schematron; the default.")
        ),
        click.option("--json-schema", "kind", flag_value="json-schema", help=t("JSON Schema 2020-12.")),
        click.option("--period", metavar="PERIOD", help=t("The version in force in that period; default: the newest.")),
    ),
)

validate_file = command(
    "validate",
    t(
        "Test whether the cells of a report agree: the sealed XML or the JSON of anyone. Names each cell that does not "
        "hold. No seal or signature is verified, and nothing is counted again.\n\nThe forms are those of the "
        "configuration, or those shipped where there is no configuration file."
    ),
    "lienthong report validate bao-cao.xml",
    "lienthong --json report validate bao-cao.json",
    runs="hub.cli.report.validating:validate_file",
    options=(click.argument("file", type=EXISTING_FILE),),
)
