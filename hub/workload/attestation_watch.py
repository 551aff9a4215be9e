"""Looks while the hub runs whether somebody edited the database behind its back: closed months, and facts.

Each minute some closed months are compared with what the hub's key attests, and the findings of before again; each night a
drawn part of the facts with their events. What is found is kept (`hub.keeping.tamper_findings`), so that readiness,
alerts and pages say so. At its first start over a journal of an earlier version it attests the months that are closed.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
import structlog
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime

from hub.domain.local_time import HANOI
from hub.domain.model import Detail
from hub.journal import events, nodes
from hub.journal.fact_reading import fact_rows
from hub.keeping import fact_audit, tamper_findings
from hub.keeping.fact_audit import FactFault, FactFinding, FactStep
from hub.keeping.tamper_findings import KeptFinding
from hub.language.phrases import phrases
from hub.report.counting.marks import Tampering
from hub.report.form.book import Book
from hub.runtime.periodic import PeriodicService
from hub.security.attesting import remember_certificate
from hub.security.certificates import Signer
from hub.store.batch_commit import Journal
from hub.store.report_pool import ReportReader
from hub.store.transactions import Transaction
from hub.workload import attestations

log = structlog.get_logger()

#: Closed months that are compared in one round, of about 8 ms each for a province of a thousand units.
MONTHS = 12
#: Steps of facts, and of their events, that are compared in one night, of `fact_audit.STEP` each.
NIGHTLY = 150
#: The hour of the night, in Hà Nội.
_HOUR = 2
#: How the places of findings begin: that an attestation is missing, and of facts.
LOST, FACT = "closing   ", "fact "


@attrs.define(eq=False)
class AttestationWatch(PeriodicService):
    """Compares what is stored with what is attested, and keeps outside the database the head of the attestations, and the
    certificates that the hub has had.
    """

    every = 60.0
    failure = "closed-months-not-compared"

    _journal: Journal
    _clock: IReactorTime
    _now: Callable[[], datetime]
    _signer: Callable[[], Signer]
    _book: Callable[[], Book]
    _begun: bool = attrs.field(default=False, init=False)
    _kept: attestations.AttestationHead | None = attrs.field(default=None, init=False)
    _remembered: bytes = attrs.field(default=b"", init=False)  #: the last certificate that was remembered
    _left: list[tuple[str, str]] = attrs.field(factory=list, init=False)  #: months of this round's list
    _night: object = attrs.field(default=None, init=False)  #: the day whose facts were compared
    _count: int = attrs.field(default=0, init=False)

    async def work(self) -> None:
        """Compare some months, and at night some facts."""
        trust = self._book().trust
        head = None if trust is None else trust.head
        if trust is not None and trust.own is not None and trust.certificate != self._remembered:
            remember_certificate(trust.own, trust.certificate)
            self._remembered = trust.certificate
        if not self._begun:
            await self._begin(None if head is None else attestations.read_kept_head(head))
            self._begun = await self._journal.read(attestations.has_begun)
        lost = await self._journal.read(self._find_lost)
        await self._keep([LOST], map(tamper_findings.keep_closing_finding, lost))
        if head is not None and not lost:
            found = await self._journal.read(attestations.read_head)
            if found.number and found != self._kept:
                attestations.keep_head(head, found)
                self._kept = found
        if not self._left:
            self._left = await self._journal.read(attestations.list_attested_months)
        some, self._left = self._left[:MONTHS], self._left[MONTHS:]
        for form, period in some:
            if self.stopping:
                return
            edited = await self._journal.read(attestations.find_tampering, trust, form, [period])
            await self._keep([f"closing {form} {period} "], map(tamper_findings.keep_closing_finding, edited))
        await self._compare_facts()
        self._count = await self._journal.read(tamper_findings.count_findings)

    async def _begin(self, kept: attestations.AttestationHead | None) -> None:
        """Attest what an earlier version has closed, a month at a time, unless attestations have begun, or a node of an
        earlier version still runs.
        """
        if await self._journal.read(attestations.has_begun):
            return
        if await self._journal.read(attestations.find_lost_attestations, kept):
            return
        schemas = await self._journal.read(nodes.read_live_schemas, self._now())
        if any(schema < attestations.SCHEMA for schema in schemas.values()):
            return  # a node of an earlier version may close a month without an attestation
        months = await self._journal.read(attestations.list_unattested_months)
        for form, period in months:
            await self._journal.write(attestations.adopt_month, self._signer(), form, period, self._now())
        await self._journal.write(attestations.begin_attestations, self._signer(), self._now())
        log.info("attestations-begun", months=len(months))

    def _find_lost(self, tx: Transaction) -> Sequence[Tampering]:
        trust = self._book().trust
        kept = None if trust is None or trust.head is None else attestations.read_kept_head(trust.head)
        return attestations.find_lost_attestations(tx, kept)

    async def _compare_facts(self) -> None:
        """Look again at the facts that were found before; once a night, compare a drawn part of all."""
        known = await self._journal.read(tamper_findings.list_fact_findings)
        if known:
            await self._keep([FACT], await self._journal.read(_look_again, known))
        night = (self._now() - timedelta(hours=_HOUR)).astimezone(HANOI).date()
        if self._night in (None, night):  # not in the first minutes of a hub
            self._night = night
            return
        self._night = night
        draw = secrets.token_hex(4)
        for compare in (compare_drawn_facts, compare_drawn_events):
            place: Any = draw
            for _ in range(NIGHTLY):
                step = await self._read(compare, place)
                if step.findings:
                    found = await self._journal.write(_add_facts, step.findings, self._now())
                    log.critical("facts-forged", new=found)
                if step.after is None:
                    break
                place = step.after

    async def _read(self, step: Callable[..., FactStep], place: object) -> FactStep:
        """Run *step* in a separate process. A stop of the service ends it."""
        reader = ReportReader("?facts", lambda: not self.stopping, longest=None, background=True)
        found = await self._journal.read_report(reader, step, place)
        if self.stopping:
            raise CancelledError
        return found

    async def _keep(self, begin: Sequence[str], found: Iterable[KeptFinding]) -> None:
        """Keep *found* instead of the findings whose places begin so; writes only if something has changed."""
        there = list(found)
        if await self._journal.read(tamper_findings.has_same_findings, begin, there):
            return
        new = await self._journal.write(tamper_findings.replace_findings, begin, there, self._now())
        for each in new:
            log.critical("tampering-found", place=each.place)

    def describe_findings(self) -> Detail:
        """Return how many findings there are; empty if there is none."""
        if not self._count:
            return ""
        return phrases(
            "{count} place was edited in the database: lienthong db verify",
            "{count} places were edited in the database: lienthong db verify",
            count=self._count,
        )


def _look_again(tx: Transaction, known: Sequence[KeptFinding]) -> list[KeptFinding]:
    """Return those of the findings *known* about facts that still hold."""
    stored = fact_rows.read_facts_by_key(tx, [(each.unit, each.service, each.key, each.milestone) for each in known])
    wrong = {
        tamper_findings.keep_fact_finding(each) for each in fact_audit.compare_given_facts(tx, list(stored.values()))
    }
    removed = {each for each in known if each.part == FactFault.REMOVED and _name_found(each) not in stored}
    return sorted(wrong | removed)


def _name_found(found: KeptFinding) -> fact_rows.Key:
    return found.unit, found.service, found.key, found.milestone


def _add_facts(tx: Transaction, found: Sequence[FactFinding], now: datetime) -> int:
    """Keep *found* beside the findings that are kept. Return how many are new."""
    kept = [tamper_findings.keep_fact_finding(each) for each in found]
    return len(tamper_findings.replace_findings(tx, [each.place for each in kept], kept, now))


def compare_drawn_facts(tx: Transaction, place: object) -> FactStep:
    """Compare facts behind *place*, or, where it is a draw, behind that of a unit that it chooses."""
    if isinstance(place, str):
        units = fact_rows.list_fact_units(tx, None)
        place = (units[int(place, 16) % len(units)], "", "", "") if units else None
    return fact_audit.compare_facts(tx, place)  # type: ignore[arg-type]


def compare_drawn_events(tx: Transaction, place: object) -> FactStep:
    """Compare events of facts behind *place*, or, where it is a draw, behind one that it chooses."""
    if isinstance(place, str):
        last, _ = events.read_chain_head(tx)
        place = int(place, 16) % max(last, 1)
    return fact_audit.compare_fact_events(tx, place)  # type: ignore[arg-type]
