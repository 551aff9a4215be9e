"""A real hub under twistd in a directory of its own, with the sample partners' clients and letterboxes.

Knows the outside contract only: command line, ports, SOAP.
"""

import atexit
import functools
import json
import os
import re
import shutil
import signal
import ssl
import tempfile
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from hub.cli.documents_client import DocumentsClient
from hub.config.database import parse_database_url
from hub.journal import unit_registry
from hub.node.init_province import SQLITE, make_sample_units
from hub.security.sample_pki import Authority
from hub.store import transactions
from lienthong_demo.protocol.letterbox import Letterbox, Shelf, make_server_context
from lienthong_demo.protocol.notebook import Notebook, read_notebook
from lienthong_demo.protocol.signing import PartnerIdentity
from tests import warm
from tests.ports import find_free_ports
from tests.waiting import PATIENCE, PROGRAM, until
from tests.warm import BIN

__all__ = ["PATIENCE", "RunningHub", "copy_province", "until"]


@functools.cache
def _province() -> Path:
    """Return a directory of `lienthong init` that nobody uses: making its keys takes most of a second."""
    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place)
    ran = warm.run([BIN / "lienthong", "init", place / "hub", "--soap-port", 0, "--admin-port", 0])
    assert ran.returncode == 0, ran.stderr
    return place / "hub"


def copy_province(home: Path, database: str | None = None) -> None:
    """Make *home* a directory as `lienthong init` does, with ports of its own and the keys of all others made so.

    On SQLite, or in *database*, the URL of one on PostgreSQL that has the latest tables and nothing in them.
    """
    shutil.copytree(_province(), home)
    _change_province_ports(home)
    if database is not None:
        config = home / "hub.toml"
        before = config.read_text()
        config.write_text(before.replace(json.dumps(SQLITE), json.dumps(database)))
        assert config.read_text() != before
        (home / "data/hub.db").unlink()
        engine = transactions.open_journal(parse_database_url(database, home), pooled=False)
        with transactions.write_transaction(engine) as tx:
            unit_registry.write_registry_units(tx, make_sample_units())
        engine.dispose()


def has_tables(database: str) -> bool:
    """Tell whether a database on PostgreSQL has tables already: making them takes most of `lienthong init`."""
    engine = transactions.open_journal(parse_database_url(database, Path()), pooled=False)
    try:
        return transactions.read_schema_version(engine) is not None
    finally:
        engine.dispose()


def _change_province_ports(home: Path) -> None:
    files = [home / "hub.toml", *(home / "partners").glob("*.toml")]
    _change_ports(files, r"(?<=^port = )\d+|(?<=://127\.0\.0\.1:)\d+")


def _change_ports(files: list[Path], pattern: str) -> None:
    """Give each port that *pattern* finds in *files* a free one in its place."""
    ports = re.compile(pattern, re.MULTILINE)
    texts = {file: file.read_text() for file in files}
    theirs = sorted({port for text in texts.values() for port in ports.findall(text)})
    ours = dict(zip(theirs, map(str, find_free_ports(len(theirs))), strict=True))
    for file, text in texts.items():
        file.write_text(ports.sub(lambda found: ours[found[0]], text))


