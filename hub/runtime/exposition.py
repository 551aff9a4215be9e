"""Writes metrics in the text format of Prometheus, by prometheus-client: what is counted, what is gathered, the process.

Knows how a metric is written, not what it means. Computed for each request: nothing is kept between two.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

import attrs
from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.domain.measures import Measure, Measures

#: The media type of the format 0.0.4, which every version of Prometheus reads.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@attrs.frozen(eq=False)
class Families(Collector):
    """Metrics that are at hand."""

    _metrics: Sequence[Metric]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics


def write_metrics(metrics: Iterable[Metric], measures: Measures | None = None) -> bytes:
    """Return *metrics* in the text format of Prometheus, in this order, and then *measures*, of which nobody counts more.

    With 500 partners these are 40,000 lines, which take 0.1 s.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families([*metrics, *(list_measures(measures) if measures is not None else ())]))
    written: bytes = generate_latest(registry)
    return written


def list_measures(measures: Measures) -> list[Metric]:
    """Return what a process has counted. A measure without any sample is written, too, so that it can be found."""
    return [_write_measure(each, measures.read(each)) for each in measures]


def _write_measure(measure: Measure, counts: Mapping[tuple[str, ...], Sequence[float]]) -> Metric:
    if not measure.limits:
        counter = CounterMetricFamily(measure.name, measure.help, labels=measure.labels)
        for labels, values in sorted(counts.items()):
            counter.add_metric(labels, values[0])
        return counter
    histogram = HistogramMetricFamily(measure.name, measure.help, labels=measure.labels)
    limits = [*map(str, measure.limits), "+Inf"]
    for labels, (*classes, total) in sorted(counts.items()):
        histogram.add_metric(labels, list(zip(limits, accumulate(classes), strict=True)), total)
    return histogram


def list_process_metrics(version: str, schema: str, workers: Mapping[str, int]) -> list[Metric]:
    """Return the metrics of this process, of its Python, and of the processes of *workers* (by name: process id).

    The names of this process are the usual ones of Prometheus's clients (`process_cpu_seconds_total` …).
    """
    build = GaugeMetricFamily(
        "lienthong_build_info", "1; its labels name the program and its schema.", labels=("version", "schema")
    )
    build.add_metric((version, schema), 1)
    return [build, *REGISTRY.collect(), *_list_worker_metrics(workers)]


def _list_worker_metrics(workers: Mapping[str, int]) -> list[Metric]:
    """Return processor time and memory of each worker process. One that has just ended is left out."""
    if not workers:
        return []
    cpu = CounterMetricFamily(
        "lienthong_worker_cpu_seconds", "Processor time of the worker processes.", labels=("worker",)
    )
    memory = GaugeMetricFamily(
        "lienthong_worker_resident_memory_bytes", "Resident memory of the worker processes.", labels=("worker",)
    )
    for name, process in workers.items():
        for metric in ProcessCollector(pid=lambda process=process: process, registry=None).collect():  # type: ignore[misc]
            for family, which in ((cpu, "process_cpu_seconds"), (memory, "process_resident_memory_bytes")):
                if metric.name == which:
                    family.add_metric((name,), metric.samples[0].value)
    return [cpu, memory]
