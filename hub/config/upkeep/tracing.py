"""Where spans are sent. Opens nothing."""

from urllib.parse import urlsplit

import attrs

from hub.config.table import ConfigTable
from hub.language.phrases import phrase

_EXPECTED = phrase('the URL of a collector, such as "http://127.0.0.1:4318/v1/traces"')


@attrs.frozen
class TracingSettings:
    """How the hub tells spans."""

    endpoint: str  #: URL of an OpenTelemetry collector: OTLP over HTTP, in protobuf
    percent: int = 100  #: of the traces that begin here; those of a caller are told as the caller says


def read_tracing_settings(table: ConfigTable) -> TracingSettings | None:
    """Return the settings of `[tracing]`; None without `endpoint`."""
    endpoint = table.text("endpoint", "", expected=_EXPECTED)
    percent = table.number("percent", 100, least=0, most=100)
    table.close()
    if not endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        sound = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.password is None and parts.port != 0
        )
    except ValueError:  # the port is not a number
        sound = False
    if not sound:
        table.wrong("endpoint", phrase("the URL does not fit"), _EXPECTED)
        return None
    return TracingSettings(endpoint, percent)
