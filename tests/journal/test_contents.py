"""Bytes are kept in parts that are the same whoever writes them, however often, and wherever it was interrupted."""

import hashlib
import random
import threading

import pytest
import sqlalchemy as sa

from hub.formats.spool import Drawer, Octets
from hub.journal import blobs, messages
from hub.store import transactions
from hub.store.tables import content
from tests.province import ROUTES, document, entry
from tests.waiting import PATIENCE

SIZES = [
    0,
    1,
    blobs.PART - 1,
    blobs.PART,
    blobs.PART + 1,
    blobs.LARGE,
    blobs.LARGE + 1,
    3 * blobs.LARGE,
]


def made(size):
    octets = random.Random(size).randbytes(size)
    return octets, hashlib.sha256(octets).hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_whole_and_in_parts_whoever_kept_them(engine, size):
    octets, name = made(size)
    with transactions.write_transaction(engine) as tx:
        blobs.keep_blob(tx, name, octets)
        blobs.keep_blob(tx, name, Octets.of(octets))
        assert blobs.read_blob(tx, name) == octets
        assert blobs.read_blob_size(tx, name) == size
        parts = list(blobs.read_blob_pieces(tx, name))
        assert all(len(part) == blobs.PART for part in parts[:-1])
        assert (
            tx.scalar(sa.select(sa.func.count()).select_from(content)) == len(parts) == max(1, -(-size // blobs.PART))
        )


@pytest.mark.parametrize("size", SIZES)
def test_batches_name_each_part_once_and_no_more_than_a_megabyte(size):
    numbers = [number for batch in blobs.batch_part_numbers(size) for number in batch]
    assert numbers == list(range(max(1, -(-size // blobs.PART))))
    assert all(len(batch) * blobs.PART <= blobs.LARGE for batch in blobs.batch_part_numbers(size))


def test_nothing_of_that_name_is_told_apart_from_no_bytes(tx):
    with pytest.raises(KeyError):
        blobs.read_blob(tx, "0" * 64)
    assert blobs.read_blob_size(tx, "0" * 64) is None


def test_what_an_interrupted_writer_left_is_completed_by_the_next(engine):
    octets, name = made(5 * blobs.LARGE)
    for batch in list(blobs.batch_part_numbers(len(octets)))[:2]:
        with transactions.write_transaction(engine) as tx:
            blobs.keep_parts(tx, name, octets, batch)
    with transactions.read_transaction(engine) as tx:
        assert blobs.read_blob_size(tx, name) == 2 * blobs.LARGE
    with transactions.write_transaction(engine) as tx:
        taken = messages.record_message(tx, entry(document(), content=octets), ROUTES)
    with transactions.read_transaction(engine) as tx:
        assert blobs.read_blob(tx, name) == octets
        assert taken.problems == ()


def test_two_writers_of_the_same_bytes_at_the_same_time_do_no_harm(engine):
    octets, name = made(4 * blobs.LARGE)
    failures = []

    def write():
        try:
            for batch in blobs.batch_part_numbers(len(octets)):
                with transactions.write_transaction(engine) as tx:
                    blobs.keep_parts(tx, name, octets, batch)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failures == []
    with transactions.read_transaction(engine) as tx:
        assert blobs.read_blob(tx, name) == octets


def test_parts_of_another_length_are_noticed_before_a_message_names_them(engine):
    octets, name = made(2 * blobs.LARGE)
    with transactions.write_transaction(engine) as tx:
        transactions.insert_missing_rows(tx, content, [{"sha256": name, "part": 0, "octets": octets[:1000]}])
    with pytest.raises(RuntimeError), transactions.write_transaction(engine) as tx:
        blobs.keep_blob(tx, name, octets)


def test_a_large_message_is_read_into_a_file(engine, tmp_path):
    drawer = Drawer(tmp_path)
    octets, name = made(2 * blobs.LARGE + 7)
    with transactions.write_transaction(engine) as tx:
        blobs.keep_blob(tx, name, octets)
        copy = drawer.keep(blobs.read_blob_pieces(tx, name))
    assert copy.sha256() == name
    drawer.close()
