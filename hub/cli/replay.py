"""`lienthong replay`: dead deliveries put back, planned first, with a reason."""

import getpass
from datetime import UTC, datetime
from typing import Any

import click

from hub.cli.messages import chosen, filters
from hub.cli.screen import NOT_FOUND, Screen, Stop, command, pass_screen, t


@command(
    "replay",
    "Gửi lại các lượt chuyển lỗi: in kế hoạch; --yes mới thực hiện.\n\n"
    "Chọn bằng ID (của trục hoặc của bên gửi) hoặc bộ lọc. Nội dung và mã thông điệp giữ nguyên, nên bên nhận và báo cáo không "
    "tính hai lần.",
    "Replay dead deliveries: prints the plan; --yes runs it.\n\n"
    "Chosen by ID (the hub's or the sender's) or by filters. Bytes and message id stay, so that neither the recipient nor the "
    "report counts twice.",
    'lienthong replay --partner vpub --reason "máy chủ đã chạy lại"',
    'lienthong replay 0193… --recipient H55.01 --reason "đã sửa" --yes',
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@filters
@click.option("--recipient", help=t("Chỉ lượt chuyển tới đơn vị này.", "Only deliveries to this unit."))
@click.option("--reason", required=True, help=t("Lý do, được ghi lại.", "Why; it is recorded."))
@click.option("--yes", is_flag=True, help=t("Thực hiện kế hoạch.", "Run the plan."))
@pass_screen
def replay(
    screen: Screen, /, ids: tuple[str, ...], recipient: str | None, reason: str, yes: bool, **options: Any
) -> None:
    from hub import operations, registry, store
    from hub.cli.journal import opened
    from hub.config import read
    from hub.province import Province

    if not reason.strip():
        raise click.UsageError(t("--reason không được để trống", "--reason must not be empty"))
    if not ids and not recipient and not any(value is not None for value in options.values()):
        raise click.UsageError(t("cần ID hoặc một bộ lọc", "an ID or a filter is needed"))
    config = read(screen.config)
    with opened(config) as engine:
        with store.reading(engine) as tx:
            routes = Province.of(config, registry.roll(tx)).routes
            wanted = chosen(tx, options, ids or None)
            plan = operations.plan_replay(tx, wanted, routes.canonical(recipient) if recipient else None)
        moved = set()
        if yes and plan.replays:
            with store.writing(engine) as tx:
                dead = [delivery for _, delivery in plan.replays]
                now = datetime.now(UTC)
                done = operations.replay(tx, dead, routes, reason=reason.strip(), by=getpass.getuser(), now=now)
            moved = {delivery.id for delivery in done}
    rows: list[dict[str, object]] = [
        {
            "id": message.id,
            "message_id": message.message_id,
            "recipient": delivery.recipient,
            "partner": delivery.partner,
            "attempts": delivery.attempts,
            "reason": delivery.reason,
            "size": message.size,
            "action": "replayed" if delivery.id in moved else "left" if yes else "planned",
        }
        for message, delivery in plan.replays
    ]
    for each in plan.excluded:
        left = each.delivery
        rows.append(
            {"id": left.message, "recipient": left.recipient, "partner": left.partner, "reason": each.why}
            | {"attempts": left.attempts, "action": "excluded"}
        )
    columns = {
        "id": "id",
        "recipient": t("nơi nhận", "recipient"),
        "partner": t("hệ thống", "partner"),
        "attempts": t("lần gửi", "attempts"),
        "action": t("việc làm", "action"),
        "reason": t("lý do lỗi", "reason"),
    }
    screen.table(columns, rows)
    if not plan.replays:
        raise Stop("không có lượt chuyển lỗi nào được chọn", "no dead delivery was chosen", NOT_FOUND)
    if yes:
        screen.note(f"Đã gửi lại {len(moved)} lượt chuyển.", f"{len(moved)} deliveries replayed.")
    else:
        screen.note(
            f"Kế hoạch: {len(plan.replays)} lượt chuyển, {plan.octets} byte. Thêm --yes để thực hiện.",
            f"The plan: {len(plan.replays)} deliveries, {plan.octets} octets. Add --yes to run it.",
        )
