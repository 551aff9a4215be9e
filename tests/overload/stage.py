"""Where it happens: a hub with three honest partners, two hostile ones, a partner that is pushed to, and a large unit.

Knows `lienthong init`, `partners add`, and what each process of a round is told; judges nothing.
"""

import contextlib
import http.client
import itertools
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa

from hub.config import read_config
from hub.report.form.period import find_month_containing
from hub.store.tables import delivery, duty, fact
from lienthong_demo.mail.mailhost import PASSWORD as MAIL_PASSWORD
from lienthong_demo.mail.mailhost import MailHost
from tests.conftest import ROOT
from tests.running import RunningHub, until

HONEST = {"trung1": "H55.21", "trung2": "H55.22", "trung3": "H55.23"}
HOSTILE = {"thu1": "H55.24", "thu2": "H55.25"}
#: What lets a partner call every operation, and tell of units below its own.
EVERYTHING = 'calls = ["documents", "dossiers", "mail", "reports", "lookups"]\ntells = "*"\n'
RECIPIENT = "H55.12"  #: of vpub, which is pushed to
#: Octets that the hub may write more while uploads are left unfinished: half of what they would take.
ROOM = 500_000_000
RATE = 2.0  #: calls a second of each honest partner
PATIENCE = 30.0  #: seconds that an honest partner waits for a receipt
MAILBOX = "truc@thainguyen.gov.vn"
USERS = ("an", "binh")
WORD = "một mật khẩu dài"
PERIOD = find_month_containing(datetime.now(UTC)).text


@attrs.frozen(kw_only=True)
class Round:
    """What came of one round."""

    seconds: float  #: that it was to take
    sent: int  #: by honest partners
    latencies: Sequence[float]  #: seconds, sorted
    failed: Sequence[str]  #: answers that were no receipt
    delivered: int  #: pushes that arrived while it lasted
    healthz: Sequence[float]  #: seconds, sorted; `PATIENCE` for one that was not answered
    cpu: float  #: seconds of the hub's processes
    memory: int  #: octets that the hub had at most
    signed_in: int | None = None  #: times that an honest person signed in
    attacks: Mapping[str, Mapping[str, int]]  #: of each, what was sent and answered

    def latency(self, part: float) -> float:
        """Return the latency that this part of the calls did not exceed, in seconds."""
        return quantile(self.latencies, part)


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this *part* of the sorted *values* does not exceed."""
    return values[min(len(values) - 1, int(len(values) * part))]


@attrs.define(eq=False)
class Stage:
    """A hub that runs, and everybody who calls it."""

    hub: RunningHub
    mail: MailHost | None = None
    cookies: Sequence[str] = ()
    _rounds: int = 0

    def person(self, name: str) -> dict[str, str]:
        """Sign in with a browser's calls; return its cookie, or nothing where it was turned away."""
        context = ssl.create_default_context(cafile=str(self.hub.home / "pki/ca.crt"))
        line = http.client.HTTPSConnection(self.hub.admin.removeprefix("https://"), context=context, timeout=PATIENCE)
        with contextlib.closing(line):
            line.request("GET", "/sign-in")
            answer = line.getresponse()
            begun = (answer.headers.get("Set-Cookie") or "").partition(";")[0]
            found = re.search(r'name="proof" value="([^"]*)"', answer.read().decode())
            if found is None:
                return {}
            form = urllib.parse.urlencode({"proof": found[1], "name": name, "password": WORD})
            said = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.hub.admin, "Cookie": begun}
            line.request("POST", "/sign-in", form, said)
            answer = line.getresponse()
            answer.read()
            word = [each.partition(";")[0] for each in answer.headers.get_all("Set-Cookie") or ()]
        return {"Cookie": "; ".join(each for each in word if each.partition("=")[2])} if answer.status == 303 else {}

    def leave_room(self, free: int) -> None:
        """Let the hub think its disk full when *free* octets more are used."""
        _leave_room(self.hub, free)
        self.hub.cli("reload")

    def partners(self, codes: Mapping[str, str]) -> list[dict[str, str]]:
        """Return what a process must know to call as these partners."""
        files = {code: self.hub.files(code) for code in codes}
        return [
            {"code": code, "unit": unit, **{name: str(path) for name, path in files[code].items()}}
            for code, unit in codes.items()
        ]

    def make_orders(self, seconds: float) -> dict[str, Any]:
        """Return what the processes of the next round of so many seconds are told."""
        self._rounds += 1
        return {
            "name": f"r{self._rounds}",
            "soap": self.hub.soap,
            "admin": self.hub.admin,
            "ca": str(self.hub.home / "pki/ca.crt"),
            "recipient": RECIPIENT,
            "seconds": seconds,
            "rate": RATE,
            "patience": PATIENCE,
            "period": PERIOD,
            "cookies": list(self.cookies),
            "mailbox": str(self.mail.home / "mail" / MAILBOX) if self.mail else "",
        }

    def run_round(self, seconds: float, *attacks: str) -> Round:
        """Let honest partners call for so many seconds, and hostile ones attack from the same moment on."""
        if "uploads" in attacks:
            self.leave_room(ROOM)
        orders = self.make_orders(seconds)
        honest = _process("honest", orders | {"partners": self.partners(HONEST)})
        hostile = _process("attacks", orders | {"attacks": attacks, "partners": self.partners(HOSTILE)})
        for process in (honest, hostile):
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready", process.args
        looked: list[float] = []
        over = threading.Event()
        asking = threading.Thread(target=self._ask_health, args=(looked, over), daemon=True)
        entered: list[bool] = []
        person = threading.Thread(target=self._sign_in_often, args=(entered, over), daemon=True)
        pid = self.hub.process.pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        before, arrived = processor_seconds(pid), len(self.hub.received("vpub"))
        asking.start()
        if "sign-in" in attacks:
            person.start()
        for process in (hostile, honest):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        found = json.loads(_end(honest, seconds + 2 * PATIENCE))
        said = json.loads(_end(hostile, seconds + 5 * PATIENCE))
        over.set()
        asking.join(PATIENCE)
        if "uploads" in attacks:
            self.leave_room(1 << 60)
        if "sign-in" in attacks:
            person.join(PATIENCE)
        return Round(
            seconds=seconds,
            sent=found["calls"],
            latencies=sorted(found["seconds"]),
            failed=found["failed"],
            delivered=len(self.hub.received("vpub")) - arrived,
            healthz=sorted(looked),
            cpu=processor_seconds(pid) - before,
            memory=peak_memory(pid),
            signed_in=sum(entered) if "sign-in" in attacks else None,
            attacks=said,
        )

    def _ask_health(self, looked: list[float], over: threading.Event) -> None:
        while not over.wait(0.5):
            begun = time.monotonic()
            status, _ = self.hub.get("/healthz")
            looked.append(time.monotonic() - begun if status == 200 else PATIENCE)

    def _sign_in_often(self, entered: list[bool], over: threading.Event) -> None:
        while not over.wait(1):
            try:
                entered.append(bool(self.person(USERS[0])))
            except (OSError, http.client.HTTPException):
                entered.append(False)


