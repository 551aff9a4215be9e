"""Each chapter of the incident book is typed while its failure is really there, and what it promises holds.

The chapters come in an order: one hub lives through most of them.
"""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

import attrs
import psycopg
import pytest
from cryptography import x509

from lienthong_demo.run import postgres
from tests.conftest import cannot_be_had, not_applicable
from tests.faults import faults
from tests.faults.test_clock import clock
from tests.pages import DOCS, fenced, parts
from tests.process.test_disk import attempt, reasons
from tests.running import RunningHub, until
from tests.warm_shell import open_programs

pytestmark = pytest.mark.slow

__all__ = ["clock"]  # a fixture

PAGE = DOCS / "howto/incident-book.md"
MIB = 1 << 20
#: How many send at once: more than the page lets, so that a slow machine, which lets them send less often, puts them off, too.
FLOODING = 6


@attrs.define
class Book:
    """A hub in `tinh`, and a person who types what the page says."""

    place: Path
    hub: RunningHub
    env: dict[str, str]
    number: int = 0
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)  #: of the number

    def type(self, chapter: str, block: int) -> str:
        """Type one block of a chapter; return what was printed."""
        script = fenced(parts(PAGE)[chapter], "sh")[block].replace("8444", self.hub.admin.rpartition(":")[2])
        ran = subprocess.run(
            ["bash", "-eux"],
            input=script,
            cwd=self.place,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    def send(self) -> str:
        """Send a new message; return its id, or what it was put off with."""
        with self._lock:
            self.number += 1
            number = self.number
        said = attempt(self.hub, number)
        return said if isinstance(said, str) else str(said.document_id)


@contextlib.contextmanager
def opened(place: Path, database: str | None = None, env: dict[str, str] | None = None) -> Iterator[Book]:
    hub = RunningHub(place / "tinh", database, env=env)
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    try:
        with open_programs(quiet | {"LANG": "en_US.UTF-8"}) as programs:
            yield Book(place, hub, programs)
    finally:
        hub.close()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """A running hub whose data lie on a disk of 48 MiB."""
    for tool in ("bash", "curl", "openssl"):
        if shutil.which(tool) is None:
            cannot_be_had(tool, "it is not installed")
    place = tmp_path_factory.mktemp("book")
    with opened(place) as book, _small_disk(place, book.hub.home / "data"):
        book.hub.config.write_text(book.hub.config.read_text() + '\n[limits]\nfree-disk = "1KB"\n')
        book.hub.cli("users", "add", "quantri", "--role", "administrator", "--one-time")
        book.hub.start()
        yield book
        book.hub.close()


@contextlib.contextmanager
def _small_disk(place: Path, data: Path) -> Iterator[None]:
    """Put *data* on a file system of its own, where the account may mount one."""
    image = place / "disk"
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        yield
        return
    with image.open("wb") as file:
        file.truncate(48 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", image], check=True)
    shutil.copytree(data, place / "kept")
    if subprocess.run(["mount", "-o", "loop", image, data], capture_output=True, check=False).returncode:
        yield
        return
    try:
        shutil.copytree(place / "kept", data, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", data], check=True)


@contextlib.contextmanager
def again_and_again(step: Callable[[], object]) -> Iterator[list[object]]:
    """Do *step* in each of `FLOODING` threads, ten times a second, and collect what it returned."""
    found: list[object] = []
    over = threading.Event()

    def go() -> None:
        while not over.wait(0.1):
            found.append(step())

    threads = [threading.Thread(target=go) for _ in range(FLOODING)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_partner_that_floods_the_hub_is_limited_and_the_others_are_served(book):
    chapter = "A partner floods the hub"
    assert "hub runs" in book.type("First, whatever it is", 0)
    with again_and_again(book.send) as sent:
        until(lambda: len(sent) > 3, "some messages")
        assert re.search(r"^\d+$", book.type(chapter, 0), re.MULTILINE)
        assert "policy.intake-rate" in book.type(chapter, 1)
        before = len(sent)
        until(lambda: any("hub-busy" in str(said) for said in sent[before:]), "the flood to be put off")
        with book.hub.client("sotttt") as client:
            assert isinstance(client.pending("H55.13"), tuple)
        book.type(chapter, 2)
        before = len(sent) + FLOODING  # those that are under way were begun before
        until(lambda: any("hub-busy" not in str(said) for said in sent[before:]), "it to be served again")
    assert "calls-refused" in book.hub.log.read_text()


def test_a_partner_whose_key_is_stolen_can_do_nothing_until_it_has_another(book):
    chapter = "A partner's key is stolen"

    def ask() -> str:
        with book.hub.client("sotttt") as client:
            try:
                return str(client.pending("H55.13"))
            except Exception as refused:  # noqa: BLE001 - whatever the client makes of the fault
                return str(refused)

    book.type(chapter, 0)
    assert "call-not-granted" in ask()
    book.type(chapter, 1)
    book.type(chapter, 2)
    assert "call-not-granted" not in ask()


def test_an_administrator_gets_a_new_password(book):
    assert re.search(r"^([a-z2-7]{5}-){4}[a-z2-7]{5}$", book.type("An administrator cannot sign in", 0), re.MULTILINE)


def shown(hub: RunningHub) -> x509.Certificate:
    """Return the certificate that the SOAP port shows."""
    port = int(hub.soap.split(":")[2].split("/")[0])
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode())


def test_a_hub_whose_key_file_is_gone_serves_on_and_gets_a_new_key_without_a_stop(book):
    chapter, before = "The hub's key file is gone", shown(book.hub)
    (book.hub.home / "pki/hub.key").unlink()
    said = book.type(chapter, 0)
    assert "pki.key" in said
    assert "exit code 1\n" in said
    assert "exit code 78\n" in said
    assert shown(book.hub) == before
    assert re.fullmatch("[0-9A-Za-z-]+", book.send())
    assert "Everything is right." in book.type(chapter, 1)
    assert shown(book.hub) != before
    assert re.fullmatch("[0-9A-Za-z-]+", book.send())


def test_a_full_disk_is_named_and_the_hub_goes_on_when_there_is_room(book):
    chapter, data = "The disk is full", book.hub.home / "data"
    if not data.is_mount():
        not_applicable("only root mounts a small disk")
    ballast = data / "ballast"
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
            file.flush()
    until(lambda: "journal-unavailable" in book.send() or "disk-low" in book.send(), "a caller to be put off")
    until(lambda: reasons(book.hub), "readyz to say so")
    said = book.type(chapter, 0)
    assert re.search(r"FAIL +disk ", said), said
    assert "exit code 1\n" in said
    assert "ballast" in said
    ballast.unlink()
    until(lambda: not reasons(book.hub), "the hub to be well")
    assert "Undamaged" in book.type(chapter, 1)
    until(lambda: re.fullmatch("[0-9A-Za-z-]+", book.send()), "the next to be taken in")


def test_a_damaged_journal_is_replaced_by_the_backup_and_old_receipts_hold(book):
    chapter, hub = "The journal is damaged", book.hub
    before = book.send()
    hub.cli("db", "backup", book.place / "sao-luu.db")
    after = book.send()
    known, unknown = book.number - 1, book.number
    witnesses = hub.home / "data/witness"
    until(lambda: any(f"vpub-{unknown}" in each.read_text() for each in witnesses.iterdir()), "the witness to know")
    assert hub.stop() == -15
    damage(hub.home / "data/hub.db")
    said = book.type(chapter, 0)
    assert "damaged" in said
    assert "exit code 78\n" in said
    said = book.type(chapter, 1)
    assert "Undamaged" in said
    assert f"vpub-{unknown}" in said, "the hub knows which receipt the backup lacks"
    assert f"vpub-{known}" not in said
    hub.start()
    assert attempt(hub, known).document_id == before
    assert attempt(hub, unknown).document_id != after, "it was lost, and is taken in anew"


def damage(file: Path) -> None:
    """Overwrite pages in the middle of SQLite's *file*."""
    with file.open("r+b") as writing:
        writing.seek(file.stat().st_size // 8192 * 4096)
        writing.write(os.urandom(10 * 4096))


def test_a_hub_that_does_not_start_says_why(book):
    assert book.hub.stop() == -15
    port = int(book.hub.soap.split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        said = book.type("The hub does not start", 0)
    assert f"{port} on 127.0.0.1 is held by another process" in said
    assert "exit code 78\n" in said


def test_a_hub_of_a_wrong_time_shows_it_and_goes_on_when_its_clock_is_right(clock, tmp_path):
    chapter, (file, env) = "The clock is wrong", clock
    faults.set_clock(file, "+3600")
    with opened(tmp_path, env=env) as book:
        book.hub.start()
        assert book.send().startswith("HTTP 500: timestamp-future"), "refused, by an answer of a wrong time too"
        said = book.type(chapter, 0)
        date = re.search(r"^Date: (.+)$", said.replace("\r", ""), re.MULTILINE | re.IGNORECASE)
        assert date is not None, said
        ahead = parsedate_to_datetime(date[1]).timestamp() - time.time()
        assert 3500 < ahead < 3700
        faults.set_clock(file, "+0")
        until(lambda: "clock-stepped" in book.hub.log.read_text(), "the step to be noticed")
        book.type(chapter, 1)
        until(lambda: re.fullmatch("[0-9A-Za-z-]+", book.send()), "a message to be taken in")


class Standby(postgres.Server):
    """A server that replays what another writes, until it is promoted."""

    def _answers(self) -> bool:
        """Tell whether it takes connections, as a standby or as a primary."""
        with contextlib.suppress(OSError):
            lines = (self.home / "data/postmaster.pid").read_text().split("\n")
            return len(lines) > 7 and lines[7].strip() in {"ready", "standby"}
        return False


@pytest.fixture
def servers() -> Iterator[tuple[postgres.Server, Standby]]:
    """A primary and its synchronous standby."""
    with contextlib.ExitStack() as stack:
        try:
            primary = stack.enter_context(postgres.Server.open())
        except postgres.Absent as absent:
            cannot_be_had("PostgreSQL", str(absent))
        program, account = primary._bin / "pg_basebackup", primary._account
        if not program.exists():
            cannot_be_had("pg_basebackup", "these programs of PostgreSQL are without it")
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lienthong-standby-")))
        if account:
            os.chown(place, account["user"], account["group"])
        words: list[str | Path] = [
            "-h",
            primary.home,
            "-U",
            postgres.USER,
            "-D",
            place / "data",
            "-R",
            "-c",
            "fast",
            "-X",
            "stream",
        ]
        subprocess.run([program, *words], check=True, cwd=place, **account)
        standby = stack.enter_context(Standby.open(kept=place))
        with psycopg.connect(
            host=str(primary.home), user=postgres.USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
            replicates = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            until(lambda: connection.execute(replicates).fetchone() == (1,), "the standby to be synchronous")
        yield primary, standby


def test_a_hub_goes_on_by_itself_when_the_standby_takes_over(servers, tmp_path):
    chapter, (primary, standby) = "The database server is away", servers
    primary.make("hub")
    hosts = "&".join(f"host={quote(str(server.home))}" for server in servers)
    with opened(tmp_path, f"postgresql://{postgres.USER}@/hub?{hosts}&target_session_attrs=read-write") as book:
        book.hub.start()
        kept = book.send()
        primary.crash()
        until(lambda: "database" in reasons(book.hub), "readyz to say so")
        assert "journal-unavailable" in book.send()
        said = book.type(chapter, 0)
        assert '"database": "unavailable"' in said
        assert re.search(r"FAIL +(database|configuration) ", said), said
        with psycopg.connect(
            host=str(standby.home), user=postgres.USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute("SELECT pg_promote()")
        until(lambda: not reasons(book.hub), "the hub to be well")
        assert "Undamaged" in book.type(chapter, 1)
        assert attempt(book.hub, 1).document_id == kept
