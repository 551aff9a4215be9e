"""An archive file holds its messages down to the octets, is read by tools that nobody here wrote, and shows every change."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from unittest.mock import Mock

import attrs
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.cli import lienthong
from hub.domain.model import Event
from hub.journal import blobs, events
from hub.keeping.archive import manifest, writing
from hub.keeping.archive.confirming import find_unchanged_messages
from hub.keeping.archive.reading import open_archive
from hub.keeping.archive.writing import ArchiveBroken, ArchiveChoice, write_archive
from hub.report.counting.lines import write_compact_json
from hub.security import signing
from hub.store import tables, transactions
from tests import databases
from tests.archiving import CA, HUB, LATER, TRUST, archived, chain, judged, live, opened, repacked, wrong
from tests.conftest import ROOT, cannot_be_had
from tests.examples import at_most
from tests.province import NOW


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a few messages, one event of none of them among it."""
    place = tmp_path_factory.mktemp("archive")
    engine = transactions.open_journal(databases.sqlite(place / "hub.db"))
    ids = live(engine, 3)
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("reloaded", NOW, None, None, {"by": "signal"}))
    chain(engine)
    with transactions.read_transaction(engine) as tx:
        others = tuple(tx.scalars(sa.select(tables.event.c.serial).where(tables.event.c.message.is_(None))))
    record = archived(engine, place, ids, others)
    engine.dispose()
    return record.path


# --- what is in it


def test_a_month_reads_back_as_it_was(engine, tmp_path):
    ids = live(engine, 5)
    record = archived(engine, tmp_path, ids)
    assert record.messages == tuple(ids)
    assert hashlib.sha256(record.path.read_bytes()).hexdigest() == record.sha256
    assert [each for each in judged(record.path) if each.holds is False] == []
    with open_archive(record.path) as archive, transactions.read_transaction(engine) as tx:
        for name in ids:
            found = archive.read_message(name)
            row = tx.execute(sa.select(tables.message).where(tables.message.c.id == name)).mappings().one()
            assert found.row == dict(row)
            for table, rows in (
                (tables.delivery, found.deliveries),
                (tables.attempt, found.attempts),
                (tables.change, found.changes),
            ):
                there = tx.execute(sa.select(table).where(table.c.message == name)).mappings()
                assert sorted(rows, key=str) == sorted(map(dict, there), key=str)
            kept = tx.execute(
                sa.select(tables.event).where(tables.event.c.message == name).order_by(tables.event.c.serial)
            )
            assert [(each.serial, each.number, each.hash, each.text) for each in archive.read_events(name)] == [
                (row.serial, row.number, row.hash, row.text) for row in kept
            ]
            digest = found.row["sha256"]
            assert b"".join(archive.read_octets(digest)) == blobs.read_blob(tx, digest)
            for tried in found.attempts:
                there = tx.execute(
                    sa.select(tables.exchange).where(tables.exchange.c.sha256 == tried["exchange"])
                ).mappings()
                assert archive.read_shared_row(manifest.EXCHANGES, tried["exchange"]) == dict(there.one())


def test_octets_that_many_messages_share_are_kept_once(here, tmp_path):
    ids = live(here, 4, content=lambda number: b"<same/>" * 100 if number else b"<other/>")
    record = archived(here, tmp_path, ids)
    assert record.counts.octets == 2
    assert not wrong(record.path)


def test_a_file_that_is_full_says_where_the_next_one_begins(here, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MOST_MESSAGES", 2)
    ids = live(here, 5)
    parts, left = [], ids
    while left:
        parts.append(archived(here, tmp_path, left))
        left = [each for each in left if each not in parts[-1].messages]
    assert [list(each.messages) for each in parts] == [ids[:2], ids[2:4], ids[4:]]
    assert [wrong(each.path) for each in parts] == [set()] * 3
    by_octets = archived(here, tmp_path, ids, most_octets=1)
    assert list(by_octets.messages) == ids[:1]


def test_a_message_with_an_event_outside_the_chain_is_left_out(here, tmp_path):
    ids = live(here, 2)
    with transactions.write_transaction(here) as tx:
        events.append_events(tx, Event("content-opened", NOW, ids[0], None, {"by": "lan"}))
    assert archived(here, tmp_path, ids).messages == (ids[1],)
    chain(here)
    assert archived(here, tmp_path, ids).messages == tuple(ids)


def test_a_message_with_very_many_events_is_found_with_all_of_them(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_EVENTS", 3)
    monkeypatch.setattr(writing, "_LINES", 2)
    ids = live(engine, 3)
    with transactions.write_transaction(engine) as tx:
        for number in range(9):
            events.append_events(tx, Event("content-opened", NOW, ids[1], None, {"by": f"{number}"}))
    chain(engine)
    record = archived(engine, tmp_path, ids)
    assert not wrong(record.path)
    with open_archive(record.path) as archive, transactions.read_transaction(engine) as tx:
        for name in ids:
            told = [json.loads(each.text) for each in archive.read_events(name)]
            assert told == events.read_message_events(tx, name)


def test_nothing_to_write_leaves_no_file(here, tmp_path):
    with transactions.read_transaction(here) as tx:
        chosen = ArchiveChoice(period="2026-11", messages=["00000000-0000-7000-8000-000000000000"])
        assert write_archive(tx, chosen, tmp_path, HUB, LATER) is None
    assert list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".archive*")) == []


