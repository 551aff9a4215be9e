"""`lienthong check`: reports everything because of which `twistd` would refuse to start."""

from datetime import UTC, datetime

import click

from hub.cli.screen import CONFIGURATION, UNAVAILABLE, Screen, command, exit_command, pass_screen, t
from hub.domain.errors import Mistake


@command(
    "check",
    "Kiểm tra mọi thứ và nêu mọi lỗi một lần: cấu hình, khóa, chứng thư, CRL, đặc tả dịch vụ, đơn vị, cổng, cơ sở dữ liệu; "
    "ký, xác minh và định tuyến một gói tin mẫu cho từng đối tác nhận.\n\n"
    "Không thay đổi gì. `twistd` từ chối chạy khi lệnh này báo lỗi; cảnh báo thì không cản.",
    "Check everything and name every mistake at once: configuration, keys, certificates, CRLs, contracts, units, ports, "
    "database; sign, verify and route a sample packet through each receiving partner.\n\n"
    "Nothing is changed. `twistd` does not start while this command reports a mistake. A warning does not stop it.",
    "lienthong check",
    "lienthong -c tinh/hub.toml check --connect",
)
@click.option(
    "--connect",
    is_flag=True,
    help=t(
        "Bắt tay TLS thử với từng đối tác được đẩy tới, và thử đăng nhập vào RabbitMQ của [feed].",
        "Also try the TLS handshake with each partner that the hub pushes to, and the sign-in at RabbitMQ ([feed]).",
    ),
)
@pass_screen
def check_hub(screen: Screen, connect: bool) -> None:
    from hub.node.check import check_config

    now = datetime.now(UTC)
    findings = check_config(screen.config, now)
    mistakes = list(findings.mistakes)
    unreachable: list[Mistake] = []
    if connect and findings.province:
        from hub.cli.handshake import try_partners

        refused, unreachable = try_partners(findings.province.config, now)
        mistakes += refused
        if findings.province.config.feed is not None and not mistakes:
            from hub.cli.handshake import try_broker

            refused, unreached = try_broker(findings.province.config)
            mistakes += refused
            unreachable += unreached
    if findings.warnings:
        click.echo(t("Cảnh báo:", "Warnings:"), err=True)
        screen.mistakes(findings.warnings, kind="warning")
    if mistakes:
        click.echo(t(f"{len(mistakes)} lỗi:", f"{len(mistakes)} mistakes:"), err=True)
        screen.mistakes(mistakes)
        exit_command(CONFIGURATION)
    if unreachable:
        click.echo(t("Chưa kết nối được:", "Could not be reached:"), err=True)
        screen.mistakes(unreachable, kind="unreachable")
        exit_command(UNAVAILABLE)
    screen.row({"kind": "ok"}, t("Mọi thứ đều đúng.", "Everything is right."))
