"""/readyz says why: database, schema, chain, queue, disk, keys, clock, revocation.  /metrics says how much."""

import json
import os
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.web.test.requesthelper import DummyRequest

from hub.config import Partner
from hub.domain.measures import Measures
from hub.domain.model import Event
from hub.domain.node_counts import Counted, LocalCounts
from hub.domain.writer_budget import WriterBudget, WriterReading
from hub.feed.publisher import Feed
from hub.journal import events
from hub.journal.nodes import PendingRestart
from hub.monitoring.metrics import measure_forms
from hub.node import admin, readiness
from hub.node.admin import MeasuredParts, gather_metrics, measure_ended_workers
from hub.node.port_builder import KEY_PATIENCE, find_key_flaw
from hub.node.readiness import CODES, SHARED, PartFindings, Readiness, SharedMeasurement, measure_readiness
from hub.node.workers.pool import WorkerPool
from hub.partner.policy import Policy
from hub.runtime.exposition import list_measures, list_process_metrics
from hub.runtime.thread_pool import run_at_once
from hub.security.anchors import Anchors
from hub.services.links.probes import Link, LinkStanding, Probe, advance_link_standing
from hub.store import transactions
from hub.store.inline_database import InlineDatabase
from hub.units.live import Live, Setup
from hub.units.province import Province
from hub.web.soap_listener import BoundedSite
from tests import databases, pki
from tests.pages import DOCS, quoted, rows, sections
from tests.web.test_connections import Line

NOW = pki.NOW


@pytest.fixture
def engine(tmp_path):
    return transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)


def told(
    engine,
    tmp_path,
    now=NOW,
    *,
    anchors=None,
    partners=(),
    key_flaw="",
    journal=None,
    free_disk=1,
    links="",
    workers=None,
    pending=None,
    writer=WriterReading(),
):
    """Return whether the hub is ready, and the reasons that are not well."""
    certificate = SimpleNamespace(
        not_valid_before_utc=NOW - timedelta(days=1), not_valid_after_utc=NOW + timedelta(days=1)
    )
    config = SimpleNamespace(
        data=tmp_path,
        database_url=f"sqlite:///{tmp_path / 'hub.db'}",
        free_disk=free_disk,
        own=(("pki.certificate", SimpleNamespace(certificate=certificate)),),
        anchors=anchors,
        partners={partner.code: partner for partner in partners},
    )
    province = cast("Province", SimpleNamespace(config=config))
    done: list[Any] = []
    asked = measure_readiness(
        journal or InlineDatabase(engine),
        province,
        now,
        run_at_once,
        lambda: succeed(key_flaw),
        PartFindings(links=links, workers=workers, pending=pending, writer=writer),
    )
    _ = Deferred.fromCoroutine(asked).addCallback(done.append)
    (found,) = done
    return found.ready, {name: why for name, why in found.reasons.items() if why}


def look(engine, tmp_path, now=NOW, **said):
    """Return the reasons that are not well, each of which is grave."""
    ready, reasons = told(engine, tmp_path, now, **said)
    assert ready == (not reasons)
    return reasons


def test_all_is_well(engine, tmp_path):
    assert look(engine, tmp_path) == {}


def test_an_event_that_waits_too_long_for_its_number(engine, tmp_path):
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("message-accepted", NOW - timedelta(minutes=1)))
    assert "chain" in look(engine, tmp_path)
    with transactions.write_transaction(engine) as tx:
        events.chain_events(tx)
    assert look(engine, tmp_path) == {}


def test_a_clock_that_went_back(engine, tmp_path):
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("message-accepted", NOW + timedelta(hours=1)))
    assert "clock" in look(engine, tmp_path)


def test_a_certificate_that_ended(engine, tmp_path):
    assert "keys" in look(engine, tmp_path, NOW + timedelta(days=2))


