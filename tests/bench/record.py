"""Keeps what a full run found in the documents: a row a commit, the last run as it was printed, and the README's table. Measures nothing."""

import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tests.bench import bars
from tests.bench.run import HUB, Run
from tests.conftest import ROOT

PAGE, README = ROOT / "docs/explanation/performance.md", ROOT / "README.md"
#: The bars that stand in the row of a commit, in the order of its columns.
KEYS = (
    "cpu:limit",
    "rate:flask",
    "best:flask",
    "best:wss4j",
    "best:jdk",
    "p99:jdk",
    "64k:flask",
    "1m:flask",
    "delivery",
    "nodes",
)


def name_commit() -> str:
    """Return the short name of the commit, with a plus if files differ from it."""
    words = ("git", "describe", "--always", "--dirty=+", "--abbrev=8", "--exclude=*")
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"


def replace_between(text: str, name: str, lines: Sequence[str]) -> str:
    """Return *text* with *lines* between the marks `<!-- NAME -->` and `<!-- /NAME -->`. Raises ValueError without them."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    at, until = text.index(begin) + len(begin), text.index(end)
    return text[:at] + "".join(f"{line}\n" for line in lines) + text[until:]


def append_row(text: str, row: str) -> str:
    """Return *text* with *row* as the last one of the table of commits. Raises ValueError without its mark."""
    at = text.index("<!-- rows end -->")
    return f"{text[:at]}{row}\n{text[at:]}"


def write_row(run: Run, commit: str, calibrated: str) -> str:
    """Return the row of this commit: its figures are those of the machine, its ratios are of one run."""
    main, costs = run.series["4k"], run.limit_costs
    cells = [f"{datetime.now(UTC):%Y-%m-%d}", f"`{commit}`", calibrated]
    cells += [f"{main[HUB].median('rate'):.0f}", f"{main[HUB].median('cpu'):.0f}"]
    cells.append(f"{sorted(costs)[len(costs) // 2]:.0f}" if costs else "–")
    cells += [f"{run.values[key]:.2f}" if key in run.values else "–" for key in KEYS]
    return f"| {' | '.join(cells)} |"


def write_table(values: Mapping[str, float]) -> list[str]:
    """Return the bars as a table of Markdown."""
    lines = ["| | measured | bar | aim | before |", "|---|---|---|---|---|"]
    for bar in bars.BARS:
        sign, value = ("≥" if bar.greater else "≤"), values.get(bar.key)
        said = "not measured" if value is None else f"{value:.2f}{'' if bar.is_reached(value) else ' (missed)'}"
        aim = "–" if bar.aim is None else f"{sign} {bar.aim:g}"
        lines.append(f"| {bar.row} | {said} | {sign} {bar.bar:g} | {aim} | {bar.was} |")
    return lines


def keep_run(run: Run, printed: Sequence[str], calibrated: str, machine: str) -> None:
    """Write the row, the last run and the README's table."""
    commit = name_commit()  # before the pages differ from it
    page = append_row(PAGE.read_text("utf-8"), write_row(run, commit, calibrated))
    page = replace_between(page, "last run", ["", "```text", *"\n".join(printed).splitlines(), "```", ""])
    PAGE.write_text(page, "utf-8")
    readme = README.read_text("utf-8")
    about = f"The last full run, of commit `{commit}`: {machine}. {calibrated}."
    README.write_text(replace_between(readme, "bench", ["", about, "", *write_table(run.values), ""]), "utf-8")


def keep_pages(database: str, printed: Sequence[str]) -> None:
    """Write what was measured of the console's pages on *database*."""
    page = replace_between(PAGE.read_text("utf-8"), f"pages {database}", ["", "```text", *printed, "```", ""])
    PAGE.write_text(page, "utf-8")
