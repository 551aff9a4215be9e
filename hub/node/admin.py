"""Serves the admin port: liveness, readiness, contracts and metrics. Defines readiness. Changes nothing.

Any caller that reaches the port gets, for each check, `ok` or one code. The details (paths, sockets, error texts of the
database) go only to the log and to operators who are signed in.
"""

import json
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import attrs
import structlog
from prometheus_client.core import Metric
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from hub.config import Config
from hub.domain.fair_queue import HUB
from hub.domain.model import Detail
from hub.domain.node_counts import Counted, NodeCounts
from hub.domain.writer_budget import WriterReading, write_percent
from hub.feed.publisher import Feed
from hub.journal import events
from hub.journal.nodes import PendingRestart
from hub.language.catalogues import translate
from hub.language.languages import choose_language
from hub.language.phrases import phrase
from hub.monitoring import metrics
from hub.monitoring.syslog_listener import COUNTED, LineOutcome
from hub.node import consistency
from hub.node.workers.pool import WorkerPool
from hub.runtime import disk_space, exposition
from hub.runtime.descriptors import SHORTAGE
from hub.runtime.thread_pool import Work
from hub.services.links.probes import Link, LinkStanding
from hub.soap import wsdl
from hub.store import schema_version, transactions
from hub.store.group_commit import Journal
from hub.store.transactions import Transaction
from hub.units.province import Province

log = structlog.get_logger()

#: An event that has waited longer than this for its number in the chain makes the node not ready.
CHAIN_LAG = timedelta(seconds=30)
#: Cost estimate for the thread pool: checking one partner's certificates costs as much as parsing this many octets of
#: XML.
_CHECK = 2048
#: Seconds for which a result is shared. However many callers ask within this time, the hub is measured once.
SHARED = 1.0
#: The same for a readiness in which a check was not made yet: a node that has just started is ready as soon as it was.
_SHARED_UNKNOWN = 0.1

T = TypeVar("T")

#: The public code of each check that fails.
CODES = {
    "database": "unavailable",
    "file": "unusable",
    "schema": "other-version",
    "chain": "behind",
    "queue": "not-written",
    "disk": "low",
    "resources": "short",
    "keys": "unusable",
    "clock": "events-ahead",
    "revocation": "overdue",
    "links": "down",
    "workers": "ended",
    "restart": "pending",
    "writer": "busy",
    "era": "put-back",
    "receipts": "awaited",
    "closings": "edited",
}


#: The public code of a check that was not made yet.
UNKNOWN = "unknown"


@attrs.frozen
class Readiness:
    """The result of every check, by name, with details for operators. An empty text means that the check passed."""

    reasons: Mapping[str, Detail]  #: details by name of the check; empty if it passed
    borne: frozenset[str] = frozenset()  #: failed checks that are reported but do not make the node not ready
    unknown: frozenset[str] = frozenset()  #: checks that were not made yet; their details say so

    @property
    def ready(self) -> bool:
        """Tell whether every check passed or is in `borne`."""
        return not any(found for name, found in self.reasons.items() if name not in self.borne)

    @property
    def codes(self) -> dict[str, str]:
        """Return the public code of each check by name; `ok` where the check passed."""
        failed = {name: UNKNOWN if name in self.unknown else CODES[name] for name in self.reasons}
        return {name: failed[name] if found else "ok" for name, found in self.reasons.items()}


def choose_shared_seconds(found: Readiness) -> float:
    """Return the seconds for which *found* is shared between those who ask."""
    return _SHARED_UNKNOWN if found.unknown else SHARED


