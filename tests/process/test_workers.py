"""A node with worker processes: they serve the SOAP port, the node's own process writes, and whichever of them is killed, nothing
that was receipted is lost and nothing counts twice.
"""

import os
import random
import re
import signal
import socket
import ssl
import tomllib
from contextlib import ExitStack, suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hub.cli.documents_client import HubUnavailable
from lienthong_demo.plan.packets import write_document_packet
from tests.conftest import DATABASES
from tests.process.test_kill import (
    PATIENCE,
    Load,
    arm_workers,
    assert_counted_once,
    assert_nothing_lost,
    find_workers,
    waiting,
)
from tests.running import until
from tests.runtime.test_span_export import collector

pytestmark = pytest.mark.slow


@pytest.fixture
def hub(hub):
    """A directory of `lienthong init` whose hub has two workers."""
    hub.config.write_text("workers = 2\n" + hub.config.read_text().replace("[admin]", "[admin]\nmetrics = true"))
    return hub


@pytest.fixture
def spans(hub):
    """What a collector gets from the hub's processes."""
    with collector() as (url, got):
        hub.config.write_text(hub.config.read_text() + f'\n[tracing]\nendpoint = "{url}"\n')
        yield got


def tell_apart(got):
    """Return the spans that a collector *got*, by the process that sent them: the node's own (``), `worker-0` and `worker-1`."""
    found: dict[str, dict[str, Any]] = {}
    for resource in (each for request in got for each in request.resource_spans):
        named = {each.key: each.value.string_value for each in resource.resource.attributes}
        node, _, worker = named["service.instance.id"].partition("/")
        found.setdefault(worker, {"nodes": set(), "spans": []})["nodes"].add(node)
        found[worker]["spans"] += resource.scope_spans[0].spans
    return found


def metric(hub, name):
    """Return the values of a metric, by its labels."""
    status, page = hub.get("/metrics")
    assert status == 200
    return {
        labels: float(value)
        for labels, value in re.findall(rf"^{name}(?:{{(.*?)}})? (\S+)$", page.decode(), re.MULTILINE)
    }


def count_traces(got, name):
    """Return the number of traces of which a collector *got* a span with this *name*."""
    return len(
        {span.trace_id for process in tell_apart(got).values() for span in process["spans"] if span.name == name}
    )


def document(number, **more):
    return write_document_packet(
        *("H55.13", ["H55.1"]),
        number=str(number),
        notation="CV",
        subject=f"Văn bản {number}",
        promulgated=date(2026, 11, 20),
        **more,
    )


