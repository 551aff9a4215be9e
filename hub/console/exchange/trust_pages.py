"""The pages by which a CA is trusted, or one no longer: what it is and what would change is shown before it is made.

/trust           the trusted CAs, and the form of one more; by POST the plan, and with `do=apply` the change
/trust/SHA256    by POST: the plan to trust that CA no longer; then as above
"""

from collections.abc import Sequence
from datetime import datetime

import attrs
from cryptography.hazmat.primitives.serialization import Encoding

from hub.config.trust_edit import TrustEdit, TrustOrder
from hub.console.exchange.partner_forms import REASON
from hub.console.exchange.partner_pages import PartnerPage
from hub.console.request import ConsoleRequest
from hub.domain.sanitize import replace_controls
from hub.language.phrases import Phrase, phrase
from hub.monitoring.partner_view import describe_authority
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.operations.partners.partner_orders import CERTIFICATE, SAY_WHY, Flaw, OrderRefusal, OrderRefused
from hub.operations.partners.trust_orders import TrustOrders
from hub.operations.refusals import refuse_as_absent

#: Characters of a field for URLs.
_URLS = 2000


@attrs.frozen
class TrustPages:
    """Makes the pages of trusted CAs."""

    _orders: TrustOrders

    async def show(self, asked: ConsoleRequest, user: User, now: datetime) -> PartnerPage:
        """Return the page for a GET request."""
        del user  # who may open it sees every partner
        if asked.path[1:]:
            raise refuse_as_absent()
        return await self._list(asked, now, done=asked.query.get("done", ""))

    async def act(self, asked: ConsoleRequest, user: User, now: datetime) -> PartnerPage | str:
        """Do what a form asks. Return the address of the next page, or the page that says what comes or why not."""
        form, order = asked.form, None
        match asked.path[1:]:
            case ():
                order = _read_addition(asked)
            case (sha256,):
                order = TrustOrder(removed=sha256)
        if order is None:
            raise refuse_as_absent()
        reason = replace_controls(" ".join(form.get("reason", "").split()))[:REASON]
        if len(order.added) > CERTIFICATE:
            large = phrase("the file is larger than {count} octets", count=CERTIFICATE)
            return await self._list(asked, now, wrong=[("", large, None)], status=422)
        try:
            edit = await self._orders.judge(order, form.get("seen", ""), now)
            if form.get("do") != "apply":
                return self._confirm(asked, order, edit, now, reason)
            if not reason:
                return self._confirm(asked, order, edit, now, reason, SAY_WHY)
            await self._orders.make(edit, by=user.name, reason=reason, now=now)
        except OrderRefused as refused:
            status = {OrderRefusal.STALE: 409, OrderRefusal.UNWRITABLE: 500}.get(refused.refusal, 422)
            return await self._list(asked, now, wrong=refused.flaws, status=status)
        return build_page_path("trust", done="removed" if edit.removed else "added")

    async def _list(
        self, asked: ConsoleRequest, now: datetime, *, done: str = "", wrong: Sequence[Flaw] = (), status: int = 200
    ) -> PartnerPage:
        said = {
            "trusted": await self._orders.list_authorities(now),
            "seen": await self._orders.see(),
            "done": done,
            "wrong": wrong,
            "manages": True,
            "typed": {name: asked.form.get(name, "")[:_URLS] for name in ("crl_urls", "ocsp_urls")},
        }
        return PartnerPage("trust", said, status)

    def _confirm(
        self,
        asked: ConsoleRequest,
        order: TrustOrder,
        edit: TrustEdit,
        now: datetime,
        reason: str,
        wrong: Phrase | None = None,
    ) -> PartnerPage:
        """Return the page that shows the plan before it is made."""
        said = {
            "action": build_page_path(*asked.path),
            "edit": edit,
            "authorities": [describe_authority(each, now) for each in edit.authorities],
            "files": [each.path.name for each in edit.files],
            "pem": "" if edit.removed else _write_pem(order, edit),
            "typed": {"crl_urls": " ".join(order.crl_urls), "ocsp_urls": " ".join(order.ocsp_urls)},
            "seen": asked.form.get("seen", ""),
            "reason": reason,
            "wrong": wrong,
        }
        return PartnerPage("trust_plan", said, 422 if wrong else 200)


def _read_addition(asked: ConsoleRequest) -> TrustOrder:
    """Return the order of the form: of its file, else of its text area."""
    content = asked.file.read() if asked.file else b""
    if not content.strip():
        content = asked.packet.read() if asked.packet else b""
    crl_urls, ocsp_urls = (tuple(asked.form.get(name, "")[:_URLS].split()) for name in ("crl_urls", "ocsp_urls"))
    return TrustOrder(added=content, crl_urls=crl_urls, ocsp_urls=ocsp_urls)


def _write_pem(order: TrustOrder, edit: TrustEdit) -> str:
    """Return what was given as text, which the page with the plan sends again."""
    if b"-----BEGIN" in order.added:
        return order.added.decode("ascii", "replace")
    return b"".join(each.public_bytes(Encoding.PEM) for each in edit.authorities).decode("ascii")
