"""Copies a journal out of PostgreSQL and into it, by PostgreSQL's own programs `pg_dump` and `pg_restore`.

The dump is in their custom format, uncompressed, because the backup compresses it. It is of one snapshot. Passwords go
to the programs by their environment, which only the hub's account can read.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import sqlalchemy as sa

from hub.keeping.backups.package import BackupUnfit
from hub.language.phrases import phrase
from hub.store import transactions

_SYSTEM = Path("/usr/lib/postgresql")
#: The table that marks a database as one for trials, whose content may be dropped.
_MARK = "lienthong_trial"
#: Seconds between two looks at the size of a dump.
_LOOK = 0.2
_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_OF_CLASS = f"FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OURS}"
_OF_ROUTINES = f"FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OURS}"
_TABLES = f"SELECT c.relname {_OF_CLASS} AND c.relkind IN ('r', 'p')"
#: What a trial may leave, as the words after DROP. Partitions and sequences of columns go with their tables.
_KINDS = (
    f"SELECT 'TABLE ' || c.oid::regclass {_OF_CLASS} AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
    f"SELECT 'SEQUENCE ' || c.oid::regclass {_OF_CLASS} AND c.relkind = 'S'",
    f"SELECT 'ROUTINE ' || p.oid::regprocedure {_OF_ROUTINES}",
)


@attrs.frozen
class PostgresqlPlace:
    """A database, and the programs that copy it."""

    url: str  #: as the store accepts it
    password_file: Path | None = None
    programs: Path | None = None  #: the folder of pg_dump and pg_restore; None: the system's newest

    def open_engine(self) -> sa.Engine:
        """Return an engine that keeps no connection."""
        return transactions.open_journal(self.url, password_file=self.password_file, pooled=False)

    def measure_size(self) -> int:
        """Return the size of the database in octets, an upper bound of that of its dump but for long texts."""
        engine = self.open_engine()
        with transactions.read_transaction(engine) as tx:
            return int(tx.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)

    @contextmanager
    def open_snapshot(self) -> Generator[tuple[transactions.Transaction, str]]:
        """Yield a transaction that sees the journal as of now until it ends, and the name by which others see the same."""
        engine = self.open_engine().execution_options(isolation_level="REPEATABLE READ")
        with transactions.read_transaction(engine) as tx:
            yield tx, str(tx.scalar(sa.text("SELECT pg_export_snapshot()")))

    def dump(self, snapshot: str, to: Path, tell: Callable[[int], None] = lambda _count: None) -> None:
        """Write the journal as of *snapshot* to the new file *to*. *tell* is called with the octets written so far.

        Raises BackupUnfit with what pg_dump says.
        """
        to.touch(mode=0o600, exist_ok=False)
        words = ["--format=custom", "--compress=0", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
        with _watch_size(to, tell):
            self._run("pg_dump", *words, f"--file={to}")

    def restore(self, dump: Path) -> None:
        """Write the journal of *dump* into the database, which must be empty, in one transaction.

        Raises BackupUnfit with what pg_restore says.
        """
        words = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
        self._run("pg_restore", *words, str(dump))

    def require_empty(self) -> None:
        """Raise BackupUnfit if the database has tables."""
        engine = self.open_engine()
        with transactions.read_transaction(engine) as tx:
            found = tx.exec_driver_sql(f"{_TABLES} LIMIT 1").scalar()
        if found is not None:
            raise BackupUnfit(
                phrase(
                    "the database is not empty (it has the table {found}); rename it and create a new one",
                    found=found,
                )
            )

    def prepare_trial(self) -> None:
        """Empty the database of what an earlier trial left there. Raises BackupUnfit if it has any other table."""
        engine = self.open_engine()
        with transactions.write_transaction(engine) as tx:
            found = set(tx.exec_driver_sql(_TABLES).scalars())
            if found and _MARK not in found:
                raise BackupUnfit(
                    phrase("trial-database is no database for trials: it has the table {found}", found=min(found))
                )
            for kind in _KINDS:
                for name in tx.exec_driver_sql(kind).scalars().all():
                    tx.exec_driver_sql(f"DROP {name} CASCADE")
            tx.exec_driver_sql(f"CREATE TABLE {_MARK} (note text)")

    def _run(self, program: str, *words: str) -> None:
        url = sa.make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        environment = dict(os.environ)
        if self.password_file is not None:
            environment["PGPASSWORD"] = self.password_file.read_text("utf-8").strip("\r\n")
        run_program(
            [str(find_program(program, self.programs)), "--no-password", f"--dbname={url}", *words], environment
        )


def find_program(program: str, programs: Path | None) -> Path:
    """Return the path of PostgreSQL's *program*, in the folder *programs* or else of the system's newest version.

    Raises BackupUnfit.
    """
    if programs is not None:
        places = [programs]
    else:
        places = sorted(_SYSTEM.glob("*/bin"), key=_read_version_number, reverse=True)
        in_path = shutil.which(program)
        places += [Path(in_path).parent] if in_path else []
    for place in places:
        if os.access(place / program, os.X_OK):
            return place / program
    raise BackupUnfit(phrase("there is no {program} here; install the client of PostgreSQL's version", program=program))


def read_dump(dump: Path, programs: Path | None) -> None:
    """Read all of *dump*, into nothing. Raises BackupUnfit if it is not whole."""
    run_program([str(find_program("pg_restore", programs)), f"--file={os.devnull}", str(dump)], dict(os.environ))


def run_program(words: Sequence[str], environment: dict[str, str]) -> None:
    """Run a program to its end. Raises BackupUnfit with the last lines of what it says, if it fails."""
    ended = subprocess.run(  # noqa: S603 - PostgreSQL's program, with words of ours and the URL of hub.toml
        words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip()[-1000:]
        raise BackupUnfit(phrase("{program}: {said}", program=Path(words[0]).name, said=said or ended.returncode))


def _read_version_number(place: Path) -> tuple[int, ...]:
    return tuple(map(int, re.findall("[0-9]+", place.parent.name)))


@contextmanager
def _watch_size(file: Path, tell: Callable[[int], None]) -> Generator[None]:
    """Call *tell* with the size of *file* from time to time."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK):
            tell(file.stat().st_size)

    thread = threading.Thread(target=look, name="backup size", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
