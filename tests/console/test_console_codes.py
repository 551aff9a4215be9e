"""Signing in with a one-time code behind the password: without script, each code once, and counted as passwords are."""

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hub.config.values import ConsoleSettings
from hub.console.request import BEGINNING, SESSION
from hub.operations.accounts import second_factor, sessions
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from tests.console_town import PASSWORD, Browser

OCTETS = b"12345678901234567890"
SECRET = second_factor.write_secret(OCTETS)
REPORT = "/reports/edoc/H55.13/2026-12"


def code_at(now, steps=0):
    return TOTP(OCTETS, 6, SHA1(), 30).generate((int(now.timestamp()) // 30 + steps) * 30).decode()


def enrol(town, name="an"):
    with transactions.write_transaction(town.engine) as tx:
        assert second_factor.enrol_user(tx, name, SECRET, by="root", now=town.now)


@pytest.fixture
def an(town):
    """The browser of a user with one-time codes, whose password was right."""
    town.add("an", "H55.13")
    enrol(town)
    browser = Browser(town)
    answer = browser.sign_in("an", following=REPORT)
    assert (answer.status, answer.location) == (303, "/sign-in/code?next=%2Freports%2Fedoc%2FH55.13%2F2026-12")
    assert browser.get(str(answer.location)).status == 200
    return browser


def type_code(browser, code, **said):
    return browser.post("/sign-in/code", code=code, next=REPORT, **said)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds, code, town):
    now = town.now.fromtimestamp(seconds, town.now.tzinfo)
    assert second_factor.find_step(SECRET, code[2:], now) == seconds // 30
    for other in ("", "x" * 6, code, "000000", "２８７０８２", "\ud800"):
        assert second_factor.find_step(SECRET, other, now) is None


def test_the_address_names_account_and_hub():
    address = second_factor.write_enrolment_address(SECRET, "an", "Trục Thái Nguyên")
    assert address.startswith("otpauth://totp/Tr%E1%BB%A5c%20Th%C3%A1i%20Nguy%C3%AAn:an?")
    assert f"secret={SECRET}" in address


def test_the_right_code_begins_the_session_and_the_password_alone_does_not(town, an):
    assert SESSION not in an.cookies
    assert an.get(REPORT).status == 401
    an.get("/sign-in/code")
    answer = type_code(an, f" {code_at(town.now)[:3]} {code_at(town.now)[3:]}")
    assert (answer.status, answer.location) == (303, REPORT)
    assert SESSION in an.cookies
    assert BEGINNING not in an.cookies
    assert an.get(REPORT).status == 200
    assert [each["user"] for each in town.told("user-signed-in")] == ["an"]


def test_a_code_is_taken_once_and_an_earlier_one_no_more(town, an):
    assert type_code(an, code_at(town.now)).status == 303
    other = Browser(town)
    other.sign_in("an")
    other.get("/sign-in/code")
    for steps in (0, -1):
        assert type_code(other, code_at(town.now, steps)).status == 401
    assert SESSION not in other.cookies
    assert type_code(other, code_at(town.now, 1)).status == 303, "of a clock that is ahead"


def test_codes_too_far_away_are_wrong(town, an):
    for steps in (-2, 2):
        assert type_code(an, code_at(town.now, steps)).status == 401
    assert type_code(an, code_at(town.now, -1)).status == 303


def test_a_wait_ends_after_five_minutes_or_wrong_codes_or_with_another_password_or_secret(town):
    town.add("an", "H55.13")

    def begin():
        enrol(town)
        browser = Browser(town, "10.9.9.9")
        browser.sign_in("an")
        browser.get("/sign-in/code")
        town.wait(seconds=1)
        return browser

    late = begin()
    town.wait(minutes=5)
    assert type_code(late, code_at(town.now)).status == 401
    assert late.get("/sign-in/code").location == "/sign-in"
    renewed = begin()
    enrol(town)
    assert type_code(renewed, code_at(town.now)).status == 401
    wrong = begin()
    for _ in range(sessions.WRONG_CODES):
        type_code(wrong, "x")
        town.wait(seconds=20)
    assert type_code(wrong, code_at(town.now)).status == 401
    assert SESSION not in {*late.cookies, *renewed.cookies, *wrong.cookies}
    assert town.told("user-signed-in") == []


def test_wrong_codes_make_wait_and_the_right_password_does_not_help(town, an):
    told = []
    for _ in range(8):
        an.sign_in("an")
        if an.cookies.get(BEGINNING) and an.get("/sign-in/code").status == 200:
            told.append(type_code(an, "000000").status)
    assert 429 in told or told.count(401) <= 6
    again = an.sign_in("an", following=REPORT)
    assert again.status == 429
    assert again.retry_after > 0
    town.wait(minutes=20)
    assert an.sign_in("an", following=REPORT).status == 303
    an.get("/sign-in/code")
    assert type_code(an, code_at(town.now)).status == 303
    failed = town.told("user-sign-in-failed")
    assert {each["user"] for each in failed} == {"an"}


def test_the_form_is_taken_from_its_own_page_alone(town, an):
    code = code_at(town.now)
    assert type_code(an, code, proof="x").status == 403
    assert type_code(an, code, origin="https://evil.example").status == 403
    stranger = Browser(town)
    assert stranger.get("/sign-in/code").location == "/sign-in"
    assert stranger.post("/sign-in/code", code=code).location == "/sign-in"
    an.cookies[SESSION] = an.cookies[BEGINNING]
    assert an.get(REPORT).status == 401, "the word of a wait is no session"


def test_administrators_may_be_required_to_have_codes(town):
    town.add("chu", role=Role.ADMINISTRATOR)
    town.add("op", role=Role.OPERATOR)
    before = Browser(town)
    assert before.sign_in("chu").status == 303
    assert before.get("/account").status == 200
    town.settings = ConsoleSettings(administrators_need_codes=True)
    browser = Browser(town)
    assert browser.sign_in("chu").status == 401
    assert "mã một lần" in browser.page
    assert SESSION not in browser.cookies
    assert Browser(town).sign_in("op").status == 303
    before.pages = town.pages()
    assert before.get("/account").status == 401, "an open session ends, too"
    enrol(town, "chu")
    assert str(browser.sign_in("chu").location).startswith("/sign-in/code")
    browser.get("/sign-in/code")
    assert type_code(browser, code_at(town.now)).status == 303
    assert browser.get("/account").status == 200


def test_setting_up_and_removing_codes_ends_sessions_and_is_told(town):
    town.add("an", "H55.13")
    an = Browser(town)
    an.sign_in("an")
    enrol(town)
    assert an.get("/account").status == 401
    with transactions.write_transaction(town.engine) as tx:
        assert second_factor.remove_codes(tx, "an", by="root", now=town.now)
        assert not second_factor.remove_codes(tx, "an", by="root", now=town.now)
        assert not second_factor.enrol_user(tx, "binh", SECRET, by="root", now=town.now)
    assert an.sign_in("an", PASSWORD).location == "/"
    told = [each["event"] for each in town.told("user-codes-set", "user-codes-removed")]
    assert told == ["user-codes-set", "user-codes-removed"]
    assert SECRET not in str(town.told("user-codes-set"))


def test_an_operator_ends_the_waits_too(town, an):
    with transactions.write_transaction(town.engine) as tx:
        assert sessions.end_user_sessions(tx, "an", by="root", now=town.now) == 0
    assert type_code(an, code_at(town.now)).status == 401
    assert SESSION not in an.cookies


def test_the_account_says_whether_a_code_is_needed(town, an):
    type_code(an, code_at(town.now))
    an.get("/account?lang=en")
    assert "needed to sign in" in an.page
    assert "not needed to sign in" not in an.page


def test_a_user_with_codes_is_removed(town, an):
    from hub.operations.accounts import users

    with transactions.write_transaction(town.engine) as tx:
        assert users.remove_user(tx, "an", by="root", now=town.now)
        assert not second_factor.has_codes(tx, "an")
    assert type_code(an, code_at(town.now)).status == 401
