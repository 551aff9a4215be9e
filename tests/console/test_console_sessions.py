"""Signing in at the console: who is let in, for how long, what ends a session, and what a form must prove."""

import unicodedata
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from hub.console.request import BEGINNING, SESSION
from hub.console.sign_in import sign_in_queue
from hub.console.sign_in.sign_in_queue import OF_ONE_PLACE, WAITING
from hub.domain.errors import Unready
from hub.operations.accounts import passwords, permissions, sessions, users
from hub.store import transactions
from hub.store.tables import console_failure, console_session
from tests.console_town import CHEAP, HOST, PASSWORD, Browser

REPORT = "/reports/edoc/H55.13/2026-12"


@pytest.fixture
def an(town):
    """The browser of a user who is signed in."""
    town.add("an", "H55.13")
    browser = Browser(town)
    assert browser.sign_in("an").status == 303
    return browser


def let_in(browser):
    return browser.get(REPORT).status == 200


def change_password(town, name="an", password="another long word"):
    with transactions.write_transaction(town.engine) as tx:
        assert users.change_password(
            tx, name, passwords.hash_password(password, b"2" * 16, CHEAP), by="x", now=town.now
        )


def test_operators_alone_read_what_the_hub_finds_of_itself_in_its_own_words(town, an):
    assert an.get("/readiness").status == 404
    assert 'href="/readiness"' not in an.page
    town.add("op", role=permissions.Role.OPERATOR)
    operator = Browser(town, "10.0.0.3")
    assert operator.get("/readiness").status == 401
    assert operator.sign_in("op").status == 303
    assert operator.get("/readiness").status == 200
    assert "/var/run/postgresql/.s.PGSQL.5432: &lt;gone&gt;" in operator.page
    assert "unavailable" in operator.page


# --- signing in -----------------------------------------------------------------------------------------------------------


def test_without_users_the_page_says_how_to_make_the_first(town):
    browser = Browser(town)
    assert browser.get("/").status == 200
    assert "lienthong users add" in browser.page
    assert 'type="password"' not in browser.page


def test_a_page_asks_who_is_not_signed_in_and_then_leads_there(town):
    town.add("an", "H55.13")
    browser = Browser(town)
    assert browser.get(REPORT).status == 401
    assert browser.post("/sign-in", name="An ", password=PASSWORD, next=REPORT).location == REPORT
    assert let_in(browser)


def test_the_same_letters_typed_another_way_are_the_same_password(town):
    town.add("an", "H55.13")
    apart = unicodedata.normalize("NFD", PASSWORD)  # the tone marks stand by themselves
    assert apart != PASSWORD
    assert Browser(town).sign_in("an", apart).status == 303


def test_a_wrong_password_and_the_name_of_nobody_look_the_same(town):
    town.add("an", "H55.13")
    one, other = Browser(town), Browser(town, "10.0.0.2")
    assert one.sign_in("an", "wrong").status == other.sign_in("nobody", "wrong").status == 401
    assert one.page.replace(one.proof, "") == other.page.replace(other.proof, "")
    assert "không đúng" in one.page


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "../an", "A N", "é", "\udcff"])
def test_what_is_no_name_is_nobody(town, name):
    town.add("an", "H55.13")
    assert Browser(town).sign_in(name, "wrong").status == 401


def test_a_word_that_was_planted_before_never_becomes_a_session(town):
    """Session fixation: what the browser held before it signed in opens nothing afterwards."""
    town.add("an", "H55.13")
    browser, thief = Browser(town), Browser(town)
    browser.cookies = {SESSION: "P" * 43, BEGINNING: "Q" * 43}
    assert browser.sign_in("an").status == 303
    assert browser.cookies[SESSION] not in {"P" * 43, "Q" * 43}
    assert BEGINNING not in browser.cookies
    for word in ("P" * 43, "Q" * 43):
        thief.cookies = {SESSION: word}
        assert not let_in(thief)


def test_signing_in_again_begins_another_session(an):
    first = an.cookies[SESSION]
    an.get("/")
    an.post("/sign-out")
    an.sign_in("an")
    assert an.cookies[SESSION] != first


def test_the_journal_keeps_no_word_that_opens_anything(an, town):
    with transactions.read_transaction(town.engine) as tx:
        rows = [tuple(row) for row in tx.execute(sa.select(console_session))]
    text = repr(rows) + repr(town.told("user-signed-in"))
    assert an.cookies[SESSION] not in text
    assert sessions.hash_session_word(an.cookies[SESSION]) in text
    thief = Browser(town)
    thief.cookies = {SESSION: rows[0][0]}
    assert not let_in(thief)


