"""A real Prometheus loads the rules, reads a running hub, and answers every expression of the dashboard. A collector gets its spans.

What needs a part that this hub has not (RabbitMQ, an OCSP responder, worker processes, a backup, an alert) comes from a second target, which
this test serves as the hub would.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.cli.documents_client import SubmissionRefused
from hub.domain.alert_severity import AlertSeverity
from hub.domain.measures import COMMITS_FAILED, LEASES, UNREACHED, Measures
from hub.monitoring import metrics
from hub.node import admin
from hub.runtime import exposition
from hub.security.anchors import Anchors
from hub.security.crl_ocsp import OcspAnswer, RevocationStatus
from hub.store.transactions import Transaction
from lienthong_demo.plan.packets import write_document_packet
from lienthong_demo.protocol.http_server import ServerAnswer, serve_calls
from tests import pki
from tests.conftest import cannot_be_had
from tests.monitoring.test_alert_rules import PLACE, RULES
from tests.pages import DOCS, fenced
from tests.ports import find_free_ports
from tests.running import PATIENCE, RunningHub, until
from tests.runtime.test_span_export import collector
from tests.warm import BIN

pytestmark = pytest.mark.slow

CONFIGURATION = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: lienthong
    scheme: https
    tls_config: {{ca_file: "{ca}"}}
    static_configs: [{{targets: ["{hub}"]}}]
  - job_name: beside
    static_configs: [{{targets: ["127.0.0.1:{beside}"]}}]
"""
SETTINGS = """
[links]
every = "1s"
timeout = "1s"
[links.hosts.deaf]
at = "tcp://127.0.0.1:1"
[syslog]
port = {port}
"""


@pytest.fixture
def hub(tmp_path):
    made: Any = RunningHub(tmp_path / "tinh")
    (port,) = find_free_ports(1)
    text = made.config.read_text().replace("[admin]", "[admin]\nmetrics = true")
    with collector() as (url, got):
        made.config.write_text(text + SETTINGS.format(port=port) + f'[tracing]\nendpoint = "{url}"\n')
        made.letterbox("vpub")
        made.start()
        made.spans = got
        yield made
        made.close()


