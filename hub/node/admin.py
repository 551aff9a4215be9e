"""The admin port: is it alive, is it ready, what are its contracts, its metrics.  Knows what readiness means; changes nothing.

Whoever reaches the port learns of each check whether it is well, or one word why not.  What lies behind it (paths, sockets, the
database's own words) is for the log and for operators who are signed in.
"""

import json
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import attrs
import structlog
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from hub.domain.fair_queue import HUB
from hub.feed.publisher import Feed
from hub.journal import events, metrics
from hub.journal.metrics import Metric
from hub.monitoring.syslog_listener import COUNTED
from hub.node import consistency
from hub.runtime import disk_space
from hub.runtime.thread_pool import Work
from hub.services.links.probes import Link, LinkStanding
from hub.soap import wsdl
from hub.store import schema_version, transactions
from hub.store.group_commit import Journal
from hub.store.transactions import Transaction
from hub.units.province import Province

log = structlog.get_logger()

#: An event that waits longer for its number is not ready.
CHAIN_LAG = timedelta(seconds=30)
#: A partner's certificates are as much work to check as so many octets of XML.
_CHECK = 2048
#: What was found is told for so long to whoever asks, in seconds: however many ask, the hub is looked at once in that time.
SHARED = 1.0

T = TypeVar("T")

#: What each check is when it is not well: the code that anybody may read.
CODES = {
    "database": "unavailable",
    "schema": "other-version",
    "chain": "behind",
    "queue": "not-written",
    "disk": "low",
    "keys": "unusable",
    "clock": "events-ahead",
    "revocation": "overdue",
    "links": "down",
}


@attrs.frozen
class Readiness:
    """Each reason checked, and what was found, for operators; an empty text is well."""

    reasons: dict[str, str]
    borne: frozenset[str] = frozenset()  #: reasons that are told, and leave enough to be ready for

    @property
    def ready(self) -> bool:
        """Tell whether every reason is well, or is borne."""
        return not any(found for name, found in self.reasons.items() if name not in self.borne)

    @property
    def codes(self) -> dict[str, str]:
        """Return of each reason its code, which anybody may read; `ok` where it is well."""
        return {name: CODES[name] if found else "ok" for name, found in self.reasons.items()}


