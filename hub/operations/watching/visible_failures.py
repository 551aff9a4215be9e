"""Finds what failed, in groups of one cause, for a person."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from hub.config import Partner
from hub.domain.failure_causes import NOBODY
from hub.language.phrases import Phrase, phrase
from hub.monitoring import failures
from hub.monitoring.failures import BACK, FailureFilter, FailureKind, FailureList
from hub.operations.accounts.users import User
from hub.operations.messages.search_request import is_known_partner
from hub.operations.typed_fields import read_time, read_typed_fields
from hub.store.transactions import Transaction

#: Characters read of each field of the search.
_LONGEST = 200


#: The fields of the search. They are also the names in the address.
FIELDS = ("partner", "state", "since", "until")


@attrs.frozen(kw_only=True)
class FailureSearch:
    """What the address of the page asks for."""

    typed: Mapping[str, str]
    wanted: FailureFilter
    wrong: Sequence[Phrase] = ()  #: what cannot be read; then nothing is searched


@attrs.frozen(kw_only=True)
class FoundFailures:
    """What the page shows."""

    list: FailureList
    wrong: Sequence[Phrase] = ()  #: why nothing was searched


def read_failure_search(query: Mapping[str, str], now: datetime) -> FailureSearch:
    """Return what *query*, the query of the address, asks for."""
    typed = read_typed_fields(query, FIELDS, _LONGEST)
    wrong: list[Phrase] = []
    since, until = (read_time(typed[name], wrong) for name in ("since", "until"))
    kind = typed["state"]
    if kind and kind not in {*FailureKind}:
        wrong.append(phrase("There are no failures of the kind “{name}”.", name=kind))
    wanted = FailureFilter(
        partner=typed["partner"] or None,
        kind=FailureKind(kind) if kind in {*FailureKind} else None,
        since=since or now - BACK,
        until=until,
    )
    return FailureSearch(typed=typed, wanted=wanted, wrong=wrong)


def read_failures_page(
    tx: Transaction, user: User, search: FailureSearch, partners: Mapping[str, Partner]
) -> FoundFailures:
    """Return the groups of failures that *search* asks for, as far as *user* sees their partners.

    *partners*: those of the configuration.
    """
    wrong, partner = [*search.wrong], search.wanted.partner
    names = {code: each.name for code, each in partners.items()}
    known = partner in (None, NOBODY) or is_known_partner(tx, partner, names)
    if partner and not (known and user.sees_partner(None if partner == NOBODY else partner)):
        wrong.append(phrase("There is no partner “{value}”.", value=partner))
    if wrong:
        return FoundFailures(list=FailureList(groups=()), wrong=wrong)
    return FoundFailures(list=failures.list_failures(tx, attrs.evolve(search.wanted, visible=user.visible_partners)))
