"""Serves the pages that need no sign-in: published reports and their Atom feed.

Exists only with `[portal] publish`. Counts nothing. What it says itself is in Vietnamese, as the reports are.

    /public/feed.atom
    /public/reports/FORM/UNIT/PERIOD.html, .json, .csv            the newest revision that a person published
    /public/reports/FORM/UNIT/PERIOD/REVISION.html, .json, .csv   that revision
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import attrs
import structlog
from twisted.internet.defer import Deferred, DeferredLock, fail
from twisted.web.http import CACHED
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from hub.domain.errors import Unready
from hub.domain.fair_queue import PUBLIC
from hub.language.catalogues import say_both, translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.output import atom, outputs
from hub.report.output.atom import AtomEntry
from hub.report.signed import sealed
from hub.runtime.descriptors import SHORTAGE
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.store.batch_commit import Journal
from hub.units.live import Live
from hub.workload import publications
from hub.workload.publications import ReportPublication

log = structlog.get_logger()

_TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
_REPORT = re.compile(r"reports/([^/]+)/([^/]+)/([^/]+?)(?:/([1-9][0-9]{0,5}))?\.(html|json|csv)")
#: Seconds for which a browser may cache a page before it must revalidate it.
_AGE = 60
#: Maximum callers that wait for a page. Each waiting caller can take a little more stack. Further callers get status
#: 503.
_WAITING = 50
#: Pages kept in memory. The page of a province with 1,500 units has 2 MB and takes a third of a second to make.
_KEPT = 8


@attrs.frozen
class PublicPage:
    """One page with its media type."""

    content_type: str
    content: bytes

    @property
    def etag(self) -> str:
        """Return the entity tag: a hash of the content."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'


@attrs.frozen(eq=False)
class PublicPages:
    """Makes the pages, and keeps the last `_KEPT` of them."""

    _journal: Journal  #: contains the published reports
    _work: Work  #: runs heavy computations in worker threads
    _live: Live  #: the configuration in force
    _url: Callable[[], str]  #: returns the public URL of `/public`
    #: kept pages by SHA-256 and kind, oldest use first
    _made: dict[tuple[str, str], PublicPage] = attrs.field(factory=dict, init=False)

    async def page(self, path: str) -> PublicPage | None:
        """Return the page at *path*, relative to `/public/`; None if there is none. Raises `Unready`."""
        if path == "feed.atom":
            return await self._feed()
        asked = _REPORT.fullmatch(path)
        if asked is None:
            return None
        form, unit, period = (unquote(part) for part in asked.groups()[:3])
        if not (form + unit + period).isprintable():  # PostgreSQL accepts no NUL
            return None
        found = await self._journal.read(
            publications.find_publication, form, unit, period, int(asked[4]) if asked[4] else None
        )
        return None if found is None else await self._report(found, asked[5])

    async def _report(self, found: ReportPublication, kind: str) -> PublicPage:
        """Return the page of a published report as *kind* (`html`, `json` or `csv`).

        It never changes, so it may come from memory.
        """
        page = self._made.pop((found.sha256, kind), None)
        if page is None:
            content = await self._journal.read(publications.read_published_report, found)
            page = await self._work(PUBLIC, max(len(content), THRESHOLD), _render_page, content, kind)
        self._made[found.sha256, kind] = page
        if len(self._made) > _KEPT:
            del self._made[next(iter(self._made))]
        return page

    async def _feed(self) -> PublicPage:
        config, url = self._live.config, self._url()
        entries = [
            _make_entry(one, config.province, url) for one in await self._journal.read(publications.list_publications)
        ]
        identity = f"urn:lienthong:publications:{config.province}"
        content = atom.write_atom_feed(
            identity,
            translate(phrase("Published reports: {hub}", hub=config.name), Language.VI),
            config.name,
            f"{url}/feed.atom",
            entries,
        )
        return PublicPage(atom.CONTENT_TYPE, content)


class Public(Resource):
    """`/public/`: GET and HEAD, each with an ETag."""

    isLeaf = True

    def __init__(self, pages: PublicPages) -> None:
        super().__init__()
        self._pages = pages
        self._one_page = DeferredLock()  # one page is made at a time, however many callers wait

    def render_GET(self, request: Request) -> int:
        gone: list[object] = []
        _ = request.notifyFinish().addErrback(gone.append)
        # `postpath` is decoded already, piece by piece
        path = "/".join(quote(piece, safe="") for piece in request.postpath or ())

        async def made() -> PublicPage | None:
            return None if gone else await self._pages.page(path)

        def in_turn() -> Deferred[PublicPage | None]:
            if len(self._one_page.waiting) >= _WAITING:
                return fail(Unready("hub-busy", phrase("{most} wait for a page", most=_WAITING)))
            return self._one_page.run(lambda: Deferred.fromCoroutine(made()))

        async def answer() -> None:
            try:
                page = await in_turn()
            except Unready as unready:
                page = None
                request.setResponseCode(503)
                request.setHeader(b"Retry-After", str(unready.retry_after).encode())
            else:
                if page is None:
                    request.setResponseCode(404)
            if not gone:
                request.write(_answer_page(request, page))
                request.finish()

        _ = Deferred.fromCoroutine(answer()).addErrback(_report_broken_page, request, gone)
        return NOT_DONE_YET


def _answer_page(request: Request, page: PublicPage | None) -> bytes:
    if page is None:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.setHeader(b"Cache-Control", b"no-store")
        return (" / ".join(say_both(phrase("There is none."))) + "\n").encode() if request.method != b"HEAD" else b""
    request.setHeader(b"Cache-Control", f"public, max-age={_AGE}".encode())
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    request.setHeader(b"Content-Type", page.content_type.encode())
    if request.setETag(page.etag.encode()) is CACHED:
        return b""
    request.setHeader(b"Content-Length", str(len(page.content)).encode())
    return page.content if request.method != b"HEAD" else b""


def _render_page(content: bytes, kind: str) -> PublicPage:
    found = sealed.read_sealed_report(content)
    if kind == "csv":
        return PublicPage(_TYPES[kind], outputs.write_csv_report(found.report, found.names))
    make = outputs.write_html_report if kind == "html" else outputs.write_json_report
    return PublicPage(_TYPES[kind], make(found.report, found.names).encode())


def _make_entry(one: ReportPublication, province: str, url: str) -> AtomEntry:
    pieces = [quote(piece, safe="") for piece in (one.form, one.unit, one.period)]
    where = f"{url}/reports/{'/'.join(pieces)}"
    return AtomEntry(
        id=f"urn:lienthong:publication:{province}:{':'.join(pieces)}",
        title=f"{one.title}: {one.unit}",
        at=one.at,
        summary=translate(
            phrase(
                "{title}. Unit {unit}, period {period}, revision {revision}.",
                title=one.title,
                unit=one.unit,
                period=one.period,
                revision=one.revision,
            ),
            Language.VI,
        ),
        html=f"{where}.html",
        json=f"{where}.json",
    )


def _report_broken_page(failure: Any, request: Request, gone: list[object]) -> None:
    SHORTAGE.note_error(failure.value)
    log.error("public-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
    if not gone:
        request.setResponseCode(500)
        request.finish()
