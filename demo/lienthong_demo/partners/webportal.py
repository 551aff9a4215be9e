"""The province's web portal: a CMS that receives pages by PUT and reads the hub's Atom feed when ordered.

Knows RFC 9110 and RFC 4287. Knows nothing of the hub. A page of an older revision never replaces a newer one. A page
that was pulled before is requested again only with its ETag. Each page that it holds is a line of its notebook.
"""

import argparse
import json
import ssl
import threading
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs

from lienthong_demo.protocol.http_server import ServerAnswer, ServerCall
from lienthong_demo.protocol.notebook import Notebook, hash_content, read_notebook
from lienthong_demo.protocol.partner_server import PartnerServer

_ATOM = "{http://www.w3.org/2005/Atom}"


@attrs.define
class PortalPages:
    """The pages, by path or URL."""

    secret: str
    notebook: Notebook
    pages: dict[str, tuple[int, bytes]] = attrs.field(factory=dict)  #: revision, octets
    etags: dict[str, str] = attrs.field(factory=dict)  #: ETags of pulled pages, by URL
    office: PartnerServer | None = None
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def answer(self, call: ServerCall, refuse: bool) -> ServerAnswer:
        """Take a page."""
        if call.headers.get("authorization") != f"Bearer {self.secret}":
            return ServerAnswer.json({"error": "invalid token"}, 401)
        if call.method != "PUT" or not call.path.startswith("/reports/"):
            return ServerAnswer.json({"error": "not found"}, 404)
        kind = call.headers.get("content-type", "").partition(";")[0]
        if refuse or kind not in {"text/html", "application/json"} or not _is_sound(kind, call.body):
            return ServerAnswer.json({"error": f"không đăng được trang {kind}"}, 422)
        revision = int(call.headers.get("x-revision", "0"))
        with self._lock:
            known = self.pages.get(call.path)
            if known is not None and known[0] > revision:
                return ServerAnswer.json({"error": "đã có bản mới hơn"}, 409)
            self.pages[call.path] = (revision, call.body)
        self._note("pushed", call.path, call.body, revision=revision, first=known is None)
        return ServerAnswer(204 if known else 201, headers={"Location": call.path})

    def pull(self, url: str, ca: str) -> Mapping[str, object]:
        """Read the feed and each page that it lists. Return how many of them were new."""
        context = ssl.create_default_context(cafile=ca)
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        feed, new, same = self._get(opener, url), 0, 0
        if feed is None:
            return {"new": 0, "same": 1, "entries": []}
        root, entries = ET.fromstring(feed), []
        for entry in root.iterfind(f"{_ATOM}entry"):
            entries.append(entry.findtext(f"{_ATOM}id"))
            for link in entry.iterfind(f"{_ATOM}link"):
                where, kind = link.get("href", ""), link.get("type", "")
                page = self._get(opener, where)
                if page is None:
                    same += 1
                    continue
                if not _is_sound(kind, page):
                    return {"error": f"{where} is no {kind}"}
                new += 1
                self.pages[where] = (0, page)
                self._note("pulled", where, page)
        return {"new": new, "same": same, "entries": entries}

    def _get(self, opener: urllib.request.OpenerDirector, url: str) -> bytes | None:
        """Return the page at *url*; None if the held one is current."""
        headers = {"If-None-Match": self.etags[url]} if url in self.etags else {}
        try:
            with opener.open(urllib.request.Request(url, headers=headers), timeout=10) as answer:
                self.etags[url] = answer.headers["ETag"]
                octets: bytes = answer.read()
                return octets
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 304:
                    return None
                raise

    def obey(self, order: Mapping[str, Any]) -> Mapping[str, object]:
        """Execute one order of the conductor."""
        match order.get("do"):
            case "pull":
                return self.pull(order["url"], order["ca"])
            case "page":
                revision, octets = self.pages.get(order["path"], (None, b""))
                return {"revision": revision, "text": octets.decode()}
        return {"error": f"no such order: {order}"}

    def _note(self, what: str, path: str, octets: bytes, **more: object) -> None:
        assert self.office is not None
        self.office.note(what, path=path, sha256=hash_content(octets), **more)


class _Tables(HTMLParser):
    """Counts tables. A page of a report has one."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def handle_starttag(self, tag: str, attributes: object) -> None:
        """See HTMLParser."""
        self.count += tag == "table"


def _is_sound(kind: str, octets: bytes) -> bool:
    try:
        text = octets.decode()
        if kind == "application/json":
            return {"unit", "period", "rows"} <= set(json.loads(text))
    except ValueError:
        return False
    found = _Tables()
    found.feed(text)
    return found.count > 0 and "<script" not in text.lower()


def main() -> None:
    """Parse the command line and run the portal until the orders end."""
    parser = argparse.ArgumentParser("lienthong_demo.partners.webportal")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--notebook", type=Path, required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    options = parser.parse_args()
    portal = PortalPages(options.secret_file.read_text().strip(), Notebook(options.notebook))
    for line in read_notebook(options.notebook):
        if line["what"] == "pushed":  # a page that came before a restart is known by its revision
            portal.pages[str(line["path"])] = (int(str(line["revision"])), b"")
    portal.office = PartnerServer(portal.notebook, portal.answer, portal.obey)
    portal.office.serve(options.port)


if __name__ == "__main__":
    main()