@attrs.define(eq=False)
class SharedMeasurement(Generic[T]):
    """Shares one measurement between all callers that ask while it runs or soon after it ended."""

    _measure: Callable[[], Coroutine[Any, Any, T]]  #: makes one measurement
    _seconds: Callable[[], float]  #: monotonic seconds
    _share: Callable[[T], float] = lambda _: SHARED  #: seconds for which a result is shared, `SHARED` at most
    #: callers that wait for the measurement under way
    _waiting: list[Deferred[T]] = attrs.field(factory=list, init=False)
    #: until when the result is shared, and the result
    _found: tuple[float, T] | None = attrs.field(default=None, init=False)

    def get(self) -> Deferred[T]:
        """Return the shared result. If the measurement failed, the Deferred fails with its error."""
        if self._found is not None and 0 < self._found[0] - self._seconds() <= SHARED:
            return succeed(self._found[1])
        asked: Deferred[T] = Deferred()
        self._waiting.append(asked)
        if len(self._waiting) == 1:
            _ = Deferred.fromCoroutine(self._measure()).addBoth(self._tell)
        return asked

    def _tell(self, found: T | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        if not isinstance(found, Failure):
            self._found = self._seconds() + self._share(found), found
        for asked in waiting:
            asked.callback(found)


@attrs.define(eq=False)
class ReadinessLog:
    """Logs the readiness whenever its codes differ from those logged last."""

    #: the codes logged last
    _told: dict[str, str] = attrs.field(factory=lambda: dict.fromkeys(CODES, "ok"), init=False)

    def log_changes(self, found: Readiness) -> Readiness:
        """Log *found* if it changed, and return it."""
        if found.codes != self._told:
            self._told = found.codes
            wrong = {name: str(why) for name, why in found.reasons.items() if why}
            log.warning("readiness-changed", ready=found.ready, reasons=wrong)
        return found


@attrs.frozen(kw_only=True)
class PartFindings:
    """What the parts of the node say of themselves. An empty text says that nothing is wrong."""

    links: Detail = ""  #: names the links that are down
    workers: WorkerPool | None = None  #: the processes that serve the SOAP port; None: the node itself does
    pending: PendingRestart | None = None  #: what waits for a restart of the node, which serves meanwhile
    put_back: Detail = ""  #: the journal is not the one that the node has seen
    awaited: Detail = ""  #: senders should send messages again
    writer: WriterReading = attrs.field(factory=WriterReading)
    file: Detail = ""  #: why SQLite's file is not used: it was moved or replaced, or is damaged
    unknown: frozenset[str] = frozenset()  #: those checks of the two about the journal that are not known yet
    edited: Detail = ""  #: what somebody edited in the database


async def measure_readiness(
    journal: Journal,
    province: Province,
    now: datetime,
    work: Work,
    key_flaw: Callable[[], Awaitable[Detail]],
    parts: PartFindings = PartFindings(),
) -> Readiness:
    """Check database, schema, chain, queue, resources, disk, keys, clock and revocation, and return the result.

    *key_flaw* returns why the hub's key cannot sign, or an empty text. A link that is down does not make the node not
    ready: another node would have to wait for it too. The node is not ready when none of its worker processes serves. That
    senders should send again does not make the node not ready. Nor does a writer that is always busy: else whoever keeps
    it busy could take the node out of service. With an edited database the node serves, and gives nothing of the edited
    out.
    """
    config = province.config
    reasons: dict[str, Detail] = dict.fromkeys(CODES, "")
    reasons |= {"links": parts.links, "era": parts.put_back, "receipts": parts.awaited}
    reasons |= {"file": parts.file, "closings": parts.edited}
    reasons |= await _examine_journal(journal, now)
    reasons["queue"] = journal.trouble()
    reasons["resources"] = SHORTAGE.measure()
    reasons["disk"] = disk_space.describe_lacking_space(config) or ""
    reasons["keys"] = await key_flaw()
    for name, own in config.own:
        if not own.certificate.not_valid_before_utc <= now <= own.certificate.not_valid_after_utc:
            until = own.certificate.not_valid_after_utc.isoformat()
            reasons["keys"] = phrase("{name} is valid until {until}", name=name, until=until)
    reasons["revocation"], nobody = await _examine_revocation(config, now, work)
    if parts.pending is not None and parts.pending.since is not None:
        reasons["restart"] = phrase(
            "{settings}: changed {since}, in force after a restart",
            settings=", ".join(parts.pending.settings),
            since=parts.pending.since.isoformat(timespec="seconds"),
        )
    reasons["writer"] = describe_busy_writer(parts.writer)
    borne = {"links", "restart", "receipts", "writer", "closings"} | (set() if nobody else {"revocation"})
    if parts.workers is not None:
        reasons["workers"] = parts.workers.describe_missing_workers()
        borne |= {"workers"} if parts.workers.ready else set()
    return Readiness(reasons, frozenset(borne), parts.unknown)


async def _examine_journal(journal: Journal, now: datetime) -> dict[str, Detail]:
    """Return what is wrong with database, schema, chain and clock, by name of the check."""
    try:
        schema, oldest = await journal.read(_journal_state)
    except Exception as error:  # noqa: BLE001 - any error here is a reason for not being ready
        return {"database": str(error)}
    reasons: dict[str, Detail] = {}
    if schema is not None:
        latest = transactions.read_latest_version()
        reasons["schema"] = phrase("{schema} ≠ {latest}: lienthong db upgrade", schema=schema, latest=latest)
    if oldest is not None and now - datetime.fromisoformat(oldest) > CHAIN_LAG:
        reasons["chain"] = phrase("unchained since {oldest}", oldest=oldest)
    if oldest is not None and datetime.fromisoformat(oldest) - now > CHAIN_LAG:
        reasons["clock"] = phrase("the journal has events of {oldest}", oldest=oldest)
    return reasons


async def _examine_revocation(config: Config, now: datetime, work: Work) -> tuple[Detail, bool]:
    """Return which partners an overdue CRL keeps out, "" if none, and whether it keeps every partner out.

    Partners that are kept out make the node not ready only if every partner is, because then the hub can accept nothing.
    Otherwise another node or a restart would not serve those partners any better.
    """
    everyone = config.partners
    kept_out, nobody = await work(
        HUB, len(everyone) * _CHECK, consistency.find_partners_of_unknown_revocation, config, now
    )
    if not kept_out:
        return "", nobody
    why = next(iter(kept_out.values()))
    told = phrase(
        "{out} of {partners} partners are kept out: {why}", out=len(kept_out), partners=len(everyone), why=why
    )
    return told, nobody


def describe_busy_writer(writer: WriterReading) -> Detail:
    """Return how busy the writer of the journal is, and by whom; or who has more than its share; "" if all is well."""
    if writer.is_busy:
        return phrase(
            "the writer of the journal is busy {busy} % of the time, {part} % of it for {owner}",
            busy=write_percent(writer.busy),
            part=write_percent(writer.first_part),
            owner=writer.first,
        )
    if writer.held:
        return phrase("more than their share of the writer of the journal: {partners}", partners=", ".join(writer.held))
    return ""


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


def _journal_state(tx: Transaction) -> tuple[str | None, str | None]:
    """Return the schema's version if this program cannot use it, else None; and the oldest unchained event's time."""
    if not schema_version.is_schema_supported(tx):
        return transactions.select_schema_version(tx) or "-", None
    return None, events.read_oldest_unchained(tx)


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
