"""Receives syslog over TLS (RFC 5425). Lines about incidents go to the journal; all other lines are only counted.

Syslog has no acknowledgement. So the listener keeps the lines it has read until they are committed, one after another,
and reads nothing more from that connection meanwhile: TCP backpressure makes the sender wait, and the sender keeps the
rest. Handles connections and rules; contains no SQL.

Worst cost of one turn of the reactor: `SLICE` octets cut into messages, and the messages that one turn may handle
(`TURN`). It takes as long as ten RSA-2048 signatures (3 ms). Then the reactor serves other work.
"""

import hashlib
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, cast

import attrs
import structlog
from cryptography import x509
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from hub.config import ANY, Partner
from hub.domain.errors import Rejected, Unready
from hub.domain.fair_queue import STRANGERS, Owner
from hub.domain.ids import make_id
from hub.domain.model import Event, Problem
from hub.formats import syslog
from hub.formats.syslog import SEVERITIES, Stream, SyslogLine, Unframed
from hub.intake.admission import judge_own_packet, judge_record
from hub.intake.endpoint import JournalAccess
from hub.intake.grants import is_granted, refuse_ungranted
from hub.journal import events, messages
from hub.journal.effects import MessageEntry, RecordedMessage
from hub.journal.sequels import incident_durations
from hub.runtime.peer_check import read_peer_certificates
from hub.security.anchors import Purpose
from hub.security.certificates import hash_certificate
from hub.services.incidents import OPENED, SERVICE, Incident, notice, parse_incident_line, read_incident
from hub.store.transactions import Transaction
from hub.units.live import Live
from hub.units.routing import Routes

log = structlog.get_logger()

#: maximum number of connections; one more closes the oldest without a handshake, or else is closed itself at once
MOST = 500
GREETING = 20  #: time limit of the handshake, in seconds
SLICE = 4096  #: octets cut into messages in one turn
#: One turn handles messages of at most `TURN` octets in total; each message counts `EACH` octets more than it has.
TURN, EACH = 32 * 1024, 512
AGAIN = 1.0  #: seconds before a line that could not be committed is tried again


class LineOutcome(StrEnum):
    """The outcome of a line, or of a connection."""

    INCIDENT = "incident"
    REPEATED = "repeated"
    REFUSED = "refused"
    OTHER = "other"
    UNREADABLE = "unreadable"
    FAILED = "failed"
    UNFRAMED = "unframed"  #: the connection was closed because its framing was broken
    STRANGER = "stranger"  #: the certificate is no longer valid; not counted


#: The outcomes that are counted.
COUNTED = tuple(each for each in LineOutcome if each is not LineOutcome.STRANGER)


