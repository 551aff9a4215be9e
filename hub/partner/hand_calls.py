"""What an adapter offers so that a person can call one operation by hand, and so that `check` can try its mapping.

Knows no dialect and sends nothing.
"""

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import attrs

from hub.domain.conversations import Reply, Request
from hub.domain.errors import Mistake
from hub.domain.model import Consignment
from hub.language.phrases import Phrase

#: The values of a call by their paths; octets are the content of a file.
HandValues = Mapping[str, str | bytes]


@attrs.frozen(kw_only=True)
class HandAnswer:
    """What became of a call by hand."""

    status: int  #: of HTTP
    fault: str = ""  #: the codes and the text of a fault; "": none
    trouble: str = ""  #: why there is no readable answer; "": there is one
    verified: bool = False  #: the answer had to be signed, and is
    then: str = ""  #: what the mapping makes of it, as its outcomes say; "": the operation is no step of a delivery


HandCall = Generator[Request, Reply, HandAnswer]


class UnfitCall(ValueError):
    """A call cannot be made: there is no such operation or path, or a value does not fit. `why` says which.

    *misplaced*: it cannot be made whatever the values are, because of a path that there is not, or of a required part
    for which nothing is given.
    """

    def __init__(self, why: Phrase, *, misplaced: bool = False) -> None:
        super().__init__(str(why))
        self.why, self.misplaced = why, misplaced


@runtime_checkable
class HandCaller(Protocol):
    """An adapter whose operations a person can call."""

    def build_by_hand(self, operation: str, values: HandValues, now: datetime) -> Request:
        """Return the request of *operation*, signed as it would be sent, without what a token server gives.

        What the mapping knows without a message (settings, secrets, constants) is given unless *values* do. Raises
        UnfitCall.
        """
        ...

    def call_by_hand(self, operation: str, values: HandValues, now: datetime) -> HandCall:
        """Hold the conversation of one call; the last request is that of *operation*. Raises UnfitCall."""
        ...


@attrs.frozen
class RehearsalFlaw:
    """What is wrong with a request that was built and not sent."""

    mistake: Mistake  #: its path begins with the name of a file
    always: bool  #: of every message; False: it may be the sample's values


@runtime_checkable
class Rehearser(Protocol):
    """An adapter that can build its requests for a message without sending them."""

    def rehearse(self, consignment: Consignment, now: datetime) -> Sequence[RehearsalFlaw]:
        """Build every request of the delivery of *consignment*, and return what is wrong with them."""
        ...
