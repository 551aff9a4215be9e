"""Arguments that several commands of `lienthong report` share."""

import click

from hub.cli.screen import t

#: Explains PERIOD in the help of a command.
PERIODS = "PERIOD: 2026-11, 2026-Q4, 2026-H1, 2026-9M, 2026."

form_option = click.option("--form", default="edoc", help=t("The form; default edoc."), metavar="FORM")
every_form_option = click.option("--form", metavar="FORM", help=t("The form; without it: every form."))


#: Add UNIT, PERIOD and `--form` to a command. Together they name one report.
REPORT_ARGUMENTS = (click.argument("unit"), click.argument("period"), form_option)
