"""The operator's configuration: `hub.toml`, `partners/*.toml`, `trust/`. All keys: docs/reference/configuration.md."""

from hub.config.changes import describe_config_changes, list_restart_settings
from hub.config.partners.partner_reading import is_partner_code
from hub.config.reading import read_config, read_data_directory, read_partner_change
from hub.config.values import ANY, Broker, Config, Listen, Partner, RevocationSource

__all__ = [
    "ANY",
    "Broker",
    "Config",
    "Listen",
    "Partner",
    "RevocationSource",
    "describe_config_changes",
    "is_partner_code",
    "list_restart_settings",
    "read_config",
    "read_data_directory",
    "read_partner_change",
]
