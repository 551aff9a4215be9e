"""Chromium, as a person of the province uses it: wide or narrow, light or dark.  Pages are judged by axe."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import cannot_be_had

RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium(*words: str) -> Iterator[Any]:
    """Start Chromium, with more *words* on its command line."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        cannot_be_had("Chromium", "it is not installed; Debian: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox", *words])
        yield browser
        browser.close()


def window(browser: Any, width: int, scheme: str, **more: Any) -> Any:
    """Open a window of its own, *width* pixels wide, `light` or `dark`."""
    return browser.new_context(
        ignore_https_errors=True,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        locale="vi-VN",
        **more,
    )


def judge(page: Any) -> None:
    """Axe finds nothing on *page*, and it is no wider than its window."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": RULES})
    assert [(each["id"], each["nodes"]) for each in found.response["violations"]] == [], page.url
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} must be scrolled sideways"
