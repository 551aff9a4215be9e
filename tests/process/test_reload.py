"""A running hub is asked to read its configuration again, and answers what changed or why not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.node import init_province
from hub.runtime import pidfile
from hub.security import sample_pki
from hub.security.certificates import Identity
from tests.pki import pem
from tests.running import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("reload") / "tinh"
    init_province.write_province(made, init_province.choose_ports(0, 0), datetime.now(UTC))
    return made


@pytest.fixture(scope="module")
def hub(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    twistd = Path(sys.executable).with_name("twistd")
    words: list[str | Path] = [
        twistd,
        "--nodaemon",
        "--pidfile=",
        "--logfile=/dev/null",
        "lienthong",
        "-c",
        home / "hub.toml",
    ]
    process = subprocess.Popen(words, cwd=home)
    try:
        until = time.monotonic() + 30
        while not pidfile.find_live_pid(home / "data"):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def typed(home: Path, *words: str) -> Result:
    return CliRunner(env={"LANG": "en"}).invoke(lienthong, ["-c", str(home / "hub.toml"), *words])


def test_hub_pid_names_the_running_hub(home: Path, hub: subprocess.Popen[bytes]) -> None:
    assert (home / "data/hub.pid").read_text() == f"{hub.pid}\n"


def test_check_does_not_mind_the_ports_of_the_running_hub(home: Path, hub: subprocess.Popen[bytes]) -> None:
    assert typed(home, "check").exit_code == 0


def test_a_reload_without_a_change_says_so(home: Path, hub: subprocess.Popen[bytes]) -> None:
    done = typed(home, "reload", "--json")
    assert (done.exit_code, done.stdout) == (0, "")


def test_a_new_partner_is_taken_up(home: Path, hub: subprocess.Popen[bytes], tmp_path: Path) -> None:
    ca = Identity.read(home / "pki/ca.key", home / "pki/ca.crt")
    _, certificate = sample_pki.Authority(ca.key, ca.certificate).issue("new", datetime.now(UTC))  # type: ignore[arg-type]
    (tmp_path / "new.crt").write_bytes(pem(certificate))
    words = ("partners", "add", "new", "--certificate", str(tmp_path / "new.crt"), "--unit", "H55.70", "--fetch")
    assert typed(home, *words).exit_code == 0
    done = typed(home, "reload", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"change": "added", "what": "partners/new"}


def test_a_configuration_with_mistakes_is_refused_and_the_hub_runs_on(home: Path, hub: subprocess.Popen[bytes]) -> None:
    path = home / "partners/vpub.toml"
    right = path.read_text("utf-8")
    path.write_text(right + "colour = 1\n", "utf-8")
    refused = typed(home, "reload")
    path.write_text(right, "utf-8")
    assert refused.exit_code == 78
    assert "partners/vpub.toml: colour" in refused.stderr
    assert typed(home, "reload").exit_code == 0
    assert hub.poll() is None


def test_a_bare_sighup_is_heard_and_answered_to_nobody(home: Path, hub: subprocess.Popen[bytes]) -> None:
    before = (home / "data/reload.json").stat().st_mtime_ns
    os.kill(hub.pid, signal.SIGHUP)
    until = time.monotonic() + 10
    while (home / "data/reload.json").stat().st_mtime_ns == before:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert hub.poll() is None


def test_a_restart_that_is_needed_is_told_until_the_setting_is_as_it_was(
    home: Path, hub: subprocess.Popen[bytes]
) -> None:
    path = home / "hub.toml"
    right = path.read_text("utf-8")
    path.write_text(right.replace("[admin]", "[admin]\nmetrics = true"), "utf-8")
    needed = {"change": "needs a restart", "what": "admin"}
    for _ in range(2):  # the second reload changes nothing, and does not forget
        assert json.loads(typed(home, "reload", "--json").stdout) == needed
    until(lambda: _pending(home) == ["admin"], "the node to tell that it must be restarted")
    assert "restart" in json.loads(typed(home, "status", "--json").stdout.splitlines()[0])["concerns"]
    assert "must be restarted: admin changed" in typed(home, "status").stdout
    path.write_text(right, "utf-8")
    assert typed(home, "reload", "--json").stdout == ""
    until(lambda: _pending(home) == [], "the node to tell that nothing waits")


def _pending(home: Path) -> list[str]:
    (found,) = map(json.loads, typed(home, "db", "nodes", "--json").stdout.splitlines())
    return list(found["restart_settings"])


def test_two_who_ask_at_once_are_both_answered(home: Path, hub: subprocess.Popen[bytes]) -> None:
    words = [sys.executable, "-m", "hub.cli", "-c", str(home / "hub.toml"), "reload"]
    asking = [subprocess.Popen(words, stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [one.wait(30) for one in asking] == [0, 0, 0]


def test_a_second_hub_in_the_same_directory_exits_78(home: Path, hub: subprocess.Popen[bytes]) -> None:
    twistd = Path(sys.executable).with_name("twistd")
    words: list[str | Path] = [twistd, "--nodaemon", "--pidfile=", "lienthong", "-c", home / "hub.toml"]
    second = subprocess.run(words, cwd=home, capture_output=True, timeout=60, check=False)
    assert second.returncode == 78, second.stderr
