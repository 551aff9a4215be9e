"""Chromium, as a person of the province uses it: wide or narrow, light or dark.  Pages are judged by axe."""

import asyncio
import atexit
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from hub.console import edge
from hub.formats.spool import Octets
from hub.web import answering
from tests.conftest import cannot_be_had
from tests.waiting import PATIENCE

RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]


class _Kept:
    """One Playwright and one Chromium a process, for every test that needs no words on the command line: a start takes a second of CPU."""

    def __init__(self) -> None:
        sync_api = pytest.importorskip("playwright.sync_api")
        found = shutil.which("chromium") or shutil.which("chromium-browser")
        if found is None:
            cannot_be_had("Chromium", "it is not installed; Debian: apt-get install chromium")
        self._found = found
        self._play = sync_api.sync_playwright().start()
        self._loop = asyncio._get_running_loop()
        self._browser = self.launch()
        asyncio._set_running_loop(None)
        atexit.register(self.close)

    def launch(self, *words: str, env: dict[str, str] | None = None) -> Any:
        return self._play.chromium.launch(executable_path=self._found, args=["--no-sandbox", *words], env=env)

    def close(self) -> None:
        with self.entered():
            self._play.stop()

    def browser(self) -> Any:
        if not self._browser.is_connected():
            self._browser = self.launch()
        return self._browser

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let Playwright's event loop be the running one, and none outside: else `asyncio.run` of other tests would refuse to run."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)


_keep = cache(_Kept)


@contextmanager
def chromium(*words: str, env: dict[str, str] | None = None) -> Iterator[Any]:
    """Give Chromium: the one of this process; with more *words* on its command line, or in the environment *env*, one of its own."""
    kept = _keep()
    with kept.entered():
        own = bool(words or env)
        browser = kept.launch(*words, env=env) if own else kept.browser()
        opened = list(browser.contexts)
        try:
            yield browser
        finally:
            for context in browser.contexts:
                if context not in opened:
                    context.close()
            if own:
                browser.close()


def window(browser: Any, width: int, scheme: str, **more: Any) -> Any:
    """Open a window of its own, *width* pixels wide, `light` or `dark`."""
    opened = browser.new_context(
        ignore_https_errors=True,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        locale="vi-VN",
        **more,
    )
    opened.set_default_timeout(PATIENCE * 1000)
    return opened


def answer_from(behind: Any, chosen: list[bytes] | None = None) -> Callable[[Any], None]:
    """Return what answers the requests of a window: the pages of the signed-in browser *behind*, which keeps the cookies.

    The driver does not show the octets of a chosen file: the next of *chosen* stands for them.
    """

    def answer(route: Any) -> None:
        asked = urlsplit(route.request.url)
        place = f"{asked.path}?{asked.query}" if asked.query else asked.path
        if route.request.method == "POST":
            sent = edge._read_form(route.request.headers["content-type"], Octets.of(route.request.post_data_buffer))
            file = Octets.of(chosen.pop(0)) if chosen and "file" in sent else sent.get("file")
            said = behind.post(place, **{"proof": None, **sent["form"]}, file=file)
        else:
            said = behind.get(place)
        headers = {**answering.HEADERS, "Content-Type": said.content_type}
        location = {"Location": said.location} if said.location else {}
        route.fulfill(status=said.status, body=said.content, headers=headers | location)

    return answer


def judge(page: Any) -> None:
    """Axe finds nothing on *page*, and it is no wider than its window."""
    from axe_playwright_python.sync_playwright import Axe

    page.wait_for_load_state()  # a click waits for the next page to begin, not for all of it
    found = Axe().run(page, options={"runOnly": RULES})
    assert [(each["id"], each["nodes"]) for each in found.response["violations"]] == [], page.url
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} must be scrolled sideways"


