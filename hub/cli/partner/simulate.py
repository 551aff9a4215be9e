"""`lienthong partners simulate`: is a partner that answers as it is told, until it is stopped.

Finds the partner's key and the hub's certificates, prints each call, and reads new answers from the keyboard.
`hub.simulator` serves the calls. The reactor is imported only here, when the command runs.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import attrs
import click
from cryptography import x509

from hub.cli.documents_client import DocumentsClient, HubUnavailable, SubmissionRefused
from hub.cli.journal import read_journal_config
from hub.cli.partner.commands import add_partner
from hub.cli.partner.simulated_calls import (
    choose_exit_code,
    say_outcome,
    say_problems,
    say_simulated_call,
    say_simulation_summary,
    say_time_of_day,
    write_simulated_call,
    write_simulation_summary,
)
from hub.cli.screen import NOT_FOUND, UNAVAILABLE, CommandStop, Screen, exit_command, make_file_stop, say, t
from hub.cli.send import find_documents_url
from hub.config import ANY, Config, Listen, Partner, is_partner_code
from hub.config.writing import write_partner_toml
from hub.domain.local_time import HANOI, find_local_day
from hub.edxml.sample import make_sample_packet
from hub.intake.grants import NEW_CALLS
from hub.runtime.free_ports import find_free_ports
from hub.runtime.logs import configure_logs
from hub.runtime.ports import Port, bind_port
from hub.security import sample_pki
from hub.security.certificates import Identity, hash_certificate, load_pem_certificates
from hub.simulator.answers import AnswerPlan, AnswerUnfit, ScriptLine, ToldAnswer, parse_answer, parse_script
from hub.simulator.partner_site import LARGEST, PartnerSite, PartnerTlsFactory, SimulatedCall, SimulatedPartner
from hub.simulator.tally import SentOutcome, SimulationTally
from hub.soap import wsdl

_PATH = "/soap/documents"
#: Seconds that one call to the hub may take.
_PATIENCE = 15.0
#: Maximum octets of a typed line.
_LINE = 4096
#: Seconds that the last answer has to leave.
_LEAVE = 0.2


def _read_answer(value: str) -> ToldAnswer:
    try:
        return parse_answer(value)
    except AnswerUnfit as unfit:
        raise click.BadParameter(say(unfit.reason), param_hint="'--answer'") from unfit


def _read_script(value: Path | None) -> tuple[ScriptLine, ...]:
    try:
        return () if value is None else parse_script(value.read_text("utf-8"))
    except AnswerUnfit as unfit:
        raise click.BadParameter(say(unfit.reason), param_hint="'--script'") from unfit
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--script'") from error


@attrs.frozen(kw_only=True)
class SimulationFiles:
    """Where the key of the partner and the certificates of the hub are."""

    key: Path | None
    certificate: Path | None
    ca: Path | None
    hub_certificate: Path | None
    url: str | None


@attrs.frozen(kw_only=True)
class SimulationOptions:
    """What the partner is to do."""

    usual: ToldAnswer
    script: tuple[ScriptLine, ...]
    host: str
    port: int | None
    add: bool
    units: tuple[str, ...]
    number: int  #: documents to send
    rate: float  #: documents a second
    sender: str | None
    recipient: str | None
    most_calls: int | None
    most_seconds: float | None
    yes: bool


def simulate_partner(
    screen: Screen,
    /,
    code: str,
    url: str | None,
    key: Path | None,
    certificate: Path | None,
    ca: Path | None,
    hub_certificate: Path | None,
    **given: Any,
) -> None:
    read = {"usual": _read_answer(given["usual"]), "script": _read_script(given["script"])}
    options = SimulationOptions(**given | read)
    if options.rate <= 0 or (options.most_seconds or 1) <= 0:
        raise click.UsageError(t("--rate and --seconds must be above 0"))
    files = SimulationFiles(key=key, certificate=certificate, ca=ca, hub_certificate=hub_certificate, url=url)
    setting = _find_setting(screen, code, files, options)
    _serve_simulation(screen, code, setting, options, _bind_port(options.host, setting.port))


@attrs.frozen(kw_only=True)
class SimulationSetting:
    """What was found of the partner and of the hub."""

    identity: Identity
    hub: tuple[x509.Certificate, ...]
    port: int
    client: DocumentsClient | None  #: None: nothing is to be sent
    sender: str | None
    recipient: str | None


def _find_setting(screen: Screen, code: str, files: SimulationFiles, options: SimulationOptions) -> SimulationSetting:
    given = files.key and files.certificate and files.hub_certificate
    config = None if given and not options.add else _read_config(screen, code)
    partner = None if config is None else config.partners.get(code)
    try:
        if files.key and files.certificate:
            key, certificate = files.key, files.certificate
        else:
            assert config is not None
            key, certificate = _find_pair(screen, config.path.parent / "pki", code, partner)
        identity = Identity.read(key, certificate)
        if files.hub_certificate:
            hub = tuple(load_pem_certificates(files.hub_certificate.read_bytes()))
        else:
            assert config is not None
            hub = tuple(signer.certificate for _, signer in config.own)
    except (OSError, ValueError, TypeError) as error:
        raise CommandStop(say(error)) from error
    if partner is not None and identity.certificate not in partner.certificates:
        raise CommandStop(
            t("{certificate} is not a certificate of the partner {code}", certificate=certificate, code=code)
        )
    port = _choose_port(options, partner)
    if config is not None and partner is None:
        _introduce_partner(screen, code, certificate, f"https://{_write_host(options.host)}:{port}{_PATH}", options)
    elif partner is not None and not _is_served(partner, port):
        screen.note(
            t(
                "The hub does not push to this port: the file of {code} says {url}",
                code=code,
                url=partner.url or "–",
            )
        )
    sender, recipient = options.sender, options.recipient
    if config is not None and options.number:
        sender = sender or _first_unit(config, [code]) or (options.units[0] if options.units else None)
        recipient = recipient or _first_unit(config, [each for each in config.partners if each != code])
    client = _find_client(files, config, options, key, certificate, hub)
    if client is not None and not (sender and recipient):
        raise click.UsageError(t("give --from and --to"))
    return SimulationSetting(
        identity=identity,
        hub=hub,
        port=port,
        client=client,
        sender=sender,
        recipient=recipient,
    )


def _read_config(screen: Screen, code: str) -> Config:
    if not is_partner_code(code):
        raise CommandStop(t("{code} is not a valid partner code", code=repr(code)))
    return read_journal_config(screen)


def _find_pair(screen: Screen, pki: Path, code: str, partner: Partner | None) -> tuple[Path, Path]:
    """Return the partner's key and certificate. If the hub does not know it yet, they may be made here."""
    key, certificate = (pki / "partners" / f"{code}.{ending}" for ending in ("key", "crt"))
    if key.exists() and certificate.exists():
        return key, certificate
    if partner is not None or not (pki / "ca.key").exists():
        raise CommandStop(t("there is no {key}; give --key and --certificate", key=key), NOT_FOUND)
    sample_pki.add_sample_partner(pki, code, datetime.now(UTC))
    screen.note(t("Wrote {path}", path=certificate))
    return key, certificate


