"""The rows of the links on each database: what nodes tell lies over one another, and a day is taken out once."""

from datetime import UTC, date, datetime, timedelta

from hub.monitoring import link_rows
from hub.services.links.probes import Link, LinkStanding, Minutes, Probe, advance_link_standing
from hub.store import transactions
from tests.province import NOW

GATE = Link(name="gate", host="10.0.0.1", port=22, tls=False, units=("H55.13",), partner=False)
DAY = date(2026, 11, 24)
SILENT = timedelta(seconds=95)


def tell(tx, node, minutes, latency=0.02):
    standing = advance_link_standing(
        LinkStanding(), Probe(at=NOW, latency=latency, reason="" if latency else "no route")
    )
    link_rows.record_link_standings(tx, node, {GATE: standing}, {(GATE, DAY): minutes}, [], SILENT, NOW)


def test_what_a_node_tells_again_is_laid_over_what_it_told(engine):
    for minutes in (Minutes(0b001, 0b001), Minutes(0b110, 0b010)):
        with transactions.write_transaction(engine) as tx:
            tell(tx, "a", minutes)
    with transactions.write_transaction(engine) as tx:
        tell(tx, "b", Minutes(0b1000, 0), latency=None)
        assert [(each.node, each.state, each.reason) for each in link_rows.list_seen_links(tx, NOW)] == [
            ("a", "up", ""),
            ("b", "down", "no route"),
        ]
        assert {each.state for each in link_rows.list_seen_links(tx, NOW + timedelta(minutes=5))} == {"silent"}
        assert link_rows.read_node_links(tx, "b")["gate", "10.0.0.1:22"].since == NOW
    with transactions.write_transaction(engine) as tx:
        assert link_rows.remove_link_days(tx, DAY) == {}, "the day is not over"
        (linked,) = link_rows.remove_link_days(tx, DAY + timedelta(days=1))[DAY]
        assert (linked.name, linked.place, linked.units) == ("gate", "10.0.0.1:22", ("H55.13",))
        assert linked.nodes == {"a": Minutes(0b111, 0b011), "b": Minutes(0b1000, 0)}
        assert link_rows.remove_link_days(tx, DAY + timedelta(days=1)) == {}


def test_whenever_a_certificate_ends_a_link_can_be_read_back(engine):
    for ends in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        with transactions.write_transaction(engine) as tx:
            standing = advance_link_standing(LinkStanding(), Probe(at=NOW, ends=ends, reason="certificate-expired"))
            link_rows.record_link_standings(tx, "a", {GATE: standing}, {}, [], SILENT, NOW)
            assert link_rows.read_node_links(tx, "a")["gate", "10.0.0.1:22"].ends == ends
            assert [each.ends for each in link_rows.list_seen_links(tx, NOW)] == [ends]
