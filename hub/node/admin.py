"""Serves the admin port: liveness, readiness, contracts and metrics. Defines readiness. Changes nothing.

Any caller that reaches the port gets, for each check, `ok` or one code. The details (paths, sockets, error texts of the
database) go only to the log and to operators who are signed in.
"""

import json
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import structlog
from prometheus_client.core import Metric
from twisted.internet.defer import Deferred
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from hub.config import Config
from hub.domain.node_counts import Counted, NodeCounts
from hub.feed.publisher import Feed
from hub.language.catalogues import translate
from hub.language.languages import choose_language
from hub.language.phrases import phrase
from hub.monitoring import metrics
from hub.monitoring.syslog_listener import COUNTED, LineOutcome
from hub.node.readiness import Readiness
from hub.node.workers.pool import WorkerPool
from hub.runtime import exposition
from hub.runtime.descriptors import SHORTAGE
from hub.services.links.probes import Link, LinkStanding
from hub.soap import wsdl
from hub.store.batch_commit import Journal
from hub.units.province import Province

log = structlog.get_logger()

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class MeasuredParts:
    """The parts of a node that metrics tell of."""

    feed: Feed | None = None
    heard: Mapping[LineOutcome, int] | None = None  #: syslog messages by result; None: the node has no syslog port
    standings: Mapping[Link, LinkStanding] = attrs.field(factory=dict)
    counts: NodeCounts | None = None  #: those of all processes of the node
    workers: WorkerPool | None = None


async def gather_metrics(
    found: Readiness, journal: Journal, province: Province, now: datetime, parts: MeasuredParts
) -> list[Metric]:
    """Return the metrics of `/metrics`: the readiness *found*, certificates, disk, links, feed, syslog and journal.

    If the database does not answer or has another schema version, the metrics of the journal are left out.
    """
    told = [*_measure_config(found, province.config), *_measure_parts(parts)]
    if not found.reasons["database"] and not found.reasons["schema"]:
        feed, partners = parts.feed.name if parts.feed else None, tuple(province.config.partners)
        told += await journal.read(metrics.measure_journal, now, feed, partners)
    return told


def _measure_config(found: Readiness, config: Config) -> list[Metric]:
    """Return what is measured of readiness, certificates and the disk."""
    shown = {"hub": tuple(own.certificate for _, own in config.own)} | {
        each.code: each.certificates for each in config.partners.values()
    }
    last = {of: max(each.not_valid_after_utc for each in certificates) for of, certificates in shown.items()}
    ends = last | {"hub": min(own.certificate.not_valid_after_utc for _, own in config.own)}
    disk = shutil.disk_usage(config.data)
    told = [
        metrics.make_gauge(
            "lienthong_ready",
            "1 if this check of /readyz passes, by check.",
            *(({"reason": name}, float(not wrong)) for name, wrong in found.reasons.items()),
        ),
        metrics.make_gauge(
            "lienthong_certificate_expiry_timestamp_seconds",
            "Expiry time of the certificate: the last one of a partner, the first one of the hub.",
            *(({"of": of}, end.timestamp()) for of, end in ends.items()),
        ),
        metrics.make_value("lienthong_disk_free_bytes", "Free octets on the disk of `data`.", disk.free),
        metrics.make_value("lienthong_disk_size_bytes", "Octets that the disk of `data` has.", disk.total),
        metrics.make_value(
            "lienthong_disk_reserve_bytes", "Free octets below which the hub accepts nothing.", config.free_disk
        ),
    ]
    return told + metrics.measure_trust(config.anchors)


def _measure_parts(parts: MeasuredParts) -> list[Metric]:
    told = list(metrics.measure_links(parts.standings))
    if parts.counts is not None:
        answering = float(parts.counts.total(Counted.ANSWERING))
        told.append(
            metrics.make_value("lienthong_calls_in_progress", "SOAP calls that this node is answering.", answering)
        )
    if parts.workers is not None:
        told += _measure_workers(parts.workers)
    if parts.feed is not None:
        connected = float(parts.feed.connected)
        told.append(metrics.make_value("lienthong_feed_connected", "1 on the node that publishes.", connected))
    if parts.heard is not None:
        told.append(
            metrics.make_counter(
                "lienthong_syslog",
                "Syslog messages received by this node since its start, by result; unframed: connections closed.",
                *(({"became": word}, float(parts.heard.get(word, 0))) for word in COUNTED),
            )
        )
    return told


def _measure_workers(workers: WorkerPool) -> list[Metric]:
    return [
        metrics.make_value(
            "lienthong_workers_ready", "Worker processes that serve the SOAP port.", float(workers.ready)
        ),
        metrics.make_gauge(
            "lienthong_worker_connections",
            "Open connections of the SOAP port, by worker process.",
            *(({"worker": name}, float(count)) for name, count in workers.count_connections().items()),
        ),
    ]


def measure_ended_workers(pools: Iterable[WorkerPool]) -> Metric:
    """Return how many processes of *pools* ended unexpectedly: those that serve connections, and the background worker."""
    return metrics.make_counter(
        "lienthong_workers_ended",
        "Worker processes that ended unexpectedly since the start of this node.",
        ({}, float(sum(each.ended for each in pools))),
    )