@attrs.define(eq=False)
class SharedLook(Generic[T]):
    """One look for all who ask while it lasts and for `SHARED` seconds after it."""

    _look: Callable[[], Coroutine[Any, Any, T]]
    _seconds: Callable[[], float]
    _waiting: list[Deferred[T]] = attrs.field(factory=list, init=False)
    _found: tuple[float, T] | None = attrs.field(default=None, init=False)  #: until when it is told, and what

    def ask(self) -> Deferred[T]:
        """Return what is found, or why nothing was."""
        if self._found is not None and 0 < self._found[0] - self._seconds() <= SHARED:
            return succeed(self._found[1])
        asked: Deferred[T] = Deferred()
        self._waiting.append(asked)
        if len(self._waiting) == 1:
            _ = Deferred.fromCoroutine(self._look()).addBoth(self._tell)
        return asked

    def _tell(self, found: T | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        if not isinstance(found, Failure):
            self._found = self._seconds() + SHARED, found
        for asked in waiting:
            asked.callback(found)


@attrs.define(eq=False)
class ReadinessLog:
    """Tells the log what was found, each time that it is not what was found before."""

    _told: dict[str, str] = attrs.field(factory=lambda: dict.fromkeys(CODES, "ok"), init=False)

    def tell(self, found: Readiness) -> Readiness:
        """Return what was *found*."""
        if found.codes != self._told:
            self._told = found.codes
            wrong = {name: why for name, why in found.reasons.items() if why}
            log.warning("readiness-changed", ready=found.ready, reasons=wrong)
        return found


async def measure_readiness(
    journal: Journal,
    province: Province,
    now: datetime,
    work: Work,
    key_flaw: Callable[[], Awaitable[str]],
    links: str = "",
) -> Readiness:
    """Look at database, schema, chain, queue, disk, keys, clock and revocation; *key_flaw* says why the hub's key cannot sign, if so,
    and *links* which links are down, which is borne: what waits for them waits here as well as anywhere.

    Some partners kept out by an overdue list are told of: another node, or a restart, would serve the others no better.  Where all
    are kept out, nothing can be taken.
    """
    reasons = dict.fromkeys(CODES, "") | {"links": links}
    try:
        schema, oldest = await journal.read(_journal_state)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why we are not ready, and it is shown
        reasons["database"] = str(error)
    else:
        if schema is not None:
            reasons["schema"] = f"{schema} ≠ {transactions.latest_version()}: lienthong db upgrade"
        if oldest is not None and now - datetime.fromisoformat(oldest) > CHAIN_LAG:
            reasons["chain"] = f"unchained since {oldest}"
        if oldest is not None and datetime.fromisoformat(oldest) - now > CHAIN_LAG:
            reasons["clock"] = f"the journal has events of {oldest}"
    reasons["queue"] = journal.trouble()
    reasons["disk"] = disk_space.describe_lacking_space(province.config)
    reasons["keys"] = await key_flaw()
    for name, own in province.config.own:
        if not own.certificate.not_valid_before_utc <= now <= own.certificate.not_valid_after_utc:
            reasons["keys"] = f"{name} is valid until {own.certificate.not_valid_after_utc.isoformat()}"
    everyone = province.config.partners
    kept_out, nobody = await work(HUB, len(everyone) * _CHECK, consistency.find_unheard_partners, province.config, now)
    if kept_out:
        why = next(iter(kept_out.values()))
        reasons["revocation"] = f"{len(kept_out)} of {len(everyone)} partners are kept out: {why}"
    return Readiness(reasons, frozenset({"links"}) if nobody else frozenset({"links", "revocation"}))


async def gather_metrics(
    found: Readiness,
    journal: Journal,
    province: Province,
    now: datetime,
    feed: Feed | None,
    heard: Mapping[str, int] | None,
    standings: Mapping[Link, LinkStanding] | None = None,
) -> list[Metric]:
    """Return what `/metrics` tells beside what was *found*, and what of syslog was *heard*, if it is; without an answer from the
    journal, what is known without it.
    """
    config = province.config
    shown = {"hub": tuple(own.certificate for _, own in config.own)} | {
        each.code: each.certificates for each in config.partners.values()
    }
    last = {of: max(each.not_valid_after_utc for each in certificates) for of, certificates in shown.items()}
    ends = last | {"hub": min(own.certificate.not_valid_after_utc for _, own in config.own)}
    told = [
        Metric(
            "lienthong_ready",
            "gauge",
            "1 where /readyz finds nothing wrong, by what it looks at.",
            tuple(({"reason": name}, float(not wrong)) for name, wrong in found.reasons.items()),
        ),
        Metric(
            "lienthong_certificate_expiry_timestamp_seconds",
            "gauge",
            "When the certificate ends: of a partner's several the last, of the hub's own the first.",
            tuple(({"of": of}, end.timestamp()) for of, end in ends.items()),
        ),
        metrics.make_metric(
            "lienthong_disk_free_bytes", "gauge", "Room where `data` lies.", shutil.disk_usage(config.data).free
        ),
    ]
    told += metrics.of_links(standings or {})
    if feed is not None:
        connected = float(feed.connected)
        told.append(
            metrics.make_metric("lienthong_feed_connected", "gauge", "1 on the node that publishes.", connected)
        )
    if heard is not None:
        told.append(
            Metric(
                "lienthong_syslog_total",
                "counter",
                "Syslog messages that this node heard since it started, by what became of them; unframed: connections given up.",
                tuple(({"became": word}, float(heard.get(word, 0))) for word in COUNTED),
            )
        )
    if not found.reasons["database"] and not found.reasons["schema"]:
        told += await journal.read(metrics.of_journal, now, feed.name if feed else None)
    return told


def _journal_state(tx: Transaction) -> tuple[str | None, str | None]:
    """Return the schema's version where this program does not run on it, else when the oldest unchained event was."""
    if not schema_version.fits_schema(tx):
        return transactions.version_in(tx) or "-", None
    return None, events.oldest_unchained(tx)


class _Health(Resource):
    """`/healthz`: the reactor turns."""

    isLeaf = probe = True

    def render_GET(self, request: Request) -> bytes:
        return _json(request, {"alive": True})


class _Ready(Resource):
    """`/readyz`: 200 when work can be taken, else 503, with codes either way."""

    isLeaf = probe = True

    def __init__(self, look: Callable[[], Awaitable[Readiness]]) -> None:
        super().__init__()
        self._look = look

    def render_GET(self, request: Request) -> int:
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)

        async def answer() -> None:
            found = await self._look()
            if gone:
                return
            request.setResponseCode(200 if found.ready else 503)
            request.write(_json(request, {"ready": found.ready, "reasons": found.codes}))
            request.finish()

        _ = Deferred.fromCoroutine(answer()).addErrback(_broke, request, gone)
        return NOT_DONE_YET


