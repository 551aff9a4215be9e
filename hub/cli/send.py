"""`lienthong send` and `lienthong fetch`: the commands of a partner. `hub.cli.documents_client` makes the calls.

The caller is a sample partner of the given hub.toml; or, without a hub on this machine, it is given by key,
certificate, CA and address.
"""

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import attrs
import click

from hub.cli.documents_client import DocumentsClient, HubUnavailable, SubmissionRefused
from hub.cli.screen import (
    FAILED,
    OK,
    PARTLY,
    UNAVAILABLE,
    CommandStop,
    Screen,
    exit_command,
    make_file_stop,
    read_language,
    say,
    t,
)
from hub.config import ANY, Config, read_config
from hub.config.durable_files import replace_file
from hub.domain.errors import Rejected, describe_problem, find_error_sentence
from hub.language.catalogues import say_both
from hub.language.languages import Language
from hub.security.certificates import load_pem_certificates as certificates


@attrs.frozen
class Caller:
    """Caller and address, from the options that both commands share."""

    partner: str | None  #: a sample partner, whose files stand in for the missing options
    key: Path | None
    certificate: Path | None
    ca: Path | None
    hub_certificate: Path | None  #: certificate with which the hub signs, if not that of its TLS
    url: str | None
    timeout: float  #: seconds for one call


def send(
    screen: Screen,
    /,
    file: IO[bytes],
    message_id: str | None,
    sign_packet: bool,
    receipt: Path | None,
    **options: Any,
) -> None:
    packet = file.read()
    with _open_caller_client(screen, Caller(**options)) as (client, _), _explain_client_failure(screen):
        if sign_packet:
            packet = _sign_packet(packet, client)
        sent = client.send(packet, message_id)
        if receipt:
            receipt.write_bytes(sent.receipt)
    fields = {"accepted": True, **attrs.asdict(sent), "receipt": sent.receipt.decode()}
    screen.row(fields, t("Accepted: {document_id}", document_id=sent.document_id))


def _sign_packet(packet: bytes, client: DocumentsClient) -> bytes:
    """Return *packet* signed with the caller's key. Raises `CommandStop` if it cannot be signed."""
    try:
        return client.sign_packet(packet)
    except ValueError as error:
        raise CommandStop(t("the packet cannot be signed: {error}", error=error), FAILED) from error
    except Rejected as rejected:
        why = describe_problem(rejected.problems[0], read_language())
        raise CommandStop(t("the packet cannot be signed: {why}", why=why), FAILED) from rejected


def fetch_messages(screen: Screen, /, directory: Path, units: tuple[str, ...], confirm: bool, **options: Any) -> None:
    with _open_caller_client(screen, Caller(**options)) as (client, config):
        wanted = units or _units_of(options["partner"], config())
        with _explain_client_failure(screen):
            directory.mkdir(parents=True, exist_ok=True)
            fetched, refused = _fetch_all(screen, client, directory, wanted, confirm)
    screen.note(t("{fetched} messages into {directory}", fetched=fetched, directory=directory))
    exit_command(OK if not refused else PARTLY if fetched else FAILED)


def _fetch_all(
    screen: Screen, client: DocumentsClient, directory: Path, units: tuple[str, ...], confirm: bool
) -> tuple[int, int]:
    """Fetch for each unit until nothing new waits. Return the numbers of files written and of refused messages."""
    written: dict[str, dict[str, object]] = {}
    refused: set[str] = set()
    for unit in units:
        seen: set[str] = set()
        while new := [each for each in client.pending(unit) if each not in seen]:
            seen.update(new)
            for document_id in new:
                try:
                    if document_id not in written:
                        written[document_id] = _fetch_into_file(client, document_id, directory)
                    if confirm:
                        client.confirm(document_id, unit)
                except SubmissionRefused as error:
                    refused.add(document_id)
                    _show_refusal(screen, error, document_id)
                else:
                    fields = {"document_id": document_id, "unit": unit, "confirmed": confirm, **written[document_id]}
                    screen.row(fields, f"{unit}  {fields['path']}")
    return len(written), len(refused)


def _fetch_into_file(client: DocumentsClient, document_id: str, directory: Path) -> dict[str, object]:
    """Fetch one message into a file. The complete file is on disk before the message can be confirmed."""
    found = client.get(document_id)
    path = directory / f"{quote(document_id, safe='')}.edxml"
    replace_file(path, found.packet)
    sha256 = hashlib.sha256(found.packet).hexdigest()
    return {"message_id": found.message_id, "path": str(path), "size": len(found.packet), "sha256": sha256}


