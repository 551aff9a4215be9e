"""The directory of a hub that nobody has used: written once by `lienthong init`, because keys take their time, and copied for each test.

Also its journal, and the commands that a person types beside it.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from click.testing import CliRunner, Result
from cryptography.x509 import Certificate

from hub.cli import lienthong
from hub.config import read_config
from hub.security.certificates import Identity
from hub.store import transactions
from tests import pki

Type = Callable[..., Result]


def begin(home: Path) -> Path:
    """Make the directory *home*, as `init` does, and return it."""
    shutil.copytree(Path(_written().name) / "tinh", home)
    return home


def add_officials(home: Path, ca: Certificate, officials: Mapping[str, tuple[Identity, Sequence[str]]]) -> None:
    """Let persons whom *ca* certified sign for the reports of units: by code, the certificate and the units.

    Also adds the partner `baocao`, which takes reports.
    """
    (home / "partners/baocao.toml").write_text(
        'adapter = "govreport"\nreceive = "push"\nservices = ["reports"]\nunits = ["*"]\nurl = "http://127.0.0.1:9"\n'
        '[policy]\ntransport = "plain"\n'
    )
    folder = home / "officials"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(pki.pem(ca))
    for code, (identity, units) in officials.items():
        (folder / f"{code}.crt").write_bytes(pki.pem(identity.certificate))
        (folder / f"{code}.toml").write_text(
            f'name = "{code}"\ncertificates = ["officials/{code}.crt"]\nunits = {json.dumps(units)}\n'
        )
    with (home / "hub.toml").open("a") as file:
        file.write('\n[officials]\nanchors = ["officials/ca.crt"]\n')


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


def lay_secret(home: Path, code: str, name: str, text: str) -> Path:
    """Lay a secret into the folder of the secrets of the partner *code*, as a person with a shell does."""
    file = home / "secrets" / code / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n", "utf-8")
    file.chmod(0o600)
    return file
