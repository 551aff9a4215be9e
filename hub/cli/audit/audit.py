"""`lienthong audit`: an inspector draws a drill, sends it through the front door, and compares the hub's reports.

Knows files, keys and the address of a hub. `hub.audit.drill` knows what is sent and expected. Needs no hub.toml.
"""

import json
import os
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import click
from cryptography.x509 import load_pem_x509_certificates as certificates
from lxml import etree

from hub.audit.drill import drawing, protocol, sending
from hub.audit.drill.desk import SentStep
from hub.audit.drill.keys import make_inspector_keys
from hub.audit.drill.plan import DrillPlan, PlanUnreadable, list_traps, read_plan, write_plan
from hub.audit.drill.protocol import ProtocolUnreadable, read_sent, write_sent_line
from hub.audit.drill.sending import DrillRefused
from hub.cli.documents_client import HubUnavailable, ServiceClient, SubmissionRefused
from hub.cli.screen import (
    FAILED,
    OK,
    UNAVAILABLE,
    CommandStop,
    Screen,
    exit_command,
    make_file_stop,
    progress_bar,
    say,
    say_count,
    t,
)
from hub.config.writing import write_atomically
from hub.domain.local_time import find_local_day
from hub.domain.model import Unit, UnitKind
from hub.report.form.workdays import load_workdays
from hub.security import signing
from hub.security.certificates import Identity
from hub.security.sample_pki import write_secret
from hub.units.units_csv import write_units_csv

#: The files of a drill, in its folder.
PLAN, UNITS, SENT, FLOORS, PROTOCOL = "plan.json", "units.csv", "sent.jsonl", "open-since.json", "protocol.xml"
KEY, CERTIFICATE, AUTHORITY, CRL = "inspector.key", "inspector.crt", "inspector-ca.crt", "inspector-ca.crl"
#: Days behind the period whose holidays a plan knows.
_BEHIND = timedelta(days=40)


def _read_clock() -> datetime:
    return datetime.now(UTC)


