"""A check beside a running hub does not take events that came meanwhile for a journal that was put back."""

from hub.keeping.backups.witness import Witness
from hub.node import check
from hub.store import transactions
from tests import homes
from tests.pki import NOW


def test_the_witness_is_read_before_the_journal(tmp_path, monkeypatch):
    order = []
    read_last, read_transaction = Witness.read_last, transactions.read_transaction

    def note_witness(self):
        order.append("witness")
        return read_last(self)

    def note_journal(engine):
        order.append("journal")
        return read_transaction(engine)

    monkeypatch.setattr(Witness, "read_last", note_witness)
    monkeypatch.setattr(transactions, "read_transaction", note_journal)
    _ = check.check_config(homes.begin(tmp_path / "tinh") / "hub.toml", NOW)
    assert order[:2] == ["witness", "journal"]
