"""`lienthong links`: shows the state of each link, as each node saw it last."""

import attrs

from hub.cli.screen import Screen, command, pass_screen, t


@command(
    "links",
    "Tình trạng đường truyền tới từng hệ thống, theo từng nút.\n\n"
    "Trục thăm dò khi `hub.toml` có [links] every: kết nối, bắt tay TLS, không gửi gì. `silent`: nút đã lâu không báo.",
    "The state of the link to each system, by node.\n\n"
    "The hub probes links if `hub.toml` has [links] every: it connects and makes a TLS handshake, and sends nothing. "
    "`silent`: the node has not reported for a long time.",
    "lienthong links",
    "lienthong links --json",
)
@pass_screen
def links(screen: Screen) -> None:
    from datetime import UTC, datetime

    from hub.cli.journal import open_journal, read_journal_config
    from hub.monitoring import link_rows
    from hub.store import transactions

    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        found = link_rows.list_seen_links(tx, datetime.now(UTC))
    titles = {
        "link": t("đường truyền", "link"),
        "place": t("nơi", "place"),
        "node": t("nút", "node"),
        "state": t("trạng thái", "state"),
        "since": t("từ", "since"),
        "p50": t("trễ p50", "p50"),
        "p95": t("trễ p95", "p95"),
        "days_left": t("chứng thư còn (ngày)", "certificate days left"),
        "reason": t("lý do", "reason"),
    }
    rows = [{"link": each.name, **_shown(attrs.asdict(each), plain=screen.json)} for each in found]
    if not screen.table(titles, rows) and not screen.json:
        screen.note("Chưa thăm dò đường truyền nào.", "No link has been probed.")


def _shown(row: dict[str, object], *, plain: bool) -> dict[str, object]:
    """Return *row* without its name. For a screen, write latencies in milliseconds and shorten the node's name."""
    del row["name"]
    if plain:
        return row
    for key in ("p50", "p95"):
        value = row[key]
        row[key] = f"{value * 1000:.1f} ms" if isinstance(value, float) else ""
    row["node"] = str(row["node"])[:13]
    return row
