"""The command `lienthong`: a table of its commands. Imports the module of a command only when the command runs."""

import os
import pwd
import sys
from typing import Any

import click

from hub.cli.screen import (
    CONFIGURATION,
    CommandGroup,
    CommandStop,
    Screen,
    bind_click_words,
    end_on_broken_pipe,
    make_file_stop,
    print_json_error,
    say,
    t,
)
from hub.domain.errors import ConfigurationFault, Rejected
from hub.language.phrases import phrase

#: name -> (`module:attribute` of a command or of a topic of operations, description), in the order in which a new operator needs them.
COMMANDS = {
    "init": ("hub.cli.setup.commands:init", phrase("Write a directory that runs as it is")),
    "enroll": ("hub.cli.setup.commands:enroll", phrase("Take in the hub's first certificate")),
    "check": ("hub.cli.setup.commands:check_hub", phrase("Check everything before it runs")),
    "doctor": ("hub.cli.setup.commands:doctor", phrase("Examine installation, machine and running hub")),
    "demo": ("hub.cli.demo:demo", phrase("Run the whole hub with sample systems")),
    "send": ("hub.cli.commands:send", phrase("Sign and send a packet")),
    "fetch": ("hub.cli.commands:fetch_messages", phrase("Fetch waiting messages")),
    "status": ("hub.cli.monitoring.commands:show_status", phrase("How the exchange stands, partner by partner")),
    "messages": ("hub.cli.message.commands:list_messages", phrase("List messages")),
    "show": ("hub.cli.message.commands:show_message", phrase("Show one message")),
    "compare": ("hub.cli.message.commands:compare", phrase("Compare two messages or two attempts")),
    "trace": ("hub.cli.message.commands:trace", phrase("All events of a message")),
    "events": ("hub.cli.monitoring.commands:list_events", phrase("Events that no message leads to")),
    "alerts": ("hub.cli.monitoring.commands:manage_alerts", phrase("What operators must know of")),
    "failures": ("hub.cli.monitoring.commands:list_failure_groups", phrase("What failed, by cause")),
    "replay": (
        "hub.cli.replays.commands:replay_dead_letters",
        phrase("Replay dead deliveries, with a plan and a reason"),
    ),
    "replays": ("hub.cli.replays.commands:replays", phrase("Plans to replay: show, pause, resume, cancel, approve")),
    "give-up": ("hub.cli.replays.commands:give_up", phrase("Give up waiting deliveries")),
    "pause": ("hub.cli.commands:pause_sending", phrase("Pause sending to a partner")),
    "resume": ("hub.cli.commands:resume_sending", phrase("Resume sending to a partner")),
    "report": ("hub.cli.report.report:report_workload", phrase("Workload reports")),
    "late": ("hub.cli.monitoring.commands:list_late", phrase("Who is late today")),
    "item": ("hub.cli.monitoring.commands:show_item", phrase("All that was told of one thing")),
    "evidence": ("hub.cli.audit.commands:evidence", phrase("The evidence file of a report")),
    "verify": (
        "hub.cli.audit.commands:verify_evidence",
        phrase("Check evidence, reports, receipts; needs no hub"),
    ),
    "archive": ("hub.cli.audit.commands:archive", phrase("Archive files: list, verify, show, extract")),
    "audit": ("hub.cli.audit.commands:audit", phrase("An inspector's drill: plan, send, reconcile")),
    "call": ("hub.cli.partner.commands:call_operation", phrase("Call an operation of a partner by hand")),
    "partners": ("hub.cli.partner.commands:partners", phrase("Partners")),
    "links": ("hub.cli.monitoring.commands:links", phrase("State of the links")),
    "trust": ("hub.cli.partner.commands:trust", phrase("Trust anchors and CRLs")),
    "keys": ("hub.cli.setup.commands:keys", phrase("The hub's own keys and certificates")),
    "units": ("hub.cli.units.commands:manage_units", phrase("Units and their codes")),
    "users": ("hub.cli.accounts.commands:users", phrase("The users of the console")),
    "tokens": ("hub.operations.accounts.token_operations:TOPIC", phrase("The tokens of programs that use the API")),
    "what-if": ("hub.cli.message.commands:show_what_if", phrase("What other rules would change")),
    "mail": ("hub.cli.commands:mail", phrase("Usage figures of the shared mail")),
    "categories": ("hub.cli.commands:categories", phrase("Code lists from other systems")),
    "retention": ("hub.cli.audit.commands:retention", phrase("What is kept, and what goes and when")),
    "backup": ("hub.cli.db.commands:manage_backups", phrase("Back up, verify, restore")),
    "db": ("hub.cli.db.commands:db", phrase("Database: version, upgrade")),
    "reload": (
        "hub.cli.setup.commands:reload",
        phrase("Make the running hub reload its configuration"),
    ),
}


class Root(CommandGroup):
    """The group `lienthong`. Prints every mistake of a configuration and exits 78. Under `--json` an error is an object."""

    def main(self, *args: Any, **extra: Any) -> Any:
        bind_click_words()
        given = args[0] if args else extra.get("args")
        if "--json" not in (sys.argv if given is None else given) or not extra.get("standalone_mode", True):
            return super().main(*args, **extra)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            print_json_error(error)
            code = error.exit_code
        except click.Abort:
            code = 1
        sys.exit(code)

    def make_command(self, found: Any) -> click.Command:
        """Return the command *found*, or the group that is made of the topic *found* of `hub.operations`."""
        if isinstance(found, click.Command):
            return found
        from hub.cli.projection import project_topic

        return project_topic(found)

    def invoke(self, ctx: click.Context) -> None:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            super().invoke(ctx)
        except click.ClickException as error:
            error.message += describe_place(error)  # type: ignore[misc]
            raise
        except OSError as error:
            if error.filename is None:
                raise
            raise make_file_stop(error.filename, error) from error
        except Rejected as rejected:
            from hub.audit.seals import explain_rejection

            raise CommandStop(say(explain_rejection(rejected))) from None
        except ConfigurationFault as fault:
            ctx.ensure_object(Screen).mistakes(fault.mistakes)
            ctx.exit(CONFIGURATION)


def describe_place(error: click.ClickException) -> str:
    """Return what to add to *error* if the account of the command decided it; root's commands run under the hub's."""
    account = _name_account()
    if not os.access(".", os.R_OK | os.X_OK):
        said = t(
            "The command runs under the account {account}, which cannot enter this folder: change to one that it can, "
            "such as {home}.",
            account=account,
            home=os.environ.get("HOME", "/"),
        )
        return f"\n{said}"
    if isinstance(error, click.BadParameter) and isinstance(getattr(error.param, "type", None), click.Path):
        return "\n" + t("The command runs under the account {account}.", account=account)
    return ""


def _name_account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _show_version(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"lienthong {version('lienthong')}")
        context.exit()


@click.group(
    "lienthong",
    cls=Root,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help=t(
        "Liên Thông: the SOAP/XML integration hub of a province.\n\n"
        "Begin with `lienthong init DIR`, then `lienthong -c DIR/hub.toml check` and `twistd -n lienthong -c DIR/hub.toml`."
    ),
    epilog=t(
        "Exit codes: 0 ok · 1 failed · 2 usage · 3 partly · 4 not found · 69 unavailable · 78 "
        "configuration · 141 output not read.",
    ),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help=t("Show the version."),
)
def lienthong() -> None:
    pass


def main() -> None:
    """Run the command line. Entry point of the console script `lienthong`."""
    end_on_broken_pipe()
    lienthong()
