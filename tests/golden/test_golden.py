"""Every command and every operation of the API is as the golden files keep it: words, shapes, rights and exit codes.

`./dev golden` records them anew; what changed then is seen in the difference of the files.
"""

import difflib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from hub.language.languages import Language
from hub.operations.accounts import passwords
from hub.operations.accounts.permissions import Role
from tests import homes
from tests.api_callers import Program
from tests.conftest import ROOT
from tests.console.test_console_partners import Office
from tests.console_town import CHEAP, NOBODY
from tests.golden import faces
from tests.golden.home import make_home

HERE = Path(__file__).parent
RECORDING = os.environ.get("GOLDEN") == "record"


def compare(name: str, lines: Iterable[str]) -> None:
    """Compare *lines* with the golden file *name*, or write it."""
    file, now = HERE / "kept" / name, list(lines)
    if RECORDING:
        file.write_text("".join(f"{line}\n" for line in now), "utf-8")
    kept = file.read_text("utf-8").splitlines()
    found = list(difflib.unified_diff(kept, now, "kept", "now", lineterm="", n=0))
    assert not found, "\n".join([f"{name} (`./dev golden` records it anew):", *(line[:2000] for line in found[:40])])


def read_cases(name: str) -> list[str]:
    """Return the lines of a file of cases; those that begin with # are remarks."""
    return [line for line in (HERE / name).read_text("utf-8").splitlines() if line and not line.startswith("#")]


def fill(case: str, values: dict[str, str]) -> str:
    """Return *case* with values in place of `{name}`."""
    for name, value in values.items():
        case = case.replace(f"{{{name}}}", value)
    return case


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody guesses a password here."""
    monkeypatch.setattr(passwords.hash_password, "__defaults__", (CHEAP,))
    monkeypatch.setattr(passwords, "NOBODY", NOBODY)


@pytest.mark.slow
@pytest.mark.parametrize("language", list(Language))
def test_the_help_of_every_command_is_the_same(language: Language) -> None:
    # In a process of its own: a command has its help in the language in which its module was imported.
    environment = {**os.environ, "LANG": f"{language}.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden.faces"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    compare(f"help.{language}.txt", done.stdout.decode().splitlines())


@pytest.mark.slow
@pytest.mark.usefixtures("cheap")
def test_every_command_answers_and_refuses_in_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.cli.person.name_person", lambda: "an")
    monkeypatch.setattr("getpass.getuser", lambda: "an")
    values = make_home(tmp_path / "tinh")
    (tmp_path / "word").write_text("một mật khẩu dài\n", "utf-8")
    values |= {"tmp": str(tmp_path)}
    run = homes.typing(tmp_path / "tinh")
    said = []
    for case in read_cases("cases.txt"):
        said += ["", f"$ {case}", *faces.describe_command(shlex.split(fill(case, values)), run, str(tmp_path))]
    compare("commands.txt", said)


@pytest.mark.parametrize("language", list(Language))
def test_the_openapi_document_is_the_same(language: Language) -> None:
    compare(f"openapi.{language}.jsonl", faces.describe_openapi(language))


def test_every_operation_has_the_same_address_rights_and_types() -> None:
    compare("operations.jsonl", faces.describe_operations())


@pytest.fixture
def office(tmp_path: Path, cheap: None) -> Iterator[tuple[Office, dict[str, str]]]:
    """The shared hub as the API has it, with an administrator, and the values of the placeholders."""
    values = make_home(tmp_path / "tinh")
    made = Office(tmp_path / "tinh")
    made.town.add("an", role=Role.ADMINISTRATOR)
    pem = (tmp_path / "tinh/pki/partners/vpub.crt").read_text("ascii")
    made.town.settings = made.live.config.console
    yield made, values | {"pem": json.dumps(pem)[1:-1]}
    made.engine.dispose()


@pytest.mark.slow
def test_every_operation_answers_and_refuses_in_the_same_way(office: tuple[Office, dict[str, str]]) -> None:
    made, values = office
    program, said = Program(made.town, name="golden", owner="an"), []
    for case in read_cases("calls.txt"):
        method, place, body = [*fill(case, values).split(" ", 2), ""][:3]
        said += ["", f"$ {case}", *faces.describe_call(program, method, place, body)]
    compare("calls.txt", said)


def test_a_token_without_scope_or_with_limits_is_refused_the_same(office: tuple[Office, dict[str, str]]) -> None:
    town = office[0].town
    tokens = {
        "no scope": Program(town, "see-private"),
        "one unit": Program(town, units=("H55.13",)),
        "one partner": Program(town, partners=("vpub",)),
    }
    compare("rights.jsonl", faces.describe_rights(tokens))
