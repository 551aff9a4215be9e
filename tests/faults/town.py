"""A town of real processes: nodes of the hub under twistd, partner systems, and what watches them.  Knows the outside contract only.

A node is started, killed, stopped and frozen; a partner is told how to misbehave; the journal is looked at by plain SQL.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from hub.security.sample_pki import Authority
from tests import warm
from tests.conftest import ROOT
from tests.faults import evidence, journal, record
from tests.faults.evidence import Evidence, Stuck
from tests.ports import find_free_ports
from tests.running import PATIENCE, copy_province, has_tables, until
from tests.warm import BIN

#: How long one call to a partner may take here; a lease is three times that and ten seconds.
TIMEOUT = 1.5
LEASE = 3 * TIMEOUT + 10
#: Leases that ended are looked for every ten seconds.
RESCUE = 10.0


@attrs.define(eq=False)
class Node:
    """One directory with a `hub.toml`, and at times the hub that runs in it."""

    home: Path
    prefix: tuple[str, ...] = ()  #: what its command is run by: a network namespace, another clock
    env: Mapping[str, str] = attrs.field(factory=dict)
    process: Any = None

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.home / "hub.toml"

    @property
    def port(self) -> int:
        """Its SOAP port."""
        port: int = tomllib.loads(self.config.read_text())["soap"]["port"]
        return port

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = [*self.prefix, BIN / "twistd", "-n", "--pidfile=", "lienthong", "-c", self.config]
        with (self.home / "hub.log").open("ab") as log:
            self.process = warm.start(command, stdout=log, stderr=log, cwd=self.home, env=os.environ | self.env)

    def listens(self) -> bool:
        """Tell whether it takes connections; fail when it has ended."""
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()[-3000:]}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def said(self) -> str:
        """Return its log."""
        return (self.home / "hub.log").read_text("utf-8", "replace")

    def kill(self) -> None:
        """Pull the plug."""
        if self.runs:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """Ask it to stop, and return how it ended."""
        os.killpg(self.process.pid, signal.SIGTERM)
        code: int = self.process.wait(PATIENCE)
        return code

    def freeze(self) -> None:
        """Stop its process where it stands."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.process.pid, signal.SIGCONT)


