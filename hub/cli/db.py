"""`lienthong db`: which version the database has, and bringing it to this program's."""

from pathlib import Path
from typing import TYPE_CHECKING

from hub.cli.screen import FAILED, Screen, Stop, command, family, leave, pass_screen, t

if TYPE_CHECKING:
    import sqlalchemy as sa


@family(
    "db", "Cơ sở dữ liệu của nhật ký: phiên bản, nâng cấp.", "The journal's database: its version, and upgrading it."
)
def db() -> None:
    pass


@command(
    "status",
    "So phiên bản cơ sở dữ liệu với phiên bản chương trình cần. Mã thoát 1 nếu khác.",
    "Compare the database's version with the one this program needs. Exits 1 when they differ.",
    "lienthong db status --json",
)
@pass_screen
def status(screen: Screen) -> None:
    from hub import store
    from hub.cli.journal import opened
    from hub.config import read

    config = read(screen.config)
    with opened(config, any_version=True) as engine:
        found, needed = store.version(engine), store.latest_version()
        same = found == needed
        fed = _fed(engine, config.feed.exchange) if same and config.feed else None
    told = found or t("trống", "empty")
    verdict = (
        t("đúng phiên bản", "up to date")
        if same
        else t("hãy chạy `lienthong db upgrade`", "run `lienthong db upgrade`")
    )
    fields: dict[str, object] = {"url": config.database_url, "version": found, "needed": needed, "current": same}
    lines = [t(f"{told}; cần {needed}: {verdict}", f"{told}; needed {needed}: {verdict}")]
    if fed is not None:
        fields["feed"] = fed
        since = t(f", cũ nhất từ {fed['oldest']}", f", the oldest of {fed['oldest']}") if fed["oldest"] else ""
        lines.append(
            t(
                f"{fed['exchange']}: đã phát {fed['published']} sự kiện, còn {fed['unpublished']}{since}",
                f"{fed['exchange']}: {fed['published']} events published, {fed['unpublished']} to go{since}",
            )
        )
    screen.row(fields, "\n".join(lines))
    if not same:
        leave(FAILED)


def _fed(engine: "sa.Engine", exchange: str) -> dict[str, object]:
    """Return how far the feed came."""
    from hub import store, subscription

    with store.reading(engine) as tx:
        lag = subscription.lag(tx, exchange)
    oldest = lag.oldest.isoformat() if lag.oldest else None
    return {"exchange": exchange, "published": lag.published, "unpublished": lag.events, "oldest": oldest}


@command(
    "upgrade",
    "Nâng cơ sở dữ liệu lên phiên bản chương trình cần; tạo mới nếu chưa có. Dừng trục trước khi chạy.",
    "Bring the database to the version this program needs; make it when there is none. Stop the hub first.",
    "lienthong db upgrade",
)
@pass_screen
def upgrade(screen: Screen) -> None:
    from hub import pidfile, store
    from hub.cli.journal import opened
    from hub.config import read

    config = read(screen.config)
    pid = pidfile.alive(config.data)
    if pid:
        raise Stop(f"trục đang chạy (pid {pid}); hãy dừng trước", f"the hub is running (pid {pid}); stop it first")
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.database_url.startswith("sqlite"):
        Path(config.database_url.removeprefix("sqlite:///")).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened(config, any_version=True) as engine:
        before = store.version(engine)
        store.upgrade(engine)
        after = store.version(engine)
    said = t("không có gì để nâng", "nothing to do") if before == after else f"{before or '-'} → {after}"
    screen.row({"before": before, "after": after}, said)


db.add_command(status)
db.add_command(upgrade)
