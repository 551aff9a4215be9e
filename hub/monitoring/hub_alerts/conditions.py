"""The conditions of which the hub tells operators. Each is a pure function of values that were read.

Reads nothing and tells nobody: `readings` reads the values, `hub.keeping.hub_alerts` keeps what is raised.

A sentence about a condition has codes, numbers and times only: no text of a partner, no name of a person.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import attrs

from hub.config.alerting.operator_alerts import AlertLimits
from hub.config.upkeep.backup import find_longest_age
from hub.domain.alert_severity import AlertSeverity
from hub.domain.writer_budget import WriterReading, write_percent
from hub.keeping.hub_alerts import HubAlertKey, MetCondition
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.report.output.reminder import ReturnedReports
from hub.security.certificates import RENEWAL
from hub.services.links.probes import LinkState

#: What the sentence about a condition says.
ConditionValues = dict[str, str | int]


class ConditionKind(StrEnum):
    """What a condition is about."""

    PARTNER_DOWN = "partner-down"  #: the hub cannot bring messages to a partner
    LINK_DOWN = "link-down"  #: a probed host that is no partner does not answer
    DEAD_LETTERS = "dead-letters"  #: deliveries to a partner will not be tried again unless a person acts
    SUSPENDED = "suspended-deliveries"  #: deliveries to a partner wait for a person's decision
    WAITING = "waiting-long"  #: the oldest delivery to a partner waits too long
    CERTIFICATE = "certificate"  #: a certificate ends soon, or has ended
    CRL = "crl-stale"  #: the revocation list of a CA is overdue
    DISK = "disk-low"  #: a disk that the hub writes to has little room
    RETURNED = "returned-reports"  #: the next month is about to close, and reports of the last one are returned
    CHAIN = "chain-behind"  #: events wait for their number and hash
    NODE = "node-lost"  #: a node writes no heartbeat, and was not stopped
    BACKUP = "backup-old"  #: the last good backup is too old, or the last try failed
    BUDGET = "budget-tight"  #: the database has used most of its budget, or soon will have
    RETENTION = "retention-late"  #: what was announced to go should have gone some days ago
    RECEIPTS = "receipts-awaited"  #: messages that have a receipt are missing since a restore
    EDITED = "figures-edited"  #: a closed month or a fact is not as the hub wrote it
    RESTART = "restart-pending"  #: a changed setting of a node takes effect only when it is restarted
    WRITER = "writer-busy"  #: a node's writer is always busy, or a partner has more than its share of it


@attrs.frozen(kw_only=True)
class LinkReading:
    """A link as one node sees it."""

    name: str
    state: str  #: up · down · silent
    since: datetime


@attrs.frozen(kw_only=True)
class WaitingReading:
    """The undelivered deliveries to one partner."""

    waiting: int = 0  #: deliveries that are to be pushed
    oldest: datetime | None = None  #: of these
    dead: int = 0
    suspended: int = 0


@attrs.frozen(kw_only=True)
class CertificateReading:
    """A certificate that must be renewed in time."""

    owner: str  #: hub · partner · authority
    name: str  #: the key of `hub.toml`, the code of the partner, or the name of the CA
    end: datetime


@attrs.frozen(kw_only=True)
class DiskReading:
    """One file system that the node writes to."""

    place: str
    free: int  #: octets
    needed: int  #: below this the hub accepts nothing


@attrs.frozen(kw_only=True)
class BackupReading:
    """How well the journal is backed up, where backups are made."""

    every: timedelta | None  #: between two; None: only persons make them
    last_good: datetime | None  #: the moment of its journal; None: there is none
    failed_at: datetime | None  #: when the last one failed; None: it did not, or there is none


@attrs.frozen(kw_only=True)
class BudgetReading:
    """How much of its budget the database uses."""

    used: int  #: octets
    budget: int
    days: int | None  #: until it is used up; None: not known
    tight: bool


@attrs.frozen(kw_only=True)
class AnnouncedReading:
    """The part that should have gone first, of those that are announced or going."""

    month: str  #: such as `2026-08`
    due: datetime


@attrs.frozen(kw_only=True)
class SharedReadings:
    """What is the same for all nodes: read by the one that leads."""

    partners: frozenset[str]  #: codes of the configuration
    breakers: Mapping[str, Breaker]  #: by partner
    paused: frozenset[str]  #: partners to which sending is paused
    links: Sequence[LinkReading]
    deliveries: Mapping[str, WaitingReading]  #: by partner
    last_dead: Mapping[str, datetime]  #: when the last delivery to each partner died
    last_suspended: Mapping[str, datetime]
    certificates: Sequence[CertificateReading]  #: of partners and CAs
    returned: Sequence[ReturnedReports] | None  #: None: not read this time
    backup: BackupReading | None  #: None: no backups are configured
    edited: int  #: places of closed months, and facts, that somebody edited in the database
    lost_receipts: int  #: messages that a restored journal lacks, and that have not come again; 0: not read, or none
    budget: BudgetReading | None  #: None: there is no budget, or it was not read this time
    announced: AnnouncedReading | None  #: None: nothing is to go
    unchained_since: datetime | None  #: the time of the oldest event without a number
    lost_nodes: Mapping[str, tuple[str, datetime]]  #: host, and time of the last heartbeat, of each node not stopped
    pending: Mapping[str, tuple[str, tuple[str, ...]]]  #: host, and the settings that wait for a restart, by node


@attrs.frozen(kw_only=True)
class NodeReadings:
    """What each node has for itself."""

    node: str
    certificates: Sequence[CertificateReading]  #: the hub's own, as this node has them
    stale_issuers: Sequence[str]  #: CAs whose revocation data are overdue
    disks: Sequence[DiskReading]
    writer: WriterReading = attrs.field(factory=WriterReading)


#: Days before its end at which a certificate is told of, and how grave that is.
CERTIFICATE_DAYS = ((1, AlertSeverity.CRITICAL), (7, AlertSeverity.ERROR), (RENEWAL.days, AlertSeverity.WARNING))
#: What was announced goes in the night after its day. So long after that day it stands still.
RETENTION_LATE = timedelta(days=2)
#: Consecutive openings of a breaker after which its partner is down: the first, and the probe after it that failed.
_OPENINGS = 2


def find_partners_down(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each partner that messages cannot be brought to: a probe of its breaker failed too, or its link is down."""
    broken = {
        code
        for code, each in found.breakers.items()
        if each.position is not BreakerPosition.CLOSED and each.opened >= _OPENINGS
    }
    down = {name for name in _list_links_down(found, limits, now) if name in found.partners}
    for code in sorted((broken & found.partners) | down):
        yield _make_met_condition(ConditionKind.PARTNER_DOWN, code, AlertSeverity.ERROR, {"partner": code})


