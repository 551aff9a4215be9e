"""`lienthong reload`: makes the running hub reload its configuration, and prints what changed."""

import click

from hub.cli.screen import CONFIGURATION, UNAVAILABLE, CommandStop, Screen, command, exit_command, pass_screen, t

_MARKS = {
    "+": ("thêm", "added"),
    "-": ("bỏ", "removed"),
    "~": ("đổi", "changed"),
    "!": ("cần khởi động lại", "needs a restart"),
}


@command(
    "reload",
    "Trục đang chạy đọc lại cấu hình, đối tác, chứng thư, CRL và đơn vị, không ngắt kết nối nào.\n\n"
    "Cấu hình có lỗi thì bị từ chối và trục giữ cấu hình cũ. Mã thoát: 69 nếu không có trục nào chạy, 78 nếu bị từ chối.",
    "Make the running hub reload configuration, partners, certificates, CRLs and units, without dropping "
    "connections.\n\n"
    "A configuration with mistakes is refused, and the hub keeps the old one. Exits 69 if no hub runs, 78 if it was "
    "refused.",
    "lienthong -c tinh/hub.toml reload",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    help=t("Chờ trả lời, tính bằng giây.", "Seconds to wait for the verdict."),
)
@pass_screen
def reload(screen: Screen, timeout: float) -> None:
    from hub.config import read_data_directory
    from hub.runtime import pidfile

    try:
        verdict = pidfile.request_reload(read_data_directory(screen.config), timeout)
    except pidfile.NotRunning:
        raise CommandStop("không có trục nào đang chạy ở đây", "no hub runs here", UNAVAILABLE) from None
    except pidfile.NoAnswer:
        raise CommandStop(
            f"trục không trả lời trong {timeout:g} giây", f"the hub did not answer within {timeout:g} seconds"
        ) from None
    if not verdict.ok:
        screen.mistakes(verdict.mistakes)
        screen.note("Bị từ chối; trục giữ cấu hình cũ", "Refused; the hub keeps the old configuration")
        exit_command(CONFIGURATION)
    for change in verdict.changes:
        mark, _, what = change.partition(" ")
        screen.row({"change": _MARKS[mark][1], "what": what}, f"{t(*_MARKS[mark])}: {what}")
    if not verdict.changes:
        screen.note("Không có gì thay đổi", "Nothing changed")
