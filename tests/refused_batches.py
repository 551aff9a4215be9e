"""A batch of 500 dossiers that was refused for 47 mistakes, in the journal as intake writes it.  Knows no console."""

import hashlib
from datetime import datetime

import sqlalchemy as sa
from lxml import etree

from hub.domain.errors import CallRefused
from hub.domain.ids import make_first_id
from hub.domain.model import Problem
from hub.formats.spool import Octets
from hub.journal import messages
from hub.journal.effects import MessageEntry
from hub.soap import wsdl
from hub.store import transactions
from tests.formats.test_xsd_mistakes import PLANTED, batch, dossier
from tests.province import ROUTES


def refuse_batch(engine: sa.Engine, at: datetime) -> str:
    """Journal the batch; return the hub's id of it."""
    wrong = [dossier(number, MaHoSo="") for number in range(301, 338)]
    planted = [PLANTED[number][0] if number in PLANTED else dossier(number) for number in range(1, 501)]
    content = batch(*planted[:300], *wrong, *planted[337:]).encode()
    refused: tuple[Problem, ...] = ()
    try:
        wsdl.load_contract("dossiers").validate(etree.fromstring(content), document=Octets.of(content))
    except CallRefused as error:
        refused = error.problems
    made = MessageEntry(
        id=make_first_id(at),
        partner="sotttt",
        message_id=None,
        service="dossiers",
        received_at=at,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        problems=refused,
    )
    with transactions.write_transaction(engine) as tx:
        messages.record_message(tx, made, ROUTES)
    return made.id
