"""`lienthong evidence` and `lienthong verify`: writes the evidence of a report into one file, and checks such a file.

`verify` needs no hub, database or network, and no configuration except the trusted certificates.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO

import attrs
import click
from cryptography import x509

from hub.audit.findings import AuditFinding
from hub.audit.sealed_file import audit_file
from hub.audit.seals import AuditTrust
from hub.cli.audit.archive import stop_without_archive
from hub.cli.journal import open_journal, read_journal_config
from hub.cli.report.declared import read_report_sources
from hub.cli.screen import FAILED, UNAVAILABLE, CommandStop, Screen, exit_command, progress_bar, say, t
from hub.config.durable_files import hold_workplace
from hub.domain.errors import Unready
from hub.domain.sanitize import replace_controls
from hub.keeping.archive import reading
from hub.language.system_errors import name_system_error
from hub.report.form import book
from hub.security.anchors import Anchors
from hub.security.certificates import CredentialUnfit, load_pem_certificates
from hub.store import transactions
from hub.workload import evidence_file as deed

_LONGEST = 1000  #: maximum characters shown of a finding


def evidence(screen: Screen, unit: str, period: str, form: str, output: Path | None, octets: bool) -> None:
    now, config = datetime.now(UTC), read_journal_config(screen)
    known = book.read_book(config.reports)
    with open_journal(config, counts=known.services(form)) as engine, transactions.read_transaction(engine) as tx:
        asked = read_report_sources(tx, unit, period, form, known)
        place = output or Path(f"evidence-{asked.form.id}-{asked.members[0]}-{asked.period.text}.zip")
        try:
            with stop_without_archive(config), _write_whole_file(place) as file, progress_bar(t("Writing")) as tell:
                written = deed.write_evidence_file(
                    tx, asked, now, config.identity, file, octets=octets, archives=config.archive, tell=tell
                )
        except Unready as unready:
            why = unready.problem.detail
            raise CommandStop(t("cannot be sealed now: {why}", why=why), UNAVAILABLE) from None
        except (deed.TooMany, OverflowError) as many:
            raise CommandStop(
                t("too much for one file ({many_}): ask for one unit, or for a shorter period", many_=many.args[0]),
            ) from None
    counts = attrs.asdict(written.manifest.counts)
    said = {"file": str(place), "unit": asked.members[0], "form": form, "period": period, "revision": written.revision}
    screen.row({**said, **counts, "size": place.stat().st_size}, str(place))
    for each in written.wrong:
        screen.note(
            t(
                "WARNING: the evidence of {unit} in {period} has changed since the closing; this file will not verify",
                unit=each.unit,
                period=each.period,
            ),
        )
    screen.note(
        t(
            "{facts} facts, {messages} messages, {events} events. Check it: lienthong verify {place}",
            facts=counts["facts"],
            messages=counts["messages"],
            events=counts["events"],
            place=place,
        ),
    )


@contextmanager
def _write_whole_file(place: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file that replaces *place* once it is complete and on disk."""
    try:
        with hold_workplace(place) as work:
            new = work / place.name
            with new.open("w+b") as file:
                new.chmod(0o600)
                yield file
                file.flush()
                os.fsync(file.fileno())
            new.replace(place)
    except OSError as error:
        raise CommandStop(
            t("cannot write {place}: {strerror}", place=place, strerror=name_system_error(error))
        ) from None


def verify_evidence(screen: Screen, files: Sequence[Path], anchors: Sequence[Path], hubs: Sequence[Path]) -> None:
    trust, false = _gather_audit_trust(screen, anchors, hubs), 0
    for path in files:
        wrong = 0
        with path.open("rb") as file, progress_bar(t("Checking")) as tell:
            found = list(_audit_opened_file(file, path, trust, tell))
        for finding in found:
            wrong += finding.holds is False
            _print_audit_finding(screen, path, finding)
        false += wrong
        if not screen.json:
            _conclude_audit(path, wrong)
    exit_command(FAILED if false else 0)


def _audit_opened_file(
    file: BinaryIO, path: Path, trust: AuditTrust, tell: Callable[[int, int], None]
) -> Iterator[AuditFinding]:
    archived = reading.is_archive(file.read(100))
    file.seek(0)
    return reading.audit_archive_file(file, path, trust, tell) if archived else audit_file(file, trust, tell)


def _gather_audit_trust(screen: Screen, anchors: Sequence[Path], hubs: Sequence[Path]) -> AuditTrust:
    beside = screen.config.parent / "pki"
    if not anchors:
        if not (beside / "ca.crt").is_file():
            raise click.UsageError(t("--ca is needed: the trusted CA"))
        anchors = [beside / "ca.crt"]
        if not hubs and (beside / "hub.crt").is_file():
            hubs = [beside / "hub.crt"]
    leaves = [certificates[0] for path in hubs if (certificates := _read_certificates(path))]
    every = [certificate for path in anchors for certificate in _read_certificates(path)]
    persons = Anchors(every, committing=True)
    return AuditTrust(anchors=Anchors(every), persons=persons, now=datetime.now(UTC), hub=tuple(leaves))


def _read_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return load_pem_certificates(path.read_bytes())
    except CredentialUnfit as error:
        raise click.UsageError(t("{path}: no PEM certificate: {error}", path=path, error=error)) from None


def _print_audit_finding(screen: Screen, path: Path, finding: AuditFinding) -> None:
    words = {True: t("HOLDS"), False: t("FALSE"), None: t("NOTE")}
    colour = {True: "green", False: "red", None: "yellow"}[finding.holds]
    place, text = (replace_controls(said[:_LONGEST]) for said in (finding.place, say(finding.text)))
    fields = {"file": str(path), "holds": finding.holds, "check": finding.check, "place": place, "text": text}
    word = click.style(words[finding.holds].ljust(6), fg=colour)
    screen.row(fields, f"{word} {finding.check:10} {f'{place}: ' if place else ''}{text}")


def _conclude_audit(path: Path, wrong: int) -> None:
    well = t("{path}: nothing is false", path=path)
    ill = t("{path}: {wrong} things are FALSE", path=path, wrong=wrong)
    click.secho(ill if wrong else well, bold=True, fg="red" if wrong else "green")
