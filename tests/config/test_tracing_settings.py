"""[tracing]: where spans are sent, and what is no such place."""

import pytest

from hub.config.table import ConfigTable
from hub.config.upkeep.tracing import TracingSettings, read_tracing_settings
from hub.domain.errors import Mistake

URL = "http://127.0.0.1:4318/v1/traces"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, None),
        ({"endpoint": URL}, TracingSettings(URL, 100)),
        (
            {"endpoint": "https://otel.example:4318/v1/traces", "percent": 5},
            TracingSettings("https://otel.example:4318/v1/traces", 5),
        ),
    ],
    ids=["none", "all", "some"],
)
def test_the_settings_are_read(said, found):
    mistakes: list[Mistake] = []
    assert read_tracing_settings(ConfigTable({"tracing": said}, "hub.toml", mistakes).table("tracing")) == found
    assert mistakes == []


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"endpoint": "127.0.0.1:4318"}, "endpoint"),
        ({"endpoint": "grpc://127.0.0.1:4317"}, "endpoint"),
        ({"endpoint": "http://an:secret@127.0.0.1/v1/traces"}, "endpoint"),
        ({"endpoint": "http://127.0.0.1:x/"}, "endpoint"),
        ({"endpoint": URL, "percent": 101}, "percent"),
        ({"endpoint": URL, "sample": 1}, "sample"),
    ],
)
def test_what_does_not_fit_is_a_mistake_by_its_key(said, key):
    mistakes: list[Mistake] = []
    read_tracing_settings(ConfigTable({"tracing": said}, "hub.toml", mistakes).table("tracing"))
    assert [each.path for each in mistakes] == [f"hub.toml: tracing.{key}"]
    assert "secret" not in "".join(map(str, mistakes))
