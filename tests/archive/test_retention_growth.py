"""Twenty-four months with retention: the database grows by what stays for good and by nothing else, and nothing unhandled goes.

`./dev test` runs a small form; `./dev soak` runs months of MESSAGES (2,000), and prints what stays of a message.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa

from hub.domain.conversations import Reply, Request
from hub.domain.ids import make_id
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.journal import blobs, events, messages
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.keeping.retention.rules import add_months
from hub.partner.kept_exchange import keep_exchange
from hub.security import signing
from hub.soap import documents_responses
from hub.store import transactions
from hub.store.tables import content, delivery, message, metadata
from tests import letting_go
from tests.archive.test_retention_run import SETTINGS, check_repetition, make_run, now_
from tests.archiving import HUB
from tests.province import ROUTES, document, entry, status

BEGIN = datetime(2027, 1, 2, 1, 0, tzinfo=UTC)
MONTHS = 24
#: What stays of a message with one recipient, its receipt and its facts, and of the status about it, at most, in octets.
STAYS = {"sqlite": 7_000, "postgresql": 12_000}


@attrs.define(eq=False)
class Hub:
    """A journal that lives for months."""

    engine: sa.Engine
    folder: Path
    number: int = 0
    sent: list[tuple] = attrs.field(factory=list)  # type: ignore[type-arg]
    unhandled: list[str] = attrs.field(factory=list)

    def record(self, packet, at, partner, **fields):
        self.number += 1
        made = entry(packet, self.number, at=at, id=make_id(at), partner=partner, **fields)
        said = documents_responses.Receipt(made.id, made.message_id or "", made.sha256, at)
        receipt = signing.seal_canonical(documents_responses.write_receipt(said), HUB)
        made = attrs.evolve(made, receipt=receipt)
        with transactions.write_transaction(self.engine) as tx:
            taken = messages.record_message(tx, made, ROUTES)
        self.sent.append((made, taken))
        return taken

    def live_month(self, first: datetime, many: int) -> None:
        """Let *many* documents come, be delivered by one attempt each, and be answered; and two that nobody handles."""
        for place in range(many):
            at = first + timedelta(hours=place * 600 // many)
            name = f"{first:%Y%m}-{place}"
            octets = (name.encode() * 40)[:400] + os.urandom(3_600)
            self.record(
                attrs.evolve(document(document_id=name), code=f"{place}/{first:%Y%m}"), at, "sotttt", content=octets
            )
            self.settle(at)
            self.record(status("06", document_id=name), at + timedelta(minutes=3), "vpub", content=os.urandom(900))
        for state in (DeliveryState.DEAD, DeliveryState.HELD):
            taken = self.record(document("H55.01", "H55.13", document_id=f"{first:%Y%m}-{state}"), first, "vpub")
            with transactions.write_transaction(self.engine) as tx:
                tx.execute(sa.update(delivery).where(delivery.c.message == taken.id).values(state=state, reason="x"))
            self.unhandled.append(taken.id)
        with transactions.write_transaction(self.engine) as tx:  # the statuses are fetched
            waits = sa.and_(delivery.c.state == DeliveryState.HELD, delivery.c.message.not_in(self.unhandled))
            tx.execute(sa.update(delivery).where(waits).values(state=DeliveryState.DELIVERED, changed_at=first))
        letting_go.read_all_events(self.engine, first + timedelta(days=27))

    def settle(self, at: datetime) -> None:
        asked = Request("https://vpub.example/edoc", b"<packet/>", (("SOAPAction", "Send"),))
        with transactions.write_transaction(self.engine) as tx:
            for each in claims.claim_deliveries(
                tx, "vpub", at + timedelta(minutes=1), limit=9, holder="node", lease=timedelta(minutes=1)
            ):
                kept = keep_exchange(asked, Reply(200, f"<answer>{each.attempt}</answer>".encode() * 8, {}), ())
                exchanged = AttemptExchange(
                    request_sha256="a" * 64, reply_sha256="b" * 64, reply_status=200, call_ms=12, kept=kept
                )
                verdict = AttemptVerdict(DeliveryState.DELIVERED, word="taken")
                claims.settle_claim(
                    tx, claims.EndedAttempt(each, DeliveryEvent.ACCEPTED, verdict, exchanged, at + timedelta(minutes=2))
                )

    def let_go(self, now: datetime) -> int:
        run = make_run(self.engine, self.folder, at=now, settings=SETTINGS)
        done = [now_(run.carry_out(part.number)) for part in now_(run.announce("hub"))]
        return sum(part.messages for part in done)

    def measure(self) -> int:
        """Return the octets in use."""
        if self.engine.dialect.name == "postgresql":
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for name in metadata.tables:  # as autovacuum does by itself, later
                    connection.exec_driver_sql(f'VACUUM "{name}"')
                return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())
        with self.engine.connect() as connection:
            page, pages, free = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_size", "page_count", "freelist_count")
            )
        return page * (pages - free)


def live(engine: sa.Engine, folder: Path, many: int, every: int = 1) -> float:
    """Let 24 months pass, letting go after each *every*. Return the octets that stay of a document with its status."""
    hub = Hub(engine, folder)
    with transactions.write_transaction(engine) as tx:
        for year in (2027, 2028):  # what is closed is for other tests: here months must go one after another
            letting_go.close_year(tx, year, BEGIN - timedelta(days=100))
    sizes, gone = [], 0
    for month in range(MONTHS):
        first = add_months(BEGIN, month)
        hub.live_month(first, many)
        if (month + 1) % every == 0:
            gone += hub.let_go(first + timedelta(days=27))
            sizes.append(hub.measure())
    with transactions.read_transaction(engine) as tx:
        whole = set(tx.scalars(sa.select(message.c.id).where(message.c.archive.is_(None))))
        kept = tx.scalar(sa.select(sa.func.count(sa.distinct(content.c.sha256))))
        assert list(events.find_broken_events(tx)) == []
        for name in hub.unhandled:
            blobs.read_blob(tx, tx.scalars(sa.select(message.c.sha256).where(message.c.id == name)).one())
    assert whole >= set(hub.unhandled), "nothing unhandled was deleted"
    assert gone == len(hub.sent) - len(whole)
    assert kept == len(whole), "of what has gone no octets are left, and of the rest all"
    assert len(whole) <= 2 * MONTHS + (every + 2) * 2 * (many + 1), "only the youngest months and what is unhandled"
    for made, taken in hub.sent[:: max(1, len(hub.sent) // 100)]:
        check_repetition(engine, made, taken)
    half = len(sizes) // 2
    passed = (len(sizes) - 1 - half) * every
    return (sizes[-1] - sizes[half]) / (passed * many)


@pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
@pytest.mark.slow
def test_two_years_grow_only_by_what_stays_for_good(engine, tmp_path):
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    engine.dispose()
    stays = live(engine, tmp_path / "archive", 4, every=8)
    assert stays < 2 * STAYS[engine.dialect.name], (
        "so few rows do not fill their pages, and a third of the messages is not handled"
    )


@pytest.mark.soak
def test_two_years_of_many_messages(engine, tmp_path, capsys):
    stays = live(engine, tmp_path / "archive", int(os.environ.get("MESSAGES", "2000")))
    with capsys.disabled():
        sys.stdout.write(f"\n{engine.dialect.name}: {stays:.0f} octets stay of a document with its status\n")
    assert stays < STAYS[engine.dialect.name]