@pytest.mark.parametrize("hub", DATABASES, indirect=True)
def test_workers_share_the_port_and_the_limits_and_follow_a_reload(hub, spans):
    hub.letterbox("vpub")
    hub.start()
    until(lambda: metric(hub, "lienthong_workers_ready") == {"": 2.0}, "both workers")
    large = [("lon.bin", random.Random(1).randbytes(3_000_000))]
    context = ssl.create_default_context(cafile=str(hub.files("sotttt")["ca"]))
    context.load_cert_chain(hub.files("sotttt")["certificate"], hub.files("sotttt")["key"])
    port = tomllib.loads(hub.config.read_text())["soap"]["port"]
    with ExitStack() as opened:
        for _ in range(4):
            line = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            opened.enter_context(context.wrap_socket(line, server_hostname="127.0.0.1"))
        fairly = {'worker="0"': 2.0, 'worker="1"': 2.0}
        until(lambda: metric(hub, "lienthong_worker_connections") == fairly, "two connections each")
    until(lambda: set(metric(hub, "lienthong_worker_connections").values()) == {0.0}, "their ends to be counted")
    with hub.client("sotttt") as client:
        sent = [client.send(document(0, attachments=large), "0")]
        sent += [client.send(document(number), str(number)) for number in range(1, 4)]
        assert [client.send(document(1), "1").document_id for _ in range(2)] == [sent[1].document_id] * 2, (
            "known to both"
        )
        until(lambda: metric(hub, "lienthong_calls_in_progress") == {"": 0.0}, "no call to be in progress")
        until(lambda: len(hub.received("vpub")) == 4, "all of them to be delivered")
        assert {row["id"]: row["sha256"] for row in hub.cli("messages", "--json")} == {
            each.document_id: each.sha256 for each in sent
        }
        policy = hub.home / "partners/sotttt.toml"
        policy.write_text(policy.read_text() + '\n[policy]\nintake-rate = "2/h"\n')
        hub.cli("reload", text=True)
        assert [client.send(document(number), str(number)).message_id for number in (4, 5)] == ["4", "5"]
        for _ in range(2):
            with pytest.raises(HubUnavailable):
                client.send(document(6), "6")
    each = {became: f'partner="sotttt",result="{became}",service="documents"' for became in ("accepted", "repeated")}
    judged = {each["accepted"]: 6.0, each["repeated"]: 2.0}
    until(lambda: metric(hub, "lienthong_intake_messages_total") == judged, "both workers' counts")
    until(lambda: count_traces(spans, "intake") == 8 and count_traces(spans, "push") == 6, "their spans to be sent")
    first = find_workers(hub)[0]
    os.kill(first, signal.SIGKILL)
    until(lambda: metric(hub, "lienthong_workers_ended_total") == {"": 1.0}, "its end to be counted")
    until(lambda: metric(hub, "lienthong_workers_ready") == {"": 2.0}, "another one in its place")
    assert hub.get("/readyz")[0] == 200
    assert metric(hub, "lienthong_intake_messages_total") == judged, "what it had counted stays"
    processes = {'worker="0"', 'worker="1"', 'worker="background"'}  # the large message was a dear call
    assert set(metric(hub, "lienthong_worker_cpu_seconds_total")) == processes
    with hub.client("sotttt") as client, pytest.raises(HubUnavailable):  # it has the limit of the reload, too
        client.send(document(7), "7")
    last = find_workers(hub)
    hub.stop()
    rows = hub.cli("keys", "rehearse", hub.home / "pki/hub.crt", "--json", code=3)
    seen = {row["partner"] for row in rows if row["seen_at"]}
    assert seen == {"sotttt", "vpub"}, "one called the workers, the other's server answered the hub"
    assert first not in last
    assert not any(Path(f"/proc/{pid}").exists() for pid in last)
    assert "worker-failed" not in hub.log.read_text()
    told = tell_apart(spans)
    assert {""} < set(told) <= {"", "worker-0", "worker-1"}
    assert len(set.union(*(each["nodes"] for each in told.values()))) == 1, "all are of one node"
    own, calls = told.pop("")["spans"], [span for each in told.values() for span in each["spans"]]
    assert {span.name for span in own} == {"push"}
    intakes = {span.span_id: span for span in calls if span.name == "intake"}
    assert {span.name for span in calls} == {"intake", "verify", "commit"}
    for span in (*own, *calls):
        above = intakes.get(span.parent_span_id)
        assert span.name == "intake" or (above is not None and above.trace_id == span.trace_id), span
    assert not any(span.parent_span_id for span in intakes.values()), "the callers sent no trace"


def test_whichever_process_ends_nothing_receipted_is_lost_and_nothing_counts_twice(hub, tmp_path):
    for partner in ("vpub", "vpcp"):
        hub.letterbox(partner)
    mark = tmp_path / "mark"
    plain = dict(hub.env)
    arm_workers(hub, mark)
    with Load(hub, attached=20_000) as load:
        hub.start(wait=False)  # it may never be ready: its workers end as soon as they serve
        until(lambda: mark.exists() and len(load.receipts) >= 3, "a worker that ended before its receipt")
        with suppress(ProcessLookupError):
            os.kill(random.choice(until(lambda: find_workers(hub), "a worker in its place")), signal.SIGKILL)
        until(lambda: metric(hub, "lienthong_workers_ended_total")[""] >= 2, "the ends to be counted")
        orphans = find_workers(hub)
        hub.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), "the workers to end, too")
        hub.env = plain
        for end in (hub.stop, hub.kill):
            before = len(load.receipts)
            hub.start()
            until(lambda so_far=before: len(load.receipts) >= so_far + 20 or load.broken, "receipts")
            end()
        hub.start()
    assert not load.broken
    until(lambda: load.fetch_all() == 0, "everything to be fetched")
    until(lambda: not waiting(hub), "everything to be delivered", PATIENCE)
    assert_nothing_lost(hub, load)
    assert_counted_once(hub, load)
    assert mark.read_bytes() == b"committed-not-receipted"
