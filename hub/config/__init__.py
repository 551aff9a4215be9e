"""What an operator decides: `hub.toml`, `partners/*.toml`, `trust/`.  Every key is in docs/reference/configuration.md."""

from hub.config.changes import changes
from hub.config.reading import data_of, read
from hub.config.values import ANY, Broker, Config, Listen, Partner, RevocationSource

__all__ = ["ANY", "Broker", "Config", "Listen", "Partner", "RevocationSource", "changes", "data_of", "read"]
