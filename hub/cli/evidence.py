"""`lienthong evidence` and `lienthong verify`: writes the evidence of a report into one file, and checks such a file.

`verify` needs no hub, database or network, and no configuration except the trusted certificates.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from hub.cli.screen import (
    FAILED,
    UNAVAILABLE,
    CommandStop,
    Screen,
    command,
    exit_command,
    pass_screen,
    progress_bar,
    t,
    wants_english,
)
from hub.domain.sanitize import replace_controls

if TYPE_CHECKING:
    from cryptography import x509

    from hub.audit import AuditFinding, AuditTrust

_LONGEST = 1000  #: maximum characters shown of a finding
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command(
    "evidence",
    "Ghi tệp chứng cứ của một báo cáo: từ từng con số tới kết quả ghi nhận, thông điệp, sự kiện, và (--with-messages) byte nguyên bản.\n\n"
    "Tệp là ZIP không nén, có bản kê do trục niêm phong. Kiểm tra tệp ở bất cứ đâu, không cần trục: lienthong verify.",
    "Write the evidence file of a report: for each number its facts, messages, events, and (--with-messages) the "
    "exact octets.\n\nThe file is a ZIP without compression with a manifest sealed by the hub. "
    "`lienthong verify` checks it anywhere, without a hub.",
    "lienthong evidence H55.13 2026-11",
    "lienthong evidence H55.13 2026-11 --form dossiers --with-messages -o chungcu.zip",
    "lienthong verify chungcu.zip --ca ca.crt",
)
@click.argument("unit")
@click.argument("period")
@click.option("--form", default="edoc", show_default=True, help=t("Biểu mẫu.", "The form."))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=t("Tệp ghi ra; mặc định evidence-FORM-UNIT-PERIOD.zip.", "The file; default evidence-FORM-UNIT-PERIOD.zip."),
)
@click.option(
    "--with-messages",
    "octets",
    is_flag=True,
    help=t("Kèm đúng từng byte của các thông điệp.", "Include the exact octets of the messages."),
)
@pass_screen
def evidence(screen: Screen, unit: str, period: str, form: str, output: Path | None, octets: bool) -> None:
    import attrs

    from hub.cli.journal import open_journal, read_journal_config
    from hub.cli.report.declared import read_report_sources
    from hub.domain.errors import Unready
    from hub.report.form import book
    from hub.store import transactions
    from hub.workload import evidence_file as deed

    now, config = datetime.now(UTC), read_journal_config(screen)
    known = book.read_book(config.reports)
    with open_journal(config, counts=known.services(form)) as engine, transactions.read_transaction(engine) as tx:
        asked = read_report_sources(tx, unit, period, form, known)
        place = output or Path(f"evidence-{asked.form.id}-{asked.members[0]}-{asked.period.text}.zip")
        try:
            with _whole(place) as file, progress_bar(t("Ghi", "Writing")) as tell:
                written = deed.write_evidence_file(tx, asked, now, config.identity, file, octets=octets, tell=tell)
        except Unready as unready:
            why = unready.problem.detail
            raise CommandStop(f"chưa niêm phong được: {why}", f"cannot be sealed now: {why}", UNAVAILABLE) from None
        except deed.Derived as derived:
            bases = " ".join(derived.args)
            raise click.UsageError(
                t(
                    f"biểu mẫu {form} lấy số liệu từ biểu mẫu khác; hãy lấy chứng cứ của: {bases}",
                    f"the form {form} takes its numbers from other forms; ask for the evidence of: {bases}",
                )
            ) from None
        except (deed.TooMany, OverflowError) as many:
            raise CommandStop(
                f"quá nhiều cho một tệp ({many}): hãy lấy từng đơn vị, hoặc một kỳ ngắn hơn",
                f"too much for one file ({many}): ask for one unit, or for a shorter period",
            ) from None
    counts = attrs.asdict(written.manifest.counts)
    said = {"file": str(place), "unit": asked.members[0], "form": form, "period": period, "revision": written.revision}
    screen.row({**said, **counts, "size": place.stat().st_size}, str(place))
    for each in written.wrong:
        screen.note(
            f"CẢNH BÁO: căn cứ của {each.unit} kỳ {each.period} không còn như lúc đóng; tệp này sẽ không đúng khi kiểm tra",
            f"WARNING: the evidence of {each.unit} in {each.period} has changed since the closing; this file will not "
            "verify",
        )
    screen.note(
        f"{counts['facts']} kết quả, {counts['messages']} thông điệp, {counts['events']} sự kiện. Kiểm tra: lienthong verify {place}",
        f"{counts['facts']} facts, {counts['messages']} messages, {counts['events']} events. Check it: lienthong verify {place}",
    )


@contextmanager
def _whole(place: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file that replaces *place* once it is complete and on disk."""
    try:
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=f".{place.name}.", delete=False) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o600)
                Path(file.name).replace(place)
            except BaseException:
                with suppress(FileNotFoundError):
                    Path(file.name).unlink()
                raise
    except OSError as error:
        raise CommandStop(
            f"không ghi được {place}: {error.strerror}", f"cannot write {place}: {error.strerror}"
        ) from None


