"""Writes each receipt into the node's witness before it leaves, where `witness-first` is on. Knows the commit, not its steps."""

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from hub.keeping import eras
from hub.keeping.backups.witness import Witness
from hub.keeping.eras import KnownReceipt
from hub.store.transactions import Transaction


@attrs.frozen
class CommittedReceipts:
    """The receipts of a commit."""

    receipts: Sequence[KnownReceipt]
    serial: int  #: the place of the journal's last event then


@attrs.define(eq=False)
class ReceiptsFirst:
    """What the writer of the journal calls around each commit (`hub.store.batch_commit.CommitWitness`)."""

    _witness: Witness
    _now: Callable[[], datetime]
    _alone: bool  #: whether no other node gives receipts of the same journal
    begun: bool = attrs.field(default=False, init=False)
    _serial: int = attrs.field(default=0, init=False)  #: the witness has the receipts of the events up to this place

    def begin(self, tx: Transaction) -> None:
        """Let calls in: the witness has caught up with the journal. Promise so, if this node is alone. Raises OSError."""
        last = self._witness.read_last()
        assert last is not None
        self._serial = eras.read_event_serial(tx, last.number)
        self._witness.set_promise(self._now(), first=self._alone)
        self.begun = True

    def collect(self, tx: Transaction) -> CommittedReceipts | None:
        """Return the receipts given in *tx*, and those that could not be kept before; None: the witness goes on alone."""
        if not self.begun:
            return None
        serial = eras.read_latest_serial(tx)
        found = eras.read_committed_receipts(tx, self._serial) if serial > self._serial else []
        return CommittedReceipts(found, serial)

    def keep(self, found: CommittedReceipts | None) -> None:
        """Write what was collected into the witness. Raises OSError."""
        if found is None:
            return
        if found.receipts:
            self._witness.append_ahead(found.receipts, self._now())
        self._serial = found.serial
