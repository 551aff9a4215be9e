"""What the operations of one node work with: pages and API have the same, so both together have its limits."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime

import attrs

from hub.domain.model import Detail
from hub.monitoring.connection_steps import ConnectionStep
from hub.operations.partners.connection_tests import ConnectionTests
from hub.operations.partners.partner_orders import PartnerManaging, PartnerOrders
from hub.operations.partners.rule_trials import RuleTrials
from hub.operations.partners.trust_orders import TrustOrders
from hub.operations.turns import ReadingTurns
from hub.runtime.thread_pool import Work
from hub.store.batch_commit import Journal
from hub.units.live import Live


@attrs.frozen(eq=False, kw_only=True)
class OperationParts:
    """What the operations of one node work with."""

    journal: Journal  #: the journal to read and write
    work: Work  #: runs heavy computations in worker threads
    live: Live  #: the configuration and the province in force
    now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    checks: Callable[[], Awaitable[Mapping[str, tuple[str, Detail]]]]  #: of `/readyz`: code and details of each
    #: Waits until all earlier facts of some services are written. Raises `Unready`.
    facts: Callable[[Callable[[], frozenset[str] | None]], Awaitable[None]]
    manager: PartnerManaging | None  #: reads, tests and changes partners; None: nothing of partners can be changed
    turns: ReadingTurns = attrs.field(
        default=attrs.Factory(
            lambda self: ReadingTurns(self.journal, self.work, self.live, self.facts), takes_self=True
        ),
        init=False,
    )  #: limits what is read, and heavy computations
    partners: PartnerOrders = attrs.field(
        default=attrs.Factory(
            lambda self: PartnerOrders(self.journal, self.work, self.live, self.manager), takes_self=True
        ),
        init=False,
    )  #: carries out changes of partners
    trust: TrustOrders = attrs.field(
        default=attrs.Factory(
            lambda self: TrustOrders(self.journal, self.work, self.live, self.manager), takes_self=True
        ),
        init=False,
    )  #: carries out changes of the trusted CAs
    trials: RuleTrials = attrs.field(
        default=attrs.Factory(lambda self: RuleTrials(self.journal, self.work, self.live, self.turns), takes_self=True),
        init=False,
    )  #: trials of other rules
    #: tests the connection with a partner in both directions; raises `RequestRefused`
    test_partner: Callable[[str, datetime], Awaitable[Sequence[ConnectionStep]]] = attrs.field(
        default=attrs.Factory(lambda self: ConnectionTests(self.live, self.turns, self.partners).run, takes_self=True),
        init=False,
    )

    def names(self) -> tuple[Mapping[str, str], str, date]:
        """Return what a search needs besides the journal."""
        return self.turns.list_names(self.now())
