"""Examines the hub that runs in a data directory: what it answers, what it shows in TLS, what its row in the journal says."""

import http.client
import json
import resource
import socket
import ssl
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path

import attrs
from cryptography import x509

from hub.config import Config, Listen
from hub.domain.local_time import write_local_time
from hub.journal.nodes import NodeState, SeenNode
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.node.doctor.diagnosis import Diagnosis, DiagnosisState
from hub.node.doctor.installation import OWN
from hub.node.doctor.machine import judge_open_files, read_open_files_limit
from hub.runtime import pidfile

#: Seconds that the running hub has for an answer.
_PATIENCE = 10.0


@attrs.frozen
class HubAnswer:
    """What a port of the hub showed and answered."""

    certificate: x509.Certificate | None  #: None: no TLS came about
    reasons: Mapping[str, str] = attrs.field(factory=dict)  #: of `/readyz`: code by check
    error: str = ""  #: why there is no answer
    ready: bool = False  #: of `/readyz`: the hub takes messages, whatever else it tells


def examine_running(config: Config, nodes: list[SeenNode] | None) -> Iterator[Diagnosis]:
    """Yield the findings about the hub that runs in the data directory of *config*.

    *nodes*: those of the journal; None: it cannot be read.
    """
    pid = pidfile.find_live_pid(config.data) if config.data.is_dir() else None
    if pid is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        yield Diagnosis(
            "hub", DiagnosisState.WARNING, phrase("no hub runs in {data}", data=config.data), phrase("start it")
        )
        yield judge_open_files(None if limit == resource.RLIM_INFINITY else limit)
        return
    yield Diagnosis("hub", DiagnosisState.OK, phrase("a hub runs (pid {pid})", pid=pid))
    try:
        yield judge_open_files(read_open_files_limit(Path(f"/proc/{pid}/limits").read_text("ascii")))
    except OSError as error:
        found = phrase("the limits of the process cannot be read: {error}", error=name_system_error(error))
        yield Diagnosis("open-files", DiagnosisState.UNKNOWN, found)
    yield from judge_answer("soap", _ask_running_hub(config.soap, ready=False), config.tls.certificate)
    yield from judge_answer("admin", _ask_running_hub(config.admin, ready=True), config.tls.certificate)
    own = (config.data / "node").read_text("ascii").strip() if (config.data / "node").exists() else ""
    node = next((each for each in nodes or () if each.node.name == f"{own}@{socket.gethostname()}"), None)
    if node is not None:
        yield from judge_node(node, _read_version())


def judge_answer(port: str, answer: HubAnswer, configured: x509.Certificate) -> Iterator[Diagnosis]:
    """Yield what is wrong with an answer of the running hub. *configured*: the certificate that the files name."""
    if answer.certificate is None:
        found = phrase("the port does not answer: {error}", error=answer.error)
        yield Diagnosis(port, DiagnosisState.FAILED, found, phrase("the log of the hub says why; a restart"))
        return
    if answer.certificate != configured:
        ends = write_local_time(answer.certificate.not_valid_after_utc)
        found = phrase("the port shows another certificate than the files name: it ends on {day}", day=ends)
        yield Diagnosis(port, DiagnosisState.WARNING, found, phrase("lienthong reload"))
    elif answer.error:
        found = phrase("the port does not answer: {error}", error=answer.error)
        yield Diagnosis(port, DiagnosisState.FAILED, found, phrase("the log of the hub says why; a restart"))
    else:
        yield Diagnosis(port, DiagnosisState.OK, phrase("the port answers with the hub's certificate"))
    wrong = {name: code for name, code in answer.reasons.items() if code != "ok"}
    if wrong:
        found = phrase("/readyz: {reasons}", reasons=", ".join(f"{name} {code}" for name, code in wrong.items()))
        verdict = DiagnosisState.WARNING if answer.ready else DiagnosisState.FAILED
        yield Diagnosis("ready", verdict, found, phrase("docs/howto/operate.md, Is it well"))
    elif answer.reasons:
        yield Diagnosis("ready", DiagnosisState.OK, phrase("/readyz finds everything well"))


def judge_node(node: SeenNode, installed: str | None) -> Iterator[Diagnosis]:
    """Yield what the row of the running node says. *installed*: the version of the program on the disk."""
    if node.state is not NodeState.ALIVE:
        found = phrase("its last sign of life in the journal is of {at}", at=write_local_time(node.seen_at))
        yield Diagnosis("node", DiagnosisState.FAILED, found, phrase("the log of the hub says why; a restart"))
    elif installed is not None and node.node.version != installed:
        found = phrase(
            "version {running} runs, version {installed} is installed", running=node.node.version, installed=installed
        )
        yield Diagnosis("node", DiagnosisState.WARNING, found, phrase("restart the hub"))
    elif node.pending.settings:
        found = phrase("changed, and in force after a restart: {settings}", settings=", ".join(node.pending.settings))
        yield Diagnosis("node", DiagnosisState.WARNING, found, phrase("restart the hub"))
    else:
        yield Diagnosis(
            "node",
            DiagnosisState.OK,
            phrase(
                "version {version} since {at}", version=node.node.version, at=write_local_time(node.node.started_at)
            ),
        )


def _read_version() -> str | None:
    try:
        return version(OWN)
    except PackageNotFoundError:
        return None


def _ask_running_hub(listen: Listen, *, ready: bool) -> HubAnswer:
    """Open a TLS connection to a port of this machine, and ask the admin port for `/readyz`.

    Sends nothing secret, and compares the certificate with the configured one, so that no anchor is needed.
    """
    host = listen.host
    if ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, listen.port, timeout=_PATIENCE, context=context)
    certificate = None
    try:
        connection.connect()
        shown = connection.sock.getpeercert(binary_form=True) if isinstance(connection.sock, ssl.SSLSocket) else None
        certificate = x509.load_der_x509_certificate(shown) if shown else None
        if not ready:
            return HubAnswer(certificate)
        connection.request("GET", "/readyz")
        said = json.loads(connection.getresponse().read(65536))
        reasons = {str(name): str(code) for name, code in said["reasons"].items()}
        return HubAnswer(certificate, reasons, ready=said["ready"] is True)
    except (OSError, ValueError, KeyError, AttributeError, http.client.HTTPException) as error:
        return HubAnswer(certificate, error=str(error) or type(error).__name__)
    finally:
        connection.close()
