"""The channel between the node's own process and a worker process: pickled messages over an inherited socket pair.

Only the two processes hold the sockets, so nobody else can send a message or read a key. Messages of one turn of the
reactor are written together. What a caller has asked for or gets is pickled by itself: where it cannot be read, that
caller hears it, and no other. Knows the form of the messages, not what they cause.
"""

import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import attrs
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from hub.domain.conversations import Query
from hub.domain.measures import Increments
from hub.domain.model import Detail
from hub.domain.sightings import Sighting, SightingKey
from hub.intake.signed_response import SignedResponse
from hub.store.journal_file import JournalInodes
from hub.units.unit_index import UnitIndex

#: File descriptors of a worker process: the channel, the socket that brings connections or files, and the node's counts.
CHANNEL, CONNECTIONS, COUNTS = 3, 4, 5
#: Name of the background worker where other workers have a number.
BACKGROUND = "background"
_HEAD = struct.Struct(">Q")


def pack(value: object) -> bytes:
    """Return *value* pickled. Raises whatever the pickling raises."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def unpack(octets: bytes | memoryview) -> Any:
    """Return the value that `pack` has written. Raises whatever the pickling raises."""
    return pickle.loads(octets)  # noqa: S301 - from a process of our own


class RoutesAt(NamedTuple):
    """Stands for the routes of one version of the province, which are too large to be sent with a message."""

    version: int


class WrittenStep(NamedTuple):
    """Worker: run this writing step in the journal."""

    number: int  #: of the request, for its result
    owner: str | None  #: name of the owner for `Journal.admit`; None for `Journal.write`
    packed: bytes  #: pickled: the step, its arguments and its keyword arguments
    busy: bool = False  #: whether the worker has work left that leads to further steps


class ReportStep(NamedTuple):
    """Worker: run this reading step in a report process."""

    number: int
    reader: str  #: name of the reader
    longest: float | None
    packed: bytes  #: as of `WrittenStep`


class Unwanted(NamedTuple):
    """No caller waits for the report or the call with this number any more."""

    number: int


class ForwardedCall(NamedTuple):
    """Answer this call. Its `Result` is a `ForwardedAnswer`, or None: the process that has read it is to answer."""

    number: int  #: of the request, for its result
    service: str
    packed: bytes  #: by `config_pickle`: the manner of the call, and the certificate of its connection
    body: bytes | None  #: None: the body is in the file that was sent before (`forwarding.Files`)


class ForwardedAnswer(NamedTuple):
    """The answer to a forwarded call."""

    number: int  #: of the call
    answer: SignedResponse  #: without its octets
    body: bytes | None  #: its octets; None: they are in the file that was sent before


class PartnerQuestion(NamedTuple):
    """Worker: ask a partner this question."""

    number: int
    query: Query
    partner: str
    said: Mapping[str, object]


class Result(NamedTuple):
    """The result of a request."""

    number: int
    packed: bytes  #: pickled: what was found


class RequestFailure(NamedTuple):
    """The exception of a request."""

    number: int
    packed: bytes  #: pickled: a `PickledError`


class WorkerStart(NamedTuple):
    """Node: the first message, with everything that a worker needs. Answered by `InForce`."""

    node: str  #: name of the node
    worker: int  #: number of the worker, from 0
    processes: int  #: number of worker processes
    version: int  #: version of the routes
    province: bytes  #: by `config_pickle`
    inodes: JournalInodes | None  #: which files of SQLite the node's process has open
    background: bool = False  #: whether it gets calls (`ForwardedCall`) instead of connections


class NewProvince(NamedTuple):
    """Node: a reload; this province is in force now. Answered by `InForce`."""

    version: int
    province: bytes  #: by `config_pickle`


class NewUnits(NamedTuple):
    """Node: a new day; these are the units now. Answered by `InForce`."""

    version: int
    units: UnitIndex


class NewRevocations(NamedTuple):
    """Node: everything that is known about revocations now."""

    heard: bytes  #: a list of `RevocationAnswer`, by `config_pickle`


class InForce(NamedTuple):
    """Worker: the province with this version of the routes is in force."""

    version: int


class Ping(NamedTuple):
    """Node: answer at once, by a `Pong`."""


class Pong(NamedTuple):
    """Worker: the answer to a `Ping`."""

    short: Detail = ""  #: which resources it lacks; empty: none


class CountedWork(NamedTuple):
    """Worker: what it has counted since it said so last (`hub.domain.measures`)."""

    increments: Increments


class SeenKeys(NamedTuple):
    """Worker: what it has seen of partners' keys since it said so last (`hub.domain.sightings`)."""

    found: Mapping[SightingKey, Sighting]


class Stop(NamedTuple):
    """Node: begin no further call, finish those in progress, and end."""


@attrs.define(eq=False)
class Channel(Protocol):
    """One end of the channel."""

    _take: Callable[[Any], None]  #: called with each message
    _ended: Callable[[], None]  #: called when the other process has closed its end
    _received: bytearray = attrs.field(factory=bytearray, init=False)

    def send(self, message: tuple[Any, ...]) -> None:
        """Send *message*. Raises whatever its pickling raises; nothing is sent then."""
        content = pack(message)
        transport = cast("Any", self.transport)
        transport.writeSequence([_HEAD.pack(len(content)), content])

    def dataReceived(self, data: bytes) -> None:
        """Take each message that has arrived whole."""
        self._received += data
        at, view = 0, self._received
        while len(view) - at >= _HEAD.size:
            (size,) = _HEAD.unpack_from(view, at)
            end = at + _HEAD.size + size
            if end > len(view):
                break
            message = unpack(memoryview(view)[at + _HEAD.size : end])
            at = end
            self._take(message)
        del self._received[:at]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other process has closed its end, or has ended."""
        self._ended()