def test_what_does_not_read_back_does_not_count(here, tmp_path, monkeypatch):
    """A disk that lies: the octets that were written are not those that are read."""
    ids = live(here, 1)
    sync = os.fsync

    def damage(handle: int) -> None:
        sync(handle)
        os.pwrite(handle, b"\xff\xff\xff", 400)

    monkeypatch.setattr(os, "fsync", damage)
    with pytest.raises(ArchiveBroken):
        archived(here, tmp_path, ids)
    assert list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".archive*")) == []


def test_a_file_is_not_sealed_with_a_certificate_that_has_ended(here, tmp_path):
    ids = live(here, 1)
    ended = CA.issue("hub until yesterday", begins=HUB.certificate.not_valid_before_utc, ends=NOW)
    with transactions.read_transaction(here) as tx, pytest.raises(ArchiveBroken, match="certificate"):
        write_archive(tx, ArchiveChoice(period="2026-11", messages=ids), tmp_path, ended, LATER)
    assert list(tmp_path.glob("*.zip")) + list(tmp_path.glob(".archive*")) == []


# --- which rows may go


def test_only_what_is_unchanged_since_may_go(engine, tmp_path):
    ids = live(engine, 6)
    record = archived(engine, tmp_path, ids[:5])
    delivery, attempt, content = tables.delivery, tables.attempt, tables.content
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("content-opened", NOW, ids[0], None, {"by": "lan"}))
    with transactions.write_transaction(engine) as tx, open_archive(record.path) as archive:
        assert find_unchanged_messages(tx, archive, ids) == ids[1:5], "an event more; and one that is not in the file"
        tx.execute(sa.update(delivery).where(delivery.c.message == ids[1]).values(state="waiting"))
        tx.execute(sa.delete(attempt).where(attempt.c.message == ids[2]))
        digest = tx.scalars(sa.select(tables.message.c.sha256).where(tables.message.c.id == ids[3])).one()
        tx.execute(sa.delete(content).where(content.c.sha256 == digest))
        assert find_unchanged_messages(tx, archive, ids) == ids[4:5]


# --- tools that nobody here wrote


def shell(script: str, at: Path) -> str:
    return subprocess.run(["bash", "-euc", script], cwd=at, capture_output=True, check=True, text=True).stdout


@pytest.mark.slow
def test_unzip_sha256sum_and_openssl_verify_it(sealed, tmp_path):
    """With the commands of docs/reference/archive.md, and nothing of ours."""
    for tool in ("unzip", "openssl", "jq"):
        if shutil.which(tool) is None:
            cannot_be_had(tool, "it is not installed")
    page = (ROOT / "docs/reference/archive.md").read_text("utf-8")
    section = page.partition("## With standard tools")[2].partition("\n## ")[0]
    commands = re.findall(r"(?:^    .+\n)+", section, re.MULTILINE)
    assert len(commands) == 7
    (tmp_path / "archive.zip").write_bytes(sealed.read_bytes())
    (tmp_path / "ca.crt").write_bytes(CA.certificate.public_bytes(Encoding.PEM))
    said = shell("\n".join(line[4:] for some in commands for line in some.splitlines()), tmp_path).splitlines()
    assert said[0] == "Verified OK"
    assert said[1] == said[2], "the digest of the manifest is the one that was signed"
    assert said[3] == "hub.pem: OK"
    assert "<MessageId>m1</MessageId>" in "".join(said[4:])
    wrong_text = (tmp_path / "thang/manifest.xml").read_text("utf-8").replace("2026-11", "2026-10", 1)
    (tmp_path / "thang/manifest.xml").write_text(wrong_text, "utf-8")
    ours, stated = shell("\n".join(line[4:] for line in commands[3].splitlines()), tmp_path / "thang").splitlines()
    assert ours != stated


# --- whatever is changed in one is found


