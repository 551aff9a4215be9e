"""The worker processes of a node: what crosses to them and back, who gets a connection, and what becomes of one that ends."""

import os
import pickle
import socket
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import succeed
from twisted.python.failure import Failure

from hub import config
from hub.config.revocation_cache import RevocationAnswer, RevocationQuestion
from hub.domain.errors import CallRefused, Rejected, Unready
from hub.domain.fair_queue import HUB, Owner
from hub.domain.model import Problem, Unit
from hub.domain.node_counts import Counted
from hub.formats.spool import CARRIED, Drawer, Octets
from hub.node.workers import pool as pools
from hub.node.workers.channel import Channel, InForce, Ping, Pong, Stop
from hub.node.workers.config_pickle import pack_config, unpack_config
from hub.node.workers.remote_journal import KEPT
from hub.security.anchors import Anchors, Purpose
from hub.security.crl_ocsp import OcspAnswer, RevocationList, RevocationStatus
from hub.store.report_pool import ReportReader
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.units.routing import Routes
from hub.units.unit_index import UnitIndex
from tests import homes, pki, remote
from tests.waiting import until

NOW = pki.NOW
ROUTES = Routes.of([Unit("H55", "H55")], [], province="H55", upstream="")
REACHED: list[Any] = []  #: what the last step was given


def note(_tx, *args):
    REACHED[:] = args
    return len(args)


def refuse(_tx):
    raise Rejected(Problem("replayed", "m1"))


def live_with(routes=ROUTES):
    return cast(
        "Any", Live(Setup(cast("Province", SimpleNamespace(routes=routes, config=SimpleNamespace(partners={})))))
    )


@attrs.define
class Books:
    """A journal that runs each step at once, in no transaction."""

    owners: list[str] = attrs.field(factory=list)

    def admit(self, owner, step, *args, **kwargs):
        self.owners.append(owner.name)
        return succeed(None).addCallback(lambda _: step(None, *args, **kwargs))

    def write(self, step, *args, **kwargs):
        return self.admit(HUB, step, *args, **kwargs)

    def read_report(self, reader, step, *args, **kwargs):
        return self.admit(reader, step, *args, **kwargs)


def failure(done):
    """Return what *done* failed with."""
    found: list[Any] = []
    _ = done.addErrback(lambda failed: found.append(failed.value))
    return found[0]


def test_a_step_runs_in_the_node_with_the_nodes_own_routes_and_the_callers_name():
    books, live = Books(), live_with()
    journal, _ = remote.connect(live, books)
    assert journal.admit(Owner("vpub"), note, ROUTES, "x").result == 2
    assert REACHED[0] is ROUTES
    assert journal.write(note).result == 0
    assert journal.read_report(ReportReader("sotttt"), note, 1).result == 1
    assert books.owners == ["vpub", "", "sotttt"]


def test_a_refusal_comes_back_as_it_was_raised():
    journal, _ = remote.connect(live_with(), Books())
    refused = failure(journal.admit(Owner("vpub"), refuse))
    assert isinstance(refused, Rejected)
    assert refused.problems == (Problem("replayed", "m1"),)


def answer_refused(_tx):
    return [CallRefused(Problem("replayed", "m1")), Unready("hub-busy", "x", 7)]


def test_a_refusal_may_also_be_a_result():
    journal, _ = remote.connect(live_with(), Books())
    refused, unready = cast("Any", journal.write(answer_refused)).result
    assert (type(refused), refused.problems, str(refused)) == (
        CallRefused,
        (Problem("replayed", "m1"),),
        "replayed: m1",
    )
    assert (unready.problem.code, unready.retry_after) == ("hub-busy", 7)


class Unreadable:
    """Can be pickled, but not read again."""

    def __reduce__(self):
        return Unreadable, ("too", "many")


def answer_unreadable(_tx):
    return Unreadable()


def test_what_cannot_be_read_again_fails_for_its_caller_alone():
    journal, _ = remote.connect(live_with(), Books())
    assert isinstance(failure(journal.write(answer_unreadable)), TypeError)
    assert isinstance(failure(journal.write(note, Unreadable())), TypeError)
    assert journal.write(note).result == 0


def test_what_cannot_cross_fails_where_it_was_asked():
    journal, _ = remote.connect(live_with(), Books())
    assert isinstance(failure(journal.admit(Owner("vpub"), note, lambda: None)), pickle.PicklingError | AttributeError)
    assert journal.admit(Owner("vpub"), note).result == 0