def test_a_setting_that_waits_for_a_restart_is_told_while_the_node_serves(engine, tmp_path):
    pending = PendingRestart(settings=("soap", "workers"), since=NOW - timedelta(days=3))
    ready, reasons = told(engine, tmp_path, pending=pending)
    assert ready
    assert str(reasons["restart"]).startswith("soap, workers: changed 2026-")
    assert told(engine, tmp_path, pending=PendingRestart()) == (True, {})


def test_a_writer_that_is_always_busy_is_told_with_by_whom_while_the_node_serves(engine, tmp_path):
    """Else whoever keeps it busy could take the node out of service."""
    budget = WriterBudget()
    for second in range(300):
        budget.charge("sotttt", 0.0, 0.7, float(second))
        budget.charge("", 0.0, 0.25, float(second))
    ready, reasons = told(engine, tmp_path, writer=budget.read(300.0))
    assert ready
    assert str(reasons["writer"]) == "the writer of the journal is busy 94 % of the time, 74 % of it for sotttt"
    assert told(engine, tmp_path, writer=budget.read(400.0)) == (True, {})


def test_who_has_more_than_its_share_of_the_writer_is_told_too(engine, tmp_path):
    budget = WriterBudget()
    for second in range(60):
        budget.charge("sotttt", 1.0, 1.0, 4.0 * second)
        budget.charge("vpub", 0.01, 0.01, 4.0 * second)
    ready, reasons = told(engine, tmp_path, writer=budget.read(240.0))
    assert ready
    assert str(reasons["writer"]) == "more than their share of the writer of the journal: sotttt"


def test_a_key_that_cannot_sign(engine, tmp_path):
    assert look(engine, tmp_path, key_flaw="there is no token truc") == {"keys": "there is no token truc"}


def test_a_database_that_is_gone(engine, tmp_path):
    (tmp_path / "hub.db").unlink()
    (tmp_path / "hub.db").mkdir()
    assert "database" in look(engine, tmp_path)


def test_a_schema_of_another_version(tmp_path):
    assert "schema" in look(transactions.open_journal(f"sqlite:///{tmp_path / 'new.db'}", pooled=False), tmp_path)


def test_links_that_are_down_are_told_and_borne(engine, tmp_path):
    assert told(engine, tmp_path, links="1 of 2 links are down: vpub since 2026-11-24 08:02:00Z") == (
        True,
        {"links": "1 of 2 links are down: vpub since 2026-11-24 08:02:00Z"},
    )


def serving(count):
    """Return the worker processes of a node with two, of which so many serve."""
    why = "" if count == 2 else f"{count} of 2 worker processes serve"
    connections = {"0": 7, "1": 0}
    return cast(
        "WorkerPool",
        SimpleNamespace(
            ready=count, ended=4, describe_missing_workers=lambda: why, count_connections=lambda: connections
        ),
    )


def test_one_worker_process_is_enough_and_none_is_not(engine, tmp_path):
    assert told(engine, tmp_path, workers=serving(2)) == (True, {})
    assert told(engine, tmp_path, workers=serving(1)) == (True, {"workers": "1 of 2 worker processes serve"})
    assert told(engine, tmp_path, workers=serving(0)) == (False, {"workers": "0 of 2 worker processes serve"})


def test_a_disk_that_is_nearly_full(engine, tmp_path):
    (why,) = look(engine, tmp_path, free_disk=1 << 60).values()
    assert f"{1 << 60} needed" in str(why)


def test_a_journal_that_is_not_written(engine, tmp_path):
    class Slow(InlineDatabase):
        def trouble(self):
            return "9 steps wait"

    assert look(engine, tmp_path, journal=Slow(engine)) == {"queue": "9 steps wait"}


def test_a_token_that_keeps_readyz_waiting_is_not_well():
    clock, waiting = Clock(), Deferred[str]()
    province: Any = SimpleNamespace(config=SimpleNamespace(identity=SimpleNamespace(flaw=None)))
    told: list[object] = []
    flaw = find_key_flaw(Live(Setup(province)), cast("Any", lambda _owner, _size, _step: waiting), clock)
    _ = Deferred.fromCoroutine(flaw).addCallback(told.append)
    clock.advance(KEY_PATIENCE)
    assert [str(flaw) for flaw in told] == ["no answer within 5 s"]


