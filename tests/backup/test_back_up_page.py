"""The commands of docs/howto/back-up.md do what the page says, typed in its order for a hub on SQLite."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from tests import homes
from tests.conftest import ROOT
from tests.pages import fenced, parts


def test_every_command_of_the_page_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of PostgreSQL's own tools are typed by test_backup_moment.py, or need an account of the system."""
    monkeypatch.chdir(tmp_path)
    page = parts(ROOT / "docs/howto/back-up.md")
    home, typed = homes.begin(tmp_path / "tinh"), dict[str, Result]()
    made: dict[str, str] = {"/etc/lienthong": "elsewhere", "hub.crt": "tinh/pki/hub.crt"}

    def play(section: str) -> None:
        for block in fenced(page[section], "sh"):
            for line in block.splitlines():
                if line.startswith("lienthong "):
                    words = [made.get(word, word) for word in shlex.split(line)[1:]]
                    typed[line] = CliRunner(env={"LANG": "en_US.UTF-8"}).invoke(lienthong, words)
                    assert typed[line].exit_code == EXITS.get(section, 0), (line, typed[line].output)

    play("A key")
    (recipient,) = re.findall(r"^age1\w+$", typed["lienthong backup make-key khoa-sao-luu.txt"].output, re.MULTILINE)
    (shown,) = fenced(page["Set up"], "toml")
    configured = re.sub(r"age1\w+", recipient, shown).replace("/sao-luu/lienthong", str(tmp_path / "kept"))
    (home / "hub.toml").write_text(f"{(home / 'hub.toml').read_text('utf-8')}\n{configured}", "utf-8")
    play("Make one")
    (file,) = (tmp_path / "kept").glob("*.age")
    made["FILE"] = str(file)
    for section in ("Is it still good", "Restore", "On another machine", "What is lost at most"):
        play(section)
    play("A journal that was put back")
    sections = [name for name, text in page.items() if any("lienthong " in each for each in fenced(text, "sh"))]
    assert set(typed) == {
        line
        for name in sections
        for block in fenced(page[name], "sh")
        for line in block.splitlines()
        if line.startswith("lienthong ")
    }, "every one was typed"


#: The keys are not in this backup, so the journal is left for a second command.
EXITS = {"On another machine": 3}
