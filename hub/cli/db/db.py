"""`lienthong db`: shows the database's version, upgrades it, and lists the nodes that share it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.cli.screen import FAILED, CommandStop, Screen, command, command_group, exit_command, pass_screen, t

COMMANDS = {
    "backup": (
        "hub.cli.db.backup:backup",
        "Sao lưu nhật ký SQLite khi trục đang chạy",
        "Back up the SQLite journal while the hub runs",
    ),
    "verify": ("hub.cli.db.backup:verify_journal", "Kiểm tra toàn bộ nhật ký", "Check the whole journal for damage"),
    "move": (
        "hub.cli.db.move:move_journal",
        "Chuyển nhật ký từ SQLite sang PostgreSQL",
        "Move the journal from SQLite to PostgreSQL",
    ),
}
if TYPE_CHECKING:
    from sqlalchemy import Engine

    from hub.config import Config
    from hub.store.transactions import Transaction


@command_group(
    "db",
    "Cơ sở dữ liệu của nhật ký: phiên bản, nâng cấp, sao lưu, kiểm tra, chuyển sang PostgreSQL.",
    "The journal's database: its version, upgrade, backup, verification, and the move to PostgreSQL.",
    table=COMMANDS,
)
def db() -> None:
    pass


@command(
    "status",
    "So phiên bản cơ sở dữ liệu với phiên bản chương trình cần. Mã thoát 1 nếu chương trình không chạy được trên đó.",
    "Compare the database's version with the one this program needs. Exits 1 if the program cannot run on it.",
    "lienthong db status --json",
)
@pass_screen
def show_database_status(screen: Screen) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.store import schema_version, transactions

    config = read_journal_config(screen)
    with open_journal(config, any_version=True) as engine, transactions.read_transaction(engine) as tx:
        found, least, needed = (
            transactions.select_schema_version(tx),
            schema_version.read_least_version(tx),
            transactions.read_latest_version(),
        )
        known = schema_version.list_migration_steps()
        fed = _fed(tx, config.feed.exchange) if config.feed and found == needed else None
    runs = schema_version.is_version_supported(known, found, least)
    todo = schema_version.list_pending_migrations(known, found)
    fields: dict[str, object] = {
        "url": config.database_url,
        "version": found,
        "needed": needed,
        "current": found == needed,
        "runs": runs,
        "least": least,
        "pending": [f"{step.version} {step.part}" for step in todo],
    }
    told = found or t("trống", "empty")
    lines = [t(f"{told}; cần {needed}: ", f"{told}; needed {needed}: ") + _verdict(fields)]
    if fed is not None:
        fields["feed"] = fed
        since = t(f", cũ nhất từ {fed['oldest']}", f", the oldest of {fed['oldest']}") if fed["oldest"] else ""
        lines.append(
            t(
                f"{fed['exchange']}: đã phát {fed['published']} sự kiện, còn {fed['unpublished']}{since}",
                f"{fed['exchange']}: {fed['published']} events published, {fed['unpublished']} left{since}",
            )
        )
    screen.row(fields, "\n".join(lines))
    if not runs:
        exit_command(FAILED)


def _verdict(fields: Mapping[str, object]) -> str:
    if fields["current"]:
        return t("đúng phiên bản", "up to date")
    if not fields["pending"]:
        return (
            t("mới hơn; chương trình này vẫn chạy được", "newer; this program runs on it")
            if fields["runs"]
            else t("mới hơn; hãy nâng cấp chương trình", "newer; upgrade the program")
        )
    if fields["runs"]:
        return t(
            "chạy được; khi không còn nút phiên bản cũ, hãy chạy `lienthong db upgrade --after`",
            "this program runs on it; once no node of the old version is left, run `lienthong db upgrade --after`",
        )
    return t("hãy chạy `lienthong db upgrade`", "run `lienthong db upgrade`")


def _fed(tx: "Transaction", exchange: str) -> dict[str, object]:
    """Return how many events the feed has published, and how many are left."""
    from hub.journal import feed_cursor

    lag = feed_cursor.read_feed_lag(tx, exchange)
    oldest = lag.oldest.isoformat() if lag.oldest else None
    return {"exchange": exchange, "published": lag.published, "unpublished": lag.events, "oldest": oldest}


@command(
    "upgrade",
    "Nâng cơ sở dữ liệu lên phiên bản chương trình cần; tạo mới nếu chưa có. Không nâng khi nút phiên bản cũ còn chạy, trừ khi dùng --before.",
    "Upgrade the database to the version this program needs, or create it. "
    "Refused while nodes of the old version run, except with --before.",
    "lienthong db upgrade",
    "lienthong db upgrade --before",
)
@click.option(
    "--before",
    "part",
    flag_value="before",
    help=t("Chỉ phần mà các nút cũ vẫn chạy được.", "Only the part with which nodes of the old version still run."),
)
@click.option(
    "--after",
    "part",
    flag_value="after",
    help=t("Phần còn lại, khi không còn nút cũ.", "The rest, once no node of the old version is left."),
)
@pass_screen
def upgrade_hub_database(screen: Screen, part: str | None) -> None:
    from hub.cli.journal import open_journal, read_journal_config
    from hub.store import schema_version, transactions

    config = read_journal_config(screen)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.database_url.startswith("sqlite"):
        Path(config.database_url.removeprefix("sqlite:///")).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_journal(config, any_version=True) as engine:
        before = transactions.read_schema_version(engine)
        target = schema_version.choose_target_version(schema_version.list_migration_steps(), before, part)
        if target is not None:
            _refuse_beside_others(config, engine, before, target)
            transactions.upgrade_schema(engine, target)
        after = transactions.read_schema_version(engine)
    said = t("không có gì để nâng", "nothing to do") if before == after else f"{before or '-'} → {after}"
    screen.row({"before": before, "after": after}, said)


def _refuse_beside_others(config: "Config", engine: "Engine", found: str | None, target: str) -> None:
    """Refuse an upgrade that would remove what a running node still uses. Raises `CommandStop`."""
    from datetime import UTC, datetime

    from hub.journal import nodes
    from hub.runtime import pidfile
    from hub.store import schema_version, transactions

    pid, mine = pidfile.find_live_pid(config.data), pidfile.name_node(config.data, datetime.now(UTC))
    with transactions.read_transaction(engine) as tx:
        told = schema_version.read_least_version(tx) is not None  # otherwise the database is older than this table
        alive = {each.name: each.schema for each in nodes.list_live_nodes(tx, datetime.now(UTC))} if told else {}
    old = [name for name, schema in alive.items() if schema < target]
    if schema_version.applies_after_part(schema_version.list_migration_steps(), found, target) and old:
        raise CommandStop(
            f"còn nút phiên bản cũ đang chạy: {', '.join(old)}; hãy dừng trước, hoặc chỉ chạy --before",
            f"nodes of the old version run: {', '.join(old)}; stop them first, or run only --before",
        )
    if pid and mine not in alive:
        raise CommandStop(
            f"trục đang chạy (pid {pid}); hãy dừng trước", f"the hub is running (pid {pid}); stop it first"
        )


@command(
    "nodes",
    "Các nút dùng chung nhật ký: còn sống, mất tín hiệu, đã dừng; mỗi nút đang gửi bao nhiêu lượt chuyển.",
    "The nodes that share the journal: alive, lapsed, stopped; how many deliveries each is sending.",
    "lienthong db nodes --json",
)
@pass_screen
def list_hub_nodes(screen: Screen) -> None:
    from datetime import UTC, datetime

    import attrs

    from hub.cli.journal import open_journal, read_journal_config
    from hub.journal import nodes
    from hub.store import transactions

    with open_journal(read_journal_config(screen)) as engine, transactions.read_transaction(engine) as tx:
        rows = [
            attrs.asdict(seen.node) | attrs.asdict(seen, filter=lambda field, _value: field.name != "node")
            for seen in nodes.list_nodes(tx, datetime.now(UTC))
        ]
    columns = {
        "name": t("NÚT", "NODE"),
        "state": t("TRẠNG THÁI", "STATE"),
        "holds": t("ĐANG GỬI", "SENDING"),
        "version": t("PHIÊN BẢN", "VERSION"),
        "schema": t("LƯỢC ĐỒ", "SCHEMA"),
        "started_at": t("BẮT ĐẦU", "STARTED"),
        "seen_at": t("THẤY LẦN CUỐI", "LAST SEEN"),
    }
    if not screen.table(columns, [row | {"state": _state(screen, row["state"])} for row in rows]):
        screen.note("Chưa có nút nào.", "There is no node yet.")


def _state(screen: Screen, state: str) -> str:
    said = {"alive": "đang chạy", "lapsed": "mất tín hiệu", "stopped": "đã dừng"}[state]
    return state if screen.json else t(said, state)


db.add_command(show_database_status)
db.add_command(upgrade_hub_database)
db.add_command(list_hub_nodes)
