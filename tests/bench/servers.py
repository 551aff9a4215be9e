"""The hub and the servers that are measured beside it, each as a process of its own. Knows how to start them; sends no message.

Every server answers `POST /soap/documents` on loopback and keeps one row a message. The hub does so over mutual TLS, as it always does, and
signs its answer; a peer speaks plain HTTP and does not sign.
"""

import contextlib
import os
import socket
import sqlite3
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import sqlalchemy as sa

from hub.config import read_config
from hub.runtime.free_ports import find_free_ports
from hub.security.sample_pki import KeyType
from hub.store import transactions
from tests.bench import calls, parts, processes
from tests.conftest import ROOT
from tests.running import RunningHub, until
from tests.warm import BIN

DOCUMENTS = ROOT / "xsd/lienthong/1/documents.xsd"
QUIET = "-Dorg.apache.commons.logging.Log=org.apache.commons.logging.impl.NoOpLog"
PACKETS = ROOT / "xsd/qcvn102/observed/document.xsd"


class Server(Protocol):
    """Something that takes signed calls."""

    name: str
    tls: Mapping[str, Path]  #: options of load.c; empty: plain HTTP
    compiles: bool  #: whether it gets faster while it runs

    @property
    def ports(self) -> Sequence[int]:
        """Its port, or one of each node."""

    @property
    def roots(self) -> Sequence[int]:
        """The processes whose CPU and memory count, with their descendants."""

    def start(self) -> None:
        """Start it and return once it takes calls."""

    def stop(self) -> None:
        """End it."""

    def count_rows(self) -> int:
        """Return how many messages it has kept."""


class HubServer:
    """A complete hub in its default configuration, on SQLite or *database*, or *beside* another node of it."""

    compiles = False

    def __init__(
        self,
        name: str,
        home: Path,
        key_type: KeyType = KeyType.EC_P256,
        *,
        database: str | None = None,
        workers: int = 1,
        pki: "HubServer | None" = None,
        beside: "HubServer | None" = None,
    ) -> None:
        self.name = name
        self.hub: RunningHub = RunningHub(home, database, beside=beside.hub if beside else None)
        self.sender = (self.hub.files("sotttt")["key"], self.hub.files("sotttt")["certificate"])
        self.hub_files = (home / "pki/hub.key", home / "pki/hub.crt")
        if pki is not None:
            self._use_pki_of(pki)
        elif key_type is not KeyType.RSA and beside is None:
            calls.issue(self.hub, self.hub_files, "hub", key_type)
            calls.issue(self.hub, self.sender, "sotttt", key_type)
            calls.issue(
                self.hub, (self.hub.files("vpub")["key"], self.hub.files("vpub")["certificate"]), "vpub", key_type
            )
        if workers > 1:
            configure_workers(self.hub.config, workers)
        self.ports = (int(tomllib.loads(self.hub.config.read_text())["soap"]["port"]),)
        self.tls: Mapping[str, Path] = {
            "ca": self.hub.files("sotttt")["ca"],
            "key": self.sender[0],
            "certificate": self.sender[1],
        }
        self._also: Sequence[int] = ()
        self.tree = ROOT  #: whose code it runs

    def _use_pki_of(self, other: "HubServer") -> None:
        """Take the certificates and keys of *other*: the same calls are then good for both."""
        for path in (other.hub.home / "pki").rglob("*.*"):
            (self.hub.home / "pki" / path.relative_to(other.hub.home / "pki")).write_bytes(path.read_bytes())

    def count_also(self, *pids: int) -> None:
        """Count the CPU of *pids* too: the server of its database."""
        self._also = pids

    @property
    def roots(self) -> Sequence[int]:
        """The processes whose CPU and memory count."""
        return (self.hub.process.pid, *self._also)

    def start(self) -> None:
        """Start it as an operator does: nothing is imported before it."""
        command = [str(BIN / "twistd"), "-n", "--pidfile=", "lienthong", "-c", str(self.hub.config)]
        with self.hub.log.open("ab") as log:
            self.hub.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.hub.home, env=os.environ | {"PYTHONPATH": str(self.tree)}
            )
        until(self.hub.is_ready, "the hub to be ready")

    def stop(self) -> None:
        """End it."""
        self.hub.close()
        self.hub.process.wait(10)

    def count_rows(self) -> int:
        """Return how many messages its journal has accepted."""
        engine = transactions.open_journal(read_config(self.hub.config).database_url, pooled=False)
        try:
            with transactions.read_transaction(engine) as tx:
                return cast(
                    "int", tx.execute(sa.text("SELECT count(*) FROM message WHERE state = 'accepted'")).scalar()
                )
        finally:
            engine.dispose()


