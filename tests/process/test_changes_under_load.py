"""Certificates, CRLs, CAs, partners, forms and contracts change while partners call: nobody honest is refused or cut off.

Whose certificate a change revokes, replaces or distrusts makes no further call, and is cut off within a second. The suite
changes one node with one process; `./dev soak` also one with two worker processes, and two nodes.
"""

import re
import threading
import time
import tomllib
from datetime import UTC, datetime
from itertools import chain

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.cli.documents_client import DocumentsClient, HubUnavailable, SubmissionRefused
from hub.security.certificates import Identity
from tests import pki
from tests.packets import document
from tests.running import PATIENCE, RunningHub, until
from tests.services.test_defined_services import XSD, define

pytestmark = pytest.mark.slow

#: Seconds after a change within which what it distrusts is closed.
CLOSED = 1.0
#: Seconds between two calls of a caller.
PAUSE = 0.02
#: Those who call all the time: partners, with the names of their certificates.
HONEST = {"sovh": "one", "soxd": "two"}
#: Partners that lose their certificates, with the certificate.
DOOMED = {"soyte": "old", "sotc": "revoked", "soct": "far"}


@attrs.define(eq=False)
class Caller(threading.Thread):
    """Sends one document after another over one connection, until it is told to stop or is refused."""

    client: DocumentsClient
    mark: str
    unit: str
    stopping: bool = False
    begun: list[float] = attrs.field(factory=list)  #: when each accepted call began
    ended: list[float] = attrs.field(factory=list)  #: when each accepted call was answered
    lines: list[object] = attrs.field(factory=list)  #: the connections over which calls were accepted
    failure: Exception | None = None
    refused: float = 0.0  #: when the call was refused that ended it

    def __attrs_post_init__(self) -> None:
        super().__init__(daemon=True)
        self.start()

    def run(self) -> None:
        try:
            while not self.stopping:
                at = time.monotonic()
                self.client.send(document(to=self.unit), f"{self.mark}-{len(self.begun)}")
                if self.client._connection.sock not in self.lines:
                    self.lines.append(self.client._connection.sock)
                self.ended.append(time.monotonic())
                self.begun.append(at)
                time.sleep(PAUSE)
        except (SubmissionRefused, HubUnavailable) as error:
            self.refused, self.failure = time.monotonic(), error

    def find_longest(self, since: float) -> float:
        """Return the seconds of the longest accepted call that was answered *since* then."""
        return max(ended - begun for begun, ended in zip(self.begun, self.ended, strict=False) if ended >= since)

    def end(self) -> None:
        self.stopping = True
        self.join(PATIENCE)
        self.client.close()


@attrs.define(eq=False)
class Town:
    """The nodes of one province, and all who call them."""

    nodes: list[RunningHub]
    honest: list[Caller] = attrs.field(factory=list)
    doomed: dict[str, list[Caller]] = attrs.field(factory=dict)  #: by the name of the certificate, one for each node
    idle: dict[str, list[DocumentsClient]] = attrs.field(factory=dict)  #: their connections on which no call is made
    renewed: Identity = attrs.field(init=False)  #: the hub's next certificate

    def __attrs_post_init__(self) -> None:
        key, certificate = self.nodes[0].authority().issue("hub", datetime.now(UTC))
        self.renewed = Identity(key, certificate)

    def open(self) -> None:
        """Start the nodes, and let everybody call."""
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            until(node.is_ready, "the node to be ready")
        self.honest = [self.call(node, name) for node in self.nodes for name in HONEST.values()]
        self.doomed = {name: [self.call(node, name) for node in self.nodes] for name in DOOMED.values()}
        until(
            lambda: (
                all(each.begun or each.failure for each in self.callers)
                and not any(each.failure for each in self.callers)
            ),
            f"everybody to be served: {self.callers}",
        )

        self.idle = {name: [self.connect(node, name) for node in self.nodes] for name in DOOMED.values()}
        for client in chain.from_iterable(self.idle.values()):
            client.send(document(to=self.unit), "idle")

    @property
    def unit(self) -> str:
        found = tomllib.loads((self.nodes[0].home / "partners/vpub.toml").read_text())["units"][0]
        return str(found)

    def call(self, node: RunningHub, name: str) -> Caller:
        return Caller(self.connect(node, name), f"{name}-{self.nodes.index(node)}", self.unit)

    def connect(self, node: RunningHub, name: str) -> DocumentsClient:
        first = self.nodes[0]
        known = [x509.load_pem_x509_certificate((first.home / "pki/hub.crt").read_bytes()), self.renewed.certificate]
        return DocumentsClient(node.soap, **first.files(name), now=lambda: datetime.now(UTC), timeout=60, signers=known)

    @property
    def callers(self) -> list[Caller]:
        return [*self.honest, *chain.from_iterable(self.doomed.values())]

    def change(self, edit, cut_off=None):
        """Make the change on each node and reload it. The caller with the certificate *cut_off* must be cut off then.

        An honest call shows how slow the machine is just then: as much later the end may come.
        """
        first, late = time.monotonic(), [0.0]
        for at, node in enumerate(self.nodes):
            edit(node)
            node.cli("reload")
            done = time.monotonic()
            if cut_off is not None:
                line = self.idle[cut_off][at]._connection.sock
                line.settimeout(PATIENCE)
                assert line.recv(1) == b"", "a connection without a call is closed, too"
                late.append(time.monotonic() - done)
                caller = self.doomed[cut_off][at]
                caller.join(PATIENCE)
                assert not caller.is_alive(), f"{cut_off} still calls"
                late.append(caller.refused - done)
                assert max(caller.begun) < done, "no call that began after the change is accepted"
                assert len(caller.lines) == 1
        before = [len(each.begun) for each in self.honest]
        until(
            lambda: all(len(each.begun) > 1 + count for each, count in zip(self.honest, before, strict=True)),
            f"everybody honest to be served: {[each.failure for each in self.honest]}",
        )
        assert max(late) <= CLOSED + max(each.find_longest(first) for each in self.honest)


