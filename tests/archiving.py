"""A journal with delivered messages, their attempts and events, for tests of archive files. Knows no format."""

import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa

from hub.audit.findings import AuditFinding
from hub.audit.seals import AuditTrust
from hub.domain.conversations import Reply, Request
from hub.domain.ids import make_id
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState
from hub.formats.zip_archive import Packing
from hub.journal import events, messages
from hub.journal.queue import claims
from hub.journal.queue.claims import AttemptExchange
from hub.keeping.archive import catalogue, manifest
from hub.keeping.archive.reading import Archive, open_archive
from hub.keeping.archive.writing import ArchiveChoice, ArchiveRecord, write_archive
from hub.partner.kept_exchange import keep_exchange
from hub.security import signing
from hub.security.anchors import Anchors
from hub.soap import documents_responses
from hub.store import tables, transactions
from tests import letting_go, pki
from tests.province import NOW, ROUTES, document, entry

BEGINS, ENDS = NOW.replace(month=9), NOW.replace(year=2040)
CA = pki.authority("CA of the archives", now=BEGINS, ends=ENDS)
HUB = CA.issue("hub of the archives", begins=BEGINS, ends=ENDS)
THEN = NOW.replace(year=2028)
LATER = NOW + timedelta(days=200)
TRUST = AuditTrust(anchors=Anchors([CA.certificate]), now=LATER, hub=(HUB.certificate,))
ASKED = Request("https://vpub.example/edoc", b"<packet/>", (("SOAPAction", "Send"),))


def live(engine: sa.Engine, many: int, first: int = 0, content: Callable[[int], bytes] | None = None) -> list[str]:
    """Let *many* documents come in, be tried once in vain, delivered, and chained. Return their hub ids, in order."""
    ids = []
    with transactions.write_transaction(engine) as tx:
        for number in range(first, first + many):
            packet = attrs.evolve(document(document_id=f"D{number}"), code=f"{number}/VPUB")
            octets = content(number) if content else f"<packet số='{number}'/>".encode() * 40
            at = NOW + timedelta(seconds=number)
            made = entry(packet, number, content=octets, at=at, id=make_id(at))
            said = documents_responses.Receipt(
                document_id=made.id, message_id=f"m{number}", sha256=made.sha256, time=made.received_at
            )
            receipt = documents_responses.write_receipt(said, "urn:lienthong:documents:1")
            made = attrs.evolve(made, receipt=signing.seal_canonical(receipt, HUB))
            assert not messages.record_message(tx, made, ROUTES).problems
            ids.append(made.id)
    settle(engine, DeliveryEvent.UNAVAILABLE, AttemptVerdict(DeliveryState.WAITING, "away", NOW), 503)
    settle(engine, DeliveryEvent.ACCEPTED, AttemptVerdict(DeliveryState.DELIVERED, word="taken"), 200)
    chain(engine)
    return sorted(ids)


def settle(engine: sa.Engine, event: DeliveryEvent, verdict: AttemptVerdict, status: int) -> None:
    """Claim all that waits, and settle it so."""
    with transactions.write_transaction(engine) as tx:
        while some := claims.claim_deliveries(
            tx, "vpub", NOW + timedelta(minutes=1), limit=64, holder="node", lease=timedelta(seconds=60)
        ):
            for each in some:
                kept = keep_exchange(ASKED, Reply(status, b"<answer/>", {"content-type": "text/xml"}), ())
                exchanged = AttemptExchange(
                    request_sha256="a" * 64, reply_sha256="b" * 64, reply_status=status, call_ms=12, kept=kept
                )
                later = attrs.evolve(verdict, due=verdict.due and NOW + timedelta(hours=1))
                assert claims.settle_claim(
                    tx, claims.EndedAttempt(each, event, later, exchanged, NOW + timedelta(minutes=2))
                )
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.update(tables.delivery).where(tables.delivery.c.state == "waiting").values(due=NOW))


def chain(engine: sa.Engine) -> None:
    """Number all events."""
    with transactions.write_transaction(engine) as tx:
        while events.chain_events(tx):
            pass


def archived(
    engine: sa.Engine, folder: Path, ids: list[str], others: tuple[int, ...] = (), **options: Any
) -> ArchiveRecord:
    """Write an archive file of the messages *ids*."""
    chosen = ArchiveChoice(period="2026-11", messages=ids, others=others)
    with transactions.read_transaction(engine) as tx:
        record = write_archive(tx, chosen, folder, HUB, LATER, **options)
    assert record is not None
    return record


def forgotten(engine: sa.Engine, folder: Path, part: int = 1) -> ArchiveRecord:
    """Archive all that retention lets go, and let it go. Return the record of the file."""
    with transactions.write_transaction(engine) as tx:
        letting_go.close_year(tx, 2026, NOW.replace(year=2027, month=1))
    letting_go.read_all_events(engine, THEN)
    ids = [each.id for each in letting_go.judge(engine, THEN) if each.why is None]
    folder.mkdir(exist_ok=True)
    record = archived(engine, folder, ids)
    row = {"number": part, "month": "2026-11", "state": "gone", "archive": record.id, "messages": len(ids), "octets": 0}
    times = dict.fromkeys(("announced_at", "due_at", "changed_at"), THEN)
    with transactions.write_transaction(engine) as tx:
        catalogue.record_archive(tx, record)
        tx.execute(sa.insert(tables.retention_part).values(row | times))
    assert letting_go.let_go(engine, THEN, part=part) == ids
    return record


def repacked(sealed: Path, to: Path, change: Callable[[dict[str, bytes]], dict[str, bytes] | None]) -> Path:
    """Write the members of *sealed* into a file of the same form, after *change* was made to a dictionary of them."""
    with zipfile.ZipFile(sealed) as there:
        members = {name: there.read(name) for name in there.namelist()}
    members = change(members) or members
    with to.open("w+b") as file:
        packing = Packing(file)
        for name, octets in members.items():
            packing.put(name, octets, deflated=name not in {manifest.TYPE, manifest.MANIFEST})
        packing.end()
    return to


def judged(path: Path, trust: AuditTrust = TRUST) -> list[AuditFinding]:
    """Return all findings about the file at *path*."""
    with open_archive(path) as archive:
        return list(archive.verify(trust))


def wrong(path: Path) -> set[str]:
    """Return the checks that fail, and `unreadable` if the file is none."""
    from hub.keeping.archive.archived import NoArchive

    try:
        return {each.check for each in judged(path) if each.holds is False}
    except NoArchive:
        return {"unreadable"}


def opened(path: Path, step: Callable[[Archive], Any]) -> Any:
    """Return what *step* finds in the file at *path*."""
    with open_archive(path) as archive:
        return step(archive)