@attrs.define(eq=False)
class Child:
    """A process of ours that takes orders on its input."""

    name: str
    process: Any
    log: Path

    @classmethod
    def start(cls, home: Path, module: str, orders: Mapping[str, Any], prefix: Sequence[str] = ()) -> "Child":
        """Start `python -m tests.faults.MODULE`."""
        command = [*prefix, sys.executable, "-m", f"tests.faults.{module}", json.dumps(orders)]
        log_file = home / f"{module}.log"
        with log_file.open("ab") as log:
            process = warm.start(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, text=True
            )
        return cls(module, process, log_file)

    def hears(self) -> str:
        """Return the next line it says."""
        assert self.process.stdout is not None
        line: str = self.process.stdout.readline()
        assert line, f"{self.name} ended with {self.process.wait(PATIENCE)}: {self.said()}"
        return line.strip()

    def order(self, **what: object) -> None:
        """Give an order, and wait until it is obeyed."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        assert self.hears() == "done"

    def finish(self, patience: float = PATIENCE) -> None:
        """End its input and wait until it has finished."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        code = self.process.wait(patience)
        assert code == 0, f"{self.name} ended with {code}: {self.said()}"

    def said(self) -> str:
        """Return the end of what it said of itself."""
        return self.log.read_text("utf-8", "replace")[-3000:]

    def kill(self) -> None:
        """End it now."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Watch(threading.Thread):
    """Looks at the queue again and again, by real time, for the longest that a delivery stays under one claim.

    Time in which the journal could not be looked at, or no node ran, does not count: nobody could have ended a claim.
    """

    def __init__(self, url: str, can_work: Any) -> None:
        super().__init__(daemon=True)
        self.url, self.can_work = url, can_work
        self.over = threading.Event()
        self.seen: dict[tuple[str, int, str], float] = {}
        self.longest = Stuck()

    def run(self) -> None:
        """Look, four times a second."""
        before = time.monotonic()
        while not self.over.wait(0.25):
            now = time.monotonic()
            try:
                with journal.connected(self.url) as connection:
                    rows = connection.execute(
                        "SELECT id, attempts, coalesce(holder, '') FROM delivery WHERE state = 'sending'"
                    ).fetchall()
            except Exception:  # noqa: BLE001 - the database may be what is broken on purpose
                before = time.monotonic()
                continue
            step, before = (now - before if self.can_work() else 0.0), now
            self.seen = {tuple(row): self.seen.get(tuple(row), 0.0) + step for row in rows}
            for (delivery, _, _), seconds in self.seen.items():
                if seconds > self.longest.seconds:
                    self.longest = Stuck(delivery=delivery, seconds=seconds)


@attrs.define(eq=False)
class Town:
    """One journal, its nodes and its partners."""

    home: Path
    url: str  #: of the database, as plain SQL takes it
    nodes: list[Node]
    partners: dict[str, tuple[str, int]]  #: pushed to: code -> unit, port
    host: str  #: where the partners listen
    prefix: tuple[str, ...] = ()  #: what the partners that are pushed to are run by
    receiver: Any = None  #: their process
    children: list[Child] = attrs.field(factory=list)
    records: list[Path] = attrs.field(factory=list)
    again: frozenset[str] = frozenset()  #: see `Evidence`
    restored: float = float("inf")
    _watch: Watch | None = None

    @classmethod
    def found(
        cls,
        home: Path,
        database: str | None,
        *,
        nodes: int = 1,
        partners: Sequence[str] = ("vpcp", "vpub", "cham", "hong"),
        host: str = "127.0.0.1",
        data: Path | None = None,
        node_database: str | None = None,
    ) -> "Town":
        """Make the directories: a node each, one journal, and the partners that are pushed to.  *data*: where SQLite's file lies."""
        first = Node(home / "node-1")
        ports = iter(find_free_ports(2 * nodes + len(partners), host))  # at once, so that no two are alike
        if database is None or has_tables(database):
            copy_province(first.home, database)
        else:
            words = ["init", first.home, "--soap-port", next(ports), "--admin-port", next(ports)]
            _cli(*words, "--database", database)
        pki = first.home / "pki"
        authority = _authority(pki)
        units, ways = ["code,name,parent,since,until,aliases"], {}
        for number, code in enumerate(partners):
            unit = {"vpub": "H55.1", "vpcp": "000.00.00.G22"}.get(code, f"H55.7{number}")
            ways[code] = (unit, next(ports))
            if code not in {"vpub", "vpcp"}:
                _issue(authority, pki, code)
                units.append(f"{unit},Đơn vị {code},H55,,,")
            (first.home / f"partners/{code}.toml").write_text(
                f'name = "{code}"\ncertificates = ["pki/partners/{code}.crt"]\nunits = {json.dumps([unit] if code != "vpcp" else [])}\n'
                f'receive = "push"\nurl = "https://{host}:{ways[code][1]}/soap/documents"\n\n[policy]\n'
                f'first-retry = "200ms"\nmax-retry = "1s"\ntimeout = "{TIMEOUT * 1000:.0f}ms"\n'
            )
        (home / "units.csv").write_text("\n".join(units) + "\n")
        text = first.config.read_text()
        if data is not None:
            shutil.move(first.home / "data", data)
            text = text.replace('data = "data"', f'data = "{data}"').replace("data/hub.db", f"{data}/hub.db")
        if node_database is not None:
            text = text.replace(json.dumps(database), json.dumps(node_database))
        first.config.write_text(text)
        first.config.with_name("cli.toml").write_text(text.replace(node_database or "\0", database or ""))
        if len(units) > 1:
            _cli("-c", first.config.with_name("cli.toml"), "units", "import", home / "units.csv")
        url = database or f"sqlite:///{(data or first.home / 'data') / 'hub.db'}"
        made = cls(home, url, [first], ways, host)
        for number in range(2, nodes + 1):
            made.nodes.append(Node(home / f"node-{number}"))
            shutil.copytree(first.home, made.nodes[-1].home)
            said = tomllib.loads(first.config.read_text())
            config = made.nodes[-1].config
            for key in ("soap", "admin"):
                config.write_text(config.read_text().replace(f"port = {said[key]['port']}", f"port = {next(ports)}"))
        return made

    # --- what runs ------------------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Start every node and every partner that is pushed to."""
        for node in self.nodes:
            node.start()
        ways = [
            {"partner": code, "port": port, "record": str(self.record(code))}
            for code, (_, port) in self.partners.items()
        ]
        orders = {"host": self.host, "pki": str(self.pki), "partners": ways}
        self.receiver = Child.start(self.home, "receiver", orders, self.prefix)
        assert self.receiver.hears() == "ready"
        if wait:
            for node in self.nodes:
                until(node.listens, f"{node.home.name} to listen")
        self._watch = Watch(self.url, lambda: any(node.runs for node in self.nodes))
        self._watch.start()

    def load(
        self,
        *,
        pause: float = 0.06,
        seed: str = "tai",
        prefix: Sequence[str] = (),
        nodes: Sequence[Node] | None = None,
        fetches: bool = True,
    ) -> None:
        """Begin the load: two systems that send to everyone, and one that fetches."""
        ports = [node.port for node in nodes or self.nodes]
        pushed = [unit for unit, _ in self.partners.values()]
        others = [unit for unit in pushed if unit != "H55.1"]
        orders = {
            "pki": str(self.pki),
            "ports": ports,
            "seed": seed,
            "pause": pause,
            "record": str(self.record(f"generator-{seed}")),
            "senders": [
                {"partner": "sotttt", "unit": "H55.13", "recipients": pushed},
                {"partner": "vpub", "unit": "H55.1", "recipients": [*others, "H55.13"]},
                {"partner": "vpub", "unit": "H55.1", "recipients": ["H55.13", others[0]]},
            ],
        }
        self.records.append(Path(str(orders["record"])))
        self.children.append(Child.start(self.home, "generator", orders, prefix))
        if fetches:
            self._fetch(ports, prefix)

    def _fetch(self, ports: Sequence[int], prefix: Sequence[str] = ()) -> Child:
        asked = {"partner": "sotttt", "unit": "H55.13", "pki": str(self.pki), "ports": ports}
        child = Child.start(self.home, "fetcher", asked | {"record": str(self.record("sotttt"))}, prefix)
        self.children.append(child)
        return child

    def end_load(self) -> None:
        """Let the senders and the fetcher finish, with every partner well."""
        for code in self.partners:
            self.mode(code, "ok")
        for child in sorted(self.children, key=lambda each: each.name == "fetcher"):
            child.finish()

    def mode(self, partner: str, mode: str, delay: float = 0.5) -> None:
        """Tell a partner that is pushed to how to behave."""
        self.receiver.order(partner=partner, mode=mode, delay=delay)

    def receipts(self) -> int:
        """Return how many receipts the senders have."""
        return sum(line["what"] == "receipted" for path in self.records for line in record.read(path))

    def flow(self, more: int, what: str, patience: float = PATIENCE) -> None:
        """Wait until there are so many more receipts: the hub serves."""
        before = self.receipts()
        until(lambda: self.receipts() >= before + more, f"{more} more receipts {what}", patience)

    def silence(self) -> None:
        """End the senders where they stand."""
        for child in [each for each in self.children if each.name == "generator"]:
            child.kill()
            self.children.remove(child)

    def send_again(self) -> None:
        """Let the senders send once more, in its order, all that was not refused: as after a restored backup."""
        for path in self.records:
            orders = {"pki": str(self.pki), "ports": [node.port for node in self.nodes], "record": str(path)}
            child = Child.start(self.home, "resender", orders)
            self.children.append(child)
            child.finish()

    def states(self) -> Counter[str]:
        """Return how many deliveries stand in each state."""
        return journal.states(self.url)

    def quiet(self, patience: float = PATIENCE) -> None:
        """Wait until every delivery is delivered or dead, every fact is written, and every event has its number."""
        ends = {"delivered", "dead"}
        until(lambda: set(self.states()) <= ends, "every delivery to come to its end", patience)

        def chained() -> bool:
            with journal.connected(self.url) as connection:
                left = "SELECT (SELECT count(*) FROM duty) + (SELECT count(*) FROM event WHERE number IS NULL)"
                return bool(connection.execute(left).fetchone()[0] == 0)

        until(chained, "every fact to be written and every event to be chained", patience)

    def close(self) -> None:
        """End everything."""
        if self._watch is not None:
            self._watch.over.set()
            self._watch.join(10)
        for child in [*self.children, *([self.receiver] if self.receiver else [])]:
            child.kill()
        for node in self.nodes:
            if node.process is not None:
                node.kill()

    # --- what is known --------------------------------------------------------------------------------------------------

    @property
    def pki(self) -> Path:
        """The sample PKI."""
        return self.nodes[0].home / "pki"

    def record(self, name: str) -> Path:
        """Return the file of a process's record."""
        return self.home / f"{name}.jsonl"

    def sent(self) -> list[evidence.Sent]:
        """Return what was sent."""
        return [each for path in self.records for each in evidence.sent(record.read(path))]

    def _read_journal(self) -> journal.Journal:
        """Return the journal once each of its events has its number: the hubs, which still run, may tell of themselves."""
        found, tries = journal.read(self.url), 20
        while any(event.number is None for event in found.events) and tries:
            time.sleep(0.5)
            found, tries = journal.read(self.url), tries - 1
        return found

    def evidence(self, *, most_receipts: int = 2000) -> Evidence:
        """Gather what both sides recorded."""
        assert self._watch is not None
        sent = self.sent()
        arrivals = [each for code in self.partners for each in evidence.arrivals(code, self.record(code))]
        fetched = self.record("sotttt")
        config = self.nodes[0].home / "cli.toml"
        facts = [json.loads(line) for line in _cli("-c", config, "report", "--facts", "--json").splitlines()]
        report = json.loads(_cli("-c", config, "report", "H55", _period(), "--format", "json"))
        return Evidence(
            sent=tuple(sent),
            arrivals=(*arrivals, *evidence.arrivals("sotttt", fetched)),
            confirmed=frozenset(evidence.confirmed(fetched)),
            journal=self._read_journal(),
            counted=_total(report),
            facts=tuple((fact["id"], fact["unit"], fact["milestone"]) for fact in facts),
            unverified=unverified(sent[:most_receipts], self.pki / "hub.crt", self.home),
            stuck=attrs.evolve(self._watch.longest, allowed=LEASE + RESCUE + 10),
            again=self.again,
            restored=self.restored,
        )


