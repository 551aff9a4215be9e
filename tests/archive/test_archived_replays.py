"""A message whose bytes have gone into an archive file is sent again as before, and counts nothing twice."""

import hashlib
from datetime import timedelta

import attrs
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from hub.domain.model import DeliveryState
from hub.journal import blobs, events, messages
from hub.journal.queue import claims
from hub.journal.replays import plan_rows, replay_plans
from hub.journal.replays.replay import ReplayChoice
from hub.journal.replays.replay_rules import PlanEvent, PlanState
from hub.journal.searching import message_reading
from hub.journal.searching.message_filter import MessageFilter
from hub.keeping import integrity
from hub.keeping.archive import opening, restoring
from hub.keeping.archive.catalogue import ArchiveAbsent
from hub.keeping.retention import letting_go
from hub.store import tables, transactions
from tests.archiving import THEN, forgotten, live, repacked
from tests.delivery.test_replay_service import Node
from tests.province import ROUTES, document, entry

LATER = THEN + timedelta(days=1)


def write(engine, step, *args, **kwargs):
    with transactions.write_transaction(engine) as tx:
        return step(tx, *args, **kwargs)


def read(engine, step, *args, **kwargs):
    with transactions.read_transaction(engine) as tx:
        return step(tx, *args, **kwargs)


def facts(tx):
    return tx.execute(sa.select(tables.fact).order_by(*tables.fact.primary_key.columns)).all()


def bring_back(engine, plan, folder):
    """Do what the service of a node does before it queues deliveries."""
    for each in read(engine, replay_plans.list_archived_next, plan.id, 50):
        entry_of = read(engine, restoring.find_archive_entry, each)
        for step in restoring.restore_steps(entry_of, each, folder, by="lan", plan=plan.id, now=LATER):
            write(engine, step)


def ordered(engine, *ids):
    """Return a plan to send the messages *ids* again, whose deliveries are chosen."""
    choice = ReplayChoice.of(MessageFilter(ids=ids), again=True, made_at=LATER)
    made = write(
        engine,
        replay_plans.make_plan,
        choice,
        key="k",
        reason="again",
        by="lan",
        now=LATER,
        goes=True,
        rate=None,
        stop_after=None,
    )
    return write(engine, replay_plans.take_step, made.id, ROUTES, LATER, approve_over=None)


def test_it_is_brought_back_sent_again_and_counts_nothing_twice(engine, tmp_path):
    ids = live(engine, 3)
    counted, before = read(engine, facts), read(engine, message_reading.read_stored_receipt, ids[1])
    forgotten(engine, tmp_path)
    assert read(engine, facts) == counted
    plan = ordered(engine, ids[1])
    assert (plan.state, plan.chosen) == (PlanState.RUNNING, 1), "a plan chooses what is in an archive file"
    bring_back(engine, plan, tmp_path)
    plan = write(engine, replay_plans.take_step, plan.id, ROUTES, LATER, approve_over=None)
    assert (plan.state, plan.queued) == (PlanState.DONE, 1)
    (claimed,) = write(
        engine, claims.claim_deliveries, "vpub", LATER, limit=9, holder="node", lease=timedelta(seconds=60)
    )
    found = read(engine, message_reading.read_message, ids[1])
    assert hashlib.sha256(read(engine, blobs.read_blob, found.sha256)).hexdigest() == found.sha256
    assert found.subject == "V/v kết nối"
    assert claimed.message == ids[1]
    assert read(engine, message_reading.read_stored_receipt, ids[1]) == before
    told = read(engine, events.read_message_events, ids[1])
    assert [each["event"] for each in told][:2] == ["message-restored", "delivery-replayed"]
    assert (told[0]["by"], told[0]["plan"]) == ("lan", plan.id)
    assert read(engine, facts) == counted
    with transactions.read_transaction(engine) as tx, opening.open_kept_message(tx, ids[1], tmp_path) as kept:
        whole = events.read_message_events(kept, ids[1])
    assert whole[0]["event"] == "message-accepted", "its earlier events are still read from the file"
    assert whole[-len(told) :] == told


