"""Users and sessions in the journal: the same on each database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Event, Thread
from time import sleep

import attrs
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hub.domain.model import Unit
from hub.journal import unit_registry
from hub.keeping import successions
from hub.operations.accounts import accounts, provider_accounts, second_factor, sessions, users
from hub.operations.accounts.permissions import PERMISSIONS, Permission, Role
from hub.operations.accounts.provider_accounts import ProviderPerson
from hub.operations.accounts.sessions import ConsoleSession
from hub.operations.accounts.users import User
from hub.security.encryption import Keyring
from hub.store import transactions
from hub.units.deeds import WORK, DeedOrder, Estate
from tests.province import NOW, UNITS
from tests.waiting import PATIENCE

AN = User(name="an", role=Role.CLERK, units=("H55.13",), added_at=NOW, changed_at=NOW)
RULER = attrs.evolve(AN, role=Role.ADMINISTRATOR, units=("*",))
HERE = "10.0.0.1"


def add(tx, user=AN):
    return users.add_user(tx, user, f"hash of {user.name}", by="test", now=NOW)


def enter(tx, word="w" * 43, now=NOW):
    leave = sessions.permit_sign_in(tx, "an", HERE, now)
    assert leave.password == "hash of an"
    return sessions.begin_session(tx, "an", leave.password, sessions.hash_session_word(word), HERE, now)


def test_a_name_is_taken_once(tx):
    assert add(tx)
    assert not add(tx)
    assert users.list_users(tx) == [AN]
    assert users.find_user(tx, "an") == AN
    assert users.find_user(tx, "binh") is None


def test_a_session_is_found_touched_and_left(tx):
    add(tx)
    session = enter(tx)
    assert session is not None
    assert sessions.find_session(tx, session.sha256, NOW) == session
    later = NOW + timedelta(minutes=20)
    sessions.touch_session(tx, session.sha256, later)
    assert sessions.find_session(tx, session.sha256, later + timedelta(minutes=29)) == attrs.evolve(
        session, seen_at=later
    )
    assert sessions.list_sessions(tx, later, "an") == [attrs.evolve(session, seen_at=later)]
    assert sessions.end_own_session(tx, session, later) == 1
    assert sessions.find_session(tx, session.sha256, later) is None


def test_another_password_or_removal_ends_every_session(tx):
    add(tx)
    for word in ("a", "b"):
        assert enter(tx, word) is not None
    assert users.change_password(tx, "an", "other", by="test", now=NOW, was="wrong") is False
    assert len(sessions.list_sessions(tx, NOW)) == 2
    assert users.change_password(tx, "an", "hash of an", by="test", now=NOW)
    assert sessions.list_sessions(tx, NOW) == []
    assert enter(tx, "c") is not None
    assert users.remove_user(tx, "an", by="test", now=NOW)
    assert (sessions.list_sessions(tx, NOW), users.has_users(tx)) == ([], False)


def test_two_tries_at_once_are_two_tries(engine):
    """However many come together, and to whichever node: each is counted before a password is compared."""
    with transactions.write_transaction(engine) as tx:
        add(tx)
    waits = []
    for _ in range(8):
        with transactions.write_transaction(engine) as tx:
            waits.append(sessions.permit_sign_in(tx, "an", HERE, NOW).again)
    assert waits[:6] == [None] * 6
    assert None not in waits[6:]


def test_a_user_gets_another_role_and_other_limits_and_keeps_its_sessions(tx):
    add(tx)
    session = enter(tx)
    changed = attrs.evolve(AN, role=Role.ENGINEER, units=("*",), partners=("vpub",), signed_in_at=NOW)
    assert users.change_user(tx, changed, by="test", now=NOW)
    assert users.find_user(tx, "an") == changed
    assert sessions.find_session(tx, session.sha256, NOW) == attrs.evolve(session, user=changed)
    assert not users.change_user(tx, attrs.evolve(changed, name="binh"), by="test", now=NOW)
    assert changed.visible_partners == ("vpub",)
    assert AN.visible_partners is None


def test_a_code_is_used_once_however_many_come_together(engine):
    secret = second_factor.write_secret(b"1" * 20)
    codes = TOTP(b"1" * 20, 6, SHA1(), 30)
    with transactions.write_transaction(engine) as tx:
        add(tx)
        assert second_factor.enrol_user(tx, "an", secret, by="x", now=NOW)
    code = codes.generate(int(NOW.timestamp())).decode()

    def use() -> bool:
        with transactions.write_transaction(engine) as tx:
            return second_factor.use_code(tx, "an", code, Keyring(), NOW)

    with ThreadPoolExecutor(4) as pool:
        used = [one.result() for one in [pool.submit(use) for _ in range(4)]]
    assert sorted(used) == [False, False, False, True]
    with transactions.write_transaction(engine) as tx:
        assert second_factor.has_codes(tx, "an")
        assert second_factor.list_users_with_codes(tx) == {"an"}
        assert second_factor.remove_codes(tx, "an", by="x", now=NOW)
        assert not second_factor.use_code(tx, "an", code, Keyring(), NOW)


def test_a_password_alone_begins_a_wait_and_the_code_the_session(tx):
    add(tx)
    second_factor.enrol_user(tx, "an", second_factor.write_secret(b"1" * 20), by="x", now=NOW)
    wait = enter(tx)
    assert wait == sessions.CodeWait(sessions.hash_session_word("w" * 43), "an")
    assert sessions.list_sessions(tx, NOW) == []
    code = TOTP(b"1" * 20, 6, SHA1(), 30).generate(int(NOW.timestamp())).decode()
    assert sessions.begin_session_by_code(tx, wait, "0", Keyring(), "s" * 64, HERE, NOW) is None
    late = NOW + sessions.CODE_WAIT
    assert sessions.begin_session_by_code(tx, wait, code, Keyring(), "s" * 64, HERE, late) is None
    session = sessions.begin_session_by_code(tx, wait, code, Keyring(), "s" * 64, HERE, NOW)
    assert sessions.list_sessions(tx, NOW) == [session]
    assert sessions.begin_session_by_code(tx, wait, code, Keyring(), "t" * 64, HERE, NOW) is None


PERSON = ProviderPerson("https://sso.example", "sub", "9f1c")


def test_a_person_at_a_provider_is_one_user_however_many_bind_it_together(engine):
    with transactions.write_transaction(engine) as tx:
        add(tx)
        add(tx, attrs.evolve(AN, name="binh"))

    def bind(name):
        with transactions.write_transaction(engine) as tx:
            return provider_accounts.bind_person(tx, name, PERSON, by="root", now=NOW)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(bind, ["an", "binh"])) == [False, True]
    with transactions.write_transaction(engine) as tx:
        (name,) = provider_accounts.list_persons(tx)
        found = sessions.begin_session_by_provider(tx, PERSON, "a" * 64, HERE, NOW, codes=True)
        assert isinstance(found, ConsoleSession)
        assert found.user.name == name
        assert users.remove_user(tx, name, by="root", now=NOW)
        assert provider_accounts.list_persons(tx) == {}
        assert sessions.begin_session_by_provider(tx, PERSON, "b" * 64, HERE, NOW, codes=True) is None


def test_tries_at_a_provider_that_come_together_are_each_counted(engine):
    """Thirty of an address are free; each further one waits, and one that the provider did not answer does not count."""

    def attempt(_number):
        with transactions.write_transaction(engine) as tx:
            return sessions.permit_place(tx, HERE, NOW)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(attempt, range(30))) == [None] * 30
    assert attempt(0) is None
    assert attempt(0) == NOW + timedelta(seconds=1)
    with transactions.write_transaction(engine) as tx:
        sessions.undo_failed_place(tx, HERE, NOW)
        assert sessions.permit_place(tx, HERE, NOW) is None
        assert sessions.permit_place(tx, "10.0.0.2", NOW) is None


@pytest.mark.parametrize("role", [*Role])
def test_a_permission_is_of_the_role_alone(role):
    user = attrs.evolve(AN, role=role)
    assert {each for each in Permission if user.may(each)} == PERMISSIONS[role]
    assert role.is_official == user.role.is_official == (Permission.SEE_OVERVIEW not in PERMISSIONS[role])


@pytest.mark.parametrize(
    ("units", "seen"),
    [
        (("H55.13",), {"H55.13", "H55.13.1"}),
        (("000.00.13.H55",), {"H55.13", "H55.13.1"}),
        (("H55.13.1", "H55.20"), {"H55.13.1", "H55.20"}),
        (("*",), None),
    ],
)
def test_a_user_sees_its_units_and_those_below(tx, units, seen):
    unit_registry.write_registry_units(tx, [*UNITS, Unit("H55.77", "Đơn vị ngoài", "H55.99")])
    assert users.read_visible_units(tx, attrs.evolve(AN, units=units)) == (None if seen is None else frozenset(seen))
    assert users.find_unknown_units(tx, ("H55", "H98", "*")) == ["H98"]


def test_of_two_administrators_at_once_one_stays(engine):
    """Each locks the other in a transaction of its own, and the second waits for the first."""
    with transactions.write_transaction(engine) as tx:
        for name in ("an", "binh"):
            assert users.add_user(tx, attrs.evolve(RULER, name=name), "hash", by="test", now=NOW)
    first_locked, refused = Event(), []

    def lock(name, by, wait):
        order = accounts.AccountOrder(act=accounts.AccountAct.LOCK, name=name)
        try:
            with transactions.write_transaction(engine) as tx:
                accounts.carry_out(tx, order, configured=(), by=by, now=NOW)
                first_locked.set()
                sleep(wait)
        except accounts.AccountRefused as refusal:
            refused.append((name, refusal.code))

    first = Thread(target=lock, args=("binh", "an", 0.3))
    first.start()
    assert first_locked.wait(PATIENCE)
    lock("an", "binh", 0)
    first.join(PATIENCE)
    assert refused == [("an", "last-administrator")]
    with transactions.read_transaction(engine) as tx:
        assert [each.locked_at for each in users.find_users(tx, ["an", "binh"])] == [None, NOW]


# --- units that have ended --------------------------------------------------------------------------------------------

MERGER = date(2026, 11, 24)
MERGED = [
    Unit("H55", "Tỉnh"),
    Unit("H55.41", "Xã A", "H55", until=MERGER, successors=("H55.43",)),
    Unit("H55.42", "Xã B", "H55", until=MERGER, successors=("H55.43",)),
    Unit("H55.43", "Phường AB", "H55"),
    Unit("H55.43.1", "Trạm y tế", "H55.43"),
]


def seen(tx, unit, day):
    return users.read_visible_units(tx, attrs.evolve(AN, units=(unit,), day=day))


def test_a_user_of_the_successor_sees_the_messages_of_the_old_units_from_the_day_on(tx):
    unit_registry.write_registry_units(tx, MERGED)
    own = {"H55.43", "H55.43.1"}
    assert seen(tx, "H55.43", MERGER - timedelta(days=1)) == own
    assert seen(tx, "H55.43", MERGER) == own | {"H55.41", "H55.42"}
    assert seen(tx, "H55.43", None) == own


def test_a_user_of_an_old_unit_sees_the_successor_only_if_the_deed_hands_over_its_people(tx):
    unit_registry.write_registry_units(
        tx, [*MERGED[:1], *MERGED[3:], *(attrs.evolve(each, until=None, successors=()) for each in MERGED[1:3])]
    )
    for unit, estates in (("H55.41", WORK), ("H55.42", WORK | {Estate.OFFICIALS})):
        order = DeedOrder(units=(unit,), successors=("H55.43",), on=MERGER, estates=estates)
        successions.record_deed(tx, order, by="test", now=NOW)
    assert seen(tx, "H55.41", MERGER) == {"H55.41"}
    assert seen(tx, "H55.42", MERGER - timedelta(days=1)) == {"H55.42"}
    assert seen(tx, "H55.42", MERGER) == {"H55.41", "H55.42", "H55.43", "H55.43.1"}


def test_the_user_of_a_session_looks_on_the_day_of_the_request(tx):
    assert add(tx)
    enter(tx)
    session = sessions.find_session(tx, sessions.hash_session_word("w" * 43), NOW)
    assert session is not None
    assert session.user.day == NOW.date()
