"""`lienthong reload`: makes the running hub reload its configuration, and prints what changed."""

from hub.cli.screen import CONFIGURATION, UNAVAILABLE, CommandStop, Screen, exit_command, say, t
from hub.config import read_data_directory
from hub.language.phrases import phrase
from hub.runtime import pidfile

_MARKS = {
    "+": phrase("added"),
    "-": phrase("removed"),
    "~": phrase("changed"),
    "!": phrase("needs a restart"),
}


def reload(screen: Screen, timeout: float) -> None:
    try:
        verdict = pidfile.request_reload(read_data_directory(screen.config), timeout)
    except pidfile.NotRunning:
        raise CommandStop(t("no hub runs here"), UNAVAILABLE) from None
    except pidfile.NoAnswer:
        raise CommandStop(t("the hub did not answer within {timeout} seconds", timeout=f"{timeout:g}")) from None
    if not verdict.ok:
        screen.mistakes(verdict.mistakes)
        screen.note(t("Refused; the hub keeps the old configuration"))
        exit_command(CONFIGURATION)
    for change in verdict.changes:
        mark, _, what = change.partition(" ")
        screen.row({"change": str(_MARKS[mark]), "what": what}, f"{say(_MARKS[mark])}: {what}")
    if not verdict.changes:
        screen.note(t("Nothing changed"))
