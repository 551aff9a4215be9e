"""The metrics of the journal in the Prometheus text format 0.0.4. Does not know who reads them.

Reading them takes a few queries that indexes answer. Quantities that grow without bound (messages, delivered
deliveries) are not counted. `lienthong_events_total` only grows and shows the activity.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs
import sqlalchemy as sa

from hub.journal import duties, events, feed_cursor
from hub.services.links.probes import Link, LinkStanding, LinkState, find_latency_quantile
from hub.store.tables import UNDELIVERED, delivery
from hub.store.transactions import Transaction

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@attrs.frozen
class Metric:
    """One metric: a single value, or one value per set of labels."""

    name: str
    kind: str  #: gauge or counter
    help: str  #: the HELP text
    samples: tuple[tuple[Mapping[str, str], float], ...]  #: labels and value of each sample


def make_metric(name: str, kind: str, help_: str, value: float) -> Metric:
    """Return a metric with a single value and no labels."""
    return Metric(name, kind, help_, (({}, value),))


def write_metrics(metrics: Iterable[Metric]) -> bytes:
    """Return *metrics* in the Prometheus text format."""
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in metric.samples:
            shown = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
            lines.append(f"{metric.name}{'{' + shown + '}' if shown else ''} {value:.17g}")
    return ("\n".join(lines) + "\n").encode()


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def measure_journal(tx: Transaction, now: datetime, feed: str | None) -> list[Metric]:
    """Return the metrics of the journal, and those of the subscription *feed* unless it is None."""
    count, since = sa.func.count(), sa.func.min(delivery.c.since)
    rows = tx.execute(
        sa.select(delivery.c.partner, delivery.c.state, count.label("count"), since.label("since"))
        .where(UNDELIVERED)
        .group_by(delivery.c.state, delivery.c.partner)
        .order_by(delivery.c.partner, delivery.c.state)
    ).all()
    named = [({"partner": row.partner, "state": row.state}, row) for row in rows]
    oldest, left = events.read_oldest_unchained(tx), duties.read_outstanding_duties(tx)
    metrics = [
        Metric(
            "lienthong_deliveries",
            "gauge",
            "Deliveries that did not arrive yet, by partner and state.",
            tuple((labels, row._mapping["count"]) for labels, row in named),  # noqa: SLF001 - `row.count` is a method of the row
        ),
        Metric(
            "lienthong_deliveries_oldest_age_seconds",
            "gauge",
            "How long the oldest of them has waited, since it was made or replayed.",
            tuple((labels, _age(now, row.since)) for labels, row in named),
        ),
        make_metric(
            "lienthong_facts_outstanding", "gauge", "Facts of accepted messages that are not written yet.", left.facts
        ),
        make_metric(
            "lienthong_duties_outstanding_oldest_age_seconds",
            "gauge",
            "How long ago the oldest message was received whose facts are not all written; 0 without any.",
            _age(now, left.since),
        ),
        make_metric(
            "lienthong_events_total",
            "counter",
            "Events that have their number in the chain.",
            events.read_chain_head(tx)[0],
        ),
        make_metric(
            "lienthong_events_unchained",
            "gauge",
            "Events that wait for their number.",
            events.count_unchained_events(tx),
        ),
        make_metric(
            "lienthong_events_unchained_oldest_age_seconds",
            "gauge",
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
    up = tuple((labels, float(each.state is LinkState.UP)) for labels, each in known)
    latencies = tuple(
        ({**labels, "quantile": f"{share:g}"}, found)
        for labels, each in known
        for share in (0.5, 0.95)
        if (found := find_latency_quantile(each.latencies, share)) is not None
    )
    ends = tuple((labels, each.ends.timestamp()) for labels, each in known if each.ends is not None)
    return [
        Metric("lienthong_link_up", "gauge", "1 where this node reaches the other side.", up),
        Metric("lienthong_link_latency_seconds", "gauge", "Quantiles of the latency of the latest probes.", latencies),
        Metric(
            "lienthong_link_certificate_expiry_timestamp_seconds",
            "gauge",
            "Expiry time of the certificate that the other side shows.",
            ends,
        ),
    ]


def _of_feed(tx: Transaction, now: datetime, feed: str) -> list[Metric]:
    lag = feed_cursor.read_feed_lag(tx, feed)
    return [
        make_metric("lienthong_feed_published_total", "counter", "Events that the feed published.", lag.published),
        make_metric(
            "lienthong_feed_unpublished_events", "gauge", "Events that the feed has not published yet.", lag.events
        ),
        make_metric(
            "lienthong_feed_unpublished_oldest_age_seconds",
            "gauge",
            "How long the oldest of them has waited; 0 without any.",
            _age(now, lag.oldest),
        ),
    ]


def _age(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
