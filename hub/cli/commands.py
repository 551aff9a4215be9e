"""The commands of `hub/cli`: names, help and options. What runs stands in the module each names."""

from pathlib import Path

import click

from hub.cli.screen import EXISTING_FILE, command, command_group, t

categories = command(
    "categories",
    t("Code lists from other systems: list them, show the entries of one, or look up one code."),
    "lienthong categories",
    "lienthong categories LayDanhSachTTHC",
    "lienthong categories LayDanhSachTTHC 2.000815",
    runs="hub.cli.categories:categories",
    options=(
        click.argument("name", metavar=t("[LIST]"), required=False),
        click.argument("code", metavar=t("[CODE]"), required=False),
    ),
)


_Log = click.File("r", encoding="utf-8", errors="replace")

usage = command(
    "usage",
    t(
        "Count one day in the logs, by unit: accounts, mails sent, received and refused as too large, "
        "mailboxes nearly full.\n\nPrints the figures, and records them in the hub's journal only with "
        "--yes. The figures contain no addresses."
    ),
    "lienthong mail usage --day 2026-11-24 --directory hop-thu.csv /var/log/mail.log",
    "lienthong mail usage --since 2026-11-15 --day 2026-12-14 --directory hop-thu.csv /var/log/mail.log* --yes",
    "doveadm -f tab quota get -A > quota.txt",
    "lienthong mail usage --day 2026-11-24 --directory hop-thu.csv --quotas quota.txt /var/log/mail.log --yes",
    runs="hub.cli.mail:usage",
    options=(
        click.argument("logs", nargs=-1, required=True, type=_Log),
        click.option(
            "--day",
            required=True,
            type=click.DateTime(["%Y-%m-%d"]),
            help=t("The day to count, in Hà Nội time."),
        ),
        click.option(
            "--since",
            type=click.DateTime(["%Y-%m-%d"]),
            help=t("Count only the accounts that were active on any day from this one to --day, each once."),
        ),
        click.option(
            "--directory",
            required=True,
            type=EXISTING_FILE,
            help=t(
                "The unit of each address: lines PATTERN,CODE; a pattern is an address, an address with *, or a domain.",
            ),
        ),
        click.option(
            "--quotas",
            type=_Log,
            help=t("The output of `doveadm -f tab quota get -A`."),
        ),
        click.option(
            "--zone",
            default="Asia/Ho_Chi_Minh",
            show_default=True,
            help=t("The time zone of the mail server."),
        ),
        click.option(
            "--correction",
            default="",
            metavar="TEXT",
            help=t(
                "Why earlier figures of this day were wrong. The difference is recorded.",
            ),
        ),
        click.option("--yes", is_flag=True, help=t("Record them in the hub's journal.")),
    ),
)

mail = command_group(
    "mail", t("The shared mail: usage figures from the logs of Postfix and Dovecot."), commands=(usage,)
)


pause_sending = command(
    "pause",
    t(
        "Pause sending to the partner CODE.\n\nEvery node sees it at once; attempts under way are "
        "finished. Messages for the partner are still accepted and wait. The time of give-up continues "
        "to run, but no waiting delivery becomes a dead letter before resume."
    ),
    'lienthong pause vpub --reason "bảo trì máy chủ đến 17 giờ"',
    runs="hub.cli.pause:pause_sending",
    options=(click.argument("code"), click.option("--reason", required=True, help=t("Why; it is recorded."))),
)

resume_sending = command(
    "resume",
    t(
        "Resume sending to the partner CODE.\n\nIf the breaker is open, the partner is tried at once, without waiting. "
        "Suspended deliveries wait for their turn again."
    ),
    "lienthong resume vpub",
    runs="hub.cli.pause:resume_sending",
    options=(click.argument("code"), click.option("--reason", default="", help=t("Why; it is recorded."))),
)


#: Add the options of `Caller` to a command.
_CALLER_OPTIONS = (
    click.option("--as", "partner", metavar="PARTNER", help=t("The sample partner.")),
    click.option("--url", metavar="URL", help=t("Address of the documents service.")),
    click.option("--key", type=EXISTING_FILE, help=t("Private key (PEM).")),
    click.option("--certificate", type=EXISTING_FILE, help=t("Certificate (PEM).")),
    click.option("--ca", type=EXISTING_FILE, help=t("The hub's CA (PEM).")),
    click.option(
        "--hub-certificate",
        type=EXISTING_FILE,
        help=t(
            "The certificate with which the hub signs (PEM), if it differs from its TLS certificate.",
        ),
    ),
    click.option(
        "--timeout",
        default=60.0,
        show_default=True,
        help=t("Seconds to wait for one call."),
    ),
)


send = command(
    "send",
    t(
        "Sign and send one packet, then verify the receipt.  FILE is - for standard input.\n\nExits 0 "
        "accepted, 1 refused, 69 unavailable (send it again, with the same --message-id)."
    ),
    "lienthong -c tinh/hub.toml send vanban.edxml --as sotttt",
    "lienthong -c tinh/hub.toml send vanban.edxml --as sotttt --sign-packet",
    "lienthong send vanban.edxml --key k.key --certificate k.crt --ca ca.crt --url https://truc.example.vn/soap/documents",
    runs="hub.cli.send:send",
    options=(
        click.argument("file", metavar="FILE", type=click.File("rb")),
        *_CALLER_OPTIONS,
        click.option(
            "--message-id",
            metavar="ID",
            help=t("Your message id; default the SHA-256 of the packet."),
        ),
        click.option(
            "--sign-packet",
            is_flag=True,
            help=t("Also sign the packet (enveloped XMLDSig) before sending."),
        ),
        click.option(
            "--receipt",
            type=click.Path(dir_okay=False, writable=True, path_type=Path),
            help=t("Write the receipt to this file."),
        ),
    ),
)

fetch_messages = command(
    "fetch",
    t(
        "Fetch all waiting messages into DIR, each into a file ID.edxml.\n\nWithout --confirm the "
        "messages stay waiting. Without --unit, messages for every unit of the sample partner are "
        "fetched.\n\nExits 0 done, 1 refused, 3 partly, 69 unavailable."
    ),
    "lienthong -c tinh/hub.toml fetch --as sotttt --confirm den",
    runs="hub.cli.send:fetch_messages",
    options=(
        click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path)),
        *_CALLER_OPTIONS,
        click.option("--unit", "units", metavar="CODE", multiple=True, help=t("For this unit only.")),
        click.option("--confirm", is_flag=True, help=t("Confirm each message after its file is written.")),
    ),
)