class _Contracts(Resource):
    """`/contracts/`: every WSDL and XSD, as published; a service's WSDL with its real address at `/contracts/NAME.wsdl`."""

    isLeaf = True

    def __init__(self, wsdls: Callable[[], dict[str, bytes]]) -> None:
        super().__init__()
        self._wsdls = wsdls

    def render_GET(self, request: Request) -> bytes:
        name = b"/".join(request.postpath or ()).decode("utf-8", "replace")
        files: dict[str, Path] = wsdl.list_contract_files()
        wsdls = self._wsdls()
        if not name:
            links = "".join(f'<li><a href="/contracts/{each}">{each}</a></li>' for each in [*wsdls, *files])
            request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
            return (
                '<!doctype html><html lang="vi"><meta charset="utf-8"><title>Đặc tả dịch vụ</title>'
                f"<h1>Đặc tả dịch vụ / Contracts</h1><ul>{links}</ul></html>"
            ).encode()
        if name not in files and name not in wsdls:
            return cast("bytes", NoResource().render(request))
        request.setHeader(
            b"Content-Type", b"text/plain; charset=utf-8" if name.endswith(".toml") else b"text/xml; charset=utf-8"
        )
        return wsdls[name] if name in wsdls else files[name].read_bytes()


class _Metrics(Resource):
    """`/metrics`, for Prometheus."""

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
                request.setHeader(b"Content-Type", metrics.CONTENT_TYPE.encode())
                request.write(content)
                request.finish()

        _ = Deferred.fromCoroutine(answer()).addErrback(_fail, request, gone)
        return NOT_DONE_YET


class _Root(Resource):
    """The admin port: what is for everybody by its name, and everything else the console's."""

    def __init__(self, console: Resource | None) -> None:
        super().__init__()
        self._console = console

    def getChild(self, path: bytes, request: Request) -> Resource:
        return self._console or NoResource()


def make_admin_resource(
    look: Callable[[], Awaitable[Readiness]],
    wsdls: Callable[[], dict[str, bytes]],
    tell: Callable[[], Awaitable[bytes]] | None = None,
    public: Resource | None = None,
    console: Resource | None = None,
) -> Resource:
    """Return what the admin port serves: `/metrics` only where something is to *tell*, `/public` where there is any, else the *console*."""
    root = _Root(console)
    root.putChild(b"healthz", _Health())
    root.putChild(b"readyz", _Ready(look))
    root.putChild(b"contracts", _Contracts(wsdls))
    if public is not None:
        root.putChild(b"public", public)
    if tell is not None:
        root.putChild(b"metrics", _Metrics(tell))
    return root


def _json(request: Request, said: dict[str, object]) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"


def _fail(failure: Any, request: Request, gone: list[object]) -> None:
    log.error("metrics-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not gone:
        request.setResponseCode(500)
        request.finish()


def _broke(failure: Any, request: Request, gone: list[object]) -> None:
    log.error("readiness-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not gone:
        request.setResponseCode(500)
        request.finish()
