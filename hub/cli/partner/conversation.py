"""Holds conversations of adapters from the command line, over the hub's own sender: its TLS, policy and limits.

Knows the reactor and the sender. Does not know what the conversations say, nor how they are shown.
"""

from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import click
from twisted.internet.defer import Deferred, gatherResults

from hub.config import Config, Partner
from hub.delivery.http_transport import Sender, SenderReactor
from hub.delivery.mail_connection import MailConnector
from hub.delivery.transports import list_carriers
from hub.domain.conversations import Reply, Request
from hub.runtime.thread_pool import run_at_once
from hub.units.live import Live, Setup
from hub.units.province import Province

T = TypeVar("T")
Talk = tuple[Partner, Generator[Request, Reply, T]]


def _watch_nothing(_request: Request, _reply: Reply) -> None:
    """Watch no exchange."""


def hold_conversation(
    config: Config,
    partner: Partner,
    conversation: Generator[Request, Reply, T],
    watch: Callable[[Request, Reply], None] = _watch_nothing,
) -> T:
    """Return what *conversation* with *partner* returns. *watch* is shown each exchange.

    Raises `Unreachable`, and whatever the conversation raises. See `hold_conversations`.
    """
    (ended,) = hold_conversations(config, [(partner, conversation)], watch)
    if isinstance(ended, Exception):
        raise ended
    return ended


def hold_conversations(
    config: Config, talks: Sequence[Talk[T]], watch: Callable[[Request, Reply], None] = _watch_nothing
) -> list[T | Exception]:
    """Return what each of *talks*, held beside one another, returns or raises, in their order.

    Runs the reactor, so a process may call this once.
    """
    from twisted.internet import reactor  # importing it chooses it: only who runs it may

    def now() -> datetime:
        return datetime.now(UTC)

    live = Live(Setup(Province.of(config, ())))
    carriers = list_carriers(MailConnector(reactor, live, now), run_at_once, now, reactor)
    sender = Sender(live, cast("SenderReactor", reactor), now, carriers)
    ended: list[list[T | Exception]] = []

    async def talk(partner: Partner, conversation: Generator[Request, Reply, T]) -> T | Exception:
        try:
            step = next(conversation)
            while True:
                reply = await sender.send(step, partner)
                watch(step, reply)
                step = conversation.send(reply)
        except StopIteration as end:
            return cast("T", end.value)
        except Exception as error:  # noqa: BLE001 - the others go on
            return error

    async def talk_all() -> None:
        ended.append(await gatherResults([Deferred.fromCoroutine(talk(*each)) for each in talks]))
        await sender.close()

    def begin() -> None:
        _ = Deferred.fromCoroutine(talk_all()).addBoth(lambda _: cast("Any", reactor).stop())

    cast("Any", reactor).callWhenRunning(begin)
    cast("Any", reactor).run()
    if not ended:
        raise click.Abort  # by Ctrl-C
    return ended[0]
