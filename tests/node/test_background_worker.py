"""The background worker without its process: when it starts and ends, and how a call, its answer and their files cross."""

import errno
import os
import socket
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from hub.domain.errors import Unready
from hub.formats.spool import Drawer, Octets
from hub.intake.dear_calls import ArrivedCall
from hub.intake.signed_response import SignedResponse
from hub.node.workers import pool as pools
from hub.node.workers.background import IDLE, BackgroundWorker
from hub.node.workers.channel import Channel, ForwardedCall, InForce, Pong, Result, Stop, Unwanted, pack, unpack
from hub.node.workers.config_pickle import pack_config
from hub.node.workers.forwarding import Files, serve_call
from hub.runtime.shared_counts import SharedCounts
from hub.soap.attachments import Manner, Outgoing
from tests import pki, remote
from tests.node.test_worker_pool import Books, failure, live_with

ME = pki.partner("sotttt")
LONG = b"x" * 300_000


@pytest.fixture
def node(monkeypatch):
    """The node's end of a background worker that has not begun."""
    monkeypatch.setattr(pools, "pack_config", lambda _value: b"")
    counts = SharedCounts.create(2)
    made = BackgroundWorker(
        remote.ProcessReactor(),
        live_with(),
        cast("Any", Books()),
        cast("Any", None),
        lambda: None,
        counts,
        None,
        1,
        "node",
        lambda: None,
        ("it",),
    )
    made.startService()
    yield made
    if made._workers[0]._alive:
        end(made)
    for inlet in made._reactor.inlets:
        inlet.close()
    os.close(counts.file)


@pytest.fixture
def serving(node):
    """The same, with a worker that serves."""
    ask(node, b"<a/>")
    node._workers[0]._take(InForce(1))
    return node


@pytest.fixture
def drawer():
    """The files of a test."""
    made = Drawer()
    yield made
    made.close()


def ask(node, body, drawer=None, wanted=lambda: True):
    """Let *node* forward a call with that body: octets, or a file. Return the Deferred of the answer."""
    octets = Octets.of(body)
    manner = Manner(action="a")
    return node.answer(ArrivedCall("documents", octets, manner, ME.certificate, drawer or Drawer(), wanted))


def sent(node, kind: Any):
    """Return the messages of that *kind* that the worker was sent."""
    found: list[Any] = []
    Channel(found.append, lambda: None).dataReceived(node._workers[0].channel.transport.value())
    return [each for each in found if isinstance(each, kind)]


def serve(node, call, answer):
    """Let the worker answer *call* by what *answer* makes of its octets."""

    async def answering(call):
        assert (call.service, call.manner.action, call.certificate) == ("documents", "a", ME.certificate)
        return answer(call.body.read())

    files = Files(node._reactor.inlets[-1])
    done = Deferred.fromCoroutine(serve_call(call, files, Drawer(), answering, lambda: True))
    return done.addCallback(lambda found: node._workers[0]._take(Result(call.number, pack(found))))


def echo(octets):
    return SignedResponse(Outgoing("text/xml", [b"<", octets]), fault=True, senders=True)


def file_of(drawer, octets):
    file = drawer.file()
    file.write(octets)
    return file


def end(node):
    node._workers[0].processEnded(Failure(ValueError("killed")))


def test_the_first_dear_call_starts_the_process_and_is_answered_here(node):
    assert not node._reactor.spawned
    assert ask(node, b"<a/>").result is None
    assert ask(node, b"<a/>").result is None
    assert len(node._reactor.spawned) == 1
    (started,) = sent(node, object)
    assert started.background


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_call_and_its_answer_cross_whole_in_memory_or_as_files(serving, drawer, size):
    asked = ask(serving, b"y" * size if size < 1000 else file_of(drawer, b"y" * size), drawer)
    (call,) = sent(serving, ForwardedCall)
    assert (call.body is None) == (size > 1000), "a file crosses as a descriptor"
    serve(serving, call, echo)
    answer = asked.result
    assert answer.body.read() == b"<" + b"y" * size
    assert (answer.body.content_type, answer.fault, answer.senders) == ("text/xml", True, True)


def test_answers_come_in_any_order_and_a_file_that_nobody_took_confuses_none(serving, drawer):
    asked = [ask(serving, b"%d" % number, drawer) for number in range(3)]
    calls = sent(serving, ForwardedCall)
    Files(serving._reactor.inlets[-1]).send(99, file_of(drawer, b"of nobody"))
    for number in (2, 0, 1):
        serve(serving, calls[number], lambda octets: SignedResponse(Outgoing("text/xml", [LONG, octets])))
    assert [each.result.body.read()[-1:] for each in asked] == [b"0", b"1", b"2"]


def count_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_that_nobody_takes_is_closed_when_a_later_one_is_taken(drawer):
    one, other = map(Files, socket.socketpair())
    for number in (1, 2, 3):
        one.send(number, file_of(drawer, b"%d" % number))
    before = count_files()
    with other.take(3) as file:
        assert Octets.of(file).read() == b"3"
        assert count_files() == before + 1
    for each in (one, other):
        each._socket.close()


