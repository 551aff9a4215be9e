"""`lienthong units fetch`: asks a partner for its list of agencies.

Runs the reactor and the sender; the adapter makes the requests.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

from hub.cli.journal import read_journal_config, require_partner
from hub.cli.partner.conversation import hold_conversation
from hub.cli.screen import FAILED, UNAVAILABLE, USAGE, CommandStop, Screen, say_count, t
from hub.cli.units.plan import write_unit_list
from hub.config import Config
from hub.delivery.partner_adapters import make_adapters
from hub.domain.conversations import Lister, Refused, Unavailable
from hub.runtime.http_client import Unreachable


def fetch_units(screen: Screen, partner: str, output: Path | None, dry_run: bool, yes: bool, timeout: float) -> None:
    content = _ask_partner_for_list(screen, read_journal_config(screen), partner, timeout)
    if output is None:
        write_unit_list(screen, content, partner, national=True, dry_run=dry_run, yes=yes)
        return
    output.write_bytes(content)
    screen.row(
        {"file": str(output), "octets": len(content)},
        t("Wrote {count} octets to {output}.", count=say_count(len(content)), output=output),
    )


def _ask_partner_for_list(screen: Screen, config: Config, code: str, timeout: float) -> bytes:
    """Return the list from the partner *code*. Raises `CommandStop`."""
    partner = require_partner(config, code)
    adapter: object = make_adapters(config).get(code)
    if not isinstance(adapter, Lister):
        raise CommandStop(
            t("{code} has no list of agencies: a url and an adapter such as vxp are needed", code=code),
            USAGE,
        )
    screen.note(t("Asking {code} for its list of agencies…", code=code))
    patient = attrs.evolve(partner, policy=attrs.evolve(partner.policy, timeout=timedelta(seconds=timeout)))
    try:
        got = hold_conversation(config, patient, adapter.list_units(datetime.now(UTC)))
    except Unreachable as unreachable:
        got = Unavailable(str(unreachable))
    match got:
        case Refused():
            raise CommandStop(t("{code} refuses: {detail}", code=code, detail=got.detail), FAILED)
        case Unavailable():
            raise CommandStop(t("{code} is unavailable: {detail}", code=code, detail=got.detail), UNAVAILABLE)
    return got
