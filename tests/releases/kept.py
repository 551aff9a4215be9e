"""What is kept of each release, in a folder named by its version: a wheel, and on each database a journal that it wrote.

A journal comes with its hub's directory.  Knows nothing of today's program.
"""

import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

HERE = Path(__file__).parent
#: Runs the commands of standard input, a JSON list of lists, in one process; writes the JSON list of what each printed.
_RUN = """
import json, sys
from click.testing import CliRunner
from hub.cli import lienthong
said = []
for words in json.load(sys.stdin):
    done = CliRunner(env={"LANG": "en_US.UTF-8"}).invoke(lienthong, words)
    assert done.exit_code == 0, (words, done.output)
    said.append(done.stdout)
json.dump(said, sys.stdout)
"""


@attrs.frozen
class KeptRelease:
    """One release."""

    version: str  #: such as 2026.11.0

    @property
    def folder(self) -> Path:
        """Return where it is kept."""
        return HERE / self.version

    def unpack_program(self, to: Path) -> Path:
        """Write its program below *to*; it runs with that directory as PYTHONPATH and today's libraries."""
        (wheel,) = self.folder.glob("lienthong-*.whl")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(to)
        return to

    def unpack_journal(self, database: str, to: Path) -> Path:
        """Write the directory of its hub on *database* (sqlite or postgresql) below *to*; return that of `hub.toml`.

        Beside `hub.toml` lies `data/hub.db`, or `journal.sql` for `load_dump`.
        """
        with lzma.open(self.folder / f"{database}.tar.xz") as plain, tarfile.open(fileobj=plain) as packed:
            packed.extraction_filter = getattr(
                tarfile, "data_filter", None
            )  # Debian's 3.11.2 has neither it nor a warning
            packed.extractall(to)
        return to / "hub"

    @contextmanager
    def open_hub(self, database: str, to: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
        """Yield the directory of its hub on *database*, below *to*; its journal is there, also on PostgreSQL."""
        home = self.unpack_journal(database, to)
        if database == "sqlite":
            yield home
            return
        with request.getfixturevalue("postgresql").database(empty=True) as url:
            load_dump(url, home / "journal.sql")
            config = home / "hub.toml"
            kept = "postgresql://lienthong@/lienthong"
            assert kept in config.read_text()
            config.write_text(config.read_text().replace(kept, url.replace("+psycopg", "")))
            yield home


def ask_program(program: Path, home: Path, commands: Sequence[Sequence[str]]) -> list[str]:
    """Return what the program in the directory *program* prints for each of *commands* about the hub in *home*."""
    words = [["-c", str(home / "hub.toml"), *command] for command in commands]
    env = os.environ | {"PYTHONPATH": str(program)}
    ran = subprocess.run(
        [sys.executable, "-c", _RUN],
        input=json.dumps(words),
        capture_output=True,
        text=True,
        check=False,
        env=env,
        cwd=home,
    )
    assert ran.returncode == 0, ran.stderr
    said: list[str] = json.loads(ran.stdout)
    return said


def list_releases() -> list[KeptRelease]:
    """Return all that are kept, oldest first."""
    found = [path.name for path in HERE.iterdir() if path.is_dir() and path.name[0].isdigit()]
    return [KeptRelease(name) for name in sorted(found, key=lambda name: tuple(map(int, name.split("."))))]


def load_dump(url: sa.URL | str, dump: Path) -> None:
    """Execute what pg_dump wrote as plain text in the empty PostgreSQL database *url*, as psql would."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection, dump.open(encoding="utf-8") as lines:
        raw: Any = connection.connection.driver_connection
        statements: list[str] = []
        with raw.cursor() as cursor:
            for line in lines:
                if line.startswith("COPY "):
                    cursor.execute("".join(statements))
                    statements = []
                    with cursor.copy(line.rstrip().removesuffix(";")) as copy:
                        for row in iter(lines.readline, "\\.\n"):
                            copy.write(row)
                elif not line.startswith(("\\", "--")):
                    statements.append(line)
            cursor.execute("".join(statements))
        raw.commit()
    engine.dispose()
