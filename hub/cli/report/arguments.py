"""The arguments that commands of `lienthong report` share.  Knows how they are written and explained; reads none."""

from collections.abc import Callable
from typing import Any

import click

from hub.cli.screen import t

#: PERIOD in the help of a command.
PERIODS = "PERIOD: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026."

form_option = click.option(
    "--form", default="edoc", help=t("Biểu mẫu; mặc định edoc.", "The form; default edoc."), metavar="FORM"
)
every_form_option = click.option(
    "--form", metavar="FORM", help=t("Biểu mẫu; không có: mọi biểu.", "The form; without it: every form.")
)


def name_report(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command UNIT, PERIOD and `--form`, which together name one report."""
    for decorate in (form_option, click.argument("period"), click.argument("unit")):
        function = decorate(function)
    return function
