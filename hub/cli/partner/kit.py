"""`lienthong partners kit` and `invite`: the checklist of a new partner, the ZIP file for its developers, and a letter."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from hub.cli.journal import open_journal, read_journal_config, require_partner
from hub.cli.screen import Screen, make_file_stop, say, t
from hub.config.writing import write_atomically
from hub.domain.local_time import find_local_day, write_local_time
from hub.monitoring.integration.facts import IntegrationFacts, gather_facts
from hub.monitoring.integration.first_messages import StepState
from hub.monitoring.integration.kit import make_kit
from hub.monitoring.integration.letter import PartnerInvitation, name_invitation, write_letters
from hub.monitoring.integration.page import STEPS
from hub.monitoring.integration.reading import read_integration
from hub.store import transactions
from hub.web.layout import render_kit_page


def make_partner_kit(screen: Screen, code: str, output: Path | None) -> None:
    facts, steps = _gather_kit_facts(screen, code)
    for state in steps:
        screen.row(_write_step(state), "" if screen.json else _say_step(state))
    if output is not None:
        _write_kit(screen, output, facts, steps)


def invite_partner(screen: Screen, code: str, output: Path | None, contact: str, window: str) -> None:
    facts, steps = _gather_kit_facts(screen, code)
    letters = write_letters(facts, PartnerInvitation.of(contact, window))
    _write_kit(screen, output or Path(name_invitation(code)), facts, steps, letters)


def _gather_kit_facts(screen: Screen, code: str) -> tuple[IntegrationFacts, Sequence[StepState]]:
    """Return what the developers of the partner *code* must know, and its first steps."""
    config = read_journal_config(screen)
    partner = require_partner(config, code)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        units, steps = read_integration(tx, partner, config, find_local_day(datetime.now(UTC)))
    return gather_facts(config, partner, units), steps


def _write_kit(
    screen: Screen,
    output: Path,
    facts: IntegrationFacts,
    steps: Sequence[StepState],
    letters: Mapping[str, bytes] | None = None,
) -> None:
    kit = make_kit(facts, steps, datetime.now(UTC), render_kit_page, letters)
    try:
        write_atomically(output.absolute(), kit)
    except OSError as error:
        raise make_file_stop(output, error) from error
    fields = {"kind": "kit", "file": str(output), "size": len(kit), "sha256": sha256(kit).hexdigest()}
    screen.row(fields, t("Wrote {path}", path=output))


def _write_step(state: StepState) -> dict[str, object]:
    """Return a step for `--json`."""
    return {
        "kind": "step",
        "step": str(state.step),
        "at": state.at,
        "message": state.message,
        "code": state.code or None,
    }


def _say_step(state: StepState) -> str:
    name, do = STEPS[state.step]
    if state.at is None:
        return f"[ ] {say(name)}\n      {say(do)}"
    return "  ".join(filter(None, [f"[x] {say(name)}", write_local_time(state.at), state.message, state.code]))
