"""Accounts and tokens at the console: made, limited, locked, given what they sign in with, by an administrator alone.

What is shown once stands on one page and nowhere else; nobody locks out the own account or the last administrator.
"""

import base64
import json
import os
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from hub.config.values import ConsoleSettings
from hub.console.edge import _read_form
from hub.formats.spool import Octets
from hub.operations.accounts import accounts, passwords, second_factor, tokens
from hub.operations.accounts.permissions import PERMISSIONS, Permission, Role
from hub.security.anchors import Anchors
from hub.security.certificates import hash_certificate
from hub.store import transactions
from hub.store.tables import metadata
from hub.web.answering import HEADERS
from tests import pki
from tests.browsing import chromium, window
from tests.console_town import CHEAP, HOST, KEYS, PASSWORD, Browser, Town
from tests.pki import pem

NEW = "mật khẩu mới rất dài"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody guesses here."""
    hash_password = passwords.hash_password
    monkeypatch.setattr(
        passwords, "hash_password", lambda password, salt, _cost=None: hash_password(password, salt, CHEAP)
    )


@pytest.fixture
def root(town: Town) -> Browser:
    """An administrator who is signed in, beside an engineer."""
    town.add("root", role=Role.ADMINISTRATOR)
    town.add("ky", role=Role.ENGINEER)
    return enter(town, "root")


def enter(town: Town, name: str, password: str = PASSWORD, address: str = "10.0.0.1") -> Browser:
    browser = Browser(town, address)
    assert browser.sign_in(name, password).status == 303, browser.page
    return browser


def code_of(secret: str, town: Town) -> str:
    """Return what the app shows now."""
    return TOTP(base64.b32decode(secret), 6, SHA1(), 30).generate(int(town.now.timestamp())).decode()


def secret_of(browser: Browser) -> str:
    """Return what the open page shows once."""
    found = re.search(r'id="secret">([^<]+)<', browser.page)
    assert found, browser.page
    return unescape(found[1])


def order(browser: Browser, name: str, do: str, **form: Any) -> Any:
    """Open the page of an account, and send one of its forms."""
    assert browser.get(f"/users/{name}").status == 200
    return browser.post(f"/users/{name}", do=do, **form)


def kept(town: Town) -> str:
    """Return all that the journal keeps."""
    with transactions.read_transaction(town.engine) as tx:
        return "\n".join(str(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables)


def test_an_account_is_made_and_its_user_chooses_a_password_first(town: Town, root: Browser) -> None:
    root.get("/users/_new")
    made = root.post("/users/_new", name=" An ", role="reader", units="H55.13, H55.13", partners="")
    assert (made.status, made.location) == (200, None)
    given = secret_of(root)
    assert len(given.replace("-", "")) == 25
    assert given not in kept(town)
    (told,) = [each for each in town.told("user-added") if each["user"] == "an"]
    assert (told["role"], told["units"], told["by"]) == ("reader", ["H55.13"], "root")
    an = enter(town, "an", given)
    for place in ("/", "/units", "/messages", "/reports/edoc/H55.13/2026-12"):
        assert an.get(place).location == "/account", place
    assert an.get("/account").status == 200
    assert an.post("/messages", name="x", query="").location == "/account"
    an.get("/account")
    assert "Người khác đã đặt mật khẩu" in an.page
    assert an.post("/account", old=given, new=given, again=given).status == 400, "it is no new one"
    an.get("/account")
    assert an.post("/account", old=given, new=NEW, again=NEW).status == 303
    an = enter(town, "an", NEW)
    assert an.get("/units").status == 200
    assert an.get("/users").status == 404
    root.get("/users?q=AN")
    assert "/users/an" in root.links()
    assert root.page.count("<tr role") == 2
    assert "mật khẩu dùng một lần" not in root.page


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ({"name": "ky"}, "name-taken"),
        ({"name": "a b"}, "name-unfit"),
        ({"name": "_new"}, "name-unfit"),
        ({"role": "king"}, "role-unknown"),
        ({"role": "reader"}, "units-missing"),
        ({"units": "H55.99"}, "unit-unknown"),
        ({"partners": "nobody"}, "partner-unknown"),
        ({"units": ",".join(f"H{number}" for number in range(accounts.MOST + 1))}, "limits-many"),
    ],
)
def test_an_account_that_will_not_do_is_refused_with_a_code(
    town: Town, root: Browser, typed: dict[str, str], code: str
) -> None:
    root.get("/users/_new")
    fields = {"name": "moi", "role": "engineer", "units": "", "partners": ""} | typed
    assert root.post("/users/_new", **fields).status in {409, 422}
    assert f"[{code}]" in root.page
    assert f'value="{fields["partners"]}"' in root.page, "what was typed stays"
    assert [each["user"] for each in town.told("user-added")] == ["root", "ky"]


def test_new_rights_hold_at_once_in_open_sessions(town: Town, root: Browser) -> None:
    ky = enter(town, "ky")
    assert ky.get("/events").status == 200
    assert order(root, "ky", "change", role="reader", units="H55.13", partners="").status == 303
    assert ky.get("/events").status == 404
    assert ky.get("/units").status == 200
    (told,) = town.told("user-changed")
    assert (told["user"], told["role"], told["by"]) == ("ky", "reader", "root")
    order(root, "ky", "change", role="reader", units="H55.13", partners="")
    assert len(town.told("user-changed")) == 1, "nothing was changed"
    assert order(root, "ky", "change", role="reader", units="H55.99", partners="").status == 422
    assert "[unit-unknown]" in root.page


def test_a_locked_account_is_out_until_it_is_unlocked(town: Town, root: Browser) -> None:
    ky = enter(town, "ky")
    assert order(root, "ky", "lock").location == "/users/ky?done=lock"
    root.get("/users/ky?done=lock")
    assert "đã bị khóa" in root.page
    assert ky.get("/").status == 200
    assert 'name="password"' in ky.page
    late = Browser(town, "10.0.0.2")
    assert late.sign_in("ky").status == 401
    assert "bị khóa" in late.page
    assert late.sign_in("ky", "x" * 20).status == 401
    assert "bị khóa" not in late.page, "who does not know the password learns nothing"
    root.get("/users?state=locked")
    assert [link for link in root.links() if link.startswith("/users/")] == ["/users/_new", "/users/ky"]
    order(root, "ky", "unlock")
    assert enter(town, "ky").get("/events").status == 200
    told = [(each["event"], each["by"]) for each in town.told("user-locked", "user-unlocked")]
    assert told == [("user-locked", "root"), ("user-unlocked", "root")]
    assert [each.get("reason") for each in town.told("user-sign-in-failed")] == ["locked", None]


def test_a_password_codes_and_sessions_are_taken_and_given(town: Town, root: Browser) -> None:
    ky = enter(town, "ky")
    order(root, "ky", "set-password")
    given = secret_of(root)
    assert ky.get("/events").status == 401
    assert Browser(town).sign_in("ky").status == 401
    ky = enter(town, "ky", given)
    order(root, "ky", "set-codes")
    secret = secret_of(root)
    assert "otpauth://" in root.page
    assert ky.get("/events").status == 401
    ky = Browser(town)
    assert ky.sign_in("ky", given).location == "/sign-in/code?next=%2F"
    ky.get("/sign-in/code")
    with transactions.read_transaction(town.engine) as tx:
        assert second_factor.has_codes(tx, "ky")
    assert ky.post("/sign-in/code", code=code_of(secret, town), next="/").status == 303
    assert ky.get("/").location == "/account", "the password is still the one of somebody else"
    assert order(root, "ky", "remove-codes").status == 303
    assert ky.get("/account").status == 401
    ky = enter(town, "ky", given)
    assert order(root, "ky", "end-sessions").status == 303
    assert ky.get("/account").status == 401
    said = json.dumps(town.told(*{each["event"] for each in town.told("user-codes-set")}))
    for word in (given, secret):
        assert word not in said
    assert given not in kept(town)


def test_a_certificate_signs_in_one_account_and_is_taken_back(town: Town, root: Browser) -> None:
    config: Any = root.pages.parts.live.config
    config.anchors = Anchors((pki.authority().certificate,))
    own = pki.partner("an").certificate
    assert order(root, "ky", "add-certificate", file=Octets.of(pem(own))).status == 200
    assert "client-certificates" in root.page, "no browser is asked for one"
    config.console = ConsoleSettings(client_certificates=True)
    assert order(root, "ky", "add-certificate", file=Octets.of(pem(own))).status == 303
    assert order(root, "root", "add-certificate", file=Octets.of(pem(own))).status == 409
    assert "[certificate-taken]" in root.page
    for content in (b"", b"no certificate", b"x" * 70_000):
        assert order(root, "ky", "add-certificate", file=Octets.of(content)).status == 422
        assert "[certificate-unfit]" in root.page
    order(root, "ky", "remove-certificate", certificate=hash_certificate(own))
    told = [(each["user"], each["by"]) for each in town.told("user-certificate-added", "user-certificate-removed")]
    assert told == [("ky", "root")] * 2


def test_nobody_locks_out_the_own_account_or_the_last_administrator(town: Town, root: Browser) -> None:
    for do, form in (
        ("lock", {}),
        ("remove", {"sure": "1"}),
        ("set-password", {}),
        ("change", {"role": "viewer", "units": "H55"}),
    ):
        assert order(root, "root", do, **form).status == 409, do
        assert "[own-account]" in root.page
    town.add("bo", role=Role.ADMINISTRATOR)
    town.add("nho", "H55.13", role=Role.ADMINISTRATOR)
    bo = enter(town, "bo", address="10.0.0.3")
    assert order(bo, "root", "lock").status == 303
    assert root.get("/users").status == 401
    with transactions.write_transaction(town.engine) as tx:
        for act in ("lock", "remove"):
            wanted = accounts.AccountOrder(act=accounts.AccountAct(act), name="bo")
            with pytest.raises(accounts.AccountRefused, match="last-administrator"), tx.begin_nested():
                accounts.carry_out(tx, wanted, configured=(), by="an/kho", now=town.now)
            with pytest.raises(accounts.AccountRefused, match="own-account"), tx.begin_nested():
                accounts.carry_out(tx, wanted, configured=(), by="bo/kho", now=town.now)
    assert [each["user"] for each in town.told("user-locked")] == ["root"]
    assert town.told("user-removed") == []
    assert order(bo, "root", "remove").status == 422
    assert "[not-sure]" in bo.page
    assert order(bo, "root", "remove", sure="1").location == "/users"
    assert bo.get("/users/root").status == 404


def test_the_last_administrator_keeps_the_codes_that_are_needed(town: Town, root: Browser) -> None:
    order(root, "root", "set-codes")
    secret = secret_of(root)
    config: Any = root.pages.parts.live.config
    config.console = ConsoleSettings(administrators_need_codes=True, keys=KEYS)
    root.sign_in("root")
    root.get("/sign-in/code")
    assert root.post("/sign-in/code", code=code_of(secret, town), next="/").status == 303
    assert order(root, "root", "remove-codes").status == 409
    assert "[last-administrator]" in root.page


def test_accounts_are_found_by_name_role_and_state_page_by_page(
    town: Town, root: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        town.add(f"an_{number}", "H55.13")
    root.get("/users?q=n_&role=reader")
    assert len([link for link in root.links() if link.startswith("/users/an_")]) == 5
    root.get("/users?q=%25")
    assert "/users/ky" not in root.links(), "it is no pattern"
    with transactions.read_transaction(town.engine) as tx:
        first = accounts.find_accounts(tx, "an", most=3)
        rest = accounts.find_accounts(tx, "an", after=first.more or "", most=3)
    assert [each.user.name for each in (*first.found, *rest.found)] == [f"an_{number}" for number in range(5)]
    assert rest.more is None
    assert root.get("/users/nobody").status == 404
    root.get("/account")
    proof = root.proof
    assert root.post("/users/nobody", do="lock", proof=proof).status == 404
    assert root.post("/users/ky", do="promote", proof=proof).status == 404
    assert root.post("/users/ky", do="lock", proof="forged").status == 403


def test_a_token_is_made_shown_once_listed_and_removed(town: Town, root: Browser) -> None:
    root.get("/tokens")
    form = {"name": "Kho", "owner": "an", "days": "10", "units": "H55.13", "partners": "", "scope.replay": "1"}
    assert root.post("/tokens", **form, role="viewer").status == 200
    text = secret_of(root)
    with transactions.read_transaction(town.engine) as tx:
        found = tokens.find_token(tx, text)
    assert found is not None
    assert (found.name, found.owner, found.units, found.made_by) == ("kho", "an", ("H55.13",), "root")
    assert set(found.scopes) == PERMISSIONS[Role.VIEWER] | {Permission.REPLAY}
    assert text not in kept(town)
    assert [each["by"] for each in town.told("token-added")] == ["root"]
    root.get("/tokens")
    assert text not in root.page
    assert text[:11] in root.page
    town.add("an", role=Role.ENGINEER)
    root.get("/users/an")
    assert ">kho</span>" in root.page
    wrong: tuple[tuple[dict[str, str], str], ...] = (
        ({}, "name-taken"),
        ({"name": "x y"}, "name-unfit"),
        ({"name": "x", "scope.replay": ""}, "scopes-missing"),
        ({"name": "x", "days": "731"}, "days-unfit"),
        ({"name": "x", "days": "soon"}, "days-unfit"),
        ({"name": "x", "units": "H99"}, "unit-unknown"),
    )
    for typed, code in wrong:
        root.get("/tokens")
        assert root.post("/tokens", **form | typed).status in {409, 422}
        assert f"[{code}]" in root.page
    root.get("/tokens")
    proof = root.proof
    assert root.post("/tokens/kho", proof=proof).location == "/tokens?removed=kho"
    assert root.post("/tokens/kho", proof=proof).status == 404
    with transactions.read_transaction(town.engine) as tx:
        assert tokens.list_tokens(tx) == []


# --- in a browser ------------------------------------------------------------------------------------------------------

WORDS = {
    "vi": ("Tạo tài khoản", "Thay đổi tài khoản", "Khóa tài khoản", "Đặt khóa bí mật mới", "Tạo mã truy cập"),
    "en": ("Make the account", "Change the account", "Lock the account", "Set up a new secret", "Make the token"),
}


def connect(context: Any, behind: Browser) -> None:
    """Let *context* open the pages of *behind*, which keeps the cookies and follows where an answer leads."""

    def answer(route: Any) -> None:
        asked = urlsplit(route.request.url)
        place = f"{asked.path}?{asked.query}" if asked.query else asked.path
        if route.request.method == "POST":
            sent = _read_form(route.request.headers["content-type"], Octets.of(route.request.post_data_buffer))
            said = behind.post(place, **{"proof": None, **sent["form"]}, file=sent.get("file"))
        else:
            said = behind.get(place)
        while said.status == 303:
            said = behind.get(str(said.location))
        route.fulfill(status=said.status, body=said.content, headers={**HEADERS, "Content-Type": said.content_type})

    context.route("**/*", answer)


@pytest.mark.slow
def test_an_account_of_one_unit_is_made_and_signs_in_in_a_browser(town: Town, root: Browser) -> None:
    """With script and without. Where `PICTURES` is set, a picture of each page is left in that folder."""
    config: Any = root.pages.parts.live.config
    config.anchors = Anchors((pki.authority().certificate,))

    def seen(page: Any, name: str) -> None:
        if folder := os.environ.get("PICTURES"):
            path = Path(folder) / f"accounts-{name}-{page.viewport_size['width']}-{root.languages[:2]}.png"
            page.screenshot(path=path, full_page=True)

    with chromium() as browser:
        for width, scheme, language, script in (
            (1280, "light", "vi", True),
            (390, "dark", "en", False),
        ):
            make, change, lock, codes, token = WORDS[language]
            name = f"an{width}{language}"
            root.languages = language
            context = window(browser, width, scheme, java_script_enabled=script)
            connect(context, root)
            page = context.new_page()
            page.goto(f"https://{HOST}/users")
            page.click("main a[href='/users/_new']")
            page.fill("#name", name)
            page.check("input[name=role][value=reader]")
            page.get_by_role("button", name=make).click()
            page.wait_for_selector("#wrong")
            seen(page, "new-wrong")
            page.fill("#units", "H55.13")
            page.get_by_role("button", name=make).click()
            given = page.inner_text("#secret")
            assert given not in page.url
            seen(page, "password")

            theirs = window(browser, width, scheme, java_script_enabled=script)
            behind = Browser(town, "10.0.0.7", language)
            connect(theirs, behind)
            own = theirs.new_page()
            own.goto(f"https://{HOST}/")
            own.fill("#name", name)
            own.fill("#password", given)
            own.press("#password", "Enter")
            own.wait_for_selector("#change")
            seen(own, "must-change")
            for field, text in (("#old", given), ("#new", NEW), ("#again", NEW)):
                own.fill(field, text)
            own.press("#again", "Enter")
            own.fill("#name", name)
            own.fill("#password", NEW)
            own.press("#password", "Enter")
            own.wait_for_selector("a[href='/account']")
            own.wait_for_load_state()
            assert own.locator("a[href='/users']").count() == 0
            own.goto(f"https://{HOST}/reports/edoc/H55.30/2026-11")
            assert "H55.30" not in own.inner_text("main")
            theirs.close()

            page.click(f"main a[href='/users/{name}']")
            seen(page, "one")
            page.fill("#units", "H55.13, H55.30")
            page.get_by_role("button", name=change).click()
            page.wait_for_selector("[role=status]")
            page.get_by_role("button", name=lock).click()
            page.wait_for_selector(".heading .badge.bad")
            seen(page, "locked")
            page.get_by_role("button", name=codes).click()
            page.wait_for_selector("#secret")
            seen(page, "codes")
            page.goto(f"https://{HOST}/users")
            seen(page, "list")
            page.goto(f"https://{HOST}/users/root")
            seen(page, "own")
            page.goto(f"https://{HOST}/tokens")
            page.fill("#name", f"kho-{name}")
            page.get_by_role("button", name=token).click()
            page.wait_for_selector("#wrong")
            seen(page, "token-wrong")
            page.check("input[name='scope.find-messages']")
            page.get_by_role("button", name=token).click()
            page.wait_for_selector("#secret")
            seen(page, "token")
            page.goto(f"https://{HOST}/tokens")
            context.close()
    assert len(town.told("user-locked")) == 2
