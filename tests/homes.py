"""The directory of a hub that nobody has used: written once by `lienthong init`, because keys take their time, and copied for each test.

Also its journal, and the commands that a person types beside it.
"""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.store import transactions

Type = Callable[..., Result]


def begin(home: Path) -> Path:
    """Make the directory *home*, as `init` does, and return it."""
    shutil.copytree(Path(_written().name) / "tinh", home)
    return home


def engine_of(home: Path) -> sa.Engine:
    """Open the journal of the hub in *home*."""
    return transactions.open_journal(read_config(home / "hub.toml").database_url, pooled=False)


def typing(home: Path, *first: str) -> Type:
    """Return what runs `lienthong` with the words *first* and others, for the hub in *home*."""

    def run(*words: str, language: str = "en") -> Result:
        runner = CliRunner(env={"LANG": f"{language}.UTF-8", "LIENTHONG_CONFIG": str(home / "hub.toml")})
        return runner.invoke(lienthong, [*first, *words])

    return run


@cache
def _written() -> TemporaryDirectory[str]:  # gone when the interpreter ends
    place = TemporaryDirectory()
    home = str(Path(place.name) / "tinh")
    done = CliRunner().invoke(lienthong, ["init", home, "--soap-port", "0", "--admin-port", "0"])
    assert done.exit_code == 0, done.output
    return place
