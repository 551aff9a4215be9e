"""`lienthong units fetch`: what an operator is told, whatever the axis answers.  The call over the network is tests/process's."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli import lienthong
from hub.cli.units import fetch
from hub.domain.conversations import Refused, Unavailable
from tests import homes

ROWS = [
    {"id": "1", "pid": "", "code": "G22", "name": "Văn phòng Chính phủ", "mail": "", "oldCode": "000.00.00.G22"},
    {"id": "2", "pid": "1", "code": "G22.1", "name": "Cục A", "mail": ""},
    {"id": "3", "pid": "", "code": "H55.13", "name": "Sở", "mail": ""},
]
LIST = json.dumps({"status": "OK", "ErrorCode": "0", "ErrorDesc": "", "data": ROWS}).encode()
AXIS = """
adapter = "vxp"
receive = "push"
url = "http://127.0.0.1:9/XrdAdapter/adapter"
settings = {system-id = "00.55.W00", secret-file = "partners/vpcp.secret"}
policy = {transport = "plain"}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("fetch") / "tinh")
    (home / "partners/vpcp.toml").write_text(AXIS)
    (home / "partners/vpcp.secret").write_text("s3cret\n")
    return home


@pytest.fixture
def typed(home, monkeypatch):
    """Types the command where the axis answers what is given first."""

    def run(answer, *words, partner="vpcp"):
        monkeypatch.setattr(fetch, "hold_conversation", lambda _config, _partner, _conversation: answer)
        command = ["-c", str(home / "hub.toml"), "units", "fetch", "--from", partner, *map(str, words)]
        return CliRunner(env={"LANG": "en_US.UTF-8"}).invoke(lienthong, command)

    return run


def test_the_list_is_taken_in_as_that_of_a_file_is(typed, home):
    assert "Would change: 2 + 0 ~ 0 = 1 -" in typed(LIST, "--dry-run").stderr
    done = typed(LIST)
    assert done.exit_code == 0
    assert "- H55.13  (a code of the province)" in done.stdout
    listed = CliRunner().invoke(lienthong, ["-c", str(home / "hub.toml"), "units", "list", "--outside", "--json"])
    known = {unit["code"]: unit for unit in map(json.loads, listed.stdout.splitlines())}
    assert (known["G22"]["aliases"], known["G22.1"]["parent"]) == (["000.00.00.G22"], "G22")
    renamed = typed(LIST.replace(b'"C\\u1ee5c A"', b'"C\\u1ee5c B"'))
    assert (renamed.exit_code, "add --yes" in renamed.stderr) == (1, True)


def test_the_list_is_written_as_it_came(typed, tmp_path):
    path: Path = tmp_path / "list.json"
    assert str(len(LIST)) in typed(LIST, "-o", path).stdout
    assert path.read_bytes() == LIST


@pytest.mark.parametrize(
    ("answer", "partner", "code", "said"),
    [
        (Refused("22: no"), "vpcp", 1, "vpcp refuses: 22: no"),
        (Unavailable("HTTP 503"), "vpcp", 69, "vpcp is unavailable: HTTP 503"),
        (b"{}", "vpcp", 1, "is not a list of agencies"),
        (LIST, "nobody", 4, "there is no partner nobody"),
        (LIST, "vpub", 2, "vpub has no list of agencies"),
    ],
)
def test_why_there_is_no_list_is_said(typed, answer, partner, code, said):
    done = typed(answer, partner=partner)
    assert done.exit_code == code
    assert said in done.stderr
