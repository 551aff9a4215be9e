"""Encrypts, with the present key, the secrets of one-time codes that an earlier program or an earlier key left.

`second_factor` contains the SQL. An earlier program cannot read an encrypted secret, so nothing is done while a node of
one lives.
"""

import os
from collections.abc import Callable
from datetime import datetime

import attrs
import structlog
from twisted.internet.interfaces import IReactorTime

from hub.journal import nodes
from hub.operations.accounts import second_factor
from hub.runtime.periodic import PeriodicService
from hub.security.encryption import Keyring
from hub.store.batch_commit import Journal
from hub.store.transactions import Transaction
from hub.units.live import Live

log = structlog.get_logger()


@attrs.define(eq=False)
class CodeSealer(PeriodicService):
    """The sealer of one node. Several nodes may do it at the same time."""

    every = 60.0
    failure = "codes-not-sealed"

    _journal: Journal  #: whose secrets are encrypted
    _live: Live  #: the configuration in force
    _clock: IReactorTime  #: the reactor's clock, which times the rounds
    _now: Callable[[], datetime]  #: the wall clock, aware and in UTC
    _version: str  #: of this program
    _lost: tuple[str, ...] = attrs.field(default=(), init=False)  #: as it was logged last

    async def work(self) -> None:
        """Encrypt what is due; log whose secrets no key decrypts, if they are others than before."""
        keys = self._live.config.console.keys
        kept = await self._journal.read(_judge_kept_secrets, keys, self._version, self._now())
        if kept.due and keys.safes:
            count = await self._journal.write(second_factor.seal_secrets, keys, lambda: os.urandom(16))
            log.info("codes-sealed", count=count)
        if kept.lost != self._lost:
            self._lost = kept.lost
            log.error("codes-unreadable", users=list(kept.lost))


def _judge_kept_secrets(tx: Transaction, keys: Keyring, version: str, now: datetime) -> second_factor.KeptSecrets:
    """Return what is to be done; nothing is due while another program lives."""
    kept = second_factor.judge_secrets(tx, keys)
    alone = all(each.version == version for each in nodes.list_live_nodes(tx, now)) if kept.due else True
    return kept if alone else attrs.evolve(kept, due=())
