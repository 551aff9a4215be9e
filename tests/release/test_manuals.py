"""The pages of the manual and the completion that a package brings are of every command, and their programs read them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hub.cli import COMMANDS
from hub.language.languages import Language
from tests.conftest import cannot_be_had
from tests.declared import walk_commands
from tests.release import manuals

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=list(Language))
def pages(request: pytest.FixtureRequest) -> dict[str, str]:
    return manuals.write_manual(request.param, "2026.12.0")


def test_every_command_has_its_part_of_a_page(pages: dict[str, str]) -> None:
    assert {Path(each).stem for each in pages} == {"lienthong", *(f"lienthong-{name}" for name in COMMANDS)}
    told = [line for page in pages.values() for line in page.splitlines() if line.startswith('.SH "')]
    assert told == [f'.SH "{" ".join(("lienthong", *path)).upper()}"' for path in walk_commands()]
    for page in pages.values():
        name = page.partition(".SH NAME\n")[2].partition("\n")[0]
        assert 15 < len(name) < 120, name


def test_a_page_is_read_without_a_warning(pages: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        cannot_be_had("groff", "it formats pages of the manual")
    for place, page in pages.items():
        command = ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z"]
        done = subprocess.run(command, input=page.encode(), capture_output=True, check=True)
        assert done.stderr == b"", (place, done.stderr)


@pytest.mark.parametrize("place", manuals.COMPLETIONS)
def test_a_shell_reads_its_completion(place: str, tmp_path: Path) -> None:
    text = manuals.write_completions()[place]
    assert "_LIENTHONG_COMPLETE" in text
    shell = next(name for name in ("bash", "zsh", "fish") if name in place)
    if shutil.which(shell) is None:
        cannot_be_had(shell, "its completion is not read")
    (tmp_path / "completion").write_text(text)
    subprocess.run([shell, "-n", tmp_path / "completion"], check=True)
