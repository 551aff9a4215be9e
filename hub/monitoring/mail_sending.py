"""Sends one mail through the mail system of a partner with the adapter `mail`, and says what is known of it.

Does not know what the mail says.
"""

from collections.abc import Awaitable, Callable

from hub.config import Partner
from hub.domain.conversations import Reply, Request
from hub.domain.errors import Unready
from hub.journal.sequels.open_work.alerts import AlertState
from hub.runtime.http_client import Unreachable

#: Sends a request to a partner. Raises `Unready` and `Unreachable`.
SendRequest = Callable[[Request, Partner], Awaitable[Reply]]


async def send_mail(send: SendRequest, partner: Partner, mail: bytes, address: str) -> tuple[AlertState, str]:
    """Send *mail* to *address* through *partner*. Return what is known of it, and what the server or the network said."""
    sender, user = partner.settings["from"], partner.settings.get("user", "")
    account = (("User", user), ("Password", partner.secrets.get("password", ""))) if user else ()
    request = Request(partner.url or "", mail, (("Mail-From", sender), ("Rcpt-To", address), *account))
    try:
        reply = await send(request, partner)
    except Unready as unready:
        return AlertState.FAILED, unready.problem.code
    except Unreachable as lost:
        return AlertState.FAILED if lost.unsent else AlertState.UNSURE, str(lost)[:300]
    text = f"{reply.status} {' '.join(reply.body.decode('utf-8', 'replace').split())}"[:300]
    taken = reply.status == 250 and reply.headers.get("stage") == "content"
    return (AlertState.SENT, "") if taken else (AlertState.FAILED, text)
