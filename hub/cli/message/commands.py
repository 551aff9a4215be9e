"""The commands of `hub/cli/message`: names, help and options. What runs stands in the module each names."""

from pathlib import Path

import click

from hub.cli.screen import EXISTING_FILE, LocalTime, WholeNumber, command, t

compare = command(
    "compare",
    t(
        "Compare the packets of two messages, line by line, or the requests and replies of two attempts (their ids: "
        "show ID --json). Exits 1 if they differ."
    ),
    "lienthong compare 0193… 0194…",
    runs="hub.cli.message.life:compare",
    options=(click.argument("one", metavar="ID|ATTEMPT"), click.argument("other", metavar="ID|ATTEMPT")),
)


_STATES = ("accepted", "refused")

_DIRECTIONS = ("in", "out", "within")

DELIVERY_STATES = ("waiting", "sending", "held", "fetched", "delivered", "suspended", "dead")


#: Add the options that choose messages. `messages`, `replay` and `give-up` share them.
FILTER_OPTIONS = (
    click.option("--state", type=click.Choice(_STATES), help=t("State of the message.")),
    click.option(
        "--delivery-state",
        type=click.Choice(DELIVERY_STATES),
        help=t("Has a delivery in this state."),
    ),
    click.option("--partner", help=t("The sending or a receiving partner.")),
    click.option("--message-id", help=t("The id given by the sender.")),
    click.option("--unit", help=t("The sending or a receiving unit.")),
    click.option("--service", help=t("Service of the message.")),
    click.option("--kind", help=t("Kind of the message.")),
    click.option("--cause", metavar="CAUSE", help=t("It failed for this cause, as `lienthong failures` shows it.")),
    click.option("--since", type=LocalTime(), help=t("From this time on.")),
    click.option("--until", type=LocalTime(), help=t("Before this time.")),
)


list_messages = command(
    "messages",
    t("Find messages of the journal and list them, newest first. TEXT: whatever is at hand."),
    "lienthong messages 15/SNV-VP",
    "lienthong messages ket noi du lieu --since 27/11/2026",
    'lienthong messages "Sở KHCN" --state refused -n 50',
    "lienthong messages --refusal unit-unknown --csv",
    "lienthong messages --delivery-state dead --partner vpub --json",
    "lienthong messages --since 2026-11-01 --unit H55.01 --count",
    "lienthong messages --kind recall --limit 50 --after 0193…",
    "lienthong messages --tracking 0193…",
    "lienthong messages --calls",
    "lienthong messages --follow",
    runs="hub.cli.message.messages:list_messages",
    options=(
        click.argument("text", nargs=-1, metavar="[TEXT]..."),
        *FILTER_OPTIONS,
        click.option(
            "--direction", type=click.Choice(_DIRECTIONS), help=t("Into the province, out of it, or within it.")
        ),
        click.option("--refusal", metavar="CODE", help=t("The hub refused it with this code.")),
        click.option("--answer", metavar="CODE", help=t("A partner answered a delivery with this code.")),
        click.option("--recipient", help=t("A receiving unit.")),
        click.option(
            "--to",
            "sent_to",
            metavar="CODE",
            help=t("A receiving partner; with --delivery-state, of the delivery in that state."),
        ),
        click.option("--newest", "-n", type=WholeNumber(1), help=t("The newest ones, so many.")),
        click.option("--limit", type=WholeNumber(1), help=t("The oldest ones, so many.")),
        click.option(
            "--after", metavar="ID", help=t("Continue behind the message with this id, the last one of a page.")
        ),
        click.option("--before", metavar="ID", help=t("Continue ahead of the message with this id, newest first.")),
        click.option("--count", "only_count", is_flag=True, help=t("Print only the number.")),
        click.option(
            "--tracking",
            metavar="ID",
            help=t(
                "The call with this tracking id, even if it produced no message.",
            ),
        ),
        click.option("--calls", is_flag=True, help=t("The refused calls, which brought no message.")),
        click.option("--follow", is_flag=True, help=t("Go on with new messages as they come, until interrupted.")),
        click.option("--csv", "as_csv", is_flag=True, help=t("As CSV, for a spreadsheet.")),
    ),
)

show_message = command(
    "show",
    t(
        "Show one message; --raw: its exact bytes on standard output; --signature: who signed, with "
        "which certificate, over what."
    ),
    "lienthong show 0193… --raw > packet.edxml",
    "lienthong show 0193… --signature",
    "lienthong show 0193… --attempts",
    runs="hub.cli.message.shown:show_message",
    options=(
        click.argument("name", metavar="ID|MESSAGE_ID|TRACKING"),
        click.option("--raw", is_flag=True, help=t("Only the exact bytes.")),
        click.option("--signature", is_flag=True, help=t("The stored signatures, verified again.")),
        click.option("--attempts", is_flag=True, help=t("Each attempt to deliver it, with request and reply.")),
    ),
)

trace = command(
    "trace",
    t("List all events of a message in order, then the state of its deliveries."),
    "lienthong trace 0193… --json",
    runs="hub.cli.message.shown:trace",
    options=(click.argument("name", metavar="ID|MESSAGE_ID|TRACKING"),),
)


_MOST = 10_000

show_what_if = command(
    "what-if",
    t(
        "Say what other schemas, another policy or another form would change. Nothing is sent or written.\n\n--schema and "
        "--policy judge past packets again, the newest first. --form counts a report again. Exits 1 if something would "
        "change."
    ),
    "lienthong what-if --schema xsd-moi --since 2026-11-01",
    "lienthong what-if --policy profile=strict --partner sotttt -n 1000 --json",
    "lienthong what-if --form edoc-moi.toml --period 2026-11 --unit H55",
    runs="hub.cli.message.what_if:show_what_if",
    options=(
        click.option(
            "--schema",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help=t(
                "A folder with the schemas of packets: document.xsd and status.xsd, or observed/ and strict/ with both."
            ),
        ),
        click.option("--policy", multiple=True, metavar="KEY=VALUE", help=t("A key of the policy, for every partner.")),
        click.option(
            "--form",
            type=EXISTING_FILE,
            metavar="FILE",
            help=t("A form; with --period, and --unit for another unit than the province."),
        ),
        click.option("--period", help=t("The period of the report: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026.")),
        *FILTER_OPTIONS,
        click.option(
            "--newest", "-n", type=WholeNumber(1), default=_MOST, show_default=True, help=t("The newest ones, so many.")
        ),
    ),
)
