"""The oldest and the newest Python that the project promises run a hub: installed and typed as the pages say.

The wheel is built from this checkout; a release names the one that it made in `WHEEL`. The libraries come from the
package registry, by the hashes of the lock.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import ROOT, cannot_be_had
from tests.pages import DOCS, fenced, parts
from tests.process.test_pages import commands, typed
from tests.waiting import PROGRAM

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PROMISED = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)  #: in ascending order
ENDS = (PROMISED[0], PROMISED[-1])

#: What first-partner.md has typed and a first document does not need: each costs a second.
_SPARE = re.compile(
    r"^(?:lienthong \S+ \S+ (?:doctor|check|messages|partners (?:show|invite|kit))|lienthong fetch|curl)\b.*\n",
    re.MULTILINE,
)

#: Imports every module: commands import much of the hub late. What needs an extra that is not installed is passed over.
_IMPORT = """
import importlib, pkgutil
for root in ("hub", "adapters"):
    for found in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
        if found.name.endswith("__main__") or ".migrations." in found.name:
            continue
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as missing:
            if missing.name.partition(".")[0] in {"hub", "adapters"}:
                raise
"""


def run(*command: object, cwd: Path = ROOT, text: str | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        list(map(str, command)),
        check=False,
        cwd=cwd,
        env=env,
        input=text,
        capture_output=True,
        text=True,
        timeout=PROGRAM,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def find_interpreter(version: str) -> str:
    """Return a Python of that version which can make environments, from anywhere on the PATH; skip without one."""
    ask = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2], sys.prefix == sys.base_prefix)"
    for folder in os.get_exec_path():
        found = shutil.which(f"python{version}", path=folder)
        if found:
            told = subprocess.run([found, "-c", ask], check=False, capture_output=True, text=True)
            if told.stdout == f"{version} True\n":
                return found
    return cannot_be_had(
        f"Python {version}", "no program of that name makes environments: IT IS PROMISED AND NOT TRIED"
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the release, or one of this checkout."""
    if made := os.environ.get("WHEEL"):
        return Path(made)
    place = tmp_path_factory.mktemp("wheel")
    run(Path(sys.executable).with_name("hatchling"), "build", "-t", "wheel", "-d", place)
    [built] = place.glob("*.whl")
    return built


def install(interpreter: str, place: Path, wheel: Path, env: dict[str, str]) -> None:
    """Type the last commands of the section of install.md: an environment with the libraries of the lock, and the wheel."""
    (block,) = fenced(parts(DOCS / "howto/install.md")["From a wheel"], "sh")
    script = block[block.index("python3 -m venv") :].replace("dist/lienthong-*.whl", str(wheel))
    script = script.replace("python3 ", f"{interpreter} ", 1).replace("/opt/lienthong", str(place))
    assert script.count(str(place)) == 3
    run("bash", "-eux", text=script, env=env)


def periods_of_now() -> tuple[str, str]:
    """Return this month and the next: the report of one of them has what happens now, whatever day its month ends on."""
    today = datetime.now(UTC).date()
    return f"{today:%Y-%m}", f"{today.replace(day=28) + timedelta(days=7):%Y-%m}"


@pytest.mark.parametrize("version", ENDS)
def test_a_promised_interpreter_runs_a_hub_for_production(version: str, wheel: Path, tmp_path: Path) -> None:
    """Installs, imports every module, makes a hub for production, starts it, sends a signed document, makes a report."""
    python, place = find_interpreter(version), tmp_path / "environment"
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LIENTHONG"))}
    quiet["PIP_NO_COMPILE"] = "1"  # Python compiles what is imported, which is a third
    env = quiet | {"LANG": "en_US.UTF-8", "PATH": f"{place / 'bin'}:{quiet['PATH']}"}
    install(python, place, wheel, env)
    run(place / "bin/python", "-c", _IMPORT, cwd=tmp_path, env=env)
    (tmp_path / "docs").symlink_to(DOCS)
    script = _SPARE.sub("", typed(commands(DOCS / "howto/first-partner.md")))
    assert "Accepted: " in run("bash", "-eux", text=script, cwd=tmp_path, env=env)
    command = [place / "bin/lienthong", "-c", "tinh/hub.toml", "report", "H55.12"]
    reports = [json.loads(run(*command, each, "--format", "json", cwd=tmp_path, env=env)) for each in periods_of_now()]
    assert sum(each["total"]["sent"] for each in reports) == 1


def test_what_is_promised_is_what_pip_lets_in() -> None:
    oldest, newest = (int(each.partition(".")[2]) for each in ENDS)
    assert PROJECT["requires-python"] == f">=3.{oldest},<3.{newest + 1}"
    assert [f"3.{minor}" for minor in range(oldest, newest + 1)] == PROMISED
