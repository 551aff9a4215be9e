"""/metrics is what Prometheus reads: by the parser of its own client."""

from prometheus_client.parser import text_string_to_metric_families

from hub.journal.metrics import CONTENT_TYPE, Metric, make_metric, write_metrics


def read(*metrics):
    """Return names, kinds and samples as the parser of others has them."""
    return [
        (family.name, family.type, family.documentation, {tuple(s.labels.items()): s.value for s in family.samples})
        for family in text_string_to_metric_families(write_metrics(metrics).decode())
    ]


def test_a_number_and_several():
    states = Metric("hub_x", "gauge", "So many.", (({"a": "1", "b": "2"}, 3), ({"a": "1", "b": "3"}, 0.25)))
    assert read(states, make_metric("hub_y_total", "counter", "More.", 2**40)) == [
        ("hub_x", "gauge", "So many.", {(("a", "1"), ("b", "2")): 3, (("a", "1"), ("b", "3")): 0.25}),
        ("hub_y", "counter", "More.", {(): 2**40}),
    ]


def test_whatever_stands_in_a_label_comes_back():
    odd = 'Sở "TT\\TT"\n{}=,'
    ((_, _, _, samples),) = read(Metric("hub_x", "gauge", "x", (({"a": odd}, 1),)))
    assert samples == {(("a", odd),): 1}


def test_a_metric_without_samples_is_no_mistake():
    assert read(Metric("hub_x", "gauge", "x", ())) == [("hub_x", "gauge", "x", {})]


def test_the_form_is_named():
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")