def test_one_that_went_again_after_it_was_brought_back_is_read_from_both_files(engine, tmp_path):
    (only,) = live(engine, 1)
    before = read(engine, events.read_message_events, only)
    forgotten(engine, tmp_path)
    plan = ordered(engine, only)
    bring_back(engine, plan, tmp_path)
    restored = read(engine, events.read_message_events, only)
    write(engine, replay_plans.change_plan, plan.id, PlanEvent.CANCEL, by="lan", now=LATER)
    forgotten(engine, tmp_path, part=2)
    assert read(engine, events.read_message_events, only) == []
    with transactions.read_transaction(engine) as tx, opening.open_kept_message(tx, only, tmp_path) as kept:
        assert events.read_message_events(kept, only) == before + restored
    assert read(engine, lambda tx: [*integrity.find_chain_damage(tx), *integrity.find_content_damage(tx)]) == []


def with_other_octets(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("octets/"))
    members[name] = b"x" + members[name][1:]


def with_other_rows(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("messages/"))
    members[name] = members[name].replace(b'"partner":"sotttt"', b'"partner":"sottty"', 1)


@pytest.mark.parametrize("change", [with_other_octets, with_other_rows], ids=lambda each: each.__name__)
def test_nothing_is_brought_back_from_a_file_that_somebody_changed(here, tmp_path, change):
    """It may have lain on other disks for years: what comes back is sent to partners as the hub's own."""
    (only,) = live(here, 1)
    found, path = read(here, message_reading.read_message, only), forgotten(here, tmp_path).path
    changed = repacked(path, tmp_path / "changed", change)
    assert changed.read_bytes() != path.read_bytes()
    changed.rename(path)
    entry_of = read(here, restoring.find_archive_entry, only)
    with pytest.raises(ArchiveAbsent, match="SHA-256"):
        next(restoring.restore_steps(entry_of, only, tmp_path, by="lan", plan=None, now=LATER))
    assert read(here, blobs.read_blob_size, found.sha256) is None
    if change is with_other_octets:
        with pytest.raises(ArchiveAbsent, match="other octets"):
            next(opening.read_archived_octets([entry_of], only, tmp_path))


def test_octets_that_go_while_it_is_brought_back_are_written_again(engine, tmp_path):
    (only,) = live(engine, 1)
    found = read(engine, message_reading.read_message, only)
    octets = read(engine, blobs.read_blob, found.sha256)
    forgotten(engine, tmp_path)
    write(engine, blobs.keep_blob, found.sha256, octets)  # the message has gone, its octets not yet
    entry_of = read(engine, restoring.find_archive_entry, only)
    steps = restoring.restore_steps(entry_of, only, tmp_path, by="lan", plan=None, now=LATER)
    write(engine, next(steps))
    assert write(engine, letting_go.remove_octets, [found.sha256], [only], THEN) == 1
    for step in steps:
        write(engine, step)
    assert read(engine, restoring.find_archive_entry, only) is None, "it is whole"
    assert read(engine, blobs.read_blob, found.sha256) == octets


