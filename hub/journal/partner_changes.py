"""Records who changed a partner or the trusted CAs, and why. The files themselves are written elsewhere."""

from collections.abc import Iterable
from datetime import datetime

from hub.domain.model import Event
from hub.journal import events, unit_registry
from hub.store.transactions import Transaction

#: Changes that one event names.
_TOLD = 50


def record_partner_change(
    tx: Transaction, partner: str, changes: Iterable[str], units: Iterable[str], *, by: str, reason: str, now: datetime
) -> list[str]:
    """Record a change of *partner*, and add *units* to the registry. Return the units that it did not contain."""
    said = {"partner": partner, "changes": list(changes)[:_TOLD], "by": by, "reason": reason}
    events.append_events(tx, Event("partner-changed", now, None, None, said))
    return unit_registry.add_missing_units(tx, units)


def record_partner_removal(tx: Transaction, partner: str, *, left: int, by: str, reason: str, now: datetime) -> None:
    """Record that *partner* was removed while *left* deliveries to it were not delivered."""
    said = {"partner": partner, "deliveries": left, "by": by, "reason": reason}
    events.append_events(tx, Event("partner-removed", now, None, None, said))


def record_hand_call(tx: Transaction, partner: str, operation: str, *, by: str, reason: str, now: datetime) -> None:
    """Record that a person is about to call an *operation* of *partner* by hand. What is sent is not recorded."""
    said = {"partner": partner, "operation": operation, "by": by, "reason": reason}
    events.append_events(tx, Event("partner-called", now, None, None, said))


def record_trust_addition(
    tx: Transaction, authorities: Iterable[tuple[str, str]], *, by: str, reason: str, now: datetime
) -> None:
    """Record that CAs are trusted, or have a newer CRL or other URLs. *authorities*: subject and SHA-256 of each."""
    for subject, sha256 in list(authorities)[:_TOLD]:
        said = {"subject": subject, "certificate": sha256, "by": by, "reason": reason}
        events.append_events(tx, Event("trust-added", now, None, None, said))


def record_trust_removal(
    tx: Transaction, subject: str, sha256: str, partners: Iterable[str], *, by: str, reason: str, now: datetime
) -> None:
    """Record that a CA is no longer trusted, and which *partners* have no other one."""
    said = {"subject": subject, "certificate": sha256, "partners": list(partners)[:_TOLD], "by": by, "reason": reason}
    events.append_events(tx, Event("trust-removed", now, None, None, said))