@pytest.mark.parametrize("step", ["send", "take"])
def test_a_call_whose_body_cannot_cross_is_to_be_sent_again(serving, monkeypatch, drawer, step):
    """The other process has too many files open, or has not taken those sent before."""

    def fail(*_args):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Files, step, fail)
    asked = ask(serving, file_of(drawer, LONG), drawer)
    failed = [asked] if step == "send" else [serve(serving, sent(serving, ForwardedCall)[0], echo)]
    error = failure(failed[0])
    assert isinstance(error, Unready)
    assert error.problem.code == "hub-busy"


def test_an_answer_whose_file_does_not_come_is_to_be_asked_for_again(serving, monkeypatch):
    asked = ask(serving, b"<a/>")
    monkeypatch.setattr(Files, "send", lambda *_args: None)
    serve(serving, sent(serving, ForwardedCall)[0], lambda _octets: SignedResponse(Outgoing("text/xml", [LONG])))
    assert failure(asked).problem.code == "hub-busy"


def test_a_call_that_it_cannot_answer_is_answered_here(serving):
    asked = ask(serving, b"<a/>")
    serve(serving, sent(serving, ForwardedCall)[0], lambda _octets: None)
    assert asked.result is None


def test_when_the_process_ends_its_calls_fail_at_once_and_the_next_one_starts_it_again(serving):
    asked = [ask(serving, b"<a/>") for _ in range(2)]
    end(serving)
    for each in asked:
        error = failure(each)
        assert isinstance(error, Unready)
        assert error.problem.code == "hub-busy"
    assert ask(serving, b"<a/>").result is None
    serving._reactor.advance(pools.FIRST)
    assert len(serving._reactor.spawned) == 2


def test_it_hears_when_nobody_waits_for_an_answer_any_more(serving):
    waits = [True]
    asked = ask(serving, b"<a/>", wanted=lambda: waits[0])
    serving._reactor.advance(1)
    assert not sent(serving, Unwanted)
    waits[0] = False
    serving._reactor.advance(1)
    (call,) = sent(serving, ForwardedCall)
    assert sent(serving, Unwanted) == [Unwanted(call.number)]
    serve(serving, call, echo)
    assert asked.called


def test_an_idle_process_ends_and_another_one_starts_when_it_is_needed(serving):
    worker = serving._workers[0]
    asked = ask(serving, b"<a/>")
    for _ in range(int(2 * IDLE / pools.EVERY)):
        serving._reactor.advance(pools.EVERY)
        worker._take(Pong())
    assert not sent(serving, Stop), "it still answers a call"
    serve(serving, sent(serving, ForwardedCall)[0], echo)
    assert asked.called
    serving._reactor.advance(pools.EVERY)
    assert sent(serving, Stop)
    assert ask(serving, b"<a/>").result is None, "answered here while it ends"
    end(serving)
    serving._reactor.advance(pools.LONGEST)
    assert len(serving._reactor.spawned) == 1
    assert ask(serving, b"<a/>").result is None
    assert len(serving._reactor.spawned) == 2


def test_a_reload_waits_for_it_only_where_it_runs(node):
    done: list[object] = []
    _ = node.send_province().addCallback(done.append)
    assert done == [None]
    ask(node, b"<a/>")
    node._workers[0]._take(InForce(2))
    _ = node.send_province().addCallback(done.append)
    assert len(done) == 1
    node._workers[0]._take(InForce(3))
    assert done == [None, None]


def test_a_stop_waits_for_its_calls_and_forwards_no_more(serving):
    stopped: list[object] = []
    _ = serving.stopService().addCallback(stopped.append)
    assert ask(serving, b"<a/>").result is None
    assert sent(serving, Stop)
    assert not stopped
    end(serving)
    assert stopped == [None]


def test_the_node_passes_on_the_dear_calls_of_workers_and_their_files(monkeypatch, serving, drawer):
    """What a worker has read crosses twice, and so does its answer."""
    connected = remote.make_pool(live_with(), Books())
    connected._elsewhere = serving.answer
    connected._live.setup.province.config.data = None
    monkeypatch.setattr(pools, "name_spool_folder", lambda _data: None)
    connected.startService()
    worker = connected._workers[0]
    worker._take(InForce(1))
    theirs = Files(connected._reactor.inlets[0])
    theirs.send(7, file_of(drawer, LONG))
    worker._take(ForwardedCall(7, "documents", pack_config((Manner(action="a"), ME.certificate)), None))
    (call,) = sent(serving, ForwardedCall)
    serve(serving, call, echo)
    told: list[Any] = []
    Channel(told.append, lambda: None).dataReceived(worker.channel.transport.value())
    found = unpack(told[-1].packed)
    assert found.number == 7
    with theirs.take(7) as file:
        assert Octets.of(file).read() == b"<" + LONG
    worker.processEnded(Failure(ValueError("killed")))
    connected._reactor.inlets[0].close()
    os.close(connected._counts.file)


def test_without_a_background_worker_the_node_answers_no_call_of_a_worker(monkeypatch):
    connected = remote.make_pool(live_with(), Books())
    done = connected._begin(None, ForwardedCall(1, "documents", b"", b""))
    assert done.result is None
    os.close(connected._counts.file)
