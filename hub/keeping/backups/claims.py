"""The claim that a hub puts beside its backups: which era it serves, and that it is alive. Two hubs of one journal see it.

Whoever restores a hub elsewhere reads the backup there, so the folder of the backups is what both can reach. A hub whose
era is behind the claim's was replaced: it ends, and does not start again. A hub is not restored beside one that was alive
within `ALIVE`. Nothing of this holds where the two hubs do not reach the same folder.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from hub.config.durable_files import replace_file
from hub.keeping.eras import Era
from hub.language.phrases import Phrase, phrase

#: A hub whose claim is older is taken for dead. A running one renews it every minute.
ALIVE = timedelta(minutes=5)


@attrs.frozen(kw_only=True)
class EraClaim:
    """What a hub has said last."""

    era: int
    id: str  #: of the era
    node: str  #: that said so
    seen_at: datetime  #: when it was alive
    stopped: bool  #: it was stopped in order


def read_claim(folder: Path, province: str) -> EraClaim | None:
    """Return the claim in *folder*; None if there is none, or none that can be read. Raises OSError."""
    try:
        said: dict[str, Any] = json.loads(_name_claim(folder, province).read_bytes())
        return EraClaim(**said | {"seen_at": datetime.fromisoformat(said["seen_at"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # what cannot be read claims nothing; it is written anew


def write_claim(folder: Path, province: str, era: Era, node: str, now: datetime, *, stopped: bool = False) -> None:
    """Write the claim of the hub that serves *era*. Raises OSError, also if *folder* does not exist."""
    claim = EraClaim(era=era.number, id=era.id, node=node, seen_at=now, stopped=stopped)
    said = json.dumps(attrs.asdict(claim) | {"seen_at": now.isoformat()})
    replace_file(_name_claim(folder, province), said.encode())


def find_replacement(era: Era | None, claim: EraClaim | None) -> Phrase | None:
    """Return that another hub has replaced the one that serves *era*; None if none has."""
    if claim is None or era is None or claim.id == era.id or claim.era < era.number:
        return None
    return phrase(
        "a hub of era {era} has replaced this one of era {number}: node {node}, {seen_at}",
        era=claim.era,
        number=era.number,
        node=claim.node,
        seen_at=claim.seen_at.isoformat(timespec="seconds"),
    )


def find_running(claim: EraClaim | None, node: str, now: datetime) -> Phrase | None:
    """Return that another node than *node* was alive a moment ago; None if none was."""
    if claim is None or claim.stopped or claim.node == node or now - claim.seen_at >= ALIVE:
        return None
    return phrase(
        "the hub of era {era} runs: node {node}, {seen_at}; stop it first, or wait until it is silent for {minutes} minutes",
        era=claim.era,
        node=claim.node,
        seen_at=claim.seen_at.isoformat(timespec="seconds"),
        minutes=ALIVE // timedelta(minutes=1),
    )


def _name_claim(folder: Path, province: str) -> Path:
    return folder / f"lienthong-{province}.era.json"
