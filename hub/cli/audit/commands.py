"""The commands of `hub/cli/audit`: names, help and options. What runs stands in the module each names."""

from pathlib import Path

import click

from hub.cli.screen import EXISTING_FILE, WholeNumber, command, command_group, t

_archive_name = click.argument("archive", metavar="ARCHIVE")

list_archive_files = command(
    "list",
    t("List the archive files, newest first: their month, what is in them, and whether they are there."),
    "lienthong archive list",
    "lienthong archive list --json",
    runs="hub.cli.audit.archive:list_archive_files",
    options=(
        click.option("--limit", type=WholeNumber(1), default=50, show_default=True, help=t("Maximum number.")),
        click.option(
            "--before", metavar="ID", help=t("Continue behind the archive with this id, the last one of a page.")
        ),
    ),
)

verify_archive_files = command(
    "verify",
    t(
        "Verify archive files: whether each is the one that was written, is sealed by the hub, and whole. Without ARCHIVE: "
        "all of them, and what other files in the folder hold.\n\nExits 1 if a file is absent, is another one, or anything "
        "in it is false. `lienthong verify FILE` does the same without the hub."
    ),
    "lienthong archive verify",
    "lienthong archive verify archive-2026-08-0193….zip",
    runs="hub.cli.audit.archive:verify_archive_files",
    options=(click.argument("archives", nargs=-1, metavar="[ARCHIVE]..."),),
)

show_archive_file = command(
    "show",
    t(
        "Show what is in an archive file: its manifest, with --messages a line for each message, with --events each event "
        "that is of none of them: the refused calls."
    ),
    "lienthong archive show archive-2026-08-0193….zip",
    "lienthong archive show 0193… --messages --json",
    "lienthong archive show 0193… --events",
    runs="hub.cli.audit.archive:show_archive_file",
    options=(
        _archive_name,
        click.option("--messages", "listed", is_flag=True, help=t("Also each message.")),
        click.option("--events", "others", is_flag=True, help=t("Also each event of no message.")),
    ),
)

extract_message = command(
    "extract",
    t(
        "Write one message of an archive file into the folder DIR: its octets as they arrived, its receipt, and its line "
        "with all rows and events as JSON. MESSAGE is the hub's id."
    ),
    "lienthong archive extract archive-2026-08-0193….zip 0193… thu-muc",
    runs="hub.cli.audit.archive:extract_message",
    options=(
        _archive_name,
        click.argument("message", metavar="MESSAGE"),
        click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path)),
    ),
)

give_up_archive_file = command(
    "give-up",
    t(
        "Give up an archive file that is lost or damaged before all that is in it has gone, so that its month goes on. "
        "Look for a copy first.\n\nIf nothing has gone with it, all of it is still in the journal and goes into another "
        "file. If some has gone, only this file has that: the rest goes into another one, and the journal goes on naming "
        "this one. Without --yes the command only says which it is. Exits 1 if the file is whole or all of it has gone."
    ),
    "lienthong archive give-up archive-2026-08-0193….zip --reason 'hong dia'",
    "lienthong archive give-up archive-2026-08-0193….zip --reason 'hong dia' --yes",
    runs="hub.cli.audit.archive:give_up_archive_file",
    options=(
        _archive_name,
        click.option("--reason", required=True, help=t("Why; it is recorded.")),
        click.option("--yes", is_flag=True, help=t("Do it.")),
    ),
)

archive = command_group(
    "archive",
    t(
        "Archive files: what the hub has let go of, month by month, in sealed files.\n\nARCHIVE is the id or the name of a "
        "file, as `lienthong archive list` shows it. A file may be moved away; put it back into the folder of [archive] to "
        "read it. `lienthong show`, `trace`, `compare` and `replay` read it by themselves."
    ),
    "lienthong archive list",
    "lienthong archive verify",
    commands=(list_archive_files, verify_archive_files, show_archive_file, extract_message, give_up_archive_file),
)


_FOLDER = click.Path(file_okay=False, path_type=Path)

_DAY = click.DateTime(["%Y-%m-%d"])