class _Health(Resource):
    """`/healthz`: answers as long as the reactor runs."""

    isLeaf = probe = True

    def render_GET(self, request: Request) -> bytes:
        return _answer_json(request, {"alive": True})


class _Ready(Resource):
    """`/readyz`: status 200 if the node is ready, else 503; the codes of all checks either way."""

    isLeaf = probe = True

    def __init__(self, measure: Callable[[], Awaitable[Readiness]]) -> None:
        super().__init__()
        self._measure = measure

    def render_GET(self, request: Request) -> int:
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)

        async def answer() -> None:
            found = await self._measure()
            if gone:
                return
            request.setResponseCode(200 if found.ready else 503)
            request.write(_answer_json(request, {"ready": found.ready, "reasons": found.codes}))
            request.finish()

        _ = Deferred.fromCoroutine(answer()).addErrback(_report_broken_answer, request, gone)
        return NOT_DONE_YET


class _Contracts(Resource):
    """`/contracts/`: every WSDL and XSD as published, and the rules of each form of report.

    `/contracts/NAME.wsdl` is a service's WSDL with its real address.
    """

    isLeaf = True

    def __init__(
        self,
        wsdls: Callable[[], dict[str, bytes]],
        rules: Callable[[], Mapping[str, Callable[[], bytes]]] = dict,
    ) -> None:
        super().__init__()
        self._wsdls = wsdls
        self._rules = rules

    def render_GET(self, request: Request) -> bytes:
        name = b"/".join(request.postpath or ()).decode("utf-8", "replace")
        files: dict[str, Path] = wsdl.list_contract_files()
        wsdls, rules = self._wsdls(), self._rules()
        if not name:
            links = "".join(f'<li><a href="/contracts/{each}">{each}</a></li>' for each in [*wsdls, *files, *rules])
            request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
            request.setHeader(b"Vary", b"Accept-Language")
            language = choose_language(None, None, request.getHeader("accept-language") or "")
            title = translate(phrase("Service contracts"), language)
            return (
                f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{title}</title>'
                f"<h1>{title}</h1><ul>{links}</ul></html>"
            ).encode()
        if name not in files and name not in wsdls and name not in rules:
            return cast("bytes", NoResource().render(request))
        kind = {"toml": b"text/plain", "json": b"application/schema+json"}.get(name.rpartition(".")[2], b"text/xml")
        request.setHeader(b"Content-Type", kind + b"; charset=utf-8")
        if name in rules:
            return rules[name]()
        return wsdls[name] if name in wsdls else files[name].read_bytes()


class _Metrics(Resource):
    """`/metrics`: the metrics for Prometheus."""

    isLeaf = True

    def __init__(self, tell: Callable[[], Awaitable[bytes]]) -> None:
        super().__init__()
        self._tell = tell

    def render_GET(self, request: Request) -> int:
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)

        async def answer() -> None:
            content = await self._tell()
            if not gone:
                request.setHeader(b"Content-Type", exposition.CONTENT_TYPE.encode())
                request.write(content)
                request.finish()

        _ = Deferred.fromCoroutine(answer()).addErrback(_fail_request, request, gone)
        return NOT_DONE_YET


class _Root(Resource):
    """Root of the admin port.

    Pages that need no sign-in are registered by name; every other path goes to the console.
    """

    def __init__(self, console: Resource | None) -> None:
        super().__init__()
        self._console = console

    def getChild(self, path: bytes, request: Request) -> Resource:
        return self._console or NoResource()


def make_admin_resource(
    measure: Callable[[], Awaitable[Readiness]],
    wsdls: Callable[[], dict[str, bytes]],
    tell: Callable[[], Awaitable[bytes]] | None = None,
    public: Resource | None = None,
    console: Resource | None = None,
    rules: Callable[[], Mapping[str, Callable[[], bytes]]] = dict,
) -> Resource:
    """Return the root resource of the admin port. *rules*: a writer of each file of the rules of forms, by its name.

    `/metrics` is served only if *tell* is given, `/public` only if *public* is given. All other paths go to *console*,
    or are not found without one.
    """
    root = _Root(console)
    root.putChild(b"healthz", _Health())
    root.putChild(b"readyz", _Ready(measure))
    root.putChild(b"contracts", _Contracts(wsdls, rules))
    if public is not None:
        root.putChild(b"public", public)
    if tell is not None:
        root.putChild(b"metrics", _Metrics(tell))
    return root


def _answer_json(request: Request, said: dict[str, object]) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"


def _fail_request(failure: Any, request: Request, gone: list[object]) -> None:
    SHORTAGE.note_error(failure.value)
    log.error("metrics-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not gone:
        request.setResponseCode(500)
        request.finish()


def _report_broken_answer(failure: Any, request: Request, gone: list[object]) -> None:
    SHORTAGE.note_error(failure.value)
    log.error("readiness-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not gone:
        request.setResponseCode(500)
        request.finish()
