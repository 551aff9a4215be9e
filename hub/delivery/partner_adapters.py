"""Makes the adapter of each configured partner.

Knows what an adapter receives. Knows no network: commands that only check a configuration do without Twisted.
"""

from collections.abc import Mapping

import attrs

import adapters
from hub.config import Config, Partner
from hub.domain.conversations import Adapter
from hub.partner.adapter_settings import AdapterNotes, Terms


@attrs.frozen
class _Agreed:
    """What the notes about a partner rest on."""

    adapter: str
    url: str | None
    settings: Mapping[str, str]
    secrets: Mapping[str, str] = attrs.field(repr=False)
    files: Mapping[str, bytes] = attrs.field(repr=False)


@attrs.define
class AdapterMemory:
    """Keeps the notes about each partner from one reload to the next, while what is agreed with it stays the same.

    Without them a reload in the midst of a long message would send again what is there of it.
    """

    _kept: dict[str, tuple[_Agreed, AdapterNotes]] = attrs.field(factory=dict, init=False)

    def find_notes(self, partner: Partner) -> AdapterNotes:
        """Return the notes about *partner*."""
        agreed = _Agreed(partner.adapter, partner.url, partner.settings, partner.secrets, partner.files)
        before, notes = self._kept.get(partner.code, (None, AdapterNotes()))
        if before != agreed:
            notes = AdapterNotes()
            self._kept[partner.code] = (agreed, notes)
        return notes


def make_adapters(config: Config, memory: AdapterMemory | None = None) -> dict[str, Adapter]:
    """Return the adapter of each partner that the hub calls. *memory* has the notes of those that were made before."""
    memory = AdapterMemory() if memory is None else memory
    return {
        partner.code: adapters.make_adapter(
            partner.adapter, attrs.evolve(make_terms(config, partner), notes=memory.find_notes(partner))
        )
        for partner in config.partners.values()
        if partner.called
    }


def make_terms(config: Config, partner: Partner) -> Terms:
    """Return what the adapter of *partner* receives, with no notes."""
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