class RunningHub:
    """One directory of `lienthong init` and, at times, the hub that runs in it."""

    def __init__(
        self,
        home: Path,
        database: str | None = None,
        beside: "RunningHub | None" = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.env: dict[str, str] = dict(
            env or {}
        )  #: what is started gets this above the environment of the test as it is then
        self.process: Any = None
        self.letterboxes: dict[str, Letterbox] = {}
        if beside is not None:
            self._copy(beside)
        else:
            self._init(database)
        if workers := os.environ.get("HUB_WORKERS"):  # every test of real processes with so many workers
            (home / "hub.toml").write_text(f"workers = {workers}\n" + (home / "hub.toml").read_text())
        said = tomllib.loads((home / "hub.toml").read_text())
        self.soap = f"https://127.0.0.1:{said['soap']['port']}/soap/documents"
        self.admin = f"https://127.0.0.1:{said['admin']['port']}"
        self.config = home / "hub.toml"
        self.log = home / "hub.log"

    def _copy(self, other: "RunningHub") -> None:
        """Write the directory of another node of the same province: the same but for its ports and its data."""
        shutil.copytree(other.home, self.home, ignore=shutil.ignore_patterns("data", "*.log", "*.jsonl"))
        (self.home / "data").mkdir(mode=0o700)
        _change_ports([self.home / "hub.toml"], r"(?<=^port = )\d+")

    def _init(self, database: str | None) -> None:
        if database and not (database.startswith("postgresql") and has_tables(database)):
            self.cli("init", self.home, "--soap-port", 0, "--admin-port", 0, "--database", database, config=False)
            _change_province_ports(self.home)
        else:
            copy_province(self.home, database)

    def cli(self, *words, config=True, code=0, text=False):
        """Run `lienthong` and return its JSON lines (or its text); its exit code must be *code* (None: any)."""
        command = [BIN / "lienthong", *(["-c", self.home / "hub.toml"] if config else []), *words]
        env = os.environ | self.env | {"LANG": "C.UTF-8"}
        ran = warm.run(command, env=env, timeout=PROGRAM)
        assert code is None or ran.returncode == code, (words, ran.returncode, ran.stdout, ran.stderr)
        if text:
            return ran.stdout
        return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]

    def start(self, *launcher, wait=True):
        """Start the hub under twistd, or under *launcher* in its place."""
        command = [*(launcher or (BIN / "twistd",)), "-n", "--pidfile=", "lienthong", "-c", self.config]
        with self.log.open("ab") as log:
            self.process = warm.start(command, stdout=log, stderr=log, cwd=self.home, env=os.environ | self.env)
        if wait:
            until(self.is_ready, "the hub to be ready")
        return self

    def is_ready(self):
        """Tell whether /readyz says so; fail at once when the process has ended."""
        assert self.process.poll() is None, (
            f"the hub ended with {self.process.returncode}: {self.log.read_text()[-3000:]}"
        )
        return self.get("/readyz")[0] == 200

    def get(self, path):
        """Get a page of the admin port: its status and its body."""
        context = ssl.create_default_context(cafile=str(self.home / "pki/ca.crt"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(self.admin + path, timeout=PATIENCE / 2) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError as error:
            return 0, str(error).encode()

    def kill(self):
        """Pull the plug."""
        self.process.send_signal(signal.SIGKILL)
        return self.process.wait(PATIENCE)

    def stop(self):
        """Ask it to stop, and return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def files(self, partner):
        """Return key, certificate and CA of a sample partner."""
        folder = self.home / "pki/partners"
        return {
            "key": folder / f"{partner}.key",
            "certificate": folder / f"{partner}.crt",
            "ca": self.home / "pki/ca.crt",
        }

    def client(self, partner, url=None):
        """Return a client of that partner; it calls the hub, or *url*."""
        return DocumentsClient(url or self.soap, **self.files(partner), now=lambda: datetime.now(UTC), timeout=PATIENCE)

    def authority(self):
        """Return the sample CA."""
        certificate = x509.load_pem_x509_certificate((self.home / "pki/ca.crt").read_bytes())
        key = load_pem_private_key((self.home / "pki/ca.key").read_bytes(), None)
        assert isinstance(key, RSAPrivateKey)
        return Authority(key, certificate)

    def issue(self, name):
        """Make a key and a certificate of the sample CA, where `files(name)` finds them."""
        key, certificate = self.authority().issue(name, datetime.now(UTC))
        files = self.files(name)
        files["key"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        files["certificate"].write_bytes(certificate.public_bytes(Encoding.PEM))
        return certificate

    def revoke(self, partner):
        """Put the partner's certificate on the sample CA's CRL."""
        certificate = x509.load_pem_x509_certificate(self.files(partner)["certificate"].read_bytes())
        crl = self.authority().revoke(certificate, now=datetime.now(UTC), number=2)
        (self.home / "pki/crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))

    def states(self, message):
        """Return each recipient's delivery of a message: its state and attempts."""
        lines = self.cli("trace", message, "--json")
        return {line["recipient"]: (line["state"], line["attempts"]) for line in lines if line["event"] == "delivery"}

    def letterbox(self, partner, tell=lambda _delivered: None):
        """Open the partner's letterbox: what it takes stands in `<partner>.jsonl`."""
        where = tomllib.loads((self.home / f"partners/{partner}.toml").read_text())["url"]
        port = int(where.split(":")[2].split("/")[0])
        files = self.files(partner)
        identity = PartnerIdentity.load(files["key"], files["certificate"])
        hub = x509.load_pem_x509_certificate((self.home / "pki/hub.crt").read_bytes())
        shelf = Shelf.reopen(Notebook(self.home / f"{partner}.jsonl"))
        tls = make_server_context(files["key"], files["certificate"], files["ca"])
        box = Letterbox(("127.0.0.1", port), tls, identity, hub, shelf, tell)
        threading.Thread(target=box.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.letterboxes[partner] = box
        return box

    def close_letterbox(self, partner):
        """The partner goes down."""
        box = self.letterboxes.pop(partner)
        box.shutdown()
        box.server_close()
        box.shelf.notebook.close()

    def received(self, partner):
        """Return what stands in the partner's own file."""
        return [note for note in read_notebook(self.home / f"{partner}.jsonl") if note["what"] == "received"]

    def told(self, *events):
        """Return the lines of the log, or those about one of *events*; a line that is being written is none yet."""
        whole, _, _ = self.log.read_bytes().rpartition(b"\n")
        lines = [json.loads(line) for line in whole.split(b"\n") if line.startswith(b"{")]
        return [line for line in lines if not events or line["event"] in events]

    def close(self):
        """End everything."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for partner in list(self.letterboxes):
            self.close_letterbox(partner)
