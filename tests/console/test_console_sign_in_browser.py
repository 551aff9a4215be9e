"""Every state of the sign-in page, as axe judges it in Chromium: refused, locked, a code, a certificate, a provider."""

import os
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from hub.config.values import ConsoleSettings
from hub.operations.accounts import second_factor
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from hub.web.answering import HEADERS
from tests.browsing import chromium, judge, window
from tests.console.test_console_openid import PLACE, Visitor, bind
from tests.console_town import HOST, PASSWORD, Browser, Town
from tests.openid import PROVIDER, SsoSite

#: Width, scheme and language of the two windows that take turns; with `ALL=1` each state is judged in all eight.
TURNS = [(1280, "light", "vi"), (390, "dark", "en")]
EVERY = [
    (width, scheme, language) for width in (390, 1280) for scheme in ("light", "dark") for language in ("vi", "en")
]
REFRESH = re.compile(r'<meta http-equiv="refresh"[^>]*>')


def collect_states(town: Town, site: SsoSite, language: str) -> dict[str, str]:
    """Return the page of each state in *language*."""
    found: dict[str, str] = {}

    def keep(name: str, browser: Browser) -> None:
        found[name] = REFRESH.sub("", browser.page)

    def come(address: str) -> Visitor:
        browser = Visitor(town, address, language)
        browser.get("/sign-in")
        return browser

    site.down = False
    an = come("10.1.0.1")
    keep("sign-in", an)
    for _ in range(6):
        an.post("/sign-in", name="an", password="wrong")
        if "wrong" not in found:
            keep("wrong", an)
    an.post("/sign-in", name="an", password="wrong")
    keep("locked", an)
    binh = come("10.1.0.2")
    binh.post("/sign-in", name="binh", password=PASSWORD)
    binh.get("/sign-in/code")
    keep("code", binh)
    binh.post("/sign-in/code", code="000000")
    keep("code-wrong", binh)
    root = come("10.1.0.3")
    root.post("/sign-in", name="root", password=PASSWORD)
    keep("codes-missing", root)
    token = come("10.1.0.4")
    token.post("/sign-in/certificate")
    keep("certificate", token)
    other = come("10.1.0.5")
    other.post(PLACE, next="/")
    keep("onward", other)
    other.get(
        f"{PLACE}?{site.sign_in(other.onward, 'somebody-with-a-long-subject-0193aaaa-0000-7000-8000-000000000001')}"
    )
    keep("no-account", other)
    other.get(f"{PLACE}?state=x&code=y")
    keep("flow-unknown", other)
    site.down = True
    down = come("10.1.0.6")
    down.post(PLACE, next="/")
    keep("provider-down", down)
    town.wait(hours=2)
    return found


@pytest.mark.slow
def test_axe_finds_nothing_in_any_state_of_the_sign_in_page(town: Town) -> None:
    """Where `PICTURES` is set, a picture of each state is left in that folder."""
    provider = attrs.evolve(PROVIDER, title="Cổng đăng nhập một lần của Ủy ban nhân dân tỉnh")
    town.settings = ConsoleSettings(
        administrators_need_codes=True, client_certificates=True, url=f"https://{HOST}", providers={"sso": provider}
    )
    town.add("an", "H55.13")
    town.add("binh", "H55.13")
    town.add("root", role=Role.ADMINISTRATOR)
    assert bind(town)
    with transactions.write_transaction(town.engine) as tx:
        assert second_factor.enrol_user(tx, "binh", "A" * 32, by="root", now=town.now)
    site, shown = SsoSite(town), ""
    states = {language: collect_states(town, site, language) for language in ("vi", "en")}

    def answer(route: Any) -> None:
        path = route.request.url.removeprefix(f"https://{HOST}")
        if path == "/":
            route.fulfill(status=200, body=shown, headers={**HEADERS, "Content-Type": "text/html; charset=utf-8"})
            return
        beside = Browser(town).get(path)
        route.fulfill(status=beside.status, body=beside.content, headers={"Content-Type": beside.content_type})

    with chromium() as browser:
        every = bool(os.environ.get("ALL"))
        for turn, (width, scheme, language) in enumerate(EVERY if every else TURNS):
            context = window(browser, width, scheme)
            context.route("**/*", answer)
            page = context.new_page()
            names = list(states[language]) if every else list(states[language])[turn::2]
            for name in names:
                shown = states[language][name]
                page.goto(f"https://{HOST}/")
                if folder := os.environ.get("PICTURES"):
                    page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}-{language}.png", full_page=True)
                judge(page)
            context.close()
