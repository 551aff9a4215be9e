"""How a dear call crosses to another process, and how its answer comes back. Long octets cross as open files.

The process that has read the call sends it (`send_call`); the other one serves it (`serve_call`). Does not know which
call is dear, nor how it is answered.
"""

import errno
import os
import socket
from collections.abc import Callable
from typing import IO, Any

import attrs
from twisted.internet.defer import Deferred

from hub.formats.spool import Drawer, Octets
from hub.intake.dear_calls import AnswerElsewhere, ArrivedCall
from hub.intake.signed_response import SignedResponse
from hub.node.workers.channel import ForwardedAnswer, ForwardedCall
from hub.node.workers.config_pickle import pack_config, unpack_config
from hub.node.workers.remote_journal import Requests
from hub.soap.attachments import Outgoing

#: Octets that go with a file: the number of its request. The first one is zero, which is no address family, so that the
#: socket may bring connections, too.
HEAD = 8


@attrs.frozen(eq=False)
class Files:
    """The files that cross by one socket, whose sender sends each before the message that needs it."""

    _socket: socket.socket
    _sent: dict[int, int] = attrs.field(factory=dict, init=False)  #: descriptors that nobody has taken yet, by number

    def send(self, number: int, file: IO[bytes]) -> None:
        """Send an open *file* for the request *number*. Raises OSError when too many sent before are not taken yet."""
        socket.send_fds(self._socket, [number.to_bytes(HEAD)], [file.fileno()])

    def note(self, rest: bytes, files: list[int]) -> None:
        """Note a file whose head, without its first octet, is *rest*. *files*: none, if no more can be opened."""
        for each in files:
            self._sent[int.from_bytes(rest)] = each

    def take(self, number: int) -> IO[bytes]:
        """Return the file of the request *number*. Raises OSError if no more files can be opened."""
        while number not in self._sent:
            head, files, _flags, _address = socket.recv_fds(self._socket, HEAD, 1)
            if not files:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            self.note(head, files)
        return os.fdopen(self._sent.pop(number), "rb", buffering=0)


def send_call(requests: Requests, files: Files, clock: Any, call: ArrivedCall) -> Deferred[SignedResponse | None]:
    """Send *call* to the process at the other end of *requests* and *files*. Return its answer, kept in its drawer.

    The answer is None if this process is to answer. Fails with `Unready` when the other process ends.
    """
    packed, file = pack_config((call.manner, call.certificate)), call.body.file

    def make(number: int) -> ForwardedCall:
        if file is None:
            return ForwardedCall(number, call.service, packed, call.body.read())
        files.send(number, file)
        return ForwardedCall(number, call.service, packed, None)

    def unpack(found: ForwardedAnswer | None) -> SignedResponse | None:
        if found is None:
            return None
        whole = Octets.of(found.body) if found.body is not None else call.drawer.adopt(files.take(found.number))
        return attrs.evolve(found.answer, body=Outgoing(found.answer.body.content_type, [whole]))

    return requests.ask_while_wanted(make, call.wanted, clock).addCallback(unpack)


async def serve_call(
    call: ForwardedCall, files: Files, drawer: Drawer, answer: AnswerElsewhere, wanted: Callable[[], bool]
) -> ForwardedAnswer | None:
    """Let *answer* answer a call that came by *files*, and return what to send back; None if it does not."""
    try:
        body = Octets.of(call.body) if call.body is not None else drawer.adopt(files.take(call.number))
        manner, certificate = unpack_config(call.packed)
        found = await answer(ArrivedCall(call.service, body, manner, certificate, drawer, wanted))
        if found is None:
            return None
        kept = found.body.whole or drawer.keep(found.body.pieces())
        bare = attrs.evolve(found, body=Outgoing(found.body.content_type, []))
        if kept.file is None:
            return ForwardedAnswer(call.number, bare, kept.read())
        files.send(call.number, kept.file)
        return ForwardedAnswer(call.number, bare, None)
    finally:
        drawer.close()
