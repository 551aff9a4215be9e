"""The metrics of the journal, of the links and of the feed, as prometheus-client writes them. Does not know who reads them.

Reading them takes a few queries, which cost the same however much waits. Quantities that grow without bound (messages, delivered
deliveries) are not counted. `lienthong_events_total` only grows and shows the activity.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hub.domain.measures import FACTS, Measures
from hub.journal import duties, events, feed_cursor
from hub.journal.queue import partner_state
from hub.journal.queue.waiting_counts import read_waiting
from hub.keeping import backup_runs, hub_alerts
from hub.keeping.retention import parts
from hub.partner.circuit_breaker import BreakerPosition
from hub.security.anchors import Anchors
from hub.security.crl_ocsp import OcspAnswer, RevocationList
from hub.services.links.probes import Link, LinkStanding, LinkState
from hub.store.transactions import Transaction, measure_database_size

#: Labels and value of each sample.
Samples = Iterable[tuple[Mapping[str, str], float]]


def make_gauge(name: str, help_: str, *samples: tuple[Mapping[str, str], float]) -> Metric:
    """Return a gauge. All its *samples* have the same labels, in the same order."""
    return _fill_family(GaugeMetricFamily(name, help_, labels=_list_labels(samples)), samples)


def make_counter(name: str, help_: str, *samples: tuple[Mapping[str, str], float]) -> Metric:
    """Return a counter. *name* is without `_total`, which its samples end with."""
    return _fill_family(CounterMetricFamily(name, help_, labels=_list_labels(samples)), samples)


def make_value(name: str, help_: str, value: float) -> Metric:
    """Return a gauge of one *value* without labels."""
    return make_gauge(name, help_, ({}, value))


def _list_labels(samples: Sequence[tuple[Mapping[str, str], float]]) -> Sequence[str]:
    return list(samples[0][0]) if samples else ()


def _fill_family(family: GaugeMetricFamily | CounterMetricFamily, samples: Samples) -> Metric:
    for labels, value in samples:
        family.add_metric(list(labels.values()), value)
    return family


def measure_trust(anchors: Anchors) -> list[Metric]:
    """Return the age of what is known of revocations: of the newest CRL and the oldest OCSP answer of each CA."""
    lists, answers = anchors.list_revocations()
    newest: dict[str, RevocationList] = {}
    for each in lists:
        name = name_authority(each.issuer)
        if name not in newest or newest[name].begins < each.begins:
            newest[name] = each
    heard: dict[str, list[OcspAnswer]] = {}
    for certificate, answer in answers.items():
        heard.setdefault(name_authority(certificate.issuer), []).append(answer)
    by_list = [({"issuer": name}, each) for name, each in sorted(newest.items())]
    by_answer = [({"issuer": name}, some) for name, some in sorted(heard.items())]
    return [
        make_gauge(
            "lienthong_crl_issued_timestamp_seconds",
            "When the newest CRL of the CA was issued (thisUpdate).",
            *((labels, each.begins.timestamp()) for labels, each in by_list),
        ),
        make_gauge(
            "lienthong_crl_expiry_timestamp_seconds",
            "Until when it is current (nextUpdate); 0 if it does not say: then it is never current.",
            *((labels, each.ends.timestamp() if each.ends else 0.0) for labels, each in by_list),
        ),
        make_gauge(
            "lienthong_ocsp_issued_timestamp_seconds",
            "When the oldest OCSP answer of the CA that is in use was issued (thisUpdate).",
            *((labels, min(each.begins for each in some).timestamp()) for labels, some in by_answer),
        ),
        make_gauge(
            "lienthong_ocsp_expiry_timestamp_seconds",
            "Until when the first of its OCSP answers to end is current (nextUpdate).",
            *((labels, min(each.ends for each in some).timestamp()) for labels, some in by_answer),
        ),
    ]


def name_authority(issuer: x509.Name) -> str:
    """Return the common name of a CA, or all of its name if it has none; at most 100 characters."""
    named = issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(named[0].value if named else issuer.rfc4514_string())[:100]


def measure_forms(measures: Measures, services: Mapping[str, Collection[str]]) -> list[Metric]:
    """Return how many of the facts that this node has numbered each form counts. *services*: of each form."""
    counted: dict[str, float] = {}
    for (service, _), (count,) in measures.read(FACTS).items():
        counted[service] = counted.get(service, 0.0) + count
    return [
        make_counter(
            "lienthong_form_facts",
            "Facts that this node has numbered, by the form of report that counts their service.",
            *(
                ({"form": form}, sum(count for service, count in counted.items() if service in some))
                for form, some in sorted(services.items())
            ),
        )
    ]


def measure_journal(tx: Transaction, now: datetime, feed: str | None, partners: Collection[str] = ()) -> list[Metric]:
    """Return the metrics of the journal, and those of the subscription *feed* unless it is None.

    *partners*: the codes of those that are configured.
    """
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
            _measure_age(now, left.since),
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
            _measure_age(now, None if oldest is None else datetime.fromisoformat(oldest)),
        ),
        make_value("lienthong_database_size_bytes", "Octets that the database takes.", measure_database_size(tx)),
        *_of_partners(tx, partners),
        *_of_backups(tx),
        _of_retention(tx, now),
        *_of_alerts(tx),
    ]
    return metrics if feed is None else [*metrics, *_of_feed(tx, now, feed)]


def _of_partners(tx: Transaction, partners: Collection[str]) -> list[Metric]:
    found = partner_state.read_partner_standings(tx)
    known = [({"partner": code}, found.get(code, partner_state.PartnerStanding())) for code in sorted(partners)]
    return [
        make_gauge(
            "lienthong_breaker",
            "1 at the position of the circuit breaker of the partner.",
            *(
                ({**labels, "position": position.value}, float(each.breaker.position is position))
                for labels, each in known
                for position in BreakerPosition
            ),
        ),
        make_gauge(
            "lienthong_partner_paused",
            "1 while a person has paused the sending to the partner.",
            *((labels, float(each.pause is not None)) for labels, each in known),
        ),
    ]


def _of_backups(tx: Transaction) -> list[Metric]:
    standing = backup_runs.read_backup_standing(tx)
    made = standing.last_good.made_at if standing.last_good is not None else None
    return [
        make_gauge(
            "lienthong_backup_last_good_timestamp_seconds",
            "The moment of the journal in the last backup that was made and tried; absent without any.",
            *([({}, made.timestamp())] if made is not None else []),
        ),
        make_value(
            "lienthong_backup_failed",
            "1 if the last backup that has ended failed.",
            float(standing.failure is not None),
        ),
    ]


def _of_retention(tx: Transaction, now: datetime) -> Metric:
    late = parts.read_oldest_open(tx)
    return make_value(
        "lienthong_retention_overdue_seconds",
        "How long ago the messages that were announced to go should have gone; 0 without any.",
        _measure_age(now, None if late is None else late.due_at),
    )


def _of_alerts(tx: Transaction) -> list[Metric]:
    raised = Counter((each.key.kind, each.severity.value) for each in hub_alerts.read_alerts(tx, ended=False))
    return [
        make_gauge(
            "lienthong_alerts",
            "Alerts of the hub itself that are raised.",
            *(({"kind": kind, "severity": severity}, count) for (kind, severity), count in sorted(raised.items())),
        )
    ]


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
            _measure_age(now, lag.oldest),
        ),
    ]


def _measure_age(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