def plan_drill(
    screen: Screen,
    directory: Path,
    province: str,
    seed: int | None,
    today: datetime | None,
    cut_off: int,
    days_off: Sequence[datetime],
    services: Sequence[str],
    key: Path | None,
    certificate: Path | None,
) -> None:
    if (key is None) != (certificate is None):
        raise click.UsageError(t("give both --key and --certificate, or neither"))
    if unknown := {*services} - {*drawing.SERVICES}:
        raise click.UsageError(
            t("one of {names}", names=", ".join(drawing.SERVICES)) + f": {', '.join(sorted(unknown))}"
        )
    if (directory / PLAN).exists():
        raise CommandStop(t("{path} exists already", path=directory / PLAN))
    now = _read_clock()
    day, drawn = today.date() if today else find_local_day(now), seed if seed is not None else secrets.randbelow(10**9)
    name = drawing.name_drill(drawn)
    with _guard_written_files(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if key is None or certificate is None:
            key, certificate = _write_keys(directory, name, now)
    try:
        identity = Identity.read(key, certificate)
    except (OSError, ValueError, TypeError) as error:
        raise click.UsageError(say(error)) from error
    off, on = _find_holidays(drawing.find_period(day, cut_off)[2])
    plan = drawing.draw_plan(
        drawn,
        province=province,
        today=day,
        sign=lambda packet: signing.sign_packet(packet, identity),
        cut_off=cut_off,
        days_off=(*off, *(each.date() for each in days_off)),
        days_on=on,
        services=services or drawing.SERVICES,
    )
    with _guard_written_files(directory):
        (directory / UNITS).write_bytes(_write_units(plan))
        (directory / PLAN).write_bytes(write_plan(plan))
    fields = {
        "plan": str(directory / PLAN),
        "name": name,
        "seed": drawn,
        "period": plan.period,
        "steps": len(plan.steps),
    }
    tried = [*list_traps(plan.steps)]
    screen.row(
        {**fields, "units": [unit.code for unit in plan.units], "tried": tried},
        t(
            "The drill {name} (seed {seed}) for {period}: {steps} steps under {units}.",
            name=name,
            seed=drawn,
            period=plan.period,
            steps=say_count(len(plan.steps)),
            units=", ".join(unit.code for unit in plan.units),
        ),
    )
    if not screen.json:
        screen.note(_say_next_steps(directory, plan, certificate))


def _say_next_steps(directory: Path, plan: DrillPlan, certificate: Path) -> str:
    units = " ".join(f"--unit {unit.code}" for unit in plan.units)
    calls = sorted({step.service for step in plan.steps} | {"reports"})
    lines = [
        t("The operator of the hub lets the drill in, once:"),
        f"  lienthong units import {directory / UNITS}",
        f"  lienthong partners add {plan.name.lower()} --certificate {certificate} --fetch {units} --calls {','.join(calls)}",
        "  lienthong reload",
    ]
    if (directory / AUTHORITY).exists():
        lines.insert(1, f"  lienthong trust add {directory / AUTHORITY} --crl {directory / CRL}")
    return "\n".join(lines)


def _write_units(plan: DrillPlan) -> bytes:
    """Return the units of *plan* as the CSV that `lienthong units import` reads."""
    units = [
        Unit(
            each.code, each.name, each.parent or None, aliases=(each.alias,) if each.alias else (), kind=UnitKind.DRILL
        )
        for each in plan.units
    ]
    return write_units_csv(units)


def _find_holidays(last: date) -> tuple[list[date], list[date]]:
    """Return the days off and the worked days of weekends behind the day *last* that the hub's calendar lists."""
    behind = {day: said for day, said in load_workdays().days.items() if last < day <= last + _BEHIND}
    off = [day for day, said in behind.items() if not said.worked]
    return off, [day for day, said in behind.items() if said.worked]


def _write_keys(directory: Path, name: str, now: datetime) -> tuple[Path, Path]:
    """Write new keys of the inspector, which only this user can read. Return the paths of the key and the certificate."""
    made = make_inspector_keys(name, now)
    write_secret(directory / KEY, made.key)
    for path, content in ((CERTIFICATE, made.certificate), (AUTHORITY, made.authority), (CRL, made.crl)):
        (directory / path).write_bytes(content)
    return directory / KEY, directory / CERTIFICATE


def send_drill(screen: Screen, /, directory: Path, **options: Any) -> None:
    plan, sent = _read_plan(directory), _read_sent(directory)
    if find_local_day(_read_clock()) > plan.last:
        raise CommandStop(t("the period of this drill ended on {day}: draw another one", day=plan.last), FAILED)
    with (
        _open_front_door(directory, options) as door,
        _guard_written_files(directory),
        progress_bar(t("Sending")) as tell,
    ):
        if not (directory / FLOORS).exists():
            floors = {form: day.isoformat() for form, day in sending.find_floors(door).items()}
            (directory / FLOORS).write_text(json.dumps(floors) + "\n")
        with (directory / SENT).open("ab") as file:
            for step in plan.steps[len(sent) :]:
                sent.append(sending.send_step(step, door, _read_clock))
                file.write(write_sent_line(sent[-1]))
                file.flush()
                os.fsync(file.fileno())
                tell(len(sent), len(plan.steps))
    accepted = sum(each.accepted for each in sent)
    screen.row(
        {"sent": len(sent), "accepted": accepted, "refused": len(sent) - accepted},
        t(
            "{sent} steps: {accepted} accepted, {refused} refused",
            sent=say_count(len(sent)),
            accepted=say_count(accepted),
            refused=say_count(len(sent) - accepted),
        ),
    )


def reconcile_drill_reports(screen: Screen, /, directory: Path, **options: Any) -> None:
    plan, sent = _read_plan(directory), _read_sent(directory)
    with _open_front_door(directory, options) as door:
        asked = sending.list_asked_reports(plan)
        try:
            reports = {(form, unit): sending.fetch_report(plan, form, unit, door) for form, unit in asked}
        except sending.DrillRefused as refused:
            raise CommandStop(t("the hub refuses: {codes}", codes=", ".join(refused.codes)), FAILED) from None
        record = protocol.DrillRecord(
            plan=plan, sent=tuple(sent), reports=reports, floors=_read_floors(directory / FLOORS)
        )
        content, found = protocol.sign_protocol(record, door.client.identity, _read_clock())
    with _guard_written_files(directory):
        write_atomically((directory / PROTOCOL).absolute(), content)
    for each in found.differences:
        text = f"{each.what}  {each.place}: {say(protocol.say_difference(each))}"
        screen.row({"kind": "difference", **attrs.asdict(each)}, text)
    for form, column in found.unknown:
        screen.note(t("not compared: {form} {column}, which this program does not know", form=form, column=column))
    fields = {"kind": "verdict", "agrees": found.agrees, "cells": found.cells, "differences": len(found.differences)}
    screen.row(
        {**fields, "protocol": str(directory / PROTOCOL)},
        t("Equal: {cells} numbers. {path}", cells=say_count(found.cells), path=directory / PROTOCOL)
        if found.agrees
        else t(
            "{count} differences in {cells} numbers. {path}",
            count=say_count(len(found.differences)),
            cells=say_count(found.cells),
            path=directory / PROTOCOL,
        ),
    )
    exit_command(OK if found.agrees else FAILED)


@attrs.frozen
class _FrontDoor:
    """The way to the hub's services over TLS (`hub.audit.drill.sending.Door`)."""

    client: ServiceClient

    def call(self, service: str, element: etree._Element) -> etree._Element:
        """See `Door`. Raises `HubUnavailable`, too."""
        try:
            return self.client.ask(service, element, f"{self.client.path.rstrip('/')}/soap/{service}")[0]
        except SubmissionRefused as refused:
            raise DrillRefused(*(problem.code for problem in refused.problems)) from None


@contextmanager
def _open_front_door(directory: Path, options: Mapping[str, Any]) -> Generator[_FrontDoor]:
    """Yield the door to the hub. Raises `UsageError`; `CommandStop` (69) if the hub does not answer."""
    try:
        signing = options["hub_certificate"]
        client = ServiceClient(
            options["url"],
            key=options["key"] or directory / KEY,
            certificate=options["certificate"] or directory / CERTIFICATE,
            ca=options["ca"],
            now=_read_clock,
            timeout=options["timeout"],
            signers=certificates(signing.read_bytes()) if signing else (),
        )
    except (OSError, ValueError, TypeError) as error:
        raise click.UsageError(say(error)) from error
    try:
        with client:
            yield _FrontDoor(client)
    except HubUnavailable as outage:
        raise CommandStop(t("unavailable: {outage}", outage=outage), UNAVAILABLE) from outage


def _read_plan(directory: Path) -> DrillPlan:
    try:
        return read_plan((directory / PLAN).read_bytes())
    except (OSError, PlanUnreadable) as error:
        raise CommandStop(t("{path} is no plan of a drill: {error}", path=directory / PLAN, error=error)) from None


def _read_sent(directory: Path) -> list[SentStep]:
    """Return the steps that were noted, in their order. A last line that was not written whole is taken out of the file."""
    path = directory / SENT
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    try:
        found = [*read_sent(whole)]
    except ProtocolUnreadable as error:
        raise CommandStop(t("{path} cannot be read: {error}", path=path, error=error)) from None
    if [each.number for each in found] != [*range(1, len(found) + 1)]:
        raise CommandStop(t("{path} cannot be read: {error}", path=path, error="1, 2, 3 …"))
    if len(whole) < len(content):
        path.write_bytes(whole)
    return found


def _read_floors(path: Path) -> Mapping[str, date]:
    try:
        return {form: date.fromisoformat(day) for form, day in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CommandStop(t("{path} cannot be read: {error}", path=path, error=error)) from None


@contextmanager
def _guard_written_files(directory: Path) -> Generator[None]:
    """End the command if a file of *directory* cannot be written."""
    try:
        yield
    except OSError as error:
        raise make_file_stop(error.filename or directory, error) from error
