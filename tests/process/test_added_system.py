"""The system that docs/howto/add-a-system.md adds: its folder, written from the page, works in a real hub beside the others."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

import adapters
from hub.report.form.period import find_month_containing
from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall, serve_calls
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


@attrs.define
class System:
    """The made-up system: reports by ascending change, for whoever has the token."""

    port: int = 0
    reports: list[dict[str, Any]] = attrs.field(factory=list)
    token: str = "right"
    asked: int = 0

    def answer(self, call: ServerCall) -> ServerAnswer:
        self.asked += 1
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return ServerAnswer(401)
        after, most = int(call.query["after"]), int(call.query["most"])
        return ServerAnswer.json({"reports": [each for each in self.reports if each["change"] > after][:most]})


def block(section, language):
    text = PAGE.read_text("utf-8").split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return text.split(f"```{language}\n", 1)[1].split("```", 1)[0]


@pytest.fixture
def system():
    made = System()
    with serve_calls(made.answer) as server:
        made.port = server.server_port
        yield made


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
        port = str(system.port)
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