def test_a_call_is_judged_by_the_routes_of_its_arrival_while_they_are_kept():
    live = live_with()
    journal, _ = remote.connect(live, Books())
    wire = cast("Any", journal._requests)
    for version in range(2, KEPT + 2):
        assert journal.admit(Owner("vpub"), note, ROUTES).result == 1
        live.setup = live_with(Routes.of([], [], province="H55", upstream="")).setup
        wire.pool._note_routes()
        if version < KEPT:
            journal.set_routes(live.province.routes, version)
    assert failure(journal.admit(Owner("vpub"), note, ROUTES)).problem.code == "hub-busy"  # the node has forgotten them
    unknown = Routes.of([], [], province="H55", upstream="")
    assert failure(journal.admit(Owner("vpub"), note, unknown)).problem.code == "hub-busy"  # so has the worker


def test_a_small_content_crosses_and_of_a_large_one_only_its_length():
    drawer = Drawer()
    file = drawer.file()
    file.write(b"x" * (CARRIED + 1))
    large = Octets.of(file)
    piece = pickle.loads(pickle.dumps(large.cut(1, CARRIED + 1)))
    assert piece.read() == b"x" * CARRIED
    absent = pickle.loads(pickle.dumps(large))
    assert len(absent) == CARRIED + 1
    with pytest.raises(Unready):
        absent.cut(0, 5).read()
    drawer.close()


def test_messages_arrive_whole_however_the_octets_do():
    taken: list[Any] = []
    one, other = Channel(lambda _: None, lambda: None), Channel(taken.append, lambda: None)
    one.makeConnection(cast("Any", remote.Pipe()))
    for number in range(5):
        one.send(InForce(number))
    octets = cast("Any", one.transport).value()
    for at in range(0, len(octets), 7):
        other.dataReceived(octets[at : at + 7])
    assert taken == [InForce(number) for number in range(5)]


def test_a_configuration_crosses_with_its_keys_and_its_trust(tmp_path):
    me = pki.partner("sotttt")
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    partner = config.Partner(code="me", name="", certificates=(me.certificate,), units=("H55.13",))
    trusted = Anchors([pki.authority().certificate], [pki.authority().crl()])
    trusted.check(me.certificate, NOW, purpose=Purpose.CLIENT)
    changed = attrs.evolve(made, anchors=trusted, partners={"me": partner})
    found: Province = unpack_config(pack_config(Province.of(changed, [Unit("H55.13", "x")])))
    assert found.partner_with(me.certificate) == partner
    assert found.partner_with(me.certificate) is found.config.partners["me"]
    assert found.config.anchors.check(me.certificate, NOW, purpose=Purpose.CLIENT) == ""
    assert found.config.identity.certificate == made.identity.certificate
    assert len(found.config.identity.sign(b"x")) == len(made.identity.sign(b"x"))
    assert found.routes.canonical("H55.13") == "H55.13"


@pytest.fixture
def running(monkeypatch):
    """A pool of two workers that serve, and its port."""
    monkeypatch.setattr(pools, "pack_config", lambda _value: b"")
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.setblocking(False)
        pool = remote.make_pool(live_with(), Books(), size=2, port=port)
        pool.startService()
        for worker in pool._workers:
            worker._take(InForce(1))
        yield pool
        for worker in pool._workers:
            if worker._alive:
                end(worker)
        for inlet in pool._reactor.inlets:
            inlet.close()
        os.close(pool._counts.file)


def sent(worker):
    """Return the messages that *worker* was sent, without the first one."""
    found: list[Any] = []
    Channel(found.append, lambda: None).dataReceived(worker.channel.transport.value())
    return found[1:]


def end(worker):
    worker.processEnded(Failure(ValueError("killed")))


def take(pool, count):
    """Let *pool* take so many connections: a connection that is open at its one end may come to the other a moment later."""
    wanted = sum(pool.count_connections().values()) + count
    until(lambda: pool.doRead() or sum(pool.count_connections().values()) == wanted, f"{count} connections")


def test_a_connection_goes_to_the_worker_that_has_the_fewest(running):
    lines = [socket.create_connection(running._socket.getsockname()) for _ in range(3)]
    take(running, 3)
    assert sorted(running.count_connections().values()) == [1, 2]
    running._counts.add(Counted.HANDED, "0", -running.count_connections()["0"])
    lines += [socket.create_connection(running._socket.getsockname())]
    take(running, 1)
    assert running.count_connections()["0"] == 1
    for line in lines:
        line.close()


def test_connections_wait_while_no_worker_serves(running):
    assert running._reactor.readers == {running}
    for worker in running._workers:
        end(worker)
    assert running.ready == 0
    assert running._reactor.readers == set()
    assert str(running.describe_missing_workers())
    running._reactor.advance(pools.FIRST)
    running._workers[1]._take(InForce(1))
    assert running._reactor.readers == {running}


