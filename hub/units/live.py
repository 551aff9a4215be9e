"""The current configuration of one node: the province, its adapters and its TLS contexts.

A reload builds a new `Setup` and assigns it to `Live.setup` in one step. All parts of the node share one `Live` and
read from it each time, so no part can keep an old setup. A call or delivery in progress keeps the province that it
began with.
"""

from collections.abc import Mapping

import attrs
from OpenSSL import SSL

from hub.config import Config
from hub.domain.conversations import Adapter
from hub.units.province import Province


@attrs.frozen(eq=False)
class Setup:
    """Everything that a reload replaces at once."""

    province: Province
    #: by partner code; only partners that the hub calls
    adapters: Mapping[str, Adapter] = attrs.field(factory=dict)
    #: for new connections; by the port's section in `hub.toml`
    contexts: Mapping[str, SSL.Context] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Live:
    """Holds the current setup. All parts of a node share one."""

    setup: Setup

    @property
    def province(self) -> Province:
        """Return the current province."""
        return self.setup.province

    @property
    def config(self) -> Config:
        """Return the current configuration."""
        return self.setup.province.config

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        """Return the current adapters, by partner code."""
        return self.setup.adapters