def test_every_node_knows_the_session(an, town):
    an.pages = town.pages()
    assert let_in(an)


@pytest.mark.parametrize(
    ("following", "leads"),
    [
        (REPORT, REPORT),
        ("/?q=so+noi+vu", "/?q=so+noi+vu"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("http://[", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("", "/"),
        ("reports", "/"),
    ],
)
def test_nobody_is_sent_elsewhere_after_signing_in(town, following, leads):
    town.add("an", "H55.13")
    browser = Browser(town)
    browser.get("/")
    assert browser.post("/sign-in", name="an", password=PASSWORD, next=following).location == leads


# --- how long it lasts ----------------------------------------------------------------------------------------------------


def test_a_session_that_is_not_used_for_half_an_hour_is_over(an, town):
    town.wait(minutes=29)
    assert let_in(an)
    town.wait(minutes=29)
    assert let_in(an)
    town.wait(minutes=30)
    assert not let_in(an)


@pytest.mark.slow
def test_a_session_is_over_after_twelve_hours_however_much_it_is_used(an, town):
    for _ in range(35):
        town.wait(minutes=20)
        assert let_in(an)
    town.wait(minutes=20)
    assert not let_in(an)


def test_being_used_is_written_down_once_a_minute(an, town):
    def seen():
        with transactions.read_transaction(town.engine) as tx:
            return tx.scalars(sa.select(console_session.c.seen_at)).one()

    began = seen()
    town.wait(seconds=59)
    an.get("/")
    assert seen() == began
    town.wait(seconds=1)
    an.get("/")
    assert seen() == town.now


def test_signing_out_ends_this_session_and_no_other(an, town):
    other = Browser(town)
    other.sign_in("an")
    word = an.cookies[SESSION]
    an.get("/")
    assert an.post("/sign-out").status == 303
    assert SESSION not in an.cookies
    an.cookies[SESSION] = word
    assert not let_in(an)
    assert let_in(other)


def test_signing_out_everywhere_ends_every_session_of_the_user(an, town):
    town.add("binh", "H55.13")
    other, binh = Browser(town), Browser(town)
    other.sign_in("an")
    binh.sign_in("binh")
    an.get("/account")
    an.post("/sign-out", everywhere="1")
    assert (let_in(an), let_in(other), let_in(binh)) == (False, False, True)


def test_another_password_ends_every_session(an, town):
    change_password(town)
    assert not let_in(an)
    assert an.sign_in("an").status == 401
    assert an.sign_in("an", "another long word").status == 303


def test_a_user_who_was_removed_is_out(an, town):
    town.add("binh", "H55.13")
    with transactions.write_transaction(town.engine) as tx:
        assert users.remove_user(tx, "an", by="x", now=town.now)
    assert not let_in(an)
    assert an.sign_in("an").status == 401


def test_a_password_that_was_changed_while_it_was_compared_opens_nothing(town):
    town.add("an", "H55.13")
    with transactions.write_transaction(town.engine) as tx:
        kept = users.read_password_hash(tx, "an")
    assert kept is not None
    change_password(town)
    with transactions.write_transaction(town.engine) as tx:
        assert sessions.begin_session(tx, "an", kept, "0" * 64, "10.0.0.1", town.now) is None


@pytest.mark.slow
def test_a_user_changes_the_password_and_signs_in_anew(an, town):
    other = Browser(town)
    other.sign_in("an")
    an.get("/account")
    new = {"new": "một mật khẩu khác", "again": "một mật khẩu khác"}
    assert an.post("/account", old="wrong", **new).status == 400
    assert an.post("/account", old=PASSWORD, new="ngắn", again="ngắn").status == 400
    assert an.post("/account", old=PASSWORD, new="một mật khẩu khác", again="và khác nữa đó").status == 400
    assert let_in(an)
    an.get("/account")
    assert an.post("/account", old=PASSWORD, **new).status == 303
    assert (let_in(an), let_in(other)) == (False, False)
    assert an.sign_in("an", "một mật khẩu khác").status == 303


# --- forms ----------------------------------------------------------------------------------------------------------------

FORGED = {
    "no proof": {"proof": ""},
    "the proof of another session": {"proof": sessions.make_form_proof("B" * 43)},
    "from another site": {"origin": "https://evil.example"},
    "from another port": {"origin": "https://hub.tinh.gov.vn"},
    "from a page without TLS": {"origin": f"http://{HOST}"},
    "from a page that hides where it is": {"origin": "null"},
    "from nowhere": {"origin": ""},
    "from what is no address": {"origin": "https://["},
    "from a site beside": {"site": "same-site"},
    "as the browser says, from elsewhere": {"site": "cross-site"},
    "to a host without a name": {"host": "", "origin": "https://"},
}


@pytest.mark.parametrize("how", FORGED)
def test_a_form_that_proves_nothing_changes_nothing_and_is_told_what_to_do(an, how):
    an.get("/account")
    refused = an.post("/sign-out", everywhere="1", **FORGED[how])
    assert refused.status == 403
    assert "mở lại trang" in an.page
    assert "Open the page again" in an.page
    assert let_in(an)


@pytest.mark.parametrize("how", FORGED)
def test_nobody_is_signed_in_by_another_site(town, how):
    town.add("an", "H55.13")
    browser = Browser(town)
    browser.get("/")
    assert browser.post("/sign-in", name="an", password=PASSWORD, **FORGED[how]).status == 403
    assert SESSION not in browser.cookies


def test_who_is_not_signed_in_changes_nothing(town):
    town.add("an", "H55.13")
    assert Browser(town).post("/account", old=PASSWORD, new="x" * 12, again="x" * 12).status == 403


# --- failing too often ----------------------------------------------------------------------------------------------------


def fails(browser, name="an", times=1):
    """Return the statuses of so many wrong tries."""
    return [browser.sign_in(name, "wrong").status for _ in range(times)]


def test_after_five_failures_the_next_try_waits_and_the_wait_grows(town):
    town.add("an", "H55.13")
    browser = Browser(town)
    assert fails(browser, times=7) == [401] * 6 + [429]
    assert "thử lại sau 2 giây" in browser.page
    assert browser.sign_in("an").status == 429, "the right one waits too: else each guess would be free"
    town.wait(seconds=1)
    assert fails(browser, times=2) == [401, 429]
    town.wait(seconds=2)
    assert browser.sign_in("an").status == 303


def test_waiting_is_not_made_longer_by_trying(town):
    town.add("an", "H55.13")
    browser = Browser(town)
    fails(browser, times=100)
    town.wait(seconds=1)
    assert browser.sign_in("an").status == 303


@pytest.mark.slow
def test_a_stranger_who_guesses_locks_nobody_out(town):
    town.add("an", "H55.13")
    for address in range(1, 40):
        fails(Browser(town, f"10.1.0.{address}"), times=5)
        town.wait(seconds=31)
    assert Browser(town).sign_in("an").status == 303


@pytest.mark.slow
def test_a_name_guessed_from_everywhere_waits_half_a_minute_at_most(town):
    town.add("an", "H55.13")
    for address in range(1, 80):
        fails(Browser(town, f"10.1.0.{address}"))
        town.wait(seconds=30)
    assert fails(Browser(town, "10.2.0.1"), times=1) == [401]
    assert fails(Browser(town, "10.2.0.2"), times=1) == [429]
    town.wait(seconds=30)
    assert Browser(town).sign_in("an").status == 303


@pytest.mark.slow
def test_strangers_at_many_addresses_who_take_each_turn_keep_nobody_out_who_signed_in_from_there_before(town):
    town.add("an", "H55.13")
    assert Browser(town).sign_in("an").status == 303
    for address in range(1, 60):
        fails(Browser(town, f"10.1.0.{address}"))
    assert fails(Browser(town, "10.2.0.1")) == [429]
    assert Browser(town, "10.3.0.1").sign_in("an").status == 429
    assert Browser(town).sign_in("an").status == 303, "nobody else has failed from there"
    assert fails(Browser(town), times=7) == [401] * 6 + [429], "and nobody may guess there more than elsewhere"
    town.wait(days=91)
    for address in range(1, 60):
        fails(Browser(town, f"10.1.0.{address}"))
    assert Browser(town).sign_in("an").status == 429


def test_an_address_that_tries_many_names_waits(town):
    browser = Browser(town)
    town.add("an", "H55.13")
    assert [fails(browser, f"u{number}")[0] for number in range(32)] == [401] * 31 + [429]
    assert Browser(town, "10.0.0.9").sign_in("an").status == 303


def test_a_user_who_signs_in_does_not_buy_free_guesses_at_others(town):
    town.add("an", "H55.13")
    browser = Browser(town)
    found = []
    for number in range(40):
        found += fails(browser, f"u{number}")
        if number < 30:
            browser.cookies.clear()
            assert browser.sign_in("an").status == 303
            browser.cookies.clear()
    assert found.index(429) == 31


class HeldUp:
    """A journal that commits nothing for now."""

    def __init__(self, journal):
        self.read, self.steps = journal.read, []

    def admit(self, _owner, step, *_args):
        self.steps.append(step)
        return Deferred()


def test_of_many_tries_at_once_one_is_in_the_next_commit_and_they_do_not_fill_the_journal_s_queue(town):
    """Two in one commit hold locks that another node takes in another order; and the queue is that of partners' messages too."""
    town.add("an", "H55.13")
    browser = Browser(town)
    browser.get("/")
    journal = HeldUp(browser.pages._sign_in._journal)
    browser.pages._sign_in._journal = cast("Any", journal)
    tries: list[Any] = [
        Deferred.fromCoroutine(browser.pages.answer(browser.form("/sign-in", name=f"u{number}")))
        for number in range(30)
    ]
    assert journal.steps == [sessions.permit_sign_in]
    assert [each.result.status for each in tries if each.called] == [503] * (29 - OF_ONE_PLACE)
    browser.pages._sign_in._queue._waiting.clear()


class Comparing:
    """Passwords that are compared when the test says so."""

    def __init__(self, pages):
        self.waiting: list[Any] = []
        self.done = 0
        pages._sign_in._work = self

    def __call__(self, _owner, _cost, step, *words):
        if step is not passwords.matches_hash:
            return succeed(step(*words))
        self.waiting.append((Deferred(), step, words))
        return self.waiting[-1][0]

    def compare(self):
        """Compare the one password whose turn it is."""
        ((told, step, words),) = self.waiting
        self.waiting.clear()
        self.done += 1
        told.callback(step(*words))


def trying(browser, pages, name, password):
    """Begin to sign in, as a browser whose page is open; return what is answered, later."""
    browser.pages = pages
    if not browser.page:
        browser.get("/")
    asked = browser.form("/sign-in", name=name, password=password)
    return Deferred.fromCoroutine(pages.answer(asked))


def counted(town):
    """Return the failures that are counted, of names and places and both."""
    with transactions.read_transaction(town.engine) as tx:
        return [row.failures for row in tx.execute(sa.select(console_failure)) if row.failures]


@pytest.mark.slow
def test_who_guesses_at_forty_addresses_keeps_nobody_waiting_who_has_not_failed(town, monkeypatch):
    monkeypatch.setattr(sign_in_queue, "TYPOS", 0)  # one failure each will do
    town.add("an", "H55.13")
    pages = town.pages()
    comparing = Comparing(pages)
    hostile = [Browser(town, f"10.1.0.{number}") for number in range(40)]
    tries: dict[int, list[Any]] = {number: [] for number in range(40)}

    def hammer():
        """Let each address have three tries waiting, whatever became of those before."""
        for number, browser in enumerate(hostile):
            tries[number] = [each for each in tries[number] if not each.called]
            for name in ("u1", "u2", "u3")[len(tries[number]) :]:
                tries[number].append(trying(browser, pages, name, "wrong"))

    for _ in range(40):
        hammer()
        comparing.compare()
    for round_ in range(3):
        hammer()
        person = trying(Browser(town, f"10.2.0.{round_}"), pages, "an", PASSWORD)
        before = comparing.done
        while not person.called:
            comparing.compare()
            hammer()
        assert person.result.status == 303
        assert comparing.done - before <= 2, "that of whoever was first, and its own"
    pages._sign_in._queue._waiting.clear()


def test_who_has_only_just_come_with_forty_addresses_takes_turns_with_the_others(town):
    """Nobody has failed yet, and the queue is full of two or three tries of each address."""
    town.add("an", "H55.13")
    pages = town.pages()
    comparing = Comparing(pages)
    hostile = [
        trying(Browser(town, f"10.1.0.{number % 40}"), pages, f"u{number}", "wrong") for number in range(WAITING + 1)
    ]
    person = trying(Browser(town, "10.2.0.1"), pages, "an", PASSWORD)
    assert [each.result.status for each in hostile if each.called] == [503], "who came last where most wait"
    while not person.called:
        comparing.compare()
    assert person.result.status == 303
    assert comparing.done <= 1 + 40 + 1
    pages._sign_in._queue._waiting.clear()


def test_who_has_signed_in_from_there_before_comes_first_as_long_as_he_does_not_guess(town):
    town.add("an", "H55.13")
    assert Browser(town).sign_in("an").status == 303
    pages = town.pages()
    comparing = Comparing(pages)
    for number in range(WAITING + 1):
        trying(Browser(town, f"10.1.{number}.1"), pages, "an", "wrong")
    for word, done in (("wrong", 2), ("wrong", 4), ("wrong", 6), (PASSWORD, None)):
        person = trying(Browser(town), pages, "an", word)
        for _ in range(3):
            comparing.compare()
            if person.called:
                break
        assert person.called is (done is not None)
        assert done is None or comparing.done == done
    pages._sign_in._queue._waiting.clear()


@pytest.mark.parametrize("at", ["comparing", "entering", "failing"])
def test_a_try_that_the_hub_could_not_end_counts_for_nothing(town, monkeypatch, at):
    town.add("an", "H55.13")
    browser = Browser(town)

    def broken(*_):
        raise Unready("journal-unavailable", "away")

    with monkeypatch.context() as patched:
        patched.setattr(*{"comparing": (passwords, "matches_hash"), "entering": (sessions, "begin_session"), "failing": (sessions, "record_failed_sign_in")}[at], broken)  # fmt: skip
        for _ in range(20):
            assert browser.sign_in("an", "wrong" if at == "failing" else PASSWORD).status == 503
    assert counted(town) == []
    assert fails(browser, times=7) == [401] * 6 + [429]


def test_a_try_for_which_there_was_no_place_counts_for_nothing(town):
    town.add("an", "H55.13")
    pages = town.pages()
    comparing = Comparing(pages)
    tries = [trying(Browser(town), pages, f"u{number}", "wrong") for number in range(30)]
    assert [each.result.status for each in tries if each.called] == [503] * (29 - OF_ONE_PLACE)
    while comparing.waiting:
        comparing.compare()
    assert sorted(counted(town)) == [1] * 2 * (1 + OF_ONE_PLACE) + [1 + OF_ONE_PLACE], "of names, pairs and the address"


def test_what_failed_is_forgotten_after_a_while(town):
    town.add("an", "H55.13")
    browser = Browser(town)
    fails(browser, times=6)
    town.wait(hours=2)
    assert fails(browser, times=6) == [401] * 6
    town.wait(hours=2)
    browser.sign_in("an")
    with transactions.read_transaction(town.engine) as tx:
        assert {row.failures for row in tx.execute(sa.select(console_failure))} == {0}


@given(st.integers(0, 10_000), st.sampled_from(sessions.list_failure_keys("an", "10.0.0.1")))
def test_no_wait_is_for_ever(failures, which):
    assert which.delay(failures) <= which.delay(failures + 1) <= which.longest
    assert (which.delay(failures).total_seconds() == 0) == (failures <= which.free)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
    ],
)
def test_an_address_is_what_one_host_may_choose(one, other, same):
    assert (sessions.list_failure_keys("an", one)[1] == sessions.list_failure_keys("an", other)[1]) is same


# --- what is told of it ---------------------------------------------------------------------------------------------------


def test_signing_in_failing_and_signing_out_are_events(an, town):
    fails(Browser(town, "10.0.0.7"), "an")
    fails(Browser(town, "10.0.0.7"), "my-password-by-mistake")
    an.get("/")
    an.post("/sign-out")
    change_password(town)
    told = town.told("user-signed-in", "user-sign-in-failed", "user-signed-out", "user-password-changed", "user-added")
    assert [{key: value for key, value in each.items() if key != "at"} for each in told] == [
        {"event": "user-added", "user": "an", "role": "reader", "units": ["H55.13"], "by": "test"},
        {"event": "user-signed-in", "user": "an", "address": "10.0.0.1"},
        {"event": "user-sign-in-failed", "user": "an", "address": "10.0.0.7"},
        {"event": "user-sign-in-failed", "user": None, "address": "10.0.0.7"},
        {"event": "user-signed-out", "user": "an", "sessions": 1, "by": "an"},
        {"event": "user-password-changed", "user": "an", "sessions": 0, "by": "x"},
    ]
