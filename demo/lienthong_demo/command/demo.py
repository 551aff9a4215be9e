"""`lienthong demo`: runs a real hub and partner systems in their own processes, then recounts everything that happened.

Knows the order of a run and its last line. Asks the hub only what an operator may ask.
"""

import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from math import ceil
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import attrs
import click

from hub.cli.screen import FAILED, CommandStop, Screen, exit_command
from hub.domain.local_time import find_local_day
from hub.language.phrases import phrase
from hub.report.form.period import find_month_containing
from lienthong_demo.command import kept, midnight
from lienthong_demo.command.child_process import run_in_child_process
from lienthong_demo.command.day import Dusk, Played, ReportPage, play_day
from lienthong_demo.command.operator import Narrator, Operator
from lienthong_demo.plan.day import SMALL, WHOLE
from lienthong_demo.plan.story import DISSOLVED, DISSOLVED_CSV, Cast
from lienthong_demo.protocol.notebook import read_notebook
from lienthong_demo.run.conductor import DEPARTMENT, OFFICE, UPSTREAM, Conductor, Look
from lienthong_demo.run.postgres import Absent, Server
from lienthong_demo.run.stage import Site, Stage, StageFailed
from lienthong_demo.tally.recount import Planted, Statements, recount_day

_DEADLINE = 120.0  #: maximum seconds of any wait
_OUTSTANDING = ("waiting", "sending", "held", "fetched")
_MOST_PROBLEMS = 30
#: Retries to the axis of the story, which is down for seconds, not for hours.
_UPSTREAM_POLICY = '\n[policy]\nfirst-retry = "200ms"\nmax-retry = "1s"\n'
_FORMATS = ("html", "pdf", "xlsx", "xml", "csv", "json")


def demo(screen: Screen, keep: bool, database: str, full: bool) -> None:
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell starts background jobs with SIGINT ignored
        signal.signal(asked, _interrupt)
    for name in [name for name in os.environ if name.startswith("LIENTHONG_")]:
        del os.environ[name]  # they are meant for another hub
    directory = _fresh_directory()
    narrator = Narrator()
    site = Site(directory / "hub")
    operator = Operator(site.config)
    _await_midnight(narrator, midnight.WHOLE if full else midnight.SMALL)
    narrator.act(phrase("A new hub in {directory}", directory=directory))
    try:
        with contextlib.ExitStack() as around:
            words = ["--soap-port", "0", "--admin-port", "0"]
            apart = list(words)
            if database == "postgresql":
                server = around.enter_context(Server.open())
                words += ["--database", server.url()]
                apart += ["--database", server.make("day")]
            operator.run_command("init", str(site.directory), *words)
            stage = around.enter_context(Stage.open(site, directory))
            story = _play_story(stage, operator, narrator, directory)
            stage.dismiss_all()
            narrator.act(
                phrase("The report of each unit; recounting from the partners' files and the bytes"),
            )
            dusk = None
            with run_in_child_process(
                "the recount", partial(_recount_story, stage, operator, directory, story)
            ) as recounted:
                if story.failure is None:
                    (directory / "day").mkdir()
                    dusk = play_day(
                        around,
                        directory / "day",
                        Operator(directory / "day/hub/hub.toml"),
                        narrator,
                        WHOLE if full else SMALL,
                        apart,
                    )
                plays = [recounted(), *([dusk.played] if dusk else [])]
            clean = _conclude(plays, narrator, directory)
            if keep and dusk is not None:
                stage.clear()
                _stay(dusk, narrator, directory)
    except (Absent, StageFailed) as broken:
        raise CommandStop(str(broken)) from broken
    if not clean:
        exit_command(FAILED)


def _await_midnight(narrator: Narrator, needed: timedelta) -> None:
    wait = midnight.find_wait(datetime.now(UTC), needed).total_seconds()
    if wait:
        narrator.say(
            phrase(
                "It is {seconds} s before midnight in Hà Nội: the demo begins after it, to be within one day",
                seconds=ceil(wait),
            ),
        )
        time.sleep(wait)


def _conclude(plays: Sequence[Played], narrator: Narrator, directory: Path) -> bool:
    """Report the problems and print the JSON line. Return whether there are none."""
    problems = [problem for played in plays for problem in played.problems]
    for problem in problems[:_MOST_PROBLEMS]:
        click.secho(f"   ✗ {problem}", fg="red", err=True)
    if len(problems) > _MOST_PROBLEMS:
        narrator.say(phrase("… and {count} more", count=len(problems) - _MOST_PROBLEMS))
    line: dict[str, object] = {
        name: sum(getattr(played, name) for played in plays)
        for name in ("accepted", "refused", "delivered", "dead", "facts")
    }
    line["lost"] = sum(len(played.lost) for played in plays)
    line["report"] = str(_write_index(directory, [page for played in plays for page in played.pages]))
    clean = not problems and not line["dead"]
    if clean:
        narrator.say(
            phrase(
                "✓ {accepted} messages, {delivered} deliveries, {facts} facts: none lost, none twice",
                accepted=line["accepted"],
                delivered=line["delivered"],
                facts=line["facts"],
            ),
        )
    else:
        logs = ", ".join(f"{directory}/{each}" for each in ("logs", "day/logs")[: len(plays)])
        narrator.say(phrase("It does not agree; logs: {logs}", logs=logs))
    click.echo(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    return clean


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fresh_directory() -> Path:
    """Create and return `var/demo/N` under the current directory, or a temporary directory if that cannot be written."""
    place = Path("var/demo").absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
        number = max((int(made.name) for made in place.iterdir() if made.name.isdecimal()), default=0)
        while True:
            number += 1
            with contextlib.suppress(FileExistsError):
                (place / str(number)).mkdir()
                return place / str(number)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="lienthong-demo-"))


