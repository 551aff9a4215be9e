"""Fetches CRLs and OCSP responses from CAs in the background, and passes them to the anchors.

Contains the HTTP client and the schedule. No call waits for a fetch: a call is judged by the answers known so far. Only
URLs in the configuration are fetched, without proxy, redirects or the trust store of the system. An answer is read up
to a size limit, and is believed only for its signature.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import attrs
import structlog
from cryptography import x509
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from hub.config import revocation_cache
from hub.config.revocation_cache import RevocationAnswer, RevocationQuestion
from hub.domain.fair_queue import HUB
from hub.domain.model import RevocationRule
from hub.runtime import http_client
from hub.runtime.http_client import HttpClient
from hub.runtime.thread_pool import THRESHOLD, Work
from hub.security import crl_ocsp, tls
from hub.security.anchors import Anchors, Purpose
from hub.security.crl_ocsp import RevocationUnusable
from hub.units.live import Live

log = structlog.get_logger()

#: Seconds between two checks for due questions.
EVERY = 15.0
#: Seconds within which one answer must be complete.
PATIENCE = 30.0
#: Time until a failed question is asked again.
REST = timedelta(minutes=1)
#: Maximum octets of a CRL. The CRL of a large CA has a few million.
LARGEST_CRL = 32 * 1024 * 1024

_OCSP_HEADERS = (("Content-Type", "application/ocsp-request"), ("Accept", "application/ocsp-response"))

#: Fetches the answer to one question from one URL. The anchors check the server's own certificate, if the URL is https.
Fetch = Callable[[Anchors, RevocationQuestion, str], Awaitable[bytes]]


@attrs.define(eq=False)
class RevocationFetcher(Service):
    """The revocation fetches of one node, one after another."""

    _live: Live  #: the configuration in force
    _known: Sequence[RevocationAnswer]  #: stored answers of an earlier run
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    _work: Work  #: runs parsing in worker threads
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _fetch: Fetch  #: fetches one answer
    #: called with all answers when there is a new one
    on_heard: Callable[[Sequence[RevocationAnswer]], None] = attrs.field(default=lambda _heard: None, init=False)
    _heard: dict[str, RevocationAnswer] = attrs.field(factory=dict, init=False)  #: by the question's name
    _questions: Sequence[RevocationQuestion] = attrs.field(default=(), init=False)
    _asked: set[str] = attrs.field(factory=set, init=False)  #: names of questions answered under this configuration
    _rests: dict[str, datetime] = attrs.field(factory=dict, init=False)  #: question name -> not before
    _round: Deferred[None] | None = attrs.field(default=None, init=False)  #: the round under way
    _loop: LoopingCall | None = attrs.field(default=None, init=False)  #: starts the rounds

    def startService(self) -> None:
        """Start with the stored answers."""
        Service.startService(self)
        self.reconfigure(self._known)
        self._loop = LoopingCall(self._look)
        self._loop.clock = self._clock
        _ = self._loop.start(EVERY)

    def stopService(self) -> Deferred[None] | None:
        """Cancel the fetch under way. It is repeated after the next start."""
        Service.stopService(self)
        if self._loop is not None:
            self._loop.stop()
        if self._round is None:
            return None
        ended: Deferred[None] = Deferred()
        _ = self._round.addBoth(lambda _: ended.callback(None))
        self._round.cancel()
        return ended

    def reconfigure(self, known: Sequence[RevocationAnswer]) -> None:
        """Use the current configuration and its stored answers *known*.

        Its anchors get every answer known so far, and every question is asked again.
        """
        config, self._known = self._live.config, ()
        self._questions = revocation_cache.list_revocation_questions(config)
        before = {one.question.name: one for one in known}
        asked = {question.name for question in self._questions}
        mine = {name: one for name, one in self._heard.items() if name in asked}
        self._heard = before | mine
        self._rests, self._asked = {}, set()
        revocation_cache.set_revocation_answers(config, self._heard.values())

    def _look(self) -> None:
        if self._round is None and self._live.config.sources:
            self._round = Deferred.fromCoroutine(self._ask_all())
            _ = self._round.addErrback(_report_broken_fetch).addBoth(self._done)

    def _done(self, _result: object) -> None:
        self._round = None

    async def _ask_all(self) -> None:
        config = self._live.config
        for question in self._questions:
            name = question.name
            known, now = self._heard.get(name), self._now()
            due = crl_ocsp.choose_next_fetch(known.at, known.said.begins, known.said.ends) if known else now
            if now < self._rests.get(name, now) or (now < due and name in self._asked):
                continue
            found = await self._ask(question, known)
            if config is not self._live.config:
                return  # a reload came between: the next round uses the new questions
            if found is None:
                self._rests[name] = self._now() + REST
                continue
            self._heard[name] = found
            self._asked.add(name)
            revocation_cache.set_revocation_answers(config, self._heard.values())
            self.on_heard(list(self._heard.values()))

    async def _ask(self, question: RevocationQuestion, known: RevocationAnswer | None) -> RevocationAnswer | None:
        """Return the first usable answer of the question's URLs, or None."""
        for url in question.urls:
            try:
                octets = await self._fetch(self._live.config.anchors, question, url)
                now = self._now()
                found = await self._work(HUB, len(octets), _read_revocation_answer, question, octets, known, now)
                await self._work(
                    HUB,
                    max(len(octets), THRESHOLD),
                    revocation_cache.keep_revocation_answer,
                    self._live.config.data,
                    question,
                    octets,
                    now,
                )
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - any error of the call is logged, and the CA is asked again
                log.warning(
                    "revocation-not-heard",
                    url=url,
                    issuer=_say_issuer(question.issuer),
                    reason=http_client.describe_connection_error(error),
                )
                continue
            times = {"issued": found.said.begins.isoformat(), "due": found.said.ends and found.said.ends.isoformat()}
            log.info("revocation-heard", url=url, issuer=_say_issuer(question.issuer), **times)
            return found
        return None


