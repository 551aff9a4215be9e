"""Holds one conversation of an adapter from the command line, over the hub's own sender: its TLS, policy and limits.

Knows the reactor and the sender. Does not know what the conversation says, nor how it is shown.
"""

from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from hub.domain.model import Reply, Request

if TYPE_CHECKING:
    from hub.config import Config, Partner

T = TypeVar("T")


def hold_conversation(
    config: "Config",
    partner: "Partner",
    conversation: Generator[Request, Reply, T],
    watch: Callable[[Request, Reply], None] = lambda _request, _reply: None,
) -> T:
    """Return what *conversation* with *partner* returns. *watch* is shown each exchange.

    Runs the reactor, so a process holds one conversation. Raises `Unreachable`, and whatever the conversation raises.
    """
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from hub.delivery.http_transport import Sender, SenderReactor
    from hub.units.live import Live, Setup
    from hub.units.province import Province

    sender = Sender(Live(Setup(Province.of(config, ()))), cast("SenderReactor", reactor), lambda: datetime.now(UTC))
    ended: list[Any] = []

    async def talk() -> T:
        try:
            step = next(conversation)
            while True:
                reply = await sender.send(step, partner)
                watch(step, reply)
                step = conversation.send(reply)
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            await sender.close()

    def begin() -> None:
        _ = Deferred.fromCoroutine(talk()).addBoth(ended.append).addBoth(lambda _: cast("Any", reactor).stop())

    cast("Any", reactor).callWhenRunning(begin)
    cast("Any", reactor).run()
    if not ended:
        raise click.Abort  # by Ctrl-C
    if isinstance(ended[0], Failure):
        ended[0].raiseException()
    return cast("T", ended[0])