# Who is told what, and how often is looked


@attrs.define(eq=False)
class Asked:
    """An admin port whose looks end when the test says so."""

    clock: Clock = attrs.field(factory=Clock)
    looks: list[Deferred[Readiness]] = attrs.field(factory=list)

    async def look(self):
        self.looks.append(Deferred())
        return await self.looks[-1]

    def port(self):
        look = SharedMeasurement(self.look, self.clock.seconds, readiness.choose_shared_seconds)
        served = admin.make_admin_resource(look.get, dict)
        return BoundedSite(served, 1000, "urn:x", self.clock)


def ask(site):
    line = Line()
    line.protocol = site.buildProtocol(None)
    line.protocol.makeConnection(line)
    line.protocol.dataReceived(b"GET /readyz HTTP/1.0\r\nHost: hub\r\n\r\n")
    return line


def test_what_was_not_looked_at_yet_is_neither_ok_nor_wrong() -> None:
    asked = dict.fromkeys(CODES, "") | {"receipts": "not counted", "era": "not compared"}
    found = Readiness(asked, frozenset({"receipts"}), frozenset({"era", "receipts"}))
    assert (found.codes["receipts"], found.codes["era"], found.codes["disk"]) == ("unknown", "unknown", "ok")
    assert not found.ready, "it may be another journal"


WRONG = Readiness(dict.fromkeys(CODES, "") | {"database": "/var/run/postgresql/.s.PGSQL.5432 is gone", "disk": "/srv"})


def test_whoever_asks_learns_codes_and_no_paths():
    asked = Asked()
    line = ask(asked.port())
    asked.looks[0].callback(WRONG)
    head, _, body = line.heard.partition(b"\r\n\r\n")
    assert head[9:12] == b"503"
    assert json.loads(body) == {
        "ready": False,
        "reasons": dict.fromkeys(CODES, "ok") | {"database": "unavailable", "disk": "low"},
    }


def test_one_look_serves_all_who_ask_while_it_lasts_and_for_a_second():
    asked = Asked()
    site = asked.port()
    lines = [ask(site) for _ in range(100)]
    assert len(asked.looks) == 1
    asked.looks[0].callback(Readiness(dict.fromkeys(CODES, "")))
    lines += [ask(site) for _ in range(100)]
    assert len(asked.looks) == 1
    assert {line.heard[9:12] for line in lines} == {b"200"}
    asked.clock.advance(SHARED)
    lines = [ask(site) for _ in range(100)]
    assert len(asked.looks) == 2
    asked.looks[1].callback(WRONG)
    assert {line.heard[9:12] for line in lines} == {b"503"}


def test_what_was_not_looked_at_yet_is_looked_at_again_within_the_second_whoever_asks_how_often():
    asked = Asked()
    site = asked.port()
    ask(site)
    reasons = dict.fromkeys(CODES, "")
    asked.looks[0].callback(Readiness(reasons | {"era": "not compared"}, unknown=frozenset({"era"})))
    assert {ask(site).heard[9:12] for _ in range(100)} == {b"503"}
    assert len(asked.looks) == 1
    asked.clock.advance(SHARED / 10)
    line = ask(site)
    asked.looks[1].callback(Readiness(reasons))
    assert line.heard[9:12] == b"200"


def test_a_look_that_failed_is_told_to_who_waits_and_not_kept():
    asked = Asked()
    site = asked.port()
    lines = [ask(site) for _ in range(3)]
    lines[0].abortConnection()
    asked.looks[0].errback(OSError("gone"))
    assert [line.heard[9:12] for line in lines] == [b"", b"500", b"500"]
    ask(site)
    assert len(asked.looks) == 2


