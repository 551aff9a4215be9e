"""Makes the adapter of each configured partner.

Knows what an adapter receives. Knows no network: commands that only check a configuration do without Twisted.
"""

import adapters
from hub.config import Config, Partner
from hub.domain.model import Adapter
from hub.partner.adapter_settings import Terms


def make_adapters(config: Config) -> dict[str, Adapter]:
    """Return the adapter of each partner that the hub calls."""
    return {
        partner.code: adapters.make_adapter(partner.adapter, make_terms(config, partner))
        for partner in config.partners.values()
        if partner.called
    }


def make_terms(config: Config, partner: Partner) -> Terms:
    """Return what the adapter of *partner* receives."""
    return Terms(
        partner=partner.code,
        url=partner.url or "",
        identity=config.identity,
        certificates=partner.certificates,
        anchors=config.anchors,
        max_age=partner.policy.max_age,
        skew=partner.policy.clock_skew,
        settings=partner.settings,
        secrets=partner.secrets,
        files=partner.files,
    )
