"""What one node works with at this moment: the province, and what is made of its configuration.  Knows no part that reads it.

A reload makes another `Setup` and assigns it to `Live.setup`, once.  Every part of the node has the same `Live` and reads through it when
it needs something, so no part can go on with an old one.  What is under way keeps the province that it began with.
"""

from collections.abc import Mapping

import attrs
from OpenSSL import SSL

from hub.config import Config
from hub.domain.model import Adapter
from hub.units.province import Province


@attrs.frozen(eq=False)
class Setup:
    """What a reload replaces, as a whole."""

    province: Province
    #: by the code of each partner that is called
    adapters: Mapping[str, Adapter] = attrs.field(factory=dict)
    #: for new connections, by the port's section in `hub.toml`
    contexts: Mapping[str, SSL.Context] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Live:
    """Holds the setup of the moment; one for all parts of a node."""

    setup: Setup

    @property
    def province(self) -> Province:
        """Return the province of the moment."""
        return self.setup.province

    @property
    def config(self) -> Config:
        """Return the configuration of the moment."""
        return self.setup.province.config

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        """Return the adapters of the moment, by partner."""
        return self.setup.adapters
