"""Arguments that several commands of `lienthong report` share."""

from collections.abc import Callable
from typing import Any

import click

from hub.cli.screen import t

#: Explains PERIOD in the help of a command.
PERIODS = "PERIOD: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026."

form_option = click.option("--form", default="edoc", help=t("The form; default edoc."), metavar="FORM")
every_form_option = click.option("--form", metavar="FORM", help=t("The form; without it: every form."))


def add_report_arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add UNIT, PERIOD and `--form` to a command. Together they name one report."""
    for decorate in (form_option, click.argument("period"), click.argument("unit")):
        function = decorate(function)
    return function
