"""The operator's configuration: `hub.toml`, `partners/*.toml`, `trust/`. All keys: docs/reference/configuration.md."""

from hub.config.changes import describe_config_changes
from hub.config.reading import data_of, read_config
from hub.config.values import ANY, Broker, Config, Listen, Partner, RevocationSource

__all__ = [
    "ANY",
    "Broker",
    "Config",
    "Listen",
    "Partner",
    "RevocationSource",
    "data_of",
    "describe_config_changes",
    "read_config",
]
