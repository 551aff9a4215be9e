"""Three database servers under Patroni and a load balancer, as docs/howto/high-availability.md sets them up, on this machine.

Knows how the page's files become files of here: other addresses of the loopback network, other directories, an account that is not
root.  Knows the processes of each machine, so that all of one can be killed at once; not what the hubs do.
"""

import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import psycopg

from lienthong_demo.run.parent import end_with_parent
from lienthong_demo.run.postgres import _account, find_postgres_programs
from tests.conftest import cannot_be_had
from tests.pages import DOCS, fenced, parts

PAGE = DOCS / "howto/high-availability.md"
NET = "10.20.0"  #: of the page
PASSWORDS = {"postgres": "change-me-1", "lienthong": "change-me-4"}


def block(section: str, language: str, containing: str) -> str:
    """Return the one fenced block of a section of the page that contains a text."""
    (found,) = [text for text in fenced(parts(PAGE)[section], language) if containing in text]
    return found


@attrs.define(eq=False)
class Machine:
    """One database server: its etcd, its Patroni and, through that, its PostgreSQL."""

    number: int
    home: Path
    address: str
    account: Mapping[str, Any]
    running: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def start(self) -> None:
        """Start etcd and Patroni."""
        self._run("etcd", "etcd", "--config-file", str(self.home / "etcd.yml"))
        self._run("patroni", "patroni", str(self.home / "patroni.yml"))

    def _run(self, name: str, *words: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self.running.append(
                subprocess.Popen(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.home,
                    start_new_session=True,
                    preexec_fn=partial(end_with_parent, signal.SIGINT),  # noqa: PLW1509 - as in lienthong_demo.run.postgres
                    env={"PATH": os.environ["PATH"], "HOME": str(self.home), "LC_ALL": "C.UTF-8"},
                    **self.account,
                )
            )

    def kill(self) -> None:
        """Kill every process of the machine, as a power cut would."""
        postmaster = self._postmaster()
        doomed = [process.pid for process in self.running] + (
            [postmaster, *_children(postmaster)] if postmaster else []
        )
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.running:
            process.wait(10)
        self.running.clear()

    def _postmaster(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / "data/postmaster.pid").read_text("utf-8").split("\n")[0])
            if str(self.home) in Path(f"/proc/{pid}/cmdline").read_text("utf-8"):
                return pid
        return None


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()]
    return []