@attrs.define(eq=False)
class SyslogListener(Service):
    """Receives syslog for one node."""

    live: Live  #: the current configuration and province
    _access: JournalAccess  #: journals incidents and refusals
    clock: Any  #: the reactor, which times handshakes and retries
    _now: Callable[[], datetime]  #: returns the current time in UTC
    counts: Counter[LineOutcome] = attrs.field(factory=Counter, init=False)  #: lines by outcome (`COUNTED`)
    _connections: dict["SyslogConnection", None] = attrs.field(factory=dict, init=False)  #: the oldest first

    def factory(self) -> Factory:
        """Return the factory of the protocol."""
        return cast("Factory", Factory.forProtocol(partial(SyslogConnection, self)))

    def stopService(self) -> Deferred[None]:
        """Stop reading. Lines already read are committed, if the journal accepts them at once."""
        Service.stopService(self)
        ending = [connection.finish() for connection in list(self._connections)]
        return DeferredList(ending).addCallback(lambda _: None)

    def register(self, connection: "SyslogConnection") -> bool:
        """Register *connection* and return whether there was room for it. At the limit, the oldest connection that is
        not authenticated yet is closed to make room.
        """
        if len(self._connections) >= MOST:
            nobodys = next((each for each in self._connections if each.is_unauthenticated), None)
            if nobodys is not None:
                self.forget(nobodys)
                _ = nobodys.finish()
        if len(self._connections) >= MOST or not self.running:
            return False
        self._connections[connection] = None
        return True

    def forget(self, connection: "SyslogConnection") -> None:
        """Forget a connection that is closed and has no lines left to process."""
        self._connections.pop(connection, None)

    def list_connections(self) -> "list[SyslogConnection]":
        """Return every open connection."""
        return list(self._connections)

    def identify_partner(self, shown: x509.Certificate) -> Partner | None:
        """Return the partner that owns the certificate *shown*.

        For an unknown or invalid certificate, journal the refusal and return None.
        """
        province, now, mark = self.live.province, self._now(), hash_certificate(shown)
        partner, problem = province.partner_with(shown), Problem("certificate-unknown", mark)
        if partner is not None:
            try:
                province.config.anchors.check(shown, now, purpose=Purpose.CLIENT, unknown=partner.policy.revocation)
            except Rejected as rejected:
                problem = rejected.problems[0]
            else:
                return partner
        said = {"certificate": mark, "code": problem.code, "detail": f"syslog: {problem.detail}"[:200]}
        written = self._access.journal.admit(
            STRANGERS, events.append_events, Event("call-refused", now, None, None, said)
        )
        _ = written.addErrback(lambda failure: log.warning("refusal-not-kept", error=failure.getErrorMessage(), **said))
        return None

    async def process_line(self, octets: bytes, shown: x509.Certificate) -> LineOutcome:
        """Process one line, however long it takes, and return the counter to increment. Returns `stranger` if the
        certificate *shown* is no longer valid.
        """
        try:
            line = syslog.read_syslog_message(octets)
        except ValueError:
            return LineOutcome.UNREADABLE
        if self.live.config.incidents.rules.judge(line) is None:
            return LineOutcome.OTHER
        if (partner := self.identify_partner(shown)) is None:  # checked again: the connection may be old
            return LineOutcome.STRANGER
        try:
            judged = await self._access.work(Owner(partner.code), len(octets), self._judge, octets, line, partner)
            return await self._keep(*judged)
        except CancelledError:
            raise
        except Exception:  # the next try would fail likewise and block the lines behind it
            log.exception("syslog-broke", partner=partner.code)
            return LineOutcome.FAILED

    def _judge(self, octets: bytes, line: SyslogLine, partner: Partner) -> tuple[MessageEntry, MessageEntry | None]:
        """Return the entry of the line about an incident, and the entry of its report, if one is due."""
        province, now = self.live.province, self._now()
        if not is_granted(partner, province.config, SERVICE.name):
            entry = MessageEntry(
                id=make_id(now),
                partner=partner.code,
                message_id=None,
                service=SERVICE.name,
                received_at=now,
                content=octets,
                sha256=hashlib.sha256(octets).hexdigest(),
                problems=(refuse_ungranted(SERVICE.name),),
            )
            return entry, None
        told = province.config.incidents
        who_is = partial(_who_is, province.routes, partner)
        service = attrs.evolve(SERVICE, read=partial(read_incident, rules=told.rules, who_is=who_is))
        entry = judge_record(service, octets, None, partner.code, province, now, make_id(now))
        if entry.problems:
            return entry, None
        incident = parse_incident_line(line, now, told.rules, who_is)
        return entry, self._report(attrs.evolve(incident, unit=province.routes.canonical(incident.unit)), now)

    def _report(self, incident: Incident, now: datetime) -> MessageEntry | None:
        """Return the packet that reports a new incident to the agencies, if its severity is at least the configured
        one; else None.
        """
        told, routes = self.live.config.incidents, self.live.province.routes
        if incident.kind != OPENED or not told.report_to or SEVERITIES.index(incident.severity) > told.report_severity:
            return None
        names = routes.names((incident.unit, told.report_from, *told.report_to))
        content = notice.write_incident_packet(incident, told.report_from, told.report_to, now, names)
        return judge_own_packet(
            content, f"incident:{incident.unit}:{incident.id}", self.live.province, now, make_id(now)
        )

    async def _keep(self, entry: MessageEntry, report: MessageEntry | None) -> LineOutcome:
        while True:
            try:
                self._access.require_space()
                taken = await self._access.journal.admit(
                    Owner(entry.partner), record_incident, entry, report, self.live.province.routes
                )
            except Unready as unready:
                log.warning("syslog-waits", partner=entry.partner, reason=unready.problem.code)
                await deferLater(self.clock, AGAIN)
                continue
            if taken.problems:
                log.info("message-refused", message=taken.id, partner=entry.partner, code=taken.problems[0].code)
                return LineOutcome.REFUSED
            if report is not None and report.problems:
                log.error("incident-not-reported", message=taken.id, code=report.problems[0].code)
            self._access.on_accepted()
            return LineOutcome.INCIDENT if taken.id == entry.id else LineOutcome.REPEATED


def record_incident(
    tx: Transaction, entry: MessageEntry, report: MessageEntry | None, routes: Routes
) -> RecordedMessage:
    """Journal the incident of *entry*. Journal its *report* in the same transaction, if the entry is the one that opens
    the incident.
    """
    known = None
    if report is not None and entry.record is not None:
        known = incident_durations.find_incident_fact(tx, entry.record.sender, entry.record.keys[0], OPENED)
    taken = messages.record_message(tx, entry, routes)
    if report is not None and not taken.problems and (known is None or known.message == entry.id):
        _ = messages.record_message(tx, report, routes)
    return taken


def _who_is(routes: Routes, partner: Partner, unit: str, host: str) -> str:
    """Return the unit that a line is about: the one it names, else the one of which its host is an alias, else the only
    unit of its partner, else "".
    """
    if unit or routes.canonical(host) != host:
        return unit or host
    own = [each for each in partner.units if each != ANY]
    return own[0] if len(own) == 1 else ""