@pytest.fixture(
    params=[
        "one process",
        pytest.param("workers", marks=pytest.mark.soak),
        pytest.param("two nodes", marks=pytest.mark.soak),
    ]
)
def town(request, tmp_path):
    if request.param == "two nodes":
        with request.getfixturevalue("postgresql").database() as database:
            first = prepare(RunningHub(tmp_path / "first", database))
            yield from closed(Town([first, RunningHub(tmp_path / "second", beside=first)]))
    else:
        hub = prepare(RunningHub(tmp_path / "hub"))
        if request.param == "workers":
            hub.config.write_text("workers = 2\n" + re.sub("(?m)^workers = .*\n", "", hub.config.read_text()))
        yield from closed(Town([hub]))


def closed(town):
    yield town
    for caller in town.callers:
        caller.end()
    for client in chain.from_iterable(town.idle.values()):
        client.close()
    for node in town.nodes:
        node.close()


def prepare(hub):
    """Add the partners that the sample has not."""
    for name in (*HONEST.values(), "old", "new", "revoked"):
        hub.issue(name)
    far = pki.authority("Far CA", datetime.now(UTC))
    (hub.home / "trust").mkdir(exist_ok=True)
    (hub.home / "trust/far.crt").write_bytes(pki.pem(far.certificate))
    write(hub.files("far"), far.issue("far"))
    for code, name in (HONEST | DOOMED).items():
        hub.cli("partners", "add", code, "--certificate", hub.files(name)["certificate"], "--unit", "*")
    return hub


def write(files, identity):
    files["key"].write_bytes(identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files["certificate"].write_bytes(pki.pem(identity.certificate))


def test_changes_under_load_cut_off_only_whom_they_distrust(town):
    first = town.nodes[0]

    def agree(*names):
        words = [word for name in names for word in ("--certificate", first.files(name)["certificate"])]
        return lambda node: node.cli("partners", "add", "soyte", *words, "--unit", "*", "--replace")

    def revoke(node):
        shown = x509.load_pem_x509_certificate(first.files("revoked")["certificate"].read_bytes())
        crl = first.authority().revoke(shown, now=datetime.now(UTC), number=2)
        (node.home / "pki/crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))

    def distrust(node):
        (node.home / "trust/far.crt").unlink()
        (node.home / "partners/soct.toml").unlink()

    def change_form(node):
        (path,) = (node.home / "forms").glob("*.toml")
        path.write_text("# another edition\n" + path.read_text("utf-8"), "utf-8")

    town.open()
    town.change(agree("old", "new"))
    town.change(agree("new"), "old")
    town.change(revoke, "revoked")
    town.change(distrust, "far")
    town.change(
        lambda node: write({"key": node.home / "pki/hub.key", "certificate": node.home / "pki/hub.crt"}, town.renewed)
    )
    town.change(lambda node: define(node.home))
    town.change(lambda node: define(node.home, schema=XSD.replace("</xs:schema>", "<!-- 2 --></xs:schema>")))
    town.change(change_form)
    for each in town.callers:
        each.end()
    assert [each.failure for each in town.honest] == [None] * len(town.honest)
    assert [len(each.lines) for each in town.honest] == [1] * len(town.honest), "each on the connection it always had"
    for node in town.nodes:
        assert {line["partner"] for line in node.told("connections-distrusted")} == set(DOOMED)
    rehearsed(first, town.renewed)
    accepted = int(first.cli("messages", "--state", "accepted", "--count", text=True))
    assert accepted >= sum(len(each.begun) for each in town.callers)


def rehearsed(hub, renewed):
    """What the handshakes showed is in the journal: whom a certificate of other names would break, and who is not seen."""
    hub.stop()  # else what was seen is written within a minute
    (shown,) = hub.cli("partners", "show", "soyte", "--json")
    (certificate,) = shown["certificates"]
    assert (certificate["shown_at"], certificate["signed_at"]) == (None, None), "nobody has used the new one"
    (shown,) = hub.cli("partners", "show", "sovh", "--json")
    (certificate,) = shown["certificates"]
    assert certificate["shown_at"]
    assert certificate["signed_at"]
    other = hub.home / "other.crt"
    ca = hub.authority()
    names = pki.authority("x", datetime.now(UTC)).issue(
        "hub", names=x509.SubjectAlternativeName([x509.DNSName("other")])
    )
    other.write_bytes(pki.pem(names.certificate))
    assert ca.certificate.subject != names.certificate.issuer
    same = hub.home / "same.crt"
    same.write_bytes(pki.pem(renewed.certificate))
    fine = {row["partner"]: row for row in hub.cli("keys", "rehearse", same, "--json", code=3)}
    assert {code: fine[code]["verdict"] for code in HONEST} == dict.fromkeys(HONEST, "fine")
    assert fine["sotttt"]["findings"][0]["code"] == "not-seen"
    rows = [row for row in hub.cli("keys", "rehearse", other, "--json", code=1) if row["kind"] == "partner"]
    broken = {row["partner"] for row in rows if row["verdict"] == "breaks"}
    assert broken >= set(HONEST)
    assert "sotttt" not in broken