def test_the_log_has_the_words_once_for_each_change():
    well = Readiness(dict.fromkeys(CODES, ""))
    told = readiness.ReadinessLog()
    with capture_logs() as logs:
        for found in (well, WRONG, WRONG, well, well):
            assert told.log_changes(found) is found
    wrong = {name: why for name, why in WRONG.reasons.items() if why}
    assert [(each["ready"], each["reasons"]) for each in logs] == [(False, wrong), (True, {})]


# Revocation

CA, OTHER_CA = pki.authority(), pki.authority("Other CA")
HOURS = timedelta(hours=1)


def of(code, *certificates, revocation="configured"):
    return Partner(code=code, name=code, certificates=certificates, units=(), policy=Policy(revocation=revocation))


def listed():
    """Return anchors of which the first publishes what it revokes, for an hour."""
    return Anchors([CA.certificate, OTHER_CA.certificate], [CA.crl(ends=NOW + HOURS)])


MINE = [CA.issue(name).certificate for name in ("a", "b")]
THEIRS = OTHER_CA.issue("c").certificate


def test_a_list_that_is_overdue_is_told_and_ends_readiness_only_when_it_keeps_everyone_out(engine, tmp_path):
    a, b, c = of("a", MINE[0]), of("b", MINE[1]), of("c", THEIRS)
    for at, partners, ready, count in (
        (NOW, (a, b), True, ""),
        (NOW + 2 * HOURS, (a, b), False, "2 of 2 "),
        (NOW + 2 * HOURS, (a, b, c), True, "2 of 3 "),
        (NOW + 2 * HOURS, (c,), True, ""),
    ):
        found, reasons = told(engine, tmp_path, at, anchors=listed(), partners=partners)
        said = str(reasons.pop("revocation", ""))
        assert (found, said[:7], reasons) == (ready, count, {})
        assert ("the CRL is overdue since " in said) == bool(count)


def test_a_ca_that_was_asked_and_never_heard_is_missing(engine, tmp_path):
    anchors = Anchors([CA.certificate], sourced=[CA.certificate])
    ready, reasons = told(engine, tmp_path, anchors=anchors, partners=[of("a", MINE[0])])
    assert not ready
    assert "nothing has been fetched from the CA yet" in str(reasons["revocation"])


def test_the_policy_says_what_is_demanded(engine, tmp_path):
    silent = Anchors([CA.certificate])
    assert told(engine, tmp_path, anchors=silent, partners=[of("a", MINE[0])]) == (True, {})
    ready, reasons = told(engine, tmp_path, anchors=silent, partners=[of("a", MINE[0], revocation="require")])
    assert not ready
    assert "no configured source of revocations" in str(reasons["revocation"])
    stale = told(engine, tmp_path, NOW + 2 * HOURS, anchors=listed(), partners=[of("a", MINE[0], revocation="allow")])
    assert stale == (True, {})


def test_one_certificate_that_counts_lets_its_partner_in(engine, tmp_path):
    both = of("a", MINE[0], THEIRS)
    assert told(engine, tmp_path, NOW + 2 * HOURS, anchors=listed(), partners=[both]) == (True, {})


def test_what_no_newer_list_would_mend_is_not_told_here(engine, tmp_path):
    revoked = Anchors([CA.certificate], [CA.crl(MINE[0], ends=NOW + HOURS)])
    assert told(engine, tmp_path, anchors=revoked, partners=[of("a", MINE[0])]) == (True, {})


# Metrics

PAGE = DOCS / "reference/metrics.md"


