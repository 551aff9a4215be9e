"""The secrets of one-time codes are encrypted in the journal, by the present key, each for its own user."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from twisted.internet.task import Clock

from hub.config.values import ConsoleSettings
from hub.console.sign_in.code_sealer import CodeSealer
from hub.journal import nodes
from hub.journal.nodes import Node
from hub.operations.accounts import second_factor, users
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.security.encryption import ANSWERS, CODES, Keyring, Safe
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import console_totp
from tests.databases import sqlite
from tests.province import NOW

SECRET = second_factor.write_secret(b"1" * 20)
CODE = TOTP(b"1" * 20, 6, SHA1(), 30).generate(int(NOW.timestamp())).decode()
OLD, NEW = Safe(b"o" * 32, CODES), Safe(b"n" * 32, CODES)


class Frame:
    """What a sealer looks at: the configuration in force."""

    def __init__(self, *safes: Safe) -> None:
        self.config = self
        self.console = ConsoleSettings(keys=Keyring(safes))


def enrol(engine: sa.Engine, name: str, kept: str) -> None:
    with transactions.write_transaction(engine) as tx:
        user = User(name=name, role=Role.VIEWER, units=("*",), added_at=NOW, changed_at=NOW)
        assert users.add_user(tx, user, "", by="x", now=NOW)
        assert second_factor.enrol_user(tx, name, kept, by="x", now=NOW)


def read(engine: sa.Engine, name: str = "an") -> str:
    with transactions.read_transaction(engine) as tx:
        return str(tx.scalar(sa.select(console_totp.c.secret).where(console_totp.c.name == name)))


def use(engine: sa.Engine, *safes: Safe, name: str = "an") -> bool:
    with transactions.write_transaction(engine) as tx:
        return second_factor.use_code(tx, name, CODE, Keyring(safes), NOW)


def seal(engine: sa.Engine, *safes: Safe, others: str = "2") -> None:
    """Let a sealer of the program `2` work once, beside a node of the program *others*."""
    node = Node(name="b", host="b", version=others, schema="0", started_at=NOW)
    with transactions.write_transaction(engine) as tx:
        nodes.record_heartbeat(tx, node, NOW)
    clock = Clock()
    sealer = CodeSealer(InlineDatabase(engine), Frame(*safes), clock, lambda: NOW, "2")  # type: ignore[arg-type]
    sealer.startService()
    _ = sealer.stopService()


def test_a_secret_is_read_by_its_key_in_the_row_of_its_user_alone(engine: sa.Engine) -> None:
    sealed = second_factor.seal_secret(Keyring((NEW, OLD)), "an", SECRET, b"s" * 16)
    enrol(engine, "an", sealed)
    enrol(engine, "binh", sealed)
    assert SECRET not in read(engine)
    for safes in ((), (OLD,), (Safe(b"n" * 32, ANSWERS),)):
        assert not use(engine, *safes)
    assert not use(engine, NEW, name="binh"), "whoever writes rows cannot move a secret"
    assert use(engine, OLD, NEW)
    assert not use(engine, OLD, NEW), "once"


def test_what_an_earlier_program_or_key_left_is_encrypted_with_the_present_key(engine: sa.Engine) -> None:
    enrol(engine, "an", SECRET)
    enrol(engine, "binh", second_factor.seal_secret(Keyring((OLD,)), "binh", SECRET, b"s" * 16))
    enrol(engine, "chi", second_factor.seal_secret(Keyring((Safe(b"?" * 32, CODES),)), "chi", SECRET, b"s" * 16))
    assert use(engine, OLD), "a secret that is not encrypted serves meanwhile"
    seal(engine)
    seal(engine, NEW, OLD, others="1")
    assert read(engine) == SECRET, "without a key, or while an earlier program lives, nothing is done"
    seal(engine, NEW, OLD)
    kept = [read(engine, name) for name in ("an", "binh", "chi")]
    assert SECRET not in kept
    seal(engine, NEW, OLD)
    assert [read(engine, name) for name in ("an", "binh", "chi")] == kept
    with transactions.read_transaction(engine) as tx:
        assert second_factor.judge_secrets(tx, Keyring((NEW,))) == second_factor.KeptSecrets(lost=("chi",))
        assert second_factor.judge_secrets(tx, Keyring()).lost == ("an", "binh", "chi")
    assert use(engine, NEW, name="binh")


def test_the_file_of_the_journal_holds_no_secret_once_they_are_encrypted(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    engine = transactions.open_journal(sqlite(file), pooled=False)
    for number in range(40):
        enrol(engine, f"user-{number}", SECRET)
    engine.dispose()
    assert SECRET.encode() in file.read_bytes()
    seal(engine, NEW)
    engine.dispose()
    assert all(SECRET.encode() not in each.read_bytes() for each in tmp_path.iterdir())


@pytest.mark.parametrize("kept", ["sealed:", "sealed:AAAA", "sealed:é"])
def test_a_row_that_is_no_secret_lets_nobody_in(engine: sa.Engine, kept: str) -> None:
    enrol(engine, "an", kept)
    assert not use(engine, NEW)
    seal(engine, NEW)
    assert read(engine) == kept
