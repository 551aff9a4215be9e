"""A snapshot of the queue: which partners may be sent to, how many messages each, and when to check again.

Combines queues, breakers, rates and policies. Claims nothing and starts nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import attrs

from hub.domain.model import AfterGiveUp
from hub.journal.queue import claims, partner_state
from hub.journal.queue.claims import PartnerQueue
from hub.journal.queue.partner_state import PartnerStanding
from hub.partner import circuit_breaker
from hub.partner.circuit_breaker import BreakerPosition
from hub.partner.policy import Policy
from hub.store.transactions import Transaction


@attrs.frozen
class QueueView:
    """Snapshot of the queues, the state of each partner, and the number of messages being sent by all nodes."""

    now: datetime  #: time of the snapshot
    queues: Sequence[PartnerQueue]  #: waiting heads of each partner
    standings: Mapping[str, PartnerStanding]  #: state by partner code
    under_way: Mapping[str, int]  #: messages being sent, by partner code, from all nodes

    def capacities(self, policies: Mapping[str, Policy]) -> dict[str, int]:
        """Return how many messages may be sent now to each partner in *policies* that has due deliveries."""
        due = [queue.partner for queue in self.queues if queue.oldest and queue.partner in policies]
        return {partner: self._capacity(partner, policies[partner]) for partner in due}

    def _capacity(self, partner: str, policy: Policy) -> int:
        found = self.standings.get(partner, PartnerStanding())
        if found.pause is not None:
            return 0
        room = circuit_breaker.count_breaker_room(
            found.breaker, self.now, self.under_way.get(partner, 0), policy.concurrency
        )
        return room if policy.rate is None else min(room, policy.rate.allows(found.next_at, self.now))

    def expired_partners(self, policies: Mapping[str, Policy]) -> Iterator[tuple[str, str]]:
        """Yield each unavailable partner with a delivery that has waited longer than `give_up`, and the reason."""
        for queue in self.queues:
            found, policy = self.standings.get(queue.partner, PartnerStanding()), policies.get(queue.partner)
            if policy is None or queue.oldest is None or found.pause is not None:
                continue
            if self._is_unavailable(found, policy) and queue.oldest <= self.now - policy.give_up:
                yield queue.partner, found.breaker.reason or "unavailable"

    def _is_unavailable(self, found: PartnerStanding, policy: Policy) -> bool:
        """Tell whether the probes get no answer.

        After a person has resumed the sending, a delivery that is kept for a person waits for the next probe.
        """
        breaker = found.breaker
        if policy.after_give_up is AfterGiveUp.DEAD:
            return breaker.position is not BreakerPosition.CLOSED
        return breaker.position is BreakerPosition.OPEN and breaker.until is not None and breaker.until > self.now

    def next_changes(self, left: Mapping[str, int]) -> Iterator[datetime]:
        """Yield the times from which more messages may be sent than now. *left* is the room that is left per partner.

        Without room, the end of a conversation or the next poll starts the next check.
        """
        for queue in self.queues:
            found = self.standings.get(queue.partner, PartnerStanding())
            if found.pause is not None:
                continue
            if left.get(queue.partner, 1) and queue.next_due is not None:
                yield queue.next_due
            if queue.oldest:
                yield from (at for at in (found.breaker.until, found.next_at) if at is not None and at > self.now)


def read_queue_view(tx: Transaction, now: datetime) -> QueueView:
    """Read the snapshot."""
    return QueueView(
        now,
        claims.read_partner_queues(tx, now),
        partner_state.read_partner_standings(tx),
        partner_state.count_attempts_under_way(tx),
    )
