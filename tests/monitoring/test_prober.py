"""The prober under a clock: what it probes, what it tells, what a day of several nodes comes to."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from hub.config import Partner
from hub.config.upkeep.link_settings import LinkSettings
from hub.domain.errors import Unready
from hub.domain.model import HUB, Receive
from hub.journal.fact_reading import fact_rows
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.monitoring import link_rows
from hub.monitoring.link_prober import AT_ONCE, LinkProber, list_probed_links
from hub.services.links.probes import Link, Minutes, Probe
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.store.tables import event
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.workload import unit_report
from tests import databases
from tests.pki import partner as identity
from tests.province import ROUTES, has_id_of_its_time

START = datetime(2026, 11, 24, 8, tzinfo=UTC)
EVERY = timedelta(seconds=30)
GATE = Link(name="gate", host="10.0.0.1", port=22, tls=False, units=("H55.13",), partner=False)


def of(code, url, *units, receive=Receive.PUSH):
    return Partner(code=code, name=code, certificates=(), units=units, receive=receive, url=url)


VPUB = of("vpub", "https://10.0.0.7:9443/soap", "H55.01", "*")
SOTTTT = of("sotttt", None, "H55.13", receive=Receive.FETCH)


def province(*partners, hosts=(), every: timedelta | None = EVERY):
    said = LinkSettings(every=every, timeout=timedelta(seconds=5), hosts=tuple(hosts)) if every else None
    named = {each.code: each for each in partners}
    config = SimpleNamespace(partners=named, links=said, province="H55", identity=identity("hub"))
    return cast("Province", SimpleNamespace(config=config, routes=ROUTES))


@attrs.define
class Net:
    """The network as the probes find it: a latency in seconds, a reason, or nothing yet."""

    clock: Clock
    there: dict[str, Any] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    waiting: list[Deferred[Probe]] = attrs.field(factory=list)

    def now(self):
        return START + timedelta(seconds=self.clock.seconds())

    def ask(self, link, config):
        self.asked.append(link.name)
        match self.there.get(link.name, 0.02):
            case None:
                self.waiting.append(Deferred())
                return self.waiting[-1]
            case str(reason):
                return succeed(Probe(at=self.now(), reason=reason))
            case latency:
                return succeed(Probe(at=self.now(), latency=latency, ends=START + timedelta(days=20)))


@pytest.fixture
def engine(tmp_path):
    made = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))
    yield made
    made.dispose()


@pytest.fixture
def net():
    return Net(Clock())


def prober(engine, net, said, node="a", journal=None):
    made = LinkProber(Live(Setup(said)), journal or InlineDatabase(engine), net.ask, net.clock, net.now, node)
    made.startService()
    return made


def rounds(net, number, every=EVERY):
    for _ in range(number):
        net.clock.advance(every.total_seconds())


def happened(engine):
    with transactions.read_transaction(engine) as tx:
        said = [json.loads(text) for text in tx.scalars(event.select().with_only_columns(event.c.text))]
    return [(each["event"], each["link"], each["node"], each.get("reason", "")) for each in said if "link" in each]


def seen(engine, net):
    with transactions.read_transaction(engine) as tx:
        return {(each.name, each.node): each for each in link_rows.list_seen_links(tx, net.now())}


# --- what is probed ---------------------------------------------------------------------------------------------------


def test_partners_that_are_called_and_hosts_of_the_configuration_are_probed():
    mail = of("mail", "smtp://mail.example", "H55.01")
    drop = of("drop", "file:///srv/drop", "H55.01")
    found = list_probed_links(province(VPUB, SOTTTT, mail, drop, hosts=[GATE]).config)
    assert [(link.name, link.place, link.tls, link.units) for link in found] == [
        ("vpub", "10.0.0.7:9443", True, ("H55.01",)),
        ("mail", "mail.example:25", False, ("H55.01",)),
        ("gate", "10.0.0.1:22", False, ("H55.13",)),
    ]


def test_nothing_is_probed_unless_the_configuration_says_how_often(engine, net):
    prober(engine, net, province(VPUB, every=None))
    rounds(net, 3)
    assert net.asked == []


def test_so_many_are_probed_at_a_time_and_a_round_is_not_overtaken(engine, net):
    many = [of(f"p{number:02}", "https://10.0.0.7", "H55.01") for number in range(AT_ONCE + 4)]
    net.there = {each.code: None for each in many}
    service = prober(engine, net, province(*many))
    rounds(net, 2)
    assert len(net.asked) == AT_ONCE
    for each in list(net.waiting):
        each.callback(Probe(at=net.now(), latency=0.1))
    assert len(net.asked) == AT_ONCE + 4
    _ = service.stopService()
    rounds(net, 2)
    assert len(net.asked) == AT_ONCE + 4


# --- what is told -----------------------------------------------------------------------------------------------------


def test_only_a_turn_is_an_event(engine, net):
    service = prober(engine, net, province(VPUB))
    rounds(net, 3)
    assert happened(engine) == []
    assert service.describe_down_links() == ""
    net.there["vpub"] = "connection refused"
    rounds(net, 5)
    assert happened(engine) == [("link-down", "vpub", "a", "connection refused")]
    assert str(service.describe_down_links()) == "1 of 1 links are down: vpub since 2026-11-24 08:02:00Z"
    net.there["vpub"] = 0.05
    rounds(net, 5)
    assert happened(engine)[1:] == [("link-up", "vpub", "a", "")]
    assert service.describe_down_links() == ""


def test_a_restart_is_no_news(engine, net):
    net.there["vpub"] = "connection refused"
    _ = prober(engine, net, province(VPUB)).stopService()
    assert len(happened(engine)) == 1
    again = prober(engine, net, province(VPUB))
    assert len(happened(engine)) == 1
    assert "since 2026-11-24 08:00:00Z" in str(again.describe_down_links())


def test_the_table_shows_latency_and_days_left_and_who_has_fallen_silent(engine, net):
    service = prober(engine, net, province(VPUB))
    rounds(net, 2)
    row = seen(engine, net)["vpub", "a"]
    assert (row.state, row.since, row.p50, row.p95, row.days_left) == ("up", START, 0.02, 0.02, 19)
    _ = service.stopService()
    net.clock.advance(96)
    assert seen(engine, net)["vpub", "a"].state == "silent"


def test_a_link_that_is_no_more_is_forgotten_and_one_that_moved_begins_anew(engine, net):
    service = prober(engine, net, province(VPUB, hosts=[GATE]))
    net.clock.advance(30)
    service.live.setup = Setup(province(of("vpub", "https://10.0.0.8/soap", "H55.01")))
    service.reconfigure()
    net.clock.advance(0)
    assert {key: row.since for key, row in seen(engine, net).items()} == {("vpub", "a"): net.now()}


def test_what_cannot_be_written_now_is_written_in_a_later_round(engine, net):
    class Away(InlineDatabase):
        away = True

        def write(self, step, *args, **kwargs):
            if self.away:
                raise Unready("journal-unavailable", "gone")
            return super().write(step, *args, **kwargs)

    journal = Away(engine)
    net.there["vpub"] = "connection refused"
    prober(engine, net, province(VPUB), journal=journal)
    rounds(net, 3)
    assert happened(engine) == []
    journal.away = False
    rounds(net, 1)
    assert happened(engine) == [("link-down", "vpub", "a", "connection refused")]
    with transactions.write_transaction(engine) as tx:
        (linked,) = next(iter(link_rows.remove_link_days(tx, (START + timedelta(days=1)).date()).values()))
    assert linked.nodes["a"].probed.bit_count() == 3


# --- what a day comes to ----------------------------------------------------------------------------------------------


def test_a_day_of_two_nodes_is_one_message_whose_facts_count_no_minute_twice(engine, net):
    net.clock.advance((datetime(2026, 11, 24, 16, 50, tzinfo=UTC) - START).total_seconds())  # 23:50 in Hà Nội
    said = province(VPUB, hosts=[GATE], every=timedelta(minutes=1))
    prober(engine, net, said, "a")
    other = Net(net.clock, {"vpub": "no route"})
    prober(engine, other, said, "b")
    rounds(net, 4, timedelta(minutes=1))
    net.there["vpub"] = "no route"  # now neither sees it
    rounds(net, 15, timedelta(minutes=1))
    with transactions.read_transaction(engine) as tx:
        assert list(fact_rows.read_facts(tx)) == [], "ten minutes after midnight, and not before"
    rounds(net, 3, timedelta(minutes=1))
    with transactions.read_transaction(engine) as tx:
        facts = {(fact.unit, fact.counterpart, fact.milestone): fact for fact in fact_rows.read_facts(tx)}
        (message,) = search.find_messages(tx, MessageFilter(partner=HUB))
    assert {key: fact.amount for key, fact in facts.items()} == {
        ("H55.01", "vpub", "link-probed"): 10,
        ("H55.01", "vpub", "link-up"): 5,
        ("H55.13", "gate", "link-probed"): 10,
        ("H55.13", "gate", "link-up"): 10,
    }
    assert {fact.day for fact in facts.values()} == {datetime(2026, 11, 24, tzinfo=UTC).date()}
    assert has_id_of_its_time(message)
    assert (message.message_id, message.service, message.state) == ("links/2026-11-24", "links", "accepted")


def test_what_a_node_tells_after_the_day_was_written_is_not_counted(engine, net):
    said = province(VPUB)
    prober(engine, net, said)
    net.clock.advance(24 * 3600)
    late = Link(name="vpub", host="10.0.0.7", port=9443, tls=True, units=("H55.01",))
    with transactions.write_transaction(engine) as tx:
        minutes = {(late, START.date()): Minutes(1, 1)}
        link_rows.record_link_standings(tx, "b", {}, minutes, [], EVERY, net.now())
    rounds(net, 1)
    with transactions.read_transaction(engine) as tx:
        assert len(list(search.find_messages(tx, MessageFilter(partner=HUB)))) == 1
        assert [fact.amount for fact in fact_rows.read_facts(tx)] == [1, 1]


def test_a_units_report_has_the_minutes_of_its_links(engine, net):
    prober(engine, net, province(VPUB))
    rounds(net, 4)
    net.there["vpub"] = "no route"
    rounds(net, 4)
    net.clock.advance(24 * 3600)
    with transactions.read_transaction(engine) as tx:
        found = unit_report.resolve_report_sources(tx, "H55.01", "2026-12", "links").count(net.now())
    assert found.total.numbers == {"probed": 5, "up": 3}