@command(
    "verify",
    "Kiểm tra, không cần trục, tệp chứng cứ, báo cáo XML có niêm phong, hoặc biên nhận: mỗi dòng một điều đúng hay sai.\n\n"
    "ĐÚNG: đã kiểm tra và đúng. SAI: đã kiểm tra và sai. LƯU Ý: không kiểm tra được ở đây, hoặc điều nên biết. "
    "Mã thoát: 0 không có gì sai · 1 có điều sai · 2 sai cách dùng.",
    "Check, without a hub, an evidence file, a sealed report as XML, or a receipt. Prints one line for each check.\n\n"
    "HOLDS: checked and correct. FALSE: checked and wrong. NOTE: it could not be checked here, or is information. "
    "Exit codes: 0 nothing is false · 1 something is false · 2 wrong usage.",
    "lienthong verify evidence-edoc-H55.13-2026-11.zip",
    "lienthong verify baocao.xml --ca ca.crt --hub-certificate hub.crt",
    "lienthong verify bien-nhan.xml --ca ca.crt --json",
)
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE…")
@click.option(
    "--ca",
    "anchors",
    type=_FILE,
    multiple=True,
    help=t(
        "CA được tin (PEM); mặc định pki/ca.crt bên cạnh hub.toml.",
        "Trusted CAs (PEM); default pki/ca.crt beside hub.toml.",
    ),
)
@click.option(
    "--hub-certificate",
    "hubs",
    type=_FILE,
    multiple=True,
    help=t(
        "Chứng thư của trục (PEM): niêm phong phải của chủ thể này; mặc định, khi không có --ca, pki/hub.crt.",
        "The hub's certificate (PEM): seals must be by its subject; default, without --ca, pki/hub.crt.",
    ),
)
@pass_screen
def verify_evidence(screen: Screen, files: Sequence[Path], anchors: Sequence[Path], hubs: Sequence[Path]) -> None:
    from hub import audit

    trust, false = _trust(screen, anchors, hubs), 0
    for path in files:
        wrong = 0
        with path.open("rb") as file, progress_bar(t("Kiểm tra", "Checking")) as tell:
            found = list(audit.audit_file(file, trust, tell))
        for finding in found:
            wrong += finding.holds is False
            _print(screen, path, finding)
        false += wrong
        if not screen.json:
            _conclude(path, wrong)
    exit_command(FAILED if false else 0)


def _trust(screen: Screen, anchors: Sequence[Path], hubs: Sequence[Path]) -> "AuditTrust":
    from hub.audit import AuditTrust
    from hub.security.certificates import Anchors

    beside = screen.config.parent / "pki"
    if not anchors:
        if not (beside / "ca.crt").is_file():
            raise click.UsageError(t("cần --ca: CA nào được tin", "--ca is needed: the trusted CA"))
        anchors = [beside / "ca.crt"]
        if not hubs and (beside / "hub.crt").is_file():
            hubs = [beside / "hub.crt"]
    leaves = [certificates[0] for path in hubs if (certificates := _certificates(path))]
    every = [certificate for path in anchors for certificate in _certificates(path)]
    persons = Anchors(every, committing=True)
    return AuditTrust(anchors=Anchors(every), persons=persons, now=datetime.now(UTC), hub=tuple(leaves))


def _certificates(path: Path) -> "list[x509.Certificate]":
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (ValueError, x509.InvalidVersion) as error:
        raise click.UsageError(
            t(f"{path}: không có chứng thư PEM: {error}", f"{path}: no PEM certificate: {error}")
        ) from None


def _print(screen: Screen, path: Path, finding: "AuditFinding") -> None:
    words = {True: t("ĐÚNG", "HOLDS"), False: t("SAI", "FALSE"), None: t("LƯU Ý", "NOTE")}
    colour = {True: "green", False: "red", None: "yellow"}[finding.holds]
    place, text = (
        replace_controls(said[:_LONGEST]) for said in (finding.place, finding.en if wants_english() else finding.vi)
    )
    fields = {"file": str(path), "holds": finding.holds, "check": finding.check, "place": place, "text": text}
    word = click.style(words[finding.holds].ljust(6), fg=colour)
    screen.row(fields, f"{word} {finding.check:10} {f'{place}: ' if place else ''}{text}")


def _conclude(path: Path, wrong: int) -> None:
    well = t(f"{path}: không có gì sai", f"{path}: nothing is false")
    ill = t(f"{path}: {wrong} điều SAI", f"{path}: {wrong} things are FALSE")
    click.secho(ill if wrong else well, bold=True, fg="red" if wrong else "green")
