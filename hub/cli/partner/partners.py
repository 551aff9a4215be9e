"""`lienthong partners`: lists partners and what each may call, adds one, and changes one."""

from collections.abc import Iterable, Mapping
from typing import Any

from hub.cli.journal import open_journal, read_view_config
from hub.cli.screen import PARTLY, CommandStop, Screen, exit_command, t
from hub.cli.words import say_filter_word, say_value, say_word
from hub.config import Config, Partner
from hub.domain.errors import ConfigurationFault
from hub.domain.model import Receive
from hub.intake import grants
from hub.journal.queue import partner_state as partners
from hub.journal.queue.partner_state import PartnerStanding
from hub.partner.policy import write_policy
from hub.security.certificates import hash_certificate
from hub.services.lookups import operations
from hub.store import transactions

#: Special values of --calls and --tells.


def list_partners(screen: Screen) -> None:
    config = read_view_config(screen)
    standings = read_standings(screen, config)
    rows = [list_fields(config, partner, standings) for partner in config.partners.values()]
    if not screen.json:
        rows = [
            row
            | {
                "receive": say_filter_word("receive", row["receive"]),
                "sending": say_standing(standings.get(str(row["code"]))),
            }
            for row in rows
        ]
    titles = {
        "code": t("code"),
        "receive": t("receive"),
        "sending": t("sending"),
        "units": t("units"),
        "name": t("name"),
    }
    screen.table(titles, rows)
    files = (config.path.parent / "partners").glob("*.toml")
    if any(not file.name.startswith(".") and file.stem not in config.partners for file in files):
        exit_command(PARTLY)


def list_fields(config: Config, partner: Partner, standings: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """Return all fields of a partner, as in `--json`."""
    return {
        "code": partner.code,
        "name": partner.name,
        "receive": partner.receive.value,
        "url": partner.url,
        "adapter": partner.adapter,
        "upstream": partner.code == config.upstream,
        "units": list(partner.units),
        "tells": "*" if partner.tells else None,
        "calls": None if partner.calls is None else list(partner.calls),
        "granted": list(grants.list_granted(partner, config)),
        "certificates": [
            {
                "sha256": hash_certificate(certificate),
                "subject": certificate.subject.rfc4514_string(),
                "not_after": certificate.not_valid_after_utc,
            }
            for certificate in partner.certificates
        ],
        "policy": write_policy(partner.policy),
        "standing": standings.get(partner.code),
    }


def say_granted(names: Iterable[str]) -> str:
    """Return what may be called, each with its name: `lookups.VerifyCitizen (citizen verified)`."""
    return ", ".join(f"{each} ({name})" if (name := name_grant(each)) else each for each in names)


def name_grant(granted: str) -> str:
    """Return the name of a service, or of a lookup; of another operation the name of its service; "" if it has none."""
    service, _, operation = granted.partition(".")
    if service == operations.NAME and operation in operations.OPERATIONS:
        return say_word(service, operations.OPERATIONS[operation].milestone)
    name = say_word("service", service)
    return "" if name == service else name


def read_standings(screen: Screen, config: Config) -> dict[str, dict[str, object]]:
    """Return the sending state of each partner that the hub pushes to.

    If the journal cannot be opened, print a note and return nothing.
    """
    try:
        with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
            every, under_way = partners.read_partner_standings(tx), partners.count_attempts_under_way(tx)
    except (CommandStop, ConfigurationFault) as error:
        screen.note(t("The journal cannot be read: {error}", error=error))
        return {}
    found: dict[str, dict[str, object]] = {}
    for code in (code for code, partner in config.partners.items() if partner.receive is Receive.PUSH):
        standing = every.get(code, PartnerStanding())
        stands, pause = standing.breaker, standing.pause
        found[code] = {
            "breaker": stands.position.value,
            "failures": stands.failures,
            "opened": stands.opened,
            "until": stands.until,
            "reason": stands.reason,
            "paused": None if pause is None else {"at": pause.at, "by": pause.by, "reason": pause.reason},
            "under_way": under_way.get(code, 0),
        }
    return found


def say_standing(standing: Mapping[str, object] | None) -> str:
    """Return the sending state in a few words."""
    match standing:
        case None:
            return ""
        case {"paused": {"by": by, "reason": reason}}:
            return t("paused by {by}: {reason}", by=by, reason=reason)
        case {"breaker": position, "reason": None | ""}:
            return say_word("breaker", position)
        case {"breaker": position, "reason": reason}:
            return f"{say_word('breaker', position)}: {say_value('reason', reason)}"[:80]
    return ""
