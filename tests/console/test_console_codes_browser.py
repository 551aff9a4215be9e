"""Signing in with a one-time code in Chromium, with script and without: a person types."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from hub.config.values import ConsoleSettings
from hub.web.answering import HEADERS
from tests.browsing import chromium, window
from tests.console.test_console_codes import code_at, enrol
from tests.console_town import HOST, PASSWORD, Browser


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme", "script"), [(1280, "light", True), (390, "dark", False)])
def test_a_person_signs_in_with_password_and_code(town, width, scheme, script):
    """Where `PICTURES` is set, a picture of each page is left in that folder."""
    town.settings = ConsoleSettings(client_certificates=True)
    town.add("an", "H55.13")
    enrol(town)
    behind = Browser(town)

    def answer(route: Any) -> None:
        """Answer as the port does; the cookies are kept by the browser behind."""
        asked = urlsplit(route.request.url)
        place = f"{asked.path}?{asked.query}" if asked.query else asked.path
        if route.request.method == "POST":
            form = dict(parse_qsl(route.request.post_data, keep_blank_values=True))
            said = behind.post(asked.path, proof=form.pop("proof"), **form)
        else:
            said = behind.get(place)
        while said.status == 303:
            said = behind.get(str(said.location))
        route.fulfill(status=said.status, body=said.content, headers={**HEADERS, "Content-Type": said.content_type})

    def look(page: Any, name: str) -> None:
        if folder := os.environ.get("PICTURES"):
            page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)

    with chromium() as browser:
        context = window(browser, width, scheme, java_script_enabled=script)
        context.route("**/*", answer)
        page = context.new_page()
        page.goto(f"https://{HOST}/")
        look(page, "sign-in")
        page.fill("#name", "an")
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_selector("#code")
        look(page, "sign-in-code")
        page.fill("#code", "000000")
        page.press("#code", "Enter")
        page.wait_for_selector("#wrong")
        look(page, "sign-in-code-wrong")
        page.fill("#code", code_at(town.now))
        page.press("#code", "Enter")
        page.wait_for_selector("a[href='/account']")
        page.click("a[href='/account']")
        page.wait_for_selector("#sessions")
        look(page, "account")
        context.close()
    assert [each["user"] for each in town.told("user-signed-in")] == ["an"]
