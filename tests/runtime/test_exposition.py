"""/metrics is what Prometheus reads: by the parser of its own client."""

import os

from prometheus_client.parser import text_string_to_metric_families

from hub.domain.measures import CALL_SECONDS, CALLS_ANSWERED, Measures
from hub.monitoring.metrics import make_counter, make_gauge, make_value
from hub.runtime.exposition import CONTENT_TYPE, list_process_metrics, write_metrics


def read_back(*metrics):
    """Return names, kinds and samples as the parser of others has them."""
    return [
        (family.name, family.type, family.documentation, {tuple(s.labels.items()): s.value for s in family.samples})
        for family in text_string_to_metric_families(write_metrics(metrics).decode())
    ]


def test_a_number_and_several():
    states = make_gauge("hub_x", "So many.", ({"a": "1", "b": "2"}, 3), ({"a": "1", "b": "3"}, 0.25))
    assert read_back(states, make_counter("hub_y", "More.", ({}, 2**40))) == [
        ("hub_x", "gauge", "So many.", {(("a", "1"), ("b", "2")): 3, (("a", "1"), ("b", "3")): 0.25}),
        ("hub_y", "counter", "More.", {(): 2**40}),
    ]


def test_whatever_stands_in_a_label_comes_back():
    odd = 'Sở "TT\\TT"\n{}=,'
    ((_, _, _, samples),) = read_back(make_gauge("hub_x", "x", ({"a": odd}, 1)))
    assert samples == {(("a", odd),): 1}


def test_a_metric_without_samples_is_no_mistake():
    assert read_back(make_gauge("hub_x", "x")) == [("hub_x", "gauge", "x", {})]
    assert read_back(make_value("hub_y", "y", 7)) == [("hub_y", "gauge", "y", {(): 7})]


def test_the_form_is_named():
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_what_a_process_counts_is_written_as_counters_and_histograms():
    measures = Measures()
    measures.count(CALLS_ANSWERED, "vpub", "documents", "ok", by=3)
    for seconds in (0.004, 0.005, 0.03, 40.0):
        measures.observe(CALL_SECONDS, seconds, "vpub", "documents")
    found = {family.name: family for family in text_string_to_metric_families(write_metrics([], measures).decode())}
    (calls,) = found["lienthong_intake_calls"].samples
    assert (calls.name, calls.labels["code"], calls.value) == ("lienthong_intake_calls_total", "ok", 3)
    durations = {(s.name, s.labels.get("le")): s.value for s in found["lienthong_intake_call_seconds"].samples}
    name = "lienthong_intake_call_seconds"
    assert [durations[f"{name}_bucket", limit] for limit in ("0.005", "0.01", "0.05", "30.0", "+Inf")] == [
        2,
        2,
        3,
        3,
        4,
    ]
    assert (durations[f"{name}_count", None], durations[f"{name}_sum", None]) == (4, 40.039)


def test_the_process_its_python_its_build_and_its_workers_are_told():
    found = {
        each.name: each.samples for each in list_process_metrics("2026.11.0", "0050", {"0": os.getpid(), "1": 2**22})
    }
    assert found["lienthong_build_info"][0].labels == {"version": "2026.11.0", "schema": "0050"}
    assert found["process_resident_memory_bytes"][0].value > 1_000_000
    assert found["python_info"][0].value == 1
    # the second has ended
    assert [s.labels for s in found["lienthong_worker_cpu_seconds"]] == [{"worker": "0"}]
    assert found["lienthong_worker_resident_memory_bytes"][0].value > 1_000_000
