"""What this process saw lately of the TLS handshakes and the signatures of partners: which values, when, how often.

From it `lienthong keys rehearse` says which partners a new certificate would break, and a partner's old certificate is
known to be unused. Only authenticated partners are seen. In memory and bounded; a worker process takes its sightings out
(`take`) and the node's process adds them to its own (`add`), which `hub.monitoring.keys` writes into the journal once a
minute. Used in the reactor thread only.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import attrs

#: Values that are kept of one partner and kind. Of more, those seen first stay until they are taken out.
MOST_VALUES = 8
#: Values that are kept in all.
MOST = 4096
#: Maximum characters of a value.
LONGEST = 200


class SightingKind(StrEnum):
    """What was seen."""

    CALLER_TLS = "caller-tls"  #: version and cipher suite of a connection that the partner opened
    CALLER_NAME = "caller-name"  #: the name under which it called the hub (SNI), or the address without one
    CALLER_CERTIFICATE = "caller-certificate"  #: SHA-256 of the certificate that it showed
    SIGNATURE_CERTIFICATE = "signature-certificate"  #: SHA-256 of the certificate with which it signed
    SERVER_TLS = "server-tls"  #: version and cipher suite of a connection to its server
    SERVER_ACCEPTED = "server-accepted"  #: SHA-256 of a certificate of the hub with which its server answered calls
    SERVER_AUTHORITY = "server-authority"  #: SHA-256 of the name of a CA whose clients its server says it accepts


@attrs.define
class Sighting:
    """One value, seen at least once. Times and number change as long as it is not taken out."""

    partner: str
    kind: SightingKind
    value: str
    first_at: datetime
    last_at: datetime
    number: int  #: how often it was seen


SightingKey = tuple[str, SightingKind, str]


@attrs.define(eq=False)
class Sightings:
    """The sightings of one process that were not taken out yet."""

    _seen: dict[SightingKey, Sighting] = attrs.field(factory=dict, init=False)
    _values: dict[tuple[str, SightingKind], int] = attrs.field(factory=dict, init=False)

    def note(self, partner: str, kind: SightingKind, value: str, now: datetime) -> None:
        """Note that *value* was seen. It is dropped where there is no room."""
        value = value[:LONGEST]
        known = self._seen.get((partner, kind, value))
        if known is None:
            self._merge(Sighting(partner, kind, value, now, now, 1))
        else:  # of nearly every call
            known.last_at, known.number = max(known.last_at, now), known.number + 1

    def add(self, found: Mapping[SightingKey, Sighting]) -> None:
        """Add what another process has taken out, or what could not be written."""
        for each in found.values():
            self._merge(each)

    def take(self) -> dict[SightingKey, Sighting]:
        """Return all sightings, and forget them."""
        found, self._seen, self._values = self._seen, {}, {}
        return found

    def _merge(self, more: Sighting) -> None:
        key = more.partner, more.kind, more.value
        known = self._seen.get(key)
        if known is None:
            count = self._values.get(key[:2], 0)
            if count >= MOST_VALUES or len(self._seen) >= MOST:
                return
            self._values[key[:2]] = count + 1
            self._seen[key] = attrs.evolve(more)
            return
        known.first_at, known.last_at = min(known.first_at, more.first_at), max(known.last_at, more.last_at)
        known.number += more.number
