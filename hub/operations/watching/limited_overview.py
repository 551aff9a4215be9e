"""The overview of the exchange as far as a person may see it."""

import attrs

from hub.monitoring.overview import BoundedCount, Overview
from hub.operations.accounts.users import User


def limit_overview(found: Overview, user: User) -> Overview:
    """Return the overview with the partners that *user* sees, and what is to be done at nodes only if that is all."""
    partners = [each for each in found.partners if user.sees_partner(each.code)]
    if user.visible_partners is None:
        return attrs.evolve(found, partners=partners)
    return attrs.evolve(found, partners=partners, restarts={}, awaited=BoundedCount())