def test_whoever_waits_for_the_port_hears_of_the_first_worker_that_serves(running):
    """Systemd is told that the node is ready then."""
    heard = []
    _ = running.wait_until_ready().addCallback(lambda _: heard.append("at once"))
    for worker in running._workers:
        end(worker)
    _ = running.wait_until_ready().addCallback(lambda _: heard.append("later"))
    assert heard == ["at once"]
    running._reactor.advance(pools.FIRST)
    for worker in running._workers:
        worker._take(InForce(1))
    assert heard == ["at once", "later"]


def test_a_worker_that_ends_is_started_again_each_time_later(running):
    worker = running._workers[0]
    with capture_logs() as logs:
        for delay in (0.5, 1.0, 2.0):
            before = len(running._reactor.spawned)
            end(worker)
            running._reactor.advance(delay - 0.01)
            assert len(running._reactor.spawned) == before
            running._reactor.advance(0.02)
            assert len(running._reactor.spawned) == before + 1
        worker._take(InForce(1))
        running._reactor.pump([1.0] * int(pools.SETTLED))
        end(worker)
        running._reactor.advance(pools.FIRST)
    assert [line["again"] for line in logs if line["event"] == "worker-ended"] == [0.5, 1.0, 2.0, 0.5]
    assert running.ended == 4


def test_a_worker_that_cannot_be_started_is_tried_again(running, monkeypatch):
    def full(*_args, **_more):
        raise OSError("Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(running._reactor, "spawnProcess", full)
        end(running._workers[0])
        running._reactor.advance(0.5)
        assert running.ready == 1
    running._reactor.advance(1.0)
    running._workers[0]._take(InForce(1))
    assert running.ready == 2


def test_a_new_day_brings_the_units_and_a_ca_its_answers(running):
    index = UnitIndex.of([Unit("H55", "Tỉnh"), Unit("H55.13", "Sở")])
    running._live.setup = live_with(Routes.of(index, [], province="H55", upstream="")).setup
    _ = running.send_units()
    issuer = pki.authority().certificate
    crl = RevocationAnswer(RevocationQuestion(issuer, ("http://ca/crl",)), NOW, RevocationList(pki.authority().crl()))
    ocsp = RevocationAnswer(
        RevocationQuestion(issuer, ("http://ca",), issuer), NOW, OcspAnswer(RevocationStatus.GOOD, NOW, NOW)
    )
    octets = pack_config([crl, ocsp])
    (units,) = sent(running._workers[0])
    assert (units.version, units.units.canonical("H55.13")) == (2, "H55.13")
    found = unpack_config(octets)
    assert [one.question for one in found] == [crl.question, ocsp.question]
    assert found[0].said.begins == crl.said.begins
    assert found[1].said == ocsp.said


def test_nothing_of_a_worker_that_ended_is_counted_any_more(running):
    with socket.create_connection(running._socket.getsockname()):
        take(running, 1)
        (name,) = (name for name, count in running.count_connections().items() if count)
        end(running._workers[int(name)])
    assert set(running.count_connections().values()) == {0}


def test_a_worker_that_does_not_answer_is_killed(running):
    one, other = running._workers
    for _ in range(int(pools.PATIENCE / pools.EVERY)):
        running._reactor.advance(pools.EVERY)
        one._take(Pong())
    assert other.transport.signals == ["KILL"]
    assert one.transport.signals == []
    assert set(sent(one)) == {Ping()}


def test_a_reload_waits_for_each_worker_and_kills_the_one_that_fails(running):
    one, other = running._workers
    done: list[object] = []
    _ = running.send_province().addCallback(done.append)
    one._take(InForce(2))
    assert not done
    running._reactor.advance(pools.RELOAD)
    assert other.transport.signals == ["KILL"]
    end(other)
    assert done == [None]
    assert running.start_message(1).version == 2, "the next one begins with the new configuration"


def test_a_stop_waits_for_the_calls_in_progress_and_ends_who_does_not_end(running):
    one, other = running._workers
    stopped: list[object] = []
    _ = running.stopService().addCallback(stopped.append)
    assert running._reactor.readers == set()
    assert [sent(worker)[-1] for worker in (one, other)] == [Stop(), Stop()]
    end(one)
    assert not stopped
    running._reactor.advance(pools.END)
    assert other.transport.signals == ["KILL"]
    end(other)
    assert stopped == [None]
    running._reactor.advance(pools.LONGEST)
    assert len(running._reactor.spawned) == 2
