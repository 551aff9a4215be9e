"""A partner that refuses a packet for one of its recipients: that one alone fails, and the others have it exactly once."""

import pytest

from hub.domain.conversations import Accepted, Refused, Request, Unavailable
from hub.domain.lifecycle import divide_recipients
from hub.domain.model import DeliveryState

UNKNOWN = "G99"


class Particular:
    """An adapter of a hub that refuses a packet whole when it does not know a recipient; it may name it."""

    def __init__(self, *, names=True):
        self.names, self.took, self.asked = names, [], 0

    def deliver(self, consignment, now):
        self.asked += 1
        reply = yield Request("https://partner/", consignment.content)
        if reply.status != 200:
            return Unavailable("down")
        if UNKNOWN in consignment.recipients:
            return Refused("18: no such receiver", (UNKNOWN,) if self.names else ())
        self.took += consignment.recipients
        return Accepted()


@pytest.mark.parametrize("names", [True, False])
def test_one_unknown_code_harms_nobody_else(desk, names):
    desk.adapters["vpcp"] = hub = Particular(names=names)
    desk.start()
    others = [f"G{number}" for number in range(10, 27)]
    message = desk.take(1, *others, UNKNOWN)
    desk.pass_time(5)
    states = {code: state for code, (state, _) in desk.states(message).items()}
    assert states.pop(UNKNOWN) is DeliveryState.DEAD
    assert set(states.values()) == {DeliveryState.DELIVERED}
    assert sorted(hub.took) == others
    assert hub.asked == 3 if names else hub.asked <= 11, "of 18 recipients, 5 halvings"


def test_a_hub_that_fails_meanwhile_is_asked_again_by_the_same_parts(desk):
    desk.adapters["vpcp"] = hub = Particular()
    desk.start()
    desk.up["vpcp"] = False
    message = desk.take(1, "G10", "G11", UNKNOWN)
    desk.up["vpcp"] = True
    desk.pass_time(20)
    assert sorted(hub.took) == ["G10", "G11"]
    assert desk.states(message)[UNKNOWN][0] is DeliveryState.DEAD


@pytest.mark.parametrize(
    ("recipients", "about", "groups"),
    [
        (("a", "b", "c"), ("b",), (("a", "c"), ("b",))),
        (("a", "b", "c"), ("a", "b"), (("c",), ("a",), ("b",))),
        (("a", "b", "c"), (), (("a", "b"), ("c",))),
        (("a", "b"), ("a", "b"), (("a",), ("b",))),
    ],
)
def test_recipients_are_divided_by_name_or_else_halved(recipients, about, groups):
    assert divide_recipients(recipients, about) == groups
