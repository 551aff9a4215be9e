"""`lienthong links`: how the links stand, as each node saw them last."""

import attrs

from hub.cli.screen import Screen, command, pass_screen, t


@command(
    "links",
    "Tình trạng đường truyền tới từng hệ thống, theo từng nút.\n\n"
    "Trục thăm dò khi `hub.toml` có [links] every: kết nối, bắt tay TLS, không gửi gì. `silent`: nút đã lâu không báo.",
    "How the link to each system stands, by node.\n\n"
    "The hub probes where `hub.toml` has [links] every: a connection, a TLS handshake, nothing sent. `silent`: the node has told nothing for long.",
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
    """Return *row* without what `link` says already; for a screen, latencies in milliseconds and nodes by their first letters."""
    del row["name"]
    if plain:
        return row
    for key in ("p50", "p95"):
        value = row[key]
        row[key] = f"{value * 1000:.1f} ms" if isinstance(value, float) else ""
    row["node"] = str(row["node"])[:13]
    return row
