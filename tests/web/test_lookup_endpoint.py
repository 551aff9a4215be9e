"""The desk of the lookups service under a clock: counted, kept, asked, tried again, journalled; and nothing about a person on the disk."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import sqlalchemy as sa
from lxml import etree
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hub.config import Partner
from hub.config.lookups import CACHE, LookupSettings
from hub.domain.conversations import Answer, Refused, Reply, Request, Unavailable
from hub.domain.errors import Rejected, Unready
from hub.domain.fair_queue import Owner
from hub.domain.model import Fact
from hub.formats.spool import Drawer
from hub.formats.streamed_xml import Loads
from hub.intake.endpoint import Case, JournalAccess
from hub.intake.verification import VerifiedCall
from hub.journal import blobs, events
from hub.journal.fact_reading import fact_rows
from hub.journal.queue import partner_state
from hub.journal.replay_guard import ReplayMark
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.partner.circuit_breaker import BreakerPosition
from hub.partner.policy import Policy
from hub.partner.rate_limit import Rate
from hub.runtime.http_client import Unreachable
from hub.runtime.thread_pool import run_at_once
from hub.security.encryption import Safe
from hub.services import list_services
from hub.services.lookups.operations import NAMESPACE, OPERATIONS
from hub.soap import wsdl
from hub.soap.attachments import Carriage
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import message
from hub.units.live import Live, Setup
from hub.web.lookups import cache as lookup_cache
from hub.web.lookups.cache import QuotaUse
from hub.web.lookups.endpoint import LookupsEndpoint
from hub.web.lookups.expiry import EVERY, AnswerExpiry
from hub.web.lookups.partner_query import PartnerQueryRunner
from tests import databases
from tests.pki import partner as identity
from tests.province import ROUTES
from tests.services.test_lookups import PERSONAL, element

START = datetime(2026, 11, 25, 8, tzinfo=UTC)
POLICY = Policy(first_retry=timedelta(seconds=1), max_retry=timedelta(minutes=5), timeout=timedelta(seconds=10))


EXISTS = Answer((("Exists", "true"), ("Name", "CÔNG TY")))


class Knowing:
    """An adapter of one question: what the partner says is the outcome, as Python has it."""

    def ask(self, query, now):
        reply = yield Request("https://partner/", repr(sorted(query.fields.items())).encode(), (("id", query.id),))
        return reply.headers["said"]


@attrs.define
class Counter:
    """The desk, its clock, its partner, and what that was asked."""

    engine: Any
    folder: Any
    clock: Clock = attrs.field(factory=Clock)
    policy: Policy = POLICY
    cache: Any = attrs.field(factory=lambda: dict(CACHE))
    quota: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(OPERATIONS, 1000))
    key: bytes = bytes(32)
    says: Any = EXISTS  #: an outcome, or who gives one, or "hangs"
    asked: list[Request] = attrs.field(factory=list)
    hanging: list[Deferred[Any]] = attrs.field(factory=list)
    number: int = 0
    served: bool = True  #: whether lookups are configured
    desk: Any = None

    def now(self):
        return START + timedelta(seconds=self.clock.seconds())

    async def send(self, request, partner):
        self.asked.append(request)
        said = self.says() if callable(self.says) else self.says
        if said == "hangs":
            waiting: Deferred[Any] = Deferred()
            self.hanging.append(waiting)
            said = await waiting
        if isinstance(said, Exception):
            raise said
        return Reply(200, b"", {"said": said})

    def ask(self, operation="VerifyCitizen", *, partner="sotttt", mark=None, **more):
        """Ask, and return the Deferred of the answer."""
        if self.desk is None:
            books = JournalAccess(InlineDatabase(self.engine), run_at_once, lambda: None, lambda: None)
            live = Live(Setup(cast("Any", None), {"bca": cast("Any", Knowing())}))
            asker = PartnerQueryRunner(live, books.journal, self.send, run_at_once, self.clock, self.now, lambda: 0.5)
            self.desk = LookupsEndpoint(wsdl.load_contract("lookups"), asker, books)
        known = {
            "bca": Partner(code="bca", name="", certificates=(), lookups=tuple(OPERATIONS), policy=self.policy),
            "sotttt": Partner(code="sotttt", name="", certificates=()),
            "vpub": Partner(code="vpub", name="", certificates=()),
            "any": Partner(code="any", name="", certificates=()),
        }
        safe = Safe(self.key)
        said = LookupSettings(safe=safe, key_file=self.folder, cache=self.cache, quota=self.quota)
        config = SimpleNamespace(lookups=said if self.served else None, partners=known, identity=identity("hub"))
        self.number += 1
        call = self.desk.read(element(operation, **more), [])
        case = Case(
            province=cast("Any", SimpleNamespace(config=config, routes=ROUTES)),
            partner=known[partner],
            owner=Owner(partner),
            opened=VerifiedCall(known[partner], call, operation, None, "", mark),
            now=self.now(),
            tracking=f"00000000-0000-7000-8000-{self.number:012d}",
            how=Carriage.INLINE,
            drawer=Drawer(),
            loads=Loads(),
            sha1=None,
            trace=None,
        )
        return Deferred.fromCoroutine(self.desk.perform(case))

    def answer(self, *words, seconds=0.0, **more):
        """Ask and return what comes, as a dictionary of texts; or the error."""
        pending = self.ask(*words, **more)
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
        found: list[Any] = []
        pending.addCallbacks(found.append, lambda failure: found.append(failure.value))
        assert found, "no answer yet"
        return found[0] if isinstance(found[0], Exception) else said(found[0])

    def messages(self):
        with transactions.read_transaction(self.engine) as tx:
            return [(each.state, each.refusal) for each in search.find_messages(tx, MessageFilter())]

    def milestones(self):
        with transactions.read_transaction(self.engine) as tx:
            return [(fact.unit, fact.milestone, fact.key) for fact in fact_rows.read_facts(tx)]

    def used(self, operation="VerifyCitizen", unit="H55.13"):
        with transactions.read_transaction(self.engine) as tx:
            return lookup_cache.count_unit_lookups(tx, QuotaUse(unit=unit, operation=operation, day=self.now().date()))

    def breaker(self):
        with transactions.read_transaction(self.engine) as tx:
            return partner_state.read_partner_standing(tx, "bca").breaker

    def events(self, name):
        with transactions.write_transaction(self.engine) as tx:
            events.chain_events(tx)
            return [each.text for each in events.read_chained_events(tx, 0, 10_000) if f'"event":"{name}"' in each.text]


def said(answer):
    leaves = {etree.QName(leaf).localname: leaf.text for leaf in answer.iter(f"{{{NAMESPACE}}}*") if not len(leaf)}
    return {name: text for name, text in leaves.items() if name not in {"ErrorList", "Description"}}


@pytest.fixture
def counter(tmp_path):
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield Counter(engine, tmp_path)
    engine.dispose()


def test_a_question_is_answered_journalled_and_counted(counter):
    found = counter.answer(Dossier="HS-1")
    assert (found["IsSuccess"], found["Exists"], found["At"]) == ("true", "true", "2026-11-25T08:00:00.000000Z")
    assert counter.milestones() == [("H55.13", "verify-citizen", found["LookupId"])]
    assert counter.used() == 1
    (asked,), (settled,) = counter.events("lookup-asked"), counter.events("lookup-settled")
    for told in ("nv.mau", "Chứng thực", "HS-1", '"partner":"bca"', '"question":"'):
        assert told in asked
    assert '"outcome":"answered"' in settled
    assert dict(counter.asked[0].headers)["id"] == found["LookupId"]


def test_nothing_about_a_person_ever_reaches_the_disk(counter):
    counter.cache = dict.fromkeys(OPERATIONS, timedelta(hours=1))
    counter.says = Answer((("Exists", "true"), ("Name", "Nguyễn Văn Mẫu"), ("Address", "Xóm Mẫu")))
    for operation in OPERATIONS:
        counter.answer(operation)
        counter.answer(operation, Purpose="Lần nữa")
    counter.says = Refused("không có Nguyễn Văn Mẫu, 019085000001")
    assert counter.answer(CitizenId="019085000009")["Code"] == "lookup-refused"
    counter.says = Unreachable("connection failed")
    assert isinstance(counter.answer(CitizenId="019085000008", seconds=10), Unready)
    assert counter.answer(CitizenId=None)["Code"] == "N.VerifyCitizen.CitizenId"
    files = [path for path in counter.folder.iterdir() if path.name.startswith("hub.db")]
    octets = b"".join(path.read_bytes() for path in files)
    assert b"nv.mau" in octets  # the official is there
    assert not [text for text in (*PERSONAL, "01908500000") if text.encode() in octets]


def test_what_may_be_kept_is_given_again_with_its_age_until_its_time_is_over(counter):
    first = counter.answer("LookupEnterprise")
    counter.clock.advance(3599)
    kept = counter.answer("LookupEnterprise", partner="any", OrganId="H55.13.1", Officer="khac")
    assert (kept["Name"], kept["At"]) == ("CÔNG TY", first["At"])
    assert len(counter.asked) == 1
    assert counter.used("LookupEnterprise", "H55.13.1") == 1  # a kept answer is one too
    assert len(counter.milestones()) == 2
    counter.clock.advance(1)
    assert counter.answer("LookupEnterprise")["At"] > first["At"]
    assert len(counter.asked) == 2


def test_what_may_not_be_kept_is_asked_each_time(counter):
    for _ in range(2):
        counter.answer()
    assert len(counter.asked) == 2
    assert len(counter.milestones()) == 2


def test_a_refusal_is_not_kept(counter):
    counter.says = Refused("no such enterprise")
    assert counter.answer("LookupEnterprise")["Code"] == "lookup-refused"
    counter.says = Answer((("Name", "CÔNG TY"),))
    assert counter.answer("LookupEnterprise")["Name"] == "CÔNG TY"


def test_with_another_key_what_was_kept_is_as_good_as_gone(counter):
    counter.answer("LookupEnterprise")
    counter.key = b"x" * 32
    assert counter.answer("LookupEnterprise")["Name"] == "CÔNG TY"
    assert len(counter.asked) == 2


def test_kept_answers_are_taken_away_when_their_time_is_over(counter):
    forgetting = AnswerExpiry(InlineDatabase(counter.engine), counter.clock, counter.now)
    counter.answer("LookupEnterprise")
    forgetting.startService()
    with transactions.read_transaction(counter.engine) as tx:
        assert lookup_cache.read_next_expiry(tx) == START + timedelta(hours=1)
    counter.clock.pump([EVERY] * (3600 // int(EVERY)))
    with transactions.read_transaction(counter.engine) as tx:
        assert lookup_cache.read_next_expiry(tx) is None
    assert forgetting.stopService().called


def test_a_unit_asks_as_often_a_day_as_it_may_and_no_oftener(counter):
    counter.quota["VerifyCitizen"] = 2
    assert [counter.answer()["IsSuccess"] for _ in range(3)] == ["true", "true", "false"]
    assert counter.answer()["Code"] == "quota-exceeded"
    assert len(counter.asked) == 2
    assert counter.answer(partner="any", OrganId="H55.13.1")["IsSuccess"] == "true"  # another unit has its own
    assert counter.answer("LookupEnterprise")["IsSuccess"] == "true"  # another operation too
    counter.clock.advance(24 * 3600)
    assert counter.answer()["IsSuccess"] == "true"
    assert [refusal for _, refusal in counter.messages() if refusal] == ["quota-exceeded: H55.13: 2 VerifyCitizen"] * 2


def test_the_same_message_is_counted_once_and_answered_again_beyond_the_quota(counter):
    counter.quota["VerifyCitizen"] = 1
    first = counter.answer(MessageId="m-1")
    again = counter.answer(MessageId="m-1")
    assert first["LookupId"] == again["LookupId"]
    assert [dict(request.headers)["id"] for request in counter.asked] == [first["LookupId"]] * 2
    assert counter.used() == 1
    assert len(counter.milestones()) == 1


def test_a_message_id_is_of_one_question(counter):
    counter.answer(MessageId="m-1")
    assert counter.answer(MessageId="m-1", FullName="Nguyễn Văn Khác")["Code"] == "id-reused"
    assert counter.answer(MessageId="m-1", Purpose="Khác")["Code"] == "id-reused"
    assert len(counter.asked) == 1
    assert counter.used() == 1


def test_an_order_is_one_result_however_often_it_is_sent(counter):
    for _ in range(2):
        counter.answer("OrderPostalReturn")
    assert counter.milestones() == [("H55.13", "postal-ordered", "Đ-1")]
    assert counter.used("OrderPostalReturn") == 1


def test_who_may_not_ask_for_a_unit_is_refused_and_nobody_is_asked(counter):
    assert counter.answer(partner="vpub")["Code"] == "sender-not-allowed"
    assert not counter.asked
    assert counter.used() == 0


def test_a_signed_call_that_comes_twice_is_no_second_question(counter):
    mark = ReplayMark("a" * 64, counter.now() + timedelta(minutes=15))
    assert counter.answer(mark=mark)["IsSuccess"] == "true"
    assert "replayed" in str(counter.answer(mark=mark))
    assert len(counter.asked) == 1


def test_one_that_does_not_answer_is_asked_a_few_times_within_the_calls_own_time(counter):
    outcomes = iter([Unreachable("connection refused"), Unavailable("HTTP 503"), Answer((("Exists", "true"),))])
    counter.says = lambda: next(outcomes)
    assert counter.answer(seconds=5)["Exists"] == "true"
    assert len(counter.asked) == 3
    assert len(counter.events("lookup-asked")) == 3
    assert len(counter.milestones()) == 1


def test_one_that_never_answers_is_given_up_and_the_question_is_not_counted(counter):
    counter.says = Unavailable("HTTP 503")
    given = counter.answer(seconds=10)
    assert isinstance(given, Unready)
    assert given.problem.code == "lookup-unavailable"
    assert len(counter.asked) == 3
    assert counter.used() == 0
    assert counter.milestones() == []
    assert counter.messages() == [("refused", "lookup-unavailable: bca")]


def test_who_says_when_to_come_again_is_not_asked_before(counter):
    counter.says = Unavailable("HTTP 429", retry_after=60.0)
    given = counter.answer()
    assert (len(counter.asked), given.retry_after) == (1, 60)


def test_a_business_refusal_is_never_asked_again(counter):
    counter.says = Refused("no")
    counter.answer(seconds=5)
    assert len(counter.asked) == 1
    assert counter.breaker().position is BreakerPosition.CLOSED
    assert counter.used() == 1  # it told something all the same


def test_while_the_breaker_is_open_the_answer_comes_at_once_and_no_storm_begins(counter):
    counter.says = Unavailable("HTTP 503")
    for _ in range(2):
        counter.answer(seconds=10)
    assert counter.breaker().position is BreakerPosition.OPEN
    before = len(counter.asked)
    for _ in range(20):
        given = counter.answer()
        assert isinstance(given, Unready)
        assert given.retry_after >= 1
    assert len(counter.asked) == before
    assert counter.events("breaker-opened")


def test_one_probe_tells_whether_it_is_back(counter):
    counter.says = Unavailable("HTTP 503")
    for _ in range(2):
        counter.answer(seconds=10)
    waited = counter.breaker().until
    counter.clock.advance((waited - counter.now()).total_seconds())
    counter.says = "hangs"
    probe = counter.ask()
    before = len(counter.asked)
    assert isinstance(counter.answer(), Unready)  # nobody else tries meanwhile
    assert len(counter.asked) == before
    counter.hanging.pop().callback(Answer((("Exists", "true"),)))
    assert said(probe.result)["Exists"] == "true"
    assert counter.breaker().position is BreakerPosition.CLOSED
    counter.says = Answer((("Exists", "true"),))
    assert counter.answer()["Exists"] == "true"


def test_a_probe_that_fails_makes_the_next_wait_longer(counter):
    counter.says = Unavailable("HTTP 503")
    for _ in range(2):
        counter.answer(seconds=10)
    first = counter.breaker()
    counter.clock.advance((first.until - counter.now()).total_seconds())
    counter.answer()
    second = counter.breaker()
    assert (second.position, second.opened) == (BreakerPosition.OPEN, first.opened + 1)
    assert second.until - counter.now() > timedelta(seconds=16)


def test_wrong_credentials_open_the_breaker_at_once_and_are_told(counter):
    counter.says = Unavailable("HTTP 401", credentials=True)
    counter.answer()
    assert len(counter.asked) == 1
    assert counter.breaker().position is BreakerPosition.OPEN
    assert "HTTP 401" in counter.events("breaker-opened")[0]
    counter.answer()
    assert len(counter.asked) == 1


def test_a_paused_partner_is_not_asked(counter):
    with transactions.write_transaction(counter.engine) as tx:
        partner_state.pause_partner(tx, "bca", reason="bảo trì", by="op", now=START)
    assert isinstance(counter.answer(), Unready)
    assert not counter.asked


def test_a_partner_is_asked_no_oftener_than_it_wants(counter):
    counter.policy = attrs.evolve(POLICY, rate=Rate(1, "m"))
    assert counter.answer()["IsSuccess"] == "true"
    given = counter.answer()
    assert isinstance(given, Unready)
    assert given.retry_after > 50
    counter.clock.advance(60)
    assert counter.answer()["IsSuccess"] == "true"


def test_no_more_are_asked_at_a_time_than_the_partner_bears(counter):
    counter.policy, counter.says = attrs.evolve(POLICY, concurrency=2), "hangs"
    pending = [counter.ask() for _ in range(3)]
    assert len(counter.asked) == 2
    for each in list(counter.hanging):
        each.callback(Answer((("Exists", "true"),)))
    counter.hanging[-1].callback(Answer((("Exists", "true"),)))
    assert [said(each.result)["Exists"] for each in pending] == ["true"] * 3


def test_what_breaks_in_the_hub_says_nothing_of_the_partner(counter):
    counter.says = ZeroDivisionError
    assert isinstance(counter.answer(seconds=10), Unready)
    assert counter.breaker().position is BreakerPosition.CLOSED


def test_an_operation_that_nobody_answers_is_told_so(counter):
    counter.answer()
    counter.desk.query_runner.live.setup = Setup(cast("Any", None))
    assert counter.answer()["Code"] == "lookup-not-served"
    assert counter.messages()[-1] == ("refused", "lookup-not-served: VerifyCitizen")


@pytest.mark.parametrize("configured", [True, False])
def test_a_question_that_nobody_answered_is_not_asked_when_somebody_sends_it_again_later(counter, configured):
    mark, anew = (ReplayMark(letter * 64, START + timedelta(minutes=5)) for letter in "ab")
    counter.answer()
    able, counter.served = counter.desk.query_runner.live.setup, configured
    counter.desk.query_runner.live.setup = Setup(cast("Any", None))
    assert counter.answer(mark=mark, message_id="m-1")["Code"] == "lookup-not-served"
    counter.desk.query_runner.live.setup, counter.served = able, True
    refused = counter.answer(mark=mark, message_id="m-1")
    assert isinstance(refused, Rejected), refused
    assert refused.problems[0].code == "replayed"
    assert "Code" not in counter.answer(mark=anew, message_id="m-1")


def test_what_was_counted_is_counted_again_from_the_octets(counter):
    for operation in OPERATIONS:
        counter.answer(operation)
    with transactions.read_transaction(counter.engine) as tx:
        rows = tx.execute(sa.select(message.c.id, message.c.received_at, message.c.sha256)).all()
        again: list[Fact] = []
        for row in rows:
            octets = blobs.read_blob(tx, row.sha256)
            again += list_services()["lookups"].read(octets, row.received_at, row.id).facts
        assert sorted(again, key=repr) == sorted(fact_rows.read_facts(tx), key=repr)