def test_a_large_one_that_is_not_brought_back_to_the_end_is_no_damage(here, tmp_path):
    (only,) = live(here, 1, content=lambda _number: b"<large/>" * (restoring.PIECE // 8) + b"<more/>")
    forgotten(here, tmp_path)
    entry_of = read(here, restoring.find_archive_entry, only)
    steps = restoring.restore_steps(entry_of, only, tmp_path, by="lan", plan=None, now=LATER)
    write(here, next(steps))  # and then the node stops
    assert read(here, lambda tx: list(integrity.find_content_damage(tx))) == []
    for step in restoring.restore_steps(entry_of, only, tmp_path, by="lan", plan=None, now=LATER):
        write(here, step)
    assert read(here, lambda tx: list(integrity.find_content_damage(tx))) == []
    assert (
        len(read(here, blobs.read_blob, read(here, message_reading.read_message, only).sha256)) == restoring.PIECE + 7
    )


def test_octets_stay_that_a_message_of_another_file_was_brought_back_with_meanwhile(engine, tmp_path):
    (first,) = live(engine, 1, content=lambda _number: b"<same/>")
    forgotten(engine, tmp_path)
    (second,) = live(engine, 1, first=5, content=lambda _number: b"<same/>")
    found = read(engine, message_reading.read_message, second)
    went = sa.update(tables.message).where(tables.message.c.id == second).values(archive=2)
    write(engine, sa.Connection.execute, went)
    unused = write(engine, letting_go.pass_messages, {found.sha256}, "0")[0]
    assert unused == set(), "the pass finds no use"
    plan = ordered(engine, first)
    bring_back(engine, plan, tmp_path)
    write(engine, replay_plans.take_step, plan.id, ROUTES, LATER, approve_over=None)
    assert write(engine, letting_go.remove_octets, [found.sha256], [second], THEN) == 0
    assert read(engine, blobs.read_blob, found.sha256) == b"<same/>"


def test_a_delivery_whose_file_is_away_is_left_alone_and_says_so(here, tmp_path):
    (only,) = live(here, 1)
    record = forgotten(here, tmp_path)
    plan = ordered(here, only)
    record.path.unlink()
    with pytest.raises(ArchiveAbsent):
        bring_back(here, plan, tmp_path)
    plan = write(here, replay_plans.take_step, plan.id, ROUTES, LATER, approve_over=None)
    assert (plan.state, plan.queued, plan.skipped) == (PlanState.DONE, 0, 1)
    (item,) = read(here, lambda tx: list(plan_rows.iterate_items(tx, plan.id)))
    assert item.why == "archived"
    assert item.delivery.state is DeliveryState.DELIVERED


def test_every_archived_message_sent_again_gets_its_old_receipt_no_fact_and_no_delivery(engine, tmp_path):
    ids = live(engine, 4)
    kept = {each: read(engine, message_reading.read_stored_receipt, each) for each in ids}
    counts = [sa.select(sa.func.count()).select_from(table) for table in (tables.fact, tables.delivery, tables.message)]
    forgotten(engine, tmp_path)
    before = read(engine, lambda tx: [tx.scalar(each) for each in counts])
    for number, name in enumerate(ids):
        octets = f"<packet số='{number}'/>".encode() * 40
        again = entry(document(document_id=f"D{number}"), number, content=octets, at=LATER, id=opening_id(number))
        taken = write(engine, messages.record_message, again, ROUTES)
        assert (taken.id, taken.receipt) == (name, kept[name])
        other = attrs.evolve(again, content=b"<other/>", sha256=hashlib.sha256(b"<other/>").hexdigest())
        assert [each.code for each in write(engine, messages.record_message, other, ROUTES).problems] == ["id-reused"]
    after = read(engine, lambda tx: [tx.scalar(each) for each in counts])
    assert after[:2] == before[:2]
    assert after[2] == before[2] + 4, "the refused ones are kept, as all that are refused"


def opening_id(number):
    from hub.domain.ids import make_id

    return make_id(LATER + timedelta(seconds=number))


def test_the_service_of_a_node_brings_it_back_and_goes_on_without_what_is_away(here, tmp_path):
    first = live(here, 2)
    gone = forgotten(here, tmp_path)
    second = live(here, 2, first=5)
    forgotten(here, tmp_path, part=2)
    gone.path.unlink()
    node = Node(here)
    node.service._live.config.archive = tmp_path  # type: ignore[misc]
    choice = ReplayChoice.of(MessageFilter(ids=(*first, *second)), again=True, made_at=LATER)
    words = {"key": "k", "reason": "again", "by": "lan", "now": LATER, "goes": True, "rate": None, "stop_after": None}
    plan = write(here, replay_plans.make_plan, choice, **words)
    node.service.startService()
    with capture_logs() as logs:
        node.clock.pump([1.0] * 5)
    _ = node.service.stopService()
    plan = read(here, plan_rows.read_plan, plan.id)
    assert (plan.state, plan.queued, plan.skipped) == (PlanState.DONE, 2, 2)
    assert {each["message"] for each in logs if each["event"] == "archive-absent"} == set(first)
    assert not [each for each in logs if each["event"] == "replays-wait"]