plan_drill = command(
    "plan",
    t(
        "Draw a drill into the folder DIR: the plan with every message, the units to import, and, without --key, the "
        "inspector's own key and certificate.\n\nThe same seed, day and key give the same plan. It is for the month of "
        "reports that contains the day; send it before that month ends."
    ),
    "lienthong audit plan dien-tap --province H55",
    "lienthong audit plan dien-tap --province H55 --seed 20261128 --key thanhtra.key --certificate thanhtra.crt",
    runs="hub.cli.audit.audit:plan_drill",
    options=(
        click.argument("directory", metavar="DIR", type=_FOLDER),
        click.option("--province", required=True, metavar="CODE", help=t("The code of the province, such as H55.")),
        click.option(
            "--seed", type=click.IntRange(0), help=t("The number that the drill is drawn from; default a random one.")
        ),
        click.option("--today", type=_DAY, help=t("The day for which it is drawn; default today.")),
        click.option(
            "--cut-off",
            type=click.IntRange(1, 28),
            default=15,
            show_default=True,
            help=t("The day on which the province's months of reports begin; 1: calendar months."),
        ),
        click.option(
            "--day-off",
            "days_off",
            type=_DAY,
            multiple=True,
            help=t("A holiday of the province that this program does not know."),
        ),
        click.option(
            "--service",
            "services",
            metavar="SERVICE",
            multiple=True,
            help=t("Only this service; default documents, meetings, incidents, dossiers, mail and work."),
        ),
        click.option("--key", type=EXISTING_FILE, help=t("Private key (PEM).")),
        click.option("--certificate", type=EXISTING_FILE, help=t("Certificate (PEM).")),
    ),
)


#: Add the options that say where the hub is and who calls.
_DOOR_OPTIONS = (
    click.option("--url", required=True, metavar="URL", help=t("Address of the hub: https://HOST:PORT.")),
    click.option("--ca", required=True, type=EXISTING_FILE, help=t("The hub's CA (PEM).")),
    click.option("--key", type=EXISTING_FILE, help=t("Private key (PEM); default inspector.key in DIR.")),
    click.option("--certificate", type=EXISTING_FILE, help=t("Certificate (PEM); default inspector.crt in DIR.")),
    click.option(
        "--hub-certificate",
        type=EXISTING_FILE,
        help=t("The certificate with which the hub signs (PEM), if it differs from its TLS certificate."),
    ),
    click.option("--timeout", default=60.0, show_default=True, help=t("Seconds to wait for one call.")),
)


send_drill = command(
    "send",
    t(
        "Send the drill in DIR to the hub, step by step, as signed SOAP calls over TLS.\n\nEach answer is noted before the "
        "next step. An interrupted drill goes on where it stopped when the command is given again. Exits 69 if the hub does "
        "not answer."
    ),
    "lienthong audit send dien-tap --url https://truc.example.vn:8443 --ca ca.crt",
    runs="hub.cli.audit.audit:send_drill",
    options=(click.argument("directory", metavar="DIR", type=_FOLDER), *_DOOR_OPTIONS),
)

reconcile_drill_reports = command(
    "reconcile",
    t(
        "Fetch the hub's sealed reports of the test units, compare them with the plan, and write the signed protocol.\n\n"
        "Each difference names its cell, both numbers and the messages. Exits 0 if everything is equal, 1 if anything "
        "differs."
    ),
    "lienthong audit reconcile dien-tap --url https://truc.example.vn:8443 --ca ca.crt",
    runs="hub.cli.audit.audit:reconcile_drill_reports",
    options=(click.argument("directory", metavar="DIR", type=_FOLDER), *_DOOR_OPTIONS),
)

audit = command_group(
    "audit",
    t(
        "An inspector's drill: messages drawn from a seed under test units, sent like those of every system, and the hub's "
        "reports compared with the inspector's own list. Tolerance nought.\n\nThe test units are in no total of the "
        "province. See docs/howto/drill.md."
    ),
    "lienthong audit plan dien-tap --province H55",
    "lienthong audit send dien-tap --url https://truc.example.vn:8443 --ca ca.crt",
    "lienthong audit reconcile dien-tap --url https://truc.example.vn:8443 --ca ca.crt",
    "lienthong verify dien-tap/protocol.xml --ca dien-tap/inspector-ca.crt --ca ca.crt",
    commands=(plan_drill, send_drill, reconcile_drill_reports),
)


evidence = command(
    "evidence",
    t(
        "Write the evidence file of a report: for each number its facts, messages, events, and "
        "(--with-messages) the exact octets.\n\nThe file is a ZIP without compression with a manifest "
        "sealed by the hub. `lienthong verify` checks it anywhere, without a hub."
    ),
    "lienthong evidence H55.13 2026-11",
    "lienthong evidence H55.13 2026-11 --form dossiers --with-messages -o chungcu.zip",
    "lienthong verify chungcu.zip --ca ca.crt",
    runs="hub.cli.audit.evidence:evidence",
    options=(
        click.argument("unit"),
        click.argument("period"),
        click.option("--form", default="edoc", show_default=True, help=t("The form.")),
        click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, path_type=Path),
            help=t("The file; default evidence-FORM-UNIT-PERIOD.zip."),
        ),
        click.option(
            "--with-messages",
            "octets",
            is_flag=True,
            help=t("Include the exact octets of the messages."),
        ),
    ),
)

