"""What is to be in force is read and put in force by one at a time: what was read last is in force in the end."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, DeferredLock

from hub.journal import unit_registry
from hub.node import check
from hub.node.hub import Hub
from hub.runtime.pidfile import ReloadVerdict
from hub.units.province import Province

NEW = date(2026, 11, 25)


class SlowJournal:
    """A journal whose threads end when the test says so."""

    def __init__(self) -> None:
        self.running: list[Any] = []

    def read(self, step: Any, *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        found = step(None, *args)  # it is read now, and told later
        self.running.append(lambda: done.callback(found))
        return done


@attrs.frozen
class InForce:
    """What stands for a `Setup`."""

    province: object = None


@pytest.fixture
def node(monkeypatch):
    """A hub that reads the text of its `file`, and the parts that a change of what is in force needs."""
    made: Any = Hub.__new__(Hub)
    made.file, made.journal, made.taken = "old", SlowJournal(), []
    made._changing = DeferredLock()
    made._database = SimpleNamespace(journal=made.journal)
    made._live = SimpleNamespace(config=SimpleNamespace(path=None), setup=InForce())
    made._wall, made._pools = lambda: 0.0, []
    made._notices = SimpleNamespace(begin_reload=lambda: None, end_reload=lambda **_said: None)
    made._warn_pending_restart = lambda: None
    made._take_up = lambda found: made.taken.append(found) or ReloadVerdict(ok=True)
    monkeypatch.setattr(check, "check_config", lambda _path, _now: made.file)
    monkeypatch.setattr(unit_registry, "read_unit_index", lambda _tx, today: str(today))
    monkeypatch.setattr(Province, "of", lambda _config, units: made.taken.append(units))
    return made


def test_of_two_reloads_the_one_that_was_asked_for_last_stays_in_force(node):
    first = node.reload_configuration()
    node.file = "new"
    second = node.reload_configuration()
    while node.journal.running:
        node.journal.running.pop()()  # the thread that began last ends first
    assert node.taken == ["old", "new"]
    assert first.result.ok
    assert second.result.ok


def test_a_day_that_begins_during_a_reload_stays_begun(node):
    node.reload_configuration()
    begun = Deferred.fromCoroutine(node._turn_over(NEW))
    while node.journal.running:
        node.journal.running.pop()()
    assert node.taken == ["old", "2026-11-25"]
    assert begun.called