def make_network_fetch(reactor: Any, now: Callable[[], datetime]) -> Fetch:
    """Return a `Fetch` over the network.

    It raises any error of the call, and `RevocationUnusable` for a status other than 200.
    """

    async def exchange(anchors: Anchors, question: RevocationQuestion, url: str) -> bytes:
        host = urlsplit(url).hostname or ""

        def check(shown: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
            anchors.check(shown, now(), above, purpose=Purpose.SERVER, unknown=RevocationRule.ALLOW)
            tls.check_host(shown, host)

        context = http_client.SharedTlsContext(tls.make_tls_context(None, check))
        client = HttpClient(reactor, context, PATIENCE, guarded=True)
        if question.certificate is None:
            answer = await client.exchange("GET", url, (), b"", LARGEST_CRL)
        else:
            asked = crl_ocsp.build_ocsp_request(question.certificate, question.issuer)
            answer = await client.exchange("POST", url, _OCSP_HEADERS, asked, crl_ocsp.LARGEST_ANSWER)
        if answer.status != 200:
            raise RevocationUnusable(f"HTTP {answer.status}")
        return answer.body

    async def fetch(anchors: Anchors, question: RevocationQuestion, url: str) -> bytes:
        return await Deferred.fromCoroutine(exchange(anchors, question, url)).addTimeout(PATIENCE, reactor)

    return fetch


def _read_revocation_answer(
    question: RevocationQuestion, octets: bytes, known: RevocationAnswer | None, now: datetime
) -> RevocationAnswer:
    """Return the answer in *octets*. Raises `RevocationUnusable`.

    An answer older than *known* is refused, because an old CRL may be replayed.
    """
    said = question.read(octets, now)
    if flaw := said.flaw(now):
        raise RevocationUnusable(str(flaw))
    if known is not None and said.begins < known.said.begins:
        raise RevocationUnusable(f"it is of {said.begins:%Y-%m-%d %H:%M}, older than what is known")
    return RevocationAnswer(question, now, said)


def _say_issuer(issuer: x509.Certificate) -> str:
    return issuer.subject.rfc4514_string()


def _report_broken_fetch(failure: Any) -> None:
    if not failure.check(CancelledError):
        log.error("inquiry-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
