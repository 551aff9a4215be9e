"""The command `lienthong`: a table of its commands. Imports the module of a command only when the command runs."""

import os
from typing import Any

import click

from hub.cli.screen import CONFIGURATION, CommandGroup, Screen, end_on_broken_pipe, t
from hub.domain.errors import ConfigurationFault

#: name -> (`module:attribute`, description in Vietnamese, in English), in the order in which a new operator needs them.
COMMANDS = {
    "init": ("hub.cli.init:init", "Tạo thư mục chạy được ngay", "Write a directory that runs as it is"),
    "check": ("hub.cli.check:check_hub", "Kiểm tra mọi thứ trước khi chạy", "Check everything before it runs"),
    "demo": (
        "hub.cli.demo.demo:demo",
        "Chạy thử trọn vẹn với các hệ thống mẫu",
        "Run the whole hub with sample systems",
    ),
    "send": ("hub.cli.send:send", "Ký và gửi một gói tin", "Sign and send a packet"),
    "fetch": ("hub.cli.send:fetch_messages", "Lấy thông điệp đang chờ", "Fetch waiting messages"),
    "messages": ("hub.cli.messages:list_messages", "Liệt kê thông điệp", "List messages"),
    "show": ("hub.cli.messages:show_message", "Xem một thông điệp", "Show one message"),
    "trace": ("hub.cli.messages:trace", "Mọi sự kiện của một thông điệp", "All events of a message"),
    "replay": (
        "hub.cli.replay:replay_dead_letters",
        "Gửi lại, có kế hoạch và lý do",
        "Replay dead deliveries, with a plan and a reason",
    ),
    "give-up": ("hub.cli.replay:give_up", "Thôi gửi những gì đang chờ", "Give up waiting deliveries"),
    "pause": ("hub.cli.pause:pause_sending", "Tạm ngừng gửi tới một hệ thống", "Pause sending to a partner"),
    "resume": ("hub.cli.pause:resume_sending", "Gửi tiếp tới một hệ thống", "Resume sending to a partner"),
    "report": ("hub.cli.report.report:report_workload", "Báo cáo khối lượng công việc", "Workload reports"),
    "evidence": ("hub.cli.evidence:evidence", "Tệp chứng cứ của một báo cáo", "The evidence file of a report"),
    "verify": (
        "hub.cli.evidence:verify_evidence",
        "Kiểm tra chứng cứ, báo cáo, biên nhận; không cần trục",
        "Check evidence, reports, receipts; needs no hub",
    ),
    "partners": ("hub.cli.partners:partners", "Hệ thống đối tác", "Partners"),
    "links": ("hub.cli.links:links", "Tình trạng đường truyền", "State of the links"),
    "trust": ("hub.cli.trust:trust", "Chứng thư gốc và danh sách thu hồi", "Trust anchors and CRLs"),
    "units": ("hub.cli.units.units:manage_units", "Đơn vị và mã định danh", "Units and their codes"),
    "users": ("hub.cli.users:users", "Người dùng của bảng điều khiển", "The users of the console"),
    "mail": ("hub.cli.mail:mail", "Số liệu sử dụng thư điện tử dùng chung", "Usage figures of the shared mail"),
    "categories": ("hub.cli.categories:categories", "Danh mục dùng chung", "Code lists from other systems"),
    "db": ("hub.cli.db.db:db", "Cơ sở dữ liệu: phiên bản, nâng cấp", "Database: version, upgrade"),
    "reload": (
        "hub.cli.reload:reload",
        "Trục đang chạy đọc lại cấu hình",
        "Make the running hub reload its configuration",
    ),
}


class Root(CommandGroup):
    """The group `lienthong`. Prints every mistake of a configuration and exits 78."""

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            return super().invoke(ctx)
        except ConfigurationFault as fault:
            ctx.ensure_object(Screen).mistakes(fault.mistakes)
            ctx.exit(CONFIGURATION)


def _version(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"lienthong {version('lienthong')}")
        context.exit()


@click.group(
    "lienthong",
    cls=Root,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help=t(
        "Liên Thông: trục liên thông SOAP/XML của tỉnh.\n\n"
        "Bắt đầu bằng `lienthong init DIR`, rồi `lienthong -c DIR/hub.toml check` và `twistd -n lienthong -c DIR/hub.toml`.",
        "Liên Thông: the SOAP/XML integration hub of a province.\n\n"
        "Begin with `lienthong init DIR`, then `lienthong -c DIR/hub.toml check` and `twistd -n lienthong -c DIR/hub.toml`.",
    ),
    epilog=t(
        "Mã thoát: 0 xong · 1 không được · 2 sai cách dùng · 3 được một phần · 4 không tìm thấy · "
        "69 chưa phục vụ được · 78 sai cấu hình · 141 không còn ai đọc.",
        "Exit codes: 0 ok · 1 failed · 2 usage · 3 partly · 4 not found · 69 unavailable · 78 configuration · 141 "
        "output not read.",
    ),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help=t("Hiện phiên bản.", "Show the version."),
)
def lienthong() -> None:
    pass


def main() -> None:
    """Run the command line. Entry point of the console script `lienthong`."""
    end_on_broken_pipe()
    lienthong()