verify_evidence = command(
    "verify",
    t(
        "Check, without a hub, an evidence file, an archive file, a sealed report as XML, a receipt, or the protocol of a "
        "drill. Prints one line for each check.\n\nHOLDS: checked and correct. FALSE: checked and wrong. NOTE: it could not be "
        "checked here, or is information. Exit codes: 0 nothing is false · 1 something is false · 2 "
        "wrong usage."
    ),
    "lienthong verify evidence-edoc-H55.13-2026-11.zip",
    "lienthong verify baocao.xml --ca ca.crt --hub-certificate hub.crt",
    "lienthong verify bien-nhan.xml --ca ca.crt --json",
    "lienthong verify archive-2026-08-0193….zip --ca ca.crt",
    runs="hub.cli.audit.evidence:verify_evidence",
    options=(
        click.argument("files", nargs=-1, required=True, type=EXISTING_FILE, metavar="FILE…"),
        click.option(
            "--ca",
            "anchors",
            type=EXISTING_FILE,
            multiple=True,
            help=t(
                "Trusted CAs (PEM); default pki/ca.crt beside hub.toml.",
            ),
        ),
        click.option(
            "--hub-certificate",
            "hubs",
            type=EXISTING_FILE,
            multiple=True,
            help=t(
                "The hub's certificate (PEM): seals must be by its subject; default, without --ca, pki/hub.crt.",
            ),
        ),
    ),
)


plan_retention = command(
    "plan",
    t(
        "Show what would go now, by month, and why the rest stays; and how large the database is and for how many days "
        "the budget lasts. Changes nothing.\n\nIt looks at all messages of the months that are old enough."
    ),
    "lienthong retention plan",
    "lienthong retention plan --json",
    runs="hub.cli.audit.retention:plan_retention",
)

list_retention_parts = command(
    "parts",
    t("List what is announced, is going and has gone, newest first, each with its archive file."),
    "lienthong retention parts",
    "lienthong retention parts --json",
    runs="hub.cli.audit.retention:list_retention_parts",
    options=(click.option("--limit", type=WholeNumber(1), default=50, show_default=True, help=t("Maximum number.")),),
)

announce_retention = command(
    "announce",
    t(
        "Announce all that would go now. It goes after the days of `announce` in [retention]: a running hub with "
        "`enabled = true` does it, or `lienthong retention run`."
    ),
    "lienthong retention announce",
    runs="hub.cli.audit.retention:announce_retention",
)

run_retention = command(
    "run",
    t(
        "Archive what is announced and due, and then delete it from the journal, while the hub runs or not. Without --yes "
        "it only shows what is due.\n\nExits 1 if a part could not go, and says why: nothing is deleted that is not in a "
        "verified file. Exits 69 while another process is at it."
    ),
    "lienthong retention run",
    "lienthong retention run --yes",
    runs="hub.cli.audit.retention:run_retention",
    options=(click.option("--yes", is_flag=True, help=t("Do it.")),),
)

withdraw_retention = command(
    "withdraw",
    t(
        "Withdraw what was announced: it stays. PART is its number, as `lienthong retention parts` shows it. A hub with "
        "`enabled = true` in [retention] announces it anew the next day, and it goes after as many days as ever. Exits 1 "
        "once the part is archived."
    ),
    "lienthong retention withdraw 3 --reason 'thanh tra'",
    runs="hub.cli.audit.retention:withdraw_retention",
    options=(
        click.argument("part", metavar="PART", type=WholeNumber(1)),
        click.option("--reason", required=True, help=t("Why; it is recorded.")),
    ),
)

retention = command_group(
    "retention",
    t(
        "What the hub keeps and lets go of. Only what is handled goes, never by age alone, and only after it is in a "
        "sealed archive file. `[retention]` in hub.toml says how long each kind is kept; "
        "docs/howto/keep-and-let-go.md says why."
    ),
    "lienthong retention plan",
    "lienthong retention parts",
    commands=(plan_retention, list_retention_parts, announce_retention, run_retention, withdraw_retention),
)
