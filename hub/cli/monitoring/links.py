"""`lienthong links`: shows the state of each link, as each node saw it last."""

from datetime import UTC, datetime
from decimal import Decimal

import attrs

from hub.cli.journal import open_journal, read_view_config
from hub.cli.screen import Screen, t
from hub.cli.words import say_figure, say_value, say_word
from hub.monitoring import link_rows
from hub.store import transactions


def links(screen: Screen) -> None:
    with open_journal(read_view_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = link_rows.list_seen_links(tx, datetime.now(UTC))
    titles = {
        "link": t("link"),
        "place": t("place"),
        "node": t("node"),
        "state": t("state"),
        "since": t("since"),
        "p50": t("p50"),
        "p95": t("p95"),
        "days_left": t("certificate days left"),
        "reason": t("reason"),
    }
    rows = [{"link": each.name, **_describe_link(attrs.asdict(each), plain=screen.json)} for each in found]
    if not screen.table(titles, rows) and not screen.json:
        screen.note(t("No link has been probed."))


def _describe_link(row: dict[str, object], *, plain: bool) -> dict[str, object]:
    """Return *row* without its name. For a screen, write latencies in milliseconds and shorten the node's name."""
    del row["name"]
    if plain:
        return row
    for key in ("p50", "p95"):
        value = row[key]
        row[key] = f"{say_figure(Decimal(value * 1000))} ms" if isinstance(value, float) else ""
    row["state"] = say_word("link", row["state"])
    row["reason"] = say_value("reason", row["reason"])
    row["node"] = str(row["node"])[:13]
    return row