def _process(module: str, orders: Mapping[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.overload.{module}", json.dumps(orders)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _end(process: subprocess.Popen[str], patience: float) -> str:
    """Return the last line that *process* prints before it ends."""
    said, _ = process.communicate(timeout=patience)
    assert process.returncode == 0, process.args
    return said.strip().splitlines()[-1]


def processor_seconds(pid: int) -> float:
    """Return the processor seconds of a process and of its children, so far."""
    total = 0.0
    for each in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                found += [child, *_children(child)]
    return found


def peak_memory(pid: int) -> int:
    """Return the octets that a process and its children had at most since `clear_refs`."""
    total = 0
    for each in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            said = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{each}/status").read_text())
            total += int(said[1]) * 1024 if said else 0
    return total


@contextlib.contextmanager
def opened(
    home: Path,
    *,
    facts: int = 450_000,
    mails: bool = True,
    database: str | None = None,
    workers: int = 1,
    children: int = 0,
) -> Iterator[Stage]:
    """Yield a hub that is ready, whose hostile partners' units have so many *facts* and units below them each.

    Where there are *mails*, it reads a real mailbox.
    """
    with contextlib.ExitStack() as around:
        hub = RunningHub(home, database)
        if workers > 1:
            hub.config.write_text(f"workers = {workers}\n{hub.config.read_text()}")
        around.callback(hub.close)
        partners = HONEST | HOSTILE
        for code, unit in partners.items():
            hub.issue(code)
            said = (
                f'name = "{code}"\ncertificates = ["pki/partners/{code}.crt"]\nreceive = "fetch"\nunits = ["{unit}"]\n'
            )
            (home / f"partners/{code}.toml").write_text(said + (EVERYTHING if children else ""))
        (home / "word").write_text(f"{WORD}\n", "utf-8")
        for name in USERS:
            hub.cli("users", "add", name, "--role", "operator", "--password-file", home / "word")
        rows = "".join(f"{unit},Đơn vị {unit},H55\n" for unit in (*partners.values(), "H55.26"))
        rows += "".join(f"{unit}.{at},x,{unit}\n" for unit in HOSTILE.values() for at in range(children))
        (home / "units.csv").write_text(f"code,name,parent\n{rows}", "utf-8")
        hub.cli("units", "import", home / "units.csv")
        mail = around.enter_context(_mail(hub)) if mails else None
        for number, unit in enumerate(HOSTILE.values()):
            write_facts(hub, unit, facts, number)
        hub.letterbox("vpub")
        hub.start()
        stage = Stage(hub, mail)
        stage.cookies = [stage.person(name)["Cookie"] for name in USERS]
        yield stage


def _leave_room(hub: RunningHub, free: int) -> None:
    """Let the hub think its disk full when so many octets more are used."""
    found = os.statvfs(hub.home)
    keep = max(1, (found.f_bavail * found.f_frsize - free) // 1024)
    text = hub.config.read_text()
    text = re.sub(r"(?m)^free-disk\s*=.*\n", "", text)
    said = f'free-disk = "{keep}KiB"\n'
    text = (
        re.sub(r"(?m)^\[limits\]\n", f"[limits]\n{said}", text) if "[limits]" in text else f"{text}\n[limits]\n{said}"
    )
    hub.config.write_text(text)


@contextlib.contextmanager
def _mail(hub: RunningHub) -> Iterator[MailHost]:
    hub.issue("thudientu")
    files = hub.files("thudientu")
    with MailHost.open(files["key"], files["certificate"], (MAILBOX,)) as host:
        for part in ("tmp", "new", "cur"):
            (host.home / "mail" / MAILBOX / part).mkdir(parents=True, exist_ok=True)
        for folder in (host.home / "mail").rglob("*"):
            os.chown(folder, (host.home / "mail").stat().st_uid, (host.home / "mail").stat().st_gid)
        partners = hub.home / "partners"
        (partners / "thudientu.password").write_text(f"{MAIL_PASSWORD}\n")
        (partners / "thudientu.password").chmod(0o600)
        (partners / "thudientu.signers").write_bytes(files["certificate"].read_bytes())
        (partners / "thudientu.toml").write_text(
            f"""name = "Thư điện tử"
adapter = "mail"
receive = "push"
url = "smtp://127.0.0.1:{host.ports["smtp"]}"
units = ["H55.26"]

[settings]
from = "{MAILBOX}"
user = "{MAILBOX}"
password-file = "partners/thudientu.password"
address = "{{unit}}@thainguyen.gov.vn"
mailbox = "imap://127.0.0.1:{host.ports["imap"]}/INBOX"
signers-file = "partners/thudientu.signers"

[policy]
transport = "tls"
collect = "2s"
"""
        )
        yield host


def write_facts(hub: RunningHub, unit: str, count: int, number: int) -> None:
    """Write *count* facts of documents that *unit* received this month and answered, by SQL."""
    begun = datetime.now(UTC) - timedelta(hours=1)
    plain: dict[str, Any] = {
        "service": "documents",
        "at": begun,
        "counterpart": "H55.13",
        "outside": False,
        "document_type": "Công văn",
    }
    plain |= {"paper": False, "signature": "valid"}

    def rows() -> Iterator[dict[str, Any]]:
        for each in range(count // 3):
            key = json.dumps(["H55.13", f"H55.13,2026/11/20,{each}/TAI-{number}"], separators=(",", ":"))
            message = f"0192f0c1-{number:04d}-7000-8000-{each:012d}"
            for milestone in ("received", "status-03", "status-06"):
                yield plain | {"unit": unit, "key": key, "milestone": milestone, "message": message}

    engine = _open_engine(hub)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # their messages do not exist
        written = rows()
        while some := list(itertools.islice(written, 10_000)):
            connection.execute(sa.insert(fact), some)
    engine.dispose()


def _open_engine(hub: RunningHub) -> sa.Engine:
    return sa.create_engine(read_config(hub.config).database_url)


def settled(stage: Stage, patience: float = 30.0) -> None:
    """Wait until what the hub still owed when a round was over is done, but not long."""

    def idle() -> bool:
        with engine.connect() as journal:
            return not journal.scalar(sa.select(sa.func.count()).select_from(duty))

    engine = _open_engine(stage.hub)
    with contextlib.suppress(AssertionError):
        until(idle, "every duty", patience)
    engine.dispose()


def drained(stage: Stage, patience: float = 120.0) -> bool:
    """Wait until nothing waits for the partner that is pushed to."""

    def empty() -> bool:
        with engine.connect() as journal:
            left = journal.scalar(sa.select(sa.func.count()).select_from(delivery).where(waiting))
        return bool(left == 0)

    engine = _open_engine(stage.hub)
    waiting = sa.and_(delivery.c.partner == "vpub", delivery.c.state.in_(("waiting", "sending")))
    try:
        return bool(until(empty, "every delivery", patience))
    finally:
        engine.dispose()
