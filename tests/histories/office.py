"""The province of the histories as the hub sees it, and how a letter is judged there.  Expects nothing."""

import hashlib
from datetime import UTC, datetime
from functools import cache

import attrs
import sqlalchemy as sa

from hub.config import Partner
from hub.domain.ids import make_id
from hub.domain.model import Receive, Unit, UnitMark
from hub.intake import admission
from hub.journal import unit_registry
from hub.journal.effects import MessageEntry
from hub.report.form.book import Book, read_shipped_book
from hub.security.certificates import Identity
from hub.soap import documents_requests
from hub.store import transactions
from hub.units.province import Province
from tests import pki
from tests.province import make_config
from tests.recount import places

TABLES = (
    "event_index",
    "replay_item",
    "replay_plan",
    *(
        "dossier",
        "closed_month",
        "carried",
        "closed_row",
        "closing",
        "change",
        "duty_slice",
        "duty",
        "fact",
        "event",
        "attempt",
        "delivery",
    ),
    *("message", "content"),
)
_BEGINS, _ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2049, 1, 1, tzinfo=UTC)


def _authority() -> pki.Authority:
    return pki.authority("History CA", _BEGINS, _ENDS)


@cache
def identity(name: str) -> Identity:
    """Return the certificate of a partner, valid through all of a history."""
    return _authority().issue(name, begins=_BEGINS, ends=_ENDS)


@cache
def province() -> Province:
    """Return the hub's own picture of the places that the recount knows."""
    receive = {"fetch": Receive.FETCH, "push": Receive.PUSH, "none": Receive.NONE}
    partners = [
        Partner(code=code, name=code, certificates=(identity(code).certificate,), units=units, receive=receive[how])
        for code, (units, how) in places.PARTNERS.items()
    ]
    config = make_config("Lịch sử", identity("hub"), _authority().certificate, partners)
    return Province.of(config, units())


@cache
def book() -> Book:
    """Return the province's forms: those that come with the hub."""
    return read_shipped_book()


def units() -> list[Unit]:
    aliases: dict[str, tuple[str, ...]] = {}
    for alias, code in places.ALIASES.items():
        aliases[code] = (*aliases.get(code, ()), alias)
    ours = [Unit(code, code, *life, aliases.get(code, ())) for code, life in places.UNITS.items()]
    return ours + [Unit(code, code, aliases=known, mark=UnitMark.NATIONAL) for code, known in places.NATIONAL.items()]


def empty(engine: sa.Engine) -> None:
    """Leave nothing in the journal but its units."""
    with transactions.write_transaction(engine) as tx:
        for table in TABLES:
            tx.execute(sa.text(f"DELETE FROM {table}"))
        if not unit_registry.list_unit_histories(tx):
            unit_registry.write_registry_units(tx, units())


@attrs.frozen(kw_only=True)
class Letter:
    """What a partner brings."""

    partner: str
    octets: bytes
    message_id: str | None
    spoilt: bool = False  #: no packet at all
    traces: bool = False  #: by UpdateTraces

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()

    @property
    def name(self) -> str:
        return self.message_id or self.sha256


def judge(letter: Letter, now: datetime) -> MessageEntry:
    """Judge a letter as intake does.  All that the histories need of it."""
    made = documents_requests.UpdateTraces if letter.traces else documents_requests.SendDocument
    partner = province().config.partners[letter.partner]
    return admission.judge_message(
        made(letter.octets, letter.message_id), partner, province(), "documents", now, make_id(now)
    )
