"""Tests the connection with a partner in both directions, one test of a node at a time. No HTTP, no SQL."""

from collections.abc import Sequence
from datetime import datetime

import attrs
from twisted.internet.defer import DeferredSemaphore

from hub.config import Config
from hub.monitoring.connection_steps import ConnectionStep
from hub.monitoring.inbound_check import check_inbound
from hub.operations.partners.partner_orders import PartnerOrders
from hub.operations.refusals import refuse_as_absent, refuse_as_busy
from hub.operations.turns import ReadingTurns
from hub.store.transactions import Transaction
from hub.units.live import Live

#: Persons who may wait for a connection test; one is made at a time.
TESTS = 3


@attrs.define(eq=False)
class ConnectionTests:
    """The tests of one node."""

    _live: Live  #: the configuration in force
    _turns: ReadingTurns  #: limits what is read
    _partners: PartnerOrders  #: has what calls partners
    _testing: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(1), init=False)

    async def run(self, code: str, now: datetime) -> Sequence[ConnectionStep]:
        """Test the connection with the partner *code* in both directions, and return the steps.

        Raises `RequestRefused` if there is no such partner, or if too many tests wait already.
        """
        config = self._live.config
        if code not in config.partners:
            raise refuse_as_absent()
        if len(self._testing.waiting) >= TESTS:
            raise refuse_as_busy(10)
        out = await self._testing.run(self._partners.managed.test, config, code, now)
        return [*out, *await self._turns.look(_list_inbound, config, code, now)]


def _list_inbound(tx: Transaction, config: Config, code: str, now: datetime) -> list[ConnectionStep]:
    return list(check_inbound(tx, config.partners[code], config, now))
