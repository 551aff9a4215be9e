"""What a small call costs decides where it is worked on, not how small it is: nothing dear is done on the reactor's thread."""

from threading import Event
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred

from hub import config
from hub.domain.fair_queue import HUB
from hub.domain.model import PacketProfile
from hub.formats.spool import Drawer, Octets
from hub.partner.policy import Policy
from hub.runtime.thread_pool import THRESHOLD, WorkScheduler, run_at_once
from hub.soap import documents_requests
from hub.soap.attachments import Manner
from hub.store import transactions
from tests import databases, frontdesk, homes, pki
from tests.overload import payloads
from tests.packets import letter
from tests.runtime.test_thread_pool import Reactor
from tests.signatures import Layout
from tests.waiting import PATIENCE

ME, OTHER = pki.partner("sotttt"), pki.partner("vpub")


@pytest.fixture
def engine(tmp_path):
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()


@pytest.fixture
def desk(tmp_path, engine):
    """An intake, and each step that it has done in a thread, with its owner."""
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    found = frontdesk.intake(
        made, engine, frontdesk.partner("me", ME, "H55.13"), frontdesk.partner("other", OTHER, "H55.01")
    )
    threaded: list[tuple[str, str]] = []

    def work(owner, cost, step, *args):
        if cost >= THRESHOLD:
            threaded.append((owner.name, step.__name__))
        return run_at_once(owner, cost, step, *args)

    found._access = attrs.evolve(found._access, work=cast("Any", work))
    found._endpoint = attrs.evolve(cast("Any", found._endpoint), access=found._access)
    return found, threaded


def test_an_honest_call_is_worked_on_where_it_came(desk):
    intake, threaded = desk
    assert not frontdesk.ask(
        intake, ME, documents_requests.SendDocument(letter("H55.13", ["H55.01"], document_id="D1"))
    ).fault
    assert threaded == []


@pytest.mark.slow
def test_a_small_call_with_hundreds_of_namespaces_is_opened_in_a_thread(desk):
    body = payloads.signed_namespaces(ME)
    assert len(body) < THRESHOLD
    intake, threaded = desk
    frontdesk.put(intake, body, ME)
    assert ("me", "open_call") in threaded


def test_a_small_packet_with_calendars_is_judged_in_a_thread(desk):
    packet = payloads.calendars("H55.13", "H55.01", "7")
    assert len(packet) < THRESHOLD
    intake, threaded = desk
    frontdesk.ask(intake, ME, documents_requests.SendDocument(packet, "m1"))
    assert ("me", "judge_message") in threaded


@pytest.mark.parametrize("dear", ["mistakes in a small call", "a packet of a strict partner"])
def test_others_are_answered_while_a_small_call_is_explained_or_judged_by_rules(tmp_path, engine, dear):
    """The thread that does it is held here; the reactor goes on."""
    made = config.read_config(homes.begin(tmp_path / "tinh") / "hub.toml")
    strict = Policy(profile=PacketProfile.STRICT) if "strict" in dear else Policy()
    intake = frontdesk.intake(
        made, engine, frontdesk.partner("me", ME, "H55.13", policy=strict), frontdesk.partner("other", OTHER, "H55.01")
    )
    room = WorkScheduler(cast("Any", Reactor()), used=lambda: 0.0)
    room._threads.adjustPoolsize(0, 1)
    room.startService()
    intake._access = attrs.evolve(intake._access, work=room.work)
    intake._endpoint = attrs.evolve(cast("Any", intake._endpoint), access=intake._access)
    begun, goes_on = Event(), Event()
    _ = room.work(HUB, THRESHOLD, begun.set)
    _ = room.work(HUB, THRESHOLD, goes_on.wait, PATIENCE)
    assert begun.wait(PATIENCE)
    packet = letter("H55.13", ["H55.01"], document_id="D1")
    if "strict" in dear:
        body = frontdesk.written(ME, documents_requests.SendDocument(packet, "m1"))
    else:
        body = Layout(content='<d:SendDocument xmlns:d="urn:lienthong:documents:1"><d:La/></d:SendDocument>').signed(ME)
    assert len(body) < THRESHOLD
    first, second = begin(intake, body, ME), begin(intake, other_call(), OTHER)
    assert (len(first), len(second)) == (0, 1), "the first waits for the thread, the second waits for nobody"
    assert not second[0].fault
    goes_on.set()
    room.stopService()
    assert len(first) == 1
    assert first[0].fault is ("strict" not in dear)


def begin(intake, body, who):
    """Put a call, and return the list that its answer will be in."""
    done: list[Any] = []
    asked = intake.answer(Octets.of(body), Manner(), who.certificate, Drawer())
    _ = Deferred.fromCoroutine(asked).addCallback(done.append)
    return done


def other_call():
    return frontdesk.written(
        OTHER, documents_requests.SendDocument(letter("H55.01", ["H55.13"], document_id="D2"), "m2")
    )
