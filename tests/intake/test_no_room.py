"""With the disk nearly full nobody's refusals fill the rest of it, which is there to settle what is under way."""

import attrs
import pytest
import sqlalchemy as sa

from hub import config
from hub.domain.errors import Unready
from hub.domain.model import Problem
from hub.soap import documents_requests
from hub.store import transactions
from hub.store.tables import event
from tests import databases, frontdesk, homes, pki
from tests.frontdesk import ask

ME, STRANGER = pki.partner("sotttt"), pki.partner("vpub")


def none():
    raise Unready("disk-low", "data: 1 octets free, 2 needed", 60)


@attrs.define
class Port:
    """An intake with so much room, and what was written."""

    made: config.Config
    engine: sa.Engine

    def intake(self, room):
        return frontdesk.intake(self.made, self.engine, frontdesk.partner("me", ME, "H55.13"), room=room)

    def events(self):
        with transactions.read_transaction(self.engine) as tx:
            return tx.scalar(sa.select(sa.func.count()).select_from(event))


@pytest.fixture
def port(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    yield Port(config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml"), engine)
    engine.dispose()


@pytest.mark.parametrize("who", [STRANGER, ME], ids=["a stranger", "a partner"])
def test_what_is_refused_is_written_while_there_is_room_and_no_longer(port, who):
    call = documents_requests.GetDocument("nothing")
    assert ask(port.intake(lambda: None), who, call).retry_after is None
    assert port.events() == 1
    told = ask(port.intake(none), who, attrs.evolve(call, document_id="nothing else"))
    assert told.retry_after == 60
    assert b"disk-low" in told.body.read()
    assert port.events() == 1


def test_a_body_that_was_too_large_is_told_of_in_the_log_alone(port):
    port.intake(lambda: None).record_refusal(Problem("too-large"), STRANGER.certificate)
    port.intake(none).record_refusal(Problem("too-large"), STRANGER.certificate)
    assert port.events() == 1