def _choose_port(options: SimulationOptions, partner: Partner | None) -> int:
    if options.port:
        return options.port
    if options.port is None and partner is not None and partner.url:
        parts = urlsplit(partner.url)
        if parts.scheme == "https" and _is_here(parts.hostname or "") and parts.port:
            return parts.port
    return find_free_ports(1)[0]


def _is_served(partner: Partner, port: int) -> bool:
    """Tell whether the hub pushes to *port* of this machine."""
    parts = urlsplit(partner.url or "")
    return partner.takes_documents and _is_here(parts.hostname or "") and parts.port == port


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _write_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _introduce_partner(screen: Screen, code: str, certificate: Path, url: str, options: SimulationOptions) -> None:
    """Add the partner to the hub, or print the lines of its file."""
    if options.add:
        if not options.units:
            raise click.UsageError(t("--add needs --unit"))
        context = click.get_current_context()
        # The command, not its function: click fills in what is not given.
        context.invoke(add_partner, code=code, certificate_files=(certificate,), units=options.units, push=url)
        return
    lines = write_partner_toml(
        name=code,
        certificates=[os.path.relpath(certificate, screen.config.absolute().parent)],
        units=options.units,
        calls=NEW_CALLS,
        receive="push",
        url=url,
    )
    screen.note(t("The hub does not know {code}. Its file partners/{code}.toml would be:", code=code))
    screen.note(f"\n{lines}")
    screen.note(t("Run it again with --add --unit CODE to write it, then `lienthong reload`."))


