"""The pages by which a CA is trusted, or one no longer: what it is and what would change is shown before it is made.

/trust           the trusted CAs, and the form of one more; by POST the plan, and with `do=apply` the change
/trust/SHA256    by POST: the plan to trust that CA no longer; then as above
"""

from collections.abc import Sequence
from functools import partial

import attrs
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config.trust_edit import TrustEdit, TrustOrder
from hub.console.exchange.partner_forms import REASON
from hub.console.page import PageAnswer, PageReach, PageValues, console_page
from hub.console.request import ConsoleRequest
from hub.console.visit import Visit
from hub.domain.sanitize import clean_line
from hub.language.phrases import Phrase, phrase
from hub.monitoring.partner_view import describe_authority
from hub.operations.accounts.permissions import Permission
from hub.operations.page_paths import build_page_path
from hub.operations.partners.partner_orders import CERTIFICATE, SAY_WHY, Flaw, OrderRefusal, OrderRefused
from hub.operations.partners.trust_orders import TrustOrders

_managing = partial(console_page, right=Permission.MANAGE_PARTNERS, reach=PageReach.UNLIMITED)
#: Characters of a field for URLs.
_URLS = 2000


@attrs.frozen
class TrustPages:
    """Makes the pages of trusted CAs."""

    _trust: TrustOrders

    @_managing("GET", "/trust", template="trust")
    async def list_authorities(self, visit: Visit) -> PageAnswer:
        """Show the trusted CAs, and the form of one more."""
        return await self._list(visit, done=visit.asked.query.get("done", ""))

    @_managing("POST", "/trust", template="trust_plan")
    async def add_authority(self, visit: Visit) -> PageAnswer:
        """Show the plan to trust one more CA, or make it."""
        return await self._carry_out(visit, _read_addition(visit.asked))

    @_managing("POST", "/trust/{sha256}", template="trust_plan")
    async def remove_authority(self, visit: Visit, sha256: str) -> PageAnswer:
        """Show the plan to trust a CA no longer, or make it."""
        return await self._carry_out(visit, TrustOrder(removed=sha256))

    async def _carry_out(self, visit: Visit, order: TrustOrder) -> PageAnswer:
        form, now = visit.asked.form, visit.now
        reason = clean_line(form.get("reason", ""), REASON)
        if len(order.added) > CERTIFICATE:
            large = phrase("the file is larger than {count} octets", count=CERTIFICATE)
            return await self._list(visit, wrong=[("", large, None)], status=422)
        try:
            edit = await self._trust.judge(order, form.get("seen", ""), now)
            if form.get("do") != "apply":
                return self._confirm(visit, order, edit, reason)
            if not reason:
                return self._confirm(visit, order, edit, reason, SAY_WHY)
            await self._trust.make(edit, by=visit.user.name, reason=reason, now=now)
        except OrderRefused as refused:
            status = {OrderRefusal.STALE: 409, OrderRefusal.UNWRITABLE: 500}.get(refused.refusal, 422)
            return await self._list(visit, wrong=refused.flaws, status=status)
        return build_page_path("trust", done="removed" if edit.removed else "added")

    async def _list(self, visit: Visit, *, done: str = "", wrong: Sequence[Flaw] = (), status: int = 200) -> PageValues:
        said = {
            "trusted": await self._trust.list_authorities(visit.now),
            "seen": await self._trust.see(),
            "done": done,
            "wrong": wrong,
            "manages": True,
            "typed": {name: visit.asked.form.get(name, "")[:_URLS] for name in ("crl_urls", "ocsp_urls")},
        }
        return PageValues(said, status, template="trust")

    def _confirm(
        self,
        visit: Visit,
        order: TrustOrder,
        edit: TrustEdit,
        reason: str,
        wrong: Phrase | None = None,
    ) -> PageValues:
        """Return the page that shows the plan before it is made."""
        said = {
            "action": build_page_path(*visit.asked.path),
            "edit": edit,
            "authorities": [describe_authority(each, visit.now) for each in edit.authorities],
            "files": [each.path.name for each in edit.files],
            "pem": "" if edit.removed else _write_pem(order, edit),
            "typed": {"crl_urls": " ".join(order.crl_urls), "ocsp_urls": " ".join(order.ocsp_urls)},
            "seen": visit.asked.form.get("seen", ""),
            "reason": reason,
            "wrong": wrong,
        }
        return PageValues(said, 422 if wrong else 200)


def _read_addition(asked: ConsoleRequest) -> TrustOrder:
    """Return the order of the form: of its file, else of its text area."""
    content = asked.read_file()
    if not content.strip():
        content = asked.packet.read() if asked.packet else b""
    crl_urls, ocsp_urls = (tuple(asked.form.get(name, "")[:_URLS].split()) for name in ("crl_urls", "ocsp_urls"))
    return TrustOrder(added=content, crl_urls=crl_urls, ocsp_urls=ocsp_urls)


def _write_pem(order: TrustOrder, edit: TrustEdit) -> str:
    """Return what was given as text, which the page with the plan sends again."""
    if b"-----BEGIN" in order.added:
        return order.added.decode("ascii", "replace")
    return b"".join(each.public_bytes(Encoding.PEM) for each in edit.authorities).decode("ascii")
