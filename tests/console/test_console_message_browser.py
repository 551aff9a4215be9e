"""The pages of a message in Chromium: judged by axe wide and narrow, light and dark, in both languages; none is wider than its window."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hub.console.edge import HEADERS
from hub.console.permissions import Role
from hub.domain.model import Problem
from tests.browsing import chromium, judge, window
from tests.console.test_console_messages import TRACKING, attempts, call, packet, signed_in, try_to_deliver
from tests.console_town import HOST


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "languages"), [("light", ("vi", "en")), ("dark", ("en", "vi"))])
def test_the_pages_of_a_message_in_a_browser(town, scheme, languages):
    """Where `PICTURES` is set, a picture of each page is left in that folder."""
    operator = signed_in(town, "op", role=Role.OPERATOR)
    long = b"<soap:Fault>" + b"<detail>the queue of the receiving system is full, try again later</detail>" * 40
    message = packet(town, 1)
    try_to_deliver(town, (503, long), (500, b"no"), (200, b"<taken/>"))
    problems = (
        Problem("R.edXML.edXMLEnvelope.edXMLHeader.MessageHeader.Subject", "line 12: too long"),
        Problem("unit-unknown", "H55.99"),
    )
    refused = packet(town, 2, problems=problems)
    broken = town.take(3, content=b"<a>", problems=(Problem("not-well-formed", "line 1: no element found"),))
    call(town)
    operator.get(f"/messages/{message}")
    first, *_, last = attempts(operator, message)
    places = {
        "message": f"/messages/{message}",
        "packet": f"/messages/{message}/packet",
        "attempt": first,
        "refused": f"/messages/{refused}",
        "refused-packet": f"/messages/{refused}/packet",
        "broken-packet": f"/messages/{broken}/packet",
        "call": f"/messages/{TRACKING}",
        "compare": f"/messages/{message}/compare/{broken}",
        "compare-attempts": f"{first}/compare/{last.rpartition('/')[2]}",
    }

    def answer(route: Any) -> None:
        asked = urlsplit(route.request.url)
        said = operator.get(f"{asked.path}?{asked.query}" if asked.query else asked.path)
        route.fulfill(status=said.status, body=said.content, headers={**HEADERS, "Content-Type": said.content_type})

    with chromium() as browser:
        for width, language in ((1280, languages[0]), (390, languages[1])):
            context = window(browser, width, scheme)
            context.route("**/*", answer)
            page = context.new_page()
            for name, place in places.items():
                shown = page.goto(f"https://{HOST}{place}?lang={language}")
                assert shown.status == 200, place
                if folder := os.environ.get("PICTURES"):
                    picture = Path(folder) / f"{name}-{width}-{scheme}-{language}.png"
                    page.screenshot(path=picture, full_page=True)
                judge(page)
            context.close()
