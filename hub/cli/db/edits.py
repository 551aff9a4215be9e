"""What `lienthong db verify` finds of edits of the database: of closed months, of the chain's end, and of facts."""

import base64
import json
import secrets
from collections.abc import Callable
from typing import Any

import click
import sqlalchemy as sa

from hub.cli.screen import Screen, progress_bar, read_language, say, say_count, t
from hub.config import Config
from hub.journal import events
from hub.keeping import backup_runs, fact_audit
from hub.keeping.backup_runs import BackupOutcome
from hub.keeping.backups import lineage
from hub.keeping.backups.witness import Witness
from hub.keeping.fact_audit import FactFinding, FactStep
from hub.language.phrases import phrase
from hub.report.output.closing_lines import describe_tampering, list_tampering
from hub.store.tables import fact
from hub.store.transactions import Transaction
from hub.workload import attestations
from hub.workload.attestation_watch import compare_drawn_events, compare_drawn_facts

#: Steps of a drawn part, of facts and of events each.
_DRAWN = 5
_FAULTS = {
    "planted": phrase("no event recorded it"),
    "edited": phrase("its event has other values"),
    "removed": phrase("only its event is there"),
    "octets": phrase("its message has other octets than its receipt says"),
}
#: Where a comparison stands: whether of events, and behind what.
Place = tuple[bool, Any]


def find_edits(screen: Screen, tx: Transaction, config: Config) -> int:
    """Print what of closed months and of the chain's end somebody edited. Return how much that is."""
    trust, count = config.reports.trust, 0

    def tell(said: Any) -> None:
        nonlocal count
        count += 1
        screen.row({"kind": "damage", "problem": str(said)}, say(said))

    for number in attestations.find_broken_attestations(tx, trust):
        tell(phrase("attestation {number} is not of this hub, or not behind the one before it", number=number))
    for number in attestations.find_changed_links(tx):
        tell(phrase("event {number} is not the one that the hub has attested", number=number))
    if (found := lineage.find_put_back(tx, Witness(config.witness_folder).read_last())) is not None:
        tell(found)
    known, ends = backup_runs.list_backup_runs(tx), _read_end(tx)
    last = max((each.number or 0 for each in known if each.outcome is BackupOutcome.GOOD), default=0)
    if last > ends:
        tell(phrase("a backup has event {last}, and the journal ends at event {ends}", last=last, ends=ends))
    kept = None if trust is None or trust.head is None else attestations.read_kept_head(trust.head)
    edited = attestations.find_lost_attestations(tx, kept)
    for form, period in attestations.list_attested_months(tx):
        edited += attestations.find_tampering(tx, trust, form, [period])
    for each in edited:
        count += 1
        _, *lines = list_tampering([each], {}, read_language())
        screen.row({"kind": "edited", **describe_tampering(each)}, "; ".join(lines))
    return count


def _read_end(tx: Transaction) -> int:
    return events.read_chain_head(tx)[0]


def compare_facts(screen: Screen, tx: Transaction, place: Place, *, whole: bool) -> int:
    """Compare facts with their events, all (*whole*) from *place* on or a drawn part, and print what differs. Return how
    many do.
    """
    count = compared = gone = 0
    ways: list[tuple[bool, Callable[[Any, Any], FactStep]]] = [
        (False, fact_audit.compare_facts if whole else compare_drawn_facts),
        (True, fact_audit.compare_fact_events if whole else compare_drawn_events),
    ]
    at = place if whole else (False, secrets.token_hex(4))
    try:
        with progress_bar(t("Comparing facts")) as bar:
            total = 2 * _count_facts(tx)
            for is_events, compare in ways:
                if at[0] and not is_events:
                    continue
                at = at if at[0] == is_events else (is_events, None if whole else at[1])
                for _ in range(1 << 62 if whole else _DRAWN):
                    step = compare(tx, at[1])
                    for each in step.findings:
                        count += 1
                        _tell_fact(screen, each)
                    compared, gone = compared + step.compared, gone + step.gone
                    bar(compared, total)
                    if step.after is None:
                        break
                    at = (is_events, step.after)
                if not whole:
                    at = (True, secrets.token_hex(4))
    except KeyboardInterrupt:
        if whole:
            screen.note(
                t("Interrupted. Go on with: lienthong db verify --facts --after {place}", place=write_place(at))
            )
        raise
    if gone:
        screen.note(t("{count} facts were not compared: their events are in archive files", count=say_count(gone)))
    return count


def _count_facts(tx: Transaction) -> int:
    return int(tx.scalar(sa.select(sa.func.count()).select_from(fact)) or 0)


def _tell_fact(screen: Screen, found: FactFinding) -> None:
    said = {"unit": found.unit, "service": found.service, "key": found.key, "milestone": found.milestone}
    text = t(
        "fact {unit} {service} {key} {milestone}: {fault} {fields}",
        **said,
        fault=say(_FAULTS[found.fault.value]),
        fields=", ".join(found.fields),
    )
    row = {"kind": "fact", **said, "fault": found.fault.value, "fields": list(found.fields), "message": found.message}
    screen.row(row, text)


def write_place(place: Place) -> str:
    """Return *place* as a word to type."""
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode().rstrip("=")


def read_place(typed: str) -> Place:
    """Return the place that was *typed*; "": the begin. Raises UsageError."""
    if not typed:
        return False, None
    try:
        is_events, after = json.loads(base64.urlsafe_b64decode(typed + "=" * (-len(typed) % 4)))
    except ValueError:
        raise click.UsageError(t("--after takes what an interrupted --facts has printed")) from None
    return bool(is_events), tuple(after) if isinstance(after, list) else after
