"""The province's web portal: publishes a report as HTML and JSON to the portal's CMS. Knows HTTP, not who published it.

Each CMS expects pages in another way (standards.md 7, marked D), so paths, method, headers and kinds of pages are
settings.
"""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

import attrs

from hub.domain.conversations import Accepted, Conversation, Refused, Reply, Request, Unavailable
from hub.domain.model import Consignment
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms
from hub.partner.reply_parsing import may_have_taken, retry_after
from hub.report.output import outputs
from hub.report.signed import sealed
from hub.report.signed.sealed import Sealed

_HEADER, _A_HEADER = r"[!-9;-~]+", phrase("the name of a header")
SETTINGS = (
    Setting("path", "/reports/{form}/{unit}/{period}.{kind}", r"/[!-~]*", phrase("a path that begins with /")),
    Setting("method", "PUT", "PUT|POST", phrase("PUT or POST")),
    Setting("kinds", "html json", r"(html|json)( (html|json))*", phrase("html, json or both, one space between")),
    Setting("language", "vi", "vi|en", phrase("vi or en")),
    Setting("id-header", "Idempotency-Key", _HEADER, _A_HEADER),
    Setting("revision-header", "X-Revision", _HEADER, _A_HEADER),
    Setting("auth-header", "Authorization", _HEADER, _A_HEADER),
    Setting("auth-value", "Bearer {secret}", r"[ -~]*\{secret\}[ -~]*", phrase("a text with {secret} in it")),
    Setting("secret", secret=True),
)


@attrs.frozen
class WebPortal:
    """One portal."""

    url: str
    settings: Mapping[str, str]
    _secret: str = attrs.field(repr=False)

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Publish one report: one request for each kind of page."""
        found, outcome = sealed.read_sealed_report(consignment.content), Accepted()
        for kind in self.settings["kinds"].split(" "):
            content_type, content = self._page(kind, found)
            headers = (*self._headers(consignment, found), ("Content-Type", content_type))
            reply = yield Request(self._place(kind, found), content, headers, self.settings["method"], hands_over=True)
            judged = _judge_reply(reply, now)
            if not isinstance(judged, Accepted):
                return judged
            outcome = judged
        return outcome

    def _headers(self, consignment: Consignment, found: Sealed) -> tuple[tuple[str, str], ...]:
        return (
            (self.settings["auth-header"], self.settings["auth-value"].replace("{secret}", self._secret)),
            (self.settings["id-header"], consignment.message.id),
            (self.settings["revision-header"], str(found.revision)),
        )

    def _page(self, kind: str, found: Sealed) -> tuple[str, bytes]:
        if kind == "json":
            return "application/json; charset=utf-8", outputs.write_json_report(found.report, found.names).encode()
        page = outputs.write_html_report(found.report, found.names, Language(self.settings["language"]))
        return "text/html; charset=utf-8", page.encode()

    def _place(self, kind: str, found: Sealed) -> str:
        report = found.report
        said = {"form": report.form.id, "unit": report.total.unit, "period": report.period.text, "kind": kind}
        path = self.settings["path"]
        for word, value in said.items():
            path = path.replace(f"{{{word}}}", quote(value, safe=""))
        return self.url + path


def _judge_reply(reply: Reply, now: datetime) -> Accepted | Refused | Unavailable:
    said = f"HTTP {reply.status}: {reply.body[:200].decode('utf-8', 'replace')}"
    match reply.status:
        case 200 | 201 | 204 if b"<html" not in reply.body[:200].lower():
            return Accepted(reply.headers.get("location", ""))
        case 409:
            return Accepted("it has a newer revision")
        case 400 | 404 | 405 | 413 | 415 | 422:
            return Refused(said)
        case 401 | 403:
            return Unavailable(f"HTTP {reply.status}: it does not know us", credentials=True)
    return Unavailable(said, retry_after(reply.headers, now), unknown=may_have_taken(reply.status))


def adapter(terms: Terms) -> WebPortal:
    """Return the adapter of one partner."""
    return WebPortal(terms.url.rstrip("/"), terms.settings, terms.secrets["secret"])
