"""The admin port: is it alive, is it ready, what are its contracts, its metrics.  Knows what readiness means; changes nothing."""

import json
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import attrs
import structlog
from twisted.internet.defer import Deferred, DeferredLock
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from hub import agreement, contract, events, metrics, room, store, upgrades
from hub.database import Journal
from hub.ear import COUNTED
from hub.feed import Feed
from hub.links import Link, Standing
from hub.metrics import Metric
from hub.province import Province
from hub.store import Transaction
from hub.workroom import Work

log = structlog.get_logger()

#: An event that waits longer for its number is not ready.
CHAIN_LAG = timedelta(seconds=30)
#: A partner's certificates are as much work to check as so many octets of XML.
_CHECK = 2048
#: So many may wait for what `/metrics` tells, each a little more of the stack where nothing has to be waited for.
_WAITING = 20


@attrs.frozen
class Readiness:
    """Each reason checked, and what was found; an empty text is well."""

    reasons: dict[str, str]
    borne: frozenset[str] = frozenset()  #: reasons that are told, and leave enough to be ready for

    @property
    def ready(self) -> bool:
        """Tell whether every reason is well, or is borne."""
        return not any(found for name, found in self.reasons.items() if name not in self.borne)


async def readiness(
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
    names = ("database", "schema", "chain", "queue", "disk", "keys", "clock", "revocation", "links")
    reasons = dict.fromkeys(names, "") | {"links": links}
    try:
        schema, oldest = await journal.read(_journal_state)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why we are not ready, and it is shown
        reasons["database"] = str(error)
    else:
        if schema is not None:
            reasons["schema"] = f"{schema} ≠ {store.latest_version()}: lienthong db upgrade"
        if oldest is not None and now - datetime.fromisoformat(oldest) > CHAIN_LAG:
            reasons["chain"] = f"unchained since {oldest}"
        if oldest is not None and datetime.fromisoformat(oldest) - now > CHAIN_LAG:
            reasons["clock"] = f"the journal has events of {oldest}"
    reasons["queue"] = journal.trouble()
    reasons["disk"] = room.lacking(province.config)
    reasons["keys"] = await key_flaw()
    for name, own in province.config.own:
        if not own.certificate.not_valid_before_utc <= now <= own.certificate.not_valid_after_utc:
            reasons["keys"] = f"{name} is valid until {own.certificate.not_valid_after_utc.isoformat()}"
    everyone = province.config.partners
    kept_out, nobody = await work(len(everyone) * _CHECK, agreement.unheard, province.config, now)
    if kept_out:
        why = next(iter(kept_out.values()))
        reasons["revocation"] = f"{len(kept_out)} of {len(everyone)} partners are kept out: {why}"
    return Readiness(reasons, frozenset({"links"}) if nobody else frozenset({"links", "revocation"}))


async def gather(
    found: Readiness,
    journal: Journal,
    province: Province,
    now: datetime,
    feed: Feed | None,
    heard: Mapping[str, int] | None,
    standings: Mapping[Link, Standing] | None = None,
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
        metrics.one(
            "lienthong_disk_free_bytes", "gauge", "Room where `data` lies.", shutil.disk_usage(config.data).free
        ),
    ]
    told += metrics.of_links(standings or {})
    if feed is not None:
        connected = float(feed.connected)
        told.append(metrics.one("lienthong_feed_connected", "gauge", "1 on the node that publishes.", connected))
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
    if not upgrades.fits(tx):
        return store.version_in(tx) or "-", None
    return None, events.oldest_unchained(tx)


class _Health(Resource):
    """`/healthz`: the reactor turns."""

    isLeaf = probe = True

    def render_GET(self, request: Request) -> bytes:
        return _json(request, {"alive": True})


class _Ready(Resource):
    """`/readyz`: 200 when work can be taken, else 503, with reasons either way."""

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
            request.write(
                _json(request, {"ready": found.ready, "reasons": {k: v or "ok" for k, v in found.reasons.items()}})
            )
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
        files: dict[str, Path] = contract.files()
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

    def __init__(self, gather: Callable[[], Coroutine[Any, Any, list[Metric]]]) -> None:
        super().__init__()
        self._gather = gather
        self._one_look = DeferredLock()  # whoever asks, and however many: the journal is looked at by one at a time

    def render_GET(self, request: Request) -> bytes | int:
        if len(self._one_look.waiting) >= _WAITING:
            request.setResponseCode(503)
            return b""
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)

        async def answer() -> None:
            found = await self._one_look.run(lambda: Deferred.fromCoroutine(self._gather()))
            content = metrics.text(found)
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


def resource(
    look: Callable[[], Awaitable[Readiness]],
    wsdls: Callable[[], dict[str, bytes]],
    gather: Callable[[], Coroutine[Any, Any, list[Metric]]] | None = None,
    public: Resource | None = None,
    console: Resource | None = None,
) -> Resource:
    """Return what the admin port serves: `/metrics` only where something is gathered, `/public` where there is any, else the *console*."""
    root = _Root(console)
    root.putChild(b"healthz", _Health())
    root.putChild(b"readyz", _Ready(look))
    root.putChild(b"contracts", _Contracts(wsdls))
    if public is not None:
        root.putChild(b"public", public)
    if gather is not None:
        root.putChild(b"metrics", _Metrics(gather))
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
