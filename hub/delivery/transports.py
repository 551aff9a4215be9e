"""How partners are called that the configuration names: the adapter of each, and who carries what is not HTTP."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import adapters
from hub.config import Config
from hub.delivery.file_transport import Drop
from hub.delivery.http_transport import Carrier
from hub.delivery.imap_transport import Mailboxes
from hub.delivery.mail_connection import Post
from hub.delivery.smtp_transport import Mailer
from hub.domain.model import Adapter
from hub.partner.adapter_settings import Terms
from hub.runtime.thread_pool import Work


def carriers(post: Post, work: Work, now: Callable[[], datetime], reactor: Any) -> dict[str, Carrier]:
    """Return who carries what is not HTTP, by scheme."""
    mailer, mailboxes = Mailer(post, now), Mailboxes(post, now, reactor)
    return {
        "smtp": mailer.carry,
        "smtps": mailer.carry,
        "imap": mailboxes.carry,
        "imaps": mailboxes.carry,
        "file": Drop(work).carry,
    }


def adapters_of(config: Config) -> dict[str, Adapter]:
    """Return the adapter of each partner that is called."""
    return {
        partner.code: adapters.adapter(
            partner.adapter,
            Terms(
                partner=partner.code,
                url=partner.url or "",
                identity=config.identity,
                certificates=partner.certificates,
                anchors=config.anchors,
                max_age=partner.policy.max_age,
                skew=partner.policy.clock_skew,
                settings=partner.settings,
                secrets=partner.secrets,
            ),
        )
        for partner in config.partners.values()
        if partner.called
    }
