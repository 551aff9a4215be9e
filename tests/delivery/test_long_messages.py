"""A message that goes in many calls is gone on with where it stood, whatever ended the conversation: on both databases."""

from typing import Any, cast

import pytest

from hub.domain.conversations import Accepted, Request
from hub.domain.errors import Unready
from hub.domain.model import DeliveryState
from hub.journal.queue import claims, deliveries
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from tests.outgoing import Desk

PARTS = 5


class InParts:
    """An adapter that hands a message over in five calls, and says before each how many are through."""

    keeps_progress = True

    def deliver(self, consignment, now):
        for part in range(int(consignment.progress or 0), PARTS):
            yield Request("https://partner/", b"%d" % part, hands_over=True, progress=str(part))
        return Accepted(twice=consignment.unsure is not None)


def serve(engine, before=None, journal=None):
    """Return the desk of a hub that has just started, with a partner that answers only when it is told to."""
    desk = Desk(engine) if before is None else Desk(engine, clock=before.clock)
    desk.adapters["vpub"], desk.up["vpub"] = InParts(), "hangs"
    return desk.start(journal=journal)


def parts_of(desk):
    return [int(body) for _, body in desk.got]


def doubt(engine, message):
    with transactions.read_transaction(engine) as tx:
        (made,) = deliveries.read_message_deliveries(tx, message)
    return made.state, made.twice


@pytest.mark.parametrize("through", range(1, PARTS))
def test_a_node_that_is_killed_repeats_at_most_the_part_that_was_going(engine, through):
    killed = serve(engine)
    message = killed.take(1, "H55.01")
    killed.pass_time(1)
    for _ in range(through):
        killed.answer()
    assert [int(each.body) for each in killed.waiting] == [through], "this one nobody has heard of"
    again = serve(engine, before=killed)  # the other is not stopped: it is gone
    again.up["vpub"] = True
    again.pass_time(60)
    assert parts_of(killed) + parts_of(again) == list(range(PARTS))
    assert doubt(engine, message) == (DeliveryState.DELIVERED, True), "the part that was going may be there twice"


def test_a_part_whose_follower_could_not_be_noted_is_the_only_one_repeated(engine):
    class Away(InlineDatabase):
        """A journal that is away when the third part is to be noted."""

        def write(self, work, *words, **how):  # type: ignore[override]
            if work is claims.note_progress and words[1] == "3" and not away:
                away.append(1)
                raise Unready("journal-unavailable", "it is away")
            return super().write(work, *words, **how)

    away: list[int] = []
    desk = serve(engine, journal=Away(engine))
    desk.up["vpub"] = True
    message = desk.take(1, "H55.01")
    desk.pass_time(120)
    assert parts_of(desk) == [0, 1, 2, 2, 3, 4]
    assert doubt(engine, message) == (DeliveryState.DELIVERED, True)


def test_what_is_sent_again_by_a_person_begins_from_the_beginning(engine):
    desk = serve(engine)
    desk.up["vpub"] = True
    message = desk.take(1, "H55.01")
    desk.pass_time(10)
    with transactions.write_transaction(engine) as tx:
        found = deliveries.read_message_deliveries(tx, message)
        asked = [(each, DeliveryState.WAITING) for each in found]
        deliveries.revive_deliveries(tx, asked, reason="mất", by="an", now=desk.now())
    desk.service.wake()
    desk.pass_time(10)
    assert parts_of(desk) == [*range(PARTS), *range(PARTS)]


def test_what_is_kept_of_progress_is_bounded(engine):
    with pytest.raises(ValueError, match="4001 characters"), transactions.write_transaction(engine) as tx:
        claims.note_progress(tx, cast("Any", None), "x" * 4001)
