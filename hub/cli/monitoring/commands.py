"""The commands of `hub/cli/monitoring`: names, help and options. What runs stands in the module each names."""

from pathlib import Path

import click

from hub.cli.screen import LocalTime, WholeNumber, command, command_group, t
from hub.language.phrases import phrase

list_hub_alerts = command(
    "list",
    t(
        "List the alerts that are raised, the gravest first.\n\nAn alert begins when its condition is met and ends when it "
        "has not been for two minutes. Exits 1 if one is raised that nobody has acknowledged."
    ),
    "lienthong alerts list",
    "lienthong alerts list --ended --json",
    runs="hub.cli.monitoring.alerts:list_hub_alerts",
    options=(click.option("--ended", is_flag=True, help=t("Also those that ended in the last 90 days.")),),
)

acknowledge = command(
    "acknowledge",
    t(
        "Say that you know of raised alerts and see to them.\n\nCONDITION is a word of `lienthong alerts list`, ABOUT narrows it "
        "to one partner, certificate or form. What is acknowledged is not reminded of; it is told of again when it grows "
        "worse, when more comes, and when it ends."
    ),
    'lienthong alerts acknowledge dead-letters vpub --note "vpub sửa trong chiều nay"',
    "lienthong alerts acknowledge --all",
    runs="hub.cli.monitoring.alerts:acknowledge",
    options=(
        click.argument("condition", required=False),
        click.argument("about", required=False),
        click.option("--all", "everything", is_flag=True, help=t("All that are raised.")),
        click.option("--note", default="", help=t("What you do about it; it is recorded.")),
    ),
)

test_channels = command(
    "test",
    t(
        "Send a test through each channel of [alerts.operators], as the running hub would send an alert, and say what "
        "became of it.\n\nIt is sent at once, in quiet hours too. Exits 0 if every channel took it, 1 if one did not, 69 if no "
        "hub has sent it in time, 2 if there is no channel."
    ),
    "lienthong alerts test",
    "lienthong alerts test --channel webhook",
    runs="hub.cli.monitoring.alerts:test_channels",
    options=(
        click.option(
            "--channel", "only", multiple=True, help=t("Only this channel: mail, webhook or syslog; repeatable.")
        ),
        click.option(
            "--wait", type=WholeNumber(0), default=60, show_default=True, help=t("Seconds to wait for the hub.")
        ),
    ),
)

manage_alerts = command_group(
    "alerts",
    t("What operators must know of: list it, acknowledge it, test how it is told."),
    commands=(list_hub_alerts, acknowledge, test_channels),
)


list_events = command(
    "events",
    t(
        "List the events that no message leads to, newest first: sign-ins, refused calls, pauses, breakers, links, users, "
        "reloads, downloads of content.\n\nThe events of a message: `lienthong trace`."
    ),
    "lienthong events",
    "lienthong events --kind call-refused --since 27/11/2026",
    "lienthong events --tracking 0193…",
    "lienthong events --user an --json",
    "lienthong events --partner vpub --follow",
    runs="hub.cli.monitoring.events:list_events",
    options=(
        click.option("--kind", "name", metavar="EVENT", help=t("Events of this name, such as user-signed-in.")),
        click.option("--partner", help=t("About this partner, or the link of this name; - : about none.")),
        click.option("--user", help=t("About this account, or done by this person.")),
        click.option("--tracking", metavar="ID", help=t("The call that was refused under this tracking id.")),
        click.option(
            "--cause", metavar="CAUSE", help=t("The call was refused for this cause, as `lienthong failures` shows it.")
        ),
        click.option("--text", default="", help=t("Words that stand in the event, with diacritics or without.")),
        click.option("--since", type=LocalTime(), help=t("From this time on.")),
        click.option("--until", type=LocalTime(), help=t("Before this time.")),
        click.option("-n", "--limit", type=WholeNumber(1), help=t("Maximum number; default 20, with --json all.")),
        click.option(
            "--follow", is_flag=True, help=t("Print the newest, oldest first, then each new one until Ctrl-C.")
        ),
    ),
)


#: What failed, and what a row says of it.
FAILURE_NAMES = {
    "dead": phrase("dead delivery"),
    "suspended": phrase("suspended delivery"),
    "refused": phrase("refused message"),
    "call": phrase("refused call"),
}

