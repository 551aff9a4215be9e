"""`lienthong doctor`: looks at everything that breaks hubs, and says what to do."""

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from hub.cli.screen import FAILED, Screen, exit_command, say, t
from hub.domain.sanitize import replace_controls
from hub.language.phrases import phrase
from hub.node.doctor import installation
from hub.node.doctor.diagnosis import Diagnosis, DiagnosisState

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red", "unknown": None}


def doctor(screen: Screen) -> None:
    counts: Counter[str] = Counter()
    for found in _examine_installation(screen):
        counts[found.verdict.value] += 1
        _print_diagnoses(screen, found)
    said = t(
        "{ok} ok, {warning} warnings, {failed} failed, {unknown} unknown",
        **{name: counts[name] for name in _COLOURS},
    )
    screen.note(said)
    if counts["failed"]:
        exit_command(FAILED)


def _examine_installation(screen: Screen) -> Iterator[Diagnosis]:
    """Yield every finding. The program itself comes first: with foreign files in it, the rest would say nothing."""
    broken = False
    for found in (*installation.examine_distribution(), *installation.examine_libraries()):
        broken = broken or found.verdict is DiagnosisState.FAILED
        yield found
    if broken:
        rest = phrase("the rest is not examined before the program is whole")
        yield Diagnosis("program", DiagnosisState.FAILED, rest, phrase("install lienthong anew"))
        return
    from hub.node.doctor.examination import examine_hub  # imports the whole program, which is known to be whole now

    yield from examine_hub(screen.config, lambda: datetime.now(UTC), os.environ)


def _print_diagnoses(screen: Screen, found: Diagnosis) -> None:
    if screen.json:
        advice = str(found.advice) if found.advice else None
        row = {"check": found.check, "verdict": found.verdict.value, "found": str(found.found), "advice": advice}
        screen.row(row, "")
        return
    mark = {"ok": t("ok"), "warning": t("WARN"), "failed": t("FAIL"), "unknown": "?"}[found.verdict.value]
    click.echo(
        f"{click.style(mark.ljust(5), fg=_COLOURS[found.verdict.value])} {found.check.ljust(14)} "
        f"{_say_line(found.found)}"
    )
    if found.advice:
        click.echo(f"      → {_say_line(found.advice)}")


def _say_line(text: object) -> str:
    """Return *text* on one line: what a database says may have several."""
    return replace_controls(" ".join(say(text).split()))
