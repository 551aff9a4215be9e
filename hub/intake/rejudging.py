"""Reads past packets from the journal, newest first, and judges them again by other rules. Writes and sends nothing."""

from collections.abc import Sequence

import attrs

from hub.domain.model import DOCUMENTS
from hub.edxml import readable
from hub.intake.what_if import RejudgedMessage, TriedRules, rejudge_message
from hub.journal import blobs
from hub.journal.replays import corrections
from hub.journal.searching import search
from hub.journal.searching.message_filter import MessageFilter
from hub.store.transactions import Transaction
from hub.units.province import Province


@attrs.frozen(kw_only=True)
class RejudgedPart:
    """Some messages that were judged again."""

    changes: tuple[RejudgedMessage, ...]  #: those for which something would change
    judged: int
    left: int  #: their bytes are not kept or too many, or their partner is not configured any more
    last: str | None  #: hub id of the last one; None: there are no more


def limit_to_packets(filters: Sequence[MessageFilter]) -> list[MessageFilter]:
    """Return *filters* for packets only: other messages are not judged by the schemas of packets."""
    return [attrs.evolve(each, service=DOCUMENTS) for each in filters if each.service in (None, DOCUMENTS)]


def rejudge_part(
    tx: Transaction,
    province: Province,
    rules: TriedRules,
    filters: Sequence[MessageFilter],
    before: str | None,
    limit: int,
) -> RejudgedPart:
    """Judge the newest *limit* messages that one of *filters* lets through and that are ahead of *before*."""
    ahead = [attrs.evolve(each, before=before or each.before) for each in filters]
    found = list(search.find_messages(tx, ahead, limit, newest_first=True)) if ahead else []
    corrected = corrections.find_corrected_messages(tx, [each.id for each in found])
    changes: list[RejudgedMessage] = []
    left = 0
    for message in found:
        fits = message.partner in province.config.partners and message.size <= readable.LARGEST
        if not fits or not blobs.read_blob_size(tx, message.sha256):
            left += 1
            continue
        content = blobs.read_blob(tx, message.sha256)
        change = rejudge_message(content, message, province, rules, corrected=message.id in corrected)
        if change is not None:
            changes.append(change)
    return RejudgedPart(
        changes=tuple(changes),
        judged=len(found) - left,
        left=left,
        last=found[-1].id if len(found) == limit else None,
    )
