"""What an adapter says to the hub and hears from it: requests, replies, outcomes, collected calls; no transport."""

import hashlib
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import attrs

from hub.domain.model import Consignment, Fact, Problem
from hub.domain.sanitize import replace_unstorable


@attrs.frozen
class Request:
    """An HTTP request that an adapter asks the sender to make."""

    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"
    reply_limit: int = 4 << 20  #: maximum size of the reply in octets; the answer to a document has a few thousand
    hands_over: bool = False  #: the call hands a message over: without an answer, the partner may have taken it
    #: texts that are not kept with the exchange, besides the secrets of the configuration: tokens and the like
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    #: what of a long message is through, and that this call goes on: written in the journal before the call is made, at
    #: most 4,000 characters in the adapter's own words, and given to the next conversation as `Consignment.progress`
    progress: str | None = None


@attrs.frozen
class Reply:
    """The HTTP reply to a `Request`."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)  #: names in lower case
    at: datetime | None = None  #: time of arrival; None: the time at which the conversation began


@attrs.frozen
class Accepted:
    """The partner accepted the message."""

    detail: str = attrs.field(default="", converter=replace_unstorable)
    #: it was sent again although an earlier attempt may have arrived, and the partner cannot tell the two apart
    twice: bool = False
    #: the partner's id of the message by recipient, where the partner can be asked later what became of it
    ids: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Refused:
    """The partner will never accept the message: a business refusal, not tried again.

    With *about* it concerns single recipients. If the message was sent to several, they are divided, and only those
    that are refused by themselves are dead.
    """

    detail: str = attrs.field(converter=replace_unstorable)
    #: the recipients that the refusal names; empty: it is about one of them, and names none; None: about the message
    about: tuple[str, ...] | None = None


@attrs.frozen
class Unavailable:
    """The partner could not be reached or its reply made no sense. The delivery is tried again."""

    detail: str = attrs.field(converter=replace_unstorable)
    retry_after: float | None = None  #: seconds, if the partner named a time
    ours: bool = False  #: the hub broke, not the partner
    #: the partner rejects the hub's credentials: a person must act, and the hub does not try again quickly
    credentials: bool = False
    unknown: bool = False  #: the partner may have taken the message


@attrs.frozen
class Postponed:
    """The partner is not ready. It is asked again at `until`, and no attempt is counted."""

    until: datetime
    detail: str = ""
    unknown: bool = False  #: the partner may have taken the message, or a part of it
    progress: str | None = None  #: as that of a `Request`: what is through; None: what the last request said


Outcome = Accepted | Refused | Unavailable | Postponed
Conversation = Generator[Request, Reply, Outcome]


#: Maximum octets of a partner's name for a message: an index entry of PostgreSQL holds at most 2,704.
_LONGEST_NAME = 1000


def _call_partner(name: str) -> str:
    """Return a partner's name for a message.

    A name that the journal cannot store or index is replaced by its SHA-256.
    """
    octets = name.encode(errors="surrogatepass")
    return (
        name
        if replace_unstorable(name) == name and len(octets) <= _LONGEST_NAME
        else hashlib.sha256(octets).hexdigest()
    )


@attrs.frozen
class Arrival:
    """A message that a collection found at the partner.

    The hub sends back `Judged` after the commit. Only then may the message be confirmed to the partner.
    """

    content: bytes
    #: the partner's name for the message, the same each time it is found
    message_id: str = attrs.field(converter=_call_partner)
    service: str = "documents"


@attrs.frozen
class Ignored:
    """A statement of an enclosure that is not counted."""

    attachment: str  #: name of the attachment
    problem: Problem


@attrs.frozen
class Enclosed:
    """The facts that the enclosures of one packet contain."""

    facts: tuple[Fact, ...] = ()
    ignored: tuple[Ignored, ...] = ()


@attrs.frozen
class Judged:
    """The result of judging an arrival."""

    accepted: bool
    problems: tuple[Problem, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether the hub has the document: accepted now, or earlier under the same id but with other octets."""
        return self.accepted or any(problem.code == "id-reused" for problem in self.problems)


@attrs.frozen
class Collected:
    """The end of a collection. The next one begins with *cursor*."""

    cursor: str = ""
    more: bool = False  #: the partner has more to collect, at once
    unusable: tuple[str, ...] = ()  #: for the operator: each item received that is no message, with what it was and why


@attrs.frozen
class LaterFailure:
    """A message that the partner had accepted, and that the recipient's system could not take."""

    id: str  #: the partner's id of the message
    recipient: str  #: the recipient, as the partner writes it
    reason: str = attrs.field(converter=replace_unstorable)


@attrs.frozen
class LaterFailures:
    """What a partner tells of messages that it had accepted. The hub sends back None after the commit."""

    failures: tuple[LaterFailure, ...]


#: Yields a `Request` and is sent its `Reply`, yields an `Arrival` and is sent its `Judged`, or yields `LaterFailures`.
Collection = Generator[Request | Arrival | LaterFailures, Any, Collected | Unavailable]


@attrs.frozen
class Query:
    """A question to a partner that answers at once: one operation of `/soap/lookups` with its fields."""

    operation: str
    fields: Mapping[str, str]
    id: str  #: the hub's id of the question, the same on every repetition


@attrs.frozen
class Answer:
    """The partner's answer as a sequence of fields. A repeated name is a list."""

    fields: tuple[tuple[str, str], ...]


Inquest = Generator[Request, Reply, Answer | Refused | Unavailable]

#: Returns a list of agencies in the format that `hub.units.national_agencies` reads.
Listing = Generator[Request, Reply, bytes | Refused | Unavailable]


class Adapter(Protocol):
    """The dialect of one partner. Pure: it yields requests, is sent replies and returns an outcome."""

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Hold the conversation that delivers *consignment* to the partner."""
        ...


@runtime_checkable
class Collector(Protocol):
    """An adapter of a partner that does not call the hub. The hub collects the partner's messages."""

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Hold the conversation that collects the messages waiting at the partner.

        It starts at *cursor* (empty: at the beginning).
        """
        ...


@runtime_checkable
class Answerer(Protocol):
    """An adapter of a partner that answers questions at once."""

    def ask(self, query: Query, now: datetime) -> Inquest:
        """Hold the conversation that gets the answer to *query*."""
        ...


@runtime_checkable
class Lister(Protocol):
    """An adapter of a partner that knows the agencies of the country. `lienthong units fetch` uses it."""

    def list_units(self, now: datetime) -> Listing:
        """Hold the conversation that gets the list."""
        ...
