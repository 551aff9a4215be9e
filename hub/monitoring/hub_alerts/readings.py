"""Reads the values that conditions are decided from, and decides them. Knows where each value stands; tells nobody."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import attrs

from hub.config import Config
from hub.config.alerting.operator_alerts import AlertLimits
from hub.domain.model import DeliveryState
from hub.domain.writer_budget import WriterReading
from hub.journal import events, nodes
from hub.journal.nodes import NodeState, SeenNode
from hub.journal.queue import partner_state, waiting_counts
from hub.keeping import backup_runs, eras, hub_alerts, tamper_findings
from hub.keeping.hub_alerts import ConditionRound
from hub.keeping.retention import disk_budget, parts
from hub.monitoring import failures, link_rows
from hub.monitoring.failures import FailureKind
from hub.monitoring.hub_alerts.conditions import (
    NODE_CONDITIONS,
    SHARED_CONDITIONS,
    AnnouncedReading,
    BackupReading,
    BudgetReading,
    CertificateReading,
    ConditionKind,
    DiskReading,
    LinkReading,
    NodeReadings,
    SharedReadings,
    WaitingReading,
)
from hub.report.output.reminder import ReturnedReports
from hub.runtime import disk_space
from hub.security.certificates import describe_owner
from hub.store.transactions import Transaction

#: Lost receipts are counted up to this number.
MOST_LOST = 10_000
#: What is judged only now and then.
_SELDOM = (ConditionKind.RETURNED, ConditionKind.BUDGET, ConditionKind.RECEIPTS)
#: Finds returned reports; the time is that within which the next month closes.
ReadReturned = Callable[[Transaction, timedelta, datetime], Sequence[ReturnedReports]]


def read_round(
    tx: Transaction,
    config: Config,
    node: str,
    limits: AlertLimits,
    now: datetime,
    read_returned: ReadReturned | None = None,
    writer: WriterReading = WriterReading(),
    *,
    seldom: bool = True,
) -> ConditionRound:
    """Look at what the node *node* judges: itself and, if it leads, what all nodes share.

    What costs more to read is judged only if *seldom*: returned reports, for which *read_returned* is needed too, the
    size of the database, and the messages that a restored journal lacks. *writer*: how busy this node's writer is.
    """
    seen = nodes.list_nodes(tx, now)
    leads = nodes.choose_leading_node(seen) == node
    own = attrs.evolve(read_node(config, node, now), writer=writer)
    met = [each for find in NODE_CONDITIONS.values() for each in find(own, limits, now)]
    judged = {str(kind) for kind in NODE_CONDITIONS}
    if leads:
        shared = read_shared(tx, config, limits, now, read_returned, seen, seldom=seldom)
        met += [each for find in SHARED_CONDITIONS.values() for each in find(shared, limits, now)]
        judged |= {str(kind) for kind in SHARED_CONDITIONS}
        if not seldom:
            judged -= {str(each) for each in _SELDOM}
    alive = {each.node.name for each in seen if each.state is NodeState.ALIVE}
    raised = {each.key.node for each in hub_alerts.read_alerts(tx, ended=False)} - {""}
    return ConditionRound(met=met, judged=judged, node=node, shared=leads, gone=raised - alive - {node})


def read_node(config: Config, node: str, now: datetime) -> NodeReadings:
    """Return what the node *node* has for itself."""
    return NodeReadings(
        node=node,
        certificates=[
            CertificateReading(owner="hub", name=key, end=own.certificate.not_valid_after_utc)
            for key, own in config.own
        ],
        stale_issuers=[name.rfc4514_string() for name in config.anchors.overdue(now)],
        disks=[
            DiskReading(place=str(place), free=disk_space.read_free_octets(place), needed=config.free_disk)
            for place in dict.fromkeys(disk_space.list_places(config))
        ],
    )


def read_shared(
    tx: Transaction,
    config: Config,
    limits: AlertLimits,
    now: datetime,
    read_returned: ReadReturned | None,
    seen: Sequence[SeenNode],
    *,
    seldom: bool,
) -> SharedReadings:
    """Return what is the same for all nodes."""
    standings = partner_state.read_partner_standings(tx)
    oldest = events.read_oldest_unchained(tx)
    return SharedReadings(
        partners=frozenset(config.partners),
        breakers={code: each.breaker for code, each in standings.items()},
        paused=frozenset(code for code, each in standings.items() if each.pause is not None),
        links=[
            LinkReading(name=each.name, state=each.state, since=each.since)
            for each in link_rows.list_seen_links(tx, now)
        ],
        deliveries=_read_deliveries(tx, now),
        last_dead=failures.read_last_failures(tx, FailureKind.DEAD),
        last_suspended=failures.read_last_failures(tx, FailureKind.SUSPENDED),
        certificates=_list_certificates(config),
        returned=read_returned(tx, limits.closing, now) if read_returned is not None and seldom else None,
        backup=_read_backup(tx, config),
        edited=tamper_findings.count_findings(tx),
        lost_receipts=eras.count_awaited_receipts(tx, MOST_LOST) if seldom else 0,
        budget=_read_budget(tx, config, now) if config.retention.budget and seldom else None,
        announced=_read_announced(tx),
        unchained_since=None if oldest is None else datetime.fromisoformat(oldest),
        lost_nodes={each.node.name: (each.node.host, each.seen_at) for each in seen if each.state is NodeState.LAPSED},
        pending={
            each.node.name: (each.node.host, each.pending.settings) for each in seen if each.state is NodeState.ALIVE
        },
    )


def _read_deliveries(tx: Transaction, now: datetime) -> dict[str, WaitingReading]:
    found: dict[str, WaitingReading] = {}
    for each in waiting_counts.read_waiting(tx, now):
        before = found.get(each.partner, WaitingReading())
        if each.state in {DeliveryState.WAITING, DeliveryState.SENDING}:
            oldest = each.since if before.oldest is None else min(before.oldest, each.since)
            found[each.partner] = attrs.evolve(before, waiting=before.waiting + each.count, oldest=oldest)
        elif each.state is DeliveryState.DEAD:
            found[each.partner] = attrs.evolve(before, dead=each.count)
        elif each.state is DeliveryState.SUSPENDED:
            found[each.partner] = attrs.evolve(before, suspended=each.count)
    return found


def _read_backup(tx: Transaction, config: Config) -> BackupReading | None:
    if config.backup is None:
        return None
    standing = backup_runs.read_backup_standing(tx)
    good, failure = standing.last_good, standing.failure
    return BackupReading(
        every=config.backup.every,
        last_good=None if good is None else good.made_at,
        failed_at=None if failure is None else failure.ended_at or failure.started_at,
    )


def _read_budget(tx: Transaction, config: Config, now: datetime) -> BudgetReading:
    found = disk_budget.read_budget(tx, config.retention.budget, now)
    return BudgetReading(used=found.octets - found.free, budget=found.budget, days=found.days, tight=found.is_tight)


def _read_announced(tx: Transaction) -> AnnouncedReading | None:
    found = parts.read_oldest_open(tx)
    return None if found is None else AnnouncedReading(month=found.month, due=found.due_at)


def _list_certificates(config: Config) -> list[CertificateReading]:
    """Return the certificates of partners and CAs: of several of one owner, the one that ends last."""
    ends: dict[tuple[str, str], datetime] = {}
    for partner in config.partners.values():
        for certificate in partner.certificates:
            key, end = ("partner", partner.code), certificate.not_valid_after_utc
            ends[key] = max(ends.get(key, end), end)
    for authority in config.authorities:
        key, end = ("authority", describe_owner(authority)), authority.not_valid_after_utc
        ends[key] = max(ends.get(key, end), end)
    return [CertificateReading(owner=owner, name=name, end=end) for (owner, name), end in ends.items()]