@contextmanager
def _open_caller_client(screen: Screen, caller: Caller) -> Generator[tuple[DocumentsClient, Callable[[], Config]]]:
    """Yield the client for *caller*, and a function that reads the configuration. Raises `UsageError`."""
    read: list[Config] = []

    def config() -> Config:
        if not read:
            read.append(read_config(screen.config))
        return read[0]

    pki = screen.config.absolute().parent / "pki"
    key, certificate, ca = caller.key, caller.certificate, caller.ca
    if caller.partner:
        key = key or pki / "partners" / f"{caller.partner}.key"
        certificate = certificate or pki / "partners" / f"{caller.partner}.crt"
        ca = ca or pki / "ca.crt"
    if not (key and certificate and ca and (caller.url or caller.partner)):
        raise click.UsageError(
            t(
                "give --as PARTNER, or all of --key, --certificate, --ca and --url",
            )
        )
    url = caller.url or find_documents_url(config())
    try:
        signers = certificates(caller.hub_certificate.read_bytes()) if caller.hub_certificate else ()
        # this hub signs with another certificate than that of its TLS
        if read and not signers and len(read[0].own) > 1:
            signers = [read[0].identity.certificate]
        client = DocumentsClient(
            url,
            key=key,
            certificate=certificate,
            ca=ca,
            now=lambda: datetime.now(UTC),
            timeout=caller.timeout,
            signers=signers,
        )
    except (OSError, ValueError, TypeError) as error:
        raise click.UsageError(say(error)) from error
    with client:
        yield client, config


def find_documents_url(config: Config) -> str:
    """Return the URL of the hub in the configuration: its public address, or its port on this machine."""
    if config.public_url:
        return f"{config.public_url.rstrip('/')}/soap/documents"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.soap.host, config.soap.host)  # noqa: S104  compared, not bound
    return f"https://{f'[{host}]' if ':' in host else host}:{config.soap.port}/soap/documents"


def _units_of(partner: str | None, config: Config) -> tuple[str, ...]:
    found = config.partners.get(partner or "")
    units = tuple(unit for unit in found.units if unit != ANY) if found else ()
    if not units:
        raise click.UsageError(t("give --unit: this partner has no unit"))
    return units


@contextmanager
def _explain_client_failure(screen: Screen) -> Generator[None]:
    """End the command with the right exit code if it is refused, unavailable, or a file cannot be written."""
    try:
        yield
    except SubmissionRefused as refused:
        _show_refusal(screen, refused)
        exit_command(FAILED)
    except HubUnavailable as outage:
        if screen.json:
            screen.row({"accepted": None, "unavailable": str(outage), "retry_after": outage.retry_after}, "")
        raise CommandStop(t("unavailable: {outage}", outage=outage), UNAVAILABLE) from outage
    except OSError as error:
        raise make_file_stop(error.filename2 or error.filename, error) from error


def _show_refusal(screen: Screen, refused: SubmissionRefused, document_id: str | None = None) -> None:
    if screen.json:
        errors = [{"code": problem.code, "description": str(problem.detail)} for problem in refused.problems]
        named = {"document_id": document_id} if document_id else {}
        screen.row({"accepted": False, **named, "errors": errors, "tracking": refused.tracking}, "")
        return
    subject = f" {document_id}" if document_id else ""
    screen.note(t("Refused{subject}:", subject=subject))
    for problem in refused.problems:
        screen.note(
            t("  {code}: {detail}", code=problem.code, detail=_choose_language(problem.code, say(problem.detail)))
        )
    if refused.tracking:
        screen.note(t("  Tracking id: {tracking}", tracking=refused.tracking))


def _choose_language(code: str, answer: str) -> str:
    """Return the part of a hub's *answer* that is in the user's language: a hub answers in both at once.

    An answer that is made otherwise, as by another version, is returned whole.
    """
    try:
        vietnamese, english = (f"{each}." for each in say_both(find_error_sentence(code)))
    except KeyError:
        return answer
    before, found, detail = answer.partition(f" / {english}")
    if not found or not before.startswith(vietnamese):
        return answer
    if read_language() is Language.EN:
        return english + detail
    return vietnamese + detail if before == vietnamese else before
