"""What an upgrade promises: what the first release wrote is there afterwards, and the tables are those of today."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hub.domain.model import DeliveryState
from hub.journal import blobs, events, facts, search, unit_registry
from hub.journal.queue import deliveries
from hub.journal.search import MessageFilter
from hub.store import transactions
from hub.store.tables import delivery, dossier, metadata
from tests.conftest import DATABASES

#: Rows as the first release wrote them; later releases may know more columns and read these all the same.
FIRST_RELEASE = """
insert into content (sha256, octets) values ('aa', :octets);
insert into message (id, partner, message_id, service, kind, state, received_at, sha256, size, sender, document_id, code,
    promulgation_date, subject, document_type, paper, outside, receipt)
  values ('0192f0c1-0000-7000-8000-000000000001', 'sotttt', 'm1', 'documents', 'document', 'accepted',
    '2026-11-24T08:00:00.000000Z', 'aa', 5, 'H55.13', 'D1', '15/VP', '2026/11/20', 'V/v', 'Công văn', :no, :no, :receipt);
insert into message (id, partner, message_id, service, kind, state, received_at, sha256, size, refusal)
  values ('0192f0c1-0000-7000-8000-000000000002', 'sotttt', 'm2', 'documents', 'unknown', 'refused',
    '2026-11-24T08:00:01.000000Z', 'aa', 5, 'unit-unknown: H55.99');
insert into delivery (id, message, recipient, via, partner, state, attempts, due, since, changed_at)
  values ('0192f0c1-0000-7000-8000-000000000003', '0192f0c1-0000-7000-8000-000000000001', 'H55.01', 'H55.01', 'vpub', 'waiting',
    1, '2026-11-24T08:00:00.000000Z', '2026-11-24T08:00:00.000000Z', '2026-11-24T08:00:00.000000Z');
insert into attempt (id, message, partner, number, recipients, started_at, ended_at, outcome, detail)
  values ('0192f0c1-0000-7000-8000-000000000004', '0192f0c1-0000-7000-8000-000000000001', 'vpub', 1, '["H55.01"]',
    '2026-11-24T08:00:00.000000Z', '2026-11-24T08:00:02.000000Z', 'unavailable', 'connection refused');
insert into event (message, text) values ('0192f0c1-0000-7000-8000-000000000001', '{"at":"2026-11-24T08:00:00.000000Z"}');
insert into fact (unit, service, key, milestone, at, message, counterpart, outside, document_type, paper, signature)
  values ('H55.13', 'documents', '["H55.13","D1"]', 'sent', '2026-11-24T08:00:00.000000Z',
    '0192f0c1-0000-7000-8000-000000000001', 'H55.01', :no, 'Công văn', :no, 'message');
