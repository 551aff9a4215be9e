"""`[links]`: how often, how long, and which hosts beside the partners; every mistake has its place."""

from datetime import timedelta

import pytest

from hub.config.table import ConfigTable
from hub.config.upkeep.link_settings import LinkSettings, read_link_settings
from hub.domain.errors import Mistake
from hub.services.links.probes import Link

GATE = {"at": "tcp://10.0.0.1:22", "units": ["H55.13"]}


def reading(said):
    mistakes: list[Mistake] = []
    found = read_link_settings(ConfigTable(said, "hub.toml", mistakes, path=("links",)), frozenset({"vpub"}))
    return found, {mistake.path: mistake.wrong for mistake in mistakes}


def test_without_it_nothing_is_probed():
    assert reading({}) == (None, {})


def test_what_it_says():
    found, mistakes = reading({"every": "30s", "hosts": {"gate": GATE, "six": {"at": "tls://[fd00::1]:443"}}})
    gate = Link(name="gate", host="10.0.0.1", port=22, tls=False, units=("H55.13",), partner=False)
    six = Link(name="six", host="fd00::1", port=443, tls=True, partner=False)
    assert mistakes == {}
    assert found == LinkSettings(every=timedelta(seconds=30), timeout=timedelta(seconds=5), hosts=(gate, six))
    assert six.place == "[fd00::1]:443"


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"every": "often"}, "hub.toml: links.every"),
        ({"every": "2h"}, "hub.toml: links.every"),
        ({"every": "2s", "timeout": "3s"}, "hub.toml: links.timeout"),
        ({"every": "30s", "hosts": {"gate": {}}}, "hub.toml: links.hosts.gate.at"),
        ({"every": "30s", "hosts": {"gate": GATE | {"at": "udp://10.0.0.1:22"}}}, "hub.toml: links.hosts.gate.at"),
        ({"every": "30s", "hosts": {"gate": GATE | {"at": "tcp://10.0.0.1:0"}}}, "hub.toml: links.hosts.gate.at"),
        ({"every": "30s", "hosts": {"gate": GATE | {"user": "x"}}}, "hub.toml: links.hosts.gate.user"),
        ({"every": "30s", "hosts": {"vpub": GATE}}, "hub.toml: links.hosts.vpub: "),
        ({"every": "30s", "hosts": {"a b": GATE}}, "hub.toml: links.hosts.a b: "),
        ({"every": "30s", "often": "1"}, "hub.toml: links.often"),
    ],
)
def test_a_mistake_has_its_place(said, place):
    _, mistakes = reading(said)
    assert [found.rstrip(": ") for found in mistakes] == [place.rstrip(": ")]