def measured(engine, tmp_path):
    """Return the metrics by name."""
    certificate = SimpleNamespace(
        not_valid_before_utc=NOW - timedelta(days=1), not_valid_after_utc=NOW + timedelta(days=1)
    )
    config = SimpleNamespace(
        data=tmp_path,
        free_disk=1 << 20,
        anchors=listed(),
        own=(("pki.certificate", SimpleNamespace(certificate=certificate)),),
        partners={"vpub": SimpleNamespace(code="vpub", certificates=(certificate,))},
    )
    ready, reasons = told(engine, tmp_path)
    found = Readiness(dict.fromkeys(("database", "schema", "keys"), "") | reasons, frozenset())
    assert found.ready == ready
    feed = cast("Feed", SimpleNamespace(name="lienthong", connected=True))
    province = cast("Province", SimpleNamespace(config=config))
    done: list[Any] = []
    gate = Link(name="gate", host="10.0.0.1", port=443, tls=True)
    standings = {gate: advance_link_standing(LinkStanding(), Probe(at=NOW, latency=0.02, ends=NOW))}
    counts, workers = LocalCounts(), serving(1)
    counts.add(Counted.ANSWERING, "vpub", 2)
    counts.add(Counted.ANSWERING, "sotttt", 1)
    parts = MeasuredParts(feed=feed, heard={}, standings=standings, counts=counts, workers=workers)
    asked = gather_metrics(found, InlineDatabase(engine), province, NOW, parts)
    _ = Deferred.fromCoroutine(asked).addBoth(done.append)
    return {sample_name(each): {tuple(s.labels.values()): s.value for s in each.samples} for each in done[0]}


def test_all_processes_that_ended_unexpectedly_are_counted_together():
    (sample,) = measure_ended_workers([serving(2), serving(1)]).samples
    assert (sample.name, sample.labels, sample.value) == ("lienthong_workers_ended_total", {}, 8.0)


def sample_name(metric):
    """Return the name under which Prometheus finds a metric."""
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def test_the_metrics_of_a_hub_that_is_well(engine, tmp_path):
    found = measured(engine, tmp_path)
    assert set(found["lienthong_ready"].values()) == {1.0}
    assert found["lienthong_certificate_expiry_timestamp_seconds"] == dict.fromkeys(
        [("hub",), ("vpub",)], (NOW + timedelta(days=1)).timestamp()
    )
    assert found["lienthong_disk_free_bytes"][()] > 0
    assert found["lienthong_calls_in_progress"] == {(): 3.0}
    assert found["lienthong_workers_ready"] == {(): 1.0}
    assert found["lienthong_worker_connections"] == {("0",): 7.0, ("1",): 0.0}
    assert found["lienthong_feed_connected"] == {(): 1.0}
    assert found["lienthong_feed_unpublished_events"] == {(): 0}
    assert found["lienthong_link_up"] == {("gate",): 1.0}
    assert found["lienthong_link_certificate_expiry_timestamp_seconds"] == {("gate",): NOW.timestamp()}


def test_without_a_database_the_metrics_say_so(engine, tmp_path):
    (tmp_path / "hub.db").unlink()
    (tmp_path / "hub.db").mkdir()
    found = measured(engine, tmp_path)
    assert found["lienthong_ready"]["database",] == 0.0
    assert "lienthong_events_total" not in found


def test_every_metric_is_explained(engine, tmp_path):
    own = [*list_process_metrics("1", "0001", {"0": os.getpid()}), *list_measures(Measures())]
    own += [*measure_forms(Measures(), {}), measure_ended_workers([])]
    told = [*map(sample_name, own), *measured(engine, tmp_path)]
    explained = [name for text in sections(PAGE).values() for row in rows(text) for name in quoted(row[0])]
    assert sorted(told) == sorted(explained)


@pytest.mark.parametrize(
    ("languages", "language", "title"),
    [(None, "vi", "Đặc tả dịch vụ"), ("en-GB,vi;q=0.5", "en", "Service contracts")],
)
def test_the_page_of_contracts_is_in_the_readers_language(languages, language, title):
    request = DummyRequest([b""])
    request.prepath, request.postpath = [b"contracts"], [b""]
    if languages is not None:
        request.requestHeaders.setRawHeaders("Accept-Language", [languages])
    page = admin._Contracts(lambda: {"documents.wsdl": b"<w/>"}).render_GET(cast("Any", request)).decode()
    assert f'<html lang="{language}">' in page
    assert f"<h1>{title}</h1>" in page
    assert '<a href="/contracts/documents.wsdl">' in page
    assert request.responseHeaders.getRawHeaders("Vary") == ["Accept-Language"]