#: Names what is wider than the window, cut off by an element around it, or outside a chart.
_FIND_CUT = """() => {
  const found = [], wide = document.documentElement.clientWidth;
  const name = (element) => `${element.tagName} ${element.className} “${element.textContent.trim().slice(0, 40)}”`;
  if (document.documentElement.scrollWidth > wide) found.push("the page must be scrolled sideways");
  const walk = (element, scrolled) => {
    const style = getComputedStyle(element);
    if (style.display === "none" || style.clipPath !== "none" || element.matches(".skip, svg")) return;
    const box = element.getBoundingClientRect();
    if (!scrolled && box.width && (box.right > wide + 1 || box.left < -1)) found.push(`outside: ${name(element)}`);
    if (/hidden|clip/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1) found.push(`cut: ${name(element)}`);
    if (/hidden|clip/.test(style.overflowY) && element.scrollHeight > element.clientHeight + 1) found.push(`cut: ${name(element)}`);
    for (const each of element.children) walk(each, scrolled || /auto|scroll/.test(style.overflowX));
  };
  walk(document.body, false);
  for (const drawn of document.querySelectorAll("svg")) {
    const box = drawn.getBoundingClientRect();
    for (const text of drawn.querySelectorAll("text")) {
      const part = text.getBoundingClientRect();
      if (part.left < box.left - 1 || part.right > box.right + 1 || part.top < box.top - 1 || part.bottom > box.bottom + 1)
        found.push(`cut in a chart: “${text.textContent}”`);
    }
  }
  return found;
}"""

#: Takes away each row and item of a list that brings no kind of element that an earlier one has not.
_LEAVE_ONE_OF_A_KIND = """() => {
  const kinds = new Set(), kind = (one) => `${one.parentElement.tagName}.${one.parentElement.className} ${one.tagName}.${one.className}`;
  for (const row of document.querySelectorAll("tbody tr, main li, option, svg > :not(title, desc)")) {
    if (!row.isConnected) continue;
    const own = [row, ...row.querySelectorAll("*")].map(kind).filter((one) => !kinds.has(one));
    if (own.length) own.forEach((one) => kinds.add(one)); else row.remove();
  }
}"""

_RUN_AXE = """rules => axe.run({runOnly: rules, resultTypes: ["violations"], preload: false}).then(found =>
  found.violations.map(one => `${one.id}: ` + one.nodes.map(node => node.html.slice(0, 200)).join(" | ")))"""

#: Shows another page in place of the open one, with its style: `readyState` says `complete` before a style sheet that is new has
#: come. What ran before it, axe, stays.
REPLACE = """html => new Promise(shown => {
  document.open(); document.write(html); document.close();
  document.querySelector("link[rel=stylesheet]") ? addEventListener("load", shown, {once: true}) : shown();
})"""


_RELOADS = re.compile('<meta http-equiv="refresh"[^>]*>')


@attrs.frozen
class Look:
    """How a page is looked at."""

    language: str
    width: int
    scheme: str


class Judge:
    """Judges page after page in one window, into which axe comes once.

    Of rows and items of lists that are made alike, axe reads one: a long report takes it ten seconds.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))

    def show(self, html: str, look: Look) -> None:
        """Show a page in place of the open one."""
        self.turn(look)
        self.page.evaluate(REPLACE, _RELOADS.sub("", html))  # a page that loads itself again would be without axe

    def turn(self, look: Look) -> None:
        """Give the window the width and the colours of *look*."""
        self.page.set_viewport_size({"width": look.width, "height": 900})
        self.page.emulate_media(color_scheme=look.scheme)

    def find_cut(self) -> list[str]:
        """Return what is wider than the window, or cut off."""
        return list(self.page.evaluate(_FIND_CUT))

    def run_axe(self) -> list[str]:
        """Return what axe finds on the page. It has fewer rows afterwards."""
        self.page.evaluate(_LEAVE_ONE_OF_A_KIND)
        return list(self.page.evaluate(_RUN_AXE, {"type": "tag", "values": RULES}))
