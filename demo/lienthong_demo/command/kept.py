"""What `lienthong demo --keep` leaves: things to find, read, send again and sign, and an account for each kind of person.

Knows what an operator types and where a person begins in the console. Nothing of it is counted by the demo.
"""

import contextlib
import secrets
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import attrs
import click

from hub.cli.screen import say, t
from hub.language.phrases import Phrase, phrase
from lienthong_demo.command import officials
from lienthong_demo.command.operator import Narrator, Operator
from lienthong_demo.plan.day import Town
from lienthong_demo.plan.story import Cast, Letter, compose_letter, plan_refusals
from lienthong_demo.run.dayplay import AXIS, ONE_STOP
from lienthong_demo.run.stage import Stage, StageFailed

#: Letters that the axis refuses for good.
DEAD = 3
#: The form of the ended period that is left to be signed.
SIGNED = "dossiers"
_STILL, _PAUSE = 60.0, 0.2  #: maximum seconds of a wait; seconds between two looks


@attrs.frozen
class ConsolePerson:
    """An account of the console."""

    name: str
    role: str
    what: Phrase
    place: str  #: where the person begins
    unit: str | None = None  #: None: every unit


def list_persons(province: str, unit: str, ended: str) -> list[ConsolePerson]:
    """Return one person of each kind. *unit*: whose report of the period *ended* is left to be signed."""
    return [
        ConsolePerson(
            "ky-su",
            "engineer",
            phrase("engineer: what died, why, and sending it again"),
            "/messages?delivery_state=dead",
        ),
        ConsolePerson("van-hanh", "operator", phrase("operator: how the exchange stands"), "/"),
        ConsolePerson("phe-duyet", "approver", phrase("approver: the replays of others"), "/replays"),
        ConsolePerson(
            "van-thu",
            "clerk",
            phrase("clerk of {unit}: a report to be signed", unit=unit),
            f"/signing/{SIGNED}/{unit}/{ended}",
            unit,
        ),
        ConsolePerson(
            "lanh-dao",
            "viewer",
            phrase("leader: the report of the province"),
            f"/reports/{SIGNED}/{province}/{ended}",
            province,
        ),
        ConsolePerson("quan-tri", "administrator", phrase("administrator: everything, also the accounts"), "/"),
    ]


def leave_work(stage: Stage, operator: Operator, narrator: Narrator, town: Town, outbox: Path) -> None:
    """Have calls and documents refused, and documents die. Raises StageFailed, CommandStop."""
    stage.partners[ONE_STOP].order("spoil")
    refused = sum(not _send(stage, outbox, letter) for letter in _plan_refused(town))
    axis = stage.partners[AXIS].order
    axis("mood", mood="refuse")
    sent = sum(_send(stage, outbox, letter) for letter in _plan_dead(town))
    deadline = time.monotonic() + _STILL
    while operator.count("--delivery-state", "dead") < sent:
        stage.must_live()
        if time.monotonic() > deadline:
            raise StageFailed(f"waited {_STILL:.0f} s for {sent} documents to be refused by {AXIS}")
        time.sleep(_PAUSE)
    axis("mood", mood="normal")
    narrator.say(
        phrase("left for you: {dead} dead deliveries, {refused} refused documents", dead=sent, refused=refused)
    )


def _plan_refused(town: Town) -> Iterator[Letter]:
    letters = plan_refusals(Cast(town.fetching, town.pushed, {}, town.today))
    yield from (letter for letter in letters if letter.partner in ("sotttt", "vpub") and letter.expected)


def _plan_dead(town: Town) -> Iterator[Letter]:
    cast, numbers = Cast(town.fetching, town.pushed, {}, town.today), count(1)
    for agency in town.agencies[:DEAD]:
        yield compose_letter(cast, "LOI", numbers, "sotttt", town.fetching[0], (agency,))


def _send(stage: Stage, outbox: Path, letter: Letter) -> bool:
    """Send a letter, and tell whether the hub accepted it."""
    file = outbox / f"kept-{len(list(outbox.glob('kept-*'))):03}.edxml"
    file.write_bytes(letter.content)
    fields = {"message_id": letter.message_id, "operation": letter.operation, "spoil": letter.spoil, "sealed": False}
    return bool(stage.partners[letter.partner].order("send", file=str(file), **fields)["accepted"])


def let_in(operator: Operator, directory: Path, persons: list[ConsolePerson]) -> str:
    """Add an account for each person. Return the password, which is the same for all and is kept in a file."""
    word, file = secrets.token_urlsafe(12), directory / "console-password"
    file.touch(mode=0o600)
    file.write_text(f"{word}\n", "utf-8")
    for person in persons:
        words = ("--role", person.role, "--unit", person.unit or "*", "--password-file", str(file))
        operator.run_command("users", "add", person.name, *words)
    return word


def stay(stage: Stage, persons: list[ConsolePerson], word: str, ended: str) -> None:
    """Print an address for each person, and wait for Ctrl-C. Raises StageFailed if a process ends before."""
    site = stage.site
    admin, lienthong = site.address("admin"), Path(sys.executable).with_name("lienthong")
    lines = [t("Running; Ctrl-C stops it. The console, for each kind of person (password of all: {word}):", word=word)]
    for person in persons:
        lines += [f"  {person.name:10} {say(person.what)}", f"             {admin}{person.place}"]
    clerk = next(person for person in persons if person.unit and person.role == "clerk")
    lines += [
        t("The browser does not know the sample CA: {file}", file=site.pki("ca.crt")),
        t("The clerk's report is signed by:"),
        f"  {officials.write_signing_command(site, str(clerk.unit))}",
        t("Try:"),
        f"  {lienthong} -c {site.config} status",
        f"  {lienthong} -c {site.config} messages --state refused -n 5",
        f'  {lienthong} -c {site.config} replay --delivery-state dead --reason "{t("the axis takes them again")}"',
        f"  {lienthong} -c {site.config} report {site.read()['province']} {ended} --form {SIGNED} --format csv",
        f"  SOAP   {site.address('soap')}/soap/documents",
    ]
    for line in lines:
        click.echo(line, err=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            stage.must_live()
            time.sleep(0.5)
