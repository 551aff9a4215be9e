"""The Government reporting system: submits sealed reports of units and collects the verdicts on them.

Knows HTTP and a drop directory. Does not know the journal. The interface of that system is not known (standards.md 4.7,
marked U), so every path, field and word is a setting.
"""

from datetime import datetime

import attrs

from adapters.govreport import drop, online
from adapters.govreport.wording import SystemWording
from hub.domain.conversations import Collection, Conversation
from hub.domain.model import Consignment
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms

SCHEMES = ("https", "http", "file")

_PATH, _A_PATH = r"/[!-~]*", phrase("a path that begins with /")
_WORDS, _SOME_WORDS = r"[^\s=]+( [^\s=]+)*", phrase("words separated by one space")
_NAMED, _SOME_NAMES = r"[a-z]+=[^\s=]+( [a-z]+=[^\s=]+)*", phrase("pairs such as unit=maDonVi, one space between")

SETTINGS = (
    Setting("submit-path", "/reports", _PATH, _A_PATH),
    Setting("format", "multipart", "multipart|raw", phrase("multipart or raw")),
    Setting("workbook", "yes", "yes|no", phrase("yes or no")),
    Setting("language", "vi", "vi|en", phrase("vi or en")),
    Setting("xml-field", "report", _WORDS, _SOME_WORDS),
    Setting("xlsx-field", "workbook", _WORDS, _SOME_WORDS),
    Setting("fields", "form=form unit=unit period=period revision=revision", _NAMED, _SOME_NAMES),
    Setting("id-header", "Idempotency-Key", r"[!-~]+", phrase("the name of a header")),
    Setting("auth-header", "Authorization", r"[!-~]+", phrase("the name of a header")),
    Setting("auth-value", "Bearer {secret}", r"[ -~]*\{secret\}[ -~]*", phrase("a text with {secret} in it")),
    Setting("secret", "", secret=True),
    Setting("reference", "reference", _WORDS, _SOME_WORDS),
    Setting("errors", "errors", _WORDS, _SOME_WORDS),
    Setting(
        "verdict-path", "/verdicts?after={cursor}", r"/[!-~]*\{cursor\}[!-~]*", phrase("a path with {cursor} in it")
    ),
    Setting("verdict-list", "verdicts", _WORDS, _SOME_WORDS),
    Setting(
        "verdict-fields",
        "id=id form=form unit=unit period=period revision=revision result=status reasons=reasons",
        _NAMED,
        _SOME_NAMES,
    ),
    Setting("accepted", "accepted", _WORDS, _SOME_WORDS),
    Setting("returned", "returned", _WORDS, _SOME_WORDS),
    Setting("pending", "received pending", _WORDS, _SOME_WORDS),
    Setting("out", "out", r"[A-Za-z0-9_-]+", phrase("the name of a directory")),
    Setting("in", "in", r"[A-Za-z0-9_-]+", phrase("the name of a directory")),
)


@attrs.frozen
class GovernmentReporting:
    """One such system."""

    url: str
    wording: SystemWording

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Submit the report: over HTTP, or as files in the drop directory."""
        way = drop.deliver_to_drop if self.url.startswith("file:") else online.deliver_online
        return way(self.url, self.wording, consignment, now)

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Collect the verdicts after *cursor*. In a drop directory, collect those that are still there."""
        way = drop.collect_from_drop if self.url.startswith("file:") else online.collect_online
        return way(self.url, self.wording, cursor, now)


def adapter(terms: Terms) -> GovernmentReporting:
    """Return the adapter of one partner."""
    return GovernmentReporting(terms.url.rstrip("/"), SystemWording.of(terms.partner, terms.settings, terms.secrets))
