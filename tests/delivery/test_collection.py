"""Partners that do not call us: asked at their interval, what they have taken in before it is confirmed, nothing twice, nothing lost."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub import config
from hub.delivery.pull_service import CollectionService
from hub.domain.conversations import Arrival, Collected, Reply, Request, Unavailable
from hub.domain.lifecycle import SET_ASIDE
from hub.domain.model import Unit
from hub.domain.spans import SpanWork, Tracer, WorkSpan, name_span
from hub.intake.admission import judge_message
from hub.intake.endpoint import JournalAccess
from hub.journal import messages as journal_messages
from hub.journal.queue import collection_rounds
from hub.journal.searching import message_filter, search
from hub.partner.policy import PartnerTransport, Policy
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import THRESHOLD, run_at_once
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import collection, message
from hub.units.live import Live, Setup
from hub.units.province import Province
from tests import homes, packets
from tests.province import has_id_of_its_time

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
EVERY = timedelta(seconds=10)
POLICY = Policy(
    collect=EVERY, first_retry=timedelta(seconds=20), max_retry=timedelta(minutes=5), transport=PartnerTransport.PLAIN
)
UNITS = [Unit(code, code) for code in ("H55", "H55.13")]


@attrs.define
class Shelf:
    """A partner that keeps packets until each is confirmed, and its adapter."""

    kept: dict[str, bytes] = attrs.field(factory=dict)
    called: dict[str, str] = attrs.field(factory=dict)  #: what it calls them, where that is another name
    heard: list[tuple[str, str]] = attrs.field(factory=list)
    cursors: list[str] = attrs.field(factory=list)
    down: str = ""
    denies: bool = False
    service: str = "documents"
    more: bool = False
    unusable: tuple[str, ...] = ()

    def collect(self, cursor, now):
        self.cursors.append(cursor)
        reply = yield Request("http://axis/list", b"")
        if reply.status == 401:
            return Unavailable("HTTP 401", credentials=True)
        for name in reply.body.decode().split():
            judged = yield Arrival(self.kept[name], self.called.get(name, name), self.service)
            word = "done" if judged.accepted else f"fail {judged.problems[0].code}"
            yield Request(f"http://axis/{name}", word.encode())
        more, self.more = self.more, False
        return Collected(f"{now:%H:%M:%S}", more=more, unusable=self.unusable)

    async def send(self, request, partner):
        if self.down == "hangs":
            return await Deferred()
        if self.down:
            raise Unreachable(self.down)
        if self.denies:
            return Reply(401, b"")
        name = request.url.rpartition("/")[2]
        if name == "list":
            return Reply(200, " ".join(self.kept).encode())
        self.heard.append((name, request.body.decode()))
        del self.kept[name]
        return Reply(200, b"")


@attrs.define
class Node:
    """The collecting desk of a hub under a clock."""

    engine: sa.Engine
    shelf: Shelf
    province: Province
    clock: Clock = attrs.field(factory=Clock)
    woken: list[None] = attrs.field(factory=list)
    work: Any = run_at_once
    spans: list[WorkSpan] = attrs.field(factory=list)

    def start(self, name="node", journal=None, **more):
        journal = journal or InlineDatabase(self.engine)
        tracer = Tracer(self.spans.append, 1.0, lambda: START, self.clock.seconds)
        books = JournalAccess(journal, self.work, lambda: None, lambda: self.woken.append(None), tracer=tracer)
        service = CollectionService(
            live=Live(Setup(self.province, {"axis": cast("Any", self.shelf)})),
            access=books,
            send=self.shelf.send,
            clock=self.clock,
            now=lambda: START + timedelta(seconds=self.clock.seconds()),
            random=lambda: 0.999,
            node=name,
            **more,
        )
        service.startService()
        return service

    def pass_time(self, seconds):
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def messages(self):
        with self.engine.connect() as tx:
            return [tuple(row) for row in tx.execute(sa.select(message.c.message_id, message.c.state))]

    def row(self):
        with self.engine.connect() as tx:
            return tx.execute(sa.select(collection)).mappings().one()

    def events(self):
        with self.engine.connect() as tx:
            return [
                name
                for name in tx.scalars(sa.text("SELECT text FROM event ORDER BY serial"))
                if '"event":"collection' in name
            ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    return config.read_config(home / "hub.toml")


@pytest.fixture
def node(made, journal_url):
    engine = transactions.open_journal(journal_url)
    axis = config.Partner(code="axis", name="Axis", certificates=(), policy=POLICY)
    dept = attrs.evolve(made.partners["sotttt"], code="dept", units=("H55.13",))
    changed = attrs.evolve(made, partners={"axis": axis, "dept": dept}, upstream="axis")
    yield Node(engine, Shelf(), Province.of(changed, UNITS))
    engine.dispose()


def packet(number, to="H55.13"):
    return packets.letter("G22", [to], document_id=f"D{number}", number=str(number))


def test_what_arrived_is_in_the_journal_before_it_is_confirmed_and_what_is_refused_is_told_so(node):
    node.shelf.kept = {"d1": packet(1), "d2": packet(2, to="H55.99")}
    node.start()
    assert node.shelf.heard == [("d1", "done"), ("d2", "fail unit-unknown")]
    assert node.messages() == [("d1", "accepted"), ("d2", "refused")]
    assert node.woken == [None]


def test_what_arrived_is_a_span_above_its_commit_and_its_attempts(node):
    node.shelf.kept = {"d1": packet(1)}
    node.start()
    with node.engine.connect() as tx:
        taken = tx.scalar(sa.select(message.c.id))
    (commit, intake) = node.spans
    assert (commit.work, commit.parent_id) == (SpanWork.COMMIT, intake.span_id)
    assert (intake.work, intake.span_id, intake.parent_id) == (SpanWork.INTAKE, name_span(taken, SpanWork.INTAKE), None)
    assert intake.attributes == {"message": taken, "service": "documents", "partner": "axis"}


def test_what_a_partner_answers_is_never_read_on_the_reactors_thread(node):
    """A mail of a kilobyte may cost more than one of a megabyte: whatever has a body goes to a thread."""
    costs: list[int] = []

    def work(*said, **more):
        costs.extend(each for each in said if isinstance(each, int))
        return run_at_once(*said, **more)

    node.work = work
    node.shelf.kept = {"d1": packet(1)}
    node.start()
    assert node.shelf.heard == [("d1", "done")]
    assert costs[:2] == [0, THRESHOLD], "it was asked, and the answer, of two octets, was read"


def test_what_came_and_is_no_message_is_told_in_the_log(node):
    node.shelf.unusable = ("mail 7: it has more than 1000 parts",)
    with capture_logs() as told:
        node.start()
    assert [each["reason"] for each in told if each["event"] == "arrival-unusable"] == [*node.shelf.unusable]


@pytest.mark.parametrize("name", ["".join(f"{n:04x}" for n in range(0, 60_000, 7)), "d\0", chr(0xD800)])
def test_whatever_a_partner_calls_a_message_it_is_taken_once_and_holds_up_no_other(node, name):
    node.shelf.kept, node.shelf.called = {"x": packet(1), "y": packet(2)}, {"x": name}
    node.start()
    node.shelf.kept = {"x": packet(1)}
    node.pass_time(11)
    assert node.shelf.heard == [("x", "done"), ("y", "done"), ("x", "done")]
    assert [state for _, state in node.messages()] == ["accepted", "accepted"]


def test_a_code_list_is_a_message_that_is_nobodys_work(node):
    """Whoever gives lists may send for no unit, and need not."""
    node.shelf.service = "categories"
    node.shelf.kept = {
        "l1": b'{"service": "LayDanhSachTTHC", "result": [{"MATTHC": "2.000815", "TENTTHC": "Ch\xe1\xbb\xa9ng th\xe1\xbb\xb1c"}]}',
        "l2": b'{"service": "LayDanhMucLinhVuc", "refused": "error_code -1"}',
    }
    node.start()
    assert node.shelf.heard == [("l1", "done"), ("l2", "fail list-unreadable")]
    with transactions.read_transaction(node.engine) as tx:
        taken, refused = sorted(search.find_messages(tx, message_filter.MessageFilter()), key=lambda each: each.state)
    assert has_id_of_its_time(taken)
    assert has_id_of_its_time(refused)
    assert (taken.service, taken.kind, taken.subject, taken.sender) == ("categories", "LayDanhSachTTHC", "1 mục", None)
    assert refused.refusal == "list-unreadable: LayDanhMucLinhVuc: error_code -1"


def test_it_is_asked_at_its_interval_with_the_cursor_of_the_last_time(node):
    node.start()
    node.pass_time(31)
    assert node.shelf.cursors == ["", "08:00:00", "08:00:10", "08:00:20"]


def test_when_it_has_more_it_is_asked_again_at_once(node):
    node.shelf.more = True
    node.start()
    node.pass_time(1)
    assert node.shelf.cursors == ["", "08:00:00"]


def test_a_packet_that_comes_twice_is_taken_once_and_confirmed_twice(node):
    node.shelf.kept = {"d1": packet(1)}
    node.start()
    node.shelf.kept = {"d1": packet(1)}
    node.pass_time(11)
    assert node.shelf.heard == [("d1", "done"), ("d1", "done")]
    assert node.messages() == [("d1", "accepted")]


def test_an_outage_is_told_once_waited_for_ever_longer_and_loses_nothing(node):
    node.shelf.down = "connection refused"
    node.shelf.kept = {"d1": packet(1)}
    node.start()
    node.pass_time(70)
    assert len(node.shelf.cursors) == 3, "at once, after 20 seconds, after 40 more"
    assert (node.row()["failures"], node.row()["reason"]) == (3, "connection refused")
    node.shelf.down = ""
    node.pass_time(80)
    assert node.messages() == [("d1", "accepted")]
    assert node.row()["failures"] == 0
    assert ["failed" in node.events()[0], "resumed" in node.events()[1], len(node.events())] == [True, True, 2]


def test_a_partner_that_does_not_know_us_is_left_alone_for_as_long_as_can_be(node):
    node.shelf.denies = True
    node.start()
    node.pass_time(299)
    assert len(node.shelf.cursors) == 1
    node.pass_time(2)
    assert len(node.shelf.cursors) == 2


def test_what_breaks_the_hub_again_and_again_is_refused_and_what_stands_behind_it_comes(node, monkeypatch):
    def judge(call, *given):
        if call.message_id == "d2":
            raise ZeroDivisionError
        return judge_message(call, *given)

    monkeypatch.setattr("hub.delivery.pull_service.judge_message", judge)
    node.shelf.kept = {"d1": packet(1), "d2": packet(2), "d3": packet(3)}
    node.start()
    node.pass_time(20 + 40 + 80)
    assert node.row()["failures"] == SET_ASIDE - 1
    assert node.row()["reason"] == "hub-error: ZeroDivisionError()"
    assert node.messages() == [("d1", "accepted")]
    node.pass_time(160)
    assert node.shelf.heard == [("d1", "done"), ("d2", "fail hub-error"), ("d3", "done")]
    assert sorted(node.messages()) == [("d1", "accepted"), ("d2", "refused"), ("d3", "accepted")]
    assert node.row()["failures"] == 0
    monkeypatch.undo()
    node.shelf.kept = {"d2": packet(2)}
    node.pass_time(10)
    assert node.shelf.heard[-1] == ("d2", "done"), "a refused one is judged afresh"


def test_what_arrived_is_judged_and_journalled_by_one_configuration_though_another_comes_meanwhile(node, monkeypatch):
    seen = []

    def judge(call, partner, province, *given):
        seen.append(province.routes)
        service.live.setup = attrs.evolve(service.live.setup, province=Province.of(province.config, UNITS))
        return judge_message(call, partner, province, *given)

    written = journal_messages.record_message

    def take(tx, entry, routes):
        seen.append(routes)
        return written(tx, entry, routes)

    monkeypatch.setattr("hub.delivery.pull_service.judge_message", judge)
    monkeypatch.setattr("hub.intake.endpoint.journal.record_message", take)
    service = node.start()
    node.shelf.kept = {"d1": packet(1)}
    node.pass_time(11)
    assert node.messages() == [("d1", "accepted")]
    assert [routes is node.province.routes for routes in seen] == [True, True]


def test_a_conversation_that_hangs_ends_and_counts_as_an_outage(node):
    node.shelf.down = "hangs"
    node.start()
    node.pass_time(20 * 30 + 1)
    assert node.row()["reason"] == "the conversation took too long"


def test_of_two_nodes_one_asks_and_the_other_takes_over_when_its_lease_ends(node):
    node.shelf.down = "hangs"
    first = node.start("first")
    node.start("second")
    node.pass_time(5)
    assert len(node.shelf.cursors) == 1
    node.shelf.down = ""
    first.stopService()
    node.pass_time(11)
    assert len(node.shelf.cursors) >= 2
    assert node.row()["failures"] == 0


class SlowToBegin(InlineDatabase):
    """A journal that begins a round and has not said so yet."""

    def write(self, step, *args, **kwargs):
        done = super().write(step, *args, **kwargs)
        return Deferred() if step is collection_rounds.begin_round else done


def test_a_node_that_stops_just_as_it_begins_leaves_the_round_to_the_others(node):
    first = node.start("first", journal=SlowToBegin(node.engine))
    assert node.row()["holder"] == "first"
    first.stopService()
    node.shelf.kept = {"d1": packet(1)}
    node.start("second")
    assert node.shelf.heard == [("d1", "done")]


def test_who_says_that_it_has_something_is_asked_now(node):
    service = node.start()
    node.pass_time(1)
    service.wake("axis")
    node.pass_time(0.5)
    assert len(node.shelf.cursors) == 2


def test_who_says_so_while_it_is_being_asked_is_asked_once_more_for_it_may_have_told_already(node):
    told: Deferred[Reply] = Deferred()
    service = node.start()
    node.pass_time(1)

    async def send(request, partner):
        return await told

    service._send = send
    service.wake("axis")
    node.pass_time(0.5)
    service.wake("axis")
    told.callback(Reply(200, b""))
    node.pass_time(0.5)
    assert len(node.shelf.cursors) == 3
    node.pass_time(5)
    assert len(node.shelf.cursors) == 3


def test_a_secret_that_is_corrected_while_the_wrong_one_fails_is_tried_at_once(node):
    """The reload hurries the collection; the round that it finds under way knows the old secret."""
    told: Deferred[Reply] = Deferred()
    service = node.start()
    node.pass_time(1)
    heard = service._send

    async def send(request, partner):
        return await told

    service._send = send
    service.wake("axis")
    node.pass_time(0.5)
    service.wake("axis")
    service._send = heard
    told.callback(Reply(401, b""))
    assert (node.row()["failures"], node.row()["reason"]) == (1, "HTTP 401")
    node.pass_time(0.5)
    assert (len(node.shelf.cursors), node.row()["failures"]) == (3, 0)


def test_a_round_that_begins_as_a_reload_comes_keeps_partner_and_adapter_of_one_configuration(node):
    begun: list[Deferred[None]] = []

    class Late(InlineDatabase):
        """Its first commit takes long."""

        def write(self, step, *args, **kwargs):
            done = super().write(step, *args, **kwargs)
            begun.append(Deferred())
            if len(begun) > 1:
                return done
            return begun[0].addCallback(lambda _: done)

    service = node.start(journal=Late(node.engine))
    stranger = Shelf(denies=True)
    service.live.setup = Setup(node.province, {"axis": cast("Any", stranger)})
    begun[0].callback(None)
    assert (len(node.shelf.cursors), stranger.cursors) == (1, [])
    service.wake("axis")
    node.pass_time(0.5)
    assert len(stranger.cursors) == 1


def test_what_a_partner_was_not_granted_to_bring_is_refused_unread_and_told_so(node):
    province = node.province
    named = attrs.evolve(province.config.partners["axis"], calls=("mail",))
    node.province = Province.of(
        attrs.evolve(province.config, partners={**province.config.partners, "axis": named}), UNITS
    )
    node.shelf.kept = {"d1": packet(1)}
    node.start()
    assert node.shelf.heard == [("d1", "fail call-not-granted")]
    assert node.messages() == [("d1", "refused")]
    with transactions.read_transaction(node.engine) as tx:
        assert not tx.execute(sa.text("SELECT 1 FROM fact")).all()
