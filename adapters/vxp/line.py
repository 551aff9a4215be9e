"""One conversation with the axis: signs each call with the current time and reads each answer.

Knows POST and headers. Knows no operation.
"""

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

import attrs

from adapters.vxp import answers, signing
from adapters.vxp.answers import VxpAnswer
from hub.domain.conversations import Reply, Request, Unavailable

#: A packet of 40 MB is 54 MB in base64. The list of all agencies has about 20 MB.
_LARGE = 64 << 20

Asked = Generator[Request, Any, VxpAnswer | Unavailable]


@attrs.define
class VxpConnection:
    """The connection to the axis at *url*, where our id is *system_id*."""

    url: str
    system_id: str
    secret: str = attrs.field(repr=False)
    version: str
    now: datetime  #: of the latest reply; at first the start of the conversation

    def call(
        self,
        operation: str,
        fields: Sequence[tuple[str, str]] = (),
        content: bytes = b"{}",
        kind: str = "json",
        *,
        hands_over: bool = False,
    ) -> Generator[Request, Any, Reply]:
        """Call *operation* with the logical headers *fields*. Return the reply unread.

        *hands_over*: the call hands over a message.
        """
        media = f"application/{kind}"
        logical = (
            ("timestamp", signing.write_vxp_timestamp(self.now)),
            ("systemid", self.system_id),
            ("Content-Type", media),
        )
        headers = signing.sign_headers((*logical, *fields), self.secret, self.version)
        url = f"{self.url}/{operation}"
        reply: Reply = yield Request(
            url, content, (("Content-Type", media), *headers), reply_limit=_LARGE, hands_over=hands_over
        )
        self.now = reply.at or self.now
        return reply

    def ask(
        self,
        operation: str,
        fields: Sequence[tuple[str, str]] = (),
        content: bytes = b"{}",
        kind: str = "json",
        *,
        hands_over: bool = False,
    ) -> Asked:
        """Call *operation*. Return the axis's answer, or why there is none."""
        reply = yield from self.call(operation, fields, content, kind, hands_over=hands_over)
        return answers.read_vxp_reply(reply, self.now)