def unverified(sent: Sequence[evidence.Sent], certificate: Path, home: Path) -> tuple[str, ...]:
    """Return the message ids whose receipt `xmlsec1` does not verify with the hub's certificate."""
    folder = home / "receipts"
    folder.mkdir(exist_ok=True)
    files = {}
    for number, each in enumerate(each for each in sent if each.receipts):
        files[f"{number}.xml"] = each.message_id
        (folder / f"{number}.xml").write_text(each.receipts[-1][1])
    bad = []
    for start in range(0, len(files), 200):
        some = list(files)[start : start + 200]
        if _verifies(some, certificate, folder):
            continue
        bad += [files[name] for name in some if not _verifies([name], certificate, folder)]
    return tuple(bad)


def _verifies(names: Sequence[str], certificate: Path, folder: Path) -> bool:
    command = ["xmlsec1", "--verify", "--pubkey-cert-pem", str(certificate), *names]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return ran.returncode == 0 and (ran.stdout + ran.stderr).count("OK") >= len(names)


def _total(report: Mapping[str, Any]) -> dict[str, int]:
    """Return the cells of the row of the unit and all below it."""
    found: dict[str, int] = report["total"]
    return found


def _period() -> str:
    """Return the month a result of now is counted in: by the rule of the 15th."""
    from zoneinfo import ZoneInfo

    now = datetime.now(ZoneInfo("Asia/Ho_Chi_Minh"))
    year, month = divmod(now.year * 12 + now.month - 1 + (now.day >= 15), 12)
    return f"{year}-{month + 1:02}"


def _cli(*words: object) -> str:
    ran = warm.run([BIN / "lienthong", *words], env=os.environ | {"LANG": "C.UTF-8"}, timeout=600)
    assert ran.returncode == 0, (words, ran.stdout, ran.stderr)
    return ran.stdout


def _authority(pki: Path) -> Authority:
    certificate = x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes())
    key = load_pem_private_key((pki / "ca.key").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return Authority(key, certificate)


def _issue(authority: Authority, pki: Path, code: str) -> None:
    key, certificate = authority.issue(code, datetime.now(UTC))
    (pki / f"partners/{code}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (pki / f"partners/{code}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))


@contextlib.contextmanager
def opened(town: Town) -> Iterator[Town]:
    """Yield the town; whatever happens, every process in it ends."""
    try:
        yield town
    finally:
        town.close()
