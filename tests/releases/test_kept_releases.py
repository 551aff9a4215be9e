"""A journal that a release wrote says the same after its upgrade to today's version: each fact, message, report, the chain."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import homes
from tests.conftest import DATABASES
from tests.releases.kept import KeptRelease, ask_program, list_releases

pytestmark = pytest.mark.slow

#: What both programs are asked, at the same time: some figures depend on the day.
ASKED = [
    ["report", "--facts", "--json"],
    ["messages", "--json"],
    *(["report", "H55", "2026-11", "--form", form, "--json"] for form in ("edoc", "dossiers", "congviec", "ii06a")),
    ["db", "verify", "--json"],
]
#: What differs: when a program was asked, the time of the last event, which is the upgrade itself, and the legal text in force
#: in a month that is not closed yet, by the list of today.
MADE = {"made_at", "last", "basis"}


@pytest.fixture(params=list_releases(), ids=lambda release: release.version)
def release(request: pytest.FixtureRequest) -> KeptRelease:
    """Each release that is kept."""
    found: KeptRelease = request.param
    return found


@pytest.fixture(params=DATABASES)
def home(request: pytest.FixtureRequest, release: KeptRelease, tmp_path: Path) -> Iterator[Path]:
    """The directory of a hub of that release, with the journal that it wrote."""
    with release.open_hub(request.param, tmp_path, request) as made:
        yield made


def test_the_journal_of_a_release_says_after_the_upgrade_what_it_said_before(
    release: KeptRelease, home: Path, tmp_path: Path
) -> None:
    then = ask_program(release.unpack_program(tmp_path / "program"), home, ASKED)
    typed = homes.typing(home)
    upgraded = typed("db", "upgrade")
    assert upgraded.exit_code == 0, upgraded.output
    assert typed("db", "status").exit_code == 0
    for words, before in zip(ASKED, then, strict=True):
        done = typed(*words)
        assert done.exit_code == 0, (words, done.output)
        lines = zip(before.splitlines(), done.stdout.splitlines(), strict=True)
        for old, new in ((json.loads(old), json.loads(new)) for old, new in lines):
            kept = old.keys() - MADE  # a later release may say more, never something else
            assert {key: new.get(key) for key in kept} == {key: old[key] for key in kept}, words