def _first_unit(config: Config, codes: Sequence[str]) -> str | None:
    """Return the first unit of the partners *codes*."""
    units = (unit for code in codes if code in config.partners for unit in config.partners[code].units)
    return next((unit for unit in units if unit != ANY), None)


def _find_client(
    files: SimulationFiles,
    config: Config | None,
    options: SimulationOptions,
    key: Path,
    certificate: Path,
    hub: Sequence[x509.Certificate],
) -> DocumentsClient | None:
    """Return the connection to the hub, which is not open yet. None: nothing is to be sent."""
    if not options.number:
        return None
    ca = files.ca or (None if config is None else config.path.parent / "pki" / "ca.crt")
    url = files.url or (None if config is None else find_documents_url(config))
    if ca is None or url is None or not ca.exists():
        raise click.UsageError(t("--send needs --url and --ca"))
    if not _is_here(urlsplit(url).hostname or "") and not options.yes:
        raise CommandStop(t("{url} is not on this machine, and it counts what is sent; add --yes", url=url))

    try:
        return DocumentsClient(
            url,
            key=key,
            certificate=certificate,
            ca=ca,
            now=lambda: datetime.now(UTC),
            timeout=_PATIENCE,
            signers=hub,
        )
    except (OSError, ValueError, TypeError) as error:
        raise click.UsageError(say(error)) from error


# --- while it runs ---------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class SimulationRun:
    """One simulation: its reactor, its numbers, and what ends it."""

    screen: Screen
    reactor: Any
    options: SimulationOptions
    plan: AnswerPlan
    tally: SimulationTally
    #: set when the simulation ends; the thread that sends waits for it
    ended: threading.Event = attrs.field(factory=threading.Event, init=False)

    def tell_call(self, call: SimulatedCall) -> None:
        """Print one call, and stop after the last one that was asked for."""
        self.tally.count_call(call)
        self.screen.row(write_simulated_call(call), "" if self.screen.json else say_simulated_call(call))
        if self.tally.calls == self.options.most_calls:
            wait = call.answer.seconds if call.answer is not None else 0.0
            self.reactor.callLater(wait + _LEAVE, self.stop)

    def obey(self, typed: str) -> None:
        """Do what was typed: another answer, `?` for the numbers, `q` to stop."""
        match typed.strip():
            case "":
                return
            case "q":
                self.stop()
            case "?":
                self.screen.note(say_simulation_summary(self.tally, 0))
            case text:
                try:
                    self.plan.change(parse_answer(text))
                except AnswerUnfit as unfit:
                    self.screen.note(say(unfit.reason))
                else:
                    fields = {"kind": "answer", "answer": str(self.plan.next)}
                    self.screen.row(fields, t("From now on: {answer}", answer=self.plan.next))

    def stop(self) -> None:
        """End the simulation."""
        if self.reactor.running:
            self.reactor.stop()


def _bind_port(host: str, port: int) -> socket.socket:
    """Return the socket of the port. Raises `CommandStop` if it cannot be had."""
    try:
        return bind_port(Listen(host, port, LARGEST))
    except OSError as error:
        raise make_file_stop(f"{host}:{port}", error, UNAVAILABLE) from error


