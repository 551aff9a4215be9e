"""`lienthong units fetch`: asks a partner for its list of agencies.

Runs the reactor and the sender; the adapter makes the requests.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs
import click

from hub.cli.screen import (
    FAILED,
    NOT_FOUND,
    UNAVAILABLE,
    USAGE,
    CommandStop,
    Screen,
    command,
    pass_screen,
    say_count,
    t,
)

if TYPE_CHECKING:
    from hub.config import Config, Partner
    from hub.domain.model import Listing, Refused, Unavailable


@command(
    "fetch",
    t(
        "Ask the national axis for its list of all agencies (getAgenciesList) and import it like `units "
        "import --national`, or write it to a file.\n\nThe partner's adapter must support this list (vxp)."
    ),
    "lienthong units fetch --from vpcp --dry-run",
    "lienthong units fetch --from vpcp --yes",
    "lienthong units fetch --from vpcp -o getAgenciesList.json",
)
@click.option("--from", "partner", required=True, metavar="PARTNER", help=t("The partner."))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help=t("Write to this file and import nothing."),
)
@click.option("--dry-run", is_flag=True, help=t("Only show what would change."))
@click.option("--yes", is_flag=True, help=t("Also change existing agencies."))
@click.option(
    "--timeout",
    default=300.0,
    show_default=True,
    help=t("Seconds to wait for the answer."),
)
@pass_screen
def fetch_units(screen: Screen, partner: str, output: Path | None, dry_run: bool, yes: bool, timeout: float) -> None:
    from hub.cli.units.plan import write_unit_list
    from hub.config import read_config

    content = _asked(screen, read_config(screen.config), partner, timeout)
    if output is None:
        write_unit_list(screen, content, partner, national=True, dry_run=dry_run, yes=yes)
        return
    output.write_bytes(content)
    screen.row(
        {"file": str(output), "octets": len(content)},
        t("Wrote {count} octets to {output}.", count=say_count(len(content)), output=output),
    )


def _asked(screen: Screen, config: "Config", code: str, timeout: float) -> bytes:
    """Return the list from the partner *code*. Raises `CommandStop`."""
    from hub.delivery.transports import make_adapters
    from hub.domain.model import Lister, Refused, Unavailable

    partner = config.partners.get(code)
    if partner is None:
        raise CommandStop(t("there is no partner {code}", code=code), NOT_FOUND)
    adapter: object = make_adapters(config).get(code)
    if not isinstance(adapter, Lister):
        raise CommandStop(
            t("{code} has no list of agencies: a url and an adapter such as vxp are needed", code=code),
            USAGE,
        )
    screen.note(t("Asking {code} for its list of agencies…", code=code))
    patient = attrs.evolve(partner, policy=attrs.evolve(partner.policy, timeout=timedelta(seconds=timeout)))
    got = _converse(config, patient, adapter.list_units(datetime.now(UTC)))
    match got:
        case Refused():
            raise CommandStop(t("{code} refuses: {detail}", code=code, detail=got.detail), FAILED)
        case Unavailable():
            raise CommandStop(t("{code} is unavailable: {detail}", code=code, detail=got.detail), UNAVAILABLE)
    return got


def _converse(config: "Config", partner: "Partner", conversation: "Listing") -> "bytes | Refused | Unavailable":
    """Run the adapter's conversation over the hub's sender."""
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from hub.delivery.http_transport import Sender, SenderReactor
    from hub.domain.model import Unavailable
    from hub.runtime.http_client import Unreachable
    from hub.units.live import Live, Setup
    from hub.units.province import Province

    sender = Sender(Live(Setup(Province.of(config, ()))), cast("SenderReactor", reactor), lambda: datetime.now(UTC))
    ended: list[Any] = []

    async def talk() -> "bytes | Refused | Unavailable":
        try:
            step = next(conversation)
            while True:
                step = conversation.send(await sender.send(step, partner))
        except StopIteration as end:
            return cast("bytes | Refused | Unavailable", end.value)
        except Unreachable as unreachable:
            return Unavailable(str(unreachable))
        finally:
            await sender.close()

    def begin() -> None:
        _ = Deferred.fromCoroutine(talk()).addBoth(ended.append).addBoth(lambda _: cast("Any", reactor).stop())

    cast("Any", reactor).callWhenRunning(begin)
    cast("Any", reactor).run()
    if not ended:
        raise click.Abort  # by Ctrl-C
    if isinstance(ended[0], Failure):
        ended[0].raiseException()
    return cast("bytes | Refused | Unavailable", ended[0])