@given(st.data())
@settings(max_examples=at_most(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_octet_of_it_can_be_another_one(sealed, tmp_path, data):
    content = bytearray(sealed.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "changed.zip").write_bytes(content)
    assert wrong(tmp_path / "changed.zip")


def without_last_event(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("events/"))
    members[name] = b"".join(members[name].splitlines(keepends=True)[:-1])


def other_text(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("events/"))
    members[name] = members[name].replace(b"message-accepted", b"message-excepted", 1)


def other_row(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.startswith("messages/"))
    members[name] = members[name].replace(b'"partner":"sotttt"', b'"partner":"sottty"', 1)


def without_octets(members: dict[str, bytes]) -> None:
    del members[next(name for name in members if name.startswith("octets/"))]


def more_octets(members: dict[str, bytes]) -> dict[str, bytes]:
    last = members.pop(manifest.MANIFEST)
    return {**members, f"octets/{hashlib.sha256(b'x').hexdigest()}": b"x", manifest.MANIFEST: last}


def without_member(members: dict[str, bytes]) -> None:
    del members[next(name for name in members if name.startswith("others/"))]


CHANGES = {
    without_last_event: {"manifest"},
    other_text: {"manifest"},
    other_row: {"manifest"},
    without_octets: {"octets", "manifest"},
    more_octets: {"octets", "manifest"},
    without_member: {"manifest"},
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.__name__)
def test_whatever_is_changed_inside_is_found(sealed, tmp_path, change):
    assert wrong(repacked(sealed, tmp_path / "changed.zip", lambda _members: None)) == set()
    found = wrong(repacked(sealed, tmp_path / "changed.zip", change))
    assert found
    assert found <= CHANGES[change] | {"event", "message", "chain", "archive"}


def forged(sealed: Path, to: Path, change, identity=HUB) -> Path:
    """Write *sealed* after *change*, with a manifest that fits, sealed anew."""

    def sealed_anew(members: dict[str, bytes]) -> None:
        change(members)
        said = opened(sealed, lambda archive: archive.manifest)
        listed = {name: (len(members[name]), hashlib.sha256(members[name]).hexdigest()) for name in said.members}
        root = manifest.build_archive_element(attrs.evolve(said, members=listed))
        members[manifest.MANIFEST] = signing.write_sealed_document(root, identity)

    return repacked(sealed, to, sealed_anew)


@pytest.mark.parametrize("change", [without_last_event, other_text, without_octets], ids=lambda each: each.__name__)
def test_whoever_seals_a_forged_one_anew_is_named_or_contradicts_the_chain(sealed, tmp_path, change):
    """A holder of a certificate of the same CA who is not the hub; and the hub itself, which cannot forge a text."""

    def forge(identity):
        return wrong(forged(sealed, tmp_path / "forged.zip", change, identity))

    stranger = CA.issue("another of this CA", begins=HUB.certificate.not_valid_before_utc, ends=LATER)
    assert "sealer" in forge(stranger)
    assert forge(HUB) & {"event", "octets"}
    assert "manifest" in forge(HUB) or change is other_text


@pytest.mark.parametrize(
    ("folder", "key", "value"),
    [
        ("messages", "id", 7),
        ("messages", "id", None),
        ("messages", "events", "1"),
        ("messages", "events", []),
        ("events", "message", []),
        ("events", "delivery", {}),
        ("events", "previous", ""),
        ("others", "previous", 0),
    ],
)
def test_a_value_of_another_kind_is_found_and_ends_no_verification(sealed, tmp_path, folder, key, value):
    def change(members: dict[str, bytes]) -> None:
        name = next(name for name in members if name.startswith(f"{folder}/"))
        first, *others = members[name].splitlines(keepends=True)
        members[name] = b"".join([write_compact_json({**json.loads(first), key: value}), *others])

    assert "archive" in wrong(forged(sealed, tmp_path / "forged.zip", change))


@pytest.mark.parametrize(
    "bomb",
    [
        b'{"x":[' + b"[]," * manifest.MOST_VALUES + b"[]]}\n",  # 12 MB in the member, 12 kB in the file
        b"{}\n" * (manifest.MOST_LINES // 3 + 1),
    ],
    ids=["a line of very many values", "very many lines"],
)
def test_what_takes_little_in_the_file_and_much_in_memory_is_not_read(sealed, tmp_path, bomb, monkeypatch):
    def change(members: dict[str, bytes]) -> None:
        members[next(name for name in members if name.startswith("messages/"))] = bomb

    path = forged(sealed, tmp_path / "bomb.zip", change)
    monkeypatch.setattr("hub.keeping.archive.archived.json.loads", Mock(side_effect=AssertionError("it is read")))
    assert "archive" in wrong(path)


def test_a_seal_of_an_unknown_authority_is_none(sealed):
    from hub.security.anchors import Anchors
    from tests import pki

    other = attrs.evolve(TRUST, anchors=Anchors([pki.authority("another").certificate]))
    assert {each.check for each in judged(sealed, other) if each.holds is False} == {"seal"}


def test_verify_knows_an_archive_file_by_itself(sealed, tmp_path):
    ca = tmp_path / "ca.crt"
    ca.write_bytes(CA.certificate.public_bytes(Encoding.PEM))

    def check(path: Path) -> tuple[int, list[dict[str, object]]]:
        done = CliRunner().invoke(lienthong, ["verify", str(path), "--ca", str(ca), "--json"])
        return done.exit_code, [json.loads(line) for line in done.output.splitlines()]

    code, found = check(sealed)
    assert code == 0
    assert {"container", "seal", "manifest", "message", "event", "octets"} <= {
        each["check"] for each in found if each["holds"]
    }
    code, found = check(repacked(sealed, tmp_path / "changed.zip", other_row))
    assert code == 1
    assert [each["check"] for each in found if each["holds"] is False] == ["manifest", "archive"]
    (tmp_path / "cut.zip").write_bytes(sealed.read_bytes()[:-9])
    code, found = check(tmp_path / "cut.zip")
    assert code == 1
    assert [each["check"] for each in found] == ["container"]
