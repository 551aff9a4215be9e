"""The system that docs/howto/add-a-system.md adds: its folder, written from the page, works in a real hub beside the others."""

import json
import os
import shutil
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import adapters
from hub.report.form.period import find_month_containing
from tests.homes import lay_secret
from tests.running import RunningHub, until

PAGE = Path(__file__).parents[2] / "docs/howto/add-a-system.md"
FILES = {
    "The dialect": ("python", "adapters/phananh/__init__.py"),
    "What a message says": ("python", "adapters/phananh/service.py"),
    "What the report shows": ("toml", "adapters/phananh/forms/feedback.toml"),
    "What operators and engineers read": ("markdown", "adapters/phananh/README.md"),
    "The operator": ("toml", "partners/phananh.toml"),
}
pytestmark = pytest.mark.slow


class System(ThreadingHTTPServer):
    """The made-up system: reports by ascending change, for whoever has the token."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Counter)
        self.reports: list[dict[str, Any]] = []
        self.token = "right"
        self.asked = 0


class Counter(BaseHTTPRequestHandler):
    server: System

    def do_GET(self):
        self.server.asked += 1
        if self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.send_error(401)
            return
        query = parse_qs(urlsplit(self.path).query)
        after, most = int(query["after"][0]), int(query["most"][0])
        found = [each for each in self.server.reports if each["change"] > after][:most]
        body = json.dumps({"reports": found}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def block(section, language):
    text = PAGE.read_text("utf-8").split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return text.split(f"```{language}\n", 1)[1].split("```", 1)[0]


@pytest.fixture
def system():
    server = System()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hub(tmp_path, system, monkeypatch):
    """A hub whose adapters are ours and the one of the page."""
    beside = tmp_path / "program"
    shutil.copytree(Path(adapters.__file__).parent, beside / "adapters", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", f"{beside}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    running = RunningHub(tmp_path / "tinh")
    for section, (language, name) in FILES.items():
        path = (running.home if name.startswith("partners") else beside) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        port = str(system.server_address[1])
        path.write_text(block(section, language).replace("9090", port), "utf-8")
    lay_secret(running.home, "phananh", "token", "right")
    yield running
    running.close()


def report(number, change, unit="H55.13", **more):
    said = {"number": number, "change": change, "unit": unit, "field": "roads", "received": "2026-11-24"}
    return {**said, "due": "2999-12-31", **more}


def test_its_results_stand_in_the_report_of_each_unit_once(hub, system):
    hub.cli("check")
    hub.start()
    system.reports = [report(n, n) for n in range(1, 121)]
    system.reports += [report(1, 121, answered="2026-11-24"), report(2, 122, unit="H55.1", field="water")]
    system.reports += [{"number": 7, "change": 123}]
    until(lambda: hub.cli("messages", "--count", "--partner", "phananh", text=True).strip() == "123", "all to be taken")
    assert int(hub.cli("messages", "--count", "--state", "refused", text=True)) == 1
    period = find_month_containing(datetime.now(UTC)).text
    shown = json.loads(hub.cli("report", "H55", period, "--form", "feedback", "--format", "json", text=True))
    (row,) = [each for each in shown["rows"] if each["unit"] == "H55.13"]
    assert [row[key] for key in ("received", "roads", "answered", "answered_on_time")] == [120, 120, 1, 1]


def test_a_wrong_token_is_told_and_not_hammered_at(hub, system):
    system.token = "another"
    hub.start()
    until(lambda: b"collection-failed" in hub.log.read_bytes(), "the operator to be told")
    asked = system.asked
    assert b'"credentials": true' in hub.log.read_bytes()
    until(hub.is_ready, "another look")
    assert system.asked == asked == 1
    system.reports = [report(1, 1)]
    (hub.home / "secrets/phananh/token").write_text("another\n")
    hub.cli("reload")
    until(lambda: hub.cli("messages", "--count", text=True).strip() == "1", "what waited, once the token is put right")