def write_beside():
    """Return what a hub with a feed, an OCSP responder and worker processes tells of them, by the hub's own functions."""
    pool = cast("Any", SimpleNamespace(ready=2, ended=1, count_connections=lambda: {"0": 3}))
    ca = pki.authority()
    answer = OcspAnswer(RevocationStatus.GOOD, pki.NOW, pki.NOW + timedelta(hours=12))
    anchors = Anchors([ca.certificate])
    anchors.set_revocations((), {ca.issue("a").certificate: answer})
    measures = Measures()
    for measure in (LEASES, COMMITS_FAILED):
        measures.count(measure, by=0)
    measures.count(UNREACHED, "deaf")
    lag = SimpleNamespace(published=7, events=3, oldest=pki.NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.journal.feed_cursor.read_feed_lag", lambda _tx, _name: lag)
        alert = SimpleNamespace(key=SimpleNamespace(kind="partner-down"), severity=AlertSeverity.WARNING)
        patch.setattr("hub.keeping.hub_alerts.read_alerts", lambda _tx, **_which: [alert])
        backups = SimpleNamespace(last_good=SimpleNamespace(made_at=pki.NOW), failure=None)
        patch.setattr("hub.keeping.backup_runs.read_backup_standing", lambda _tx: backups)
        none = cast("Transaction", None)
        rest = [*metrics._of_feed(none, pki.NOW, "feed"), *metrics._of_backups(none), *metrics._of_alerts(none)]
    return exposition.write_metrics(
        [
            *admin._measure_workers(pool),
            admin.measure_ended_workers([pool]),
            *exposition._list_worker_metrics({"0": os.getpid()}),
            metrics.make_value("lienthong_feed_connected", "1 on the node that publishes.", 1),
            *rest,
            *metrics.measure_trust(anchors),
            *exposition.list_measures(measures),
        ]
    )


@contextmanager
def served():
    with serve_calls(lambda _call: ServerAnswer(200, write_beside(), exposition.CONTENT_TYPE)) as server:
        yield server.server_port


class Prometheus:
    def __init__(self, port):
        self._at = f"http://127.0.0.1:{port}"

    def get(self, path, **asked):
        with urllib.request.urlopen(f"{self._at}{path}?{urllib.parse.urlencode(asked)}", timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        return self.get("/api/v1/query", query=expression)["result"]

    def value(self, expression):
        """Return the value of an expression without labels; None where it has none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None

    def is_ready(self):
        try:
            return bool(self.get("/api/v1/rules")["groups"])
        except OSError:
            return False


@contextmanager
def prometheus(tmp_path, hub, beside):
    """Run Prometheus with the rules, and with the hub as its target."""
    if shutil.which("prometheus") is None:
        cannot_be_had("Prometheus", "install the package prometheus")
    (port,) = find_free_ports(1)
    said = CONFIGURATION.format(
        rules=PLACE / "rules.yml", ca=hub.files("sotttt")["ca"], hub=hub.admin.removeprefix("https://"), beside=beside
    )
    (tmp_path / "prometheus.yml").write_text(said)
    command = [
        *("prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            made = Prometheus(port)
            until(made.is_ready, "Prometheus")
            yield made
        finally:
            process.terminate()


def document(number, sender="H55.13", to="H55.1"):
    return write_document_packet(
        *(sender, [to]),
        number=str(number),
        notation="CV",
        subject=f"Văn bản {number}",
        promulgated=date(2026, 11, 20),
    )


def expressions():
    """Return each expression of the dashboard, for all partners."""
    board = json.loads((PLACE / "dashboard.json").read_text("utf-8"))
    targets = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [each.replace("$partner", ".*") for each in targets]


def test_prometheus_loads_the_rules_and_answers_what_the_dashboard_asks(hub, tmp_path):
    with served() as beside, prometheus(tmp_path, hub, beside) as asked, hub.client("sotttt") as client:
        until(lambda: asked.value('up{job="lienthong"}') == 1, "the hub to be read")
        for number in (1, 2, 2):
            client.send(document(number), str(number))
        client.send(document(4, to="G22"), "4")  # its system does not run
        with pytest.raises(SubmissionRefused):
            client.send(document(3, sender="H55.1"), "3")
        until(lambda: len(hub.received("vpub")) == 2, "both to be delivered")
        accepted = 'sum by () (lienthong_intake_messages_total{partner="sotttt",result="accepted"})'
        judged = {"accepted": 3, "repeated": 1, "sender-not-allowed": 1}
        until(
            lambda: {each: asked.value(accepted.replace("accepted", each)) for each in judged} == judged,
            "they to be told",
        )
        until(lambda: asked.value("lienthong_delivery_lag_seconds_count") == 2, "their way to be told")
        until(
            lambda: asked.value('sum(lienthong_facts_total{milestone="received"})') == 2, "their facts to be numbered"
        )
        for _ in range(int(PATIENCE)):
            if not unanswered(asked):
                break
            time.sleep(1)  # a rate needs two readings
        assert unanswered(asked) == []
        for page in (hub.get("/metrics")[1], write_beside()):
            ran = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
        loaded = [rule for group in asked.get("/api/v1/rules")["groups"] for rule in group["rules"]]
        assert [rule["name"] for rule in loaded] == [rule["alert"] for rule in RULES]
        assert {rule["name"]: rule.get("lastError") for rule in loaded if rule["health"] != "ok"} == {}
        said = typed(tmp_path, hub)
        for each in ("# TYPE lienthong_ready gauge", "packaging/monitoring", f"{len(RULES)} rules found"):
            assert each in said
        hub.stop()
        until(lambda: alerts(asked).get("LienThongDown") == "pending", "the stop to be noticed")
    told = [span for each in hub.spans for one in each.resource_spans for span in one.scope_spans[0].spans]
    assert {span.name for span in told} == {"intake", "verify", "commit", "push"}, "what waited was sent at the stop"
    ids = {span.span_id for span in told if span.name == "intake"}
    assert {span.parent_span_id for span in told if span.name != "intake"} <= ids


def typed(place, hub):
    """Type the commands of the page, in a folder like a checkout. Return what they print."""
    (place / "packaging").symlink_to(PLACE.parent)
    port = hub.admin.rpartition(":")[2]
    said = "\n".join(fenced((DOCS / "howto/monitoring.md").read_text("utf-8"), "sh")).replace("8444", port)
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-eux"], input=said, capture_output=True, text=True, check=False, cwd=place, env=env)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def unanswered(asked):
    return [each for each in expressions() if not asked.query(each)]


def alerts(asked):
    return {each["labels"]["alertname"]: each["state"] for each in asked.get("/api/v1/alerts")["alerts"]}
