"""What a small call costs decides where it is worked on, not how small it is: nothing dear is done on the reactor's thread."""

from typing import Any, cast

import attrs
import pytest

from hub import config
from hub.runtime.thread_pool import THRESHOLD, run_at_once
from hub.soap import documents_requests
from hub.store import transactions
from tests import databases, frontdesk, homes, pki
from tests.overload import payloads
from tests.packets import letter

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
