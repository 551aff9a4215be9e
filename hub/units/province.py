"""An immutable snapshot of the configured province: partners, units, routes.

Knows no messages. A reload replaces it whole.
"""

from collections.abc import Iterable, Mapping
from typing import Self

import attrs
from cryptography import x509

from hub.config import Config, Partner
from hub.domain.model import Receive, Unit
from hub.units.routing import RoutedPartner, Routes
from hub.units.unit_index import UnitIndex


@attrs.frozen
class Province:
    """One consistent snapshot. A call or delivery in progress keeps the snapshot that it began with."""

    config: Config
    routes: Routes
    _by_certificate: Mapping[x509.Certificate, Partner]
    _relayed: Mapping[str, tuple[Partner, ...]]  #: a relay's code -> the partners whose calls it carries

    @classmethod
    def of(cls, config: Config, units: UnitIndex | Iterable[Unit]) -> Self:
        """Build the snapshot from a configuration that `check` has passed and the units of the registry."""
        posts = [
            RoutedPartner(
                partner.code,
                partner.units,
                partner.receive if partner.takes_documents else Receive.NONE,
                tells=partner.tells,
            )
            for partner in config.partners.values()
        ]
        routes = Routes.of(
            units,
            posts,
            province=config.province,
            upstream=config.upstream,
            merged=config.units.merged_provinces,
            grace=config.units.grace,
        )
        by_certificate = {
            certificate: partner for partner in config.partners.values() for certificate in partner.certificates
        }
        relayed: dict[str, tuple[Partner, ...]] = {}
        for partner in config.partners.values():
            if partner.policy.relay:
                relayed[partner.policy.relay] = (*relayed.get(partner.policy.relay, ()), partner)
        return cls(config, routes, by_certificate, relayed)

    def partner_with(self, certificate: x509.Certificate) -> Partner | None:
        """Return the partner that is configured with *certificate*."""
        return self._by_certificate.get(certificate)

    def callers_over(self, partner: Partner) -> tuple[Partner, ...]:
        """Return the partners whose calls may use *partner*'s connections: itself, and those that name it as relay."""
        return (partner, *self._relayed.get(partner.code, ()))