@attrs.define(eq=False)
class Machines:
    """The three of them, and HAProxy."""

    home: Path
    net: str  #: stands for the page's
    machines: list[Machine]
    _balancer: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def open(cls) -> Iterator["Machines"]:
        """Yield the three, started."""
        for program in ("etcd", "patroni", "haproxy"):
            if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
                cannot_be_had(program, f"apt-get install {'etcd-server' if program == 'etcd' else program}")
        if not str(find_postgres_programs()).startswith("/usr/lib/postgresql"):
            cannot_be_had("PostgreSQL of the system", "apt-get install postgresql")
        home, account = Path(tempfile.mkdtemp(prefix="lienthong-patroni-")), _account()
        net = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"
        made = cls(home, net, [])
        try:
            for number in (1, 2, 3):
                place = home / f"db{number}"
                place.mkdir()
                made.machines.append(Machine(number, place, f"{net}.1{number}", account))
                for name, key in (("etcd.yml", "data-dir:"), ("patroni.yml", "scope:")):
                    (place / name).write_text(made._written(block("The database servers", "yaml", key), number))
                    (place / name).chmod(0o600)
            if account:
                nobody = pwd.getpwnam("nobody")
                for path in [home, *home.rglob("*")]:
                    os.chown(path, nobody.pw_uid, nobody.pw_gid)
            for machine in made.machines:
                machine.start()
            yield made
        finally:
            made.close()

    def _written(self, text: str, number: int) -> str:
        """Return a file of `db1` as that of another machine, with the addresses and directories of here."""
        own = re.compile(rf"db1|{re.escape(NET)}\.11")
        lines = [
            line if f"{NET}.13" in line else own.sub(lambda found: found[0][:-1] + str(number), line)
            for line in text.splitlines()
        ]
        places = {
            f"{NET}.0/24": "127.0.0.0/8",
            NET: self.net,
            "/var/lib/etcd/lienthong": str(self.home / f"db{number}/etcd"),
            "/var/lib/postgresql/lienthong": str(self.home / f"db{number}/data"),
            "/var/lib/postgresql/": f"{self.home}/db{number}/",
            "/run/postgresql": str(self.home / f"db{number}"),
            "/usr/lib/postgresql/17/bin": str(find_postgres_programs()),
        }
        text = "\n".join(lines) + "\n"
        for old, new in places.items():
            text = text.replace(old, new)
        return text

    def said(self, text: str) -> str:
        """Return a text of the page with the addresses of here."""
        return text.replace(NET, self.net)

    def sql(self, statement: str, number: int | None = None) -> list[tuple[Any, ...]]:
        """Ask the primary, or a certain machine, as the superuser; nothing when it does not answer."""
        hosts = [machine.address for machine in self.machines if number in (None, machine.number)]
        try:
            with psycopg.connect(
                host=",".join(hosts),
                user="postgres",
                password=PASSWORDS["postgres"],
                dbname="postgres",
                connect_timeout=2,
                target_session_attrs="read-write" if number is None else "any",
                autocommit=True,
            ) as connection:
                return connection.execute(statement).fetchall()
        except psycopg.Error:
            return []

    def primary(self) -> Machine | None:
        """Return the machine that takes writes."""
        found = self.sql("select inet_server_addr()::text")
        return next((each for each in self.machines if found and each.address == found[0][0].split("/")[0]), None)

    def synchronous(self) -> bool:
        """Tell whether Patroni knows of a leader and of a synchronous standby that may take over, as `patronictl list` does.

        PostgreSQL calls a standby synchronous some seconds before: while Patroni still looks for one, any standby is.  A primary
        lost then is not replaced, for nobody knows which of the others has every commit.
        """
        for machine in self.machines:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://{machine.address}:8008/cluster", timeout=2) as answer,
            ):
                return {"leader", "sync_standby"} <= {member.get("role") for member in json.load(answer)["members"]}
        return False

    def balance(self, listen: str, hubs: Mapping[str, tuple[str, str, Path]]) -> None:
        """Start HAProxy before *hubs* (name -> SOAP and admin address, CA), as the page says."""
        text = block("The load balancer", "haproxy", "backend hubs").replace(f"{NET}.10:8443", listen)
        for name, (soap, admin, ca) in hubs.items():
            text = re.sub(rf"server {name} \S+ port \d+", f"server {name} {soap} port {admin.split(':')[1]}", text)
            text = text.replace("/etc/lienthong/hub-ca.crt", str(ca))
        (self.home / "haproxy.cfg").write_text(text)
        path = f"{os.environ['PATH']}:/usr/sbin"
        with (self.home / "haproxy.log").open("ab") as log:
            self._balancer = subprocess.Popen(
                [shutil.which("haproxy", path=path) or "haproxy", "-db", "-f", str(self.home / "haproxy.cfg")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, signal.SIGINT),  # noqa: PLW1509 - as in lienthong_demo.run.postgres
            )

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(
            f"== {path}\n{path.read_text('utf-8', 'replace')[-1500:]}" for path in self.home.rglob("*.log")
        )

    def close(self) -> None:
        """End everything."""
        if self._balancer is not None:
            self._balancer.kill()
            self._balancer.wait(10)
        for machine in self.machines:
            machine.kill()
        time.sleep(0.2)  # PostgreSQL's processes still leave their directory
        shutil.rmtree(self.home, ignore_errors=True)
