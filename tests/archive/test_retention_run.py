"""Retention with its archive files: what is announced, archived and let go, interrupted anywhere; and whatever happened before."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import attrs
import pytest
import sqlalchemy as sa
from twisted.internet.defer import Deferred, succeed

from hub.config.upkeep.retention import RetentionSettings
from hub.domain.ids import make_id
from hub.domain.model import DeliveryState, Event, MessageState, PacketKind, Problem, ResponseFor
from hub.journal import blobs, events, messages
from hub.journal.effects import MessageEntry, RecordedMessage
from hub.journal.fact_reading import fact_rows
from hub.journal.nodes import Node, record_heartbeat
from hub.journal.queue import deliveries, delivery_ends
from hub.journal.searching import message_reading
from hub.keeping import integrity
from hub.keeping.archive import catalogue, restoring
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.keeping.archive.reading import open_archive
from hub.keeping.archive.retention import RetentionHeld, RetentionRun, make_setting
from hub.keeping.retention import parts
from hub.keeping.retention.parts import PartEvent, PartState
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import closing_draft, content, delivery, event, message, metadata
from tests import letting_go
from tests.archiving import HUB
from tests.province import ROUTES, document, entry, status

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
THEN = datetime(2028, 6, 1, 20, 0, tzinfo=UTC)
SETTINGS = RetentionSettings(enabled=True, months={}, other=1, contest=1, announce=1)


def now_(coroutine):
    """Return the result of what needs no reactor."""
    found: list[object] = []
    _ = Deferred.fromCoroutine(coroutine).addBoth(found.append)
    (result,) = found
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


class Killed(Exception):
    """The process ends."""


@attrs.define
class Dying(InlineDatabase):
    """A journal whose process ends after some writes."""

    left: int = 1 << 30

    def write(self, step, *args, **kwargs):
        if not self.left:
            raise Killed
        self.left -= 1
        return InlineDatabase.write(self, step, *args, **kwargs)


def make_run(engine, folder: Path, *, at=THEN, settings=SETTINGS, left=1 << 30) -> RetentionRun:
    return RetentionRun(
        journal=Dying(engine, left=left),
        setting=make_setting(settings, ["f"], None),
        settings=settings,
        folder=folder,
        identity=HUB,
        now=lambda: at,
        pause=lambda _seconds: succeed(None),
    )


def record(engine, packet, number, *, at=START, **fields):
    made = entry(packet, number, at=at, id=make_id(at), **fields)
    with transactions.write_transaction(engine) as tx:
        return made, messages.record_message(tx, made, ROUTES)


def prepared(engine, count=4):
    """Record some documents that are delivered, in a year that is closed."""
    made = [record(engine, document(document_id=f"D{number}"), number) for number in range(1, count + 1)]
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.update(delivery).values(state=DeliveryState.DELIVERED, free=False, changed_at=START))
        letting_go.close_year(tx, 2026, START.replace(year=2027))
    letting_go.read_all_events(engine, START)
    return made


def announced(engine, folder):
    (part,) = now_(make_run(engine, folder).announce("an"))
    return part


def whole(engine):
    with transactions.read_transaction(engine) as tx:
        return set(tx.scalars(sa.select(message.c.id).where(message.c.archive.is_(None))))


def told(engine, message_id):
    with transactions.read_transaction(engine) as tx:
        return [each["event"] for each in events.read_message_events(tx, message_id)]


def check_repetition(engine, made, taken):
    """Check that the message sent again gets its old receipt, and makes no fact and no delivery."""
    with transactions.write_transaction(engine) as tx:
        before = sorted(map(str, fact_rows.read_facts(tx))), tx.scalar(sa.select(sa.func.count(delivery.c.id)))
        again = attrs.evolve(made, id=make_id(THEN), received_at=THEN, receipt=b"<another/>")
        assert messages.record_message(tx, again, ROUTES) == taken
        after = sorted(map(str, fact_rows.read_facts(tx))), tx.scalar(sa.select(sa.func.count(delivery.c.id)))
        assert after == before


def test_what_is_announced_goes_into_a_file_and_then_out_of_the_journal(engine, tmp_path):
    made = prepared(engine)
    part = announced(engine, tmp_path)
    assert (part.month, part.messages, part.due_at) == ("2026-01", 4, THEN + timedelta(days=1))
    assert len(whole(engine)) == 4, "announced, and nothing more"
    done = now_(make_run(engine, tmp_path).carry_out(part.number))
    assert (done.state, done.messages) == (PartState.GONE, 4)
    assert whole(engine) == set()
    with transactions.read_transaction(engine) as tx:
        (file,) = catalogue.list_archives(tx)
        assert file.id == done.archive
        assert tx.scalar(sa.select(sa.func.count()).select_from(content)) == 0
        assert list(integrity.find_chain_damage(tx)) == []
        told = [json.loads(each.text)["event"] for each in events.read_chained_events(tx, 0, 1000)]
        told += [
            json.loads(text)["event"] for text in tx.scalars(sa.select(event.c.text).where(event.c.number.is_(None)))
        ]
    with open_archive(Path(file.path)) as archive:
        assert {each.id for each in archive.messages()} == {taken.id for _, taken in made}
    assert [name for name in told if name.startswith("retention")] == [
        "retention-announced",
        "retention-archived",
        "retention-deleted",
    ]
    for each, taken in made:
        check_repetition(engine, each, taken)


@pytest.mark.parametrize("writes", range(4))
def test_an_interruption_anywhere_loses_nothing_and_is_gone_on_with(engine, tmp_path, writes):
    made = prepared(engine)
    part = announced(engine, tmp_path)
    with pytest.raises(Killed):
        now_(make_run(engine, tmp_path, left=writes).carry_out(part.number))
    done = now_(make_run(engine, tmp_path).carry_out(part.number))
    assert (done.state, whole(engine)) == (PartState.GONE, set())
    with transactions.read_transaction(engine) as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(content)) == 0
        assert list(integrity.find_chain_damage(tx)) == []
    for each, taken in made:
        check_repetition(engine, each, taken)


@pytest.mark.parametrize("journal_url", ["sqlite"], indirect=True)
class TestNothingGoes:
    def test_while_the_archive_file_is_absent_or_another_one(self, engine, tmp_path):
        prepared(engine)
        part = announced(engine, tmp_path)
        with pytest.raises(Killed):
            now_(make_run(engine, tmp_path, left=1).carry_out(part.number))
        (file,) = tmp_path.glob("archive-*.zip")
        octets = file.read_bytes()
        for damage in (file.unlink, lambda: file.write_bytes(octets[:-40] + b"x" * 40)):
            damage()
            with pytest.raises(ArchiveAbsent):
                now_(make_run(engine, tmp_path).carry_out(part.number))
            assert len(whole(engine)) == 4
        file.write_bytes(octets)
        assert now_(make_run(engine, tmp_path).carry_out(part.number)).state is PartState.GONE

    def test_of_what_happened_after_it_was_archived(self, engine, tmp_path):
        made = prepared(engine)
        part = announced(engine, tmp_path)
        with pytest.raises(Killed):
            now_(make_run(engine, tmp_path, left=1).carry_out(part.number))
        replayed = made[0][1].id
        with transactions.write_transaction(engine) as tx:
            (sent,) = deliveries.read_message_deliveries(tx, replayed)
            deliveries.revive_deliveries(tx, [(sent, DeliveryState.WAITING)], reason="x", by="an", now=THEN)
        assert now_(make_run(engine, tmp_path).carry_out(part.number)).messages == 3
        assert whole(engine) == {replayed}
        with transactions.read_transaction(engine) as tx:
            assert tx.scalars(sa.select(content.c.sha256)).all() == [made[0][0].sha256]

    def test_of_one_that_went_and_was_brought_back_before_the_part_was_gone_on_with(self, engine, tmp_path):
        ((_, taken),) = prepared(engine, 1)
        many = len(told(engine, taken.id))
        part = announced(engine, tmp_path)
        with pytest.raises(Killed):
            now_(make_run(engine, tmp_path, left=2).carry_out(part.number))
        assert told(engine, taken.id) == [], "it has gone"
        with transactions.read_transaction(engine) as tx:
            (file,) = catalogue.list_archives(tx)
        for step in restoring.restore_steps(file, taken.id, tmp_path, by="an", plan=None, now=THEN):
            with transactions.write_transaction(engine) as tx:
                step(tx)
        with transactions.write_transaction(engine) as tx:  # as many events as in the file, but others
            events.append_events(tx, *[Event("content-opened", THEN, taken.id, None, {"by": "an"})] * (many - 1))
        letting_go.read_all_events(engine, THEN)
        since = told(engine, taken.id)
        assert len(since) == many
        now_(make_run(engine, tmp_path).carry_out(part.number))
        assert told(engine, taken.id) == since

    def test_with_a_file_of_which_another_machine_has_written_the_part_first(self, engine, tmp_path, monkeypatch):
        prepared(engine)
        part = announced(engine, tmp_path)
        with pytest.raises(Killed):
            now_(make_run(engine, tmp_path, left=1).carry_out(part.number))
        read = [part, part]  # both have read the part before either moved it
        monkeypatch.setattr(parts, "read_part", lambda *_: read.pop())
        with pytest.raises(RetentionHeld, match="another process"):
            now_(make_run(engine, tmp_path / "other").carry_out(part.number))
        assert len(whole(engine)) == 4
        with transactions.read_transaction(engine) as tx:
            assert len(catalogue.list_archives(tx)) == 1
        assert [*(tmp_path / "other").glob("archive-*.zip")] == [], "its file is in no journal"

    def test_uncounted_of_what_another_machine_let_go_meanwhile(self, engine, tmp_path, monkeypatch):
        prepared(engine)
        part = announced(engine, tmp_path)
        with transactions.write_transaction(engine) as tx:
            parts.add_gone(tx, part.number, 5, THEN)
            monkeypatch.setattr(parts, "read_part", lambda *_: part)  # read before the other one committed
            parts.move_part(tx, part.number, PartEvent.WITHDRAW, THEN)
            assert [each.events for each in parts.list_parts(tx)] == [5]

    def test_of_octets_that_are_not_in_the_file_because_a_part_of_them_is_missing(self, engine, tmp_path):
        large = record(engine, document(document_id="D9"), 9, content=b"x" * (blobs.PART + 1))[0]
        with transactions.write_transaction(engine) as tx:
            tx.execute(sa.delete(content).where(content.c.sha256 == large.sha256, content.c.part == 1))
        prepared(engine, 1)
        now_(make_run(engine, tmp_path).carry_out(announced(engine, tmp_path).number))
        with transactions.read_transaction(engine) as tx:
            assert tx.execute(sa.select(content.c.sha256, content.c.part)).all() == [(large.sha256, 0)]

    def test_of_a_message_that_is_brought_back_at_this_moment(self, engine, tmp_path, monkeypatch):
        made = prepared(engine, 1)
        part = announced(engine, tmp_path)
        look = RetentionRun._pass

        async def meanwhile(run, step, shared):
            """The message is brought back behind the pass."""
            found = await look(run, step, shared)
            with transactions.write_transaction(engine) as tx:
                tx.execute(sa.update(message).values(archive=None))
            return found

        monkeypatch.setattr(RetentionRun, "_pass", meanwhile)
        now_(make_run(engine, tmp_path).carry_out(part.number))
        with transactions.read_transaction(engine) as tx:
            assert blobs.read_blob(tx, made[0][0].sha256) == made[0][0].content

    def test_while_a_month_is_being_closed(self, engine, tmp_path):
        prepared(engine)
        part = announced(engine, tmp_path)
        with transactions.write_transaction(engine) as tx:
            tx.execute(sa.insert(closing_draft).values(form="f", token="t", until=THEN))
        with pytest.raises(RetentionHeld, match="being closed"):
            now_(make_run(engine, tmp_path).carry_out(part.number))

    def test_while_an_earlier_version_runs(self, engine, tmp_path):
        prepared(engine)
        part = announced(engine, tmp_path)
        old = Node(name="cũ", host="h", version="2026.11.0", schema="0050", started_at=THEN)
        with transactions.write_transaction(engine) as tx:
            record_heartbeat(tx, old, THEN)
        with pytest.raises(RetentionHeld, match="cũ"):
            now_(make_run(engine, tmp_path).carry_out(part.number))

    def test_without_an_announcement_twice(self, engine, tmp_path):
        prepared(engine)
        announced(engine, tmp_path)
        assert now_(make_run(engine, tmp_path).announce("an")) == []

    def test_of_what_was_taken_up_again_between_announcement_and_day(self, engine, tmp_path):
        made = prepared(engine, 1)
        part = announced(engine, tmp_path)
        with transactions.write_transaction(engine) as tx:
            (sent,) = deliveries.read_message_deliveries(tx, made[0][1].id)
            deliveries.revive_deliveries(tx, [(sent, DeliveryState.HELD)], reason="x", by="an", now=THEN)
        assert now_(make_run(engine, tmp_path).carry_out(part.number)).state is PartState.WITHDRAWN
        assert list(tmp_path.glob("*.zip")) == []


def test_the_plan_says_why_the_rest_stays(engine, tmp_path):
    prepared(engine, 3)
    with transactions.write_transaction(engine) as tx:
        dead = sa.select(delivery.c.id).limit(1).scalar_subquery()
        tx.execute(sa.update(delivery).where(delivery.c.id == dead).values(state=DeliveryState.DEAD))
    (plan,) = now_(make_run(engine, tmp_path).plan())
    assert (plan.month, plan.messages, plan.stays) == ("2026-01", 2, Counter({"dead": 1}))


def test_the_plan_says_so_of_messages_of_which_none_can_go_yet_too(engine, tmp_path):
    prepared(engine, 3)
    run = make_run(engine, tmp_path)
    (plan,) = now_(attrs.evolve(run, setting=make_setting(SETTINGS, ["f", "never-closed"], None)).plan())
    assert (plan.messages, plan.stays) == (0, Counter({"open-period": 3}))
    contested = attrs.evolve(SETTINGS, contest=1200)
    (plan,) = now_(make_run(engine, tmp_path, settings=contested).plan())
    assert (plan.messages, plan.stays) == (0, Counter({"contestable": 3}))


# --- whatever happened before


@attrs.define(eq=False)
class Province:
    """A journal in which anything may happen, and what a careful clerk writes down of it."""

    engine: sa.Engine
    folder: Path
    random: Random
    now: datetime = START
    number: int = 0
    sent: dict[str, tuple[MessageEntry, RecordedMessage]] = attrs.field(
        factory=dict
    )  #: hub id -> entry and what was answered
    refused: set[str] = attrs.field(factory=set)

    def record(self, packet, **fields):
        self.number += 1
        self.now += timedelta(minutes=7)
        made, taken = record(self.engine, packet, self.number, at=self.now, **fields)
        if taken.problems:
            self.refused.add(taken.id)
        else:
            self.sent[taken.id] = (made, taken)

    def step(self) -> None:
        what = self.random.choices(
            (
                self.send,
                self.send_status,
                self.send_change,
                self.refuse,
                self.settle,
                self.give_up,
                self.replay,
                self.again,
            ),
            (8, 4, 2, 1, 6, 1, 1, 3),
        )[0]
        what()

    def send(self) -> None:
        to = self.random.sample(["H55.01", "H55.13", "G22.1"], self.random.randint(1, 2))
        self.record(document("H55.13.1", *to, document_id=f"D{self.random.randint(1, 6)}"), partner="any")

    def send_status(self) -> None:
        code = self.random.choice(["01", "03", "06", "15", "16"])
        self.record(status(code, "H55.01", "H55.13.1", f"D{self.random.randint(1, 6)}"), partner="vpub")

    def send_change(self) -> None:
        named = ResponseFor("H55.13.1", "", "", f"D{self.random.randint(1, 6)}")
        packet = attrs.evolve(
            document("H55.13.1"), kind=PacketKind.RECALL, responses=(named,), document_id=named.document_id
        )
        self.record(packet, partner="any")

    def refuse(self) -> None:
        self.record(document(), problems=(Problem("not-authorised", "x"),), receipt=None)

    def some(self, *states):
        with transactions.read_transaction(self.engine) as tx:
            rows = tx.scalars(sa.select(delivery.c.message).where(delivery.c.state.in_(states))).all()
            return deliveries.read_message_deliveries(tx, self.random.choice(rows)) if rows else []

    def settle(self) -> None:
        """Bring some deliveries to an end, or not quite."""
        end = self.random.choices(
            (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.FETCHED, DeliveryState.SUSPENDED), (8, 4, 1, 1)
        )[0]
        which = [each.id for each in self.some(DeliveryState.WAITING, DeliveryState.HELD, DeliveryState.FETCHED)]
        values = {"state": end, "free": False, "changed_at": self.now, "reason": None}
        with transactions.write_transaction(self.engine) as tx:
            tx.execute(sa.update(delivery).where(delivery.c.id.in_(which)).values(values))

    def give_up(self) -> None:
        with transactions.write_transaction(self.engine) as tx:
            for each in self.some(DeliveryState.WAITING, DeliveryState.SUSPENDED):
                delivery_ends.give_up_delivery(tx, each, reason="x", by="an", now=self.now)

    def replay(self) -> None:
        ended = [(each, DeliveryState.HELD) for each in self.some(DeliveryState.DEAD)]
        with transactions.write_transaction(self.engine) as tx:
            deliveries.revive_deliveries(tx, ended, reason="x", by="an", now=self.now)

    def again(self) -> None:
        if self.sent:
            check_repetition(self.engine, *self.random.choice(list(self.sent.values())))

    def let_go(self) -> set[str]:
        """Close the year, let months pass, and let go what may go. Return the hub ids of what went."""
        with transactions.write_transaction(self.engine) as tx:
            for year in range(2026, self.now.year + 1):
                letting_go.close_year(tx, year, self.now)
        letting_go.read_all_events(self.engine, self.now)
        then = self.now.replace(year=self.now.year + 1, month=6)
        before = self.unhandled(), self.stays(), whole(self.engine)
        run = make_run(self.engine, self.folder, at=then)
        for part in now_(run.announce("an")):
            now_(run.carry_out(part.number))
        gone: set[str] = before[2] - whole(self.engine)
        assert gone.isdisjoint(before[0]), "something is still to be done for it"
        assert self.stays() == before[1], "no fact, no delivery and no change has changed"
        self.now = then
        return gone

    def unhandled(self) -> set[str]:
        """Return the messages for which something is still to be done, as one who reads the rows sees it."""
        query = "SELECT message, state, stopped, reason FROM delivery"
        with transactions.read_transaction(self.engine) as tx:
            rows = tx.execute(sa.text(query)).all()
        done = {"delivered"}
        return {
            row.message
            for row in rows
            if row.state not in done
            and not (row.state == "dead" and (row.stopped or (row.reason or "").startswith("given up by an")))
        }

    def stays(self):
        with transactions.read_transaction(self.engine) as tx:
            rows = [tx.execute(sa.text(f"SELECT * FROM {name}")).all() for name in ("delivery", "change", "fact")]
        return [sorted(map(str, each)) for each in rows]

    def check(self) -> None:
        """Check everything that was ever receipted, and the chain."""
        with transactions.read_transaction(self.engine) as tx:
            assert list(integrity.find_chain_damage(tx)) == []
            assert list(integrity.find_content_damage(tx)) == []
            kept = {name: message_reading.read_stored_receipt(tx, name) for name in self.sent}
        assert kept == {name: made.receipt for name, (made, _) in self.sent.items()}
        for made, taken in self.sent.values():
            check_repetition(self.engine, made, taken)


def run_history(engine, folder, seed, steps):
    province = Province(engine, folder, Random(seed))
    gone: set[str] = set()
    for _ in range(3):
        for _ in range(steps):
            province.step()
        gone |= province.let_go()
        province.check()
    assert gone, "a history in which something goes"
    found = {each.id: each for file in folder.glob("*.zip") for each in _messages(file)}
    assert gone <= found.keys()
    with transactions.read_transaction(engine) as tx:
        refused = set(tx.scalars(sa.select(message.c.id).where(message.c.state == MessageState.REFUSED)))
    assert refused | found.keys() >= province.refused, "in the journal or in a file"


def _messages(file):
    with open_archive(file) as archive:
        yield from archive.messages()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1))
def test_whatever_happened_nothing_unhandled_goes_and_each_repetition_gets_its_old_receipt(engine, tmp_path, seed):
    run_history(engine, tmp_path, seed, 30)


@pytest.mark.soak
def test_many_histories_of_retention(engine, tmp_path):
    for seed in range(100, 130):
        place = tmp_path / str(seed)
        place.mkdir()
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name != "upgrade":
                    connection.execute(sa.delete(table))
        run_history(engine, place, seed, 40)
