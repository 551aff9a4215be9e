"""The admin port: is it alive, is it ready, what are its contracts.  Knows what readiness means; changes nothing."""

import json
import shutil
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import attrs
import structlog
from twisted.internet.defer import Deferred
from twisted.web.resource import NoResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from hub import contract, events, store, upgrades
from hub.database import Journal
from hub.province import Province
from hub.store import Transaction

log = structlog.get_logger()

#: Less free space than this is not ready: the largest message, its index pages and a checkpoint must fit, in octets.
FREE = 256 * 1024 * 1024
#: An event that waits longer for its number is not ready.
CHAIN_LAG = timedelta(seconds=30)


@attrs.frozen
class Readiness:
    """Each reason checked, and what was found; an empty text is well."""

    reasons: dict[str, str]

    @property
    def ready(self) -> bool:
        """Tell whether every reason is well."""
        return not any(self.reasons.values())


async def readiness(journal: Journal, province: Province, now: datetime) -> Readiness:
    """Look at database, schema, chain, disk, keys and clock."""
    reasons = dict.fromkeys(("database", "schema", "chain", "disk", "keys", "clock"), "")
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
    free = shutil.disk_usage(province.config.data).free
    if free < FREE:
        reasons["disk"] = f"{free} octets free, {FREE} needed"
    certificate = province.config.identity.certificate
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        reasons["keys"] = f"the hub's certificate is valid until {certificate.not_valid_after_utc.isoformat()}"
    return Readiness(reasons)


def _journal_state(tx: Transaction) -> tuple[str | None, str | None]:
    """Return the schema's version where this program does not run on it, else when the oldest unchained event was."""
    if not upgrades.fits(tx):
        return store.version_in(tx) or "-", None
    return None, events.oldest_unchained(tx)


class _Health(Resource):
    """`/healthz`: the reactor turns."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return _json(request, {"alive": True})


class _Ready(Resource):
    """`/readyz`: 200 when work can be taken, else 503, with reasons."""

    isLeaf = True

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

        _ = Deferred.fromCoroutine(answer()).addErrback(_broke, request)
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


def resource(look: Callable[[], Awaitable[Readiness]], wsdls: Callable[[], dict[str, bytes]]) -> Resource:
    """Return what the admin port serves without a sign-in."""
    root = Resource()
    root.putChild(b"healthz", _Health())
    root.putChild(b"readyz", _Ready(look))
    root.putChild(b"contracts", _Contracts(wsdls))
    return root


def _json(request: Request, said: dict[str, object]) -> bytes:
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Cache-Control", b"no-store")
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"


def _broke(failure: Any, request: Request) -> None:
    log.error("readiness-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    request.setResponseCode(500)
    request.finish()
