"""What systemd passes at the start is taken and used, and it hears when the node serves, reloads, stops and lives."""

import os
import socket

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.systemd import ListenFDs

from hub.config import Listen
from hub.domain.errors import ConfigurationFault
from hub.language.languages import Language
from hub.runtime.service_manager import ManagerNotices, ManagerStart, open_passed_socket


@pytest.fixture
def heard(tmp_path):
    """The socket of a systemd that listens; `take` returns the notices since the last call."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)
        yield line


def take(line):
    found = []
    while True:
        try:
            found.append(line.recv(4096).decode().split("\n"))
        except BlockingIOError:
            return found


def notices(line, clock, *, watchdog=0.0, served=lambda: succeed(None)):
    start = ManagerStart(line.getsockname(), watchdog)
    made = ManagerNotices(start, clock, Language.EN, served, lambda: 7_000_000_999)
    made.startService()
    return made


def test_the_node_is_ready_once_its_port_is_served_and_not_before(heard):
    clock = Clock()
    served: Deferred[None] = Deferred()
    notices(heard, clock, served=lambda: served)
    clock.advance(1)
    assert take(heard) == []
    served.callback(None)
    assert take(heard) == [["READY=1", "STATUS=Serving."]]


def test_a_reload_is_told_with_its_beginning_on_the_monotonic_clock_and_its_end(heard):
    clock = Clock()
    made = notices(heard, clock)
    clock.advance(0)
    take(heard)
    made.begin_reload()
    assert take(heard) == [["RELOADING=1", "MONOTONIC_USEC=7000000"]]
    made.end_reload(ok=True)
    assert take(heard) == [["READY=1", "STATUS=Serving."]]


def test_two_reloads_at_once_have_one_end(heard):
    clock = Clock()
    made = notices(heard, clock)
    clock.advance(0)
    made.begin_reload()
    made.begin_reload()
    take(heard)
    made.end_reload(ok=False)
    [[status]] = take(heard)
    assert status.startswith("STATUS=The last reload was refused")
    made.end_reload(ok=True)
    assert take(heard) == [["READY=1", "STATUS=Serving."]]


def test_the_reactor_pings_twice_a_period_and_goes_on_while_the_node_stops(heard):
    clock = Clock()
    made = notices(heard, clock, watchdog=60.0)
    clock.advance(0)
    take(heard)
    clock.advance(29)
    assert take(heard) == []
    clock.advance(1)
    assert take(heard) == [["WATCHDOG=1"]]
    made.stopService()
    assert take(heard)[0][0] == "STOPPING=1"
    clock.advance(30)
    assert take(heard) == [["WATCHDOG=1"]]


def test_without_systemd_nobody_is_told_and_nothing_fails(tmp_path):
    clock = Clock()
    made = ManagerNotices(ManagerStart(), clock, Language.EN, lambda: succeed(None))
    made.startService()
    clock.advance(0)
    made.stopService()
    assert clock.getDelayedCalls() == []


def test_what_systemd_passed_is_not_passed_on_to_children():
    environment = {"NOTIFY_SOCKET": "@a", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7", "HOME": "/"}
    assert ManagerStart.take(environment, 7) == ManagerStart("@a", 60.0)
    assert environment == {"HOME": "/"}


def test_a_watchdog_of_another_process_is_ignored():
    assert ManagerStart.take({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "8"}, 7) == ManagerStart()


def test_a_watchdog_without_a_number_is_refused():
    with pytest.raises(ConfigurationFault, match="WATCHDOG_USEC"):
        ManagerStart.take({"WATCHDOG_USEC": "soon"}, 7)


@pytest.fixture
def pass_socket(monkeypatch):
    """Pass a socket named `soap` as systemd does, and return its port."""
    held = []

    def give(listening):
        held.append(listening)
        inherited = ListenFDs([os.dup(listening.fileno())], ["soap"])
        monkeypatch.setattr("twisted.internet.endpoints._SystemdParser._sddaemon", inherited)
        return listening.getsockname()[1]

    yield give
    for each in held:
        each.close()


def opened(port, chosen="name=soap"):
    listen = Listen("127.0.0.1", port, 1, endpoint=f"systemd:domain=INET:{chosen}")
    return open_passed_socket(Clock(), "soap", listen)


@pytest.mark.parametrize("chosen", ["name=soap", "index=0"])
def test_a_passed_socket_is_found_by_its_name_and_by_its_number(pass_socket, chosen):
    port = pass_socket(socket.create_server(("127.0.0.1", 0)))
    with opened(port, chosen) as found:
        assert found.getsockname() == ("127.0.0.1", port)
        assert (found.getblocking(), found.get_inheritable()) == (False, False)


def test_a_socket_elsewhere_than_the_configuration_says_is_refused(pass_socket):
    """Else sample certificates, which serve only this machine, could be served to all."""
    port = pass_socket(socket.create_server(("0.0.0.0", 0)))
    with pytest.raises(ConfigurationFault, match=rf"soap\.endpoint: the socket .* is 0\.0\.0\.0:{port}"):
        opened(port)


@pytest.mark.parametrize("chosen", ["name=admin", "index=1"])
def test_a_socket_that_systemd_did_not_pass_is_refused(pass_socket, chosen):
    port = pass_socket(socket.create_server(("127.0.0.1", 0)))
    with pytest.raises(ConfigurationFault, match="has not passed"):
        opened(port, chosen)


def test_a_socket_that_does_not_listen_is_refused(pass_socket):
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    with pytest.raises(ConfigurationFault, match="socket that systemd passed"):
        opened(pass_socket(bound))
