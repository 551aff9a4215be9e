"""Tells whether a journal is the one that a node has seen, and begins an era where it was put back.

The rules, of a witness's last line and the journal:

| the journal | is |
|---|---|
| has the event of that number with that hash | the same, and went on |
| has that number no more, but later ones | the same: old events were let go |
| ends before that number, or has another hash there | put back: a start is refused until a person says so |
| has the witness's era among its earlier ones | put back, and somebody said so: what the witness knows more is added |
| does not know the witness's era, but has eras | another journal, or put back behind that era |
"""

from collections.abc import Callable
from datetime import datetime

from hub.journal import events
from hub.keeping import eras
from hub.keeping.backups.witness import Witness, WitnessLine, begin_line
from hub.keeping.eras import Era, EraBeginning
from hub.language.phrases import Phrase, phrase
from hub.store.transactions import Transaction

#: Events that a new witness takes up at most.
MOST_TAKEN_UP = 10_000


def find_put_back(tx: Transaction, seen: WitnessLine | None) -> Phrase | None:
    """Return what shows that the journal is not the one of which a node has *seen* this; None if nothing does."""
    if seen is None:
        return None
    known = eras.list_eras(tx)
    ids = [each.id for each in known]
    if seen.era_id in ids[:-1]:
        return None
    if known and seen.era_id not in ids:
        return phrase(
            "this node has seen era {era}, which the journal does not know; the journal is in era {number}",
            era=seen.era,
            number=known[-1].number,
        )
    number, _ = events.read_chain_head(tx)
    if number < seen.number:
        return phrase(
            "this node has seen event {seen}, and the journal ends at event {number}: it was put back",
            seen=seen.number,
            number=number,
        )
    found = eras.read_event_hash(tx, seen.number)
    if found is not None and found != seen.hash:
        return phrase("this node has seen another event {seen} than the journal has: it was put back", seen=seen.number)
    return None


def begin_restored_era(
    tx: Transaction,
    witness: Witness,
    now: datetime,
    *,
    because: EraBeginning,
    reason: str,
    by: str,
    backup: str = "",
) -> tuple[Era, int]:
    """Begin an era of the journal, which was put back, and record the receipts that it lacks as far as *witness* knows.

    An era that only the witness knows, because it began after the moment to which the journal was put back, is written
    down before, so that other nodes that have seen it know it as an earlier one. The witness goes on with the era at the
    node's next start (`join_era`). Return the era that begins and the number of these receipts. Raises OSError.
    """
    seen = witness.read_last()
    known = eras.list_eras(tx)
    before = known[-1] if known else None
    if seen is not None:
        eras.note_era(tx, now, seen.era, seen.era_id)
    if before is None:
        before = eras.ensure_era(tx, now)
    number, _ = events.read_chain_head(tx)
    begun = eras.begin_era(
        tx,
        now,
        because=because,
        reason=reason,
        by=by,
        backup=backup,
        after=seen.era if seen else 0,
        witnessed=witness.find_window(before.number, number, eras.read_last_event(tx), now),
    )
    return begun, eras.add_lost_receipts(tx, begun.number, witness.find_missing(before.number, number))


def join_era(tx: Transaction, witness: Witness, now: datetime) -> None:
    """Begin the journal's first era if it has none, and record the receipts that it lacks of the era of *witness*.

    The witness goes on with the present era once this is committed (`begin_witness`). Raises OSError.
    """
    era, seen = eras.ensure_era(tx, now), witness.read_last()
    if seen is not None and seen.era_id != era.id:
        eras.add_lost_receipts(tx, era.number, witness.find_missing(seen.era, era.event))


def begin_witness(tx: Transaction, witness: Witness, read_clock: Callable[[], datetime]) -> None:
    """Let *witness* go on with the journal's present era. Raises OSError.

    It reads, so it sees what is committed. A line about an event whose commit then fails would stop the next start. A new
    witness begins before the first event, so that it has what a new hub gave in its first second too; beside a journal
    that has gone on for long it begins at the end, at a moment after that was read.
    """
    era, seen = eras.list_eras(tx)[-1], witness.read_last()
    if seen is None:
        number, digest = events.read_chain_head(tx)
        begin = (number, digest) if number > MOST_TAKEN_UP else (0, events.ORIGIN)
        witness.append(begin_line(era, *begin, read_clock()))
    elif seen.era_id != era.id:
        witness.append(begin_line(era, era.event, era.hash, read_clock()))
