"""Carries out an order to trust a CA, or one no longer, as `partner_orders` does with partners. No HTTP, no TOML, no SQL."""

from datetime import datetime
from typing import Any

import attrs

from hub.config.partners.partner_edit import CertificateNotFound
from hub.config.trust_edit import TrustEdit, TrustOrder
from hub.domain.errors import ConfigurationFault
from hub.domain.fair_queue import CONSOLE
from hub.journal import partner_changes
from hub.language.phrases import phrase
from hub.monitoring.partner_view import TrustedAuthority, list_trusted_authorities
from hub.operations.partners.partner_orders import FileOrders, OrderRefusal, OrderRefused, apply_edit, list_flaws
from hub.operations.refusals import refuse_as_absent
from hub.runtime.thread_pool import THRESHOLD
from hub.security.certificates import describe_owner, hash_certificate


@attrs.define(eq=False)
class TrustOrders(FileOrders):
    """Carries out orders on trusted CAs."""

    async def see(self) -> str:
        """Return what changes whenever a file changes that says which CAs are trusted."""
        return await self._work(CONSOLE, THRESHOLD, self.managed.see_trust)

    async def list_authorities(self, now: datetime) -> list[TrustedAuthority]:
        """Return the trusted CAs, by the end of their certificates."""
        return await self._work(CONSOLE, THRESHOLD, list_trusted_authorities, self._live.config, now)

    async def judge(self, order: TrustOrder, seen: str, now: datetime) -> TrustEdit:
        """Return the plan of *order*. *seen*: what `see` returned when the giver of the order saw the list.

        Raises `OrderRefused`, and `RequestRefused` without the CA.
        """
        if seen != await self.see():
            why = phrase("The trusted CAs have changed since this page was loaded. Nothing was written.")
            raise OrderRefused(OrderRefusal.STALE, ("", why, None))
        try:
            return await self._work(CONSOLE, THRESHOLD, self.managed.plan_trust, order, now)
        except CertificateNotFound:
            raise refuse_as_absent() from None
        except ConfigurationFault as fault:
            raise OrderRefused(OrderRefusal.UNFIT, *list_flaws(fault.mistakes)) from None

    async def make(self, edit: TrustEdit, *, by: str, reason: str, now: datetime) -> None:
        """Write the change, record it, and have the hub use it. What fails is taken back. Raises `OrderRefused`."""
        if not edit.files:
            return
        named = [(describe_owner(each), hash_certificate(each)) for each in edit.authorities]

        async def record(why: str) -> None:
            words: dict[str, Any] = {"by": by, "reason": why, "now": now}
            if edit.removed:
                ((subject, sha256),) = named
                removal = partner_changes.record_trust_removal
                await self._journal.admit(CONSOLE, removal, subject, sha256, edit.partners, **words)
            else:
                await self._journal.admit(CONSOLE, partner_changes.record_trust_addition, named, **words)

        async def record_change() -> None:
            await record(reason)

        await apply_edit(self._work, self.managed, edit, record_change, record)