@implementer(IHandshakeListener)
class SyslogConnection(Protocol):
    """One connection of a partner."""

    def __init__(self, listener: SyslogListener) -> None:
        self._listener = listener
        self._stream = Stream()
        self._shown: x509.Certificate | None = None  #: None before the handshake, and for an unknown sender
        self._came = bytearray()  #: received, not cut into lines yet
        self._waiting: deque[bytes] = deque()
        self._working: Deferred[None] | None = None
        self._greeting: Any = None
        self._told = False

    @property
    def is_unauthenticated(self) -> bool:
        """Return whether the connection is not authenticated: before the handshake, or with the certificate of an
        unknown sender.
        """
        return self._shown is None and self._working is None

    def read_peer(self) -> tuple[x509.Certificate, ...]:
        """Return the certificate that the sender showed, and what it sent above it. Nothing before the handshake."""
        return read_peer_certificates(self.transport)

    def part(self) -> None:
        """Read no further line, and close the connection. Lines that were read are processed."""
        self._abort()

    def connectionMade(self) -> None:
        """Wait for the handshake, at most `GREETING` seconds."""
        if not self._listener.register(self):
            self._abort()
            return
        self._greeting = self._listener.clock.callLater(GREETING, self._abort)

    def handshakeCompleted(self) -> None:
        """Identify the partner; close the connection of an unknown sender."""
        if self._greeting is not None and self._greeting.active():
            self._greeting.cancel()
        shown = cast("Any", self.transport).getPeerCertificate().to_cryptography()
        if self._listener.identify_partner(shown) is None:
            self._abort()
        else:
            self._shown = shown

    def dataReceived(self, data: bytes) -> None:
        """Cut the received octets into lines, and pause reading until the lines are processed."""
        if self._shown is None:
            return
        self._came += data
        if self._working is None:
            self._cut(self._shown)
        if (self._waiting or self._came) and self._working is None:
            cast("Any", self.transport).pauseProducing()
            self._working = Deferred.fromCoroutine(self._work(self._shown))
            _ = self._working.addErrback(_report_broken_line).addCallback(self._worked)

    def _cut(self, shown: x509.Certificate) -> None:
        """Cut the next `SLICE` of the received octets into lines."""
        octets = bytes(self._came[:SLICE])
        del self._came[:SLICE]
        try:
            self._waiting.extend(self._stream.feed(octets))
        except Unframed as unframed:
            self._came.clear()
            self._listener.counts[LineOutcome.UNFRAMED] += 1
            log.warning("syslog-unframed", certificate=hash_certificate(shown), reason=str(unframed))
            self._abort()

    async def _work(self, shown: x509.Certificate) -> None:
        done = 0
        while self._waiting or self._came:
            done += EACH + len(self._waiting[0] if self._waiting else self._came[:SLICE])
            if done > TURN:
                done = 0
                await deferLater(self._listener.clock, 0)
            if not self._waiting:
                self._cut(shown)
                continue
            became = await self._listener.process_line(self._waiting[0], shown)
            if became is LineOutcome.STRANGER:
                self._shown = None
                self._came.clear()
                self._waiting.clear()
                self._abort()
                return
            if became is LineOutcome.UNREADABLE and not self._told:
                self._told = True
                log.warning("syslog-unreadable", certificate=hash_certificate(shown), line=repr(self._waiting[0][:100]))
            self._listener.counts[became] += 1
            _ = self._waiting.popleft()

    def _worked(self, _: object) -> None:
        self._working = None
        if self.connected:
            cast("Any", self.transport).resumeProducing()
        else:
            self._listener.forget(self)

    def finish(self) -> Deferred[None]:
        """Close the connection. The result fires when the lines already received are journalled, or cannot be."""
        self._abort()
        ended: Deferred[None] = Deferred()
        if self._working is None:
            ended.callback(None)
        else:
            _ = self._working.addBoth(lambda _: ended.callback(None))
            self._listener.clock.callLater(2 * AGAIN, self._give_up)
        return ended

    def _give_up(self) -> None:
        if self._working is not None and not self._working.called:
            log.error("syslog-lost", lines=len(self._waiting), octets=len(self._came))
            self._came.clear()
            self._waiting.clear()
            self._working.cancel()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Process the lines that were already received."""
        if self._greeting is not None and self._greeting.active():
            self._greeting.cancel()
        if self._working is None:
            self._listener.forget(self)

    def _abort(self) -> None:
        cast("Any", self.transport).abortConnection()


def _report_broken_line(failure: Failure) -> None:
    if not failure.check(CancelledError):
        log.error("syslog-failed", error=failure.getErrorMessage(), traceback=failure.getTraceback())
