"""A full collection of garbage stops the reactor's thread, so it looks only at what came after the start."""

import gc
import weakref
from types import SimpleNamespace

from twisted.internet import reactor

import tap
from hub.node import hub
from hub.runtime import garbage


class Node:
    def __init__(self):
        self.me = self


def test_what_was_there_at_the_start_is_not_looked_at_again_and_later_garbage_is_found():
    lasting, searched = [Node() for _ in range(100)], gc.get_objects
    assert any(each is lasting for each in searched())
    garbage.exempt_lasting_objects()
    assert not any(each is lasting for each in searched())
    later = weakref.ref(Node())
    gc.collect()
    assert later() is None


def test_the_hub_exempts_all_that_it_has_loaded(monkeypatch):
    steps = []

    def load(*_):
        steps.append("loaded")
        return SimpleNamespace()

    monkeypatch.setattr(reactor, "seconds", reactor.seconds)
    monkeypatch.setattr(hub, "make_hub", load)
    monkeypatch.setattr(garbage, "exempt_lasting_objects", lambda: steps.append("exempt"))
    options = tap.Options()
    options["config"] = "hub.toml"
    tap.makeService(options)
    assert steps == ["loaded", "exempt"]
