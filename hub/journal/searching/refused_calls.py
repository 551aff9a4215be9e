"""Calls that the hub refused before they were messages, as the journal keeps them."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import attrs

from hub.domain import search_terms
from hub.journal import events
from hub.journal.searching import search_index
from hub.journal.searching.message_filter import MessageFilter, find_moment_bounds
from hub.journal.searching.search_index import TermIndex
from hub.store.transactions import Transaction


@attrs.frozen(kw_only=True)
class RefusedCall:
    """A call that brought no message: the hub refused it, and its caller got a Tracking."""

    tracking: str
    at: datetime
    code: str
    detail: str
    partner: str | None  #: None: the caller is no partner
    operation: str | None
    certificate: str | None  #: SHA-256 of the caller's, if it is no partner


def find_refused_calls(tx: Transaction, wanted: MessageFilter, limit: int | None = None) -> Iterator[RefusedCall]:
    """Yield the refused calls that the period, the partner and the refusal of *wanted* choose, newest first."""
    bounds = find_moment_bounds(wanted)
    moments = TermIndex(tx).find_moments([search_terms.REFUSED_CALL], *bounds, newest_first=True)
    codes = {wanted.partner, wanted.sent_by} - {None}
    found = (
        call
        for moment in moments
        for call in _read_refused_calls(tx, moment)
        if codes <= {call.partner}
        and (wanted.partners is None or call.partner in wanted.partners)
        and (not wanted.refusal or call.code == wanted.refusal.lower())
        and (wanted.before is None or call.tracking < wanted.before)
    )
    return islice(found, limit)


def read_refused_call(tx: Transaction, tracking: str) -> RefusedCall | None:
    """Return the refused call with the id *tracking*, or None."""
    told = (said for said in events.read_call_events(tx, tracking) if said["event"] == "call-refused")
    return next((_make_refused_call(tracking, said) for said in told), None)


def _read_refused_calls(tx: Transaction, moment: int) -> list[RefusedCall]:
    rows = sorted(search_index.read_call_candidates(tx, [moment]), reverse=True)
    told = ((row.message, json.loads(row.text)) for row in rows)
    return [_make_refused_call(name, said) for name, said in told if said["event"] == "call-refused"]


def _make_refused_call(tracking: str, said: Mapping[str, Any]) -> RefusedCall:
    return RefusedCall(
        tracking=tracking,
        at=datetime.fromisoformat(said["at"]),
        code=said.get("code", ""),
        detail=said.get("detail", ""),
        partner=said.get("partner"),
        operation=said.get("operation"),
        certificate=said.get("certificate"),
    )
