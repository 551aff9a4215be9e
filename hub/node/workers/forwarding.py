"""How a dear call crosses to another process, and how its answer comes back. Long octets cross as open files.

The process that has read the call sends it (`send_call`); the other one serves it (`serve_call`). Does not know which
call is dear, nor how it is answered.
"""

import errno
import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Any

import attrs
from twisted.internet.defer import Deferred

from hub.domain.errors import Unready
from hub.formats.spool import Drawer, Octets
from hub.intake.dear_calls import AnswerElsewhere, ArrivedCall
from hub.intake.signed_response import SignedResponse
from hub.language.phrases import phrase
from hub.language.system_errors import name_system_error
from hub.node.workers.channel import ForwardedAnswer, ForwardedCall
from hub.node.workers.config_pickle import pack_config, unpack_config
from hub.node.workers.remote_journal import Requests
from hub.soap.attachments import Outgoing

#: Octets that go with a file: the number of its request. The first one is zero, which is no address family, so that the
#: socket may bring connections, too.
HEAD = 8


@attrs.frozen(eq=False)
class Files:
    """The files that cross by one socket, whose sender sends each before the message that needs it, in the same order."""

    _socket: socket.socket
    #: descriptors that nobody has taken yet, by number, in order; None: no more files could be opened
    _sent: dict[int, int | None] = attrs.field(factory=dict, init=False)

    def send(self, number: int, file: IO[bytes]) -> None:
        """Send an open *file* for the request *number*. Raises OSError when too many sent before are not taken yet."""
        socket.send_fds(self._socket, [number.to_bytes(HEAD)], [file.fileno()])

    def note(self, head: bytes, files: list[int]) -> None:
        """Note a file that came with *head*, the number of its request. *files*: none, if no more can be opened."""
        self._sent[int.from_bytes(head)] = files[0] if files else None

    def take(self, number: int) -> IO[bytes]:
        """Return the file of the request *number*, and close those that were sent before it: nobody takes them any more.

        Raises OSError if it did not come, or no more files can be opened.
        """
        while True:
            for each in list(self._sent):
                file = self._sent.pop(each)
                if each == number:
                    if file is None:
                        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                    return os.fdopen(file, "rb", buffering=0)
                if file is not None:
                    os.close(file)
            head, files, _flags, _address = socket.recv_fds(self._socket, HEAD, 1)
            if not head:
                raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
            self.note(head, files)


def send_call(requests: Requests, files: Files, clock: Any, call: ArrivedCall) -> Deferred[SignedResponse | None]:
    """Send *call* to the process at the other end of *requests* and *files*. Return its answer, kept in its drawer.

    The answer is None if this process is to answer. Fails with `Unready` when the other process ends, or when the body or
    the answer cannot cross.
    """
    packed, file = pack_config((call.manner, call.certificate)), call.body.file

    def make(number: int) -> ForwardedCall:
        if file is None:
            return ForwardedCall(number, call.service, packed, call.body.read())
        with _guard_crossing():
            files.send(number, file)
        return ForwardedCall(number, call.service, packed, None)

    def unpack(found: ForwardedAnswer | None) -> SignedResponse | None:
        if found is None:
            return None
        with _guard_crossing():
            whole = Octets.of(found.body) if found.body is not None else call.drawer.adopt(files.take(found.number))
        return attrs.evolve(found.answer, body=Outgoing(found.answer.body.content_type, [whole]))

    return requests.ask_while_wanted(make, call.wanted, clock).addCallback(unpack)


async def serve_call(
    call: ForwardedCall, files: Files, drawer: Drawer, answer: AnswerElsewhere, wanted: Callable[[], bool]
) -> ForwardedAnswer | None:
    """Let *answer* answer a call that came by *files*, and return what to send back; None if it does not.

    Raises `Unready` when the body or the answer cannot cross.
    """
    try:
        with _guard_crossing():
            body = Octets.of(call.body) if call.body is not None else drawer.adopt(files.take(call.number))
        manner, certificate = unpack_config(call.packed)
        found = await answer(ArrivedCall(call.service, body, manner, certificate, drawer, wanted))
        if found is None:
            return None
        kept = found.body.whole or drawer.keep(found.body.pieces())
        bare = attrs.evolve(found, body=Outgoing(found.body.content_type, []))
        if kept.file is None:
            return ForwardedAnswer(call.number, bare, kept.read())
        with _guard_crossing():
            files.send(call.number, kept.file)
        return ForwardedAnswer(call.number, bare, None)
    finally:
        drawer.close()


@contextmanager
def _guard_crossing() -> Generator[None]:
    """Refuse the call if a file cannot cross. What it did stays; the same call gets its answer."""
    try:
        yield
    except OSError as error:
        reason = name_system_error(error)
        raise Unready(
            "hub-busy", phrase("a file did not reach the other process: {reason}", reason=reason), 1
        ) from error
