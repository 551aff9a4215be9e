"""A running hub is asked to read its configuration again, and answers what changed or why not.

It is started as systemd starts it: with a socket for notices, a watchdog, and the SOAP port already open.
"""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
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
from tests.ports import find_free_ports
from tests.running import PATIENCE, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("reload") / "tinh"
    init_province.write_province(made, init_province.choose_ports(*find_free_ports(2)), datetime.now(UTC))
    file = made / "hub.toml"
    passed = '[soap]\nendpoint = "systemd:domain=INET:name=soap"\n'
    file.write_text(file.read_text("utf-8").replace("[soap]\n", passed), "utf-8")
    return made


class Systemd:
    """What systemd keeps of one service: the socket for its notices, and those that came."""

    def __init__(self, place: Path) -> None:
        self.address = place / "notify"
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(str(self.address))
        self._line.settimeout(PATIENCE)

    def wait_for(self, notice: str) -> list[str]:
        """Return the lines of the next notice that begins with *notice*; those before it are dropped."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            lines = self._line.recv(4096).decode().split("\n")
            if lines[0] == notice:
                return lines
        raise TimeoutError(notice)

    def close(self) -> None:
        """Hear nothing any more."""
        self._line.close()

    def forget(self) -> None:
        """Drop what has come so far."""
        self._line.setblocking(False)
        with suppress(BlockingIOError):
            while self._line.recv(4096):
                pass
        self._line.settimeout(PATIENCE)


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    made = Systemd(tmp_path_factory.mktemp("systemd"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def port(home: Path) -> Iterator[socket.socket]:
    """The SOAP port as a socket unit holds it."""
    said = tomllib.loads((home / "hub.toml").read_text("utf-8"))["soap"]
    with socket.create_server(("127.0.0.1", said["port"]), backlog=16) as listening:
        yield listening


@pytest.fixture(scope="module")
def hub(home: Path, systemd: Systemd, port: socket.socket) -> Iterator[subprocess.Popen[bytes]]:
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
    # This process becomes the hub's, so the pid that systemd names is right.
    script = (
        f"import os, sys; os.dup2({port.fileno()}, 3); os.environ['LISTEN_PID'] = os.environ['WATCHDOG_PID'] = "
        "str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
    )
    passed = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "soap", "NOTIFY_SOCKET": str(systemd.address), "LANG": "en"}
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words],
        cwd=home,
        env=os.environ | passed | {"WATCHDOG_USEC": "1000000"},
        pass_fds=[port.fileno()],
    )
    try:
        until(lambda: process.poll() is not None or pidfile.find_live_pid(home / "data"), "the hub to run")
        assert process.poll() is None
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


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
    until(lambda: (home / "data/reload.json").stat().st_mtime_ns != before, "the answer")
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
    assert [one.wait(PATIENCE) for one in asking] == [0, 0, 0]


def test_systemd_hears_that_the_hub_serves(hub: subprocess.Popen[bytes], systemd: Systemd, port: socket.socket) -> None:
    """The socket that systemd has opened is served by then, and the reactor says that it turns."""
    assert systemd.wait_for("READY=1") == ["READY=1", "STATUS=Serving."]
    context = ssl._create_unverified_context()
    with socket.create_connection(port.getsockname(), 10) as line, context.wrap_socket(line) as spoken:
        assert spoken.version() in {"TLSv1.2", "TLSv1.3"}
    systemd.wait_for("WATCHDOG=1")


def test_systemd_hears_the_beginning_and_the_end_of_a_reload(
    hub: subprocess.Popen[bytes], systemd: Systemd, home: Path
) -> None:
    path = home / "partners/vpub.toml"
    right = path.read_text("utf-8")
    path.write_text(right + "colour = 1\n", "utf-8")
    systemd.forget()
    asked = time.monotonic_ns() // 1000
    os.kill(hub.pid, signal.SIGHUP)
    _, began = systemd.wait_for("RELOADING=1")
    assert int(began.removeprefix("MONOTONIC_USEC=")) >= asked
    _, status = systemd.wait_for("READY=1")
    assert status.startswith("STATUS=The last reload was refused")
    path.write_text(right, "utf-8")
    os.kill(hub.pid, signal.SIGHUP)
    assert systemd.wait_for("READY=1")[1] == "STATUS=Serving."


def test_a_second_hub_in_the_same_directory_exits_78(home: Path, hub: subprocess.Popen[bytes]) -> None:
    twistd = Path(sys.executable).with_name("twistd")
    words: list[str | Path] = [twistd, "--nodaemon", "--pidfile=", "lienthong", "-c", home / "hub.toml"]
    second = subprocess.run(words, cwd=home, capture_output=True, timeout=PATIENCE, check=False)
    assert second.returncode == 78, second.stderr


def test_a_second_hub_on_the_same_journal_exits_78_whatever_its_directory(
    home: Path, hub: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """It would take what the first is sending for interrupted, and send it again."""
    other = tmp_path / "other"
    shutil.copytree(home, other, ignore=shutil.ignore_patterns("data", "*.log"))
    (other / "data").mkdir(mode=0o700)
    config = other / "hub.toml"
    text = re.sub(r"(?m)^endpoint = .*\n", "", config.read_text("utf-8"))
    text = re.sub(r"(?m)^port = .*", lambda _: f"port = {find_free_ports(1)[0]}", text)
    assert 'url = "sqlite:///data/hub.db"' in text
    config.write_text(text.replace("sqlite:///data/hub.db", f"sqlite:///{home / 'data/hub.db'}"), "utf-8")
    twistd = Path(sys.executable).with_name("twistd")
    words: list[str | Path] = [twistd, "--nodaemon", "--pidfile=", "lienthong", "-c", config]
    second = subprocess.run(words, cwd=other, capture_output=True, timeout=PATIENCE, check=False, text=True)
    assert (second.returncode, f"pid {hub.pid}" in second.stderr) == (78, True), second
    assert "database.url" in second.stderr


def test_systemd_hears_that_the_hub_stops_and_keeps_the_port(
    hub: subprocess.Popen[bytes], systemd: Systemd, port: socket.socket
) -> None:
    """Whoever calls meanwhile waits for the next start."""
    systemd.forget()
    hub.terminate()
    assert systemd.wait_for("STOPPING=1")[1].startswith("STATUS=Stopping")
    assert hub.wait(PATIENCE) == -signal.SIGTERM
    with socket.create_connection(port.getsockname(), 10):
        pass