list_failure_groups = command(
    "failures",
    t(
        "List dead deliveries, refused messages and refused calls by cause, the latest first.\n\nOne cause: the same "
        "partner and the same reason, but for ids, numbers, times, addresses and names. `lienthong replay --cause` replays "
        "the dead deliveries of one, `lienthong messages --cause` and `lienthong events --cause` list what has it."
    ),
    "lienthong failures",
    "lienthong failures --partner vpub --state dead --since 27/11/2026",
    "lienthong failures --json",
    runs="hub.cli.monitoring.failures:list_failure_groups",
    options=(
        click.option("--partner", help=t("Failures with this partner; - : calls of callers that are no partner.")),
        click.option(
            "--state",
            "kind",
            type=click.Choice(tuple(FAILURE_NAMES)),
            help=t("Dead deliveries, refused messages, or refused calls."),
        ),
        click.option(
            "--since",
            type=LocalTime(),
            help=t("Causes with a failure from this time on; default: of the last 30 days."),
        ),
        click.option("--until", type=LocalTime(), help=t("Causes with a failure before this time.")),
        click.option("-n", "--limit", type=WholeNumber(1), default=50, help=t("Maximum number of causes; default 50.")),
    ),
)


show_item = command(
    "item",
    t(
        "All that was told of one thing of a unit, by day: its milestones, each with the message behind it.\n\nKEY is "
        "the code of a work item or a dossier, as `lienthong late` and `report facts` say it."
    ),
    "lienthong item H55.13 NV-2026-0152",
    "lienthong item H55.13 S-261101-0001 --service dossiers --json",
    runs="hub.cli.monitoring.item:show_item",
    options=(
        click.argument("unit", metavar="UNIT"),
        click.argument("key", metavar="KEY"),
        click.option(
            "--service", metavar="NAME", default="work", help=t("The service: work (default), dossiers, documents …")
        ),
    ),
)


LATE_STATES = ("late", "soon", "waiting")

list_late = command(
    "late",
    t(
        "Who is late today: dossiers, documents with a due day and work items that are open and overdue, or due within "
        "some working days.\n\nWithout --unit and --items: how many each unit has, the one with the most first. With "
        "either: the things one by one, by due day. Who waits for somebody else, or is excused, is shown apart."
    ),
    "lienthong late",
    "lienthong late --unit H55.13 --state late",
    "lienthong late --items --service dossiers --days 5 --json",
    "lienthong late --unit H55.13 --format xlsx -o late.xlsx",
    runs="hub.cli.monitoring.late:list_late",
    options=(
        click.option("--unit", metavar="CODE", help=t("This unit and those below it.")),
        click.option("--items", is_flag=True, help=t("One line for each thing, of all units.")),
        click.option("--service", metavar="NAME", help=t("Only this service: documents, dossiers, work.")),
        click.option(
            "--state", type=click.Choice(LATE_STATES), help=t("Only what is late, due soon, or waiting or excused.")
        ),
        click.option("--field", metavar="CODE", help=t("Only this field of procedures, or kind of work.")),
        click.option("--officer", metavar="CODE", help=t("Only what this officer has.")),
        click.option(
            "--days",
            type=WholeNumber(0, 60),
            default=3,
            help=t("Due within so many working days counts as soon; default 3."),
        ),
        click.option("-n", "--limit", type=WholeNumber(1, 20_000), default=1_000, help=t("Most lines; default 1,000.")),
        click.option(
            "--format", "kind", type=click.Choice(("csv", "xlsx")), help=t("Write a file with one line for each thing.")
        ),
        click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help=t("The file to write.")),
    ),
)


links = command(
    "links",
    t(
        "The state of the link to each system, by node.\n\nThe hub probes links if `hub.toml` has [links] "
        "every: it connects and makes a TLS handshake, and sends nothing. Silent: the node has not "
        "reported for a long time."
    ),
    "lienthong links",
    "lienthong links --json",
    runs="hub.cli.monitoring.links:links",
)


show_status = command(
    "status",
    t(
        "How the exchange stands: for each partner what waits, is held, dead, and was refused today; its breaker, pause, "
        "link and certificate; how many messages come and go in a minute.\n\n"
        "Exits 0 if all is well, 3 if something needs attention, 69 if no hub runs or the database does not answer. "
        "A count ends at 10,000 and then shows a plus sign."
    ),
    "lienthong status",
    "lienthong status --watch",
    "lienthong status --json | jq 'select(.concerns != [])'",
    runs="hub.cli.monitoring.status:show_status",
    options=(
        click.option("--watch", is_flag=True, help=t("Keep it fresh on the terminal, until Ctrl-C.")),
        click.option(
            "--every",
            type=click.FloatRange(min=1),
            metavar="S",
            help=t("With --watch: seconds between two readings; default 5. Needed if the output is not a terminal."),
        ),
    ),
)
