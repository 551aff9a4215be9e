"""`lienthong demo`: its name, help and options. What runs is `lienthong_demo.command.demo`."""

import click

from hub.cli.screen import command, t

demo = command(
    "demo",
    t(
        "Run it all in a fresh directory: a real hub under twistd, three partner systems as processes "
        "of their own, packets signed and sent over SOAP, the national axis down and back, statuses, "
        "reports; then recount everything.\n\nThe last line on standard output is JSON; the exit code is "
        "0 when nothing is lost and every number agrees."
    ),
    "lienthong demo",
    "lienthong demo --keep",
    "lienthong demo --database postgresql",
    "lienthong demo --full",
    runs="lienthong_demo.command.demo:demo",
    options=(
        click.option(
            "--keep",
            is_flag=True,
            help=t("Leave everything running until Ctrl-C."),
        ),
        click.option(
            "--database",
            type=click.Choice(["sqlite", "postgresql"]),
            default="sqlite",
            show_default=True,
            help=t(
                "The journal's database; postgresql: a server of its own, for this run alone.",
            ),
        ),
        click.option(
            "--full",
            is_flag=True,
            help=t(
                "The day of the province in its real numbers: 989 units, 3,200 documents, 1,000 dossiers, 9,000 "
                "mailboxes; some minutes.",
            ),
        ),
    ),
)