def find_links_down(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each probed host that is no partner and that no node reaches."""
    for name in sorted(_list_links_down(found, limits, now)):
        if name not in found.partners:
            yield _make_met_condition(ConditionKind.LINK_DOWN, name, AlertSeverity.WARNING, {"link": name})


def _list_links_down(found: SharedReadings, limits: AlertLimits, now: datetime) -> set[str]:
    """Return the links that every node which reports them has seen down for long enough."""
    seen: dict[str, bool] = {}
    for each in found.links:
        if each.state in {LinkState.UP, LinkState.DOWN}:
            down = each.state == LinkState.DOWN and now - each.since >= limits.link_down
            seen[each.name] = seen.get(each.name, True) and down
    return {name for name, down in seen.items() if down}


def find_dead_letters(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each partner with dead letters. One that died after the acknowledgement is told of again."""
    del limits, now
    for code, last in sorted(found.last_dead.items()):
        count = found.deliveries.get(code, WaitingReading())
        values: ConditionValues = {"partner": code, "count": count.dead}
        yield _make_met_condition(
            ConditionKind.DEAD_LETTERS, code, AlertSeverity.ERROR, values, mark=_write_instant(last)
        )


def find_suspended_deliveries(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each partner with deliveries that wait for a person's decision."""
    del limits, now
    for code, last in sorted(found.last_suspended.items()):
        count = found.deliveries.get(code, WaitingReading())
        values: ConditionValues = {"partner": code, "count": count.suspended}
        yield _make_met_condition(
            ConditionKind.SUSPENDED, code, AlertSeverity.WARNING, values, mark=_write_instant(last)
        )


def find_long_waiting(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each partner whose oldest delivery has waited too long. Graver when it has waited a day."""
    for code, each in sorted(found.deliveries.items()):
        if each.oldest is None or now - each.oldest < limits.waiting:
            continue
        grave = now - each.oldest >= max(timedelta(days=1), 2 * limits.waiting)
        severity = AlertSeverity.ERROR if grave else AlertSeverity.WARNING
        values: ConditionValues = {
            "partner": code,
            "count": each.waiting,
            "oldest": _write_instant(each.oldest),
        }
        values["paused"] = int(code in found.paused)
        yield _make_met_condition(ConditionKind.WAITING, code, severity, values)


def find_ending_certificates(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each certificate of a partner or CA that ends within 30 days: graver at 7 days, and at 1 day or later."""
    del limits
    yield from _find_ending(found.certificates, "", now)


def find_ending_own_certificates(found: NodeReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each of the hub's own certificates that ends within 30 days, as this node has them."""
    del limits
    yield from _find_ending(found.certificates, found.node, now)


def _find_ending(certificates: Sequence[CertificateReading], node: str, now: datetime) -> Iterator[MetCondition]:
    for each in certificates:
        for days, severity in CERTIFICATE_DAYS:
            if each.end - now <= timedelta(days=days):
                kind, about = ConditionKind.CERTIFICATE, f"{each.owner} {each.name}"
                values: ConditionValues = {"owner": each.owner, "name": each.name, "end": _write_instant(each.end)}
                yield _make_met_condition(kind, about, severity, values, node=node)
                break


def find_returned_reports(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each form whose next month is about to close while reports of the last closed one are returned."""
    for each in found.returned or ():
        if each.count and now >= each.closes_at - limits.closing:
            values: ConditionValues = {
                "form": each.form,
                "period": each.period,
                "count": each.count,
                "closes": _write_instant(each.closes_at),
            }
            yield _make_met_condition(
                ConditionKind.RETURNED, f"{each.form} {each.period}", AlertSeverity.WARNING, values
            )


def find_chain_lag(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield if the oldest event without a number has waited too long."""
    oldest = found.unchained_since
    if oldest is not None and now - oldest >= limits.chain:
        yield _make_met_condition(ConditionKind.CHAIN, "", AlertSeverity.ERROR, {"oldest": _write_instant(oldest)})


def find_lost_nodes(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each node that has written no heartbeat for too long without having been stopped."""
    for node, (host, seen) in sorted(found.lost_nodes.items()):
        if now - seen >= limits.node_lost:
            yield _make_met_condition(
                ConditionKind.NODE, node, AlertSeverity.ERROR, {"name": host, "seen": _write_instant(seen)}
            )


def find_old_backups(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield if the last backup failed; graver if the last good one is older than twice the interval, a week without one.

    A hub that has tried none yet is left in peace: its first is due within one interval.
    """
    del limits
    backup = found.backup
    if backup is None:
        return
    values: ConditionValues = {"last": _write_instant(backup.last_good) if backup.last_good else ""}
    if backup.last_good is not None and now - backup.last_good > find_longest_age(backup.every):
        yield _make_met_condition(ConditionKind.BACKUP, "", AlertSeverity.ERROR, values)
    elif backup.failed_at is not None:
        severity = AlertSeverity.WARNING if backup.last_good else AlertSeverity.ERROR
        yield _make_met_condition(ConditionKind.BACKUP, "", severity, values)


def find_tight_budgets(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield if the budget of the database is nearly used, or will be soon; graver once it is used up."""
    del limits, now
    budget = found.budget
    if budget is not None and budget.tight:
        severity = AlertSeverity.ERROR if budget.used >= budget.budget else AlertSeverity.WARNING
        values: ConditionValues = {"used": budget.used >> 20, "budget": budget.budget >> 20}
        values |= {"days": -1 if budget.days is None else budget.days}
        yield _make_met_condition(ConditionKind.BUDGET, "", severity, values)


def find_late_retention(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield if what was announced to go, and should have gone days ago, is still there or has gone in part only."""
    del limits
    announced = found.announced
    if announced is not None and now - announced.due >= RETENTION_LATE:
        values: ConditionValues = {"month": announced.month, "due": _write_instant(announced.due)}
        yield _make_met_condition(ConditionKind.RETENTION, "", AlertSeverity.WARNING, values)


def find_lost_receipts(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield if a restored journal lacks messages that have a receipt, until their senders have sent them again."""
    del limits, now
    if found.lost_receipts:
        yield _make_met_condition(ConditionKind.RECEIPTS, "", AlertSeverity.ERROR, {"count": found.lost_receipts})


def find_edited_figures(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield if a closed month or a fact is not as the hub wrote it, until it is again."""
    del limits, now
    if found.edited:
        yield _make_met_condition(ConditionKind.EDITED, "", AlertSeverity.CRITICAL, {"count": found.edited})


def find_pending_restarts(found: SharedReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each node with settings that wait for its restart."""
    del limits, now
    for node, (host, settings) in sorted(found.pending.items()):
        if settings:
            values: ConditionValues = {"name": host, "settings": " ".join(settings)}
            yield _make_met_condition(
                ConditionKind.RESTART, node, AlertSeverity.WARNING, values, mark=" ".join(settings)
            )


def find_stale_crls(found: NodeReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each CA whose revocation data are overdue on this node: nothing of it is trusted until there are newer ones."""
    del limits, now
    for name in sorted(set(found.stale_issuers)):
        yield _make_met_condition(ConditionKind.CRL, name, AlertSeverity.ERROR, {"issuer": name}, node=found.node)


def find_low_disks(found: NodeReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield each disk of this node with little room: critical when the hub accepts nothing because of it."""
    del now
    for each in found.disks:
        if each.free < max(limits.disk, each.needed):
            severity = AlertSeverity.CRITICAL if each.free < each.needed else AlertSeverity.WARNING
            values: ConditionValues = {"place": each.place, "mebibytes": each.free >> 20}
            yield _make_met_condition(ConditionKind.DISK, each.place, severity, values, node=found.node)


def find_busy_writer(found: NodeReadings, limits: AlertLimits, now: datetime) -> Iterator[MetCondition]:
    """Yield if this node's writer is always busy, with who keeps it busy most; and who has more than its share of it."""
    del limits, now
    if found.writer.is_busy:
        first, part = found.writer.first, write_percent(found.writer.first_part)
        values: ConditionValues = {"busy": write_percent(found.writer.busy), "part": part, "owner": first}
        yield _make_met_condition(ConditionKind.WRITER, "", AlertSeverity.ERROR, values, node=found.node)
    for owner in found.writer.held:
        yield _make_met_condition(ConditionKind.WRITER, owner, AlertSeverity.WARNING, {"owner": owner}, node=found.node)


SharedFinder = Callable[[SharedReadings, AlertLimits, datetime], Iterator[MetCondition]]
NodeFinder = Callable[[NodeReadings, AlertLimits, datetime], Iterator[MetCondition]]
#: The conditions of all nodes, and of each node, by kind.
SHARED_CONDITIONS: Mapping[ConditionKind, SharedFinder] = {
    ConditionKind.PARTNER_DOWN: find_partners_down,
    ConditionKind.LINK_DOWN: find_links_down,
    ConditionKind.DEAD_LETTERS: find_dead_letters,
    ConditionKind.SUSPENDED: find_suspended_deliveries,
    ConditionKind.WAITING: find_long_waiting,
    ConditionKind.CERTIFICATE: find_ending_certificates,
    ConditionKind.RETURNED: find_returned_reports,
    ConditionKind.CHAIN: find_chain_lag,
    ConditionKind.NODE: find_lost_nodes,
    ConditionKind.BACKUP: find_old_backups,
    ConditionKind.BUDGET: find_tight_budgets,
    ConditionKind.RETENTION: find_late_retention,
    ConditionKind.RECEIPTS: find_lost_receipts,
    ConditionKind.EDITED: find_edited_figures,
    ConditionKind.RESTART: find_pending_restarts,
}
NODE_CONDITIONS: Mapping[ConditionKind, NodeFinder] = {
    ConditionKind.CERTIFICATE: find_ending_own_certificates,
    ConditionKind.CRL: find_stale_crls,
    ConditionKind.DISK: find_low_disks,
    ConditionKind.WRITER: find_busy_writer,
}


def _make_met_condition(
    kind: ConditionKind, about: str, severity: AlertSeverity, values: ConditionValues, *, node: str = "", mark: str = ""
) -> MetCondition:
    key = HubAlertKey(str(kind), about, node)
    return MetCondition(key=key, severity=severity, values=values, mark=mark)


def _write_instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