def configure_workers(config: Path, workers: int) -> None:
    """Let the hub use so many worker processes. Raises Missing where this hub does not know the key."""
    text = config.read_text()
    config.write_text(f"workers = {workers}\n{text}")
    try:
        read_config(config)
    except Exception as error:
        config.write_text(text)
        raise parts.Missing(f"workers = {workers}: {error}") from error


class Nodes:
    """Several nodes of a hub that share one database; each gets its part of the calls."""

    compiles = False

    def __init__(self, name: str, nodes: Sequence[HubServer]) -> None:
        self.name, self._nodes, self.tls = name, nodes, nodes[0].tls
        self.ports = [port for node in nodes for port in node.ports]

    @property
    def roots(self) -> Sequence[int]:
        """The processes of all nodes, and of their database once."""
        return sorted({pid for node in self._nodes for pid in node.roots})

    def start(self) -> None:
        """Start all."""
        for node in self._nodes:
            node.start()

    def stop(self) -> None:
        """End all."""
        for node in self._nodes:
            node.stop()

    def count_rows(self) -> int:
        """Return how many messages their journal has accepted."""
        return self._nodes[0].count_rows()


class Peer:
    """A server of another make: *command* with `{port}` in it, told by its environment where things are."""

    def __init__(
        self,
        name: str,
        home: Path,
        ca: Path,
        command: Sequence[object],
        cwd: Path | None = None,
        *,
        tls: HubServer | None = None,
        compiles: bool = False,
    ) -> None:
        home.mkdir(exist_ok=True)
        self.name, self.home, self._cwd, self.compiles = name, home, cwd, compiles
        (port,) = self.ports = find_free_ports(1)
        self.database = home / "peer.db"
        self.tls: Mapping[str, Path] = tls.tls if tls else {}
        self._command = [str(word).replace("{port}", str(port)) for word in command]
        self._env = os.environ | {
            "PEER_PORT": str(port),
            "PEER_CA": str(ca),
            "PEER_DOCUMENTS": str(DOCUMENTS),
            "PEER_PACKETS": str(PACKETS),
            "PEER_DATABASE": str(self.database),
        }
        if tls:
            self._env |= {"PEER_KEY": str(tls.hub_files[0]), "PEER_CERTIFICATE": str(tls.hub_files[1])}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def roots(self) -> Sequence[int]:
        """The processes whose CPU and memory count."""
        assert self._process is not None
        return (self._process.pid,)

    def start(self) -> None:
        """Start it and wait until its port answers."""
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._cwd, env=self._env)
        until(self._answers, f"{self.name} to answer")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended: {(self.home / 'log').read_text()[-3000:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[0])) == 0

    def stop(self) -> None:
        """End it and what it started."""
        if self._process is None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            for pid in processes.find_tree(self._process.pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, 9)
            self._process.wait(10)

    def count_rows(self) -> int:
        """Return how many messages it has kept."""
        if not self.database.exists():  # a peer makes it when it keeps the first message
            return 0
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'message'").fetchone():
                return 0
            return int(connection.execute("SELECT count(*) FROM message").fetchone()[0])


def make_flask(name: str, place: Path, ca: Path, tls: HubServer | None = None) -> Server:
    """Return Flask + gunicorn + signxml with two workers, over mutual TLS with the certificate of *tls*. Raises Missing."""
    programs = parts.install_python_peers()
    secure: tuple[object, ...] = ()
    if tls:
        key, certificate = tls.hub_files
        secure = ("--keyfile", key, "--certfile", certificate, "--ca-certs", ca, "--cert-reqs", 2)
    words = ("-w", 2, "-b", "127.0.0.1:{port}", "--log-level", "warning", *secure, "flask_peer:app")
    return Peer(name, place / "flask", ca, (programs / "gunicorn", *words), parts.HERE / "peers", tls=tls)


def make_java(name: str, engine: str, place: Path, ca: Path, tls: HubServer | None = None) -> Server:
    """Return the Java peer with *engine*, on every core, over mutual TLS with the certificate of *tls*. Raises Missing."""
    path = parts.compile_java_peer(engine, place / f"classes-{engine}")
    options = (
        "-Dsun.net.httpserver.nodelay=true",
        "-Dfile.encoding=UTF-8",
        QUIET,
    )  # otherwise Nagle costs 40 ms an answer
    command = ("java", *options, "-cp", path, "Peer", engine)
    return Peer(name, place / engine.lower(), ca, command, tls=tls, compiles=True)


def make_node(name: str, place: Path, ca: Path) -> Server:
    """Return express + xml-crypto on two workers. Raises Missing."""
    return Peer(name, place / "node", ca, ("node", parts.find_node_peer()), compiles=True)
