"""A free port is one that is still free when the hub listens on it."""

import socket

import pytest

from hub.node.init_province import choose_ports
from hub.runtime import free_ports
from lienthong_demo.run import ports as for_partners

#: The sample partners know nothing of the hub, so one of them has the same few lines again.
BOTH = pytest.mark.parametrize("ports", [free_ports, for_partners], ids=["hub", "partners"])


@BOTH
def test_ports_are_never_two_alike_and_never_of_those_for_connections_going_out(ports):
    chosen = ports.find_free_ports(500)
    assert len(set(chosen)) == 500
    assert all(1024 <= port < 32_768 for port in chosen)


@BOTH
def test_a_port_that_somebody_listens_on_is_not_chosen(monkeypatch, ports):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        taken = listening.getsockname()[1]
        monkeypatch.setattr(ports, "_NEVER_GOING_OUT", (taken, *range(20_000, 20_100)))
        assert taken not in ports.find_free_ports(50)


@BOTH
def test_an_address_of_another_machine_is_told(ports):
    with pytest.raises(OSError, match="assign requested address"):
        ports.find_free_ports(1, "192.0.2.1")


def test_the_ports_asked_for_are_kept_and_the_others_differ_from_them():
    chosen = choose_ports(20_001, 0)
    assert chosen.soap == 20_001
    assert len({chosen.soap, chosen.admin, chosen.vpub, chosen.vpcp}) == 4
