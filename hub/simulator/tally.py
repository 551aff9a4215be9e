"""Counts the calls and the sent documents of one simulation. Pure; its size does not grow with them."""

from collections import Counter
from enum import StrEnum

import attrs

from hub.simulator.partner_site import SimulatedCall


class SentOutcome(StrEnum):
    """What became of one document that the simulated partner sent."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@attrs.define
class SimulationTally:
    """The numbers of the summary."""

    calls: int = 0
    again: int = 0  #: calls with a message that came before
    answers: Counter[str] = attrs.field(factory=Counter)  #: by kind of answer; `fault`: the call did not pass a check
    failed: Counter[str] = attrs.field(factory=Counter)  #: calls that did not pass a check, by check
    sent: Counter[str] = attrs.field(factory=Counter)  #: documents sent, by outcome

    def count_call(self, call: SimulatedCall) -> None:
        """Count one call of the hub."""
        self.calls += 1
        self.again += call.again
        self.answers["fault" if call.answer is None else str(call.answer.kind)] += 1
        if call.received is not None and call.received.failed is not None:
            self.failed[str(call.received.failed)] += 1

    def count_sent(self, outcome: SentOutcome) -> None:
        """Count one document that was sent to the hub."""
        self.sent[str(outcome)] += 1

    @property
    def passed(self) -> bool:
        """Whether each call of the hub passed all checks."""
        return not self.failed