def _serve_simulation(
    screen: Screen, code: str, setting: SimulationSetting, options: SimulationOptions, bound: socket.socket
) -> None:
    """Serve until it is stopped, print the summary, and end the command."""
    from twisted.internet import reactor  # importing it chooses it: only who runs it may

    configure_logs(sys.stderr)
    loop: Any = reactor
    plan = AnswerPlan(options.usual, options.script)
    run = SimulationRun(screen, loop, options, plan, SimulationTally())
    partner = SimulatedPartner(
        setting.identity, setting.hub, wsdl.load_contract("documents"), plan, lambda: datetime.now(UTC), run.tell_call
    )
    context = partner.make_context()
    port = Port(bound, PartnerSite(partner, loop), lambda: context, loop, PartnerTlsFactory)
    port.startService()
    _say_ready(screen, code, setting, options, plan)
    threading.Thread(target=_read_typed, args=(lambda line: loop.callFromThread(run.obey, line),), daemon=True).start()
    loop.addSystemEventTrigger("before", "shutdown", run.ended.set)
    if setting.client is not None:
        loop.callWhenRunning(loop.callInThread, _send_documents, run, setting)
    if options.most_seconds is not None:
        loop.callLater(options.most_seconds, run.stop)
    loop.run()
    fields = write_simulation_summary(run.tally, partner)
    screen.row(fields, "" if screen.json else say_simulation_summary(run.tally, partner.turned_away))
    exit_command(choose_exit_code(run.tally))


def _say_ready(
    screen: Screen, code: str, setting: SimulationSetting, options: SimulationOptions, plan: AnswerPlan
) -> None:
    url = f"https://{_write_host(options.host)}:{setting.port}{_PATH}"
    fields = {
        "kind": "ready",
        "code": code,
        "url": url,
        "answer": str(plan.next),
        "certificate": hash_certificate(setting.identity.certificate),
    }
    text = t("{code} listens at {url} and answers: {answer}. Ctrl-C ends it.", code=code, url=url, answer=plan.next)
    screen.row(fields, text)


def _read_typed(tell: Callable[[str], None]) -> None:
    """Pass each typed line to *tell*, in a thread of its own.

    Reads the descriptor itself: a thread that waits in a buffered reader would break the end of the program.
    """
    left = b""
    while True:
        try:
            octets = os.read(0, _LINE)
        except OSError:
            return
        if not octets:
            return
        *lines, left = (left + octets).split(b"\n")
        left = left[-_LINE:]
        for line in lines:
            tell(line.decode("utf-8", "replace"))


def _send_documents(run: SimulationRun, setting: SimulationSetting) -> None:
    """Send the documents one after another, in a thread of its own, and tell of each."""
    assert setting.client is not None
    begun = monotonic()
    with setting.client as client:
        for number, packet in zip(range(1, run.options.number + 1), _make_packets(setting), strict=False):
            wait = begun + (number - 1) / run.options.rate - monotonic()
            if run.ended.wait(max(0.0, wait)):
                return
            fields: dict[str, object] = {"kind": "sent", "number": number}
            at = monotonic()
            try:
                sent = client.send(packet)
            except SubmissionRefused as refused:
                outcome, why = SentOutcome.REFUSED, say_problems(refused.problems)
                fields |= {"tracking": refused.tracking}
            except HubUnavailable as outage:
                outcome, why = SentOutcome.UNAVAILABLE, str(outage)
            else:
                outcome, why = SentOutcome.ACCEPTED, sent.document_id
            fields |= {"outcome": str(outcome), "detail": why, "milliseconds": round((monotonic() - at) * 1000)}
            run.reactor.callFromThread(_tell_sent, run, outcome, fields)


def _make_packets(setting: SimulationSetting) -> Iterator[bytes]:
    assert setting.sender is not None
    assert setting.recipient is not None
    now = datetime.now(UTC)
    notation = f"THU-{now.astimezone(HANOI):%H%M%S}"
    for number in count(1):
        subject = f"Văn bản thử số {number}"
        yield make_sample_packet(
            setting.sender, setting.recipient, subject, find_local_day(now), number=number, notation=notation
        )


def _tell_sent(run: SimulationRun, outcome: Any, fields: dict[str, object]) -> None:
    run.tally.count_sent(outcome)
    line = f"{say_time_of_day(datetime.now(UTC))}  → {fields['number']}  {say_outcome(outcome)}  {fields['detail']}"
    run.screen.row(fields, f"{line}  {fields['milliseconds']} ms")
    if sum(run.tally.sent.values()) == run.options.number:
        run.screen.note(t("All documents are sent."))