insert into unit (code, name, mark) values ('H55', 'Tỉnh', 'synthetic');
insert into unit (code, name, parent, mark) values ('H55.13', 'Sở', 'H55', 'synthetic');
insert into unit_alias (alias, unit) values ('000.00.13.H55', 'H55.13')
"""


#: Octets of what a journal of the first release holds whole.
SIZES = (0, 2, blobs.PART - 2, blobs.PART, blobs.PART + 2, 3 * blobs.LARGE + 10)


@pytest.fixture(params=DATABASES)
def old(request, tmp_path: Path):
    """A journal of the first release, with something of everything in it."""
    if request.param == "sqlite":
        yield from _filled(f"sqlite:///{tmp_path / 'hub.db'}")
        return
    with request.getfixturevalue("postgresql").database(empty=True) as url:
        yield from _filled(url)


def _filled(url):
    engine = transactions.open_journal(url, pooled=False)
    transactions.upgrade_schema(engine, "0001")
    whole = sa.table("content", sa.column("sha256"), sa.column("octets"))
    with transactions.write_transaction(engine) as tx:
        tx.execute(sa.insert(whole), [{"sha256": f"{size}", "octets": b"\0\xff" * (size // 2)} for size in SIZES])
    values = {"octets": b"bytes", "receipt": b"<receipt/>", "no": False}
    with transactions.write_transaction(engine) as tx:
        for statement in FIRST_RELEASE.split(";\n"):
            tx.execute(
                sa.text(statement.replace('"at":', '"at"\\:').replace("T08:00:0", "T08\\:00\\:0")),
                _used(statement, values),
            )
    yield engine
    engine.dispose()


def _used(statement, values):
    return {name: value for name, value in values.items() if f":{name}" in statement}


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_an_upgrade_from_the_first_release_keeps_everything_and_ends_at_the_tables_of_today(old):
    assert transactions.read_schema_version(old) == "0001"
    transactions.upgrade_schema(old)
    assert transactions.read_schema_version(old) == transactions.read_latest_version()
    with old.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    with transactions.write_transaction(old) as tx:
        accepted, refused = search.find_messages(tx, MessageFilter())
        assert (accepted.message_id, accepted.subject, accepted.sender) == ("m1", "V/v", "H55.13")
        assert (refused.message_id, refused.refusal) == ("m2", "unit-unknown: H55.99")
        assert blobs.read_blob(tx, accepted.sha256) == b"bytes"
        for size in SIZES:
            assert blobs.read_blob(tx, f"{size}") == b"\0\xff" * (size // 2)
            blobs.keep_blob(tx, f"{size}", b"\0\xff" * (size // 2))  # the same message, sent again to this release
            assert blobs.read_blob_size(tx, f"{size}") == size
        assert search.read_stored_receipt(tx, accepted.id) == b"<receipt/>"
        (made,) = deliveries.read_message_deliveries(tx, accepted.id)
        assert (made.state, made.attempts, made.recipient) == (DeliveryState.WAITING, 1, "H55.01")
        (fact,) = facts.read_facts(tx)
        assert (fact.unit, fact.milestone, fact.message) == ("H55.13", "sent", accepted.id)
        assert {unit.code: unit.aliases for unit in unit_registry.list_unit_histories(tx)} == {
            "H55": (),
            "H55.13": ("000.00.13.H55",),
        }
        assert events.chain_events(tx) >= 1
        assert list(events.find_broken_events(tx)) == []
        (told,) = [each for each in events.read_message_events(tx, accepted.id) if each.get("event") == "fact-recorded"]
        assert told == json.loads(events._text(facts.make_fact_event(fact))), "a fact from before facts were told of"


def test_an_upgrade_knows_the_heads_of_lanes_that_waited_before(old):
    transactions.upgrade_schema(old, "0006")
    columns = ["message", "recipient", "via", "partner", "state", "attempts", "due", "since", "changed_at", "turn"]
    columns += ["lane", "id"]
    at, message = "2026-11-24T08:00:00.000000Z", "0192f0c1-0000-7000-8000-000000000001"
    waits = [
        ("a", "dead"),
        ("a", "waiting"),
        ("a", "waiting"),
        ("b", "sending"),
        ("b", "waiting"),
        ("c", "waiting"),
        ("d", "held"),
    ]
    rows = [
        dict(
            zip(columns, (message, f"U{number}", "U", "vpub", state, 0, at, at, at, at, lane, f"{number}"), strict=True)
        )
        for number, (lane, state) in enumerate(waits)
    ]
    # Two recipients of one lane are two places; in one, all of these.
    rows += [row | {"id": f"1{row['id']}", "recipient": "same", "message": f"m{row['id']}"} for row in rows]
    table, messages = sa.table("delivery", *map(sa.column, columns)), sa.table("message", sa.column("id"))
    with transactions.write_transaction(old) as tx:
        for number in range(len(waits)):
            copied = "id, partner, message_id, service, kind, state, received_at, sha256, size"
            names = copied.replace("id, partner, message_id", f"'m{number}', partner, 'M{number}'")
            tx.execute(
                sa.text(f"insert into message ({copied}) select {names} from message where id = :id"), {"id": message}
            )
        assert len(tx.execute(sa.select(messages)).all()) == len(waits) + 2
        tx.execute(sa.insert(table), rows)
    transactions.upgrade_schema(old)
    with transactions.read_transaction(old) as tx:
        free = set(tx.scalars(sa.select(delivery.c.id).where(delivery.c.free)))
    alone = {"1", "2", "4", "5", f"{message[:-1]}3"}  # each recipient's own
    assert free == alone | {"11", "15"}


def test_an_upgrade_gives_each_dossier_that_two_units_reported_to_the_one_that_its_code_names(old):
    transactions.upgrade_schema(old, "0040")
    told = (
        ("H55.41", "H55.40-261120-0001", "2026-11-24T08:00:00.000000Z"),
        ("H55.40", "H55.40-261120-0001", "2026-11-24T09:00:00.000000Z"),
        ("H55.41", "G09.20-20261120-0092637", "2026-11-24T09:00:00.000000Z"),
        ("H55.40", "G09.20-20261120-0092637", "2026-11-24T08:00:00.000000Z"),
        ("H55.40", "HS-1", "2026-11-24T08:00:00.000000Z"),
    )
    row = """insert into fact (unit, service, key, milestone, at, message, counterpart, outside, document_type, paper, signature)
        values (:unit, 'dossiers', :key, 'received', :at, '0192f0c1-0000-7000-8000-000000000001', '', :no, '', :no, '')"""
    with transactions.write_transaction(old) as tx:
        for unit, key, at in told:
            tx.execute(sa.text(row), {"unit": unit, "key": key, "at": at, "no": False})
        before = tx.execute(sa.text("select * from fact order by unit, key")).all()
    transactions.upgrade_schema(old)
    with old.connect() as connection:
        found = connection.execute(sa.select(dossier.c.dossier, dossier.c.unit, dossier.c.origin)).all()
        assert connection.execute(sa.text("select * from fact order by unit, key")).all() == before
    assert sorted(map(tuple, found)) == [
        ("G09.20-20261120-0092637", "H55.40", "H55.40"),
        ("H55.40-261120-0001", "H55.40", "H55.40"),
    ]


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(old):
    transactions.upgrade_schema(old)
    before = transactions.read_schema_version(old)
    transactions.upgrade_schema(old)
    assert transactions.read_schema_version(old) == before
