"""Small work is done where it is asked for, large work in a thread; and all of it there when it may wait for a device."""

from threading import get_ident
from typing import Any, cast

import pytest

from hub.workroom import THRESHOLD, Workroom


class Reactor:
    """Calls at once whatever a thread hands over."""

    def callFromThread(self, call: Any, *args: Any) -> None:
        call(*args)


@pytest.mark.parametrize(("threshold", "size", "here"), [(None, 1, True), (None, THRESHOLD, False), (0, 0, False)])
def test_where_work_is_done(threshold, size, here):
    room = Workroom(cast("Any", Reactor()))
    if threshold is not None:
        room.threshold = threshold
    room.startService()
    done: list[int] = []
    _ = room.work(size, get_ident).addCallback(done.append)
    room.stopService()
    assert (done == [get_ident()]) is here
    assert len(done) == 1
