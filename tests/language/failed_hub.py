"""Fills a journal with failures of each kind, as the parts of the hub write them, for the language that nobody speaks.

Of a partner, a host or a person stands only what needs no translation.
"""

from datetime import datetime, timedelta

import attrs
import sqlalchemy as sa
from twisted.internet import error

from hub.domain.model import Problem
from hub.journal.queue import partner_state
from hub.monitoring import link_rows
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.runtime.http_client import describe_connection_error
from hub.services.links.probes import Link, LinkStanding, LinkState
from hub.store import transactions
from tests.monitoring.test_failures import die, refuse, refuse_call

#: What the network says of a partner's server.
ERRORS = (
    error.ConnectionRefusedError(111, "Connection refused"),
    error.NoRouteError(113, "No route to host"),
    error.TCPTimedOutError(110, "Connection timed out"),
    error.ConnectError(101, "Network is unreachable"),
    error.DNSLookupError("no results for hostname lookup: 1.2.3.4"),
    error.ConnectionLost(),
    error.ConnectionDone(),
    ConnectionResetError(104, "Connection reset by peer"),
)
REASONS = (
    *map(describe_connection_error, ERRORS),
    "the conversation took too long",
    "no answer within 5 s",
    "the answer is longer than 9 octets",
    "our credentials are not accepted",
)


def fill_journal(engine: sa.Engine, now: datetime) -> list[str]:
    """Write the failures into the journal. Return the ids of messages and calls that show them."""
    found = []
    with transactions.write_transaction(engine) as tx:
        for number, reason in enumerate(REASONS, 1):
            found.append(die(tx, number, f"given up: {reason}", at=now + timedelta(seconds=number)))
        found.append(die(tx, 50, "refused: E05: 1", at=now + timedelta(seconds=50)))
        found.append(refuse(tx, 51, Problem("unit-unknown", "H55.99"), at=now + timedelta(seconds=51)))
        found.append(refuse_call(tx, "certificate-unknown", at=now + timedelta(seconds=52)))
        found.append(refuse_call(tx, "too-large", "vpub", "9", at=now + timedelta(seconds=53)))
        partner_state.move_breaker(tx, "vpub", lambda _: _open(REASONS[0], now), now)
        fail_links(tx, now)
    return found


def fail_links(tx: transactions.Transaction, now: datetime) -> None:
    """Let the links of the partners fail, each for another reason."""
    down = LinkStanding(state=LinkState.DOWN, since=now, seen_at=now)
    links = {
        Link(name=code, host="10.0.0.1", port=443, tls=True): attrs.evolve(down, reason=reason)
        for code, reason in zip(("vpub", "vpcp"), (REASONS[0], "no answer within 5 s"), strict=True)
    }
    link_rows.record_link_standings(tx, "n", links, {}, [], timedelta(days=9999), now)


def _open(reason: str, now: datetime) -> Breaker:
    until = now + timedelta(minutes=1)
    return Breaker(position=BreakerPosition.OPEN, failures=9, opened=1, until=until, reason=reason)