@attrs.frozen
class _Story:
    """What a played story leaves for the recount."""

    units: Sequence[Mapping[str, Any]]
    planted: Sequence[Planted]
    failure: str | None  #: why it stopped before its end


def _play_story(stage: Stage, operator: Operator, narrator: Narrator, directory: Path) -> _Story:
    """Play the story."""
    (directory / "units.csv").write_text(DISSOLVED_CSV, "utf-8")
    operator.run_command("units", "import", str(directory / "units.csv"))
    with stage.site.directory.joinpath("partners", f"{UPSTREAM}.toml").open("a", encoding="utf-8") as file:
        file.write(_UPSTREAM_POLICY)
    stage.start_hub()
    units = operator.rows("units", "list")
    outbox = directory / "outbox"
    outbox.mkdir()

    def look() -> Look:
        outstanding = sum(operator.count("--delivery-state", state) for state in _OUTSTANDING)
        return Look(operator.count("--state", "accepted"), outstanding)

    conductor = Conductor(stage, _cast(units), outbox, narrator, look, _DEADLINE)
    failure = None
    try:
        conductor.play()
    except StageFailed as broken:
        failure = str(stage.cause(broken))
    return _Story(units, conductor.planted, failure)


def _recount_story(stage: Stage, operator: Operator, directory: Path, story: _Story) -> Played:
    """Write the story's reports, and recount."""
    pages = _write_reports(operator, story.units, directory / "reports")
    verdict = recount_day(_statements(stage, operator, story))
    return Played(
        accepted=verdict.accepted,
        refused=verdict.refused,
        delivered=verdict.delivered,
        dead=verdict.dead,
        facts=verdict.facts,
        lost=verdict.lost,
        differences=(*([story.failure] if story.failure else []), *stage.complaints(), *verdict.differences),
        pages=pages,
    )


def _cast(units: Sequence[Mapping[str, Any]]) -> Cast:
    def of(partner: str) -> tuple[str, ...]:
        return tuple(unit["code"] for unit in units if unit["partner"] == partner and unit["code"] != DISSOLVED)

    return Cast(of(DEPARTMENT), of(OFFICE), _aliases(units), find_local_day(datetime.now(UTC)))


def _aliases(units: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {alias: unit["code"] for unit in units for alias in unit["aliases"]}


def _statements(stage: Stage, operator: Operator, story: _Story) -> Statements:
    """Gather the statements of both sides: the hub's command line and the partners' files."""
    messages = operator.rows("messages")
    accepted = [message["id"] for message in messages if message["state"] == "accepted"]
    settings = stage.site.read()
    return Statements(
        messages=messages,
        contents={message: operator.run_command("show", message, "--raw") for message in accepted},
        deliveries={
            message: [row for row in operator.rows("trace", message) if row["event"] == "delivery"]
            for message in accepted
        },
        facts=operator.rows("report", "--facts"),
        report=json.loads(operator.run_command("report", settings["province"], _period(), "--format", "json")),
        notebooks={
            notebook.stem: list(read_notebook(notebook)) for notebook in sorted(stage.notebooks.glob("*.jsonl"))
        },
        planted=story.planted,
        province=settings["province"],
        upstream=settings["upstream"],
        aliases=_aliases(story.units),
        certificates={code: stage.site.certificate(code) for code in (DEPARTMENT, OFFICE, UPSTREAM)},
    )


def _period() -> str:
    """Return the month that a result of today belongs to."""
    return find_month_containing(datetime.now(UTC)).text


def _write_reports(operator: Operator, units: Sequence[Mapping[str, Any]], directory: Path) -> tuple[ReportPage, ...]:
    """Write every unit's report of the current month in each format."""
    directory.mkdir()
    period = _period()
    pages = []
    for unit in units:
        files = {kind: directory / f"{unit['code']}_{period}.{kind}" for kind in _FORMATS}
        for kind, file in files.items():
            file.write_bytes(operator.run_command("report", unit["code"], period, "--format", kind))
        pages.append(ReportPage(unit["code"], unit["name"], tuple(files.values())))
    return tuple(pages)


def _write_index(directory: Path, pages: Sequence[ReportPage]) -> Path:
    """Write the page that links every report. Return its path."""
    rows = []
    for page in pages:
        places = [(file.relative_to(directory).as_posix(), file.suffix[1:]) for file in page.files]
        links = " · ".join(f'<a href="../{escape(place)}">{kind}</a>' for place, kind in places)
        rows.append(f"<tr><td>{escape(page.unit)}</td><td>{escape(page.title)}</td><td>{links}</td></tr>")
    period = _period()
    title = f"Báo cáo khối lượng công việc, kỳ {period} / Workload reports, period {period}"
    text = (
        f'<!doctype html>\n<html lang="vi"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<table>\n" + "\n".join(rows) + "\n</table></body></html>\n"
    )
    index = directory / "reports" / "index.html"
    index.write_text(text, "utf-8")
    return index


def _stay(dusk: Dusk, narrator: Narrator, directory: Path) -> None:
    """Leave the day running, with work for each kind of person, until Ctrl-C."""
    narrator.act(phrase("It stays"))
    site = dusk.stage.site
    operator = Operator(site.config)
    kept.leave_work(dusk.stage, operator, narrator, dusk.town, dusk.outbox)
    persons = kept.list_persons(str(site.read()["province"]), dusk.left, dusk.ended)
    word = kept.let_in(operator, directory, persons)
    kept.stay(dusk.stage, persons, word, dusk.ended)
