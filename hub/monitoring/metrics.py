"""The metrics of the journal, of the links and of the feed, as prometheus-client writes them. Does not know who reads them.

Reading them takes a few queries, which cost the same however much waits. Quantities that grow without bound (messages, delivered
deliveries) are not counted. `lienthong_events_total` only grows and shows the activity.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hub.journal import duties, events, feed_cursor
from hub.journal.waiting_counts import read_waiting
from hub.services.links.probes import Link, LinkStanding, LinkState
from hub.store.transactions import Transaction

#: Labels and value of each sample.
Samples = Iterable[tuple[Mapping[str, str], float]]


def make_gauge(name: str, help_: str, *samples: tuple[Mapping[str, str], float]) -> Metric:
    """Return a gauge. All its *samples* have the same labels, in the same order."""
    return _fill(GaugeMetricFamily(name, help_, labels=_labels(samples)), samples)


def make_counter(name: str, help_: str, *samples: tuple[Mapping[str, str], float]) -> Metric:
    """Return a counter. *name* is without `_total`, which its samples end with."""
    return _fill(CounterMetricFamily(name, help_, labels=_labels(samples)), samples)


def make_value(name: str, help_: str, value: float) -> Metric:
    """Return a gauge of one *value* without labels."""
    return make_gauge(name, help_, ({}, value))


def _labels(samples: Sequence[tuple[Mapping[str, str], float]]) -> Sequence[str]:
    return list(samples[0][0]) if samples else ()


def _fill(family: GaugeMetricFamily | CounterMetricFamily, samples: Samples) -> Metric:
    for labels, value in samples:
        family.add_metric(list(labels.values()), value)
    return family


def measure_journal(tx: Transaction, now: datetime, feed: str | None) -> list[Metric]:
    """Return the metrics of the journal, and those of the subscription *feed* unless it is None."""
    waiting = [({"partner": each.partner, "state": each.state.value}, each) for each in read_waiting(tx, now)]
    oldest, left = events.read_oldest_unchained(tx), duties.read_outstanding_duties(tx)
    metrics = [
        make_gauge(
            "lienthong_deliveries",
            "Deliveries that did not arrive yet, by partner and state.",
            *((labels, each.count) for labels, each in waiting),
        ),
        make_gauge(
            "lienthong_deliveries_oldest_age_seconds",
            "How long the oldest of them has waited, since it was made or replayed.",
            *((labels, each.age.total_seconds()) for labels, each in waiting),
        ),
        make_value("lienthong_facts_outstanding", "Facts of accepted messages that are not written yet.", left.facts),
        make_value(
            "lienthong_duties_outstanding_oldest_age_seconds",
            "How long ago the oldest message was received whose facts are not all written; 0 without any.",
            _age(now, left.since),
        ),
        make_counter(
            "lienthong_events", "Events that have their number in the chain.", ({}, events.read_chain_head(tx)[0])
        ),
        make_value(
            "lienthong_events_unchained", "Events that wait for their number.", events.count_unchained_events(tx)
        ),
        make_value(
            "lienthong_events_unchained_oldest_age_seconds",
            "How long the oldest of them has waited; 0 without any.",
            _age(now, None if oldest is None else datetime.fromisoformat(oldest)),
        ),
    ]
    return metrics if feed is None else [*metrics, *_of_feed(tx, now, feed)]


def measure_links(standings: Mapping[Link, LinkStanding]) -> list[Metric]:
    """Return the metrics of the links as this node sees them. Empty if no link is probed."""
    if not standings:
        return []
    known = [({"link": link.name}, each) for link, each in standings.items()]
    return [
        make_gauge(
            "lienthong_link_up",
            "1 where this node reaches the other side.",
            *((labels, float(each.state is LinkState.UP)) for labels, each in known),
        ),
        make_gauge(
            "lienthong_link_certificate_expiry_timestamp_seconds",
            "Expiry time of the certificate that the other side shows.",
            *((labels, each.ends.timestamp()) for labels, each in known if each.ends is not None),
        ),
    ]


def _of_feed(tx: Transaction, now: datetime, feed: str) -> list[Metric]:
    lag = feed_cursor.read_feed_lag(tx, feed)
    return [
        make_counter("lienthong_feed_published", "Events that the feed published.", ({}, lag.published)),
        make_value("lienthong_feed_unpublished_events", "Events that the feed has not published yet.", lag.events),
        make_value(
            "lienthong_feed_unpublished_oldest_age_seconds",
            "How long the oldest of them has waited; 0 without any.",
            _age(now, lag.oldest),
        ),
    ]


def _age(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
