"""The commands of `hub/cli/replays`: names, help and options. What runs stands in the module each names."""

from typing import Any

import click

from hub.cli.message.commands import DELIVERY_STATES, FILTER_OPTIONS
from hub.cli.projection import project_commands
from hub.cli.screen import WholeNumber, command, command_group, say, t
from hub.operations.replays.plan_operations import TOPIC
from hub.partner.rate_limit import EXPECTED, Rate


class _Rate(click.ParamType[Rate]):
    """A number of deliveries in a time, such as 600/m."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        """Parse the notation of a partner's rate."""
        try:
            return value if isinstance(value, Rate) else Rate.read(value)
        except ValueError:
            self.fail(t("{value} is not a rate: {expected}", value=repr(value), expected=say(EXPECTED)), param, ctx)


replay_dead_letters = command(
    "replay",
    t(
        "Replay deliveries. Prints the plan; --yes runs it.\n\nChoose messages by ID (the hub's or "
        "the sender's) or by filters. Dead deliveries are chosen, with --again also delivered ones. Bytes and "
        "message id stay the same, so neither the recipient nor the report counts a message twice."
    ),
    'lienthong replay --partner vpub --reason "máy chủ đã chạy lại"',
    'lienthong replay 0193… --recipient H55.01 --reason "đã sửa" --yes',
    'lienthong replay --again --to vpub --since 2026-11-26 --reason "khôi phục bản sao lưu" --rate 600/m --yes',
    'lienthong replay 0193… --corrected da-sua.edxml --reason "sai mã cơ quan" --yes',
    runs="hub.cli.replays.replay:replay_dead_letters",
    options=(
        click.argument("ids", metavar="[ID]...", nargs=-1),
        *FILTER_OPTIONS,
        click.option("--recipient", help=t("Only deliveries to this unit.")),
        click.option("--to", metavar="CODE", help=t("Only deliveries to this partner.")),
        click.option("--again", is_flag=True, help=t("Also deliveries that were delivered.")),
        click.option(
            "--corrected",
            type=click.File("rb"),
            metavar="FILE",
            help=t(
                "Send this packet in place of the one message ID, which the hub refused or which has dead deliveries."
            ),
        ),
        click.option("--reason", required=True, help=t("Why; it is recorded.")),
        click.option("--rate", type=_Rate(), help=t("Queue at most so many, such as 600/m; the running hub does it.")),
        click.option(
            "--stop-after", type=WholeNumber(1), help=t("Stop when so many have died again; the running hub does it.")
        ),
        click.option("--key", help=t("A name for this order: given twice with one name, it runs once.")),
        click.option("--yes", is_flag=True, help=t("Run the plan.")),
    ),
)

give_up = command(
    "give-up",
    t(
        "Give up waiting deliveries. Prints the plan; --yes runs it.\n\nThey become dead letters, as at "
        "the end of their give-up time; `lienthong replay` puts them back. Deliveries being sent are "
        "left alone."
    ),
    'lienthong give-up --partner vpub --until 2026-11-01 --reason "hệ thống cũ đã bỏ"',
    'lienthong give-up 0193… --reason "gửi nhầm" --yes',
    runs="hub.cli.replays.replay:give_up",
    options=(
        click.argument("ids", metavar="[ID]...", nargs=-1),
        *FILTER_OPTIONS,
        click.option("--recipient", help=t("Only deliveries to this unit.")),
        click.option("--reason", required=True, help=t("Why; it is recorded.")),
        click.option("--yes", is_flag=True, help=t("Run the plan.")),
    ),
)


_plan_id = click.argument("plan", metavar="ID")

show_replay_plan = command(
    "show",
    t("Show one plan: what was chosen and why others were left out, and what has become of the deliveries."),
    "lienthong replays show 0193…",
    "lienthong replays show 0193… --items --json",
    "lienthong replays show 0193… --delivery-state dead",
    runs="hub.cli.replays.replays:show_replay_plan",
    options=(
        _plan_id,
        click.option("--items", is_flag=True, help=t("Also each delivery, with its state before and now.")),
        click.option(
            "--delivery-state",
            type=click.Choice(DELIVERY_STATES),
            help=t("Each queued delivery that is now in this state."),
        ),
    ),
)

_list, *_steps = project_commands(TOPIC)
replays = command_group(TOPIC.name, say(TOPIC.about), commands=(_list, show_replay_plan, *_steps))
