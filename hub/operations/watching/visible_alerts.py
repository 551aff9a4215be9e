"""The alerts to operators that a person may see, and acknowledging them."""

from collections.abc import Sequence
from datetime import datetime

import attrs

from hub.domain.model import ReportState
from hub.domain.sanitize import clean_line
from hub.keeping import hub_alerts
from hub.keeping.hub_alerts import HubAlert, HubAlertKey
from hub.language.phrases import Phrase
from hub.monitoring.hub_alerts import texts
from hub.monitoring.hub_alerts.conditions import ConditionKind
from hub.operations.accounts.users import User
from hub.operations.page_paths import build_page_path
from hub.store.transactions import Transaction

#: Ended alerts that are shown; characters of a note.
ENDED, NOTE = 50, 500


@attrs.frozen(kw_only=True)
class ShownAlert:
    """One alert, with what it says."""

    alert: HubAlert
    text: Phrase | str
    remedy: Phrase | str  #: what to do; "": nothing is to be said
    place: str = ""  #: the page on which somebody sees to it; "": there is none


@attrs.frozen(kw_only=True)
class ShownAlerts:
    """What the page shows."""

    raised: Sequence[ShownAlert]  #: the gravest first
    ended: Sequence[ShownAlert]  #: the latest first, at most `ENDED`


def read_visible_alerts(tx: Transaction, user: User) -> ShownAlerts:
    """Return the alerts that *user* sees."""
    found = [each for each in hub_alerts.read_alerts(tx) if _is_visible(user, each)]
    ended = sorted((each for each in found if each.ended_at), key=lambda each: each.changed_at, reverse=True)
    return ShownAlerts(
        raised=[show_alert(each) for each in found if each.raised], ended=[show_alert(each) for each in ended[:ENDED]]
    )


def show_alert(alert: HubAlert) -> ShownAlert:
    """Return *alert* with what it says."""
    return ShownAlert(
        alert=alert,
        text=texts.describe_condition(alert.key.kind, alert.values),
        remedy=texts.describe_remedy(alert.key.kind),
        place=find_page(alert),
    )


def find_page(alert: HubAlert) -> str:
    """Return the address of the page on which somebody sees to *alert*; "" if the console has none.

    Whoever may see alerts may open each of them.
    """
    values = {name: str(value) for name, value in alert.values.items()}
    match alert.key.kind:
        case ConditionKind.DEAD_LETTERS:
            return build_page_path("failures", partner=values["partner"])
        case ConditionKind.PARTNER_DOWN | ConditionKind.SUSPENDED | ConditionKind.WAITING:
            return build_page_path("partners", values["partner"])
        case ConditionKind.CERTIFICATE if values["owner"] == "partner":
            return build_page_path("partners", values["name"])
        case ConditionKind.CRL:
            return build_page_path("partners")
        case ConditionKind.RETURNED:
            return build_page_path("month", values["form"], values["period"], step=str(ReportState.RETURNED))
        case ConditionKind.BUDGET | ConditionKind.RETENTION:
            return build_page_path("retention")
        case ConditionKind.BACKUP | ConditionKind.RECEIPTS:
            return build_page_path("backups")
        case ConditionKind.NODE:
            return build_page_path("upgrades")
        case ConditionKind.CHAIN | ConditionKind.WRITER | ConditionKind.EDITED:
            return build_page_path("readiness")
        case ConditionKind.RESTART:
            return build_page_path()
    return ""


def acknowledge_visible_alerts(
    tx: Transaction, user: User, keys: Sequence[HubAlertKey] | None, *, by: str, note: str, now: datetime
) -> list[HubAlert]:
    """Write that *by* knows of those of *keys* (None: of all) that *user* sees, and return those that nobody knew of.

    Raises KeyError if one of *keys* is not raised, or *user* does not see it.
    """
    visible = {each.key for each in hub_alerts.read_alerts(tx, ended=False) if _is_visible(user, each)}
    for key in keys or ():
        if key not in visible:
            raise KeyError(key)
    chosen = visible if keys is None else set(keys)
    return hub_alerts.acknowledge_alerts(tx, chosen, by=by, note=note, now=now)


def clean_note(text: str) -> str:
    """Return a note as it is kept: one line of at most `NOTE` characters."""
    return clean_line(text, NOTE)


def _is_visible(user: User, alert: HubAlert) -> bool:
    values = alert.values
    partner = values["name"] if values.get("owner") == "partner" else values.get("partner")
    return partner is None or user.sees_partner(str(partner))
