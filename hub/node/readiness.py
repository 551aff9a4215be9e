"""Readiness of a node: each check's code, how the parts are measured, when it is told; not how it is served."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import attrs
import structlog
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from hub.config import Config
from hub.domain.fair_queue import HUB
from hub.domain.model import Detail
from hub.domain.writer_budget import WriterReading, write_percent
from hub.journal import events
from hub.journal.nodes import PendingRestart
from hub.language.phrases import phrase
from hub.node import consistency
from hub.node.workers.pool import WorkerPool
from hub.runtime import disk_space
from hub.runtime.descriptors import SHORTAGE
from hub.runtime.thread_pool import Work
from hub.store import schema_version, transactions
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.province import Province

log = structlog.get_logger()

T = TypeVar("T")

#: An event that has waited longer than this for its number in the chain makes the node not ready.
CHAIN_LAG = timedelta(seconds=30)
#: Cost estimate for the thread pool: checking one partner's certificates costs as much as parsing this many octets of
#: XML.
_CHECK = 2048
#: Seconds for which a result is shared. However many callers ask within this time, the hub is measured once.
SHARED = 1.0
#: The same for a readiness in which a check was not made yet: a node that has just started is ready as soon as it was.
_SHARED_UNKNOWN = 0.1

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


def _journal_state(tx: Transaction) -> tuple[str | None, str | None]:
    """Return the schema's version if this program cannot use it, else None; and the oldest unchained event's time."""
    if not schema_version.is_schema_supported(tx):
        return transactions.select_schema_version(tx) or "-", None
    return None, events.read_oldest_unchained(tx)
